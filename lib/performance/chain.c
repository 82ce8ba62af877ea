/*
 * r = (close + out - open - in) / (open + sum of in x its share of the days
 * - sum of out x the days after it), linked over every calendar day.
 *
 * With one day that is (close + out) / (open + in) - 1. The numerator is taken
 * as an exact integer difference before it becomes a double, so that a day on
 * which nothing happened links exactly 1.0, and the contributions of holdings
 * (gain / capital, times the wealth before) sum to the return. Linking after
 * Morningstar, "Total Portfolio Performance Attribution Methodology", p. 36, as
 * PerformanceAnalytics has it in to.period.contributions; weights of the flows
 * after GIPS (2010), 2.A.2: (CD - D) / CD.
 */
#include "lib/performance/chain.h"

/* A day beyond these without a flow or trade is more often a wrong price than
 * a market: docs/statistics.md. */
#define SUSPECT_LOSS (-0.95)
#define SUSPECT_GAIN 4.0

void perf_chain_init(struct perf_chain *c, int32_t open_day)
{
    *c = (struct perf_chain){.wealth = 1.0,
                             .since_day = INT32_MAX,
                             .last_trading = 1.0,
                             .drawdown = {.peak = 1.0,
                                          .peak_day = open_day,
                                          .max_peak_day = open_day,
                                          .max_trough_day = open_day}};
}

/* One more day of the open sub-period. */
static void extend(struct perf_chain *c, const struct perf_day *d)
{
    if (!c->days)
        c->open_e8 = d->open_e8;
    c->in_days_e8 += d->in_e8 * c->days;
    c->days++;
    c->out_days_e8 += d->out_e8 * c->days;
    c->in_e8 += d->in_e8;
    c->out_e8 += d->out_e8;
}

static void begin_subperiod(struct perf_chain *c)
{
    c->days = 0;
    c->in_e8 = c->out_e8 = c->in_days_e8 = c->out_days_e8 = 0;
}

static void measure_risk(struct perf_chain *c, const struct perf_day *d)
{
    returns_drawdown_add(&c->drawdown, d->day, c->wealth);
    if (d->quiet)
        return;
    if (c->last_trading > 0)
        returns_sample_add(&c->sample, c->wealth / c->last_trading - 1.0);
    c->last_trading = c->wealth;
}

bool perf_chain_add(struct perf_chain *c, const struct perf_day *d, double *weight)
{
    fp_i128 gain_e8, days_capital_e8;
    double capital_e8, r;
    int32_t first_day = d->day - c->days;

    *weight = 0;
    extend(c, d);
    if (d->open_e8 + d->in_e8 < 0 || d->close_e8 < 0 || d->open_e8 < 0)
        c->negative = true;
    if (d->stale)
        return false;
    gain_e8 = d->close_e8 + c->out_e8 - c->open_e8 - c->in_e8;
    days_capital_e8 = (c->open_e8 + c->in_e8 - c->out_e8) * c->days - c->in_days_e8 + c->out_days_e8;
    capital_e8 = c->days == 1 ? (double)(c->open_e8 + c->in_e8) : (double)days_capital_e8 / c->days;
    c->dietz |= c->days > 1 && (c->in_e8 || c->out_e8);
    begin_subperiod(c);
    if (days_capital_e8 <= 0) {
        c->negative |= days_capital_e8 < 0;
        c->no_capital |= days_capital_e8 == 0 && gain_e8 != 0;
        return true;
    }
    if (c->since_day == INT32_MAX)
        c->since_day = first_day;
    *weight = c->wealth / capital_e8;
    r = (double)gain_e8 / capital_e8;
    if (!d->traded && (r < SUSPECT_LOSS || r > SUSPECT_GAIN))
        c->suspect = true;
    c->wealth += *weight * (double)gain_e8;
    measure_risk(c, d);
    return true;
}
