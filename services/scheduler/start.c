/*
 * start: PENDING -> IN_PROGRESS with all intervals, oldest job first, as many
 * as may run at once.
 *
 * The intervals are calendar months of registration from the first user, or
 * from where the job or the operator says, to the end that was frozen at
 * submission. A job with a list of users is one interval, which pages the
 * list. They are planned by the one read of the source, made here, and written
 * in the statement that starts the job: there is no job in between.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/plan.h"
#include "services/scheduler/start.h"

/* When the source does not answer, ask again after this, once for all jobs:
 * connecting costs the loop seconds, and other jobs are waiting for it. */
#define RETRY_US INT64_C(10000000)

/* A replica that lacks the first users would let the audience begin behind them, and they
 * would be missed for ever. It has them all when it has come as far as userstream waits
 * for (services/userstream/page.c); the one that was asked at submission had. */
static int check_replayed(struct fp_source *source, const struct scheduler_settings *set,
                          const struct ledger_job *j, struct fp_err *err)
{
    int64_t settled_us = j->audience_end_us + set->audience_margin_ms * 1000, replayed_us;
    int64_t needed_us = settled_us < j->submitted_us ? settled_us : j->submitted_us;

    if (source_replayed_us(source, &replayed_us, err))
        return -1;
    if (replayed_us >= needed_us)
        return 0;
    return err_set(err, FP_UNAVAILABLE,
                   "the source has replayed only up to %" PRId64 " us, the first user is asked of %" PRId64
                   " us: its replica is behind, or its clock",
                   replayed_us, needed_us);
}

int start_first_us(struct fp_source *source, const struct scheduler_settings *set, const struct ledger_job *j,
                   int64_t *first_us, struct fp_err *err)
{
    *first_us = j->registered_from_us;
    if (*first_us == 0)
        *first_us = settings_range_start_us(set);
    if (*first_us != 0)
        return 0;
    if (check_replayed(source, set, j, err) || source_first_user_us(source, first_us, err))
        return err_prefix(err, "cannot find the first user in the source database");
    return 0;
}

int start_plan(struct fp_source *source, const struct scheduler_settings *set, const struct ledger_job *j,
               struct start_intervals *out, struct fp_err *err)
{
    int64_t first_us;

    if (j->n_user_ids > 0) { /* the range says nothing here: the list is the audience */
        out->lower_us[0] = j->audience_end_us;
        out->upper_us[0] = j->audience_end_us;
        out->n = 1;
        return 0;
    }
    if (start_first_us(source, set, j, &first_us, err))
        return -1;
    out->n = plan_intervals(first_us, j->audience_end_us, out->lower_us, out->upper_us);
    if (out->n < 0)
        return err_set(err, FP_OUT_OF_RANGE,
                       "registrations from %" PRId64 " us on make more than %d months; give the job a "
                       "registered_from_us, or the scheduler --range-start",
                       first_us, PLAN_MAX_INTERVALS);
    return 0;
}

/* Said once for each fault, in the log and in the error log; asked again later. */
static int put_off(struct leader *l, const struct ledger_job *j, struct leader_track *t,
                   const struct fp_err *why, struct fp_err *err)
{
    char id[32], before[sizeof t->trouble];

    t->next_try_mono_us = clock_mono_us() + RETRY_US;
    memcpy(before, t->trouble, sizeof before);
    text_clean(t->trouble, sizeof t->trouble, why->msg);
    if (strcmp(before, t->trouble) == 0)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_warn(id, "not planned yet", "asking again; reason=%s", why->msg);
    return ledger_error(l->o.ledger, "scheduler", l->owner, j->id, 0, err_code_name(why->code), why->msg,
                        err);
}

/* A job that can never be planned is told so; whatever may pass is waited for. */
static int plan_failed(struct leader *l, const struct ledger_job *j, struct leader_track *t,
                       const struct fp_err *why, struct fp_err *err)
{
    char id[32];
    bool done;

    if (why->code != FP_OUT_OF_RANGE) {
        l->source_err = *why;
        l->next_plan_mono_us = clock_mono_us() + RETRY_US;
        return put_off(l, j, t, why, err);
    }
    if (ledger_job_fail(l->o.ledger, l->owner, j->id, why->msg, &done, err))
        return -1;
    if (!done)
        return 0;
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_error(id, "FAILED", "reason=%s", why->msg);
    return ledger_error(l->o.ledger, "scheduler", l->owner, j->id, 0, err_code_name(why->code), why->msg,
                        err);
}

/* --- the prices of the period --------------------------------------------------------------- */

static int32_t last_day(const struct ledger_job *j)
{
    int32_t today = day_from_us(clock_wall_us());

    return j->period_end_day < today ? j->period_end_day : today;
}

/* What the job's figures are as of, and what of its prices is there by then. */
struct readiness {
    bool ready;
    int64_t as_of_us; /* what it starts with; 0: as it was submitted */
    struct source_freshness of;
};

/* Says why, where watch and report show it (the leader writes its trouble down). */
static void wait_for_data(const struct leader *l, const struct ledger_job *j, struct leader_track *t,
                          const struct readiness *r)
{
    char day[11], as_of[32] = "";

    day_format(last_day(j), day);
    t->next_try_mono_us = clock_mono_us() + RETRY_US;
    if (!r->as_of_us)
        time_format_rfc3339(j->as_of_us, as_of);
    if (r->of.priced > 0)
        snprintf(t->trouble, sizeof t->trouble,
                 LEDGER_DATA_NOT_READY
                 ": %" PRId64 " of %" PRId64 " instruments have a close of the %" PRId64
                 " days up to %s%s%s, and %g %% must; it starts when the prices are there",
                 r->of.fresh, r->of.priced, l->o.set->data_ready_days, day,
                 as_of[0] ? ", recorded by its as_of " : "", as_of, l->o.set->data_ready_share);
    else
        snprintf(t->trouble, sizeof t->trouble,
                 LEDGER_DATA_NOT_READY ": none of %" PRId64
                                       " instruments has a close of the 100 days up to %s%s%s; "
                                       "it starts when the prices are there",
                 r->of.instruments, day, as_of[0] ? ", recorded by its as_of " : "", as_of);
}

/* Where there are instruments and no closes at all, the feed is dead or was never
 * loaded; a portfolio of cash needs none. */
static int look(struct leader *l, const struct ledger_job *j, int64_t as_of_us, struct readiness *r,
                struct fp_err *why)
{
    const struct source_freshness *of = &r->of;

    if (source_prices_fresh(l->o.source, last_day(j), (int)l->o.set->data_ready_days, as_of_us, &r->of, why))
        return -1;
    r->ready = (double)of->fresh * 100 >= l->o.set->data_ready_share * (double)of->priced &&
               (of->priced > 0 || of->instruments == 0);
    return 0;
}

/* Nobody has got anything of a job that never started, so its figures are as of its
 * start, whatever it waited for: submitted before its prices came, it would not see
 * them. But what was approved is what is sent, as long as that sees the prices; and a
 * resend says what its parent said. A list, or a job of nobody, waits like any other. */
static int find_readiness(struct leader *l, const struct ledger_job *j, struct readiness *r,
                          struct fp_err *why)
{
    bool resend = j->parent_job > 0, kept = resend || j->needs_approval;

    *r = (struct readiness){.as_of_us = kept ? 0 : j->read_us, .ready = true};
    if (l->o.set->data_ready_share <= 0)
        return 0;
    if (look(l, j, kept ? j->as_of_us : j->read_us, r, why))
        return -1;
    if (r->ready || resend || !kept)
        return 0;
    r->as_of_us = j->read_us;
    return look(l, j, j->read_us, r, why);
}

static bool asks_source(const struct leader *l, const struct ledger_job *j)
{
    return l->o.set->data_ready_share > 0 ||
           (j->n_user_ids == 0 && j->registered_from_us == 0 && settings_range_start_us(l->o.set) == 0);
}

static int start_job(struct leader *l, struct ledger_job *j, struct leader_track *t,
                     const struct ledger_job *whole, struct start_intervals *iv, struct fp_err *err)
{
    struct fp_err why;
    struct readiness r;
    char id[32];
    bool done;

    if (clock_mono_us() < l->next_plan_mono_us && asks_source(l, whole))
        return put_off(l, j, t, &l->source_err, err);
    if (find_readiness(l, whole, &r, &why))
        return plan_failed(l, j, t, &why, err);
    if (!r.ready) {
        wait_for_data(l, whole, t, &r);
        return 0;
    }
    if (start_plan(l->o.source, l->o.set, whole, iv, &why))
        return plan_failed(l, j, t, &why, err);
    const struct ledger_start start = {(int)l->o.set->max_jobs, r.as_of_us, iv->lower_us, iv->upper_us,
                                       (size_t)iv->n};
    if (ledger_job_start(l->o.ledger, l->owner, j->id, &start, &done, err))
        return -1;
    if (!done)
        return 0;
    j->state = JOB_IN_PROGRESS;
    t->trouble[0] = '\0';
    t->progress_mono_us = clock_mono_us();
    snprintf(id, sizeof id, "job=%" PRId64, j->id);
    log_trace(j->traceparent);
    log_info(id, "IN_PROGRESS", "kind=%s intervals=%d listed_users=%zu", j->kind, iv->n, whole->n_user_ids);
    return 0;
}

/* The list of open jobs comes without user ids: the job is read whole first. */
static int start_one(struct leader *l, int i, struct fp_err *err)
{
    struct start_intervals *iv = mem_alloc(sizeof *iv);
    struct ledger_job whole;
    int failed = ledger_job_get(l->o.ledger, l->jobs[i].id, &whole, err);

    if (!failed) {
        failed = start_job(l, &l->jobs[i], &l->tracks[i], &whole, iv, err);
        ledger_job_fini(&whole);
    }
    mem_free(iv);
    return failed;
}

/* Not one whose last users alone are left, and wait for their next attempt. */
static bool takes_a_turn(const struct ledger_job *j, const struct leader_track *t)
{
    const struct ledger_counts *c = &t->counts;

    return j->state == JOB_IN_PROGRESS &&
           (!t->counted || c->intervals_paged < c->intervals || c->batches_open > 0);
}

int start_pending(struct leader *l, struct fp_err *err)
{
    int running = 0;

    for (int i = 0; i < l->n_jobs; i++)
        running += takes_a_turn(&l->jobs[i], &l->tracks[i]);
    for (int i = 0; i < l->n_jobs && running < l->o.set->max_jobs; i++) {
        if (l->jobs[i].state != JOB_PENDING || ledger_job_unapproved(&l->jobs[i]) ||
            clock_mono_us() < l->tracks[i].next_try_mono_us)
            continue;
        if (start_one(l, i, err) && leader_is_outage(&l->jobs[i], "not started", err))
            return -1;
        running += l->jobs[i].state == JOB_IN_PROGRESS;
    }
    return 0;
}
