/*
 * Counters and gauges in Prometheus' text format. A counter makes itself at
 * its first use: one place to add one.
 *
 *   metrics_add("foliopost_mails_total", "outcome=\"sent\"", 1);
 *
 * Names and labels are literals of ours (never ids of users). Thread-safe,
 * bounded: past METRICS_MAX_SERIES new ones are dropped and counted.
 */
#ifndef FP_METRICS_METRICS_H
#define FP_METRICS_METRICS_H

#include "lib/base/str.h"

/* A scheduler has most: each method with each code, at two doors (services/scheduler/methods_test.c counts).
 */
#define METRICS_MAX_SERIES 2048

void metrics_add(const char *name, const char *labels, double n); /* a counter: name ends in _total */
void metrics_set(const char *name, const char *labels, double v); /* a gauge */
/* A histogram of seconds with fixed buckets from 1 ms to 60 s. */
void metrics_observe_s(const char *name, const char *labels, double seconds);
/* The help line of a name, where lib/metrics/table.c has none. */
void metrics_help(const char *name, const char *help);
/* Adds what is known of the process: memory, files, processor time, start. */
void metrics_render(struct fp_str *out);
double metrics_value(const char *name, const char *labels); /* for tests; 0 when not there */
void metrics_reset(void);                                   /* for tests */

#endif
