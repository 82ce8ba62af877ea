/*
 * The one way from a request's bytes to a reply's, for both doors.
 *
 * A call's own errors become a code and a message. The reply is checked as a
 * request is: what would be refused by every client is our fault, and becomes
 * INTERNAL with the field's name in the log. Only names of the table become
 * labels of metrics: a client cannot make new series.
 */
#include "lib/rpc/dispatch.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/shared.h"
#include "lib/trace/trace.h"

const struct rpc_method *rpc_find(const struct rpc_dispatch *d, const char *name)
{
    for (size_t i = 0; i < d->n_methods; i++)
        if (strcmp(d->methods[i].name, name) == 0)
            return &d->methods[i];
    return NULL;
}

int64_t rpc_deadline_us(const struct rpc_dispatch *d, int64_t wanted_ms)
{
    int64_t ms = wanted_ms > 0 && wanted_ms < d->max_deadline_ms ? wanted_ms : d->max_deadline_ms;
    return clock_mono_us() + ms * 1000;
}

static int failed(const struct rpc_call *call, struct fp_err *err)
{
    if (clock_mono_us() > call->deadline_mono_us)
        return err_set(err, FP_DEADLINE_EXCEEDED, "%s: not done before its deadline", call->method);
    if (err->code == FP_OK)
        return err_set(err, FP_INTERNAL, "%s: neither a reply nor an error", call->method);
    return -1;
}

static int run(const struct rpc_method *m, struct rpc_call *call, const void *payload, size_t bytes,
               struct fp_arena *request_arena, struct fp_str *out, struct fp_err *err)
{
    const ProtobufCMessage *request = wire_unpack(m->request, payload, bytes, request_arena, err);
    if (request == NULL)
        return -1;
    ProtobufCMessage *reply = m->handle(call, request, err);
    if (reply == NULL)
        return failed(call, err);
    struct fp_err wrong;
    if (reply->descriptor != m->reply || wire_check(reply, &wrong) != 0) {
        log_error("rpc", "bad reply", "method=%s reason=%s", m->name,
                  reply->descriptor != m->reply ? "of another type" : wrong.msg);
        return err_set(err, FP_INTERNAL, "%s: the reply could not be made; the server's log says why",
                       m->name);
    }
    return wire_pack(reply, RPC_MAX_PAYLOAD_BYTES, out, err);
}

/* By its name, so that a new method that changes something cannot be forgotten in a list. */
static bool only_reads(const struct rpc_method *m)
{
    return strncmp(m->name, "Get", 3) == 0 || strncmp(m->name, "List", 4) == 0 ||
           strncmp(m->name, "Watch", 5) == 0;
}

/* Also a method that failed may have changed something: its reply was lost, not its commit. */
static int run_and_share(const struct rpc_dispatch *d, const struct rpc_method *m, struct rpc_call *call,
                         const void *payload, size_t bytes, struct fp_arena *request_arena,
                         struct fp_str *out, struct fp_err *err)
{
    const size_t before = out->len;
    const struct rpc_moment since = rpc_shared_now(d->shared);
    if (rpc_shared_get(d->shared, m, payload, bytes, out))
        return 0;
    int rc = run(m, call, payload, bytes, request_arena, out, err);
    if (!only_reads(m))
        rpc_shared_void(d->shared);
    else if (rc == 0 && !out->overflow)
        rpc_shared_put(d->shared, m, payload, bytes, since, out->data + before, out->len - before);
    return rc;
}

int rpc_run(const struct rpc_dispatch *d, const struct rpc_method *m, struct rpc_call *call,
            const void *payload, size_t bytes, struct fp_arena *request_arena, struct fp_str *out,
            struct fp_err *err)
{
    struct trace_span span = {.recorded = false};

    call->method = m->name;
    call->ctx = d->ctx;
    log_trace(call->traceparent);
    if (!only_reads(m)) { /* clients ask again and again: what only reads is no span */
        trace_begin(&span, call->traceparent, m->name, TRACE_SERVER);
        call->traceparent = span.context;
    }
    int rc = run_and_share(d, m, call, payload, bytes, request_arena, out, err);
    trace_end(&span, rc == 0 ? NULL : err_code_name(err->code));
    log_trace(NULL);
    call->traceparent = ""; /* span ends here */
    return rc;
}

void rpc_count(const struct rpc_dispatch *d, const struct rpc_method *m, enum fp_code code, int64_t since_us)
{
    const char *name = m != NULL ? m->name : "other";
    char labels[128];
    snprintf(labels, sizeof labels, "method=\"%s\",code=\"%s\"", name,
             code == FP_OK ? "OK" : err_code_name(code));
    metrics_add(d->calls_metric, labels, 1);
    snprintf(labels, sizeof labels, "method=\"%s\"", name);
    metrics_observe_s(d->seconds_metric, labels, (double)(clock_mono_us() - since_us) / 1e6);
    if (code == FP_INTERNAL || code == FP_UNKNOWN)
        log_warn("rpc", "failed", "method=%s code=%s", name, err_code_name(code));
}
