/*
 * Work messages: leave to page, and batches to send again.
 *
 * A message that no userstream takes in time is dropped, here and in silence:
 * the grant becomes overdue and the batch due again. After the first one in a
 * tick no more are tried, so that the loop never stands for long.
 */
#include <inttypes.h>

#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/wire/wire.h"
#include "services/scheduler/leader.h"

/* A connected userstream takes a message at once; this is for one that is just connecting. */
#define SEND_MS 50

static void send_work(struct leader *l, Foliopost__V1__Work *w, const char *kind)
{
    static long long said_us;
    struct fp_str packed;
    struct fp_err err;

    w->schema_version = WIRE_SCHEMA_VERSION;
    str_init(&packed, WIRE_MAX_MESSAGE_BYTES);
    if (wire_pack(&w->base, WIRE_MAX_MESSAGE_BYTES, &packed, &err) ||
        l->o.send(l->o.ctx, packed.data, packed.len, SEND_MS, &err)) {
        l->send_failed = true;
        metrics_add("foliopost_work_dropped_total", kind, 1);
        if (log_limited(&said_us, 10000))
            log_warn("", "work not taken", "it comes again when due; reason=%s", err.msg);
    } else {
        metrics_add("foliopost_work_sent_total", kind, 1);
    }
    str_fini(&packed);
}

void work_grant(struct leader *l, const struct ledger_job *j, int32_t interval_no, int32_t grant_no,
                int32_t pages)
{
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__Grant g = FOLIOPOST__V1__GRANT__INIT;

    g.interval_no = interval_no;
    g.grant_no = grant_no;
    g.pages = pages;
    w.job_id = j->id;
    w.traceparent = (char *)j->traceparent;
    w.work_case = FOLIOPOST__V1__WORK__WORK_GRANT;
    w.grant = &g;
    send_work(l, &w, "kind=\"grant\"");
}

void work_batch(struct leader *l, const struct ledger_emit *e)
{
    Foliopost__V1__Work w = FOLIOPOST__V1__WORK__INIT;
    Foliopost__V1__BatchRef b = FOLIOPOST__V1__BATCH_REF__INIT;

    b.batch_id = e->batch_id;
    w.job_id = e->job_id;
    w.traceparent = (char *)e->traceparent;
    w.work_case = FOLIOPOST__V1__WORK__WORK_BATCH;
    w.batch = &b;
    send_work(l, &w, "kind=\"batch\"");
}
