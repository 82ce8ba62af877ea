/*
 * The backlog: what is still to do, as autoscalers see it too. The sums stand in
 * the view alone (sql/migrations), so that KEDA and the metrics cannot differ.
 */
#include "lib/ledger/backlog.h"

#include <stdio.h>
#include <string.h>

#include "lib/ledger/ledger_internal.h"

int ledger_backlog(struct fp_ledger *l, struct ledger_backlog *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    memset(out, 0, LEDGER_BACKLOG_STAGES * sizeof *out);
    pg_args_init(&a);
    if (ledger_step(l, "backlog", "SELECT stage, users, age_s FROM foliopost.backlog", &a, &rows, err) != 0)
        return -1;
    for (int i = 0; i < LEDGER_BACKLOG_STAGES && i < pg_rows_count(rows); i++) {
        snprintf(out[i].stage, sizeof out[i].stage, "%s", pg_text(rows, i, 0));
        out[i].users = pg_i64(rows, i, 1);
        out[i].age_s = pg_f64(rows, i, 2);
    }
    pg_rows_free(rows);
    return 0;
}
