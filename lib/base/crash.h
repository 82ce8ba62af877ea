/*
 * Crash points: lines at which a test can have the process killed, as kill -9
 * would. Only in builds with FP_TEST_HOOKS; elsewhere a point is nothing.
 *
 *   FOLIOPOST_CRASH_AT=POINT[:N]   SIGKILL at the Nth time (default 1) that POINT is passed
 *   FOLIOPOST_CRASH_LIST=FILE      appends each point's name the first time it is passed
 *
 *   FOLIOPOST_CRASH_USERS=ID,...   SIGKILL whenever stats or the mailer comes to one of these users
 *
 * A point is before-NAME or after-NAME: of each statement of the ledger by its
 * name, and of send, which hands a mail over and has the provider's reply.
 */
#ifndef FP_BASE_CRASH_H
#define FP_BASE_CRASH_H

#ifdef FP_TEST_HOOKS
#include <stdint.h>

/* when: "before" or "after". Any thread. */
void crash_point(const char *when, const char *name);
/* What a user does whose data make a worker die. Any thread. */
void crash_user(int64_t id);
#else
#define crash_point(when, name) ((void)0)
#define crash_user(id)          ((void)0)
#endif

#endif
