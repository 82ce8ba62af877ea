/*
 * HTTP/1.1 by libcurl: an easy handle for each client, its connection kept.
 *
 * A blocking request in a thread for each connection, as SMTP has it, and not
 * curl_multi: a provider that answers within 20 ms is asked 2,000 times a
 * second by 40 threads that sleep; a request costs the same CPU either way, and
 * a connection that carries one request at a time cannot give its reply to
 * another mail. HTTP/1.1 for the same reason: HTTP/2 pays off where one
 * connection carries many requests.
 *
 * What libcurl makes necessary here:
 * - It sends a request again by itself when a kept connection ends without a
 *   byte of a reply, a POST as well. The provider may have taken the mail, so
 *   this is stopped once the whole request was out (on_connection()).
 * - How much went out is counted as it passes (on_sent()); no result code says it.
 * - After any error the handle is thrown away, so that a reply that comes late
 *   finds nobody.
 * - With a signature no header may be removed ("Expect:"): it would be signed
 *   and not sent. Bodies below 1 MB need no removal.
 */
#include "services/mailer/http_client.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "services/mailer/curl_once.h"

#define MAX_RETRY_AFTER_S 86400 /* more is a slip of theirs */
#define MAX_IDLE_S        15 /* below what load balancers allow, or a mail's reply is lost with the connection */
#define KEPT_BYTES        ((size_t)65536)   /* of a reply's body; a provider's has some hundred */
#define MAX_BODY_BYTES    ((size_t)1 << 20) /* a longer one is no provider's */

struct http_client {
    CURL *curl; /* NULL: none yet, or thrown away */
    char *ca_file;
    int64_t connect_timeout_ms, reply_timeout_ms, requests_per_connection;
    int64_t requests_done; /* on the connection that is open */

    const struct http_request *request; /* in hand */
    int connections;                    /* of this request */
    size_t head_sent, body_sent;
    bool refused_to_go, headers_came;
    size_t body_bytes; /* of the reply, kept or not */
    struct fp_str body;
    char trouble[CURL_ERROR_SIZE];
};

/* --- settings ------------------------------------------------------------------------ */

static char *url_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(u, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool is_here(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

static bool is_provider_url(CURLU *u)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                         CURLUPART_FRAGMENT};
    char *scheme = url_part(u, CURLUPART_SCHEME), *host = url_part(u, CURLUPART_HOST),
         *path = url_part(u, CURLUPART_PATH);
    bool good = scheme && host && path && strcmp(path, "/") == 0 &&
                (strcmp(scheme, "https") == 0 || (strcmp(scheme, "http") == 0 && is_here(host)));
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        char *text = url_part(u, unwanted[i]);
        good &= text == NULL;
        curl_free(text);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    return good;
}

int http_client_check_url(const char *setting, const char *url, struct fp_err *err)
{
    CURLU *u = curl_url();
    bool good = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && is_provider_url(u);
    curl_url_cleanup(u);
    if (good)
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT,
                   "%s: \"%s\" is not like https://host or https://host:port (http:// only to this machine)",
                   setting, url);
}

/* --- life ----------------------------------------------------------------------------- */

struct http_client *http_client_new(const struct http_client_options *o)
{
    struct http_client *c = mem_alloc(sizeof *c);
    curl_once();
    c->ca_file = mem_strdup(o->ca_file ? o->ca_file : "");
    c->connect_timeout_ms = o->connect_timeout_ms;
    c->reply_timeout_ms = o->reply_timeout_ms;
    c->requests_per_connection = o->requests_per_connection;
    str_init(&c->body, KEPT_BYTES + 1);
    return c;
}

static void throw_away(struct http_client *c)
{
    curl_easy_cleanup(c->curl);
    c->curl = NULL;
    c->requests_done = 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    throw_away(c);
    str_fini(&c->body);
    mem_free(c->ca_file);
    mem_free(c);
}

/* --- what passes on the wire ------------------------------------------------------------ */

static bool all_sent(const struct http_client *c)
{
    return c->head_sent > 0 && c->body_sent >= c->request->bytes;
}

/* Before the request goes out on a connection: the first, or one more after a
 * kept one has ended without a reply. */
static int on_connection(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
    struct http_client *c = ctx;
    const struct http_request *q = c->request;
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    bool first = c->connections++ == 0;
    if (!first && all_sent(c))
        return CURL_PREREQFUNC_ABORT;
    c->head_sent = c->body_sent = 0;
    c->refused_to_go = (!first && q->may_go && !q->may_go(q->ctx)) || (q->turn && !q->turn(q->ctx)) ||
                       (q->lease_holds && !q->lease_holds(q->ctx));
    return c->refused_to_go ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int on_sent(CURL *curl, curl_infotype type, char *data, size_t bytes, void *ctx)
{
    struct http_client *c = ctx;
    (void)curl, (void)data;
    if (type == CURLINFO_HEADER_OUT)
        c->head_sent += bytes;
    else if (type == CURLINFO_DATA_OUT)
        c->body_sent += bytes;
    return 0;
}

static size_t on_header(char *line, size_t size, size_t count, void *ctx)
{
    struct http_client *c = ctx;
    size_t bytes = size * count;
    if (bytes >= 5 && memcmp(line, "HTTP/", 5) == 0)
        c->headers_came = false; /* an interim reply was before */
    c->headers_came |= bytes <= 2 && (line[0] == '\r' || line[0] == '\n');
    return bytes;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct http_client *c = ctx;
    size_t bytes = size * count, room = KEPT_BYTES - c->body.len;
    c->body_bytes += bytes;
    str_add(&c->body, data, bytes < room ? bytes : room);
    return c->body_bytes <= MAX_BODY_BYTES ? bytes : 0;
}

/* --- one request -------------------------------------------------------------------------- */

/* What never changes from request to request. */
static void set_options(struct http_client *c)
{
    CURL *h = c->curl;
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "foliopost/" FP_VERSION);
    if (*c->ca_file)
        curl_easy_setopt(h, CURLOPT_CAINFO, c->ca_file);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
    curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_S);
    curl_easy_setopt(h, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_connection);
    curl_easy_setopt(h, CURLOPT_PREREQDATA, c);
    curl_easy_setopt(h, CURLOPT_VERBOSE, 1L); /* what makes on_sent() be called */
    curl_easy_setopt(h, CURLOPT_DEBUGFUNCTION, on_sent);
    curl_easy_setopt(h, CURLOPT_DEBUGDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->trouble);
}

static void set_request(struct http_client *c, const struct http_request *q)
{
    CURL *h = c->curl;
    bool last = c->requests_per_connection > 0 && c->requests_done + 1 >= c->requests_per_connection;
    curl_easy_setopt(h, CURLOPT_URL, q->url);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS,
                     (long)(c->reply_timeout_ms + (q->turn ? TRANSPORT_TURN_MAX_MS : 0)));
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, q->headers);
    if (q->body) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, q->body);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->bytes);
    } else {
        curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    }
    if (q->aws_sigv4) {
        curl_easy_setopt(h, CURLOPT_AWS_SIGV4, q->aws_sigv4);
        curl_easy_setopt(h, CURLOPT_USERNAME, q->user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, q->password);
    }
    curl_easy_setopt(h, CURLOPT_FORBID_REUSE, last ? 1L : 0L);
}

static void begin(struct http_client *c, const struct http_request *q)
{
    c->request = q;
    c->connections = 0;
    c->head_sent = c->body_sent = c->body_bytes = 0;
    c->refused_to_go = c->headers_came = false;
    c->trouble[0] = '\0';
    str_clear(&c->body);
    if (!c->curl) {
        c->curl = curl_easy_init();
        if (!c->curl)
            fp_panic("libcurl gives no handle");
        set_options(c);
    }
    set_request(c, q);
}

static enum send_stage stage_of(const struct http_client *c, long status)
{
    if (c->headers_came && status >= 200)
        return HTTP_REPLY;
    if (all_sent(c))
        return HTTP_WAIT;
    return c->head_sent > 0 ? HTTP_REQUEST : HTTP_CONNECT;
}

static void account_for(struct http_client *c, CURLcode result)
{
    long connects = 0;
    bool last = c->requests_per_connection > 0 && c->requests_done + 1 >= c->requests_per_connection;
    curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &connects);
    c->requests_done = last ? 0 : connects == 0 ? c->requests_done + 1 : 1;
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    if (result != CURLE_OK)
        throw_away(c);
}

bool http_client_do(struct http_client *c, const struct http_request *q, struct http_end *end)
{
    long status = 0;
    begin(c, q);
    *end = (struct http_end){.result = curl_easy_perform(c->curl)};
    curl_off_t after_s = 0; /* of both forms of Retry-After */
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after_s) == CURLE_OK && after_s > 0)
        end->retry_after_ms = (after_s < MAX_RETRY_AFTER_S ? after_s : MAX_RETRY_AFTER_S) * 1000;
    end->stage = stage_of(c, status);
    end->status = end->stage == HTTP_REPLY ? (int)status : 0;
    snprintf(end->trouble, sizeof end->trouble, "%s", c->trouble);
    account_for(c, end->result);
    c->request = NULL;
    return !c->refused_to_go;
}

const char *http_client_body(const struct http_client *c, size_t *bytes)
{
    *bytes = c->body.len;
    return c->body.data ? c->body.data : "";
}

const char *http_client_header(struct http_client *c, const char *name)
{
    struct curl_header *h;
    if (!c->curl || curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return "";
    return h->value;
}
