/*
 * The server's door: one REP socket, and for each worker thread a context of
 * it, so that as many calls run at once as there are threads. More calls wait
 * in their connections: NNG reads one request from each and no more.
 *
 * A client that asks on and does not read keeps the thread that has an answer
 * for it. It is disconnected after half a second, or some of them would stop the door.
 *
 * Nobody needs a token to be connected, and to announce a request of the largest
 * size: so places are few, and who says nothing loses his to who does (lib/bus/crowd.h).
 *
 * What is not here: closing the socket, which can hang in NNG 1.5.
 */
#include "lib/rpc/rpc.h"

#include <arpa/inet.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/bus/crowd.h"
#include "lib/bus/endpoint.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/identity.h"

#define RECV_MS     250 /* a stop is noticed within */
#define SEND_MS     500 /* to a client that has not read the answers before; ours ask one thing at a time */
#define MAX_THREADS 64
#define PEER_BYTES  64

/* 48 MiB at most, when each has sent all but one byte. A client asks when it is
 * connected, and redials by itself when it was quiet and had to go. */
static const struct crowd_limits limits = {.total = 48, .per_address = 24, .quiet_ms = 2000};

struct worker {
    struct fp_rpc_server *server;
    int no;
    pthread_t thread;
    nng_ctx ctx;
    nng_aio *aio;
    struct fp_arena *request_arena, *reply_arena;
    struct fp_str payload, packed;
};

struct fp_rpc_server {
    struct rpc_server_options o;
    struct rpc_dispatch dispatch;
    nng_socket socket;
    int port;
    struct fp_crowd *crowd; /* lives on: NNG calls it */
    atomic_bool stop;
    struct worker *workers;
};

/* --- one call ---------------------------------------------------------------------- */

/* Runs the method and packs its reply into w->payload. */
static int run_call(struct worker *w, const Foliopost__V1__RpcRequest *envelope, const char *peer,
                    struct fp_err *err)
{
    const struct rpc_dispatch *d = &w->server->dispatch;
    const struct rpc_method *m = rpc_find(d, envelope->method);
    struct rpc_identity who;
    if (rpc_admit(d, m, envelope->token, "", &who, err) != 0)
        return -1;
    if (m == NULL)
        return err_set(err, FP_UNIMPLEMENTED, "this server has no method \"%s\"", envelope->method);
    struct rpc_call call = {.request_id = envelope->request_id,
                            .traceparent = envelope->traceparent,
                            .peer = peer,
                            .subject = "", /* NNG 1.5 does not tell it */
                            .identity = who.name,
                            .deadline_mono_us = rpc_deadline_us(d, envelope->deadline_ms),
                            .worker = w->no,
                            .arena = w->reply_arena};
    return rpc_run(d, m, &call, envelope->payload.data, envelope->payload.len, w->request_arena, &w->payload,
                   err);
}

/* The packed RpcReply to this request is in w->packed. */
static void answer(struct worker *w, const void *data, size_t bytes, const char *peer)
{
    int64_t since_us = clock_mono_us();
    char text[sizeof((struct fp_err *)0)->msg];
    struct fp_err err = {0};
    Foliopost__V1__RpcReply reply = FOLIOPOST__V1__RPC_REPLY__INIT;
    const Foliopost__V1__RpcRequest *envelope =
        wire_unpack(&foliopost__v1__rpc_request__descriptor, data, bytes, w->request_arena, &err);
    reply.schema_version = WIRE_SCHEMA_VERSION;
    if (envelope != NULL)
        reply.request_id = envelope->request_id;
    if (envelope == NULL || run_call(w, envelope, peer, &err) != 0) {
        /* A database's message can have several lines; a reply's strings cannot. */
        text_clean(text, sizeof text, err.msg);
        reply.code = (int)err.code;
        reply.message = text;
    } else {
        err.code = FP_OK; /* whatever a method that succeeded left in it */
        reply.payload.data = (uint8_t *)w->payload.data;
        reply.payload.len = w->payload.len;
    }
    if (wire_pack(&reply.base, WIRE_MAX_RPC_BYTES, &w->packed, &err) != 0)
        fp_panic("an envelope does not fit: %s", err.msg);
    const struct rpc_dispatch *d = &w->server->dispatch;
    rpc_count(d, envelope != NULL ? rpc_find(d, envelope->method) : NULL, err.code, since_us);
}

/* --- the worker -------------------------------------------------------------------- */

static nng_msg *next_request(struct worker *w)
{
    nng_aio_set_timeout(w->aio, RECV_MS);
    nng_ctx_recv(w->ctx, w->aio);
    nng_aio_wait(w->aio);
    int rv = nng_aio_result(w->aio);
    if (rv == 0) {
        nng_msg *m = nng_aio_get_msg(w->aio);
        nng_aio_set_msg(w->aio, NULL);
        return m;
    }
    if (rv != NNG_ETIMEDOUT) /* nothing that is known to happen; not in a tight loop */
        clock_sleep_us(RECV_MS * INT64_C(1000));
    return NULL;
}

/* The address that the request came from, as the gRPC door writes it; "" when it is gone already. */
static void peer_of(nng_msg *m, char out[PEER_BYTES])
{
    nng_sockaddr a;
    char host[INET6_ADDRSTRLEN] = "";
    out[0] = '\0';
    if (nng_pipe_get_addr(nng_msg_get_pipe(m), NNG_OPT_REMADDR, &a) != 0)
        return;
    if (a.s_family == NNG_AF_INET && inet_ntop(AF_INET, &a.s_in.sa_addr, host, sizeof host) != NULL)
        snprintf(out, PEER_BYTES, "%s:%d", host, ntohs(a.s_in.sa_port));
    if (a.s_family == NNG_AF_INET6 && inet_ntop(AF_INET6, a.s_in6.sa_addr, host, sizeof host) != NULL)
        snprintf(out, PEER_BYTES, "[%s]:%d", host, ntohs(a.s_in6.sa_port));
}

static void send_reply(struct worker *w, nng_pipe pipe, const char *peer)
{
    static long long said_us;
    nng_msg *m;
    endpoint_must(nng_msg_alloc(&m, 0), "nng_msg_alloc");
    endpoint_must(nng_msg_append(m, w->packed.data, w->packed.len), "nng_msg_append");
    nng_aio_set_timeout(w->aio, SEND_MS);
    nng_aio_set_msg(w->aio, m);
    nng_ctx_send(w->ctx, w->aio);
    nng_aio_wait(w->aio);
    if (nng_aio_result(w->aio) == 0)
        return;
    nng_aio_set_msg(w->aio, NULL);
    nng_msg_free(m); /* not taken, so still ours */
    nng_pipe_close(pipe);
    metrics_add("foliopost_rpc_slow_readers_total", "", 1);
    if (log_limited(&said_us, 10000))
        log_warn("rpc", "slow reader", "peer=%s reason=it asks and does not read the answers: disconnected",
                 peer);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    char peer[PEER_BYTES];
    while (!atomic_load(&w->server->stop)) {
        nng_msg *m = next_request(w);
        if (m == NULL)
            continue;
        arena_reset(w->request_arena);
        arena_reset(w->reply_arena);
        str_clear(&w->payload);
        str_clear(&w->packed);
        peer_of(m, peer);
        nng_pipe pipe = nng_msg_get_pipe(m);
        crowd_asked(w->server->crowd, pipe);
        answer(w, nng_msg_body(m), nng_msg_len(m), peer);
        nng_msg_free(m);
        send_reply(w, pipe, peer);
        crowd_answered(w->server->crowd, pipe);
    }
    return NULL;
}

static void start_worker(struct fp_rpc_server *s, int no)
{
    struct worker *w = &s->workers[no];
    w->server = s;
    w->no = no;
    endpoint_must(nng_ctx_open(&w->ctx, s->socket), "nng_ctx_open");
    endpoint_must(nng_aio_alloc(&w->aio, NULL, NULL), "nng_aio_alloc");
    w->request_arena = arena_new(WIRE_MAX_ARENA_BYTES);
    w->reply_arena = arena_new(WIRE_MAX_ARENA_BYTES);
    str_init(&w->payload, WIRE_MAX_RPC_BYTES);
    str_init(&w->packed, WIRE_MAX_RPC_BYTES + 1024);
    endpoint_thread(&w->thread, work, w);
}

/* --- life ---------------------------------------------------------------------------- */

struct fp_rpc_server *rpc_server_start(const struct rpc_server_options *o, struct fp_err *err)
{
    if (o->threads < 1 || o->threads > MAX_THREADS || o->max_deadline_ms < 1) {
        err_set(err, FP_INVALID_ARGUMENT, "RPC: %d threads (1..%d), %d ms at most for a call", o->threads,
                MAX_THREADS, o->max_deadline_ms);
        return NULL;
    }
    endpoint_init();
    struct fp_rpc_server *s = mem_alloc(sizeof *s);
    s->o = *o;
    s->dispatch =
        (struct rpc_dispatch){.methods = o->methods,
                              .n_methods = o->n_methods,
                              .token = rpc_token_new(o->token_file != NULL ? o->token_file : "", err),
                              .identities = o->identities,
                              .shared = o->shared,
                              .ctx = o->ctx,
                              .max_deadline_ms = o->max_deadline_ms,
                              .calls_metric = "foliopost_rpc_calls_total",
                              .seconds_metric = "foliopost_rpc_seconds"};
    if (s->dispatch.token == NULL)
        goto fail;
    nng_listener listener = NNG_LISTENER_INITIALIZER;
    endpoint_must(nng_rep0_open(&s->socket), "nng_rep0_open");
    endpoint_must(nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, WIRE_MAX_RPC_BYTES), "receive limit");
    s->crowd = crowd_new(&limits, "rpc", "pipe=\"rpc\"");
    crowd_watch(s->crowd, s->socket);
    if (endpoint_listen(s->socket, o->listen_url, endpoint_tls_of(o->listen_url, o->tls), &listener, &s->port,
                        err) != 0) {
        nng_close(s->socket); /* nobody is connected: safe also in NNG 1.5 */
        goto fail;
    }
    metrics_add("foliopost_rpc_slow_readers_total", "", 0);
    s->workers = mem_array((size_t)o->threads, sizeof *s->workers);
    for (int i = 0; i < o->threads; i++)
        start_worker(s, i);
    log_info("rpc", "listening", "url=%s port=%d threads=%d token=%s", o->listen_url, s->port, o->threads,
             o->token_file != NULL && o->token_file[0] != '\0' ? "yes" : "no");
    return s;
fail:
    rpc_token_free(s->dispatch.token);
    mem_free(s);
    return NULL;
}

int rpc_server_port(const struct fp_rpc_server *s)
{
    return s->port;
}

void rpc_server_stop(struct fp_rpc_server *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stop, true);
    for (int i = 0; i < s->o.threads; i++)
        pthread_join(s->workers[i].thread, NULL);
    for (int i = 0; i < s->o.threads; i++) {
        struct worker *w = &s->workers[i];
        nng_aio_free(w->aio);
        arena_free(w->request_arena);
        arena_free(w->reply_arena);
        str_fini(&w->payload);
        str_fini(&w->packed);
    }
    rpc_token_free(s->dispatch.token);
    mem_free(s->workers);
    mem_free(s);
}
