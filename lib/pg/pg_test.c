/* Parameters and cells, errors, time limits, lost connections. Needs
 * FOLIOPOST_TEST_DSN (script/with-postgres). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/pg/pg.h"

static struct fp_pg *pg;
static struct fp_err err;

static struct fp_pg *open_with(const char *extra, int query_timeout_ms, bool prepare)
{
    char dsn[1024];
    snprintf(dsn, sizeof dsn, "%s %s", getenv("FOLIOPOST_TEST_DSN"), extra);
    struct pg_options o = {.dsn = dsn,
                           .application = "pg_test",
                           .query_timeout_ms = query_timeout_ms,
                           .prepare = prepare};
    return pg_new(&o, &err);
}

static int setup(void **state)
{
    (void)state;
    if (getenv("FOLIOPOST_TEST_DSN") == NULL) {
        fprintf(stderr, "FOLIOPOST_TEST_DSN is not set: run this by script/with-postgres\n");
        return -1;
    }
    pg = open_with("", 0, true);
    return pg != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pg_free(pg);
    pg_free(NULL);
    return 0;
}

static struct fp_rows *run(const char *name, const char *sql, struct pg_args *a)
{
    struct fp_rows *rows;
    err.msg[0] = '\0';
    if (pg_run(pg, name, sql, a, &rows, &err) != 0)
        fail_msg("%s: %s", sql, err.msg);
    if (a != NULL)
        pg_args_fini(a);
    return rows;
}

static void assert_fails(struct fp_pg *on, const char *sql, enum fp_code code)
{
    struct fp_rows *rows;
    assert_int_equal(pg_run(on, NULL, sql, NULL, &rows, &err), -1);
    assert_null(rows);
    if (err.code != code)
        fail_msg("%s: %s, not %s: %s", sql, err_code_name(err.code), err_code_name(code), err.msg);
}

/* --- values ------------------------------------------------------------------- */

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, INT64_MIN);
    pg_arg_f64(&a, 0.1);
    pg_arg_bool(&a, true);
    pg_arg_text(&a, "it's \\ \"ü\" {1,NULL}");
    pg_arg_text(&a, NULL);
    pg_arg_null(&a);
    pg_arg_day(&a, -141428); /* 1582-10-15 */
    pg_arg_bytes(&a, "\0\xff", 2);
    struct fp_rows *r =
        run(NULL, "SELECT $1, $2, $3, $4::text, $5::text, $6::bigint, $7, encode($8, 'hex')", &a);
    assert_int_equal(pg_rows_count(r), 1);
    assert_true(pg_i64(r, 0, 0) == INT64_MIN);
    assert_true(pg_f64(r, 0, 1) > 0.0999999999 && pg_f64(r, 0, 1) < 0.1000000001);
    assert_true(pg_bool(r, 0, 2));
    assert_string_equal(pg_text(r, 0, 3), "it's \\ \"ü\" {1,NULL}");
    assert_true(pg_is_null(r, 0, 4));
    assert_string_equal(pg_text(r, 0, 4), "");
    assert_int_equal(pg_i64(r, 0, 5), 0);
    assert_int_equal(pg_day(r, 0, 6), -141428);
    assert_string_equal(pg_text(r, 0, 7), "00ff");
    pg_rows_free(r);
    pg_rows_free(NULL);
}

static void times_are_exact(void **state)
{
    (void)state;
    static const int64_t us[] = {
        0, 1, -1, 1793491200123456, -62135596800000000, 253402300799999999, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof us / sizeof us[0]; i++) {
        struct pg_args a;
        pg_args_init(&a);
        pg_arg_time_us(&a, us[i]);
        struct fp_rows *r =
            run("time", "SELECT $1::timestamptz, ($1::timestamptz AT TIME ZONE 'UTC')::text", &a);
        assert_true(pg_time_us(r, 0, 0) == us[i]);
        pg_rows_free(r);
    }
}

/* The server's time zone is not ours to set, so every form must be read. */
static void times_are_read_in_any_zone(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia",
                                        "Europe/Amsterdam"};
    for (size_t i = 0; i < 5; i++) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT set_config('TimeZone', '%s', false)", zones[i]);
        pg_rows_free(run(NULL, sql, NULL));
        struct fp_rows *r = run(NULL,
                                "SELECT t, (extract(epoch FROM t) * 1000000)::bigint FROM unnest(ARRAY["
                                "'2026-11-01 00:00:00.5+00', '1890-03-01 12:34:56.000001+00',"
                                "'0044-03-15 12:00:00+00 BC', '12345-01-01 00:00:00+00']::timestamptz[]) t",
                                NULL);
        for (int row = 0; row < 4; row++)
            assert_true(pg_time_us(r, row, 0) == pg_i64(r, row, 1));
        pg_rows_free(r);
    }
    pg_rows_free(run(NULL, "SELECT set_config('TimeZone', 'UTC', false)", NULL));
}

static void arrays_of_all_lengths(void **state)
{
    (void)state;
    int64_t v[100], *out;
    int32_t w[] = {1, -2};
    const char *texts[] = {"a,b", NULL, "", "\"{}\\"};
    size_t n;
    for (int i = 0; i < 100; i++)
        v[i] = i == 50 ? INT64_MIN : i * 1000003;
    for (size_t len = 0; len <= 100; len += 50) {
        struct pg_args a;
        pg_args_init(&a);
        pg_arg_i64s(&a, v, len);
        struct fp_rows *r = run(NULL, "SELECT $1", &a);
        assert_true(pg_i64s(r, 0, 0, &out, &n));
        assert_int_equal(n, len);
        assert_memory_equal(out, v, len * sizeof v[0]);
        mem_free(out);
        pg_rows_free(r);
    }
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i32s(&a, w, 2);
    pg_arg_texts(&a, texts, 4);
    pg_arg_times_us(&a, (int64_t[]){1, INT64_MAX}, 2);
    struct fp_rows *r =
        run(NULL,
            "SELECT ($1::int[])[2], ($2::text[])[1], ($2::text[])[2], ($2::text[])[4],"
            " cardinality($2::text[]), ($3::timestamptz[])[1], ($3::timestamptz[])[2], '{1,NULL}'::bigint[]",
            &a);
    assert_int_equal(pg_i64(r, 0, 0), -2);
    assert_string_equal(pg_text(r, 0, 1), "a,b");
    assert_true(pg_is_null(r, 0, 2));
    assert_string_equal(pg_text(r, 0, 3), "\"{}\\");
    assert_int_equal(pg_i64(r, 0, 4), 4);
    assert_int_equal(pg_time_us(r, 0, 5), 1);
    assert_true(pg_time_us(r, 0, 6) == INT64_MAX);
    assert_false(pg_i64s(r, 0, 7, &out, &n)); /* holds a null */
    assert_null(out);
    pg_rows_free(r);
}

static void what_is_no_list_of_numbers_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"{9223372036854775808}",
                                        "{-9223372036854775809}",
                                        "{99999999999999999999999}",
                                        "{1,}",
                                        "{,1}",
                                        "{-}",
                                        "{+1}",
                                        "{1 }",
                                        "{{1},{2}}",
                                        "{1}{2}",
                                        "1,2",
                                        "{",
                                        ""};
    int64_t *out;
    size_t n;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct pg_args a;
        pg_args_init(&a);
        pg_arg_text(&a, texts[i]);
        struct fp_rows *r = run(NULL, "SELECT $1::text", &a);
        if (pg_i64s(r, 0, 0, &out, &n) || out != NULL || n != 0)
            fail_msg("\"%s\" passed for %zu numbers", texts[i], n);
        pg_rows_free(r);
    }
}

static void bytes_go_and_come_back(void **state)
{
    (void)state;
    const struct pg_bytes list[] = {{"\0\xff\x7f", 3}, {"", 0}, {"x", 1}};
    struct pg_args a;
    unsigned char out[3];
    size_t n = 9;

    pg_args_init(&a);
    pg_arg_bytes_list(&a, list, 3);
    pg_arg_bytes_list(&a, NULL, 0);
    struct fp_rows *r =
        run(NULL, "SELECT x, cardinality($2::bytea[]) FROM unnest($1::bytea[]) AS x UNION ALL SELECT NULL, 0",
            &a);
    assert_true(pg_bytes(r, 0, 0, out, 3, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(out, "\0\xff\x7f", 3);
    assert_false(pg_bytes(r, 0, 0, out, 2, &n));
    assert_true(pg_bytes(r, 1, 0, out, 3, &n));
    assert_int_equal(n, 0);
    assert_int_equal(pg_i64(r, 2, 1), 0);
    assert_false(pg_bytes(r, 3, 0, out, 3, &n)); /* null */
    assert_false(pg_bytes(r, 2, 1, out, 3, &n)); /* no bytea */
    pg_rows_free(r);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct pg_args a;
    struct fp_rows *rows;
    char *big = mem_alloc(33 << 20);
    pg_args_init(&a);
    pg_arg_bytes(&a, big, 33 << 20);
    pg_arg_bytes(&a, big, 33 << 20);
    assert_int_equal(pg_run(pg, NULL, "SELECT 1", &a, &rows, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    pg_args_fini(&a);
    mem_free(big);
}

/* --- errors --------------------------------------------------------------------- */

static void errors_have_their_codes(void **state)
{
    (void)state;
    pg_rows_free(run(NULL, "CREATE TABLE pg_test (a int PRIMARY KEY CHECK (a > 0))", NULL));
    pg_rows_free(run(NULL, "INSERT INTO pg_test VALUES (1)", NULL));
    assert_fails(pg, "INSERT INTO pg_test VALUES (1)", FP_ALREADY_EXISTS);
    assert_string_equal(pg_sqlstate(pg), "23505");
    assert_non_null(strstr(err.msg, "23505"));
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    assert_fails(pg, "INSERT INTO pg_test VALUES (0)", FP_INVALID_ARGUMENT);
    assert_fails(pg, "SELECT 'x'::int", FP_INVALID_ARGUMENT);
    assert_fails(pg, "SELECT * FROM nowhere", FP_FAILED_PRECONDITION);
    assert_fails(pg, "SELECT nothing FROM pg_test", FP_FAILED_PRECONDITION);
    assert_fails(pg, "SELECT * FROM no_schema.t", FP_FAILED_PRECONDITION);
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40P01'; END $$", FP_ABORTED);
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '57014'; END $$", FP_DEADLINE_EXCEEDED);
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '42501'; END $$", FP_PERMISSION_DENIED);
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53300'; END $$", FP_UNAVAILABLE);
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE 'P0001'; END $$", FP_INTERNAL);
    assert_true(pg_is_connected(pg));
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '25006'; END $$", FP_UNAVAILABLE);
    assert_false(pg_is_connected(pg)); /* a standby: the next connection may find the primary */
    struct fp_rows *r = run(NULL, "SELECT count(*) FROM pg_test", NULL);
    assert_int_equal(pg_i64(r, 0, 0), 1);
    assert_int_equal(pg_rows_affected(r), 1);
    pg_rows_free(r);
    r = run(NULL, "DROP TABLE pg_test", NULL);
    pg_rows_free(r);
}

/* What a user is called or where he gets his mail is for no log. */
static void a_wrong_value_is_not_in_the_message(void **state)
{
    (void)state;
    assert_fails(pg, "SELECT 'anna@example.com'::bigint", FP_INVALID_ARGUMENT);
    assert_null(strstr(err.msg, "anna"));
    assert_non_null(strstr(err.msg, "invalid input syntax for type bigint: \"...\", SQLSTATE 22P02"));
    assert_fails(pg, "SELECT 'say \"x\" to anna@example.com, \"y\" and\n\"z'::bigint", FP_INVALID_ARGUMENT);
    assert_null(strstr(err.msg, "anna"));
    assert_fails(pg, "DO $$ BEGIN RAISE EXCEPTION 'Benutzer »anna@example.com« fehlt'; END $$", FP_INTERNAL);
    assert_null(strstr(err.msg, "anna"));
    pg_rows_free(
        run(NULL, "CREATE TABLE pg_test (a text CONSTRAINT pg_test_length CHECK (length(a) < 3))", NULL));
    assert_fails(pg, "INSERT INTO pg_test VALUES ('anna@example.com')", FP_INVALID_ARGUMENT);
    assert_null(strstr(err.msg, "anna"));
    assert_non_null(strstr(err.msg, "pg_test_length"));
    assert_fails(pg, "SELECT anna FROM pg_test", FP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "\"anna\"")); /* a name of the statement is told */
    pg_rows_free(run(NULL, "DROP TABLE pg_test", NULL));
}

static void a_wrong_dsn_never_shows_a_password(void **state)
{
    (void)state;
    struct pg_options o = {.dsn = "host=x password=top secret"};
    assert_null(pg_new(&o, &err));
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_null(strstr(err.msg, "secret"));
    o.dsn = "postgres://u:secret@h/db?bad=1";
    assert_null(pg_new(&o, &err));
    assert_null(strstr(err.msg, "secret"));
}

static void who_cannot_connect_is_told_where(void **state)
{
    (void)state;
    struct fp_pg *other = open_with("dbname=no_such_db password=secret", 0, false);
    assert_int_equal(pg_connect(other, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "no_such_db"));
    assert_null(strstr(err.msg, "secret"));
    pg_free(other);
    other = open_with("user=no_such_user", 0, false);
    assert_int_equal(pg_connect(other, &err), -1);
    assert_int_equal(err.code, FP_PERMISSION_DENIED);
    assert_non_null(strstr(err.msg, "no_such_user"));
    pg_free(other);
    other = open_with("port=1", 0, false);
    assert_int_equal(pg_connect(other, &err), -1);
    assert_int_equal(err.code, FP_UNAVAILABLE);
    assert_int_equal(pg_connected_ms(other), -1);
    pg_free(other);
}

static void another_date_style_is_refused_with_the_cure(void **state)
{
    (void)state;
    struct fp_pg *other = open_with("options='-c DateStyle=German'", 0, false);
    assert_int_equal(pg_connect(other, &err), -1);
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, "SET datestyle = 'ISO'"));
    pg_free(other);
}

/* --- time limits, lost connections -------------------------------------------------- */

static pid_t postmaster(void)
{
    char path[512];
    int pid = 0;
    struct fp_rows *r = run(NULL, "SELECT current_setting('data_directory') || '/postmaster.pid'", NULL);
    snprintf(path, sizeof path, "%s", pg_text(r, 0, 0));
    pg_rows_free(r);
    FILE *f = fopen(path, "re");
    if (f != NULL && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f != NULL)
        fclose(f);
    return pid;
}

/* It accepts no connection, nor a request to cancel; who is connected already goes on. */
static void a_time_limit_holds_also_while_the_postmaster_is_frozen(void **state)
{
    (void)state;
    pid_t server = postmaster(), waker;
    struct fp_pg *other = open_with("", 500, false);
    assert_true(server > 1);
    assert_fails(other, "SELECT 1 / 0", FP_INVALID_ARGUMENT); /* it is connected */
    if ((waker = fork()) == 0) {                              /* whatever becomes of us */
        sleep(6);
        kill(server, SIGCONT);
        _exit(0);
    }
    kill(server, SIGSTOP);
    int64_t before_us = clock_mono_us();
    assert_fails(other, "SELECT pg_sleep(5)", FP_DEADLINE_EXCEEDED);
    int64_t took_us = clock_mono_us() - before_us;
    kill(server, SIGCONT);
    kill(waker, SIGKILL);
    waitpid(waker, NULL, 0);
    assert_in_range(took_us, 400000, 3000000);
    pg_free(other);
}

static void a_statement_over_its_time_is_cancelled(void **state)
{
    (void)state;
    struct fp_pg *other = open_with("", 200, false);
    int64_t start_us = clock_mono_us();
    assert_fails(other, "SELECT pg_sleep(30)", FP_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_us() - start_us, 190000, 2000000);
    assert_non_null(strstr(err.msg, "200 ms"));
    assert_false(pg_is_connected(other));
    struct fp_rows *r;
    for (int i = 0; i < 100; i++) {
        r = run(NULL, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", NULL);
        int64_t n = pg_i64(r, 0, 0);
        pg_rows_free(r);
        if (n == 0) {
            pg_free(other);
            return;
        }
        clock_sleep_us(20000);
    }
    fail_msg("the server goes on sleeping");
}

static void a_lost_connection_is_opened_again_and_prepares_anew(void **state)
{
    (void)state;
    struct fp_pg *other = open_with("", 0, true);
    struct fp_rows *r;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pg_run(other, "pid", "SELECT pg_backend_pid()", NULL, &r, &err), 0);
        char sql[80];
        snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%s, 5000)", pg_text(r, 0, 0));
        pg_rows_free(r);
        assert_true(pg_connected_ms(other) >= 0);
        r = run(NULL, sql, NULL);
        assert_true(pg_bool(r, 0, 0));
        pg_rows_free(r);
        assert_fails(other, "SELECT 1", FP_UNAVAILABLE);
        assert_false(pg_is_connected(other));
    }
    assert_int_equal(pg_run(other, "pid", "SELECT pg_backend_pid()", NULL, NULL, &err), 0);
    pg_free(other);
}

static void a_prepared_statement_is_prepared_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct pg_args a;
        pg_args_init(&a);
        pg_arg_i64(&a, i);
        struct fp_rows *r = run("once", "SELECT $1 + 1", &a);
        assert_int_equal(pg_i64(r, 0, 0), i + 1);
        pg_rows_free(r);
    }
    struct fp_rows *r =
        run(NULL, "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE name = 'once'",
            NULL);
    assert_int_equal(pg_i64(r, 0, 0), 3);
    pg_rows_free(r);
    /* Gone behind our back, as in a pooler: an error that is not for ever. */
    pg_rows_free(run(NULL, "DEALLOCATE once", NULL));
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, 1);
    assert_int_equal(pg_run(pg, "once", "SELECT $1 + 1", &a, NULL, &err), -1);
    assert_non_null(strstr(err.msg, "turn prepared statements off"));
    assert_int_equal(pg_run(pg, "once", "SELECT $1 + 1", &a, NULL, &err), 0);
    pg_args_fini(&a);
}

static void a_script_is_one_transaction(void **state)
{
    (void)state;
    assert_int_equal(pg_run_script(pg,
                                   "CREATE TABLE script_a (x int); SELECT 1/0; CREATE TABLE script_b (x int)",
                                   &err),
                     -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    struct fp_rows *r =
        run(NULL, "SELECT to_regclass('script_a') IS NULL AND to_regclass('script_b') IS NULL", NULL);
    assert_true(pg_bool(r, 0, 0));
    pg_rows_free(r);
    assert_int_equal(pg_run_script(pg, "CREATE TABLE script_a (x int); DROP TABLE script_a", &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(times_are_exact),
        cmocka_unit_test(times_are_read_in_any_zone),
        cmocka_unit_test(arrays_of_all_lengths),
        cmocka_unit_test(what_is_no_list_of_numbers_is_none),
        cmocka_unit_test(bytes_go_and_come_back),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(errors_have_their_codes),
        cmocka_unit_test(a_wrong_value_is_not_in_the_message),
        cmocka_unit_test(a_wrong_dsn_never_shows_a_password),
        cmocka_unit_test(who_cannot_connect_is_told_where),
        cmocka_unit_test(another_date_style_is_refused_with_the_cure),
        cmocka_unit_test(a_statement_over_its_time_is_cancelled),
        cmocka_unit_test(a_time_limit_holds_also_while_the_postmaster_is_frozen),
        cmocka_unit_test(a_lost_connection_is_opened_again_and_prepares_anew),
        cmocka_unit_test(a_prepared_statement_is_prepared_once),
        cmocka_unit_test(a_script_is_one_transaction),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
