/*
 * Load, compute, fill in: all users of a batch with one set of queries.
 *
 * Where the statement itself fails for another reason than the connection
 * (a company's view that divides by zero for one user), each user is tried
 * alone, so that only the one that breaks it fails. The text of such an error
 * may hold data of the user: only its SQLSTATE is passed on.
 */
#include "services/stats/batch.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"
#include "services/stats/fill.h"

struct work { /* one call of batch_compute() */
    struct batch_tools *t;
    struct fp_arena *arena;
    struct portfolio_period period;
    Foliopost__V1__SummaryItem **items;
    bool no_memory;
};

static void *give(struct work *w, size_t bytes)
{
    void *p = arena_alloc(w->arena, bytes);

    w->no_memory |= !p;
    return p;
}

/* --- one user's outcome ------------------------------------------------------------------ */

static void fail(struct work *w, Foliopost__V1__SummaryItem *item, const char *reason, const char *detail)
{
    Foliopost__V1__SummaryFailure *f = give(w, sizeof *f);
    char labels[80];

    if (!f)
        return;
    foliopost__v1__summary_failure__init(f);
    f->reason = arena_strdup(w->arena, reason);
    f->detail = arena_strdup(w->arena, detail);
    w->no_memory |= !f->reason || !f->detail;
    item->failure = f;
    item->outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE;
    snprintf(labels, sizeof labels, "reason=\"%s\"", reason);
    metrics_add("foliopost_stats_failures_total", labels, 1);
}

static void skip(Foliopost__V1__SummaryItem *item, Foliopost__V1__SkipReason reason)
{
    item->skip = reason;
    item->outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
}

static const struct portfolio_instrument *find_benchmark(const struct cache_view *v, int64_t id)
{
    for (size_t i = 0; id && i < v->market.n_instruments; i++)
        if (v->market.instrument_ids[i] == id && v->market.instruments[i])
            return v->instruments[i];
    return NULL;
}

static void put_summary(struct work *w, const struct cache_view *v, const struct perf_input *in,
                        const struct perf_summary *from, Foliopost__V1__SummaryItem *item)
{
    const struct fill fill = {.arena = w->arena,
                              .instruments = v->instruments,
                              .performance = w->t->performance,
                              .benchmark = find_benchmark(v, in->benchmark_id)};

    item->summary = fill_summary(&fill, item->user->base_currency, from);
    item->outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    w->no_memory |= !item->summary;
}

/* Whether it may be mailed: the books agree, and nothing in it holds it back. */
static void judge(struct work *w, const struct cache_view *v, const struct perf_input *in,
                  const struct perf_summary *s, Foliopost__V1__SummaryItem *item)
{
    const char *held = policy_held(w->t->policy, s->flags);
    char detail[100], day[11];

    if (!s->closes) {
        snprintf(detail, sizeof detail, "residual %lld e-8 %s, %d holdings", (long long)s->residual_e8,
                 item->user->base_currency, s->holdings);
        fail(w, item, "statement does not close", detail);
    } else if (held) {
        day_format(s->prices_as_of_day, day);
        snprintf(detail, sizeof detail, "held back by setting hold-back; prices as of %s", day);
        fail(w, item, held, detail);
    } else {
        put_summary(w, v, in, s, item);
    }
}

static void compute_user(struct work *w, const struct portfolio_txs *txs, const struct portfolio_user *user,
                         const struct cache_view *v, Foliopost__V1__SummaryItem *item)
{
    struct perf_input in = {
        .market = &v->market,
        .txs = txs->txs + user->first,
        .n_txs = user->n,
        .base_currency = perf_currency(item->user->base_currency),
        .period_start = w->period.start,
        .period_end = w->period.end,
        .benchmark_id = policy_benchmark(w->t->policy, perf_currency(item->user->base_currency)),
        .keep_day = INT32_MIN,
    };
    struct perf_summary summary;
    struct perf_fault fault;

    if (user->reason[0])
        fail(w, item, user->reason, user->detail);
    else if (!user->n)
        skip(item, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT);
    else if (!performance_summarise(w->t->performance, &in, &summary, &fault))
        fail(w, item, fault.reason, fault.detail);
    else if (summary.nothing)
        skip(item, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT);
    else
        judge(w, v, &in, &summary, item);
}

/* --- sets of users ------------------------------------------------------------------------- */

/* The database, its permissions or its schema; not what a user's rows hold. */
static bool is_trouble(enum fp_code code)
{
    return code == FP_UNAVAILABLE || code == FP_DEADLINE_EXCEEDED || code == FP_ABORTED ||
           code == FP_FAILED_PRECONDITION || code == FP_PERMISSION_DENIED || code == FP_CANCELLED;
}

static int compute_set(struct work *w, const int64_t *ids, Foliopost__V1__SummaryItem **items, size_t n,
                       struct fp_err *err)
{
    struct portfolio_txs txs;
    struct cache_view view;

    if (portfolio_txs_load(w->t->source, &w->period, ids, n, w->t->max_txs, &txs, err))
        return -1;
    if (cache_view_open(w->t->cache, w->t->source, &w->period, txs.instrument_ids, txs.n_instruments, &view,
                        err)) {
        portfolio_txs_fini(&txs);
        return -1;
    }
    for (size_t i = 0; i < n; i++)
        compute_user(w, &txs, &txs.users[i], &view, items[i]);
    cache_view_release(&view);
    portfolio_txs_fini(&txs);
    return 0;
}

static void fail_by_error(struct work *w, Foliopost__V1__SummaryItem *item, const struct fp_err *err)
{
    char detail[60];

    if (err->code == FP_RESOURCE_EXHAUSTED) {
        fail(w, item, "too_much_data", err->msg); /* ours: only figures */
        return;
    }
    snprintf(detail, sizeof detail, "SQLSTATE %s", pg_sqlstate(source_pg(w->t->source)));
    fail(w, item, "source_error", detail);
}

static int compute_each(struct work *w, const int64_t *ids, Foliopost__V1__SummaryItem **items, size_t n,
                        struct fp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        w->t->alive(w->t->alive_arg);
        if (compute_set(w, &ids[i], &items[i], 1, err) == 0)
            continue;
        if (is_trouble(err->code))
            return -1;
        fail_by_error(w, items[i], err);
    }
    return 0;
}

static int compute(struct work *w, const Foliopost__V1__UserBatch *b, struct fp_err *err)
{
    int64_t *ids = mem_array(b->n_users + 1, sizeof *ids);
    Foliopost__V1__SummaryItem **items = mem_array(b->n_users + 1, sizeof *items);
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < b->n_users; i++) {
        if (b->users[i]->skip != FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_UNSPECIFIED) {
            skip(w->items[i], b->users[i]->skip);
            continue;
        }
        ids[n] = b->users[i]->id;
        items[n++] = w->items[i];
    }
    if (n && compute_set(w, ids, items, n, err)) {
        rc = -1;
        if (!is_trouble(err->code)) {
            metrics_add("foliopost_stats_batches_one_by_one_total", "", 1);
            rc = compute_each(w, ids, items, n, err);
        }
    }
    mem_free(ids);
    mem_free(items);
    return rc;
}

/* --- the message ---------------------------------------------------------------------------- */

static bool make_items(struct work *w, const Foliopost__V1__UserBatch *b)
{
    w->items = give(w, b->n_users * sizeof *w->items + 1);
    for (size_t i = 0; w->items && i < b->n_users; i++) {
        w->items[i] = give(w, sizeof **w->items);
        if (!w->items[i])
            return false;
        foliopost__v1__summary_item__init(w->items[i]);
        w->items[i]->user = b->users[i];
    }
    return w->items != NULL;
}

static void count(const Foliopost__V1__SummaryBatch *b, struct batch_counts *c)
{
    *c = (struct batch_counts){0};
    for (size_t i = 0; i < b->n_items; i++) {
        const Foliopost__V1__SummaryItem *item = b->items[i];

        c->summaries += item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
        c->skips += item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
        if (item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE && !c->failures++)
            snprintf(c->first_failure, sizeof c->first_failure, "user %lld: %s", (long long)item->user->id,
                     item->failure->reason);
    }
}

Foliopost__V1__SummaryBatch *batch_compute(struct batch_tools *t, const Foliopost__V1__UserBatch *users,
                                           struct fp_arena *arena, struct batch_counts *counts,
                                           struct fp_err *err)
{
    struct work w = {.t = t, .arena = arena};
    Foliopost__V1__SummaryBatch *out = give(&w, sizeof *out);

    w.period = (struct portfolio_period){users->job->period_start_day, users->job->period_end_day,
                                         users->job->as_of_us};
    if (out && make_items(&w, users) && compute(&w, users, err))
        return NULL;
    if (w.no_memory) {
        err_set(err, FP_RESOURCE_EXHAUSTED, "the summaries of %zu users need more memory than a message may",
                users->n_users);
        return NULL;
    }
    foliopost__v1__summary_batch__init(out);
    out->schema_version = WIRE_SCHEMA_VERSION;
    out->traceparent = users->traceparent;
    out->job = users->job;
    out->batch_id = users->batch_id;
    out->n_items = users->n_users;
    out->items = w.items;
    count(out, counts);
    return out;
}
