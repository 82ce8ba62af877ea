/*
 * The handler calls nothing that allocates or locks: backtrace() loads its
 * library at the first call, so that one is made at the start.
 */
#include "lib/service/fatal.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FP_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FP_SANITIZED 1
#endif

#ifdef FP_SANITIZED

void fatal_report_signals(void)
{
}

#else

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 64

static void report(int number)
{
    char line[] = "fatal signal 00\n";
    void *frames[FRAMES];
    line[sizeof line - 4] = (char)('0' + number / 10);
    line[sizeof line - 3] = (char)('0' + number % 10);
    if (write(STDERR_FILENO, line, sizeof line - 1) > 0)
        backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
    raise(number); /* SA_RESETHAND: now it ends the process */
}

void fatal_report_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action;
    void *frame;
    memset(&action, 0, sizeof action);
    action.sa_handler = report;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
    sigemptyset(&action.sa_mask);
    (void)backtrace(&frame, 1);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
}

#endif
