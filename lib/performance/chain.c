/*
 * r = (close + out) / (open + in) - 1, linked over every calendar day.
 *
 * The numerator of r is taken as an exact integer difference before it becomes
 * a double, so that a day on which nothing happened links exactly 1.0, and the
 * contributions of holdings (gain / capital, times the wealth of the evening
 * before) sum to the return. Linking after Morningstar, "Total Portfolio
 * Performance Attribution Methodology", p. 36, as PerformanceAnalytics has it
 * in to.period.contributions.
 */
#include "lib/performance/chain.h"

/* A day beyond these without a flow or trade is more often a wrong price than
 * a market: docs/statistics.md. */
#define SUSPECT_LOSS (-0.95)
#define SUSPECT_GAIN 4.0

void perf_chain_init(struct perf_chain *c)
{
    *c = (struct perf_chain){.wealth = 1.0, .since_day = INT32_MAX};
}

double perf_chain_add(struct perf_chain *c, const struct perf_day *d)
{
    fp_i128 capital_e8 = d->open_e8 + d->in_e8;
    fp_i128 gain_e8 = d->close_e8 + d->out_e8 - capital_e8;
    double weight, r;

    if (capital_e8 < 0 || d->close_e8 < 0 || d->open_e8 < 0)
        c->negative = true;
    if (capital_e8 <= 0) {
        c->no_capital |= capital_e8 == 0 && gain_e8 != 0;
        return 0;
    }
    if (c->since_day == INT32_MAX)
        c->since_day = d->day;
    weight = c->wealth / (double)capital_e8;
    r = (double)gain_e8 / (double)capital_e8;
    if (!d->traded && (r < SUSPECT_LOSS || r > SUSPECT_GAIN))
        c->suspect = true;
    c->wealth += weight * (double)gain_e8;
    return weight;
}
