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
    o->result = ledger_rate_return(l, "relay", 10, &o->err);
}

/* Whoever lost the answer cannot know whether it is done. */
static void what_goes_back_to_the_quota_is_not_told_twice(void **state)
{
    (void)state;
    configured();
    assert_ok(ledger_rate_quota(t_ledger, "relay", 100, 50, &t_err));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(a_wave_of_throttling_lowers_once_however_many_mailers_it_reaches),
        RACE(a_rate_rises_at_one_pace_however_many_mailers_ask),
        RACE(what_goes_back_to_the_quota_is_not_told_twice),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
