/*
 * From the first transaction to the summary: book up to the open, value it,
 * then day by day book, value and link. O(transactions + days x holdings).
 *
 * The return sees V without holdings that have no price (they stand at cost,
 * and what is paid for them is a flow out of the return); the printed values
 * include them. Contributions: each holding's gain of the day is weighted with
 * wealth / capital as perf_chain_add() gives it, and `other` takes exactly what
 * is left of the chain's step, so that the lines sum to the return.
 */
#include "lib/performance/performance.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/performance/internal.h"

struct fp_performance *performance_new(void)
{
    return mem_alloc(sizeof(struct fp_performance));
}

void performance_free(struct fp_performance *p)
{
    if (!p)
        return;
    mem_free(p->holdings);
    mem_free(p->slot_of);
    mem_free(p->order);
    mem_free(p->lines);
    mem_free(p);
}

bool perf_fail(struct fp_performance *p, const char *reason, const char *fmt, ...)
{
    va_list ap;

    snprintf(p->fault->reason, sizeof p->fault->reason, "%s", reason);
    va_start(ap, fmt);
    vsnprintf(p->fault->detail, sizeof p->fault->detail, fmt, ap);
    va_end(ap);
    return false;
}

static int bits(unsigned __int128 v)
{
    uint64_t hi = (uint64_t)(v >> 64), lo = (uint64_t)v;

    if (hi)
        return 128 - __builtin_clzll(hi);
    return lo ? 64 - __builtin_clzll(lo) : 0;
}

/* By the lengths of the factors: clang's checked multiplication of 128 bits
 * needs a function that is not linked. */
bool perf_mul(struct fp_performance *p, fp_i128 a, int64_t b, fp_i128 *out)
{
    unsigned __int128 abs_a = a < 0 ? -(unsigned __int128)a : (unsigned __int128)a;
    unsigned __int128 abs_b = b < 0 ? -(unsigned __int128)b : (unsigned __int128)b;

    if (bits(abs_a) + bits(abs_b) > 126)
        return perf_fail(p, "overflow", "a product beyond 128 bits");
    *out = a * b;
    return true;
}

/* --- days --------------------------------------------------------------------------- */

struct value {
    fp_i128 in_return_e8, at_cost_e8;
};

static bool value_today(struct fp_performance *p, struct value *v)
{
    fp_i128 cash_e8;

    *v = (struct value){0};
    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        if (!h->active)
            continue;
        if (!perf_holding_value(p, h))
            return false;
        if (h->quantity_e8 < 0)
            p->flags |= PERF_SHORT_POSITION;
        *(perf_is_priced(h) ? &v->in_return_e8 : &v->at_cost_e8) += h->value_e8;
    }
    if (!perf_cash_value(p, &cash_e8))
        return false;
    v->in_return_e8 += cash_e8;
    return true;
}

static bool begin(struct fp_performance *p, const struct perf_input *in, struct perf_fault *fault)
{
    p->in = in;
    p->fault = fault;
    p->flags = 0;
    p->n_cash = 0;
    p->n_holdings = p->n_order = p->n_lines = p->in_period = 0;
    p->flows = (struct perf_flows){0};
    p->other = 0;
    perf_chain_init(&p->chain);
    if (in->period_start > in->period_end || in->period_start <= FP_DAY_MIN || in->period_end > FP_DAY_MAX ||
        in->period_end - in->period_start >= PERF_MAX_DAYS)
        return perf_fail(p, "bad_period", "days %d to %d", in->period_start, in->period_end);
    p->day = in->period_start - 1;
    return perf_cash_slot(p, in->base_currency) >= 0 && perf_book_prepare(p);
}

/* Everything up to the close of the day before the period. */
static bool open_books(struct fp_performance *p, size_t *next, struct value *open)
{
    for (; *next < p->n_order && p->order[*next]->day <= p->day; (*next)++)
        if (!perf_book(p, p->order[*next], false))
            return false;
    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        if (!perf_split_to(p, h, p->day))
            return false;
        h->active |= h->quantity_e8 != 0;
        if (h->active && h->unknown)
            return perf_fail(p, "unknown_instrument", "instrument %lld",
                             (long long)p->in->market->instrument_ids[h->instrument]);
    }
    return value_today(p, open);
}

/* Splits before the transactions of their day; then all lines are in new shares. */
static bool begin_day(struct fp_performance *p)
{
    p->in_e8 = p->out_e8 = 0;
    p->traded = false;
    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];

        h->today_e8 = -h->value_e8;
        if (h->active && h->next_split < h->data->n_splits && !perf_split_to(p, h, p->day))
            return false;
    }
    return true;
}

static void link_day(struct fp_performance *p, const struct value *before, const struct value *now)
{
    const struct perf_day d = {p->day,   before->in_return_e8, now->in_return_e8, p->in_e8, p->out_e8,
                               p->traded};
    double wealth = p->chain.wealth, held = 0, weight = perf_chain_add(&p->chain, &d);

    for (size_t i = 0; i < p->n_holdings; i++) {
        struct perf_holding *h = &p->holdings[i];
        double part;

        if (!h->active || !perf_is_priced(h))
            continue;
        h->today_e8 += h->value_e8;
        h->gain_e8 += h->today_e8;
        part = weight * (double)h->today_e8;
        h->contribution += part;
        held += part;
    }
    p->other += p->chain.wealth - wealth - held;
}

static bool run_days(struct fp_performance *p, size_t next, struct value *v)
{
    while (p->day < p->in->period_end) {
        struct value before = *v;

        p->day++;
        if (!begin_day(p))
            return false;
        for (; next < p->n_order && p->order[next]->day == p->day; next++)
            if (!perf_book(p, p->order[next], true))
                return false;
        if (!value_today(p, v))
            return false;
        link_day(p, &before, v);
    }
    return true;
}

/* --- the summary --------------------------------------------------------------------- */

static bool to_minor(struct fp_performance *p, fp_i128 v_e8, int exponent, int64_t *out)
{
    if (fixed_from_i128(fixed_div(v_e8, fixed_pow10(8 - exponent)), out))
        return true;
    return perf_fail(p, "overflow", "a sum beyond 64 bits");
}

static bool to_e8(struct fp_performance *p, double rate, int64_t *out)
{
    if (!isfinite(rate) || fabs(rate) > 9e10) /* an int64 of 1e-8 ends at 9.2e10 */
        return perf_fail(p, "overflow", "a rate beyond 64 bits");
    *out = llround(rate * 1e8);
    return true;
}

static bool sum_up(struct fp_performance *p, const struct value *open, const struct value *close,
                   struct perf_summary *s)
{
    fp_i128 gain;

    if (!to_minor(p, open->in_return_e8 + open->at_cost_e8, s->exponent, &s->open_value_minor) ||
        !to_minor(p, close->in_return_e8 + close->at_cost_e8, s->exponent, &s->close_value_minor) ||
        !to_minor(p, p->flows.net_e8, s->exponent, &s->net_contributions_minor) ||
        !to_minor(p, p->flows.income_e8, s->exponent, &s->income_minor) ||
        !to_minor(p, p->flows.fees_e8, s->exponent, &s->fees_minor) ||
        !to_minor(p, p->flows.taxes_e8, s->exponent, &s->taxes_minor))
        return false;
    /* of the printed figures, so that the reader's own sum is the same */
    gain = (fp_i128)s->close_value_minor - s->open_value_minor - s->net_contributions_minor;
    if (!fixed_from_i128(gain, &s->gain_minor))
        return perf_fail(p, "overflow", "the gain beyond 64 bits");
    return true;
}

static void insert_mover(struct perf_mover *list, int *n, const struct perf_mover *m, int sign)
{
    int at = *n;

    while (at > 0 && sign * list[at - 1].contribution_e8 < sign * m->contribution_e8)
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
    if (p->n_lines == p->cap_lines) {
        p->cap_lines = p->cap_lines * 2 + 16;
        p->lines = mem_resize(p->lines, p->cap_lines, sizeof *p->lines);
    }
    p->lines[p->n_lines++] = (struct perf_line){instrument, contribution};
}

static bool sum_holdings(struct fp_performance *p, struct perf_summary *s)
{
    for (size_t i = 0; i < p->n_holdings; i++) {
        const struct perf_holding *h = &p->holdings[i];
        struct perf_mover m = {.instrument = h->instrument};

        s->holdings += h->quantity_e8 != 0;
        if (!h->active || !perf_is_priced(h))
            continue;
        if (h->quantity_e8 && h->valued_price.quote_day <= p->day &&
            h->valued_price.quote_day > s->prices_as_of_day)
            s->prices_as_of_day = h->valued_price.quote_day;
        if (!s->twr_defined)
            continue;
        if (!to_minor(p, h->gain_e8, s->exponent, &m.gain_minor) ||
            !to_e8(p, h->contribution, &m.contribution_e8))
            return false;
        add_line(p, h->instrument, h->contribution);
        if (m.contribution_e8 > 0)
            insert_mover(s->top, &s->n_top, &m, 1);
        if (m.contribution_e8 < 0)
            insert_mover(s->bottom, &s->n_bottom, &m, -1);
    }
    if (s->twr_defined)
        add_line(p, -1, p->other);
    return true;
}

static unsigned chain_flags(const struct fp_performance *p)
{
    const struct perf_chain *c = &p->chain;

    return (c->negative ? PERF_NEGATIVE_VALUE : 0) | (c->no_capital ? PERF_NO_CAPITAL : 0) |
           (c->suspect ? PERF_SUSPECT_DAY : 0);
}

static bool summarise(struct fp_performance *p, const struct value *open, const struct value *close,
                      struct perf_summary *s)
{
    const struct perf_input *in = p->in;
    char code[4];

    memset(s, 0, sizeof *s);
    perf_currency_text(in->base_currency, code);
    s->exponent = currency_exponent(code);
    s->prices_as_of_day = INT32_MIN;
    s->since_day = p->chain.since_day == INT32_MAX ? in->period_start : p->chain.since_day;
    s->twr_defined = !p->chain.negative && p->chain.since_day != INT32_MAX;
    if (!sum_up(p, open, close, s) || !sum_holdings(p, s))
        return false;
    if (s->twr_defined) {
        s->twr = p->chain.wealth - 1.0;
        if (!to_e8(p, s->twr, &s->twr_e8))
            return false;
    }
    if (s->prices_as_of_day == INT32_MIN) /* cash alone is as of the close */
        s->prices_as_of_day = in->period_end;
    s->flags = p->flags | chain_flags(p);
    if (open->in_return_e8 + open->at_cost_e8 == 0 && p->in_period)
        s->flags |= PERF_OPENED_IN_PERIOD;
    s->nothing = !p->in_period && !s->holdings && !s->open_value_minor && !s->close_value_minor;
    return true;
}

bool performance_summarise(struct fp_performance *p, const struct perf_input *in, struct perf_summary *out,
                           struct perf_fault *fault)
{
    struct value open = {0}, close;
    size_t next = 0;
    bool ok;

    memset(fault, 0, sizeof *fault);
    ok = begin(p, in, fault) && open_books(p, &next, &open);
    close = open;
    ok = ok && run_days(p, next, &close) && summarise(p, &open, &close, out);
    perf_book_reset(p);
    p->in = NULL;
    p->fault = NULL;
    return ok;
}

size_t performance_lines(const struct fp_performance *p, const struct perf_line **lines)
{
    *lines = p->lines;
    return p->n_lines;
}
