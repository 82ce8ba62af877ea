/* Who is counted as still to do, in which stage, and who not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/ledger/backlog.h"
#include "lib/ledger/testing.h"

static int64_t users(const char *stage, double *age_s)
{
    struct ledger_backlog rows[LEDGER_BACKLOG_STAGES];
    assert_int_equal(ledger_backlog(t_ledger, rows, &t_err), 0);
    for (int i = 0; i < LEDGER_BACKLOG_STAGES; i++) {
        if (strcmp(rows[i].stage, stage) == 0) {
            *age_s = rows[i].age_s;
            return rows[i].users;
        }
    }
    fail_msg("no stage %s", stage);
    return -1;
}

static void nothing_in_progress_is_nothing_to_do(void **state)
{
    double age_s;
    (void)state;
    static const char *const stages[] = {"unread", "queued", "sending", "deferred"};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(users(stages[i], &age_s), 0);
        assert_true(age_s == 0);
    }
}

static void users_are_counted_where_they_are(void **state)
{
    double age_s;
    (void)state;
    int64_t job = t_started(false);
    assert_true(users("unread", &age_s) > 0);
    int64_t first = t_paged(job, 1, 10, false);
    t_paged(job, 11, 7, true);
    assert_int_equal(users("queued", &age_s), 17);
    assert_int_equal(t_claimed(first), 1);
    assert_int_equal(users("queued", &age_s), 7);
    t_sql("UPDATE foliopost.batches SET claimed_at = claimed_at - interval '1 minute' WHERE id = %lld",
          (long long)first);
    assert_int_equal(users("sending", &age_s), 10);
    assert_true(age_s >= 60);
    t_sql(
        "INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, due_at) VALUES"
        " (%lld, 900, %lld, 'deferred', now() - interval '1 hour'), (%lld, 901, %lld, 'deferred', now() + interval '1 hour')",
        (long long)job, (long long)first, (long long)job, (long long)first);
    assert_int_equal(users("deferred", &age_s), 1);
    assert_true(age_s >= 3600);
    t_sql("UPDATE foliopost.jobs SET state = 'PAUSED' WHERE id = %lld", (long long)job);
    assert_int_equal(users("queued", &age_s), 0);
    assert_int_equal(users("unread", &age_s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_in_progress_is_nothing_to_do, t_clean),
        cmocka_unit_test_setup(users_are_counted_where_they_are, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
