/*
 * What stats reads: the transactions of a batch of users, and the market data
 * of a period. One set query for a batch, never one for each user.
 *
 * Broken rows are the user's own fault: they come back as a reason beside him,
 * and the statement goes on for the others. What a view of a company raises
 * fails the statement; the caller then asks for each user alone.
 */
#ifndef FP_SOURCE_PORTFOLIO_H
#define FP_SOURCE_PORTFOLIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/performance/performance.h"
#include "lib/source/source.h"

struct portfolio_period {
    int32_t start, end; /* first and last day */
    int64_t as_of_us;   /* only what was recorded up to here, where the source says when */
    int32_t round;      /* of the job's retries: what an earlier one read may be corrected since */
};

struct portfolio_user {
    int64_t id;
    size_t first, n;  /* in txs */
    char reason[32];  /* "" when all rows are whole; else as perf_fault.reason */
    char detail[120]; /* of the first broken row */
};
struct portfolio_txs {
    struct perf_tx *txs; /* by user, then by day and id; instrument: index in instrument_ids */
    uint64_t *marks;     /* of each: what fingerprint_txs() sums, modulo 2^64 */
    size_t n_txs;
    struct portfolio_user *users; /* as asked for */
    size_t n_users;
    int64_t *instrument_ids; /* sorted, distinct */
    size_t n_instruments;
};

struct portfolio_ask {
    const int64_t *user_ids;
    size_t n;
    size_t max_rows;
    int32_t first_day; /* the first one wanted; PORTFOLIO_ALL: whatever there is */
};
#define PORTFOLIO_ALL INT32_MIN

/* The transactions of the users up to the period's end. RESOURCE_EXHAUSTED
 * when they are more than max_rows. */
int portfolio_txs_load(struct fp_source *s, const struct portfolio_period *period,
                       const struct portfolio_ask *ask, struct portfolio_txs *out,
                       struct fp_err *err) FP_MUST_CHECK;
/* Adds instruments that no transaction names (held in a checkpoint, a
 * benchmark); the transactions' indexes follow. */
void portfolio_txs_also(struct portfolio_txs *t, const int64_t *instrument_ids, size_t n);
void portfolio_txs_fini(struct portfolio_txs *t);

/* One instrument with its closes for a period: the last before the open, those
 * in the period, and the first after it. Never changes once loaded. A run that
 * walks more days than the period asks for a longer one. */
struct portfolio_instrument {
    int64_t id;
    bool known; /* false: not in portfolio.instruments */
    struct perf_instrument data;
    char symbol[33], name[101]; /* clean text */
    size_t bytes;               /* of memory */
};

/* Each in one piece, freed by mem_free(); out has room for n, in the order of
 * ids. On an error nothing is left in out. */
int portfolio_instruments_load(struct fp_source *s, const struct portfolio_period *period, const int64_t *ids,
                               size_t n, struct portfolio_instrument **out, struct fp_err *err) FP_MUST_CHECK;

/* All pairs of currencies, with the same choice of days. */
struct portfolio_rates {
    struct perf_pair *pairs;
    size_t n_pairs;
    struct perf_point *points;
};
int portfolio_rates_load(struct fp_source *s, const struct portfolio_period *period,
                         struct portfolio_rates *out, struct fp_err *err) FP_MUST_CHECK;
void portfolio_rates_fini(struct portfolio_rates *r);

#endif
