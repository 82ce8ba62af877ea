/* The proof of a large job beside the leader's loop, against a real PostgreSQL. */
#include "services/scheduler/testing.h"

#include "lib/metrics/metrics.h"

static struct fp_ledger *other; /* holds a job's row, so that its proof cannot end */

static void on_other(const char *sql)
{
    assert_ok(pg_run(ledger_pg(other), NULL, sql, NULL, NULL, &t_err));
}

static void up(struct t_scheduler *s)
{
    struct pg_options o = t_pg();

    t_scheduler_up(s);
    other = ledger_open(&o, &t_err);
    o.query_timeout_ms = PROVER_TIMEOUT_MS;
    s->leader.o.prover = prover_new(ledger_open(&o, &t_err), complete_tell, &t_err);
    assert_non_null(s->leader.o.prover);
    s->leader.o.prove_apart_users = 100;
}

static void down(struct t_scheduler *s)
{
    assert_true(prover_stop(s->leader.o.prover));
    ledger_close(other);
    t_scheduler_down(s);
}

/* To where nothing is left but the proof. */
static void send_all(struct t_scheduler *s)
{
    for (int i = 0; i < 40 && !s->leader.tracks[0].asked_proof; i++) {
        t_tick(s);
        t_pump();
    }
}

/* The proof has begun, and waits for the job's row. */
static void await_proof(struct t_scheduler *s, int64_t job)
{
    int64_t waits = 0;

    for (int i = 0; i < 1000 && waits < 1; i++) {
        waits = t_sql("SELECT count(*) FROM pg_stat_activity"
                      " WHERE datname = current_database() AND wait_event_type = 'Lock'");
        clock_sleep_us(10000);
    }
    assert_true(waits > 0 && prover_is_at(s->leader.o.prover, job));
}

static void await_answer(struct t_scheduler *s, int64_t job)
{
    for (int i = 0; i < 1000 && prover_is_at(s->leader.o.prover, job); i++)
        clock_sleep_us(10000);
    assert_false(prover_is_at(s->leader.o.prover, job));
}

static void the_loop_goes_on_while_a_large_job_is_proved(void **state)
{
    struct t_scheduler s;
    struct ledger_job big = t_spec(), small = t_spec();
    int64_t ids[] = {1, 2, 3};

    (void)state;
    t_users(150, "2024-01-20", "1 minute");
    up(&s);
    int64_t job = t_submit(&big);
    t_tick(&s);
    on_other("BEGIN");
    on_other("SELECT FROM foliopost.jobs FOR UPDATE");
    send_all(&s);
    await_proof(&s, job);
    small.user_ids = ids;
    small.n_user_ids = 3;
    int64_t next = t_submit(&small);
    t_run_until(&s, next, JOB_COMPLETED, 30); /* granted and proved meanwhile, by the loop */
    assert_true(prover_is_at(s.leader.o.prover, job));
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    s.leader.tracks[0].moved_mono_us -= 1000 * FP_US_PER_S;
    t_tick(&s);
    assert_true(metrics_value("foliopost_job_stands_seconds", "") < 1); /* a first proof is no standing */
    double completed = metrics_value("foliopost_jobs_completed_total", "");
    on_other("COMMIT");
    await_answer(&s, job);
    assert_int_equal(t_job(job).state, JOB_COMPLETED);
    t_tick(&s);
    assert_true(metrics_value("foliopost_jobs_completed_total", "") == completed + 1); /* told, once */
    down(&s);
}

static void a_proof_that_does_not_hold_is_asked_for_again(void **state)
{
    struct t_scheduler s;
    struct ledger_job big = t_spec();

    (void)state;
    t_users(150, "2024-01-20", "1 minute");
    up(&s);
    int64_t job = t_submit(&big);
    send_all(&s);
    await_answer(&s, job);
    assert_int_equal(t_job(job).state, JOB_COMPLETED);
    t_sql("UPDATE foliopost.jobs SET state = 'IN_PROGRESS', round = round + 1");
    t_sql(
        "CREATE TABLE IF NOT EXISTS foliopost.aside AS SELECT * FROM foliopost.deliveries WHERE user_id = 7");
    t_sql("DELETE FROM foliopost.deliveries WHERE user_id = 7");
    for (int i = 0; i < 4; i++) {
        t_tick(&s);
        await_answer(&s, job);
    }
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    t_sql("INSERT INTO foliopost.deliveries SELECT * FROM foliopost.aside");
    t_sql("DROP TABLE foliopost.aside");
    for (int i = 0; i < 4 && t_job(job).state == JOB_IN_PROGRESS; i++) {
        t_tick(&s);
        await_answer(&s, job);
    }
    assert_int_equal(t_job(job).state, JOB_COMPLETED);
    down(&s);
}

static void a_proof_that_goes_on_is_left_behind(void **state)
{
    struct t_scheduler s;
    struct ledger_job big = t_spec();

    (void)state;
    t_users(150, "2024-01-20", "1 minute");
    up(&s);
    int64_t job = t_submit(&big);
    t_tick(&s);
    on_other("BEGIN");
    on_other("SELECT FROM foliopost.jobs FOR UPDATE");
    send_all(&s);
    await_proof(&s, job);
    assert_false(prover_stop(s.leader.o.prover));
    on_other("COMMIT");
    for (int i = 0; i < 1000 && t_job(job).state == JOB_IN_PROGRESS; i++)
        clock_sleep_us(10000);
    assert_int_equal(t_job(job).state, JOB_COMPLETED); /* what it finds stands */
    await_answer(&s, job);
    down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_loop_goes_on_while_a_large_job_is_proved, t_clean),
        cmocka_unit_test_setup(a_proof_that_does_not_hold_is_asked_for_again, t_clean),
        cmocka_unit_test_setup(a_proof_that_goes_on_is_left_behind, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
