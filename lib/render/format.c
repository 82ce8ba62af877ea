/*
 * Figures and dates as text.
 *
 * Money is never a float: the digits of the integer are grouped and the point
 * is put where the currency's exponent says. The later locales go through ICU
 * and replace the bodies here; callers know only what is to be written, not
 * how. Column counts are for the plain-text part, which is read in terminals
 * and in mail readers with fixed width: ranges after Unicode's East Asian Width.
 */
#define _GNU_SOURCE /* strchrnul */
#include "lib/render/format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/base/text.h"

#define NBSP         "\xc2\xa0"
#define EN_DASH      "\xe2\x80\x93"
#define ELLIPSIS     "\xe2\x80\xa6"
#define MAX_DECIMALS 18 /* more than any currency; keeps the digits below in bounds */

static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};

static const char *sign_text(bool negative, bool zero, enum format_sign sign)
{
    if (zero || sign == FORMAT_UNSIGNED)
        return "";
    if (negative)
        return "-";
    return sign == FORMAT_SIGNED ? "+" : "";
}

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

/* 1234567, 2 -> "12,345.67". Written from the last digit on. */
static void group_digits(uint64_t v, int decimals, char out[FORMAT_BYTES])
{
    char buf[FORMAT_BYTES];
    char *p = buf + sizeof buf;
    *--p = 0;
    for (int i = 0; i < decimals; i++, v /= 10)
        *--p = (char)('0' + v % 10);
    if (decimals > 0)
        *--p = '.';
    int n = 0;
    do {
        if (n > 0 && n % 3 == 0)
            *--p = ',';
        *--p = (char)('0' + v % 10);
        n++;
    } while (v /= 10);
    memcpy(out, p, (size_t)(buf + sizeof buf - p));
}

void format_money(int64_t minor, int exponent, const char *currency, enum format_sign sign, char *out)
{
    char digits[FORMAT_BYTES];
    int decimals = exponent < 0 ? 0 : exponent > MAX_DECIMALS ? MAX_DECIMALS : exponent;
    group_digits(magnitude(minor), decimals, digits);
    snprintf(out, FORMAT_BYTES, "%s%.3s%s%s", sign_text(minor < 0, minor == 0, sign), currency,
             *currency ? NBSP : "", digits);
}

void format_percent(int64_t rate_e8, enum format_sign sign, char *out)
{
    const fp_i128 e8_in_hundredths = 10000; /* of a percent: 1e-8 to 1e-4 */
    int64_t hundredths = (int64_t)fixed_div(rate_e8, e8_in_hundredths);
    char digits[FORMAT_BYTES];
    group_digits(magnitude(hundredths), 2, digits);
    snprintf(out, FORMAT_BYTES, "%s%s%%", sign_text(hundredths < 0, hundredths == 0, sign), digits);
}

static const char *month_name(int month)
{
    return months[(month - 1) % 12];
}

void format_date(int32_t day, char *out)
{
    int y, m, d;
    day_to_civil(day, &y, &m, &d);
    snprintf(out, FORMAT_BYTES, "%d %s %d", d, month_name(m), y);
}

void format_period(int32_t first_day, int32_t last_day, char *out)
{
    int y1, m1, d1, y2, m2, d2;
    day_to_civil(first_day, &y1, &m1, &d1);
    day_to_civil(last_day, &y2, &m2, &d2);
    bool whole_month = d1 == 1 && day_add_months(first_day, 1) - 1 == last_day;
    if (whole_month)
        snprintf(out, FORMAT_BYTES, "%s %d", month_name(m1), y1);
    else if (first_day == last_day)
        format_date(first_day, out);
    else if (y1 == y2 && m1 == m2)
        snprintf(out, FORMAT_BYTES, "%d" EN_DASH "%d %s %d", d1, d2, month_name(m1), y1);
    else if (y1 == y2)
        snprintf(out, FORMAT_BYTES, "%d %s " EN_DASH " %d %s %d", d1, month_name(m1), d2, month_name(m2), y2);
    else
        snprintf(out, FORMAT_BYTES, "%d %s %d " EN_DASH " %d %s %d", d1, month_name(m1), y1, d2,
                 month_name(m2), y2);
}

/* --- columns of a terminal ------------------------------------------------------ */

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
                                        {0x610, 0x61a},   {0x64b, 0x65f},   {0x93c, 0x93c},
                                        {0x941, 0x948},   {0x94d, 0x94d},   {0xe31, 0xe31},
                                        {0xe34, 0xe3a},   {0xe47, 0xe4e},   {0x1ab0, 0x1aff},
                                        {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2069},
                                        {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
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
    size_t n = text_utf8_char(*p, strnlen(*p, 4), &c);
    *p += n ? n : 1;
    return n ? c : '?';
}

size_t format_columns(const char *text, size_t bytes)
{
    size_t n = 0;
    for (const char *end = text + bytes; text < end;)
        n += columns_of(next_char(&text));
    return n;
}

/* How many bytes of the text fit in so many columns, and how many columns those take. */
static size_t prefix_bytes(const char *text, size_t columns, size_t max_bytes, size_t *taken)
{
    const char *p = text;
    size_t n = 0;
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

void format_left(const char *text, size_t columns, char *out, size_t cap)
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
    snprintf(out, cap, "%.*s%s%*s", (int)bytes, text, tail, (int)(columns - taken), "");
}

void format_right(const char *text, size_t columns, char *out, size_t cap)
{
    size_t taken = format_columns(text, strlen(text));
    snprintf(out, cap, "%*s%s", (int)(taken < columns ? columns - taken : 0), "", text);
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
        size_t blanks = (size_t)(word - p), width = format_columns(word, (size_t)(stop - word));
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

void format_wrap(const char *text, size_t columns, struct fp_str *out)
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
