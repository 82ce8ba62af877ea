/*
 * What the operator decides about summaries: which remarks hold one back, and
 * which index a user is compared with.
 */
#ifndef FP_STATS_POLICY_H
#define FP_STATS_POLICY_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/performance/input.h"

struct stats_policy {
    unsigned hold_back; /* enum perf_flag */
    int n_benchmarks;
    struct {
        int32_t currency; /* 0: any other */
        int64_t instrument_id;
    } benchmarks[PERF_MAX_CURRENCIES];
};

/* hold_back: names of flags by commas ("suspect-day,suspected-split"), or "none".
 * benchmarks: "EUR=4711,USD=4712,*=4713", or "". INVALID_ARGUMENT names the part. */
int policy_parse(struct stats_policy *p, const char *hold_back, const char *benchmarks,
                 struct fp_err *err) FP_MUST_CHECK;
/* The index of a base currency; 0: none. */
int64_t policy_benchmark(const struct stats_policy *p, int32_t currency);
/* Why a summary with these flags is not mailed ("suspect_day"); NULL: it may be. */
const char *policy_held(const struct stats_policy *p, unsigned flags);

#endif
