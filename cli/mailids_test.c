/* Message-IDs in files of any form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/mailids.h"
#include "lib/base/mem.h"

static struct fp_err err;

static int read_text(const char *text, struct mailids *m)
{
    char path[] = "/tmp/mailids_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = mailids_read(path, m, &err);
    unlink(path);
    return rc;
}

#define HASH "0123456789abcdef"

static void they_are_found_wherever_they_stand_each_once(void **state)
{
    struct mailids m;
    (void)state;
    assert_int_equal(read_text("1732738000000000\t<12.4711." HASH "@example.com>\tann@example.com\n"
                               "Nov 27 18:00:01 mx postfix/cleanup[9]: A1B2: message-id=<7.1." HASH
                               "@h.example>\r\n"
                               "<12.4711." HASH "@example.com> <12.5." HASH "@example.com>\n"
                               "12.6\n"
                               "not ours: <20261127.1234@example.com> 1.5 <12.7.0123@example.com> 12.8 sent\n"
                               "x12.9." HASH "@example.com 3.12.9." HASH "@example.com 0.9." HASH
                               "@a.example\n"
                               "<12.10." HASH "0@a> <99999999999999999999.1." HASH "@a>\n",
                               &m),
                     0);
    assert_int_equal(m.lines, 7);
    assert_int_equal(m.n, 4);
    static const struct mailid expected[] = {{7, 1}, {12, 5}, {12, 6}, {12, 4711}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(m.ids[i].job, expected[i].job);
        assert_int_equal(m.ids[i].user, expected[i].user);
    }
    mem_free(m.ids);
}

static void a_lost_jobs_mails_can_be_anothers(void **state)
{
    struct mailids m;
    (void)state;
    assert_int_equal(read_text("7.1\n12.5\n8.1\n8.2\n", &m), 0);
    assert_int_equal(mailids_rename(&m, "8=7,12=9", &err), 0);
    assert_int_equal(m.n, 3); /* 7.1 twice */
    assert_int_equal(m.ids[1].job * 10 + m.ids[1].user, 72);
    assert_int_equal(m.ids[2].job, 9);
    assert_int_equal(mailids_rename(&m, "", &err), 0);
    assert_int_equal(mailids_rename(&m, "8", &err), -1);
    assert_int_equal(mailids_rename(&m, "8=7;9=1", &err), -1);
    assert_non_null(strstr(err.msg, "OLD=NEW"));
    mem_free(m.ids);
}

static void what_cannot_be_read_is_said(void **state)
{
    struct mailids m;
    char *line = calloc(1, MAILIDS_LINE_BYTES + 2);
    (void)state;
    assert_int_equal(mailids_read("/no/such/file", &m, &err), -1);
    assert_non_null(strstr(err.msg, "/no/such/file"));
    assert_int_equal(mailids_read("/tmp", &m, &err), -1);
    memset(line, 'x', MAILIDS_LINE_BYTES + 1);
    assert_int_equal(read_text(line, &m), -1);
    assert_non_null(strstr(err.msg, "line 1 is longer"));
    assert_int_equal(read_text("", &m), 0);
    assert_int_equal(m.n, 0);
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_found_wherever_they_stand_each_once),
        cmocka_unit_test(a_lost_jobs_mails_can_be_anothers),
        cmocka_unit_test(what_cannot_be_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
