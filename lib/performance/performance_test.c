/*
 * Cases small enough to compute by hand; the arithmetic stands beside each.
 * Figures of others are in tests/vectors (script/vectors), laws in properties_test.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/performance/chain.h"
#include "lib/performance/testing.h"

#define assert_rate(a, b) assert_true(fabs((a) - (b)) < 1e-12)

static void run(struct world *w)
{
    if (!world_run(w))
        fail_msg("%s: %s", w->fault.reason, w->fault.detail);
}

static void fails(struct world *w, const char *reason)
{
    assert_false(world_run(w));
    assert_string_equal(w->fault.reason, reason);
}

static double line(struct world *w, int instrument)
{
    const struct perf_line *lines;
    size_t n = performance_lines(w->performance, &lines);

    for (size_t i = 0; i < n; i++)
        if (lines[i].instrument == instrument)
            return lines[i].contribution;
    fail_msg("no line %d", instrument);
    return 0;
}

/* 10 A at 100 EUR, 5 B at 200 USD (EUR costs 1.25 USD), 500 EUR. */
static struct world *two_holdings(int *a, int *b)
{
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-06");

    *a = world_instrument(w, "EUR");
    *b = world_instrument(w, "USD");
    world_close(w, *a, "2024-03-04", "100");
    world_close(w, *a, "2024-03-05", "110");
    world_close(w, *a, "2024-03-06", "99");
    world_close(w, *b, "2024-03-04", "200");
    world_close(w, *b, "2024-03-05", "210");
    world_rate(w, "EUR", "USD", "2024-03-04", "1.25");
    world_rate(w, "EUR", "USD", "2024-03-05", "1.2");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "2300", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, *a, "10", "-1000", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, *b, "5", "-800", "EUR");
    return w;
}

static void a_day_is_linked_with_its_inflow_at_the_start(void **state)
{
    (void)state;
    int a, b;
    struct world *w = two_holdings(&a, &b);

    world_cash(w, "2024-03-06", PERF_DEPOSIT, "525", "EUR");
    run(w);
    /* 1000 + 800 + 500; then 1100 + 1050/1.2 + 500; then 990 + 875 + 1025 */
    assert_int_equal(w->summary.open_value_minor, 230000);
    assert_int_equal(w->summary.close_value_minor, 289000);
    assert_int_equal(w->summary.net_contributions_minor, 52500);
    assert_int_equal(w->summary.gain_minor, 6500);
    assert_rate(w->summary.twr, 2475.0 / 2300 * 2890 / 3000 - 1);
    assert_rate(line(w, a), 100.0 / 2300 + 2475.0 / 2300 * -110 / 3000);
    assert_rate(line(w, b), 75.0 / 2300);
    assert_rate(line(w, -1), 0.0);
    assert_int_equal(w->summary.holdings, 2);
    assert_int_equal(w->summary.flags, 0);
    assert_int_equal(w->summary.prices_as_of_day, world_day("2024-03-06"));
    world_free(w);
}

static void movers_are_ordered_by_contribution(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-05");
    const char *closes[] = {"101", "99", "104", "102", "97", "103", "100"};

    world_cash(w, "2024-01-02", PERF_DEPOSIT, "700", "EUR");
    for (int k = 0; k < 7; k++) {
        int i = world_instrument(w, "EUR");

        world_close(w, i, "2024-03-04", "100");
        world_close(w, i, "2024-03-05", closes[k]);
        world_trade(w, "2024-01-02", PERF_BUY, i, "1", "-100", "EUR");
    }
    run(w);
    assert_int_equal(w->summary.n_top, 3);
    assert_int_equal(w->summary.top[0].instrument, 2);
    assert_int_equal(w->summary.top[1].instrument, 5);
    assert_int_equal(w->summary.top[2].instrument, 3);
    assert_int_equal(w->summary.top[0].gain_minor, 400);
    assert_int_equal(w->summary.top[0].contribution_e8, 571429); /* 4/700 */
    assert_int_equal(w->summary.n_bottom, 2);                    /* one did not move */
    assert_int_equal(w->summary.bottom[0].instrument, 4);
    assert_int_equal(w->summary.bottom[1].instrument, 1);
    world_free(w);
}

static void costs_and_income_are_told_apart(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-07");
    int a = world_instrument(w, "EUR");
    struct perf_tx *t;

    world_close(w, a, "2024-03-04", "50");
    world_cash(w, "2024-03-04", PERF_DEPOSIT, "1000", "EUR");
    t = world_trade(w, "2024-03-05", PERF_BUY, a, "10", "-505", "EUR");
    t->fee_e4 = 50000;
    t = world_trade(w, "2024-03-06", PERF_DIVIDEND, a, "0", "7.5", "EUR");
    t->tax_e4 = 25000;
    world_cash(w, "2024-03-06", PERF_INTEREST, "-3", "EUR");
    world_cash(w, "2024-03-06", PERF_FEE, "-2", "EUR");
    world_cash(w, "2024-03-07", PERF_FEE, "1", "EUR"); /* a refund */
    t = world_cash(w, "2024-03-07", PERF_TAX, "-4", "EUR");
    t->tax_e4 = 40000; /* some state it again: it counts once */
    run(w);
    assert_int_equal(w->summary.income_minor, 1000 - 300);
    assert_int_equal(w->summary.fees_minor, 500 + 200 - 100);
    assert_int_equal(w->summary.taxes_minor, 250 + 400);
    /* 1000 - 5 + 7.5 - 3 - 2 + 1 - 4 */
    assert_int_equal(w->summary.close_value_minor, 99450);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    /* the holding bears its own fee and not the tax: -5 on 1000, then +10 on 995 */
    assert_rate(line(w, a), -0.005 + 0.995 * 10 / 995);
    assert_rate(line(w, a) + line(w, -1), w->summary.twr);
    world_free(w);
}

static void an_emptied_account_keeps_its_return(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-04", "100");
    world_close(w, a, "2024-03-05", "110");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-01", PERF_BUY, a, "1", "-100", "EUR");
    world_trade(w, "2024-03-05", PERF_SELL, a, "1", "110", "EUR");
    world_cash(w, "2024-03-06", PERF_WITHDRAWAL, "-110", "EUR");
    world_cash(w, "2024-03-08", PERF_DEPOSIT, "50", "EUR");
    run(w);
    assert_rate(w->summary.twr, 0.1);
    assert_int_equal(w->summary.gain_minor, 1000);
    assert_int_equal(w->summary.close_value_minor, 5000);
    assert_int_equal(w->summary.holdings, 0);
    assert_int_equal(w->summary.flags, 0);
    world_free(w);
}

static void a_chain_starts_with_the_first_capital(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    world_cash(w, "2024-03-10", PERF_DEPOSIT, "100", "EUR");
    world_cash(w, "2024-03-20", PERF_INTEREST, "1", "EUR");
    run(w);
    assert_int_equal(w->summary.since_day, world_day("2024-03-10"));
    assert_int_equal(w->summary.flags, PERF_OPENED_IN_PERIOD);
    assert_rate(w->summary.twr, 0.01);
    world_free(w);
}

static void a_gain_without_capital_is_flagged_and_kept(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    world_cash(w, "2024-03-10", PERF_INTEREST, "1", "EUR");
    run(w);
    assert_true(w->summary.flags & PERF_NO_CAPITAL);
    assert_int_equal(w->summary.gain_minor, 100);
    assert_rate(w->summary.twr, 0.0);
    world_free(w);
}

static void a_value_below_zero_has_no_return(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    world_cash(w, "2024-02-10", PERF_DEPOSIT, "100", "EUR");
    world_cash(w, "2024-03-10", PERF_FEE, "-150", "EUR");
    world_cash(w, "2024-03-11", PERF_DEPOSIT, "100", "EUR");
    run(w);
    assert_false(w->summary.twr_defined);
    assert_true(w->summary.flags & PERF_NEGATIVE_VALUE);
    assert_int_equal(w->summary.gain_minor, -15000);
    world_free(w);
}

static void a_total_loss_ends_the_chain(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-04", "100");
    world_close(w, a, "2024-03-05", "0");
    world_close(w, a, "2024-03-07", "70");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-01", PERF_BUY, a, "1", "-100", "EUR");
    run(w);
    assert_rate(w->summary.twr, -1.0);
    assert_true(w->summary.flags & PERF_SUSPECT_DAY);
    world_free(w);
}

static void a_close_is_carried_and_flagged_after_five_trading_days(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08"); /* Monday to Friday */
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-01", "100");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-01", PERF_BUY, a, "1", "-100", "EUR");
    run(w);
    assert_int_equal(w->summary.flags, 0);
    assert_int_equal(w->summary.prices_as_of_day, world_day("2024-03-01"));
    w->in.period_end = world_day("2024-03-10"); /* the weekend adds no trading day */
    run(w);
    assert_int_equal(w->summary.flags, 0);
    w->in.period_end = world_day("2024-03-11");
    run(w);
    assert_int_equal(w->summary.flags, PERF_STALE_PRICE);
    assert_int_equal(w->summary.close_value_minor, 10000);
    world_free(w);
}

static void before_the_first_close_a_trade_sets_the_price_of_its_day(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
    int a = world_instrument(w, "EUR");
    struct perf_tx *t;

    world_close(w, a, "2024-03-07", "120");
    world_cash(w, "2024-03-04", PERF_DEPOSIT, "100", "EUR");
    t = world_trade(w, "2024-03-04", PERF_BUY, a, "1", "-100", "EUR");
    t->price_e8 = world_number("100", 8);
    w->in.period_end = w->in.period_start;
    run(w);
    assert_int_equal(w->summary.close_value_minor, 10000);
    assert_true(w->summary.flags & PERF_PRICE_AFTER);
    w->in.period_end = world_day("2024-03-05"); /* then the earliest later close */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 12000);
    t->price_e8 = 0; /* not given: what was paid for each */
    w->in.period_end = w->in.period_start;
    run(w);
    assert_int_equal(w->summary.close_value_minor, 10000);
    world_free(w);
}

static void without_any_close_a_holding_stands_at_cost_outside_the_return(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_cash(w, "2024-03-01", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-03-01", PERF_BUY, a, "3", "-100", "EUR");
    world_trade(w, "2024-03-05", PERF_BUY, a, "1", "-60", "EUR");
    world_trade(w, "2024-03-06", PERF_SELL, a, "2", "500", "EUR");
    world_cash(w, "2024-03-07", PERF_INTEREST, "13.4", "EUR");
    run(w);
    assert_true(w->summary.flags & PERF_NOT_PRICED);
    assert_int_equal(w->summary.open_value_minor, 100000);
    assert_int_equal(w->summary.close_value_minor, 84000 + 50000 + 1340 + 8000); /* half of 160 */
    assert_int_equal(w->summary.gain_minor, 43340);
    assert_rate(w->summary.twr, 0.01); /* 13.4 on 1340 of cash */
    assert_int_equal(w->summary.n_top, 0);
    world_free(w);
}

static void a_split_changes_neither_value_nor_return(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-12");
    int a = world_instrument(w, "EUR");
    struct perf_tx *t;

    world_close(w, a, "2024-03-01", "100");
    world_close(w, a, "2024-03-08", "55"); /* the split was on Wednesday, without a close */
    world_split(w, a, "2024-03-06", 2, 1);
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "1050", "EUR");
    world_trade(w, "2024-03-01", PERF_BUY, a, "10", "-1000", "EUR");
    t = world_trade(w, "2024-03-06", PERF_BUY, a, "1", "-50", "EUR"); /* in new shares */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 21 * 5500);
    assert_rate(w->summary.twr, 0.1);
    w->in.period_end = world_day("2024-03-07");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 21 * 5000);
    assert_rate(w->summary.twr, 0.0);
    t->day = world_day("2024-03-05"); /* the day before: an old share for 50 of 100 */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 22 * 5000);
    world_free(w);
}

/* 1e-8 of a share stays 1e-8 when nine become five, and is worth nine fifths. */
static void a_split_that_rounds_the_shares_to_what_they_were_changes_their_value(void **state)
{
    static const char *const days[] = {"2024-02-14", "2024-03-06"}; /* before the period, and in it */
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
        int a = world_instrument(w, "EUR");

        world_cash(w, "2024-02-12", PERF_DEPOSIT, "1", "EUR");
        world_trade(w, "2024-02-12", PERF_BUY, a, "0.00000001", "-0.02", "EUR");
        world_close(w, a, "2024-02-12", "2000000");
        world_split(w, a, days[i], 5, 9);
        assert_true(world_run(w));
        assert_int_equal(w->summary.open_value_minor, i == 0 ? 102 : 100); /* 0.98 of cash, 0.036 or 0.02 */
        assert_int_equal(w->summary.close_value_minor, 102);
        world_free(w);
    }
}

static void a_later_close_is_taken_back_over_a_split(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-05");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-08", "25");
    world_split(w, a, "2024-03-07", 4, 1);
    world_trade(w, "2024-03-01", PERF_DELIVERY_IN, a, "2", "0", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 20000);
    world_free(w);
}

static void a_delivery_is_a_flow_at_the_market_value_of_the_day(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-04", "10");
    world_close(w, a, "2024-03-05", "11");
    world_close(w, a, "2024-03-06", "12");
    world_trade(w, "2024-03-01", PERF_DELIVERY_IN, a, "10", "0", "EUR");
    world_trade(w, "2024-03-05", PERF_DELIVERY_IN, a, "10", "0", "EUR")->price_e8 = world_number("999", 8);
    world_trade(w, "2024-03-06", PERF_DELIVERY_OUT, a, "5", "0", "EUR");
    run(w);
    assert_int_equal(w->summary.net_contributions_minor, 11000 - 6000);
    assert_int_equal(w->summary.close_value_minor, 18000);
    /* 100, 110 in, 220; 60 out, 180 */
    assert_rate(w->summary.twr, 220.0 / 210 * 240 / 220 - 1);
    world_free(w);
}

static void transfers_are_no_flow(void **state)
{
    (void)state;
    int a, b;
    struct world *w = two_holdings(&a, &b);
    struct perf_summary before;

    run(w);
    before = w->summary;
    world_trade(w, "2024-03-05", PERF_TRANSFER_IN, a, "4", "0", "EUR");
    world_trade(w, "2024-03-05", PERF_TRANSFER_OUT, a, "4", "0", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_OUT, "-100", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_IN, "100", "EUR");
    run(w);
    assert_memory_equal(&before, &w->summary, sizeof before);
    world_free(w);
}

/* Two banks need two days: no loss on the first, and no gain on the second. */
static void cash_that_is_on_its_way_is_neither_lost_nor_gained(void **state)
{
    (void)state;
    int a, b;
    struct world *w = two_holdings(&a, &b);
    double before;

    run(w);
    before = w->summary.twr;
    world_cash(w, "2024-03-05", PERF_TRANSFER_OUT, "-100", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_IN, "100", "EUR");
    run(w);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    assert_int_equal(w->summary.currency_minor, 0);
    assert_true(w->summary.closes);
    assert_true(fabs(w->summary.twr - before) < 0.02); /* less capital for a day, and no more than that */
    world_free(w);

    w = world_new("EUR", "2024-03-05", "2024-03-08"); /* all there is: emptied for a day */
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "1000", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_OUT, "-1000", "EUR");
    world_cash(w, "2024-03-07", PERF_TRANSFER_IN, "1000", "EUR");
    run(w);
    assert_rate(w->summary.twr, 0);
    assert_int_equal(w->summary.spans[PERF_SPAN_PERIOD].max_drawdown.e8, 0);
    world_free(w);
}

static void cash_still_on_its_way_at_the_close_is_a_flow(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    world_cash(w, "2024-02-01", PERF_DEPOSIT, "1000", "EUR");
    world_cash(w, "2024-03-31", PERF_TRANSFER_OUT, "-400", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 60000);
    assert_int_equal(w->summary.net_contributions_minor, -40000);
    assert_int_equal(w->summary.currency_minor, 0);
    assert_rate(w->summary.twr, 0);
    world_free(w);
}

/* One is on its way when the next begins, in one currency; and beside an exchange. */
static void cash_on_its_way_twice_is_neither_lost_nor_gained(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");

    world_rate(w, "EUR", "USD", "2024-03-04", "1.25");
    world_cash(w, "2024-02-01", PERF_DEPOSIT, "10000", "EUR");
    world_cash(w, "2024-03-04", PERF_TRANSFER_OUT, "-500", "EUR");
    world_cash(w, "2024-03-05", PERF_TRANSFER_IN, "500", "EUR");
    world_cash(w, "2024-03-05", PERF_TRANSFER_OUT, "-1000", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_IN, "1000", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_OUT, "-1000", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_IN, "1250", "USD");
    world_cash(w, "2024-03-06", PERF_TRANSFER_OUT, "-700", "EUR");
    world_cash(w, "2024-03-07", PERF_TRANSFER_IN, "700", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 1000000);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    assert_int_equal(w->summary.gain_minor, 0);
    assert_int_equal(w->summary.currency_minor, 0);
    assert_rate(w->summary.twr, 0);
    world_free(w);
}

static void what_an_exchange_costs_is_a_result_of_currencies(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");

    world_rate(w, "EUR", "USD", "2024-03-04", "1.25");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "1000", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_OUT, "-100", "EUR");
    world_cash(w, "2024-03-06", PERF_TRANSFER_IN, "120", "USD"); /* 96 EUR */
    run(w);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    assert_int_equal(w->summary.currency_minor, -400);
    assert_rate(w->summary.twr, -0.004);
    world_free(w);
}

static void a_currency_goes_over_a_third_one(void **state)
{
    (void)state;
    struct world *w = world_new("GBP", "2024-03-05", "2024-03-05");

    world_rate(w, "EUR", "USD", "2024-03-04", "1.25");
    world_rate(w, "EUR", "GBP", "2024-03-04", "0.8");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "125", "USD");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 8000); /* 125 USD = 100 EUR = 80 GBP */
    world_free(w);
}

static void a_missing_rate_fails_only_who_needs_it(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-05");
    struct perf_tx *t;

    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "CHF");
    fails(w, "missing_rate");
    t = world_cash(w, "2024-03-02", PERF_WITHDRAWAL, "-100", "CHF"); /* since inception needs it still */
    fails(w, "missing_rate");
    t->amount_e4 = w->txs[1].amount_e4 = 0;
    run(w);
    world_free(w);
}

static void a_rate_is_carried_and_never_one(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-11");

    world_cash(w, "2024-03-01", PERF_DEPOSIT, "110", "USD");
    world_rate(w, "EUR", "USD", "2024-03-01", "1.1");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 10000);
    assert_int_equal(w->summary.flags, PERF_STALE_PRICE);
    w->rates[0][0].day += 5; /* before the first one: the first, and said so */
    run(w);
    assert_int_equal(w->summary.open_value_minor, 10000);
    assert_true(w->summary.flags & PERF_PRICE_AFTER);
    w->rates[0][0].value = 0;
    fails(w, "bad_rate");
    world_free(w);
}

static void figures_have_the_decimals_of_the_currency(void **state)
{
    (void)state;
    const struct {
        const char *currency;
        int exponent;
        int64_t minor;
    } cases[] = {{"JPY", 0, 3}, {"EUR", 2, 250}, {"KWD", 3, 2500}, {"CLF", 4, 25000}};

    for (int i = 0; i < 4; i++) {
        struct world *w = world_new(cases[i].currency, "2024-03-05", "2024-03-05");

        world_cash(w, "2024-03-05", PERF_DEPOSIT, "2.5", cases[i].currency);
        run(w);
        assert_int_equal(w->summary.exponent, cases[i].exponent);
        assert_int_equal(w->summary.close_value_minor, cases[i].minor); /* 2.5 yen away from zero */
        world_free(w);
    }
}

static void the_order_of_input_does_not_matter(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-05");
    int a = world_instrument(w, "EUR");
    struct perf_summary before;
    struct perf_tx swap;

    /* no close: the sale takes the average of all that was bought that day */
    world_cash(w, "2024-03-04", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-05", PERF_SELL, a, "1", "30", "EUR");
    world_trade(w, "2024-03-05", PERF_BUY, a, "1", "-10", "EUR");
    world_trade(w, "2024-03-05", PERF_BUY, a, "2", "-50", "EUR");
    run(w);
    before = w->summary;
    assert_int_equal(before.close_value_minor, 10000 + 3000 - 6000 + 4000);
    swap = w->txs[0];
    w->txs[0] = w->txs[3];
    w->txs[3] = swap;
    run(w);
    assert_memory_equal(&before, &w->summary, sizeof before);
    world_free(w);
}

static void nothing_to_report_is_said(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");

    run(w);
    assert_true(w->summary.nothing);
    assert_false(w->summary.twr_defined);
    world_cash(w, "2024-01-05", PERF_DEPOSIT, "10", "EUR");
    run(w);
    assert_false(w->summary.nothing);
    world_cash(w, "2024-01-06", PERF_WITHDRAWAL, "-10", "EUR");
    run(w);
    assert_true(w->summary.nothing);
    world_cash(w, "2024-03-06", PERF_DEPOSIT, "10", "EUR");
    world_cash(w, "2024-03-06", PERF_WITHDRAWAL, "-10", "EUR");
    run(w);
    assert_false(w->summary.nothing);
    world_free(w);
}

static void a_sale_of_more_than_is_held_is_flagged(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-04", "10");
    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-05", PERF_SELL, a, "3", "30", "EUR");
    run(w);
    assert_int_equal(w->summary.flags, PERF_SHORT_POSITION);
    assert_int_equal(w->summary.close_value_minor, 10000);
    world_free(w);
}

/* What it brought is owed: a sale alone earns nothing. */
static void a_short_position_without_any_close_stands_at_what_it_brought(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_cash(w, "2024-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2024-03-05", PERF_SELL, a, "3", "30", "EUR");
    run(w);
    assert_int_equal(w->summary.flags, PERF_SHORT_POSITION | PERF_NOT_PRICED);
    assert_int_equal(w->summary.n_events, 1);
    assert_int_equal(w->summary.events[0].kind, PERF_EVENT_NOT_PRICED);
    assert_int_equal(w->summary.close_value_minor, 10000);
    assert_int_equal(w->summary.gain_minor, 0);
    world_trade(w, "2024-03-06", PERF_BUY, a, "1", "-12", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 11800 - 2000);
    world_trade(w, "2024-03-07", PERF_BUY, a, "4", "-60", "EUR"); /* two of them close it */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 5800 + 3000);
    world_trade(w, "2024-03-08", PERF_SELL, a, "5", "100", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 15800 - 6000);
    world_free(w);
}

static void what_cannot_be_meant_fails_with_a_code(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");
    struct perf_tx *t, good;

    world_close(w, a, "2024-03-04", "10");
    t = world_trade(w, "2024-03-05", PERF_BUY, a, "3", "-30", "EUR");
    good = *t;
    run(w);
    t->quantity_e8 = -1;
    fails(w, "bad_transaction");
    *t = good, t->amount_e4 = 300000;
    fails(w, "bad_transaction");
    *t = good, t->instrument = -1;
    fails(w, "bad_transaction");
    *t = good, t->instrument = 1;
    fails(w, "bad_transaction");
    *t = good, t->type = 99;
    fails(w, "unknown_type");
    *t = good, t->currency = perf_currency("XXX");
    fails(w, "unknown_currency");
    *t = good, t->currency = 0;
    fails(w, "unknown_currency");
    *t = good, w->pointers[a] = NULL;
    fails(w, "unknown_instrument");
    w->pointers[a] = &w->instruments[a], w->in.base_currency = perf_currency("XAU");
    fails(w, "unknown_currency");
    w->in.base_currency = perf_currency("EUR"), w->in.period_end = w->in.period_start - 1;
    fails(w, "bad_period");
    w->in.period_end = w->in.period_start;
    run(w); /* nothing of the faults is left */
    world_free(w);
}

static void a_listing_that_is_gone_matters_only_while_held(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-05", "2024-03-08");
    int a = world_instrument(w, "EUR");

    w->pointers[a] = NULL;
    world_cash(w, "2020-03-01", PERF_DEPOSIT, "100", "EUR");
    world_trade(w, "2020-03-05", PERF_BUY, a, "3", "-30", "EUR");
    fails(w, "unknown_instrument");
    world_trade(w, "2020-04-05", PERF_SELL, a, "3", "40", "EUR");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 11000);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_is_linked_with_its_inflow_at_the_start),
        cmocka_unit_test(movers_are_ordered_by_contribution),
        cmocka_unit_test(costs_and_income_are_told_apart),
        cmocka_unit_test(an_emptied_account_keeps_its_return),
        cmocka_unit_test(a_chain_starts_with_the_first_capital),
        cmocka_unit_test(a_gain_without_capital_is_flagged_and_kept),
        cmocka_unit_test(a_value_below_zero_has_no_return),
        cmocka_unit_test(a_total_loss_ends_the_chain),
        cmocka_unit_test(a_close_is_carried_and_flagged_after_five_trading_days),
        cmocka_unit_test(before_the_first_close_a_trade_sets_the_price_of_its_day),
        cmocka_unit_test(without_any_close_a_holding_stands_at_cost_outside_the_return),
        cmocka_unit_test(a_split_changes_neither_value_nor_return),
        cmocka_unit_test(a_split_that_rounds_the_shares_to_what_they_were_changes_their_value),
        cmocka_unit_test(a_later_close_is_taken_back_over_a_split),
        cmocka_unit_test(a_delivery_is_a_flow_at_the_market_value_of_the_day),
        cmocka_unit_test(transfers_are_no_flow),
        cmocka_unit_test(cash_that_is_on_its_way_is_neither_lost_nor_gained),
        cmocka_unit_test(cash_still_on_its_way_at_the_close_is_a_flow),
        cmocka_unit_test(cash_on_its_way_twice_is_neither_lost_nor_gained),
        cmocka_unit_test(what_an_exchange_costs_is_a_result_of_currencies),
        cmocka_unit_test(a_currency_goes_over_a_third_one),
        cmocka_unit_test(a_missing_rate_fails_only_who_needs_it),
        cmocka_unit_test(a_rate_is_carried_and_never_one),
        cmocka_unit_test(figures_have_the_decimals_of_the_currency),
        cmocka_unit_test(the_order_of_input_does_not_matter),
        cmocka_unit_test(nothing_to_report_is_said),
        cmocka_unit_test(a_sale_of_more_than_is_held_is_flagged),
        cmocka_unit_test(a_short_position_without_any_close_stands_at_what_it_brought),
        cmocka_unit_test(what_cannot_be_meant_fails_with_a_code),
        cmocka_unit_test(a_listing_that_is_gone_matters_only_while_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
