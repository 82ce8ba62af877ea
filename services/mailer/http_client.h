/*
 * One connection to a provider's HTTP interface: a request, its whole reply,
 * and how far the request had come when there is none. What the reply means
 * is the transport's and the table's in classify.c.
 */
#ifndef FP_MAILER_HTTP_CLIENT_H
#define FP_MAILER_HTTP_CLIENT_H

#include <curl/curl.h>

#include "services/mailer/classify.h"

struct http_client;

struct http_client_options {
    const char *ca_file; /* "": the system's */
    int64_t connect_timeout_ms, reply_timeout_ms;
    int64_t requests_per_connection; /* 0: no limit */
};

struct http_request {
    const char *url;
    struct curl_slist *headers;
    const char *body; /* POST; NULL: GET */
    size_t bytes;
    const char *aws_sigv4;          /* "aws:amz:REGION:SERVICE" signs it; NULL: not */
    const char *user, *password;    /* of the signature */
    bool (*may_go)(void *ctx);      /* asked before a second connection; NULL: it may */
    bool (*turn)(void *ctx);        /* asked once there is a connection, may wait; NULL: it is */
    bool (*lease_holds)(void *ctx); /* asked once there is a connection; NULL: it does */
    void *ctx;
};

/* The url of a provider: https, or http to this machine, and nothing but
 * scheme, host, perhaps port. `setting` names it in the error. */
int http_client_check_url(const char *setting, const char *url, struct fp_err *err) FP_MUST_CHECK;

/* Connects nothing yet. The options' strings are copied. */
struct http_client *http_client_new(const struct http_client_options *o);
void http_client_free(struct http_client *c);

/* Fills stage, result, status and trouble of `end`, and clears the rest. False:
 * may_go(), turn() or lease_holds() said no; then nothing was sent, or nothing whole. */
bool http_client_do(struct http_client *c, const struct http_request *q, struct http_end *end);
/* Of the last reply, until the next request: its body's first 64 kB, with a NUL
 * behind, and a header's value, "" when it was not there. */
const char *http_client_body(const struct http_client *c, size_t *bytes);
const char *http_client_header(struct http_client *c, const char *name);

#endif
