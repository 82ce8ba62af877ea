/*
 * One page of a grant: read the cursor, read the users behind it, and write the
 * batch and the new cursor in one statement of the ledger (P1).
 *
 * Every page begins by reading the interval anew, so repeating one whose reply
 * was lost is safe, and a grant that was given to another meanwhile ends here:
 * the ledger moves a cursor only from where it was read. What was read is in
 * the order of the index, so a page shorter than the batch size is the last.
 *
 * A share of the audience is a condition of the read (lib/source/share.h): a page
 * is filled with users who belong to it, and stays the last when it is short.
 *
 * A job with a list of ids pages the list itself: an id that is not in
 * portfolio.users is a user who is gone, and gets an outcome like all others.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/intervals.h"
#include "lib/metrics/metrics.h"
#include "services/userstream/stream.h"

static size_t batch_size(const struct ledger_job *job)
{
    if (job->batch_size < 1)
        return 1;
    return job->batch_size < WIRE_MAX_USERS ? (size_t)job->batch_size : WIRE_MAX_USERS;
}

/* Of the sorted list, the first id behind the cursor. */
static size_t behind(const int64_t *ids, size_t n, int64_t cursor)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids[middle] > cursor)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int read_list(struct worker *w, const struct ledger_job *job, struct ledger_page *p,
                     struct fp_err *err)
{
    size_t from = behind(job->user_ids, job->n_user_ids, p->from_id);
    size_t left = job->n_user_ids - from;
    p->n_users = left < batch_size(job) ? left : batch_size(job);
    p->last = p->n_users == left;
    if (p->n_users == 0)
        return 0;
    p->to_id = job->user_ids[from + p->n_users - 1];
    return source_users_by_id(w->source, job->kind, job->user_ids + from, p->n_users, w->users, err);
}

static int read_range(struct worker *w, const struct ledger_job *job, const struct ledger_interval *iv,
                      struct ledger_page *p, struct fp_err *err)
{
    const struct source_range range = {
        job->kind, p->from_us, p->from_id, iv->upper_us, {job->share_ppm, job->share_seed}};
    int n = source_users_page(w->source, &range, w->users, (int)batch_size(job), err);
    if (n < 0)
        return -1;
    p->n_users = (size_t)n;
    p->last = p->n_users < batch_size(job);
    if (n > 0) {
        p->to_us = w->users[n - 1].created_us;
        p->to_id = w->users[n - 1].id;
    }
    return 0;
}

/* How far the source must have come before an interval is read. Whoever
 * registered before its end is committed at the latest the margin later, and
 * the job's submission was later than that for all of its intervals: the ledger
 * ends an audience by the margin before it. A list names its users; for them
 * the end itself will do. */
static int64_t needed_us(const struct worker *w, const struct ledger_job *job,
                         const struct ledger_interval *iv)
{
    int64_t settled_us = iv->upper_us + w->stream->set->audience_margin_ms * 1000;

    if (job->user_ids != NULL)
        return iv->upper_us;
    return settled_us < job->submitted_us ? settled_us : job->submitted_us;
}

/* A replica that has not come so far would make the last page too short, and
 * miss users for ever. One that was asked about a later moment already is not
 * asked again, until it failed at anything (stream_source_state()). */
static int check_replayed(struct worker *w, const struct ledger_job *job, const struct ledger_interval *iv,
                          struct fp_err *err)
{
    int64_t needed = needed_us(w, job, iv);

    if (needed <= w->replayed_us)
        return 0;
    if (source_replayed_us(w->source, &w->replayed_us, err) != 0)
        return -1;
    if (needed <= w->replayed_us)
        return 0;
    return err_set(err, FP_UNAVAILABLE,
                   "the source has replayed only up to %" PRId64 " us, the interval that ends at %" PRId64
                   " us needs %" PRId64 " us: its replica is behind, or its clock",
                   w->replayed_us, iv->upper_us, needed);
}

static int read_page(struct worker *w, const struct ledger_job *job, const struct ledger_interval *iv,
                     struct ledger_page *p, struct fp_err *err)
{
    int64_t began_us = clock_mono_us();
    if (check_replayed(w, job, iv, err) != 0 ||
        (job->user_ids != NULL ? read_list(w, job, p, err) : read_range(w, job, iv, p, err)) != 0) {
        stream_source_state(w, err->msg);
        return -1;
    }
    stream_source_state(w, NULL);
    metrics_observe_s("foliopost_page_read_seconds", "", (double)(clock_mono_us() - began_us) / 1e6);
    return p->n_users > 0 ? compose_judge(w, job->kind, p->n_users, err) : 0;
}

static bool is_current(const struct ledger_interval *iv, const Foliopost__V1__Grant *grant)
{
    return strcmp(iv->state, "granted") == 0 && iv->grant_no == grant->grant_no && iv->grant_pages > 0;
}

int page_once(struct worker *w, const struct ledger_job *job, const Foliopost__V1__Grant *grant, bool *more,
              struct fp_err *err)
{
    struct ledger_interval iv;
    struct ledger_paged done;
    int64_t ids[WIRE_MAX_USERS];
    *more = false;
    w->began_us = clock_wall_us();
    if (ledger_interval_get(w->ledger, job->id, grant->interval_no, &iv, err) != 0)
        return -1;
    if (!is_current(&iv, grant)) {
        worker_drop("reason=\"stale_grant\"");
        return 0;
    }
    struct ledger_page p = {.job_id = job->id,
                            .interval_no = iv.no,
                            .grant_no = iv.grant_no,
                            .from_us = iv.cursor_us,
                            .from_id = iv.cursor_id,
                            .to_us = iv.cursor_us,
                            .to_id = iv.cursor_id,
                            .user_ids = ids,
                            .due_ms = (int)w->stream->set->redo_after_ms};
    if (read_page(w, job, &iv, &p, err) != 0)
        return -1;
    for (size_t i = 0; i < p.n_users; i++)
        ids[i] = w->users[i].id;
    if (ledger_page(w->ledger, &p, &done, err) != 0)
        return -1;
    if (!done.moved) {
        worker_drop("reason=\"cursor_moved\"");
        return 0;
    }
    metrics_add("foliopost_pages_total", "", 1);
    if (done.batch_id != 0)
        compose_send(w, job, &(struct batch_place){done.batch_id, job->round}, p.n_users);
    *more = !done.ended && done.pages_left > 0;
    return 0;
}
