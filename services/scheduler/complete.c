/*
 * complete: IN_PROGRESS -> COMPLETED, with the proof (P3).
 *
 * The proof is one statement of the ledger that counts the users of all pages
 * against their deliveries. That reads the whole job, so it is asked only when
 * every interval is paged and every batch done; the ledger looks first whether
 * somebody waits for another attempt, which is cheap. Whether the job is
 * complete, the statement alone decides. The one of a very large job takes
 * minutes: the prover waits for it, and this loop goes on with the others.
 */
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/trace/trace.h"
#include "services/scheduler/leader.h"

/* A proof that did not hold although the counters said so costs a full count: not every second. */
#define RETRY_US INT64_C(2000000)

static bool looks_done(const struct ledger_job *j, const struct leader_track *t)
{
    const struct ledger_counts *c = &t->counts;

    return j->state == JOB_IN_PROGRESS && t->counted && c->intervals_paged == c->intervals &&
           c->batches_open == 0 && clock_mono_us() >= t->next_try_mono_us;
}

static void say_done(const struct ledger_job *j, const struct ledger_proof *p)
{
    char id[32];

    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    metrics_add("foliopost_jobs_completed_total", "", 1);
    log_info(id, "COMPLETED",
             "round=%d users=%" PRId64 " sent=%" PRId64 " failed=%" PRId64 " skipped=%" PRId64
             " ambiguous=%" PRId64 " maybe_doubles=%" PRId64,
             p->round, p->users, p->sent, p->failed, p->skipped, p->ambiguous, p->maybe_doubles);
}

/* The whole job as one span, from its submission on. */
static void trace_job(const struct ledger_job *j, const struct ledger_proof *p)
{
    struct trace_span s;

    trace_begin(&s, j->traceparent, "job", TRACE_INTERNAL);
    s.start_us = j->submitted_us;
    trace_number(&s, "foliopost.job_id", j->id);
    trace_number(&s, "foliopost.users", p->users);
    trace_number(&s, "foliopost.sent", p->sent);
    trace_number(&s, "foliopost.failed", p->failed);
    trace_number(&s, "foliopost.skipped", p->skipped);
    trace_number(&s, "foliopost.ambiguous", p->ambiguous);
    trace_end(&s, NULL);
}

void complete_tell(const struct ledger_job *j, const struct ledger_proof *p)
{
    say_done(j, p);
    trace_job(j, p);
}

static void note_answer(struct ledger_job *j, struct leader_track *t, bool done)
{
    static long long said_us;
    char id[32];

    t->next_try_mono_us = clock_mono_us() + RETRY_US;
    if (done) {
        j->state = JOB_COMPLETED;
        return;
    }
    if (t->counts.deferred == 0 && log_limited(&said_us, 30000)) {
        snprintf(id, sizeof id, "job=%" PRId64, j->id);
        log_trace(j->traceparent);
        log_warn(id, "not proved yet",
                 "asking again; every batch is done, but not every user has a terminal outcome");
    }
}

/* What the prover cannot reach, the loop's own statements need not miss: that is no outage here. */
static void ask_prover(struct leader *l, struct ledger_job *j, struct leader_track *t)
{
    struct prover_answer a;

    if (!t->asked_proof) {
        t->asked_proof = prover_begin(l->o.prover, l->owner, j);
        return;
    }
    if (prover_is_at(l->o.prover, j->id))
        return;
    t->asked_proof = false;
    if (!prover_take(l->o.prover, j->id, &a))
        return; /* another's took its place; it is asked for again */
    t->proved_once = true;
    if (a.failed) {
        t->next_try_mono_us = clock_mono_us() + RETRY_US;
        (void)leader_is_outage(j, "not completed", &a.err);
        return;
    }
    note_answer(j, t, a.done);
}

static int complete_job(struct leader *l, struct ledger_job *j, struct leader_track *t, struct fp_err *err)
{
    struct ledger_proof proof;
    bool done;

    if (l->o.prover && t->counts.users >= l->o.prove_apart_users) {
        ask_prover(l, j, t);
        return 0;
    }
    t->next_try_mono_us = clock_mono_us() + RETRY_US;
    if (ledger_job_complete(l->o.ledger, l->owner, j->id, &done, &proof, err))
        return -1;
    if (done)
        complete_tell(j, &proof);
    note_answer(j, t, done);
    return 0;
}

/* Answers first: a proof that begins takes the place of one that is over. */
int complete_jobs(struct leader *l, struct fp_err *err)
{
    for (int asked = 1; asked >= 0; asked--)
        for (int i = 0; i < l->n_jobs; i++) {
            if (l->tracks[i].asked_proof != asked || !looks_done(&l->jobs[i], &l->tracks[i]))
                continue;
            if (complete_job(l, &l->jobs[i], &l->tracks[i], err) &&
                leader_is_outage(&l->jobs[i], "not completed", err))
                return -1;
        }
    return 0;
}
