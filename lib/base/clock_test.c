/* The calendar against the C library, and the formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lib/base/clock.h"

static void every_day_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int32_t day = -80000; day < 140000; day++) { /* 1750 to 2353 */
        time_t t = (time_t)day * 86400;
        struct tm tm;
        int y, m, d;
        gmtime_r(&t, &tm);
        day_to_civil(day, &y, &m, &d);
        if (y != tm.tm_year + 1900 || m != tm.tm_mon + 1 || d != tm.tm_mday || day_from_civil(y, m, d) != day)
            fail_msg("day %d: %d-%d-%d", (int)day, y, m, d);
        if (day_of_week(day) != (tm.tm_wday == 0 ? 7 : tm.tm_wday))
            fail_msg("day %d: weekday %d", (int)day, day_of_week(day));
    }
}

static void months_add_over_years(void **state)
{
    (void)state;
    int32_t jan31 = day_from_civil(2024, 1, 31), jan = day_first_of_month(jan31);
    assert_int_equal(jan, day_from_civil(2024, 1, 1));
    assert_int_equal(day_add_months(jan, 1), day_from_civil(2024, 2, 1));
    assert_int_equal(day_add_months(jan, 12), day_from_civil(2025, 1, 1));
    assert_int_equal(day_add_months(jan, -1), day_from_civil(2023, 12, 1));
    assert_int_equal(day_add_months(jan, -13), day_from_civil(2022, 12, 1));
    assert_int_equal(day_add_months(jan, 0), jan);
    for (int n = -2000; n < 2000; n++)
        assert_int_equal(day_add_months(day_add_months(jan, n), -n), jan);
}

static int32_t d(const char *text)
{
    int32_t day;

    assert_true(day_parse(text, &day));
    return day;
}

static void period_is(void (*plan)(int32_t, int32_t *, int32_t *), const char *today, const char *start,
                      const char *end)
{
    int32_t from, to;
    char text[11];

    plan(d(today), &from, &to);
    day_format(from, text);
    assert_string_equal(text, start);
    day_format(to, text);
    assert_string_equal(text, end);
}

static void the_last_week_is_monday_to_sunday(void **state)
{
    (void)state;
    period_is(day_last_week, "2026-11-02", "2026-10-26", "2026-11-01"); /* a Monday */
    period_is(day_last_week, "2026-11-01", "2026-10-19", "2026-10-25"); /* a Sunday: its week has not ended */
    period_is(day_last_week, "2026-11-07", "2026-10-26", "2026-11-01");
    period_is(day_last_week, "2027-01-01", "2026-12-21", "2026-12-27"); /* ISO week 53 of 2026 goes on */
    period_is(day_last_week, "2027-01-04", "2026-12-28", "2027-01-03");
    period_is(day_last_week, "2024-03-04", "2024-02-26", "2024-03-03"); /* over a leap day */
}

static void the_last_month_is_a_whole_one(void **state)
{
    (void)state;
    period_is(day_last_month, "2026-11-01", "2026-10-01", "2026-10-31");
    period_is(day_last_month, "2026-10-31", "2026-09-01", "2026-09-30");
    period_is(day_last_month, "2027-01-01", "2026-12-01", "2026-12-31");
    period_is(day_last_month, "2026-12-31", "2026-11-01", "2026-11-30");
    period_is(day_last_month, "2024-03-31", "2024-02-01", "2024-02-29");
    period_is(day_last_month, "2100-03-01", "2100-02-01", "2100-02-28"); /* a century is no leap year */
}

static void moments_before_1970_are_in_their_day(void **state)
{
    (void)state;
    assert_int_equal(day_from_us(0), 0);
    assert_int_equal(day_from_us(-1), -1);
    assert_int_equal(day_from_us(FP_US_PER_DAY - 1), 0);
    assert_int_equal(day_from_us(-FP_US_PER_DAY), -1);
    assert_int_equal(day_from_us(-FP_US_PER_DAY - 1), -2);
}

static void days_are_parsed_strictly(void **state)
{
    static const char *const bad[] = {"",           "2026",       "2026-1-01",   "2026-01-1",
                                      "2026-13-01", "2026-00-01", "2026-01-00",  "2026-02-29",
                                      "2026-04-31", "1899-12-31", "2026-01-01 ", " 2026-01-01",
                                      "2026/01/01", "20260101",   "2026-01-011", "-026-01-01",
                                      "2026-0a-01", "1900-02-29"};
    int32_t day = 5;
    char text[11];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (day_parse(bad[i], &day))
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(day, 5);
    assert_true(day_parse("2024-02-29", &day));
    day_format(day, text);
    assert_string_equal(text, "2024-02-29");
    assert_true(day_parse("1900-01-01", &day) && day_parse("9999-12-31", &day));
}

static void times_have_their_formats(void **state)
{
    int64_t t = (int64_t)day_from_civil(2026, 11, 1) * FP_US_PER_DAY;
    char a[32], b[40];

    (void)state;
    time_format_rfc3339(t, a);
    assert_string_equal(a, "2026-11-01T00:00:00.000000Z");
    time_format_rfc5322(t, b);
    assert_string_equal(b, "Sun, 01 Nov 2026 00:00:00 +0000");
    time_format_rfc3339(t - 1, a);
    assert_string_equal(a, "2026-10-31T23:59:59.999999Z");
    time_format_rfc3339(-1, a);
    assert_string_equal(a, "1969-12-31T23:59:59.999999Z");
}

static void absurd_times_do_not_overflow(void **state)
{
    char a[32], b[40], d[11];

    (void)state;
    time_format_rfc3339(INT64_MAX, a);
    time_format_rfc3339(INT64_MIN, a);
    time_format_rfc5322(INT64_MAX, b);
    time_format_rfc5322(INT64_MIN, b);
    day_format(INT32_MAX, d);
    day_format(INT32_MIN, d);
    assert_true(strlen(a) < sizeof a && strlen(b) < sizeof b && strlen(d) < sizeof d);
}

static void clocks_go_forward(void **state)
{
    (void)state;
    int64_t mono = clock_mono_us(), boot = clock_boot_us();
    clock_sleep_us(2000);
    clock_sleep_us(-5);
    assert_true(clock_mono_us() - mono >= 2000);
    assert_true(clock_boot_us() - boot >= 2000);
    assert_true(clock_wall_us() > (int64_t)day_from_civil(2024, 1, 1) * FP_US_PER_DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_day_agrees_with_the_c_library),
        cmocka_unit_test(months_add_over_years),
        cmocka_unit_test(the_last_week_is_monday_to_sunday),
        cmocka_unit_test(the_last_month_is_a_whole_one),
        cmocka_unit_test(moments_before_1970_are_in_their_day),
        cmocka_unit_test(days_are_parsed_strictly),
        cmocka_unit_test(times_have_their_formats),
        cmocka_unit_test(absurd_times_do_not_overflow),
        cmocka_unit_test(clocks_go_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
