/* Headers and bodies against the RFCs' limits, and values that try to break out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/render/mime.h"

static struct fp_str out;

/* Both steps, and that the first can be taken back. */
static void add_quoted_printable(struct fp_str *to, const char *text, size_t bytes)
{
    struct fp_str quoted;
    str_init(&quoted, 0);
    mime_quote(&quoted, text, bytes);
    mime_add_quoted(to, quoted.data, quoted.len);
    mime_unquote(&quoted);
    if (!memchr(text, '\r', bytes)) /* of CRLF only the "\n" is kept */
        assert_true(quoted.len == bytes && memcmp(quoted.data, text, bytes) == 0);
    str_fini(&quoted);
}

static int setup(void **state)
{
    (void)state;
    str_init(&out, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    str_fini(&out);
    return 0;
}

static const char *subject(const char *value)
{
    str_clear(&out);
    mime_add_text_header(&out, "Subject", value);
    return out.data;
}

static const char *to(const char *name)
{
    str_clear(&out);
    mime_add_address_header(&out, "To", name, "a@b.example");
    return out.data;
}

static const char *quoted(const char *text)
{
    str_clear(&out);
    add_quoted_printable(&out, text, strlen(text));
    return out.data;
}

/* One header: every line but the first begins with a blank, none is longer
 * than the limit, all is printable ASCII. */
static void check_header(size_t max_columns)
{
    const char *line = out.data;
    while (*line) {
        const char *end = strstr(line, "\r\n");
        assert_non_null(end);
        assert_in_range(end - line, 1, max_columns);
        for (const char *p = line; p < end; p++)
            assert_in_range(*p, ' ', '~');
        line = end + 2;
        assert_true(*line == 0 || *line == ' ');
    }
}

static void plain_subjects_stay_plain(void **state)
{
    (void)state;
    assert_string_equal(subject("Your statement"), "Subject: Your statement\r\n");
    assert_string_equal(subject("  a \n b\t\tc  "), "Subject: a b c\r\n");
    assert_string_equal(subject(""), "Subject: \r\n");
}

static void other_scripts_become_encoded_words(void **state)
{
    (void)state;
    assert_string_equal(subject("Grüße"), "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n");
    assert_string_equal(subject("a =?x"), "Subject: =?UTF-8?B?YSA9P3g=?=\r\n");
}

static void headers_are_folded(void **state)
{
    (void)state;
    subject(
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen");
    assert_non_null(strstr(out.data, "\r\n "));
    check_header(78);
    char text[400] = "";
    while (strlen(text) < 380)
        strcat(text, "佐藤陽翔");
    subject(text);
    check_header(76);
    memset(text, 'x', 390);
    text[390] = 0;
    subject(text);
    check_header(76);
    to(text);
    check_header(78);
}

/* Each encoded word holds whole characters: none begins within one. */
static void encoded_words_hold_whole_characters(void **state)
{
    (void)state;
    char text[300] = "x";
    while (strlen(text) < 290)
        strcat(text, "é");
    subject(text);
    for (const char *p = out.data; (p = strstr(p, "?B?")); p += 3) {
        const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        long first = (strchr(alphabet, p[3]) - alphabet) << 2 | (strchr(alphabet, p[4]) - alphabet) >> 4;
        assert_int_not_equal(first & 0xc0, 0x80);
    }
}

static void no_value_makes_a_header_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(subject("x\r\nBcc: y@z.example"), "Subject: x Bcc: y@z.example\r\n");
    assert_string_equal(subject("x\n\n<html>"), "Subject: x <html>\r\n");
    assert_string_equal(to("x\r\nBcc: y"), "To: \"x Bcc: y\" <a@b.example>\r\n");
    to("\xff\xfe\x01\x80\r\n\r\nbody");
    check_header(78);
}

static void display_names_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    assert_string_equal(to(""), "To: a@b.example\r\n");
    assert_string_equal(to("Anna Schmidt"), "To: Anna Schmidt <a@b.example>\r\n");
    assert_string_equal(to("Schmidt, Anna"), "To: \"Schmidt, Anna\" <a@b.example>\r\n");
    assert_string_equal(to("a \"b\" \\"), "To: \"a \\\"b\\\" \\\\\" <a@b.example>\r\n");
    assert_string_equal(to("<x@y>"), "To: \"<x@y>\" <a@b.example>\r\n");
    assert_string_equal(to("Ana\xc3\xad"), "To: =?UTF-8?B?QW5hw60=?= <a@b.example>\r\n");
}

static void bodies_are_seven_bit_lines_of_76(void **state)
{
    (void)state;
    assert_string_equal(quoted("a=b\n"), "a=3Db\r\n");
    assert_string_equal(quoted("é\r\n"), "=C3=A9\r\n");
    assert_string_equal(quoted("x \ny\t\nz  \n"), "x=20\r\ny=09\r\nz =20\r\n");
    assert_string_equal(quoted("a\rb"), "a=0Db\r\n");
    assert_string_equal(quoted("end "), "end=20\r\n");
    assert_string_equal(quoted(""), "");
    assert_string_equal(quoted("\n\n"), "\r\n\r\n");
}

static void long_lines_get_soft_breaks(void **state)
{
    (void)state;
    char text[301];
    for (int kind = 0; kind < 3; kind++) {
        for (int n = 70; n < 300; n++) {
            for (int i = 0; i < n; i++)
                text[i] = kind == 0 ? 'x' : kind == 1 ? '=' : i % 3 ? ' ' : '\xc3';
            text[n] = 0;
            quoted(text);
            for (const char *line = out.data; *line;) {
                const char *end = strstr(line, "\r\n");
                assert_in_range(end - line, 1, 76);
                line = end + 2;
            }
        }
    }
    memset(text, 'x', 75);
    strcpy(text + 75, "yz\n");
    char expected[100];
    snprintf(expected, sizeof expected, "%.75s=\r\nyz\r\n", text);
    assert_string_equal(quoted(text), expected);
}

/* Runs are found eight bytes at a time: each byte at each place of a run. */
static void each_byte_is_right_at_each_place(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 20; at++) {
            char text[] = "aaaaaaaaaaaaaaaaaaaaz", expected[64];
            bool literal = (c >= ' ' && c <= '~' && c != '=') || c == '\t';
            if (c == '\n' || c == '\r')
                continue;
            text[at] = (char)c;
            snprintf(expected, sizeof expected, literal ? "%.*s%c%s\r\n" : "%.*s=%02X%s\r\n", (int)at,
                     "aaaaaaaaaaaaaaaaaaaa", c, text + at + 1);
            str_clear(&out);
            add_quoted_printable(&out, text, sizeof text - 1);
            assert_string_equal(out.data, expected);
        }
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(plain_subjects_stay_plain),
        TEST(other_scripts_become_encoded_words),
        TEST(headers_are_folded),
        TEST(encoded_words_hold_whole_characters),
        TEST(no_value_makes_a_header_of_its_own),
        TEST(display_names_are_quoted_where_they_must_be),
        TEST(bodies_are_seven_bit_lines_of_76),
        TEST(long_lines_get_soft_breaks),
        TEST(each_byte_is_right_at_each_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
