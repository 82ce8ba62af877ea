/* expire, redo, retry and the leader's measures. */
#include "lib/ledger/testing.h"

static struct ledger_expired expire(void)
{
    struct ledger_expired e;
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    return e;
}

static void expire_marks_open_intents_and_frees_the_batch(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 10, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 2, 3, 2));
    assert_int_equal(expire().instances, 0);
    t_lease_over(t_mailer);
    struct ledger_expired e = expire();
    assert_int_equal(e.instances, 1);
    assert_int_equal(e.batches, 1);
    assert_int_equal(e.ambiguous, 2);
    assert_int_equal(e.requeued, 0);
    assert_int_equal(t_count(job, "state = 'ambiguous' AND maybe_doubles = 0 AND user_id IN (3, 4)"), 2);
    assert_int_equal(t_batch(batch, "(state = 'queued' AND redos = 1 AND open_intents = '{}')::integer"), 1);
    e = expire(); /* repeated */
    assert_int_equal(e.instances + e.batches + e.ambiguous, 0);
    assert_int_equal(t_batch(batch, "redos"), 1);
    bool held;
    assert_ok(ledger_instance_renew(t_ledger, t_mailer, 1, "", &held, &t_err));
    assert_false(held);
    assert_false(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 5, 1, 6, 1));
}

static void expire_requeues_where_the_policy_is_resend(void **state)
{
    (void)state;
    int64_t job = t_started(true), batch = t_paged(job, 1, 4, false);
    for (int round = 1; round <= 2; round++) {
        char mailer[37];
        size_t due;
        t_instance("mailer", mailer);
        int32_t epoch = t_claimed_by(mailer, batch, &due);
        assert_int_equal(epoch, round);
        assert_int_equal(due, 4);
        assert_true(t_record(mailer, batch, epoch, DELIVERY_SENT, 1, 0, 1, 1));
        t_lease_over(mailer);
        assert_int_equal(expire().requeued, 1);
        assert_int_equal(
            t_sql("SELECT maybe_doubles * 10 + attempts FROM foliopost.deliveries WHERE user_id = 1"),
            round * 11);
    }
    t_sent(batch, 1, 4);
    assert_int_equal(t_count(job, "state = 'sent' AND maybe_doubles = 2 AND attempts = 3"), 1);
}

static void expire_leaves_the_last_attempt_to_a_person(void **state)
{
    (void)state;
    int64_t job = t_started(true), batch = t_paged(job, 1, 2, false);
    t_sql("UPDATE foliopost.jobs SET max_attempts = 12 RETURNING 1");
    for (int i = 1; i <= 3; i++) { /* LEDGER_MAX_UNCLEAR, whatever the job's is */
        char mailer[37];
        t_instance("mailer", mailer);
        int32_t epoch = t_claimed_by(mailer, batch, NULL);
        assert_true(t_record(mailer, batch, epoch, DELIVERY_SENT, 1, 0, 1, 1));
        t_lease_over(mailer);
        struct ledger_expired e = expire();
        assert_int_equal(e.requeued, i < 3);
        assert_int_equal(e.ambiguous, i == 3);
    }
    assert_int_equal(t_count(job, "state = 'ambiguous' AND attempts = 3 AND maybe_doubles = 2"), 1);
}

static void expire_takes_a_lease_from_the_future_for_over(void **state)
{
    (void)state;
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '1 hour'");
    assert_int_equal(expire().instances, 1);
}

static void expire_treats_batches_of_owners_that_ended(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 0, 1, 1));
    assert_ok(ledger_instance_end(t_ledger, t_mailer, &t_err));
    struct ledger_expired e = expire();
    assert_int_equal(e.instances, 0);
    assert_int_equal(e.batches, 1);
    assert_int_equal(e.ambiguous, 1);
}

static void the_sweep_needs_the_lead(void **state)
{
    (void)state;
    struct ledger_emit e[2];
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_DEFERRED, 1, 2, 3, 1));
    t_lease_over(t_mailer);
    t_lead_lost();
    assert_int_equal(expire().instances, 0);
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, e, &t_err), 0);
    t_sql("UPDATE foliopost.batches SET state = 'queued', due_at = '-infinity'");
    assert_int_equal(ledger_redo(t_ledger, t_leader, 1000, 0, e, 2, &t_err), 0);
    t_sql("UPDATE foliopost.batches SET redos = 9");
    assert_int_equal(ledger_split(t_ledger, t_leader, 1000, e, 2, &t_err), 0);
    assert_int_equal(t_batch(batch, "(state = 'queued' AND emits = 1)::integer"), 1);
}

/* --- redo -------------------------------------------------------------------------- */

static int redo(int base_ms, int min_age_ms)
{
    struct ledger_emit e[10];
    int n = ledger_redo(t_ledger, t_leader, base_ms, min_age_ms, e, 10, &t_err);
    assert_true(n >= 0);
    if (n > 0)
        assert_string_equal(e[0].traceparent, "00-trace-01");
    return n;
}

static void make_due(int64_t batch, int age_s)
{
    t_sql("UPDATE foliopost.batches SET due_at = clock_timestamp(), emitted_at = clock_timestamp()"
          " - %d * interval '1 s', first_emitted_at = least(first_emitted_at, clock_timestamp()"
          " - %d * interval '1 s') WHERE id = %lld",
          age_s, age_s, (long long)batch);
}

static void redo_emits_what_is_due_and_doubles_the_wait(void **state)
{
    (void)state;
    static const int expected_s[] = {30, 60, 120, 120, 120};
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    assert_int_equal(redo(30000, 0), 0); /* due in 30 s */
    for (int i = 0; i < 5; i++) {
        make_due(batch, 40);
        assert_int_equal(redo(30000, 0), 1);
        assert_int_equal(t_batch(batch, "emits"), i + 2);
        int64_t wait_s = t_batch(batch, "extract(epoch FROM due_at - clock_timestamp())::bigint");
        assert_in_range(wait_s, expected_s[i] * 9 / 10, expected_s[i] * 11 / 10);
    }
    assert_int_equal(redo(30000, 0), 0);
}

/* Else the one among them who kills his worker takes the others with him, each time. */
static void single_users_under_suspicion_go_one_at_a_time(void **state)
{
    (void)state;
    int64_t job = t_started(false);

    for (int i = 0; i < 3; i++)
        (void)t_paged(job, i + 1, 1, false);
    t_sql("UPDATE foliopost.batches SET redos = 1, due_at = '-infinity'");
    assert_int_equal(redo(30000, 0), 3); /* once may be anybody's bad luck */
    t_sql("UPDATE foliopost.batches SET redos = 2, emits = 3, due_at = '-infinity',"
          " emitted_at = clock_timestamp() - interval '1 min'");
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(redo(30000, 0), 0); /* it is under way */
    t_sql("UPDATE foliopost.batches SET state = 'sending' WHERE due_at > '-infinity'");
    assert_int_equal(redo(30000, 0), 1); /* the first got through */
    assert_int_equal(redo(30000, 0), 0);
    t_sql("UPDATE foliopost.batches SET emitted_at = emitted_at - interval '16 s' WHERE state = 'queued'");
    assert_int_equal(redo(30000, 0), 1); /* the second has had its time */
}

static void redo_waits_for_the_pipelines_age(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    make_due(batch, 40);
    assert_int_equal(redo(30000, 60000), 0);
    assert_int_equal(redo(30000, 20000), 1);
}

static void redo_leaves_jobs_that_do_not_run(void **state)
{
    (void)state;
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    make_due(batch, 40);
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_int_equal(redo(30000, 0), 0);
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    assert_int_equal(redo(30000, 600000), 1); /* resume: at once */
}

static void a_redo_counts_when_a_later_batch_got_through(void **state)
{
    (void)state;
    int64_t job = t_started(false), lost = t_paged(job, 1, 4, false), other = t_paged(job, 5, 4, false);
    make_due(lost, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 0); /* nothing got through: the pipeline may be down */
    make_due(lost, 40);
    t_claimed(other);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 1);
    make_due(lost, 0);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 1); /* the other one was claimed before this emission */
}

static void what_was_handed_back_counts_no_redo(void **state)
{
    (void)state;
    bool done;
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false), other = t_paged(job, 5, 4, false);
    t_claimed(other); /* emitted later, and got through */
    assert_ok(ledger_release(t_ledger, NULL, batch, 0, &done, &t_err));
    assert_int_equal(redo(30000, 600000), 1);
    assert_int_equal(t_batch(batch, "redos"), 0);
}

static void the_last_batches_count_when_every_service_lives(void **state)
{
    (void)state;
    char id[37];
    int64_t job = t_started(false), lost = t_paged(job, 1, 4, false);
    t_instance("stats", id);
    make_due(lost, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 0);
    t_instance("userstream", id);
    make_due(lost, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 1);
    for (int i = 0; i < 3; i++)
        t_paged(job, 5 + i, 1, false);
    make_due(lost, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 1); /* more than three stand: rather the bus */
}

static void nobody_alone_becomes_poison_while_the_source_stands(void **state)
{
    (void)state;
    char id[37];
    struct ledger_emit e[64];
    int64_t job = t_started(false), batch = t_paged(job, 1, 2, true);
    t_instance("stats", id);
    t_instance("userstream", id);
    for (int i = 0; i < 30; i++) {
        t_sql("UPDATE foliopost.batches SET due_at = clock_timestamp(),"
              " emitted_at = clock_timestamp() - interval '1 h'");
        assert_ok(ledger_split(t_ledger, t_leader, 30000, e, 64, &t_err));
        assert_in_range(redo(30000, 0), i == 5 ? 0 : 1, 2); /* it goes on trying; the 6th time is the split */
    }
    assert_int_equal(t_batch(batch, "(state = 'split')::integer"), 1);
    assert_int_equal(t_sql("SELECT sum(redos) FROM foliopost.batches WHERE origin = 'split'"), 0);
    assert_int_equal(t_count(job, "true"), 0);
}

static void a_single_user_who_is_overtaken_again_and_again_is_poison(void **state)
{
    (void)state;
    struct ledger_emit e[64];
    int64_t job = t_started(false), batch = t_paged(job, 1, 1, false);
    for (int i = 0; i < 5; i++) {
        make_due(batch, 40);
        t_claimed(t_paged(job, 10 + i, 1, false));
        assert_int_equal(redo(30000, 0), 1);
    }
    assert_int_equal(ledger_split(t_ledger, t_leader, 30000, e, 64, &t_err), 0);
    assert_int_equal(t_count(job, "state = 'failed' AND user_id = 1"), 1);
}

static void a_claim_by_an_old_copy_overtakes_nobody(void **state)
{
    (void)state;
    int64_t job = t_started(false), slow = t_paged(job, 1, 4, false), peer = t_paged(job, 5, 4, false);
    make_due(slow, 40);
    make_due(peer, 50);
    t_sql("UPDATE foliopost.batches SET due_at = clock_timestamp() + interval '1 h' WHERE id = %lld",
          (long long)slow);
    assert_int_equal(redo(30000, 0), 1); /* the peer again, later than the slow one */
    t_claimed(peer);                     /* by its first copy, emitted before the slow one */
    make_due(slow, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(slow, "redos"), 0);
}

static void an_emission_that_was_not_accepted_is_taken_back(void **state)
{
    (void)state;
    struct ledger_emit e;
    int64_t job = t_started(false), lost = t_paged(job, 1, 4, false);
    t_claimed(t_paged(job, 5, 4, false));
    make_due(lost, 40);
    assert_int_equal(ledger_redo(t_ledger, t_leader, 30000, 0, &e, 1, &t_err), 1);
    assert_true(e.counted);
    assert_int_equal(t_batch(lost, "redos * 10 + emits"), 12);
    for (int i = 0; i < 2; i++) { /* repeated */
        assert_ok(ledger_not_emitted(t_ledger, t_leader, &e, 1, &t_err));
        assert_int_equal(t_batch(lost, "redos * 10 + emits"), 1);
    }
    assert_int_equal(ledger_redo(t_ledger, t_leader, 30000, 600000, &e, 1, &t_err), 1); /* at once */
    assert_false(e.counted);
    t_claimed(lost);
    assert_ok(ledger_not_emitted(t_ledger, t_leader, &e, 1, &t_err));
    assert_int_equal(t_batch(lost, "(state = 'sending' AND emits = 2)::integer"), 1);
}

/* --- retry -------------------------------------------------------------------------- */

static void retry_makes_a_batch_of_who_is_due(void **state)
{
    (void)state;
    struct ledger_emit e;
    struct ledger_counts c;
    size_t due;
    bool done;
    int64_t job = t_started(false), batch = t_paged(job, 1, 10, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_DEFERRED, 1, 3, 0, 0));
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 4, 7, 0, 0));
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp() + interval '1 h' WHERE user_id = 3");
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 0); /* user 3 is not due */
    assert_ok(ledger_finish(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_true(done); /* who is requeued elsewhere counts as deferred here */
    assert_int_equal(t_batch(batch, "sent * 10 + deferred"), 73);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.deferred, 1);
    assert_int_equal(t_sql(
                         "SELECT max(id) FROM foliopost.batches WHERE origin = 'retry' AND interval_no = 0"),
                     e.batch_id);
    epoch = t_claimed_by(t_mailer, e.batch_id, &due);
    assert_int_equal(due, 2);
    assert_true(t_record(t_mailer, e.batch_id, epoch, DELIVERY_SENT, 1, 3, 0, 0)); /* 3 is not in it */
    assert_ok(ledger_finish(t_ledger, t_mailer, e.batch_id, epoch, &done, &t_err));
    assert_true(done);
    assert_int_equal(t_count(job, "state = 'sent' AND attempts = 2"), 2);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.users, 10);
    assert_int_equal(c.sent, 9);
    assert_int_equal(c.deferred, 1);
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp() WHERE user_id = 3");
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 0);
}

static void a_retry_takes_at_most_a_hundred(void **state)
{
    (void)state;
    struct ledger_emit e;
    int64_t job = t_started(false), batch = t_paged(job, 1, 150, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_DEFERRED, 1, 150, 0, 0));
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    assert_int_equal(t_batch(e.batch_id, "cardinality(user_ids)"), 100);
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    assert_int_equal(t_batch(e.batch_id, "cardinality(user_ids)"), 50);
    assert_int_equal(t_count(job, "state = 'requeued'"), 150);
}

static void latency_and_flight_are_measured(void **state)
{
    (void)state;
    int64_t n, ms;
    assert_ok(ledger_latency_ms(t_ledger, &ms, &t_err));
    assert_int_equal(ms, 0);
    int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
    t_paged(job, 5, 4, false);
    make_due(batch, 2);
    t_claimed(batch);
    assert_ok(ledger_latency_ms(t_ledger, &ms, &t_err));
    assert_in_range(ms, 2000, 3000);
    assert_ok(ledger_in_flight(t_ledger, job, &n, &t_err));
    assert_int_equal(n, 2);
    int64_t id, often = t_paged(job, 9, 1, false);
    int32_t emits;
    make_due(often, 40);
    assert_int_equal(redo(30000, 0), 1);
    assert_ok(ledger_most_emitted(t_ledger, job, &id, &emits, &t_err));
    assert_int_equal(id, often);
    assert_int_equal(emits, 2);
    assert_ok(ledger_most_emitted(t_ledger, job + 1, &id, &emits, &t_err));
    assert_int_equal(emits, 0);
}

static void latency_counts_from_the_first_copy_and_is_not_forgotten_in_a_minute(void **state)
{
    (void)state;
    int64_t ms, job = t_started(false), batch = t_paged(job, 1, 4, false);
    make_due(batch, 90);
    assert_int_equal(redo(30000, 0), 1);
    t_claimed(batch);
    t_sql("UPDATE foliopost.batches SET claimed_at = claimed_at - interval '5 min',"
          " emitted_at = emitted_at - interval '5 min',"
          " first_emitted_at = first_emitted_at - interval '5 min'");
    assert_ok(ledger_latency_ms(t_ledger, &ms, &t_err));
    assert_in_range(ms, 90000, 95000);
    t_sql("UPDATE foliopost.batches SET first_emitted_at = first_emitted_at - interval '5 h'");
    assert_ok(ledger_latency_ms(t_ledger, &ms, &t_err));
    assert_int_equal(ms, 600000); /* an outage is no latency */
}

static void lost_messages_make_no_latency(void **state)
{
    (void)state;
    int64_t ms, job = t_started(false);
    for (int i = 0; i < 20; i++)
        t_claimed(t_paged(job, 1 + 4 * i, 4, false));
    t_sql("UPDATE foliopost.batches SET claimed_at = first_emitted_at + interval '1 s'");
    t_sql("UPDATE foliopost.batches SET claimed_at = first_emitted_at + interval '90 s'"
          " WHERE mod(id, 10) < 7"); /* found again by redo */
    assert_ok(ledger_latency_ms(t_ledger, &ms, &t_err));
    assert_in_range(ms, 1000, 2000);
}

/* --- the database's clock is set back ------------------------------------------------- */

/* All that was written, as a step of six hours leaves it. */
static void set_the_clock_back(void)
{
    t_sql("UPDATE foliopost.leader SET clock_high = clock_high + interval '6 h'");
    t_sql(
        "UPDATE foliopost.deliveries SET due_at = due_at + interval '6 h', updated_at = updated_at + interval '6 h'");
    t_sql(
        "UPDATE foliopost.batches SET due_at = due_at + interval '6 h', emitted_at = emitted_at + interval '6 h',"
        " first_emitted_at = first_emitted_at + interval '6 h', claimed_at = claimed_at + interval '6 h'");
    t_sql("UPDATE foliopost.intervals SET due_at = due_at + interval '6 h'");
    t_sql("UPDATE foliopost.jobs SET canary_until = canary_until + interval '6 h'");
}

static int64_t seconds_to(const char *table, const char *column, int64_t job)
{
    return t_sql(
        "SELECT extract(epoch FROM max(%s) - clock_timestamp())::bigint FROM foliopost.%s WHERE %s = %lld",
        column, table, strcmp(table, "jobs") == 0 ? "id" : "job_id", (long long)job);
}

static struct ledger_set_back set_back(void)
{
    struct ledger_set_back b;
    assert_ok(ledger_set_back(t_ledger, t_leader, &b, &t_err));
    return b;
}

static int64_t a_job_that_waits(int64_t *deferring)
{
    struct ledger_outcome o = {.user_id = 1,
                               .state = DELIVERY_DEFERRED,
                               .attempted = true,
                               .retry_in_ms = 300000};
    int64_t job = t_started(false);
    *deferring = t_paged(job, 1, 4, false);
    struct ledger_held held = {.batch_id = *deferring, .epoch = t_claimed(*deferring)};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = &o, .n_outcomes = 1};
    o.batch_id = *deferring;
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    t_sql("UPDATE foliopost.jobs SET canary_users = 4, canary_wait_ms = 60000,"
          " canary_until = clock_timestamp() + interval '50 s'");
    return job;
}

static void what_waits_is_moved_along_when_the_clock_is_set_back(void **state)
{
    (void)state;
    int64_t deferring, job = a_job_that_waits(&deferring), lost = t_paged(job, 5, 4, false);
    bool granted;
    int32_t grant_no;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 1, 10000, &granted, &grant_no, &t_err));
    assert_int_equal(set_back().by_ms, 0);
    assert_in_range(seconds_to("deliveries", "due_at", job), 295, 300);
    set_the_clock_back();
    struct ledger_set_back b = set_back();
    assert_in_range(b.by_ms, INT64_C(21590000), INT64_C(21600000));
    assert_int_equal(b.deliveries, 1);
    assert_int_equal(b.batches, 2);
    assert_int_equal(b.intervals, 1);
    assert_int_equal(b.jobs, 1);
    assert_in_range(seconds_to("deliveries", "due_at", job), 295, 300); /* as long as was meant */
    assert_in_range(t_batch(lost, "extract(epoch FROM due_at - clock_timestamp())::bigint"), 25, 30);
    assert_in_range(seconds_to("intervals", "due_at", job), 5, 10);
    assert_in_range(seconds_to("jobs", "canary_until", job), 50, 60);
    assert_int_equal(t_batch(deferring,
                             "(claimed_at >= first_emitted_at AND claimed_at <= clock_timestamp())::int"),
                     1);
    b = set_back();
    assert_int_equal(b.deliveries + b.batches + b.intervals + b.jobs, 0); /* once */
}

static void a_clock_that_runs_on_moves_nothing(void **state)
{
    (void)state;
    int64_t deferring, job = a_job_that_waits(&deferring);
    bool leading;
    int64_t term;
    assert_ok(ledger_lead(t_ledger, t_leader, &leading, &term, &t_err));
    t_sql("UPDATE foliopost.deliveries SET due_at = due_at + interval '1 day'"); /* long, and meant */
    assert_int_equal(set_back().by_ms, 0);
    set_the_clock_back();
    t_lead_lost();
    assert_int_equal(set_back().by_ms, 0); /* not the leader's */
    assert_in_range(seconds_to("deliveries", "due_at", job), 30 * 3600, 31 * 3600);
}

static void after_a_while_the_clock_counts_as_it_is(void **state)
{
    (void)state;
    set_the_clock_back();
    assert_true(set_back().by_ms > 0);
    assert_ok(ledger_set_back_over(t_ledger, t_leader, &t_err));
    assert_int_equal(set_back().by_ms, 0);
}

/* Else every redo behind the step counts towards a split. */
static void a_claim_of_before_the_step_overtakes_nobody(void **state)
{
    (void)state;
    int64_t job = t_started(false);
    t_claimed(t_paged(job, 1, 4, false));
    set_the_clock_back();
    int64_t lost = t_paged(job, 5, 4, false);
    assert_int_equal(set_back().batches, 1);
    make_due(lost, 0);
    t_sql("UPDATE foliopost.batches SET emitted_at = clock_timestamp() WHERE id = %lld", (long long)lost);
    assert_int_equal(redo(30000, 0), 1);
    assert_int_equal(t_batch(lost, "redos"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(expire_marks_open_intents_and_frees_the_batch, t_clean),
        cmocka_unit_test_setup(expire_requeues_where_the_policy_is_resend, t_clean),
        cmocka_unit_test_setup(expire_leaves_the_last_attempt_to_a_person, t_clean),
        cmocka_unit_test_setup(expire_takes_a_lease_from_the_future_for_over, t_clean),
        cmocka_unit_test_setup(expire_treats_batches_of_owners_that_ended, t_clean),
        cmocka_unit_test_setup(the_sweep_needs_the_lead, t_clean),
        cmocka_unit_test_setup(redo_emits_what_is_due_and_doubles_the_wait, t_clean),
        cmocka_unit_test_setup(redo_waits_for_the_pipelines_age, t_clean),
        cmocka_unit_test_setup(single_users_under_suspicion_go_one_at_a_time, t_clean),
        cmocka_unit_test_setup(redo_leaves_jobs_that_do_not_run, t_clean),
        cmocka_unit_test_setup(a_redo_counts_when_a_later_batch_got_through, t_clean),
        cmocka_unit_test_setup(what_was_handed_back_counts_no_redo, t_clean),
        cmocka_unit_test_setup(the_last_batches_count_when_every_service_lives, t_clean),
        cmocka_unit_test_setup(nobody_alone_becomes_poison_while_the_source_stands, t_clean),
        cmocka_unit_test_setup(a_single_user_who_is_overtaken_again_and_again_is_poison, t_clean),
        cmocka_unit_test_setup(a_claim_by_an_old_copy_overtakes_nobody, t_clean),
        cmocka_unit_test_setup(an_emission_that_was_not_accepted_is_taken_back, t_clean),
        cmocka_unit_test_setup(retry_makes_a_batch_of_who_is_due, t_clean),
        cmocka_unit_test_setup(a_retry_takes_at_most_a_hundred, t_clean),
        cmocka_unit_test_setup(latency_and_flight_are_measured, t_clean),
        cmocka_unit_test_setup(latency_counts_from_the_first_copy_and_is_not_forgotten_in_a_minute, t_clean),
        cmocka_unit_test_setup(lost_messages_make_no_latency, t_clean),
        cmocka_unit_test_setup(what_waits_is_moved_along_when_the_clock_is_set_back, t_clean),
        cmocka_unit_test_setup(a_clock_that_runs_on_moves_nothing, t_clean),
        cmocka_unit_test_setup(after_a_while_the_clock_counts_as_it_is, t_clean),
        cmocka_unit_test_setup(a_claim_of_before_the_step_overtakes_nobody, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
