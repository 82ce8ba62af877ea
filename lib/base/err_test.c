/* Errors: codes, messages that use themselves, and cutting. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/err.h"

static void setting_returns_minus_one_and_fills(void **state)
{
    struct fp_err err;

    (void)state;
    assert_int_equal(err_set(&err, FP_NOT_FOUND, "job %d", 12), -1);
    assert_int_equal(err.code, FP_NOT_FOUND);
    assert_string_equal(err.msg, "job 12");
    assert_int_equal(err_set(NULL, FP_NOT_FOUND, "job %d", 12), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
}

static void a_message_may_use_itself(void **state)
{
    struct fp_err err;

    (void)state;
    err_set(&err, FP_INTERNAL, "inner");
    err_set(&err, FP_UNAVAILABLE, "outer of %s", err.msg);
    assert_string_equal(err.msg, "outer of inner");
    assert_int_equal(err_prefix(&err, "batch %d", 3), -1);
    assert_string_equal(err.msg, "batch 3: outer of inner");
    assert_int_equal(err.code, FP_UNAVAILABLE);
}

static void long_messages_are_cut_and_ended(void **state)
{
    struct fp_err err;
    char big[2000];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    err_set(&err, FP_INTERNAL, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    err_prefix(&err, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void code_names_are_those_of_grpc(void **state)
{
    (void)state;
    assert_string_equal(err_code_name(FP_OK), "OK");
    assert_string_equal(err_code_name(FP_INVALID_ARGUMENT), "INVALID_ARGUMENT");
    assert_string_equal(err_code_name(FP_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(err_code_name((enum fp_code)99), "UNKNOWN");
    assert_string_equal(err_code_name((enum fp_code) - 1), "UNKNOWN");
}

static void a_panic_says_where_and_aborts(void **state)
{
    int out[2], status;
    char text[256];

    (void)state;
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(out[1], STDERR_FILENO);
        fp_panic("value %d", 42);
    }
    close(out[1]);
    ssize_t n = read(out[0], text, sizeof text - 1);
    close(out[0]);
    assert_true(n > 0);
    text[n] = '\0';
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "err_test.c:"));
    assert_non_null(strstr(text, "value 42"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_returns_minus_one_and_fills), cmocka_unit_test(a_message_may_use_itself),
        cmocka_unit_test(long_messages_are_cut_and_ended),     cmocka_unit_test(code_names_are_those_of_grpc),
        cmocka_unit_test(a_panic_says_where_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
