/* submit, start, pause, resume, cancel, fail: normal, repeated, and not legal. */
#include "lib/ledger/testing.h"

static void a_submission_comes_back_as_it_was_stored(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec(), j;
    int64_t ids[] = {3, 5, 8}, now_us = clock_wall_us();
    bool existing;
    spec.user_ids = ids;
    spec.n_user_ids = 3;
    spec.resend = true;
    spec.window_batches = 7;
    spec.interval_delay_ms = 250;
    spec.deadline_us = now_us + T_DAY;
    spec.as_of_us = now_us - 1;
    spec.registered_from_us = -5;
    snprintf(spec.title, sizeof spec.title, "It's \"all\", Zoë {1,2}");
    assert_ok(ledger_job_submit(t_ledger, &spec, 60000, "tester", &j, &existing, &t_err));
    assert_false(existing);
    assert_int_equal(j.state, JOB_PENDING);
    assert_string_equal(j.title, spec.title);
    assert_string_equal(j.kind, "monthly");
    assert_int_equal(j.n_user_ids, 3);
    assert_int_equal(j.user_ids[2], 8);
    assert_true(j.resend);
    assert_int_equal(j.window_batches, 7);
    assert_int_equal(j.interval_delay_ms, 250);
    assert_int_equal(j.deadline_us, spec.deadline_us);
    assert_int_equal(j.as_of_us, spec.as_of_us);
    assert_int_equal(j.registered_from_us, -5);
    assert_int_equal(j.period_start_day, 20000);
    assert_int_equal(j.period_end_day, 20030);
    assert_in_range(j.mail_date_us, now_us - FP_US_PER_S, now_us + 5 * FP_US_PER_S);
    assert_in_range(j.audience_end_us, now_us - 61 * FP_US_PER_S, now_us - 55 * FP_US_PER_S);
    assert_int_equal(j.round, 1);
    assert_int_equal(j.started_us, 0);
    ledger_job_fini(&j);
    ledger_job_fini(&j); /* twice is fine */
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.audit WHERE action = 'submit' AND actor = 'tester'"),
                     1);
}

static void the_same_request_gives_the_same_job(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec(), j;
    bool existing;
    int64_t id = t_submit(&spec);
    assert_ok(ledger_job_submit(t_ledger, &spec, 60000, "tester", &j, &existing, &t_err));
    assert_true(existing);
    assert_int_equal(j.id, id);
    ledger_job_fini(&j);
    snprintf(spec.spec_hash, sizeof spec.spec_hash, "other");
    assert_code(ledger_job_submit(t_ledger, &spec, 60000, "tester", &j, &existing, &t_err),
                FP_ALREADY_EXISTS);
    assert_non_null(strstr(t_err.msg, spec.request_id));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs"), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit"), 1);
}

static void an_audience_that_ended_earlier_stays(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec(), j;
    bool existing;
    spec.audience_end_us = 1000 * T_DAY + 1;
    assert_ok(ledger_job_submit(t_ledger, &spec, 60000, NULL, &j, &existing, &t_err));
    assert_int_equal(j.audience_end_us, 1000 * T_DAY + 1);
    ledger_job_fini(&j);
}

static void each_job_has_its_partition(void **state)
{
    (void)state;
    struct ledger_job spec = t_spec();
    int64_t first = t_submit(&spec);
    t_sql("ALTER TABLE foliopost.jobs ALTER COLUMN id RESTART WITH %lld", (long long)(first / 64 * 64 + 128));
    spec = t_spec();
    int64_t id = t_submit(&spec);
    t_sql("INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state) VALUES (%lld, 1, 1, 'sent')",
          (long long)id);
    assert_int_equal(t_count(id, "true"), 1);
}

static void jobs_are_listed_newest_first_and_open_ones_oldest_first(void **state)
{
    (void)state;
    struct ledger_job out[5], spec;
    int64_t ids[4];
    for (int i = 0; i < 4; i++) {
        spec = t_spec();
        ids[i] = t_submit(&spec);
    }
    assert_ok(ledger_job_cancel(t_ledger, ids[1], "", "tester", &t_err));
    assert_int_equal(ledger_job_list(t_ledger, JOB_UNKNOWN, 0, out, 2, &t_err), 2);
    assert_int_equal(out[0].id, ids[3]);
    assert_int_equal(ledger_job_list(t_ledger, JOB_UNKNOWN, ids[2], out, 5, &t_err), 2);
    assert_int_equal(out[0].id, ids[1]);
    assert_int_equal(ledger_job_list(t_ledger, JOB_CANCELLED, 0, out, 5, &t_err), 1);
    assert_int_equal(out[0].state, JOB_CANCELLED);
    assert_int_equal(ledger_jobs_open(t_ledger, out, 5, &t_err), 3);
    assert_int_equal(out[0].id, ids[0]);
    assert_int_equal(out[2].id, ids[3]);
    assert_code(ledger_job_get(t_ledger, 987654, out, &t_err), FP_NOT_FOUND);
}

/* --- start --------------------------------------------------------------------- */

static int64_t pending(int64_t from_us, int64_t *end_us)
{
    struct ledger_job spec = t_spec(), j;
    spec.registered_from_us = from_us;
    int64_t id = t_submit(&spec);
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    *end_us = j.audience_end_us;
    ledger_job_fini(&j);
    return id;
}

static bool start(int64_t id, int max_jobs, const int64_t *lower, const int64_t *upper, size_t n)
{
    bool done;
    assert_ok(ledger_job_start(
        t_ledger, t_leader, id,
        &(struct ledger_start){.max_jobs = max_jobs, .lower_us = lower, .upper_us = upper, .n = n}, &done,
        &t_err));
    return done;
}

static void start_makes_all_intervals(void **state)
{
    (void)state;
    int64_t end_us, id = pending(0, &end_us);
    int64_t lower[] = {-T_DAY, 5 * T_DAY}, upper[] = {5 * T_DAY, end_us};
    struct ledger_interval v[3];
    struct ledger_job j;
    assert_true(start(id, 1, lower, upper, 2));
    assert_int_equal(t_state(id), JOB_IN_PROGRESS);
    assert_int_equal(ledger_intervals_grantable(t_ledger, id, v, 3, &t_err), 2);
    assert_int_equal(v[0].no, 1);
    assert_int_equal(v[0].lower_us, -T_DAY);
    assert_int_equal(v[0].cursor_us, -T_DAY);
    assert_true(v[0].cursor_id == INT64_MIN);
    assert_int_equal(v[1].no, 2);
    assert_int_equal(v[1].upper_us, end_us);
    assert_string_equal(v[1].state, "ready");
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_int_equal(j.registered_from_us, -T_DAY);
    assert_true(j.started_us > 0);
    ledger_job_fini(&j);
    assert_false(start(id, 9, lower, upper, 2)); /* repeated */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals"), 2);
}

static void start_keeps_the_number_of_jobs_and_the_lead(void **state)
{
    (void)state;
    int64_t end1, id1 = pending(0, &end1), end2, id2 = pending(0, &end2), lower = 0;
    assert_true(start(id1, 1, &lower, &end1, 1));
    assert_false(start(id2, 1, &lower, &end2, 1));
    t_lead_lost();
    assert_false(start(id2, 5, &lower, &end2, 1));
    assert_int_equal(t_state(id2), JOB_PENDING);
}

static void start_refuses_intervals_that_do_not_tile(void **state)
{
    (void)state;
    bool done;
    int64_t end_us, id = pending(T_DAY, &end_us);
    int64_t gap_l[] = {T_DAY, 3 * T_DAY}, gap_u[] = {2 * T_DAY, end_us}, late = 2 * T_DAY, early = end_us - 1,
            from = T_DAY;
    assert_code(
        ledger_job_start(t_ledger, t_leader, id,
                         &(struct ledger_start){.max_jobs = 9, .lower_us = gap_l, .upper_us = gap_u, .n = 2},
                         &done, &t_err),
        FP_INVALID_ARGUMENT);
    assert_code(ledger_job_start(
                    t_ledger, t_leader, id,
                    &(struct ledger_start){.max_jobs = 9, .lower_us = &late, .upper_us = &end_us, .n = 1},
                    &done, &t_err),
                FP_INVALID_ARGUMENT);
    assert_code(
        ledger_job_start(t_ledger, t_leader, id,
                         &(struct ledger_start){.max_jobs = 9, .lower_us = &from, .upper_us = &early, .n = 1},
                         &done, &t_err),
        FP_INVALID_ARGUMENT);
    assert_code(
        ledger_job_start(t_ledger, t_leader, id,
                         &(struct ledger_start){.max_jobs = 9, .lower_us = NULL, .upper_us = NULL, .n = 0},
                         &done, &t_err),
        FP_INVALID_ARGUMENT);
    assert_int_equal(t_state(id), JOB_PENDING);
    assert_true(start(id, 9, &from, &end_us, 1));
}

/* --- approval --------------------------------------------------------------------- */

static int64_t unapproved(int64_t *end_us)
{
    struct ledger_job spec = t_spec(), j;
    bool existing;
    spec.needs_approval = true;
    assert_ok(ledger_job_submit(t_ledger, &spec, 60000, "ann\n10.0.0.1", &j, &existing, &t_err));
    assert_true(ledger_job_unapproved(&j));
    assert_string_equal(j.submitted_by, "ann");
    *end_us = j.audience_end_us;
    ledger_job_fini(&j);
    return j.id;
}

static void a_job_starts_once_somebody_else_has_approved_it(void **state)
{
    (void)state;
    struct ledger_job j;
    int64_t end_us, id = unapproved(&end_us), lower = 0;
    assert_false(start(id, 9, &lower, &end_us, 1));
    assert_code(ledger_job_approve(t_ledger, id, "", "ann\n10.0.0.2", &t_err), FP_PERMISSION_DENIED);
    assert_non_null(strstr(t_err.msg, "submitted by ann"));
    assert_false(start(id, 9, &lower, &end_us, 1));
    assert_int_equal(t_state(id), JOB_PENDING);
    assert_ok(ledger_job_approve(t_ledger, id, "looked at", "bob\n10.0.0.3", &t_err));
    assert_ok(ledger_job_approve(t_ledger, id, "", "eve", &t_err)); /* is so already */
    assert_ok(ledger_job_approve(t_ledger, id, "", "ann", &t_err));
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_string_equal(j.approved_by, "bob");
    assert_true(j.approved_us > 0);
    assert_false(ledger_job_unapproved(&j));
    ledger_job_fini(&j);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'approve' AND actor = 'bob'"
                           " AND peer = '10.0.0.3' AND detail = 'looked at'"),
                     1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'approve'"), 1);
    assert_true(start(id, 9, &lower, &end_us, 1));
    assert_ok(ledger_job_approve(t_ledger, id, "", "bob", &t_err)); /* a repeated call comes late */
}

static void a_paused_job_can_be_approved_and_an_ended_one_cannot(void **state)
{
    (void)state;
    int64_t end_us, other = unapproved(&end_us), id = unapproved(&end_us), lower = 0;
    assert_ok(ledger_job_pause(t_ledger, id, "", "ann", &t_err));
    assert_ok(ledger_job_resume(t_ledger, id, "ann", &t_err));
    assert_false(start(id, 9, &lower, &end_us, 1)); /* resuming approves nothing */
    assert_ok(ledger_job_pause(t_ledger, id, "", "ann", &t_err));
    assert_ok(ledger_job_approve(t_ledger, id, "", "bob", &t_err));
    assert_false(start(id, 9, &lower, &end_us, 1));
    assert_ok(ledger_job_resume(t_ledger, id, "ann", &t_err));
    assert_true(start(id, 9, &lower, &end_us, 1));
    assert_ok(ledger_job_cancel(t_ledger, other, "", "ann", &t_err));
    assert_code(ledger_job_approve(t_ledger, other, "", "bob", &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "CANCELLED"));
    id = pending(0, &end_us);
    assert_code(ledger_job_approve(t_ledger, id, "", "bob", &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "needs no approval"));
    assert_code(ledger_job_approve(t_ledger, 987654, "", "bob", &t_err), FP_NOT_FOUND);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'approve'"), 1);
}

static void a_job_that_nobody_approved_fails_at_its_deadline_and_says_so(void **state)
{
    (void)state;
    struct ledger_job j;
    int64_t end_us, id = unapproved(&end_us);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() - interval '1 s' WHERE id = %lld",
          (long long)id);
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 1);
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_string_equal(j.response, "not complete by its deadline: nobody has approved it");
    ledger_job_fini(&j);
}

/* --- by a person ----------------------------------------------------------------- */

static void pause_and_resume_are_repeatable(void **state)
{
    (void)state;
    struct ledger_job j;
    int64_t end_us, id = pending(0, &end_us), lower = 0;
    for (int i = 0; i < 2; i++) {
        assert_ok(ledger_job_pause(t_ledger, id, "too early", "ann", &t_err));
        assert_int_equal(t_state(id), JOB_PAUSED);
    }
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_string_equal(j.response, "too early");
    ledger_job_fini(&j);
    for (int i = 0; i < 2; i++) {
        assert_ok(ledger_job_resume(t_ledger, id, "ann", &t_err));
        assert_int_equal(t_state(id), JOB_PENDING); /* never started */
    }
    assert_true(start(id, 9, &lower, &end_us, 1));
    assert_ok(ledger_job_pause(t_ledger, id, "", "ann", &t_err));
    assert_ok(ledger_job_resume(t_ledger, id, "ann", &t_err));
    assert_int_equal(t_state(id), JOB_IN_PROGRESS);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE actor = 'ann'"), 4);
}

static void resume_makes_batches_and_grants_due(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    struct ledger_interval v;
    bool granted;
    int32_t grant_no;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 3, 60000, &granted, &grant_no, &t_err));
    assert_ok(ledger_job_pause(t_ledger, job, "", "ann", &t_err));
    assert_int_equal(ledger_intervals_grantable(t_ledger, job, &v, 1, &t_err), 0);
    assert_ok(ledger_job_resume(t_ledger, job, "ann", &t_err));
    assert_int_equal(t_batch(batch, "(due_at = '-infinity')::integer"), 1);
    assert_int_equal(ledger_intervals_grantable(t_ledger, job, &v, 1, &t_err), 1);
}

static void what_is_over_stays_over(void **state)
{
    (void)state;
    int64_t end_us, id = pending(0, &end_us);
    bool done;
    for (int i = 0; i < 2; i++)
        assert_ok(ledger_job_cancel(t_ledger, id, "no", "ann", &t_err));
    assert_code(ledger_job_pause(t_ledger, id, "", "ann", &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "CANCELLED"));
    assert_code(ledger_job_resume(t_ledger, id, "ann", &t_err), FP_FAILED_PRECONDITION);
    assert_ok(ledger_job_fail(t_ledger, t_leader, id, "why", &done, &t_err));
    assert_false(done);
    assert_false(start(id, 9, (int64_t[]){0}, &end_us, 1));
    assert_int_equal(t_state(id), JOB_CANCELLED);
    assert_code(ledger_job_pause(t_ledger, 987654, "", "ann", &t_err), FP_NOT_FOUND);
    assert_code(ledger_job_cancel(t_ledger, 987654, "", "ann", &t_err), FP_NOT_FOUND);
}

/* --- by the leader ----------------------------------------------------------------- */

static void the_leader_fails_what_is_late(void **state)
{
    (void)state;
    int64_t end_us, id = pending(0, &end_us), other = pending(0, &end_us);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() - interval '1 s' WHERE id = %lld",
          (long long)id);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() + interval '1 h' WHERE id = %lld",
          (long long)other);
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 1);
    assert_int_equal(ledger_jobs_fail_late(t_ledger, t_leader, &t_err), 0);
    assert_int_equal(t_state(id), JOB_FAILED);
    assert_int_equal(t_state(other), JOB_PENDING);
    bool done;
    t_lead_lost();
    assert_ok(ledger_job_fail(t_ledger, t_leader, other, "why", &done, &t_err));
    assert_false(done);
}

static void waiting_is_written_when_it_differs(void **state)
{
    (void)state;
    struct ledger_job j;
    int64_t end_us, id = pending(0, &end_us);
    assert_ok(ledger_job_set_waiting(t_ledger, t_leader, id, "data not ready", &t_err));
    int64_t xmin = t_sql("SELECT xmin::text::bigint FROM foliopost.jobs WHERE id = %lld", (long long)id);
    assert_ok(ledger_job_set_waiting(t_ledger, t_leader, id, "data not ready", &t_err));
    assert_int_equal(t_sql("SELECT xmin::text::bigint FROM foliopost.jobs WHERE id = %lld", (long long)id),
                     xmin);
    assert_ok(ledger_job_get(t_ledger, id, &j, &t_err));
    assert_string_equal(j.waiting, "data not ready");
    ledger_job_fini(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_submission_comes_back_as_it_was_stored, t_clean),
        cmocka_unit_test_setup(the_same_request_gives_the_same_job, t_clean),
        cmocka_unit_test_setup(an_audience_that_ended_earlier_stays, t_clean),
        cmocka_unit_test_setup(each_job_has_its_partition, t_clean),
        cmocka_unit_test_setup(jobs_are_listed_newest_first_and_open_ones_oldest_first, t_clean),
        cmocka_unit_test_setup(start_makes_all_intervals, t_clean),
        cmocka_unit_test_setup(start_keeps_the_number_of_jobs_and_the_lead, t_clean),
        cmocka_unit_test_setup(start_refuses_intervals_that_do_not_tile, t_clean),
        cmocka_unit_test_setup(a_job_starts_once_somebody_else_has_approved_it, t_clean),
        cmocka_unit_test_setup(a_paused_job_can_be_approved_and_an_ended_one_cannot, t_clean),
        cmocka_unit_test_setup(a_job_that_nobody_approved_fails_at_its_deadline_and_says_so, t_clean),
        cmocka_unit_test_setup(pause_and_resume_are_repeatable, t_clean),
        cmocka_unit_test_setup(resume_makes_batches_and_grants_due, t_clean),
        cmocka_unit_test_setup(what_is_over_stays_over, t_clean),
        cmocka_unit_test_setup(the_leader_fails_what_is_late, t_clean),
        cmocka_unit_test_setup(waiting_is_written_when_it_differs, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
