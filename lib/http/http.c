/*
 * The admin port by libmicrohttpd.
 *
 * One thread serves all connections: the answers are made in memory and short.
 * It uses poll(), since by epoll libmicrohttpd 0.9.75 misses the end of a
 * connection that came together with half a request, and keeps its place for
 * the whole time limit. The limits are for a port that a cluster's scanners
 * and mistakes reach: connections in all and for each address, 10 s without a
 * byte, 16 kB for a request's line and headers. A body is read and thrown
 * away. Not here: TLS, other methods than GET and HEAD, and anything that
 * faces the world; whoever holds connections from many addresses can still
 * fill the table, so the port is to be reached from the cluster only.
 */
#include "lib/http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"

#define MAX_CONNECTIONS    64 /* probes, scrapers and a person: a few at a time */
#define MAX_PER_ADDRESS    16 /* so that one address cannot hold all of them */
#define SILENT_TIMEOUT_S   10
#define REQUEST_MAX_BYTES  ((size_t)16384) /* line and headers */
#define RESPONSE_MAX_BYTES ((size_t)4 << 20)
#define HOST_CAP           256

struct fp_http {
    struct MHD_Daemon *daemon;
    struct http_admin admin;
    int port;
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             const struct fp_str *body)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body->len, body->len ? body->data : "", MHD_RESPMEM_MUST_COPY);

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return queued;
}

/* The answer to /livez and /readyz: 200 "ok", or 503 with the reason. */
static unsigned check(bool (*probe)(void *, struct fp_str *), void *ctx, struct fp_str *body)
{
    if (!probe || probe(ctx, body)) {
        str_clear(body);
        str_puts(body, "ok\n");
        return MHD_HTTP_OK;
    }
    str_puts(body, body->len ? "\n" : "not ready\n");
    return MHD_HTTP_SERVICE_UNAVAILABLE;
}

static unsigned answer(const struct http_admin *a, const char *url, const char **type, struct fp_str *body)
{
    *type = "text/plain; charset=utf-8";
    if (strcmp(url, "/livez") == 0)
        return check(a->live, a->ctx, body);
    if (strcmp(url, "/readyz") == 0)
        return check(a->ready, a->ctx, body);
    if (strcmp(url, "/metrics") == 0) {
        *type = "text/plain; version=0.0.4; charset=utf-8";
        if (a->metrics)
            a->metrics(a->ctx, body);
        return body->overflow ? MHD_HTTP_INTERNAL_SERVER_ERROR : MHD_HTTP_OK;
    }
    str_puts(body, "there are /livez, /readyz and /metrics\n");
    return MHD_HTTP_NOT_FOUND;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes,
                                  void **request_state)
{
    static int seen; /* its address marks a request whose headers we saw */
    const struct fp_http *h = ctx;
    const char *type = "text/plain; charset=utf-8";
    struct fp_str body;
    unsigned status;

    (void)version;
    (void)upload;
    if (!*request_state) {
        *request_state = &seen;
        return MHD_YES;
    }
    if (*upload_bytes) {
        *upload_bytes = 0;
        return MHD_YES;
    }
    str_init(&body, RESPONSE_MAX_BYTES);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        status = answer(&h->admin, url, &type, &body);
    } else {
        str_puts(&body, "GET and HEAD only\n");
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    enum MHD_Result queued = reply(c, status, type, &body);
    str_fini(&body);
    return queued;
}

/* What libmicrohttpd has to say is about peers: for debugging only. */
static void on_log(void *ctx, const char *fmt, va_list ap)
{
    char text[256];

    (void)ctx;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the library's own formats */
    vsnprintf(text, sizeof text, fmt, ap);
#pragma GCC diagnostic pop
    text[strcspn(text, "\n")] = '\0';
    log_debug("", "admin port", "%s", text);
}

/* The first address of host:port; freed by freeaddrinfo(). */
static struct addrinfo *resolve(const char *listen, struct fp_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *found = NULL;
    char host[HOST_CAP], service[8];
    int port;

    if (!http_split_address(listen, host, sizeof host, &port)) {
        err_set(err, FP_INVALID_ARGUMENT, "admin address \"%s\" is not HOST:PORT, [V6]:PORT or :PORT",
                listen);
        return NULL;
    }
    snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(*host ? host : "0.0.0.0", service, &hints, &found);
    if (rc == 0)
        return found;
    err_set(err, FP_INVALID_ARGUMENT, "admin address %s: %s", listen, gai_strerror(rc));
    return NULL;
}

/* A socket of our own rather than the library's: only so its errno reaches the message. */
static int open_socket(const char *listen_text, int *port, struct fp_err *err)
{
    struct addrinfo *a = resolve(listen_text, err);
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof bound;
    int on = 1;

    if (!a)
        return -1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, MAX_CONNECTIONS) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bytes) < 0) {
        err_set(err, FP_FAILED_PRECONDITION, "admin address %s: cannot listen: %s", listen_text,
                strerror(errno));
        freeaddrinfo(a);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    freeaddrinfo(a);
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

struct fp_http *http_start(const struct http_admin *admin, struct fp_err *err)
{
    int port, fd = open_socket(admin->listen, &port, err);

    if (fd < 0)
        return NULL;
    struct fp_http *h = mem_alloc(sizeof *h);
    h->admin = *admin;
    h->port = port;
    /* The logger comes first: it is used from the next option on. */
    h->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
                                 h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)MAX_CONNECTIONS,
                                 MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)MAX_PER_ADDRESS,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_TIMEOUT_S,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, REQUEST_MAX_BYTES, MHD_OPTION_END);
    if (!h->daemon) {
        err_set(err, FP_INTERNAL, "admin address %s: libmicrohttpd did not start", admin->listen);
        close(fd);
        mem_free(h);
        return NULL;
    }
    return h;
}

int http_port(const struct fp_http *h)
{
    return h->port;
}

void http_stop(struct fp_http *h)
{
    if (!h)
        return;
    MHD_stop_daemon(h->daemon); /* ends its thread and closes the socket */
    mem_free(h);
}
