/*
 * What a portfolio did over a period: a pure function of the transactions of
 * one user, closes, exchange rates and splits. No database, no bus, no clock.
 *
 * Definitions and their sources: docs/statistics.md. Integers are fixed point
 * with the scale in the name; double is used for rates only, so that the same
 * input gives the same bytes everywhere. Input is hostile: what is absurd or
 * overflows is a fault of that user, with a short code, and never a crash.
 */
#ifndef FP_PERFORMANCE_PERFORMANCE_H
#define FP_PERFORMANCE_PERFORMANCE_H

#include "lib/performance/summary.h"

struct fp_performance; /* the memory of one thread's runs */

struct fp_performance *performance_new(void);
void performance_free(struct fp_performance *p);

/* False with *fault filled; *out is then not to be used. The fault
 * "bad_checkpoint" means: again, without it. */
bool performance_summarise(struct fp_performance *p, const struct perf_input *in, struct perf_summary *out,
                           struct perf_fault *fault);

/* The lines of the last summary's return; they sum to its twr. Returns how many. */
size_t performance_lines(const struct fp_performance *p, const struct perf_line **lines);
/* What is held at its close, by instrument id. Returns how many. */
size_t performance_positions(const struct fp_performance *p, const struct perf_position **positions);
/* The value at the close of the day before the period, and of each of its days:
 * in minor units, with open value + contributions beside it. Returns how many. */
size_t performance_chart(const struct fp_performance *p, const struct perf_chart_point **points);
/* The state at in->keep_day, or NULL when the last run did not pass it, a
 * sub-period is open there, or it is larger than CHECKPOINT_MAX_BYTES. Valid
 * until the next run. */
const uint8_t *performance_checkpoint(const struct fp_performance *p, size_t *n);

#endif
