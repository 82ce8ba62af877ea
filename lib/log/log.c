/*
 * Log lines.
 *
 * A line is made on the stack and leaves by one write(2), so that lines of
 * several threads and processes on one pipe do not mix. It is cut at 4 kB:
 * what needs more belongs into the error log of the database. Whatever a peer
 * put into a value, text output is cleaned and JSON output is escaped, so one
 * call is one line. Nothing here allocates on the text path, and logging
 * never fails: when stderr is gone, the line is gone.
 */
#include "lib/log/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/base/text.h"

#define LOG_LINE_BYTES   4096
#define LOG_DETAIL_BYTES 3072 /* leaves room for time, ids and event */
#define LOG_ID_BYTES     512

static struct {
    char service[32];
    bool json;
    enum log_level least;
} the = {"foliopost", false, LOG_INFO_LEVEL};

static _Thread_local char trace_id[33];

void log_trace(const char *traceparent)
{
    const char *id = traceparent && strlen(traceparent) == 55 ? traceparent + 3 : "";

    snprintf(trace_id, sizeof trace_id, "%.32s", id);
}

void log_init(const char *service, bool json, enum log_level least)
{
    text_clean(the.service, sizeof the.service, service);
    the.json = json;
    the.least = least;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    return (unsigned)level < 4 ? names[level] : "error";
}

static void write_line(const char *line, size_t bytes)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, line, bytes);
    while (n < 0 && errno == EINTR);
}

static void write_text(const char *time, enum log_level level, const char *id, const char *event,
                       const char *detail)
{
    char raw[LOG_LINE_BYTES], line[LOG_LINE_BYTES];

    bool traced = *id && trace_id[0];

    snprintf(raw, sizeof raw, "%s %s %s %s%s%s%s%s%s%s", time, level_name(level), the.service, id,
             *id ? " " : "", event, *detail ? " " : "", detail, traced ? " trace=" : "",
             traced ? trace_id : "");
    text_clean(line, sizeof line - 1, raw); /* one byte left for the newline */
    size_t n = strlen(line);
    line[n++] = '\n';
    write_line(line, n);
}

static void json_field(struct fp_str *s, const char *name, const char *value)
{
    str_printf(s, "%s\"%s\":", s->len > 1 ? "," : "", name);
    str_json(s, value);
}

static void write_json(const char *time, enum log_level level, const char *id, const char *event,
                       const char *detail)
{
    struct fp_str s;

    str_init(&s, 8 * LOG_LINE_BYTES); /* a byte becomes at most six */
    str_putc(&s, '{');
    json_field(&s, "time", time);
    json_field(&s, "level", level_name(level));
    json_field(&s, "service", the.service);
    if (*id)
        json_field(&s, "id", id);
    if (*id && trace_id[0])
        json_field(&s, "trace_id", trace_id);
    json_field(&s, "event", event);
    if (*detail)
        json_field(&s, "detail", detail);
    str_puts(&s, "}\n");
    if (!s.overflow)
        write_line(s.data, s.len);
    str_fini(&s);
}

void log_line(enum log_level level, const char *id, const char *event, const char *fmt, ...)
{
    char short_id[LOG_ID_BYTES], detail[LOG_DETAIL_BYTES], time[32];
    int keep = errno; /* logging between a failure and its report changes nothing */
    va_list ap;

    if (level < the.least)
        return;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof detail, fmt, ap);
    va_end(ap);
    snprintf(short_id, sizeof short_id, "%s", id ? id : "");
    time_format_rfc3339(clock_wall_us(), time);
    (the.json ? write_json : write_text)(time, level, short_id, event, detail);
    errno = keep;
}

bool log_limited(long long *last_us, int every_ms)
{
    long long last = __atomic_load_n(last_us, __ATOMIC_RELAXED);
    long long now = clock_mono_us();

    if (last && now - last < every_ms * 1000LL)
        return false;
    return __atomic_compare_exchange_n(last_us, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
