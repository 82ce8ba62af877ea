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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/performance/input.h"

#define PERF_MOVERS 3 /* at the top, and at the bottom */

/* Bit n is the value n of SummaryFlag in foliopost/v1/portfolio.proto. */
enum perf_flag {
    PERF_STALE_PRICE = 1 << 1,
    PERF_PRICE_AFTER = 1 << 2,
    PERF_NOT_PRICED = 1 << 3,
    PERF_NO_CAPITAL = 1 << 4,
    PERF_NEGATIVE_VALUE = 1 << 5,
    PERF_OPENED_IN_PERIOD = 1 << 6,
    PERF_SUSPECT_DAY = 1 << 7,
    PERF_SHORT_POSITION = 1 << 8,
};

struct perf_mover {
    int32_t instrument;
    int64_t gain_minor, contribution_e8;
};
struct perf_summary {
    bool nothing; /* no value at either end and no transaction in the period */
    int32_t exponent, since_day, holdings, prices_as_of_day;
    unsigned flags;
    int64_t open_value_minor, close_value_minor, net_contributions_minor, gain_minor;
    int64_t income_minor, fees_minor, taxes_minor;
    bool twr_defined;
    double twr; /* before the rounding to twr_e8 */
    int64_t twr_e8;
    int n_top, n_bottom;
    struct perf_mover top[PERF_MOVERS], bottom[PERF_MOVERS];
};
struct perf_fault {
    char reason[32];  /* missing_rate, overflow, ...: the codes are in docs/statistics.md */
    char detail[200]; /* ids and figures */
};
/* A line of the return: a holding, or (instrument -1) cash, currency, account fees and taxes. */
struct perf_line {
    int32_t instrument;
    double contribution;
};

struct fp_performance; /* the memory of one thread's runs */

struct fp_performance *performance_new(void);
void performance_free(struct fp_performance *p);
/* False with *fault filled; *out is then not to be used. */
bool performance_summarise(struct fp_performance *p, const struct perf_input *in, struct perf_summary *out,
                           struct perf_fault *fault);
/* The lines of the last summary; they sum to its twr. Returns how many. */
size_t performance_lines(const struct fp_performance *p, const struct perf_line **lines);

#endif
