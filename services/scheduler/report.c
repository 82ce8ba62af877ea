/*
 * Reports: what the ledger says about a job, put together.
 *
 * The report's figures are counted from the deliveries, one row for each user,
 * and so agree with the proof by construction. Counts in GetJob are summed
 * from the batches, which is cheap enough to ask for every second.
 */
#include "services/scheduler/report.h"

#include <math.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/dry_run.h"
#include "lib/ledger/events.h"
#include "lib/ledger/rates.h"
#include "services/scheduler/pace.h"
#include "services/scheduler/plan.h"
#include "services/scheduler/waiting.h"

/* Reasons that get a line of their own; the rest are counted together. */
#define MAX_REASONS  100
#define MAX_FAILURES 20 /* classes that a watcher is told */

Foliopost__V1__Job *report_job(struct fp_ledger *l, const struct scheduler_settings *set,
                               const struct ledger_job *j, struct convert *c, struct fp_err *err)
{
    struct ledger_counts counts;
    struct ledger_proof proof = {0};

    if (ledger_job_counts(l, j->id, &counts, err))
        return NULL;
    if (j->state == JOB_COMPLETED && ledger_job_proof(l, j->id, &proof, err))
        return NULL;
    Foliopost__V1__Job *m = convert_job(c, j, &counts, &proof);
    if (!m)
        return convert_too_large(err);
    return waiting_fill(l, set, j, &counts, c, m, err) ? NULL : m;
}

/* --- figures ---------------------------------------------------------------------------- */

static void add_total(Foliopost__V1__Report *r, const struct ledger_reason_count *n)
{
    switch (n->state) {
    case DELIVERY_SENT:
        r->mails_sent += n->users;
        break;
    case DELIVERY_FAILED:
        r->failed += n->users;
        break;
    case DELIVERY_SKIPPED:
        r->skipped += n->users;
        break;
    case DELIVERY_AMBIGUOUS:
        r->ambiguous += n->users;
        break;
    default: /* deferred, and requeued, which is on its way again */
        r->deferred += n->users;
        break;
    }
    r->maybe_doubles += n->maybe_doubles;
}

void report_figures(Foliopost__V1__Report *r, const struct ledger_job *j, int64_t now_us)
{
    int64_t end_us = j->finished_us > 0 ? j->finished_us : now_us;
    int64_t tried = r->mails_sent + r->failed + r->ambiguous;

    r->users_processed = tried + r->skipped;
    r->duration_s =
        j->started_us > 0 && end_us > j->started_us ? (double)(end_us - j->started_us) / FP_US_PER_S : 0;
    r->users_per_minute = r->duration_s > 0 ? (double)r->users_processed * 60 / r->duration_s : 0;
    r->success_rate = tried > 0 ? (double)r->mails_sent / (double)tried : 0;
}

/* --- parts --------------------------------------------------------------------------------- */

static int fill_reasons(struct fp_ledger *l, int64_t job_id, struct convert *c, Foliopost__V1__Report *r,
                        struct fp_err *err)
{
    struct ledger_reason_count *counts = mem_array(MAX_REASONS, sizeof *counts);
    int n = ledger_reason_counts(l, job_id, counts, MAX_REASONS, err);

    r->reasons = n > 0 ? convert_alloc(c, (size_t)n, sizeof *r->reasons) : NULL;
    for (int i = 0; i < n; i++) {
        add_total(r, &counts[i]);
        if (r->reasons && (r->reasons[r->n_reasons] = convert_reason(c, &counts[i])))
            r->n_reasons++;
    }
    mem_free(counts);
    return n < 0 ? -1 : 0;
}

static int fill_intervals(struct fp_ledger *l, int64_t job_id, struct convert *c,
                          Foliopost__V1__IntervalReport ***out, size_t *n_out, struct fp_err *err)
{
    struct ledger_interval_report *rows = mem_array(PLAN_MAX_INTERVALS, sizeof *rows);
    int n = ledger_interval_reports(l, job_id, rows, PLAN_MAX_INTERVALS, err);

    *out = n > 0 ? convert_alloc(c, (size_t)n, sizeof **out) : NULL;
    for (int i = 0; i < n && *out; i++)
        if (((*out)[*n_out] = convert_interval(c, &rows[i])))
            (*n_out)++;
    mem_free(rows);
    return n < 0 ? -1 : 0;
}

int report_details(struct fp_ledger *l, struct convert *c, Foliopost__V1__Job *m, struct fp_err *err)
{
    struct ledger_reason_count counts[MAX_FAILURES];
    bool partial;

    if (fill_intervals(l, m->id, c, &m->intervals, &m->n_intervals, err))
        return -1;
    int n = ledger_failure_counts(l, m->id, counts, MAX_FAILURES, &partial, err);
    m->failures = n > 0 ? convert_alloc(c, (size_t)n, sizeof *m->failures) : NULL;
    for (int i = 0; i < n && m->failures; i++)
        if ((m->failures[m->n_failures] = convert_reason(c, &counts[i])))
            m->n_failures++;
    m->failures_partial = n > 0 && partial;
    return n < 0 ? -1 : 0;
}

static int fill_events(struct fp_ledger *l, int64_t job_id, Foliopost__V1__Report *r, struct fp_err *err)
{
    struct ledger_event_counts n;

    if (ledger_event_counts(l, job_id, &n, err))
        return -1;
    r->delivered = n.delivered;
    r->bounced = n.bounced;
    r->complained = n.complained;
    r->unsubscribed = n.unsubscribed;
    return 0;
}

/* --- a dry run ------------------------------------------------------------------------------ */

#define MAX_RATES 1000
#define IN_USE_US (600 * FP_US_PER_S) /* a mailer that sends touches its providers' rows all the time */

struct speed {
    double per_s, quota_left, quota_a_day; /* 0: no limit is known; -1: one that works has none */
};

static bool is_gone(const struct ledger_rate *r, int64_t newest_us)
{
    return r->touched_us < newest_us - IN_USE_US;
}

/* The rows of providers that mailers use, or of the one that the job names. */
static void sum_rates(const struct ledger_rate *rates, int n, const char *provider, struct speed *out)
{
    int64_t newest_us = 0;
    bool any = false, limited = true, quotas = true;

    *out = (struct speed){0};
    for (int i = 0; i < n; i++)
        newest_us = rates[i].touched_us > newest_us ? rates[i].touched_us : newest_us;
    for (int i = 0; i < n; i++) {
        const struct ledger_rate *r = &rates[i];
        if (strncmp(r->provider, RATE_DOMAIN, strlen(RATE_DOMAIN)) == 0 ||
            (provider[0] ? strcmp(r->provider, provider) != 0 : is_gone(r, newest_us)))
            continue;
        any = true;
        limited = limited && r->rate > 0;
        quotas = quotas && r->daily_quota > 0;
        out->per_s += r->rate;
        out->quota_a_day += r->daily_quota;
        out->quota_left += r->daily_quota > r->used_today ? r->daily_quota - r->used_today : 0;
    }
    if (!any || !limited)
        out->per_s = 0;
    if (!any || !quotas)
        out->quota_left = -1;
}

static int read_speed(struct fp_ledger *l, const struct ledger_job *j, struct speed *out, struct fp_err *err)
{
    struct ledger_rate *rates = mem_array(MAX_RATES, sizeof *rates);
    int n = ledger_rates(l, rates, MAX_RATES, err);

    sum_rates(rates, n, j->provider, out);
    mem_free(rates);
    if (j->rate_limit > 0 && (out->per_s == 0 || j->rate_limit < out->per_s))
        out->per_s = j->rate_limit;
    return n < 0 ? -1 : 0;
}

/* A quota that is used up goes on at midnight UTC, a day's worth at a time. */
static bool quota_is_enough(const Foliopost__V1__DryRun *d, int64_t now_us, double quota_a_day)
{
    double lacks = (double)d->would_send - d->quota_left;
    const int64_t midnight_us = (now_us / FP_US_PER_DAY + 1) * FP_US_PER_DAY;

    if (d->quota_left < 0 || lacks <= 0)
        return true;
    if (quota_a_day <= 0)
        return false;
    return (double)midnight_us + (ceil(lacks / quota_a_day) - 1) * FP_US_PER_DAY < (double)d->deadline_us;
}

void report_in_time(Foliopost__V1__DryRun *d, int64_t now_us, double quota_a_day, double open_s)
{
    d->seconds = d->mails_per_s > 0 ? (double)d->would_send / d->mails_per_s : 0;
    d->in_time = d->deadline_us == 0 || (d->seconds <= open_s && quota_is_enough(d, now_us, quota_a_day));
}

static int64_t *copy_ids(struct convert *c, const int64_t *ids, size_t n)
{
    int64_t *copy = n > 0 ? convert_alloc(c, n, sizeof *copy) : NULL;

    if (copy)
        memcpy(copy, ids, n * sizeof *copy);
    return copy;
}

static void copy_difference(struct convert *c, const struct ledger_dry_run *from, Foliopost__V1__DryRun *d)
{
    d->compared_job = from->compared_job;
    d->users_added = from->added;
    d->users_dropped = from->dropped;
    d->added_ids = copy_ids(c, from->added_ids, from->n_added_ids);
    d->n_added_ids = d->added_ids ? from->n_added_ids : 0;
    d->dropped_ids = copy_ids(c, from->dropped_ids, from->n_dropped_ids);
    d->n_dropped_ids = d->dropped_ids ? from->n_dropped_ids : 0;
}

static int fill_dry_run(struct fp_ledger *l, const struct ledger_job *j, int64_t now_us, struct convert *c,
                        Foliopost__V1__Report *r, struct fp_err *err)
{
    Foliopost__V1__DryRun *d = j->dry_run ? convert_alloc(c, 1, sizeof *d) : NULL;
    struct ledger_dry_run found;
    struct speed speed;

    if (!d)
        return 0;
    foliopost__v1__dry_run__init(d);
    int failed = ledger_dry_run(l, j, &found, err);
    d->would_send = found.would_send;
    d->outliers = found.outliers;
    d->size_max_bytes = found.size_max_bytes;
    d->size_sum_bytes = found.size_sum_bytes;
    d->template_errors = found.unwritten;
    d->compared_template_errors = found.compared_unwritten;
    copy_difference(c, &found, d);
    ledger_dry_run_fini(&found);
    if (failed || read_speed(l, j, &speed, err))
        return -1;
    d->mails_per_s = speed.per_s;
    d->quota_left = speed.quota_left;
    d->deadline_us = j->deadline_us;
    report_in_time(d, now_us, speed.quota_a_day, pace_open_s(j, now_us, j->deadline_us));
    r->dry_run = d;
    return 0;
}

Foliopost__V1__Report *report_make(struct fp_ledger *l, const struct scheduler_settings *set, int64_t job_id,
                                   int64_t now_us, struct convert *c, struct fp_err *err)
{
    Foliopost__V1__Report *r = convert_alloc(c, 1, sizeof *r);
    struct ledger_job j;

    if (!r)
        return convert_too_large(err);
    foliopost__v1__report__init(r);
    if (ledger_job_get(l, job_id, &j, err))
        return NULL;
    r->job = report_job(l, set, &j, c, err);
    if (!r->job || fill_events(l, job_id, r, err) || fill_reasons(l, job_id, c, r, err) ||
        fill_intervals(l, job_id, c, &r->intervals, &r->n_intervals, err) ||
        fill_dry_run(l, &j, now_us, c, r, err))
        r = NULL;
    else
        report_figures(r, &j, now_us);
    ledger_job_fini(&j);
    return r;
}
