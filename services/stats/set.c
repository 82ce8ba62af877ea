/*
 * A set of users, in groups that share one load: those with a valid checkpoint
 * together, with the market from its day on; the others in small groups, with
 * the market of all times, so that memory stays bounded when everybody's life
 * is read (the first run, or after a correction of old prices). The cache of
 * periods holds both markets.
 *
 * A sample of users with a checkpoint is computed from the first transaction
 * too; where figures or states differ, the life's are sent and the row deleted.
 */
#include "services/stats/set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/crash.h"
#include "lib/metrics/metrics.h"
#include "lib/performance/checkpoint.h"
#include "services/stats/fill.h"

/* Lives read at once: some thousand transactions. */
#define LIVES 25
/* The first day of the market of all times. */
#define FIRST_DAY (FP_DAY_MIN + 2)

struct expected { /* what a checkpoint led to, for the sample */
    struct perf_summary summary;
    struct fp_str outcome; /* the message of it */
    uint8_t *state;
    size_t n_state;
};

struct member {
    struct checkpoint_user user;
    Foliopost__V1__SummaryItem *item;
    struct expected *expected;
    bool from_start;
};

struct set {
    struct work *w;
    struct member *members;
    size_t n;
    int32_t checkpoint_day;
    struct checkpoint_made *made;
    size_t n_made;
};

struct group { /* members that share a load */
    struct set *set;
    struct member **members;
    size_t n;
    struct portfolio_period window; /* of the market */
    struct portfolio_txs txs;
    struct cache_view view;
};

/* --- outcomes ---------------------------------------------------------------------------- */

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
        batch_fail(w, item, "statement does not close", detail);
    } else if (held) {
        day_format(s->prices_as_of_day, day);
        snprintf(detail, sizeof detail, "held back by setting hold-back; prices as of %s", day);
        batch_fail(w, item, held, detail);
    } else {
        put_summary(w, v, in, s, item);
    }
}

/* --- states ----------------------------------------------------------------------------------- */

/* The last end of a month that the run passes; behind a period that passes none,
 * a life keeps the one before it, so that the next run finds it. */
static int32_t keep_day(const struct set *set, const struct member *m)
{
    int32_t day = checkpoint_day_kept(&set->w->period);

    return day < set->w->period.start && m->user.state ? INT32_MIN : day;
}

static struct fingerprint_sum sum_up_to(const struct group *g, size_t i, int32_t day)
{
    const struct portfolio_user *u = &g->txs.users[i];
    struct fingerprint_sum sum = {0};

    if (g->members[i]->user.state)
        sum = g->members[i]->user.before;
    for (size_t k = u->first; k < u->first + u->n; k++)
        if (g->txs.txs[k].day <= day) {
            sum.n++;
            sum.sum += g->txs.marks[k];
        }
    return sum;
}

static uint8_t *copy_state(const struct work *w, size_t *n)
{
    const uint8_t *state = performance_checkpoint(w->t->performance, n);
    uint8_t *copy;

    if (!state)
        return NULL;
    copy = mem_alloc(*n);
    memcpy(copy, state, *n);
    return copy;
}

static void keep_state(struct group *g, size_t i, int32_t day)
{
    struct set *set = g->set;
    const struct checkpoint_user *u = &g->members[i]->user;
    size_t n;
    uint8_t *state = copy_state(set->w, &n);

    if (!state)
        return;
    set->made[set->n_made++] = (struct checkpoint_made){.user_id = u->id,
                                                        .base_currency = u->base_currency,
                                                        .benchmark_id = u->benchmark_id,
                                                        .txs = sum_up_to(g, i, day),
                                                        .state = state,
                                                        .n_state = n};
}

/* --- the sample -------------------------------------------------------------------------------- */

/* All that is said of the user, as bytes. What has no room on the bus is compared as nothing. */
static struct fp_str pack_outcome(const struct member *m)
{
    struct fp_str bytes;
    struct fp_err err;

    str_init(&bytes, WIRE_MAX_MESSAGE_BYTES);
    if (wire_pack(&m->item->base, WIRE_MAX_MESSAGE_BYTES, &bytes, &err))
        str_clear(&bytes);
    return bytes;
}

static void expect(const struct set *set, struct member *m, const struct perf_summary *s)
{
    m->expected = mem_alloc(sizeof *m->expected);
    m->expected->summary = *s;
    m->expected->state = copy_state(set->w, &m->expected->n_state);
    m->expected->outcome = pack_outcome(m);
    m->from_start = true;
}

/* For the log: the first of the large figures that differs; NULL: none of them does. */
static const char *other_figure(const struct perf_summary *a, const struct perf_summary *b)
{
    if (a->open_value_minor != b->open_value_minor || a->close_value_minor != b->close_value_minor)
        return "value";
    if (a->gain_minor != b->gain_minor || a->twr_e8 != b->twr_e8)
        return "return";
    if (a->cost_fifo_minor != b->cost_fifo_minor || a->cost_average_minor != b->cost_average_minor ||
        a->realised_fifo_minor != b->realised_fifo_minor)
        return "cost";
    if (a->flags != b->flags)
        return "flags";
    for (int i = 0; i < PERF_SPANS; i++)
        if (a->spans[i].twr.e8 != b->spans[i].twr.e8 || a->spans[i].mwr.e8 != b->spans[i].mwr.e8 ||
            a->spans[i].benchmark.e8 != b->spans[i].benchmark.e8 ||
            a->spans[i].gain_minor != b->spans[i].gain_minor)
            return "span";
    return NULL;
}

/* Where the period passes no end of a month, a run with a checkpoint keeps none, and a life the one before
 * it. */
static bool same_state(const struct set *set, const struct expected *x)
{
    size_t n;
    const uint8_t *state = performance_checkpoint(set->w->t->performance, &n);

    if (checkpoint_day_kept(&set->w->period) < set->w->period.start)
        return true;
    return !state == !x->state && (!state || (n == x->n_state && !memcmp(state, x->state, n)));
}

/* life: NULL when it failed. The message is all that anybody is told; the state,
 * all that the next run begins with. */
static void verify(const struct set *set, struct member *m, const struct perf_summary *life)
{
    const struct expected *x = m->expected;
    struct fp_str outcome = pack_outcome(m);
    bool same = outcome.len == x->outcome.len && !memcmp(outcome.data, x->outcome.data, outcome.len);
    const char *what = life ? other_figure(&x->summary, life) : "failure";

    metrics_add("foliopost_stats_checkpoints_verified_total", "", 1);
    if (!same)
        checkpoints_wrong(set->w->t->ledger, m->user.id, what ? what : "message");
    else if (life && !same_state(set, x))
        checkpoints_wrong(set->w->t->ledger, m->user.id, "state");
    str_fini(&outcome);
}

/* --- one user ------------------------------------------------------------------------------------ */

/* What is mailed of figures, or why nothing is. */
static void tell(struct group *g, const struct member *m, const struct perf_input *in,
                 const struct perf_summary *s)
{
    if (s->nothing)
        batch_skip(m->item, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT);
    else
        judge(g->set->w, &g->view, in, s, m->item);
}

/* False when it has no figures; from_start when his checkpoint cannot be read: once more, from the start. */
static bool run(struct group *g, size_t i, const struct perf_input *in, struct perf_summary *s)
{
    struct work *w = g->set->w;
    struct member *m = g->members[i];
    struct perf_fault fault;

    if (!performance_summarise(w->t->performance, in, s, &fault)) {
        m->from_start = in->n_checkpoint && strcmp(fault.reason, "bad_checkpoint") == 0;
        if (m->from_start)
            metrics_add("foliopost_stats_checkpoints_total", "found=\"broken\"", 1);
        else
            batch_fail(w, m->item, fault.reason, fault.detail);
        return false;
    }
    return true;
}

static void compute_member(struct group *g, size_t i)
{
    struct work *w = g->set->w;
    struct member *m = g->members[i];
    const struct portfolio_user *u = &g->txs.users[i];
    const struct perf_input in = {
        .market = &g->view.market,
        .txs = g->txs.txs + u->first,
        .n_txs = u->n,
        .base_currency = m->user.base_currency,
        .period_start = w->period.start,
        .period_end = w->period.end,
        .benchmark_id = m->user.benchmark_id,
        .checkpoint = m->user.state,
        .n_checkpoint = m->user.n_state,
        .keep_day = keep_day(g->set, m),
    };
    struct perf_summary s;

    crash_user(m->user.id);
    m->from_start = false;
    if (u->reason[0]) {
        batch_fail(w, m->item, u->reason, u->detail);
        return;
    }
    if (!u->n && !m->user.state) {
        batch_skip(m->item, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT);
        return;
    }
    if (!run(g, i, &in, &s)) {
        if (m->expected)
            verify(g->set, m, NULL);
        return;
    }
    tell(g, m, &in, &s);
    if (m->expected)
        verify(g->set, m, &s);
    if (m->user.verify && m->user.state)
        expect(g->set, m, &s);
    else if (s.closes)
        keep_state(g, i, in.keep_day);
}

/* --- groups ------------------------------------------------------------------------------------------ */

/* What no transaction names: held at a checkpoint, or to compare with. */
static void add_instruments(struct group *g)
{
    size_t n = g->n, at = 0;
    int64_t *ids;

    for (size_t i = 0; i < g->n; i++)
        n += checkpoint_instruments(g->members[i]->user.state, g->members[i]->user.n_state, NULL, 0);
    ids = mem_array(n + 1, sizeof *ids);
    for (size_t i = 0; i < g->n; i++) {
        const struct checkpoint_user *u = &g->members[i]->user;

        at += checkpoint_instruments(u->state, u->n_state, ids + at, n - at);
        if (u->benchmark_id)
            ids[at++] = u->benchmark_id;
    }
    portfolio_txs_also(&g->txs, ids, at);
    mem_free(ids);
}

static int load_txs(struct group *g, struct fp_err *err)
{
    struct work *w = g->set->w;
    int64_t *ids = mem_array(g->n + 1, sizeof *ids);
    const bool checkpoint = g->members[0]->user.state != NULL;
    const struct portfolio_ask ask = {ids, g->n, w->t->max_txs, checkpoint ? g->window.start : PORTFOLIO_ALL};
    int rc;

    for (size_t i = 0; i < g->n; i++)
        ids[i] = g->members[i]->user.id;
    rc = portfolio_txs_load(w->t->source, &w->period, &ask, &g->txs, err);
    mem_free(ids);
    return rc;
}

static int compute_group(struct group *g, struct fp_err *err)
{
    struct work *w = g->set->w;

    if (load_txs(g, err))
        return -1;
    add_instruments(g);
    if (checkpoints_prime(w->t->checkpoints, w->t->source, &w->period, g->txs.instrument_ids,
                          g->txs.n_instruments, err) ||
        cache_view_open(w->t->cache, w->t->source, &g->window, g->txs.instrument_ids, g->txs.n_instruments,
                        &g->view, err)) {
        portfolio_txs_fini(&g->txs);
        return -1;
    }
    for (size_t i = 0; i < g->n; i++)
        compute_member(g, i);
    cache_view_release(&g->view);
    portfolio_txs_fini(&g->txs);
    return 0;
}

static int compute_with_checkpoints(struct set *set, struct member **members, size_t n, struct fp_err *err)
{
    struct group g = {.set = set, .members = members, .n = n, .window = set->w->period};

    g.window.start = set->checkpoint_day + 1;
    return n ? compute_group(&g, err) : 0;
}

static int compute_lives(struct set *set, struct member **members, size_t n, struct fp_err *err)
{
    for (size_t at = 0; at < n; at += LIVES) {
        struct group g = {.set = set,
                          .members = members + at,
                          .n = n - at < LIVES ? n - at : LIVES,
                          .window = set->w->period};

        g.window.start = FIRST_DAY;
        set->w->t->alive(set->w->t->alive_arg);
        for (size_t i = 0; i < g.n; i++)
            g.members[i]->user.state = NULL, g.members[i]->user.n_state = 0;
        if (compute_group(&g, err))
            return -1;
    }
    return 0;
}

/* Those with a checkpoint first; who turns out to need his life comes with the others. */
static int compute_members(struct set *set, struct fp_err *err)
{
    struct member **list = mem_array(set->n + 1, sizeof(struct member *));
    size_t n = 0;
    int rc;

    for (size_t i = 0; i < set->n; i++)
        if (set->members[i].user.state)
            list[n++] = &set->members[i];
    rc = compute_with_checkpoints(set, list, n, err);
    n = 0;
    for (size_t i = 0; i < set->n; i++)
        if (!set->members[i].user.state || set->members[i].from_start)
            list[n++] = &set->members[i];
    if (rc == 0)
        rc = compute_lives(set, list, n, err);
    mem_free(list);
    return rc;
}

static void make_members(struct set *set, const int64_t *ids, Foliopost__V1__SummaryItem **items,
                         struct checkpoint_user *users)
{
    for (size_t i = 0; i < set->n; i++) {
        int32_t currency = perf_currency(items[i]->user->base_currency);

        users[i] = (struct checkpoint_user){.id = ids[i],
                                            .base_currency = currency,
                                            .benchmark_id = policy_benchmark(set->w->t->policy, currency)};
    }
}

static void close_set(struct set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->members[i].expected) {
            mem_free(set->members[i].expected->state);
            str_fini(&set->members[i].expected->outcome);
            mem_free(set->members[i].expected);
        }
    for (size_t i = 0; i < set->n_made; i++)
        mem_free(set->made[i].state);
    mem_free(set->made);
    mem_free(set->members);
}

int set_compute(struct work *w, const int64_t *ids, Foliopost__V1__SummaryItem **items, size_t n,
                struct fp_err *err)
{
    struct set set = {.w = w, .n = n, .members = mem_array(n + 1, sizeof *set.members)};
    struct checkpoint_user *users = mem_array(n + 1, sizeof *users);
    struct checkpoint_set found;
    int rc;

    set.made = mem_array(2 * n + 1, sizeof *set.made);
    make_members(&set, ids, items, users);
    rc = checkpoints_find(w->t->checkpoints, w->t->ledger, w->t->source, &w->period, users, n, &found, err);
    for (size_t i = 0; i < n; i++)
        set.members[i] = (struct member){.user = users[i], .item = items[i]};
    set.checkpoint_day = found.day;
    if (rc == 0) {
        rc = compute_members(&set, err);
        if (rc == 0)
            checkpoints_write(w->t->checkpoints, w->t->ledger, w->t->source, &w->period, set.made,
                              set.n_made);
        checkpoints_release(&found);
    }
    mem_free(users);
    close_set(&set);
    return rc;
}
