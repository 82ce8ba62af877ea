/*
 * Canary and guards.
 *
 * A canary is the first pages of the audience with so many users, rounded up to
 * whole pages. They are granted and no more; when all of them have outcomes the wait begins, in the ledger,
 * and when it is over the rest is granted as ever. Users deferred meanwhile do not hold it up.
 *
 * A guard compares sums that are there anyway: the batches' counters and the
 * events of one kind, read along an index. What it counted when it paused a job
 * stays with the job, so that after a resume only what came since counts.
 * Nothing is judged below a least number of mails; a canary is a sample of its
 * own, and half of it is enough. Once all of its users have outcomes, LEAST_MAILS are, since
 * most of them may be skipped: a canary that nobody judges would let the rest follow
 * unseen. One of fewer mails than that shows nothing, and waits for a person.
 */
#include "services/scheduler/guard.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define LOOK_EVERY_US (2 * FP_US_PER_S)
#define LEAST_MAILS   20 /* of a canary: one of a handful is no share */

/* --- canary -------------------------------------------------------------------------- */

static bool canary_goes(const struct ledger_job *j)
{
    return j->canary_users > 0 && j->canary_until_us == 0;
}

static bool canary_rests(const struct ledger_job *j, int64_t now_us)
{
    return j->canary_users > 0 && j->canary_until_us != 0 && now_us < j->canary_until_us;
}

/* What is granted was read before what is paged: a page that moves in between
 * counts twice, never not at all. */
int guard_canary_room(struct leader *l, const struct ledger_job *j, const struct leader_track *t,
                      int64_t *room, struct fp_err *err)
{
    int64_t users, size = j->batch_size > 0 ? j->batch_size : 1;

    if (canary_rests(j, j->read_us)) {
        *room = 0;
        return 0;
    }
    if (!canary_goes(j))
        return 0;
    if (ledger_job_paged(l->o.ledger, j->id, &users, err))
        return -1;
    int64_t left = j->canary_users - users - t->granted * size;
    int64_t pages = left > 0 ? (left + size - 1) / size : 0;
    *room = *room < pages ? *room : pages;
    return 0;
}

const char *guard_canary_waits(const struct ledger_job *j, int64_t now_us, char out[160])
{
    char until[32];

    if (!canary_rests(j, now_us))
        return "";
    time_format_rfc3339(j->canary_until_us, until);
    snprintf(out, 160, "canary: the first %" PRId64 " users have their mails; the rest follows at %.19sZ",
             j->canary_users, until);
    return out;
}

/* All of its users have outcomes, and its wait has not begun. */
static bool canary_sent(const struct ledger_job *j, const struct leader_track *t)
{
    return canary_goes(j) && t->counted && t->counts.batches_open == 0 && t->granted == 0 &&
           t->counts.users >= j->canary_users;
}

/* Who is deferred is going to get his mail; a person who asked for a handful gets that. */
bool guard_canary_too_few(const struct ledger_job *j, const struct ledger_counts *c, char *reason, size_t cap)
{
    int64_t mails = c->sent + c->failed + c->ambiguous + c->deferred;
    int64_t least = j->canary_users < LEAST_MAILS ? j->canary_users : LEAST_MAILS;

    if (mails >= least)
        return false;
    snprintf(reason, cap,
             "canary: of its %" PRId64 " users only %" PRId64
             " were sent a mail, too few to judge by (%" PRId64 "): look at `foliopost report %" PRId64
             "`, then resume for the rest",
             c->users, mails, least, j->id);
    return true;
}

static int pause_canary(struct leader *l, const struct ledger_job *j, const char *reason, struct fp_err *err)
{
    bool done;
    char id[32];

    if (ledger_canary_pause(l->o.ledger, l->owner, j->id, reason, &done, err))
        return -1;
    if (!done)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_error(id, "PAUSED", "reason=%s", reason);
    return 0;
}

static int end_canary(struct leader *l, const struct ledger_job *j, const struct leader_track *t,
                      struct fp_err *err)
{
    bool done;
    char id[32], reason[400];

    if (!canary_sent(j, t))
        return 0;
    if (guard_canary_too_few(j, &t->counts, reason, sizeof reason))
        return pause_canary(l, j, reason, err);
    if (ledger_canary_wait(l->o.ledger, l->owner, j->id, &done, err))
        return -1;
    if (!done)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_info(id, "canary sent", "users=%" PRId64 " wait_ms=%" PRId64, j->canary_users, j->canary_wait_ms);
    return 0;
}

/* --- guards ----------------------------------------------------------------------------- */

bool guard_judge(const struct scheduler_settings *set, const struct ledger_job *j,
                 const struct ledger_guard_sums *sums, int64_t least, char *reason, size_t cap)
{
    const struct {
        int64_t n;
        double limit;
        const char *setting, *what, *todo;
    } guards[] = {
        {sums->complained, set->guard_complained, "guard-complained", "drew complaints",
         "ask whether these users want this mail"},
        {sums->bounced, set->guard_bounced, "guard-bounced", "bounced", "look where the addresses come from"},
        {sums->failed, set->guard_failed, "guard-failed", "failed", "look at the reasons in the report"},
    };

    for (size_t i = 0; i < sizeof guards / sizeof guards[0] && sums->mails >= least; i++) {
        double percent = sums->mails > 0 ? 100.0 * (double)guards[i].n / (double)sums->mails : 0;
        if (guards[i].limit <= 0 || percent <= guards[i].limit)
            continue;
        snprintf(reason, cap,
                 "guard: %.2f %% of %" PRId64 " mails %s, more than --%s %g: %s (`foliopost report %" PRId64
                 "`); what is resumed is counted anew",
                 percent, sums->mails, guards[i].what, guards[i].setting, guards[i].limit, guards[i].todo,
                 j->id);
        return true;
    }
    return false;
}

int64_t guard_least(const struct scheduler_settings *set, const struct ledger_job *j, bool sent)
{
    int64_t least = set->guard_after, half = j->canary_users / 2;

    if (sent || canary_rests(j, j->read_us))
        least = LEAST_MAILS;
    else if (canary_goes(j) && half < least)
        least = half > LEAST_MAILS ? half : LEAST_MAILS;
    return least < set->guard_after ? least : set->guard_after;
}

static int guard_job(struct leader *l, const struct ledger_job *j, struct leader_track *t, struct fp_err *err)
{
    const struct ledger_counts *c = &t->counts;
    struct ledger_guard_sums all = {.mails = c->sent + c->failed + c->ambiguous, .failed = c->failed};
    struct ledger_guard_sums since;
    char reason[400], id[32];
    bool paused, sent = canary_sent(j, t);

    int64_t least = guard_least(l->o.set, j, sent);
    if (!t->counted || all.mails - j->guard_base[0] < least)
        return 0;
    if (!sent &&
        clock_mono_us() < t->next_guard_mono_us) /* the last look before its wait, which can be none */
        return 0;
    t->next_guard_mono_us = clock_mono_us() + LOOK_EVERY_US;
    if (ledger_guard_events(l->o.ledger, j->id, &all, err))
        return -1;
    since = (struct ledger_guard_sums){.mails = all.mails - j->guard_base[0],
                                       .failed = all.failed - j->guard_base[1],
                                       .bounced = all.bounced - j->guard_base[2],
                                       .complained = all.complained - j->guard_base[3]};
    if (!guard_judge(l->o.set, j, &since, least, reason, sizeof reason))
        return 0;
    if (ledger_guard_pause(l->o.ledger, l->owner, j->id, reason, &all, &paused, err))
        return -1;
    if (!paused)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_error(id, "PAUSED", "reason=%s", reason);
    metrics_add("foliopost_guards_tripped_total", "", 1);
    return 0;
}

/* Judged first: a job that a guard paused is no longer in progress for the second. */
int guard_jobs(struct leader *l, struct fp_err *err)
{
    for (int i = 0; i < l->n_jobs; i++) {
        const struct ledger_job *j = &l->jobs[i];
        if (j->state != JOB_IN_PROGRESS || j->dry_run)
            continue;
        if ((guard_job(l, j, &l->tracks[i], err) || end_canary(l, j, &l->tracks[i], err)) &&
            leader_is_outage(j, "not guarded", err))
            return -1;
    }
    return 0;
}
