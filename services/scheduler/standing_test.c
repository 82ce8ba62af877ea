/* Which jobs could go on, and since when one of them stands, against a real PostgreSQL. */
#include "services/scheduler/testing.h"

#include "lib/ledger/guard.h"
#include "lib/metrics/metrics.h"

#define LONG_S 1000.0

/* As if nothing had moved for long; what the leader then says of it. */
static double stands_s(struct t_scheduler *s)
{
    t_tick(s);
    for (int i = 0; i < s->leader.n_jobs; i++)
        s->leader.tracks[i].moved_mono_us -= (int64_t)(LONG_S * FP_US_PER_S);
    t_tick(s);
    return metrics_value("foliopost_job_stands_seconds", "");
}

static void assert_waits(struct t_scheduler *s)
{
    assert_true(stands_s(s) < 1);
    assert_int_equal(metrics_value("foliopost_jobs_movable", ""), 0);
    assert_true(metrics_value("foliopost_retry_late_seconds", "") == 0);
}

static void assert_stands(struct t_scheduler *s)
{
    assert_true(stands_s(s) >= LONG_S);
    assert_int_equal(metrics_value("foliopost_jobs_movable", ""), 1);
}

static int64_t page_all(void)
{
    int64_t batch = 0;

    for (int i = 0; i < t_n_work; i++)
        for (bool more = t_bus[i].batch_id == 0; more;) {
            int64_t made = t_page(&t_bus[i], &more);
            batch = made ? made : batch;
        }
    t_n_work = 0;
    return batch;
}

static void a_job_that_nobody_works_at_stands_and_one_that_moves_does_not(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(90, "2024-01-01", "1 minute");
    t_scheduler_up(&s);
    s.peers = 0;
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_stands(&s);
    s.peers = 1;
    t_tick(&s);
    int64_t batch = page_all();
    assert_stands(&s); /* in the pipeline */
    t_mail(batch, DELIVERY_SENT, DELIVERY_SENT);
    t_tick(&s);
    assert_true(metrics_value("foliopost_job_stands_seconds", "") < LONG_S);
    t_run_until(&s, job, JOB_COMPLETED, 20);
    t_tick(&s);
    assert_waits(&s);
    t_scheduler_down(&s);
}

static void one_that_stands_is_seen_beside_one_that_moves(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec(), other = t_spec();

    (void)state;
    t_users(90, "2024-01-01", "1 minute");
    t_scheduler_up(&s);
    t_submit(&spec);
    t_submit(&other);
    t_tick(&s);
    t_tick(&s);
    page_all();
    int64_t batch = t_sql("SELECT max(id) FROM foliopost.batches");
    t_tick(&s);
    s.leader.tracks[0].moved_mono_us -= (int64_t)(LONG_S * FP_US_PER_S);
    s.leader.tracks[1].moved_mono_us -= (int64_t)(LONG_S * FP_US_PER_S);
    t_mail(batch, DELIVERY_SENT, DELIVERY_SENT);
    t_tick(&s);
    assert_true(metrics_value("foliopost_job_stands_seconds", "") >= LONG_S);
    t_scheduler_down(&s);
}

static void a_job_that_waits_for_approval_does_not_stand(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 minute");
    spec.needs_approval = true;
    t_scheduler_up(&s);
    t_submit(&spec);
    assert_waits(&s);
    t_scheduler_down(&s);
}

static void a_canarys_wait_is_no_standing(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(300, "2024-03-01", "1 minute");
    spec.batch_size = 10;
    spec.canary_users = 20;
    spec.canary_wait_ms = 3600000;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    for (int i = 0; i < 300 && t_job(job).canary_until_us == 0; i++) {
        t_tick(&s);
        t_pump();
    }
    assert_true(t_job(job).canary_until_us != 0);
    assert_waits(&s);
    t_sql("UPDATE foliopost.jobs SET canary_until = now() - interval '1 second'");
    s.peers = 0;
    assert_stands(&s);
    t_scheduler_down(&s);
}

static void set_hours(struct t_scheduler *s, const char *hours)
{
    t_sql("UPDATE foliopost.jobs SET send_window = '%s', time_zone = 'UTC'", hours);
    s->leader.tracks[0].next_hours_mono_us = 0; /* look now */
}

static void closed_hours_are_no_standing(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int minute = (int)(clock_wall_us() / FP_US_PER_S / 60 % 1440);
    char closed[24];

    (void)state;
    snprintf(closed, sizeof closed, "%02d:%02d-%02d:%02d", (minute + 600) % 1440 / 60, minute % 60,
             (minute + 660) % 1440 / 60, minute % 60);
    t_users(20, "2024-01-01", "1 minute");
    spec.batch_size = 10;
    spec.window_batches = 1;
    t_scheduler_up(&s);
    t_submit(&spec);
    t_tick(&s);
    int64_t batch = page_all();
    set_hours(&s, closed);
    assert_waits(&s); /* what was let in is given back */
    set_hours(&s, "");
    assert_stands(&s);
    t_mail(batch, DELIVERY_DEFERRED, DELIVERY_SENT);
    t_sql("UPDATE foliopost.deliveries SET due_at = now() - interval '1 hour' WHERE state = 'deferred'");
    set_hours(&s, closed);
    assert_waits(&s); /* neither the next page nor the retry may go */
    s.peers = 0;
    s.leader.tracks[0].next_hours_mono_us = 0;
    assert_waits(&s); /* nobody who could page either, as where autoscalers take them away */
    set_hours(&s, "");
    assert_stands(&s);
    assert_true(metrics_value("foliopost_retry_late_seconds", "") >= 3600);
    t_scheduler_down(&s);
}

static void a_rate_and_the_delay_between_intervals_are_no_standing(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(90, "2024-01-01", "1 day");
    spec.batch_size = 10;
    spec.rate_limit = 10.0 / 3600; /* a batch an hour */
    t_scheduler_up(&s);
    t_submit(&spec);
    t_tick(&s);
    t_pump();
    t_tick(&s);
    assert_waits(&s);
    t_sql("UPDATE foliopost.jobs SET rate_limit = 0, interval_delay_ms = 3600000");
    for (int i = 0; i < 20 && !s.leader.tracks[0].delayed; i++) {
        t_tick(&s);
        t_pump();
    }
    assert_true(s.leader.tracks[0].delayed);
    assert_waits(&s);
    t_scheduler_down(&s);
}

static void who_is_tried_later_is_waited_for(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(5, "2024-01-01", "1 minute");
    spec.audience_end_us = INT64_C(1706745600000000); /* 2024-02-01: one interval */
    t_scheduler_up(&s);
    t_submit(&spec);
    t_tick(&s);
    t_mail(page_all(), DELIVERY_DEFERRED, DELIVERY_SENT);
    t_sql("UPDATE foliopost.deliveries SET due_at = now() + interval '1 hour' WHERE state = 'deferred'");
    assert_waits(&s);
    s.peers = 0;
    t_sql("UPDATE foliopost.deliveries SET due_at = now() - interval '1 hour' WHERE state = 'deferred'");
    assert_stands(&s);
    assert_true(metrics_value("foliopost_retry_late_seconds", "") >= 3600);
    t_scheduler_down(&s);
}

static void the_end_of_a_rollout_is_waited_for(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    char old[LEDGER_UUID];

    (void)state;
    t_users(5, "2024-01-01", "1 minute");
    t_instance("mailer", old);
    t_sql("UPDATE foliopost.instances SET schema_version = 0 WHERE id = '%s'", old);
    spec.dry_run = true;
    t_scheduler_up(&s);
    t_submit(&spec);
    t_tick(&s);
    assert_waits(&s);
    assert_ok(ledger_instance_end(t_ledger, old, &t_err));
    s.peers = 0;
    assert_stands(&s);
    t_scheduler_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_that_nobody_works_at_stands_and_one_that_moves_does_not, t_clean),
        cmocka_unit_test_setup(one_that_stands_is_seen_beside_one_that_moves, t_clean),
        cmocka_unit_test_setup(a_job_that_waits_for_approval_does_not_stand, t_clean),
        cmocka_unit_test_setup(a_canarys_wait_is_no_standing, t_clean),
        cmocka_unit_test_setup(closed_hours_are_no_standing, t_clean),
        cmocka_unit_test_setup(a_rate_and_the_delay_between_intervals_are_no_standing, t_clean),
        cmocka_unit_test_setup(who_is_tried_later_is_waited_for, t_clean),
        cmocka_unit_test_setup(the_end_of_a_rollout_is_waited_for, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
