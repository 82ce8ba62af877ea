/*
 * Schedules that are due: each becomes a job, or passes with the reason kept.
 *
 * When to fire is judged by the database's clock, so that leaders agree. The step
 * in the ledger makes it once: a leader that dies before it leaves the schedule
 * due, one that dies behind it leaves nothing to do. After a downtime the latest
 * due time fires, once, unless it is older than the schedule's catch-up time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/audience.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/timetable.h"

#define AT_ONCE 16 /* in one turn; the rest a second later */
/* When the source does not answer, or too many jobs are open. */
#define RETRY_US INT64_C(10000000)
/* How often what was missed is counted. */
#define MISSED_EVERY_US (30 * FP_US_PER_S)
/* An expression that can be read no more is looked at again: ICU may know the zone tomorrow. */
#define BROKEN_US (3600 * FP_US_PER_S)

static void tell(const struct ledger_schedule *s, const struct ledger_firing *f)
{
    char id[LEDGER_SCHEDULE_NAME + 16], due[32], labels[40];

    snprintf(id, sizeof id, "schedule=%s", s->name);
    snprintf(labels, sizeof labels, "outcome=\"%s\"", f->outcome);
    time_format_rfc3339(f->due_us, due);
    metrics_add("foliopost_schedule_firings_total", labels, 1);
    if (f->job_id > 0)
        log_info(id, "fired", "job=%" PRId64 " due=%.16sZ missed=%" PRId64, f->job_id, due, f->missed);
    else
        log_warn(id, f->outcome, "due=%.16sZ missed=%" PRId64 " reason=%s", due, f->missed, f->reason);
}

static int pass(struct leader *l, const struct ledger_schedule *s, struct ledger_firing *f, int64_t next_us,
                const char *outcome, const char *why, struct fp_err *err)
{
    snprintf(f->outcome, sizeof f->outcome, "%s", outcome);
    text_clean(f->reason, sizeof f->reason, why);
    tell(s, f);
    l->next_missed_mono_us = 0;
    return ledger_schedule_pass(l->o.ledger, l->owner, s, f, next_us, err);
}

/* What may pass is waited for: the schedule stays due. */
static int put_off(struct leader *l, const struct ledger_schedule *s, const char *why)
{
    static long long said_us;
    char id[LEDGER_SCHEDULE_NAME + 16];

    l->next_fire_mono_us = clock_mono_us() + RETRY_US;
    snprintf(id, sizeof id, "schedule=%s", s->name);
    if (log_limited(&said_us, 60000))
        log_warn(id, "not fired yet", "asking again; reason=%s", why);
    return 0;
}

static int fire(struct leader *l, const struct ledger_schedule *s, struct ledger_firing *f, int64_t next_us,
                struct ledger_job *j, struct fp_err *err)
{
    wire_new_traceparent(j->traceparent);
    if (ledger_schedule_fire(l->o.ledger, l->owner, s, f, next_us, j, (int)l->o.set->audience_margin_ms,
                             &f->job_id, err))
        return -1;
    snprintf(f->outcome, sizeof f->outcome, "fired");
    if (f->job_id > 0)
        tell(s, f);
    return 0;
}

/* The source is asked last, and nothing is written before it has answered. */
static int make_job(struct leader *l, const struct ledger_schedule *s, struct ledger_firing *f,
                    int64_t next_us, int64_t now_us, struct fp_err *err)
{
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    const Foliopost__V1__JobSpec *spec;
    struct ledger_job j;
    struct fp_err why;
    int failed;

    if (timetable_job(s, l->o.set, f->due_us, now_us, "", arena, &spec, &j, &why))
        failed = why.code == FP_FAILED_PRECONDITION /* a newer scheduler's, which will lead soon */
                     ? put_off(l, s, why.msg)
                     : pass(l, s, f, next_us, "refused", why.msg, err);
    else if (audience_freeze(l->o.source, l->o.set, spec, &j, &why))
        failed = put_off(l, s, why.msg);
    else
        failed = fire(l, s, f, next_us, &j, err);
    ledger_job_fini(&j);
    arena_free(arena);
    return failed;
}

static int see_to(struct leader *l, const struct ledger_schedule *s, int64_t now_us, struct fp_err *err)
{
    struct ledger_firing f = {.due_us = s->next_due_us};
    struct timetable_due d;
    struct fp_err why;

    if (timetable_due(s, now_us, &d, &why))
        return pass(l, s, &f, now_us + BROKEN_US, "refused", why.msg, err);
    f.due_us = d.due_us;
    f.missed = d.missed;
    if (d.too_late)
        return pass(l, s, &f, d.next_us, "missed", "no scheduler ran until the catch-up time was over", err);
    /* an open job of the time that a restore took away may have ended in it */
    if (s->skip_overlap && s->busy && f.due_us > s->restored_until_us)
        return pass(l, s, &f, d.next_us, "skipped", "a job of an earlier due time is open", err);
    if (l->n_jobs >= LIMIT_OPEN_JOBS)
        return put_off(l, s, "too many jobs are open");
    return make_job(l, s, &f, d.next_us, now_us, err);
}

/* An error about one schedule stops neither the others nor the loop. */
static bool is_outage(struct leader *l, const struct ledger_schedule *s, const struct fp_err *err)
{
    if (err->code == FP_UNAVAILABLE)
        return true;
    metrics_add("foliopost_leader_errors_total", "", 1);
    (void)put_off(l, s, err->msg);
    return false;
}

/* For whoever is alarmed: a counter would begin at 1 where the process has been started just before. */
static int show_missed(struct leader *l, struct fp_err *err)
{
    int64_t missed, refused;

    if (clock_mono_us() < l->next_missed_mono_us)
        return 0;
    l->next_missed_mono_us = clock_mono_us() + MISSED_EVERY_US;
    if (ledger_schedules_missed(l->o.ledger, &missed, &refused, err))
        return -1;
    metrics_set("foliopost_schedules_missed", "outcome=\"missed\"", (double)missed);
    metrics_set("foliopost_schedules_missed", "outcome=\"refused\"", (double)refused);
    return 0;
}

int sweep_schedules(struct leader *l, struct fp_err *err)
{
    int64_t now_us;
    bool failed = false;

    if (show_missed(l, err))
        return -1;
    if (clock_mono_us() < l->next_fire_mono_us)
        return 0;
    struct ledger_schedule *due = mem_array(AT_ONCE, sizeof *due);
    int n = ledger_schedules_due(l->o.ledger, due, AT_ONCE, &now_us, err);
    metrics_set("foliopost_schedule_late_seconds", "",
                n > 0 ? (double)(now_us - due[0].next_due_us) / FP_US_PER_S : 0);
    for (int i = 0; i < n && !failed; i++)
        failed = see_to(l, &due[i], now_us, err) && is_outage(l, &due[i], err);
    mem_free(due);
    return n < 0 || failed ? -1 : 0;
}
