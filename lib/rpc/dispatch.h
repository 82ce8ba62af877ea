/*
 * What every door does with a call: which method, run it, check and pack its
 * reply, count it. Who may call is in identity.h. A door owns connections, threads and framing.
 */
#ifndef FP_RPC_DISPATCH_H
#define FP_RPC_DISPATCH_H

#include "lib/rpc/rpc.h"
#include "lib/rpc/token.h"

#define RPC_MAX_PAYLOAD_BYTES (WIRE_MAX_RPC_BYTES - 8192) /* the envelope needs the rest */

struct rpc_dispatch {
    const struct rpc_method *methods;
    size_t n_methods;
    struct rpc_token *token;
    const struct rpc_identities *identities; /* NULL: none; identity.h */
    struct rpc_shared *shared;               /* NULL: none are; shared.h */
    void *ctx;
    int max_deadline_ms;
    const char *calls_metric, *seconds_metric; /* of the door; literals */
};

/* NULL when the table has none of that name. */
const struct rpc_method *rpc_find(const struct rpc_dispatch *d, const char *name);
/* When a call that came with this much time left (0: not said) must be done. */
int64_t rpc_deadline_us(const struct rpc_dispatch *d, int64_t wanted_ms);
/* Unpacks the request into the arena, runs the method and appends its packed
 * reply to *out. call: all but method, ctx and arena's contents filled. */
int rpc_run(const struct rpc_dispatch *d, const struct rpc_method *m, struct rpc_call *call,
            const void *payload, size_t bytes, struct fp_arena *request_arena, struct fp_str *out,
            struct fp_err *err) FP_MUST_CHECK;
/* m NULL: a method that is not in the table, counted as "other". */
void rpc_count(const struct rpc_dispatch *d, const struct rpc_method *m, enum fp_code code, int64_t since_us);

#endif
