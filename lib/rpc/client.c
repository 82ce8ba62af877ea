/*
 * The client of both doors: what a call needs before it goes out, and the lock.
 * How it goes out: client_bus.c, client_grpc.c.
 */
#include "lib/rpc/client.h"

#include <pthread.h>
#include <string.h>

struct fp_rpc_client {
    pthread_mutex_t lock; /* one call at a time */
    const struct client_door *door;
    void *at;
};

static bool begins(const char *url, const char *scheme)
{
    return strncmp(url, scheme, strlen(scheme)) == 0;
}

static const struct client_door *door_of(const char *url)
{
    return begins(url, CLIENT_GRPC) || begins(url, CLIENT_TLS_GRPC) ? &client_grpc : &client_bus;
}

struct fp_rpc_client *rpc_client_new(const char *url, const char *token, const struct bus_tls *tls,
                                     struct fp_err *err)
{
    const struct client_door *door = door_of(url);
    void *at = door->open(url, token != NULL ? token : "", tls, err);
    if (at == NULL)
        return NULL;
    struct fp_rpc_client *c = mem_alloc(sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    c->door = door;
    c->at = at;
    return c;
}

void rpc_client_free(struct fp_rpc_client *c)
{
    if (c == NULL)
        return;
    c->door->close(c->at);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

ProtobufCMessage *client_unpack(const struct client_call *call, const void *data, size_t bytes,
                                struct fp_err *err)
{
    ProtobufCMessage *m = wire_unpack(call->reply, data, bytes, call->arena, err);
    if (m == NULL) {
        err->code = FP_INTERNAL;
        err_prefix(err, "%s: the answer is not valid", call->method);
    }
    return m;
}

ProtobufCMessage *rpc_call(struct fp_rpc_client *c, const char *method, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *reply, int deadline_ms, struct fp_arena *arena,
                           struct fp_err *err)
{
    struct fp_str payload;
    struct fp_err own;
    char trace[56];
    const struct client_call call = {method, &payload, trace, deadline_ms, reply, arena};
    ProtobufCMessage *m = NULL;
    if (err == NULL)
        err = &own;
    wire_new_traceparent(trace);
    str_init(&payload, WIRE_MAX_RPC_BYTES);
    if (wire_check(request, err) == 0 && wire_pack(request, WIRE_MAX_RPC_BYTES - 8192, &payload, err) == 0) {
        pthread_mutex_lock(&c->lock);
        m = c->door->call(c->at, &call, err);
        pthread_mutex_unlock(&c->lock);
    }
    str_fini(&payload);
    return m;
}
