/*
 * A peer of the gRPC door: raw bytes, frames, whole calls, time that passes. The
 * connection is the door's own code on a socket pair, without its loop. When
 * the peer has gone nothing of its calls is held any more.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "foliopost/v1/job_service.pb-c.h"
#include "lib/grpc/internal.h"
#include "tests/fuzz/fuzz.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define SERVICE "foliopost.v1.JobService"
#define WAIT_MS 10000 /* for a method of the table; none takes a millisecond */

enum op { OP_RAW, OP_FRAME, OP_CALL, OP_LATER, OP_READ, N_OPS };

static struct fp_grpc_server server;
static struct grpc_conn *conn;
static int peer; /* the client's end */
static uint32_t stream;

/* --- the table ----------------------------------------------------------------------- */

static ProtobufCMessage *get_job(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    int64_t id = ((const Foliopost__V1__GetJobRequest *)m)->job_id;
    Foliopost__V1__Job *job = arena_alloc(call->arena, sizeof *job);

    if (id % 3 == 0) {
        err_set(err, FP_NOT_FOUND, "no job %lld", (long long)id);
        return NULL;
    }
    foliopost__v1__job__init(job);
    job->id = id;
    return &job->base;
}

static ProtobufCMessage *watch_job(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    ProtobufCMessage *job = get_job(call, m, err);

    call->again_ms = ((const Foliopost__V1__GetJobRequest *)m)->job_id % 2 ? 1000 : 0;
    return job;
}

static const struct rpc_method methods[] = {
    {.name = "GetJob",
     .request = &foliopost__v1__get_job_request__descriptor,
     .reply = &foliopost__v1__job__descriptor,
     .roles = RPC_ANYBODY,
     .handle = get_job},
    {.name = "WatchJob",
     .request = &foliopost__v1__get_job_request__descriptor,
     .reply = &foliopost__v1__job__descriptor,
     .roles = RPC_ANYBODY,
     .handle = watch_job},
};

/* --- the server, without a loop --------------------------------------------------------- */

static void start(void)
{
    struct fp_err err;

    server.o = (struct grpc_options){.service = SERVICE,
                                     .max_streams = 16,
                                     .idle_ms = 60000,
                                     .keepalive_ms = 60000,
                                     .max_age_ms = 600000,
                                     .max_connections = 1};
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    TAILQ_INIT(&server.conns);
    TAILQ_INIT(&server.graves);
    TAILQ_INIT(&server.watches);
    TAILQ_INIT(&server.health);
    server.dispatch = (struct rpc_dispatch){.methods = methods,
                                            .n_methods = sizeof methods / sizeof methods[0],
                                            .token = rpc_token_new("", &err),
                                            .max_deadline_ms = 5000,
                                            .calls_metric = "foliopost_grpc_calls_total",
                                            .seconds_metric = "foliopost_grpc_seconds"};
    server.pool = grpc_pool_new(&server.dispatch, 1, 0, server.wake);
}

static bool works(void)
{
    struct grpc_call *c;
    struct grpc_watch *w;

    if (conn)
        TAILQ_FOREACH (c, &conn->calls, link)
            if (c->work)
                return true;
    TAILQ_FOREACH (w, &server.watches, link)
        if (w->work)
            return true;
    return false;
}

/* As the loop does it, but waits for all. */
static void take_done(void)
{
    struct grpc_works done = STAILQ_HEAD_INITIALIZER(done);
    struct pollfd p = {.fd = server.wake, .events = POLLIN};
    struct grpc_work *w;
    uint64_t ignored;

    while (works()) {
        if (poll(&p, 1, WAIT_MS) != 1)
            BROKEN();
        (void)!read(server.wake, &ignored, sizeof ignored);
        grpc_pool_take(server.pool, &done);
        while ((w = STAILQ_FIRST(&done)) != NULL) {
            STAILQ_REMOVE_HEAD(&done, link);
            if (w->watch)
                grpc_watch_done(&server, w);
            else
                grpc_calls_done(&server, w);
            grpc_work_free(w);
        }
    }
}

static void turn(uint32_t events)
{
    grpc_conn_event(conn, events);
    take_done();
    grpc_conn_flush(conn);
}

/* --- the peer ------------------------------------------------------------------------------ */

static void put(const void *data, size_t n)
{
    if (n > 0)
        (void)!send(peer, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void put_frame(uint8_t type, uint8_t flags, uint32_t id, const void *data, size_t n)
{
    const uint8_t head[] = {(uint8_t)(n >> 16),  (uint8_t)(n >> 8),   (uint8_t)n,         type,       flags,
                            (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};

    put(head, sizeof head);
    put(data, n);
}

static const void *some(struct bytes *b, size_t *n)
{
    *n = byte_of(b);
    const void *from = b->at;
    if (*n > (size_t)(b->end - b->at))
        *n = (size_t)(b->end - b->at);
    b->at += *n;
    return from;
}

/* Literal, not indexed, not Huffman-coded. */
static void add_header(struct fp_str *block, const char *name, const void *value, size_t n)
{
    if (n > 126)
        n = 126; /* of one byte of length */
    str_putc(block, 0);
    str_putc(block, (char)strlen(name));
    str_puts(block, name);
    str_putc(block, (char)n);
    str_add(block, value, n);
}

static void add_text(struct fp_str *block, const char *name, const char *value)
{
    add_header(block, name, value, strlen(value));
}

/* A call as gRPC has it, one header and the message from the input. */
static void call(struct bytes *b)
{
    static const char *const paths[] = {"/" SERVICE "/GetJob",
                                        "/" SERVICE "/WatchJob",
                                        "/grpc.health.v1.Health/Check",
                                        "/grpc.health.v1.Health/Watch",
                                        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                        "/" SERVICE "/Nothing"};
    static const char *const names[] = {"grpc-timeout", "grpc-encoding", "authorization",
                                        "x-request-id", "traceparent",   "accept"};
    uint8_t message[5 + 255] = {0};
    struct fp_str block;
    size_t n;

    str_init(&block, 4096);
    add_text(&block, ":method", "POST");
    add_text(&block, ":scheme", "http");
    add_text(&block, ":path", paths[pick(b, sizeof paths / sizeof paths[0])]);
    add_text(&block, ":authority", "localhost");
    add_text(&block, "content-type", "application/grpc");
    const char *name = names[pick(b, sizeof names / sizeof names[0])];
    const void *value = some(b, &n);
    if (n > 0)
        add_header(&block, name, value, n);
    put_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream, block.data, block.len);
    str_fini(&block);
    const void *data = some(b, &n);
    message[4] = (uint8_t)n;
    if (n > 0)
        memcpy(message + 5, data, n);
    put_frame(NGHTTP2_DATA, byte_of(b) & 1 ? NGHTTP2_FLAG_END_STREAM : 0, stream, message, 5 + n);
    stream += 2;
}

static void drain_socket(void)
{
    char waste[16384];

    while (recv(peer, waste, sizeof waste, MSG_DONTWAIT) > 0)
        ;
}

static void act(struct bytes *b)
{
    uint32_t id;
    uint8_t type, flags;
    const void *data;
    size_t n;

    switch ((enum op)pick(b, N_OPS)) {
    case OP_RAW:
        data = some(b, &n);
        put(data, n);
        break;
    case OP_FRAME:
        type = byte_of(b);
        flags = byte_of(b);
        id = byte_of(b);
        data = some(b, &n);
        put_frame(type, flags, id & 0x40 ? id << 24 : id, data, n);
        break;
    case OP_CALL:
        call(b);
        break;
    case OP_LATER:
        (void)grpc_conn_check(conn, clock_mono_us() + byte_of(b) * FP_US_PER_S);
        grpc_watches_turn(&server, clock_mono_us() + byte_of(b) * FP_US_PER_S);
        break;
    case OP_READ:
        drain_socket();
        break;
    case N_OPS:
        break;
    }
    turn(EPOLLIN);
}

static void hang_up(void)
{
    TAILQ_REMOVE(&server.conns, conn, link);
    grpc_conn_free(conn);
    conn = NULL;
    take_done(); /* of watches that nobody has any more */
    close(peer);
    if (server.n_calls != 0 || server.buffered != 0 || server.n_watches != 0 ||
        atomic_load(&server.n_conns) != 0 || !TAILQ_EMPTY(&server.health))
        BROKEN();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    int pair[2];

    if (!server.pool)
        start();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        abort();
    peer = pair[1];
    stream = 1;
    server.next_us = GRPC_NEVER;
    grpc_conn_open(&server, pair[0], false, "127.0.0.1:1");
    conn = TAILQ_FIRST(&server.conns);
    if (byte_of(&b) & 1) { /* else the input is the preface too */
        put(PREFACE, sizeof PREFACE - 1);
        put_frame(NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        put_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
        turn(EPOLLIN);
    }
    while (b.at < b.end && !conn->dead)
        act(&b);
    hang_up();
    return 0;
}
