/*
 * What a summary is computed from: transactions of one user, and a market of
 * instruments, closes, splits and exchange rates. Integers are fixed point with
 * the scale in the name.
 */
#ifndef FP_PERFORMANCE_INPUT_H
#define FP_PERFORMANCE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PERF_MAX_DAYS       36600 /* of a period: a hundred years */
#define PERF_MAX_CURRENCIES 64    /* of one user; ISO 4217 has some 180 */
#define PERF_CLASS_BYTES    24    /* of an asset class's name */

/* "EUR" as a number; 0 when it is not three letters A to Z. */
int32_t perf_currency(const char *code);
void perf_currency_text(int32_t currency, char out[4]);

enum perf_type {
    PERF_DEPOSIT,
    PERF_WITHDRAWAL,
    PERF_BUY,
    PERF_SELL,
    PERF_DIVIDEND,
    PERF_INTEREST,
    PERF_FEE,
    PERF_TAX,
    PERF_DELIVERY_IN,
    PERF_DELIVERY_OUT,
    PERF_TRANSFER_IN,
    PERF_TRANSFER_OUT,
    PERF_TYPES
};
const char *perf_type_name(int32_t type); /* "deposit", ... as in the data contract */

/* One transaction, as in sql/portfolio.sql: amount as it changes the cash
 * account, net of fee and tax. */
struct perf_tx {
    int64_t id;
    int64_t account; /* custody account: lots are kept for each, and travel on transfers */
    int32_t day;
    int32_t type;       /* enum perf_type */
    int32_t instrument; /* index in the market; -1: none */
    int32_t currency;   /* perf_currency() */
    int64_t quantity_e8;
    int64_t price_e8; /* for each unit, in currency; 0: not given */
    int64_t amount_e4, fee_e4, tax_e4;
};

struct perf_point {
    int32_t day;
    int64_t value;
};
struct perf_series { /* by day, each day once */
    const struct perf_point *points;
    size_t n;
};
struct perf_split { /* each `denominator` shares became `numerator` */
    int32_t day, numerator, denominator;
};
struct perf_instrument {
    int32_t currency;
    struct perf_series closes_e8;    /* as traded, not adjusted for splits */
    const struct perf_split *splits; /* by day; all there are */
    size_t n_splits;
    char asset_class[PERF_CLASS_BYTES]; /* "": other */
};
struct perf_pair { /* one unit of base costs `rate` units of quote */
    int32_t base, quote;
    struct perf_series rates_e10;
};
/* Read only, may be shared by threads. Of each series the computation looks at
 * the last point up to the day before the first day it walks, those up to
 * period_end, and the first one after it; others may be missing. */
struct perf_market {
    const struct perf_instrument *const *instruments; /* NULL: there is no such instrument */
    const int64_t *instrument_ids;                    /* ascending */
    size_t n_instruments;
    const struct perf_pair *pairs;
    size_t n_pairs;
};

struct perf_input {
    const struct perf_market *market;
    const struct perf_tx *txs; /* any order; those after period_end are not looked at */
    size_t n_txs;
    int32_t base_currency;
    int32_t period_start, period_end; /* first and last day; opens at the close of the day before */
    int64_t benchmark_id;             /* the total-return index, an instrument of the market; 0: none */
    bool carry_prices;                /* link every day at carried prices, and never by Modified Dietz */

    /* A checkpoint (checkpoint.h) at the close of a day before period_start;
     * txs then are those after that day. n 0: txs are all there ever were. */
    const uint8_t *checkpoint;
    size_t n_checkpoint;
    /* Keep the state at the close of this day for performance_checkpoint(),
     * when the run passes it, usually the last of a month: on a day whose
     * prices are stale a sub-period may be open, and nothing is kept.
     * INT32_MIN: none. */
    int32_t keep_day;
    const struct perf_trace *trace; /* trace.h; NULL: none */
};

#endif
