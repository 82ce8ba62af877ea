/*
 * nghttp2's callbacks: frames become calls, and nuisance is paid for.
 *
 * Every connection has an allowance for what costs us more than it costs the
 * peer: resets (CVE-2023-44487), what makes us reset (CVE-2025-8671), pings
 * without traffic, settings, priorities, empty frames. Who spends it is told
 * ENHANCE_YOUR_CALM and cut off. nghttp2 itself limits CONTINUATION frames,
 * unacknowledged settings and idle streams.
 */
#include <string.h>

#include "lib/grpc/internal.h"
#include "lib/grpc/status.h"
#include "lib/metrics/metrics.h"

#define CALM_PER_S     2000 /* 200 resets or 20 pings a second for ever */
#define COST_RESET     10
#define COST_PING      100
#define COST_SETTINGS  100
#define COST_SMALL     10
#define STREAM_WINDOW  (256 * 1024)
#define CONN_WINDOW    (1024 * 1024)
#define MAX_TOKEN      4096
#define HOPELESS_BYTES (16 * GRPC_MAX_HEADER_BYTES) /* an HPACK bomb: no reply, no connection */

void grpc_conn_goodbye(struct grpc_conn *c, uint32_t code, const char *what)
{
    if (c->last_words || c->session == NULL)
        return;
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session),
                          code, (const uint8_t *)what, strlen(what));
    c->last_words = c->dirty = true;
    c->linger_us = clock_mono_us() + FP_US_PER_S;
    grpc_timer(c->server, c->linger_us);
}

void grpc_conn_nuisance(struct grpc_conn *c, double cost, const char *what)
{
    int64_t now_us = clock_mono_us();
    c->calm += (double)(now_us - c->calm_us) * CALM_PER_S / 1e6;
    c->calm = (c->calm > GRPC_CALM ? GRPC_CALM : c->calm) - cost;
    c->calm_us = now_us;
    if (c->calm >= 0 || c->last_words)
        return;
    metrics_add("foliopost_grpc_calmed_total", "", 1);
    grpc_conn_goodbye(c, NGHTTP2_ENHANCE_YOUR_CALM, what);
}

static struct grpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
    struct grpc_conn *c = arg;
    if (f->hd.type != NGHTTP2_HEADERS || f->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (c->server->n_calls >= GRPC_MAX_CALLS)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    nghttp2_session_set_stream_user_data(session, f->hd.stream_id, grpc_call_new(c, f->hd.stream_id));
    return 0;
}

static void copy(char *out, size_t cap, const uint8_t *value, size_t bytes)
{
    if (bytes < cap && memchr(value, '\0', bytes) == NULL) {
        memcpy(out, value, bytes);
        out[bytes] = '\0';
    }
}

static void take_token(struct grpc_call *c, const uint8_t *value, size_t bytes)
{
    static const char bearer[] = "Bearer ";
    size_t skip = sizeof bearer - 1;
    if (c->token != NULL || bytes < skip || bytes > MAX_TOKEN ||
        strncasecmp((const char *)value, bearer, skip) != 0)
        return;
    c->token = mem_alloc(bytes - skip + 1);
    copy(c->token, bytes - skip + 1, value + skip, bytes - skip);
}

static void take_header(struct grpc_call *c, const char *name, const uint8_t *value, size_t bytes)
{
    if (strcmp(name, ":method") == 0)
        c->post = bytes == 4 && memcmp(value, "POST", 4) == 0;
    else if (strcmp(name, ":path") == 0)
        copy(c->path, sizeof c->path, value, bytes);
    else if (strcmp(name, "content-type") == 0)
        copy(c->content_type, sizeof c->content_type, value, bytes);
    else if (strcmp(name, "grpc-encoding") == 0)
        copy(c->encoding, sizeof c->encoding, value, bytes);
    else if (strcmp(name, "grpc-timeout") == 0)
        c->bad_timeout = !grpc_parse_timeout((const char *)value, bytes, &c->timeout_ms);
    else if (strcmp(name, "authorization") == 0)
        take_token(c, value, bytes);
    else if (strcmp(name, "x-request-id") == 0)
        copy(c->request_id, sizeof c->request_id, value, bytes);
    else if (strcmp(name, "traceparent") == 0)
        copy(c->traceparent, sizeof c->traceparent, value, bytes);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name, size_t name_bytes,
                     const uint8_t *value, size_t bytes, uint8_t flags, void *arg)
{
    struct grpc_call *c = call_of(session, f->hd.stream_id);
    (void)flags;
    (void)arg;
    if (c == NULL)
        return 0;
    c->header_bytes += name_bytes + bytes + 32;
    if (c->header_bytes > HOPELESS_BYTES)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (c->header_bytes <= GRPC_MAX_HEADER_BYTES && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        take_header(c, (const char *)name, value, bytes); /* nghttp2 ends names by a NUL */
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n,
                   void *arg)
{
    struct grpc_call *c = call_of(session, stream_id);
    (void)flags;
    (void)arg;
    if (c != NULL)
        grpc_call_data(c, data, n);
    return 0;
}

static void on_control(struct grpc_conn *c, const nghttp2_frame *f)
{
    switch (f->hd.type) {
    case NGHTTP2_RST_STREAM:
        grpc_conn_nuisance(c, COST_RESET, "too_many_resets");
        break;
    case NGHTTP2_PING:
        if ((f->hd.flags & NGHTTP2_FLAG_ACK) != 0)
            c->ping_us = 0;
        else if (!c->sent_since_ping) /* clients measure by pings while data flows */
            grpc_conn_nuisance(c, COST_PING, "too_many_pings");
        c->sent_since_ping = false;
        break;
    case NGHTTP2_SETTINGS:
        c->greeted = true;
        grpc_conn_nuisance(c, COST_SETTINGS, "too_many_settings");
        break;
    case NGHTTP2_PRIORITY:
        grpc_conn_nuisance(c, COST_SMALL, "too_many_priorities");
        break;
    default:
        break;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
    struct grpc_conn *c = arg;
    struct grpc_call *call = f->hd.stream_id > 0 ? call_of(session, f->hd.stream_id) : NULL;
    on_control(c, f);
    if (f->hd.type == NGHTTP2_DATA && f->hd.length == 0 && (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        grpc_conn_nuisance(c, COST_SMALL, "too_many_empty_frames");
    if (call == NULL || (f->hd.type != NGHTTP2_DATA && f->hd.type != NGHTTP2_HEADERS))
        return 0;
    if (f->hd.type == NGHTTP2_HEADERS && f->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_call_begin(call);
    if ((f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        grpc_call_half_closed(call);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *f, void *arg)
{
    struct grpc_conn *c = arg;
    if (f->hd.type == NGHTTP2_RST_STREAM && f->rst_stream.error_code != NGHTTP2_NO_ERROR)
        grpc_conn_nuisance(c, COST_RESET, "too_many_resets");
    if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
        return 0;
    c->sent_since_ping = true;
    struct grpc_call *call = call_of(session, f->hd.stream_id);
    if (f->hd.type == NGHTTP2_HEADERS && (f->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 && call != NULL &&
        !call->half_closed)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream_id, uint32_t code, void *arg)
{
    struct grpc_call *c = call_of(session, stream_id);
    (void)code;
    (void)arg;
    if (c != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        grpc_call_free(c);
    }
    return 0;
}

nghttp2_session *grpc_session_new(struct grpc_conn *c)
{
    nghttp2_session_callbacks *cb = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session *session = NULL;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)c->server->o.max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_MAX_HEADER_BYTES},
    };
    if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&option) != 0)
        goto out;
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    if (nghttp2_session_server_new2(&session, cb, c, option) != 0)
        goto out;
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
out:
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(cb);
    return session;
}
