/* The growing buffer: growth, its maximum, JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"

static void an_empty_buffer_is_a_text(void **state)
{
    struct fp_str s, zero = {0};

    (void)state;
    str_init(&s, 0);
    assert_string_equal(s.data, "");
    str_clear(&s);
    str_fini(&s);
    str_fini(&s); /* twice is fine */
    char *taken = str_take(&s);
    assert_string_equal(taken, "");
    mem_free(taken);
    str_puts(&zero, "works"); /* a buffer of zeroes is an empty one */
    assert_string_equal(zero.data, "works");
    str_fini(&zero);
}

static void it_grows_and_is_ended_by_nul(void **state)
{
    struct fp_str s;

    (void)state;
    str_init(&s, 0);
    for (int i = 0; i < 10000; i++) {
        str_putc(&s, (char)('a' + i % 26));
        assert_int_equal(s.data[s.len], '\0');
    }
    assert_int_equal(s.len, 10000);
    str_clear(&s);
    assert_string_equal(s.data, "");
    char big[1000];
    memset(big, 'y', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    str_printf(&s, "<%s>", big);
    assert_int_equal(s.len, 1001);
    assert_int_equal(s.data[1000], '>');
    str_fini(&s);
}

static void past_its_maximum_it_only_remembers(void **state)
{
    struct fp_str s;

    (void)state;
    str_init(&s, 10);
    str_puts(&s, "0123456789");
    assert_false(s.overflow);
    str_putc(&s, 'x');
    assert_true(s.overflow);
    assert_string_equal(s.data, "0123456789");
    str_clear(&s);
    assert_false(s.overflow);
    str_puts(&s, "12345678");
    str_puts(&s, "abc"); /* does not fit: */
    str_puts(&s, "d");   /* this would, but leaves no hole */
    assert_string_equal(s.data, "12345678");
    assert_null(str_room(&s, SIZE_MAX));
    str_clear(&s);
    str_printf(&s, "%0300d", 1);
    assert_true(s.overflow);
    str_fini(&s);
}

static void room_is_filled_by_the_caller(void **state)
{
    struct fp_str s;

    (void)state;
    str_init(&s, 100);
    char *p = str_room(&s, 100);
    assert_non_null(p);
    memset(p, 'z', 100);
    str_grew(&s, 100);
    assert_int_equal(s.len, 100);
    assert_int_equal(s.data[100], '\0');
    char *taken = str_take(&s);
    assert_int_equal(strlen(taken), 100);
    assert_int_equal(s.len, 0);
    str_puts(&s, "again");
    assert_string_equal(s.data, "again");
    mem_free(taken);
    str_fini(&s);
}

static void json_of(const char *in, const char *want)
{
    struct fp_str s;

    str_init(&s, 0);
    str_json(&s, in);
    assert_string_equal(s.data, want);
    str_fini(&s);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    json_of("", "\"\"");
    json_of("a\"b\\c", "\"a\\\"b\\\\c\"");
    json_of("\r\n\t\x01\x7f", "\"\\u000d\\n\\t\\u0001\\u007f\"");
    json_of("\xc2\x9b", "\"\\u009b\""); /* CSI, which a terminal obeys */
    json_of("Zo\xc3\xab \xe6\x9d\x8e \xf0\x9f\x98\x80", "\"Zo\xc3\xab \xe6\x9d\x8e \xf0\x9f\x98\x80\"");
    json_of("\xff\xc3", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    json_of("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* a surrogate */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_a_text),          cmocka_unit_test(it_grows_and_is_ended_by_nul),
        cmocka_unit_test(past_its_maximum_it_only_remembers), cmocka_unit_test(room_is_filled_by_the_caller),
        cmocka_unit_test(json_strings_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
