/*
 * Errors and the panic.
 *
 * A message is first made in a buffer of its own, so that a caller may use the
 * old message as an argument of the new one. Nothing here allocates: an error
 * must be tellable when memory is short. A message that is too long is cut.
 */
#include "lib/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef err_set /* the analyzer's, see err.h */
#undef err_prefix

int err_set(struct fp_err *err, enum fp_code code, const char *fmt, ...)
{
    char msg[sizeof err->msg];
    va_list ap;

    if (!err)
        return -1;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    err->code = code;
    memcpy(err->msg, msg, sizeof msg);
    return -1;
}

int err_prefix(struct fp_err *err, const char *fmt, ...)
{
    char msg[sizeof err->msg];
    va_list ap;

    if (!err)
        return -1;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(msg);
    snprintf(msg + n, sizeof msg - n, ": %s", err->msg);
    memcpy(err->msg, msg, sizeof msg);
    return -1;
}

const char *err_code_name(enum fp_code code)
{
    static const char *const names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    size_t i = (size_t)code;

    return i < sizeof names / sizeof names[0] ? names[i] : "UNKNOWN";
}

void err_panic(const char *file, int line, const char *fmt, ...)
{
    char text[1024]; /* one write, so that lines of other threads do not come between */
    va_list ap;

    int n = snprintf(text, sizeof text, "panic: %s:%d: ", file, line);
    size_t at = n > 0 && (size_t)n < sizeof text ? (size_t)n : 0;
    va_start(ap, fmt);
    vsnprintf(text + at, sizeof text - at - 1, fmt, ap);
    va_end(ap);
    at = strlen(text);
    text[at++] = '\n';
    if (write(STDERR_FILENO, text, at) < 0)
        abort(); /* nobody to tell: the core tells */
    abort();
}
