/* Checkpoints are a cache: what is written is read, old ones go, broken rows are none. */
#include "lib/ledger/checkpoints.h"
#include "lib/ledger/testing.h"

#define JANUARY  19753 /* 2024-01-31 */
#define FEBRUARY 19782
#define MARCH    19813
#define APRIL    19843

static struct ledger_checkpoint make(int64_t user, int32_t month_end, const char *state)
{
    struct ledger_checkpoint c = {.user_id = user,
                                  .month_end = month_end,
                                  .state = (uint8_t *)(uintptr_t)state,
                                  .n_state = strlen(state)};

    memset(c.fingerprint, (int)(user + month_end), sizeof c.fingerprint);
    return c;
}

static void store(int64_t user, int32_t month_end, const char *state)
{
    struct ledger_checkpoint c = make(user, month_end, state);

    assert_ok(ledger_checkpoints_store(t_ledger, &c, 1, 3, &t_err));
}

static int empty(void **state)
{
    (void)state;
    t_sql("TRUNCATE foliopost.checkpoints");
    return 0;
}

static void is(int64_t user, int32_t before, int32_t month_end, const char *state)
{
    struct ledger_checkpoint c;

    assert_ok(ledger_checkpoints_load(t_ledger, &user, 1, before, &c, &t_err));
    assert_int_equal(c.user_id, user);
    if (!state) {
        assert_null(c.state);
        return;
    }
    struct ledger_checkpoint want = make(user, month_end, state);
    assert_non_null(c.state);
    assert_int_equal(c.month_end, month_end);
    assert_int_equal(c.n_state, want.n_state);
    assert_memory_equal(c.state, want.state, want.n_state);
    assert_memory_equal(c.fingerprint, want.fingerprint, sizeof want.fingerprint);
    ledger_checkpoints_fini(&c, 1);
}

static void the_newest_before_a_day_is_read(void **state)
{
    (void)state;
    store(1, JANUARY, "january");
    store(1, FEBRUARY, "february");
    store(1, MARCH, "march");
    store(2, JANUARY, "two");
    is(1, APRIL, MARCH, "march");
    is(1, MARCH + 1, MARCH, "march");
    is(1, MARCH, FEBRUARY, "february");
    is(1, JANUARY, 0, NULL);
    is(2, APRIL, JANUARY, "two");
    is(3, APRIL, 0, NULL);
}

static void a_batch_is_read_in_its_order(void **state)
{
    (void)state;
    const int64_t ids[] = {9, 4, 7, 4};
    struct ledger_checkpoint c[4];

    store(4, MARCH, "four");
    store(9, MARCH, "nine");
    assert_ok(ledger_checkpoints_load(t_ledger, ids, 4, APRIL, c, &t_err));
    assert_memory_equal(c[0].state, "nine", 4);
    assert_memory_equal(c[1].state, "four", 4);
    assert_null(c[2].state);
    assert_memory_equal(c[3].state, "four", 4);
    ledger_checkpoints_fini(c, 4);
    assert_ok(ledger_checkpoints_load(t_ledger, NULL, 0, APRIL, c, &t_err)); /* nobody is fine */
    assert_ok(ledger_checkpoints_store(t_ledger, NULL, 0, 3, &t_err));
}

static void a_later_word_replaces_an_earlier_one(void **state)
{
    (void)state;
    struct ledger_checkpoint c[3] = {make(2, MARCH, "b"), make(1, MARCH, "a"), make(2, MARCH, "b")};

    assert_ok(ledger_checkpoints_store(t_ledger, c, 3, 3, &t_err)); /* one twice */
    store(1, MARCH, "other");
    is(1, APRIL, MARCH, "other");
    is(2, APRIL, MARCH, "b");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.checkpoints"), 2);
    int64_t before = t_sql("SELECT xmin::text::bigint FROM foliopost.checkpoints WHERE user_id = 1");
    store(1, MARCH, "other"); /* says the same: no new row version */
    assert_int_equal(t_sql("SELECT xmin::text::bigint FROM foliopost.checkpoints WHERE user_id = 1"), before);
}

static void old_months_go(void **state)
{
    (void)state;
    store(1, JANUARY, "x");
    store(2, JANUARY, "x");
    store(1, FEBRUARY, "x");
    store(1, MARCH, "x");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.checkpoints"), 4);
    store(1, APRIL, "x"); /* user 2 was not touched */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.checkpoints WHERE user_id = 1"), 3);
    is(1, FEBRUARY, 0, NULL);
    is(2, FEBRUARY, JANUARY, "x");
    assert_ok(ledger_checkpoints_forget(t_ledger, 1, &t_err));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.checkpoints"), 1);
}

static void a_row_that_cannot_be_one_is_none(void **state)
{
    (void)state;
    t_sql("INSERT INTO foliopost.checkpoints VALUES (1, '2024-03-31', 'short', 'x'),"
          " (2, '2024-03-31', 'sixteen bytes ok', ''),"
          " (3, '2024-03-31', 'sixteen bytes ok', convert_to(repeat('x', 70000), 'UTF8')) RETURNING 1");
    for (int user = 1; user <= 3; user++)
        is(user, APRIL, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_newest_before_a_day_is_read, empty),
        cmocka_unit_test_setup(a_batch_is_read_in_its_order, empty),
        cmocka_unit_test_setup(a_later_word_replaces_an_earlier_one, empty),
        cmocka_unit_test_setup(old_months_go, empty),
        cmocka_unit_test_setup(a_row_that_cannot_be_one_is_none, empty),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
