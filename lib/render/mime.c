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

/* --- quoted-printable ------------------------------------------------------------- */

struct qp {
    struct fp_str *out;
    char line[QP_COLUMNS + 2];
    size_t n;
};

static void qp_end_line(struct qp *q, bool soft)
{
    if (soft)
        q->line[q->n++] = '=';
    q->line[q->n++] = '\r';
    q->line[q->n++] = '\n';
    str_add(q->out, q->line, q->n);
    q->n = 0;
}

static void qp_escape(struct qp *q, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    if (q->n + 3 > QP_COLUMNS - 1) /* one for the soft break's "=" */
        qp_end_line(q, true);
    q->line[q->n++] = '=';
    q->line[q->n++] = hex[c >> 4];
    q->line[q->n++] = hex[c & 15];
}

static void qp_copy(struct qp *q, const char *p, size_t bytes)
{
    while (bytes > 0) {
        if (q->n == QP_COLUMNS - 1)
            qp_end_line(q, true);
        size_t room = QP_COLUMNS - 1 - q->n, n = bytes < room ? bytes : room;
        memcpy(q->line + q->n, p, n);
        q->n += n;
        p += n;
        bytes -= n;
    }
}

/* 1: literal. Asked for each of some 40,000 bytes of a mail. */
static const unsigned char literals[256] = {
    ['\t'] = 1,
    [' ' ... '<'] = 1,
    ['>' ... '~'] = 1,
};

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

/* How many bytes can be copied as they are. A blank at the end of a line
 * cannot: relays take it off there. */
static size_t literal_run(const char *p, const char *end)
{
    const char *q = p;
    while (end - q >= 8 && eight_literals(q))
        q += 8;
    while (q < end && literals[(unsigned char)*q])
        q++;
    bool line_ends = q == end || *q == '\n' || *q == '\r';
    if (q > p && line_ends && (q[-1] == ' ' || q[-1] == '\t'))
        q--;
    return (size_t)(q - p);
}

void mime_add_quoted_printable(struct fp_str *out, const char *text, size_t bytes)
{
    struct qp q = {.out = out};
    for (const char *p = text, *end = text + bytes; p < end;) {
        size_t run = literal_run(p, end);
        qp_copy(&q, p, run);
        p += run;
        if (p == end)
            break;
        if (*p == '\r' && p + 1 < end && p[1] == '\n')
            p++;
        if (*p == '\n')
            qp_end_line(&q, false);
        else
            qp_escape(&q, (unsigned char)*p);
        p++;
    }
    if (q.n > 0)
        qp_end_line(&q, false);
}
