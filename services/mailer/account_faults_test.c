/* Faults of our account with the provider, over a real PostgreSQL: they are nobody's
 * own, and a reply that asks for time gets it. */
#include "services/mailer/testing.h"

static enum verdict the_last_is_refused(int64_t user_id)
{
    return user_id == 50 ? VERDICT_PROVIDER_FAULT : VERDICT_SENT;
}

/* As a 401, 403 or a quota's reply does (classify_test.c): the mails before passed a moment ago. */
static void the_last_mail_that_meets_it_is_not_charged(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    int64_t job = t_started(false);
    bool held;
    f_verdict = the_last_is_refused;
    f_code = 401;
    f_account = true;
    f_start(&o);
    (void)f_batch(job, 1, 20);
    f_await(f_idle(), 10);
    int64_t batch = f_batch(job, 50, 1);
    for (int i = 0; i < 40 && atomic_load(&f_tries) < 20 + 6; i++) {
        clock_sleep_us(1000 * 1000);
        assert_ok(ledger_instance_renew(t_ledger, t_mailer, 4, "", &held, &t_err));
    }
    assert_true(atomic_load(&f_tries) >= 20 + 6);
    assert_int_equal(t_count(job, "user_id = 50"), 0);
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE fault <> ''"), 1);
    f_verdict = f_all_sent;
    for (int i = 0; i < 40 && !f_idle(); i++) {
        clock_sleep_us(500 * 1000);
        assert_ok(ledger_instance_renew(t_ledger, t_mailer, 4, "", &held, &t_err));
    }
    f_stop();
    assert_int_equal(t_count(job, "user_id = 50 AND state = 'sent' AND attempts = 1"), 1);
}

static enum verdict every_other(int64_t user_id)
{
    return user_id % 2 ? VERDICT_PROVIDER_FAULT : VERDICT_SENT;
}

/* A quota that runs dry lets some pass between. */
static void who_meets_it_between_others_is_not_charged(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    int64_t job = t_started(false);
    bool held;
    f_verdict = every_other;
    f_code = 454;
    f_account = true;
    o.providers[0].limits.per_second = 10;
    f_start(&o);
    (void)f_batch(job, 1, 200);
    for (int i = 0; i < 25; i++) {
        clock_sleep_us(1000 * 1000);
        assert_ok(ledger_instance_renew(t_ledger, t_mailer, 4, "", &held, &t_err));
    }
    assert_int_equal(t_count(job, "state NOT IN ('sent')"), 0);
    f_stop();
}

static enum verdict the_first_is_unclear(int64_t user_id)
{
    return user_id == 1 ? VERDICT_AMBIGUOUS : VERDICT_SENT;
}

/* "503, Retry-After": whatever became of that mail, the next waits. */
static void who_asks_for_time_gets_it_after_an_unclear_end_too(void **state)
{
    (void)state;
    struct desk_options o = f_options();
    int64_t job = t_started(false);
    f_verdict = the_first_is_unclear;
    f_code = 503;
    f_retry_after_ms = 4000;
    f_start(&o);
    (void)f_batch(job, 1, 1);
    f_await(f_idle(), 10);
    (void)f_batch(job, 2, 5);
    clock_sleep_us(1500 * 1000);
    assert_int_equal(f_total(), 1);
    f_await(f_idle(), 10);
    f_stop();
    assert_int_equal(t_count(job, "state = 'sent'"), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_last_mail_that_meets_it_is_not_charged, f_clean),
        cmocka_unit_test_setup(who_meets_it_between_others_is_not_charged, f_clean),
        cmocka_unit_test_setup(who_asks_for_time_gets_it_after_an_unclear_end_too, f_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
