/* Recover: after a restore nobody is mailed whom a mail may have reached since, and nobody is forgotten. */
#include "lib/ledger/testing.h"

#include "lib/ledger/recover.h"
#include "lib/ledger/schedules.h"

static struct ledger_recovered done;

static int setup(void **state)
{
    int failed = t_clean(state);
    t_sql("TRUNCATE foliopost.recoveries, foliopost.recovered_mails, foliopost.schedules, foliopost.firings");
    return failed;
}

/* As after a restore: everybody who lived then is dead. */
static void restored(void)
{
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() - interval '1 s'");
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() - interval '1 s'");
}

static void recover(void)
{
    restored();
    assert_ok(ledger_recover(t_ledger, "now", false, "ann", &done, &t_err));
}

/* Services come up. */
static void started_again(void)
{
    bool leading;
    int64_t term;
    t_instance("mailer", t_mailer);
    assert_ok(ledger_lead(t_ledger, t_leader, &leading, &term, &t_err));
    assert_true(leading);
}

static bool complete(int64_t job)
{
    struct ledger_proof proof;
    bool finished;
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &finished, &proof, &t_err));
    return finished;
}

/* A job of ten users in each state that an open one can have at the restored time:
 * 1-10 sent and done, 11-20 sent by half, with an intent of 16, 21-30 queued, 31-40 not read. */
static int64_t in_mid_job(void)
{
    int64_t job = t_started(true); /* whatever the policy is */
    t_sent(t_paged(job, 1, 10, false), 1, 10);
    int64_t batch = t_paged(job, 11, 10, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_SENT, 11, 5, 16, 1));
    t_paged(job, 21, 10, false);
    return job;
}

static void what_may_have_gone_out_is_ambiguous_and_the_job_waits(void **state)
{
    (void)state;
    int64_t job = in_mid_job();
    recover();
    assert_false(done.existing);
    assert_int_equal(done.jobs, 1);
    assert_int_equal(done.batches, 2);
    assert_int_equal(done.users, 15);
    assert_int_equal(done.intervals, 1);
    assert_int_equal(t_state(job), JOB_PAUSED);
    assert_int_equal(t_count(job, "state = 'sent' AND user_id <= 15"), 15);
    assert_int_equal(t_count(job,
                             "state = 'ambiguous' AND user_id > 15 AND starts_with(reason, 'restored to 2')"),
                     15);
    assert_int_equal(t_sql("SELECT sum(sent) * 100 + sum(ambiguous) FROM foliopost.batches"), 1515);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.batches WHERE state <> 'done' OR open_intents <> '{}'"), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'recover' AND actor = 'ann'"),
                     2);
}

/* Else nobody could resolve his ambiguous users any more. */
static void the_deadline_does_not_end_a_restored_job(void **state)
{
    (void)state;
    int64_t job = in_mid_job(), other = t_started(false);
    recover();
    t_sql(
        "UPDATE foliopost.jobs SET deadline = clock_timestamp() - interval '1 hour' WHERE id = %lld RETURNING 1",
        (long long)job);
    started_again();
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 0);
    assert_int_equal(t_state(job), JOB_PAUSED);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() - interval '1 hour', restored_to = NULL"
          " WHERE id = %lld RETURNING 1",
          (long long)other);
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 1);
}

static void who_is_paged_later_is_ambiguous_in_the_same_statement_and_the_job_is_proved(void **state)
{
    (void)state;
    int64_t job = in_mid_job();
    recover();
    started_again();
    assert_ok(ledger_job_resume(t_ledger, job, "ann", &t_err));
    assert_int_equal(t_paged(job, 31, 10, true), 0); /* nothing to send on */
    assert_int_equal(t_count(job, "state = 'ambiguous'"), 25);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches WHERE state <> 'done'"), 0);
    assert_true(complete(job));
    /* and a person's word mails whom he wants, once more and said so */
    int64_t users;
    static const char *const states[] = {"ambiguous"};
    assert_ok(ledger_job_reopen(t_ledger, job, states, 1, NULL, "ann", &users, &t_err));
    assert_int_equal(users, 25);
    struct ledger_emit e;
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    assert_int_equal(e.users, 25);
    assert_int_equal(t_batch(e.batch_id, "restored::integer"), 0);
    size_t due;
    assert_int_equal(t_claimed_by(t_mailer, e.batch_id, &due), 1);
    assert_int_equal(due, 25);
    assert_int_equal(t_count(job, "maybe_doubles = 1"), 25);
}

static void a_job_that_is_not_begun_or_paused_or_refused_for_now_is_marked_too(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec();
    int64_t pending = t_submit(&spec), paused = t_started(false), refused = t_started(false);
    assert_ok(ledger_job_pause(t_ledger, paused, "by hand", "ann", &t_err));
    int64_t batch = t_paged(refused, 1, 3, true);
    bool finished;
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_DEFERRED, 1, 3, 0, 0));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &finished, &t_err));
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp() + interval '1 h' WHERE user_id = 3");
    recover();
    assert_int_equal(done.jobs, 3);
    assert_int_equal(done.intervals, 2); /* of paused, and pending itself */
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.jobs WHERE state = 'PAUSED' AND restored_to IS NOT NULL"), 3);
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.jobs WHERE response LIKE '%%before that: by hand'"),
                     1);
    assert_int_equal(t_count(refused, "state = 'ambiguous'"), 2); /* 3 was not due yet: nobody tried */
    assert_int_equal(t_count(refused, "state = 'deferred'"), 1);
    assert_int_equal(t_batch(batch, "10 * ambiguous + deferred"), 21);
    (void)pending;
}

static void a_dry_run_is_paused_and_goes_on(void **state)
{
    (void)state;
    int64_t job = t_started(false);
    t_sql("UPDATE foliopost.jobs SET dry_run = true");
    int64_t batch = t_paged(job, 1, 5, true);
    t_claimed(batch);
    recover();
    assert_int_equal(t_state(job), JOB_PAUSED);
    assert_int_equal(t_count(job, "true"), 0);
    started_again();
    assert_ok(ledger_job_resume(t_ledger, job, "ann", &t_err));
    size_t due;
    assert_int_equal(t_claimed_by(t_mailer, batch, &due), 2);
    assert_int_equal(due, 5);
}

static void an_ended_job_stays(void **state)
{
    (void)state;
    int64_t job = t_started(false);
    t_sent(t_paged(job, 1, 5, true), 1, 5);
    assert_true(complete(job));
    recover();
    assert_int_equal(done.jobs, 0);
    assert_int_equal(t_state(job), JOB_COMPLETED);
}

static void it_is_refused_while_anybody_lives_or_when_it_is_not_the_restored_ledger(void **state)
{
    (void)state;
    in_mid_job();
    assert_code(ledger_recover(t_ledger, "now", false, "ann", &done, &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "a lease holds for 10 s more"));
    restored();
    t_instance("inbound", (char[37]){0});
    assert_code(ledger_recover(t_ledger, "now", false, "ann", &done, &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "of inbound"));
    restored();
    assert_code(ledger_recover(t_ledger, "2020-01-01 00:00:00+00", false, "ann", &done, &t_err),
                FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "later than that"));
    assert_code(ledger_recover(t_ledger, "2120-01-01 00:00:00+00", false, "ann", &done, &t_err),
                FP_FAILED_PRECONDITION);
    assert_code(ledger_recover(t_ledger, "yesterdayish", false, "ann", &done, &t_err), FP_INVALID_ARGUMENT);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries WHERE state = 'ambiguous'"), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs WHERE state = 'PAUSED'"), 0);
}

static void who_lived_then_cannot_go_on_with_his_lease(void **state)
{
    (void)state;
    bool held;
    recover();
    assert_ok(ledger_instance_renew(t_ledger, t_mailer, 2, "", &held, &t_err));
    assert_false(held);
}

static void a_dry_run_of_it_says_the_same_and_changes_nothing(void **state)
{
    (void)state;
    int64_t job = in_mid_job();
    restored();
    int64_t next = t_sql("SELECT last_value FROM foliopost.batches_id_seq");
    assert_ok(ledger_recover(t_ledger, "now", true, "ann", &done, &t_err));
    assert_int_equal(done.users, 15);
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
    assert_int_equal(t_count(job, "state = 'ambiguous'"), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.recoveries"), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'recover'"), 0);
    assert_int_equal(t_sql("SELECT last_value FROM foliopost.batches_id_seq"), next);
    recover();
    assert_int_equal(done.users, 15);
}

static void twice_is_once(void **state)
{
    (void)state;
    char to[64];
    struct fp_rows *rows;
    in_mid_job();
    restored();
    assert_ok(pg_run(t_ledger->pg, NULL, "SELECT clock_timestamp()::text", NULL, &rows, &t_err));
    snprintf(to, sizeof to, "%s", pg_text(rows, 0, 0));
    pg_rows_free(rows);
    assert_ok(ledger_recover(t_ledger, to, false, "ann", &done, &t_err));
    int64_t next = t_sql("SELECT last_value FROM foliopost.jobs_id_seq");
    started_again();
    assert_ok(ledger_recover(t_ledger, to, false, "ann", &done, &t_err));
    assert_true(done.existing);
    assert_int_equal(done.users, 15);
    assert_int_equal(t_sql("SELECT last_value FROM foliopost.jobs_id_seq"), next);
}

static void no_number_is_given_again(void **state)
{
    (void)state;
    static const char *const tables[] = {"jobs",         "batches", "delivery_events",
                                         "suppressions", "audit",   "error_log"};
    int64_t before[6];
    int64_t job = in_mid_job();
    for (int i = 0; i < 6; i++)
        before[i] = t_sql("SELECT last_value FROM foliopost.%s_id_seq", tables[i]);
    recover();
    for (int i = 0; i < 6; i++)
        assert_true(t_sql("SELECT last_value FROM foliopost.%s_id_seq", tables[i]) >= before[i] + 1000000);
    /* each table with numbers from a sequence is thought of */
    assert_int_equal(t_sql("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'foliopost'"
                           " AND is_identity = 'YES'"),
                     6);
    struct ledger_job spec = t_spec();
    assert_true(t_submit(&spec) > job + 1000000);
}

/* --- Message-IDs --- */

static struct ledger_told told;

static void tell(int64_t job, const int64_t *users, size_t n)
{
    assert_ok(ledger_recover_told(t_ledger, job, users, n, "ann", &told, &t_err));
}

static void who_is_listed_is_sent_also_when_he_is_paged_later(void **state)
{
    (void)state;
    int64_t job = in_mid_job();
    static const int64_t users[] = {1, 16, 21, 21, 35, 999};
    recover();
    tell(job, users, 6);
    assert_true(told.known && told.open);
    assert_int_equal(told.recovered, 2);
    assert_int_equal(told.already, 1);
    assert_int_equal(told.later, 2); /* 35, and a stranger */
    assert_int_equal(told.others, 0);
    assert_int_equal(t_count(job, "state = 'sent' AND reason LIKE 'recovered:%%'"), 2);
    assert_int_equal(t_sql("SELECT sum(sent) * 100 + sum(ambiguous) FROM foliopost.batches"), 1713);
    tell(job, users, 6);
    assert_int_equal(told.recovered, 0);
    assert_int_equal(told.already, 3);
    started_again();
    assert_ok(ledger_job_resume(t_ledger, job, "ann", &t_err));
    t_paged(job, 31, 10, true);
    assert_int_equal(t_count(job, "state = 'sent' AND reason LIKE 'recovered:%%'"), 3);
    assert_int_equal(t_sql("SELECT sum(sent) * 100 + sum(ambiguous) FROM foliopost.batches"), 1822);
    assert_true(complete(job)); /* the stranger is in no proof */
    assert_int_equal(t_count(job, "user_id = 999"), 0);
}

static void a_list_changes_no_other_job(void **state)
{
    (void)state;
    static const int64_t users[] = {1, 11};
    int64_t running = in_mid_job();
    tell(running, users, 2);
    assert_true(told.known);
    assert_false(told.open);
    assert_int_equal(told.already, 2);
    recover();
    started_again();
    assert_ok(ledger_job_resume(t_ledger, running, "ann", &t_err));
    tell(running, (const int64_t[]){21}, 1);
    assert_false(told.open);
    assert_int_equal(told.others, 1);
    assert_int_equal(t_count(running, "state = 'ambiguous'"), 15);
    tell(running + 1, users, 2);
    assert_false(told.known);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.recovered_mails"), 0);
}

/* --- schedules --- */

static int64_t fire(int64_t due_us)
{
    struct ledger_schedule s;
    struct ledger_firing f = {.due_us = due_us};
    struct ledger_job j = t_spec();
    int64_t job = 0;
    assert_ok(ledger_schedule_get(t_ledger, "monthly", &s, &t_err));
    assert_ok(ledger_schedule_fire(t_ledger, t_leader, &s, &f, due_us + T_DAY, &j, 1000, &job, &t_err));
    assert_true(job > 0);
    return job;
}

static void a_due_time_that_may_have_fired_fires_as_a_restored_job_and_the_next_as_ever(void **state)
{
    (void)state;
    struct ledger_schedule s = {.name = "monthly", .cron = "0 6 1 * *", .zone = "UTC"};
    bool existing;
    int64_t now = t_sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    s.next_due_us = now;
    assert_ok(ledger_schedule_create(t_ledger, &s, 10, "ann", &existing, &t_err));
    recover();
    assert_int_equal(done.firings, 1);
    started_again();
    assert_ok(ledger_schedule_get(t_ledger, "monthly", &s, &t_err));
    assert_true(s.restored_until_us >= now);
    int64_t job = fire(now);
    assert_int_equal(t_state(job), JOB_PAUSED);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs WHERE restored_to IS NOT NULL"
                           " AND starts_with(response, 'restored to')"),
                     1);
    assert_int_equal(t_state(fire(now + T_DAY)), JOB_PENDING);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs WHERE restored_to IS NOT NULL"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_may_have_gone_out_is_ambiguous_and_the_job_waits, setup),
        cmocka_unit_test_setup(the_deadline_does_not_end_a_restored_job, setup),
        cmocka_unit_test_setup(who_is_paged_later_is_ambiguous_in_the_same_statement_and_the_job_is_proved,
                               setup),
        cmocka_unit_test_setup(a_job_that_is_not_begun_or_paused_or_refused_for_now_is_marked_too, setup),
        cmocka_unit_test_setup(a_dry_run_is_paused_and_goes_on, setup),
        cmocka_unit_test_setup(an_ended_job_stays, setup),
        cmocka_unit_test_setup(it_is_refused_while_anybody_lives_or_when_it_is_not_the_restored_ledger,
                               setup),
        cmocka_unit_test_setup(who_lived_then_cannot_go_on_with_his_lease, setup),
        cmocka_unit_test_setup(a_dry_run_of_it_says_the_same_and_changes_nothing, setup),
        cmocka_unit_test_setup(twice_is_once, setup),
        cmocka_unit_test_setup(no_number_is_given_again, setup),
        cmocka_unit_test_setup(who_is_listed_is_sent_also_when_he_is_paged_later, setup),
        cmocka_unit_test_setup(a_list_changes_no_other_job, setup),
        cmocka_unit_test_setup(a_due_time_that_may_have_fired_fires_as_a_restored_job_and_the_next_as_ever,
                               setup),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
