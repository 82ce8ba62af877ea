/* A child that dies says where; its end is the signal's. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/service/fatal.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SILENT 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SILENT 1
#endif

#ifdef SILENT

static void a_fatal_signal_leaves_its_frames(void **state)
{
    (void)state;
    skip(); /* the sanitizer's own handlers stand */
}

#else

#define NOWHERE 0

static void (*volatile nowhere)(void) = (void (*)(void))8; /* no code is there */

/* What the child wrote to standard error; *status as waitpid() has it. */
static void die_of(int number, char *said, size_t size, int *status)
{
    int ends[2];
    size_t got = 0;
    ssize_t n;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        fatal_report_signals();
        if (number == NOWHERE)
            nowhere();
        raise(number);
        _exit(0);
    }
    close(ends[1]);
    while (got + 1 < size && (n = read(ends[0], said + got, size - 1 - got)) > 0)
        got += (size_t)n;
    said[got] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
}

static void a_fatal_signal_leaves_its_frames(void **state)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char said[16384];
    (void)state;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        int status, number = 0;
        die_of(fatal[i], said, sizeof said, &status);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), fatal[i]);
        assert_true(strncmp(said, "fatal signal ", 13) == 0);
        number = (int)strtol(said + 13, NULL, 10);
        assert_int_equal(number, fatal[i]);
        assert_non_null(strstr(said, "fatal_test"));
        assert_non_null(strstr(said, "libc.so"));
    }
}

#if defined(__x86_64__)
static void a_jump_into_nowhere_names_its_caller(void **state)
{
    static char said[16384];
    int status, frames = 0;
    (void)state;
    die_of(NOWHERE, said, sizeof said, &status);
    assert_true(WIFSIGNALED(status));
    for (const char *at = said; (at = strstr(at, "fatal_test")); at++)
        frames++;
    assert_true(frames >= 2); /* the handler, and who jumped */
}
#endif

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fatal_signal_leaves_its_frames),
#if defined(__x86_64__) && !defined(SILENT)
        cmocka_unit_test(a_jump_into_nowhere_names_its_caller),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
