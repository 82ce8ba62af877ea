/*
 * What a holding is worth on a day.
 *
 * The last close up to the day counts, carried forward, flagged when it is
 * more than five trading days old. Before the first close: the price of a
 * trade of that very day, else the earliest later close, both flagged. Without
 * any close: what was paid, outside the return.
 *
 * Closes are as traded: one carried over a split is divided by its ratio, a
 * later one taken from behind a split is multiplied.
 */
#include "lib/performance/internal.h"

/* After these a close says little of today: notes of Portfolio Performance's
 * and ghostfolio's users in docs/statistics.md. */
#define STALE_TRADING_DAYS 5

size_t perf_series_seek(const struct perf_series *s, size_t next, int32_t day)
{
    size_t hi = s->n;

    /* Nearly always the next point or none; a long way only once, at the open. */
    for (int i = 0; i < 4; i++, next++)
        if (next >= s->n || s->points[next].day > day)
            return next;
    while (next < hi) {
        size_t mid = next + (hi - next) / 2;

        if (s->points[mid].day <= day)
            next = mid + 1;
        else
            hi = mid;
    }
    return next;
}

/* Trading days up to and with `day`, from any fixed Monday. */
static int64_t trading_days(int64_t day)
{
    const int64_t monday = -1000000 * 7 - 3; /* 1970-01-01 was a Thursday */
    int64_t n = day - monday, rest = n % 7;

    return n / 7 * 5 + (rest < 5 ? rest + 1 : 5);
}

bool perf_is_stale(int32_t quote_day, int32_t day)
{
    if ((int64_t)day - quote_day <= STALE_TRADING_DAYS)
        return false;
    return trading_days(day) - trading_days(quote_day) > STALE_TRADING_DAYS;
}

/* Brings a close of quote_day to the shares of p->day. */
static bool adjust(struct fp_performance *p, const struct perf_holding *h, struct perf_price *price)
{
    for (size_t i = 0; i < h->data->n_splits; i++) {
        const struct perf_split *s = &h->data->splits[i];
        bool ok = true;

        if (s->numerator <= 0 || s->denominator <= 0)
            return perf_fail(p, "bad_split", "instrument %lld, day %d", perf_id(p, h->instrument), s->day);
        if (price->quote_day < s->day && s->day <= p->day)
            ok = fixed_muldiv(price->value_e8, s->denominator, s->numerator, &price->value_e8);
        else if (p->day < s->day && s->day <= price->quote_day)
            ok = fixed_muldiv(price->value_e8, s->numerator, s->denominator, &price->value_e8);
        if (!ok)
            return perf_fail(p, "overflow", "price of instrument %lld over a split",
                             perf_id(p, h->instrument));
    }
    return true;
}

static bool price_today(struct fp_performance *p, struct perf_holding *h, struct perf_price *out)
{
    const struct perf_series *s = &h->data->closes_e8;
    const struct perf_point *point;

    h->next_close = perf_series_seek(s, h->next_close, p->day);
    if (!h->next_close && h->trade_price_e8 && h->trade_day == p->day) {
        *out = (struct perf_price){h->trade_price_e8, h->trade_cash, p->day, PERF_PRICE_AFTER};
        return true;
    }
    point = h->next_close ? &s->points[h->next_close - 1] : &s->points[0];
    *out = (struct perf_price){.value_e8 = point->value, .cash = h->cash, .quote_day = point->day};
    if (!h->next_close)
        out->flags = PERF_PRICE_AFTER;
    else if (perf_is_stale(point->day, p->day))
        out->flags = PERF_STALE_PRICE;
    return h->data->n_splits ? adjust(p, h, out) : true;
}

/* quantity x price, rounded once. */
static inline fp_i128 times_price(int64_t quantity_e8, int64_t price_e8)
{
    const struct fp_ratio price = ratio_of(price_e8, FP_E8);
    int64_t value_e8;

    if (price_e8 >= 0 && ratio_scale(&price, quantity_e8, &value_e8))
        return value_e8;
    return fixed_div((fp_i128)quantity_e8 * price_e8, FP_E8);
}

static bool value_at(struct fp_performance *p, const struct perf_price *price, int64_t quantity_e8,
                     fp_i128 *out_e8)
{
    return perf_to_base(p, price->cash, times_price(quantity_e8, price->value_e8), out_e8);
}

bool perf_position_value(struct fp_performance *p, struct perf_holding *h, int64_t quantity_e8,
                         fp_i128 *out_e8)
{
    struct perf_price price;

    if (!price_today(p, h, &price))
        return false;
    p->day_flags |= price.flags;
    return value_at(p, &price, quantity_e8, out_e8);
}

/* Splits on file since the last valuation, so that two quotes can be compared. */
static bool restate_last_price(struct fp_performance *p, struct perf_holding *h)
{
    int32_t quote_day = h->valued_price.quote_day;

    for (size_t i = 0; i < h->data->n_splits; i++) {
        const struct perf_split *s = &h->data->splits[i];

        if (s->day == p->day && quote_day < s->day &&
            !fixed_muldiv(h->valued_price.value_e8, s->denominator, s->numerator, &h->valued_price.value_e8))
            return perf_fail(p, "overflow", "price of instrument %lld over a split",
                             perf_id(p, h->instrument));
    }
    return true;
}

/* h->value_e8 at h->valued_price, when anything of it is new. */
static inline bool revalue(struct fp_performance *p, struct perf_holding *h, bool same_price)
{
    struct perf_cash *c = &p->cash[h->valued_price.cash];

    if (!perf_rates_today(p, c))
        return false;
    if (same_price && h->quantity_e8 == h->valued_quantity_e8 && c->version == h->valued_version)
        return true;
    h->valued_version = c->version;
    h->valued_quantity_e8 = h->quantity_e8;
    return perf_to_base_today(p, c, times_price(h->quantity_e8, h->valued_price.value_e8), &h->value_e8);
}

/* Up to this day the price stays as it is, without a flag. */
static int32_t steady_until(const struct perf_holding *h)
{
    const struct perf_series *s = &h->data->closes_e8;
    int32_t until = h->valued_price.quote_day + STALE_TRADING_DAYS;

    if (h->valued_price.flags || !h->next_close)
        return INT32_MIN;
    if (h->next_close < s->n && s->points[h->next_close].day <= until)
        until = s->points[h->next_close].day - 1;
    if (h->next_split < h->data->n_splits && h->data->splits[h->next_split].day <= until)
        until = h->data->splits[h->next_split].day - 1;
    return until;
}

/* Nearly always on a trading day: the next close is of this very day, near the
 * one before, and no split ever was. NULL: look closer. */
static const struct perf_point *plain_quote(const struct fp_performance *p, const struct perf_holding *h)
{
    const struct perf_series *s = &h->data->closes_e8;
    const struct perf_point *next = s->points + h->next_close;

    if (h->data->n_splits || h->next_close >= s->n || next->day != p->day ||
        !perf_is_near(h->valued_price.value_e8, next->value))
        return NULL;
    return next;
}

/* Into h->valued_price; *same: it was that, before a split: one that leaves the
 * number of shares as it is, being 1e-8 of one, must not leave the value. */
static bool look_closer(struct fp_performance *p, struct perf_holding *h, bool *same)
{
    const int64_t last_e8 = h->valued_price.value_e8;
    struct perf_price price;

    if (!price_today(p, h, &price) || (h->data->n_splits && !restate_last_price(p, h)))
        return false;
    p->day_flags |= price.flags;
    if (h->valued_quantity_e8 && p->in_period && !perf_is_near(h->valued_price.value_e8, price.value_e8))
        perf_judge_quote(p, h, &price);
    *same = price.value_e8 == last_e8 && price.cash == h->valued_price.cash;
    h->valued_price = price;
    return true;
}

/* The same; field by field, which is faster than a struct through memory. */
static void take_plain(struct perf_holding *h, const struct perf_point *quote, bool *same)
{
    struct perf_price *last = &h->valued_price;

    *same = quote->value == last->value_e8 && last->cash == h->cash;
    last->value_e8 = quote->value;
    last->cash = h->cash;
    last->quote_day = quote->day;
    last->flags = 0;
    h->next_close++;
}

static void value_unpriced(struct fp_performance *p, struct perf_holding *h)
{
    p->day_flags |= h->quantity_e8 ? PERF_NOT_PRICED : 0;
    h->value_e8 = h->quantity_e8 ? h->cost_e8 : 0;
    h->valued_quantity_e8 = h->quantity_e8;
    h->steady_until = INT32_MIN;
}

bool perf_holding_value(struct fp_performance *p, struct perf_holding *h)
{
    const struct perf_point *quote;
    bool same = true;

    if (p->day <= h->steady_until && h->quantity_e8 == h->valued_quantity_e8)
        return revalue(p, h, same);
    if (!h->quantity_e8 || !perf_is_priced(h)) {
        value_unpriced(p, h);
        return true;
    }
    if ((quote = plain_quote(p, h)))
        take_plain(h, quote, &same);
    else if (!look_closer(p, h, &same))
        return false;
    h->steady_until = steady_until(h);
    return revalue(p, h, same);
}

/* --- the benchmark ----------------------------------------------------------------------- */

/* A total-return index: never split-adjusted, never flagged; without a fresh
 * quote and a fresh rate it is not there. */
void perf_benchmark_today(struct fp_performance *p)
{
    const struct perf_series *s;
    const struct perf_point *quote;
    fp_i128 level_e8;
    unsigned flags = p->day_flags;

    p->benchmark_e8 = 0;
    if (p->benchmark_cash < 0)
        return;
    s = &p->in->market->instruments[p->benchmark]->closes_e8;
    p->next_quote = perf_series_seek(s, p->next_quote, p->day);
    if (!p->next_quote)
        return;
    quote = &s->points[p->next_quote - 1];
    if (perf_is_stale(quote->day, p->day) || quote->value <= 0)
        return;
    p->dry = true;
    if (!perf_rates_today(p, &p->cash[p->benchmark_cash]) || p->cash[p->benchmark_cash].flags ||
        !perf_to_base(p, p->benchmark_cash, quote->value, &level_e8) ||
        !fixed_from_i128(level_e8, &p->benchmark_e8))
        p->benchmark_e8 = 0;
    p->dry = false;
    p->day_flags = flags; /* its rates are nobody's holding */
}
