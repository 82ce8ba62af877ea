/* What the files of lib/trace share. */
#ifndef FP_TRACE_INTERNAL_H
#define FP_TRACE_INTERNAL_H

#include "lib/base/str.h"
#include "lib/trace/trace.h"

struct trace_done {
    struct trace_span span;
    int64_t end_us;
    char error[32];
};

/* export.c */
bool trace_exporting(void);
void trace_give(const struct trace_done *d); /* copies; drops when the queue is full */

/* otel.c: what OpenTelemetry's environment variables say. */
#define OTEL_ATTRIBUTES 32
#define OTEL_HEADERS    16
#define OTEL_URL_BYTES  1024
#define OTEL_TEXT_BYTES 4096
struct otel_pair {
    const char *key, *value; /* in text */
};
struct otel_env {
    bool off;                 /* OTEL_SDK_DISABLED, an exporter or a sampler that says none */
    char url[OTEL_URL_BYTES]; /* whole; "": none */
    const char *service;      /* NULL: not given */
    struct otel_pair attributes[OTEL_ATTRIBUTES], headers[OTEL_HEADERS];
    size_t n_attributes, n_headers;
    double ratio;  /* of traces that begin here, 0 to 1 */
    size_t n_text; /* used of text */
    char text[2 * OTEL_TEXT_BYTES];
};
void otel_read(struct otel_env *out);
bool otel_begins(const char *trace_id, double ratio); /* 32 hex: is one that begins here sampled? */

/* export.c: of the process's start. */
const struct otel_env *trace_env(void);

/* otlp.c: an ExportTraceServiceRequest in OTLP's JSON. */
void trace_otlp(const struct trace_options *o, const struct trace_done *spans, size_t n, struct fp_str *out);

#endif
