/*
 * Columns of the plain-text part, which is read in terminals and in mail
 * readers with fixed width. Ranges after Unicode's East Asian Width; marks of
 * direction, which ICU puts around Arabic figures, take no room.
 */
#define _GNU_SOURCE /* strchrnul */
#include "lib/render/columns.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"

#define ELLIPSIS "\xe2\x80\xa6"

struct range {
    uint32_t from, to;
};

static bool in_ranges(uint32_t c, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].from && c <= r[i].to)
            return true;
    return false;
}

static size_t columns_of(uint32_t c)
{
    static const struct range none[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},
                                        {0x610, 0x61a},   {0x61c, 0x61c},   {0x64b, 0x65f},
                                        {0x93c, 0x93c},   {0x941, 0x948},   {0x94d, 0x94d},
                                        {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},
                                        {0x1ab0, 0x1aff}, {0x200b, 0x200f}, {0x202a, 0x202e},
                                        {0x2060, 0x2069}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static const struct range wide[] = {{0x1100, 0x115f}, {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                                        {0xf900, 0xfaff}, {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                        {0xffe0, 0xffe6}, {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
    if (c < 0x300)
        return 1;
    if (in_ranges(c, none, sizeof none / sizeof none[0]))
        return 0;
    return in_ranges(c, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

/* One character; a byte that is not UTF-8 counts as one too. */
static uint32_t next_char(const char **p)
{
    uint32_t c;
    if ((unsigned char)**p < 0x80)
        return (unsigned char)*(*p)++;
    size_t n = text_utf8_char(*p, strnlen(*p, 4), &c);
    *p += n ? n : 1;
    return n ? c : '?';
}

/* ASCII at the beginning of the text, and of most texts all there is. */
static size_t ascii_bytes(const char *text, size_t bytes)
{
    size_t n = 0;
    for (uint64_t v; bytes - n >= sizeof v; n += sizeof v) {
        memcpy(&v, text + n, sizeof v);
        if (v & UINT64_C(0x8080808080808080))
            break;
    }
    while (n < bytes && (unsigned char)text[n] < 0x80)
        n++;
    return n;
}

size_t columns_of_text(const char *text, size_t bytes)
{
    size_t n = ascii_bytes(text, bytes);
    const char *end = text + bytes;
    for (text += n; text < end;)
        n += columns_of(next_char(&text));
    return n;
}

/* How many bytes of the text fit in so many columns, and how many columns those take. */
static size_t prefix_bytes(const char *text, size_t columns, size_t max_bytes, size_t *taken)
{
    size_t most = columns < max_bytes ? columns : max_bytes, n = ascii_bytes(text, strnlen(text, most));
    const char *p = text + n;
    while (*p) {
        const char *next = p;
        size_t w = columns_of(next_char(&next));
        if (n + w > columns || (size_t)(next - text) > max_bytes)
            break;
        n += w;
        p = next;
    }
    *taken = n;
    return (size_t)(p - text);
}

void columns_left(const char *text, size_t columns, char *out, size_t cap)
{
    if (cap <=
        columns + sizeof ELLIPSIS) { /* no room even for blanks: the caller's mistake, kept in bounds */
        snprintf(out, cap, "%s", "");
        return;
    }
    const size_t room = cap - columns - sizeof ELLIPSIS;
    size_t taken, bytes = prefix_bytes(text, columns, room, &taken);
    const char *tail = "";
    if (text[bytes] && columns > 0) {
        bytes = prefix_bytes(text, columns - 1, room, &taken);
        tail = ELLIPSIS;
        taken++;
    }
    size_t tail_bytes = strlen(tail), blanks = columns - taken;
    memcpy(out, text, bytes); /* it all fits: room is what the blanks and the ellipsis leave */
    memcpy(out + bytes, tail, tail_bytes);
    memset(out + bytes + tail_bytes, ' ', blanks);
    out[bytes + tail_bytes + blanks] = '\0';
}

void columns_right(const char *text, size_t columns, char *out, size_t cap)
{
    size_t bytes = strlen(text), taken = columns_of_text(text, bytes);
    size_t blanks = taken < columns ? columns - taken : 0;
    if (cap == 0)
        return;
    blanks = blanks < cap ? blanks : cap - 1;
    bytes = bytes < cap - blanks ? bytes : cap - blanks - 1;
    memset(out, ' ', blanks);
    memcpy(out + blanks, text, bytes);
    out[blanks + bytes] = '\0';
}

/* One line without its end. What follows "* " is set in by as much. */
static void wrap_line(const char *p, const char *end, size_t columns, struct fp_str *out)
{
    const char *hang = end - p > 2 && memcmp(p, "* ", 2) == 0 ? "  " : "";
    size_t column = 0;
    while (p < end) {
        const char *word = p;
        while (word < end && *word == ' ')
            word++;
        const char *stop = word;
        while (stop < end && *stop != ' ')
            stop++;
        size_t blanks = (size_t)(word - p), width = columns_of_text(word, (size_t)(stop - word));
        if (column > 0 && column + blanks + width > columns) {
            str_putc(out, '\n');
            str_puts(out, hang);
            column = strlen(hang);
        } else {
            str_add(out, p, blanks);
            column += blanks;
        }
        str_add(out, word, (size_t)(stop - word));
        column += width;
        p = stop;
    }
}

void columns_wrap(const char *text, size_t columns, struct fp_str *out)
{
    while (*text) {
        const char *end = strchrnul(text, '\n');
        if ((size_t)(end - text) <= columns)
            str_add(out, text, (size_t)(end - text));
        else
            wrap_line(text, end, columns, out);
        if (*end)
            str_putc(out, '\n');
        text = *end ? end + 1 : end;
    }
}
