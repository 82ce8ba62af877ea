/*
 * Replies that callers share: a method whose row has share_ms is read once for
 * all who ask the same within that time.
 *
 * A reply is as old as the moment before its method began, so nobody gets one
 * older than share_ms. Whatever this process changes through any door makes all
 * of them void before its caller is answered: who writes and then reads here
 * sees what he wrote. What another scheduler wrote may be missed for share_ms.
 */
#ifndef FP_RPC_SHARED_H
#define FP_RPC_SHARED_H

#include <stdatomic.h>

#include "lib/rpc/rpc.h"

struct rpc_shared;

/* Where a read stands: taken before it begins, given with its reply. */
struct rpc_moment {
    uint64_t version;
    int64_t at_us;
};

struct rpc_shared *rpc_shared_new(void);
void rpc_shared_free(struct rpc_shared *s); /* NULL is fine */

/* May this request's reply be shared at all? s NULL: none is. Any thread, as all below. */
bool rpc_shared_can(const struct rpc_shared *s, const struct rpc_method *m, size_t request_bytes);
/* Two requests with the same slot need not be equal. Below RPC_SHARED_SLOTS. */
#define RPC_SHARED_SLOTS 256
unsigned rpc_shared_slot(const struct rpc_method *m, const void *request, size_t bytes);
struct rpc_moment rpc_shared_now(const struct rpc_shared *s);
/* Appends a reply that is young enough; false when there is none. */
bool rpc_shared_get(struct rpc_shared *s, const struct rpc_method *m, const void *request, size_t bytes,
                    struct fp_str *out);
/* Keeps a reply for others, unless something was changed since its moment. */
void rpc_shared_put(struct rpc_shared *s, const struct rpc_method *m, const void *request, size_t bytes,
                    struct rpc_moment since, const void *reply, size_t reply_bytes);
/* Something was changed: before who changed it is answered. NULL is fine. */
void rpc_shared_void(struct rpc_shared *s);

#endif
