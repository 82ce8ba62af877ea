/*
 * The chain of daily returns: inflows count from the start of the day,
 * outflows to its end (Portfolio Performance's convention: no explosion on the
 * first deposit, no -100 % when an account is emptied).
 */
#ifndef FP_PERFORMANCE_CHAIN_H
#define FP_PERFORMANCE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/fixed.h"

struct perf_chain {
    double wealth;     /* 1.0 at the start */
    int32_t since_day; /* first day with capital; INT32_MAX: none yet */
    bool negative;     /* a day below zero: there is no return */
    bool no_capital;   /* a value changed on a day without capital */
    bool suspect;      /* a jump with neither flow nor trade */
};

struct perf_day {
    int32_t day;
    fp_i128 open_e8, close_e8; /* value at the close of the day before, and of the day */
    fp_i128 in_e8, out_e8;     /* flows, both positive */
    bool traded;               /* a flow or trade explains a jump */
};

void perf_chain_init(struct perf_chain *c);
/* Links the day. Returns what one unit of gain on it is worth in the whole
 * chain, wealth / capital: 0 when the day has no capital. */
double perf_chain_add(struct perf_chain *c, const struct perf_day *d);

#endif
