/* complete is never true with anything missing, and reopen starts a new round. */
#include "lib/ledger/testing.h"

static int64_t job, first, second; /* batches of 10 and 5 */
static struct ledger_proof proof;

static bool complete(void)
{
    bool done;
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &done, &proof, &t_err));
    return done;
}

/* All is sent but for what the test then breaks. */
static int setup(void **state)
{
    if (t_clean(state) != 0)
        return -1;
    job = t_started(false);
    first = t_paged(job, 1, 10, false);
    t_sent(first, 1, 10);
    second = t_paged(job, 11, 5, true);
    t_sent(second, 11, 5);
    return 0;
}

static void a_finished_job_completes_with_its_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) { /* repeated as after a lost reply */
        assert_true(complete());
        assert_int_equal(proof.round, 1);
        assert_int_equal(proof.users, 15);
        assert_int_equal(proof.sent, 15);
        assert_int_equal(proof.failed + proof.skipped + proof.ambiguous + proof.maybe_doubles, 0);
        assert_true(proof.proved_us > 0);
    }
    assert_int_equal(t_state(job), JOB_COMPLETED);
    assert_int_equal(t_sql("SELECT jsonb_array_length(proofs) FROM foliopost.jobs"), 1);
}

static void the_pre_check_and_the_proof_say_no(const char *breaking, const char *mending)
{
    t_sql_on(t_ledger, breaking);
    assert_false(complete());
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
    t_sql_on(t_ledger, mending);
    assert_true(complete());
}

static void not_with_a_missing_user(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "DELETE FROM foliopost.deliveries WHERE user_id = 7",
        "INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state) SELECT id, 7, 1, 'skipped' FROM foliopost.jobs");
    assert_int_equal(proof.skipped, 1);
}

static void not_with_a_user_under_way(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "UPDATE foliopost.deliveries SET state = 'requeued' WHERE user_id = 7",
        "UPDATE foliopost.deliveries SET state = 'ambiguous' WHERE user_id = 7");
    assert_int_equal(proof.ambiguous, 1);
}

static void not_with_a_deferred_user(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no("UPDATE foliopost.deliveries SET state = 'deferred' WHERE user_id = 7",
                                       "UPDATE foliopost.deliveries SET state = 'failed' WHERE user_id = 7");
    assert_int_equal(proof.failed, 1);
}

static void not_with_an_outcome_of_a_stranger(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state) SELECT id, 99, 1, 'sent' FROM foliopost.jobs",
        "DELETE FROM foliopost.deliveries WHERE user_id = 99");
}

static void not_with_an_open_batch(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no("UPDATE foliopost.batches SET state = 'queued' WHERE user_ids[1] = 1",
                                       "UPDATE foliopost.batches SET state = 'done'");
}

static void not_with_an_interval_open(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no("UPDATE foliopost.intervals SET state = 'ready'",
                                       "UPDATE foliopost.intervals SET state = 'paged'");
}

static void not_with_a_gap_between_intervals(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "WITH v AS (UPDATE foliopost.intervals SET upper_at = '2000-01-01' RETURNING job_id)"
        " INSERT INTO foliopost.intervals (job_id, no, lower_at, upper_at, state, cursor_at, cursor_id)"
        " SELECT v.job_id, 2, '2000-01-02', j.audience_end, 'paged', '2000-01-02', 0"
        " FROM v JOIN foliopost.jobs j ON j.id = v.job_id",
        "UPDATE foliopost.intervals SET lower_at = '2000-01-01' WHERE no = 2");
}

static void not_when_the_range_is_not_covered(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "UPDATE foliopost.intervals SET lower_at = lower_at + interval '1 us'",
        "UPDATE foliopost.intervals SET lower_at = lower_at - interval '1 us'");
}

static void not_when_the_end_is_not_covered(void **state)
{
    (void)state;
    the_pre_check_and_the_proof_say_no(
        "UPDATE foliopost.intervals SET upper_at = upper_at - interval '1 us'",
        "UPDATE foliopost.intervals SET upper_at = upper_at + interval '1 us'");
}

static void not_without_intervals(void **state)
{
    (void)state;
    t_sql("DELETE FROM foliopost.intervals");
    assert_false(complete());
}

static void not_without_the_lead_or_while_paused(void **state)
{
    (void)state;
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_false(complete());
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    t_lead_lost();
    assert_false(complete());
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
}

static void a_job_without_users_completes(void **state)
{
    (void)state;
    job = t_started(false);
    assert_int_equal(t_paged(job, 1, 0, true), 0);
    assert_true(complete());
    assert_int_equal(proof.users, 0);
    assert_int_equal(proof.round, 1);
}

/* --- lists -------------------------------------------------------------------------- */

static void a_list_is_complete_when_each_listed_user_is(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec(), j;
    int64_t ids[] = {20, 21, 22};
    bool done;
    spec.user_ids = ids;
    spec.n_user_ids = 3;
    job = t_submit(&spec);
    assert_ok(ledger_job_get(t_ledger, job, &j, &t_err));
    ledger_job_fini(&j);
    assert_ok(ledger_job_start(t_ledger, t_leader, job,
                               &(struct ledger_start){.max_jobs = 9,
                                                      .lower_us = &j.audience_end_us,
                                                      .upper_us = &j.audience_end_us,
                                                      .n = 1},
                               &done, &t_err));
    assert_true(done);
    t_sent(t_paged(job, 20, 2, true), 20, 2); /* 22 is forgotten */
    assert_false(complete());
    t_sql("UPDATE foliopost.intervals SET state = 'ready' WHERE job_id = %lld", (long long)job);
    t_sent(t_paged(job, 22, 1, true), 22, 1);
    assert_true(complete());
    assert_int_equal(proof.users, 3);
}

/* --- reopen --------------------------------------------------------------------------- */

static int64_t reopen(const char *state)
{
    int64_t users;
    const char *states[] = {state};
    assert_ok(ledger_job_reopen(t_ledger, job, states, 1, NULL, "ann", &users, &t_err));
    return users;
}

static void reopened_users_are_mailed_in_a_new_round(void **state)
{
    (void)state;
    struct ledger_counts c;
    struct ledger_emit e;
    int64_t users;
    const char *states[] = {"sent"}, *failed[] = {"failed"};
    t_sql("UPDATE foliopost.deliveries SET state = 'ambiguous' WHERE user_id = 7");
    t_sql("UPDATE foliopost.batches SET sent = 9, ambiguous = 1 WHERE id = %lld", (long long)first);
    assert_code(ledger_job_reopen(t_ledger, job, failed, 1, NULL, "ann", &users, &t_err),
                FP_FAILED_PRECONDITION);
    assert_true(complete());
    assert_code(ledger_job_reopen(t_ledger, job, states, 1, NULL, "ann", &users, &t_err),
                FP_INVALID_ARGUMENT);
    assert_int_equal(reopen("failed"), 0); /* nobody: stays COMPLETED */
    assert_int_equal(t_state(job), JOB_COMPLETED);
    assert_int_equal(reopen("ambiguous"), 1);
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);
    assert_int_equal(reopen("ambiguous"), 0); /* the same call again, its reply was lost */
    t_sql("UPDATE foliopost.deliveries SET state = 'failed' WHERE user_id = 8");
    assert_code(ledger_job_reopen(t_ledger, job, failed, 1, NULL, "ann", &users, &t_err),
                FP_FAILED_PRECONDITION); /* another one */
    t_sql("UPDATE foliopost.deliveries SET state = 'sent' WHERE user_id = 8");
    assert_false(complete());
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.sent * 100 + c.ambiguous * 10 + c.deferred, 1401);
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    t_sent(e.batch_id, 7, 1);
    assert_true(complete());
    assert_int_equal(proof.round, 2);
    assert_int_equal(proof.sent, 15);
    assert_int_equal(proof.maybe_doubles, 1);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.sent * 100 + c.ambiguous * 10 + c.deferred, 1500);
    assert_int_equal(t_sql("SELECT jsonb_array_length(proofs) FROM foliopost.jobs"), 2);
}

static void a_filter_opens_whom_it_names_and_nobody_who_was_sent(void **state)
{
    (void)state;
    int64_t users;
    const int64_t ids[] = {3, 5, 9};
    const char *const failed[] = {"failed"};
    t_sql(
        "UPDATE foliopost.deliveries SET state = 'failed', reason = '550 5.1.1 no' WHERE user_id IN (3, 5)");
    t_sql("UPDATE foliopost.deliveries SET state = 'failed', reason = '450 full' WHERE user_id = 4");
    t_sql("UPDATE foliopost.deliveries SET provider = CASE user_id WHEN 3 THEN 1 ELSE 2 END");
    t_sql("UPDATE foliopost.batches SET sent = 7, failed = 3 WHERE id = %lld", (long long)first);
    assert_true(complete());
    const struct {
        struct ledger_delivery_filter f;
        int64_t users;
    } nobody[] = {
        {{.reason = "551"}, 0},
        {{.interval_no = 2}, 0},
        {{.listed = true}, 0},
        {{.listed = true, .user_ids = &ids[2], .n_user_ids = 1}, 0}, /* was sent */
        {{.to_us = T_DAY}, 0},
        {{.provider_no = 3}, 0},
        {{.provider_no = 1, .reason = "450"}, 0},
    };
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++) {
        assert_ok(ledger_job_reopen(t_ledger, job, failed, 1, &nobody[i].f, "ann", &users, &t_err));
        assert_int_equal(users, nobody[i].users);
        assert_int_equal(t_state(job), JOB_COMPLETED);
    }
    const struct ledger_delivery_filter f = {.reason = "55",
                                             .interval_no = 1,
                                             .listed = true,
                                             .user_ids = &ids[1],
                                             .n_user_ids = 2,
                                             .provider_no = 2,
                                             .from_us = T_DAY};
    assert_ok(ledger_job_reopen(t_ledger, job, failed, 1, &f, "ann", &users, &t_err));
    assert_int_equal(users, 1);
    assert_int_equal(t_count(job, "state = 'deferred' AND user_id = 5"), 1);
    assert_int_equal(t_count(job, "state = 'failed'"), 2);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'reopen'"), 1);
}

static void who_is_accepted_counts_as_sent_in_the_next_proof(void **state)
{
    (void)state;
    int64_t users;
    const struct ledger_delivery_filter f = {.reason = "lost"};
    t_sql(
        "UPDATE foliopost.deliveries SET state = 'ambiguous', reason = 'lost ' || user_id WHERE user_id IN (7, 8)");
    t_sql("UPDATE foliopost.deliveries SET state = 'ambiguous' WHERE user_id = 9");
    t_sql("UPDATE foliopost.batches SET sent = 7, ambiguous = 3 WHERE id = %lld", (long long)first);
    assert_code(ledger_job_accept(t_ledger, job, NULL, "ann", &users, &t_err), FP_FAILED_PRECONDITION);
    assert_true(complete());
    assert_ok(ledger_job_accept(t_ledger, job, &f, "ann", &users, &t_err));
    assert_int_equal(users, 2);
    assert_int_equal(t_count(job, "reason = 'accepted by an operator: lost 7'"), 1);
    assert_int_equal(t_batch(first, "sent * 10 + ambiguous"), 91);
    assert_true(complete());
    assert_int_equal(proof.round, 2);
    assert_int_equal(proof.sent * 10 + proof.ambiguous, 141);
    assert_ok(ledger_job_accept(t_ledger, job, &f, "ann", &users, &t_err)); /* again: nobody is left */
    assert_int_equal(users, 0);
    assert_int_equal(t_state(job), JOB_COMPLETED);
}

/* It was for the rounds before: the leader would fail the job at once, and who was opened
 * again would never have an outcome. */
static void a_deadline_that_is_past_does_not_end_a_job_that_is_opened_again(void **state)
{
    (void)state;
    int64_t users;
    const char *const failed[] = {"failed"};
    t_sql("UPDATE foliopost.deliveries SET state = 'failed' WHERE user_id = 3");
    t_sql("UPDATE foliopost.batches SET sent = 9, failed = 1 WHERE id = %lld", (long long)first);
    assert_true(complete());
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() - interval '1 s'");
    assert_ok(ledger_job_reopen(t_ledger, job, failed, 1, NULL, "ann", &users, &t_err));
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 0);
    assert_int_equal(t_state(job), JOB_IN_PROGRESS);

    t_sql("UPDATE foliopost.deliveries SET state = 'failed' WHERE user_id = 3");
    assert_true(complete());
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() + interval '1 hour'"); /* this one counts */
    assert_ok(ledger_job_reopen(t_ledger, job, failed, 1, NULL, "ann", &users, &t_err));
    t_sql("UPDATE foliopost.jobs SET deadline = deadline - interval '2 hours'");
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_finished_job_completes_with_its_numbers, setup),
        cmocka_unit_test_setup(not_with_a_missing_user, setup),
        cmocka_unit_test_setup(not_with_a_user_under_way, setup),
        cmocka_unit_test_setup(not_with_a_deferred_user, setup),
        cmocka_unit_test_setup(not_with_an_outcome_of_a_stranger, setup),
        cmocka_unit_test_setup(not_with_an_open_batch, setup),
        cmocka_unit_test_setup(not_with_an_interval_open, setup),
        cmocka_unit_test_setup(not_with_a_gap_between_intervals, setup),
        cmocka_unit_test_setup(not_when_the_range_is_not_covered, setup),
        cmocka_unit_test_setup(not_when_the_end_is_not_covered, setup),
        cmocka_unit_test_setup(not_without_intervals, setup),
        cmocka_unit_test_setup(not_without_the_lead_or_while_paused, setup),
        cmocka_unit_test_setup(a_job_without_users_completes, setup),
        cmocka_unit_test_setup(a_list_is_complete_when_each_listed_user_is, setup),
        cmocka_unit_test_setup(reopened_users_are_mailed_in_a_new_round, setup),
        cmocka_unit_test_setup(a_filter_opens_whom_it_names_and_nobody_who_was_sent, setup),
        cmocka_unit_test_setup(who_is_accepted_counts_as_sent_in_the_next_proof, setup),
        cmocka_unit_test_setup(a_deadline_that_is_past_does_not_end_a_job_that_is_opened_again, setup),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
