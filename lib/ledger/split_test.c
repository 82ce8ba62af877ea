/* split: tenths, single users, poison, and what was settled before. */
#include "lib/ledger/testing.h"

static int split(struct ledger_emit *e, int max)
{
    int n = ledger_split(t_ledger, t_leader, 1000, e, max, &t_err);
    assert_true(n >= 0);
    return n;
}

static void wear_out(int64_t batch)
{
    t_sql("UPDATE foliopost.batches SET redos = 5 WHERE id = %lld", (long long)batch);
}

static void a_batch_is_split_down_to_the_poisonous_user(void **state)
{
    (void)state;
    struct ledger_emit tens[64], ones[64], none[64];
    struct ledger_counts c;
    int64_t job = t_started(false), batch = t_paged(job, 1, 95, false);
    assert_int_equal(split(tens, 64), 0);
    wear_out(batch);
    assert_int_equal(split(tens, 9), 0); /* no room for all parts */
    assert_int_equal(split(tens, 64), 10);
    assert_int_equal(split(none, 64), 0); /* repeated */
    assert_int_equal(t_batch(batch, "(state = 'split')::integer"), 1);
    assert_int_equal(
        t_sql("SELECT count(DISTINCT u) FROM foliopost.batches, unnest(user_ids) u WHERE origin = 'split'"),
        95);
    assert_int_equal(t_batch(tens[0].batch_id, "cardinality(user_ids)"), 10);
    assert_int_equal(t_batch(tens[9].batch_id, "cardinality(user_ids)"), 5);
    for (int i = 1; i < 10; i++)
        t_sent(tens[i].batch_id, i * 10 + 1, i < 9 ? 10 : 5);
    wear_out(tens[0].batch_id);
    assert_int_equal(split(ones, 64), 10);
    for (int i = 1; i < 10; i++)
        t_sent(ones[i].batch_id, i + 1, 1);
    wear_out(ones[0].batch_id);
    assert_int_equal(split(none, 64), 0);
    assert_int_equal(t_batch(ones[0].batch_id, "(state = 'done' AND failed = 1)::integer"), 1);
    assert_int_equal(t_count(job, "state = 'failed' AND reason LIKE 'poison:%%' AND user_id = 1"), 1);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.users, 95);
    assert_int_equal(c.sent, 94);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.batches_open, 0);
}

static void a_split_keeps_what_was_settled(void **state)
{
    (void)state;
    struct ledger_emit e[64];
    struct ledger_counts c;
    struct ledger_expired x;
    int64_t job = t_started(true), batch = t_paged(job, 1, 10, false);
    int32_t epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 8, 9, 1));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &x, &t_err));
    assert_int_equal(x.requeued, 1);
    wear_out(batch);
    assert_int_equal(split(e, 64), 2); /* users 9 (requeued) and 10 */
    assert_int_equal(t_batch(batch, "sent"), 8);
    t_instance("mailer", t_mailer);
    t_sent(e[0].batch_id, 9, 1); /* its row went with it */
    t_sent(e[1].batch_id, 10, 1);
    assert_int_equal(t_count(job, "state = 'sent'"), 10);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.sent, 10);
}

static void poison_who_may_have_his_mail_is_ambiguous(void **state)
{
    (void)state;
    struct ledger_emit e[64];
    struct ledger_expired x;
    struct ledger_counts c;
    int64_t job = t_started(true), batch = t_paged(job, 1, 1, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_SENT, 1, 0, 1, 1));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &x, &t_err));
    assert_int_equal(x.requeued, 1);
    wear_out(batch);
    assert_int_equal(split(e, 64), 0);
    assert_int_equal(t_count(job, "state = 'ambiguous' AND reason LIKE 'poison:%%'"), 1);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(c.ambiguous * 10 + c.failed, 10);
}

static void a_split_of_a_settled_batch_finishes_it(void **state)
{
    (void)state;
    struct ledger_emit e[64];
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false), one = t_paged(job, 4, 1, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_SENT, 1, 3, 0, 0));
    assert_true(t_record(t_mailer, one, t_claimed(one), DELIVERY_SENT, 4, 1, 0, 0));
    t_sql("UPDATE foliopost.batches SET state = 'queued', redos = 5");
    assert_int_equal(split(e, 64), 0);
    assert_int_equal(t_batch(batch, "(state = 'done' AND sent = 3)::integer"), 1);
    assert_int_equal(t_batch(one, "(state = 'done' AND sent = 1 AND failed = 0)::integer"), 1);
    assert_int_equal(t_count(job, "state = 'failed'"), 0);
}

static void a_split_leaves_claimed_batches_and_standing_jobs(void **state)
{
    (void)state;
    struct ledger_emit e[64];
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, false);
    wear_out(batch);
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_int_equal(split(e, 64), 0);
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    t_claimed(batch);
    assert_int_equal(split(e, 64), 0);
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_batch_is_split_down_to_the_poisonous_user, t_clean),
        cmocka_unit_test_setup(a_split_keeps_what_was_settled, t_clean),
        cmocka_unit_test_setup(poison_who_may_have_his_mail_is_ambiguous, t_clean),
        cmocka_unit_test_setup(a_split_of_a_settled_batch_finishes_it, t_clean),
        cmocka_unit_test_setup(a_split_leaves_claimed_batches_and_standing_jobs, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
