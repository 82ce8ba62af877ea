/* Each verdict, each policy, and where the attempts end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/mailer/outcome.h"

static const struct retry_rule hold = {.base_ms = 300000,
                                       .cap_ms = 3600000,
                                       .max_attempts = 3,
                                       .left_ms = INT64_MAX};
static const struct retry_rule resend = {
    .base_ms = 300000, .cap_ms = 3600000, .max_attempts = 3, .left_ms = INT64_MAX, .resend = true};

static struct transport_reply reply(enum verdict v, const char *reason)
{
    struct transport_reply r = {.verdict = v, .code = 450};
    (void)snprintf(r.reason, sizeof(r.reason), "%s", reason);
    (void)snprintf(r.provider_id, sizeof(r.provider_id), "queued as 7");
    return r;
}

static void an_accepted_mail_is_sent(void **state)
{
    const struct transport_reply r = reply(VERDICT_SENT, "250 ok");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_RECORD);
    assert_int_equal(o.state, DELIVERY_SENT);
    assert_string_equal(o.provider_id, "queued as 7");
    assert_string_equal(o.reason, "");
    assert_true(o.attempted);
}

static void a_refusal_for_now_is_tried_again_until_the_attempts_are_used_up(void **state)
{
    const struct transport_reply r = reply(VERDICT_DEFERRED, "450 4.2.0 later");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_RECORD);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    assert_int_equal(o.retry_in_ms, 300000);
    assert_false(o.maybe_double);
    (void)outcome_of_reply(&r, 1, &hold, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    assert_int_equal(o.retry_in_ms, 600000);
    (void)outcome_of_reply(&r, 2, &hold, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_FAILED);
    assert_string_equal(o.reason, "retries exhausted: 450 4.2.0 later");
}

/* What would come too late is failed now: the job need not fail for it. */
static void a_deadline_ends_the_attempts_sooner(void **state)
{
    const struct transport_reply r = reply(VERDICT_DEFERRED, "450 4.2.0 later");
    struct retry_rule rule = {.base_ms = 300000, .cap_ms = 3600000, .max_attempts = 12, .left_ms = 660000};
    struct outcome o;
    (void)state;
    (void)outcome_of_reply(&r, 0, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    (void)outcome_of_reply(&r, 1, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    (void)outcome_of_reply(&r, 2, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_FAILED);
    assert_string_equal(o.reason, "retries end with the deadline: 450 4.2.0 later");
    rule.left_ms = -5;
    (void)outcome_of_reply(&r, 0, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_FAILED);
}

/* A dozen attempts at a refusal are no dozen mails to one user. */
static void what_is_unclear_is_tried_three_times_whatever_the_job_says(void **state)
{
    const struct transport_reply r = reply(VERDICT_AMBIGUOUS, "connection lost");
    struct retry_rule rule = resend;
    struct outcome o;
    (void)state;
    rule.max_attempts = 12;
    (void)outcome_of_reply(&r, 1, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    (void)outcome_of_reply(&r, 2, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_AMBIGUOUS);
    rule.left_ms = 1000;
    (void)outcome_of_reply(&r, 0, &rule, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_AMBIGUOUS);
}

static void the_wait_doubles_up_to_its_cap_and_is_spread(void **state)
{
    (void)state;
    assert_int_equal(outcome_backoff_ms(&hold, 3, 0.5), 2400000);
    assert_int_equal(outcome_backoff_ms(&hold, 4, 0.5), 3600000);
    assert_int_equal(outcome_backoff_ms(&hold, 1000000, 0.5), 3600000);
    assert_int_equal(outcome_backoff_ms(&hold, 0, 0), 240000);
    assert_in_range(outcome_backoff_ms(&hold, 0, 0.999999), 359999, 360000);
}

static void a_refusal_for_good_is_failed(void **state)
{
    const struct transport_reply r = reply(VERDICT_FAILED, "550 5.1.1 no mailbox");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_RECORD);
    assert_int_equal(o.state, DELIVERY_FAILED);
    assert_string_equal(o.reason, "550 5.1.1 no mailbox");
}

static void the_unknowable_is_ambiguous_or_sent_again_by_policy(void **state)
{
    const struct transport_reply r = reply(VERDICT_AMBIGUOUS, "connection lost");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_RECORD);
    assert_int_equal(o.state, DELIVERY_AMBIGUOUS);
    (void)outcome_of_reply(&r, 0, &resend, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_DEFERRED);
    assert_true(o.maybe_double);
    assert_int_equal(o.retry_in_ms, 300000);
    (void)outcome_of_reply(&r, 2, &resend, 0.5, &o);
    assert_int_equal(o.state, DELIVERY_AMBIGUOUS); /* never failed: he may have it */
    assert_false(o.maybe_double);
}

static void a_verdict_that_is_none_is_ambiguous(void **state)
{
    const struct transport_reply r = reply((enum verdict)99, "?");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_RECORD);
    assert_int_equal(o.state, DELIVERY_AMBIGUOUS);
}

static void what_is_not_the_users_fault_has_no_outcome(void **state)
{
    struct transport_reply r = reply(VERDICT_THROTTLED, "421");
    struct outcome o;
    (void)state;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_THROTTLE);
    r.verdict = VERDICT_PROVIDER_FAULT;
    assert_int_equal(outcome_of_reply(&r, 0, &hold, 0.5, &o), NEXT_FAULT);
}

static void reasons_are_bounded_and_clean(void **state)
{
    struct transport_reply r = reply(VERDICT_DEFERRED, "");
    struct outcome o;
    (void)state;
    memset(r.reason, 'x', sizeof(r.reason) - 1);
    r.reason[3] = '\n';
    r.reason[4] = '\x80';
    (void)outcome_of_reply(&r, 2, &hold, 0.5, &o);
    assert_true(strlen(o.reason) < sizeof(o.reason));
    assert_null(strchr(o.reason, '\n'));
    assert_null(strchr(o.reason, '\x80'));
}

/* --- items that need no mail ------------------------------------------------------------------ */

static Foliopost__V1__User user;
static Foliopost__V1__SummaryItem item;
static Foliopost__V1__SummaryFailure failure;

static void fresh_item(const char *email)
{
    foliopost__v1__user__init(&user);
    foliopost__v1__summary_item__init(&item);
    foliopost__v1__summary_failure__init(&failure);
    user.email = (char *)email;
    failure.reason = (char *)"missing_price";
    item.user = &user;
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
}

static void items_say_whether_they_need_a_mail(void **state)
{
    struct outcome o;
    (void)state;
    fresh_item("a@example.com");
    assert_false(outcome_without_mail(&item, &o));
    user.skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_GONE;
    assert_true(outcome_without_mail(&item, &o));
    assert_int_equal(o.state, DELIVERY_SKIPPED);
    assert_string_equal(o.reason, "gone");
    fresh_item("a@example.com");
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP;
    item.skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT;
    assert_true(outcome_without_mail(&item, &o));
    assert_string_equal(o.reason, "nothing_to_report");
    item.skip = (Foliopost__V1__SkipReason)77; /* of a newer version */
    assert_true(outcome_without_mail(&item, &o));
    assert_string_equal(o.reason, "unknown skip reason");
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE;
    item.failure = &failure;
    assert_true(outcome_without_mail(&item, &o));
    assert_int_equal(o.state, DELIVERY_FAILED);
    assert_string_equal(o.reason, "stats: missing_price");
    assert_false(o.attempted);
    item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME__NOT_SET;
    assert_true(outcome_without_mail(&item, &o));
    assert_int_equal(o.state, DELIVERY_FAILED);
}

static void an_address_that_smtp_cannot_carry_is_skipped(void **state)
{
    static const char *const bad[] = {
        "", "x", "a@b", "a b@example.com", "a@x>\r\nRSET\r\n<b@example.com", "a@@example.com"};
    struct outcome o;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fresh_item(bad[i]);
        assert_true(outcome_without_mail(&item, &o));
        assert_string_equal(o.reason, "bad_address");
    }
}

static void expect_dry(Foliopost__V1__Span *span, const char *reason)
{
    Foliopost__V1__Span *spans[] = {span};
    Foliopost__V1__PortfolioSummary s = FOLIOPOST__V1__PORTFOLIO_SUMMARY__INIT;
    Foliopost__V1__SummaryItem one = FOLIOPOST__V1__SUMMARY_ITEM__INIT;
    struct ledger_outcome told;
    struct outcome o;
    s.spans = spans;
    s.n_spans = 1;
    one.summary = &s;
    one.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    outcome_of_dry_run(&one, 4711, &o);
    outcome_to_ledger(&o, 1, 2, &told);
    assert_int_equal(told.state, DELIVERY_SKIPPED);
    assert_false(told.attempted);
    assert_int_equal(told.size_bytes, 4711);
    assert_string_equal(told.reason, reason);
}

static void a_dry_runs_mail_is_skipped_with_its_size_and_what_is_remarkable(void **state)
{
    Foliopost__V1__Rate twr = FOLIOPOST__V1__RATE__INIT;
    Foliopost__V1__Span span = FOLIOPOST__V1__SPAN__INIT;
    (void)state;
    span.kind = FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD;
    expect_dry(&span, "dry run: would be sent");
    span.twr = &twr;
    twr.e8 = 99999999; /* and not defined */
    expect_dry(&span, "dry run: would be sent");
    twr = (Foliopost__V1__Rate){.base = twr.base, .defined = true, .e8 = 50000000};
    expect_dry(&span, "dry run: would be sent");
    twr.e8++;
    expect_dry(&span, "dry run: would be sent, outlier: return above +50 %");
    twr.e8 = -50000001;
    expect_dry(&span, "dry run: would be sent, outlier: return below -50 %");
    span.kind = FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_YEAR_TO_DATE;
    expect_dry(&span, "dry run: would be sent");
    span.kind = FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD;
    twr.e8 = 0;
    span.open_value_minor = 100;
    span.gain_minor = -100;
    expect_dry(&span, "dry run: would be sent, outlier: nothing is left");
    span.net_contributions_minor = -100; /* he took it out */
    expect_dry(&span, "dry run: would be sent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_accepted_mail_is_sent),
        cmocka_unit_test(a_refusal_for_now_is_tried_again_until_the_attempts_are_used_up),
        cmocka_unit_test(a_deadline_ends_the_attempts_sooner),
        cmocka_unit_test(what_is_unclear_is_tried_three_times_whatever_the_job_says),
        cmocka_unit_test(the_wait_doubles_up_to_its_cap_and_is_spread),
        cmocka_unit_test(a_refusal_for_good_is_failed),
        cmocka_unit_test(the_unknowable_is_ambiguous_or_sent_again_by_policy),
        cmocka_unit_test(a_verdict_that_is_none_is_ambiguous),
        cmocka_unit_test(what_is_not_the_users_fault_has_no_outcome),
        cmocka_unit_test(reasons_are_bounded_and_clean),
        cmocka_unit_test(a_dry_runs_mail_is_skipped_with_its_size_and_what_is_remarkable),
        cmocka_unit_test(items_say_whether_they_need_a_mail),
        cmocka_unit_test(an_address_that_smtp_cannot_carry_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
