/*
 * Spans as OTLP's JSON: protobuf's mapping, but with ids in hex and field names
 * in lower camel case; int64 are strings. All spans of a request are of one
 * resource, this process.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/trace/internal.h"

enum { STATUS_OK = 1, STATUS_ERROR = 2 };

static void text_attribute(struct fp_str *out, const char *key, const char *value)
{
    str_puts(out, "{\"key\":");
    str_json(out, key);
    str_puts(out, ",\"value\":{\"stringValue\":");
    str_json(out, value);
    str_puts(out, "}}");
}

static void numbers(const struct trace_span *s, struct fp_str *out)
{
    for (int i = 0; i < s->n_numbers; i++) {
        str_puts(out, i ? ",{\"key\":" : "{\"key\":");
        str_json(out, s->numbers[i].key);
        str_printf(out, ",\"value\":{\"intValue\":\"%" PRId64 "\"}}", s->numbers[i].value);
    }
}

static void one(const struct trace_done *d, struct fp_str *out)
{
    const struct trace_span *s = &d->span;

    str_printf(out, "{\"traceId\":\"%.32s\",\"spanId\":\"%.16s\"", s->context + 3, s->context + 36);
    if (s->parent[0])
        str_printf(out, ",\"parentSpanId\":\"%s\"", s->parent);
    str_puts(out, ",\"name\":");
    str_json(out, s->name);
    str_printf(out,
               ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "000\",\"endTimeUnixNano\":\"%" PRId64
               "000\",\"attributes\":[",
               (int)s->kind, s->start_us, d->end_us > s->start_us ? d->end_us : s->start_us);
    numbers(s, out);
    if (d->error[0]) {
        if (s->n_numbers)
            str_putc(out, ',');
        text_attribute(out, "error.type", d->error);
    }
    str_printf(out, "],\"status\":{\"code\":%d}}", d->error[0] ? STATUS_ERROR : STATUS_OK);
}

static bool is_ours(const char *key)
{
    return strcmp(key, "service.name") == 0 || strcmp(key, "service.version") == 0 ||
           strcmp(key, "service.instance.id") == 0;
}

void trace_otlp(const struct trace_options *o, const struct trace_done *spans, size_t n, struct fp_str *out)
{
    const struct otel_env *env = trace_env();

    str_puts(out, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    text_attribute(out, "service.name", env->service ? env->service : o->service);
    str_putc(out, ',');
    text_attribute(out, "service.version", o->version);
    str_putc(out, ',');
    text_attribute(out, "service.instance.id", o->instance);
    for (size_t i = 0; i < env->n_attributes; i++) {
        if (is_ours(env->attributes[i].key))
            continue;
        str_putc(out, ',');
        text_attribute(out, env->attributes[i].key, env->attributes[i].value);
    }
    str_puts(out, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"foliopost\"},\"spans\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            str_putc(out, ',');
        one(&spans[i], out);
    }
    str_puts(out, "]}]}]}");
}
