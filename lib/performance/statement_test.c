/*
 * The statement as a whole: the bridge closes, lots and averages are what was
 * paid, spans and benchmark begin where they should, a state taken up again
 * gives the same bytes, and a broken one is refused.
 */
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

static int64_t bridge_minor(const struct perf_summary *s)
{
    return s->open_value_minor + s->net_contributions_minor + s->realised_minor + s->unrealised_minor +
           s->income_minor - s->fees_minor - s->taxes_minor + s->currency_minor;
}

/* A year with everything: two currencies, costs, dividends, sales. */
static struct world *eventful(void)
{
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-29");
    int a = world_instrument(w, "EUR"), b = world_instrument(w, "USD");
    struct perf_tx *t;

    world_rate(w, "EUR", "USD", "2023-01-02", "1.05");
    world_rate(w, "EUR", "USD", "2024-02-28", "1.10");
    world_rate(w, "EUR", "USD", "2024-03-11", "1.08");
    world_rate(w, "EUR", "USD", "2024-03-29", "1.12");
    for (int32_t day = world_day("2023-01-02"); day <= world_day("2024-04-02"); day++) {
        char text[11], close[20];

        day_format(day, text);
        snprintf(close, sizeof close, "%d.%02d", 100 + day % 17, day % 7 * 11);
        world_close(w, a, text, close);
        snprintf(close, sizeof close, "%d.%02d", 50 + day % 11, day % 5 * 13);
        world_close(w, b, text, close);
    }
    world_cash(w, "2023-01-10", PERF_DEPOSIT, "10000", "EUR");
    world_cash(w, "2023-01-10", PERF_DEPOSIT, "5000", "USD");
    t = world_trade(w, "2023-02-01", PERF_BUY, a, "30", "-3100", "EUR");
    t->fee_e4 = 50000;
    world_trade(w, "2023-06-01", PERF_BUY, a, "20", "-2111.11", "EUR")->account = 2;
    world_trade(w, "2023-07-03", PERF_BUY, b, "40", "-2000", "USD")->fee_e4 = 12345;
    t = world_trade(w, "2024-03-05", PERF_DIVIDEND, a, "0", "40.25", "EUR");
    t->tax_e4 = 97500;
    t = world_trade(w, "2024-03-12", PERF_SELL, a, "35", "3700.77", "EUR");
    t->fee_e4 = 60000;
    t->tax_e4 = 110000;
    world_trade(w, "2024-03-13", PERF_BUY, b, "10", "-511", "EUR");
    world_cash(w, "2024-03-14", PERF_WITHDRAWAL, "-250.55", "USD");
    world_cash(w, "2024-03-14", PERF_FEE, "-4.99", "EUR");
    world_cash(w, "2024-03-15", PERF_TRANSFER_OUT, "-1000", "EUR");
    world_cash(w, "2024-03-15", PERF_TRANSFER_IN, "1077", "USD");
    world_cash(w, "2024-03-18", PERF_INTEREST, "1.23", "USD");
    return w;
}

static void the_bridge_sums_to_the_closing_value(void **state)
{
    (void)state;
    struct world *w = eventful();

    run(w);
    assert_true(w->summary.closes);
    assert_true(w->summary.residual_e8 < 100 && w->summary.residual_e8 > -100);
    assert_int_equal(bridge_minor(&w->summary), w->summary.close_value_minor);
    assert_int_equal(w->summary.dividends_minor, 5000);
    assert_int_equal(w->summary.withheld_tax_minor, 975);
    assert_int_equal(w->summary.income_minor, w->summary.dividends_minor + w->summary.interest_minor);
    assert_true(w->summary.currency_minor != 0);
    world_free(w);
}

/* Opening value 1000, half sold for 600: 100 realised, and 50 on the rest. */
static void gains_are_measured_against_the_opening_value(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-02-29", "100");
    world_close(w, a, "2024-03-05", "120");
    world_close(w, a, "2024-03-08", "110");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "400", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, a, "10", "-400", "EUR");
    world_trade(w, "2024-03-05", PERF_SELL, a, "5", "590", "EUR")->fee_e4 = 100000;
    run(w);
    assert_int_equal(w->summary.realised_minor, 10000);
    assert_int_equal(w->summary.unrealised_minor, 5000);
    assert_int_equal(w->summary.realised_fifo_minor, 39000); /* since purchase: 590 - 200 */
    assert_int_equal(w->summary.unrealised_fifo_minor, 35000);
    assert_int_equal(w->summary.cost_fifo_minor, 20000);
    assert_int_equal(w->summary.fees_minor, 1000);
    world_free(w);
}

static void spans_begin_where_they_should(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-29");
    int a = world_instrument(w, "EUR"), index = world_instrument(w, "EUR");
    const struct perf_span_figures *f = w->summary.spans;
    const char *days[] = {"2022-06-30", "2022-12-30", "2023-12-29", "2024-02-29", "2024-03-29"};
    const char *closes[] = {"100", "100", "150", "120", "180"}, *levels[] = {"50", "80", "100", "110", "121"};

    for (int i = 0; i < 5; i++) {
        world_close(w, a, days[i], closes[i]);
        world_close(w, index, days[i], levels[i]);
    }
    w->in.benchmark_id = w->ids[index];
    w->in.carry_prices = true;
    world_cash(w, "2022-12-31", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2022-12-31", PERF_BUY, a, "10", "-1000", "EUR");
    run(w);
    assert_e8(f[PERF_SPAN_PERIOD].twr, 0.5);
    assert_e8(f[PERF_SPAN_YEAR_TO_DATE].twr, 0.2);
    assert_e8(f[PERF_SPAN_SINCE_INCEPTION].twr, 0.8);
    assert_int_equal(f[PERF_SPAN_SINCE_INCEPTION].since_day, world_day("2022-12-31"));
    assert_int_equal(f[PERF_SPAN_YEAR_TO_DATE].since_day, world_day("2024-01-01"));
    assert_int_equal(f[PERF_SPAN_YEAR_TO_DATE].open_value_minor, 150000);
    assert_int_equal(f[PERF_SPAN_SINCE_INCEPTION].net_contributions_minor, 100000);
    assert_e8(f[PERF_SPAN_PERIOD].benchmark, 0.1);
    assert_e8(f[PERF_SPAN_YEAR_TO_DATE].benchmark, 0.21);
    assert_e8(f[PERF_SPAN_SINCE_INCEPTION].benchmark, 121.0 / 80 - 1);
    assert_false(f[PERF_SPAN_PERIOD].twr_annual.defined);
    assert_true(f[PERF_SPAN_SINCE_INCEPTION].twr_annual.defined);
    assert_e8(f[PERF_SPAN_SINCE_INCEPTION].max_drawdown, 0.2); /* 150 to 120 */
    world_free(w);
}

/* No price from the 4th to the 14th; fresh for five trading days, up to Sunday the
 * 10th. Then five days are one sub-period, with a deposit on its second. */
static void days_without_prices_are_linked_by_modified_dietz(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-15");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-02-29", "10");
    world_close(w, a, "2024-03-01", "10");
    world_close(w, a, "2024-03-15", "11");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, a, "100", "-1000", "EUR");
    world_cash(w, "2024-03-12", PERF_DEPOSIT, "200", "EUR");
    run(w);
    assert_true(fabs(w->summary.twr - 100.0 / (1000 + 200.0 * 4 / 5)) < 1e-12);
    assert_true(w->summary.spans[PERF_SPAN_PERIOD].modified_dietz);
    w->in.carry_prices = true;
    run(w);
    assert_true(fabs(w->summary.twr - 100.0 / 1200) < 1e-12);
    assert_false(w->summary.spans[PERF_SPAN_PERIOD].modified_dietz);
    world_free(w);
}

static void shares_in_transit_are_still_owned(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-08");
    int a = world_instrument(w, "EUR");
    struct perf_tx *in;

    for (int day = 1; day <= 29; day++) {
        char text[11];

        snprintf(text, sizeof text, "2024-03-%02d", day % 32);
        world_close(w, a, text, "100");
    }
    world_cash(w, "2024-02-29", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-02-29", PERF_BUY, a, "10", "-1000", "EUR");
    world_trade(w, "2024-03-04", PERF_TRANSFER_OUT, a, "10", "0", "EUR");
    in = world_trade(w, "2024-03-07", PERF_TRANSFER_IN, a, "10", "0", "EUR");
    in->account = 2;
    run(w);
    assert_int_equal(w->summary.close_value_minor, 100000);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    assert_true(w->summary.twr == 0 && w->summary.closes);
    in->day = world_day("2024-03-20");
    run(w);
    assert_true(w->summary.flags & PERF_IN_TRANSIT);
    w->in.period_end = world_day("2024-03-18"); /* for eleven days: it went elsewhere */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 0);
    assert_int_equal(w->summary.net_contributions_minor, -100000);
    assert_true(w->summary.twr == 0 && w->summary.closes);
    w->in.period_end = world_day("2024-03-22"); /* and came back */
    run(w);
    assert_int_equal(w->summary.close_value_minor, 100000);
    assert_int_equal(w->summary.net_contributions_minor, 0);
    assert_true(w->summary.closes);
    world_free(w);
}

/* Ten bought for 80 each in account 1; booked into account 2 before they leave. */
static struct world *moved_early(const char *arrives, const char *leaves)
{
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-02-20", "80");
    for (int32_t day = world_day("2024-02-21"); day <= world_day("2024-03-31"); day++)
        world_put(w->closes[a], &w->instruments[a].closes_e8.n, day, 100 * FP_E8);
    world_cash(w, "2024-02-20", PERF_DEPOSIT, "800", "EUR");
    world_trade(w, "2024-02-20", PERF_BUY, a, "10", "-800", "EUR")->account = 1;
    world_trade(w, arrives, PERF_TRANSFER_IN, a, "10", "0", "EUR")->account = 2;
    world_trade(w, leaves, PERF_TRANSFER_OUT, a, "10", "0", "EUR")->account = 1;
    return w;
}

static void shares_that_arrive_before_they_leave_count_once(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"2024-03-05", "2024-03-05"},
                                           {"2024-03-05", "2024-03-06"},
                                           {"2024-03-05", "2024-03-15"}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct world *w = moved_early(pairs[i][0], pairs[i][1]);

        world_trade(w, "2024-03-20", PERF_SELL, 0, "4", "400", "EUR")->account = 2;
        run(w);
        assert_int_equal(w->summary.close_value_minor, 100000);
        assert_int_equal(w->summary.net_contributions_minor, 0);
        assert_int_equal(w->summary.realised_fifo_minor, 8000); /* bought for 80 */
        assert_int_equal(w->summary.cost_fifo_minor, 48000);
        assert_true(w->summary.twr == 0 && w->summary.closes);
        assert_false(w->summary.flags & PERF_IN_TRANSIT);
        world_free(w);
    }
}

/* Before, its remark; then at the close of the eleventh day, at what the source
 * says they cost. */
static void shares_that_nobody_sends_were_delivered(void **state)
{
    (void)state;
    struct world *w = moved_early("2024-03-05", "2024-03-28");

    w->in.period_end = world_day("2024-03-15");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 100000);
    assert_true(w->summary.flags & PERF_IN_TRANSIT);
    w->txs[2].price_e8 = 90 * FP_E8;
    w->in.period_end = world_day("2024-03-16");
    run(w);
    assert_int_equal(w->summary.close_value_minor, 200000);
    assert_int_equal(w->summary.net_contributions_minor, 100000);
    assert_int_equal(w->summary.cost_fifo_minor, 80000 + 90000);
    assert_false(w->summary.flags & PERF_IN_TRANSIT);
    assert_true(w->summary.twr == 0 && w->summary.closes);
    world_free(w);
}

/* Booked in in February, out in March: what the month's end keeps says so; also
 * when the shares were sold in between and nothing else is left of them. */
static void a_pair_may_lie_across_a_checkpoint(void **state)
{
    (void)state;
    for (int sold = 0; sold < 2; sold++) {
        struct world *w = moved_early("2024-02-27", "2024-03-05");
        struct perf_summary whole;
        uint8_t state_bytes[4096];
        size_t n;

        if (sold) {
            w->txs[3] = w->txs[1];
            w->txs[3].id = 4;
            w->txs[3].day = world_day("2024-02-28");
            w->txs[3].type = PERF_SELL;
            w->txs[3].amount_e4 = 10000000;
        }
        w->in.keep_day = world_day("2024-02-29");
        run(w);
        whole = w->summary;
        assert_int_equal(whole.close_value_minor, sold ? 200000 : 100000);
        assert_int_equal(whole.net_contributions_minor, sold ? 100000 : 0);
        assert_int_equal(whole.cost_fifo_minor, sold ? 100000 : 80000);
        assert_non_null(performance_checkpoint(w->performance, &n));
        assert_true(n <= sizeof state_bytes);
        memcpy(state_bytes, performance_checkpoint(w->performance, &n), n);
        w->in.checkpoint = state_bytes;
        w->in.n_checkpoint = n;
        w->txs[0] = w->txs[3];
        w->in.n_txs = sold ? 0 : 1;
        w->in.keep_day = INT32_MIN;
        run(w);
        world_clear_padding(&whole);
        world_clear_padding(&w->summary);
        assert_memory_equal(&whole, &w->summary, sizeof whole);
        world_free(w);
    }
}

static void a_jump_by_a_round_ratio_is_a_suspected_split(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
    int a = world_instrument(w, "EUR");

    world_close(w, a, "2024-03-01", "100");
    world_close(w, a, "2024-03-05", "10.05");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, a, "5", "-500", "EUR");
    run(w);
    assert_true(w->summary.flags & PERF_SUSPECTED_SPLIT);
    assert_int_equal(w->summary.n_events, 1);
    assert_int_equal(w->summary.events[0].kind, PERF_EVENT_SUSPECTED_SPLIT);
    assert_int_equal(w->summary.events[0].numerator, 10);
    world_split(w, a, "2024-03-05", 10, 1);
    run(w);
    assert_false(w->summary.flags & PERF_SUSPECTED_SPLIT);
    assert_int_equal(w->summary.events[0].kind, PERF_EVENT_SPLIT);
    world_free(w);
}

/* Eighty dividends before it, twelve events in all. */
static void a_finding_is_not_displaced_by_what_happens_often(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
    int a = world_instrument(w, "EUR"), b = world_instrument(w, "EUR"), findings = 0;

    world_close(w, a, "2024-03-01", "100");
    world_close(w, a, "2024-03-08", "777");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, a, "5", "-500", "EUR");
    world_trade(w, "2024-01-02", PERF_BUY, b, "5", "-50", "EUR"); /* without any close */
    for (int i = 0; i < 80; i++)
        world_trade(w, "2024-03-05", PERF_DIVIDEND, a, "0", "1", "EUR");
    run(w);
    assert_int_equal(w->summary.n_events, PERF_EVENTS);
    for (int i = 0; i < PERF_EVENTS; i++) {
        const struct perf_event *e = &w->summary.events[i];

        findings += e->kind == PERF_EVENT_PRICE_JUMP || e->kind == PERF_EVENT_NOT_PRICED;
        assert_true(i == 0 || e[-1].day <= e->day);
    }
    assert_int_equal(findings, 2);
    world_free(w);
}

static void a_quote_unlike_the_one_before_is_a_finding(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        int kind, numerator, denominator;
    } rows[] = {
        {"100", "190", 0, 0, 0}, /* a good day */
        {"100", "10.05", PERF_EVENT_SUSPECTED_SPLIT, 10, 1},
        {"100", "0", PERF_EVENT_PRICE_ZERO, 0, 0},
        {"0", "100", PERF_EVENT_PRICE_ZERO, 0, 0},
        {"0", "0", 0, 0, 0},
        {"100", "1.03", PERF_EVENT_PRICE_UNITS, 100, 1},
        {"1", "97", PERF_EVENT_PRICE_UNITS, 1, 100},
        {"100", "555", PERF_EVENT_PRICE_JUMP, 0, 0},
        {"100", "451", 0, 0, 0},
        {"100", "4.9", PERF_EVENT_PRICE_JUMP, 0, 0},
        {"100", "5.4", 0, 0, 0},
        {"90000000000", "0.00000001", PERF_EVENT_PRICE_JUMP, 0, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
        int a = world_instrument(w, "EUR");

        world_close(w, a, "2024-03-01", rows[i].before);
        world_close(w, a, "2024-03-05", rows[i].after);
        world_cash(w, "2024-01-02", PERF_DEPOSIT, "100000", "EUR");
        world_trade(w, "2024-01-02", PERF_BUY, a, "0.5", "-50", "EUR");
        run(w);
        assert_int_equal(w->summary.n_events, rows[i].kind != 0);
        assert_int_equal(w->summary.events[0].kind, rows[i].kind);
        assert_int_equal(w->summary.events[0].numerator, rows[i].numerator);
        assert_int_equal(w->summary.events[0].denominator, rows[i].denominator);
        assert_int_equal(!!(w->summary.flags & PERF_SUSPECT_PRICE),
                         rows[i].kind > PERF_EVENT_SUSPECTED_SPLIT);
        world_free(w);
    }
}

/* A quote of weeks ago may be far away; and who buys on that day lost nothing. */
static void only_a_day_that_was_held_through_is_judged(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-04", "2024-03-08");
    int a = world_instrument(w, "EUR");
    struct perf_tx *buy;

    world_close(w, a, "2024-02-01", "100");
    world_close(w, a, "2024-03-05", "555");
    world_cash(w, "2024-01-02", PERF_DEPOSIT, "100000", "EUR");
    buy = world_trade(w, "2024-01-02", PERF_BUY, a, "1", "-100", "EUR");
    run(w);
    assert_false(w->summary.flags & PERF_SUSPECT_PRICE);
    world_close(w, a, "2024-03-04", "100");
    run(w);
    assert_true(w->summary.flags & PERF_SUSPECT_PRICE);
    buy->day = world_day("2024-03-05");
    run(w);
    assert_false(w->summary.flags & PERF_SUSPECT_PRICE);
    world_free(w);
}

static void an_allocation_adds_up(void **state)
{
    (void)state;
    struct world *w = eventful();
    int64_t sum = 0;
    int percents = 0;

    strcpy(w->instruments[0].asset_class, "equity");
    run(w);
    for (int i = 0; i < w->summary.n_by_class; i++) {
        sum += w->summary.by_class[i].value_minor;
        percents += w->summary.by_class[i].percent_e2;
    }
    assert_int_equal(w->summary.n_by_class, 3); /* equity, other, cash */
    assert_int_equal(sum, w->summary.close_value_minor);
    assert_int_equal(percents, 10000);
    for (int i = 0; i < w->summary.n_by_currency; i++)
        sum -= w->summary.by_currency[i].value_minor;
    assert_int_equal(sum, 0);
    world_free(w);
}

/* Fourteen classes, one of them called "other" and one short, and the cash. */
static void of_many_classes_the_smallest_are_other_and_a_debt_stands_for_itself(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");
    const struct perf_group *g = w->summary.by_class;
    int percents = 0, others = 0, debts = 0;
    int64_t sum = 0, other_minor = 0;

    world_cash(w, "2024-01-02", PERF_DEPOSIT, "100000", "EUR");
    for (int i = 0; i < 14; i++) {
        int instrument = world_instrument(w, "EUR");
        char quantity[8], amount[12];

        snprintf(w->instruments[instrument].asset_class, PERF_CLASS_BYTES, i == 4 ? "other" : "class %c",
                 'a' + i);
        world_close(w, instrument, "2024-01-02", "10");
        world_close(w, instrument, "2024-03-31", "10");
        snprintf(quantity, sizeof quantity, "%d", 100 - i);
        snprintf(amount, sizeof amount, "%s%d0", i == 13 ? "" : "-", 100 - i);
        world_trade(w, "2024-01-03", i == 13 ? PERF_SELL : PERF_BUY, instrument, quantity, amount, "EUR");
    }
    run(w);
    assert_int_equal(w->summary.n_by_class, PERF_GROUPS);
    for (int i = 0; i < PERF_GROUPS; i++) {
        sum += g[i].value_minor;
        percents += g[i].percent_e2;
        debts += g[i].negative;
        if (strcmp(g[i].label, "other") == 0) {
            others++;
            other_minor = g[i].value_minor;
        }
    }
    assert_int_equal(sum, w->summary.close_value_minor);
    assert_int_equal(percents, 10000);
    assert_int_equal(others, 1);
    assert_int_equal(other_minor,
                     (96 + 90 + 89 + 88) * 1000); /* class e is called so, and l, m and k the smallest */
    assert_int_equal(debts, 1);
    assert_string_equal(g[PERF_GROUPS - 1].label, "class n");
    assert_int_equal(g[PERF_GROUPS - 1].value_minor, -87000);
    world_free(w);
}

static void the_chart_ends_at_the_close(void **state)
{
    (void)state;
    struct world *w = eventful();
    const struct perf_chart_point *points;
    size_t n;

    run(w);
    n = performance_chart(w->performance, &points);
    assert_int_equal(n, 30);
    assert_int_equal(points[0].value_minor, w->summary.open_value_minor);
    assert_int_equal(points[0].contributed_minor, w->summary.open_value_minor);
    assert_int_equal(points[29].value_minor, w->summary.close_value_minor);
    assert_int_equal(points[29].contributed_minor,
                     w->summary.open_value_minor + w->summary.net_contributions_minor);
    world_free(w);
}

/* --- checkpoints ---------------------------------------------------------------------------- */

struct kept {
    uint8_t bytes[CHECKPOINT_MAX_BYTES];
    size_t n;
};

static struct kept *keep(struct world *w, const char *day)
{
    struct kept *k = mem_alloc(sizeof *k);
    const uint8_t *bytes;

    w->in.keep_day = world_day(day);
    run(w);
    bytes = performance_checkpoint(w->performance, &k->n);
    assert_non_null(bytes);
    memcpy(k->bytes, bytes, k->n);
    return k;
}

/* Leaves out the transactions up to the checkpoint's day. */
static void take_up(struct world *w, const struct kept *k, const char *day)
{
    size_t n = 0;

    for (size_t i = 0; i < w->in.n_txs; i++)
        if (w->txs[i].day > world_day(day))
            w->txs[n++] = w->txs[i];
    w->in.n_txs = n;
    w->in.checkpoint = k->bytes;
    w->in.n_checkpoint = k->n;
}

static void a_state_taken_up_gives_the_same_bytes(void **state)
{
    (void)state;
    const char *days[] = {"2023-01-31", "2023-06-30", "2023-12-31", "2024-01-31", "2024-02-29"};

    for (int i = 0; i < 5; i++) {
        struct world *w = eventful();
        struct kept *k = keep(w, days[i]), *later;
        struct perf_summary whole = w->summary;
        struct kept *whole_later = keep(w, "2024-02-29");

        take_up(w, k, days[i]);
        run(w);
        world_clear_padding(&whole);
        world_clear_padding(&w->summary);
        assert_memory_equal(&whole, &w->summary, sizeof whole);
        if (i < 4) { /* and so does the next state */
            later = keep(w, "2024-02-29");
            assert_int_equal(later->n, whole_later->n);
            assert_memory_equal(later->bytes, whole_later->bytes, later->n);
            mem_free(later);
        }
        mem_free(whole_later);
        mem_free(k);
        world_free(w);
    }
}

/* Wherever a run began: the month before the first transaction, or with it. */
static void a_life_begins_with_its_first_transaction(void **state)
{
    (void)state;
    const char *starts[] = {"2022-12-01", "2023-01-10", "2023-02-01"};
    struct kept *kept[3];

    for (int i = 0; i < 3; i++) {
        struct world *w = eventful();

        w->in.period_start = world_day(starts[i]);
        w->in.period_end = world_day("2023-03-31");
        kept[i] = keep(w, "2023-03-31");
        assert_int_equal(kept[i]->n, kept[0]->n);
        assert_memory_equal(kept[i]->bytes, kept[0]->bytes, kept[0]->n);
        world_free(w);
    }
    for (int i = 0; i < 3; i++)
        mem_free(kept[i]);
}

static void a_state_tells_what_it_is_of(void **state)
{
    (void)state;
    struct world *w = eventful();
    struct kept *k = keep(w, "2024-01-31");
    struct perf_checkpoint_info info;
    int64_t ids[2];

    assert_true(checkpoint_info(k->bytes, k->n, &info));
    assert_int_equal(info.day, world_day("2024-01-31"));
    assert_int_equal(info.base_currency, perf_currency("EUR"));
    assert_int_equal(checkpoint_instruments(k->bytes, k->n, ids, 2), 2);
    assert_int_equal(ids[0], w->ids[0]);
    assert_int_equal(ids[1], w->ids[1]);
    assert_false(checkpoint_info(k->bytes, 3, &info));
    mem_free(k);
    world_free(w);
}

/* Each byte changed in turn, and each length: refused, or computed, never a crash. */
static void a_broken_state_is_refused(void **state)
{
    (void)state;
    struct world *w = eventful();
    struct kept *k = keep(w, "2024-01-31");
    int refused = 0;

    take_up(w, k, "2024-01-31");
    for (size_t i = 0; i < k->n; i++) {
        k->bytes[i] ^= 0x40;
        if (!world_run(w))
            refused += strcmp(w->fault.reason, "bad_checkpoint") == 0;
        k->bytes[i] ^= 0x40;
        w->in.n_checkpoint = i ? i : 1;
        assert_false(world_run(w));
        assert_string_equal(w->fault.reason, "bad_checkpoint");
        w->in.n_checkpoint = k->n;
    }
    assert_true(refused > (int)k->n / 4);
    w->in.base_currency = perf_currency("USD");
    assert_false(world_run(w));
    assert_string_equal(w->fault.reason, "bad_checkpoint");
    mem_free(k);
    world_free(w);
}

/* More lots than shares: the books do not agree, and nothing may be sent. */
static void a_state_that_does_not_add_up_is_refused(void **state)
{
    (void)state;
    struct world *w = eventful();
    struct kept *k = keep(w, "2024-01-31");

    take_up(w, k, "2024-01-31");
    w->txs[0].day = world_day("2024-01-31"); /* it has this transaction already */
    assert_false(world_run(w));
    assert_string_equal(w->fault.reason, "bad_checkpoint");
    mem_free(k);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bridge_sums_to_the_closing_value),
        cmocka_unit_test(gains_are_measured_against_the_opening_value),
        cmocka_unit_test(spans_begin_where_they_should),
        cmocka_unit_test(days_without_prices_are_linked_by_modified_dietz),
        cmocka_unit_test(shares_in_transit_are_still_owned),
        cmocka_unit_test(shares_that_arrive_before_they_leave_count_once),
        cmocka_unit_test(shares_that_nobody_sends_were_delivered),
        cmocka_unit_test(a_pair_may_lie_across_a_checkpoint),
        cmocka_unit_test(a_jump_by_a_round_ratio_is_a_suspected_split),
        cmocka_unit_test(a_quote_unlike_the_one_before_is_a_finding),
        cmocka_unit_test(a_finding_is_not_displaced_by_what_happens_often),
        cmocka_unit_test(only_a_day_that_was_held_through_is_judged),
        cmocka_unit_test(an_allocation_adds_up),
        cmocka_unit_test(of_many_classes_the_smallest_are_other_and_a_debt_stands_for_itself),
        cmocka_unit_test(the_chart_ends_at_the_close),
        cmocka_unit_test(a_state_taken_up_gives_the_same_bytes),
        cmocka_unit_test(a_life_begins_with_its_first_transaction),
        cmocka_unit_test(a_state_tells_what_it_is_of),
        cmocka_unit_test(a_broken_state_is_refused),
        cmocka_unit_test(a_state_that_does_not_add_up_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
