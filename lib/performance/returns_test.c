/* Formulas: worked figures, what is undefined, and that nothing infinite leaves. The cases of others are
 * in tests/vectors. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/performance/returns.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void assert_near(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%.17g is not %.17g", have, want);
}

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* --- money-weighted ---------------------------------------------------------------- */

static void one_rate(void **state)
{
    const struct returns_flow microsoft[] = {
        {13879, -10000}, {13939, 2750}, {14182, 4250}, {14290, 3250}, {14335, 2750}};
    const struct {
        struct returns_flow flows[3];
        double annual, period;
    } rows[] = {
        {{{0, -1000}, {365, 1100}}, 0.1, 0.1},
        {{{0, -1000}, {365, 1000}}, 0, 0},
        {{{0, -1000}, {730, 1210}}, 0.1, 0.21},
        {{{0, 1000}, {365, -1100}}, 0.1, 0.1}, /* signs turned round */
        {{{-5, -1000}, {360, 3000}}, 2, 2},
        {{{0, -100}, {7, 50}}, -1, -0.5},
        {{{0, -100}, {1, 93}}, -1, -0.07},
        {{{0, -18480}, {11, 13120}}, -0.9999884228170087, 13120.0 / 18480 - 1},
        {{{0, -1000}, {20454, 390000}}, 0.11233945341961, 389},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct returns_mwr m = returns_xirr(rows[i].flows, 2);

        assert_true(m.defined && !m.several);
        assert_near(m.annual, rows[i].annual, 1e-8);
        assert_near(m.period, rows[i].period, 1e-9);
    }
    assert_near(returns_xirr(microsoft, 5).annual, 0.373362535, 1e-8);
}

static void short_spans_are_solved(void **state)
{
    struct returns_flow week[] = {{0, -100}, {7, 400}}, day[] = {{0, -100}, {1, 400}};
    struct returns_mwr m = returns_xirr(week, 2);

    (void)state;
    assert_true(m.defined);
    assert_near(m.period, 3, 1e-12);
    assert_true(m.annual > 2e31 && m.annual < 3e31);
    m = returns_xirr(day, 2);
    assert_near(m.period, 3, 1e-12);
    assert_true(isfinite(m.annual));
    day[1].amount = 1100; /* 11^365 is no double */
    assert_false(returns_xirr(day, 2).defined);
}

static void what_is_undefined(void **state)
{
    const struct {
        struct returns_flow flows[4];
        size_t n;
    } rows[] = {
        {{{0, 0}}, 0},
        {{{0, -1000}}, 1},
        {{{0, -1000}, {1, -1}}, 2},
        {{{0, 1000}, {1, 1}, {9, 0}}, 3},
        {{{0, 0}, {1, 0}, {9, 0}}, 3},
        {{{5, -100}, {5, 110}}, 2},
        {{{5, -100}, {5, 100}, {9, 1}}, 3}, /* one day is left */
        {{{0, -100}, {365, 150}, {730, -100}}, 3},
        {{{0, -100}, {0, 0}}, 2},
        {{{0, -INFINITY}, {9, 1}}, 2},
        {{{0, NAN}, {9, 1}}, 2},
        {{{0, -DBL_MAX}, {1, -DBL_MAX}, {9, 1}}, 3},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (returns_xirr(rows[i].flows, rows[i].n).defined)
            fail_msg("row %zu has a rate", i);
}

static void a_total_loss(void **state)
{
    struct returns_flow f[] = {{0, -1000}, {40, -5}, {90, 0}};
    struct returns_mwr m = returns_xirr(f, 3);

    (void)state;
    assert_true(m.defined && m.annual == -1 && m.period == -1);
    f[1].amount = 1; /* something came back */
    m = returns_xirr(f, 3);
    assert_true(m.defined && m.annual >= -1);
    assert_near(m.period, -0.999, 1e-12);
}

static void several_rates_are_flagged(void **state)
{
    /* +10 % and +20 %; then +100 % and +5 %; then -50 % and +300 % */
    struct returns_flow f[] = {{0, -100}, {365, 230}, {730, -132}};
    struct returns_mwr m = returns_xirr(f, 3);

    (void)state;
    assert_true(m.defined && m.several);
    assert_near(m.annual, 0.1, 1e-9);
    f[1].amount = 305;
    f[2].amount = -210;
    m = returns_xirr(f, 3);
    assert_true(m.several);
    assert_near(m.annual, 0.05, 1e-9);
    f[1].amount = 450;
    f[2].amount = -200;
    m = returns_xirr(f, 3);
    assert_true(m.several);
    assert_near(m.annual, -0.5, 1e-9); /* 4 is 3.6 times 1.1, and that 2.2 times 0.5 */
}

/* -1000 (1 - a v)(1 - b v), v a year's factor. */
static void two_rates(struct returns_flow f[3], double a, double b)
{
    f[0] = (struct returns_flow){0, -1000};
    f[1] = (struct returns_flow){365, 1000 * (a + b)};
    f[2] = (struct returns_flow){730, -1000 * a * b};
}

static void two_rates_close_together_are_found(void **state)
{
    /* +10 %, and +50 % and +50.5 % */
    struct returns_flow f[] = {{0, -1000}, {365, 4105}, {730, -5563}, {1095, 2483.25}};
    struct returns_mwr m = returns_xirr(f, 4);

    (void)state;
    assert_true(m.defined && m.several);
    assert_near(m.annual, 0.1, 1e-9);
    for (double rate = -0.9; rate < 20; rate = rate * 1.1 + 0.13)
        for (double gap = 1e-5; gap < 0.1; gap *= 2) {
            two_rates(f, 1 + rate, (1 + rate) * (1 + gap));
            m = returns_xirr(f, 3);
            if (!m.defined || !m.several)
                fail_msg("%g and %g above it: %d %d", rate, gap, m.defined, m.several);
            assert_true(m.annual > rate - 1e-9 - gap / 100 * (1 + rate) &&
                        m.annual < (1 + rate) * (1 + gap * 1.01) - 1);
        }
    two_rates(f, 1, 1.001); /* 0 % is one of them */
    m = returns_xirr(f, 3);
    assert_true(m.several);
    assert_near(m.annual, 0.001, 1e-9);
}

/* As far as doubles can tell they are one; a curve that stays short of zero has none. */
static void a_rate_that_is_touched_is_one(void **state)
{
    struct returns_flow f[] = {{0, -100}, {365, 220}, {730, -121}};
    struct returns_mwr m = returns_xirr(f, 3);

    (void)state;
    assert_true(m.defined && !m.several);
    assert_near(m.annual, 0.1, 1e-6);
    f[1].amount = 219.99999;
    assert_false(returns_xirr(f, 3).defined);
}

/* A withdrawal in between turns the sign twice more and leaves one rate. */
static void a_withdrawal_makes_no_second_rate(void **state)
{
    const struct returns_flow f[] = {{0, -1000}, {50, 300}, {100, -500}, {200, 10}, {300, -5}, {400, 1250}};
    struct returns_mwr m = returns_xirr(f, COUNT(f));

    (void)state;
    assert_true(m.defined && !m.several);
    assert_true(m.annual > 0.03 && m.annual < 0.06);
}

static void flows_of_a_day_are_one(void **state)
{
    const struct returns_flow apart[] = {{100, 60}, {0, -30}, {50, -7}, {100, 50},
                                         {0, -70},  {50, 7},  {120, 0}};
    const struct returns_flow merged[] = {{0, -100}, {100, 110}};
    struct returns_mwr a = returns_xirr(apart, COUNT(apart)), b = returns_xirr(merged, 2);

    (void)state;
    assert_true(a.defined);
    assert_near(a.annual, b.annual, 1e-12);
    assert_near(a.period, 0.1, 1e-12); /* the zero of day 120 lengthens nothing */
}

static void out_of_order_is_sorted_or_refused(void **state)
{
    const struct returns_flow f[] = {{365, 1100}, {0, -1000}};

    (void)state;
    assert_near(returns_xirr(f, 2).annual, 0.1, 1e-12);
    assert_false(returns_xirr_sorted(f, 2).defined);
}

static void the_order_changes_no_bit(void **state)
{
    struct returns_flow f[700], g[700]; /* more than fit on the stack */
    uint64_t seed = 3;
    struct returns_mwr a, b;

    (void)state;
    for (int i = 0; i < 700; i++)
        f[i] = (struct returns_flow){(int32_t)(next(&seed) % 900), -(double)(next(&seed) % 100000) / 100};
    f[699] = (struct returns_flow){900, 380000};
    for (int i = 0; i < 700; i++)
        g[i] = f[(i * 13 + 5) % 700];
    a = returns_xirr(f, 700);
    b = returns_xirr(g, 700);
    assert_true(a.defined && b.defined);
    assert_memory_equal(&a.annual, &b.annual, sizeof a.annual);
}

static double present(const struct returns_flow *f, size_t n, double annual, double *size)
{
    double sum = 0;

    *size = 0;
    for (size_t i = 0; i < n; i++) {
        double v = f[i].amount * pow(1 + annual, -(double)(f[i].day - f[0].day) / 365);

        sum += v;
        *size += fabs(v);
    }
    return sum;
}

static void any_flows_give_a_root_or_nothing(void **state)
{
    int defined = 0, several = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct returns_flow f[40];
        uint64_t r = seed;
        size_t n = 2 + next(&r) % 38;
        double size;
        struct returns_mwr m;

        for (size_t i = 0; i < n; i++)
            f[i] = (struct returns_flow){(i ? f[i - 1].day : 0) + (int32_t)(next(&r) % 200),
                                         (double)(int64_t)(next(&r) % 200001) / 100 - 1000};
        m = returns_xirr_sorted(f, n);
        if (!m.defined)
            continue;
        defined++;
        several += m.several;
        assert_true(isfinite(m.annual) && isfinite(m.period) && m.annual >= -1);
        if (m.annual > -0.9999 && m.annual < 1e6 && fabs(present(f, n, m.annual, &size)) > 1e-9 * size)
            fail_msg("seed %llu: %.17g is no root", (unsigned long long)seed, m.annual);
    }
    assert_true(defined > 10000 && several > 100);
}

static void any_doubles_give_a_finite_rate_or_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct returns_flow f[6];
        uint64_t r = seed, bits;
        struct returns_mwr m;

        for (int i = 0; i < 6; i++) {
            bits = next(&r);
            if (seed % 2) /* of about one size, else anything a double can be */
                bits = (bits & UINT64_C(0x83FFFFFFFFFFFFFF)) | UINT64_C(0x3C00000000000000);
            f[i].day = (int32_t)next(&r);
            memcpy(&f[i].amount, &bits, sizeof bits);
        }
        m = returns_xirr(f, 6);
        assert_true(!m.defined || (isfinite(m.annual) && isfinite(m.period)));
    }
}

/* --- time-weighted -------------------------------------------------------------------- */

static void dietz(void **state)
{
    const struct returns_dietz_flow half[] = {{45, 10000, true}},
                                    in[] = {{50, 100, false}, {100, 100, false}},
                                    out[] = {{14, -37.1, false}}, emptied[] = {{1, -200, false}};
    double rate = 7, average = 0;

    (void)state;
    assert_true(returns_dietz(100000, 112000, 90, half, 1, &rate, NULL));
    assert_near(rate, 2000.0 / 105000, 1e-15);
    assert_true(returns_dietz(100, 305, 100, in, 2, &rate, &average));
    assert_near(average, 152, 1e-12);
    assert_true(returns_dietz(74.2, 30, 31, out, 1, &rate, NULL));
    assert_near(rate, (30 - 74.2 + 37.1) / (74.2 - 37.1 * 17 / 31), 1e-15);
    rate = 7;
    assert_false(returns_dietz(100, 5, 30, emptied, 1, &rate, &average)); /* average below zero */
    assert_false(returns_dietz(0, 5, 30, NULL, 0, &rate, &average));
    assert_false(returns_dietz(100, 105, 0, NULL, 0, &rate, NULL));
    assert_false(returns_dietz(100, INFINITY, 30, NULL, 0, &rate, NULL));
    assert_true(rate == 7); /* untouched */
}

static void years_and_days(void **state)
{
    const double rates[] = {-0.999999, -0.5, -0.02, 0, 1e-9, 0.07, 1, 250, 1e9};
    const int32_t days[] = {1, 31, 73, 364, 365, 366, 575, 730, 3650, 10957};
    double a, b;

    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++)
        for (size_t k = 0; k < COUNT(days); k++) {
            double want = pow(1 + rates[i], 365.0 / days[k]) - 1;

            if (!isfinite(want)) {
                assert_false(returns_annualise(rates[i], days[k], &a));
                continue;
            }
            assert_true(returns_annualise(rates[i], days[k], &a));
            assert_near(a, want, 1e-12 * (1 + fabs(want)));
            want = pow(1 + rates[i], days[k] / 365.0) - 1;
            if (!isfinite(want))
                continue;
            assert_true(returns_for_days(rates[i], days[k], &b));
            assert_near(b, want, 1e-11 * (1 + fabs(want)));
        }
    assert_true(returns_annualise(-1, 31, &a) && a == -1);
    assert_true(returns_annualise(0.25, 365, &a) && a == 0.25);
    assert_false(returns_annualise(-1.0000001, 400, &a));
    assert_false(returns_annualise(0.1, 0, &a));
    assert_false(returns_annualise(0.1, -3, &a));
    assert_false(returns_annualise(NAN, 400, &a));
    assert_false(returns_annualise(INFINITY, 400, &a));
    assert_false(returns_for_days(NAN, 400, &a));
    assert_true(returns_for_days(DBL_MIN, INT32_MAX, &a) && isfinite(a));
    assert_false(returns_for_days(1, INT32_MAX, &a));
}

/* --- risk -------------------------------------------------------------------------------- */

static void volatility(void **state)
{
    struct returns_sample s = {0};
    double v;

    (void)state;
    for (int i = 0; i < 19; i++)
        returns_sample_add(&s, i % 2 ? 0.01 : -0.01);
    assert_false(returns_volatility(&s, &v));
    returns_sample_add(&s, 0.01);
    assert_true(returns_volatility(&s, &v));
    assert_near(v, sqrt(0.0001 * 20 / 19) * sqrt(252), 1e-15);
    returns_sample_add(&s, INFINITY);
    assert_false(returns_volatility(&s, &v));
}

static void volatility_of_a_period(void **state)
{
    const double r[] = {0.005, -1.0 / 300, -0.005, 0.01, 0.01, -0.005}, lost[] = {0.1, -1},
                 wild[] = {50, -0.99};
    double v, semi;

    (void)state;
    assert_true(returns_volatility_of_period(r, 6, &v, &semi));
    assert_near(v, 0.017736692475, 1e-11);
    assert_near(semi, 0.012188677034, 1e-11);
    assert_false(returns_volatility_of_period(r, 1, &v, &semi));
    assert_false(returns_volatility_of_period(lost, 2, &v, &semi));
    assert_true(returns_volatility_of_period(wild, 2, &v, &semi));
    assert_near(v, log(51 / 0.01), 1e-12);
}

static void drawdown(void **state)
{
    struct returns_drawdown d = {.peak = 1.0, .peak_day = 9};
    const double wealth[] = {0.9, 1.2, 1.3, 0.65, 1.4, 1.05, INFINITY};

    (void)state;
    for (int32_t i = 0; i < 2; i++)
        returns_drawdown_add(&d, 10 + i, wealth[i]);
    assert_near(d.max, 0.1, 1e-15); /* a loss on the first day counts */
    assert_int_equal(d.max_peak_day, 9);
    for (int32_t i = 2; i < 7; i++)
        returns_drawdown_add(&d, 10 + i, wealth[i]);
    assert_near(d.max, 0.5, 1e-15);
    assert_int_equal(d.max_peak_day, 12);
    assert_int_equal(d.max_trough_day, 13);
}

/* --- shares of a whole ------------------------------------------------------------------- */

static void shares(void **state)
{
    const struct {
        int64_t values[4];
        int32_t want[4];
    } rows[] = {
        {{1, 1, 1, 0}, {3334, 3333, 3333, 0}},
        {{1, 1, 1, 4}, {1429, 1429, 1428, 5714}},
        {{-50, 100, 0, 0}, {0, 10000, 0, 0}},
        {{0, -1, 0, 0}, {0, 0, 0, 0}},
        {{INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}, {2500, 2500, 2500, 2500}},
        {{1, INT64_MAX, INT64_MIN, 1}, {0, 10000, 0, 0}},
    };
    int32_t have[300];
    int64_t values[300];
    uint64_t seed = 5;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        returns_shares(rows[i].values, 4, have);
        assert_memory_equal(have, rows[i].want, sizeof rows[i].want);
    }
    for (int i = 0; i < 2000; i++) {
        size_t n = 1 + next(&seed) % 300;
        int32_t sum = 0;

        for (size_t k = 0; k < n; k++)
            values[k] = (int64_t)(next(&seed) % (i % 2 ? 9 : 1000000)) - 1;
        values[0] = 1;
        returns_shares(values, n, have);
        for (size_t k = 0; k < n; k++)
            sum += have[k];
        assert_int_equal(sum, 10000);
    }
    returns_shares(NULL, 0, have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_rate),
        cmocka_unit_test(short_spans_are_solved),
        cmocka_unit_test(what_is_undefined),
        cmocka_unit_test(a_total_loss),
        cmocka_unit_test(several_rates_are_flagged),
        cmocka_unit_test(two_rates_close_together_are_found),
        cmocka_unit_test(a_rate_that_is_touched_is_one),
        cmocka_unit_test(a_withdrawal_makes_no_second_rate),
        cmocka_unit_test(flows_of_a_day_are_one),
        cmocka_unit_test(out_of_order_is_sorted_or_refused),
        cmocka_unit_test(the_order_changes_no_bit),
        cmocka_unit_test(any_flows_give_a_root_or_nothing),
        cmocka_unit_test(any_doubles_give_a_finite_rate_or_nothing),
        cmocka_unit_test(dietz),
        cmocka_unit_test(years_and_days),
        cmocka_unit_test(volatility),
        cmocka_unit_test(volatility_of_a_period),
        cmocka_unit_test(drawdown),
        cmocka_unit_test(shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
