/*
 * Formulas that need no search; the money-weighted rate is xirr.c.
 *
 * The n-th root and the logarithm are made of products, sums and sqrt, each of
 * which IEEE 754 rounds in one way, so that no version of a mathematics library
 * changes a figure. Contraction to fused multiply-add is off for the whole
 * project (CMakeLists.txt).
 */
#include <math.h>

#include "lib/base/fixed.h"
#include "lib/performance/returns.h"

/* --- powers ----------------------------------------------------------------------- */

static double power(double base, uint32_t n)
{
    double p = 1;

    for (; n; n >>= 1, base *= base)
        if (n & 1)
            p *= base;
    return p;
}

/* ln(a) of a positive, finite a: square roots until a is near 1, then
 * 2 artanh((a - 1) / (a + 1)) by its series. */
static double logarithm(double a)
{
    double scale = 2, z, square, term, sum = 0;

    for (; a < 0.9 || a > 1.1; scale *= 2)
        a = sqrt(a);
    z = (a - 1) / (a + 1);
    square = z * z;
    term = z;
    for (int k = 1; k < 30; k += 2, term *= square)
        sum += term / k;
    return scale * sum;
}

/* The n-th root of a positive a: a guess by e^y = ((1 + y/2m) / (1 - y/2m))^m
 * with m = 1024, then Newton on r^n = a. */
static double root(double a, uint32_t n)
{
    double y = logarithm(a) / n / 2048, r = power((1 + y) / (1 - y), 1024);

    for (int i = 0; i < 4; i++)
        r += r * (a / power(r, n) - 1) / n;
    return r;
}

static uint32_t common(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* a^(m / n) - 1, by a^whole x the n-th root of a to the rest. */
static bool raised(double a, uint32_t m, uint32_t n, double *rate)
{
    uint32_t g = common(m, n);
    double v;

    if (!(a >= 0) || !isfinite(a))
        return false;
    m /= g;
    n /= g;
    v = a == 0 ? 0 : power(a, m / n);
    if (a > 0 && m % n)
        v *= power(root(a, n), m % n);
    *rate = v - 1;
    return isfinite(v);
}

bool returns_annualise(double rate, int32_t days, double *annual)
{
    return days > 0 && raised(1 + rate, RETURNS_YEAR_DAYS, (uint32_t)days, annual);
}

bool returns_for_days(double annual, int32_t days, double *rate)
{
    return days > 0 && raised(1 + annual, (uint32_t)days, RETURNS_YEAR_DAYS, rate);
}

/* --- Modified Dietz ------------------------------------------------------------------ */

bool returns_dietz(double open, double close, int32_t days, const struct returns_dietz_flow *flows, size_t n,
                   double *rate, double *average)
{
    double sum = 0, capital = open, r;

    for (size_t i = 0; i < n; i++) {
        int32_t worked = flows[i].day - (flows[i].amount > 0 && !flows[i].end_of_day);

        sum += flows[i].amount;
        if (days > 0)
            capital += flows[i].amount * ((double)(days - worked) / days);
    }
    r = (close - open - sum) / capital;
    if (average && isfinite(capital))
        *average = capital;
    if (days < 1 || !(capital > 0) || !isfinite(r))
        return false;
    *rate = r;
    return true;
}

/* --- risk ------------------------------------------------------------------------------ */

void returns_sample_add(struct returns_sample *s, double r)
{
    double before = r - s->mean;

    s->n++;
    s->mean += before / s->n;
    s->m2 += before * (r - s->mean);
}

bool returns_volatility(const struct returns_sample *s, double *annual)
{
    double v;

    if (s->n < RETURNS_MIN_SAMPLE)
        return false;
    v = sqrt(s->m2 / (s->n - 1)) * sqrt(RETURNS_TRADING_DAYS);
    if (!isfinite(v))
        return false;
    *annual = v;
    return true;
}

void returns_drawdown_add(struct returns_drawdown *d, int32_t day, double wealth)
{
    double fall;

    if (!isfinite(wealth))
        return;
    if (wealth > d->peak) {
        d->peak = wealth;
        d->peak_day = day;
        return;
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
    double sum = 0, squares = 0, below = 0, mean;

    if (n < 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!(r[i] > -1) || !isfinite(r[i]))
            return false;
        sum += logarithm(1 + r[i]);
    }
    mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double off = logarithm(1 + r[i]) - mean;

        squares += off * off;
        below += off < 0 ? off * off : 0;
    }
    *volatility = sqrt(squares / (double)(n - 1) * (double)n);
    *semi = sqrt(below / (double)(n - 1) * (double)n);
    return true;
}

/* --- shares of a whole -------------------------------------------------------------------- */

static fp_i128 remainder_of(const int64_t *values, size_t i, fp_i128 total)
{
    return values[i] > 0 ? (fp_i128)values[i] * 10000 % total : -1;
}

/* The largest remainder below (before, at) in the order of size, then place. */
static size_t next_largest(const int64_t *values, size_t n, fp_i128 total, fp_i128 before, size_t at)
{
    fp_i128 best = -1;
    size_t chosen = n;

    for (size_t i = 0; i < n; i++) {
        fp_i128 r = remainder_of(values, i, total);

        if (r > best && (r < before || (r == before && i > at))) {
            best = r;
            chosen = i;
        }
    }
    return chosen;
}

void returns_shares(const int64_t *values, size_t n, int32_t *percent_e2)
{
    fp_i128 total = 0, before;
    int32_t left = 10000;
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        total += values[i] > 0 ? values[i] : 0;
    for (size_t i = 0; i < n; i++) {
        percent_e2[i] = values[i] > 0 ? (int32_t)((fp_i128)values[i] * 10000 / total) : 0;
        left -= percent_e2[i];
    }
    before = total;
    while (total > 0 && left > 0) {
        at = next_largest(values, n, total, before, at);
        before = remainder_of(values, at, total);
        percent_e2[at]++;
        left--;
    }
}
