/*
 * Load, compute, fill in: all users of a batch with one set of queries.
 *
 * Where the statement itself fails for another reason than the connection
 * (a company's view that divides by zero for one user), each user is tried
 * alone, so that only the one that breaks it fails. The text of such an error
 * may hold data of the user: only its SQLSTATE is passed on.
 */
#include "services/stats/set.h"

#include <stdio.h>
#include <string.h>

#include "lib/metrics/metrics.h"

void *batch_give(struct work *w, size_t bytes)
{
    void *p = arena_alloc(w->arena, bytes);

    w->no_memory |= !p;
    return p;
}

/* --- one user's outcome ------------------------------------------------------------------ */

void batch_fail(struct work *w, Foliopost__V1__SummaryItem *item, const char *reason, const char *detail)
{
    Foliopost__V1__SummaryFailure *f = batch_give(w, sizeof *f);
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

void batch_skip(Foliopost__V1__SummaryItem *item, Foliopost__V1__SkipReason reason)
{
    item->skip = reason;
    item->outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
}

/* --- all of them, or each alone ---------------------------------------------------------- */

/* The database, its permissions or its schema; not what a user's rows hold. */
static bool is_trouble(enum fp_code code)
{
    return code == FP_UNAVAILABLE || code == FP_DEADLINE_EXCEEDED || code == FP_ABORTED ||
           code == FP_FAILED_PRECONDITION || code == FP_PERMISSION_DENIED || code == FP_CANCELLED;
}

static void fail_by_error(struct work *w, Foliopost__V1__SummaryItem *item, const struct fp_err *err)
{
    char detail[60];

    if (err->code == FP_RESOURCE_EXHAUSTED) {
        batch_fail(w, item, "too_much_data", err->msg); /* ours: only figures */
        return;
    }
    snprintf(detail, sizeof detail, "SQLSTATE %s", pg_sqlstate(source_pg(w->t->source)));
    batch_fail(w, item, "source_error", detail);
}

static int compute_each(struct work *w, const int64_t *ids, Foliopost__V1__SummaryItem **items, size_t n,
                        struct fp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        w->t->alive(w->t->alive_arg);
        if (set_compute(w, &ids[i], &items[i], 1, err) == 0)
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
            batch_skip(w->items[i], b->users[i]->skip);
            continue;
        }
        ids[n] = b->users[i]->id;
        items[n++] = w->items[i];
    }
    if (n && set_compute(w, ids, items, n, err)) {
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
    w->items = batch_give(w, b->n_users * sizeof *w->items + 1);
    for (size_t i = 0; w->items && i < b->n_users; i++) {
        w->items[i] = batch_give(w, sizeof **w->items);
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
    Foliopost__V1__SummaryBatch *out = batch_give(&w, sizeof *out);

    w.period = (struct portfolio_period){users->job->period_start_day, users->job->period_end_day,
                                         users->job->as_of_us, users->job->round};
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
