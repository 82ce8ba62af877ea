/* Lots by first in, first out and at average cost: nothing lost, nothing made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/performance/lots.h"

#define SHARES(n) ((int64_t)(n)*FP_E8)
#define MONEY(n)  ((fp_i128)(n)*FP_E8)

static struct perf_lots_result change(struct perf_lots *l, int64_t account, int32_t day, int64_t shares,
                                      int64_t money)
{
    const struct perf_lots_change c = {.account = account,
                                       .day = day,
                                       .quantity_e8 = SHARES(shares),
                                       .net_e8 = MONEY(money),
                                       .gross_e8 = MONEY(money),
                                       .before_e8 = lots_sum(l).quantity_e8};
    struct perf_lots_result r;

    assert_true(lots_change(l, &c, &r, NULL, NULL));
    return r;
}

static void the_oldest_lot_is_sold_first(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    struct perf_lots_result r;

    change(&l, 1, 10, 10, 1000);
    change(&l, 1, 11, 10, 2000);
    r = change(&l, 1, 12, -15, -3000);
    assert_true(r.fifo_e8 == MONEY(3000 - 1000 - 1000));
    assert_true(r.average_e8 == MONEY(3000 - 2250));
    assert_int_equal(l.n, 1);
    assert_true(lots_sum(&l).cost_e8 == MONEY(1000));
    assert_true(l.average_cost_e8 == MONEY(750));
    lots_free(&l);
}

static void an_account_sells_its_own_lots_then_those_of_others(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 10, 2000);
    change(&l, 2, 11, 10, 1000);
    assert_true(change(&l, 2, 12, -10, -2805).fifo_e8 == MONEY(1805));
    assert_true(lots_sum(&l).cost_e8 == MONEY(2000));
    assert_true(change(&l, 2, 13, -4, -1000).fifo_e8 == MONEY(1000 - 800));
    assert_int_equal(lots_sum(&l).quantity_e8, SHARES(6));
    lots_free(&l);
}

static void a_short_sale_is_closed_by_a_purchase(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    struct perf_lots_result r;

    r = change(&l, 1, 10, -3, -60);
    assert_true(r.fifo_e8 == 0);
    assert_true(lots_sum(&l).cost_e8 == MONEY(-60));
    r = change(&l, 1, 11, 5, 25);
    assert_true(r.fifo_e8 == MONEY(45));
    assert_true(r.average_e8 == MONEY(45));
    assert_int_equal(lots_sum(&l).quantity_e8, SHARES(2));
    assert_true(lots_sum(&l).cost_e8 == MONEY(10));
    assert_true(l.average_cost_e8 == MONEY(10));
    lots_free(&l);
}

static void thirds_lose_nothing(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    fp_i128 realised_e8 = 0;

    change(&l, 1, 10, 3, 100);
    for (int i = 0; i < 3; i++)
        realised_e8 += change(&l, 1, 11, -1, 0).fifo_e8;
    assert_true(realised_e8 == MONEY(-100));
    assert_int_equal(l.n, 0);
    assert_true(l.average_cost_e8 == 0);
    lots_free(&l);
}

static void lots_travel_with_day_and_cost(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 10, 1000);
    change(&l, 2, 5, 10, 500);
    assert_int_equal(lots_leave(&l, 1, 20, SHARES(4)), SHARES(4));
    assert_int_equal(l.transit_e8, SHARES(4));
    assert_int_equal(lots_arrive(&l, 2, SHARES(9)), SHARES(4)); /* more than there is */
    assert_int_equal(l.transit_e8, 0);
    assert_int_equal(lots_sum(&l).quantity_e8, SHARES(20));
    /* of account 2 the lots of day 5 go first, then the four of day 10 */
    assert_true(change(&l, 2, 21, -12, -1200).fifo_e8 == MONEY(1200 - 500 - 200));
    lots_free(&l);
}

static void a_sale_may_take_what_is_in_transit(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 10, 1000);
    lots_leave(&l, 1, 11, SHARES(10));
    change(&l, 2, 12, -6, -700);
    assert_int_equal(l.transit_e8, SHARES(4));
    assert_int_equal(lots_arrive(&l, 2, SHARES(11)), SHARES(10)); /* six of them were sold */
    assert_int_equal(lots_sum(&l).quantity_e8, SHARES(4));
    lots_free(&l);
}

static void what_is_settled_is_sold_before_what_is_in_transit(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 10, 1000);
    change(&l, 3, 11, 10, 2000);
    lots_leave(&l, 1, 12, SHARES(10));
    assert_true(change(&l, 1, 13, -10, -2500).fifo_e8 == MONEY(500));
    assert_int_equal(l.n_owed, 0);
    assert_int_equal(l.transit_e8, SHARES(10));
    lots_free(&l);
}

/* Also when it was bought last; and what was sold counts as one that left. */
static void arrivals_are_of_what_left_first(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 10, 1000);
    change(&l, 2, 11, 10, 2000);
    lots_leave(&l, 2, 20, SHARES(10));
    lots_leave(&l, 1, 24, SHARES(10));
    assert_int_equal(lots_overdue(&l, 30), 0);
    assert_int_equal(lots_overdue(&l, 31), SHARES(10));
    change(&l, 3, 24, -15, -1500); /* those of day 10, five of day 11 */
    assert_int_equal(l.n_owed, 2);
    assert_int_equal(lots_arrive(&l, 3, SHARES(10)), SHARES(10));
    assert_int_equal(lots_sum(&l).quantity_e8, SHARES(5));
    assert_int_equal(l.transit_e8, 0);
    assert_int_equal(l.n_owed, 1);
    assert_int_equal(l.owed[0].left, 24);
    lots_drop_owed(&l, 34);
    assert_int_equal(l.n_owed, 1);
    lots_drop_owed(&l, 35);
    assert_int_equal(l.n_owed, 0);
    lots_free(&l);
}

static void shares_may_be_booked_in_before_they_leave(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    struct perf_early e = {.account = 2, .day = 20, .quantity_e8 = SHARES(4)};

    change(&l, 1, 10, 10, 1000);
    change(&l, 2, 5, 10, 500);
    assert_true(lots_expect(&l, &e));
    e.quantity_e8 = SHARES(7); /* nobody holds so much more */
    assert_false(lots_expect(&l, &e));
    assert_int_equal(lots_leave(&l, 2, 21, SHARES(1)), SHARES(1)); /* not from there to there */
    assert_int_equal(l.transit_e8, SHARES(1));
    assert_int_equal(lots_arrive(&l, 3, SHARES(1)), SHARES(1));
    assert_int_equal(lots_leave(&l, 1, 22, SHARES(6)), SHARES(6)); /* four are expected, two go on */
    assert_int_equal(l.n_early, 0);
    assert_int_equal(l.transit_e8, SHARES(2));
    /* of account 2 the nine of day 5 go first, then the four of day 10 */
    assert_true(change(&l, 2, 23, -13, -1300).fifo_e8 == MONEY(1300 - 450 - 400));
    lots_free(&l);
}

static void what_is_expected_follows_splits(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    struct perf_early e = {.account = 2, .day = 20, .quantity_e8 = SHARES(4), .price_e8 = MONEY(100)};

    change(&l, 1, 10, 1, 1000);
    e.quantity_e8 = 1;
    assert_true(lots_expect(&l, &e));
    e.quantity_e8 = FP_E8 - 1;
    assert_true(lots_expect(&l, &e));
    assert_true(lots_split(&l, 1, 4, FP_E8 / 4)); /* a quarter of the smallest unit is none */
    assert_int_equal(l.n_early, 1);
    assert_int_equal(l.early[0].quantity_e8, FP_E8 / 4);
    assert_int_equal(l.early[0].price_e8, MONEY(400));
    for (int i = 1; i < LOTS_EARLY_MAX; i++) {
        e.quantity_e8 = 0;
        assert_true(lots_expect(&l, &e));
    }
    assert_false(lots_expect(&l, &e));
    lots_free(&l);
}

/* Five halves of the smallest unit round up one by one, and to three together. */
static void a_reverse_split_turns_no_lot_negative(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    struct perf_lots_sum s;

    for (int i = 0; i < 5; i++) {
        const struct perf_lots_change c = {.account = 1, .day = 10 + i, .quantity_e8 = 1, .net_e8 = 7};
        struct perf_lots_result r;

        assert_true(lots_change(&l, &c, &r, NULL, NULL));
    }
    assert_true(lots_split(&l, 1, 2, 3));
    for (size_t i = 0; i < l.n; i++)
        assert_true(l.lots[i].quantity_e8 > 0);
    s = lots_sum(&l);
    assert_int_equal(s.quantity_e8, 3);
    lots_free(&l);
}

static void what_a_split_leaves_nothing_of_costs_nothing(void **state)
{
    (void)state;
    struct perf_lots l = {0};
    const struct perf_lots_change c = {.account = 1, .day = 10, .quantity_e8 = -1, .net_e8 = -MONEY(900)};
    struct perf_lots_result r;

    assert_true(lots_change(&l, &c, &r, NULL, NULL));
    assert_true(lots_split(&l, 1, 3, 0));
    assert_int_equal(l.n, 0);
    assert_true(l.average_cost_e8 == 0);
    change(&l, 1, 11, 1, 100); /* and what is bought later costs what was paid for it, in states too */
    assert_true(l.average_cost_e8 == MONEY(100));
    assert_true(change(&l, 1, 12, -1, -150).average_e8 == MONEY(50));
    lots_free(&l);
}

static void the_opening_value_becomes_the_basis(void **state)
{
    (void)state;
    struct perf_lots l = {0};

    change(&l, 1, 10, 1, 50);
    change(&l, 1, 11, 2, 60);
    lots_rebase(&l, SHARES(3), MONEY(300));
    assert_true(l.lots[0].basis_e8 == MONEY(100));
    assert_true(lots_sum(&l).basis_e8 == MONEY(300));
    assert_true(change(&l, 1, 12, -1, -120).basis_e8 == MONEY(20));
    lots_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_lot_is_sold_first),
        cmocka_unit_test(an_account_sells_its_own_lots_then_those_of_others),
        cmocka_unit_test(a_short_sale_is_closed_by_a_purchase),
        cmocka_unit_test(thirds_lose_nothing),
        cmocka_unit_test(lots_travel_with_day_and_cost),
        cmocka_unit_test(a_sale_may_take_what_is_in_transit),
        cmocka_unit_test(what_is_settled_is_sold_before_what_is_in_transit),
        cmocka_unit_test(arrivals_are_of_what_left_first),
        cmocka_unit_test(shares_may_be_booked_in_before_they_leave),
        cmocka_unit_test(what_is_expected_follows_splits),
        cmocka_unit_test(a_reverse_split_turns_no_lot_negative),
        cmocka_unit_test(what_a_split_leaves_nothing_of_costs_nothing),
        cmocka_unit_test(the_opening_value_becomes_the_basis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
