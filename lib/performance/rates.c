/*
 * Currencies of one user: cash balances, and the way into the base currency.
 *
 * A rate is carried forward; before the first one the first is taken, with a
 * flag; it is never assumed to be 1. Rates are looked up by the direct pair,
 * the inverse one, or both over a third currency (companies often store all
 * rates against one). A currency that is never needed needs no rate.
 *
 * Each step is rounded once, half away from zero, at 1e-8.
 */
#include <limits.h>
#include <string.h>

#include "lib/performance/internal.h"

/* 2^90 is 10^19 units of money: nobody has it, and a million such lines still
 * sum up within 128 bits. */
#define MAX_VALUE_E8 ((fp_i128)1 << 90)

int32_t perf_currency(const char *code)
{
    for (int i = 0; i < 3; i++)
        if (code[i] < 'A' || code[i] > 'Z')
            return 0;
    return code[3] ? 0 : code[0] << 16 | code[1] << 8 | code[2];
}

void perf_currency_text(int32_t currency, char out[4])
{
    out[0] = (char)(currency >> 16 & 0x7f);
    out[1] = (char)(currency >> 8 & 0x7f);
    out[2] = (char)(currency & 0x7f);
    out[3] = 0;
}

int perf_cash_slot(struct fp_performance *p, int32_t currency)
{
    char text[4];

    for (int i = 0; i < p->n_cash; i++)
        if (p->cash[i].currency == currency)
            return i;
    perf_currency_text(currency, text);
    if (!perf_currency(text) || currency_exponent(text) < 0) {
        perf_fail(p, "unknown_currency", "currency %s", perf_currency(text) ? text : "(none)");
        return -1;
    }
    if (p->n_cash == PERF_MAX_CURRENCIES) {
        perf_fail(p, "too_many_currencies", "more than %d", PERF_MAX_CURRENCIES);
        return -1;
    }
    p->cash[p->n_cash] = (struct perf_cash){.currency = currency, .legs = -1, .day = INT32_MIN};
    return p->n_cash++;
}

/* A pair that leads from `from` to `to`; to 0: any, starting at *at. */
static const struct perf_pair *find_pair(const struct perf_market *m, int32_t from, int32_t to, size_t *at,
                                         bool *inverse)
{
    for (size_t i = *at; i < m->n_pairs; i++) {
        const struct perf_pair *pair = &m->pairs[i];

        if (!pair->rates_e10.n || pair->base == pair->quote)
            continue;
        if ((pair->base == from && (!to || pair->quote == to)) ||
            (pair->quote == from && (!to || pair->base == to))) {
            *inverse = pair->quote == from;
            *at = i + 1;
            return pair;
        }
    }
    return NULL;
}

static bool find_legs(struct fp_performance *p, struct perf_cash *c)
{
    const struct perf_market *m = p->in->market;
    int32_t base = p->in->base_currency;
    struct perf_leg *a = &c->leg[0], *b = &c->leg[1];
    size_t at = 0, to = 0;
    char from_text[4], base_text[4];

    if (c->currency == base) {
        c->legs = 0;
        return true;
    }
    a->pair = find_pair(m, c->currency, base, &at, &a->inverse);
    if (a->pair) {
        c->legs = 1;
        return true;
    }
    for (at = 0; (a->pair = find_pair(m, c->currency, 0, &at, &a->inverse)); to = 0) {
        b->pair = find_pair(m, a->inverse ? a->pair->base : a->pair->quote, base, &to, &b->inverse);
        if (b->pair) {
            c->legs = 2;
            return true;
        }
    }
    perf_currency_text(c->currency, from_text);
    perf_currency_text(base, base_text);
    return perf_fail(p, "missing_rate", "no rate between %s and %s", from_text, base_text);
}

static bool leg_to_day(struct fp_performance *p, struct perf_cash *c, struct perf_leg *l)
{
    const struct perf_series *s = &l->pair->rates_e10;
    const struct perf_point *point;

    l->next = perf_series_seek(s, l->next, p->day);
    point = l->next ? &s->points[l->next - 1] : &s->points[0];
    if (!l->next)
        c->flags |= PERF_PRICE_AFTER;
    else if (perf_is_stale(point->day, p->day))
        c->flags |= PERF_STALE_PRICE;
    if (point->value <= 0)
        return perf_fail(p, "bad_rate", "a rate of %lld on day %d", (long long)point->value, point->day);
    if (point->value == (l->inverse ? l->ratio.denominator : l->ratio.numerator))
        return true;
    c->version++;
    l->ratio = l->inverse ? ratio_of(FP_E10, point->value) : ratio_of(point->value, FP_E10);
    return true;
}

bool perf_rates_look_up(struct fp_performance *p, struct perf_cash *c)
{
    if (c->legs < 0 && !find_legs(p, c))
        return false;
    c->flags = 0;
    for (int i = 0; i < c->legs; i++)
        if (!leg_to_day(p, c, &c->leg[i]))
            return false;
    c->day = p->day;
    return true;
}

static bool over_leg(struct fp_performance *p, const struct fp_ratio *rate, fp_i128 *v_e8)
{
    int64_t scaled_e8;

    if (*v_e8 == (int64_t)*v_e8 && ratio_scale(rate, (int64_t)*v_e8, &scaled_e8)) {
        *v_e8 = scaled_e8;
        return true;
    }
    if (!perf_mul(p, *v_e8, rate->numerator, v_e8))
        return false;
    *v_e8 = fixed_div(*v_e8, rate->denominator);
    return true;
}

bool perf_convert(struct fp_performance *p, const struct perf_cash *c, fp_i128 v_e8, fp_i128 *out_e8)
{
    for (int i = 0; i < c->legs; i++)
        if (!over_leg(p, &c->leg[i].ratio, &v_e8))
            return false;
    if (v_e8 > MAX_VALUE_E8 || v_e8 < -MAX_VALUE_E8)
        return perf_fail(p, "overflow", "a value beyond all money");
    *out_e8 = v_e8;
    return true;
}

bool perf_to_base(struct fp_performance *p, int cash, fp_i128 v_e8, fp_i128 *out_e8)
{
    struct perf_cash *c = &p->cash[cash];

    *out_e8 = 0;
    if (v_e8 == 0) /* needs no rate */
        return true;
    return perf_rates_today(p, c) && perf_to_base_today(p, c, v_e8, out_e8);
}

int32_t perf_rate_day(const struct fp_performance *p, int cash)
{
    const struct perf_cash *c = &p->cash[cash];
    int32_t day = INT32_MAX;

    if (c->legs <= 0 || c->day != p->day)
        return INT32_MIN;
    for (int i = 0; i < c->legs; i++) {
        const struct perf_leg *l = &c->leg[i];
        int32_t of_leg = l->pair->rates_e10.points[l->next ? l->next - 1 : 0].day;

        day = of_leg < day ? of_leg : day;
    }
    return day;
}

/* c->value_e8 for the present day. */
static bool balance_value(struct fp_performance *p, int i)
{
    struct perf_cash *c = &p->cash[i];

    if (c->amount_e4 && !perf_rates_today(p, c))
        return false;
    if (c->amount_e4 == c->valued_e4 && c->version == c->valued_version)
        return true;
    c->valued_e4 = c->amount_e4;
    c->valued_version = c->version;
    return perf_to_base(p, i, (fp_i128)c->amount_e4 * PERF_E4_TO_E8, &c->value_e8);
}

bool perf_cash_revalue(struct fp_performance *p)
{
    for (int i = 0; i < p->n_cash; i++) {
        fp_i128 before_e8 = p->cash[i].value_e8;

        if (!p->cash[i].amount_e4)
            continue;
        if (!balance_value(p, i))
            return false;
        if (p->in_period)
            p->flows.currency_e8 += p->cash[i].value_e8 - before_e8;
    }
    return true;
}

bool perf_cash_value(struct fp_performance *p, fp_i128 *sum_e8)
{
    *sum_e8 = 0;
    for (int i = 0; i < p->n_cash; i++) {
        if (!balance_value(p, i))
            return false;
        *sum_e8 += p->cash[i].value_e8;
        if (PERF_TRACES(p) && p->in_period && p->cash[i].amount_e4)
            perf_step(p, (struct perf_step){.kind = PERF_STEP_CASH,
                                            .instrument = -1,
                                            .currency = p->cash[i].currency,
                                            .rate_day = perf_rate_day(p, i),
                                            .quantity_e8 = (fp_i128)p->cash[i].amount_e4 * PERF_E4_TO_E8,
                                            .value_e8 = p->cash[i].value_e8});
    }
    return true;
}
