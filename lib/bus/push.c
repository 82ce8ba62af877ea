/*
 * The sending end of a pipeline: one PUSH socket that listens.
 *
 * The send buffer is 0: NNG loses a buffer's content when a process ends, and
 * a message that nobody took must stay ours. "Sent" means that the kernel of
 * some peer's connection took it; the ledger believes nothing of it.
 *
 * Each send has an asynchronous I/O object of its own, so that threads do not
 * wait for each other and each has its own time limit. When a send fails, NNG
 * has not taken the message and we free it: it is neither leaked nor sent
 * later.
 */
#include "lib/bus/bus.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/bus/crowd.h"
#include "lib/bus/endpoint.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

/* A peer has nothing to say here; what it announces is allocated, up to this. */
#define RECV_MAX_BYTES 64

/* As many as a puller dials (dialers.c); one host can be a whole installation, or a proxy of it. */
static const struct crowd_limits limits = {.total = 256, .per_address = 128};

struct send { /* one under way; on its sender's stack */
    nng_aio *aio;
    struct send *next;
};

struct fp_bus_push {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    nng_socket socket;
    int port;
    atomic_int peers; /* changed under the lock, so that the gauge is right */
    struct endpoint_pipes pipes;
    struct fp_crowd *crowd;
    bool shut;
    struct send *sends;
    char label[32];
    char pipe_metric[64], sent_metric[96];
};

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct fp_bus_push *p = arg;
    pthread_mutex_lock(&p->lock);
    int step = endpoint_pipe_event(&p->pipes, pipe, event);
    int peers = atomic_fetch_add(&p->peers, step) + step;
    metrics_set("foliopost_bus_peers", p->pipe_metric, peers);
    pthread_mutex_unlock(&p->lock);
    crowd_event(p->crowd, pipe, event); /* after it is counted: its end can come at once */
    if (step != 0)
        log_info(p->label, step > 0 ? "connected" : "disconnected", "peers=%d", peers);
}

static void init_push(struct fp_bus_push *p, const char *pipe)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->idle, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&p->lock, NULL);
    snprintf(p->label, sizeof p->label, "pipe=%s", pipe);
    snprintf(p->pipe_metric, sizeof p->pipe_metric, "pipe=\"%s\"", pipe);
    snprintf(p->sent_metric, sizeof p->sent_metric, "pipe=\"%s\",direction=\"sent\"", pipe);
    metrics_set("foliopost_bus_peers", p->pipe_metric, 0);
}

struct fp_bus_push *bus_push_open(const char *pipe, const char *listen_url, const struct bus_tls *tls,
                                  struct fp_err *err)
{
    nng_socket s;
    nng_listener listener = NNG_LISTENER_INITIALIZER;
    endpoint_init();
    if (bus_check_urls(listen_url, true, err) != 0)
        return NULL;
    endpoint_must(nng_push0_open(&s), "nng_push0_open");
    endpoint_must(nng_socket_set_int(s, NNG_OPT_SENDBUF, 0), "send buffer");
    endpoint_must(nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, RECV_MAX_BYTES), "receive limit");
    struct fp_bus_push *p = mem_alloc(sizeof *p);
    init_push(p, pipe);
    p->socket = s;
    p->crowd = crowd_new(&limits, p->label, p->pipe_metric);
    endpoint_notify(s, on_pipe, p);
    if (endpoint_listen(s, listen_url, tls, &listener, &p->port, err) != 0) {
        nng_close(s); /* nobody is connected: safe also in NNG 1.5 */
        mem_free(p);
        return NULL;
    }
    endpoint_keep(p);
    log_info(p->label, "listening", "url=%s port=%d%s", listen_url, p->port,
             strncmp(listen_url, "tls", 3) == 0 ? "" : " plain: neither encrypted nor authenticated");
    return p;
}

int bus_push_port(const struct fp_bus_push *p)
{
    return p->port;
}

int bus_push_peers(const struct fp_bus_push *p)
{
    return atomic_load(&p->peers);
}

/* Starting it under the lock orders it with shut's cancel: none slips through. */
static bool start_send(struct fp_bus_push *p, struct send *s, nng_msg *m, int timeout_ms)
{
    pthread_mutex_lock(&p->lock);
    bool open = !p->shut;
    if (open) {
        s->next = p->sends;
        p->sends = s;
        nng_aio_set_timeout(s->aio, timeout_ms > 0 ? timeout_ms : NNG_DURATION_ZERO);
        nng_aio_set_msg(s->aio, m);
        nng_send_aio(p->socket, s->aio);
    }
    pthread_mutex_unlock(&p->lock);
    return open;
}

static void end_send(struct fp_bus_push *p, struct send *s)
{
    pthread_mutex_lock(&p->lock);
    struct send **at = &p->sends;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (p->sends == NULL)
        pthread_cond_broadcast(&p->idle);
    pthread_mutex_unlock(&p->lock);
}

/* Gives the message away, or frees it. */
static int send_message(struct fp_bus_push *p, nng_msg *m, int timeout_ms)
{
    struct send s = {0};
    endpoint_must(nng_aio_alloc(&s.aio, NULL, NULL), "nng_aio_alloc");
    int rv = NNG_ECLOSED;
    if (start_send(p, &s, m, timeout_ms)) {
        nng_aio_wait(s.aio);
        rv = nng_aio_result(s.aio);
        end_send(p, &s);
    }
    nng_aio_free(s.aio);
    if (rv != 0)
        nng_msg_free(m);
    return rv;
}

int bus_push_send(struct fp_bus_push *p, const void *data, size_t bytes, int timeout_ms, struct fp_err *err)
{
    nng_msg *m;
    if (bytes > BUS_MAX_MESSAGE_BYTES)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: a message of %zu bytes, at most %d are allowed",
                       p->label, bytes, BUS_MAX_MESSAGE_BYTES);
    endpoint_must(nng_msg_alloc(&m, 0), "nng_msg_alloc");
    endpoint_must(nng_msg_append(m, data, bytes), "nng_msg_append");
    int rv = send_message(p, m, timeout_ms);
    if (rv == 0) {
        metrics_add("foliopost_bus_messages_total", p->sent_metric, 1);
        metrics_add("foliopost_bus_bytes_total", p->sent_metric, (double)bytes);
        return 0;
    }
    if (rv != NNG_ETIMEDOUT)
        return endpoint_err(err, rv, "%s: not sent", p->label);
    metrics_add("foliopost_bus_send_timeouts_total", p->pipe_metric, 1);
    return err_set(err, FP_UNAVAILABLE, "%s: no peer took the message within %d ms (%d connected)", p->label,
                   timeout_ms, bus_push_peers(p));
}

void bus_push_shut(struct fp_bus_push *p, int timeout_ms)
{
    if (p == NULL)
        return;
    int64_t until_us = clock_mono_us() + timeout_ms * INT64_C(1000);
    struct timespec t = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = until_us % FP_US_PER_S * 1000};
    pthread_mutex_lock(&p->lock);
    p->shut = true;
    while (p->sends != NULL && pthread_cond_timedwait(&p->idle, &p->lock, &t) == 0)
        ;
    for (struct send *s = p->sends; s != NULL; s = s->next)
        nng_aio_cancel(s->aio); /* only marks it; its sender takes it off the list */
    while (p->sends != NULL)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
