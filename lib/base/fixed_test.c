/* Fixed point: rounding half away from zero, and every edge of the range. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/fixed.h"

static void halves_round_away_from_zero(void **state)
{
    static const struct {
        int n, d, want;
    } rows[] = {{0, 3, 0},    {1, 2, 1},      {-1, 2, -1},   {3, 2, 2},    {-3, 2, -2},
                {1, 3, 0},    {-1, 3, 0},     {2, 3, 1},     {-2, 3, -1},  {5, 10, 1},
                {4, 10, 0},   {-5, 10, -1},   {7, 1, 7},     {-7, 1, -7},  {49, 100, 0},
                {50, 100, 1}, {-50, 100, -1}, {149, 100, 1}, {150, 100, 2}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (fixed_div(rows[i].n, rows[i].d) != rows[i].want)
            fail_msg("%d / %d is not %d", rows[i].n, rows[i].d, rows[i].want);
}

static void the_largest_quotients_do_not_overflow(void **state)
{
    const fp_i128 max = (fp_i128)(~(unsigned __int128)0 >> 1), min = -max - 1;

    (void)state;
    assert_true(fixed_div(max, 1) == max);
    assert_true(fixed_div(min, 1) == min);
    assert_true(fixed_div(max, max) == 1);
    assert_true(fixed_div(min, max) == -1);
    assert_true(fixed_div(max - 1, max) == 1);
    assert_true(fixed_div(max / 2, max) == 0); /* one below the half */
}

static void products_fit_or_are_refused(void **state)
{
    int64_t v = 7;

    (void)state;
    assert_true(fixed_muldiv(INT64_MAX, INT64_MAX, INT64_MAX, &v) && v == INT64_MAX);
    assert_true(fixed_muldiv(INT64_MIN, INT64_MAX, INT64_MAX, &v) && v == INT64_MIN);
    assert_true(fixed_muldiv(INT64_MIN, 1, 1, &v) && v == INT64_MIN);
    assert_false(fixed_muldiv(INT64_MIN, -1, 1, &v));
    assert_false(fixed_muldiv(INT64_MAX, 2, 1, &v));
    assert_false(fixed_muldiv(1, 1, 0, &v));
    assert_false(fixed_muldiv(1, 1, -1, &v));
    assert_true(fixed_muldiv(INT64_MIN, INT64_MIN, INT64_MAX, &v) == false);
    assert_true(fixed_muldiv(-15, 1, 10, &v) && v == -2);
    assert_true(fixed_muldiv(12 * FP_E8, 34 * FP_E8, FP_E8, &v) && v == 408 * FP_E8);
}

static void decimals_are_parsed(void **state)
{
    static const struct {
        const char *text;
        int decimals;
        int64_t want;
    } rows[] = {{"0", 2, 0},
                {"1", 2, 100},
                {"-1", 2, -100},
                {"+1.5", 2, 150},
                {"1.005", 2, 101},
                {"1.0049", 2, 100},
                {"-1.005", 2, -101},
                {"0.5", 0, 1},
                {"-0.5", 0, -1},
                {"0.49", 0, 0},
                {"-0.001", 2, 0},
                {"00012.30", 2, 1230},
                {"0.00000001", 8, 1},
                {"0.000000005", 8, 1},
                {"9223372036854775807", 0, INT64_MAX},
                {"-9223372036854775808", 0, INT64_MIN},
                {"92233720368547758.07", 2, INT64_MAX},
                {"-92233720368547758.08", 2, INT64_MIN},
                {"9223372036854775807.4", 0, INT64_MAX}};
    int64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!fixed_parse(rows[i].text, rows[i].decimals, &v) || v != rows[i].want)
            fail_msg("%s with %d decimals", rows[i].text, rows[i].decimals);
}

static void other_text_is_no_number(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      ".",
                                      ".5",
                                      "5.",
                                      "1e5",
                                      "1,5",
                                      " 1",
                                      "1 ",
                                      "--1",
                                      "0x1",
                                      "nan",
                                      "NaN",
                                      "Infinity",
                                      "1.2.3",
                                      "1.-2",
                                      "92233720368547758.08",
                                      "92233720368547758.075",
                                      "99999999999999999999"};
    int64_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (fixed_parse(bad[i], 2, &v))
            fail_msg("taken: %s", bad[i]);
    assert_false(fixed_parse("1", 19, &v));
    assert_int_equal(v, 7);
}

static void formatting_and_parsing_are_inverse(void **state)
{
    static const int64_t values[] = {0, 1, -1, 9, -10, 99, 100, -101, 12345, INT64_MAX, INT64_MIN};
    char text[32];
    int64_t back;

    (void)state;
    for (int decimals = 0; decimals <= 18; decimals++)
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            fixed_format(values[i], decimals, text);
            if (!fixed_parse(text, decimals, &back) || back != values[i])
                fail_msg("%s", text);
        }
    assert_string_equal(fixed_format(12345, 2, text), "123.45");
    assert_string_equal(fixed_format(-5, 2, text), "-0.05");
    assert_string_equal(fixed_format(INT64_MIN, 18, text), "-9.223372036854775808");
}

static void currencies_have_their_exponents(void **state)
{
    static const char *const unknown[] = {"",    "E",   "EU",  "EURO", "eur", "XXX",
                                          "XTS", "XAU", "ED ", "D A",  "   ", "AAA"};

    (void)state;
    assert_int_equal(currency_exponent("EUR"), 2);
    assert_int_equal(currency_exponent("USD"), 2);
    assert_int_equal(currency_exponent("JPY"), 0);
    assert_int_equal(currency_exponent("KRW"), 0);
    assert_int_equal(currency_exponent("KWD"), 3);
    assert_int_equal(currency_exponent("TND"), 3);
    assert_int_equal(currency_exponent("CLF"), 4);
    assert_int_equal(currency_exponent("AED"), 2);
    assert_int_equal(currency_exponent("ZWL"), 2);
    assert_int_equal(currency_exponent("YER"), 2);
    assert_int_equal(currency_exponent("ZWG"), 2);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (currency_exponent(unknown[i]) != -1)
            fail_msg("known: %s", unknown[i]);
}

static void every_pair_agrees_with_long_division(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 100000; i++) {
        int64_t a = random() - (1 << 30), b = random() - (1 << 30), d = random() % 1000000 + 1, v;
        int64_t p = a * b, q = p / d, r = p % d;
        if (llabs(r) * 2 >= d)
            q += p < 0 ? -1 : 1;
        assert_true(fixed_muldiv(a, b, d, &v));
        if (v != q)
            fail_msg("%lld * %lld / %lld", (long long)a, (long long)b, (long long)d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_round_away_from_zero),
        cmocka_unit_test(the_largest_quotients_do_not_overflow),
        cmocka_unit_test(products_fit_or_are_refused),
        cmocka_unit_test(decimals_are_parsed),
        cmocka_unit_test(other_text_is_no_number),
        cmocka_unit_test(formatting_and_parsing_are_inverse),
        cmocka_unit_test(currencies_have_their_exponents),
        cmocka_unit_test(every_pair_agrees_with_long_division),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
