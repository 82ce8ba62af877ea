/* Whether a dry run's mails would be in time, by rate, quota and deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "services/scheduler/report.h"

#define NOON (20000 * FP_US_PER_DAY + FP_US_PER_DAY / 2)
#define HOUR (3600 * FP_US_PER_S)

static bool in_time(double per_s, double quota_left, int64_t deadline_us)
{
    Foliopost__V1__DryRun d = FOLIOPOST__V1__DRY_RUN__INIT;

    d.would_send = 36000;
    d.mails_per_s = per_s;
    d.quota_left = quota_left;
    d.deadline_us = deadline_us;
    report_in_time(&d, NOON, 40000, (double)(deadline_us - NOON) / FP_US_PER_S);
    assert_true(d.seconds == (per_s > 0 ? 36000 / per_s : 0));
    return d.in_time;
}

static void rate_and_quota_are_held_against_the_deadline(void **state)
{
    (void)state;
    assert_true(in_time(1, 0, 0)); /* no deadline */
    assert_true(in_time(10, -1, NOON + HOUR));
    assert_false(in_time(10, -1, NOON + HOUR - 1));
    assert_true(in_time(0, -1, NOON + HOUR)); /* nothing is known against it */
    assert_true(in_time(10, 36000, NOON + HOUR));
    assert_false(in_time(10, 35999, NOON + HOUR));
    assert_true(in_time(10, 0, NOON + 13 * HOUR)); /* a new day's quota */
    Foliopost__V1__DryRun d = FOLIOPOST__V1__DRY_RUN__INIT;
    d.would_send = 36000;
    d.deadline_us = NOON + 36 * HOUR;
    report_in_time(&d, NOON, 18000, 1e6); /* tomorrow's and that of the day after */
    assert_false(d.in_time);
    d.deadline_us = NOON + 37 * HOUR;
    report_in_time(&d, NOON, 18000, 1e6);
    assert_true(d.in_time);
    d.quota_left = -1;
    d.mails_per_s = 10;
    report_in_time(&d, NOON, 0, 3599); /* of the 37 hours less than one is of the job's own */
    assert_false(d.in_time);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rate_and_quota_are_held_against_the_deadline)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
