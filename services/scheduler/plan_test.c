/* Intervals that tile; windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "services/scheduler/plan.h"

static int64_t lower[PLAN_MAX_INTERVALS], upper[PLAN_MAX_INTERVALS];

static int32_t d(const char *text)
{
    int32_t day;

    assert_true(day_parse(text, &day));
    return day;
}

static int64_t us(const char *day)
{
    return d(day) * FP_US_PER_DAY;
}

/* What every plan must be: without a gap, inside one month each, cut at firsts of months only. */
static void tiles(int n, int64_t from, int64_t to)
{
    assert_int_equal(lower[0], from);
    assert_int_equal(upper[n - 1], to);
    for (int i = 0; i < n; i++) {
        assert_true(lower[i] < upper[i]);
        assert_int_equal(day_first_of_month(day_from_us(lower[i])),
                         day_first_of_month(day_from_us(upper[i] - 1)));
        if (i == 0)
            continue;
        assert_int_equal(lower[i], upper[i - 1]);
        assert_int_equal(lower[i] % FP_US_PER_DAY, 0);
        assert_int_equal(day_first_of_month(day_from_us(lower[i])), day_from_us(lower[i]));
    }
}

static void intervals_tile_from_any_day_to_any_day(void **state)
{
    (void)state;
    for (int32_t from = d("2023-01-01"); from <= d("2024-03-31"); from++) {
        for (int32_t days = 1; days < 430; days += 7) {
            int64_t a = from * FP_US_PER_DAY + 12345, b = a + days * FP_US_PER_DAY - 777;
            int n = plan_intervals(a, b, lower, upper);
            assert_true(n > 0 && n <= 16);
            tiles(n, a, b);
        }
    }
}

static void the_31st_makes_no_month_twice_or_never(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("2026-01-31"), us("2026-05-01"), lower, upper), 4);
    assert_int_equal(lower[1], us("2026-02-01"));
    assert_int_equal(upper[1], us("2026-03-01"));
    assert_int_equal(upper[3], us("2026-05-01"));
}

static void february_of_a_leap_year_has_its_29th(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("2024-02-29"), us("2024-03-01"), lower, upper), 1);
    assert_int_equal(upper[0], us("2024-03-01"));
    assert_int_equal(plan_intervals(us("2024-02-29"), us("2024-03-01") + 1, lower, upper), 2);
    assert_int_equal(upper[1] - lower[1], 1);
}

static void whole_months_are_cut_at_their_ends_only(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("2025-12-01"), us("2026-03-01"), lower, upper), 3);
    assert_int_equal(lower[1], us("2026-01-01"));
    tiles(3, us("2025-12-01"), us("2026-03-01"));
}

static void a_microsecond_is_an_interval(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("2026-01-01") - 1, us("2026-01-01"), lower, upper), 1);
    assert_int_equal(plan_intervals(us("2026-01-01") - 1, us("2026-01-01") + 1, lower, upper), 2);
}

static void before_1970_months_are_months_too(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("1969-11-15"), us("1970-01-02"), lower, upper), 3);
    tiles(3, us("1969-11-15"), us("1970-01-02"));
}

static void nobody_to_page_is_one_empty_interval(void **state)
{
    (void)state;
    int64_t end = us("2026-03-05");

    assert_int_equal(plan_intervals(end, end, lower, upper), 1);
    assert_int_equal(lower[0], end);
    assert_int_equal(upper[0], end);
    assert_int_equal(plan_intervals(INT64_MAX, end, lower, upper), 1); /* no user at all */
    assert_int_equal(lower[0], end);
    assert_int_equal(upper[0], end);
}

static void absurd_ranges_are_refused_and_write_nothing_past_the_end(void **state)
{
    (void)state;
    assert_int_equal(plan_intervals(us("1900-01-01"), us("2099-12-31"), lower, upper), PLAN_MAX_INTERVALS);
    assert_int_equal(plan_intervals(us("1900-01-01"), us("2101-01-01"), lower, upper), -1);
    assert_int_equal(plan_intervals(INT64_MIN, us("2026-01-01"), lower, upper), -1);
    assert_int_equal(plan_intervals(us("2026-01-01"), INT64_MAX, lower, upper), -1);
    assert_int_equal(plan_intervals(INT64_MIN, INT64_MIN, lower, upper), -1);
}

/* --- windows ------------------------------------------------------------------------ */

static void a_job_that_names_its_window_gets_it(void **state)
{
    struct plan_window w = {.job_batches = 1, .batch_size = 100, .slots = 50, .measured_per_s = 1e6};

    (void)state;
    assert_int_equal(plan_window(&w), 1);
}

static void under_a_limit_the_window_is_five_seconds_of_it(void **state)
{
    struct plan_window w = {.batch_size = 100, .limit_per_s = 370, .measured_per_s = 370};

    (void)state;
    assert_int_equal(plan_window(&w), 19); /* 5 x 3.7 */
    w.measured_per_s = -1;                 /* nothing known yet: the limit is what counts */
    assert_int_equal(plan_window(&w), 19);
    w.measured_per_s = 100; /* the pipeline is slower than the provider: twice what it does */
    assert_int_equal(plan_window(&w), 10);
    w.batch_size = 10;
    assert_int_equal(plan_window(&w), 100);
}

static void without_a_limit_the_window_follows_the_throughput(void **state)
{
    struct plan_window w = {.batch_size = 100, .measured_per_s = -1};

    (void)state;
    assert_int_equal(plan_window(&w), 13); /* as much as one mailer's four slots ask for */
    w.measured_per_s = 4000;
    assert_int_equal(plan_window(&w), 200);
}

static void mailers_have_something_for_each_slot(void **state)
{
    struct plan_window w = {.batch_size = 100, .measured_per_s = 0, .slots = 12};

    (void)state;
    assert_int_equal(plan_window(&w), 36);
    w.limit_per_s = 1000; /* of which 36 are under four seconds' worth */
    assert_int_equal(plan_window(&w), 36);
    w.slots = 0;
    assert_int_equal(plan_window(&w), 2);
    w.slots = -5;
    assert_int_equal(plan_window(&w), 2);
}

static void under_a_limit_many_slots_hold_ten_seconds_and_not_minutes(void **state)
{
    struct plan_window w = {.batch_size = 100, .limit_per_s = 100, .measured_per_s = 100, .slots = 40};

    (void)state;
    assert_int_equal(plan_window(&w), 10);
    w.limit_per_s = 1;
    assert_int_equal(plan_window(&w), 2);
}

static void retries_are_kept_a_tenth_of_the_window(void **state)
{
    (void)state;
    assert_int_equal(plan_reserve(0, 10), 1);
    assert_int_equal(plan_reserve(10, 10), 1);
    assert_int_equal(plan_reserve(50, 10), 5);
    assert_int_equal(plan_reserve(INT64_MAX, 10), 10);
}

static void no_figure_makes_a_window_without_end(void **state)
{
    struct plan_window w = {.batch_size = 1, .measured_per_s = 1e18, .slots = INT32_MAX};

    (void)state;
    assert_int_equal(plan_window(&w), 2000);
    w.batch_size = 0;
    assert_int_equal(plan_window(&w), 2000);
    w = (struct plan_window){.batch_size = 100, .measured_per_s = 0.0 / 1.0};
    assert_int_equal(plan_window(&w), 2);
}

static void throughput_begins_at_the_start_value_and_follows(void **state)
{
    double t = plan_throughput(-1, PLAN_START_USERS_PER_S);

    (void)state;
    assert_true(t == PLAN_START_USERS_PER_S);
    for (int i = 0; i < 40; i++)
        t = plan_throughput(t, 5000);
    assert_true(t > 4900 && t < 5001);
    for (int i = 0; i < 60; i++)
        t = plan_throughput(t, 0);
    assert_true(t >= 0 && t < 1);
}

static void who_names_a_provider_leaves_slots_to_others(void **state)
{
    (void)state;
    assert_int_equal(plan_named_window(4, true, 3, 100), 2);
    assert_int_equal(plan_named_window(4, false, 3, 100), 3);
    assert_int_equal(plan_named_window(1, true, 0, 100),
                     1); /* a mailer that has one slot has no other to leave */
    assert_int_equal(plan_named_window(2, false, 0, 100), 1);
    assert_int_equal(plan_named_window(0, true, 0, 0), 1);
    assert_int_equal(plan_named_window(4, true, 1500, 100), 15); /* fast: a second's worth */
    assert_int_equal(plan_named_window(4, true, 1e18, 1), 2000);
    assert_int_equal(plan_named_window(4, true, strtod("nan", NULL), 1), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_tile_from_any_day_to_any_day),
        cmocka_unit_test(the_31st_makes_no_month_twice_or_never),
        cmocka_unit_test(february_of_a_leap_year_has_its_29th),
        cmocka_unit_test(whole_months_are_cut_at_their_ends_only),
        cmocka_unit_test(a_microsecond_is_an_interval),
        cmocka_unit_test(before_1970_months_are_months_too),
        cmocka_unit_test(nobody_to_page_is_one_empty_interval),
        cmocka_unit_test(absurd_ranges_are_refused_and_write_nothing_past_the_end),
        cmocka_unit_test(a_job_that_names_its_window_gets_it),
        cmocka_unit_test(under_a_limit_the_window_is_five_seconds_of_it),
        cmocka_unit_test(without_a_limit_the_window_follows_the_throughput),
        cmocka_unit_test(mailers_have_something_for_each_slot),
        cmocka_unit_test(under_a_limit_many_slots_hold_ten_seconds_and_not_minutes),
        cmocka_unit_test(who_names_a_provider_leaves_slots_to_others),
        cmocka_unit_test(retries_are_kept_a_tenth_of_the_window),
        cmocka_unit_test(no_figure_makes_a_window_without_end),
        cmocka_unit_test(throughput_begins_at_the_start_value_and_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
