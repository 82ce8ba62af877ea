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

static void a_canary_that_is_sent_is_judged_however_many_of_its_users_were_skipped(void **state)
{
    const struct scheduler_settings set = {.guard_after = 1000};
    struct ledger_job j = {.canary_users = 500, .read_us = FP_US_PER_S};

    (void)state;
    assert_int_equal(guard_least(&set, &j, false), 250); /* it goes */
    assert_int_equal(guard_least(&set, &j, true), 20);
    j.canary_until_us = 2 * FP_US_PER_S; /* it is waited for */
    assert_int_equal(guard_least(&set, &j, false), 20);
    j.read_us = 3 * FP_US_PER_S; /* the rest goes */
    assert_int_equal(guard_least(&set, &j, false), 1000);
    const struct scheduler_settings few = {.guard_after = 5};
    assert_int_equal(guard_least(&few, &j, true), 5);
}

static void a_canary_of_too_few_mails_is_for_a_person(void **state)
{
    struct ledger_job j = {.id = 12, .canary_users = 500};
    struct ledger_counts c = {.users = 500, .sent = 10, .failed = 4, .ambiguous = 3, .deferred = 2};

    (void)state;
    assert_true(guard_canary_too_few(&j, &c, reason, sizeof reason));
    assert_string_equal(reason, "canary: of its 500 users only 19 were sent a mail, too few to judge by (20):"
                                " look at `foliopost report 12`, then resume for the rest");
    c.deferred++;
    assert_false(guard_canary_too_few(&j, &c, reason, sizeof reason));
    j.canary_users = 10; /* he who asked for ten has seen ten */
    c = (struct ledger_counts){.users = 100, .sent = 10};
    assert_false(guard_canary_too_few(&j, &c, reason, sizeof reason));
    c.sent--;
    assert_true(guard_canary_too_few(&j, &c, reason, sizeof reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_above_its_limit_trips),
        cmocka_unit_test(few_mails_are_no_sample_and_zero_is_off),
        cmocka_unit_test(a_canary_rests_until_its_time),
        cmocka_unit_test(a_canary_that_is_sent_is_judged_however_many_of_its_users_were_skipped),
        cmocka_unit_test(a_canary_of_too_few_mails_is_for_a_person),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
