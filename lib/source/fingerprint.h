/*
 * What a checkpoint was made from, in a few bytes: when a transaction, a close,
 * a split or a rate behind it changes, its fingerprint does, and the state is
 * computed anew from the first transaction.
 *
 * Transactions are known by (id, recorded_at): a correction moves recorded_at,
 * says the data contract, and then an index alone answers. Where a view has no
 * recorded_at only rows that come or go are seen; a changed amount is found by
 * the sample that stats recomputes. Closes, splits and rates are hashed with
 * their values. The hashes are PostgreSQL's own, not cryptographic: they stand
 * against change, not against somebody who may write into the database.
 *
 * All sums are modulo 2^64, so that what was loaded after a checkpoint's day
 * can be added to what was summed up to it.
 */
#ifndef FP_SOURCE_FINGERPRINT_H
#define FP_SOURCE_FINGERPRINT_H

#include "lib/source/source.h"

#define FINGERPRINT_BYTES 16

/* The mark of one row of portfolio.transactions, in SQL. */
#define FINGERPRINT_TX                                                                                       \
    "hashint8extended(id::bigint, timestamp_hash_extended("                                                  \
    "coalesce(recorded_at::timestamptz, 'epoch') AT TIME ZONE 'UTC', 1))"

struct fingerprint_sum {
    uint64_t n, sum;
};

/* Of each user, the transactions with trade_date <= day that were recorded by
 * as_of; out as user_ids. One statement, of the index on (user_id, trade_date)
 * alone when it includes id and recorded_at. */
int fingerprint_txs(struct fp_source *s, int32_t day, int64_t as_of_us, const int64_t *user_ids, size_t n,
                    struct fingerprint_sum *out, struct fp_err *err) FP_MUST_CHECK;
/* Its statement ($1 user ids, $2 day, $3 as_of), for EXPLAIN in contract.c. */
const char *fingerprint_txs_sql(void);
/* A run judges states of one day and leaves states of another: both marks come from one scan of the
 * history, and one snapshot of it. */
enum { FINGERPRINT_BEFORE, FINGERPRINT_KEPT, FINGERPRINT_DAYS };
struct fingerprint_days {
    int32_t day[FINGERPRINT_DAYS]; /* ascending; they may be the same */
};
struct fingerprint_marks {
    uint64_t of[FINGERPRINT_DAYS];
};
/* Of each instrument: its currency, its closes up to a day (the first later one
 * where there are none), all its splits. out as ids. */
int fingerprint_instruments(struct fp_source *s, const struct fingerprint_days *days, int64_t as_of_us,
                            const int64_t *ids, size_t n, struct fingerprint_marks *out,
                            struct fp_err *err) FP_MUST_CHECK;
/* Of all exchange rates up to a day, and the first later one of each pair that has none. */
int fingerprint_rates(struct fp_source *s, const struct fingerprint_days *days, struct fingerprint_marks *out,
                      struct fp_err *err) FP_MUST_CHECK;

struct fingerprint_parts {
    int64_t user_id;
    int32_t format, base_currency, day;
    int64_t benchmark_id;
    struct fingerprint_sum txs;
    const int64_t *instrument_ids; /* always in the same order */
    const uint64_t *instruments;   /* parallel */
    size_t n_instruments;
    uint64_t rates;
};
void fingerprint_make(const struct fingerprint_parts *p, uint8_t out[FINGERPRINT_BYTES]);

#endif
