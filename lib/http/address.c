/* Splitting of "host:port". IPv6 addresses need brackets, as in a URL. */
#include "lib/http/http.h"

#include <stdint.h>
#include <string.h>

#include "lib/base/text.h"

bool http_split_address(const char *text, char *host, size_t host_cap, int *port)
{
    const char *colon = strrchr(text, ':');
    int64_t number;

    /* strlen: at most five digits, no sign */
    if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) > 5 ||
        !text_parse_i64(colon + 1, &number) || number > 65535)
        return false;
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed) {
        text++;
        n -= 2;
    }
    if (n >= host_cap || (bracketed && n == 0))
        return false;
    if (memchr(text, '[', n) || memchr(text, ']', n) || (!bracketed && memchr(text, ':', n)))
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    if (!text_is_clean(host) || strpbrk(host, " /@"))
        return false;
    *port = (int)number;
    return true;
}
