/*
 * The worker threads of the gRPC door: work goes in from the loop, comes back
 * done, and the loop is woken by its eventfd.
 */
#ifndef FP_GRPC_POOL_H
#define FP_GRPC_POOL_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "lib/rpc/dispatch.h"
#include "lib/rpc/shared.h"

struct grpc_call;
struct grpc_watch;
struct grpc_pool;
TAILQ_HEAD(grpc_calls, grpc_call);

/* One run of a method. The loop's while it is not in the pool. */
struct grpc_work {
    STAILQ_ENTRY(grpc_work) link;
    const struct rpc_method *method;
    struct fp_str request; /* packed */
    char request_id[129], traceparent[64], peer[64];
    char *subject, *identity;
    int64_t deadline_us;
    atomic_bool unwanted; /* nobody waits any more: not begun if it is still queued */
    /* What came of it: err.code FP_OK, or not. */
    struct fp_str reply;
    struct fp_err err;
    int again_ms;
    /* Whose it is; the loop's alone. One call, several that ask the same, or a watch. */
    struct grpc_calls calls;
    struct grpc_watch *watch;
    struct rpc_moment since; /* when it was put */
};
STAILQ_HEAD(grpc_works, grpc_work);

struct grpc_work *grpc_work_new(const struct rpc_method *m, int64_t deadline_us);
void grpc_work_free(struct grpc_work *w);

/* wake_fd: an eventfd that is written when something is done. */
struct grpc_pool *grpc_pool_new(const struct rpc_dispatch *d, int threads, int first_worker, int wake_fd);
/* False when too many wait already: the work is still the caller's. */
bool grpc_pool_put(struct grpc_pool *p, struct grpc_work *w);
/* Moves all that is done to the end of *out. */
void grpc_pool_take(struct grpc_pool *p, struct grpc_works *out);
/* What runs is finished, what waits is dropped; the threads end. NULL is fine. */
void grpc_pool_free(struct grpc_pool *p);

#endif
