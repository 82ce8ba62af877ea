/*
 * JobService: one table of handlers for every door.
 *
 * Any scheduler answers every call, leader or standby: all state is in the
 * ledger. Each worker thread of a door has connections of its own, chosen by
 * call->worker; call->ctx is the struct methods.
 */
#ifndef FP_SCHEDULER_METHODS_H
#define FP_SCHEDULER_METHODS_H

#include "lib/pg/pg.h"
#include "lib/rpc/rpc.h"
#include "services/scheduler/settings.h"

struct identities;
struct methods;

struct methods_options {
    const struct scheduler_settings *set;
    struct pg_options ledger, source;
    int workers;
    struct identities *identities; /* NULL: none are kept, and none can be added */
    void *ctx;
    void (*wake)(void *ctx); /* a job's state changed: the leader need not wait for its tick */
};

extern const struct rpc_method methods_table[];
extern const size_t methods_n;

/* Connects nothing: a worker does at its first call. */
struct methods *methods_new(const struct methods_options *o, struct fp_err *err) FP_MUST_CHECK;
void methods_free(struct methods *m); /* no call is running any more; NULL is fine */

#endif
