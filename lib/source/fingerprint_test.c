/* Whatever a checkpoint was made from changes its fingerprint, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/source/fingerprint.h"
#include "lib/source/portfolio.h"
#include "lib/source/testing.h"

#define MARCH    19813 /* 2024-03-31 */
#define AS_OF_US (19820 * FP_US_PER_DAY)

static struct fp_source *source;
static struct fp_err err;

static int setup(void **state)
{
    char *sql = mem_alloc(1 << 20);
    FILE *f = fopen("sql/portfolio.sql", "r");

    if (!f || testing_create(state) != 0)
        return -1;
    sql[fread(sql, 1, (1 << 20) - 1, f)] = 0;
    fclose(f);
    testing_script(testing_dsn, sql);
    mem_free(sql);
    source = source_open(&(struct pg_options){.dsn = testing_dsn, .prepare = true}, &err);
    return source ? 0 : -1;
}

static int teardown(void **state)
{
    source_close(source);
    return testing_drop(state);
}

static int fill(void **state)
{
    (void)state;
    testing_script(
        testing_dsn,
        "TRUNCATE portfolio.transactions, portfolio.prices, portfolio.fx_rates, portfolio.splits, portfolio.instruments;"
        "INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
        " SELECT i, 1 + i % 3, 1, 'deposit', 10, 'EUR', date '2024-01-01' + i, '2024-01-01' FROM generate_series(1, 120) AS i;"
        "INSERT INTO portfolio.instruments VALUES (7, 'A', 'A', 'EUR', ''), (8, 'B', 'B', 'EUR', '');"
        "INSERT INTO portfolio.prices SELECT 7, date '2024-01-01' + i, 100 + i, '2024-01-01' FROM generate_series(1, 120) AS i;"
        "INSERT INTO portfolio.prices VALUES (8, '2024-05-02', 5, '2024-01-01'), (8, '2024-05-03', 5, '2024-01-01');"
        "INSERT INTO portfolio.splits VALUES (7, '2024-02-02', 2, 1);"
        "INSERT INTO portfolio.fx_rates VALUES ('EUR', 'USD', '2024-02-01', 1.1), ('EUR', 'USD', '2024-05-01', 1.2),"
        " ('EUR', 'GBP', '2024-05-01', 0.9), ('EUR', 'GBP', '2024-05-02', 0.9)");
    return 0;
}

static struct fingerprint_sum of_user(int64_t id)
{
    struct fingerprint_sum sum;

    if (fingerprint_txs(source, MARCH, AS_OF_US, &id, 1, &sum, &err))
        fail_msg("%s", err.msg);
    return sum;
}

static const struct fingerprint_days february_and_march = {{MARCH - 31, MARCH}};

static uint64_t of_instrument(int64_t id)
{
    struct fingerprint_marks marks;

    if (fingerprint_instruments(source, &february_and_march, AS_OF_US, &id, 1, &marks, &err))
        fail_msg("%s", err.msg);
    return marks.of[FINGERPRINT_KEPT];
}

static uint64_t of_rates(void)
{
    struct fingerprint_marks marks;

    if (fingerprint_rates(source, &february_and_march, &marks, &err))
        fail_msg("%s", err.msg);
    return marks.of[FINGERPRINT_KEPT];
}

/* --- transactions --------------------------------------------------------------------- */

static void sums_come_in_the_order_of_the_users(void **state)
{
    (void)state;
    const int64_t ids[] = {3, 99, 1, 2};
    struct fingerprint_sum sums[4];

    if (fingerprint_txs(source, MARCH, AS_OF_US, ids, 4, sums, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(sums[0].n, 30);
    assert_int_equal(sums[1].n, 0);
    assert_int_equal(sums[1].sum, 0);
    assert_int_equal(sums[2].n, 30);
    assert_int_equal(sums[3].n, 30);
    assert_true(sums[2].sum != sums[0].sum && sums[3].sum != sums[0].sum);
    assert_true(sums[2].sum == of_user(1).sum);
}

/* A sum up to a day and the marks of what was loaded after it make the sum of a later day. */
static void marks_of_loaded_rows_add_up(void **state)
{
    (void)state;
    const int64_t id = 1;
    const struct portfolio_period period = {MARCH - 30, MARCH, AS_OF_US, 1};
    struct fingerprint_sum february;
    struct portfolio_txs t;

    if (fingerprint_txs(source, MARCH - 31, AS_OF_US, &id, 1, &february, &err))
        fail_msg("%s", err.msg);
    const struct portfolio_ask march_only = {&id, 1, 1000, MARCH - 30}, all = {&id, 1, 1000, PORTFOLIO_ALL};
    if (portfolio_txs_load(source, &period, &march_only, &t, &err))
        fail_msg("%s", err.msg);
    uint64_t sum = february.sum;
    for (size_t i = 0; i < t.n_txs; i++)
        sum += t.marks[i];
    assert_int_equal(february.n + t.n_txs, of_user(1).n);
    assert_true(sum == of_user(1).sum);
    portfolio_txs_fini(&t);
    if (portfolio_txs_load(source, &period, &all, &t, &err))
        fail_msg("%s", err.msg);
    sum = 0;
    for (size_t i = 0; i < t.n_txs; i++)
        sum += t.marks[i];
    assert_true(sum == of_user(1).sum);
    portfolio_txs_fini(&t);
}

static void changes(const char *sql)
{
    struct fingerprint_sum before = of_user(1);

    testing_script(testing_dsn, sql);
    struct fingerprint_sum after = of_user(1);
    if (before.n == after.n && before.sum == after.sum)
        fail_msg("not seen: %s", sql);
}

static void keeps(const char *sql)
{
    struct fingerprint_sum before = of_user(1);

    testing_script(testing_dsn, sql);
    struct fingerprint_sum after = of_user(1);
    if (before.n != after.n || before.sum != after.sum)
        fail_msg("seen: %s", sql);
}

static void a_transaction_that_changes_is_seen(void **state)
{
    (void)state;
    changes("UPDATE portfolio.transactions SET amount = 11, recorded_at = '2024-03-02' WHERE id = 3");
    changes("DELETE FROM portfolio.transactions WHERE id = 6");
    changes(
        "INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
        " VALUES (500, 1, 1, 'deposit', 10, 'EUR', '2021-01-01', '2024-04-01')");
    changes("UPDATE portfolio.transactions SET user_id = 2 WHERE id = 9");
    keeps("UPDATE portfolio.transactions SET recorded_at = '2024-03-02' WHERE id = 4"); /* of user 2 */
    keeps("UPDATE portfolio.transactions SET recorded_at = '2024-03-03' WHERE trade_date > '2024-03-31'");
    keeps(
        "INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
        " VALUES (501, 1, 1, 'deposit', 10, 'EUR', '2021-01-01', '2024-06-01')"); /* after as_of */
}

/* A view without recorded_at: rows that come and go are seen, others are not. */
static void without_recorded_at_rows_are_counted_only(void **state)
{
    (void)state;
    testing_script(testing_dsn, "ALTER TABLE portfolio.transactions ALTER recorded_at DROP NOT NULL;"
                                "UPDATE portfolio.transactions SET recorded_at = NULL");
    assert_int_equal(of_user(1).n, 30);
    changes("DELETE FROM portfolio.transactions WHERE id = 6");
    keeps("UPDATE portfolio.transactions SET amount = 12 WHERE id = 9");
    changes("UPDATE portfolio.transactions SET id = 600 WHERE id = 9");
    testing_script(testing_dsn, "UPDATE portfolio.transactions SET recorded_at = '2024-01-01';"
                                "ALTER TABLE portfolio.transactions ALTER recorded_at SET NOT NULL");
}

/* --- market ----------------------------------------------------------------------------- */

static void instrument(int64_t id, bool seen, const char *sql)
{
    uint64_t before = of_instrument(id);

    testing_script(testing_dsn, sql);
    if ((of_instrument(id) != before) != seen)
        fail_msg("%s: %s", seen ? "not seen" : "seen", sql);
}

static void closes_and_splits_that_change_are_seen(void **state)
{
    (void)state;
    instrument(7, true,
               "UPDATE portfolio.prices SET close = 3 WHERE instrument_id = 7 AND day = '2024-02-02'");
    instrument(7, true, "DELETE FROM portfolio.prices WHERE instrument_id = 7 AND day = '2024-02-03'");
    instrument(7, true, "UPDATE portfolio.splits SET numerator = 3");
    instrument(7, true, "UPDATE portfolio.splits SET day = '2024-07-01'");
    instrument(7, true, "UPDATE portfolio.instruments SET currency = 'USD' WHERE id = 7");
    instrument(7, false,
               "UPDATE portfolio.prices SET close = 4 WHERE instrument_id = 7 AND day > '2024-03-31'");
    instrument(7, false, "UPDATE portfolio.prices SET close = 4 WHERE instrument_id = 8");
    instrument(7, false,
               "INSERT INTO portfolio.prices VALUES (7, '2020-01-01', 'NaN', '2024-01-01')"); /* never read */
    instrument(7, false,
               "INSERT INTO portfolio.prices VALUES (7, '2020-01-02', 1, '2024-06-01')"); /* after as_of */
}

/* What has no close yet is priced by its first one. */
static void the_first_later_close_counts_where_there_is_none_before(void **state)
{
    (void)state;
    instrument(8, false,
               "UPDATE portfolio.prices SET close = 6 WHERE instrument_id = 8 AND day = '2024-05-03'");
    instrument(8, true,
               "UPDATE portfolio.prices SET close = 6 WHERE instrument_id = 8 AND day = '2024-05-02'");
    instrument(8, true, "INSERT INTO portfolio.prices VALUES (8, '2024-03-02', 5, '2024-01-01')");
    instrument(8, false,
               "UPDATE portfolio.prices SET close = 7 WHERE instrument_id = 8 AND day = '2024-05-02'");
    assert_true(of_instrument(999) == of_instrument(998)); /* not there: only their ids differ */
}

static void rate(bool seen, const char *sql)
{
    uint64_t before = of_rates();

    testing_script(testing_dsn, sql);
    if ((of_rates() != before) != seen)
        fail_msg("%s: %s", seen ? "not seen" : "seen", sql);
}

static void rates_that_change_are_seen(void **state)
{
    (void)state;
    rate(true, "UPDATE portfolio.fx_rates SET rate = 1.11 WHERE day = '2024-02-01'");
    rate(false, "UPDATE portfolio.fx_rates SET rate = 1.3 WHERE quote = 'USD' AND day = '2024-05-01'");
    rate(true, "UPDATE portfolio.fx_rates SET rate = 0.91 WHERE quote = 'GBP' AND day = '2024-05-01'");
    rate(false, "UPDATE portfolio.fx_rates SET rate = 0.91 WHERE quote = 'GBP' AND day = '2024-05-02'");
    rate(true, "DELETE FROM portfolio.fx_rates WHERE quote = 'USD'");
    testing_script(testing_dsn, "TRUNCATE portfolio.fx_rates");
    (void)of_rates(); /* none at all */
}

static void same_marks(struct fingerprint_marks a, struct fingerprint_marks b)
{
    assert_true(a.of[FINGERPRINT_BEFORE] == b.of[FINGERPRINT_BEFORE]);
    assert_true(a.of[FINGERPRINT_KEPT] == b.of[FINGERPRINT_KEPT]);
}

static struct fingerprint_marks both_of(const struct fingerprint_days *days, int64_t id)
{
    struct fingerprint_marks m;

    if (id ? fingerprint_instruments(source, days, AS_OF_US, &id, 1, &m, &err)
           : fingerprint_rates(source, days, &m, &err))
        fail_msg("%s", err.msg);
    return m;
}

/* What a job left for its kept day is what the next job, whose day before it is, must find. */
static void a_day_has_the_same_mark_as_either_of_two(void **state)
{
    (void)state;
    for (int32_t day = MARCH - 80; day <= MARCH + 80; day += 16) /* before, among and behind what there is */
        for (int64_t id = 0; id <= 9; id += id ? 1 : 7) {        /* the rates; two with closes, one without */
            const struct fingerprint_days same = {{day, day}}, earlier = {{day - 20, day}},
                                          later = {{day, day + 20}};
            struct fingerprint_marks of_day = both_of(&same, id);

            assert_true(of_day.of[FINGERPRINT_BEFORE] == of_day.of[FINGERPRINT_KEPT]);
            same_marks((struct fingerprint_marks){{of_day.of[0], both_of(&earlier, id).of[FINGERPRINT_KEPT]}},
                       (struct fingerprint_marks){
                           {both_of(&later, id).of[FINGERPRINT_BEFORE], of_day.of[0]}});
        }
}

static void a_change_between_the_days_moves_the_later_mark_only(void **state)
{
    (void)state;
    struct fingerprint_marks close = both_of(&february_and_march, 7), rates = both_of(&february_and_march, 0);

    testing_script(testing_dsn,
                   "UPDATE portfolio.prices SET close = 12.5 WHERE instrument_id = 7 AND day = '2024-03-09';"
                   "INSERT INTO portfolio.fx_rates VALUES ('EUR', 'USD', '2024-03-09', 1.25)");
    struct fingerprint_marks close_after = both_of(&february_and_march, 7),
                             rates_after = both_of(&february_and_march, 0);
    assert_true(close.of[FINGERPRINT_BEFORE] == close_after.of[FINGERPRINT_BEFORE]);
    assert_true(close.of[FINGERPRINT_KEPT] != close_after.of[FINGERPRINT_KEPT]);
    assert_true(rates.of[FINGERPRINT_BEFORE] == rates_after.of[FINGERPRINT_BEFORE]);
    assert_true(rates.of[FINGERPRINT_KEPT] != rates_after.of[FINGERPRINT_KEPT]);
}

/* --- all of it ---------------------------------------------------------------------------- */

static void each_part_counts(void **state)
{
    (void)state;
    const int64_t ids[] = {7, 8}, other_ids[] = {7, 9};
    const uint64_t marks[] = {70, 80}, other_marks[] = {70, 81};
    const struct fingerprint_parts base = {1, 1, 978, MARCH, 0, {3, 4}, ids, marks, 2, 5};
    uint8_t first[FINGERPRINT_BYTES], other[FINGERPRINT_BYTES];

    fingerprint_make(&base, first);
    fingerprint_make(&base, other);
    assert_memory_equal(first, other, sizeof first);
    for (int i = 0; i < 10; i++) {
        struct fingerprint_parts p = base;

        p.user_id += i == 0;
        p.format += i == 1;
        p.base_currency += i == 2;
        p.day += i == 3;
        p.benchmark_id += i == 4;
        p.txs.n += i == 5;
        p.txs.sum += i == 6;
        p.instrument_ids = i == 7 ? other_ids : ids;
        p.instruments = i == 8 ? other_marks : marks;
        p.rates += i == 9;
        fingerprint_make(&p, other);
        assert_memory_not_equal(first, other, 8); /* each half for itself */
        assert_memory_not_equal(first + 8, other + 8, 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sums_come_in_the_order_of_the_users, fill),
        cmocka_unit_test_setup(marks_of_loaded_rows_add_up, fill),
        cmocka_unit_test_setup(a_transaction_that_changes_is_seen, fill),
        cmocka_unit_test_setup(without_recorded_at_rows_are_counted_only, fill),
        cmocka_unit_test_setup(closes_and_splits_that_change_are_seen, fill),
        cmocka_unit_test_setup(the_first_later_close_counts_where_there_is_none_before, fill),
        cmocka_unit_test_setup(rates_that_change_are_seen, fill),
        cmocka_unit_test_setup(a_day_has_the_same_mark_as_either_of_two, fill),
        cmocka_unit_test_setup(a_change_between_the_days_moves_the_later_mark_only, fill),
        cmocka_unit_test(each_part_counts),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
