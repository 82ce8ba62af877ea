/* Text in columns of fixed width, for the plain-text part. */
#ifndef FP_RENDER_COLUMNS_H
#define FP_RENDER_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"

/* Columns that a text takes on a terminal: 2 for East Asian wide characters
 * and emoji, 0 for combining ones. */
size_t columns_of_text(const char *text, size_t bytes);
/* The text in exactly so many columns: padded with blanks, or cut with "…".
 * out holds cap bytes; at most cap - 1 are written, whole characters only. */
void columns_left(const char *text, size_t columns, char *out, size_t cap);
/* Padded on the left; never cut, for a cut figure would be a wrong one. */
void columns_right(const char *text, size_t columns, char *out, size_t cap);
/* Appends the text with its lines broken at blanks where they are too long. */
void columns_wrap(const char *text, size_t columns, struct fp_str *out);

#endif
