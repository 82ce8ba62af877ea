/*
 * Paging and fetching of users against a real PostgreSQL: nobody missed and
 * nobody twice at any page size, and nothing hostile gets through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/embedded.h"
#include "lib/base/text.h"
#include "lib/source/source.h"
#include "lib/source/testing.h"

extern const struct fp_embedded embedded_portfolio[];

#define MAX_USERS 4096

static struct fp_source *source;
static struct source_user users[MAX_USERS];
static int64_t seen[MAX_USERS];

static void run(const char *sql)
{
    testing_script(testing_dsn, sql);
}

static int setup(void **state)
{
    struct fp_err err;
    if (testing_create(state) != 0)
        return -1;
    for (const struct fp_embedded *e = embedded_portfolio; e->name != NULL; e++)
        if (strcmp(e->name, "portfolio.sql") == 0)
            run(e->text);
    struct pg_options o = {.dsn = testing_dsn, .prepare = true};
    source = source_open(&o, &err);
    return source != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    source_close(source);
    source_close(NULL);
    return testing_drop(state);
}

static int empty_tables(void **state)
{
    (void)state;
    run("TRUNCATE portfolio.users, portfolio.preferences");
    return 0;
}

static int page(int64_t after_us, int64_t after_id, int64_t before_us, int max)
{
    struct fp_err err = {0};
    int n = source_users_page(source, &(struct source_range){"monthly", after_us, after_id, before_us, {0}},
                              users, max, &err);
    if (n < 0)
        fail_msg("%s", err.msg);
    return n;
}

/* Pages from the first to the last user as userstream does; returns how many were seen. */
static int page_all(int64_t lower_us, int64_t before_us, int max)
{
    int64_t at_us = lower_us, at_id = INT64_MIN;
    int total = 0, n;
    do {
        n = page(at_us, at_id, before_us, max);
        for (int i = 0; i < n; i++) {
            assert_true(total < MAX_USERS);
            seen[total++] = users[i].id;
            at_us = users[i].created_us;
            at_id = users[i].id;
        }
    } while (n == max);
    return total;
}

static int64_t day_us(int year, int month, int mday)
{
    return day_from_civil(year, month, mday) * FP_US_PER_DAY;
}

static void pages_of_any_size_give_everybody_once_in_order(void **state)
{
    (void)state;
    /* 300 in one microsecond, 300 at consecutive microseconds, 300 anywhere; ids against the order of time */
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency)"
        " SELECT 1000 - i, 'u' || i || '@example.com', CASE WHEN i <= 300 THEN timestamptz '2024-02-29 23:59:59.999999+00'"
        " WHEN i <= 600 THEN timestamptz '2024-01-31 23:59:59.999700+00' + i * interval '1 microsecond'"
        " ELSE timestamptz '2024-01-01 00:00:00+00' + (i * 7919 % 4000000) * interval '1.000001 second' END, 'EUR'"
        " FROM generate_series(1, 900) i");
    static const int sizes[] = {1, 7, 100, 200, 900, 901};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        assert_int_equal(page_all(day_us(2024, 1, 1), day_us(2024, 4, 1), sizes[k]), 900);
        bool met[1000] = {false};
        for (int i = 0; i < 900; i++) {
            assert_false(met[seen[i]]);
            met[seen[i]] = true;
        }
    }
}

static void months_that_touch_share_nobody_and_leave_out_nobody(void **state)
{
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) VALUES"
        " (1, '', '2024-01-31 23:59:59.999999+00', 'EUR'), (2, '', '2024-02-01 00:00:00+00', 'EUR'),"
        " (3, '', '2024-02-01 00:00:00.000001+00', 'EUR'), (4, '', '2024-02-29 23:59:59.999999+00', 'EUR'),"
        " (5, '', '2024-03-01 00:00:00+00', 'EUR')");
    assert_int_equal(page_all(day_us(2024, 1, 1), day_us(2024, 2, 1), 2), 1);
    assert_int_equal(seen[0], 1);
    assert_int_equal(page_all(day_us(2024, 2, 1), day_us(2024, 3, 1), 2), 3);
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[2], 4);
    assert_int_equal(page_all(day_us(2024, 3, 1), day_us(2024, 4, 1), 2), 1);
}

static void times_keep_their_microseconds_in_any_zone_of_the_server(void **state)
{
    char sql[200];
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency)"
        " VALUES (1, '', '1969-12-31 23:59:59.999999+00', 'EUR'), (2, '', '2026-03-29 01:00:00.000001+00', 'EUR')");
    snprintf(sql, sizeof sql, "ALTER DATABASE %s SET timezone = 'Asia/Kathmandu'", testing_name);
    run(sql);
    struct pg_options o = {.dsn = testing_dsn};
    struct fp_err err;
    struct fp_source *other = source_open(&o, &err);
    assert_int_equal(source_users_page(other, &(struct source_range){"monthly", INT64_MIN, 0, INT64_MAX, {0}},
                                       users, 9, &err),
                     2);
    assert_int_equal(users[0].created_us, -1);
    assert_int_equal(users[1].created_us, day_us(2026, 3, 29) + 3600 * FP_US_PER_S + 1);
    /* the cursor gives exactly what is behind it */
    assert_int_equal(
        source_users_page(other, &(struct source_range){"monthly", users[0].created_us, 1, INT64_MAX, {0}},
                          users, 9, &err),
        1);
    int64_t first_us;
    assert_int_equal(source_first_user_us(other, &first_us, &err), 0);
    assert_int_equal(first_us, -1);
    source_close(other);
    snprintf(sql, sizeof sql, "ALTER DATABASE %s RESET timezone", testing_name);
    run(sql);
}

static void null_keys_and_doubles_of_a_view_neither_stop_nor_shorten_pages(void **state)
{
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) SELECT i, '', timestamptz '2024-01-01+00'"
        " + i / 3 * interval '1 second', 'EUR' FROM generate_series(1, 50) i;"
        " ALTER TABLE portfolio.users RENAME TO users_below;"
        " CREATE VIEW portfolio.users AS SELECT * FROM portfolio.users_below"
        " UNION ALL SELECT * FROM portfolio.users_below WHERE id % 2 = 0"
        " UNION ALL SELECT NULL::bigint, email, first_name, last_name, created_at, locale, time_zone, base_currency FROM portfolio.users_below"
        " UNION ALL SELECT id + 1000, email, first_name, last_name, NULL, locale, time_zone, base_currency FROM portfolio.users_below");
    int total = page_all(day_us(2024, 1, 1), day_us(2025, 1, 1), 4);
    run("DROP VIEW portfolio.users; ALTER TABLE portfolio.users_below RENAME TO users");
    assert_int_equal(total, 50);
    for (int i = 0; i < total; i++)
        assert_int_equal(seen[i], i + 1);
}

static void a_view_with_other_types_is_an_error_or_read_and_no_crash(void **state)
{
    struct fp_err err;
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) VALUES (1, 'a@example.com', '2024-01-01+00', 'EUR');"
        " ALTER TABLE portfolio.users RENAME TO users_below;"
        " CREATE VIEW portfolio.users AS SELECT id::integer AS id, email::varchar(80) AS email, 'x'::char(9) AS first_name,"
        " NULL::text AS last_name, created_at AT TIME ZONE 'UTC' AS created_at, locale, time_zone, base_currency::char(3)"
        " AS base_currency FROM portfolio.users_below");
    int n =
        source_users_page(source,
                          &(struct source_range){"monthly", day_us(2023, 1, 1), 0, day_us(2025, 1, 1), {0}},
                          users, 9, &err);
    run("DROP VIEW portfolio.users; CREATE VIEW portfolio.users AS SELECT 'abc' AS id, email, first_name, last_name, created_at,"
        " locale, time_zone, base_currency FROM portfolio.users_below");
    int wrong =
        source_users_page(source,
                          &(struct source_range){"monthly", day_us(2023, 1, 1), 0, day_us(2025, 1, 1), {0}},
                          users, 9, &err);
    run("DROP VIEW portfolio.users; ALTER TABLE portfolio.users_below RENAME TO users");
    assert_int_equal(n, 1);
    assert_int_equal(wrong, -1);
    assert_int_equal(page(day_us(2023, 1, 1), 0, day_us(2025, 1, 1), 9), 1); /* the connection lives on */
}

static void hostile_text_comes_out_clean(void **state)
{
    (void)state;
    run("INSERT INTO portfolio.users (id, email, first_name, last_name, created_at, locale, time_zone, base_currency) VALUES"
        " (1, E'a@x.com>\\r\\nRCPT TO:<evil@x.com', E'Line\\r\\nBcc: x', repeat('ü', 300), '2024-01-01+00', E'de\\nDE', repeat('z', 70), 'EUR'),"
        " (2, repeat('a', 300) || '@example.com', '', '{{x}} %s', '2024-01-02+00', 'de-DE', 'Europe/Berlin', 'eur'),"
        " (3, 'no.at.sign', '<b>', E'\\u0085', '2024-01-03+00', '', '', 'EURO'),"
        " (4, repeat('x', 1000000), repeat('y', 1000000), '', '2024-01-04+00', '', '', 'E1R'),"
        " (5, 'fine@example.com', 'Zoë', 'O''Brien', '2024-01-05+00', 'en-GB', 'Europe/London', 'GBP')");
    assert_int_equal(page(day_us(2024, 1, 1), INT64_MIN, day_us(2024, 2, 1), 100), 5);
    assert_string_equal(users[0].email, "");
    assert_int_equal(users[0].address, ADDRESS_BAD);
    assert_string_equal(users[0].first_name, "Line  Bcc: x");
    assert_int_equal(strlen(users[0].last_name), 100); /* 50 whole letters */
    assert_string_equal(users[0].locale, "");
    assert_string_equal(users[0].time_zone, "");
    assert_int_equal(users[1].address, ADDRESS_BAD);
    assert_string_equal(users[1].email, "");
    assert_string_equal(users[1].last_name, "{{x}} %s");
    assert_string_equal(users[1].base_currency, "");
    assert_string_equal(users[1].time_zone, "Europe/Berlin");
    assert_int_equal(users[2].address, ADDRESS_BAD);
    assert_string_equal(users[2].email, "no.at.sign");
    assert_string_equal(users[2].base_currency, "");
    assert_int_equal(users[3].address, ADDRESS_BAD);
    assert_string_equal(users[3].base_currency, "");
    assert_int_equal(users[4].address, ADDRESS_USABLE);
    assert_string_equal(users[4].base_currency, "GBP");
    run("UPDATE portfolio.users SET email = CASE id WHEN 1 THEN 'ann@bücher.example' WHEN 2 THEN 'jürgen@example.com'"
        " WHEN 3 THEN 'x@xn--n3h.example' ELSE email END");
    assert_int_equal(page(day_us(2024, 1, 1), INT64_MIN, day_us(2024, 2, 1), 100), 5);
    assert_string_equal(users[0].email, "ann@xn--bcher-kva.example");
    assert_int_equal(users[0].address, ADDRESS_USABLE);
    assert_int_equal(users[1].address, ADDRESS_NON_ASCII_MAILBOX);
    assert_int_equal(users[2].address, ADDRESS_BAD); /* the snowman's A-label */
    for (int i = 0; i < 5; i++) {
        assert_true(text_is_clean(users[i].email) && text_is_clean(users[i].first_name) &&
                    text_is_clean(users[i].last_name));
    }
}

static void who_refused_this_kind_is_opted_out(void **state)
{
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) SELECT i, 'u@example.com', '2024-01-01+00', 'EUR'"
        " FROM generate_series(1, 4) i;"
        " INSERT INTO portfolio.preferences (user_id, kind, enabled) VALUES (1, 'monthly', false), (2, 'weekly', false),"
        " (3, 'monthly', true)");
    assert_int_equal(page(day_us(2024, 1, 1), INT64_MIN, day_us(2024, 2, 1), 100), 4);
    assert_true(users[0].opted_out);
    assert_false(users[1].opted_out || users[2].opted_out || users[3].opted_out);
    struct fp_err err;
    assert_int_equal(source_users_page(source,
                                       &(struct source_range){
                                           "weekly'; DROP TABLE portfolio.users;--", 0, 0, INT64_MAX, {0}},
                                       users, 9, &err),
                     4);
}

static void users_by_id_come_in_the_order_asked_for_with_the_gone_marked(void **state)
{
    struct fp_err err;
    const int64_t ids[] = {30, 999, 10, 20, INT64_MAX, -1};
    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) SELECT i, 'u' || i || '@example.com', '2024-01-01+00', 'EUR'"
        " FROM generate_series(10, 30) i; INSERT INTO portfolio.preferences (user_id, kind, enabled) VALUES (10, 'monthly', false)");
    assert_int_equal(source_users_by_id(source, "monthly", ids, 6, users, &err), 0);
    assert_string_equal(users[0].email, "u30@example.com");
    assert_true(users[1].gone && users[4].gone && users[5].gone);
    assert_int_equal(users[1].id, 999);
    assert_true(users[2].opted_out);
    assert_int_equal(users[3].id, 20);
    assert_false(users[3].gone || users[3].opted_out);
    assert_int_equal(source_users_by_id(source, "monthly", ids, 0, users, &err), 0);
}

static void figures_of_the_whole(void **state)
{
    struct fp_err err;
    int64_t v;
    (void)state;
    assert_int_equal(source_first_user_us(source, &v, &err), 0);
    assert_int_equal(v, INT64_MAX);
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) VALUES (1, '', '2024-01-31+00', 'EUR'),"
        " (2, '', '2024-02-01+00', 'EUR'), (3, '', '-infinity', 'EUR'), (4, '', 'infinity', 'EUR')");
    assert_int_equal(source_first_user_us(source, &v, &err), 0);
    assert_int_equal(v, day_us(2024, 1, 31));
    assert_int_equal(source_count_users(source, day_us(2024, 1, 1), day_us(2024, 2, 1), NULL, &v, &err), 0);
    assert_int_equal(v, 1);
    assert_int_equal(source_replayed_us(source, &v, &err), 0);
    assert_in_range(v, clock_wall_us() - 60 * FP_US_PER_S, clock_wall_us() + FP_US_PER_S);
}

static void prices_are_fresh_by_what_as_of_sees(void **state)
{
    struct source_freshness f;
    struct fp_err err;
    const int32_t day = day_from_civil(2024, 3, 29);
    (void)state;
    run("INSERT INTO portfolio.instruments (id, symbol, name, currency) SELECT i, 'S', 'S', 'EUR' FROM generate_series(1, 7) i;"
        "INSERT INTO portfolio.prices (instrument_id, day, close, recorded_at) VALUES"
        " (1, '2024-03-28', 1, '2024-03-28+00'), (2, '2024-03-28', 1, '2024-03-29+00'), (3, '2024-03-28', 1, '2024-03-31+00'),"
        " (4, '2024-03-25', 1, '2024-03-26+00'), (5, '2023-12-01', 1, '2024-03-29+00'), (6, '2024-03-30', 1, '2024-03-29+00'),"
        " (7, '2024-03-28', -1, '2024-03-29+00')");

    assert_int_equal(source_prices_fresh(source, day, 2, day_us(2024, 3, 30), &f, &err), 0);
    assert_int_equal(f.fresh, 2);
    assert_int_equal(f.priced, 4); /* a resend does not wait for what came after its parent */
    assert_int_equal(f.instruments, 7);
    assert_int_equal(source_prices_fresh(source, day, 5, day_us(2024, 4, 1), &f, &err), 0);
    assert_int_equal(f.fresh, 4);
    assert_int_equal(f.priced, 5);
}

static void a_missing_schema_is_an_error_that_names_it(void **state)
{
    struct fp_err err = {0};
    (void)state;
    run("ALTER SCHEMA portfolio RENAME TO away");
    struct pg_options o = {.dsn = testing_dsn};
    struct fp_source *other = source_open(&o, &err);
    int n = source_users_page(other, &(struct source_range){"monthly", 0, 0, INT64_MAX, {0}}, users, 9, &err);
    run("ALTER SCHEMA away RENAME TO portfolio");
    assert_int_equal(n, -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "portfolio.users"));
    assert_int_equal(source_users_page(other, &(struct source_range){"monthly", 0, 0, INT64_MAX, {0}}, users,
                                       9, &err),
                     0);
    source_close(other);
}

/* --- shares --------------------------------------------------------------------------- */

/* Pages the whole in a share, and checks each user against the C form and the count. */
static int page_share(const struct source_share *share, int max)
{
    struct source_range r = {"monthly", day_us(2024, 1, 1), INT64_MIN, day_us(2025, 1, 1), *share};
    struct fp_err err;
    int64_t counted;
    int total = 0, n;

    do {
        n = source_users_page(source, &r, users, max, &err);
        assert_true(n >= 0);
        for (int i = 0; i < n; i++) {
            assert_true(source_share_has(share, users[i].id));
            seen[total++] = users[i].id;
        }
        if (n > 0) {
            r.after_us = users[n - 1].created_us;
            r.after_id = users[n - 1].id;
        }
    } while (n == max);
    assert_int_equal(source_count_users(source, day_us(2024, 1, 1), day_us(2025, 1, 1), share, &counted,
                                        &err),
                     0);
    assert_int_equal(counted, total);
    return total;
}

/* Small ids, ids near each bound of the arithmetic, and ids that are spread over all of a bigint. */
static void sql_and_c_agree_on_who_is_in_a_share(void **state)
{
    const int64_t seeds[] = {0, 1, 7, INT64_MAX};
    const int32_t shares[] = {1, 50000, 500000, 999999, SHARE_ALL_PPM};
    int expected;

    (void)state;
    run("INSERT INTO portfolio.users (id, email, created_at, base_currency) SELECT id, '', timestamptz '2024-06-01+00', 'EUR'"
        " FROM (SELECT i::bigint AS id FROM generate_series(1, 300) i UNION SELECT 2147483647::bigint + i FROM generate_series(-3, 3) i"
        " UNION SELECT 2147483647::bigint * 2147483647 + i FROM generate_series(-3, 3) i"
        " UNION SELECT 9223372036854775807 - i FROM generate_series(0, 9) i UNION SELECT i * 92233720368547758 FROM generate_series(1, 99) i) x");
    int all = page_share(&(struct source_share){0}, 50);
    int64_t ids[MAX_USERS];
    memcpy(ids, seen, (size_t)all * sizeof *ids);
    for (size_t s = 0; s < sizeof seeds / sizeof seeds[0]; s++)
        for (size_t p = 0; p < sizeof shares / sizeof shares[0]; p++) {
            const struct source_share share = {shares[p], seeds[s]};
            expected = 0;
            for (int i = 0; i < all; i++)
                expected += source_share_has(&share, ids[i]);
            assert_int_equal(page_share(&share, 7), expected);
            assert_true(shares[p] < SHARE_ALL_PPM || expected == all);
        }
}

static void a_share_is_the_same_in_every_version(void **state)
{
    const struct source_share share = {50000, 7};
    int64_t ids[8];
    int n = 0;

    (void)state;
    for (int64_t id = 1; n < 8; id++)
        if (source_share_has(&share, id))
            ids[n++] = id;
    const int64_t known[8] = {33, 57, 62, 66, 86, 111, 114, 127};
    for (int i = 0; i < 8; i++)
        assert_int_equal(ids[i], known[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sql_and_c_agree_on_who_is_in_a_share, empty_tables),
        cmocka_unit_test(a_share_is_the_same_in_every_version),
        cmocka_unit_test_setup(pages_of_any_size_give_everybody_once_in_order, empty_tables),
        cmocka_unit_test_setup(months_that_touch_share_nobody_and_leave_out_nobody, empty_tables),
        cmocka_unit_test_setup(times_keep_their_microseconds_in_any_zone_of_the_server, empty_tables),
        cmocka_unit_test_setup(null_keys_and_doubles_of_a_view_neither_stop_nor_shorten_pages, empty_tables),
        cmocka_unit_test_setup(a_view_with_other_types_is_an_error_or_read_and_no_crash, empty_tables),
        cmocka_unit_test_setup(hostile_text_comes_out_clean, empty_tables),
        cmocka_unit_test_setup(who_refused_this_kind_is_opted_out, empty_tables),
        cmocka_unit_test_setup(users_by_id_come_in_the_order_asked_for_with_the_gone_marked, empty_tables),
        cmocka_unit_test_setup(figures_of_the_whole, empty_tables),
        cmocka_unit_test_setup(prices_are_fresh_by_what_as_of_sees, empty_tables),
        cmocka_unit_test_setup(a_missing_schema_is_an_error_that_names_it, empty_tables),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
