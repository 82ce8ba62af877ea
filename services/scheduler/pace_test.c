/* A job's own pace: rate and hours, by themselves and in the leader's turns. */
#include "lib/ledger/rates.h"
#include "services/scheduler/pace.h"
#include "services/scheduler/testing.h"

static void a_rate_lets_a_seconds_worth_in_and_then_so_many_a_second(void **state)
{
    int64_t next_us = 0, let_in = 0;

    (void)state;
    for (int64_t now_us = 1000000; now_us <= 11000000; now_us += 100000) { /* ten seconds of ticks */
        int64_t n = pace_batches(next_us, 250, 100, now_us);
        if (n > 0) {
            next_us = pace_charge(next_us, 250, n * 100, now_us);
            let_in += n * 100;
        }
    }
    assert_in_range(let_in, 2500, 2750);
    assert_int_equal(pace_batches(0, 1, 5, 1), 1); /* a batch may be larger than the rate */
    assert_int_equal(pace_batches(pace_charge(0, 1, 5, 1), 1, 5, 1), 0);
    assert_int_equal(pace_batches(pace_charge(0, 1, 5, 1), 1, 5, 4 * FP_US_PER_S), 0);
    assert_int_equal(pace_batches(pace_charge(0, 1, 5, 1), 1, 5, 6 * FP_US_PER_S), 1);
}

static void what_was_not_let_in_is_given_back(void **state)
{
    const int64_t now_us = 100 * FP_US_PER_S;

    (void)state;
    int64_t next_us = pace_charge(now_us, 10, 30, now_us);
    assert_int_equal(next_us, now_us + 3 * FP_US_PER_S);
    assert_int_equal(pace_charge(next_us, 10, -28, now_us), now_us + FP_US_PER_S / 5);
    assert_int_equal(pace_batches(pace_charge(next_us, 10, -40, now_us), 10, 1, now_us), 10); /* no more */
}

/* A user a month: each page is short. */
static void a_short_page_costs_the_users_that_it_has(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    bool more;

    (void)state;
    t_users(6, "2024-01-05", "1 month");
    spec.batch_size = 10;
    spec.rate_limit = 0.1; /* a user in ten seconds: time does not matter here */
    t_scheduler_up(&s);
    (void)t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_sql("SELECT sum(grant_pages) FROM foliopost.intervals"), 1);
    t_tick(&s);
    assert_in_range(s.leader.tracks[0].pace_mono_us - clock_mono_us(), 90 * FP_US_PER_S, 100 * FP_US_PER_S);
    t_page(&t_bus[0], &more);
    t_tick(&s);
    assert_int_equal(t_sql("SELECT sum(users) FROM foliopost.intervals"), 1);
    assert_in_range(s.leader.tracks[0].pace_mono_us - clock_mono_us(), 0, 10 * FP_US_PER_S);
    t_scheduler_down(&s);
}

static void the_room_of_a_rate_is_shared_by_intervals(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(6, "2024-01-05", "1 month");
    spec.batch_size = 1;
    spec.rate_limit = 4;
    t_scheduler_up(&s);
    (void)t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE grant_pages = 1"), 4);
    t_scheduler_down(&s);
}

static void hours_may_go_past_midnight_and_follow_the_zone(void **state)
{
    struct ledger_window w = {0};
    struct ledger_job j = {.time_zone = "Europe/Berlin", .send_window = "08:00-20:00"};

    (void)state;
    assert_true(pace_in_hours(&w, 0));
    assert_int_equal(ledger_window_parse("22:00-06:30", &w), 0);
    assert_true(pace_in_hours(&w, 22 * 60));
    assert_true(pace_in_hours(&w, 6 * 60 + 29));
    assert_false(pace_in_hours(&w, 6 * 60 + 30));
    assert_int_equal(ledger_window_parse("8-20", &w), -1);
    assert_int_equal(ledger_window_parse("08:00-08:00", &w), -1);
    /* 2026-01-15 is a winter's, 2026-07-15 a summer's day */
    assert_true(pace_is_shut(&j, INT64_C(1768460340000000)));  /* 06:59 UTC, 07:59 there */
    assert_false(pace_is_shut(&j, INT64_C(1768460400000000))); /* 07:00 UTC */
    assert_false(pace_is_shut(&j, INT64_C(1784095200000000))); /* 06:00 UTC, 08:00 there */
    assert_true(pace_is_shut(&j, INT64_C(1784095140000000)));
    int64_t noon_us = INT64_C(1768478400000000); /* 13:00 there */
    assert_true(pace_open_s(&j, noon_us, noon_us + FP_US_PER_DAY) == 12 * 3600);
    assert_true(pace_open_s(&j, noon_us, noon_us + 8 * 3600 * FP_US_PER_S) == 7 * 3600);
    assert_true(pace_open_s(&j, noon_us, noon_us + FP_US_PER_S / 2) == 0.5);
    assert_true(pace_open_s(&j, noon_us, 0) == 0);
    snprintf(j.time_zone, sizeof j.time_zone, "Europe/Atlantis");
    assert_true(pace_open_s(&j, noon_us, noon_us + FP_US_PER_DAY) == 0);
    assert_true(pace_is_shut(&j, INT64_C(1768460400000000)));
}

static void the_leader_grants_no_more_than_the_rate_and_an_operator_raises_it(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(1000, "2024-01-01", "1 second");
    spec.batch_size = 10;
    spec.rate_limit = 10.0 / 3600; /* a batch an hour: time does not matter here */
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    for (int i = 0; i < 5; i++)
        t_tick(&s);
    assert_int_equal(t_sql("SELECT sum(grant_pages) FROM foliopost.intervals"), 1);
    assert_int_equal(t_sql("SELECT sum(grant_no) FROM foliopost.intervals"), 1);
    assert_ok(ledger_job_set_rate(t_ledger, job, 0, "ann", &t_err));
    bool more;
    t_page(&t_bus[0], &more);
    t_tick(&s);
    assert_true(t_sql("SELECT sum(grant_pages) FROM foliopost.intervals") > 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'set_rate' AND actor = 'ann'"
                           " AND job_id = %lld AND detail = 'no rate of its own'",
                           (long long)job),
                     1);
    assert_ok(ledger_job_cancel(t_ledger, job, "", "ann", &t_err));
    assert_int_equal(ledger_job_set_rate(t_ledger, job, 5, "ann", &t_err), -1);
    assert_int_equal(t_err.code, FP_FAILED_PRECONDITION);
    t_scheduler_down(&s);
}

static void a_job_outside_its_hours_stands_and_says_so(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int minute = (int)(clock_wall_us() / FP_US_PER_S / 60 % 1440);

    (void)state;
    t_users(10, "2024-01-01", "1 second");
    snprintf(spec.send_window, sizeof spec.send_window, "%02d:%02d-%02d:%02d", (minute + 600) % 1440 / 60,
             minute % 60, (minute + 660) % 1440 / 60, minute % 60);
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    for (int i = 0; i < 3; i++)
        t_tick(&s);
    assert_int_equal(t_n_work, 0);
    assert_non_null(strstr(t_job(job).waiting, "outside its sending window"));
    t_sql("UPDATE foliopost.jobs SET send_window = ''");
    s.leader.tracks[0].next_hours_mono_us = 0;
    t_run_until(&s, job, JOB_COMPLETED, 30);
    t_scheduler_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_lets_a_seconds_worth_in_and_then_so_many_a_second),
        cmocka_unit_test(what_was_not_let_in_is_given_back),
        cmocka_unit_test_setup(a_short_page_costs_the_users_that_it_has, t_clean),
        cmocka_unit_test_setup(the_room_of_a_rate_is_shared_by_intervals, t_clean),
        cmocka_unit_test(hours_may_go_past_midnight_and_follow_the_zone),
        cmocka_unit_test_setup(the_leader_grants_no_more_than_the_rate_and_an_operator_raises_it, t_clean),
        cmocka_unit_test_setup(a_job_outside_its_hours_stands_and_says_so, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
