/* The audit as it is read, newest first along its key. */
#include "lib/ledger/audit.h"

#include "lib/ledger/ledger_internal.h"

static const char list_sql[] =
    "SELECT id, at, actor, peer, action, job_id, detail FROM foliopost.audit"
    " WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR actor = $2)"
    "  AND ($3::text IS NULL OR action = $3) AND ($4::bigint IS NULL OR job_id = $4)"
    "  AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)"
    " ORDER BY id DESC LIMIT $7";

static void read_line(struct ledger_audit *out, const struct fp_rows *r, int row)
{
    *out = (struct ledger_audit){.id = pg_i64(r, row, 0),
                                 .at_us = ledger_time(r, row, 1),
                                 .job_id = pg_i64(r, row, 5)};
    ledger_text(out->actor, sizeof out->actor, r, row, 2);
    ledger_text(out->peer, sizeof out->peer, r, row, 3);
    ledger_text(out->action, sizeof out->action, r, row, 4);
    ledger_text(out->detail, sizeof out->detail, r, row, 6);
}

int ledger_audit(struct fp_ledger *l, const struct ledger_audit_filter *f, int64_t before_id,
                 struct ledger_audit *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    ledger_arg_id(&a, before_id);
    ledger_arg_name(&a, f->actor);
    ledger_arg_name(&a, f->action);
    ledger_arg_id(&a, f->job_id);
    ledger_arg_time(&a, f->from_us);
    ledger_arg_time(&a, f->to_us);
    pg_arg_i64(&a, max);
    /* Not prepared: the plan depends on which filter is there. */
    if (ledger_step(l, NULL, list_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_line(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}
