/*
 * From the chains to the returns of each span.
 *
 * Money-weighted: the opening value and what was paid in cost, what was paid
 * out and the closing value are returned, each on its day. Annual figures only
 * from 365 days on (GIPS: not for less than a year).
 */
#include <math.h>

#include "lib/base/mem.h"
#include "lib/performance/internal.h"

static struct perf_rate rate_of(bool defined, double rate)
{
    struct perf_rate r = {defined && perf_rate_fits(rate), 0};

    if (r.defined)
        r.e8 = llround(rate * 1e8);
    return r;
}

static size_t mwr_flows(struct fp_performance *p, const struct perf_span *s)
{
    size_t n = 0, most = p->n_flow_days - s->first_flow + 2;

    if (most > p->cap_mwr_flows) {
        p->cap_mwr_flows = most + 16;
        p->mwr_flows = mem_resize(p->mwr_flows, p->cap_mwr_flows, sizeof *p->mwr_flows);
    }
    if (s->open_e8)
        p->mwr_flows[n++] = (struct returns_flow){s->open_day, -(double)s->open_e8};
    for (size_t i = s->first_flow; i < p->n_flow_days; i++)
        p->mwr_flows[n++] = (struct returns_flow){p->flow_days[i].day, -(double)p->flow_days[i].amount_e8};
    p->mwr_flows[n++] = (struct returns_flow){p->day, (double)(p->value.in_return_e8 + p->value.at_cost_e8)};
    return n;
}

static void money_weighted(struct fp_performance *p, const struct perf_span *s, struct perf_span_figures *f)
{
    size_t n = mwr_flows(p, s);
    struct returns_mwr mwr = returns_xirr_sorted(p->mwr_flows, n);

    f->mwr = rate_of(mwr.defined, mwr.period);
    while (n > 1 && p->mwr_flows[n - 1].amount == 0 && mwr.period > -1)
        n--; /* an emptied account: the rate is of the days up to the last payment; of a total loss of all */
    f->mwr_annual = rate_of(mwr.defined && p->mwr_flows[n - 1].day - p->mwr_flows[0].day >= RETURNS_YEAR_DAYS,
                            mwr.annual);
    f->mwr_several_roots = f->mwr.defined && mwr.several;
}

/* What the figures of a span were made from. */
static void trace_span(struct fp_performance *p, enum perf_span_kind kind, const struct perf_span_figures *f)
{
    const struct perf_span *s = &p->spans[kind];
    size_t n = mwr_flows(p, s);
    struct returns_mwr mwr = returns_xirr_sorted(p->mwr_flows, n);

    perf_step(p, (struct perf_step){.kind = PERF_STEP_SPAN,
                                    .instrument = -1,
                                    .span = kind,
                                    .link = {.days = s->chain.sample.n,
                                             .open_e8 = s->benchmark_e8,
                                             .close_e8 = p->benchmark_e8},
                                    .rate = f->volatility.defined ? (double)f->volatility.e8 / 1e8 : NAN});
    for (size_t i = 0; i < n; i++)
        perf_step(p, (struct perf_step){.kind = PERF_STEP_PAYMENT,
                                        .instrument = -1,
                                        .span = kind,
                                        .payment_day = p->mwr_flows[i].day,
                                        .value_e8 = (fp_i128)p->mwr_flows[i].amount,
                                        .rate = mwr.defined ? mwr.annual : NAN});
}

static void risk(const struct perf_chain *c, struct perf_span_figures *f)
{
    double volatility = 0;
    bool defined = returns_volatility(&c->sample, &volatility);

    f->volatility = rate_of(defined, volatility);
    f->max_drawdown = rate_of(true, c->drawdown.max);
    f->drawdown_peak_day = c->drawdown.max_peak_day;
    f->drawdown_trough_day = c->drawdown.max_trough_day;
}

static bool amounts(struct fp_performance *p, const struct perf_span *s, struct perf_span_figures *f,
                    int64_t close_minor)
{
    fp_i128 net_e8 = 0, gain;

    for (size_t i = s->first_flow; i < p->n_flow_days; i++)
        net_e8 += p->flow_days[i].amount_e8;
    if (!perf_to_minor(p, s->open_e8, &f->open_value_minor) ||
        !perf_to_minor(p, net_e8, &f->net_contributions_minor))
        return false;
    gain = (fp_i128)close_minor - f->open_value_minor - f->net_contributions_minor;
    if (!fixed_from_i128(gain, &f->gain_minor))
        return perf_fail(p, "overflow", "the gain beyond 64 bits");
    return true;
}

static bool span_figures(struct fp_performance *p, enum perf_span_kind kind, int64_t close_minor,
                         struct perf_span_figures *f)
{
    const struct perf_span *s = &p->spans[kind];
    const struct perf_chain *c = &s->chain;
    bool defined = !c->negative && c->since_day != INT32_MAX;
    double annual = 0;
    int32_t days;

    *f = (struct perf_span_figures){.since_day = defined ? c->since_day : s->open_day + 1};
    if (!amounts(p, s, f, close_minor))
        return false;
    f->drawdown_peak_day = f->drawdown_trough_day = s->open_day;
    if (!defined)
        return true;
    days = p->day - f->since_day + 1;
    f->twr = rate_of(true, c->wealth - 1.0);
    if (days >= RETURNS_YEAR_DAYS && returns_annualise(c->wealth - 1.0, days, &annual))
        f->twr_annual = rate_of(true, annual);
    f->modified_dietz = c->dietz;
    f->suspect_day = c->suspect;
    money_weighted(p, s, f);
    risk(c, f);
    if (s->benchmark_e8 > 0 && p->benchmark_e8 > 0)
        f->benchmark = rate_of(true, (double)p->benchmark_e8 / (double)s->benchmark_e8 - 1.0);
    if (PERF_TRACES(p))
        trace_span(p, kind, f);
    return true;
}

bool perf_spans(struct fp_performance *p, struct perf_summary *s)
{
    for (int i = 0; i < PERF_SPANS; i++)
        if (!span_figures(p, (enum perf_span_kind)i, s->close_value_minor, &s->spans[i]))
            return false;
    return true;
}
