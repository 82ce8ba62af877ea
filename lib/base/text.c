/*
 * Checks of foreign text. All are strict: what is not clearly right is wrong,
 * because what passes here goes into SMTP commands, headers, logs and SQL
 * arrays. UTF-8 by RFC 3629: shortest forms only, no surrogates, at most
 * U+10FFFF. Addresses are ASCII: SMTPUTF8 (RFC 6531) is not spoken yet.
 */
#define _GNU_SOURCE /* strtod_l */
#include "lib/base/text.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/err.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

size_t text_utf8_char(const char *s, size_t bytes, uint32_t *c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    size_t n;

    if (bytes == 0)
        return 0;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        n = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        n = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (bytes < n)
        return 0;
    uint32_t v = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    *c = v;
    return n;
}

static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

bool text_is_utf8(const char *s, size_t bytes)
{
    while (bytes > 0) {
        uint32_t c;
        size_t n = text_utf8_char(s, bytes, &c);
        if (n == 0)
            return false;
        s += n;
        bytes -= n;
    }
    return true;
}

bool text_is_clean(const char *s)
{
    size_t left = strlen(s);

    while (left > 0) {
        uint32_t c;
        size_t n = text_utf8_char(s, left, &c);
        if (n == 0 || is_control(c))
            return false;
        s += n;
        left -= n;
    }
    return true;
}

bool text_clean(char *out, size_t cap, const char *in)
{
    size_t left = strlen(in), room = cap ? cap - 1 : 0;
    bool same = cap > 0;

    while (left > 0) {
        if (*in >= ' ' && *in <= '~' && room > 0) { /* nearly all there is */
            *out++ = *in++;
            room--;
            left--;
            continue;
        }
        uint32_t c;
        size_t n = text_utf8_char(in, left, &c), used = n ? n : 1;
        const char *from = in;
        if (n == 0) {
            from = replacement;
            n = sizeof replacement - 1;
            same = false;
        } else if (is_control(c)) {
            from = " ";
            n = 1;
            same = false;
        }
        if (n > room) {
            same = false;
            break;
        }
        memcpy(out, from, n);
        out += n;
        room -= n;
        in += used;
        left -= used;
    }
    if (cap)
        *out = '\0';
    return same;
}

/* A character of a dot-string (RFC 5321, 4.1.2): atext of RFC 5322, or a dot. */
static bool is_local_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_local_part(const char *s, size_t bytes)
{
    if (bytes < 1 || bytes > 64 || s[0] == '.' || s[bytes - 1] == '.')
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (!is_local_char(s[i]) || (s[i] == '.' && s[i + 1] == '.'))
            return false;
    return true;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/* One label of a host name, 1-63 characters (RFC 1123, 2.1); its length, or 0. */
static size_t label_length(const char *s, bool *numeric)
{
    size_t n = 0;

    *numeric = true;
    while (is_label_char(s[n])) {
        *numeric = *numeric && s[n] >= '0' && s[n] <= '9';
        n++;
    }
    return n >= 1 && n <= 63 && s[0] != '-' && s[n - 1] != '-' ? n : 0;
}

static bool is_mail_domain(const char *s)
{
    int labels = 0;
    bool numeric;

    for (;;) {
        size_t n = label_length(s, &numeric);
        if (n == 0)
            return false;
        labels++;
        s += n;
        if (*s == '\0') /* 1.2.3.4 is no domain */
            return labels >= 2 && !numeric;
        if (*s++ != '.')
            return false;
    }
}

bool text_is_address(const char *s)
{
    const char *at = strchr(s, '@');

    return at && strlen(s) <= 254 && is_local_part(s, (size_t)(at - s)) && is_mail_domain(at + 1);
}

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

bool text_parse_i64(const char *s, int64_t *out)
{
    const char *digits = s + (*s == '-' || *s == '+');
    const char *end = skip_digits(digits);

    if (end == digits || *end)
        return false;
    errno = 0;
    long long v = strtoll(s, NULL, 10);
    if (errno)
        return false;
    *out = v;
    return true;
}

/* digits[.digits][e[+-]digits]: no hex, no "inf", no "nan", which strtod takes. */
static bool is_decimal(const char *s)
{
    s += *s == '-' || *s == '+';
    const char *p = skip_digits(s);
    if (p == s)
        return false;
    if (*p == '.') {
        s = p + 1;
        p = skip_digits(s);
        if (p == s)
            return false;
    }
    if (*p == 'e' || *p == 'E') {
        s = p + 1 + (p[1] == '-' || p[1] == '+');
        p = skip_digits(s);
        if (p == s)
            return false;
    }
    return *p == '\0';
}

bool text_parse_double(const char *s, double *out)
{
    if (!is_decimal(s))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c)
        return false;
    double v = strtod_l(s, NULL, c);
    freelocale(c);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

bool text_is_uuid(const char *s)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex =
            (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f') || (s[i] >= 'A' && s[i] <= 'F');
        if (dash ? s[i] != '-' : !hex)
            return false;
    }
    return s[36] == '\0';
}

void text_uuid(const unsigned char b[16], char out[37])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}

void text_new_uuid(char out[37])
{
    unsigned char b[16];
    ssize_t n;

    do
        n = getrandom(b, sizeof b, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof b)
        fp_panic("getrandom: %s", strerror(errno));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
    text_uuid(b, out);
}

bool text_equal_secret(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    volatile unsigned char diff = na != nb;

    for (size_t i = 0; i < na; i++)
        diff |= (unsigned char)(a[i] ^ (nb ? b[i % nb] : 1));
    return diff == 0;
}
