/*
 * A span's life in the thread that does the work.
 *
 * The random ids come from the kernel: a span is made for each call and batch,
 * never for each user, so that costs nothing that counts.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/trace/internal.h"

#define HEX "0123456789abcdef" /* upper case is not valid in a traceparent */

enum { TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53 };

static bool is_id(const char *s, size_t n)
{
    return strspn(s, HEX) >= n && strspn(s, "0") < n;
}

bool trace_is_valid(const char *t)
{
    return t && strlen(t) == TRACE_PARENT_BYTES - 1 && strncmp(t, "00-", TRACE_AT) == 0 &&
           is_id(t + TRACE_AT, 32) && t[SPAN_AT - 1] == '-' && is_id(t + SPAN_AT, 16) &&
           t[FLAGS_AT - 1] == '-' && strspn(t + FLAGS_AT, HEX) == 2;
}

/* The lowest bit of the flags; the others say nothing to us. */
static bool is_sampled(const char *t)
{
    return strchr("13579bdf", t[FLAGS_AT + 1]) != NULL;
}

static void random_hex(char *out, size_t bytes)
{
    unsigned char raw[16];

    if (getrandom(raw, bytes, 0) != (ssize_t)bytes)
        fp_panic("getrandom gave too little");
    raw[0] |= 1; /* ids of only zeros are not valid */
    for (size_t i = 0; i < bytes; i++) {
        *out++ = HEX[raw[i] >> 4];
        *out++ = HEX[raw[i] & 15];
    }
}

void trace_begin(struct trace_span *s, const char *parent, const char *name, enum trace_kind kind)
{
    bool child = trace_is_valid(parent);

    memset(s, 0, sizeof *s);
    s->name = name;
    s->kind = kind;
    if (child)
        memcpy(s->context, parent, TRACE_PARENT_BYTES);
    s->recorded = trace_exporting() && (!child || is_sampled(parent));
    if (!s->recorded)
        return;
    s->start_us = clock_wall_us();
    if (child) {
        memcpy(s->parent, parent + SPAN_AT, 16);
    } else {
        memcpy(s->context, "00-00000000000000000000000000000000-0000000000000000-01", TRACE_PARENT_BYTES);
        random_hex(s->context + TRACE_AT, 16);
    }
    random_hex(s->context + SPAN_AT, 8);
    if (!child && !otel_begins(s->context + TRACE_AT, trace_env()->ratio))
        trace_unsample(s);
}

void trace_number(struct trace_span *s, const char *key, int64_t value)
{
    if (s->recorded && s->n_numbers < TRACE_NUMBERS)
        s->numbers[s->n_numbers++] = (struct trace_number){key, value};
}

void trace_unsample(struct trace_span *s)
{
    if (s->context[0])
        s->context[FLAGS_AT + 1] = '0';
    s->recorded = false;
}

void trace_end(struct trace_span *s, const char *error)
{
    struct trace_done d;

    if (!s->recorded)
        return;
    s->recorded = false;
    d.span = *s;
    d.end_us = clock_wall_us();
    snprintf(d.error, sizeof d.error, "%s", error ? error : "");
    trace_give(&d);
}
