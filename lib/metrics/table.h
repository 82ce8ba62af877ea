/*
 * The table of all metrics: what each counts, in which unit, and who has it.
 */
#ifndef FP_METRICS_TABLE_H
#define FP_METRICS_TABLE_H

struct metrics_row {
    const char *name, *who, *unit, *help;
};

extern const struct metrics_row metrics_table[]; /* ends with a name of NULL */

/* The help line of a name; "" when it has no row. */
const char *metrics_table_help(const char *name);

#endif
