/*
 * What the tests of lib/grpc share: a server with a few methods, and a peer that
 * writes its frames by hand. Each test
 * program includes it once.
 */
#ifndef FP_GRPC_TESTING_H
#define FP_GRPC_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/grpc/grpc.h"
#include "lib/grpc/internal.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define T_UNUSED   __attribute__((unused))
#define T_GET      "/foliopost.v1.JobService/GetJob"
#define T_PAUSE    "/foliopost.v1.JobService/PauseJob"
#define T_WATCH    "/foliopost.v1.JobService/WatchJob"
#define T_PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define T_NOTHING  (-1)
#define FRAME_HEAD 9

/* --- the server ------------------------------------------------------------------- */

/* The job's id says what the method is to do. */
enum { T_GOOD = 1, T_NOT_THERE = 2, T_SLOW = 3, T_LARGE = 4 };

static atomic_int t_asked, t_state;

static T_UNUSED ProtobufCMessage *t_job(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    int64_t id = ((const Foliopost__V1__GetJobRequest *)m)->job_id;
    Foliopost__V1__Job *job = arena_alloc(call->arena, sizeof *job);
    static char kilobyte[1001];
    foliopost__v1__job__init(job);
    job->id = id;
    atomic_fetch_add(&t_asked, 1);
    if (id == T_SLOW)
        clock_sleep_us(FP_US_PER_S);
    if (id == T_NOT_THERE) {
        err_set(err, FP_NOT_FOUND, "job 2: 100 %% not there, é");
        return NULL;
    }
    if (id == T_LARGE) {
        memset(kilobyte, 'x', sizeof kilobyte - 1);
        job->response = kilobyte;
    }
    return &job->base;
}

/* Streams while t_state is not 0, and says what it is. */
static ProtobufCMessage *t_watch(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    Foliopost__V1__Job *job = (void *)t_job(call, m, err);
    if (job != NULL && (job->counts = arena_alloc(call->arena, sizeof *job->counts)) != NULL) {
        foliopost__v1__counts__init(job->counts);
        job->counts->users = atomic_load(&t_state);
        call->again_ms = atomic_load(&t_state) != 0 ? 50 : 0;
    }
    return job != NULL ? &job->base : NULL;
}

static const struct rpc_method t_methods[] = {
    {"GetJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     t_job, 60000},
    {"PauseJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     t_job, 0},
    {"WatchJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     t_watch, 0},
};

static T_UNUSED struct grpc_options t_options(void)
{
    return (struct grpc_options){.listen = "tcp://127.0.0.1:0",
                                 .service = "foliopost.v1.JobService",
                                 .token_file = "",
                                 .cert_file = "",
                                 .key_file = "",
                                 .client_ca_file = "",
                                 .threads = 2,
                                 .max_deadline_ms = 5000,
                                 .max_connections = 200,
                                 .max_streams = 128,
                                 .idle_ms = 60000,
                                 .keepalive_ms = 60000,
                                 .max_age_ms = 600000,
                                 .methods = t_methods,
                                 .n_methods = sizeof t_methods / sizeof t_methods[0]};
}

static struct fp_grpc_server *t_server;
static int t_port;

static T_UNUSED void t_serve(const struct grpc_options *o)
{
    struct fp_err err;
    t_server = grpc_server_start(o, &err);
    if (t_server == NULL)
        fail_msg("%s", err.msg);
    t_port = grpc_server_port(t_server, 0);
}

static T_UNUSED void t_stop(void)
{
    grpc_server_stop(t_server);
    t_server = NULL;
}

static T_UNUSED bool t_await_connections(int wanted, int ms)
{
    int64_t until_us = clock_mono_us() + ms * INT64_C(1000);
    while (atomic_load(&t_server->n_conns) != wanted && clock_mono_us() < until_us)
        clock_sleep_us(5000);
    return atomic_load(&t_server->n_conns) == wanted;
}

/* --- frames by hand --------------------------------------------------------------- */

static T_UNUSED int t_connect(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)t_port)};
    struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        fail_msg("connect: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return fd;
}

static T_UNUSED void t_frame(struct fp_str *out, int type, int flags, uint32_t stream, const void *data,
                             size_t n)
{
    const uint8_t head[FRAME_HEAD] = {
        (uint8_t)(n >> 16),      (uint8_t)(n >> 8),      (uint8_t)n,
        (uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
    str_add(out, head, sizeof head);
    if (n > 0)
        str_add(out, data, n);
}

/* A header, literal, not indexed, not Huffman-coded. */
static T_UNUSED void t_header(struct fp_str *block, const char *name, const char *value)
{
    str_putc(block, 0);
    str_putc(block, (char)strlen(name)); /* below 127 */
    str_puts(block, name);
    str_putc(block, (char)strlen(value));
    str_puts(block, value);
}

static T_UNUSED void t_request_block(struct fp_str *block, const char *path)
{
    t_header(block, ":method", "POST");
    t_header(block, ":scheme", "http");
    t_header(block, ":path", path);
    t_header(block, ":authority", "localhost");
    t_header(block, "content-type", "application/grpc");
    t_header(block, "te", "trailers");
}

static T_UNUSED void t_headers(struct fp_str *out, uint32_t stream, const char *path, int flags)
{
    struct fp_str block;
    str_init(&block, 0);
    t_request_block(&block, path);
    t_frame(out, NGHTTP2_HEADERS, flags, stream, block.data, block.len);
    str_fini(&block);
}

/* A gRPC message: GetJobRequest of a small id; 0: an empty message. */
static T_UNUSED void t_message(struct fp_str *out, uint32_t stream, int job_id, int flags)
{
    const uint8_t data[] = {0, 0, 0, 0, job_id != 0 ? 2 : 0, 1 << 3, (uint8_t)job_id};
    t_frame(out, NGHTTP2_DATA, flags, stream, data, sizeof data - (job_id != 0 ? 0 : 2));
}

static T_UNUSED void t_call(struct fp_str *out, uint32_t stream, const char *path, int job_id)
{
    t_headers(out, stream, path, NGHTTP2_FLAG_END_HEADERS);
    t_message(out, stream, job_id, NGHTTP2_FLAG_END_STREAM);
}

static T_UNUSED void t_hello(struct fp_str *out)
{
    str_puts(out, T_PREFACE);
    t_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    t_frame(out, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
}

/* False when the server does not take it all: it may have hung up. */
static T_UNUSED bool t_send(int fd, const struct fp_str *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        ssize_t n = send(fd, bytes->data + at, bytes->len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* What the server did to a peer, as far as it was read. */
struct t_fate {
    bool closed;              /* the connection ended */
    int goaway, reset;        /* codes of the last ones, or T_NOTHING */
    int status, http;         /* of the last trailers, or T_NOTHING */
    int n_resets, n_statuses; /* streams that ended in these ways */
    int n_pings, n_pongs;
    size_t data_bytes, goaways;
    nghttp2_hd_inflater *inflater;
    struct fp_str in;
};

static T_UNUSED void t_fate_init(struct t_fate *f)
{
    *f = (struct t_fate){.goaway = T_NOTHING, .reset = T_NOTHING, .status = T_NOTHING, .http = T_NOTHING};
    str_init(&f->in, 0);
    nghttp2_hd_inflate_new(&f->inflater);
}

static T_UNUSED void t_fate_fini(struct t_fate *f)
{
    nghttp2_hd_inflate_del(f->inflater);
    str_fini(&f->in);
}

static void t_read_headers(struct t_fate *f, const uint8_t *p, size_t n)
{
    for (int flags = 0; (flags & NGHTTP2_HD_INFLATE_FINAL) == 0;) {
        nghttp2_nv nv;
        ssize_t used = nghttp2_hd_inflate_hd2(f->inflater, &nv, &flags, p, n, 1);
        if (used < 0)
            fail_msg("the server's headers: %s", nghttp2_strerror((int)used));
        p += used;
        n -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) == 0)
            continue;
        if (strcmp((char *)nv.name, ":status") == 0)
            f->http = atoi((char *)nv.value);
        if (strcmp((char *)nv.name, "grpc-status") == 0) {
            f->status = atoi((char *)nv.value);
            f->n_statuses++;
        }
    }
    nghttp2_hd_inflate_end_headers(f->inflater);
}

static uint32_t t_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void t_read_frame(struct t_fate *f, const uint8_t *head, const uint8_t *data, size_t n)
{
    switch (head[3]) {
    case NGHTTP2_HEADERS:
        t_read_headers(f, data, n);
        break;
    case NGHTTP2_DATA:
        f->data_bytes += n;
        break;
    case NGHTTP2_RST_STREAM:
        f->reset = (int)t_u32(data);
        f->n_resets++;
        break;
    case NGHTTP2_GOAWAY:
        f->goaway = (int)t_u32(data + 4);
        f->goaways++;
        break;
    case NGHTTP2_PING:
        (head[4] & NGHTTP2_FLAG_ACK) != 0 ? f->n_pongs++ : f->n_pings++;
        break;
    default:
        break;
    }
}

static void t_parse(struct t_fate *f)
{
    const uint8_t *p = (const uint8_t *)f->in.data;
    size_t left = f->in.len;
    while (left >= FRAME_HEAD) {
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (left < FRAME_HEAD + n)
            break;
        t_read_frame(f, p, p + FRAME_HEAD, n);
        p += FRAME_HEAD + n;
        left -= FRAME_HEAD + n;
    }
    memmove(f->in.data, p, left);
    f->in.len = left;
}

/* One read within so many ms; false when there was none. */
static T_UNUSED bool t_read(int fd, struct t_fate *f, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char buf[16384];
    if (f->closed || poll(&p, 1, ms < 0 ? 0 : ms) <= 0)
        return false;
    ssize_t n = recv(fd, buf, sizeof buf, 0);
    f->closed = n <= 0;
    if (n > 0)
        str_add(&f->in, buf, (size_t)n);
    if (f->in.len > 0)
        t_parse(f);
    return n > 0;
}

/* Reads until `done` counts as many, the end of the connection, or the time is over. */
static T_UNUSED void t_read_until(int fd, struct t_fate *f, const int *done, int wanted, int ms)
{
    int64_t until_us = clock_mono_us() + ms * INT64_C(1000);
    while (!f->closed && (done == NULL || *done < wanted) && clock_mono_us() < until_us)
        t_read(fd, f, (int)((until_us - clock_mono_us()) / 1000));
}

/* --- a client that behaves -------------------------------------------------------- */

/* grpc-status of one call on a connection of its own; T_NOTHING without one. */
static T_UNUSED int t_status(const char *path, int job_id, int ms)
{
    struct t_fate f;
    struct fp_str out;
    int fd = t_connect();
    t_fate_init(&f);
    str_init(&out, 0);
    t_hello(&out);
    t_call(&out, 1, path, job_id);
    if (t_send(fd, &out))
        t_read_until(fd, &f, &f.n_statuses, 1, ms);
    str_fini(&out);
    t_fate_fini(&f);
    close(fd);
    return f.status;
}

#endif
