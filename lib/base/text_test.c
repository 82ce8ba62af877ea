/* Foreign text: UTF-8, addresses, numbers, UUIDs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/text.h"

static void utf8_is_strict(void **state)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xfe",
                                      "\xf0\x90\x80",
                                      "\xc3("};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    assert_true(text_is_utf8("a\0b", 3)); /* NUL is UTF-8; cleanness is another matter */
}

/* Every code point once, encoded by the rules of RFC 3629, comes back. */
static void every_code_point_decodes(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c <= 0x110010; c++) {
        char b[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n - 1; i > 0; i--)
            b[i] = (char)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
        b[0] = (char)((0xf00 >> n & 0xff) | c >> 6 * (n - 1));
        uint32_t got = 0;
        bool valid = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        size_t used = text_utf8_char(b, n, &got);
        if (used != (valid ? n : 0) || (valid && got != c))
            fail_msg("U+%X: %zu bytes, U+%X", (unsigned)c, used, (unsigned)got);
        if (text_utf8_char(b, n - 1, &got) != 0)
            fail_msg("U+%X: taken though cut", (unsigned)c);
    }
}

static void clean_text_has_no_control_characters(void **state)
{
    (void)state;
    assert_true(text_is_clean("Zo\xc3\xab O'Neil"));
    assert_true(text_is_clean(""));
    assert_false(text_is_clean("a\nb"));
    assert_false(text_is_clean("a\rb"));
    assert_false(text_is_clean("\x7f"));
    assert_false(text_is_clean("\xc2\x85")); /* NEL, a C1 character */
    assert_false(text_is_clean("\xff"));
    assert_true(text_is_clean("\xc2\xa0"));
}

static void cleaning_changes_only_what_it_must(void **state)
{
    char out[8];

    (void)state;
    assert_true(text_clean(out, sizeof out, "1234567"));
    assert_string_equal(out, "1234567");
    assert_false(text_clean(out, sizeof out, "12345678"));
    assert_string_equal(out, "1234567");
    assert_false(text_clean(out, sizeof out, "a\r\nb"));
    assert_string_equal(out, "a  b");
    assert_false(text_clean(out, sizeof out,
                            "a\xff"
                            "b"));
    assert_string_equal(out, "a\xef\xbf\xbd"
                             "b");
    assert_false(text_clean(out, sizeof out, "12345\xe6\x9d\x8e")); /* a whole character or none */
    assert_string_equal(out, "12345");
    assert_false(text_clean(out, 1, "x"));
    assert_string_equal(out, "");
    out[0] = 'k';
    assert_false(text_clean(out, 0, "x"));
    assert_int_equal(out[0], 'k');
    assert_true(text_clean(out, 1, ""));
}

static void good_addresses_pass(void **state)
{
    static const char *const good[] = {"a@b.co",
                                       "first.last+tag@example.com",
                                       "o'neil@example.co.uk",
                                       "x_y-z@a-b.c1.org",
                                       "!#$%&'*+-/=?^_`{|}~@x.de",
                                       "A@1.com",
                                       "u@xn--mnchen-3ya.de"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!text_is_address(good[i]))
            fail_msg("refused: %s", good[i]);
}

static void bad_addresses_do_not(void **state)
{
    static const char *const bad[] = {"",
                                      "@",
                                      "a",
                                      "a@",
                                      "@b.co",
                                      "a@b",
                                      "a@@b.co",
                                      "a@b@c.co",
                                      "a b@c.co",
                                      " a@b.co",
                                      "a@b.co ",
                                      "a@b.co\n",
                                      "a\r\nRCPT TO:<x@y.z>@b.co",
                                      "a@b.co\r\nDATA",
                                      "\"a\"@b.co",
                                      "<a@b.co>",
                                      "a,b@c.co",
                                      "a;b@c.co",
                                      "a:b@c.co",
                                      "a(b)@c.co",
                                      "a[b@c.co",
                                      "a\\b@c.co",
                                      ".a@b.co",
                                      "a.@b.co",
                                      "a..b@c.co",
                                      "a@.b.co",
                                      "a@b..co",
                                      "a@b.co.",
                                      "a@-b.co",
                                      "a@b-.co",
                                      "a@b_c.co",
                                      "a@[127.0.0.1]",
                                      "a@127.0.0.1",
                                      "a@b.123",
                                      "\xc3\xa9@b.co",
                                      "a@\xc3\xa9.co",
                                      "a\x7f@b.co",
                                      "a@b.co\x01",
                                      "a\t@b.co",
                                      "a@b c.co"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (text_is_address(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void addresses_have_lengths(void **state)
{
    char s[400];

    (void)state;
    snprintf(s, sizeof s, "%064d@b.co", 1);
    assert_true(text_is_address(s));
    snprintf(s, sizeof s, "%065d@b.co", 1);
    assert_false(text_is_address(s));
    snprintf(s, sizeof s, "a@%063d.co", 1);
    assert_true(text_is_address(s));
    snprintf(s, sizeof s, "a@%064d.co", 1);
    assert_false(text_is_address(s));
    snprintf(s, sizeof s, "a@%062d.%062d.%062d.%060d.co", 1, 1, 1, 1); /* 2 + 63 * 3 + 61 + 2 = 254 */
    assert_int_equal(strlen(s), 254);
    assert_true(text_is_address(s));
    snprintf(s, sizeof s, "a@%062d.%062d.%062d.%061d.co", 1, 1, 1, 1);
    assert_false(text_is_address(s));
}

static void whole_numbers_are_strict(void **state)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x1",
                                      "1.0",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999"};
    int64_t v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(text_parse_i64(bad[i], &v));
    assert_int_equal(v, 7);
    assert_true(text_parse_i64("9223372036854775807", &v) && v == INT64_MAX);
    assert_true(text_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
    assert_true(text_parse_i64("+5", &v) && v == 5);
}

static void decimal_numbers_are_strict(void **state)
{
    static const char *const bad[] = {"",   ".",   ".5",  "5.", "nan", "inf",   "-inf",   "0x1p3",
                                      "1e", "1e+", "1,5", " 1", "1 ",  "1e999", "-1e999", "infinity"};
    double v = 7;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (text_parse_double(bad[i], &v))
            fail_msg("taken: %s", bad[i]);
    assert_true(v == 7);
    assert_true(text_parse_double("-1.5e2", &v) && v == -150);
    assert_true(text_parse_double("0.25", &v) && v == 0.25);
    assert_true(text_parse_double("1e-999", &v) && v == 0);
}

static void uuids_are_random_and_well_formed(void **state)
{
    char a[37], b[37];

    (void)state;
    text_uuid((const unsigned char *)"\x00\x01\x7f\x80\xff\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xf0", a);
    assert_string_equal(a, "00017f80-ff05-0607-0809-0a0b0c0d0ef0");
    text_new_uuid(a);
    text_new_uuid(b);
    assert_true(text_is_uuid(a) && text_is_uuid(b));
    assert_string_not_equal(a, b);
    assert_int_equal(a[14], '4');
    assert_non_null(strchr("89ab", a[19]));
    assert_false(text_is_uuid(""));
    assert_false(text_is_uuid("00000000-0000-0000-0000-00000000000"));
    assert_false(text_is_uuid("00000000-0000-0000-0000-0000000000000"));
    assert_false(text_is_uuid("00000000x0000-0000-0000-000000000000"));
    assert_false(text_is_uuid("g0000000-0000-0000-0000-000000000000"));
}

static void secrets_compare(void **state)
{
    (void)state;
    assert_true(text_equal_secret("token", "token"));
    assert_true(text_equal_secret("", ""));
    assert_false(text_equal_secret("token", "tokem"));
    assert_false(text_equal_secret("token", "toke"));
    assert_false(text_equal_secret("toke", "token"));
    assert_false(text_equal_secret("", "x"));
    assert_false(text_equal_secret("x", ""));
    assert_false(text_equal_secret("abab", "ab")); /* a repetition of the other */
    assert_false(text_equal_secret("ab", "abab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(every_code_point_decodes),
        cmocka_unit_test(clean_text_has_no_control_characters),
        cmocka_unit_test(cleaning_changes_only_what_it_must),
        cmocka_unit_test(good_addresses_pass),
        cmocka_unit_test(bad_addresses_do_not),
        cmocka_unit_test(addresses_have_lengths),
        cmocka_unit_test(whole_numbers_are_strict),
        cmocka_unit_test(decimal_numbers_are_strict),
        cmocka_unit_test(uuids_are_random_and_well_formed),
        cmocka_unit_test(secrets_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
