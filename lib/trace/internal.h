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

/* otlp.c: an ExportTraceServiceRequest in OTLP's JSON. */
void trace_otlp(const struct trace_options *o, const struct trace_done *spans, size_t n, struct fp_str *out);

#endif
