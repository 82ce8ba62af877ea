/*
 * The admin port of a service: /livez, /readyz and /metrics over HTTP/1.1 by
 * libmicrohttpd, in a thread of its own with time and connection limits.
 *
 * /livez says that the process turns and never asks the database; /readyz is
 * 503 with the reason while the service is not ready or drains.
 */
#ifndef FP_HTTP_HTTP_H
#define FP_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

struct fp_http;

struct http_admin {
    const char *listen; /* "127.0.0.1:9101", "[::]:9101"; port 0 picks a free one */
    void *ctx;
    bool (*live)(void *ctx, struct fp_str *why_not);
    bool (*ready)(void *ctx, struct fp_str *why_not);
    void (*metrics)(void *ctx, struct fp_str *out);
};

struct fp_http *http_start(const struct http_admin *admin, struct fp_err *err) FP_MUST_CHECK;
int http_port(const struct fp_http *h);
void http_stop(struct fp_http *h); /* frees; NULL is fine */

/* Splits "host:port", "[v6]:port" or ":port"; false when it is neither or the
 * port is not 0..65535. */
bool http_split_address(const char *text, char *host, size_t host_cap, int *port);

#endif
