/* Which guard trips, and when none may. */
#include "services/scheduler/testing.h"

#include "services/scheduler/guard.h"

static char reason[400];

static bool judge(int64_t mails, int64_t failed, int64_t bounced, int64_t complained)
{
    const struct scheduler_settings set = {.guard_bounced = 5,
                                           .guard_complained = 0.3,
                                           .guard_failed = 50,
                                           .guard_after = 1000};
    const struct ledger_job j = {.id = 12};
    const struct ledger_guard_sums sums = {.mails = mails,
                                           .failed = failed,
                                           .bounced = bounced,
                                           .complained = complained};
    return guard_judge(&set, &j, &sums, set.guard_after, reason, sizeof reason);
}

static void a_share_above_its_limit_trips(void **state)
{
    (void)state;
    assert_false(judge(1000, 500, 50, 3));
    assert_true(judge(1000, 501, 50, 3));
    assert_non_null(strstr(reason, "50.10 % of 1000 mails failed, more than --guard-failed 50"));
    assert_true(judge(1000, 0, 51, 3));
    assert_non_null(strstr(reason, "--guard-bounced"));
    assert_non_null(strstr(reason, "foliopost report 12"));
    assert_true(judge(1000, 900, 900, 4));
    assert_non_null(strstr(reason, "0.40 % of 1000 mails drew complaints")); /* the worst first */
}

static void few_mails_are_no_sample_and_zero_is_off(void **state)
{
    const struct scheduler_settings off = {.guard_after = 1};
    const struct ledger_job j = {.id = 12};
    const struct ledger_guard_sums all = {.mails = 10, .failed = 10, .bounced = 10, .complained = 10};

    (void)state;
    assert_false(judge(999, 999, 999, 999));
    assert_false(judge(0, 0, 0, 0));
    assert_false(guard_judge(&off, &j, &all, 1, reason, sizeof reason));
}

static void a_canary_rests_until_its_time(void **state)
{
    struct ledger_job j = {.canary_users = 500};
    char text[160];

    (void)state;
    assert_string_equal(guard_canary_waits(&j, 1000, text), "");
    j.canary_until_us = 5 * FP_US_PER_S;
    assert_string_equal(guard_canary_waits(&j, 1000, text),
                        "canary: the first 500 users have their mails; the "
                        "rest follows at 1970-01-01T00:00:05Z");
    assert_string_equal(guard_canary_waits(&j, 5 * FP_US_PER_S, text), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_above_its_limit_trips),
        cmocka_unit_test(few_mails_are_no_sample_and_zero_is_off),
        cmocka_unit_test(a_canary_rests_until_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
