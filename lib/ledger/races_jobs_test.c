/* Ends of jobs, submissions, leaders and migrations that meet. */
#include "lib/ledger/testing_race.h"

#include "lib/base/embedded.h"
#include "lib/ledger/erase.h"

extern const struct fp_embedded embedded_migrations[];

static void step_complete(struct fp_ledger *l, struct other *o)
{
    struct ledger_proof proof;
    bool done;
    o->rc = ledger_job_complete(l, t_leader, o->job, &done, &proof, &o->err);
    o->result = done;
}

static void a_late_truth_in_the_last_moment_keeps_the_job_open(void **state)
{
    (void)state;
    struct ledger_expired e;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, true);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 4, 5, 1));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    t_instance("mailer", t_mailer);
    t_sent(batch, 1, 0); /* nobody is due: finished, with user 5 ambiguous */
    struct ledger_outcome late = {.batch_id = batch,
                                  .user_id = 5,
                                  .state = DELIVERY_DEFERRED,
                                  .retry_in_ms = 1000};
    struct other c = {.step = step_complete, .job = job};
    begin();
    assert_int_equal(ledger_late_truth(first, batch, epoch, &late, 1, &t_err), 1);
    start(&c, 1); /* its snapshot has user 5 as ambiguous: all done */
    commit();
    join(&c);
    assert_false(c.result);
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
}

static void a_pause_in_the_last_moment_wins(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, true);
    t_sent(batch, 1, 5);
    struct other c = {.step = step_complete, .job = job};
    begin();
    assert_ok(ledger_job_pause(first, job, "", "tester", &t_err));
    start(&c, 1);
    commit();
    join(&c);
    assert_false(c.result);
    assert_int_equal(t_state(job), JOB_PAUSED);
}

/* Another leader proved the job meanwhile, and somebody has it tried again: the old proof is of another
 * round. */
static void a_proof_of_a_round_before_completes_nothing(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, true);
    t_sent(batch, 1, 5);
    struct other c = {.step = step_complete, .job = job};
    begin();
    t_sql_on(
        first,
        "UPDATE foliopost.deliveries SET state = 'deferred', due_at = clock_timestamp() WHERE user_id = 5");
    t_sql_on(first, "UPDATE foliopost.jobs SET round = round + 1");
    start(&c, 1);
    commit();
    join(&c);
    assert_false(c.result);
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
}

static void a_proof_may_take_longer_than_the_lease(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, true);
    t_sent(batch, 1, 5);
    struct other c = {.step = step_complete, .job = job};
    begin();
    t_sql_on(first, "UPDATE foliopost.jobs SET waiting = 'for a proof'"); /* so it is checked anew */
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() + interval '2 s'");
    start(&c, 1);
    clock_sleep_us(2200 * 1000);
    commit();
    join(&c);
    assert_true(c.result);
    assert_int_equal(t_state(job), JOB_COMPLETED);
}

static void step_erase(struct fp_ledger *l, struct other *o)
{
    struct ledger_erased erased;
    o->result = ledger_erase_user(l, 3, "", "tester", &erased, &o->err) == 0 ? 0 : o->err.code;
}

static const char *const failed[] = {"failed"};

static int64_t a_job_with_a_failed_user(void)
{
    struct ledger_proof proof;
    bool done;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, true);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_FAILED, 3, 1, 0, 0));
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 5, 0, 0));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &done, &proof, &t_err));
    assert_true(done);
    return job;
}

/* Else his delivery has another id than his batch, and the job never ends. */
static void who_is_opened_again_in_this_moment_is_not_erased(void **state)
{
    struct ledger_emit e;
    struct ledger_proof proof;
    bool done;
    int64_t users, job = a_job_with_a_failed_user();
    (void)state;
    struct other o = {.step = step_erase};
    begin();
    assert_ok(ledger_job_reopen(first, job, failed, 1, NULL, "tester", &users, &t_err));
    assert_int_equal(users, 1);
    assert_int_equal(ledger_retry(first, t_leader, job, 30000, &e, &t_err), 1);
    start(&o, 1);
    commit();
    join(&o);
    assert_int_equal(o.result, FP_FAILED_PRECONDITION);
    assert_int_equal(t_count(job, "user_id = 3 AND state = 'requeued'"), 1);
    t_sent(e.batch_id, 3, 1);
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &done, &proof, &t_err));
    assert_true(done);
}

/* The whole round is over when the job's row is had, and unknown to the snapshot. */
static void who_was_opened_and_sent_in_this_moment_is_erased_by_another_call(void **state)
{
    struct ledger_emit e;
    struct ledger_erased erased;
    struct ledger_proof proof;
    bool done;
    int64_t users, job = a_job_with_a_failed_user();
    (void)state;
    struct other o = {.step = step_erase};
    begin();
    assert_ok(ledger_job_reopen(first, job, failed, 1, NULL, "tester", &users, &t_err));
    assert_int_equal(ledger_retry(first, t_leader, job, 30000, &e, &t_err), 1);
    t_sql_on(first, "UPDATE foliopost.deliveries SET state = 'sent' WHERE user_id = 3");
    t_sql_on(first, "UPDATE foliopost.batches SET state = 'done', sent = 1 WHERE origin = 'retry'");
    assert_ok(ledger_job_complete(first, t_leader, job, &done, &proof, &t_err));
    assert_true(done);
    start(&o, 1);
    commit();
    join(&o);
    assert_int_equal(o.result, FP_ABORTED);
    assert_ok(ledger_erase_user(t_ledger, 3, "", "tester", &erased, &t_err));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches WHERE 3 = ANY (user_ids)"), 0);
    assert_int_equal(t_count(job, "user_id = 3"), 0);
}

/* --- submit, lead, migrate ---------------------------------------------------------------- */

static struct ledger_job submission;

static void step_submit(struct fp_ledger *l, struct other *o)
{
    struct ledger_job j;
    bool existing;
    o->rc = ledger_job_submit(l, &submission, 1000, "tester", &j, &existing, &o->err);
    o->result = existing ? j.id : 0;
    ledger_job_fini(&j);
}

static void two_submissions_of_one_request_are_one_job(void **state)
{
    (void)state;
    struct ledger_job j;
    bool existing;
    submission = t_spec();
    struct other o = {.step = step_submit};
    begin();
    assert_ok(ledger_job_submit(first, &submission, 1000, "tester", &j, &existing, &t_err));
    assert_false(existing);
    start(&o, 1);
    commit();
    join(&o);
    assert_int_equal(o.result, j.id);
    ledger_job_fini(&j);
}

static void step_lead(struct fp_ledger *l, struct other *o)
{
    bool leading;
    int64_t term;
    o->rc = ledger_lead(l, o->owner, &leading, &term, &o->err);
    o->result = leading;
}

static void of_two_who_take_the_lead_one_has_it(void **state)
{
    (void)state;
    char other[37];
    bool leading;
    int64_t term;
    text_new_uuid(other);
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp()");
    struct other o = {.step = step_lead, .owner = other};
    begin();
    assert_ok(ledger_lead(first, t_leader, &leading, &term, &t_err));
    assert_true(leading);
    start(&o, 1);
    commit();
    join(&o);
    assert_false(o.result);
}

static void step_migrate(struct fp_ledger *l, struct other *o)
{
    int applied;
    o->rc = ledger_migrate(l, &applied, &o->err);
    o->result = applied;
}

static void two_migrations_at_once_apply_each_file_once(void **state)
{
    (void)state;
    t_sql("DROP SCHEMA foliopost CASCADE");
    struct other a = {.step = step_migrate}, b = {.step = step_migrate};
    begin();
    t_sql_on(first, "SELECT pg_advisory_xact_lock(7061115211615)");
    start(&a, 1);
    start(&b, 2);
    commit();
    join(&a);
    join(&b);
    assert_int_equal(a.result + b.result, LEDGER_SCHEMA_VERSION);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.schema_version"), LEDGER_SCHEMA_VERSION);
}

/* What the file has locked already, nobody else could have while it waits for the rest: no lease is renewed.
 */
static void a_migration_that_waits_for_a_long_writer_lets_leases_be_renewed(void **state)
{
    char id[37];
    int64_t longest_us = 0, until_us;
    (void)state;
    t_sql("DROP SCHEMA foliopost CASCADE");
    t_sql("CREATE SCHEMA foliopost");
    t_sql("CREATE TABLE foliopost.schema_version (version integer PRIMARY KEY, name text)");
    for (const struct fp_embedded *f = embedded_migrations; atoi(f->name) < 21; f++) {
        assert_ok(pg_run_script(t_ledger->pg, f->text, &t_err));
        t_sql("INSERT INTO foliopost.schema_version VALUES (%d, 'x')", atoi(f->name));
    }
    text_new_uuid(id);
    t_sql("INSERT INTO foliopost.instances (id, service, lease_until) VALUES ('%s', 'mailer', now())", id);
    struct other o = {.step = step_migrate}; /* 0021: instances, and then batches */
    begin();
    t_sql_on(first, "LOCK TABLE foliopost.batches IN ROW EXCLUSIVE MODE");
    start(&o, 1);
    until_us = clock_mono_us() + 7 * FP_US_PER_S;
    while (clock_mono_us() < until_us) {
        int64_t began_us = clock_mono_us();
        t_sql(
            "UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '10 s' WHERE id = '%s'",
            id);
        int64_t took_us = clock_mono_us() - began_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        clock_sleep_us(50000);
    }
    commit();
    join(&o);
    assert_in_range(o.result, 1, LEDGER_SCHEMA_VERSION);
    assert_in_range(longest_us, 0, 4 * FP_US_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(a_late_truth_in_the_last_moment_keeps_the_job_open),
        RACE(a_pause_in_the_last_moment_wins),
        RACE(who_is_opened_again_in_this_moment_is_not_erased),
        RACE(who_was_opened_and_sent_in_this_moment_is_erased_by_another_call),
        RACE(a_proof_of_a_round_before_completes_nothing),
        RACE(a_proof_may_take_longer_than_the_lease),
        RACE(two_submissions_of_one_request_are_one_job),
        RACE(of_two_who_take_the_lead_one_has_it),
        RACE(two_migrations_at_once_apply_each_file_once),
        RACE(a_migration_that_waits_for_a_long_writer_lets_leases_be_renewed),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
