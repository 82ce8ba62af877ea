/* One batch of users into one batch of summaries. */
#ifndef FP_STATS_BATCH_H
#define FP_STATS_BATCH_H

#include "lib/performance/performance.h"
#include "lib/wire/wire.h"
#include "services/stats/cache.h"
#include "services/stats/checkpoint.h"
#include "services/stats/policy.h"

struct batch_tools { /* of one worker */
    struct fp_source *source;
    struct fp_ledger *ledger;           /* of the checkpoints */
    struct fp_checkpoints *checkpoints; /* of all workers */
    struct fp_performance *performance;
    struct fp_cache *cache;
    const struct stats_policy *policy;
    size_t max_txs;
    void (*alive)(void *arg); /* called between the users of a slow batch */
    void *alive_arg;
};

struct batch_counts {
    int summaries, failures, skips;
    char first_failure[64]; /* "user 12: missing_rate", for the log */
};

/* The message and all it points to lives in the arena, or in `users`, which
 * must live as long. NULL when the batch cannot be computed now (the database,
 * not a user): UNAVAILABLE and the like; nothing is lost by trying again. */
Foliopost__V1__SummaryBatch *batch_compute(struct batch_tools *t, const Foliopost__V1__UserBatch *users,
                                           struct fp_arena *arena, struct batch_counts *counts,
                                           struct fp_err *err);

#endif
