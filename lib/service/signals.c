/*
 * Signals: a thread that waits for them, and no handlers.
 *
 * SIGTERM and SIGINT are blocked in every thread and taken by sigwait() in
 * this one, so that no call of ours is interrupted, nothing has to be
 * async-signal-safe, and a second signal works even when the main thread hangs
 * in a callback. A blocked signal is also delivered to PID 1, to which the
 * kernel sends no signal that has the default action.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lib/log/log.h"
#include "lib/service/service_internal.h"

#define EXIT_IMPATIENT 130 /* as a shell reports a process ended by SIGINT */

static void signals_of_end(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void signals_block(void)
{
    sigset_t set;

    signals_of_end(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error of write() */
}

static void *signals_run(void *arg)
{
    struct fp_service *s = arg;
    sigset_t set;
    int got;

    signals_of_end(&set);
    for (int count = 0;;) {
        if (sigwait(&set, &got) != 0)
            continue;
        if (++count > 1) {
            log_warn("", "ending at once", "signal=%s", strsignal(got));
            _exit(EXIT_IMPATIENT);
        }
        log_info("", "told to end", "signal=%s", strsignal(got));
        service_ask_leave(s);
    }
    return NULL;
}

void signals_start(struct fp_service *s)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, signals_run, s);

    if (rc != 0)
        fp_panic("no thread for signals: %s", strerror(rc));
    pthread_setname_np(thread, "signals");
    pthread_detach(thread);
}
