/* The lead against a real PostgreSQL: who has it, when it ends, whom it lets declare dead. */
#include "services/scheduler/testing.h"

#include "lib/metrics/metrics.h"

static void of_two_schedulers_one_acts(void **state)
{
    struct t_scheduler a, b;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(500, "2024-01-01", "1 hour");
    spec.batch_size = 10;
    spec.window_batches = 4;
    t_scheduler_up(&a);
    t_scheduler_up(&b);
    t_tick(&a);
    int64_t job = t_submit(&spec);
    t_tick(&b);
    assert_false(b.leader.leading);
    assert_int_equal(t_n_work, 0);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    t_tick(&a);
    assert_true(t_n_work > 0);
    t_pump();
    lead_resign(&a.lead); /* drains: the other need not wait for the lease's end */
    t_tick(&b);
    assert_true(b.leader.leading);
    assert_true(t_n_work > 0);
    t_run_until(&b, job, JOB_COMPLETED, 100);
    t_scheduler_down(&a);
    t_scheduler_down(&b);
}

static void who_lost_the_lead_without_knowing_changes_nothing(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    t_scheduler_up(&s);
    t_tick(&s);
    t_sql("UPDATE foliopost.leader SET owner = gen_random_uuid(), term = term + 1,"
          " lease_until = clock_timestamp() + interval '10 s'");
    int64_t job = t_submit(&spec);
    s.unrenewed = true;
    t_tick(&s); /* still believes: the lead is renewed once a second only */
    assert_true(s.leader.leading);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    assert_int_equal(t_n_work, 0);
    s.unrenewed = false;
    t_tick(&s);
    assert_false(s.leader.leading);
    t_scheduler_down(&s);
}

static void a_lead_that_was_not_renewed_ends_by_our_own_clock(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_scheduler_up(&s);
    assert_int_equal(lead_turn(&s.lead), 1000);
    assert_true(leader_holds(&s.leader));
    assert_true(metrics_value("foliopost_leader", "") == 1);
    s.lead.until_boot_us = clock_boot_us() - 1;
    assert_false(leader_holds(&s.leader));
    (void)lead_turn(&s.lead);
    assert_true(leader_holds(&s.leader)); /* nobody took it meanwhile */
    t_scheduler_down(&s);
}

static int64_t steady_ms(struct t_scheduler *s)
{
    struct lead_view v;

    assert_true(lead_look(&s->lead, &v));
    return v.steady_ms;
}

/* The row keeps its owner and its term, but the others may have stood still as well. */
static void who_stood_still_longer_than_its_lead_begins_anew(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_scheduler_up(&s);
    (void)lead_turn(&s.lead);
    int64_t term = s.lead.term;
    s.lead.since_boot_us -= 60 * FP_US_PER_S;
    s.lead.answered_boot_us -= FP_US_PER_S; /* as each second */
    (void)lead_turn(&s.lead);
    assert_true(steady_ms(&s) >= 60000);
    s.lead.until_boot_us = clock_boot_us() - 1;
    (void)lead_turn(&s.lead);
    assert_int_equal(s.lead.term, term);
    assert_true(steady_ms(&s) < 10000);
    t_scheduler_down(&s);
}

static void a_renewal_that_came_late_begins_the_wait_anew(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_scheduler_up(&s);
    (void)lead_turn(&s.lead);
    s.lead.since_boot_us -= 60 * FP_US_PER_S;
    s.lead.answered_boot_us -= 6 * FP_US_PER_S; /* the lead was not lost, a lease may have been */
    (void)lead_turn(&s.lead);
    assert_true(steady_ms(&s) < 10000);
    t_scheduler_down(&s);
}

static void *keep_renewing(void *scheduler)
{
    struct t_scheduler *s = scheduler;

    for (int i = 0; i < 20; i++) {
        (void)lead_turn(&s->lead);
        clock_sleep_us(10000);
    }
    return NULL;
}

/* The loop's connection is in a statement all the while: the lead has its own. */
static void a_loop_that_stands_keeps_its_lead(void **state)
{
    struct t_scheduler s;
    pthread_t renewer;

    (void)state;
    t_scheduler_up(&s);
    (void)lead_turn(&s.lead);
    int64_t until_us = s.lead.until_boot_us; /* read while nobody writes it */
    assert_int_equal(pthread_create(&renewer, NULL, keep_renewing, &s), 0);
    assert_ok(pg_run(ledger_pg(s.leader.o.ledger), NULL, "SELECT pg_sleep(0.4)", NULL, NULL, &t_err));
    pthread_join(renewer, NULL);
    assert_true(leader_holds(&s.leader));
    assert_true(s.lead.until_boot_us > until_us);
    t_scheduler_down(&s);
}

/* It has seen for long that the database answers. */
static void a_standby_that_takes_over_need_not_wait_another_lease(void **state)
{
    struct t_scheduler a, b;

    (void)state;
    t_scheduler_up(&a);
    t_scheduler_up(&b);
    (void)lead_turn(&a.lead);
    (void)lead_turn(&b.lead);
    assert_false(leader_holds(&b.leader));
    for (int gap_s = 1; gap_s <= 6; gap_s += 5) { /* the second time it heard nothing for six seconds */
        b.lead.since_boot_us -= 60 * FP_US_PER_S;
        b.lead.answered_boot_us -= gap_s * FP_US_PER_S;
        t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() - interval '1 s'");
        (void)lead_turn(&b.lead);
        assert_true(gap_s == 1 ? steady_ms(&b) >= 60000 : steady_ms(&b) < 10000);
        lead_resign(&b.lead);
        (void)lead_turn(&a.lead);
        (void)lead_turn(&b.lead);
    }
    t_scheduler_down(&a);
    t_scheduler_down(&b);
}

/* Expiry needs a connection as old as a lease. */
static void the_loop_of_a_standby_is_connected(void **state)
{
    struct t_scheduler a, b;

    (void)state;
    t_scheduler_up(&a);
    t_scheduler_up(&b);
    t_tick(&a);
    t_tick(&b);
    assert_false(b.leader.leading);
    assert_true(pg_connected_ms(ledger_pg(b.leader.o.ledger)) >= 0);
    t_scheduler_down(&a);
    t_scheduler_down(&b);
}

static void a_new_owner_uuid_begins_anew(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_scheduler_up(&s);
    (void)lead_turn(&s.lead);
    int64_t term = s.lead.term;
    text_new_uuid(s.owner); /* our lease was swept */
    (void)lead_turn(&s.lead);
    assert_false(leader_holds(&s.leader));
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() - interval '1 s'");
    (void)lead_turn(&s.lead);
    assert_true(leader_holds(&s.leader));
    assert_int_equal(s.leader.term, term + 1);
    assert_string_equal(s.leader.owner, s.owner);
    t_scheduler_down(&s);
}

static void a_young_leader_declares_nobody_dead(void **state)
{
    struct t_scheduler s;

    (void)state;
    t_scheduler_up(&s);
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() - interval '1 minute'");
    t_tick(&s);
    t_tick(&s);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.instances WHERE state = 'live'"), 1);
    s.lead.since_boot_us -= 60 * FP_US_PER_S; /* has led for long, but its connection is young */
    t_tick(&s);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.instances WHERE state = 'live'"), 1);
    t_scheduler_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(of_two_schedulers_one_acts, t_clean),
        cmocka_unit_test_setup(who_lost_the_lead_without_knowing_changes_nothing, t_clean),
        cmocka_unit_test_setup(a_young_leader_declares_nobody_dead, t_clean),
        cmocka_unit_test_setup(a_lead_that_was_not_renewed_ends_by_our_own_clock, t_clean),
        cmocka_unit_test_setup(who_stood_still_longer_than_its_lead_begins_anew, t_clean),
        cmocka_unit_test_setup(a_renewal_that_came_late_begins_the_wait_anew, t_clean),
        cmocka_unit_test_setup(a_loop_that_stands_keeps_its_lead, t_clean),
        cmocka_unit_test_setup(a_standby_that_takes_over_need_not_wait_another_lease, t_clean),
        cmocka_unit_test_setup(the_loop_of_a_standby_is_connected, t_clean),
        cmocka_unit_test_setup(a_new_owner_uuid_begins_anew, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
