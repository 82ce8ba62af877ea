/*
 * One call, from its headers to its trailers.
 *
 * The request is gathered to its end before the method runs; what is too
 * large, compressed or not gRPC is answered at once. The reply goes out as the
 * client's windows allow; the trailers follow when there is no more to come.
 * An answer before the end of the request is followed by RST_STREAM(NO_ERROR).
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/grpc/details.h"
#include "lib/grpc/internal.h"
#include "lib/grpc/status.h"
#include "lib/rpc/identity.h"

#define LATE_MS 10000 /* for an answer to reach a client that reads slowly */

/* clang-format off */
#define NV(n, v, len) {(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, (len), NGHTTP2_NV_FLAG_NO_COPY_NAME}
/* clang-format on */

struct grpc_call *grpc_call_new(struct grpc_conn *conn, int32_t stream_id)
{
    struct grpc_call *c = mem_alloc(sizeof *c);
    c->conn = conn;
    c->stream_id = stream_id;
    c->since_us = clock_mono_us();
    c->timeout_ms = -1;
    c->deadline_us = rpc_deadline_us(&conn->server->dispatch, 0);
    str_init(&c->body, RPC_MAX_PAYLOAD_BYTES + 1);
    str_init(&c->out, GRPC_MAX_BUFFERED);
    TAILQ_INSERT_TAIL(&conn->calls, c, link);
    conn->n_calls++;
    conn->server->n_calls++;
    grpc_timer(conn->server, c->deadline_us);
    return c;
}

static bool hold(struct grpc_call *c, size_t bytes)
{
    struct fp_grpc_server *s = c->conn->server;
    if (s->buffered + bytes > GRPC_MAX_BUFFERED)
        return false;
    s->buffered += bytes;
    c->held += bytes;
    return true;
}

static void let_go(struct grpc_call *c)
{
    c->conn->server->buffered -= c->held;
    c->held = 0;
}

static void forget_token(struct grpc_call *c)
{
    if (c->token != NULL)
        explicit_bzero(c->token, strlen(c->token));
    mem_free(c->token);
    c->token = NULL;
}

/* Nobody joins it any more. */
static void land(struct fp_grpc_server *s, const struct grpc_work *w)
{
    struct grpc_work **flight = &s->flights[rpc_shared_slot(w->method, w->request.data, w->request.len)];
    if (*flight == w)
        *flight = NULL;
}

static void drop_work(struct grpc_call *c)
{
    struct grpc_work *w = c->work;
    if (w == NULL)
        return;
    TAILQ_REMOVE(&w->calls, c, wlink);
    c->work = NULL;
    if (TAILQ_EMPTY(&w->calls)) {
        atomic_store(&w->unwanted, true);
        land(c->conn->server, w);
    }
}

static void count(struct grpc_call *c, enum fp_code code)
{
    struct rpc_dispatch d = c->conn->server->dispatch;
    struct rpc_method own = {.name = c->builtin != NULL ? c->builtin->label : NULL};
    if (!c->counted)
        rpc_count(&d, c->builtin != NULL ? &own : c->method, code, c->since_us);
    c->counted = true;
}

void grpc_call_free(struct grpc_call *c)
{
    struct grpc_conn *conn = c->conn;
    count(c, FP_CANCELLED); /* unless it was answered */
    drop_work(c);
    grpc_watch_leave(c);
    if (c->health_watch)
        TAILQ_REMOVE(&conn->server->health, c, wlink);
    let_go(c);
    TAILQ_REMOVE(&conn->calls, c, link);
    conn->n_calls--;
    conn->server->n_calls--;
    conn->busy_us = clock_mono_us();
    str_fini(&c->body);
    str_fini(&c->out);
    forget_token(c);
    mem_free(c->message);
    mem_free(c->identity);
    mem_free(c);
}

/* --- the answer ------------------------------------------------------------------ */

static void submit_trailers(struct grpc_call *c)
{
    char code[12], text[GRPC_MAX_MESSAGE];
    size_t code_bytes = (size_t)snprintf(code, sizeof code, "%d", (int)c->code);
    size_t bytes = grpc_percent_encode(text, sizeof text, c->message != NULL ? c->message : "");
    nghttp2_nv nv[] = {NV("grpc-status", code, code_bytes), NV("grpc-message", text, bytes)};
    nghttp2_submit_trailer(c->conn->session, c->stream_id, nv, bytes > 0 ? 2 : 1);
}

/* A watch's newest reply, when the call has not sent it yet. */
static void refill(struct grpc_call *c)
{
    str_clear(&c->out);
    c->out_at = 0;
    if (c->watch == NULL)
        return;
    if (c->seen != c->watch->version) {
        str_add(&c->out, c->watch->reply.data, c->watch->reply.len);
        c->seen = c->watch->version;
    }
    if (c->watch->ended && !c->ended) {
        c->ended = true;
        count(c, FP_OK);
    }
}

static ssize_t read_out(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t cap,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct grpc_call *c = source->ptr;
    (void)session;
    (void)stream_id;
    (void)arg;
    if (c->out_at == c->out.len)
        refill(c);
    size_t n = c->out.len - c->out_at < cap ? c->out.len - c->out_at : cap;
    if (n > 0)
        memcpy(buf, c->out.data + c->out_at, n);
    c->out_at += n;
    if (c->out_at == c->out.len && c->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        submit_trailers(c);
    } else if (n == 0) {
        c->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (c->out_at == c->out.len && c->work == NULL)
        let_go(c);
    return (ssize_t)n;
}

static void submit_headers(struct grpc_call *c)
{
    nghttp2_nv nv[] = {NV(":status", "200", 3), NV("content-type", "application/grpc", 16),
                       NV("grpc-accept-encoding", "identity", 8)};
    nghttp2_data_provider data = {.source = {.ptr = c}, .read_callback = read_out};
    nghttp2_submit_response(c->conn->session, c->stream_id, nv, 3, &data);
    c->headers_sent = true;
}

void grpc_call_wake(struct grpc_call *c)
{
    if (!c->headers_sent)
        submit_headers(c);
    if (c->deferred)
        nghttp2_session_resume_data(c->conn->session, c->stream_id);
    c->deferred = false;
    c->conn->dirty = true;
}

void grpc_call_send(struct grpc_call *c, const void *data, size_t bytes)
{
    if (c->ended)
        return;
    if (c->out_at == c->out.len) {
        str_clear(&c->out);
        c->out_at = 0;
    }
    if (c->out.len > WIRE_MAX_RPC_BYTES || !hold(c, bytes + 5)) {
        grpc_call_end(c, FP_RESOURCE_EXHAUSTED, "the client does not read its answers, or too many do not");
        return;
    }
    const uint8_t prefix[5] = {0, (uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8),
                               (uint8_t)bytes};
    str_add(&c->out, prefix, sizeof prefix);
    if (bytes > 0)
        str_add(&c->out, data, bytes);
    grpc_call_wake(c);
}

/* Not even gRPC: an HTTP status alone. */
static void refuse_http(struct grpc_call *c, const char *status)
{
    nghttp2_nv nv[] = {NV(":status", status, 3)};
    c->ended = c->answered = true;
    count(c, FP_INVALID_ARGUMENT);
    nghttp2_submit_response(c->conn->session, c->stream_id, nv, 1, NULL);
    c->conn->dirty = true;
}

void grpc_call_end(struct grpc_call *c, enum fp_code code, const char *message)
{
    char text[sizeof((struct fp_err *)0)->msg], status[12], coded[GRPC_MAX_MESSAGE],
        details[GRPC_MAX_DETAILS];
    if (c->ended)
        return;
    drop_work(c);
    grpc_watch_leave(c);
    c->ended = true;
    c->code = code;
    text_clean(text, sizeof text, message);
    count(c, code);
    if (c->deadline_us == GRPC_NEVER || c->deadline_us < clock_mono_us() + LATE_MS * INT64_C(1000))
        c->deadline_us = clock_mono_us() + LATE_MS * INT64_C(1000);
    grpc_timer(c->conn->server, c->deadline_us);
    if (c->headers_sent) {
        c->message = mem_strdup(text);
        grpc_call_wake(c);
        return;
    }
    if (code == FP_OK) { /* a stream without a message */
        grpc_call_wake(c);
        return;
    }
    size_t bytes = grpc_percent_encode(coded, sizeof coded, text);
    size_t detail_bytes = grpc_status_details(details, code, text);
    nghttp2_nv nv[] = {NV(":status", "200", 3), NV("content-type", "application/grpc", 16),
                       NV("grpc-status", status, (size_t)snprintf(status, sizeof status, "%d", (int)code)),
                       NV("grpc-message", coded, bytes),
                       NV("grpc-status-details-bin", details, detail_bytes)};
    nghttp2_submit_response(c->conn->session, c->stream_id, nv, detail_bytes > 0 ? 5 : 4, NULL);
    c->conn->dirty = true;
}

/* --- the request -------------------------------------------------------------------- */

static bool is_grpc(const char *type)
{
    return strncmp(type, "application/grpc", 16) == 0 &&
           (type[16] == '\0' || strchr("+;", type[16]) != NULL) && strncmp(type + 16, "+json", 5) != 0;
}

static void find(struct grpc_call *c)
{
    const struct fp_grpc_server *s = c->conn->server;
    size_t n = strlen(s->o.service);
    c->builtin = grpc_builtin(c->path);
    if (c->path[0] == '/' && strncmp(c->path + 1, s->o.service, n) == 0 && c->path[1 + n] == '/')
        c->method = rpc_find(&s->dispatch, c->path + n + 2);
}

void grpc_call_begin(struct grpc_call *c)
{
    struct fp_grpc_server *s = c->conn->server;
    struct rpc_identity who;
    struct fp_err err;
    char text[256];
    if (c->header_bytes > GRPC_MAX_HEADER_BYTES) {
        grpc_call_end(c, FP_RESOURCE_EXHAUSTED, "the call's metadata is larger than 16 kB");
        return;
    }
    if (!c->post || !is_grpc(c->content_type)) {
        refuse_http(c, c->post ? "415" : "405");
        return;
    }
    find(c);
    if (c->timeout_ms >= 0) {
        c->deadline_us = c->timeout_ms == 0 ? c->since_us : rpc_deadline_us(&s->dispatch, c->timeout_ms);
        grpc_timer(s, c->deadline_us);
    }
    if (c->method == NULL && c->builtin == NULL) {
        snprintf(text, sizeof text, "this server has no method \"%s\"", c->path);
        grpc_call_end(c, FP_UNIMPLEMENTED, text);
    } else if (c->bad_timeout) {
        grpc_call_end(c, FP_INVALID_ARGUMENT, "grpc-timeout: not 1 to 8 digits and one of H M S m u n");
    } else if (c->encoding[0] != '\0' && strcmp(c->encoding, "identity") != 0) {
        grpc_call_end(c, FP_UNIMPLEMENTED, "grpc-encoding: this server takes no compressed messages");
    } else if ((c->builtin == NULL || !c->builtin->open) &&
               rpc_admit(&s->dispatch, c->method, c->token != NULL ? c->token : "", c->conn->subject, &who,
                         &err) != 0) {
        grpc_call_end(c, err.code, err.msg);
    } else if (c->builtin == NULL || !c->builtin->open) {
        c->conn->trusted = true;
        c->identity = mem_strdup(who.name);
    }
    if (c->ended || c->builtin != NULL) /* a stream shows it again: grpc_call_may_stay() */
        forget_token(c);
}

bool grpc_call_may_stay(struct grpc_call *c)
{
    struct fp_err err;
    struct rpc_identity who;
    if (rpc_admit(&c->conn->server->dispatch, c->method, c->token != NULL ? c->token : "", c->conn->subject,
                  &who, &err) == 0)
        return true;
    grpc_call_end(c, err.code, err.msg);
    return false;
}

static void message_there(struct grpc_call *c)
{
    bool again = c->has_message;
    c->has_message = true;
    c->prefix_bytes = 0;
    if (again && (c->builtin == NULL || !c->builtin->streams)) {
        grpc_call_end(c, FP_UNIMPLEMENTED, "more than one request message");
        return;
    }
    if (c->builtin == NULL)
        return;
    c->builtin->message(c, c->body.len > 0 ? c->body.data : "", c->body.len);
    if (c->builtin->streams)
        str_clear(&c->body);
}

static bool prefix_there(struct grpc_call *c)
{
    const unsigned char *p = c->prefix;
    c->message_bytes = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] != 0) {
        grpc_call_end(c, FP_UNIMPLEMENTED, "compressed messages are not taken");
    } else if (c->message_bytes > RPC_MAX_PAYLOAD_BYTES) {
        char text[96];
        snprintf(text, sizeof text, "a request of %zu bytes: at most %d are taken", c->message_bytes,
                 RPC_MAX_PAYLOAD_BYTES);
        grpc_call_end(c, FP_RESOURCE_EXHAUSTED, text);
    }
    return !c->ended;
}

void grpc_call_data(struct grpc_call *c, const uint8_t *data, size_t bytes)
{
    while (bytes > 0 && !c->ended) {
        if (c->prefix_bytes < 5) {
            c->prefix[c->prefix_bytes++] = *data++;
            bytes--;
            if (c->prefix_bytes == 5 && !prefix_there(c))
                return;
        } else {
            size_t left = c->message_bytes - c->body.len, n = bytes < left ? bytes : left;
            if (!hold(c, n)) {
                grpc_call_end(c, FP_RESOURCE_EXHAUSTED,
                              "the server holds too many requests: try again later");
                return;
            }
            str_add(&c->body, data, n);
            data += n;
            bytes -= n;
        }
        if (c->prefix_bytes == 5 && c->body.len == c->message_bytes)
            message_there(c);
    }
}

static void wait_for(struct grpc_call *c, struct grpc_work *w)
{
    TAILQ_INSERT_TAIL(&w->calls, c, wlink);
    c->work = w;
}

/* By a reply of a moment ago. */
static bool answer_shared(struct grpc_call *c)
{
    struct fp_str reply;
    str_init(&reply, WIRE_MAX_RPC_BYTES);
    bool found =
        rpc_shared_get(c->conn->server->dispatch.shared, c->method, c->body.data, c->body.len, &reply);
    if (found) {
        let_go(c);
        grpc_call_send(c, reply.data, reply.len);
        grpc_call_end(c, FP_OK, "");
    }
    str_fini(&reply);
    return found;
}

/* By the answer to who asks the same now, unless that is too long ago or something was changed since. */
static bool join(struct grpc_call *c)
{
    const struct fp_grpc_server *s = c->conn->server;
    const struct rpc_moment now = rpc_shared_now(s->dispatch.shared);
    struct grpc_work *w = s->flights[rpc_shared_slot(c->method, c->body.data, c->body.len)];
    if (w == NULL || w->method != c->method || w->request.len != c->body.len ||
        (c->body.len > 0 && memcmp(w->request.data, c->body.data, c->body.len) != 0))
        return false;
    if (w->since.version != now.version || now.at_us - w->since.at_us >= c->method->share_ms * INT64_C(1000))
        return false;
    wait_for(c, w);
    return true;
}

static void start_work(struct grpc_call *c)
{
    struct fp_grpc_server *s = c->conn->server;
    bool shared = rpc_shared_can(s->dispatch.shared, c->method, c->body.len);
    if (shared && (answer_shared(c) || join(c)))
        return;
    /* Who joins has a deadline of his own. */
    struct grpc_work *w =
        grpc_work_new(c->method, shared ? rpc_deadline_us(&s->dispatch, 0) : c->deadline_us);
    struct fp_str empty = w->request;
    w->request = c->body;
    c->body = empty;
    snprintf(w->request_id, sizeof w->request_id, "%s", c->request_id);
    snprintf(w->traceparent, sizeof w->traceparent, "%s", c->traceparent);
    snprintf(w->peer, sizeof w->peer, "%s", c->conn->peer);
    w->subject = mem_strdup(c->conn->subject);
    w->identity = mem_strdup(c->identity);
    w->since = rpc_shared_now(s->dispatch.shared);
    if (shared)
        s->flights[rpc_shared_slot(w->method, w->request.data, w->request.len)] = w;
    wait_for(c, w);
    if (!grpc_pool_put(s->pool, w)) {
        drop_work(c);
        grpc_work_free(w);
        grpc_call_end(c, FP_RESOURCE_EXHAUSTED, "too many calls wait already: try again later");
    }
}

void grpc_call_half_closed(struct grpc_call *c)
{
    c->half_closed = true;
    if (c->ended)
        return;
    if (c->prefix_bytes > 0)
        grpc_call_end(c, FP_INVALID_ARGUMENT, "the request ends in the middle of a message");
    else if (c->builtin != NULL && c->builtin->streams)
        grpc_call_end(c, FP_OK, "");
    else if (!c->has_message)
        grpc_call_end(c, FP_INVALID_ARGUMENT, "the call has no request message");
    else if (c->method != NULL)
        start_work(c);
}

void grpc_call_stays(struct grpc_call *c)
{
    c->deadline_us = c->timeout_ms < 0 ? GRPC_NEVER : c->since_us + c->timeout_ms * 1000;
    if (c->timeout_ms >= 0)
        grpc_timer(c->conn->server, c->deadline_us);
}

static void done(struct grpc_call *c, const struct grpc_work *w)
{
    let_go(c);
    if (w->err.code != FP_OK) {
        grpc_call_end(c, w->err.code, w->err.msg);
        return;
    }
    if (w->again_ms > 0) {
        grpc_call_stays(c);
        grpc_watch_join(c, w);
        return;
    }
    forget_token(c);
    grpc_call_send(c, w->reply.data, w->reply.len);
    grpc_call_end(c, FP_OK, "");
}

void grpc_calls_done(struct fp_grpc_server *s, struct grpc_work *w)
{
    struct grpc_call *c;
    land(s, w);
    while ((c = TAILQ_FIRST(&w->calls)) != NULL) {
        TAILQ_REMOVE(&w->calls, c, wlink);
        c->work = NULL;
        done(c, w);
    }
}
