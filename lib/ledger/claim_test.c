/* claim, release, finish: the normal way, repeated, and stale. */
#include "lib/ledger/testing.h"

static struct ledger_claim claim(const char *owner, int64_t batch, const char *token)
{
    struct ledger_claim c;
    assert_ok(ledger_claim(t_ledger, owner, batch, token, &c, &t_err));
    mem_free(c.due);
    mem_free(c.attempts);
    c.due = NULL;
    c.attempts = NULL;
    return c;
}

static void a_claim_gives_the_users_without_an_outcome(void **state)
{
    (void)state;
    int64_t job = t_started(true), batch = t_paged(job, 1, 10, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 4, 5, 1));
    t_lease_over(t_mailer);
    struct ledger_expired e;
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    char other[37], token[37];
    t_instance("mailer", other);
    text_new_uuid(token);
    struct ledger_claim c;
    assert_ok(ledger_claim(t_ledger, other, batch, token, &c, &t_err));
    assert_true(c.won);
    assert_int_equal(c.epoch, epoch + 1);
    assert_int_equal(c.job_state, JOB_IN_PROGRESS);
    assert_int_equal(c.n_users, 10);
    assert_int_equal(c.max_attempts, 3);
    assert_true(c.left_ms == INT64_MAX);
    assert_true(c.resend);
    assert_int_equal(c.n_due, 6); /* user 5 may have got it, and the policy is resend */
    assert_int_equal(c.due[0], 5);
    assert_int_equal(c.attempts[0], 1);
    assert_int_equal(c.due[1], 6);
    assert_int_equal(c.attempts[1], 0);
    mem_free(c.due);
    mem_free(c.attempts);
}

/* After a restore it ends nothing, and so no attempts either. */
static void a_claim_tells_what_is_left_to_the_deadline(void **state)
{
    struct ledger_claim c;
    char token[37];
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 2, false);
    t_sql("UPDATE foliopost.jobs SET deadline = clock_timestamp() + interval '1 hour' RETURNING 1");
    text_new_uuid(token);
    assert_ok(ledger_claim(t_ledger, t_mailer, batch, token, &c, &t_err));
    assert_true(c.won && c.left_ms > 3500000 && c.left_ms <= 3600000);
    mem_free(c.due);
    mem_free(c.attempts);
    t_sql("UPDATE foliopost.jobs SET restored_to = clock_timestamp() RETURNING 1");
    assert_ok(ledger_claim(t_ledger, t_mailer, batch, token, &c, &t_err));
    assert_true(c.won && c.left_ms == INT64_MAX);
    mem_free(c.due);
    mem_free(c.attempts);
}

/* Deferred, taken up by a retry batch, and the first batch changes hands: he is
 * due in the retry batch alone. */
static void who_is_requeued_elsewhere_is_not_due(void **state)
{
    (void)state;
    struct ledger_expired e;
    struct ledger_emit retry;
    size_t due;
    int64_t job = t_started(false), batch = t_paged(job, 1, 10, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_DEFERRED, 1, 3, 0, 0));
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &retry, &t_err), 1);
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    t_instance("mailer", t_mailer);
    int32_t epoch = t_claimed_by(t_mailer, batch, &due);
    assert_int_equal(due, 7);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 10, 0, 0));
    assert_int_equal(t_count(job, "state = 'requeued'"), 3); /* not this batch's to settle */
    t_claimed_by(t_mailer, retry.batch_id, &due);
    assert_int_equal(due, 3);
}

static void a_claim_is_repeated_by_its_own_token_only(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    char token[37], token2[37], other[37];
    text_new_uuid(token);
    text_new_uuid(token2);
    t_instance("mailer", other);
    assert_true(claim(t_mailer, batch, token).won);
    assert_true(t_record(t_mailer, batch, 1, DELIVERY_SENT, 1, 0, 2, 1));
    struct ledger_claim again = claim(t_mailer, batch, token);
    assert_true(again.won);
    assert_int_equal(again.epoch, 1);
    assert_int_equal(t_batch(batch, "cardinality(open_intents)"), 1);
    assert_false(claim(t_mailer, batch, token2).won);
    assert_false(claim(other, batch, token).won);
}

static void a_claim_needs_a_running_job_and_a_lease(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    char token[37];
    text_new_uuid(token);
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    struct ledger_claim c = claim(t_mailer, batch, token);
    assert_false(c.won);
    assert_int_equal(c.job_id, job);
    assert_int_equal(c.job_state, JOB_PAUSED);
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    t_lease_over(t_mailer);
    assert_false(claim(t_mailer, batch, token).won);
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '1 hour'");
    assert_false(claim(t_mailer, batch, token).won); /* a lease of a wrong clock */
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '5 s', state = 'ended'");
    assert_false(claim(t_mailer, batch, token).won);
    t_sql("UPDATE foliopost.instances SET state = 'live'");
    assert_true(claim(t_mailer, batch, token).won);
    assert_false(claim(t_mailer, 999999, token).won);
}

static void a_release_makes_it_due_and_counts_nothing(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    int32_t epoch = t_claimed(batch);
    bool done;
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 1, 2, 1));
    assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done); /* an intent is open */
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 2, 1, 0, 0));
    assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch + 1, &done, &t_err));
    assert_false(done);
    for (int i = 0; i < 2; i++) { /* the second as after a lost reply */
        assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch, &done, &t_err));
        assert_true(done);
    }
    assert_int_equal(t_batch(batch, "(state = 'queued' AND redos = 0 AND due_at = '-infinity')::integer"), 1);
    struct ledger_emit e[2];
    assert_ok(ledger_redo(t_ledger, t_leader, 30000, 600000, e, 2, &t_err));
    assert_int_equal(t_batch(batch, "emits"), 2); /* at once, whatever its age */
    assert_int_equal(t_batch(batch, "redos"), 0);
    assert_int_equal(t_claimed(batch), epoch + 1);
    assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done);
}

static void stats_hands_back_what_it_read(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    bool done;
    assert_ok(ledger_release(t_ledger, NULL, batch, 0, &done, &t_err));
    assert_true(done);
    assert_int_equal(t_batch(batch, "(due_at = '-infinity')::integer"), 1);
    t_claimed(batch);
    assert_ok(ledger_release(t_ledger, NULL, batch, 0, &done, &t_err));
    assert_false(done);
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
}

static void finish_needs_an_outcome_of_each_user(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    int32_t epoch = t_claimed(batch);
    bool done;
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 2, 0, 0));
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_DEFERRED, 3, 1, 0, 0));
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SKIPPED, 4, 1, 0, 0));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_FAILED, 5, 1, 5, 1));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done); /* an intent is open */
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_FAILED, 5, 1, 0, 0));
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch - 1, &done, &t_err));
    assert_false(done);
    for (int i = 0; i < 2; i++) {
        assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
        assert_true(done);
    }
    assert_int_equal(t_batch(batch, "sent * 1000 + failed * 100 + skipped * 10 + deferred"), 2111);
}

static void finish_needs_the_lease(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 1, false);
    int32_t epoch = t_claimed(batch);
    bool done;
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 1, 0, 0));
    t_lease_over(t_mailer);
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done);
    assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_false(done);
}

static void a_batch_is_read_with_its_users(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 7, 3, false);
    struct ledger_batch b;
    assert_ok(ledger_batch_get(t_ledger, batch, &b, &t_err));
    assert_int_equal(b.round, 1);
    assert_int_equal(b.job_id, job);
    assert_int_equal(b.interval_no, 1);
    assert_string_equal(b.state, "queued");
    assert_int_equal(b.n_users, 3);
    assert_int_equal(b.user_ids[2], 9);
    assert_int_equal(b.emits, 1);
    mem_free(b.user_ids);
    assert_code(ledger_batch_get(t_ledger, 123456, &b, &t_err), FP_NOT_FOUND);
}

/* From before migration 0017 it would take the mails for real ones; from before 0021 it does not say what it
 * is. */
static void a_mailer_too_old_for_dry_runs_claims_none(void **state)
{
    (void)state;
    char token[37], old[37];
    int64_t job = t_started(false);
    t_sql("UPDATE foliopost.jobs SET dry_run = true WHERE id = %lld", (long long)job);
    int64_t batch = t_paged(job, 1, 3, false);
    t_instance("mailer", old);
    t_sql("UPDATE foliopost.instances SET schema_version = 16 WHERE id = '%s'", old);
    text_new_uuid(token);
    struct ledger_claim c = claim(old, batch, token);
    assert_false(c.won);
    assert_int_equal(c.job_state, JOB_IN_PROGRESS);
    assert_int_equal(t_batch(batch, "epoch"), 0);
    assert_true(claim(t_mailer, batch, token).won);
    t_sql("UPDATE foliopost.jobs SET dry_run = false WHERE id = %lld", (long long)job);
    int64_t real = t_paged(job, 4, 3, false);
    assert_true(claim(old, real, token).won);
}

static int outside(const char *window, const char *zone, const char *at)
{
    return (int)t_sql("SELECT foliopost.outside_hours('%s', '%s', '%s')::integer", window, zone, at);
}

static void hours_are_of_their_zone_and_pass_midnight(void **state)
{
    (void)state;
    assert_int_equal(outside("", "UTC", "2026-01-01T03:00Z"), 0);
    assert_int_equal(outside("08:00-20:00", "UTC", "2026-01-01T07:59:59Z"), 1);
    assert_int_equal(outside("08:00-20:00", "UTC", "2026-01-01T08:00Z"), 0);
    assert_int_equal(outside("08:00-20:00", "", "2026-01-01T20:00Z"), 1);
    assert_int_equal(outside("8:00-24:00", "UTC", "2026-01-01T23:59Z"), 0);
    assert_int_equal(outside("08:00-20:00", "Europe/Berlin", "2026-01-01T07:00Z"), 0);
    assert_int_equal(outside("22:00-06:00", "UTC", "2026-01-01T23:00Z"), 0);
    assert_int_equal(outside("22:00-06:00", "UTC", "2026-01-01T05:59Z"), 0);
    assert_int_equal(outside("22:00-06:00", "UTC", "2026-01-01T06:00Z"), 1);
    assert_int_equal(outside("22:00-06:00", "Mars/Olympus", "2026-01-01T12:00Z"),
                     0); /* the leader's to judge */
}

static int emitted(void)
{
    struct ledger_emit e[2];
    int n = ledger_redo(t_ledger, t_leader, 30000, 600000, e, 2, &t_err);
    assert_ok(n);
    return n;
}

static void what_was_let_in_before_the_end_of_the_hours_waits_for_the_next(void **state)
{
    (void)state;
    bool done;
    char token[37];
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    t_hours(job, 2, 3);
    text_new_uuid(token);
    struct ledger_claim c = claim(t_mailer, batch, token);
    assert_false(c.won);
    assert_true(c.outside);
    assert_int_equal(c.job_state, JOB_IN_PROGRESS);
    assert_ok(ledger_release(t_ledger, NULL, batch, 0, &done, &t_err));
    assert_int_equal(emitted(), 0);
    t_hours(job, -1, 1);
    assert_int_equal(emitted(), 1);
    c = claim(t_mailer, batch, token);
    assert_true(c.won);
    t_hours(job, 2, 3);
    assert_true(claim(t_mailer, batch, token).won); /* it is mine already */
    struct ledger_held held = {.batch_id = batch, .epoch = c.epoch};
    const struct ledger_intent intent = {batch, 1};
    struct ledger_record r = {
        .owner = t_mailer, .held = &held, .n_held = 1, .intents = &intent, .n_intents = 1};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held && held.outside);
    assert_int_equal(t_batch(batch, "cardinality(open_intents)"), 0);
    t_sql("UPDATE foliopost.jobs SET dry_run = true"); /* it sends nothing */
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_false(held.outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_claim_gives_the_users_without_an_outcome, t_clean),
        cmocka_unit_test_setup(a_claim_tells_what_is_left_to_the_deadline, t_clean),
        cmocka_unit_test_setup(who_is_requeued_elsewhere_is_not_due, t_clean),
        cmocka_unit_test_setup(a_claim_is_repeated_by_its_own_token_only, t_clean),
        cmocka_unit_test_setup(a_claim_needs_a_running_job_and_a_lease, t_clean),
        cmocka_unit_test_setup(a_release_makes_it_due_and_counts_nothing, t_clean),
        cmocka_unit_test_setup(stats_hands_back_what_it_read, t_clean),
        cmocka_unit_test_setup(finish_needs_an_outcome_of_each_user, t_clean),
        cmocka_unit_test_setup(finish_needs_the_lease, t_clean),
        cmocka_unit_test_setup(a_batch_is_read_with_its_users, t_clean),
        cmocka_unit_test_setup(a_mailer_too_old_for_dry_runs_claims_none, t_clean),
        cmocka_unit_test_setup(hours_are_of_their_zone_and_pass_midnight, t_clean),
        cmocka_unit_test_setup(what_was_let_in_before_the_end_of_the_hours_waits_for_the_next, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
