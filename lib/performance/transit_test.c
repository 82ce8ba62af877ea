/*
 * Shares between two accounts, and what else happens to them meanwhile: sold,
 * split, sent on, lost. All at a price of 100, so that every gain is a fault.
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

enum { A = 1, B, C };

static struct world *world_at_100(void)
{
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");
    int a = world_instrument(w, "EUR");

    for (int32_t day = world_day("2024-01-02"); day <= world_day("2024-03-31"); day++)
        world_put(w->closes[a], &w->instruments[a].closes_e8.n, day, 100 * FP_E8);
    world_cash(w, "2024-01-01", PERF_DEPOSIT, "2000", "EUR");
    return w;
}

static void buy(struct world *w, const char *day, int64_t account, const char *quantity, const char *amount)
{
    world_trade(w, day, PERF_BUY, 0, quantity, amount, "EUR")->account = account;
}

static void sell(struct world *w, const char *day, int64_t account, const char *quantity, const char *amount)
{
    world_trade(w, day, PERF_SELL, 0, quantity, amount, "EUR")->account = account;
}

static void leaves(struct world *w, const char *day, int64_t account, const char *quantity)
{
    world_trade(w, day, PERF_TRANSFER_OUT, 0, quantity, "0", "EUR")->account = account;
}

static void arrives(struct world *w, const char *day, int64_t account, const char *quantity)
{
    world_trade(w, day, PERF_TRANSFER_IN, 0, quantity, "0", "EUR")->account = account;
}

static void run(struct world *w)
{
    if (!world_run(w))
        fail_msg("%s: %s", w->fault.reason, w->fault.detail);
    assert_true(w->summary.closes);
    assert_int_equal(w->summary.gain_minor, 0);
    assert_true(w->summary.twr == 0);
}

static void assert_ends_with(struct world *w, int64_t close, int64_t contributions)
{
    run(w);
    assert_int_equal(w->summary.close_value_minor, close * 100);
    assert_int_equal(w->summary.net_contributions_minor, contributions * 100);
    assert_false(w->summary.flags & PERF_IN_TRANSIT);
}

static void others_sell_before_what_is_on_its_way(void **state)
{
    (void)state;
    struct world *w = world_at_100();

    buy(w, "2024-01-02", A, "10", "-1000");
    buy(w, "2024-02-02", C, "10", "-1000");
    leaves(w, "2024-03-04", A, "10");
    sell(w, "2024-03-05", A, "10", "1000");
    arrives(w, "2024-03-06", B, "10");
    assert_ends_with(w, 2000, 0);
    world_free(w);
}

static void what_was_sold_on_its_way_does_not_arrive(void **state)
{
    static const int64_t sellers[] = {A, B, C};

    (void)state;
    for (size_t i = 0; i < 3; i++) { /* wherever the sale is booked */
        struct world *w = world_at_100();

        buy(w, "2024-01-02", A, "20", "-2000");
        leaves(w, "2024-03-04", A, "10");
        sell(w, "2024-03-05", sellers[i], "15", "1500");
        arrives(w, "2024-03-06", B, "10");
        assert_ends_with(w, 2000, 0);
        sell(w, "2024-03-07", B, "5", "500"); /* all there is: nothing is short, and nothing left */
        assert_ends_with(w, 2000, 0);
        assert_int_equal(w->summary.holdings, 0);
        world_free(w);
    }
}

/* Ten leave, six are sold, and the bank sends the four that are left. */
static void what_arrives_is_first_what_was_not_sold(void **state)
{
    (void)state;
    struct world *w = world_at_100();

    buy(w, "2024-01-02", A, "10", "-1000");
    leaves(w, "2024-03-04", A, "10");
    sell(w, "2024-03-05", A, "6", "600");
    arrives(w, "2024-03-06", B, "4");
    assert_ends_with(w, 2000, 0);
    assert_int_equal(w->summary.holdings, 1);
    arrives(w, "2024-03-20", B, "6"); /* of others, after so long */
    assert_ends_with(w, 2600, 600);
    world_free(w);
}

static void what_leaves_again_on_its_way_arrives_once(void **state)
{
    (void)state;
    struct world *w = world_at_100();

    buy(w, "2024-01-02", A, "20", "-2000");
    leaves(w, "2024-03-04", A, "15");
    leaves(w, "2024-03-05", B, "15"); /* ten of them have not arrived */
    arrives(w, "2024-03-07", B, "15");
    arrives(w, "2024-03-08", C, "15");
    assert_ends_with(w, 2000, 0);
    world_free(w);
}

static void what_is_owed_follows_splits(void **state)
{
    (void)state;
    struct world *w = world_at_100();

    buy(w, "2024-01-02", A, "10", "-1000");
    leaves(w, "2024-03-04", A, "10");
    sell(w, "2024-03-05", A, "10", "1000");
    world_split(w, 0, "2024-03-06", 2, 1);
    for (size_t i = 0; i < w->instruments[0].closes_e8.n; i++)
        if (w->closes[0][i].day >= world_day("2024-03-06"))
            w->closes[0][i].value /= 2;
    arrives(w, "2024-03-07", B, "20");
    assert_ends_with(w, 2000, 0);
    world_free(w);
}

/* Ten are lost while others come and go, and each that leaves has its own ten days: nine are gone on
 * the eleventh day, and of those that arrive the first is taken for the tenth, the next for the first. */
static void lost_shares_are_gone_while_others_are_on_their_way(void **state)
{
    static const struct {
        const char *day;
        int lost;
    } ends[] = {{"2024-03-14", 0}, {"2024-03-15", 9}, {"2024-03-31", 9}, {"2024-04-01", 10}};

    (void)state;
    struct world *w = world_at_100();

    buy(w, "2024-01-02", A, "20", "-2000");
    leaves(w, "2024-03-04", A, "10");
    leaves(w, "2024-03-12", A, "1");
    arrives(w, "2024-03-13", B, "1");
    leaves(w, "2024-03-21", A, "1");
    arrives(w, "2024-03-22", B, "1");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        w->in.period_end = world_day(ends[i].day);
        run(w);
        assert_int_equal(w->summary.net_contributions_minor, -ends[i].lost * 10000);
        assert_int_equal(w->summary.close_value_minor, 200000 - ends[i].lost * 10000);
        assert_int_equal((w->summary.flags & PERF_IN_TRANSIT) != 0, ends[i].lost < 10);
    }
    world_free(w);
}

/* The state of each evening brings the same end as the whole life. */
static void whatever_is_on_its_way_stands_in_states(void **state)
{
    (void)state;
    for (int32_t day = world_day("2024-02-12"); day <= world_day("2024-02-29"); day++) {
        struct world *w = world_at_100();
        struct perf_summary whole;
        uint8_t bytes[4096];
        size_t n, rest = 0;

        buy(w, "2024-01-02", A, "20", "-2000");
        leaves(w, "2024-02-12", A, "5");
        sell(w, "2024-02-14", A, "15", "1500");
        leaves(w, "2024-02-16", B, "5"); /* on its way for the second time */
        sell(w, "2024-02-20", A, "2", "200");
        arrives(w, "2024-02-21", B, "5");
        leaves(w, "2024-02-25", C, "1");
        sell(w, "2024-02-28", C, "3", "300");
        arrives(w, "2024-03-01", C, "1");
        arrives(w, "2024-03-02", C, "5");
        w->in.keep_day = day;
        run(w);
        whole = w->summary;
        assert_non_null(performance_checkpoint(w->performance, &n));
        assert_true(n <= sizeof bytes);
        memcpy(bytes, performance_checkpoint(w->performance, &n), n);
        w->in.checkpoint = bytes;
        w->in.n_checkpoint = n;
        for (size_t i = 0; i < w->in.n_txs; i++)
            if (w->txs[i].day > day)
                w->txs[rest++] = w->txs[i];
        w->in.n_txs = rest;
        w->in.keep_day = INT32_MIN;
        run(w);
        world_clear_padding(&whole);
        world_clear_padding(&w->summary);
        assert_memory_equal(&whole, &w->summary, sizeof whole);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_sell_before_what_is_on_its_way),
        cmocka_unit_test(what_was_sold_on_its_way_does_not_arrive),
        cmocka_unit_test(what_arrives_is_first_what_was_not_sold),
        cmocka_unit_test(what_leaves_again_on_its_way_arrives_once),
        cmocka_unit_test(what_is_owed_follows_splits),
        cmocka_unit_test(lost_shares_are_gone_while_others_are_on_their_way),
        cmocka_unit_test(whatever_is_on_its_way_stands_in_states),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
