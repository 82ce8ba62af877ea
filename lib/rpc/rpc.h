/*
 * Calls: the table of methods, over NNG REQ/REP the server's door, and the client of
 * either door. The other door to the same table is gRPC (lib/grpc).
 *
 * A method is a request descriptor, a reply descriptor and a function. A door
 * checks the envelope, token, deadline and request, runs the method in a worker
 * thread and answers with a canonical code. No request, however wrong, gets more
 * than an error reply; what does not speak the door's protocol is dropped.
 */
#ifndef FP_RPC_RPC_H
#define FP_RPC_RPC_H

#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/wire/wire.h"

struct rpc_call {
    const char *method;
    const char *request_id; /* of the envelope, for logs */
    const char *traceparent;
    const char *peer;         /* the client's address where the door knows it, else "" */
    const char *subject;      /* of the client's certificate, verified; else "" */
    const char *identity;     /* who calls: identity.h; "" at an open door */
    int64_t deadline_mono_us; /* CLOCK_MONOTONIC */
    int worker;               /* 0 .. threads - 1: for a connection of each worker */
    void *ctx;                /* rpc_server_options.ctx */
    struct fp_arena *arena;   /* for the reply; lives until it is sent */
    /* Set by a method that streams: ask me again after so long. Each reply that
     * differs from the one before goes out, until a reply comes without it. It is
     * asked once for all who sent the same request, so what it says must depend
     * on the request alone. Over NNG it is asked once: the client calls again. */
    int again_ms;
};

/* Bits; an identity can have several. */
enum rpc_role { RPC_VIEWER = 1, RPC_OPERATOR = 2, RPC_APPROVER = 4, RPC_ADMIN = 8, RPC_ANYBODY = 15 };

struct rpc_method {
    const char *name; /* "SubmitJob" */
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *reply;
    unsigned roles; /* of enum rpc_role: who may call it; 0 is nobody */
    /* Returns the reply, in call->arena, or NULL with *err filled. */
    ProtobufCMessage *(*handle)(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err);
    /* What only reads, and says the same to whoever may call it, can be shared by all who
     * ask the same within so long: shared.h. 0: each call is asked. */
    int share_ms;
};

struct bus_tls;
struct rpc_identities;
struct rpc_shared;

struct rpc_server_options {
    const char *listen_url; /* tcp://host:port, port 0 picks a free one; tls+tcp:// with TLS */
    /* For tls+tcp://, where clients must have a certificate of this CA; read
     * at the start only. tcp:// is plain whether it is given or not. */
    const struct bus_tls *tls;
    const char *token_file;                  /* "": none */
    const struct rpc_identities *identities; /* NULL: none */
    struct rpc_shared *shared;               /* replies, with the other doors; NULL: none are shared */
    int threads;                             /* calls at once: 1 to 64 */
    int max_deadline_ms;
    const struct rpc_method *methods;
    size_t n_methods;
    void *ctx;
};

struct fp_rpc_server;
struct fp_rpc_client;

struct fp_rpc_server *rpc_server_start(const struct rpc_server_options *o, struct fp_err *err) FP_MUST_CHECK;
int rpc_server_port(const struct fp_rpc_server *s);
/* Answers what is being worked on, takes nothing new, ends the threads. The
 * socket itself is left to the end of the process (see lib/bus). */
void rpc_server_stop(struct fp_rpc_server *s);

/* url: tcp://host:port, or tls+tcp:// with a certificate of ours in *tls (NULL:
 * none); several by commas, of one kind. Connects in the background; a call waits for it.
 * grpc://host:port and tls+grpc:// are the gRPC door: one, of whose addresses the first that
 * answers is taken, connected by the first call; of *tls the CA counts (the system's without)
 * and, where it is given, the certificate. */
struct fp_rpc_client *rpc_client_new(const char *url, const char *token, const struct bus_tls *tls,
                                     struct fp_err *err) FP_MUST_CHECK;
void rpc_client_free(struct fp_rpc_client *c);
/* One call: the reply lives in the arena; NULL with the server's code and
 * message, UNAVAILABLE when nobody answers at the address, DEADLINE_EXCEEDED
 * when the answer does not come in time. Every method here is safe to call
 * again (SubmitJob by its request id). */
ProtobufCMessage *rpc_call(struct fp_rpc_client *c, const char *method, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *reply, int deadline_ms, struct fp_arena *arena,
                           struct fp_err *err) FP_MUST_CHECK;

#endif
