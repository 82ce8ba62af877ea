/*
 * One user's whole life, loaded for itself: every transaction up to the
 * period's end, and the market from the first of them on. For `foliopost
 * explain` and whoever needs one statement, not for the way of a batch.
 */
#ifndef FP_STATS_LIFE_H
#define FP_STATS_LIFE_H

#include "lib/source/portfolio.h"

struct life_ask {
    int64_t user_id;
    int32_t base_currency; /* perf_currency() */
    struct portfolio_period period;
    int64_t benchmark_id; /* 0: none */
    size_t max_txs;
};

struct life {
    struct perf_input in; /* ready for performance_summarise(); the caller may set a trace */
    const struct portfolio_instrument **instruments; /* parallel to the market's */
    /* what the input points to */
    struct perf_market market;
    struct portfolio_txs txs;
    struct portfolio_rates rates;
    struct portfolio_instrument **loaded;
    const struct perf_instrument **data;
};

/* FAILED_PRECONDITION when one of the user's rows is broken: the message names it. */
int life_open(struct life *l, struct fp_source *s, const struct life_ask *ask,
              struct fp_err *err) FP_MUST_CHECK;
void life_close(struct life *l); /* also after a failed open */

#endif
