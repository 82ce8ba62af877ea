/*
 * The client of the gRPC door: unary calls over HTTP/2 by nghttp2, TLS by OpenSSL. One
 * connection, kept between calls; made anew when it was closed meanwhile, and the call with
 * it when nothing of an answer has come: as every method is safe to repeat.
 *
 * The thread that calls does it all, and waits at most until the call's deadline. The answer
 * is foreign: its size, its frame and its status are checked before anything is made of them.
 * (libcurl 7.88, Debian 12's, drops an answer that comes before the request was taken whole,
 * as a refusal does, and fails on a kept connection without TLS.)
 */
#include <ctype.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/rpc/client.h"

#define SERVICE          "/foliopost.v1.JobService/"
#define CONNECT_MS       3000  /* a scheduler that does not run is the commonest fault: it is told soon */
#define PREFIX           5     /* of a gRPC message: a flag, and its length in 4 bytes */
#define MAX_HEADER_BYTES 65536 /* of an answer */

struct grpc_client {
    char *url, *host, *address, *token; /* address: host:port */
    SSL_CTX *tls;                       /* NULL: plain */
    BIO *line;                          /* NULL: not connected */
    nghttp2_session *session;
    /* Of the call at hand. */
    int64_t deadline_us;
    struct fp_str sent, got;
    size_t sent_at, header_bytes;
    int32_t stream;
    bool begun, closed,
        is_grpc;      /* something of an answer came; the stream is over; it says that it is gRPC */
    uint32_t reset;   /* why the stream was closed, NGHTTP2_NO_ERROR in the ordinary way */
    int http, status; /* -1: none came */
    char message[sizeof((struct fp_err *)0)->msg];
};

/* --- the line ---------------------------------------------------------------------------- */

static int left_ms(int64_t until_us)
{
    int64_t left_us = until_us - clock_mono_us();
    return left_us > 0 ? (int)(left_us / 1000) + 1 : 0;
}

/* Waits for what the line wants before it goes on; false when the time is over. */
static bool await_line(BIO *line, int64_t until_us)
{
    struct pollfd p = {.fd = -1,
                       .events = BIO_should_write(line) || BIO_should_io_special(line) ? POLLOUT : POLLIN};
    const int ms = left_ms(until_us);
    BIO_get_fd(line, &p.fd);
    return ms > 0 && poll(&p, 1, ms) != 0; /* after a signal it is tried again */
}

static void hang_up(struct grpc_client *c)
{
    nghttp2_session_del(c->session);
    c->session = NULL;
    BIO_free_all(c->line);
    c->line = NULL;
    ERR_clear_error();
}

static int nobody(const struct grpc_client *c, struct fp_err *err)
{
    return err_set(err, FP_UNAVAILABLE, "nobody answers at %s: is the scheduler running?", c->url);
}

static int connect_line(struct grpc_client *c, int64_t until_us, struct fp_err *err)
{
    c->line = BIO_new_connect(c->address);
    if (c->line == NULL)
        fp_panic("OpenSSL has no connection");
    BIO_set_nbio(c->line, 1);
    while (BIO_do_connect(c->line) != 1)
        if (!BIO_should_retry(c->line) || !await_line(c->line, until_us))
            return nobody(c, err);
    return 0;
}

static int tls_failed(const struct grpc_client *c, const SSL *ssl, struct fp_err *err)
{
    char text[160] = "the connection ended in the handshake";
    const unsigned long code = ERR_peek_last_error();
    const long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK)
        snprintf(text, sizeof text, "its certificate is not accepted: %s",
                 X509_verify_cert_error_string(verdict));
    else if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    return err_set(err, FP_UNAVAILABLE, "%s: TLS: %s", c->url, text);
}

/* The certificate must be the host's, by name or by address; HTTP/2 must be agreed upon. */
static int greet_by_tls(struct grpc_client *c, int64_t until_us, struct fp_err *err)
{
    const unsigned char *name = NULL;
    unsigned bytes = 0;
    SSL *ssl = NULL;
    BIO *tls = BIO_new_ssl(c->tls, 1);
    if (tls == NULL)
        fp_panic("OpenSSL has no TLS");
    c->line = BIO_push(tls, c->line);
    BIO_get_ssl(tls, &ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), c->host) != 1 &&
        (SSL_set1_host(ssl, c->host) != 1 || SSL_set_tlsext_host_name(ssl, c->host) != 1))
        return err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is not a host's name", c->url, c->host);
    while (BIO_do_handshake(c->line) != 1)
        if (!BIO_should_retry(c->line) || !await_line(c->line, until_us))
            return tls_failed(c, ssl, err);
    SSL_get0_alpn_selected(ssl, &name, &bytes);
    if (bytes != 2 || memcmp(name, "h2", 2) != 0)
        return err_set(err, FP_UNAVAILABLE, "%s does not speak HTTP/2: is it the scheduler's --grpc-listen?",
                       c->url);
    return 0;
}

/* --- what comes back -------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* grpc-message: %XX stands for a byte, what is not of that form for itself. */
static void take_message(struct grpc_client *c, const char *text, size_t bytes)
{
    char decoded[sizeof c->message];
    size_t n = 0;
    for (size_t i = 0; i < bytes && n + 1 < sizeof decoded; i++) {
        const bool is_code =
            text[i] == '%' && i + 2 < bytes && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        decoded[n++] = is_code ? (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
        i += is_code ? 2 : 0;
    }
    decoded[n] = '\0';
    text_clean(c->message, sizeof c->message, decoded);
}

static bool is_name(const uint8_t *name, size_t bytes, const char *wanted)
{
    return bytes == strlen(wanted) && memcmp(name, wanted, bytes) == 0;
}

/* -1 for what is no number of up to three digits. */
static int number(const char *text, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (bytes > 3 || !isdigit((unsigned char)text[i]))
            return -1;
        n = n * 10 + text[i] - '0';
    }
    return bytes > 0 ? n : -1;
}

/* Headers and trailers alike: an answer without a message has its status in the headers. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_bytes, const uint8_t *value, size_t bytes, uint8_t flags, void *ctx)
{
    struct grpc_client *c = ctx;
    const char *text = (const char *)value;
    (void)session;
    (void)flags;
    if (frame->hd.stream_id != c->stream)
        return 0;
    c->begun = true;
    c->header_bytes += name_bytes + bytes;
    if (c->header_bytes > MAX_HEADER_BYTES)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* the stream is reset */
    if (is_name(name, name_bytes, ":status")) {
        c->http = number(text, bytes);
    } else if (is_name(name, name_bytes, "content-type")) {
        c->is_grpc = bytes >= 16 && strncasecmp(text, "application/grpc", 16) == 0;
    } else if (is_name(name, name_bytes, "grpc-message")) {
        take_message(c, text, bytes);
    } else if (is_name(name, name_bytes, "grpc-status")) {
        const int code = number(text, bytes);
        c->status = code >= 0 && code <= FP_UNAUTHENTICATED ? code : FP_UNKNOWN;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t bytes,
                   void *ctx)
{
    struct grpc_client *c = ctx;
    (void)flags;
    if (stream != c->stream)
        return 0;
    str_add(&c->got, data, bytes);
    if (c->got.overflow)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *ctx)
{
    struct grpc_client *c = ctx;
    (void)session;
    if (stream == c->stream) {
        c->closed = true;
        c->reset = code;
    }
    return 0;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *out, size_t cap,
                            uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
    struct grpc_client *c = ctx;
    const size_t left = c->sent.len - c->sent_at, n = left < cap ? left : cap;
    (void)session;
    (void)stream;
    (void)source;
    memcpy(out, c->sent.data + c->sent_at, n);
    c->sent_at += n;
    if (n == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* --- the session ------------------------------------------------------------------------ */

static nghttp2_session *new_session(struct grpc_client *c)
{
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                               {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_BYTES}};
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        fp_panic("out of memory");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    if (nghttp2_session_client_new(&session, callbacks, c) != 0 ||
        nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2) != 0)
        fp_panic("out of memory");
    nghttp2_session_callbacks_del(callbacks);
    return session;
}

static int meet(struct grpc_client *c, struct fp_err *err)
{
    const int64_t connect_us = clock_mono_us() + CONNECT_MS * INT64_C(1000);
    const int64_t until_us = connect_us < c->deadline_us ? connect_us : c->deadline_us;
    if (connect_line(c, until_us, err) != 0 || (c->tls != NULL && greet_by_tls(c, until_us, err) != 0)) {
        hang_up(c);
        return -1;
    }
    c->session = new_session(c);
    return 0;
}

/* All that the session has to say, as far as the time goes. */
static bool say(struct grpc_client *c)
{
    const uint8_t *data;
    ssize_t bytes;
    while ((bytes = nghttp2_session_mem_send(c->session, &data)) > 0) {
        for (size_t at = 0; at < (size_t)bytes;) {
            const int n = BIO_write(c->line, data + at, (int)((size_t)bytes - at));
            if (n <= 0 && (!BIO_should_retry(c->line) || !await_line(c->line, c->deadline_us)))
                return false;
            at += n > 0 ? (size_t)n : 0;
        }
    }
    return bytes == 0;
}

static bool hear(struct grpc_client *c)
{
    uint8_t data[16384];
    int n;
    while ((n = BIO_read(c->line, data, sizeof data)) <= 0)
        if (!BIO_should_retry(c->line) || !await_line(c->line, c->deadline_us))
            return false;
    return nghttp2_session_mem_recv(c->session, data, (size_t)n) == n;
}

/* Until the stream is over: false when the line broke or the time was up before. */
static bool converse(struct grpc_client *c)
{
    while (!c->closed)
        if (left_ms(c->deadline_us) == 0 || !say(c) || (!c->closed && !hear(c)))
            return c->closed;
    return say(c);
}

/* --- a call ------------------------------------------------------------------------------- */

#define FIELD(n, v)                                                                                          \
    {                                                                                                        \
        .name = (uint8_t *)(n), .value = (uint8_t *)(v), .namelen = strlen(n), .valuelen = strlen(v)         \
    }

static void submit(struct grpc_client *c, const struct client_call *call)
{
    char path[128], timeout[16];
    struct fp_str bearer;
    const nghttp2_data_provider body = {.read_callback = read_request};
    str_init(&bearer, 0);
    str_printf(&bearer, "Bearer %s", c->token);
    snprintf(path, sizeof path, SERVICE "%s", call->method);
    snprintf(timeout, sizeof timeout, "%dm", call->deadline_ms < 99999999 ? call->deadline_ms : 99999999);
    nghttp2_nv fields[] = {FIELD(":method", "POST"),
                           FIELD(":scheme", c->tls != NULL ? "https" : "http"),
                           FIELD(":path", path),
                           FIELD(":authority", c->address),
                           FIELD("content-type", "application/grpc"),
                           FIELD("te", "trailers"),
                           FIELD("user-agent", "foliopost"),
                           FIELD("grpc-timeout", timeout),
                           FIELD("traceparent", call->traceparent),
                           FIELD("authorization", bearer.data)};
    size_t n = sizeof fields / sizeof fields[0];
    fields[n - 1].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    c->stream =
        nghttp2_submit_request(c->session, NULL, fields, c->token[0] != '\0' ? n : n - 1, &body, NULL);
    str_fini(&bearer);
}

static void begin(struct grpc_client *c)
{
    c->sent_at = c->header_bytes = 0;
    c->stream = -1;
    c->begun = c->closed = c->is_grpc = false;
    c->reset = NGHTTP2_NO_ERROR;
    c->http = c->status = -1;
    c->message[0] = '\0';
    str_clear(&c->got);
}

/* One that was told to go (GOAWAY) takes no request. */
static bool is_kept(struct grpc_client *c)
{
    if (c->session != NULL && nghttp2_session_check_request_allowed(c->session) == 0)
        hang_up(c);
    return c->session != NULL;
}

/* On the line that is there, or a new one; again on a new one when a kept line turns out to be dead,
 * or to have been told to go in this moment. */
static int exchange(struct grpc_client *c, const struct client_call *call, struct fp_err *err)
{
    for (bool kept = is_kept(c);; kept = false) {
        begin(c);
        if (c->session == NULL && meet(c, err) != 0)
            return -1;
        submit(c, call);
        if (c->stream > 0 && converse(c) && (!kept || c->reset != NGHTTP2_REFUSED_STREAM))
            return 0;
        hang_up(c);
        if (left_ms(c->deadline_us) == 0)
            return err_set(err, FP_DEADLINE_EXCEEDED, "%s: no answer from %s within %d ms", call->method,
                           c->url, call->deadline_ms);
        if (!kept || c->begun)
            return err_set(err, FP_UNAVAILABLE, "%s: the connection to %s was lost", call->method, c->url);
    }
}

/* The message within the answer's only frame. */
static ProtobufCMessage *read_frame(const struct grpc_client *c, const struct client_call *call,
                                    struct fp_err *err)
{
    const unsigned char *p = (const unsigned char *)c->got.data;
    const size_t n = c->got.len;
    if (n < PREFIX || p[0] != 0 ||
        ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]) != n - PREFIX) {
        err_set(err, FP_INTERNAL, "%s: the answer is not one message", call->method);
        return NULL;
    }
    return client_unpack(call, p + PREFIX, n - PREFIX, err);
}

static ProtobufCMessage *read_answer(const struct grpc_client *c, const struct client_call *call,
                                     struct fp_err *err)
{
    if (c->got.overflow)
        err_set(err, FP_INTERNAL, "%s: the answer is larger than %d bytes", call->method, WIRE_MAX_RPC_BYTES);
    else if (c->reset != NGHTTP2_NO_ERROR)
        err_set(err, c->reset == NGHTTP2_REFUSED_STREAM ? FP_UNAVAILABLE : FP_INTERNAL,
                "%s: %s ended the call: %s", call->method, c->url, nghttp2_http2_strerror(c->reset));
    else if (c->http != 200 || !c->is_grpc)
        err_set(err, c->http == 429 || c->http >= 502 ? FP_UNAVAILABLE : FP_UNKNOWN,
                "%s does not speak gRPC (HTTP %d): is it the scheduler's --grpc-listen?", c->url, c->http);
    else if (c->status < 0)
        err_set(err, FP_INTERNAL, "%s: the answer has no status", call->method);
    else if (c->status != FP_OK)
        err_set(err, (enum fp_code)c->status, "%s", c->message);
    else
        return read_frame(c, call, err);
    return NULL;
}

static ProtobufCMessage *call_client(void *door, const struct client_call *call, struct fp_err *err)
{
    struct grpc_client *c = door;
    const size_t n = call->payload->len;
    const unsigned char prefix[PREFIX] = {0, (unsigned char)(n >> 24), (unsigned char)(n >> 16),
                                          (unsigned char)(n >> 8), (unsigned char)n};
    c->deadline_us = clock_mono_us() + call->deadline_ms * INT64_C(1000);
    str_clear(&c->sent);
    str_add(&c->sent, prefix, PREFIX);
    str_add(&c->sent, call->payload->data, n);
    return exchange(c, call, err) == 0 ? read_answer(c, call, err) : NULL;
}

/* --- opening ------------------------------------------------------------------------------ */

static int tls_file(const char *what, const char *file, struct fp_err *err)
{
    char text[160];
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return err_set(err, FP_INVALID_ARGUMENT, "%s %s: %s", what, file, text);
}

static int take_files(SSL_CTX *ctx, const struct bus_tls *files, struct fp_err *err)
{
    if (files == NULL || files->ca_file[0] == '\0')
        SSL_CTX_set_default_verify_paths(ctx);
    else if (SSL_CTX_load_verify_locations(ctx, files->ca_file, NULL) != 1)
        return tls_file("CA file", files->ca_file, err);
    if (files == NULL || files->cert_file[0] == '\0')
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, files->cert_file) != 1)
        return tls_file("certificate file", files->cert_file, err);
    if (SSL_CTX_use_PrivateKey_file(ctx, files->key_file, SSL_FILETYPE_PEM) != 1)
        return tls_file("key file", files->key_file, err);
    return 0;
}

static SSL_CTX *new_tls(const struct bus_tls *files, struct fp_err *err)
{
    static const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL)
        fp_panic("OpenSSL has no TLS");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_protos(ctx, h2, sizeof h2);
    if (take_files(ctx, files, err) == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* host:port and nothing else: no user, path or second address. */
static int split_address(const char *address, char **host, struct fp_err *err)
{
    char *port = NULL, shown[128];
    int number_of_port = 0;
    *host = NULL;
    bool good = strpbrk(address, "/?#@,\\ ") == NULL &&
                BIO_parse_hostserv(address, host, &port, BIO_PARSE_PRIO_HOST) == 1 && *host != NULL &&
                (*host)[0] != '\0' && port != NULL;
    for (const char *p = good ? port : ""; *p != '\0'; p++) {
        good = good && isdigit((unsigned char)*p);
        number_of_port = good && number_of_port < 100000 ? number_of_port * 10 + *p - '0' : number_of_port;
    }
    good = good && number_of_port >= 1 && number_of_port <= 65535;
    OPENSSL_free(port);
    ERR_clear_error();
    if (good)
        return 0;
    OPENSSL_free(*host);
    text_clean(shown, sizeof shown, address);
    return err_set(err, FP_INVALID_ARGUMENT,
                   "\"%s\" is not an address: one of " CLIENT_GRPC "host:port or " CLIENT_TLS_GRPC
                   "host:port",
                   shown);
}

static void *open_client(const char *url, const char *token, const struct bus_tls *tls, struct fp_err *err)
{
    const bool is_tls = strncmp(url, CLIENT_TLS_GRPC, strlen(CLIENT_TLS_GRPC)) == 0;
    const char *address = url + strlen(is_tls ? CLIENT_TLS_GRPC : CLIENT_GRPC);
    char *host;
    SSL_CTX *ctx = NULL;
    if (split_address(address, &host, err) != 0)
        return NULL;
    if (is_tls && (ctx = new_tls(tls, err)) == NULL) {
        OPENSSL_free(host);
        return NULL;
    }
    struct grpc_client *c = mem_alloc(sizeof *c);
    c->tls = ctx;
    c->host = mem_strdup(host);
    OPENSSL_free(host);
    c->address = mem_strdup(address);
    c->url = mem_strdup(url);
    c->token = mem_strdup(token);
    str_init(&c->sent, WIRE_MAX_RPC_BYTES + PREFIX);
    str_init(&c->got, WIRE_MAX_RPC_BYTES + PREFIX);
    signal(SIGPIPE, SIG_IGN); /* as NNG has it, with the other door: OpenSSL writes without MSG_NOSIGNAL */
    return c;
}

static void close_client(void *door)
{
    struct grpc_client *c = door;
    hang_up(c);
    SSL_CTX_free(c->tls);
    str_fini(&c->sent);
    str_fini(&c->got);
    mem_free(c->url);
    mem_free(c->host);
    mem_free(c->address);
    mem_free(c->token);
    mem_free(c);
}

const struct client_door client_grpc = {open_client, call_client, close_client};
