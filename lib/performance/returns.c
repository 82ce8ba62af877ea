/*
 * The internal rate of return is found as a daily discount factor v: the sum
 * of amount x v^(day - first) is zero, and 1 + annual = v^-365. That is a
 * polynomial, and Horner's scheme over the gaps between the days needs no
 * exponential function.
 *
 * From the factor of +10 % a year the search goes outwards in both directions
 * until the sign changes; Newton, kept within the bracket, finds the root. With
 * one change of sign in the flows (what most portfolios are: paid in, then worth
 * something) there is one root at most (Descartes), and the search may stop at
 * it and take wide steps; else it goes on over the whole range in small ones
 * and counts.
 */
#include "lib/performance/returns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

/* 1.1^(-1/365) */
#define FACTOR_OF_TEN_PERCENT 0.99973891030956121
/* Of a year, or of the flows' span where that is shorter: the sum grows 10^13
 * times too small (all but lost) to a million times too large. */
#define MOST_DISCOUNT  1e13
#define LEAST_DISCOUNT 8e-7
/* Steps of the search, as part of that span. */
#define STEP_WIDE    0.05
#define STEP_NARROW  0.04
#define GROWTH_WIDE  2.0
#define GROWTH_SMALL 1.08
#define MAX_STEPS    400
#define MAX_NEWTON   200

/* v^n by squaring. */
static double power(double v, int64_t n)
{
    double result = 1.0;

    for (; n > 0; n >>= 1, v *= v)
        if (n & 1)
            result *= v;
    return result;
}

/* The n-th root of w >= 0. Newton from above falls monotonically: v^n is convex. */
static double root_of(double w, int32_t n)
{
    double v = w > 1.0 ? 1.0 + (w - 1.0) / n : 1.0;

    for (;;) {
        double next = v - (v - w / power(v, n - 1)) / n;

        if (!(next < v) || next <= 0)
            return v;
        v = next;
    }
}

/* --- money-weighted ------------------------------------------------------------------- */

struct search {
    const struct returns_flow *flows;
    size_t n;
    int32_t span; /* days of the unit of a step */
    bool one_root;
};

/* The sum at v, and its derivative by log v. */
static double sum_at(const struct search *s, double v, double *slope)
{
    double sum = 0, d = 0;

    for (size_t i = s->n; i-- > 0;) {
        int64_t gap = i + 1 < s->n ? (int64_t)s->flows[i + 1].day - s->flows[i].day : 0;
        double p = gap ? power(v, gap) : 1.0;

        d = (d + (double)gap * sum) * p;
        sum = sum * p + s->flows[i].amount;
    }
    if (slope)
        *slope = d;
    return sum;
}

/* Between low and high the sign of the sum changes; it is `low_negative` at low. */
static double find_root(const struct search *s, double low, double high, bool low_negative)
{
    double v = sqrt(low) * sqrt(high);

    for (int i = 0; i < MAX_NEWTON; i++) {
        double slope, sum = sum_at(s, v, &slope), next = v - v * (sum / slope);

        if (sum == 0)
            return v;
        *((sum < 0) == low_negative ? &low : &high) = v;
        if (!(next > low && next < high))
            next = sqrt(low) * sqrt(high);
        if (next == v || fabs(next - v) < v * 1e-16)
            return next;
        v = next;
    }
    return v;
}

struct found {
    int roots;
    double factor; /* of the first, seen from the start */
};

/* Walks from the start to one end of the range. */
static void walk(const struct search *s, double begin, bool up, struct found *f)
{
    double step = s->one_root ? STEP_WIDE : STEP_NARROW, v = begin;
    bool negative = sum_at(s, v, NULL) < 0;

    for (int i = 0; i < MAX_STEPS && (!s->one_root || !f->roots); i++) {
        double next = up ? v * (1.0 + step / s->span) : v / (1.0 + step / s->span);
        double discount = power(next, s->span);
        bool next_negative = sum_at(s, next, NULL) < 0;

        if (next_negative != negative && !f->roots++)
            f->factor = up ? find_root(s, v, next, negative) : find_root(s, next, v, next_negative);
        if (discount > MOST_DISCOUNT || discount < LEAST_DISCOUNT)
            return;
        v = next;
        negative = next_negative;
        step *= s->one_root ? GROWTH_WIDE : i > 40 ? GROWTH_SMALL : 1.0;
    }
}

static struct found search(const struct search *s)
{
    struct found up = {0}, down = {0};
    double begin = FACTOR_OF_TEN_PERCENT;

    if (sum_at(s, begin, NULL) == 0 && s->one_root)
        return (struct found){1, begin};
    walk(s, begin, true, &up);
    if (!s->one_root || !up.roots)
        walk(s, begin, false, &down);
    if (!down.roots || (up.roots && up.factor / begin <= begin / down.factor))
        return (struct found){up.roots + down.roots, up.factor};
    return (struct found){up.roots + down.roots, down.factor};
}

struct signs {
    int changes;
    bool positive, negative;
    int32_t first_day, last_day; /* with a flow that is not zero */
    bool finite;
};

/* Of the flows with those of one day together. */
static struct signs signs_of(const struct returns_flow *flows, size_t n)
{
    struct signs s = {.finite = true};
    int last = 0;

    for (size_t i = 0; i < n;) {
        int32_t day = flows[i].day;
        double sum = 0;
        int sign;

        for (; i < n && flows[i].day == day; i++)
            sum += flows[i].amount;
        s.finite &= isfinite(sum) != 0;
        sign = sum > 0 ? 1 : sum < 0 ? -1 : 0;
        if (!sign)
            continue;
        if (!last)
            s.first_day = day;
        s.changes += last && sign != last;
        s.positive |= sign > 0;
        s.negative |= sign < 0;
        s.last_day = day;
        last = sign;
    }
    return s;
}

struct returns_mwr returns_xirr_sorted(const struct returns_flow *flows, size_t n)
{
    struct signs signs = signs_of(flows, n);
    struct search s = {.flows = flows, .n = n, .one_root = signs.changes == 1};
    struct returns_mwr r = {0};
    struct found f;
    int32_t days = signs.last_day - signs.first_day;

    if (!signs.finite)
        return r;
    if (!signs.positive && signs.negative && flows[n - 1].amount == 0 && flows[n - 1].day > signs.first_day)
        return (struct returns_mwr){.defined = true, .annual = -1.0, .period = -1.0};
    if (!signs.positive || !signs.negative || days <= 0)
        return r;
    s.span = days < RETURNS_YEAR_DAYS ? days : RETURNS_YEAR_DAYS;
    f = search(&s);
    if (!f.roots)
        return r;
    r.several = f.roots > 1;
    r.annual = 1.0 / power(f.factor, RETURNS_YEAR_DAYS) - 1.0;
    r.period = 1.0 / power(f.factor, days) - 1.0;
    r.defined = isfinite(r.annual) && isfinite(r.period);
    return r;
}

static int by_day(const void *a, const void *b)
{
    int32_t x = ((const struct returns_flow *)a)->day, y = ((const struct returns_flow *)b)->day;

    return x < y ? -1 : x > y;
}

struct returns_mwr returns_xirr(const struct returns_flow *flows, size_t n)
{
    struct returns_flow *sorted = mem_array(n + 1, sizeof *sorted);
    struct returns_mwr r;

    if (n)
        memcpy(sorted, flows, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_day);
    r = n ? returns_xirr_sorted(sorted, n) : (struct returns_mwr){0};
    mem_free(sorted);
    return r;
}

/* --- time-weighted ----------------------------------------------------------------------- */

bool returns_dietz(double open, double close, int32_t days, const struct returns_dietz_flow *flows, size_t n,
                   double *rate, double *average)
{
    double net = 0, weighted = 0, capital;

    for (size_t i = 0; i < n; i++) {
        bool from_start = flows[i].amount > 0 && !flows[i].end_of_day;

        net += flows[i].amount;
        weighted += flows[i].amount * (days - flows[i].day + from_start) / days;
    }
    capital = open + weighted;
    if (average)
        *average = capital;
    if (days < 1 || !(capital > 0))
        return false;
    *rate = (close - open - net) / capital;
    return isfinite(*rate);
}

bool returns_annualise(double rate, int32_t days, double *annual)
{
    if (!(rate >= -1.0) || !isfinite(rate) || days < 1)
        return false;
    *annual = rate == -1.0 ? -1.0 : power(root_of(1.0 + rate, days), RETURNS_YEAR_DAYS) - 1.0;
    return isfinite(*annual);
}

bool returns_for_days(double annual, int32_t days, double *rate)
{
    if (!(annual >= -1.0) || !isfinite(annual) || days < 1)
        return false;
    *rate = annual == -1.0 ? -1.0 : power(root_of(1.0 + annual, RETURNS_YEAR_DAYS), days) - 1.0;
    return isfinite(*rate);
}

/* --- risk ---------------------------------------------------------------------------------- */

void returns_sample_add(struct returns_sample *s, double r)
{
    double delta = r - s->mean;

    s->n++;
    s->mean += delta / s->n;
    s->m2 += delta * (r - s->mean);
}

bool returns_volatility(const struct returns_sample *s, double *annual)
{
    if (s->n < RETURNS_MIN_SAMPLE)
        return false;
    *annual = sqrt(s->m2 / (s->n - 1) * RETURNS_TRADING_DAYS);
    return isfinite(*annual);
}

void returns_drawdown_add(struct returns_drawdown *d, int32_t day, double wealth)
{
    double fall;

    if (wealth > d->peak) {
        d->peak = wealth;
        d->peak_day = day;
    }
    fall = (d->peak - wealth) / d->peak;
    if (fall > d->max) {
        d->max = fall;
        d->max_peak_day = d->peak_day;
        d->max_trough_day = day;
    }
}

bool returns_volatility_of_period(const double *r, size_t n, double *volatility, double *semi)
{
    double sum = 0, mean, all = 0, below = 0;

    for (size_t i = 0; i < n; i++) {
        if (!(r[i] > -1.0))
            return false;
        sum += log(1.0 + r[i]);
    }
    if (n < 2)
        return false;
    mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = log(1.0 + r[i]) - mean;

        all += d * d;
        below += d < 0 ? d * d : 0;
    }
    *volatility = sqrt(all / (double)(n - 1) * (double)n);
    *semi = sqrt(below / (double)(n - 1) * (double)n);
    return isfinite(*volatility) && isfinite(*semi);
}

/* --- shares of a whole ------------------------------------------------------------------------ */

#define WHOLE_E2 10000

__extension__ typedef unsigned __int128 u128;

void returns_shares(const int64_t *values, size_t n, int32_t *percent_e2)
{
    u128 total = 0;
    int32_t left = WHOLE_E2;

    for (size_t i = 0; i < n; i++)
        total += values[i] > 0 ? (u128)values[i] : 0;
    for (size_t i = 0; i < n; i++) {
        percent_e2[i] = values[i] > 0 ? (int32_t)((u128)values[i] * WHOLE_E2 / total) : 0;
        left -= percent_e2[i];
    }
    /* fewer are left than there are positive values: each gets one at most */
    for (; total && left > 0; left--) {
        size_t best = n;
        u128 most = 0;

        for (size_t i = 0; i < n; i++) {
            u128 floor = (u128)percent_e2[i] * total, exact = values[i] > 0 ? (u128)values[i] * WHOLE_E2 : 0;

            if (exact > floor && exact - floor > most) {
                most = exact - floor;
                best = i;
            }
        }
        if (best == n)
            return;
        percent_e2[best]++;
    }
}
