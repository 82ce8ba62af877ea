/*
 * Laws that hold for any portfolio, tried on generated ones, and input that
 * only malice makes. The generator is deterministic: a failure names its seed.
 * The last test prints the cost of a summary.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/performance/testing.h"

#define PORTFOLIOS 2000
#define FIRST      19786 /* 2024-03-04, a Monday */
#define DAYS       31

struct random {
    uint64_t state;
};

static uint64_t next(struct random *r) /* splitmix64 */
{
    uint64_t z = (r->state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static int64_t between(struct random *r, int64_t low, int64_t high)
{
    return low + (int64_t)(next(r) % (uint64_t)(high - low + 1));
}

static struct perf_tx *add(struct world *w, int32_t day, enum perf_type type, int instrument,
                           const char *currency)
{
    struct perf_tx *t = world_cash(w, "2024-01-01", type, "0", currency);

    t->day = day;
    t->instrument = instrument;
    return t;
}

static int64_t close_on(const struct world *w, int i, int32_t day)
{
    size_t n = w->instruments[i].closes_e8.n;

    while (n > 1 && w->closes[i][n - 1].day > day)
        n--;
    return w->closes[i][n - 1].value;
}

/* At the close of the day, so that a purchase makes no jump. */
static void trade(struct world *w, int32_t day, enum perf_type type, int i, int64_t quantity_e8,
                  int64_t fee_e4)
{
    struct perf_tx *t = add(w, day, type, i, "EUR");
    int64_t paid_e4;

    t->currency = w->instruments[i].currency;
    t->quantity_e8 = quantity_e8;
    t->price_e8 = close_on(w, i, day);
    if (!fixed_muldiv(quantity_e8, t->price_e8, FP_E8 * 10000, &paid_e4))
        fail();
    t->fee_e4 = fee_e4;
    t->amount_e4 = (type == PERF_BUY ? -paid_e4 : paid_e4) - fee_e4;
}

static void walk(struct world *w, struct random *r, int i)
{
    int64_t close = between(r, 500000000, 20000000000);

    for (int32_t day = FIRST - 10; day <= FIRST + DAYS + 5; day++) {
        close += close / 1000 * between(r, -30, 31);
        if (day_of_week(day) <= 5 && between(r, 0, 20))
            world_put(w->closes[i], &w->instruments[i].closes_e8.n, day, close);
    }
}

static void walk_rates(struct world *w, struct random *r)
{
    int64_t rate = 11000000000;

    world_rate(w, "EUR", "USD", "2024-02-20", "1.1");
    for (int32_t day = FIRST - 8; day <= FIRST + DAYS; day++) {
        rate += between(r, -80000000, 80000000);
        if (day_of_week(day) <= 5)
            world_put(w->rates[0], &w->pairs[0].rates_e10.n, day, rate);
    }
}

/* Some cash, some holdings in two currencies, trades and flows; never short. */
static struct world *generate(uint64_t seed)
{
    struct random r = {seed};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");
    int n = (int)between(&r, 1, 8);

    walk_rates(w, &r);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "EUR")->amount_e4 = between(&r, 500000000, 5000000000);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "USD")->amount_e4 = between(&r, 500000000, 5000000000);
    for (int i = 0; i < n; i++) {
        int a = world_instrument(w, between(&r, 0, 1) ? "EUR" : "USD");

        walk(w, &r, a);
        trade(w, FIRST - 8, PERF_BUY, a, between(&r, 100000000, 5000000000), between(&r, 0, 99999));
    }
    for (int k = (int)between(&r, 0, 12); k > 0; k--) {
        int32_t day = FIRST + (int32_t)between(&r, 0, DAYS - 1);
        int a = (int)between(&r, 0, n - 1);

        switch (between(&r, 0, 5)) {
        case 0:
            add(w, day, PERF_DEPOSIT, -1, between(&r, 0, 1) ? "EUR" : "USD")->amount_e4 =
                between(&r, 1, 90000000);
            break;
        case 1:
            add(w, day, PERF_WITHDRAWAL, -1, "EUR")->amount_e4 = -between(&r, 1, 1000000);
            break;
        case 2:
            trade(w, day, PERF_SELL, a, between(&r, 1, 9000000), between(&r, 0, 99999));
            break;
        case 3:
            add(w, day, PERF_DIVIDEND, a, "EUR")->amount_e4 = between(&r, 1, 900000);
            break;
        case 4:
            add(w, day, PERF_DELIVERY_IN, a, "EUR")->quantity_e8 = between(&r, 1, 900000000);
            break;
        default:
            add(w, day, PERF_FEE, -1, "EUR")->amount_e4 = -between(&r, 1, 100000);
        }
    }
    return w;
}

static void run(struct world *w, uint64_t seed)
{
    if (!world_run(w))
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, w->fault.reason, w->fault.detail);
    if (!w->summary.twr_defined)
        fail_msg("seed %llu: no return", (unsigned long long)seed);
}

#define assert_near(a, b, tolerance)                                                                         \
    do {                                                                                                     \
        if (!(fabs((double)(a) - (double)(b)) <= (tolerance)))                                               \
            fail_msg("seed %llu: %.15g is not %.15g", (unsigned long long)seed, (double)(a), (double)(b));   \
    } while (0)

static void contributions_sum_to_the_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        const struct perf_line *lines;
        double sum = 0;
        size_t n;

        run(w, seed);
        n = performance_lines(w->performance, &lines);
        for (size_t i = 0; i < n; i++)
            sum += lines[i].contribution;
        assert_near(sum, w->summary.twr, 1e-12);
        world_free(w);
    }
}

static void two_parts_link_to_the_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary whole, first;
        int32_t end = w->in.period_end;

        run(w, seed);
        whole = w->summary;
        w->in.period_end = FIRST + (int32_t)(seed % (DAYS - 1));
        run(w, seed);
        first = w->summary;
        w->in.period_start = w->in.period_end + 1;
        w->in.period_end = end;
        run(w, seed);
        assert_near((1 + first.twr) * (1 + w->summary.twr) - 1, whole.twr, 1e-12);
        assert_int_equal(first.close_value_minor, w->summary.open_value_minor);
        assert_int_equal(whole.gain_minor - first.gain_minor - w->summary.gain_minor > 1 ||
                             whole.gain_minor - first.gain_minor - w->summary.gain_minor < -1,
                         0); /* three roundings of contributions */
        world_free(w);
    }
}

static void a_flow_at_flat_prices_leaves_the_return_unchanged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct random r = {seed ^ 77};
        int32_t flat = FIRST + (int32_t)(seed % DAYS);

        /* From `flat` on nothing moves any more. */
        for (size_t i = 0; i < w->market.n_instruments; i++)
            while (w->closes[i][w->instruments[i].closes_e8.n - 1].day > flat)
                w->instruments[i].closes_e8.n--;
        while (w->rates[0][w->pairs[0].rates_e10.n - 1].day > flat)
            w->pairs[0].rates_e10.n--;
        for (size_t i = 0; i < w->in.n_txs; i++)
            if (w->txs[i].day > flat)
                w->txs[i].day = flat;
        run(w, seed);
        struct perf_summary before = w->summary;
        int32_t day = flat + 1;

        if (day > w->in.period_end) {
            world_free(w);
            continue;
        }
        add(w, day, PERF_DEPOSIT, -1, "USD")->amount_e4 = between(&r, 1, 90000000);
        add(w, day, PERF_WITHDRAWAL, -1, "EUR")->amount_e4 = -between(&r, 1, 1000000);
        add(w, day, PERF_DELIVERY_IN, 0, "EUR")->quantity_e8 = between(&r, 1, 1000000000);
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-12);
        assert_int_equal(w->summary.gain_minor - before.gain_minor <= 1 &&
                             w->summary.gain_minor >= before.gain_minor - 1,
                         1);
        world_free(w);
    }
}

static void a_split_leaves_value_and_return_unchanged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary before;
        int32_t day = FIRST - 5 + (int32_t)(seed % (DAYS + 5));
        int ratio = 2 + (int)(seed % 9);

        run(w, seed);
        before = w->summary;
        /* Closes that divide, so that only a fault can make a difference. */
        for (size_t k = 0; k < w->instruments[0].closes_e8.n; k++)
            w->closes[0][k].value -= w->closes[0][k].value % 2520; /* by 2 to 10 */
        run(w, seed);
        before = w->summary;
        for (size_t k = 0; k < w->instruments[0].closes_e8.n; k++)
            if (w->closes[0][k].day >= day)
                w->closes[0][k].value /= ratio;
        for (size_t k = 0; k < w->in.n_txs; k++)
            if (w->txs[k].instrument == 0 && w->txs[k].day >= day) {
                w->txs[k].quantity_e8 *= ratio;
                w->txs[k].price_e8 /= ratio;
            }
        w->splits[0][0] = (struct perf_split){day, ratio, 1};
        w->instruments[0].n_splits = 1;
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-12);
        assert_int_equal(w->summary.open_value_minor, before.open_value_minor);
        assert_int_equal(w->summary.close_value_minor, before.close_value_minor);
        assert_int_equal(w->summary.net_contributions_minor, before.net_contributions_minor);
        assert_int_equal(w->summary.holdings, before.holdings);
        world_free(w);
    }
}

static void all_money_ten_times_is_ten_times_the_gain(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary before;

        run(w, seed);
        before = w->summary;
        for (size_t i = 0; i < w->in.n_txs; i++) {
            w->txs[i].quantity_e8 *= 10;
            w->txs[i].amount_e4 *= 10;
            w->txs[i].fee_e4 *= 10;
        }
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-10); /* lines are rounded at 1e-8 */
        assert_near(w->summary.gain_minor, before.gain_minor * 10, 20);
        world_free(w);
    }
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world *w = generate(seed), *other = generate(seed + 1);
        struct perf_summary before;

        run(w, seed);
        before = w->summary;
        for (size_t i = 0; i < w->in.n_txs / 2; i++) { /* also when it comes in another order */
            struct perf_tx t = w->txs[i];

            w->txs[i] = w->txs[w->in.n_txs - 1 - i];
            w->txs[w->in.n_txs - 1 - i] = t;
        }
        run(other, seed);
        performance_free(w->performance);
        w->performance = other->performance; /* and after another user */
        other->performance = NULL;
        run(w, seed);
        assert_int_equal(before.twr_e8, w->summary.twr_e8);
        assert_int_equal(before.gain_minor, w->summary.gain_minor);
        assert_int_equal(before.n_top, w->summary.n_top);
        world_free(w);
        world_free(other);
    }
}

/* --- malice ---------------------------------------------------------------------------------- */

static int64_t extreme(struct random *r)
{
    const int64_t values[] = {0,  1,         -1,        INT64_MAX,    INT64_MIN,     INT64_MAX / 2,
                              -2, INT32_MAX, INT32_MIN, FP_E8 * 1000, FP_E10 * 1000, INT64_MIN + 1};

    return between(r, 0, 3) ? values[next(r) % (sizeof values / sizeof values[0])] : (int64_t)next(r);
}

static void poison_market(struct world *w, struct random *r)
{
    for (size_t i = 0; i < w->market.n_instruments; i++) {
        struct perf_instrument *in = &w->instruments[i];

        if (in->closes_e8.n && !between(r, 0, 2))
            w->closes[i][next(r) % in->closes_e8.n].value = extreme(r);
        if (!between(r, 0, 4)) {
            w->splits[i][0] = (struct perf_split){FIRST + (int32_t)between(r, -3, 9), (int32_t)extreme(r),
                                                  (int32_t)extreme(r)};
            in->n_splits = 1;
        }
        if (!between(r, 0, 9))
            in->closes_e8.n = 0;
        if (!between(r, 0, 30))
            in->currency = (int32_t)next(r);
        if (!between(r, 0, 30))
            w->pointers[i] = NULL;
    }
    if (!between(r, 0, 4))
        w->rates[0][next(r) % w->pairs[0].rates_e10.n].value = extreme(r);
}

static void poison_tx(struct perf_tx *t, struct random *r)
{
    switch (between(r, 0, 9)) {
    case 0:
        t->quantity_e8 = extreme(r);
        break;
    case 1:
        t->price_e8 = extreme(r);
        break;
    case 2:
        t->amount_e4 = extreme(r);
        break;
    case 3:
        t->fee_e4 = extreme(r);
        break;
    case 4:
        t->tax_e4 = extreme(r);
        break;
    case 5:
        t->day = between(r, 0, 1) ? (int32_t)next(r) : FIRST + (int32_t)between(r, -5, 31);
        break;
    case 6:
        t->type = between(r, 0, 5) ? (int32_t)between(r, 0, PERF_TYPES - 1) : (int32_t)next(r);
        break;
    case 7:
        t->instrument = (int32_t)between(r, -2, WORLD_INSTRUMENTS);
        break;
    case 8:
        t->id = extreme(r);
        break;
    default:
        t->currency = between(r, 0, 2) ? perf_currency("USD") : (int32_t)next(r);
    }
}

static void absurd_input_ends_in_a_fault_or_a_finite_summary(void **state)
{
    (void)state;
    int faults = 0, summaries = 0;

    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct random r = {seed * 31};
        struct world *w = generate(seed);

        poison_market(w, &r);
        for (int64_t k = between(&r, 0, 4); k > 0; k--)
            poison_tx(&w->txs[next(&r) % w->in.n_txs], &r);
        if (!between(&r, 0, 50))
            w->in.period_start = (int32_t)next(&r);
        if (world_run(w)) {
            summaries++;
            assert_true(isfinite(w->summary.twr));
        } else {
            faults++;
            assert_true(w->fault.reason[0]);
        }
        world_free(w);
    }
    assert_true(faults > 1000);
    assert_true(summaries > 1000);
}

/* --- cost -------------------------------------------------------------------------------------- */

/* 15 holdings, 31 days, 20 transactions: the portfolio of the goal in issue 3. */
static struct world *usual(void)
{
    struct random r = {7};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");

    walk_rates(w, &r);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "EUR")->amount_e4 = 5000000000;
    for (int i = 0; i < 15; i++) {
        walk(w, &r, world_instrument(w, i % 3 ? "EUR" : "USD"));
        trade(w, FIRST - 8, PERF_BUY, i, 500000000, 10000);
    }
    for (int i = 0; i < 4; i++)
        trade(w, FIRST + 7 * i, PERF_SELL, i, 100000000, 10000);
    return w;
}

static void a_summary_costs_microseconds(void **state)
{
    (void)state;
    struct world *w = usual();
    const int rounds = 5000;
    int64_t begin_us = clock_mono_us();
    double each_us;

    for (int i = 0; i < rounds; i++)
        run(w, 0);
    each_us = (double)(clock_mono_us() - begin_us) / rounds;
    print_message("15 holdings, 31 days, 20 transactions: %.1f us\n", each_us);
    assert_true(each_us < 5000); /* sanitizers and a loaded machine; a benchmark measures it */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contributions_sum_to_the_return),
        cmocka_unit_test(two_parts_link_to_the_whole),
        cmocka_unit_test(a_flow_at_flat_prices_leaves_the_return_unchanged),
        cmocka_unit_test(a_split_leaves_value_and_return_unchanged),
        cmocka_unit_test(all_money_ten_times_is_ten_times_the_gain),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(absurd_input_ends_in_a_fault_or_a_finite_summary),
        cmocka_unit_test(a_summary_costs_microseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
