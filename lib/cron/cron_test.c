/* What is a cron expression, and when it is due where clocks are changed. Ten
 * years in ten zones are compared with Python's in tests/scenarios/test_cron.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"

static struct fp_err t_err;

static int64_t at(int year, int month, int day, int hour, int minute)
{
    return day_from_civil(year, month, day) * FP_US_PER_DAY + (hour * 60 + minute) * 60 * FP_US_PER_S;
}

/* The due moments behind `after`, as "2026-03-29T01:00 ...", in UTC. */
static void assert_due(const char *expression, const char *zone, int64_t after_us, const char *const *due)
{
    struct cron c;
    struct cron_zone *z = cron_zone_open(zone, &t_err);

    if (!z || cron_parse(expression, &c, &t_err))
        fail_msg("%s in %s: %s", expression, zone, t_err.msg);
    for (; *due; due++) {
        char text[32];
        assert_int_equal(cron_next(&c, z, after_us, &after_us, &t_err), 0);
        time_format_rfc3339(after_us, text);
        if (strncmp(text, *due, 16) != 0)
            fail_msg("%s in %s: %.16s, not %s", expression, zone, text, *due);
        assert_string_equal(text + 16, ":00.000000Z");
    }
    cron_zone_close(z);
}
#define DUE(...)                                                                                             \
    (const char *const[])                                                                                    \
    {                                                                                                        \
        __VA_ARGS__, NULL                                                                                    \
    }

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "has 0 fields, not five"},
        {"* * * *", "has 4 fields, not five"},
        {"* * * * * *", "has 6 fields, not five"},
        {"60 * * * *", "minute \"60\": not 0 to 59"},
        {"* 24 * * *", "hour \"24\": not 0 to 23"},
        {"* * 0 * *", "day of the month \"0\": not 1 to 31, or L"},
        {"* * 32 * *", "day of the month \"32\": not 1 to 31, or L"},
        {"* * * 13 *", "month \"13\": not 1 to 12"},
        {"* * * * 8", "day of the week \"8\": not 0 to 7"},
        {"99999999999999999999 * * * *", "not 0 to 59"},
        {"10-5 * * * *", "minute \"10-5\": the range ends before it begins"},
        {"*/0 * * * *", "minute \"*/0\": the step is 0"},
        {"*/60 * * * *", "minute \"*/60\": the step"},
        {"1,,2 * * * *", "minute \"1,,2\": a number is missing"},
        {"1, * * * *", "a number is missing"},
        {"-1 * * * *", "a number is missing"},
        {"5x * * * *", "minute \"5x\": only numbers"},
        {"* * * foo *", "month \"foo\": a number is missing"},
        {"* * * january *", "month \"january\": only numbers"},
        {"L * * * *", "minute \"L\": a number is missing"},
        {"* * L-2 * *", "day of the month \"L-2\": only numbers"},
        {"? * * * *", "a number is missing"},
        {"@reboot", "\"@reboot\" is not @hourly"},
        {"0 0 30 2 *", "\"0 0 30 2 *\" is never due"},
        {"0 0 31 4,6,9,11 *", "is never due"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cron c;
        t_err.msg[0] = '\0';
        assert_int_equal(cron_parse(bad[i].text, &c, &t_err), -1);
        assert_int_equal(t_err.code, FP_INVALID_ARGUMENT);
        if (!strstr(t_err.msg, bad[i].says))
            fail_msg("\"%s\" says: %s", bad[i].text, t_err.msg);
    }
}

static void long_texts_and_foreign_bytes_are_refused(void **state)
{
    char text[4096];
    struct cron c;

    (void)state;
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(cron_parse(text, &c, &t_err), -1);
    for (int b = 1; b < 256; b++) { /* in each place of a good one */
        for (size_t i = 0; i < 9; i++) {
            memcpy(text, "5 4 L 2 1", 10);
            text[i] = (char)b;
            (void)!cron_parse(text, &c, &t_err);
        }
    }
}

static void zones_are_those_of_iana(void **state)
{
    static const char *const good[] = {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5",
                                       "Asia/Calcutta"};
    static const char *const bad[] = {"",         "Berlin",  "Europe/Atlantis",
                                      "GMT+3:07", "+02:00",  "Etc/Unknown",
                                      "../etc",   "Europe/", "Europe/Berlin\n",
                                      "\xff\xfe"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct cron_zone *z = cron_zone_open(good[i], &t_err);
        assert_non_null(z);
        cron_zone_close(z);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(cron_zone_open(bad[i], &t_err));
        assert_int_equal(t_err.code, FP_INVALID_ARGUMENT);
    }
    cron_zone_close(NULL);
}

static void fields_are_read(void **state)
{
    int64_t t = at(2026, 1, 1, 0, 0); /* a Thursday */

    (void)state;
    assert_due("30 6 * * *", "UTC", t, DUE("2026-01-01T06:30", "2026-01-02T06:30"));
    assert_due("*/20 9-17/4 * * *", "UTC", t,
               DUE("2026-01-01T09:00", "2026-01-01T09:20", "2026-01-01T09:40", "2026-01-01T13:00"));
    assert_due("10/25 0 * * *", "UTC", t, DUE("2026-01-01T00:10", "2026-01-01T00:35", "2026-01-02T00:10"));
    assert_due("0 8 * * mon-FRI", "UTC", t, DUE("2026-01-01T08:00", "2026-01-02T08:00", "2026-01-05T08:00"));
    assert_due("0 8 * * sat-sun", "UTC", t, DUE("2026-01-03T08:00", "2026-01-04T08:00", "2026-01-10T08:00"));
    assert_due("0 8 * * 5-7", "UTC", t,
               DUE("2026-01-02T08:00", "2026-01-03T08:00", "2026-01-04T08:00", "2026-01-09T08:00"));
    assert_due("0 0 L * *", "UTC", t, DUE("2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"));
    assert_due("0 0 1,L feb *", "UTC", t, DUE("2026-02-01T00:00", "2026-02-28T00:00", "2027-02-01T00:00"));
    assert_due("0 0 29 2 *", "UTC", t, DUE("2028-02-29T00:00", "2032-02-29T00:00"));
    assert_due("0 0 29 2 *", "UTC", at(2096, 3, 1, 0, 0), DUE("2104-02-29T00:00"));
    /* both days restricted: either; one with a star in front: both */
    assert_due("0 0 13 * fri", "UTC", t, DUE("2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"));
    assert_due("0 0 */12 * fri", "UTC", t, DUE("2026-02-13T00:00", "2026-03-13T00:00", "2026-05-01T00:00"));
}

static void shorthands_are_read(void **state)
{
    int64_t t = at(2026, 1, 1, 0, 0);

    (void)state;
    assert_due("@hourly", "UTC", t, DUE("2026-01-01T01:00"));
    assert_due("@daily", "UTC", t, DUE("2026-01-02T00:00"));
    assert_due("@midnight", "UTC", t, DUE("2026-01-02T00:00"));
    assert_due("@weekly", "UTC", t, DUE("2026-01-04T00:00"));
    assert_due("@MONTHLY", "Asia/Tokyo", t, DUE("2026-01-31T15:00", "2026-02-28T15:00"));
    assert_due("@yearly", "UTC", t, DUE("2027-01-01T00:00"));
    assert_due("@annually", "UTC", t, DUE("2027-01-01T00:00"));
}

/* Berlin: 2026-03-29 02:00 becomes 03:00 (01:00 UTC). */
static void a_time_left_out_is_due_at_the_end_of_the_gap(void **state)
{
    int64_t t = at(2026, 3, 28, 12, 0);

    (void)state;
    assert_due("30 2 * * *", "Europe/Berlin", t, DUE("2026-03-29T01:00", "2026-03-30T00:30"));
    assert_due("*/15 2 * * *", "Europe/Berlin", t, DUE("2026-03-29T01:00", "2026-03-30T00:00"));
    assert_due("0 2,3 * * *", "Europe/Berlin", t, DUE("2026-03-29T01:00", "2026-03-30T00:00"));
    assert_due("0 0 * * *", "America/Sao_Paulo", at(2018, 11, 3, 12, 0), /* midnight itself is left out */
               DUE("2018-11-04T03:00", "2018-11-05T02:00"));
    assert_due("0 12 30 * *", "Pacific/Apia", at(2011, 12, 1, 0, 0), /* all of the 30th is */
               DUE("2011-12-30T10:00", "2012-01-29T22:00"));
    assert_due("10 2 * * *", "Australia/Lord_Howe", at(2025, 10, 4, 12, 0), /* by half an hour */
               DUE("2025-10-04T15:30", "2025-10-05T15:10"));
}

/* Berlin: 2026-10-25 03:00 becomes 02:00 (01:00 UTC). */
static void a_time_that_comes_twice_is_due_once(void **state)
{
    int64_t t = at(2026, 10, 24, 12, 0);

    (void)state;
    assert_due("30 2 * * *", "Europe/Berlin", t, DUE("2026-10-25T00:30", "2026-10-26T01:30"));
    assert_due("30 * * * *", "Europe/Berlin", at(2026, 10, 24, 23, 0),
               DUE("2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T02:30"));
    /* asked within the second time round */
    assert_due("30 2 * * *", "Europe/Berlin", at(2026, 10, 25, 1, 10), DUE("2026-10-26T01:30"));
    assert_due("0 0 * * *", "America/Sao_Paulo", at(2018, 2, 16, 12, 0),
               DUE("2018-02-17T02:00", "2018-02-18T03:00"));
}

static void the_day_is_the_zones(void **state)
{
    struct cron_zone *z = cron_zone_open("Asia/Tokyo", &t_err);
    int32_t day;

    (void)state;
    assert_non_null(z);
    assert_int_equal(cron_local_day(z, at(2026, 1, 31, 15, 0), &day, &t_err), 0);
    assert_int_equal(day, day_from_civil(2026, 2, 1));
    assert_int_equal(cron_local_day(z, at(2026, 1, 31, 14, 59), &day, &t_err), 0);
    assert_int_equal(day, day_from_civil(2026, 1, 31));
    cron_zone_close(z);
}

static void times_out_of_bounds_are_refused(void **state)
{
    static const int64_t bad[] = {INT64_MIN, -1, 0, INT64_MAX, INT64_C(253402300799000000)};
    struct cron_zone *z = cron_zone_open("UTC", &t_err);
    struct cron c;
    int64_t due;

    (void)state;
    assert_int_equal(cron_parse("* * * * *", &c, &t_err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(cron_next(&c, z, bad[i], &due, &t_err), -1);
        assert_int_equal(t_err.code, FP_INVALID_ARGUMENT);
    }
    cron_zone_close(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(long_texts_and_foreign_bytes_are_refused),
        cmocka_unit_test(zones_are_those_of_iana),
        cmocka_unit_test(fields_are_read),
        cmocka_unit_test(shorthands_are_read),
        cmocka_unit_test(a_time_left_out_is_due_at_the_end_of_the_gap),
        cmocka_unit_test(a_time_that_comes_twice_is_due_once),
        cmocka_unit_test(the_day_is_the_zones),
        cmocka_unit_test(times_out_of_bounds_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
