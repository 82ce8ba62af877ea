/* What rpc_client_new() chooses from: a client for each door, by the scheme of the address. For lib/rpc only.
 */
#ifndef FP_RPC_CLIENT_H
#define FP_RPC_CLIENT_H

#include "lib/bus/bus.h"
#include "lib/rpc/rpc.h"

#define CLIENT_GRPC     "grpc://"
#define CLIENT_TLS_GRPC "tls+grpc://" /* every other scheme is the bus's */

/* One call on its way, checked and packed. */
struct client_call {
    const char *method;
    const struct fp_str *payload; /* the request */
    const char *traceparent;
    int deadline_ms;
    const ProtobufCMessageDescriptor *reply;
    struct fp_arena *arena;
};

struct client_door {
    void *(*open)(const char *url, const char *token, const struct bus_tls *tls, struct fp_err *err);
    /* Never two at once. */
    ProtobufCMessage *(*call)(void *door, const struct client_call *call, struct fp_err *err);
    void (*close)(void *door);
};

extern const struct client_door client_bus, client_grpc;

/* A reply's bytes as a message. What is wrong with it is the server's fault: INTERNAL. */
ProtobufCMessage *client_unpack(const struct client_call *call, const void *data, size_t bytes,
                                struct fp_err *err);

#endif
