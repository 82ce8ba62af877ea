/* The provider's rate, when several mailers ask for the same. */
#include "lib/ledger/rates.h"
#include "lib/ledger/testing_race.h"

#define RATE() t_sql("SELECT round(rate)::bigint FROM foliopost.provider_rates")

static void configured(void)
{
    assert_ok(ledger_rate_configure(t_ledger, "relay", 1000, &t_err));
}

static void step_lower(struct fp_ledger *l, struct other *o)
{
    o->result = o->rc = ledger_rate_lower(l, "relay", 0.6, 30, &o->err);
}

static void a_wave_of_throttling_lowers_once_however_many_mailers_it_reaches(void **state)
{
    (void)state;
    configured();
    struct other other = {.step = step_lower};
    begin();
    assert_int_equal(ledger_rate_lower(first, "relay", 0.6, 30, &t_err), 1);
    start(&other, 1);
    commit();
    join(&other);
    assert_int_equal(other.result, 0);
    assert_int_equal(ledger_rate_lower(t_ledger, "relay", 0.6, 30, &t_err), 0);
    assert_int_equal(RATE(), 600);
    t_sql("UPDATE foliopost.provider_rates SET lowered_at = lowered_at - interval '2 s'");
    assert_int_equal(ledger_rate_lower(t_ledger, "relay", 0.6, 30, &t_err), 1); /* the next wave */
    assert_int_equal(RATE(), 360);
}

static void a_rate_rises_at_one_pace_however_many_mailers_ask(void **state)
{
    (void)state;
    configured();
    assert_ok(ledger_rate_lower(t_ledger, "relay", 0.5, 1, &t_err));
    t_sql("UPDATE foliopost.provider_rates SET lowered_until = clock_timestamp()");
    assert_int_equal(ledger_rate_raise(t_ledger, "relay", 0.05, &t_err), 0); /* lowered just now */
    t_sql("UPDATE foliopost.provider_rates SET lowered_at = lowered_at - interval '5 s'");
    int raised = 0;
    for (int i = 0; i < 4; i++) {
        int n = ledger_rate_raise(t_ledger, "relay", 0.05, &t_err);
        assert_ok(n);
        raised += n;
    }
    assert_int_equal(raised, 1);
    assert_int_equal(RATE(), 550);
    t_sql("UPDATE foliopost.provider_rates SET raised_at = raised_at - interval '5 s'");
    assert_int_equal(ledger_rate_raise(t_ledger, "relay", 0.05, &t_err), 1);
    t_sql("UPDATE foliopost.provider_rates SET raised_at = raised_at + interval '1 h',"
          " lowered_at = lowered_at + interval '1 h'"); /* the clock was set back */
    assert_int_equal(ledger_rate_raise(t_ledger, "relay", 0.05, &t_err), 1);
    assert_int_equal(RATE(), 650);
}

static void step_return(struct fp_ledger *l, struct other *o)
{
    assert_ok(pg_connect(ledger_pg(l), &o->err)); /* a step is tried again only on what was a connection */
    o->result = ledger_rate_return(l, "relay", 10, t_day, &o->err);
}

/* Whoever lost the answer cannot know whether it is done. */
static void what_goes_back_to_the_quota_is_not_told_twice(void **state)
{
    (void)state;
    configured();
    assert_ok(ledger_rate_quota(t_ledger, "relay", 100, 50, &t_err));
    t_day = (int32_t)t_sql("SELECT quota_day - date '1970-01-01' FROM foliopost.provider_rates");
    struct other other = {.step = step_return};
    begin();
    t_sql_on(first, "SELECT 1 FROM foliopost.provider_rates FOR UPDATE");
    start(&other, 1);
    t_sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
          " WHERE datname = current_database() AND wait_event_type = 'Lock'");
    commit();
    join(&other);
    assert_int_equal(other.result, -1);
    assert_int_equal(t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates"), 50);
}

static void what_was_taken_yesterday_does_not_go_back_to_today(void **state)
{
    int granted;
    int64_t delay_us;
    double rate;
    (void)state;
    configured();
    assert_ok(ledger_rate_quota(t_ledger, "relay", 100, 0, &t_err));
    assert_ok(ledger_rate_take(t_ledger, "relay", 40, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_ok(ledger_rate_return(t_ledger, "relay", 10, t_day, &t_err));
    assert_int_equal(t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates"), 30);
    assert_ok(ledger_rate_return(t_ledger, "relay", 10, t_day - 1, &t_err));
    assert_int_equal(t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates"), 30);
}

/* --- an account that says what it allows --------------------------------------------------- */

#define USED() t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates")

static int taken(int n)
{
    int granted;
    int64_t delay_us;
    double rate;
    assert_ok(ledger_rate_take(t_ledger, "ses", n, &granted, &delay_us, &rate, &t_day, &t_err));
    return granted;
}

static void limits(struct ledger_limits now)
{
    assert_ok(ledger_rate_limits(t_ledger, "ses", &now, &t_err));
}

static const struct ledger_limits as_read = {
    .per_second = 14, .per_day = 50000, .account = ACCOUNT_READ, .rolls = true, .sent = 49000};

static void a_mailer_that_cannot_read_the_account_leaves_what_another_read(void **state)
{
    const struct ledger_limits unread = {.per_second = 100, .account = ACCOUNT_UNREAD};
    (void)state;
    limits(unread); /* the first: its settings are all that is known */
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 100);
    limits(as_read);
    limits(unread);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE rate = 14 AND rate_limit = 14"
                           " AND configured_limit = 14 AND daily_quota = 50000 AND quota_used = 49000"),
                     1);
    limits((struct ledger_limits){.per_second = 10,
                                  .account = ACCOUNT_UNREAD}); /* settings that are lower hold */
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 10);
    t_sql("UPDATE foliopost.provider_rates SET account_read_at = account_read_at - interval '25 h'");
    limits(unread); /* nobody reads it any more */
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE rate = 100 AND daily_quota = 0"), 1);
}

static void a_quota_that_is_spent_before_the_first_mail_is_no_error(void **state)
{
    struct ledger_limits spent = as_read;
    (void)state;
    spent.sent = spent.per_day;
    limits(spent);
    assert_int_equal(taken(1), RATE_QUOTA_SPENT);
}

/* It is the last 24 hours' that counts, whatever day it is, and falls again. */
static void the_accounts_own_count_is_taken_and_ends_with_no_day(void **state)
{
    (void)state;
    limits(as_read);
    assert_int_equal(taken(10), 10);
    assert_int_equal(USED(), 49010);
    t_sql("UPDATE foliopost.provider_rates SET quota_day = quota_day - 1, next_free = '-infinity'");
    assert_int_equal(taken(990), 990); /* midnight frees nothing */
    t_sql("UPDATE foliopost.provider_rates SET next_free = '-infinity'");
    assert_int_equal(taken(1), RATE_QUOTA_SPENT);
    struct ledger_limits later = as_read;
    later.sent = 20000;
    limits(later);
    assert_int_equal(taken(1), 1);
    assert_int_equal(USED(), 20001);
    limits(later); /* just taken, and in no count yet */
    assert_in_range(USED(), 20000, 20001);
}

static void a_quota_of_ours_below_the_accounts_counts_days_and_our_own_mails(void **state)
{
    struct ledger_limits ours = as_read;
    (void)state;
    limits(as_read);
    ours.per_day = 1000;
    ours.rolls = false;
    limits(ours);
    assert_int_equal(USED(), 0);
    assert_int_equal(taken(10), 10);
    limits(ours); /* read again */
    assert_int_equal(USED(), 10);
    t_sql("UPDATE foliopost.provider_rates SET quota_day = quota_day - 1, next_free = '-infinity'");
    assert_int_equal(taken(5), 5);
    assert_int_equal(USED(), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(a_wave_of_throttling_lowers_once_however_many_mailers_it_reaches),
        RACE(a_rate_rises_at_one_pace_however_many_mailers_ask),
        RACE(what_goes_back_to_the_quota_is_not_told_twice),
        cmocka_unit_test_setup(what_was_taken_yesterday_does_not_go_back_to_today, t_clean),
        cmocka_unit_test_setup(a_mailer_that_cannot_read_the_account_leaves_what_another_read, t_clean),
        cmocka_unit_test_setup(a_quota_that_is_spent_before_the_first_mail_is_no_error, t_clean),
        cmocka_unit_test_setup(the_accounts_own_count_is_taken_and_ends_with_no_day, t_clean),
        cmocka_unit_test_setup(a_quota_of_ours_below_the_accounts_counts_days_and_our_own_mails, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
