/*
 * The leader's lease: one row, taken by whoever finds it free.
 *
 * The UPDATE's conditions are on that row alone, so of two that wait for it
 * the second sees the first's lease and changes nothing. Every step of the
 * leader joins this row (LEADS in ledger_internal.h).
 *
 * With each renewal it keeps the latest time that the database's clock has
 * shown, from which setback.c knows that it was set back.
 */
#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char lead_sql[] =
    "UPDATE foliopost.leader l SET owner = $1::uuid, lease_until = clock_timestamp() + " LEASE_LENGTH ","
    "  term = l.term + (l.owner IS DISTINCT FROM $1::uuid)::integer,"
    "  since = CASE WHEN l.owner IS DISTINCT FROM $1::uuid THEN clock_timestamp() ELSE l.since END,"
    "  clock_high = greatest(l.clock_high, clock_timestamp())"
    " WHERE l.owner = $1::uuid OR l.owner IS NULL OR NOT " LEASE_HOLDS("l") " RETURNING l.term";
/* clang-format on */

int ledger_lead(struct fp_ledger *l, const char *owner, bool *leading, int64_t *term, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *leading = false;
    *term = 0;
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    if (ledger_step(l, "lead", lead_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) > 0) {
        *leading = true;
        *term = pg_i64(rows, 0, 0);
    }
    pg_rows_free(rows);
    return 0;
}

static const char end_sql[] =
    "UPDATE foliopost.leader SET owner = NULL, lease_until = '-infinity' WHERE owner = $1::uuid";

int ledger_lead_end(struct fp_ledger *l, const char *owner, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    return ledger_count(l, "lead_end", end_sql, &a, err) < 0 ? -1 : 0;
}
