/* The figures of one summary as the message that the mailer prints. */
#ifndef FP_STATS_FILL_H
#define FP_STATS_FILL_H

#include "lib/base/mem.h"
#include "lib/performance/performance.h"
#include "lib/source/portfolio.h"
#include "lib/wire/wire.h"

#define FILL_CHART_POINTS 64 /* as lib/wire/rules.c allows */

struct fill {
    struct fp_arena *arena;                          /* holds all of it, texts too */
    const struct portfolio_instrument **instruments; /* parallel to the market's */
    const struct fp_performance *performance;        /* for the chart of the run */
    const struct portfolio_instrument *benchmark;    /* NULL: none */
};

/* currency must live as long as the message. NULL when the arena is full. */
Foliopost__V1__PortfolioSummary *fill_summary(const struct fill *f, char *currency,
                                              const struct perf_summary *from);

#endif
