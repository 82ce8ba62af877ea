/* A reply lost behind each step that marks what is to be sent: it is sent all the same, and soon. */
#include "lib/ledger/testing.h"

#ifdef FP_TEST_HOOKS

static void lose(const char *step, int times)
{
    ledger_lose_step = step;
    ledger_lose_times = times;
}

static void all_lost(void)
{
    assert_int_equal(ledger_lose_times, 0);
}

static void make_due(int64_t batch)
{
    t_sql(
        "UPDATE foliopost.batches SET due_at = clock_timestamp(), emitted_at = clock_timestamp()"
        " - interval '40 s', first_emitted_at = least(first_emitted_at, clock_timestamp() - interval '40 s')"
        " WHERE id = %lld",
        (long long)batch);
}

static int redo(int min_age_ms)
{
    struct ledger_emit e[64];
    return ledger_redo(t_ledger, t_leader, 30000, min_age_ms, e, 64, &t_err);
}

/* What is due at once is taken, whatever the pipeline's age. */
static void a_redo_is_repeated_and_not_counted(void **state)
{
    struct ledger_emit e;
    for (int times = 1; times <= 2; times++) {
        assert_ok(t_clean(state));
        int64_t job = t_started(false), lost = t_paged(job, 1, 4, false), other = t_paged(job, 5, 4, false);
        t_claimed(other); /* emitted later, and got through: the first try counts */
        make_due(lost);
        lose("redo", times);
        int n = ledger_redo(t_ledger, t_leader, 30000, 0, &e, 1, &t_err);
        assert_int_equal(n, times == 1 ? 1 : -1);
        if (n < 0)
            assert_int_equal(n = ledger_redo(t_ledger, t_leader, 30000, 0, &e, 1, &t_err), 1);
        all_lost();
        assert_int_equal(e.batch_id, lost);
        assert_int_equal(t_batch(lost, "redos * 10 + emits"), 2);
        assert_int_equal(redo(600000), 0);
    }
}

static void a_batch_of_a_retry_is_sent_by_the_next_redo(void **state)
{
    struct ledger_emit e;
    for (int times = 1; times <= 2; times++) {
        assert_ok(t_clean(state));
        int64_t job = t_started(false), batch = t_paged(job, 1, 4, false);
        assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_DEFERRED, 1, 2, 0, 0));
        lose("retry", times);
        int n = ledger_retry(t_ledger, t_leader, job, 30000, &e, &t_err);
        assert_int_equal(n, times == 1 ? 0 : -1);
        all_lost();
        assert_int_equal(t_count(job, "state = 'requeued'"), 2);
        assert_int_equal(redo(600000), 1);
        assert_int_equal(redo(600000), 0);
    }
}

static void the_parts_of_a_split_are_sent_by_the_next_redo(void **state)
{
    struct ledger_emit e[64];
    for (int times = 1; times <= 2; times++) {
        assert_ok(t_clean(state));
        int64_t batch = t_paged(t_started(false), 1, 40, false);
        t_sql("UPDATE foliopost.batches SET redos = 5 WHERE id = %lld", (long long)batch);
        lose("split", times);
        int n = ledger_split(t_ledger, t_leader, 30000, e, 64, &t_err);
        assert_int_equal(n, times == 1 ? 0 : -1);
        all_lost();
        assert_int_equal(redo(600000), 10);
        assert_int_equal(redo(600000), 0);
    }
}

static void a_grant_is_given_again(void **state)
{
    bool granted;
    int32_t no;
    for (int times = 1; times <= 2; times++) {
        assert_ok(t_clean(state));
        int64_t job = t_started(false);
        lose("grant", times);
        int n = ledger_grant(t_ledger, t_leader, job, 1, 3, 15000, &granted, &no, &t_err);
        assert_int_equal(n, times == 1 ? 0 : -1);
        if (n < 0)
            assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 3, 15000, &granted, &no, &t_err));
        all_lost();
        assert_true(granted);
        assert_int_equal(no, times + 1);
        assert_int_equal(t_sql("SELECT due_ms FROM foliopost.intervals WHERE job_id = %lld", (long long)job),
                         15000); /* it was not too short */
        assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 3, 15000, &granted, &no, &t_err));
        assert_false(granted);
    }
}

/* It is in doubt for its own interval, whatever is asked next. */
static void a_grant_in_doubt_is_due_before_the_next_step(void **state)
{
    (void)state;
    bool granted;
    int32_t no;
    int64_t job = t_started(false), other = t_started(false);
    lose("grant", 2);
    assert_int_equal(ledger_grant(t_ledger, t_leader, job, 1, 3, 15000, &granted, &no, &t_err), -1);
    assert_ok(ledger_grant(t_ledger, t_leader, other, 1, 3, 15000, &granted, &no, &t_err));
    assert_true(granted);
    struct ledger_interval v[2];
    assert_int_equal(ledger_intervals_grantable(t_ledger, job, v, 2, &t_err), 1);
    assert_int_equal(ledger_intervals_grantable(t_ledger, other, v, 2, &t_err), 0);
}

static void what_userstream_sent_and_what_another_leader_marked_is_left(void **state)
{
    (void)state;
    int64_t job = t_started(false), lost = t_paged(job, 1, 4, false);
    make_due(lost);
    lose("redo", 2);
    assert_int_equal(redo(0), -1);
    int64_t page = t_paged(job, 5, 4, false);
    assert_int_equal(redo(0), 1);
    assert_int_equal(t_batch(page, "emits"), 1);
    make_due(lost);
    lose("redo", 2);
    assert_int_equal(redo(0), -1);
    t_lead_lost();
    assert_int_equal(redo(0), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches WHERE due_at = '-infinity'"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_redo_is_repeated_and_not_counted, t_clean),
        cmocka_unit_test_setup(a_batch_of_a_retry_is_sent_by_the_next_redo, t_clean),
        cmocka_unit_test_setup(the_parts_of_a_split_are_sent_by_the_next_redo, t_clean),
        cmocka_unit_test_setup(a_grant_is_given_again, t_clean),
        cmocka_unit_test_setup(a_grant_in_doubt_is_due_before_the_next_step, t_clean),
        cmocka_unit_test_setup(what_userstream_sent_and_what_another_leader_marked_is_left, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}

#else

int main(void)
{
    return 0; /* nothing loses replies in this build */
}

#endif
