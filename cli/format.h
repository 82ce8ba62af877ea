/* Numbers, times and tables for people. */
#ifndef FP_CLI_FORMAT_H
#define FP_CLI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FORMAT_CAP 40 /* holds every text made here */

/* Each returns out. */
char *format_count(int64_t n, char out[FORMAT_CAP]);         /* 1,234,567 */
char *format_time(int64_t us, char out[FORMAT_CAP]);         /* 2026-11-01 00:00:05, "-" for 0 */
char *format_duration(double seconds, char out[FORMAT_CAP]); /* 850 ms, 12.3 s, 26m 30s, 2h 05m, 3d 04h */
char *format_percent(double part, char out[FORMAT_CAP]);     /* 0.987 -> 98.7 % */

/* Cells are collected, columns get the width of their widest cell. */
#define TABLE_MAX_COLUMNS 10
struct table;
/* headings are literals; one that begins with '>' is aligned to the right. */
struct table *table_new(const char *const *headings, int columns);
void table_add(struct table *t, const char *cell); /* row by row */
void table_print(const struct table *t, FILE *out);
void table_free(struct table *t);

/* Columns on a terminal that the text takes; what it has no letter for counts 1. */
int text_columns(const char *s);
/* Prints at most `columns` columns of the text; of a longer one its beginning and "...",
 * so that a number which is cut does not read as a smaller one. */
void text_print_cut(const char *s, int columns, FILE *out);

#endif
