/*
 * The sweep, once a second: what is late, lost or dead is put right.
 *
 *   expire  an instance whose lease is over: its batches are queued and due
 *   redo    a batch that is queued and due is emitted again
 *   split   a batch that failed its workers too often is cut into tenths
 *   retry   users whose next attempt is due become a batch
 *   late    a job past its deadline fails
 *   waiting what only the leader knows about why a job stands
 *
 * Nobody is declared dead by a leader that was itself away: expire waits until
 * the leader's connection is as old as a lease and the ledger has answered it for as
 * long without a gap, as leader or as standby before (lead.c), since before that the missing renewals may be
 * the database's fault.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/previews.h"
#include "lib/ledger/rates.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/guard.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/pace.h"
#include "services/scheduler/plan.h"

#define MAX_INSTANCES 256

/* Batches emitted again in one sweep. With everything downstream dead they
 * come due all at once; a window's worth in some seconds is soon enough, and
 * the messages must not pile up in a userstream. */
#define MAX_EMITS 64

/* Batches of 100 deferred users made for a job in one sweep: 1,000 users a
 * second is faster than anybody's refusals come due. */
#define MAX_RETRIES 10

/* Nobody was due: so long the window is not kept free to ask again. */
#define RESERVE_PAUSE_US INT64_C(5000000)

/* Sweeps in which nothing was found any more: longer than a statement lasts that
 * began before the clock was set. */
#define SET_BACK_QUIET 60
/* Less is a clock that is being disciplined, and costs less than this. */
#define SET_BACK_MIN_MS 500

/* Nothing was finished for this long with batches in flight: said aloud. */
#define STALLED_US INT64_C(30000000)

/* --- instances and rates --------------------------------------------------------- */

static int expire(struct leader *l, struct fp_err *err)
{
    struct ledger_expired e = {0};
    struct lead_view v;

    if (!lead_look(l->o.lead, &v) || v.steady_ms < LEDGER_LEASE_MS ||
        pg_connected_ms(ledger_pg(l->o.ledger)) < LEDGER_LEASE_MS)
        return 0;
    if (ledger_expire(l->o.ledger, l->owner, &e, err))
        return -1;
    if (e.instances == 0 && e.batches == 0)
        return 0;
    metrics_add("foliopost_instances_expired_total", "", e.instances);
    metrics_add("foliopost_ambiguous_by_expiry_total", "", e.ambiguous);
    log_warn("", "expired",
             "instances=%d batches=%d ambiguous=%d requeued=%d reason=their leases were not renewed",
             e.instances, e.batches, e.ambiguous, e.requeued);
    return 0;
}

/* The database's clock was set back: what waits for later is moved along, each
 * time, since what was being written at that moment comes a little later. */
static int set_back(struct leader *l, struct fp_err *err)
{
    struct ledger_set_back b = {0};

    if (ledger_set_back(l->o.ledger, l->owner, &b, err))
        return -1;
    if (b.by_ms < SET_BACK_MIN_MS) {
        l->quiet_set_backs = 0;
        return 0;
    }
    if (b.deliveries + b.batches + b.intervals + b.jobs == 0) {
        l->quiet_set_backs = (l->quiet_set_backs + 1) % SET_BACK_QUIET;
        return l->quiet_set_backs == 0 ? ledger_set_back_over(l->o.ledger, l->owner, err) : 0;
    }
    l->quiet_set_backs = 0;
    log_warn("", "clock set back",
             "by_ms=%" PRId64 " deliveries=%" PRId64 " batches=%" PRId64 " intervals=%" PRId64
             " canaries=%" PRId64
             " reason=the database's clock is behind what it has shown: what waited for later is moved along",
             b.by_ms, b.deliveries, b.batches, b.intervals, b.jobs);
    return 0;
}

static int look_at_fleet(struct leader *l, struct fp_err *err)
{
    static struct ledger_instance live[MAX_INSTANCES]; /* the leader's thread only */
    int n = ledger_instances_live(l->o.ledger, live, MAX_INSTANCES, err);

    if (n < 0)
        return -1;
    l->slots = l->mailers = l->least_slots = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(live[i].service, "mailer") != 0)
            continue;
        l->mailers++;
        l->slots += live[i].slots;
        if (l->mailers == 1 || live[i].slots < l->least_slots)
            l->least_slots = live[i].slots;
    }
    rollout_look(l, live, n);
    return 0;
}

int sweep_instances(struct leader *l, struct fp_err *err)
{
    char fault[256];
    int64_t fault_for_s;

    if (expire(l, err) || set_back(l, err) || ledger_previews_expire(l->o.ledger, err) ||
        look_at_fleet(l, err))
        return -1;
    if (ledger_rates_total(l->o.ledger, &l->limit_per_s, fault, &fault_for_s, err))
        return -1;
    return ledger_latency_ms(l->o.ledger, &l->latency_ms, err);
}

/* --- batches --------------------------------------------------------------------------- */

/* Until the first one that nobody takes. Returns how many were taken. */
static int emit(struct leader *l, const struct ledger_emit *e, int n, const char *counter, const char *event)
{
    char id[64];
    int sent = 0;

    while (sent < n && !l->send_failed) {
        work_batch(l, &e[sent]);
        sent += !l->send_failed;
    }
    if (sent == 0)
        return 0;
    metrics_add(counter, "", sent);
    snprintf(id, sizeof id, "job=%" PRId64, e[0].job_id);
    log_trace(e[0].traceparent);
    log_info(id, event, "batches=%d first=%" PRId64, sent, e[0].batch_id);
    return sent;
}

/* What no userstream took says nothing against the batch: it does not count. */
static int redo(struct leader *l, struct fp_err *err)
{
    struct ledger_emit e[MAX_EMITS];
    int64_t min_age_ms = 4 * l->latency_ms;
    int n = ledger_redo(l->o.ledger, l->owner, (int)l->o.set->redo_after_ms,
                        min_age_ms < INT32_MAX ? (int)min_age_ms : INT32_MAX, e, MAX_EMITS, err);

    if (n < 0)
        return -1;
    int sent = emit(l, e, n, "foliopost_redos_total", "emitted again");
    return sent < n ? ledger_not_emitted(l->o.ledger, l->owner, e + sent, n - sent, err) : 0;
}

/* New pages fill a window ten times as often as retries look for room, and
 * would leave them a tenth of a slow provider's rate. So when the window was
 * full, and somebody may be due, the grants leave a part of it free until the
 * next sweep: every other second, and every few seconds while nobody is due. */
static void reserve(struct leader_track *t)
{
    if (t->counts.deferred > 0 && clock_mono_us() >= t->next_reserve_mono_us)
        t->reserved = plan_reserve(t->window, MAX_RETRIES);
}

static int retry_job(struct leader *l, const struct ledger_job *j, struct leader_track *t, struct fp_err *err)
{
    struct ledger_emit e;
    int64_t room;
    int made = 1;

    if (grant_room(l, j, t, &room, err))
        return -1;
    t->reserved = 0;
    if (room <= 0)
        reserve(t);
    for (int n = 0; n < MAX_RETRIES && n < room && made > 0 && !l->send_failed; n++) {
        made = ledger_retry(l->o.ledger, l->owner, j->id, (int)l->o.set->redo_after_ms, &e, err);
        if (made < 0)
            return -1;
        pace_retried(j, t, made > 0 ? e.users : 0);
        (void)emit(l, &e, made, "foliopost_retries_total", "retried");
    }
    if (made == 0)
        t->next_reserve_mono_us = clock_mono_us() + RESERVE_PAUSE_US;
    return 0;
}

int sweep_batches(struct leader *l, struct fp_err *err)
{
    struct ledger_emit e[MAX_EMITS];

    if (l->o.peers(l->o.ctx) == 0) /* what is marked as emitted now would be lost for certain */
        return 0;
    int n = ledger_split(l->o.ledger, l->owner, (int)l->o.set->redo_after_ms, e, MAX_EMITS, err);
    if (n < 0)
        return -1;
    (void)emit(l, e, n, "foliopost_splits_total", "split");
    if (!l->send_failed && redo(l, err))
        return -1;
    for (int i = 0; i < l->n_jobs && !l->send_failed; i++) {
        if (l->jobs[i].state != JOB_IN_PROGRESS)
            continue;
        if (retry_job(l, &l->jobs[i], &l->tracks[i], err) &&
            leader_is_outage(&l->jobs[i], "not retried", err))
            return -1;
    }
    return 0;
}

/* --- jobs: counts, throughput, reasons -------------------------------------------------- */

static int64_t finished_users(const struct ledger_counts *c)
{
    return c->sent + c->failed + c->skipped + c->ambiguous + c->deferred;
}

/* The counts are summed from all batches of the job, so a big one is counted
 * less often: counting takes at most a twentieth of the time. */
#define COUNT_SHARE 20

/* Notes the new counts: progress, and the throughput since the last time. */
static void note_counts(struct leader_track *t, const struct ledger_counts *now, int64_t began_us,
                        int64_t ended_us)
{
    int64_t done = finished_users(now) - finished_users(&t->counts);
    double elapsed_s = (double)(began_us - t->counted_mono_us) / FP_US_PER_S;

    t->users_per_s = t->counted && done > 0 && elapsed_s > 0 ? (double)done / elapsed_s : 0;
    if (!t->counted || done != 0 || now->batches_open == 0)
        t->progress_mono_us = ended_us;
    if (done != 0)
        t->moved_mono_us = ended_us;
    t->counts = *now;
    t->counted = true;
    t->counted_mono_us = began_us;
    t->next_count_mono_us = ended_us + COUNT_SHARE * (ended_us - began_us);
}

static int count_job(struct leader *l, const struct ledger_job *j, struct leader_track *t, struct fp_err *err)
{
    struct ledger_counts now;
    int64_t began_us = clock_mono_us();

    if (began_us < t->next_count_mono_us)
        return 0;
    if (ledger_job_counts(l->o.ledger, j->id, &now, err))
        return -1;
    note_counts(t, &now, began_us, clock_mono_us());
    return 0;
}

/* Idle: what was measured before says nothing about the next job. */
static void measure(struct leader *l)
{
    double users_per_s = 0;
    bool busy = false;

    for (int i = 0; i < l->n_jobs; i++) {
        if (l->jobs[i].state != JOB_IN_PROGRESS)
            continue;
        users_per_s += l->tracks[i].users_per_s;
        busy = busy || l->tracks[i].counts.batches_open > 0;
    }
    if (!busy && users_per_s == 0)
        l->measured_per_s = -1;
    else if (users_per_s > 0 || l->measured_per_s >= 0)
        l->measured_per_s = plan_throughput(l->measured_per_s, users_per_s);
    metrics_set("foliopost_users_per_second", "", users_per_s);
}

static const char *why_waiting(const struct leader *l, const struct ledger_job *j,
                               const struct leader_track *t, char text[160])
{
    if (j->state == JOB_PENDING)
        return t->trouble;
    if (l->o.peers(l->o.ctx) == 0)
        return "no userstream has dialled in to the leader's work pipe: start one, or check its --work-from";
    if (t->trouble[0])
        return t->trouble;
    if (rollout_holds(l, j, text))
        return text;
    if (pace_waits(j, t, text)[0])
        return text;
    if (t->counts.batches_open > 0 && clock_mono_us() - t->progress_mono_us > STALLED_US)
        return "no batch was finished for over 30 s: look at the logs of stats and mailer";
    if (guard_canary_waits(j, j->read_us, text)[0])
        return text;
    if (t->delayed && t->counts.batches_open == 0)
        return "the delay between two intervals";
    return "";
}

static int tell_why(struct leader *l, struct ledger_job *j, const struct leader_track *t, struct fp_err *err)
{
    char id[32], text[160];
    const char *why = j->state == JOB_PAUSED ? "" : why_waiting(l, j, t, text);

    if (strcmp(why, j->waiting) == 0)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    if (why[0])
        log_warn(id, "waiting", "reason=%s", why);
    else
        log_info(id, "goes on", "it waited for: %s", j->waiting);
    return ledger_job_set_waiting(l->o.ledger, l->owner, j->id, why, err);
}

int sweep_jobs(struct leader *l, struct fp_err *err)
{
    int late = ledger_jobs_fail_late(l->o.ledger, l->owner, err);

    if (late < 0)
        return -1;
    if (late > 0)
        log_error("", "FAILED", "jobs=%d reason=past their deadline", late);
    for (int i = 0; i < l->n_jobs; i++) {
        struct ledger_job *j = &l->jobs[i];
        if (j->state == JOB_IN_PROGRESS && count_job(l, j, &l->tracks[i], err) &&
            leader_is_outage(j, "not counted", err))
            return -1;
        if (tell_why(l, j, &l->tracks[i], err) && leader_is_outage(j, "not told why", err))
            return -1;
    }
    measure(l);
    return 0;
}
