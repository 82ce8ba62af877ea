/*
 * The receiving end of a pipeline: one PULL socket that dials every address
 * of its peers (dialers.c).
 *
 * NNG takes one message from each connection in advance, and the kernel's
 * socket buffers hold many more; what lies there when we stop is lost, and
 * made again from the ledger. There is no way in SP to say "send me nothing
 * more" but to disconnect, which is what shut does. Leaving is gentler: TCP can
 * end one direction of a connection, a pusher's NNG ends its side at that, and
 * the kernel still delivers what had been sent.
 */
#include "lib/bus/bus.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/bus/dialers.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define LEAVE_MS     50
#define REST_WAIT_MS 20

struct fp_bus_pull {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    nng_socket socket;
    struct fp_dialers *dialers;
    nng_aio *aio;
    bool receiving;
    bool shut;
    char label[32];
    char received_metric[96], dropped_metric[96];
};

struct fp_bus_pull *bus_pull_open(const char *pipe, const char *peers, const struct bus_tls *tls,
                                  int resolve_every_ms, struct fp_err *err)
{
    nng_socket s;
    endpoint_init();
    if (bus_check_urls(peers, false, err) != 0)
        return NULL;
    endpoint_must(nng_pull0_open(&s), "nng_pull0_open");
    endpoint_must(nng_socket_set_size(s, NNG_OPT_RECVMAXSZ, BUS_RECV_MAX_BYTES), "receive limit");
    struct fp_dialers *dialers = dialers_open(s, pipe, peers, tls, resolve_every_ms, err);
    if (dialers == NULL) {
        nng_close(s); /* never connected: safe also in NNG 1.5 */
        return NULL;
    }
    struct fp_bus_pull *p = mem_alloc(sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->socket = s;
    p->dialers = dialers;
    endpoint_must(nng_aio_alloc(&p->aio, NULL, NULL), "nng_aio_alloc");
    snprintf(p->label, sizeof p->label, "pipe=%s", pipe);
    snprintf(p->received_metric, sizeof p->received_metric, "pipe=\"%s\",direction=\"received\"", pipe);
    snprintf(p->dropped_metric, sizeof p->dropped_metric, "pipe=\"%s\",reason=\"size\"", pipe);
    endpoint_keep(p);
    return p;
}

/* Receives under way count for shut; the lock orders shut's flag and its cancel. */
static int receive(struct fp_bus_pull *p, int timeout_ms)
{
    pthread_mutex_lock(&p->lock);
    if (p->shut) {
        pthread_mutex_unlock(&p->lock);
        return NNG_ECLOSED;
    }
    p->receiving = true;
    nng_aio_set_timeout(p->aio, timeout_ms > 0 ? timeout_ms : NNG_DURATION_ZERO);
    nng_recv_aio(p->socket, p->aio);
    pthread_mutex_unlock(&p->lock);
    nng_aio_wait(p->aio);
    int rv = nng_aio_result(p->aio);
    pthread_mutex_lock(&p->lock);
    p->receiving = false;
    pthread_cond_broadcast(&p->idle);
    pthread_mutex_unlock(&p->lock);
    return rv;
}

int bus_pull_recv(struct fp_bus_pull *p, int timeout_ms, struct fp_bus_msg **msg, struct fp_err *err)
{
    *msg = NULL;
    int rv = receive(p, timeout_ms);
    if (rv == NNG_ETIMEDOUT)
        return 1;
    if (rv != 0)
        return endpoint_err(err, rv, "%s: shut", p->label);
    nng_msg *m = nng_aio_get_msg(p->aio);
    nng_aio_set_msg(p->aio, NULL);
    if (nng_msg_len(m) > BUS_MAX_MESSAGE_BYTES) {
        metrics_add("foliopost_bus_dropped_total", p->dropped_metric, 1);
        nng_msg_free(m);
        return 1;
    }
    metrics_add("foliopost_bus_messages_total", p->received_metric, 1);
    metrics_add("foliopost_bus_bytes_total", p->received_metric, (double)nng_msg_len(m));
    *msg = (struct fp_bus_msg *)m;
    return 0;
}

const void *bus_msg_data(const struct fp_bus_msg *m, size_t *bytes)
{
    nng_msg *own = (nng_msg *)m;
    *bytes = nng_msg_len(own);
    return nng_msg_body(own);
}

void bus_msg_free(struct fp_bus_msg *m)
{
    if (m != NULL)
        nng_msg_free((nng_msg *)m);
}

int bus_pull_peers(const struct fp_bus_pull *p)
{
    return dialers_up(p->dialers);
}

/* NNG throws away what lies unread when a connection ends while it waits for
 * more. So nothing is read before the pushers have had time to notice: by then
 * all that they sent lies here, and NNG reads it without waiting. */
void bus_pull_leave(struct fp_bus_pull *p)
{
    dialers_leave(p->dialers);
    clock_sleep_us(LEAVE_MS * 1000);
}

bool bus_pull_rest(struct fp_bus_pull *p, int64_t until_us, struct fp_bus_msg **msg)
{
    struct fp_err ignored;
    while (clock_mono_us() < until_us) {
        bool last = bus_pull_peers(p) == 0; /* asked before, so that what came in between is seen */
        int rc = bus_pull_recv(p, last ? 0 : REST_WAIT_MS, msg, &ignored);
        if (rc == 0)
            return true;
        if (rc < 0 || last)
            return false;
    }
    return false;
}

void bus_pull_shut(struct fp_bus_pull *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->shut = true;
    if (p->receiving)
        nng_aio_cancel(p->aio);
    while (p->receiving)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
    dialers_close(p->dialers);
}
