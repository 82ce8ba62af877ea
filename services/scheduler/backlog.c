/*
 * What is still to do, as metrics. Every few seconds: nobody scales or looks
 * more often. It is no reason for a leader to stop: where the ledger does not
 * let it read the view (roles.sql is older), it says so and goes on.
 */
#include "lib/ledger/backlog.h"

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/leader.h"

#define BACKLOG_EVERY_US (5 * FP_US_PER_S)

static void show(const struct ledger_backlog *b)
{
    char label[40];
    snprintf(label, sizeof label, "stage=\"%s\"", b->stage);
    metrics_set("foliopost_backlog_users", label, (double)b->users);
    metrics_set("foliopost_backlog_age_seconds", label, b->age_s);
}

int sweep_backlog(struct leader *l, struct fp_err *err)
{
    static long long said_us;
    struct ledger_backlog rows[LEDGER_BACKLOG_STAGES];
    int64_t now = clock_mono_us();

    if (now < l->next_backlog_mono_us)
        return 0;
    l->next_backlog_mono_us = now + BACKLOG_EVERY_US;
    if (ledger_backlog(l->o.ledger, rows, err) != 0) {
        if (err->code == FP_UNAVAILABLE)
            return -1;
        if (log_limited(&said_us, 600000))
            log_warn("", "no backlog", "code=%s reason=%s", err_code_name(err->code), err->msg);
        return 0;
    }
    for (int i = 0; i < LEDGER_BACKLOG_STAGES; i++)
        show(&rows[i]);
    return 0;
}
