/*
 * The steps of a computation, for `foliopost explain`: what was booked, which
 * lots it opened or used, what each line was worth, how each day was linked.
 * Called in the order of the computation; without a trace nothing is spent.
 */
#ifndef FP_PERFORMANCE_TRACE_H
#define FP_PERFORMANCE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/fixed.h"
#include "lib/performance/summary.h"

enum perf_step_kind {
    PERF_STEP_OPEN,   /* the period opens: value_e8 */
    PERF_STEP_SPLIT,  /* instrument, quantity_e8 before and after (value_e8), ratio in text */
    PERF_STEP_BOOK,   /* tx; value_e8: its gross amount in the base currency, flow_e8: what crossed the border
                       */
    PERF_STEP_LOT_IN, /* instrument, account, quantity_e8, value_e8: cost with fees and taxes */
    PERF_STEP_LOT_OUT,   /* instrument, account, lot's day in text, quantity_e8, value_e8: its cost, flow_e8:
                            proceeds */
    PERF_STEP_HOLDING,   /* instrument, quantity_e8, price_e8, its day in text, its flags, value_e8 */
    PERF_STEP_FINDING,   /* instrument, finding, price_e8, and value_e8: the price before */
    PERF_STEP_CASH,      /* currency, quantity_e8: the balance, value_e8 */
    PERF_STEP_DAY,       /* value_e8, flow_e8 (in less out), rate: the return, wealth; and link */
    PERF_STEP_SUBPERIOD, /* as DAY, linked by Modified Dietz over days without fresh prices */
    PERF_STEP_HELD_OPEN, /* a day whose sub-period stays open: link, as far as it has come */
    PERF_STEP_SPAN,      /* span; link.open_e8, close_e8: the benchmark, 0: none; link.days: returns in the
                            sample of the volatility, rate: that, for a year (NAN: too few) */
    PERF_STEP_PAYMENT    /* span, payment_day, value_e8: to the owner, negative: by him; rate: the annual one
                            that makes all of them nothing; NAN: there is none */
};

/* Of what a link is made, as the return sees it: without what stands at cost. */
struct perf_link {
    int32_t days; /* of the sub-period; mostly one */
    fp_i128 open_e8, in_e8, out_e8, close_e8;
    fp_i128 today_in_e8, today_out_e8; /* of these the day's own */
    fp_i128 capital_e8;                /* on average: what the gain is divided by */
};

struct perf_step {
    enum perf_step_kind kind;
    int32_t day;
    const struct perf_tx *tx;
    int32_t instrument; /* index in the market; -1: none */
    int32_t currency;
    int64_t account;
    fp_i128 quantity_e8, value_e8, flow_e8; /* values in the base currency */
    int64_t price_e8;
    enum perf_event_kind finding;
    unsigned flags;   /* of a price */
    int32_t rate_day; /* of BOOK, HOLDING, CASH: of the exchange rate; INT32_MIN: there is none */
    double rate, wealth;
    bool in_period; /* else it belongs to year to date or since inception only */
    struct perf_link link;
    enum perf_span_kind span;
    int32_t payment_day;
    char text[40];
};

struct perf_trace {
    void (*step)(void *ctx, const struct perf_step *s);
    void *ctx;
};

#endif
