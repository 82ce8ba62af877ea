/*
 * The server: its listeners, its loop, its life.
 *
 * A turn: what the sockets and the workers say; then the timers that are due;
 * then every connection with something to send is flushed once; then the dead
 * are buried. At the limit of connections one makes room: of those no call of
 * which was let in, else of those without calls, the longest idle; where there
 * is neither the new one is closed. Out of file descriptors some make room too,
 * and accepting pauses for a tenth of a second.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/bus/endpoint.h"
#include "lib/bus/url.h"
#include "lib/grpc/internal.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define MAX_EVENTS      64
#define ACCEPTS_AT_ONCE 64
#define ACCEPT_PAUSE_US (FP_US_PER_S / 10)
#define ROOM_AT_ONCE    8 /* connections that end when there are no file descriptors */
#define TURN_MAX_MS     1000
#define TIMER_GRAIN_US  2000 /* timers that close together are looked at together */

void grpc_timer(struct fp_grpc_server *s, int64_t at_us)
{
    if (at_us < s->next_us)
        s->next_us = at_us;
}

/* --- accepting --------------------------------------------------------------------- */

static void watch_listeners(struct fp_grpc_server *s, bool on)
{
    for (int i = 0; i < s->n_listeners; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s->listeners[i]};
        if (s->listeners[i] >= 0)
            epoll_ctl(s->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, s->listeners[i], &e);
    }
    s->listening = on;
}

/* May a go before b? */
static bool goes_first(const struct grpc_conn *a, const struct grpc_conn *b)
{
    if (a->dead != NULL || b->dead != NULL)
        return b->dead == NULL;
    return a->trusted != b->trusted ? b->trusted : a->busy_us < b->busy_us;
}

/* Ends the connection that is missed least: false when all have calls that were let in. */
static bool make_room(struct fp_grpc_server *s)
{
    struct grpc_conn *c, *first = NULL;
    TAILQ_FOREACH (c, &s->conns, link)
        if ((c->dead != NULL || c->n_calls == 0 || !c->trusted) && (first == NULL || goes_first(c, first)))
            first = c;
    if (first == NULL)
        return false;
    if (first->dead == NULL)
        first->dead = "room";
    TAILQ_REMOVE(&s->conns, first, link);
    TAILQ_INSERT_TAIL(&s->graves, first, link);
    return true;
}

static void accept_one(struct fp_grpc_server *s, int fd, bool tls, const struct sockaddr_storage *from,
                       socklen_t bytes)
{
    char host[48] = "", port[8] = "", peer[64];
    int on = 1;
    if (atomic_load(&s->n_conns) >= s->o.max_connections && !make_room(s)) {
        metrics_add("foliopost_grpc_closed_total", "reason=\"full\"", 1);
        close(fd);
        return;
    }
    getnameinfo((const struct sockaddr *)from, bytes, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(peer, sizeof peer, "%s:%s", host, port);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    grpc_conn_open(s, fd, tls, peer);
}

/* No file descriptors, or no memory for them. */
static void pause_accepting(struct fp_grpc_server *s)
{
    metrics_add("foliopost_grpc_accept_paused_total", "", 1);
    for (int i = 0; i < ROOM_AT_ONCE && make_room(s); i++)
        ;
    watch_listeners(s, false);
    s->accept_us = clock_mono_us() + ACCEPT_PAUSE_US;
    grpc_timer(s, s->accept_us);
}

static void accept_some(struct fp_grpc_server *s, int no)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage from;
        socklen_t bytes = sizeof from;
        int fd = accept4(s->listeners[no], (struct sockaddr *)&from, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accept_one(s, fd, s->tls_at[no], &from, bytes);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(s);
        return;
    }
}

/* --- the loop ------------------------------------------------------------------------ */

static void take_done(struct fp_grpc_server *s)
{
    struct grpc_works done = STAILQ_HEAD_INITIALIZER(done);
    struct grpc_work *w;
    uint64_t ignored;
    (void)!read(s->wake, &ignored, sizeof ignored);
    grpc_pool_take(s->pool, &done);
    while ((w = STAILQ_FIRST(&done)) != NULL) {
        STAILQ_REMOVE_HEAD(&done, link);
        if (w->watch != NULL)
            grpc_watch_done(s, w);
        else
            grpc_calls_done(s, w);
        grpc_work_free(w);
    }
}

static void begin_drain(struct fp_grpc_server *s)
{
    struct grpc_conn *c;
    struct grpc_call *call;
    s->was_drained = true;
    watch_listeners(s, false);
    for (int i = 0; i < s->n_listeners; i++) {
        close(s->listeners[i]);
        s->listeners[i] = -1;
    }
    grpc_health_drain(s);
    TAILQ_FOREACH (c, &s->conns, link) {
        TAILQ_FOREACH (call, &c->calls, link)
            if (call->watch != NULL)
                grpc_call_end(call, FP_UNAVAILABLE, GRPC_GOES_AWAY);
        grpc_conn_drain(c);
    }
}

static void timers(struct fp_grpc_server *s, int64_t now_us)
{
    struct grpc_conn *c;
    s->next_us = GRPC_NEVER;
    if (!s->listening && !s->was_drained && s->accept_us <= now_us)
        watch_listeners(s, true);
    else if (!s->listening && !s->was_drained)
        grpc_timer(s, s->accept_us);
    grpc_watches_turn(s, now_us);
    TAILQ_FOREACH (c, &s->conns, link)
        grpc_timer(s, grpc_conn_check(c, now_us));
    if (s->next_us < now_us + TIMER_GRAIN_US)
        s->next_us = now_us + TIMER_GRAIN_US;
    metrics_set("foliopost_grpc_streams", "", (double)s->n_calls);
}

static void finish_turn(struct fp_grpc_server *s)
{
    struct grpc_conn *c, *after;
    for (c = TAILQ_FIRST(&s->conns); c != NULL; c = after) {
        after = TAILQ_NEXT(c, link);
        if (c->dirty)
            grpc_conn_flush(c);
        if (c->dead != NULL) {
            TAILQ_REMOVE(&s->conns, c, link);
            TAILQ_INSERT_TAIL(&s->graves, c, link);
        }
    }
    while ((c = TAILQ_FIRST(&s->graves)) != NULL) {
        TAILQ_REMOVE(&s->graves, c, link);
        grpc_conn_free(c);
    }
}

static void dispatch_event(struct fp_grpc_server *s, const struct epoll_event *e)
{
    int *at = e->data.ptr;
    if ((void *)at == (void *)s)
        take_done(s);
    else if (at >= s->listeners && at < s->listeners + GRPC_MAX_LISTENERS)
        accept_some(s, (int)(at - s->listeners));
    else
        grpc_conn_event(e->data.ptr, e->events);
}

static void *loop(void *arg)
{
    struct fp_grpc_server *s = arg;
    struct epoll_event events[MAX_EVENTS];
    while (!atomic_load(&s->stopping)) {
        int64_t wait_us = s->next_us == GRPC_NEVER ? TURN_MAX_MS * 1000 : s->next_us - clock_mono_us();
        int ms = wait_us <= 0                   ? 0
                 : wait_us > TURN_MAX_MS * 1000 ? TURN_MAX_MS
                                                : (int)((wait_us + 999) / 1000);
        int n = epoll_wait(s->epoll, events, MAX_EVENTS, ms);
        for (int i = 0; i < n; i++)
            dispatch_event(s, &events[i]);
        if (atomic_load(&s->draining) && !s->was_drained)
            begin_drain(s);
        if (clock_mono_us() >= s->next_us)
            timers(s, clock_mono_us());
        finish_turn(s);
    }
    return NULL;
}

/* --- life ------------------------------------------------------------------------------ */

static int parse_listen(const struct grpc_options *o, struct bus_url out[GRPC_MAX_LISTENERS],
                        struct fp_err *err)
{
    int n = 0;
    for (const char *at = o->listen;; at++) {
        struct bus_url one[BUS_MAX_URLS];
        char text[320];
        size_t bytes = strcspn(at, ",");
        if (n == GRPC_MAX_LISTENERS)
            return err_set(err, FP_INVALID_ARGUMENT, "%s: more than %d addresses", o->listen, n);
        snprintf(text, sizeof text, "%.*s", bytes < sizeof text ? (int)bytes : 0, at);
        if (bus_urls_parse(text, true, one, err) < 0)
            return -1;
        out[n++] = one[0];
        at += bytes;
        if (*at == '\0')
            return n;
    }
}

static int check(const struct grpc_options *o, struct bus_url urls[GRPC_MAX_LISTENERS], struct fp_err *err)
{
    int n = parse_listen(o, urls, err), tls = 0;
    for (int i = 0; i < n; i++)
        tls += urls[i].tls;
    if (n > 0 && tls > 0 && (o->cert_file[0] == '\0' || o->key_file[0] == '\0'))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "%s: tls+tcp:// needs a certificate and a key: grpc-cert-file, grpc-key-file",
                       o->listen);
    if (n > 0 && tls == 0 && (o->cert_file[0] != '\0' || o->client_ca_file[0] != '\0'))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "%s is plain although certificates are given: write tls+tcp://", o->listen);
    return n;
}

int grpc_check(const struct grpc_options *o, struct fp_err *err)
{
    struct bus_url urls[GRPC_MAX_LISTENERS];
    return check(o, urls, err) < 0 ? -1 : 0;
}

static int open_listener(const struct bus_url *u, int *port, struct fp_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *a = NULL;
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof bound;
    char service[8];
    int on = 1, fd = -1;
    int rc = getaddrinfo(u->host[0] != '\0' ? u->host : "0.0.0.0", u->port, &hints, &a);
    if (rc != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: %s", u->host, gai_strerror(rc));
    fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bytes) != 0) {
        err_set(err, FP_FAILED_PRECONDITION, "cannot listen on %s:%s: %s", u->host, u->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    } else if (getnameinfo((struct sockaddr *)&bound, bytes, NULL, 0, service, sizeof service,
                           NI_NUMERICSERV) == 0) {
        *port = (int)strtol(service, NULL, 10);
    }
    freeaddrinfo(a);
    return fd;
}

static int open_all(struct fp_grpc_server *s, struct fp_err *err)
{
    struct bus_url urls[GRPC_MAX_LISTENERS];
    int n = check(&s->o, urls, err);
    bool tls = false;
    for (int i = 0; i < n; i++) {
        s->listeners[i] = open_listener(&urls[i], &s->ports[i], err);
        if (s->listeners[i] < 0)
            return -1;
        s->n_listeners++;
        s->tls_at[i] = urls[i].tls;
        tls = tls || urls[i].tls;
    }
    if (n > 0 && tls && (s->tls = grpc_tls_new(&s->o, err)) == NULL)
        return -1;
    return n < 0 ? -1 : 0;
}

struct fp_grpc_server *grpc_server_start(const struct grpc_options *o, struct fp_err *err)
{
    struct fp_grpc_server *s = mem_alloc(sizeof *s);
    s->o = *o;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->next_us = GRPC_NEVER;
    TAILQ_INIT(&s->conns);
    TAILQ_INIT(&s->graves);
    TAILQ_INIT(&s->watches);
    TAILQ_INIT(&s->health);
    s->dispatch = (struct rpc_dispatch){.methods = o->methods,
                                        .n_methods = o->n_methods,
                                        .token = rpc_token_new(o->token_file, err),
                                        .identities = o->identities,
                                        .shared = o->shared,
                                        .ctx = o->ctx,
                                        .max_deadline_ms = o->max_deadline_ms,
                                        .calls_metric = "foliopost_grpc_calls_total",
                                        .seconds_metric = "foliopost_grpc_seconds"};
    if (s->dispatch.token == NULL || open_all(s, err) != 0) {
        grpc_server_stop(s);
        return NULL;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &e) != 0)
        fp_panic("epoll: %s", strerror(errno));
    watch_listeners(s, true);
    s->pool = grpc_pool_new(&s->dispatch, o->threads, o->first_worker, s->wake);
    endpoint_thread(&s->thread, loop, s);
    s->thread_runs = true;
    log_info("grpc", "listening", "listen=%s port=%d threads=%d tls=%s token=%s", o->listen, s->ports[0],
             o->threads, s->tls != NULL ? "yes" : "no", o->token_file[0] != '\0' ? "yes" : "no");
    return s;
}

int grpc_server_port(const struct fp_grpc_server *s, int listener)
{
    return listener >= 0 && listener < s->n_listeners ? s->ports[listener] : 0;
}

void grpc_server_drain(struct fp_grpc_server *s)
{
    atomic_store(&s->draining, true);
    (void)!write(s->wake, &(uint64_t){1}, sizeof(uint64_t));
}

bool grpc_server_drained(const struct fp_grpc_server *s)
{
    return atomic_load(&s->n_conns) == 0;
}

void grpc_server_stop(struct fp_grpc_server *s)
{
    struct grpc_conn *c;
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    (void)!write(s->wake, &(uint64_t){1}, sizeof(uint64_t));
    if (s->thread_runs)
        pthread_join(s->thread, NULL);
    while ((c = TAILQ_FIRST(&s->conns)) != NULL) {
        TAILQ_REMOVE(&s->conns, c, link);
        grpc_conn_free(c);
    }
    grpc_pool_free(s->pool);
    grpc_watches_free(s);
    for (int i = 0; i < s->n_listeners; i++)
        if (s->listeners[i] >= 0)
            close(s->listeners[i]);
    grpc_tls_free(s->tls);
    rpc_token_free(s->dispatch.token);
    close(s->wake);
    close(s->epoll);
    mem_free(s);
}
