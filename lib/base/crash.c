/* Written for tests: it is about being right and small, not fast. */
#include "lib/base/crash.h"

#ifdef FP_TEST_HOOKS

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POINTS  512
#define POINT_BYTES 80

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[MAX_POINTS][POINT_BYTES];
static int n_seen;
static long passed;

static void list(const char *file, const char *point)
{
    for (int i = 0; i < n_seen; i++)
        if (strcmp(seen[i], point) == 0)
            return;
    if (n_seen < MAX_POINTS)
        (void)snprintf(seen[n_seen++], POINT_BYTES, "%s", point);
    FILE *f = fopen(file, "ae");
    if (f) {
        (void)fprintf(f, "%s\n", point);
        (void)fclose(f);
    }
}

void crash_point(const char *when, const char *name)
{
    const char *at = getenv("FOLIOPOST_CRASH_AT"), *file = getenv("FOLIOPOST_CRASH_LIST");
    char point[POINT_BYTES];
    if ((!at && !file) || !name) /* the look at the schema has none */
        return;
    (void)snprintf(point, sizeof point, "%s-%s", when, name);
    pthread_mutex_lock(&lock);
    if (file)
        list(file, point);
    size_t len = strlen(point);
    if (at && strncmp(at, point, len) == 0 && (at[len] == '\0' || at[len] == ':')) {
        long nth = at[len] == ':' ? strtol(at + len + 1, NULL, 10) : 1;
        if (++passed == nth)
            (void)raise(SIGKILL);
    }
    pthread_mutex_unlock(&lock);
}

void crash_user(int64_t id)
{
    const char *list = getenv("FOLIOPOST_CRASH_USERS");

    while (list && *list) {
        char *end;

        if (strtoll(list, &end, 10) == id)
            (void)raise(SIGKILL);
        list = *end == ',' ? end + 1 : NULL;
    }
}

#endif
