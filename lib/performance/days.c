/*
 * Day by day, from the first transaction or a checkpoint to the period's end:
 * splits, transactions, values, links. O(transactions + days x holdings).
 *
 * The return sees values without holdings that have no price (they stand at
 * cost, and what is paid for them is a flow out of the return); the printed
 * values include them. Contributions: each holding's gain is weighted with
 * wealth / capital as perf_chain_add() gives it, and `other` takes exactly what
 * is left of the chain's step, so that the lines sum to the return.
 *
 * Three chains run side by side: the period, the year to date (begun anew at
 * the close of each 31 December) and since inception. A sub-period without
 * fresh prices ends with the month, so that a checkpoint finds none open.
 */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/performance/internal.h"

/* A day counts as priced when at most this share of its value stands on quotes
 * that are not fresh: one forgotten share must not blur a whole portfolio. */
#define STALE_SHARE_PERCENT 5

/* --- values ------------------------------------------------------------------------- */

static void trace_holding(struct fp_performance *p, const struct perf_holding *h)
{
    struct perf_step step = {.kind = PERF_STEP_HOLDING,
                             .instrument = h->instrument,
                             .quantity_e8 = h->quantity_e8,
                             .value_e8 = h->value_e8,
                             .price_e8 = h->valued_price.value_e8,
                             .flags = h->valued_price.flags,
                             .rate_day = INT32_MIN};

    if (perf_is_priced(h)) {
        day_format(h->valued_price.quote_day, step.text);
        step.rate_day = perf_rate_day(p, h->valued_price.cash);
    }
    perf_step(p, step);
}

static bool value_holding(struct fp_performance *p, struct perf_holding *h, struct perf_value *v)
{
    fp_i128 before_e8 = h->value_e8;

    if (!perf_holding_value(p, h))
        return false;
    h->today_e8 += h->value_e8 - before_e8;
    if (PERF_TRACES(p) && p->in_period && h->quantity_e8)
        trace_holding(p, h);
    if (h->quantity_e8 < 0)
        p->day_flags |= PERF_SHORT_POSITION;
    if (!perf_is_priced(h)) {
        v->at_cost_e8 += h->value_e8;
        return true;
    }
    v->in_return_e8 += h->value_e8;
    if (!h->quantity_e8)
        return true;
    v->quoted |= h->valued_price.quote_day == p->day;
    if (h->valued_price.flags & PERF_STALE_PRICE || h->valued_price.quote_day > p->day)
        v->stale_e8 += h->value_e8 < 0 ? -h->value_e8 : h->value_e8;
    return true;
}

static bool value_today(struct fp_performance *p)
{
    struct perf_value v = {0};
    fp_i128 cash_e8;

    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        if ((h->quantity_e8 || h->valued_quantity_e8) && !value_holding(p, h, &v))
            return false;
    }
    if (!perf_cash_value(p, &cash_e8))
        return false;
    v.in_return_e8 += cash_e8;
    p->value = v;
    return true;
}

static fp_i128 total_e8(const struct perf_value *v)
{
    return v->in_return_e8 + v->at_cost_e8;
}

/* --- beginnings --------------------------------------------------------------------------- */

static void begin_tables(struct fp_performance *p)
{
    size_t n = p->in->market->n_instruments;

    if (n > p->cap_slots) {
        p->slot_of = mem_resize(p->slot_of, n, sizeof *p->slot_of);
        for (size_t i = p->cap_slots; i < n; i++)
            p->slot_of[i] = 0;
        p->cap_slots = n;
    }
    p->n_cash = 0;
    p->n_holdings = p->n_order = p->n_lines = p->n_positions = p->n_chart = 0;
    p->n_flow_days = p->n_ever = p->n_kept = p->n_in_period = 0;
    p->n_events = 0;
    p->inception_day = INT32_MIN;
    p->in_period = p->dry = false;
    p->flags = p->day_flags = 0;
    p->flows = (struct perf_flows){0};
    p->value = (struct perf_value){0};
    p->other = 0;
}

static void begin_span(struct fp_performance *p, enum perf_span_kind kind)
{
    struct perf_span *s = &p->spans[kind];

    perf_chain_init(&s->chain, p->day);
    s->open_day = p->day;
    s->open_e8 = total_e8(&p->value);
    s->first_flow = p->n_flow_days;
    s->benchmark_e8 = 0;
}

/* A benchmark that the market does not have is none. */
static void begin_benchmark(struct fp_performance *p)
{
    const struct perf_market *m = p->in->market;

    p->benchmark = p->in->benchmark_id ? perf_index_of(m, p->in->benchmark_id) : -1;
    p->benchmark_cash = -1;
    p->benchmark_e8 = 0;
    p->next_quote = 0;
    if (p->benchmark < 0 || !m->instruments[p->benchmark])
        return;
    p->dry = true;
    p->benchmark_cash = perf_cash_slot(p, m->instruments[p->benchmark]->currency);
    p->dry = false;
}

/* At the close of the day before the first transaction, wherever the run began. */
static void begin_life(struct fp_performance *p)
{
    begin_span(p, PERF_SPAN_SINCE_INCEPTION);
    begin_span(p, PERF_SPAN_YEAR_TO_DATE);
}

bool perf_begin(struct fp_performance *p)
{
    const struct perf_input *in = p->in;
    char code[4];

    begin_tables(p);
    if (in->period_start > in->period_end || in->period_start <= FP_DAY_MIN || in->period_end > FP_DAY_MAX ||
        in->period_end - in->period_start >= PERF_MAX_DAYS)
        return perf_fail(p, "bad_period", "days %d to %d", in->period_start, in->period_end);
    p->day = in->period_start - 1;
    if (perf_cash_slot(p, in->base_currency) < 0)
        return false;
    perf_currency_text(in->base_currency, code);
    p->exponent = currency_exponent(code);
    p->minor = ratio_of(1, fixed_pow10(8 - p->exponent));
    if (in->n_checkpoint && !perf_restore(p))
        return false;
    if (!perf_prepare(p))
        return false;
    begin_benchmark(p);
    if (in->n_checkpoint)
        return true;
    if (p->n_order) {
        p->inception_day = p->order[0]->day - 1;
        if (p->inception_day < p->day)
            p->day = p->inception_day;
    }
    begin_life(p);
    return true;
}

static bool add_chart_point(struct fp_performance *p)
{
    struct perf_chart_point point = {.day = p->day};

    if (!perf_to_minor(p, total_e8(&p->value), &point.value_minor) ||
        !perf_to_minor(p, p->opened_e8 + p->flows.net_e8, &point.contributed_minor))
        return false;
    PERF_ROOM(p->chart, p->n_chart, p->cap_chart);
    p->chart[p->n_chart++] = point;
    return true;
}

/* At the close of the day before the period. */
static bool open_period(struct fp_performance *p)
{
    p->in_period = true;
    p->day_flags = 0; /* of the opening values alone, not of what was booked on that day */
    if (!value_today(p))
        return false;
    p->flags = p->day_flags;
    p->opened_e8 = total_e8(&p->value);
    begin_span(p, PERF_SPAN_PERIOD);
    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        h->active |= h->quantity_e8 != 0 || h->lots.n_early;
        if (h->active && h->unknown)
            return perf_fail(p, "unknown_instrument", "instrument %lld", perf_id(p, h->instrument));
        lots_rebase(&h->lots, h->quantity_e8, h->value_e8);
        h->today_e8 = h->gain_e8 = 0;
        h->contribution = 0;
    }
    if (PERF_TRACES(p))
        perf_step(p, (struct perf_step){.kind = PERF_STEP_OPEN, .instrument = -1, .value_e8 = p->opened_e8});
    return add_chart_point(p);
}

/* --- a day -------------------------------------------------------------------------------- */

/* Splits before the transactions of their day; then all lines are in new
 * shares, and balances at the day's rates. */
static bool begin_day(struct fp_performance *p)
{
    p->in_e8 = p->out_e8 = p->day_net_e8 = 0;
    p->traded = false;
    p->day_flags = 0;
    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        if (h->next_split < h->data->n_splits && !perf_split_to(p, h, p->day))
            return false;
        if (lots_wait(&h->lots) && !perf_book_overdue(p, h))
            return false;
    }
    return perf_cash_revalue(p);
}

/* `other` by the sum of integers, in which the order of holdings does not matter. */
static void contribute(struct fp_performance *p, double weight, double step)
{
    fp_i128 held_e8 = 0;

    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        if (!h->today_e8 || !h->active || !perf_is_priced(h))
            continue;
        h->gain_e8 += h->today_e8;
        h->contribution += weight * fixed_double(h->today_e8);
        held_e8 += h->today_e8;
        h->today_e8 = 0;
    }
    p->other += step - weight * fixed_double(held_e8);
}

/* With the day, on top of the chain as it was before. */
static struct perf_link link_of(const struct perf_chain *was, const struct perf_day *d)
{
    struct perf_link l = {.days = was->days + 1,
                          .open_e8 = was->days ? was->open_e8 : d->open_e8,
                          .in_e8 = was->in_e8 + d->in_e8,
                          .out_e8 = was->out_e8 + d->out_e8,
                          .close_e8 = d->close_e8,
                          .today_in_e8 = d->in_e8,
                          .today_out_e8 = d->out_e8};
    fp_i128 in_days_e8 = was->in_days_e8 + d->in_e8 * was->days,
            out_days_e8 = was->out_days_e8 + d->out_e8 * l.days;

    l.capital_e8 = fixed_div((l.open_e8 + l.in_e8 - l.out_e8) * l.days - in_days_e8 + out_days_e8, l.days);
    return l;
}

static void trace_day(struct fp_performance *p, const struct perf_chain *c, const struct perf_chain *was,
                      const struct perf_day *d, bool closed)
{
    perf_step(p, (struct perf_step){.kind = !closed     ? PERF_STEP_HELD_OPEN
                                            : was->days ? PERF_STEP_SUBPERIOD
                                                        : PERF_STEP_DAY,
                                    .instrument = -1,
                                    .value_e8 = total_e8(&p->value),
                                    .flow_e8 = p->day_net_e8,
                                    .link = link_of(was, d),
                                    .rate = was->wealth > 0 ? c->wealth / was->wealth - 1.0 : 0,
                                    .wealth = c->wealth});
}

static void link_span(struct fp_performance *p, enum perf_span_kind kind, const struct perf_day *d)
{
    struct perf_span *s = &p->spans[kind];
    bool without_capital = s->chain.since_day == INT32_MAX,
         traced = PERF_TRACES(p) && kind == (p->in_period ? PERF_SPAN_PERIOD : PERF_SPAN_SINCE_INCEPTION);
    double weight, before = s->chain.wealth;
    struct perf_chain was;

    if (traced)
        was = s->chain;
    if (!s->chain.days)
        s->subperiod_benchmark_e8 = p->benchmark_e8; /* of the evening before */
    bool closed = perf_chain_add(&s->chain, d, &weight);
    if (without_capital && s->chain.since_day != INT32_MAX)
        s->benchmark_e8 = s->subperiod_benchmark_e8;
    if (kind == PERF_SPAN_PERIOD && closed)
        contribute(p, weight, s->chain.wealth - before);
    if (traced)
        trace_day(p, &s->chain, &was, d, closed);
}

static bool is_stale_day(const struct fp_performance *p)
{
    fp_i128 all_e8 = p->value.in_return_e8;

    if (p->in->carry_prices || p->day == p->month_end || p->day == p->in->period_end)
        return false;
    return p->value.stale_e8 * 100 > (all_e8 < 0 ? -all_e8 : all_e8) * STALE_SHARE_PERCENT;
}

static void link_day(struct fp_performance *p, const struct perf_value *before)
{
    const struct perf_day d = {
        .day = p->day,
        .open_e8 = before->in_return_e8,
        .close_e8 = p->value.in_return_e8,
        .in_e8 = p->in_e8,
        .out_e8 = p->out_e8,
        .traded = p->traded,
        .stale = is_stale_day(p),
        .quiet = !p->value.quoted || day_of_week(p->day) > 5,
    };

    if (p->in_period)
        link_span(p, PERF_SPAN_PERIOD, &d);
    link_span(p, PERF_SPAN_YEAR_TO_DATE, &d);
    link_span(p, PERF_SPAN_SINCE_INCEPTION, &d);
}

static void add_flow_day(struct fp_performance *p)
{
    if (!p->day_net_e8)
        return;
    PERF_ROOM(p->flow_days, p->n_flow_days, p->cap_flow_days);
    p->flow_days[p->n_flow_days++] = (struct perf_flow_day){p->day, p->day_net_e8};
    if (p->in_period)
        p->flows.net_e8 += p->day_net_e8;
}

static int32_t month_end_of(int32_t day)
{
    return day_add_months(day_first_of_month(day), 1) - 1;
}

static bool is_new_years_eve(int32_t day)
{
    int year, month, mday;

    day_to_civil(day, &year, &month, &mday);
    return month == 12 && mday == 31;
}

/* A new year begins with the close of its eve. A period that ends there states the old one, and the state
 * that is kept has the new one. What is before the first transaction is no state of anything. */
static void end_month_and_keep(struct fp_performance *p)
{
    struct perf_span *year = &p->spans[PERF_SPAN_YEAR_TO_DATE], old;
    bool new_year = p->day == p->month_end && is_new_years_eve(p->day);

    if (new_year)
        old = *year, begin_span(p, PERF_SPAN_YEAR_TO_DATE);
    if (p->day == p->month_end)
        p->month_end = month_end_of(p->day + 1);
    if (p->day == p->in->keep_day && p->day >= p->inception_day)
        perf_keep(p);
    if (new_year && p->day == p->in->period_end)
        *year = old;
}

/* Spans and the kept state begin with the close of a day. */
static bool end_day(struct fp_performance *p)
{
    if (p->day == p->inception_day)
        begin_life(p);
    end_month_and_keep(p);
    if (p->in_period) {
        p->flags |= p->day_flags;
        return add_chart_point(p);
    }
    return p->day != p->in->period_start - 1 || open_period(p);
}

static bool run_day(struct fp_performance *p, size_t *next)
{
    struct perf_value before = p->value;

    p->day++;
    if (!begin_day(p))
        return false;
    for (; *next < p->n_order && p->order[*next]->day == p->day; ++*next)
        if (!perf_book(p, p->order[*next]))
            return false;
    perf_book_lone_transfers(p);
    if (!value_today(p))
        return false;
    add_flow_day(p);
    link_day(p, &before);
    perf_benchmark_today(p);
    return end_day(p);
}

bool perf_run(struct fp_performance *p)
{
    size_t next = 0;

    p->month_end = month_end_of(p->day + 1);
    if (!value_today(p))
        return false;
    perf_benchmark_today(p);
    if (p->day == p->in->period_start - 1 && !open_period(p))
        return false;
    while (p->day < p->in->period_end)
        if (!run_day(p, &next))
            return false;
    return true;
}
