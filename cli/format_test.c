/* Numbers, times, tables and progress as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/format.h"
#include "cli/progress.h"
#include "cli/screen.h"
#include "lib/base/clock.h"

static void numbers_have_thousands_separators(void **state)
{
    (void)state;
    char out[FORMAT_CAP];
    assert_string_equal(format_count(0, out), "0");
    assert_string_equal(format_count(999, out), "999");
    assert_string_equal(format_count(1000, out), "1,000");
    assert_string_equal(format_count(-1234567, out), "-1,234,567");
    assert_string_equal(format_count(-123, out), "-123");
    assert_string_equal(format_count(INT64_MIN, out), "-9,223,372,036,854,775,808");
}

static void times_and_durations_are_short(void **state)
{
    (void)state;
    char out[FORMAT_CAP];
    assert_string_equal(format_time(0, out), "-");
    assert_string_equal(format_time(INT64_C(1793491205) * FP_US_PER_S + 999999, out), "2026-11-01 00:00:05");
    assert_string_equal(format_duration(0.0504, out), "50 ms");
    assert_string_equal(format_duration(12.34, out), "12.3 s");
    assert_string_equal(format_duration(59.97, out), "1m 00s");
    assert_string_equal(format_duration(1590, out), "26m 30s");
    assert_string_equal(format_duration(7500, out), "2h 05m");
    assert_string_equal(format_duration(273600, out), "3d 04h");
    assert_string_equal(format_duration(-1, out), "-");
    assert_string_equal(format_duration(1e300, out), "-");
}

static void nearly_all_is_not_all(void **state)
{
    (void)state;
    char out[FORMAT_CAP];
    assert_string_equal(format_percent(1, out), "100.0 %");
    assert_string_equal(format_percent(0.999999999, out), "99.999 %");
    assert_string_equal(format_percent(0.99995, out), "99.995 %");
    assert_string_equal(format_percent(0.5, out), "50.0 %");
    assert_string_equal(format_percent(0, out), "0.0 %");
}

static char *printed(void (*print)(void *, FILE *), void *ctx)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    print(ctx, f);
    fclose(f);
    return text;
}

static void print_it(void *t, FILE *out)
{
    table_print(t, out);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    static const char *const headings[] = {">N", "NAME", "REST"};
    struct table *t = table_new(headings, 3);
    static const char *const cells[] = {"1", "世界", "a", "1,000", "x", "bb"};
    for (size_t i = 0; i < 6; i++)
        table_add(t, cells[i]);
    char *text = printed(print_it, t);
    assert_string_equal(text, "    N  NAME  REST\n    1  世界  a\n1,000  x     bb\n");
    free(text);
    table_free(t);
}

static void cut_at_five(void *s, FILE *out)
{
    text_print_cut(s, 5, out);
}

static void cut_at_twenty(void *s, FILE *out)
{
    text_print_cut(s, 20, out);
}

static void text_is_cut_at_whole_characters(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"abcdefg", "abcde"}, {"abc", "abc"}, {"世界世", "世界"}, {"a\xff\xfezzzz", "a\xff\xfezz"}, {"", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = printed(cut_at_five, (void *)cases[i].in);
        assert_string_equal(text, cases[i].out);
        free(text);
    }
    assert_int_equal(text_columns("a世\xff"), 4);
    char *text = printed(cut_at_twenty, "waiting: 1,000,000 users");
    assert_string_equal(text, "waiting: 1,000,00...");
    free(text);
    text = printed(cut_at_twenty, "exactly twenty of it");
    assert_string_equal(text, "exactly twenty of it");
    free(text);
}

static void the_bar_fills_with_the_part(void **state)
{
    (void)state;
    struct fp_str s;
    str_init(&s, 0);
    screen_bar(&s, 0.5, 4);
    screen_bar(&s, 0.999, 4);
    screen_bar(&s, 1, 4);
    screen_bar(&s, -1, 4);
    assert_string_equal(s.data, "[##..][###.][####][    ]");
    str_fini(&s);
}

/* --- progress ------------------------------------------------------------------------- */

static void the_total_is_estimated_until_all_is_paged(void **state)
{
    (void)state;
    struct progress p = {0};
    struct progress_view v;
    Foliopost__V1__Job job = FOLIOPOST__V1__JOB__INIT;
    Foliopost__V1__Counts c = FOLIOPOST__V1__COUNTS__INIT;
    progress_add(&p, &job, 1, &v); /* no counts at all */
    assert_int_equal(v.total, 0);
    assert_true(v.part < 0 && v.eta_s < 0);
    job.counts = &c;
    c.intervals = 10;
    c.users = 500;
    progress_add(&p, &job, 2, &v);
    assert_int_equal(v.total, 0); /* nothing paged to its end: nothing to go by */
    c.intervals_paged = 2;
    progress_add(&p, &job, 3, &v);
    assert_int_equal(v.total, 2000);
    assert_false(v.total_is_exact);
    c.intervals_paged = 10;
    c.sent = 250;
    progress_add(&p, &job, 4, &v);
    assert_int_equal(v.total, 500);
    assert_true(v.total_is_exact);
    assert_true(v.part == 0.5);
}

static void the_rate_is_that_of_the_last_polls(void **state)
{
    (void)state;
    struct progress p = {0};
    struct progress_view v;
    Foliopost__V1__Job job = FOLIOPOST__V1__JOB__INIT;
    Foliopost__V1__Counts c = FOLIOPOST__V1__COUNTS__INIT;
    job.counts = &c;
    c.users = 100000;
    c.intervals = c.intervals_paged = 1;
    for (int second = 0; second < 100; second++) { /* 10 a second, then 100 */
        c.sent += second < 50 ? 8 : 80;
        c.skipped += second < 50 ? 2 : 20;
        progress_add(&p, &job, second * FP_US_PER_S, &v);
    }
    assert_true(v.users_per_s > 99.9 && v.users_per_s < 100.1);
    assert_true(v.mails_per_s > 79.9 && v.mails_per_s < 80.1);
    assert_true(v.eta_s > 944 && v.eta_s < 946);
    c.sent = 0; /* reopened */
    progress_add(&p, &job, 100 * FP_US_PER_S, &v);
    assert_true(v.users_per_s == 0 && v.eta_s < 0);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_thousands_separators),
        cmocka_unit_test(times_and_durations_are_short),
        cmocka_unit_test(nearly_all_is_not_all),
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(text_is_cut_at_whole_characters),
        cmocka_unit_test(the_bar_fills_with_the_part),
        cmocka_unit_test(the_total_is_estimated_until_all_is_paged),
        cmocka_unit_test(the_rate_is_that_of_the_last_polls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
