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
#include "lib/render/columns.h"

#define NB "\xc2\xa0"

static void columns_are_those_of_a_terminal(void **state)
{
    (void)state;
    assert_int_equal(columns_of_text("abc", 3), 3);
    assert_int_equal(columns_of_text("é", strlen("é")), 1);
    assert_int_equal(columns_of_text("e\xcc\x81", 3), 1);
    assert_int_equal(columns_of_text("トヨタ", strlen("トヨタ")), 6);
    assert_int_equal(columns_of_text("\xff\xfe", 2), 2);
    assert_int_equal(columns_of_text("", 0), 0);
}

static void texts_are_padded_or_cut_at_whole_characters(void **state)
{
    (void)state;
    char out[64];
    columns_left("abc", 5, out, sizeof out);
    assert_string_equal(out, "abc  ");
    columns_left("abcdef", 5, out, sizeof out);
    assert_string_equal(out, "abcd…");
    columns_left("abcde", 5, out, sizeof out);
    assert_string_equal(out, "abcde");
    columns_left("トヨタ自動車", 6, out, sizeof out);
    assert_string_equal(out, "トヨ… ");
    columns_left("トヨタ自動車", 5, out, 12);
    assert_true(strlen(out) < 12);
    columns_left("abc", 60, out, 10); /* no room */
    assert_string_equal(out, "");
    columns_right("12.00", 8, out, sizeof out);
    assert_string_equal(out, "   12.00");
    columns_right("123456789", 8, out, sizeof out);
    assert_string_equal(out, "123456789");
}

static void long_lines_are_broken_at_blanks(void **state)
{
    (void)state;
    struct fp_str out;
    str_init(&out, 0);
    columns_wrap("one two three\nfour\n\n* five six seven\nunbreakable-word x\n", 9, &out);
    assert_string_equal(out.data, "one two\nthree\nfour\n\n* five\n  six\n  seven\nunbreakable-word\nx\n");
    str_clear(&out);
    columns_wrap("  a    b", 8, &out);
    assert_string_equal(out.data, "  a    b");
    str_clear(&out);
    columns_wrap("トヨタ 自動車", 8, &out);
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
        cmocka_unit_test(columns_are_those_of_a_terminal),
        cmocka_unit_test(texts_are_padded_or_cut_at_whole_characters),
        cmocka_unit_test(long_lines_are_broken_at_blanks),
        cmocka_unit_test(digests_are_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
