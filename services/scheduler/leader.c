/*
 * The leader's loop: who leads, what is open, and the order of the steps.
 *
 * Every scheduler runs this loop on a thread of its own with its own
 * connections; the one whose row in `leader` holds acts (lead.c). Each
 * statement of the leader names it and checks its lease in the ledger, so that
 * one who lost the lead without knowing changes nothing.
 *
 * A loop over all jobs and no thread for each: a job costs a few small
 * statements in a tick, and one order of steps can be read at a glance.
 *
 * What it does not do: hold any state that a successor would need.
 */
#include "services/scheduler/leader.h"
#include "services/scheduler/guard.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define SWEEP_US INT64_C(1000000)
#define IDLE_MS  1000 /* nothing in progress: a submission on this process wakes the loop */

static void start_counters(void)
{
    static const char *const names[] = {
        "foliopost_pages_granted_total",
        "foliopost_grants_overdue_total",
        "foliopost_redos_total",
        "foliopost_splits_total",
        "foliopost_retries_total",
        "foliopost_instances_expired_total",
        "foliopost_ambiguous_by_expiry_total",
        "foliopost_jobs_completed_total",
        "foliopost_guards_tripped_total",
        "foliopost_leader_errors_total",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        metrics_add(names[i], "", 0);
    metrics_add("foliopost_schedule_firings_total", "outcome=\"missed\"", 0);
    metrics_add("foliopost_schedule_firings_total", "outcome=\"refused\"", 0);
}

int leader_init(struct leader *l, const struct leader_options *o, struct fp_err *err)
{
    memset(l, 0, sizeof *l);
    if (!o->ledger || !o->source || !o->lead || !o->send || !o->peers)
        return err_set(err, FP_INTERNAL, "the leader needs a ledger, a source, a lead and a work pipe");
    l->o = *o;
    start_counters();
    l->measured_per_s = -1;
    l->jobs = mem_array(LEADER_MAX_JOBS, sizeof *l->jobs);
    l->tracks = mem_array(LEADER_MAX_JOBS, sizeof *l->tracks);
    l->tracks_before = mem_array(LEADER_MAX_JOBS, sizeof *l->tracks_before);
    return 0;
}

static void forget_jobs(struct leader *l)
{
    for (int i = 0; i < l->n_jobs; i++)
        ledger_job_fini(&l->jobs[i]);
    l->n_jobs = 0;
}

void leader_fini(struct leader *l)
{
    if (l->jobs)
        forget_jobs(l);
    mem_free(l->jobs);
    mem_free(l->tracks);
    mem_free(l->tracks_before);
    l->jobs = NULL;
    l->tracks = l->tracks_before = NULL;
}

/* --- the lead ---------------------------------------------------------------------- */

bool leader_holds(struct leader *l)
{
    struct lead_view v;

    l->leading = lead_look(l->o.lead, &v);
    if (v.term != l->term) {
        l->measured_per_s = -1; /* of another time */
        l->next_missed_mono_us = 0;
    }
    l->term = v.term;
    memcpy(l->owner, v.owner, sizeof l->owner);
    return l->leading;
}

/* --- the open jobs --------------------------------------------------------------------- */

static struct leader_track *find_track(struct leader_track *tracks, int n, int64_t job_id)
{
    for (int i = 0; i < n; i++)
        if (tracks[i].job_id == job_id)
            return &tracks[i];
    return NULL;
}

/* tracks[i] follows jobs[i]. Jobs leave, come, and come back before others that are
 * there (a reopened one is older): so into the other array. */
static void align_tracks(struct leader *l, int n_before)
{
    struct leader_track *before = l->tracks;

    l->tracks = l->tracks_before;
    l->tracks_before = before;
    for (int i = 0; i < l->n_jobs; i++) {
        const struct leader_track *t = find_track(before, n_before, l->jobs[i].id);
        const struct leader_track fresh = {.job_id = l->jobs[i].id,
                                           .progress_mono_us = clock_mono_us(),
                                           .moved_mono_us = clock_mono_us()};
        l->tracks[i] = t ? *t : fresh;
    }
}

static void count_states(const struct leader *l)
{
    int pending = 0, running = 0, paused = 0, unapproved = 0;

    for (int i = 0; i < l->n_jobs; i++) {
        pending += l->jobs[i].state == JOB_PENDING;
        running += l->jobs[i].state == JOB_IN_PROGRESS;
        paused += l->jobs[i].state == JOB_PAUSED;
        unapproved += l->jobs[i].state == JOB_PENDING && ledger_job_unapproved(&l->jobs[i]);
    }
    metrics_set("foliopost_jobs", "state=\"PENDING\"", pending);
    metrics_set("foliopost_jobs", "state=\"IN_PROGRESS\"", running);
    metrics_set("foliopost_jobs", "state=\"PAUSED\"", paused);
    metrics_set("foliopost_jobs_unapproved", "", unapproved);
}

int leader_load_jobs(struct leader *l, struct fp_err *err)
{
    static long long said_us;
    int before = l->n_jobs;

    forget_jobs(l);
    int n = ledger_jobs_open(l->o.ledger, l->jobs, LEADER_MAX_JOBS, err);
    if (n < 0) {
        l->n_jobs = 0;
        return -1;
    }
    l->n_jobs = n;
    align_tracks(l, before);
    count_states(l);
    if (n == LEADER_MAX_JOBS && log_limited(&said_us, 60000))
        log_warn("", "too many open jobs", "the newest are not looked at; end or cancel some of the %d", n);
    return 0;
}

bool leader_is_outage(const struct ledger_job *j, const char *step, const struct fp_err *err)
{
    static long long said_us;
    char id[32];

    if (err->code == FP_UNAVAILABLE)
        return true;
    if (log_limited(&said_us, 5000)) {
        snprintf(id, sizeof id, "job=%" PRId64, j->id);
        log_trace(j->traceparent);
        log_error(id, step, "code=%s reason=%s", err_code_name(err->code), err->msg);
    }
    metrics_add("foliopost_leader_errors_total", "", 1);
    return false;
}

/* --- one turn ------------------------------------------------------------------------------ */

static int wait_ms(const struct leader *l)
{
    for (int i = 0; i < l->n_jobs; i++)
        if (l->jobs[i].state == JOB_IN_PROGRESS)
            return (int)l->o.set->tick_ms;
    return IDLE_MS;
}

/* Once a second. The lead is asked again before each part, since a statement
 * of the part before may have taken long. */
static int sweep(struct leader *l, struct fp_err *err)
{
    int64_t now = clock_mono_us();

    if (now < l->next_sweep_mono_us)
        return 0;
    l->next_sweep_mono_us = now + SWEEP_US;
    if (sweep_instances(l, err) || sweep_jobs(l, err) || guard_jobs(l, err) || sweep_standing(l, err) ||
        sweep_backlog(l, err) || sweep_schedules(l, err))
        return -1;
    if (!leader_holds(l))
        return 0;
    if (sweep_batches(l, err))
        return -1;
    return leader_holds(l) ? complete_jobs(l, err) : 0;
}

/* A standby's connection is there when the lead comes: by its age the sweep knows that
 * missing renewals are not the database's fault. */
static int stand_by(struct leader *l)
{
    struct fp_err err;
    int64_t now = clock_mono_us();

    if (!pg_is_connected(ledger_pg(l->o.ledger)) && now >= l->next_connect_mono_us) {
        l->next_connect_mono_us = now + SWEEP_US;
        (void)!pg_connect(ledger_pg(l->o.ledger), &err); /* the lead's own thread says what is wrong */
    }
    return (int)l->o.set->tick_ms;
}

int leader_tick(struct leader *l)
{
    static long long said_us;
    struct fp_err err;

    if (!leader_holds(l))
        return stand_by(l);
    l->send_failed = false;
    l->turn++;
    if (leader_load_jobs(l, &err) || start_pending(l, &err) || sweep(l, &err) || grant_jobs(l, &err)) {
        if (log_limited(&said_us, 10000))
            log_warn("", "tick cut short", "trying again; reason=%s", err.msg);
        return IDLE_MS;
    }
    return wait_ms(l);
}
