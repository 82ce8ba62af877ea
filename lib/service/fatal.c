/*
 * The handler calls nothing that allocates or locks: backtrace() loads its
 * library at the first call, so that one is made at the start.
 */
#define _GNU_SOURCE /* REG_RSP, dladdr */
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

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define FRAMES 64
static void report(int number, siginfo_t *info, void *context);

/* A jump into nowhere: the unwinder would read code that is not there, but the
 * caller left his address on top of the stack. Returns how many frames; 0: the
 * signal came from code. */
static int frames_of_nowhere(const ucontext_t *at, void **frames)
{
#if defined(__x86_64__)
    /* NOLINTBEGIN(performance-no-int-to-ptr): registers hold addresses as numbers */
    Dl_info where;

    if (dladdr((void *)at->uc_mcontext.gregs[REG_RIP], &where))
        return 0;
    frames[0] = (void *)(uintptr_t)report;
    frames[1] = *(void **)at->uc_mcontext.gregs[REG_RSP];
    /* NOLINTEND(performance-no-int-to-ptr) */
    return 2;
#else
    (void)at, (void)frames;
    return 0;
#endif
}

static void report(int number, siginfo_t *info, void *context)
{
    char line[] = "fatal signal 00\n";
    void *frames[FRAMES];
    (void)info;
    line[sizeof line - 4] = (char)('0' + number / 10);
    line[sizeof line - 3] = (char)('0' + number % 10);
    if (write(STDERR_FILENO, line, sizeof line - 1) > 0) {
        int n = frames_of_nowhere(context, frames);

        backtrace_symbols_fd(frames, n ? n : backtrace(frames, FRAMES), STDERR_FILENO);
    }
    raise(number); /* SA_RESETHAND: now it ends the process */
}

void fatal_report_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    struct sigaction action;
    void *frame;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = report;
    action.sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_SIGINFO);
    sigemptyset(&action.sa_mask);
    (void)backtrace(&frame, 1);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
}

#endif
