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

#include "lib/metrics/metrics.h"

#define FLAG(name) FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_##name
_Static_assert(PERF_STALE_PRICE == 1 << FLAG(STALE_PRICE), "flags");
_Static_assert(PERF_PRICE_AFTER == 1 << FLAG(PRICE_AFTER), "flags");
_Static_assert(PERF_NOT_PRICED == 1 << FLAG(NOT_PRICED), "flags");
_Static_assert(PERF_NO_CAPITAL == 1 << FLAG(NO_CAPITAL), "flags");
_Static_assert(PERF_NEGATIVE_VALUE == 1 << FLAG(NEGATIVE_VALUE), "flags");
_Static_assert(PERF_OPENED_IN_PERIOD == 1 << FLAG(OPENED_IN_PERIOD), "flags");
_Static_assert(PERF_SUSPECT_DAY == 1 << FLAG(SUSPECT_DAY), "flags");
_Static_assert(PERF_SHORT_POSITION == 1 << FLAG(SHORT_POSITION), "flags");
#define LAST_FLAG FLAG(SHORT_POSITION)

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

static size_t put_movers(struct work *w, const struct cache_view *v, const struct perf_mover *from, int n,
                         Foliopost__V1__Mover ***out)
{
    *out = give(w, (size_t)n * sizeof(Foliopost__V1__Mover *) + 1);
    for (int i = 0; i < n; i++) {
        const struct portfolio_instrument *instrument = v->instruments[from[i].instrument];
        Foliopost__V1__Mover *m = give(w, sizeof *m);

        if (!m || !*out)
            return 0;
        foliopost__v1__mover__init(m);
        m->instrument_id = instrument->id;
        m->symbol = arena_strdup(w->arena, instrument->symbol); /* the view goes before the message */
        m->name = arena_strdup(w->arena, instrument->name);
        w->no_memory |= !m->symbol || !m->name;
        m->gain_minor = from[i].gain_minor;
        m->contribution_e8 = from[i].contribution_e8;
        (*out)[i] = m;
    }
    return (size_t)n;
}

static void put_flags(struct work *w, unsigned flags, Foliopost__V1__PortfolioSummary *s)
{
    s->flags = give(w, (LAST_FLAG + 1) * sizeof *s->flags);
    for (int flag = 1; s->flags && flag <= LAST_FLAG; flag++)
        if (flags & 1u << flag)
            s->flags[s->n_flags++] = (Foliopost__V1__SummaryFlag)flag;
}

static void put_summary(struct work *w, const struct cache_view *v, const struct perf_summary *from,
                        Foliopost__V1__SummaryItem *item)
{
    Foliopost__V1__PortfolioSummary *s = give(w, sizeof *s);

    if (!s)
        return;
    foliopost__v1__portfolio_summary__init(s);
    s->currency = item->user->base_currency;
    s->exponent = from->exponent;
    s->since_day = from->since_day;
    s->open_value_minor = from->open_value_minor;
    s->close_value_minor = from->close_value_minor;
    s->net_contributions_minor = from->net_contributions_minor;
    s->gain_minor = from->gain_minor;
    s->twr_defined = from->twr_defined;
    s->twr_e8 = from->twr_e8;
    s->n_top = put_movers(w, v, from->top, from->n_top, &s->top);
    s->n_bottom = put_movers(w, v, from->bottom, from->n_bottom, &s->bottom);
    s->holdings = from->holdings;
    s->income_minor = from->income_minor;
    s->fees_minor = from->fees_minor;
    s->taxes_minor = from->taxes_minor;
    put_flags(w, from->flags, s);
    s->prices_as_of_day = from->prices_as_of_day;
    item->summary = s;
    item->outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
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
        put_summary(w, v, &summary, item);
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
