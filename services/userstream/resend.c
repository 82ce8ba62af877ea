/*
 * A batch that is in the ledger already, sent down the pipeline again.
 *
 * Its users are those of its row, read anew: who has gone since, or opted out,
 * is marked so. A batch that is not queued any more is somebody's or done, and
 * the message was late or double.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"
#include "services/userstream/stream.h"

static int read_users(struct worker *w, const struct ledger_job *job, const struct ledger_batch *b,
                      struct fp_err *err)
{
    if (b->n_users == 0 || b->n_users > WIRE_MAX_USERS) {
        return err_set(err, FP_DATA_LOSS, "batch %" PRId64 " has %zu users: 1 to %d can be sent", b->id,
                       b->n_users, WIRE_MAX_USERS);
    }
    if (source_users_by_id(w->source, job->kind, b->user_ids, b->n_users, w->users, err) != 0) {
        stream_source_state(w, err->msg);
        return -1;
    }
    stream_source_state(w, NULL);
    return compose_judge(w, job->kind, b->n_users, err);
}

int resend_batch(struct worker *w, const struct ledger_job *job, int64_t batch_id, struct fp_err *err)
{
    struct ledger_batch b = {0};
    w->began_us = clock_wall_us();
    if (ledger_batch_get(w->ledger, batch_id, &b, err) != 0)
        return -1;
    int failed = 0;
    if (b.job_id != job->id || strcmp(b.state, "queued") != 0) {
        worker_drop("reason=\"stale_batch\"");
    } else if ((failed = read_users(w, job, &b, err)) == 0) {
        compose_send(w, job, &(struct batch_place){b.id, b.round}, b.n_users);
        metrics_add("foliopost_resends_total", "", 1);
    }
    mem_free(b.user_ids);
    return failed;
}
