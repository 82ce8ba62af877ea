/*
 * Spans: what was done for a traced call, for how long, under which other span.
 *
 *   struct trace_span s;
 *   trace_begin(&s, batch->traceparent, "stats batch", TRACE_CONSUMER);
 *   trace_number(&s, "foliopost.batch_id", batch->batch_id);
 *   out->traceparent = s.context;
 *   trace_end(&s, NULL);
 *
 * The context is W3C's traceparent; it is carried whether spans are recorded or
 * not. They are recorded once trace_start() was called and where the parent's
 * flag says "sampled", and leave as OTLP/HTTP in JSON (export.c). A span has
 * literals and numbers only: no names, no addresses. Ending one takes a lock for
 * a copy and never waits for the collector: past TRACE_QUEUE spans new ones are
 * dropped and counted.
 */
#ifndef FP_TRACE_TRACE_H
#define FP_TRACE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define TRACE_PARENT_BYTES 56 /* "00-<32 hex>-<16 hex>-<2 hex>" and its NUL */
#define TRACE_QUEUE        4096
#define TRACE_NUMBERS      6

enum trace_kind {
    TRACE_INTERNAL = 1,
    TRACE_SERVER,
    TRACE_CLIENT,
    TRACE_PRODUCER,
    TRACE_CONSUMER
}; /* OTLP's */

struct trace_number {
    const char *key; /* a literal */
    int64_t value;
};

struct trace_span {
    char context[TRACE_PARENT_BYTES]; /* for what is done under it; the parent's where it is not recorded */
    char parent[17];                  /* "": it is the first of its trace */
    const char *name;                 /* a literal, or lives as long as the process */
    enum trace_kind kind;
    int64_t start_us;
    struct trace_number numbers[TRACE_NUMBERS];
    int n_numbers;
    bool recorded;
};

struct trace_options {
    const char *service; /* "foliopost-mailer" */
    const char *version;
    const char *instance; /* the pod's name */
    const char *endpoint; /* "http://collector:4318": /v1/traces is added where the URL has no path;
                             "": the one of OpenTelemetry's variables, if there is one (otel.c) */
};

/* True for version 00 with ids that are not only zeros. */
bool trace_is_valid(const char *traceparent);

/* A parent that is no traceparent: the first span of a new trace, where spans are exported; else context is
 * "". */
void trace_begin(struct trace_span *s, const char *parent, const char *name, enum trace_kind kind);
void trace_number(struct trace_span *s, const char *key, int64_t value); /* past TRACE_NUMBERS: left out */
/* error: a short code, a literal; NULL when it went well. Once for each begin; the context stays. */
void trace_end(struct trace_span *s, const char *error);
/* What hangs on the context from here on is not recorded. */
void trace_unsample(struct trace_span *s);

/* The exporter, one a process; 0 also where there is no endpoint, and none is started. INVALID_ARGUMENT
 * for a wrong endpoint of ours; what is wrong in OTEL_* variables is logged and passed over, as OpenTelemetry
 * asks for. A collector that is away is no error. */
int trace_start(const struct trace_options *o, struct fp_err *err) FP_MUST_CHECK;
/* Sends what is left, for some seconds at most, and frees. Without a start: nothing. */
void trace_stop(void);

#endif
