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

/* What several days were linked to is no day's return: volatility is of the days that have one. */
static void measure_risk(struct perf_chain *c, const struct perf_day *d, int32_t days)
{
    returns_drawdown_add(&c->drawdown, d->day, c->wealth);
    if (d->quiet && days == 1)
        return;
    if (days == 1 && c->last_trading > 0)
        returns_sample_add(&c->sample, c->wealth / c->last_trading - 1.0);
    c->last_trading = c->wealth;
}

/* The first capital: what was before it has neither return nor peak. */
static void begin_capital(struct perf_chain *c, int32_t first_day)
{
    c->since_day = first_day;
    c->drawdown.peak_day = c->drawdown.max_peak_day = c->drawdown.max_trough_day = first_day - 1;
}

/* A sub-period that ends with the day. Its capital is the sum over its days. Returns what one
 * unit of its gain is worth. */
static double link_subperiod(struct perf_chain *c, const struct perf_day *d, int32_t days, fp_i128 gain_e8,
                             fp_i128 days_capital_e8)
{
    double capital_e8, r, weight, gain = fixed_double(gain_e8);

    if (days_capital_e8 <= 0) {
        c->negative |= days_capital_e8 < 0;
        c->no_capital |= days_capital_e8 == 0 && gain_e8 != 0;
        return 0;
    }
    capital_e8 = days == 1 ? fixed_double(days_capital_e8) : (double)days_capital_e8 / days;
    if (c->since_day == INT32_MAX)
        begin_capital(c, d->day - days + 1);
    weight = c->wealth / capital_e8;
    r = gain / capital_e8;
    if (!d->traded && (r < SUSPECT_LOSS || r > SUSPECT_GAIN))
        c->suspect = true;
    c->wealth =
        gain_e8 * days == -days_capital_e8 ? 0 : c->wealth + weight * gain; /* all is lost: to the last bit */
    measure_risk(c, d, days);
    return weight;
}

/* One more day of the open sub-period. */
static void extend(struct perf_chain *c, const struct perf_day *d)
{
    if (!c->days)
        c->open_e8 = d->open_e8;
    c->traded |= d->traded;
    c->in_days_e8 += d->in_e8 * c->days;
    c->days++;
    c->out_days_e8 += d->out_e8 * c->days;
    c->in_e8 += d->in_e8;
    c->out_e8 += d->out_e8;
}

static void begin_subperiod(struct perf_chain *c)
{
    c->days = 0;
    c->traded = false;
    c->in_e8 = c->out_e8 = c->in_days_e8 = c->out_days_e8 = 0;
}

static double link_dietz(struct perf_chain *c, const struct perf_day *d)
{
    struct perf_day last = *d;
    int32_t days = c->days;
    fp_i128 gain_e8 = d->close_e8 + c->out_e8 - c->open_e8 - c->in_e8;
    fp_i128 days_capital_e8 = (c->open_e8 + c->in_e8 - c->out_e8) * days - c->in_days_e8 + c->out_days_e8;

    c->dietz |= days > 1 && (c->in_e8 || c->out_e8);
    last.traded = c->traded;
    begin_subperiod(c);
    return link_subperiod(c, &last, days, gain_e8, days_capital_e8);
}

bool perf_chain_add(struct perf_chain *c, const struct perf_day *d, double *weight)
{
    fp_i128 capital_e8 = d->open_e8 + d->in_e8;

    *weight = 0;
    if (capital_e8 < 0 || d->close_e8 < 0 || d->open_e8 < 0)
        c->negative = true;
    if (!c->days && !d->stale) { /* nearly always: a day by itself */
        *weight = link_subperiod(c, d, 1, d->close_e8 + d->out_e8 - capital_e8, capital_e8);
        return true;
    }
    extend(c, d);
    if (d->stale)
        return false;
    *weight = link_dietz(c, d);
    return true;
}
