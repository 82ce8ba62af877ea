/*
 * For tests of steps that meet. One of them runs inside a transaction that the
 * test keeps open, so that the other takes its snapshot before, waits for the
 * row, and goes on after the commit: the case in which READ COMMITTED checks
 * the row's new version and reads everything else as it was.
 */
#ifndef FP_LEDGER_TESTING_RACE_H
#define FP_LEDGER_TESTING_RACE_H

#include "lib/ledger/testing.h"

#include <pthread.h>

static struct fp_ledger *first; /* its steps are in an open transaction */

static T_UNUSED void begin(void)
{
    t_sql_on(first, "BEGIN");
}

static T_UNUSED void commit(void)
{
    t_sql_on(first, "COMMIT");
}

/* A step on a connection and thread of its own. */
struct other {
    pthread_t thread;
    void (*step)(struct fp_ledger *l, struct other *o);
    const char *owner;
    int64_t job, batch;
    int32_t epoch;
    const struct ledger_page *page;
    struct ledger_claim claim;
    int64_t result;
    int rc;
    struct fp_err err;
};

static void *run(void *arg)
{
    struct other *o = arg;
    struct pg_options options = {.dsn = t_dsn};
    struct fp_ledger *l = ledger_open(&options, &o->err);
    if (l == NULL) {
        o->rc = -1;
        return NULL;
    }
    o->step(l, o);
    ledger_close(l);
    return NULL;
}

/* Until `waiting` backends of this database wait for a lock. */
static void wait_for_waiters(int waiting)
{
    for (int i = 0; i < 1000; i++) {
        if (t_sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                  " AND wait_event_type = 'Lock'") >= waiting)
            return;
        clock_sleep_us(5000);
    }
    fail_msg("nobody waits");
}

static T_UNUSED void start(struct other *o, int waiting)
{
    assert_int_equal(pthread_create(&o->thread, NULL, run, o), 0);
    wait_for_waiters(waiting);
}

static T_UNUSED void join(struct other *o)
{
    pthread_join(o->thread, NULL);
    if (o->rc < 0)
        fail_msg("%s", o->err.msg);
}

static T_UNUSED int setup(void **state)
{
    if (t_clean(state) != 0)
        return -1;
    first = t_open();
    return 0;
}

static T_UNUSED int teardown(void **state)
{
    (void)state;
    ledger_close(first);
    return 0;
}

#define RACE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
