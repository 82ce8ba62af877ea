/* What batch.c and set.c share: one call of batch_compute(), and its users' outcomes. */
#ifndef FP_STATS_SET_H
#define FP_STATS_SET_H

#include "services/stats/batch.h"

struct work {
    struct batch_tools *t;
    struct fp_arena *arena;
    struct portfolio_period period;
    Foliopost__V1__SummaryItem **items;
    bool no_memory;
};

/* --- batch.c */
/* From the arena; NULL is noted. */
void *batch_give(struct work *w, size_t bytes);
void batch_fail(struct work *w, Foliopost__V1__SummaryItem *item, const char *reason, const char *detail);
void batch_skip(Foliopost__V1__SummaryItem *item, Foliopost__V1__SkipReason reason);

/* --- set.c: loads and computes these users together: those with a valid
 * checkpoint from there on, the others from their first transaction. */
int set_compute(struct work *w, const int64_t *ids, Foliopost__V1__SummaryItem **items, size_t n,
                struct fp_err *err) FP_MUST_CHECK;

#endif
