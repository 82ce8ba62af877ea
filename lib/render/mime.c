/*
 * MIME by hand: the mail's shape never changes (two text parts, a dozen
 * headers), so a composer for just this is small, and several times faster
 * than a general library. Rules: RFC 5322 (folding), RFC 2047 (encoded
 * words), RFC 2045 (quoted-printable).
 *
 * Encoded words are always base64: one form is enough, every reader knows it,
 * and names in most scripts are shorter that way.
 */
#include "lib/render/mime.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/text.h"

#define FOLD_COLUMNS    78  /* RFC 5322 2.1.1: lines SHOULD be no longer */
#define ENCODED_COLUMNS 76  /* RFC 2047 2: a line that holds an encoded word */
#define WORD_COLUMNS    75  /* RFC 2047 2: an encoded word itself */
#define MAX_URI_BYTES   900 /* RFC 5322 2.1.1: a line MUST be under 998 */
#define QP_COLUMNS      76  /* RFC 2045 6.7 (5) */

/* --- headers ------------------------------------------------------------------ */

/* Clean text, blanks at the ends taken off, runs of them made one. */
static void tidy(const char *value, char out[MIME_MAX_HEADER_BYTES])
{
    char clean[MIME_MAX_HEADER_BYTES];
    text_clean(clean, sizeof clean, value);
    char *o = out;
    for (const char *p = clean; *p; p++)
        if (*p != ' ' || (o > out && o[-1] != ' '))
            *o++ = *p;
    while (o > out && o[-1] == ' ')
        o--;
    *o = 0;
}

/* Whether the value can stand as it is: ASCII, nothing like an encoded word,
 * and no word too long to be folded. */
static bool is_plain(const char *value)
{
    size_t word = 0;
    for (const char *p = value; *p; p++) {
        if ((signed char)*p < ' ' || *p == 0x7f)
            return false;
        word = *p == ' ' ? 0 : word + 1;
        if (word > 60)
            return false;
    }
    return !strstr(value, "=?");
}

static void add_plain(struct fp_str *out, const char *value, size_t column)
{
    while (*value) {
        size_t word = strcspn(value + 1, " ") + 1; /* with the blank before it */
        if (*value == ' ' && column + word > FOLD_COLUMNS) {
            str_puts(out, "\r\n");
            column = 0;
        }
        str_add(out, value, word);
        column += word;
        value += word;
    }
}

static void add_base64(struct fp_str *out, const unsigned char *p, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; bytes > 0; p += 3, bytes -= bytes < 3 ? bytes : 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)(bytes > 1 ? p[1] : 0) << 8 | (bytes > 2 ? p[2] : 0);
        char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], bytes > 1 ? digits[v >> 6 & 63] : '=',
                        bytes > 2 ? digits[v & 63] : '='};
        str_add(out, quad, 4);
    }
}

/* How many bytes of the text to put in one word: whole characters only. */
static size_t word_bytes(const char *text, size_t max)
{
    size_t n = strlen(text);
    if (n <= max)
        return n;
    while (max > 1 && (text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static size_t add_encoded(struct fp_str *out, const char *value, size_t column)
{
    static const char start[] = "=?UTF-8?B?", end[] = "?=";
    const size_t frame = sizeof start - 1 + sizeof end - 1;
    while (*value) {
        size_t room = ENCODED_COLUMNS - column;
        size_t base64 = ((room < WORD_COLUMNS ? room : WORD_COLUMNS) - frame) / 4 * 4;
        size_t bytes = word_bytes(value, base64 / 4 * 3);
        str_add(out, start, sizeof start - 1);
        add_base64(out, (const unsigned char *)value, bytes);
        str_add(out, end, sizeof end - 1);
        column += frame + (bytes + 2) / 3 * 4;
        value += bytes;
        if (*value) {
            str_puts(out, "\r\n ");
            column = 1;
        }
    }
    return column;
}

void mime_add_text_header(struct fp_str *out, const char *name, const char *value)
{
    char text[MIME_MAX_HEADER_BYTES] = "";
    tidy(value, text);
    str_puts(out, name);
    str_puts(out, ": ");
    size_t column = strlen(name) + 2;
    if (is_plain(text))
        add_plain(out, text, column);
    else
        add_encoded(out, text, column);
    str_puts(out, "\r\n");
}

/* A display name of plain words, else in quotes, else encoded (RFC 5322 3.2.3). */
static size_t add_phrase(struct fp_str *out, const char *name, size_t column)
{
    size_t before = out->len;
    bool quotes = strpbrk(name, "()<>[]:;@\\,.\"") != NULL;
    if (!is_plain(name) || column + 2 * strlen(name) + 2 > FOLD_COLUMNS)
        return add_encoded(out, name, column);
    if (!quotes) {
        str_puts(out, name);
        return column + (out->len - before);
    }
    str_putc(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"' || *p == '\\')
            str_putc(out, '\\');
        str_putc(out, *p);
    }
    str_putc(out, '"');
    return column + (out->len - before);
}

void mime_add_address_header(struct fp_str *out, const char *name, const char *display_name,
                             const char *address)
{
    char text[MIME_MAX_HEADER_BYTES] = "";
    tidy(display_name, text);
    str_puts(out, name);
    str_puts(out, ": ");
    size_t column = strlen(name) + 2;
    if (!*text) {
        str_puts(out, address);
        str_puts(out, "\r\n");
        return;
    }
    column = add_phrase(out, text, column);
    str_puts(out, column + strlen(address) + 3 > FOLD_COLUMNS ? "\r\n <" : " <");
    str_puts(out, address);
    str_puts(out, ">\r\n");
}

bool mime_is_uri(const char *uri)
{
    size_t n = strlen(uri);
    if (strncmp(uri, "https://", 8) != 0 || n > MAX_URI_BYTES)
        return false;
    for (size_t i = 0; i < n; i++)
        if (uri[i] <= ' ' || uri[i] > '~' || uri[i] == '<' || uri[i] == '>' || uri[i] == ',')
            return false;
    return true;
}

/* --- quoted-printable -------------------------------------------------------------
 * In two steps, since templates take the first before any mail: bytes that are
 * not literal become "=XX"; then lines are broken, blanks at their ends escaped. */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes, all of them from ' ' to '~' and no '='. The usual test for a zero byte; what borrows make
 * of bytes above a hit does not matter, since one hit is enough. */
static bool eight_literals(const char *p)
{
    uint64_t v, equals, del;
    memcpy(&v, p, sizeof v);
    equals = v ^ EACH('=');
    del = v ^ EACH(0x7f);
    return ((v | (v - EACH(' ')) | (equals - EACH(1)) | (del - EACH(1))) & EACH(0x80)) == 0;
}

static bool is_literal(char c)
{
    return (c >= ' ' && c <= '~' && c != '=') || c == '\t' || c == '\n';
}

static const char *literals_end(const char *p, const char *end)
{
    while (end - p >= 8 && eight_literals(p))
        p += 8;
    while (p < end && is_literal(*p))
        p++;
    return p;
}

static char *put_escape(char *to, char c)
{
    static const char hex[] = "0123456789ABCDEF";
    to[0] = '=';
    to[1] = hex[(unsigned char)c >> 4];
    to[2] = hex[(unsigned char)c & 15];
    return to + 3;
}

static char *put(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return to + bytes;
}

void mime_quote(struct fp_str *out, const char *text, size_t bytes)
{
    char *const room = str_room(out, 3 * bytes), *to = room;
    if (!room)
        return;
    for (const char *p = text, *end = text + bytes; p < end; p++) {
        const char *stop = literals_end(p, end);
        to = put(to, p, (size_t)(stop - p));
        p = stop;
        if (p == end)
            break;
        if (*p != '\r' || p + 1 == end || p[1] != '\n') /* CRLF is a line's end as well */
            to = put_escape(to, *p);
    }
    str_grew(out, (size_t)(to - room));
}

/* How much of the line fits: no escape is cut in two. */
static size_t fitting(const char *p, size_t bytes)
{
    if (bytes < QP_COLUMNS)
        return bytes;
    size_t n = QP_COLUMNS - 1; /* one for the soft break's "=" */
    return p[n - 1] == '=' ? n - 1 : p[n - 2] == '=' ? n - 2 : n;
}

/* A blank that ends its line is escaped: relays take it off there. */
static char *put_line(char *to, const char *p, size_t bytes)
{
    bool blank = bytes > 0 && (p[bytes - 1] == ' ' || p[bytes - 1] == '\t');
    size_t left = blank ? bytes - 1 : bytes;
    for (size_t n; (n = fitting(p, left)) < left; p += n, left -= n) {
        to = put(to, p, n);
        to = put(to, "=\r\n", 3);
    }
    to = put(to, p, left);
    if (blank && left + 3 > QP_COLUMNS - 1)
        to = put(to, "=\r\n", 3);
    if (blank)
        to = put_escape(to, p[left]);
    return put(to, "\r\n", 2);
}

void mime_add_quoted(struct fp_str *out, const char *quoted, size_t bytes)
{
    for (const char *p = quoted, *end = quoted + bytes; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p)), *stop = nl ? nl : end;
        size_t line = (size_t)(stop - p);
        char *room =
            str_room(out, line + line / 70 * 3 + 12); /* a soft break for each 73; one, an escape, CRLF */
        if (!room)
            return;
        str_grew(out, (size_t)(put_line(room, p, line) - room));
        p = nl ? nl + 1 : end;
    }
}

void mime_unquote(struct fp_str *quoted)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = quoted->data;
    for (const char *p = quoted->data, *end = p + quoted->len; p < end; p++) {
        const char *high = *p == '=' && end - p > 2 ? strchr(hex, p[1]) : NULL,
                   *low = high ? strchr(hex, p[2]) : NULL;
        *to++ = low ? (char)((high - hex) << 4 | (low - hex)) : *p;
        p += low ? 2 : 0;
    }
    quoted->len = (size_t)(to - quoted->data);
    if (quoted->cap)
        *to = '\0';
}
