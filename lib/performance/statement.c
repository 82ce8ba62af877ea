/*
 * The statement: the bridge from opening to closing value, what was paid for
 * what is held, positions, movers and events.
 *
 * Each part of the bridge is computed for itself: currencies from the daily
 * revaluation of balances, realised from sales against lots, unrealised from
 * what is left of them. What the unrounded sum misses is the residual; it is a
 * few units of 1e-8, or the books are wrong and nothing may be sent. Printed,
 * the unrealised part takes the rounding, so that the reader's sum is exact.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/performance/internal.h"

/* Of one line, in 1e-8 of the base currency: 0.01. */
#define TOLERANCE_E8 1000000

struct totals { /* over all holdings, at the close */
    fp_i128 value_e8, basis_e8, cost_fifo_e8, cost_average_e8;
    int64_t lines;
    bool lots_agree;
};

static struct totals sum_lots(const struct fp_performance *p)
{
    struct totals t = {.lots_agree = true};

    for (size_t i = 0; i < p->n_holdings; i++) {
        const struct perf_holding *h = &p->holdings[i];
        struct perf_lots_sum lots = lots_sum(&h->lots);

        t.value_e8 += h->value_e8;
        t.lines += h->active;
        t.basis_e8 += lots.basis_e8;
        t.cost_fifo_e8 += lots.cost_e8;
        t.cost_average_e8 += h->lots.average_cost_e8;
        t.lots_agree &= lots.quantity_e8 == h->quantity_e8;
    }
    return t;
}

static bool to_64_bits(struct fp_performance *p, fp_i128 gain, int64_t *out)
{
    return fixed_from_i128(gain, out) || perf_fail(p, "overflow", "a sum beyond 64 bits");
}

static bool flows_minor(struct fp_performance *p, struct perf_summary *s)
{
    const struct perf_flows *f = &p->flows;
    const struct {
        fp_i128 e8;
        int64_t *minor;
    } rows[] = {
        {p->opened_e8, &s->open_value_minor},
        {p->value.in_return_e8 + p->value.at_cost_e8, &s->close_value_minor},
        {f->net_e8, &s->net_contributions_minor},
        {f->income_e8, &s->income_minor},
        {f->dividends_e8, &s->dividends_minor},
        {f->withheld_e8, &s->withheld_tax_minor},
        {f->fees_e8, &s->fees_minor},
        {f->taxes_e8, &s->taxes_minor},
        {f->currency_e8, &s->currency_minor},
        {f->realised_e8, &s->realised_minor},
        {f->realised_fifo_e8, &s->realised_fifo_minor},
        {f->realised_average_e8, &s->realised_average_minor},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!perf_to_minor(p, rows[i].e8, rows[i].minor))
            return false;
    /* of the printed figures, so that the reader's own sums are the same */
    return to_64_bits(p, (fp_i128)s->income_minor - s->dividends_minor, &s->interest_minor) &&
           to_64_bits(p, (fp_i128)s->close_value_minor - s->open_value_minor - s->net_contributions_minor,
                      &s->gain_minor);
}

static bool bridge(struct fp_performance *p, struct perf_summary *s, const struct totals *t)
{
    const struct perf_flows *f = &p->flows;
    fp_i128 unrealised_e8 = t->value_e8 - t->basis_e8, residual_e8, tolerance_e8;

    residual_e8 = p->value.in_return_e8 + p->value.at_cost_e8 - p->opened_e8 - f->net_e8 - f->realised_e8 -
                  unrealised_e8 - f->income_e8 + f->fees_e8 + f->taxes_e8 - f->currency_e8;
    tolerance_e8 = (fp_i128)TOLERANCE_E8 * ((int64_t)p->n_in_period + t->lines + 1);
    s->closes = t->lots_agree && residual_e8 <= tolerance_e8 && residual_e8 >= -tolerance_e8;
    if (!fixed_from_i128(residual_e8, &s->residual_e8))
        s->residual_e8 = residual_e8 < 0 ? INT64_MIN : INT64_MAX;
    return to_64_bits(p,
                      (fp_i128)s->gain_minor - s->realised_minor - s->income_minor + s->fees_minor +
                          s->taxes_minor - s->currency_minor,
                      &s->unrealised_minor);
}

static bool cost_basis(struct fp_performance *p, struct perf_summary *s, const struct totals *t)
{
    return perf_to_minor(p, t->cost_fifo_e8, &s->cost_fifo_minor) &&
           perf_to_minor(p, t->cost_average_e8, &s->cost_average_minor) &&
           perf_to_minor(p, t->value_e8 - t->cost_fifo_e8, &s->unrealised_fifo_minor) &&
           perf_to_minor(p, t->value_e8 - t->cost_average_e8, &s->unrealised_average_minor);
}

/* --- holdings ------------------------------------------------------------------------------- */

/* Equals in the order of ids, whatever the order of the books. */
static bool is_behind(const struct perf_mover *a, const struct perf_mover *b, int sign)
{
    if (a->contribution_e8 != b->contribution_e8)
        return sign * a->contribution_e8 < sign * b->contribution_e8;
    return a->instrument > b->instrument;
}

static void insert_mover(struct perf_mover *list, int *n, const struct perf_mover *m, int sign)
{
    int at = *n;

    while (at > 0 && is_behind(&list[at - 1], m, sign))
        at--;
    if (at == PERF_MOVERS)
        return;
    if (*n < PERF_MOVERS)
        (*n)++;
    memmove(&list[at + 1], &list[at], (size_t)(*n - 1 - at) * sizeof *list);
    list[at] = *m;
}

static void add_line(struct fp_performance *p, int32_t instrument, double contribution)
{
    PERF_ROOM(p->lines, p->n_lines, p->cap_lines);
    p->lines[p->n_lines++] = (struct perf_line){instrument, contribution};
}

/* Its share of the return, where it is in it. */
static void add_contribution(struct fp_performance *p, struct perf_summary *s, const struct perf_holding *h,
                             int64_t gain_minor)
{
    struct perf_mover m = {.instrument = h->instrument, .gain_minor = gain_minor};

    if (!h->active || !perf_is_priced(h) || !s->twr_defined)
        return;
    m.contribution_e8 = llround(h->contribution * 1e8);
    add_line(p, h->instrument, h->contribution);
    if (m.contribution_e8 > 0)
        insert_mover(s->top, &s->n_top, &m, 1);
    if (m.contribution_e8 < 0)
        insert_mover(s->bottom, &s->n_bottom, &m, -1);
}

static bool add_position(struct fp_performance *p, struct perf_summary *s, const struct perf_holding *h,
                         int64_t gain_minor)
{
    struct perf_position pos = {.instrument = h->instrument,
                                .quantity_e8 = h->quantity_e8,
                                .price_e8 = h->valued_price.value_e8,
                                .price_day = h->valued_price.quote_day,
                                .gain_minor = gain_minor};

    if (!perf_to_minor(p, h->value_e8, &pos.value_minor) ||
        !perf_to_minor(p, lots_sum(&h->lots).cost_e8, &pos.cost_fifo_minor) ||
        !perf_to_minor(p, h->lots.average_cost_e8, &pos.cost_average_minor))
        return false;
    PERF_ROOM(p->positions, p->n_positions, p->cap_positions);
    p->positions[p->n_positions++] = pos;
    s->holdings++;
    if (perf_is_on_its_way(h))
        p->flags |= PERF_IN_TRANSIT;
    return true;
}

static void note_price(struct fp_performance *p, struct perf_summary *s, const struct perf_holding *h)
{
    int32_t quote_day = h->valued_price.quote_day;

    if (!perf_is_priced(h))
        perf_event(p, &(struct perf_event){PERF_EVENT_NOT_PRICED, p->day, h->instrument, 0, 0, 0});
    else if (h->valued_price.flags & PERF_STALE_PRICE)
        perf_event(p, &(struct perf_event){PERF_EVENT_STALE_PRICE, quote_day, h->instrument, 0, 0, 0});
    if (perf_is_priced(h) && quote_day <= p->day && quote_day > s->prices_as_of_day)
        s->prices_as_of_day = quote_day;
}

/* In the order of ids, as the market is. */
static int by_instrument(const void *a, const void *b)
{
    int32_t x = ((const struct perf_position *)a)->instrument,
            y = ((const struct perf_position *)b)->instrument;

    return x < y ? -1 : x > y;
}

static int by_line(const void *a, const void *b)
{
    int32_t x = ((const struct perf_line *)a)->instrument, y = ((const struct perf_line *)b)->instrument;

    return x < y ? -1 : x > y;
}

static bool sum_holdings(struct fp_performance *p, struct perf_summary *s)
{
    int64_t gain_minor;

    s->prices_as_of_day = INT32_MIN;
    for (size_t i = 0; i < p->n_holdings; i++) {
        const struct perf_holding *h = &p->holdings[i];

        if (!perf_to_minor(p, h->gain_e8, &gain_minor))
            return false;
        add_contribution(p, s, h, gain_minor);
        if (!h->quantity_e8)
            continue;
        if (!add_position(p, s, h, gain_minor))
            return false;
        note_price(p, s, h);
    }
    perf_sort(p->positions, p->n_positions, sizeof *p->positions, by_instrument);
    perf_sort(p->lines, p->n_lines, sizeof *p->lines, by_line);
    if (s->twr_defined)
        add_line(p, -1, p->other);
    if (s->prices_as_of_day == INT32_MIN) /* cash alone is as of the close */
        s->prices_as_of_day = p->in->period_end;
    return true;
}

/* --- together --------------------------------------------------------------------------------- */

static void put_events(struct fp_performance *p, struct perf_summary *s)
{
    perf_sort(p->events, (size_t)p->n_events, sizeof p->events[0], perf_event_by_rank);
    s->n_events = p->n_events < PERF_EVENTS ? p->n_events : PERF_EVENTS;
    memcpy(s->events, p->events, (size_t)s->n_events * sizeof s->events[0]);
    perf_sort(s->events, (size_t)s->n_events, sizeof s->events[0], perf_event_compare);
}

static unsigned flags_of(const struct fp_performance *p)
{
    const struct perf_chain *c = &p->spans[PERF_SPAN_PERIOD].chain;

    return p->flags | (c->negative ? PERF_NEGATIVE_VALUE : 0) | (c->no_capital ? PERF_NO_CAPITAL : 0) |
           (c->suspect ? PERF_SUSPECT_DAY : 0) |
           (p->opened_e8 == 0 && p->n_in_period ? PERF_OPENED_IN_PERIOD : 0);
}

/* Next to no capital can make a return that means nothing, and that no figure
 * holds. So can a way there over a wealth beside which the end is rounding. */
static bool has_return(const struct fp_performance *p, const struct perf_chain *c)
{
    bool fits = perf_rate_fits(c->wealth) && perf_rate_fits(c->drawdown.peak) && perf_rate_fits(p->other);

    for (size_t i = 0; i < p->n_holdings; i++)
        fits &= perf_rate_fits(p->holdings[i].contribution);
    return fits && !c->negative && c->since_day != INT32_MAX;
}

bool perf_statement(struct fp_performance *p, struct perf_summary *s)
{
    const struct perf_chain *c = &p->spans[PERF_SPAN_PERIOD].chain;
    struct totals t = sum_lots(p);

    s->exponent = p->exponent;
    s->since_day = c->since_day == INT32_MAX ? p->in->period_start : c->since_day;
    s->twr_defined = has_return(p, c);
    if (!flows_minor(p, s) || !bridge(p, s, &t) || !cost_basis(p, s, &t) || !sum_holdings(p, s))
        return false;
    if (s->twr_defined) {
        s->twr = c->wealth - 1.0;
        s->twr_e8 = llround(s->twr * 1e8);
    }
    put_events(p, s);
    s->flags = flags_of(p);
    s->nothing = !p->n_in_period && !s->holdings && !s->open_value_minor && !s->close_value_minor;
    return true;
}
