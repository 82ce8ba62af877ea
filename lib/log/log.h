/*
 * Logs: one line for each change of state, none for each user, never an
 * address or a name. To stderr, as text or as one JSON object a line.
 *
 *   log_info("job=12 batch=340", "claimed", "epoch=%d users=%d", epoch, n);
 *   2026-11-01T00:00:00.000000Z info mailer job=12 batch=340 claimed epoch=1 users=100
 *
 * The id (of job, interval, batch, or "") comes first, then the event, then
 * key=value pairs, the reason last, and the trace's id where the id belongs to one. warn: degraded and going
 * on. error: a fault somebody should look at. Control characters never reach the output. Thread-safe; a line
 * is one write(2).
 */
#ifndef FP_LOG_LOG_H
#define FP_LOG_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG_LEVEL, LOG_INFO_LEVEL, LOG_WARN_LEVEL, LOG_ERROR_LEVEL };

void log_init(const char *service, bool json, enum log_level least);

void log_line(enum log_level level, const char *id, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_debug(id, event, ...) log_line(LOG_DEBUG_LEVEL, id, event, __VA_ARGS__)
#define log_info(id, event, ...)  log_line(LOG_INFO_LEVEL, id, event, __VA_ARGS__)
#define log_warn(id, event, ...)  log_line(LOG_WARN_LEVEL, id, event, __VA_ARGS__)
#define log_error(id, event, ...) log_line(LOG_ERROR_LEVEL, id, event, __VA_ARGS__)

/* This thread's lines with an id carry the trace id of this traceparent, until
 * the next call; NULL or no traceparent: none. */
void log_trace(const char *traceparent);

/* True at most once in every `every_ms` for one call site's *last: keeps a
 * fault that repeats from filling the log. */
bool log_limited(long long *last_us, int every_ms);

#endif
