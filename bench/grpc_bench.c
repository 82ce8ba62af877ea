/*
 * What the gRPC door does: calls a second on one connection, and watchers that
 * stay. script/bench-grpc runs it against a scheduler.
 *
 *   grpc_bench calls   PORT PATH JOB SECONDS IN_FLIGHT [JOBS]
 *   grpc_bench clients PORT PATH JOB SECONDS CONNECTIONS IN_FLIGHT
 *   grpc_bench offer   PORT PATH JOB SECONDS CONNECTIONS PER_S [JOBS]
 *   grpc_bench slow    PORT PATH JOB SECONDS CONNECTIONS IN_FLIGHT
 *   grpc_bench watch   PORT PATH JOB SECONDS CONNECTIONS STREAMS
 *
 * JOB 0 is an empty request; JOBS are so many ids in turn, from JOB on.
 *
 * `calls` prints calls a second and the latency of the median and of the 99th
 * of a hundred; `clients` the same of many connections, where who is answered
 * RESOURCE_EXHAUSTED calls again a little later; `watch` how many streams had
 * their first message, and stays.
 *
 * `offer` does not wait for answers: each call has its time, and its latency counts
 * from there, whatever the ones before it took. `slow` asks and reads a few bytes
 * of the answers every tenth of a second, and comes again when it is cut off.
 * script/load runs these two.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define MAX_SAMPLES 2000000
#define REFUSED     '8'   /* RESOURCE_EXHAUSTED */
#define LATER_US    20000 /* after such an answer */
#define NV(n, v)                                                                                             \
    {                                                                                                        \
        (uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, strlen(v), NGHTTP2_NV_FLAG_NONE                       \
    }

struct client {
    int fd;
    nghttp2_session *session;
    const char *path;
    uint8_t request[16];
    size_t request_bytes;
    int in_flight, wrong, refused, jobs;
    size_t n_done, n_first, max_samples;
    bool later; /* who is refused calls again later, and is not wrong */
    int64_t later_us;
    bool patient;        /* never waits for the kernel to take or to have something */
    int asked;           /* ids in turn */
    int32_t *latency_us; /* NULL: not wanted */
};

struct call {
    int64_t since_us;
    size_t sent;
    bool heard;
    char status; /* of one digit, else 0 */
};

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static ssize_t on_send(nghttp2_session *s, const uint8_t *data, size_t n, int flags, void *arg)
{
    struct client *c = arg;
    (void)s;
    (void)flags;
    ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL | (c->patient ? MSG_DONTWAIT : 0));
    if (sent < 0 && c->patient)
        return errno == EAGAIN ? NGHTTP2_ERR_WOULDBLOCK : NGHTTP2_ERR_CALLBACK_FAILURE;
    if (sent < 0)
        stop("send");
    return sent;
}

static ssize_t read_request(nghttp2_session *s, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                            nghttp2_data_source *source, void *arg)
{
    struct client *c = arg;
    (void)s;
    (void)cap;
    (void)source;
    memcpy(buf, c->request, c->request_bytes);
    if (c->jobs > 1)
        buf[6] = (uint8_t)(buf[6] + (c->patient ? c->asked++ : id / 2) % c->jobs);
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)c->request_bytes;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_bytes,
                     const uint8_t *value, size_t bytes, uint8_t flags, void *arg)
{
    struct call *call = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
    (void)flags;
    (void)arg;
    if (call != NULL && name_bytes == 11 && memcmp(name, "grpc-status", 11) == 0)
        call->status = bytes == 1 ? (char)value[0] : 0;
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *arg)
{
    struct client *c = arg;
    struct call *call = nghttp2_session_get_stream_user_data(s, id);
    (void)flags;
    (void)data;
    (void)n;
    if (!call->heard)
        c->n_first++;
    call->heard = true;
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *arg)
{
    struct client *c = arg;
    struct call *call = nghttp2_session_get_stream_user_data(s, id);
    (void)code;
    c->in_flight--;
    if (call->status == REFUSED && c->later) {
        c->refused++;
        c->later_us = clock_mono_us() + LATER_US;
    } else {
        if (c->n_done < c->max_samples)
            c->latency_us[c->n_done] = (int32_t)(clock_mono_us() - call->since_us);
        c->n_done++;
        c->wrong += call->status != '0';
    }
    mem_free(call);
    return 0;
}

static void open_client(struct client *c, int port, const char *path, int job)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    nghttp2_session_callbacks *cb;
    int on = 1;
    *c = (struct client){.path = path, .fd = socket(AF_INET, SOCK_STREAM, 0)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
        stop("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const uint8_t request[] = {0, 0, 0, 0, job != 0 ? 2 : 0, 1 << 3, (uint8_t)job};
    c->request_bytes = sizeof request - (job != 0 ? 0 : 2);
    memcpy(c->request, request, sizeof request);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_send_callback(cb, on_send);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_client_new(&c->session, cb, c);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static void submit_due(struct client *c, int64_t due_us)
{
    const nghttp2_nv nv[] = {NV(":method", "POST"),
                             NV(":scheme", "http"),
                             NV(":path", c->path),
                             NV(":authority", "localhost"),
                             NV("content-type", "application/grpc"),
                             NV("te", "trailers")};
    const nghttp2_data_provider body = {.read_callback = read_request};
    struct call *call = mem_alloc(sizeof *call);
    call->since_us = due_us;
    if (nghttp2_submit_request(c->session, NULL, nv, sizeof nv / sizeof nv[0], &body, call) < 0)
        stop("submit");
    c->in_flight++;
}

static void submit(struct client *c)
{
    submit_due(c, clock_mono_us());
}

/* Sends what is to be sent and reads once, when there is something within so many ms. */
static void turn(struct client *c, int ms)
{
    static uint8_t buf[65536];
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    nghttp2_session_send(c->session);
    if (poll(&p, 1, ms) <= 0)
        return;
    ssize_t n = recv(c->fd, buf, sizeof buf, 0);
    if (n <= 0 || nghttp2_session_mem_recv(c->session, buf, (size_t)n) < 0)
        stop("the connection ended");
    nghttp2_session_send(c->session);
}

static int by_latency(const void *a, const void *b)
{
    return *(const int32_t *)a < *(const int32_t *)b ? -1 : *(const int32_t *)a > *(const int32_t *)b;
}

static double ms_of(const int32_t *sorted, size_t n, size_t per_thousand)
{
    size_t at = n > 0 ? (n - 1) * per_thousand / 1000 : 0;
    return n > 0 ? sorted[at] / 1e3 : 0;
}

static int calls(char **argv)
{
    struct client c;
    int64_t since_us = clock_mono_us(), for_us = atoi(argv[5]) * FP_US_PER_S;
    open_client(&c, atoi(argv[2]), argv[3], atoi(argv[4]));
    c.jobs = argv[7] != NULL ? atoi(argv[7]) : 1;
    c.latency_us = mem_array(MAX_SAMPLES, sizeof *c.latency_us);
    c.max_samples = MAX_SAMPLES;
    while (clock_mono_us() - since_us < for_us) {
        while (c.in_flight < atoi(argv[6]))
            submit(&c);
        turn(&c, 1000);
    }
    double seconds = (double)(clock_mono_us() - since_us) / 1e6;
    size_t n = c.n_done < MAX_SAMPLES ? c.n_done : MAX_SAMPLES;
    qsort(c.latency_us, n, sizeof *c.latency_us, by_latency);
    printf("%s: %.0f calls/s, %s in flight, median %.2f ms, 99 of 100 within %.2f ms, %d wrong\n", argv[3],
           (double)c.n_done / seconds, argv[6], ms_of(c.latency_us, n, 500), ms_of(c.latency_us, n, 990),
           c.wrong);
    return c.wrong == 0 && n > 0 ? 0 : 1;
}

/* One wait for all of them, then everything that came is read. */
static void turn_all(struct client *c, struct pollfd *p, int n, int in_flight)
{
    int64_t now_us = clock_mono_us();
    for (int i = 0; i < n; i++) {
        while (c[i].in_flight < in_flight && c[i].later_us <= now_us)
            submit(&c[i]);
        nghttp2_session_send(c[i].session);
        p[i] = (struct pollfd){.fd = c[i].fd, .events = POLLIN};
    }
    (void)poll(p, (nfds_t)n, LATER_US / 1000);
    for (int i = 0; i < n; i++)
        if (p[i].revents != 0)
            turn(&c[i], 0);
}

/* All samples in one array, sorted; *n of them. */
static int32_t *gather(const struct client *c, int n_clients, size_t *n)
{
    int32_t *all = mem_array(MAX_SAMPLES, sizeof *all);
    *n = 0;
    for (int i = 0; i < n_clients; i++)
        for (size_t k = 0; k < c[i].n_done && k < c[i].max_samples; k++)
            all[(*n)++] = c[i].latency_us[k];
    qsort(all, *n, sizeof *all, by_latency);
    return all;
}

static int clients(char **argv)
{
    int n = atoi(argv[6]), in_flight = atoi(argv[7]), wrong = 0;
    struct client *c = mem_array((size_t)n, sizeof *c);
    struct pollfd *p = mem_array((size_t)n, sizeof *p);
    size_t samples, done = 0, refused = 0;
    for (int i = 0; i < n; i++) {
        open_client(&c[i], atoi(argv[2]), argv[3], atoi(argv[4]));
        c[i].later = true;
        c[i].max_samples = MAX_SAMPLES / (size_t)n;
        c[i].latency_us = mem_array(c[i].max_samples, sizeof *c[i].latency_us);
    }
    int64_t since_us = clock_mono_us(), until_us = since_us + atoi(argv[5]) * FP_US_PER_S;
    while (clock_mono_us() < until_us)
        turn_all(c, p, n, in_flight);
    double seconds = (double)(clock_mono_us() - since_us) / 1e6;
    for (int i = 0; i < n; i++) {
        done += c[i].n_done;
        refused += (size_t)c[i].refused;
        wrong += c[i].wrong;
    }
    int32_t *all = gather(c, n, &samples);
    printf(
        "%s: %.0f calls/s offered by %d clients, %.0f/s answered, %.0f/s refused, median %.2f ms, 99 of 100 within "
        "%.2f ms, %d wrong\n",
        argv[3], (double)(done + refused) / seconds, n, (double)done / seconds, (double)refused / seconds,
        ms_of(all, samples, 500), ms_of(all, samples, 990), wrong);
    return wrong == 0 && done > 0 ? 0 : 1;
}

static int watch(char **argv)
{
    int n = atoi(argv[6]), streams = atoi(argv[7]);
    struct client *c = mem_array((size_t)n, sizeof *c);
    size_t first = 0;
    for (int i = 0; i < n; i++) {
        open_client(&c[i], atoi(argv[2]), argv[3], atoi(argv[4]));
        for (int k = 0; k < streams; k++)
            submit(&c[i]);
    }
    int64_t until_us = clock_mono_us() + atoi(argv[5]) * FP_US_PER_S;
    while (clock_mono_us() < until_us)
        for (int i = 0; i < n; i++)
            turn(&c[i], 1);
    for (int i = 0; i < n; i++)
        first += c[i].n_first - c[i].n_done;
    printf("%s: %zu streams of %d connections have had a message and go on\n", argv[3], first, n);
    return first == (size_t)n * (size_t)streams ? 0 : 1;
}

/* --- an open loop: calls by the clock ------------------------------------------------------- */

#define GRACE_US (30 * FP_US_PER_S) /* for the answers to the last calls */

static bool take(struct client *c)
{
    static uint8_t buf[65536];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return true;
    return n > 0 && nghttp2_session_mem_recv(c->session, buf, (size_t)n) >= 0;
}

/* What is to be sent is sent as far as the kernel takes it; what came is read. */
static void exchange(struct client *c, struct pollfd *p, int n, int ms)
{
    for (int i = 0; i < n; i++) {
        if (nghttp2_session_send(c[i].session) != 0)
            stop("send");
        p[i] = (struct pollfd){.fd = c[i].fd,
                               .events = POLLIN | (nghttp2_session_want_write(c[i].session) ? POLLOUT : 0)};
    }
    (void)poll(p, (nfds_t)n, ms);
    for (int i = 0; i < n; i++)
        if ((p[i].revents & ~POLLOUT) != 0 && !take(&c[i]))
            stop("the connection ended");
}

/* Call number k is due k / per_s after the start, at the next client. Returns how late the
 * latest one was given to its connection: this program's own fault. */
static int64_t offer_calls(struct client *c, struct pollfd *p, int n, double per_s, int64_t for_us)
{
    int64_t since_us = clock_mono_us(), latest_us = 0;
    size_t total = (size_t)(per_s * (double)for_us / FP_US_PER_S), in_flight = 1;
    for (size_t k = 0; k < total || (in_flight > 0 && clock_mono_us() < since_us + for_us + GRACE_US);) {
        int64_t now_us = clock_mono_us(), due_us;
        while (k < total && (due_us = since_us + (int64_t)((double)k * 1e6 / per_s)) <= now_us) {
            submit_due(&c[k++ % (size_t)n], due_us);
            latest_us = now_us - due_us > latest_us ? now_us - due_us : latest_us;
        }
        exchange(c, p, n, 1);
        in_flight = 0;
        for (int i = 0; i < n; i++)
            in_flight += (size_t)c[i].in_flight;
    }
    return latest_us;
}

static int offer(char **argv)
{
    int n = atoi(argv[6]), wrong = 0;
    double per_s = atof(argv[7]);
    struct client *c = mem_array((size_t)n, sizeof *c);
    struct pollfd *p = mem_array((size_t)n, sizeof *p);
    size_t samples, done = 0, refused = 0, unanswered = 0;
    for (int i = 0; i < n; i++) {
        open_client(&c[i], atoi(argv[2]), argv[3], atoi(argv[4]));
        c[i].later = c[i].patient = true;
        c[i].jobs = argv[8] != NULL ? atoi(argv[8]) : 1;
        c[i].asked = i;
        c[i].max_samples = MAX_SAMPLES / (size_t)n;
        c[i].latency_us = mem_array(c[i].max_samples, sizeof *c[i].latency_us);
    }
    int64_t for_us = atoi(argv[5]) * FP_US_PER_S, latest_us = offer_calls(c, p, n, per_s, for_us);
    for (int i = 0; i < n; i++) {
        done += c[i].n_done;
        refused += (size_t)c[i].refused;
        unanswered += (size_t)c[i].in_flight;
        wrong += c[i].wrong;
    }
    int32_t *all = gather(c, n, &samples);
    printf(
        "%s: %zu calls offered by %d clients, %.0f a second: %zu OK, %zu RESOURCE_EXHAUSTED, %d other, %zu "
        "unanswered; from its time on: median %.2f ms, 99 of 100 within %.2f ms, 999 of 1,000 within %.2f ms, "
        "at most %.2f ms; offered at most %.1f ms late\n",
        argv[3], done + refused + unanswered, n, (double)(done + refused + unanswered) * 1e6 / (double)for_us,
        done - (size_t)wrong, refused, wrong, unanswered, ms_of(all, samples, 500), ms_of(all, samples, 990),
        ms_of(all, samples, 999), ms_of(all, samples, 1000), (double)latest_us / 1e3);
    return wrong == 0 && unanswered == 0 && done > 0 ? 0 : 1;
}

/* --- slow readers -------------------------------------------------------------------------- */

#define SLOW_READ_BYTES 16
#define SLOW_EVERY_MS   100

/* False when it was cut off. */
static bool slow_turn(struct client *c, int in_flight)
{
    uint8_t buf[SLOW_READ_BYTES];
    while (c->in_flight < in_flight)
        submit(c);
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN) ||
        (n > 0 && nghttp2_session_mem_recv(c->session, buf, (size_t)n) < 0))
        return false;
    return nghttp2_session_send(c->session) == 0;
}

static int slow(char **argv)
{
    int n = atoi(argv[6]), cut = 0;
    struct client *c = mem_array((size_t)n, sizeof *c);
    int64_t until_us = clock_mono_us() + atoi(argv[5]) * FP_US_PER_S;
    for (int i = 0; i < n; i++)
        c[i].fd = -1;
    while (clock_mono_us() < until_us) {
        for (int i = 0; i < n; i++) {
            if (c[i].fd < 0) {
                open_client(&c[i], atoi(argv[2]), argv[3], atoi(argv[4]));
                c[i].patient = c[i].later = true;
            }
            if (!slow_turn(&c[i], atoi(argv[7]))) {
                nghttp2_session_del(c[i].session);
                close(c[i].fd);
                c[i].fd = -1;
                cut++;
            }
        }
        (void)poll(NULL, 0, SLOW_EVERY_MS);
    }
    printf("%s: %d clients asked for %s at once and read %d bytes a second; they were cut off %d times\n",
           argv[3], n, argv[7], SLOW_READ_BYTES * 1000 / SLOW_EVERY_MS, cut);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 7 || argc == 8) && strcmp(argv[1], "calls") == 0)
        return calls(argv);
    if (argc == 8 && strcmp(argv[1], "clients") == 0 && atoi(argv[6]) > 0)
        return clients(argv);
    if ((argc == 8 || argc == 9) && strcmp(argv[1], "offer") == 0 && atoi(argv[6]) > 0 && atof(argv[7]) > 0)
        return offer(argv);
    if (argc == 8 && strcmp(argv[1], "slow") == 0)
        return slow(argv);
    if (argc == 8 && strcmp(argv[1], "watch") == 0)
        return watch(argv);
    fputs("grpc_bench calls PORT PATH JOB SECONDS IN_FLIGHT [JOBS]\n"
          "           clients|slow|watch PORT PATH JOB SECONDS CONNECTIONS IN_FLIGHT\n"
          "           offer PORT PATH JOB SECONDS CONNECTIONS PER_S [JOBS]\n",
          stderr);
    return 2;
}
