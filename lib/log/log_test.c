/* Log lines: one write each, cleaned, escaped, limited. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"

static char got[1 << 20];
static int saved_stderr, file;

/* From here on stderr is a file of ours. */
static void capture(void)
{
    char path[] = "/tmp/log_test.XXXXXX";

    file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    fcntl(file, F_SETFL, O_APPEND);
    saved_stderr = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
}

static const char *captured(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    ssize_t n = pread(file, got, sizeof got - 1, 0);
    close(file);
    got[n > 0 ? n : 0] = '\0';
    return got;
}

static int count(const char *text, char c)
{
    int n = 0;

    for (; *text; text++)
        n += *text == c;
    return n;
}

static void a_text_line_has_its_parts_in_order(void **state)
{
    (void)state;
    log_init("mailer", false, LOG_INFO_LEVEL);
    capture();
    log_info("job=12 batch=340", "claimed", "epoch=%d users=%d", 1, 100);
    const char *line = captured();
    assert_int_equal(line[4], '-');
    assert_string_equal(strchr(line, 'Z'), "Z info mailer job=12 batch=340 claimed epoch=1 users=100\n");
}

static void empty_parts_leave_no_blanks(void **state)
{
    (void)state;
    log_init("mailer", false, LOG_INFO_LEVEL);
    capture();
    log_warn("", "drained", "%s", "");
    log_error(NULL, "x", "y");
    const char *line = strchr(captured(), 'Z');
    assert_memory_equal(line, "Z warn mailer drained\n", 22);
    assert_string_equal(strchr(line + 1, 'Z'), "Z error mailer x y\n");
}

static void levels_below_the_least_are_silent(void **state)
{
    (void)state;
    log_init("mailer", false, LOG_WARN_LEVEL);
    capture();
    log_debug("", "a", "b");
    log_info("", "a", "b");
    assert_string_equal(captured(), "");
}

static void hostile_values_stay_in_one_line(void **state)
{
    const char *evil = "x\n2026-01-01T00:00:00Z error forged\r\x1b[2J\x7f\xff\xc2\x9b";

    (void)state;
    log_init("mailer", false, LOG_INFO_LEVEL);
    capture();
    log_info(evil, evil, "%s", evil);
    const char *text = captured();
    assert_int_equal(count(text, '\n'), 1);
    assert_int_equal(count(text, '\x1b') + count(text, '\r') + count(text, '\x7f') + count(text, '\xff'), 0);
    assert_null(strstr(text, "\xc2\x9b"));
    log_init("mailer", true, LOG_INFO_LEVEL);
    capture();
    log_info(evil, evil, "%s", evil);
    text = captured();
    assert_int_equal(count(text, '\n'), 1);
    assert_int_equal(count(text, '\x1b') + count(text, '\r') + count(text, '\x7f') + count(text, '\xff'), 0);
}

static void a_json_line_is_an_object(void **state)
{
    (void)state;
    log_init("mailer", true, LOG_INFO_LEVEL);
    capture();
    log_info("job=12", "said \"hi\"", "a=%d", 1);
    const char *line = captured();
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(strstr(line, ",\"level\""),
                        ",\"level\":\"info\",\"service\":\"mailer\",\"id\":\"job=12\","
                        "\"event\":\"said \\\"hi\\\"\",\"detail\":\"a=1\"}\n");
    capture();
    log_info("", "bare", "%s", "");
    assert_string_equal(strstr(captured(), ",\"service\""), ",\"service\":\"mailer\",\"event\":\"bare\"}\n");
}

static void huge_values_are_cut_not_lost(void **state)
{
    char *big = malloc(100000);

    (void)state;
    memset(big, '\x01', 99999); /* the worst case: each becomes six bytes of JSON */
    big[99999] = '\0';
    for (int json = 0; json < 2; json++) {
        log_init("mailer", json, LOG_INFO_LEVEL);
        capture();
        log_info(big, "event", "%s", big);
        const char *text = captured();
        size_t n = strlen(text);
        assert_true(n > 500 && n <= 32768);
        assert_int_equal(text[n - 1], '\n');
        assert_int_equal(count(text, '\n'), 1);
    }
    free(big);
}

static void errno_is_kept(void **state)
{
    (void)state;
    log_init("mailer", true, LOG_INFO_LEVEL);
    int keep = dup(STDERR_FILENO);
    close(STDERR_FILENO); /* write fails, and nobody minds */
    errno = ENOENT;
    log_info("", "into the void", "%d", 1);
    int after = errno;
    dup2(keep, STDERR_FILENO);
    close(keep);
    assert_int_equal(after, ENOENT);
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < 200; i++)
        log_info("", "line", "thread=%d %050d end", *(int *)arg, i);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t t[4];
    int ids[4] = {0, 1, 2, 3}, lines = 0;

    (void)state;
    log_init("mailer", false, LOG_INFO_LEVEL);
    capture();
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, write_lines, &ids[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    char *rest = NULL, *text = (char *)(uintptr_t)captured();
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++) {
        assert_int_equal(line[0], '2');
        assert_string_equal(line + strlen(line) - 4, " end");
    }
    assert_int_equal(lines, 800);
}

static void a_repeated_fault_is_limited(void **state)
{
    long long last = 0;
    int n = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        n += log_limited(&last, 60000);
    assert_int_equal(n, 1);
    clock_sleep_us(3000);
    assert_true(log_limited(&last, 1));
}

static const char *logged(const char *id)
{
    capture();
    log_info(id, "claimed", "n=%d", 1);
    return captured();
}

static void a_line_with_an_id_carries_its_trace(void **state)
{
    (void)state;
    log_init("mailer", false, LOG_INFO_LEVEL);
    log_trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_non_null(strstr(logged("job=1"), " job=1 claimed n=1 trace=0af7651916cd43dd8448eb211c80319c\n"));
    assert_null(strstr(logged(""), "trace"));
    log_init("mailer", true, LOG_INFO_LEVEL);
    assert_non_null(strstr(logged("job=1"), "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    log_trace("of another form");
    assert_null(strstr(logged("job=1"), "trace"));
    log_trace(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_its_parts_in_order),
        cmocka_unit_test(empty_parts_leave_no_blanks),
        cmocka_unit_test(levels_below_the_least_are_silent),
        cmocka_unit_test(hostile_values_stay_in_one_line),
        cmocka_unit_test(a_json_line_is_an_object),
        cmocka_unit_test(huge_values_are_cut_not_lost),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(lines_of_threads_do_not_mix),
        cmocka_unit_test(a_repeated_fault_is_limited),
        cmocka_unit_test(a_line_with_an_id_carries_its_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
