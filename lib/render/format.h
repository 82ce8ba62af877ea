/*
 * How figures and dates are written: the one place that a locale would change.
 * For now English with ISO 4217 codes, in the manner of CLDR's "en". Every out
 * is at least FORMAT_BYTES large. Nothing here can fail: what no person should
 * ever see (a negative exponent) is printed all the same, in bounds.
 */
#ifndef FP_RENDER_FORMAT_H
#define FP_RENDER_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"

#define FORMAT_BYTES 64 /* sign, code, 19 digits with groups, point: 35; two dates with a dash: 43 */

enum format_sign {
    FORMAT_MINUS,    /* "-1.00", "1.00" */
    FORMAT_SIGNED,   /* "-1.00", "+1.00", "0.00" */
    FORMAT_UNSIGNED, /* "1.00": for where a word says the direction */
};

/* 1234567, 2, "EUR" -> "EUR 12,345.67" with a no-break space; currency "": the number alone. */
void format_money(int64_t minor, int exponent, const char *currency, enum format_sign sign, char *out);
/* 1234567 (1e-8) -> "1.23%", rounded half away from zero; what rounds to zero has no sign. */
void format_percent(int64_t rate_e8, enum format_sign sign, char *out);
void format_date(int32_t day, char *out); /* "1 October 2026" */
/* "October 2026" for a calendar month; "5–11 October 2026"; "28 September – 4 October 2026". */
void format_period(int32_t first_day, int32_t last_day, char *out);

/* Columns that a text takes on a terminal: 2 for East Asian wide characters
 * and emoji, 0 for combining ones. */
size_t format_columns(const char *text, size_t bytes);
/* The text in exactly so many columns: padded with blanks, or cut with "…".
 * out holds cap bytes; at most cap - 1 are written, whole characters only. */
void format_left(const char *text, size_t columns, char *out, size_t cap);
/* Padded on the left; never cut, for a cut figure would be a wrong one. */
void format_right(const char *text, size_t columns, char *out, size_t cap);
/* Appends the text with its lines broken at blanks where they are too long. */
void format_wrap(const char *text, size_t columns, struct fp_str *out);

#endif
