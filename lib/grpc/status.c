/*
 * Of the gRPC protocol over HTTP/2: Status-Message and Timeout. A timeout of 0
 * is legal, and over at once. An encoder must not fail: an error's text that
 * is too long is cut.
 */
#include "lib/grpc/status.h"

#include <stdio.h>

#include "lib/base/text.h"

#define MAX_TIMEOUT_MS (INT64_C(366) * 86400 * 1000)

size_t grpc_percent_encode(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    while (*text != '\0') {
        unsigned char c = (unsigned char)*text;
        uint32_t ignored;
        size_t bytes = c < 0x80 ? 1 : text_utf8_char(text, 4, &ignored);
        bool plain = c >= 0x20 && c < 0x7f && c != '%';
        if (bytes == 0)
            bytes = 1; /* not UTF-8: its byte alone */
        if (n + 3 * bytes >= cap)
            break;
        if (plain)
            out[n++] = (char)c;
        for (size_t i = 0; i < bytes && !plain; i++)
            n += (size_t)snprintf(out + n, cap - n, "%%%02X", (unsigned char)text[i]);
        text += bytes;
    }
    out[n] = '\0';
    return n;
}

bool grpc_parse_timeout(const char *text, size_t bytes, int64_t *ms)
{
    int64_t v = 0;
    if (bytes < 2 || bytes > 9)
        return false;
    for (size_t i = 0; i < bytes - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (text[i] - '0');
    }
    switch (text[bytes - 1]) {
    case 'H':
        v *= INT64_C(3600000);
        break;
    case 'M':
        v *= INT64_C(60000);
        break;
    case 'S':
        v *= 1000;
        break;
    case 'm':
        break;
    case 'u':
        v = (v + 999) / 1000;
        break;
    case 'n':
        v = (v + 999999) / 1000000;
        break;
    default:
        return false;
    }
    *ms = v < MAX_TIMEOUT_MS ? v : MAX_TIMEOUT_MS;
    return true;
}
