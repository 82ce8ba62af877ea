/*
 * A connection: bytes between its socket and nghttp2, and its limits in time.
 *
 * nghttp2 is asked for more only when the socket took what there was, so a
 * peer that does not read costs one buffer. grpc_conn_check() has every limit:
 * preface, idleness, silence, slowness, age, and the deadlines of its calls.
 * A connection is freed at the end of the loop's turn, never under its feet.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/grpc/internal.h"
#include "lib/metrics/metrics.h"

#define PREFACE_US  (10 * FP_US_PER_S) /* for the TLS handshake and the first SETTINGS */
#define SLOW_US     (20 * FP_US_PER_S) /* a socket that takes nothing */
#define PONG_US     (20 * FP_US_PER_S)
#define GOAWAY_US   (FP_US_PER_S / 5)  /* between the notice and the last stream id: a round trip */
#define GRACE_US    (60 * FP_US_PER_S) /* for calls after GOAWAY */
#define CHUNK_BYTES 16384
#define MAX_QUEUED  20000 /* frames for a peer that makes us answer and does not read */
#define BATCH_BYTES 65536

static void die(struct grpc_conn *c, const char *why)
{
    if (c->dead == NULL)
        c->dead = why;
    c->dirty = true;
}

static void want(struct grpc_conn *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (events != c->events && epoll_ctl(c->server->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0)
        c->events = events;
}

void grpc_conn_open(struct fp_grpc_server *s, int fd, bool tls, const char *peer)
{
    struct grpc_conn *c = mem_alloc(sizeof *c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    c->server = s;
    c->fd = fd;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    c->born_us = c->heard_us = c->wrote_us = c->busy_us = c->calm_us = clock_mono_us();
    c->calm = GRPC_CALM;
    c->events = EPOLLIN;
    c->handshaking = tls;
    TAILQ_INIT(&c->calls);
    str_init(&c->out, BATCH_BYTES + 2 * CHUNK_BYTES);
    TAILQ_INSERT_TAIL(&s->conns, c, link);
    metrics_set("foliopost_grpc_connections", "", atomic_fetch_add(&s->n_conns, 1) + 1);
    if (tls && (c->ssl = grpc_tls_accept(s->tls, fd)) == NULL)
        die(c, "tls");
    if ((c->session = grpc_session_new(c)) == NULL || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        die(c, "memory");
    c->dirty = true;
    grpc_timer(s, c->born_us + PREFACE_US);
}

void grpc_conn_free(struct grpc_conn *c)
{
    char label[48];
    struct grpc_call *call;
    while ((call = TAILQ_FIRST(&c->calls)) != NULL)
        grpc_call_free(call);
    nghttp2_session_del(c->session);
    SSL_free(c->ssl);
    close(c->fd);
    snprintf(label, sizeof label, "reason=\"%s\"", c->dead != NULL ? c->dead : "stop");
    metrics_add("foliopost_grpc_closed_total", label, 1);
    metrics_set("foliopost_grpc_connections", "", atomic_fetch_sub(&c->server->n_conns, 1) - 1);
    str_fini(&c->out);
    mem_free(c);
}

/* --- bytes --------------------------------------------------------------------------- */

/* > 0 bytes; 0: the peer ended or the connection is broken; -1: not now. */
static ssize_t receive(struct grpc_conn *c, void *buf, size_t cap)
{
    if (c->ssl == NULL || c->lingering) {
        ssize_t n = recv(c->fd, buf, cap, 0);
        return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -1 : 0;
    }
    ERR_clear_error();
    int n = SSL_read(c->ssl, buf, (int)cap);
    if (n > 0)
        return n;
    int why = SSL_get_error(c->ssl, n);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static ssize_t transmit(struct grpc_conn *c, const void *data, size_t bytes)
{
    if (c->ssl == NULL) {
        ssize_t n = send(c->fd, data, bytes, MSG_NOSIGNAL);
        return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? -1 : 0;
    }
    ERR_clear_error();
    int n = SSL_write(c->ssl, data, (int)bytes);
    if (n > 0)
        return n;
    int why = SSL_get_error(c->ssl, n);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static void shake_hands(struct grpc_conn *c)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(c->ssl);
    if (rc != 1) {
        int why = SSL_get_error(c->ssl, rc);
        if (why == SSL_ERROR_WANT_READ)
            want(c, EPOLLIN);
        else if (why == SSL_ERROR_WANT_WRITE)
            want(c, EPOLLIN | EPOLLOUT);
        else
            die(c, "handshake");
        return;
    }
    c->handshaking = false;
    grpc_tls_subject(c->ssl, c->subject, sizeof c->subject);
    if (!grpc_tls_is_h2(c->ssl))
        die(c, "alpn");
}

/* What comes after our last word is thrown away, so that no reset overtakes it. */
static void discard(struct grpc_conn *c)
{
    char waste[CHUNK_BYTES];
    for (int i = 0; i < 4; i++) {
        ssize_t n = receive(c, waste, sizeof waste);
        if (n == 0)
            die(c, "goodbye");
        if (n <= 0)
            return;
    }
}

static void feed(struct grpc_conn *c, const uint8_t *data, size_t bytes)
{
    ssize_t used = nghttp2_session_mem_recv(c->session, data, bytes);
    if (used < 0)
        grpc_conn_goodbye(c, used == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR,
                          nghttp2_strerror((int)used));
    else if (nghttp2_session_get_outbound_queue_size(c->session) > MAX_QUEUED)
        die(c, "flood");
}

static void read_some(struct grpc_conn *c)
{
    uint8_t buf[CHUNK_BYTES];
    for (int i = 0; c->dead == NULL && !c->last_words && (i < 4 || (c->ssl && SSL_pending(c->ssl))); i++) {
        ssize_t n = receive(c, buf, sizeof buf);
        if (n == 0)
            die(c, "peer");
        if (n <= 0)
            return;
        c->heard_us = clock_mono_us();
        feed(c, buf, (size_t)n);
    }
}

/* What the socket would take, up to a batch. False when nghttp2 gave up. */
static bool gather(struct grpc_conn *c)
{
    const uint8_t *data;
    ssize_t n = 1;
    while (c->out.len < BATCH_BYTES && (n = nghttp2_session_mem_send(c->session, &data)) > 0)
        str_add(&c->out, data, (size_t)n);
    return n >= 0 && !c->out.overflow;
}

static bool push(struct grpc_conn *c)
{
    while (c->out_at < c->out.len) {
        ssize_t n = transmit(c, c->out.data + c->out_at, c->out.len - c->out_at);
        if (n == 0)
            die(c, "peer");
        if (n <= 0)
            return false;
        c->out_at += (size_t)n;
        c->wrote_us = clock_mono_us();
    }
    str_clear(&c->out);
    c->out_at = 0;
    return true;
}

/* All is said: the peer reads it and closes. */
static void linger(struct grpc_conn *c)
{
    c->lingering = true;
    if (c->ssl != NULL && SSL_shutdown(c->ssl) < 0)
        ERR_clear_error();
    shutdown(c->fd, SHUT_WR);
}

static void flush_all(struct grpc_conn *c)
{
    bool open = push(c);
    while (open && c->dead == NULL) {
        if (!gather(c)) {
            die(c, "session");
            return;
        }
        if (c->out.len == 0)
            break;
        c->wrote_us = clock_mono_us();
        open = push(c);
    }
    want(c, EPOLLIN | (open ? 0 : EPOLLOUT));
    if (!open) {
        grpc_timer(c->server, c->wrote_us + SLOW_US);
        return;
    }
    str_fini(&c->out); /* an idle connection keeps no buffer */
    str_init(&c->out, BATCH_BYTES + 2 * CHUNK_BYTES);
    if (!c->last_words && !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session)) {
        c->last_words = true;
        c->linger_us = clock_mono_us() + FP_US_PER_S;
        grpc_timer(c->server, c->linger_us);
    }
    if (c->last_words)
        linger(c);
}

void grpc_conn_flush(struct grpc_conn *c)
{
    c->dirty = false;
    if (c->dead == NULL && !c->handshaking && !c->lingering)
        flush_all(c);
}

void grpc_conn_event(struct grpc_conn *c, uint32_t events)
{
    if (c->dead != NULL)
        return;
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0) {
        die(c, "peer");
        return;
    }
    if (c->handshaking)
        shake_hands(c);
    if (c->handshaking || c->dead != NULL)
        return;
    if (c->last_words)
        discard(c);
    else
        read_some(c);
    c->dirty = true;
}

/* --- time ------------------------------------------------------------------------------ */

void grpc_conn_drain(struct grpc_conn *c)
{
    if (c->going_us != 0 || c->last_words)
        return;
    c->going_us = clock_mono_us();
    if (c->handshaking || !c->greeted) {
        die(c, "drain");
        return;
    }
    nghttp2_submit_shutdown_notice(c->session);
    c->dirty = true;
    grpc_timer(c->server, c->going_us + GOAWAY_US);
}

static void check_calls(struct grpc_conn *c, int64_t now_us, int64_t *next)
{
    struct grpc_call *call, *after;
    for (call = TAILQ_FIRST(&c->calls); call != NULL; call = after) {
        after = TAILQ_NEXT(call, link);
        if (call->deadline_us <= now_us && call->ended) { /* answered, and not read */
            call->deadline_us = GRPC_NEVER;
            nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
            c->dirty = true;
        } else if (call->deadline_us <= now_us) {
            grpc_call_end(call, FP_DEADLINE_EXCEEDED, "not done before the call's deadline");
        }
        if (call->deadline_us < *next)
            *next = call->deadline_us;
    }
}

/* One limit: when it is over, true; else it is looked at again then. */
static bool over(int64_t at_us, int64_t now_us, int64_t *next)
{
    if (at_us > now_us && at_us < *next)
        *next = at_us;
    return at_us <= now_us;
}

static void check_going(struct grpc_conn *c, int64_t now_us, int64_t *next)
{
    struct grpc_call *call;
    if (!c->closing && over(c->going_us + GOAWAY_US, now_us, next)) {
        c->closing = c->dirty = true;
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR, NULL, 0);
    }
    if (c->closing && over(c->going_us + GRACE_US / 2, now_us, next))
        TAILQ_FOREACH (call, &c->calls, link)
            grpc_call_end(call, FP_UNAVAILABLE, "the connection is to be closed: call again");
    if (c->closing && over(c->going_us + GRACE_US, now_us, next))
        die(c, "age");
}

static void check_life(struct grpc_conn *c, int64_t now_us, int64_t *next)
{
    const struct grpc_options *o = &c->server->o;
    int64_t jitter_us =
        (int64_t)((uintptr_t)c / 64 % 100) * o->max_age_ms; /* up to a tenth: not all at once */
    if (over(c->born_us + o->max_age_ms * INT64_C(1000) + jitter_us, now_us, next))
        grpc_conn_drain(c);
    else if (c->n_calls == 0 && over(c->busy_us + o->idle_ms * INT64_C(1000), now_us, next))
        grpc_conn_drain(c);
    if (c->ping_us == 0 && over(c->heard_us + o->keepalive_ms * INT64_C(1000), now_us, next)) {
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
        c->ping_us = now_us;
        c->dirty = true;
    }
    if (c->ping_us != 0 && over(c->ping_us + PONG_US, now_us, next))
        die(c, "silent");
}

int64_t grpc_conn_check(struct grpc_conn *c, int64_t now_us)
{
    int64_t next = GRPC_NEVER;
    if (c->dead != NULL)
        return next;
    if (c->last_words && over(c->linger_us, now_us, &next)) {
        die(c, "goodbye");
        return next;
    }
    if (!c->greeted && over(c->born_us + PREFACE_US, now_us, &next))
        die(c, "preface");
    if (c->out_at < c->out.len && over(c->wrote_us + SLOW_US, now_us, &next))
        die(c, "slow");
    if (c->dead != NULL || c->last_words || !c->greeted)
        return next;
    check_calls(c, now_us, &next);
    if (c->going_us != 0)
        check_going(c, now_us, &next);
    else
        check_life(c, now_us, &next);
    return next;
}
