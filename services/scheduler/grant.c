/*
 * grant: leave to page, as far as a job's window has room.
 *
 * The window is the pipeline's only flow control (P7): batches in flight plus
 * pages granted and not yet paged. It is counted in the ledger in every tick,
 * so that a lost message or a new leader cannot make it drift. Each job has a
 * window of its own and the first turn goes round, so that a small job beside
 * a big one is paged in its first tick.
 *
 * Jobs that name their provider share a bound of their own beneath their windows,
 * so that a slow one does not fill the mailers' claim slots (plan.c).
 *
 * A grant that nobody took becomes overdue and is granted again with the next
 * number; userstream drops the older one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/guard.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/pace.h"
#include "services/scheduler/plan.h"

/* Intervals looked at in one tick for one job: a window of short ones is filled in some ticks. */
#define LOOK_AT 32

static int window_of(const struct leader *l, const struct ledger_job *j)
{
    struct plan_window w = {
        .job_batches = j->window_batches,
        .batch_size = j->batch_size,
        .limit_per_s = l->limit_per_s,
        .measured_per_s = l->measured_per_s,
        .slots = l->slots,
    };
    return plan_window(&w);
}

/* What is in flight of jobs that name this provider, or, without a name, any; and how fast they go.
 * Of one that is outside its hours no mailer holds anything. */
static int64_t named_in_flight(const struct leader *l, const char *provider, double *users_per_s)
{
    int64_t n = 0;

    *users_per_s = 0;
    for (int i = 0; i < l->n_jobs; i++) {
        const struct ledger_job *j = &l->jobs[i];
        if (j->state != JOB_IN_PROGRESS || j->dry_run || !j->provider[0] || l->tracks[i].shut ||
            (provider && strcmp(j->provider, provider) != 0))
            continue;
        n += l->tracks[i].in_flight + l->tracks[i].granted;
        *users_per_s += l->tracks[i].users_per_s;
    }
    return n;
}

static void named_room(const struct leader *l, const struct ledger_job *j, int64_t *room)
{
    double per_s;

    if (!j->provider[0] || j->dry_run)
        return;
    int64_t same = named_in_flight(l, j->provider, &per_s);
    int64_t of_one = plan_named_window(l->least_slots, true, per_s, j->batch_size) - same;
    int64_t all = named_in_flight(l, NULL, &per_s);
    int64_t of_all = plan_named_window(l->least_slots, false, per_s, j->batch_size) - all;
    *room = *room < of_one ? *room : of_one;
    *room = *room < of_all ? *room : of_all;
}

int grant_room(struct leader *l, const struct ledger_job *j, struct leader_track *t, int64_t *room,
               struct fp_err *err)
{
    if (ledger_in_flight(l->o.ledger, j->id, &t->in_flight, err) ||
        ledger_granted_pages(l->o.ledger, j->id, &t->granted, err))
        return -1;
    int64_t users = 0;
    if (pace_has_rate(j) && ledger_users_paged(l->o.ledger, j->id, &users, err))
        return -1;
    char why[160];
    t->window = window_of(l, j);
    *room = t->window - t->in_flight - t->granted;
    named_room(l, j, room);
    pace_room(j, t, users + t->granted * j->batch_size, room);
    if (rollout_holds(l, j, why))
        *room = 0;
    return 0;
}

/* One interval: *pages becomes what was really granted. */
static int grant_interval(struct leader *l, const struct ledger_job *j, const struct ledger_interval *iv,
                          int64_t *pages, struct fp_err *err)
{
    char id[64];
    int32_t grant_no;
    bool granted;

    if (ledger_grant(l->o.ledger, l->owner, j->id, iv->no, (int32_t)*pages, (int)l->o.set->grant_due_ms,
                     &granted, &grant_no, err))
        return -1;
    if (!granted) {
        *pages = 0;
        return 0;
    }
    snprintf(id, sizeof id, "job=%" PRId64 " interval=%" PRId32, j->id, iv->no);
    log_trace(j->traceparent);
    if (iv->state[0] == 'g') {
        metrics_add("foliopost_grants_overdue_total", "", 1);
        log_info(id, "granted again",
                 "grant=%" PRId32 " pages=%" PRId64 " reason=the grant before was not paged in time",
                 grant_no, *pages);
    } else {
        log_debug(id, "granted", "grant=%" PRId32 " pages=%" PRId64, grant_no, *pages);
    }
    metrics_add("foliopost_pages_granted_total", "", (double)*pages);
    work_grant(l, j, iv->no, grant_no, (int32_t)*pages);
    return 0;
}

/* For one interval, of `left` that can have some. Under a rate there is room for a
 * few pages at once, and what the first interval does not fill the others would
 * have to wait for: they share it. */
static int64_t pages_of(const struct leader *l, const struct ledger_job *j, int64_t room, int left)
{
    int64_t share = pace_has_rate(j) ? (room + left - 1) / left : room;

    return share < l->o.set->grant_pages ? share : l->o.set->grant_pages;
}

static int grant_job(struct leader *l, const struct ledger_job *j, struct leader_track *t, struct fp_err *err)
{
    struct ledger_interval iv[LOOK_AT];
    int64_t room;

    t->delayed = false;
    if (grant_room(l, j, t, &room, err))
        return -1;
    room -= t->reserved;
    if (room <= 0)
        return 0;
    if (guard_canary_room(l, j, t, &room, err))
        return -1;
    int n = ledger_intervals_grantable(l->o.ledger, j->id, iv, LOOK_AT, err);
    if (n < 0)
        return -1;
    for (int i = 0; i < n && room > 0 && !l->send_failed; i++) {
        bool first = iv[i].grant_no == 0;
        if (first && clock_mono_us() < t->next_interval_mono_us) {
            t->delayed = true; /* started ones behind it may still go on */
            continue;
        }
        int64_t pages = pages_of(l, j, room, n - i);
        if (grant_interval(l, j, &iv[i], &pages, err))
            return -1;
        room -= pages;
        t->granted += pages;
        if (first && pages > 0)
            t->next_interval_mono_us = clock_mono_us() + j->interval_delay_ms * INT64_C(1000);
    }
    return 0;
}

static void show(const struct leader *l)
{
    int64_t in_flight = 0, granted = 0, window = 0;

    for (int i = 0; i < l->n_jobs; i++) {
        if (l->jobs[i].state != JOB_IN_PROGRESS)
            continue;
        in_flight += l->tracks[i].in_flight;
        granted += l->tracks[i].granted;
        window += l->tracks[i].window;
    }
    metrics_set("foliopost_batches_in_flight", "", (double)in_flight);
    metrics_set("foliopost_pages_granted_open", "", (double)granted);
    metrics_set("foliopost_window_batches", "", (double)window);
}

int grant_jobs(struct leader *l, struct fp_err *err)
{
    if (l->o.peers(l->o.ctx) == 0) /* a grant now would only have to become overdue */
        return 0;
    for (int i = 0; i < l->n_jobs; i++) {
        int k = (int)((l->turn + (unsigned)i) % (unsigned)l->n_jobs);
        if (l->jobs[k].state != JOB_IN_PROGRESS)
            continue;
        if (grant_job(l, &l->jobs[k], &l->tracks[k], err) &&
            leader_is_outage(&l->jobs[k], "not granted", err))
            return -1;
    }
    show(l);
    return 0;
}
