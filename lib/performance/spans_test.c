/* Where spans end and begin: the year, the first capital, days without prices, an emptied account. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/performance/checkpoint.h"
#include "lib/performance/testing.h"

static void run(struct world *w)
{
    if (!world_run(w))
        fail_msg("%s: %s", w->fault.reason, w->fault.detail);
}

/* One share, and its close on the days given; "" ends the list. */
static int share_at(struct world *w, const char *const quotes[][2])
{
    int a = world_instrument(w, "EUR");

    for (int i = 0; *quotes[i][0]; i++)
        world_close(w, a, quotes[i][0], quotes[i][1]);
    return a;
}

static void december_states_its_own_year(void **state)
{
    (void)state;
    static const char *const quotes[][2] = {
        {"2025-06-02", "100"}, {"2025-12-31", "100"}, {"2026-11-30", "110"}, {"2026-12-31", "120"}, {""}};
    struct world *w = world_new("EUR", "2026-12-01", "2026-12-31");
    const struct perf_span_figures *year = &w->summary.spans[PERF_SPAN_YEAR_TO_DATE];
    int a = share_at(w, quotes);

    w->in.carry_prices = true;
    world_cash(w, "2025-06-02", PERF_DEPOSIT, "10000", "EUR");
    world_trade(w, "2025-06-02", PERF_BUY, a, "100", "-10000", "EUR");
    w->in.keep_day = world_day("2026-12-31");
    run(w);
    assert_int_equal(year->since_day, world_day("2026-01-01"));
    assert_int_equal(year->open_value_minor, 1000000);
    assert_int_equal(year->gain_minor, 200000);
    assert_e8(year->twr, 0.2);
    assert_e8(year->twr_annual, 0.2);
    assert_e8(year->mwr, 0.2);

    struct perf_checkpoint_info info; /* and what is kept begins the next one */
    size_t n;
    const uint8_t *kept = performance_checkpoint(w->performance, &n);
    assert_true(checkpoint_info(kept, n, &info));
    uint8_t *bytes = mem_alloc(n);
    memcpy(bytes, kept, n);
    world_close(w, a, "2027-01-29", "126");
    w->in.period_start = world_day("2027-01-01");
    w->in.period_end = world_day("2027-01-31");
    w->in.keep_day = INT32_MIN;
    w->in.checkpoint = bytes;
    w->in.n_checkpoint = n;
    w->in.n_txs = 0;
    run(w);
    assert_int_equal(year->since_day, world_day("2027-01-01"));
    assert_e8(year->twr, 0.05);
    mem_free(bytes);
    world_free(w);
}

/* The share has no quote until the 15th: one sub-period, and the benchmark over the same days. */
static void the_benchmark_begins_with_a_chain_that_opens_without_prices(void **state)
{
    (void)state;
    static const char *const quotes[][2] = {{"2024-09-18", "100"}, {"2024-10-15", "108"}, {""}};
    static const char *const index[][2] = {{"2024-09-30", "100"},
                                           {"2024-10-14", "110"},
                                           {"2024-10-31", "111"},
                                           {""}};
    struct world *w = world_new("EUR", "2024-10-01", "2024-10-31");
    const struct perf_span_figures *period = &w->summary.spans[PERF_SPAN_PERIOD];
    int a = share_at(w, quotes), b = share_at(w, index);

    for (int day = 16; day <= 31; day++) {
        char text[11];

        snprintf(text, sizeof text, "2024-10-%d", day);
        world_close(w, a, text, "108");
    }
    w->in.benchmark_id = w->ids[b];
    world_cash(w, "2024-09-18", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-09-18", PERF_BUY, a, "10", "-1000", "EUR");
    run(w);
    assert_int_equal(period->since_day, world_day("2024-10-01"));
    assert_e8(period->twr, 0.08);
    assert_e8(period->benchmark, 0.11);
    world_free(w);
}

/* Of an index in another currency, whose last exchange rate is of that day. */
static bool has_benchmark_at_rate_of(const char *day)
{
    static const char *const index[][2] = {{"2024-02-29", "100"}, {"2024-03-28", "110"}, {""}};
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");
    int b = world_instrument(w, "USD");
    bool defined;

    for (int i = 0; index[i][0][0]; i++)
        world_close(w, b, index[i][0], index[i][1]);
    world_rate(w, "EUR", "USD", "2024-02-28", "1.1");
    world_rate(w, "EUR", "USD", day, "1.1");
    w->in.benchmark_id = w->ids[b];
    world_cash(w, "2024-02-01", PERF_DEPOSIT, "1000", "EUR");
    run(w);
    defined = w->summary.spans[PERF_SPAN_PERIOD].benchmark.defined;
    world_free(w);
    return defined;
}

static void a_benchmark_has_no_old_exchange_rate(void **state)
{
    (void)state;
    assert_true(has_benchmark_at_rate_of("2024-03-27"));
    assert_false(has_benchmark_at_rate_of("2024-03-01"));
    assert_false(has_benchmark_at_rate_of("2024-04-02")); /* which is of the future */
}

/* Quotes of a fund every fortnight beside daily ones: their sub-periods are no days. */
static void volatility_is_of_days_that_have_a_return(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-01-01", "2024-12-31");
    const struct perf_rate *volatility = &w->summary.spans[PERF_SPAN_PERIOD].volatility;
    int daily = world_instrument(w, "EUR"), seldom = world_instrument(w, "EUR");
    double with_days_alone;

    for (int32_t day = world_day("2023-12-29"); day <= world_day("2024-12-31"); day++) {
        char text[11];

        day_format(day, text);
        world_close(w, daily, text, day % 2 ? "100" : "101");
        if ((day - world_day("2023-12-29")) % 14 == 0)
            world_close(w, seldom, text, "10");
    }
    world_cash(w, "2023-12-29", PERF_DEPOSIT, "10000", "EUR");
    world_trade(w, "2023-12-29", PERF_BUY, daily, "90", "-9000", "EUR");
    world_trade(w, "2023-12-29", PERF_BUY, seldom, "100", "-1000", "EUR");
    run(w);
    assert_true(volatility->defined);
    with_days_alone = (double)volatility->e8 / 1e8;
    w->in.carry_prices = true;
    run(w);
    assert_in_range(llround((double)volatility->e8 / with_days_alone / 1e6), 90,
                    110); /* the same, in percent */
    world_free(w);
}

static void a_portfolio_has_no_peak_before_its_first_capital(void **state)
{
    (void)state;
    static const char *const quotes[][2] = {{"2024-10-10", "100"},
                                            {"2024-10-20", "90"},
                                            {"2024-10-31", "95"},
                                            {""}};
    struct world *w = world_new("EUR", "2024-10-01", "2024-10-31");
    const struct perf_span_figures *period = &w->summary.spans[PERF_SPAN_PERIOD];
    int a = share_at(w, quotes);

    w->in.carry_prices = true;
    world_cash(w, "2024-10-10", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-10-10", PERF_BUY, a, "10", "-1000", "EUR");
    run(w);
    assert_int_equal(period->since_day, world_day("2024-10-10"));
    assert_e8(period->max_drawdown, 0.1);
    assert_int_equal(period->drawdown_peak_day, world_day("2024-10-09"));
    assert_int_equal(period->drawdown_trough_day, world_day("2024-10-20"));
    w->in.keep_day = world_day("2024-09-30"); /* nothing is kept of a day before the first transaction */
    run(w);
    size_t n;
    assert_null(performance_checkpoint(w->performance, &n));
    world_free(w);
}

/* 347 days from the first payment to the last, in a span of 376. */
static void an_emptied_accounts_rate_is_annual_by_the_days_that_it_had_money(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2026-10-01", "2026-10-31");
    const struct perf_span_figures *all = &w->summary.spans[PERF_SPAN_SINCE_INCEPTION];

    world_cash(w, "2025-10-20", PERF_DEPOSIT, "1000", "EUR");
    world_cash(w, "2026-05-01", PERF_INTEREST, "100", "EUR");
    world_cash(w, "2026-10-02", PERF_WITHDRAWAL, "-1100", "EUR");
    run(w);
    assert_e8(all->mwr, 0.1);
    assert_false(all->mwr_annual.defined);
    world_free(w);
}

/* Wealth after the last loss is 0 and no last bit of what doubles left: below zero there is no root. */
static void a_total_loss_is_total_a_year_too(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct world *w = world_new("EUR", "2026-01-01", "2026-01-31");
        const struct perf_span_figures *all = &w->summary.spans[PERF_SPAN_SINCE_INCEPTION];
        int a = world_instrument(w, "EUR");
        char close[20];

        w->in.carry_prices = true;
        world_close(w, a, "2024-06-03", "100");
        snprintf(close, sizeof close, "%d.%03d", 110 + i, i * 37 % 1000);
        world_close(w, a, "2025-03-03", close);
        snprintf(close, sizeof close, "%d.%03d", 90 + i * 2, i * 91 % 1000);
        world_close(w, a, "2025-09-03", close);
        world_close(w, a, "2026-01-15", "0");
        world_cash(w, "2024-06-03", PERF_DEPOSIT, "1000", "EUR");
        world_trade(w, "2024-06-03", PERF_BUY, a, "10", "-1000", "EUR");
        run(w);
        assert_e8(all->twr, -1);
        assert_e8(all->twr_annual, -1);
        assert_e8(all->mwr, -1);
        assert_e8(all->mwr_annual, -1);
        world_free(w);
    }
}

/* Each span knows of its own days; the flag is the period's. */
static void a_suspect_day_before_the_period_is_told_by_the_spans_that_have_it(void **state)
{
    static const char *const days[] = {"2025-05-05", "2026-05-05", "2026-10-05"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct world *w = world_new("EUR", "2026-10-01", "2026-10-31");
        const struct perf_span_figures *spans = w->summary.spans;
        int a = world_instrument(w, "EUR");

        w->in.carry_prices = true;
        world_close(w, a, "2025-01-02", "100");
        world_close(w, a, days[i], "777");
        world_cash(w, "2025-01-02", PERF_DEPOSIT, "1000", "EUR");
        world_trade(w, "2025-01-02", PERF_BUY, a, "10", "-1000", "EUR");
        run(w);
        assert_true(spans[PERF_SPAN_SINCE_INCEPTION].suspect_day);
        assert_int_equal(spans[PERF_SPAN_YEAR_TO_DATE].suspect_day, i > 0);
        assert_int_equal(spans[PERF_SPAN_PERIOD].suspect_day, i == 2);
        assert_int_equal((w->summary.flags & PERF_SUSPECT_DAY) != 0, i == 2);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(december_states_its_own_year),
        cmocka_unit_test(the_benchmark_begins_with_a_chain_that_opens_without_prices),
        cmocka_unit_test(volatility_is_of_days_that_have_a_return),
        cmocka_unit_test(a_portfolio_has_no_peak_before_its_first_capital),
        cmocka_unit_test(an_emptied_accounts_rate_is_annual_by_the_days_that_it_had_money),
        cmocka_unit_test(a_benchmark_has_no_old_exchange_rate),
        cmocka_unit_test(a_total_loss_is_total_a_year_too),
        cmocka_unit_test(a_suspect_day_before_the_period_is_told_by_the_spans_that_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
