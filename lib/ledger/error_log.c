/*
 * The error log: what went wrong, written down for people.
 *
 * A plain insert. A repeated one after a lost reply doubles a line, which does
 * no harm. The audit has no function of its own: the steps that are audited
 * write their line in their own statement, and audit.c reads them.
 */
#include "lib/ledger/ledger_internal.h"

static const char error_sql[] =
    "INSERT INTO foliopost.error_log (service, instance, job_id, batch_id, code, message)"
    "  VALUES ($1, $2::uuid, $3, $4, $5, $6)";

int ledger_error(struct fp_ledger *l, const char *service, const char *instance, int64_t job_id,
                 int64_t batch_id, const char *code, const char *message, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, service);
    ledger_arg_name(&a, instance);
    ledger_arg_id(&a, job_id);
    ledger_arg_id(&a, batch_id);
    pg_arg_text(&a, code);
    pg_arg_text(&a, message);
    return ledger_count(l, "error", error_sql, &a, err) < 0 ? -1 : 0;
}
