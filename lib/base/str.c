/*
 * The growing buffer.
 *
 * Once it has overflowed it takes nothing more, so that what is in it is a
 * whole beginning of the text and never one with a hole. A buffer of zeroes
 * is a valid empty one.
 */
#include "lib/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"

#define STR_DEFAULT_MAX_BYTES ((size_t)16 << 20)
#define STR_FIRST_BYTES       ((size_t)64)

/* What data points to before the first byte, so that it is always a text. */
static char str_nothing[1];

void str_init(struct fp_str *s, size_t max_bytes)
{
    *s = (struct fp_str){.data = str_nothing, .max_bytes = max_bytes};
}

void str_fini(struct fp_str *s)
{
    if (s->cap)
        mem_free(s->data);
    str_init(s, s->max_bytes);
}

void str_clear(struct fp_str *s)
{
    s->len = 0;
    s->overflow = false;
    if (s->cap)
        s->data[0] = '\0';
}

char *str_room(struct fp_str *s, size_t bytes)
{
    size_t max = s->max_bytes ? s->max_bytes : STR_DEFAULT_MAX_BYTES;

    if (s->overflow || bytes > max - s->len) {
        s->overflow = true;
        return NULL;
    }
    size_t need = s->len + bytes + 1; /* the NUL */
    if (need > s->cap) {
        size_t cap = s->cap ? s->cap : STR_FIRST_BYTES;
        while (cap < need)
            cap *= 2;
        s->data = mem_resize(s->cap ? s->data : NULL, cap, 1);
        s->cap = cap;
        s->data[s->len] = '\0';
    }
    return s->data + s->len;
}

void str_grew(struct fp_str *s, size_t bytes)
{
    s->len += bytes;
    s->data[s->len] = '\0';
}

void str_add(struct fp_str *s, const void *data, size_t bytes)
{
    size_t max = s->max_bytes ? s->max_bytes : STR_DEFAULT_MAX_BYTES;
    bool fits = !s->overflow && bytes <= max - s->len && s->len + bytes < s->cap;
    char *p = fits ? s->data + s->len : str_room(s, bytes); /* nearly always */

    if (!p)
        return;
    if (bytes)
        memcpy(p, data, bytes);
    str_grew(s, bytes);
}

void str_puts(struct fp_str *s, const char *text)
{
    str_add(s, text, strlen(text));
}

void str_putc(struct fp_str *s, char c)
{
    str_add(s, &c, 1);
}

void str_printf(struct fp_str *s, const char *fmt, ...)
{
    char small[256]; /* most texts fit, and cost one pass */
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0) {
        s->overflow = true;
        return;
    }
    if ((size_t)n < sizeof small) {
        str_add(s, small, (size_t)n);
        return;
    }
    char *p = str_room(s, (size_t)n);
    if (!p)
        return;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    str_grew(s, (size_t)n);
}

static void str_json_char(struct fp_str *s, const char *p, size_t bytes, uint32_t c)
{
    if (c == '"')
        str_add(s, "\\\"", 2);
    else if (c == '\\')
        str_add(s, "\\\\", 2);
    else if (c == '\n')
        str_puts(s, "\\n");
    else if (c == '\t')
        str_puts(s, "\\t");
    else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) /* DEL and C1 too: logs go to terminals */
        str_printf(s, "\\u%04x", (unsigned)c);
    else
        str_add(s, p, bytes);
}

/* How many bytes stand in a JSON string as they are: ASCII but controls, quotes and backslashes. */
static size_t str_json_plain(const char *text)
{
    size_t n = 0;

    while (text[n] >= ' ' && text[n] <= '~' && text[n] != '"' && text[n] != '\\')
        n++;
    return n;
}

void str_json(struct fp_str *s, const char *text)
{
    size_t left = strlen(text);

    str_putc(s, '"');
    while (left > 0 && !s->overflow) {
        uint32_t c;
        size_t plain = str_json_plain(text);
        str_add(s, text, plain);
        text += plain;
        left -= plain;
        if (left == 0)
            break;
        size_t n = text_utf8_char(text, left, &c);
        if (n)
            str_json_char(s, text, n, c);
        else
            str_puts(s, "\xef\xbf\xbd");
        n = n ? n : 1;
        text += n;
        left -= n;
    }
    str_putc(s, '"');
}

char *str_take(struct fp_str *s)
{
    char *text = s->cap ? s->data : mem_strdup("");

    str_init(s, s->max_bytes);
    return text;
}
