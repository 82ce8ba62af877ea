/*
 * Replies out of bytes: whole, in pieces, too long, several lines, and what is none.
 */
#include "services/mailer/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* In pieces of so many bytes; how the last one ended. Stops at the first reply. */
static enum smtp_read take(struct smtp_reader *r, const char *text, size_t step, size_t *taken)
{
    enum smtp_read read = SMTP_READ_MORE;
    size_t n = strlen(text), used;
    for (*taken = 0; *taken < n && read == SMTP_READ_MORE; *taken += used)
        read = smtp_reader_take(r, text + *taken, n - *taken < step ? n - *taken : step, &used);
    return read;
}

static void replies_of_one_line_and_of_several(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *refusal, *last;
    } rows[] = {
        {"250 2.0.0 Ok: queued as X\r\n", 250, "", "250 2.0.0 Ok: queued as X"},
        {"250\r\n", 250, "", "250"},
        {"250 bare line feed\n", 250, "", "250 bare line feed"},
        {"250-one\r\n250-two\r\n250 three\r\n", 250, "", "250 three"},
        {"550-5.1.1 gone\r\n550 5.1.1 for good\r\n", 550, "550-5.1.1 gone", "550 5.1.1 for good"},
        {"250-so far\r\n251 elsewhere\r\n", 251, "", "251 elsewhere"},
        {"354 go on\r\n", 354, "", "354 go on"},
        {"999 what\r\n", 999, "999 what", "999 what"},
        {"000 what\r\n", 0, "000 what", "000 what"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t step = 1; step <= strlen(rows[i].text); step++) {
            struct smtp_reader r = {0};
            size_t taken;
            assert_int_equal(take(&r, rows[i].text, step, &taken), SMTP_READ_WHOLE);
            assert_int_equal(taken, strlen(rows[i].text));
            assert_int_equal(r.reply.code, rows[i].code);
            assert_string_equal(r.reply.refusal, rows[i].refusal);
            assert_string_equal(r.reply.last, rows[i].last);
        }
}

static void one_reply_at_a_time_is_taken(void **state)
{
    static const char text[] = "250 one\r\n550 two\r\n250 three\r\n";
    static const char *const lasts[] = {"250 one", "550 two", "250 three"};
    struct smtp_reader r = {0};
    size_t at = 0, used;
    (void)state;
    for (int i = 0; i < 3; i++, at += used) {
        assert_int_equal(smtp_reader_take(&r, text + at, sizeof text - 1 - at, &used), SMTP_READ_WHOLE);
        assert_string_equal(r.reply.last, lasts[i]);
        assert_string_equal(r.reply.refusal, i == 1 ? "550 two" : "");
    }
    assert_int_equal(at, sizeof text - 1);
}

static void what_is_no_reply_is_said_to_be_none(void **state)
{
    static const char *const texts[] = {"\r\n", "\n", "25\r\n", "2500 x\r\n", "SSH-2.0-OpenSSH\r\n",
                                        " 250 x\r\n", "-50 x\r\n", "250x\r\n", "250-x\r\nno line\r\n",
                                        /* what contradicts itself */
                                        "250-so far\r\n451 4.3.0 no\r\n", "451-4.3.0 no\r\n250 so far\r\n",
                                        "450-later\r\n550 never\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t step = 1; step <= strlen(texts[i]); step++) {
            struct smtp_reader r = {0};
            size_t taken;
            assert_int_equal(take(&r, texts[i], step, &taken), SMTP_READ_GARBAGE);
        }
}

static void half_a_reply_is_none_yet(void **state)
{
    static const char *const texts[] = {
        "", "2", "250", "250 2.0.0 Ok", "250 2.0.0 Ok\r", "250-more\r\n", "250-more\r\n250 O"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct smtp_reader r = {0};
        size_t taken;
        assert_int_equal(take(&r, texts[i], 3, &taken), SMTP_READ_MORE);
        assert_int_equal(taken, strlen(texts[i]));
    }
}

static void a_line_without_end_is_cut(void **state)
{
    struct smtp_reader r = {0};
    char part[1000];
    size_t used;
    (void)state;
    memset(part, 'x', sizeof part);
    memcpy(part, "250 ", 4);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(smtp_reader_take(&r, part, sizeof part, &used), SMTP_READ_MORE);
        assert_int_equal(used, sizeof part);
    }
    assert_int_equal(smtp_reader_take(&r, "\r\n", 2, &used), SMTP_READ_WHOLE);
    assert_int_equal(r.reply.code, 250);
    assert_int_equal(strlen(r.reply.last), SMTP_LINE_BYTES - 1);
}

static void a_reply_of_too_many_lines_is_none(void **state)
{
    (void)state;
    for (int lines = SMTP_MAX_LINES; lines <= SMTP_MAX_LINES + 1; lines++) {
        struct smtp_reader r = {0};
        enum smtp_read read = SMTP_READ_MORE;
        size_t used;
        for (int i = 0; i < lines - 1 && read == SMTP_READ_MORE; i++)
            read = smtp_reader_take(&r, "250-more\r\n", 10, &used);
        assert_int_equal(read, SMTP_READ_MORE);
        read = smtp_reader_take(&r, "250 last\r\n", 10, &used);
        assert_int_equal(read, lines <= SMTP_MAX_LINES ? SMTP_READ_WHOLE : SMTP_READ_GARBAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_of_one_line_and_of_several),
        cmocka_unit_test(one_reply_at_a_time_is_taken),
        cmocka_unit_test(what_is_no_reply_is_said_to_be_none),
        cmocka_unit_test(half_a_reply_is_none_yet),
        cmocka_unit_test(a_line_without_end_is_cut),
        cmocka_unit_test(a_reply_of_too_many_lines_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
