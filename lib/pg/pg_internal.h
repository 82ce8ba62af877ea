/* What pg.c, args.c and rows.c share; nobody else includes it. */
#ifndef FP_PG_INTERNAL_H
#define FP_PG_INTERNAL_H

#include <libpq-fe.h>

#include "lib/pg/pg.h"

/* PostgreSQL counts time from 2000-01-01. */
#define PG_EPOCH_DAY 10957
#define PG_EPOCH_US  (INT64_C(10957) * INT64_C(86400000000))

/* Takes the result over. */
struct fp_rows *pg_rows_new(PGresult *res);

#endif
