/* A claim that its owner does not know goes back to the queue, once, and only its own. */
#include "lib/ledger/testing.h"

/* A batch of users 1 to 10, claimed, with intents open for 4 to 6. */
static int64_t half_sent(int64_t job, int32_t *epoch)
{
    int64_t batch = t_paged(job, 1, 10, false);
    *epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, *epoch, DELIVERY_SENT, 1, 3, 4, 3));
    return batch;
}

static bool forget(const char *owner, int64_t batch, int32_t epoch)
{
    bool done;
    assert_ok(ledger_forget(t_ledger, owner, batch, epoch, &done, &t_err));
    return done;
}

static void an_owner_sees_what_it_has_claimed(void **state)
{
    (void)state;
    struct ledger_held held[4];
    int32_t epoch;
    int64_t job = t_started(false), batch = half_sent(job, &epoch);
    int64_t second = t_paged(job, 11, 1, false);
    (void)t_paged(job, 12, 1, false);
    (void)t_claimed(second);
    assert_int_equal(ledger_claims(t_ledger, t_mailer, held, 4, &t_err), 2);
    assert_int_equal(held[0].batch_id, batch);
    assert_int_equal(held[0].epoch, epoch);
    assert_int_equal(held[1].batch_id, second);
    assert_int_equal(ledger_claims(t_ledger, t_mailer, held, 1, &t_err), 1);
    assert_int_equal(ledger_claims(t_ledger, t_leader, held, 4, &t_err), 0);
}

static void a_forgotten_claim_goes_back_with_its_open_mails_ambiguous(void **state)
{
    (void)state;
    int32_t epoch;
    int64_t job = t_started(false), batch = half_sent(job, &epoch);
    assert_true(forget(t_mailer, batch, epoch));
    assert_int_equal(t_batch(batch, "(state = 'queued' AND due_at = '-infinity' AND redos = 0"
                                    " AND open_intents = '{}')::integer"),
                     1);
    assert_int_equal(t_count(job, "state = 'ambiguous' AND attempts = 1 AND maybe_doubles = 0"), 3);
    assert_int_equal(t_count(job, "state = 'sent'"), 3);
    assert_int_equal(t_count(job, "true"), 6);
    struct ledger_outcome truth = {.batch_id = batch, .user_id = 4, .state = DELIVERY_SENT};
    assert_int_equal(ledger_late_truth(t_ledger, batch, epoch, &truth, 1, &t_err), 1);
}

static void where_the_policy_is_resend_they_are_requeued_and_counted(void **state)
{
    (void)state;
    size_t n_due;
    int32_t epoch;
    int64_t job = t_started(true), batch = half_sent(job, &epoch);
    assert_true(forget(t_mailer, batch, epoch));
    assert_int_equal(t_count(job, "state = 'requeued' AND maybe_doubles = 1"), 3);
    epoch = t_claimed_by(t_mailer, batch, &n_due);
    assert_int_equal(n_due, 7);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 0, 0, 4, 1));
    assert_true(forget(t_mailer, batch, epoch));
    assert_int_equal(t_count(job, "user_id = 4 AND maybe_doubles = 2 AND attempts = 2"), 1);
}

static void a_repeated_forget_changes_nothing_and_says_done(void **state)
{
    (void)state;
    int32_t epoch;
    int64_t job = t_started(true), batch = half_sent(job, &epoch);
    assert_true(forget(t_mailer, batch, epoch));
    assert_true(forget(t_mailer, batch, epoch));
    assert_int_equal(t_count(job, "state = 'requeued' AND maybe_doubles = 1"), 3);
    (void)t_claimed(batch);
    assert_false(forget(t_mailer, batch, epoch)); /* somebody has it since */
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
}

static void a_stale_forget_changes_nothing(void **state)
{
    (void)state;
    int32_t epoch;
    int64_t job = t_started(false), batch = half_sent(job, &epoch);
    assert_false(forget(t_mailer, batch, epoch - 1));
    assert_false(forget(t_leader, batch, epoch));
    t_lease_over(t_mailer);
    assert_false(forget(t_mailer, batch, epoch));
    assert_int_equal(t_batch(batch, "(state = 'sending' AND cardinality(open_intents) = 3)::integer"), 1);
    assert_int_equal(t_count(job, "true"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_owner_sees_what_it_has_claimed, t_clean),
        cmocka_unit_test_setup(a_forgotten_claim_goes_back_with_its_open_mails_ambiguous, t_clean),
        cmocka_unit_test_setup(where_the_policy_is_resend_they_are_requeued_and_counted, t_clean),
        cmocka_unit_test_setup(a_repeated_forget_changes_nothing_and_says_done, t_clean),
        cmocka_unit_test_setup(a_stale_forget_changes_nothing, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
