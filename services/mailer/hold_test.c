/* When mail may go out, with the time in the test's hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "services/mailer/hold.h"

#define S INT64_C(1000000)

static void a_sure_fault_stops_all_and_lets_one_probe_after_a_second(void **state)
{
    struct hold h = {0};
    (void)state;
    assert_int_equal(hold_allows(&h, 50, 100 * S), 50);
    assert_true(hold_fault(&h, "refused", 1, false, HOLD_SURE, 100 * S));
    assert_false(hold_fault(&h, "refused", 1, false, HOLD_SURE, 100 * S + 1)); /* others that were out */
    assert_int_equal(hold_allows(&h, 50, 100 * S), 0);
    assert_int_equal(hold_next_us(&h, 100 * S), 101 * S);
    assert_int_equal(hold_allows(&h, 50, 101 * S), 1);
    h.probing = true;
    assert_int_equal(hold_allows(&h, 50, 101 * S), 0);
    assert_int_equal(hold_next_us(&h, 101 * S), INT64_MAX);
    hold_probe_back(&h); /* untried: its batch ended */
    assert_int_equal(hold_allows(&h, 50, 101 * S), 1);
}

static void the_wait_doubles_with_each_failed_probe_up_to_a_minute(void **state)
{
    struct hold h = {0};
    int64_t now = 0;
    (void)state;
    (void)hold_fault(&h, "refused", 1, false, HOLD_SURE, now);
    for (int wait_s = 1; wait_s <= 64; wait_s *= 2) {
        int64_t wait = (wait_s > 60 ? 60 : wait_s) * S;
        assert_int_equal(hold_next_us(&h, now), now + wait);
        now += wait;
        h.probing = true;
        assert_false(hold_fault(&h, "refused", 1, true, HOLD_SURE, now));
        assert_false(h.probing);
    }
    assert_int_equal(hold_standing_us(&h, now), now);
    assert_true(hold_fault(&h, "another reason", 1, true, HOLD_SURE, now)); /* to be told */
}

static void only_the_probe_ends_a_fault(void **state)
{
    struct hold h = {0};
    (void)state;
    (void)hold_fault(&h, "refused", 1, false, HOLD_SURE, 0);
    assert_false(hold_passed(&h, false, 0)); /* was out before the fault */
    assert_true(h.standing);
    h.probing = true;
    assert_true(hold_passed(&h, true, 0));
    assert_int_equal(hold_allows(&h, 50, 1), 50);
    assert_int_equal(hold_standing_us(&h, 5 * S), 0);
    assert_int_equal(h.passed, 2);
}

static void refusals_of_single_mails_take_three_in_a_row(void **state)
{
    struct hold h = {0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_false(hold_fault(&h, "550 5.7.1", 1, false, HOLD_POLICY, 0));
        assert_false(hold_fault(&h, "550 5.7.1", 2, false, HOLD_POLICY, 0));
        (void)hold_passed(&h, false, 0);
    }
    assert_false(hold_fault(&h, "550 5.7.1", 3, false, HOLD_POLICY, 0));
    assert_false(hold_fault(&h, "550 5.7.1", 4, false, HOLD_POLICY, 0));
    assert_true(hold_fault(&h, "550 5.7.1", 5, false, HOLD_POLICY, 0));
    assert_int_equal(hold_allows(&h, 50, 0), 0);
}

static void the_same_mail_again_and_again_is_one(void **state)
{
    struct hold h = {0};
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_false(hold_fault(&h, "550 5.7.1", 7, false, HOLD_POLICY, i * S));
        assert_false(hold_fault(&h, "550 5.7.1", 8, false, HOLD_POLICY, i * S));
    }
    assert_true(hold_fault(&h, "550 5.7.1", 9, false, HOLD_POLICY, 10 * S));
}

static void vague_refusals_take_five_in_a_row(void **state)
{
    struct hold h = {0};
    (void)state;
    for (int i = 1; i < 5; i++)
        assert_false(hold_fault(&h, "550 no", i, false, HOLD_VAGUE, 0));
    (void)hold_passed(&h, false, 0);
    for (int i = 1; i < 5; i++)
        assert_false(hold_fault(&h, "550 no", i, false, HOLD_VAGUE, 0));
    assert_true(hold_fault(&h, "550 no", 5, false, HOLD_VAGUE, 0));
    assert_true(h.standing);
}

static void a_minute_of_nothing_but_throttling_is_told(void **state)
{
    struct hold h = {0};
    (void)state;
    (void)hold_throttled(&h, false, 100 * S);
    (void)hold_throttled(&h, false, 200 * S);
    assert_false(hold_only_throttled(&h, 200 * S)); /* two, an idle while apart */
    (void)hold_passed(&h, false, 201 * S);
    for (int i = 0; i < 60; i++) {
        (void)hold_throttled(&h, false, (300 + i) * S);
        assert_false(hold_only_throttled(&h, (300 + i) * S));
    }
    assert_true(hold_only_throttled(&h, 360 * S));
}

static void lately_ends_ten_minutes_into_a_fault(void **state)
{
    struct hold h = {0};
    (void)state;
    assert_false(hold_passed_lately(&h, 0));
    (void)hold_passed(&h, false, 100 * S);
    assert_true(hold_passed_lately(&h, 10000 * S)); /* nothing has stood since */
    (void)hold_fault(&h, "refused", 1, false, HOLD_SURE, 10000 * S);
    assert_false(hold_passed_lately(&h, 10000 * S));
    h.probing = true;
    (void)hold_passed(&h, true, 10001 * S);
    (void)hold_fault(&h, "refused", 1, false, HOLD_SURE, 10002 * S);
    assert_true(hold_passed_lately(&h, 10600 * S));
    assert_false(hold_passed_lately(&h, 10601 * S));
}

static void replies_of_one_moment_lower_the_rate_once(void **state)
{
    struct hold h = {0};
    (void)state;
    assert_true(hold_throttled(&h, false, 100 * S));
    for (int i = 0; i < 30; i++)
        assert_false(hold_throttled(&h, false, 100 * S + i));
    assert_int_equal(hold_allows(&h, 50, 100 * S + S / 4), 0);
    assert_int_equal(hold_allows(&h, 50, 100 * S + S / 2), 50);
    assert_false(hold_throttled(&h, false, 101 * S)); /* a longer pause, the same complaint */
    assert_int_equal(hold_next_us(&h, 101 * S), 102 * S);
    assert_true(hold_throttled(&h, false, 103 * S));
    (void)hold_passed(&h, false, 0);
    assert_true(hold_throttled(&h, false, 110 * S)); /* the pauses begin anew */
    assert_int_equal(hold_next_us(&h, 110 * S), 110 * S + S / 2);
}

static void a_provider_that_says_when_is_left_alone_until_then(void **state)
{
    struct hold h = {0};
    (void)state;
    hold_asked(&h, 0, 100 * S);
    assert_int_equal(hold_allows(&h, 50, 100 * S), 50);
    hold_asked(&h, 30 * S, 100 * S);
    (void)hold_throttled(&h, false, 100 * S);
    assert_int_equal(hold_allows(&h, 50, 129 * S), 0);
    assert_int_equal(hold_next_us(&h, 129 * S), 130 * S);
    assert_int_equal(hold_allows(&h, 50, 130 * S), 50);
    hold_asked(&h, INT64_C(86400) * S, 200 * S);
    assert_int_equal(hold_next_us(&h, 200 * S), 200 * S + HOLD_ASKED_MAX_US);
}

static void a_throttled_probe_is_back(void **state)
{
    struct hold h = {0};
    (void)state;
    (void)hold_fault(&h, "refused", 1, false, HOLD_SURE, 0);
    h.probing = true;
    (void)hold_throttled(&h, true, 2 * S);
    assert_false(h.probing);
    assert_true(h.standing);
    assert_int_equal(hold_allows(&h, 50, 3 * S), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sure_fault_stops_all_and_lets_one_probe_after_a_second),
        cmocka_unit_test(the_wait_doubles_with_each_failed_probe_up_to_a_minute),
        cmocka_unit_test(only_the_probe_ends_a_fault),
        cmocka_unit_test(refusals_of_single_mails_take_three_in_a_row),
        cmocka_unit_test(the_same_mail_again_and_again_is_one),
        cmocka_unit_test(vague_refusals_take_five_in_a_row),
        cmocka_unit_test(a_minute_of_nothing_but_throttling_is_told),
        cmocka_unit_test(lately_ends_ten_minutes_into_a_fault),
        cmocka_unit_test(replies_of_one_moment_lower_the_rate_once),
        cmocka_unit_test(a_provider_that_says_when_is_left_alone_until_then),
        cmocka_unit_test(a_throttled_probe_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
