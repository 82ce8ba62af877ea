/* The printing half of `foliopost explain`: steps as they come, then the figures. */
#ifndef FP_CLI_EXPLAIN_H
#define FP_CLI_EXPLAIN_H

#include "lib/performance/performance.h"
#include "lib/performance/trace.h"
#include "services/stats/life.h"

struct explain {
    const struct life *life;
    int exponent; /* decimals of the base currency */
    bool brief;   /* no days, no holdings of each day */
    int32_t day;  /* whose heading was printed last */
    bool in_period;
};

/* A perf_trace's function; ctx is a struct explain. */
void explain_step(void *ctx, const struct perf_step *s);
/* Returns, bridge, contributions, positions, allocation, remarks. */
void explain_summary(const struct explain *e, const struct fp_performance *p, const struct perf_summary *s);

#endif
