/*
 * A chain of returns: inflows count from the start of their day, outflows to
 * its end (Portfolio Performance's convention: no explosion on the first
 * deposit, no -100 % when an account is emptied).
 *
 * Days whose prices are fresh are linked one by one. Days without fresh prices
 * form a sub-period together with the next fresh one (or the end of the month),
 * which is linked by Modified Dietz with the same timing of flows; of one day
 * that is the same formula. Risk is measured on the way.
 */
#ifndef FP_PERFORMANCE_CHAIN_H
#define FP_PERFORMANCE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/fixed.h"
#include "lib/performance/returns.h"

struct perf_chain {
    double wealth;     /* 1.0 at the start */
    int32_t since_day; /* first day with capital; INT32_MAX: none yet */
    bool negative;     /* a day below zero: there is no return */
    bool no_capital;   /* a value changed on a day without capital */
    bool suspect;      /* a jump with neither flow nor trade */
    bool dietz;        /* a sub-period of more than one day had flows */
    /* the sub-period that is open: its days so far, value at its open, flows, and flows x days */
    int32_t days;
    bool traded; /* on one of them */
    fp_i128 open_e8, in_e8, out_e8, in_days_e8, out_days_e8;
    double last_trading; /* wealth at the last trading day */
    struct returns_sample sample;
    struct returns_drawdown drawdown;
};

struct perf_day {
    int32_t day;
    fp_i128 open_e8, close_e8; /* value at the close of the day before, and of the day */
    fp_i128 in_e8, out_e8;     /* flows, both positive */
    bool traded;               /* a flow or trade explains a jump */
    bool stale;                /* no fresh prices: the sub-period may stay open */
    bool quiet;                /* no trading day: no return of the sample */
};

void perf_chain_init(struct perf_chain *c, int32_t open_day);
/* Adds the day. True when that closes a sub-period (nearly always): *weight is
 * then what one unit of its gain is worth in the whole chain, wealth / average
 * capital, and 0 when it has no capital. */
bool perf_chain_add(struct perf_chain *c, const struct perf_day *d, double *weight);

#endif
