/*
 * Dialers for every address of a list of names.
 *
 * The table of peers is changed by the resolver thread and by close, under
 * the lock; NNG's pipe callbacks count connections under the same lock, so no
 * NNG call that waits for callbacks (dialer start, dialer close) is made while
 * holding it. A getaddrinfo() that hangs holds nobody up: close does not wait
 * for the thread, which finds the flag when the resolver lets it go.
 *
 * NNG has no connect time limit: a dialer to a vanished address waits for the
 * kernel (about two minutes), which costs nothing but its slot.
 */
#include "lib/bus/dialers.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/bus/watch.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define MAX_PEERS        256 /* addresses in all; a headless Service of more pods is cut, and said */
#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 2000 /* NNG waits a random part of it: a restarted peer is back within 2 s */
#define LEAVE_LOOK_MS    1000

struct peer {
    bool used;
    bool listed; /* found by the present pass of the resolver */
    nng_dialer dialer;
    int pipes;
    char url[96];
};

struct fp_dialers {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    nng_socket socket;
    char label[32];
    char metric[64];
    int resolve_every_ms;
    bool stop;
    bool leaving;
    int up;
    bool were_up;
    struct endpoint_pipes pipes;
    long long said_us; /* log_limited */
    int n_urls;
    struct bus_url urls[BUS_MAX_URLS];
    nng_tls_config *tls[BUS_MAX_URLS]; /* the server's name differs */
    struct peer peers[MAX_PEERS];
};

/* --- NNG's callbacks ------------------------------------------------------------ */

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct fp_dialers *d = arg;
    int id = nng_dialer_id(nng_pipe_dialer(pipe));
    pthread_mutex_lock(&d->lock);
    int step = endpoint_pipe_event(&d->pipes, pipe, event);
    for (int i = 0; step != 0 && i < MAX_PEERS; i++)
        if (d->peers[i].used && nng_dialer_id(d->peers[i].dialer) == id)
            d->peers[i].pipes += step;
    int up = d->up += step;
    d->were_up = d->were_up || up > 0;
    metrics_set("foliopost_bus_peers", d->metric, up);
    pthread_cond_broadcast(&d->changed);
    bool refuse = d->leaving && event == NNG_PIPE_EV_ADD_PRE;
    pthread_mutex_unlock(&d->lock);
    if (refuse)
        nng_pipe_close(pipe);
    if (step != 0)
        log_info(d->label, step > 0 ? "connected" : "disconnected", "peers=%d", up);
}

/* --- the resolver's pass ---------------------------------------------------------- */

static struct peer *find_peer(struct fp_dialers *d, const char *url)
{
    for (int i = 0; i < MAX_PEERS; i++)
        if (d->peers[i].used && strcmp(d->peers[i].url, url) == 0)
            return &d->peers[i];
    return NULL;
}

static int make_dialer(struct fp_dialers *d, int name, const char *url, nng_dialer *out)
{
    int rv = nng_dialer_create(out, d->socket, url);
    if (rv == 0 && d->tls[name] != NULL)
        rv = nng_dialer_set_ptr(*out, NNG_OPT_TLS_CONFIG, d->tls[name]);
    if (rv == 0)
        rv = nng_dialer_set_bool(*out, NNG_OPT_TCP_KEEPALIVE, true);
    if (rv == 0)
        rv = nng_dialer_set_ms(*out, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    if (rv == 0)
        rv = nng_dialer_set_ms(*out, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    return rv;
}

/* Under the lock. Returns the new peer, or NULL. */
static struct peer *add_peer(struct fp_dialers *d, int name, const char *url)
{
    for (int i = 0; i < MAX_PEERS; i++) {
        struct peer *p = &d->peers[i];
        if (p->used)
            continue;
        int rv = make_dialer(d, name, url, &p->dialer);
        if (rv != 0) {
            log_warn(d->label, "cannot dial", "address=%s error=%s", url, nng_strerror(rv));
            return NULL;
        }
        *p = (struct peer){.used = true, .listed = true, .dialer = p->dialer};
        snprintf(p->url, sizeof p->url, "%s", url);
        return p;
    }
    if (log_limited(&d->said_us, 60000))
        log_warn(d->label, "too many peers", "address=%s ignored, at most %d are dialed", url, MAX_PEERS);
    return NULL;
}

static void see_address(struct fp_dialers *d, int name, const char *host)
{
    char url[96];
    nng_dialer dialer = NNG_DIALER_INITIALIZER;
    bool start = false;
    bus_url_format(&d->urls[name], host, url, sizeof url);
    pthread_mutex_lock(&d->lock);
    struct peer *p = find_peer(d, url);
    if (p != NULL) {
        p->listed = true;
    } else if (!d->stop && (p = add_peer(d, name, url)) != NULL) {
        dialer = p->dialer;
        start = true;
    }
    pthread_mutex_unlock(&d->lock);
    if (start) {
        log_info(d->label, "dialing", "address=%s", url);
        int rv = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
        if (rv != 0 && rv != NNG_ECLOSED && rv != NNG_ENOENT)
            log_warn(d->label, "cannot dial", "address=%s error=%s", url, nng_strerror(rv));
    }
}

/* The name says nothing now: keep what came from it. */
static void keep_all(struct fp_dialers *d)
{
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < MAX_PEERS; i++)
        d->peers[i].listed = true;
    pthread_mutex_unlock(&d->lock);
}

static void resolve_name(struct fp_dialers *d, int name)
{
    const struct bus_url *u = &d->urls[name];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(u->host, u->port, &hints, &list);
    if (rc == 0) {
        for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
            char host[64];
            if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0)
                see_address(d, name, host);
        }
        freeaddrinfo(list);
        return;
    }
    /* A headless Service without a ready pod is EAI_NONAME: an answer, not a fault. */
    if (rc != EAI_NONAME)
        keep_all(d);
    if (log_limited(&d->said_us, 60000))
        log_warn(d->label, "cannot resolve", "name=%s reason=%s", u->host, gai_strerror(rc));
}

static void drop_unlisted(struct fp_dialers *d)
{
    for (int i = 0; i < MAX_PEERS; i++) {
        struct peer *p = &d->peers[i];
        char url[96];
        pthread_mutex_lock(&d->lock);
        bool drop = p->used && !p->listed && p->pipes == 0 && !d->stop;
        nng_dialer dialer = p->dialer;
        memcpy(url, p->url, sizeof url);
        if (drop)
            p->used = false;
        pthread_mutex_unlock(&d->lock);
        if (drop) {
            log_info(d->label, "dropped", "address=%s reason=gone from its name", url);
            nng_dialer_close(dialer);
        }
    }
}

static void resolve_all(struct fp_dialers *d)
{
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < MAX_PEERS; i++)
        d->peers[i].listed = false;
    pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < d->n_urls; i++)
        resolve_name(d, i);
    drop_unlisted(d);
}

/* Waits for a change, under the lock; false when until_us has passed. */
static bool wait_until(struct fp_dialers *d, int64_t until_us)
{
    struct timespec t = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = until_us % FP_US_PER_S * 1000};
    return pthread_cond_timedwait(&d->changed, &d->lock, &t) == 0;
}

static void *resolver(void *arg)
{
    struct fp_dialers *d = arg;
    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        pthread_mutex_unlock(&d->lock);
        resolve_all(d);
        pthread_mutex_lock(&d->lock);
        int64_t next_us = clock_mono_us() + d->resolve_every_ms * INT64_C(1000);
        while (!d->stop && wait_until(d, next_us))
            ;
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* --- life ---------------------------------------------------------------------------- */

static void free_tls(struct fp_dialers *d)
{
    for (int i = 0; i < d->n_urls; i++)
        if (d->tls[i] != NULL)
            nng_tls_config_free(d->tls[i]);
}

static void init_lock(struct fp_dialers *d)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&d->lock, NULL);
}

struct fp_dialers *dialers_open(nng_socket s, const char *label, const char *urls, const struct bus_tls *tls,
                                int resolve_every_ms, struct fp_err *err)
{
    struct fp_dialers *d = mem_alloc(sizeof *d);
    int n = bus_urls_parse(urls, false, d->urls, err);
    if (n < 0)
        goto fail;
    for (; d->n_urls < n; d->n_urls++) {
        if (endpoint_tls(&d->urls[d->n_urls], tls, false, &d->tls[d->n_urls], err) != 0)
            goto fail;
        if (d->tls[d->n_urls] == NULL && !bus_url_is_loopback(&d->urls[d->n_urls]))
            log_info(label, "plain", "host=%s: neither encrypted nor authenticated", d->urls[d->n_urls].host);
    }
    init_lock(d);
    d->socket = s;
    d->resolve_every_ms = resolve_every_ms > 0 ? resolve_every_ms : 1;
    snprintf(d->label, sizeof d->label, "pipe=%s", label);
    snprintf(d->metric, sizeof d->metric, "pipe=\"%s\"", label);
    metrics_set("foliopost_bus_peers", d->metric, 0);
    endpoint_notify(s, on_pipe, d);
    endpoint_keep(d);
    pthread_t thread;
    endpoint_thread(&thread, resolver, d);
    pthread_detach(thread);
    return d;
fail:
    free_tls(d);
    mem_free(d);
    return NULL;
}

static void stop_resolver(struct fp_dialers *d, bool leaving)
{
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    d->leaving = leaving;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

static bool has_peers(const struct fp_dialers *d)
{
    for (int i = 0; i < MAX_PEERS; i++)
        if (d->peers[i].used)
            return true;
    return false;
}

/* Under the lock, which it lets go meanwhile. True when there was one. */
static bool close_idle(struct fp_dialers *d)
{
    for (int i = 0; i < MAX_PEERS; i++) {
        struct peer *p = &d->peers[i];
        if (!p->used || p->pipes > 0)
            continue;
        nng_dialer dialer = p->dialer;
        p->used = false;
        pthread_mutex_unlock(&d->lock);
        nng_dialer_close(dialer);
        pthread_mutex_lock(&d->lock);
        return true;
    }
    return false;
}

/* A dialer tries again as soon as its connection is gone, and NNG 1.5 takes its
 * waiting times for less than nothing half of the time: it is closed at once. */
static void *leave(void *arg)
{
    struct fp_dialers *d = arg;
    pthread_mutex_lock(&d->lock);
    while (d->leaving && (d->up > 0 || has_peers(d)))
        if (!close_idle(d))
            (void)wait_until(d, clock_mono_us() + LEAVE_LOOK_MS * 1000);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

void dialers_leave(struct fp_dialers *d)
{
    pthread_t thread;
    stop_resolver(d, true);
    watch_leave(d->socket);
    endpoint_thread(&thread, leave, d);
    pthread_detach(thread);
}

void dialers_close(struct fp_dialers *d)
{
    stop_resolver(d, false);
    for (int i = 0; i < MAX_PEERS; i++) {
        pthread_mutex_lock(&d->lock);
        bool used = d->peers[i].used;
        nng_dialer dialer = d->peers[i].dialer;
        d->peers[i].used = false;
        pthread_mutex_unlock(&d->lock);
        if (used)
            nng_dialer_close(dialer);
    }
}

int dialers_up(struct fp_dialers *d)
{
    pthread_mutex_lock(&d->lock);
    int up = d->up;
    pthread_mutex_unlock(&d->lock);
    return up;
}

bool dialers_were_up(struct fp_dialers *d)
{
    pthread_mutex_lock(&d->lock);
    bool were = d->were_up;
    pthread_mutex_unlock(&d->lock);
    return were;
}

int dialers_addresses(struct fp_dialers *d)
{
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < MAX_PEERS; i++)
        n += d->peers[i].used;
    pthread_mutex_unlock(&d->lock);
    return n;
}

bool dialers_wait(struct fp_dialers *d, int timeout_ms)
{
    int64_t until_us = clock_mono_us() + timeout_ms * INT64_C(1000);
    pthread_mutex_lock(&d->lock);
    while (d->up == 0 && wait_until(d, until_us))
        ;
    bool up = d->up > 0;
    pthread_mutex_unlock(&d->lock);
    return up;
}
