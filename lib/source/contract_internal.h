/* Shared by contract.c (shape, indexes, plans) and contract_data.c (what is in it). */
#ifndef FP_SOURCE_CONTRACT_INTERNAL_H
#define FP_SOURCE_CONTRACT_INTERNAL_H

#include "lib/source/contract.h"

struct contract {
    struct fp_source *source;
    struct fp_pg *pg;
    contract_found *found;
    void *ctx;
    bool forbidden; /* something may not be read: nothing more can be asked */
    bool broken;    /* a relation or a column is missing: its data is not asked for */
};

void contract_tell(const struct contract *c, enum contract_severity severity, const char *what,
                   const char *remedy, const char *finding, ...) __attribute__((format(printf, 5, 6)));

/* One number; *null says there was none. name says in an error what was asked. */
int contract_number(const struct contract *c, const char *name, const char *sql, const struct pg_args *a,
                    int64_t *out, bool *null, struct fp_err *err) FP_MUST_CHECK;

/* contract_data.c: samples, freshness, replica. */
int contract_check_data(const struct contract *c, struct fp_err *err) FP_MUST_CHECK;

#endif
