/*
 * NNG does not give out its sockets, so they are found among this process's
 * descriptors by both of their addresses, anew in each pass: a descriptor that
 * was kept could be somebody else's by then.
 *
 * Three things are done with one. Keepalive, which NNG only switches on, gets
 * times of seconds: enough for a connection on which nothing is under way.
 * Where something is, keepalive is silent, and the kernel is asked how long
 * nothing was acknowledged. TCP_USER_TIMEOUT would do both, but it also ends
 * connections to peers that are alive with a full window. And the sending half
 * of a connection is closed when its puller leaves, which NNG cannot either.
 */
#include "lib/bus/watch.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/bus/endpoint.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define PASS_S 5
/* Twice a lease: by then the ledger has taken a dead mailer's batches back. */
#define DEAD_MS     20000
#define IDLE_S      10 /* then a probe each PROBE_S; so many unanswered end it: 20 s too */
#define PROBE_S     5
#define PROBES      2
#define MAX_PIPES   4096
#define MAX_ENDED   64 /* in one pass; more wait for the next */
#define UNANSWERED  2  /* a probe of a full window may just be on its way */
#define MAX_LEAVING 64 /* sockets; a process has one or two that pull */

struct side {
    int family;
    uint16_t port; /* as on the wire */
    uint8_t address[16];
};

struct watched {
    nng_pipe pipe;
    int socket;
    struct side local, remote;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t added = PTHREAD_COND_INITIALIZER;
static struct watched *pipes;
static size_t n_pipes;
static int leaving[MAX_LEAVING];
static size_t n_leaving;
static bool started, fresh;

/* --- addresses ------------------------------------------------------------------------- */

static bool side_of_pipe(nng_pipe pipe, const char *option, struct side *out)
{
    nng_sockaddr a;
    memset(out, 0, sizeof *out);
    if (nng_pipe_get_addr(pipe, option, &a) != 0)
        return false;
    if (a.s_family == NNG_AF_INET) {
        out->family = AF_INET;
        out->port = a.s_in.sa_port;
        memcpy(out->address, &a.s_in.sa_addr, 4);
    } else if (a.s_family == NNG_AF_INET6) {
        out->family = AF_INET6;
        out->port = a.s_in6.sa_port;
        memcpy(out->address, a.s_in6.sa_addr, 16);
    }
    return out->family != 0;
}

typedef int name_fn(int fd, struct sockaddr *addr, socklen_t *len);

static bool side_of_fd(int fd, name_fn *name, struct side *out)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage room;
    } a;
    socklen_t len = sizeof a;
    memset(out, 0, sizeof *out);
    if (name(fd, &a.any, &len) != 0)
        return false;
    if (a.any.sa_family == AF_INET) {
        out->port = a.in.sin_port;
        memcpy(out->address, &a.in.sin_addr, 4);
    } else if (a.any.sa_family == AF_INET6) {
        out->port = a.in6.sin6_port;
        memcpy(out->address, &a.in6.sin6_addr, 16);
    } else {
        return false;
    }
    out->family = a.any.sa_family;
    return true;
}

static bool same_side(const struct side *a, const struct side *b)
{
    return a->family == b->family && a->port == b->port &&
           memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* --- a pass ------------------------------------------------------------------------------ */

/* Under the lock. */
static const struct watched *find(int fd)
{
    struct side local, remote;
    if (!side_of_fd(fd, getpeername, &remote) || !side_of_fd(fd, getsockname, &local))
        return NULL;
    for (size_t i = 0; i < n_pipes; i++)
        if (same_side(&pipes[i].remote, &remote) && same_side(&pipes[i].local, &local))
            return &pipes[i];
    return NULL;
}

static void set(int fd, int option, int value)
{
    (void)setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

static void probe_soon(int fd)
{
    set(fd, TCP_KEEPIDLE, IDLE_S);
    set(fd, TCP_KEEPINTVL, PROBE_S);
    set(fd, TCP_KEEPCNT, PROBES);
}

/* Under the lock. */
static bool leaves(const struct watched *w)
{
    for (size_t i = 0; i < n_leaving; i++)
        if (leaving[i] == w->socket)
            return true;
    return false;
}

bool watch_is_dead(const struct tcp_info *info)
{
    if (info->tcpi_state != TCP_ESTABLISHED || info->tcpi_last_ack_recv < DEAD_MS)
        return false;
    return info->tcpi_retransmits > 0 || info->tcpi_probes >= UNANSWERED;
}

static bool is_dead(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && watch_is_dead(&info);
}

/* Under the lock. */
static size_t look(DIR *fds, nng_pipe *dead)
{
    size_t n = 0;
    struct dirent *e;
    while (n < MAX_ENDED && (e = readdir(fds)) != NULL) {
        int fd = (int)strtol(e->d_name, NULL, 10); /* "." is 0: no connection of ours */
        const struct watched *w = find(fd);
        if (w == NULL)
            continue;
        probe_soon(fd);
        if (leaves(w))
            (void)shutdown(fd, SHUT_WR); /* again in each pass: it changes nothing */
        if (is_dead(fd))
            dead[n++] = w->pipe;
    }
    return n;
}

static void pass(void)
{
    nng_pipe dead[MAX_ENDED];
    DIR *fds = opendir("/proc/self/fd");
    if (fds == NULL)
        return;
    pthread_mutex_lock(&lock);
    size_t n = n_pipes > 0 ? look(fds, dead) : 0;
    pthread_mutex_unlock(&lock);
    closedir(fds);
    for (size_t i = 0; i < n; i++) { /* without the lock: it ends in watch_remove() */
        log_warn("", "peer is dead", "nothing was acknowledged for %d s: disconnecting", DEAD_MS / 1000);
        metrics_add("foliopost_bus_dead_peers_total", "", 1);
        nng_pipe_close(dead[i]);
    }
}

static void *watch(void *arg)
{
    (void)arg;
    for (;;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until); /* a clock that is set costs one pass more or less */
        until.tv_sec += PASS_S;
        pthread_mutex_lock(&lock);
        while (!fresh && pthread_cond_timedwait(&added, &lock, &until) == 0)
            ;
        fresh = false;
        pthread_mutex_unlock(&lock);
        pass();
    }
    return NULL;
}

/* --- the table --------------------------------------------------------------------------- */

void watch_add(nng_pipe pipe)
{
    struct watched w = {.pipe = pipe, .socket = nng_socket_id(nng_pipe_socket(pipe))};
    if (!side_of_pipe(pipe, NNG_OPT_LOCADDR, &w.local) || !side_of_pipe(pipe, NNG_OPT_REMADDR, &w.remote))
        return;
    pthread_mutex_lock(&lock);
    if (!started) {
        pthread_t thread;
        started = true;
        metrics_add("foliopost_bus_dead_peers_total", "", 0);
        endpoint_thread(&thread, watch, NULL);
        pthread_detach(thread);
    }
    if (n_pipes < MAX_PIPES) {
        pipes = mem_resize(pipes, n_pipes + 1, sizeof *pipes);
        pipes[n_pipes++] = w;
    }
    fresh = true;
    pthread_cond_signal(&added);
    pthread_mutex_unlock(&lock);
}

void watch_leave(nng_socket socket)
{
    pthread_mutex_lock(&lock);
    if (n_leaving < MAX_LEAVING)
        leaving[n_leaving++] = nng_socket_id(socket);
    fresh = true;
    pthread_cond_signal(&added);
    pthread_mutex_unlock(&lock);
}

void watch_remove(nng_pipe pipe)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_pipes; i++)
        if (nng_pipe_id(pipes[i].pipe) == nng_pipe_id(pipe)) {
            pipes[i] = pipes[--n_pipes];
            break;
        }
    pthread_mutex_unlock(&lock);
}
