/* Figures, dates and columns, at their edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/render/digest.h"
#include "lib/render/format.h"

#define NB "\xc2\xa0"

static void money_is_grouped_and_has_the_currencys_decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        int exponent;
        const char *currency;
        enum format_sign sign;
        const char *expected;
    } rows[] = {
        {0, 2, "EUR", FORMAT_SIGNED, "EUR" NB "0.00"},
        {5, 2, "EUR", FORMAT_MINUS, "EUR" NB "0.05"},
        {-5, 2, "EUR", FORMAT_MINUS, "-EUR" NB "0.05"},
        {99999, 2, "EUR", FORMAT_SIGNED, "+EUR" NB "999.99"},
        {100000, 2, "", FORMAT_SIGNED, "+1,000.00"},
        {-123456789, 2, "USD", FORMAT_UNSIGNED, "USD" NB "1,234,567.89"},
        {1234, 0, "JPY", FORMAT_MINUS, "JPY" NB "1,234"},
        {1234, 3, "KWD", FORMAT_MINUS, "KWD" NB "1.234"},
        {1234, 4, "CLF", FORMAT_MINUS, "CLF" NB "0.1234"},
        {INT64_MIN, 2, "EUR", FORMAT_SIGNED, "-EUR" NB "92,233,720,368,547,758.08"},
        {INT64_MAX, 0, "EUR", FORMAT_SIGNED, "+EUR" NB "9,223,372,036,854,775,807"},
        {7, -3, "TOOLONG", FORMAT_MINUS, "TOO" NB "7"},
        {7, 99, "", FORMAT_MINUS, "0.000000000000000007"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[FORMAT_BYTES];
        format_money(rows[i].minor, rows[i].exponent, rows[i].currency, rows[i].sign, out);
        assert_string_equal(out, rows[i].expected);
    }
}

static void percents_have_a_sign_and_two_decimals(void **state)
{
    (void)state;
    static const struct {
        int64_t e8;
        const char *expected;
    } rows[] = {
        {1234567, "+1.23%"},
        {-1234567, "-1.23%"},
        {0, "0.00%"},
        {4999, "0.00%"},
        {-4999, "0.00%"},
        {5000, "+0.01%"},
        {-5000, "-0.01%"},
        {100000000, "+100.00%"},
        {123456789012, "+123,456.79%"},
        {INT64_MIN, "-9,223,372,036,854.78%"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[FORMAT_BYTES];
        format_percent(rows[i].e8, FORMAT_SIGNED, out);
        assert_string_equal(out, rows[i].expected);
    }
}

static void expect_period(int y1, int m1, int d1, int y2, int m2, int d2, const char *expected)
{
    char out[FORMAT_BYTES];
    format_period(day_from_civil(y1, m1, d1), day_from_civil(y2, m2, d2), out);
    assert_string_equal(out, expected);
}

static void a_period_says_no_more_than_it_must(void **state)
{
    (void)state;
    expect_period(2026, 10, 1, 2026, 10, 31, "October 2026");
    expect_period(2024, 2, 1, 2024, 2, 29, "February 2024");
    expect_period(2026, 2, 1, 2026, 2, 27, "1–27 February 2026");
    expect_period(2026, 10, 5, 2026, 10, 11, "5–11 October 2026");
    expect_period(2026, 9, 28, 2026, 10, 4, "28 September – 4 October 2026");
    expect_period(2025, 12, 29, 2026, 1, 4, "29 December 2025 – 4 January 2026");
    expect_period(2026, 1, 1, 2026, 3, 31, "1 January – 31 March 2026");
    expect_period(2026, 5, 5, 2026, 5, 5, "5 May 2026");
}

static void dates_from_a_hostile_peer_stay_in_bounds(void **state)
{
    (void)state;
    static const int32_t days[] = {INT32_MIN, INT32_MAX, -1, 0};
    char out[FORMAT_BYTES];
    for (size_t i = 0; i < 4; i++) {
        format_date(days[i], out);
        assert_true(strlen(out) < FORMAT_BYTES);
        for (size_t k = 0; k < 4; k++) {
            format_period(days[i], days[k], out);
            assert_true(strlen(out) < FORMAT_BYTES);
        }
    }
}

static void columns_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(format_columns("abc", 3), 3);
    assert_int_equal(format_columns("é", strlen("é")), 1);
    assert_int_equal(format_columns("e\xcc\x81", 3), 1);
    assert_int_equal(format_columns("トヨタ", strlen("トヨタ")), 6);
    assert_int_equal(format_columns("\xff\xfe", 2), 2);
    assert_int_equal(format_columns("", 0), 0);
}

static void texts_are_padded_or_cut_at_whole_characters(void **state)
{
    (void)state;
    char out[64];
    format_left("abc", 5, out, sizeof out);
    assert_string_equal(out, "abc  ");
    format_left("abcdef", 5, out, sizeof out);
    assert_string_equal(out, "abcd…");
    format_left("abcde", 5, out, sizeof out);
    assert_string_equal(out, "abcde");
    format_left("トヨタ自動車", 6, out, sizeof out);
    assert_string_equal(out, "トヨ… ");
    format_left("トヨタ自動車", 5, out, 12);
    assert_true(strlen(out) < 12);
    format_left("abc", 60, out, 10); /* no room */
    assert_string_equal(out, "");
    format_right("12.00", 8, out, sizeof out);
    assert_string_equal(out, "   12.00");
    format_right("123456789", 8, out, sizeof out);
    assert_string_equal(out, "123456789");
}

static void long_lines_are_broken_at_blanks(void **state)
{
    (void)state;
    struct fp_str out;
    str_init(&out, 0);
    format_wrap("one two three\nfour\n\n* five six seven\nunbreakable-word x\n", 9, &out);
    assert_string_equal(out.data, "one two\nthree\nfour\n\n* five\n  six\n  seven\nunbreakable-word\nx\n");
    str_clear(&out);
    format_wrap("  a    b", 8, &out);
    assert_string_equal(out.data, "  a    b");
    str_clear(&out);
    format_wrap("トヨタ 自動車", 8, &out);
    assert_string_equal(out.data, "トヨタ\n自動車");
    str_fini(&out);
}

/* FIPS 180-4's examples, and a length that needs a second block for itself. */
static void digests_are_sha256(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct digest d;
        char hex[65];
        digest_init(&d);
        digest_add(&d, rows[i][0], strlen(rows[i][0]));
        digest_hex(&d, hex);
        assert_string_equal(hex, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(money_is_grouped_and_has_the_currencys_decimals),
        cmocka_unit_test(percents_have_a_sign_and_two_decimals),
        cmocka_unit_test(a_period_says_no_more_than_it_must),
        cmocka_unit_test(dates_from_a_hostile_peer_stay_in_bounds),
        cmocka_unit_test(columns_are_those_of_a_terminal),
        cmocka_unit_test(texts_are_padded_or_cut_at_whole_characters),
        cmocka_unit_test(long_lines_are_broken_at_blanks),
        cmocka_unit_test(digests_are_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
