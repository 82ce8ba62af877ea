/* A job waits for the prices of its period, says so, and goes on when they are there. */
#include "services/scheduler/testing.h"

static void t_market(const char *last_close)
{
    t_sql("TRUNCATE portfolio.instruments, portfolio.prices");
    t_sql(
        "INSERT INTO portfolio.instruments SELECT i, 'S' || i, 'S', 'EUR', '' FROM generate_series(1, 20) AS i");
    t_sql("INSERT INTO portfolio.prices SELECT i, '%s', 1, now() FROM generate_series(1, 20) AS i",
          last_close);
}

static void again(struct t_scheduler *s)
{
    s->leader.tracks[0].next_try_mono_us = 0;
    t_tick(s);
}

static void a_job_waits_for_the_prices_of_its_period(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    char day[11];

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    day_format(spec.period_end_day - 20, day);
    t_market(day);
    t_scheduler_up(&s);
    t_set.data_ready_share = 90;
    t_set.data_ready_days = 5;
    int64_t job = t_submit(&spec), as_of_us = t_job(job).as_of_us;
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    assert_non_null(strstr(t_job(job).waiting, "data not ready: 0 of 20 instruments"));
    day_format(spec.period_end_day - 1, day);
    t_sql("INSERT INTO portfolio.prices SELECT i, '%s', 1, now() FROM generate_series(1, 17) AS i", day);
    again(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING); /* 85 % */
    assert_non_null(strstr(t_job(job).waiting, "17 of 20"));
    t_sql("INSERT INTO portfolio.prices SELECT i, '%s', 1, now() FROM generate_series(18, 19) AS i", day);
    again(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    assert_string_equal(t_job(job).waiting, "");
    assert_true(t_job(job).as_of_us > as_of_us); /* it sees what it waited for */
    t_scheduler_down(&s);
}

/* Closes of all instruments near the period's end, recorded when `recorded` says. */
static void t_late_closes(const struct ledger_job *spec, const char *recorded)
{
    char day[11];

    day_format(spec->period_end_day - 1, day);
    t_sql("INSERT INTO portfolio.prices SELECT i, '%s', 1, %s FROM generate_series(1, 20) AS i", day,
          recorded);
}

static void t_waits_for_prices(struct t_scheduler *s, const struct ledger_job *spec)
{
    char day[11];

    t_users(10, "2024-01-01", "1 hour");
    day_format(spec->period_end_day - 20, day);
    t_market(day);
    t_scheduler_up(s);
    t_set.data_ready_share = 90;
    t_set.data_ready_days = 5;
}

static int64_t t_sees_all(int64_t job)
{
    return t_sql("SELECT count(*) FROM foliopost.jobs j WHERE j.id = %lld AND j.state = 'IN_PROGRESS'"
                 " AND j.mail_date > j.as_of AND NOT EXISTS (SELECT 1 FROM portfolio.prices WHERE"
                 " recorded_at > j.as_of)",
                 (long long)job);
}

/* Whatever it waited for: approval, its turn, or a reason that another took the place of. */
static void a_job_that_starts_sees_the_prices_it_starts_for(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_waits_for_prices(&s, &spec);
    int64_t turn = t_submit(&spec);
    t_tick(&s);
    t_sql("UPDATE foliopost.jobs SET waiting = 'source unavailable'");
    spec.needs_approval = true;
    snprintf(spec.request_id, sizeof spec.request_id, "approved");
    int64_t approved = t_submit(&spec);
    t_late_closes(&spec, "clock_timestamp()");
    t_sql(
        "UPDATE foliopost.jobs SET approved_at = clock_timestamp(), approved_by = 'bob' WHERE needs_approval");
    again(&s);
    again(&s);
    assert_int_equal(t_sees_all(turn), 1);
    assert_int_equal(t_sees_all(approved), 1);
    t_scheduler_down(&s);
}

/* As long as that sees the prices; the Date is of the day on which it goes out. */
static void what_was_approved_is_what_is_sent(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_waits_for_prices(&s, &spec);
    t_late_closes(&spec, "now() - interval '1 hour'");
    spec.needs_approval = true;
    int64_t job = t_submit(&spec), as_of_us = t_job(job).as_of_us, date_us = t_job(job).mail_date_us;
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    t_sql("UPDATE foliopost.jobs SET approved_at = clock_timestamp(), approved_by = 'bob'");
    again(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(job).as_of_us, as_of_us);
    assert_true(t_job(job).mail_date_us > date_us);
    t_scheduler_down(&s);
}

/* Prices that its as_of does not see are none for it. */
static void a_resend_keeps_the_as_of_of_its_parent(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_waits_for_prices(&s, &spec);
    spec.parent_job = t_submit(&spec);
    t_sql("UPDATE foliopost.jobs SET state = 'CANCELLED'");
    snprintf(spec.request_id, sizeof spec.request_id, "resend");
    spec.as_of_us = clock_wall_us() - 3600 * FP_US_PER_S;
    int64_t job = t_submit(&spec);
    t_late_closes(&spec, "clock_timestamp()");
    t_sql("UPDATE portfolio.prices SET recorded_at = clock_timestamp()"); /* all loaded anew */
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    assert_non_null(strstr(t_job(job).waiting, "none of 20 instruments"));
    assert_non_null(strstr(t_job(job).waiting, "recorded by its as_of 20"));
    t_sql("UPDATE portfolio.prices SET recorded_at = clock_timestamp() - interval '2 hours'");
    again(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(job).as_of_us, spec.as_of_us);
    t_scheduler_down(&s);
}

/* A feed that is dead, or was never loaded, is no market of which all is there. */
static void a_market_without_any_close_of_late_is_waited_for(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_waits_for_prices(&s, &spec);
    t_sql("UPDATE portfolio.prices SET day = '1999-01-01'");
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    assert_non_null(
        strstr(t_job(job).waiting, "data not ready: none of 20 instruments has a close of the 100 days"));
    t_sql("TRUNCATE portfolio.prices");
    again(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    t_sql("TRUNCATE portfolio.instruments"); /* cash needs none */
    again(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    t_scheduler_down(&s);
}

static void data_that_never_comes_fails_it_at_its_deadline(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    char day[11];

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    day_format(spec.period_end_day - 20, day);
    t_market(day);
    spec.deadline_us = clock_wall_us() + 3600 * FP_US_PER_S;
    t_scheduler_up(&s);
    t_set.data_ready_share = 90;
    t_set.data_ready_days = 5;
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp()");
    s.leader.next_sweep_mono_us = 0;
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_FAILED);
    assert_non_null(strstr(t_job(job).response, "data not ready"));
    t_scheduler_down(&s);
}

static void a_share_of_0_waits_for_nothing(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    t_market("1999-01-01");
    t_scheduler_up(&s);
    t_set.data_ready_share = 0;
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    t_scheduler_down(&s);
}

/* What the leader's connection to the source asks for is answered by this, when its search_path says so. */
static void t_replica(struct t_scheduler *s, const char *moment)
{
    t_sql("DROP SCHEMA IF EXISTS replica CASCADE");
    t_sql("CREATE SCHEMA replica");
    t_sql("CREATE FUNCTION replica.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'");
    t_sql("CREATE FUNCTION replica.pg_last_xact_replay_timestamp() RETURNS timestamptz LANGUAGE sql"
          " AS $$ SELECT %s $$",
          moment);
    assert_ok(pg_run(source_pg(s->leader.o.source), NULL, "SET search_path = replica, pg_catalog", NULL, NULL,
                     &t_err));
}

/* It says that there is nobody, or that the first one registered later than he did. */
static void a_replica_that_is_behind_does_not_say_where_the_audience_begins(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_scheduler_up(&s);
    t_set.audience_margin_ms = 1000;
    int64_t job = t_submit(&spec);
    t_replica(&s, "submitted_at - interval '1 ms' FROM foliopost.jobs");
    t_tick(&s);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    assert_non_null(strstr(t_job(job).waiting, "its replica is behind"));
    t_users(10, "2024-01-01", "1 hour");
    t_replica(&s, "submitted_at FROM foliopost.jobs");
    s.leader.next_plan_mono_us = 0;
    again(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs WHERE registered_from = '2024-01-01+00'"), 1);
    t_sql("DROP SCHEMA replica CASCADE");
    t_scheduler_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_waits_for_the_prices_of_its_period, t_clean),
        cmocka_unit_test_setup(a_job_that_starts_sees_the_prices_it_starts_for, t_clean),
        cmocka_unit_test_setup(what_was_approved_is_what_is_sent, t_clean),
        cmocka_unit_test_setup(a_resend_keeps_the_as_of_of_its_parent, t_clean),
        cmocka_unit_test_setup(a_market_without_any_close_of_late_is_waited_for, t_clean),
        cmocka_unit_test_setup(data_that_never_comes_fails_it_at_its_deadline, t_clean),
        cmocka_unit_test_setup(a_share_of_0_waits_for_nothing, t_clean),
        cmocka_unit_test_setup(a_replica_that_is_behind_does_not_say_where_the_audience_begins, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
