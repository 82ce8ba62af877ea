/* The printing half of `foliopost explain`: steps as they come, then the figures. */
#ifndef FP_CLI_EXPLAIN_H
#define FP_CLI_EXPLAIN_H

#include "lib/performance/performance.h"
#include "lib/performance/trace.h"
#include "services/stats/life.h"

#define EXPLAIN_FLOWS 31 /* days of a sub-period: it ends with the month */

struct explain {
    const struct life *life;
    int exponent; /* decimals of the base currency */
    bool brief;   /* no days, no holdings of each day */
    int32_t day;  /* whose heading was printed last */
    bool in_period;
    /* the open sub-period's flows, and the span whose payments come */
    struct explain_flow {
        int32_t day, no; /* no: of its days, from 1 */
        fp_i128 in_e8, out_e8;
    } flows[EXPLAIN_FLOWS];
    int n_flows;
    int span; /* + 1; 0: none yet */
    int32_t end_day;
    double payments; /* their sum at the end, at the rate */
};

/* A perf_trace's function; ctx is a struct explain. */
void explain_step(void *ctx, const struct perf_step *s);
/* Returns, bridge, contributions, positions, allocation, remarks. */
void explain_summary(struct explain *e, const struct fp_performance *p, const struct perf_summary *s);

#endif
