/*
 * The state of a portfolio at the close of a day, as bytes: cash, lots, the
 * wealth index and the flows so far. A run that begins with it gives the same
 * bytes as one that begins with the first transaction.
 *
 * Format: "FPC" and a version, then varints (zigzag where signed) in a fixed
 * order; instruments by id. It is read back as hostile input: whatever does not
 * parse, or does not add up, is refused, and the caller computes from the first
 * transaction instead. What it was made from (transactions, closes, splits,
 * rates) is the caller's to compare: lib/source/fingerprint.h.
 */
#ifndef FP_PERFORMANCE_CHECKPOINT_H
#define FP_PERFORMANCE_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKPOINT_VERSION   8
#define CHECKPOINT_MAX_BYTES (64 * 1024) /* a larger state is not kept: that user's life is read again */

struct perf_checkpoint_info {
    int32_t day; /* the state is of its close */
    int32_t base_currency;
    int64_t benchmark_id; /* 0: none */
};

/* The head only, without allocation. False when it is no checkpoint of this version. */
bool checkpoint_info(const uint8_t *bytes, size_t n, struct perf_checkpoint_info *info);
/* Ids of all instruments ever held, or that ever paid: these closes and splits went into it.
 * Writes at most max, returns how many there are; 0 also when it does not parse. */
size_t checkpoint_instruments(const uint8_t *bytes, size_t n, int64_t *ids, size_t max);

#endif
