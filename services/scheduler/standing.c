/*
 * Whether a job stands that could go on: what somebody is woken for.
 *
 * A job waits rightly for the end of its canary's wait, its hours, its rate, the
 * delay between intervals, a rollout, or its users' next attempt. Of any other it
 * is measured since when it has finished no user. Not the rate of all jobs: one
 * that stands beside one that goes would be hidden by it, and a gauge of a slow
 * job's seconds is 0 in most of them.
 *
 * What is in the pipeline is held by the job's hours alone: mailers give it back. With
 * anything else a job with open batches can always move.
 */
#include "services/scheduler/guard.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/pace.h"

#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"

static bool is_held(const struct leader *l, const struct ledger_job *j, struct leader_track *t)
{
    char why[160];

    return rollout_holds(l, j, why) || pace_holds(j, t);
}

static bool has_pages(const struct ledger_job *j, const struct leader_track *t)
{
    char why[160];

    return t->counts.intervals_paged < t->counts.intervals && !t->delayed &&
           !guard_canary_waits(j, j->read_us, why)[0];
}

/* Its first proof may take as long as a proof may (prover.h); who waits for a second one stands. */
static bool is_to_prove(const struct leader_track *t)
{
    return t->counts.intervals_paged == t->counts.intervals && t->counts.deferred == 0 &&
           (!t->asked_proof || t->proved_once);
}

/* *late_s: how long the first of its users has been due again; 0: none is, or it may not go on. */
static int look_at(struct leader *l, const struct ledger_job *j, struct leader_track *t, bool *can_move,
                   double *late_s, struct fp_err *err)
{
    *late_s = 0;
    *can_move = false;
    if (j->state != JOB_IN_PROGRESS || !t->counted)
        return 0;
    bool held = is_held(l, j, t);
    if (!held && t->counts.deferred > 0 && ledger_retry_late_s(l->o.ledger, j->id, late_s, err))
        return -1;
    *can_move = (t->counts.batches_open > 0 && !t->shut) ||
                (!held && (has_pages(j, t) || *late_s > 0 || is_to_prove(t)));
    return 0;
}

int sweep_standing(struct leader *l, struct fp_err *err)
{
    int64_t now_us = clock_mono_us(), longest_us = 0;
    double longest_late_s = 0, late_s;
    int movable = 0;
    bool can_move;

    for (int i = 0; i < l->n_jobs; i++) {
        struct leader_track *t = &l->tracks[i];
        if (look_at(l, &l->jobs[i], t, &can_move, &late_s, err)) {
            if (leader_is_outage(&l->jobs[i], "not looked at", err))
                return -1;
            continue;
        }
        if (!can_move)
            t->moved_mono_us = now_us;
        movable += can_move;
        longest_us = now_us - t->moved_mono_us > longest_us ? now_us - t->moved_mono_us : longest_us;
        longest_late_s = late_s > longest_late_s ? late_s : longest_late_s;
    }
    metrics_set("foliopost_jobs_movable", "", movable);
    metrics_set("foliopost_job_stands_seconds", "", (double)longest_us / FP_US_PER_S);
    metrics_set("foliopost_retry_late_seconds", "", longest_late_s);
    return 0;
}
