/*
 * Shares between two accounts, and what else happens to them meanwhile. All at a price of 100, so that every
 * gain is a fault.
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

enum { A = 1, B };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lost_shares_are_gone_while_others_are_on_their_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
