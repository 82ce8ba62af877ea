/*
 * The HTTP server. Everything a stranger can make long has an end:
 *
 *   a connection      one request, then it is closed; 30 s in all, 10 s of silence
 *   a request's head  32 kB
 *   a body            what its route says; a longer one is refused unread where
 *                     it says its length, cut off where it does not
 *   connections       512
 *
 * libmicrohttpd has a limit for silence only, so a client that sends a byte
 * now and then is ended by door_tick(), by its socket, which is in the table
 * from the connection's begin to its end. There is no limit for one address:
 * behind an ingress all come from the same.
 *
 * HEAD is refused everywhere, GET has no effect anywhere: scanners of mail
 * follow links.
 */
#include "services/mailer/inbound/door.h"

#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/http/http.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define MAX_CONNECTIONS   512
#define SILENCE_S         10
#define CONNECTION_MAX_US (30 * FP_US_PER_S)
#define HEAD_BYTES        ((size_t)32 * 1024)
#define ONE_CLICK_BYTES   4096      /* the fixed form field, and what else a client likes to send */
#define WEBHOOK_BYTES     (1 << 20) /* SNS: 256 kB; SendGrid's batches: below 768 kB */
#define ANSWER_BYTES      (64 * 1024)

static const struct route {
    const char *path; /* one that ends in a slash takes what follows */
    bool get;
    size_t max_bytes;
    void (*answer)(const struct request *q, struct answer *a);
} routes[] = {
    {"/u/", true, ONE_CLICK_BYTES, unsubscribe_answer},
    {"/ses", false, WEBHOOK_BYTES, ses_answer},
    {"/sendgrid", false, WEBHOOK_BYTES, sendgrid_answer},
};

struct slot {
    int fd; /* -1: free */
    int64_t began_us;
};

struct door {
    struct inbound *in;
    const struct inbound_settings *set;
    struct token_keys *keys;
    struct MHD_Daemon *daemon;
    int port;
    pthread_mutex_t lock;
    struct slot slots[MAX_CONNECTIONS + 1];
};

struct state { /* of one request */
    const struct route *route;
    const char *path;
    bool post;
    struct fp_str body;
};

/* --- answers ------------------------------------------------------------------------- */

void answer_text(struct answer *a, unsigned status, const char *what, const char *text)
{
    char label[96];
    a->status = status;
    a->type = "text/plain; charset=utf-8";
    str_clear(&a->body);
    str_puts(&a->body, text);
    snprintf(label, sizeof label, "what=\"%s\"", what);
    metrics_add("foliopost_inbound_total", label, 1);
}

void answer_unstored(struct answer *a, const char *door, const struct fp_err *err)
{
    static long long said_us;
    answer_text(a, MHD_HTTP_SERVICE_UNAVAILABLE, "unavailable", "not now: try again\n");
    if (log_limited(&said_us, 10000))
        log_warn("", "request not served", "door=%s code=%s reason=%s", door, err_code_name(err->code),
                 err->msg);
}

void answer_error(struct answer *a, const char *door, const struct fp_err *err)
{
    switch (err->code) {
    case FP_UNAVAILABLE:
    case FP_DEADLINE_EXCEEDED:
    case FP_ABORTED:
    case FP_INTERNAL:
    case FP_FAILED_PRECONDITION:
        answer_unstored(a, door, err);
        return;
    case FP_PERMISSION_DENIED:
    case FP_NOT_FOUND:
        answer_text(a, MHD_HTTP_FORBIDDEN, "forged", "not signed by us\n");
        return;
    default:
        answer_text(a, MHD_HTTP_BAD_REQUEST, "bad", "not understood\n");
    }
}

static enum MHD_Result send_answer(struct MHD_Connection *c, const struct answer *a)
{
    static const char *const headers[][2] = {
        {"Cache-Control", "no-store"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Robots-Tag", "noindex"},
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"},
        {"Connection", "close"},
    };
    struct MHD_Response *r =
        MHD_create_response_from_buffer(a->body.len, a->body.data, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", a->type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        MHD_add_response_header(r, headers[i][0], headers[i][1]);
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, "Allow", "POST");
    if (a->status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(r, "Retry-After", "60");
    enum MHD_Result queued = MHD_queue_response(c, a->status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *what, const char *text)
{
    struct answer a = {0};
    str_init(&a.body, ANSWER_BYTES);
    answer_text(&a, status, what, text);
    enum MHD_Result queued = send_answer(c, &a);
    str_fini(&a.body);
    return queued;
}

/* --- a request -------------------------------------------------------------------------- */

static const struct route *find_route(const char *url, const char **rest)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t n = strlen(routes[i].path);
        bool prefix = routes[i].path[n - 1] == '/';
        if (strncmp(url, routes[i].path, n) != 0 || (!prefix && url[n] != '\0'))
            continue;
        *rest = url + n;
        return &routes[i];
    }
    return NULL;
}

/* By what the head says: a body that is too long is not read. */
static bool says_too_long(struct MHD_Connection *c, size_t max_bytes)
{
    const char *text = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return text != NULL && strtoull(text, NULL, 10) > max_bytes;
}

/* The head is there, the body not yet. */
static enum MHD_Result begin(struct MHD_Connection *c, const char *url, const char *method,
                             void **request_state)
{
    const char *rest;
    const struct route *route = find_route(url, &rest);
    if (!route)
        return refuse(c, MHD_HTTP_NOT_FOUND, "unknown_path", "nothing here\n");
    bool post = strcmp(method, "POST") == 0;
    if (!post && !(route->get && strcmp(method, "GET") == 0))
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "method", "POST only\n");
    if (says_too_long(c, route->max_bytes))
        return refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, "too_large", "too large\n");
    struct state *s = mem_alloc(sizeof *s);
    s->route = route;
    s->path = rest; /* of the library, as long as the request */
    s->post = post;
    str_init(&s->body, route->max_bytes);
    *request_state = s;
    return MHD_YES;
}

static const char *header_of(void *ctx, const char *name)
{
    return MHD_lookup_connection_value(ctx, MHD_HEADER_KIND, name);
}

static enum MHD_Result finish(struct door *d, struct MHD_Connection *c, const struct state *s)
{
    struct answer a = {0};
    const struct request q = {.in = d->in,
                              .set = d->set,
                              .keys = d->keys,
                              .path = s->path,
                              .is_post = s->post,
                              .body = s->body.data,
                              .bytes = s->body.len,
                              .header = header_of,
                              .ctx = c};
    str_init(&a.body, ANSWER_BYTES);
    s->route->answer(&q, &a);
    enum MHD_Result queued = send_answer(c, &a);
    str_fini(&a.body);
    return queued;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes,
                                  void **request_state)
{
    struct state *s = *request_state;
    (void)version;
    if (!s)
        return begin(c, url, method, request_state);
    if (*upload_bytes == 0) {
        s->path = url + strlen(s->route->path);
        return finish(ctx, c, s);
    }
    str_add(&s->body, upload, *upload_bytes);
    *upload_bytes = 0;
    if (!s->body.overflow)
        return MHD_YES;
    metrics_add("foliopost_inbound_total", "what=\"too_large\"", 1);
    return MHD_NO; /* the connection is cut */
}

static void on_end(void *ctx, struct MHD_Connection *c, void **request_state,
                   enum MHD_RequestTerminationCode why)
{
    struct state *s = *request_state;
    (void)ctx;
    (void)c;
    (void)why;
    if (!s)
        return;
    str_fini(&s->body);
    mem_free(s);
    *request_state = NULL;
}

/* --- connections ---------------------------------------------------------------------------- */

static void on_connection(void *ctx, struct MHD_Connection *c, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode what)
{
    struct door *d = ctx;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    pthread_mutex_lock(&d->lock);
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_ctx)
            ((struct slot *)*socket_ctx)->fd = -1;
    } else if (info) {
        for (struct slot *s = d->slots; s < d->slots + MAX_CONNECTIONS + 1; s++) {
            if (s->fd >= 0)
                continue;
            *s = (struct slot){.fd = info->connect_fd, .began_us = clock_mono_us()};
            *socket_ctx = s;
            break;
        }
    }
    pthread_mutex_unlock(&d->lock);
}

void door_tick(struct door *d)
{
    int64_t now_us = clock_mono_us();
    pthread_mutex_lock(&d->lock);
    for (struct slot *s = d->slots; s < d->slots + MAX_CONNECTIONS + 1; s++) {
        if (s->fd < 0 || now_us < s->began_us + CONNECTION_MAX_US)
            continue;
        (void)shutdown(s->fd, SHUT_RDWR); /* the library closes it */
        metrics_add("foliopost_inbound_total", "what=\"too_slow\"", 1);
        s->began_us = INT64_MAX - CONNECTION_MAX_US;
    }
    pthread_mutex_unlock(&d->lock);
    metrics_set("foliopost_inbound_connections", "", door_open_now(d));
}

int door_open_now(struct door *d)
{
    int n = 0;
    pthread_mutex_lock(&d->lock);
    for (struct slot *s = d->slots; s < d->slots + MAX_CONNECTIONS + 1; s++)
        n += s->fd >= 0;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* --- life -------------------------------------------------------------------------------------- */

static void on_log(void *ctx, const char *fmt, va_list ap)
{
    (void)ctx; /* what the library says is about peers */
    (void)fmt;
    (void)ap;
}

/* The first address of HOST:PORT, bound. -1 with *err. */
static int bind_socket(const char *text, struct fp_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char host[256], service[8];
    int port, on = 1;
    if (!http_split_address(text, host, sizeof host, &port))
        return err_set(err, FP_INVALID_ARGUMENT, "listen: \"%s\" is not HOST:PORT, [V6]:PORT or :PORT", text);
    snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(host[0] ? host : "0.0.0.0", service, &hints, &found);
    if (rc != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "listen: %s: %s", text, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, MAX_CONNECTIONS) < 0) {
        (void)err_set(err, FP_FAILED_PRECONDITION, "listen: %s: %m", text);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_storage a = {0};
    char service[16];
    socklen_t bytes = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &bytes) < 0 ||
        getnameinfo((struct sockaddr *)&a, bytes, NULL, 0, service, sizeof service, NI_NUMERICSERV) != 0)
        return 0;
    return atoi(service);
}

struct door *door_start(struct inbound *in, const struct inbound_settings *set, struct token_keys *keys,
                        struct fp_err *err)
{
    int fd = bind_socket(set->listen, err);
    if (fd < 0)
        return NULL;
    struct door *d = mem_alloc(sizeof *d);
    *d = (struct door){.in = in, .set = set, .keys = keys, .port = port_of(fd)};
    pthread_mutex_init(&d->lock, NULL);
    for (struct slot *s = d->slots; s < d->slots + MAX_CONNECTIONS + 1; s++)
        s->fd = -1;
    d->daemon =
        MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, d,
                         MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_THREAD_POOL_SIZE, (unsigned)(set->threads > 1 ? set->threads : 0),
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_end,
                         NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, d, MHD_OPTION_END);
    if (d->daemon)
        return d;
    (void)err_set(err, FP_INTERNAL, "listen: %s: libmicrohttpd did not start", set->listen);
    close(fd);
    mem_free(d);
    return NULL;
}

int door_port(const struct door *d)
{
    return d->port;
}

void door_close(struct door *d)
{
    int fd = MHD_quiesce_daemon(d->daemon);
    if (fd >= 0)
        close(fd);
}

void door_stop(struct door *d)
{
    if (!d)
        return;
    MHD_stop_daemon(d->daemon);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}
