/*
 * One assignment for each figure, a loop for each list. Whatever does not fit
 * the arena makes the whole summary NULL: half a statement is none.
 */
#include "services/stats/fill.h"

#include <stdbool.h>

#define FLAG(name) FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_##name
_Static_assert(PERF_STALE_PRICE == 1 << FLAG(STALE_PRICE), "flags");
_Static_assert(PERF_PRICE_AFTER == 1 << FLAG(PRICE_AFTER), "flags");
_Static_assert(PERF_NOT_PRICED == 1 << FLAG(NOT_PRICED), "flags");
_Static_assert(PERF_NO_CAPITAL == 1 << FLAG(NO_CAPITAL), "flags");
_Static_assert(PERF_NEGATIVE_VALUE == 1 << FLAG(NEGATIVE_VALUE), "flags");
_Static_assert(PERF_OPENED_IN_PERIOD == 1 << FLAG(OPENED_IN_PERIOD), "flags");
_Static_assert(PERF_SUSPECT_DAY == 1 << FLAG(SUSPECT_DAY), "flags");
_Static_assert(PERF_SHORT_POSITION == 1 << FLAG(SHORT_POSITION), "flags");
_Static_assert(PERF_SUSPECTED_SPLIT == 1 << FLAG(SUSPECTED_SPLIT), "flags");
_Static_assert(PERF_IN_TRANSIT == 1 << FLAG(IN_TRANSIT), "flags");
_Static_assert(PERF_SUSPECT_PRICE == 1 << FLAG(SUSPECT_PRICE), "flags");
_Static_assert(PERF_FLAGS == FLAG(SUSPECT_PRICE), "the last flag");
_Static_assert((int)PERF_SPAN_PERIOD + 1 == FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD, "spans");
_Static_assert((int)PERF_SPAN_SINCE_INCEPTION + 1 == FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_SINCE_INCEPTION,
               "spans");
_Static_assert((int)PERF_EVENT_SPLIT == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT, "events");
_Static_assert((int)PERF_EVENT_PRICE_UNITS == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_UNITS, "events");

struct filling {
    const struct fill *f;
    bool no_memory;
};

static void *give(struct filling *w, size_t bytes)
{
    void *p = arena_alloc(w->f->arena, bytes);

    w->no_memory |= !p;
    return p;
}

/* The market's texts go before the message. */
static char *copy(struct filling *w, const char *text)
{
    char *p = arena_strdup(w->f->arena, text);

    w->no_memory |= !p;
    return p;
}

/* A list of n messages; NULL when it is empty or there is no room. */
#define LIST(w, n, type) ((n) ? give((w), (size_t)(n) * (sizeof(type *) + sizeof(type))) : NULL)

/* The i-th message of such a list, behind its pointers. */
#define ITEM(list, n, i, type) ((type *)(void *)((char *)(list) + (size_t)(n) * sizeof(type *)) + (i))

/* --- lists --------------------------------------------------------------------------------- */

static Foliopost__V1__Rate *put_rate(struct filling *w, struct perf_rate from)
{
    Foliopost__V1__Rate *r;

    if (!from.defined)
        return NULL; /* an absent rate is an undefined one, and costs nothing on the bus */
    r = give(w, sizeof *r);
    if (!r)
        return NULL;
    foliopost__v1__rate__init(r);
    r->defined = true;
    r->e8 = from.e8;
    return r;
}

static size_t put_movers(struct filling *w, const struct perf_mover *from, int n, Foliopost__V1__Mover ***out)
{
    *out = LIST(w, n, Foliopost__V1__Mover);
    if (!*out)
        return 0;
    for (int i = 0; i < n; i++) {
        const struct portfolio_instrument *instrument = w->f->instruments[from[i].instrument];
        Foliopost__V1__Mover *m = (*out)[i] = ITEM(*out, n, i, Foliopost__V1__Mover);

        foliopost__v1__mover__init(m);
        m->instrument_id = instrument->id;
        m->symbol = copy(w, instrument->symbol);
        m->name = copy(w, instrument->name);
        m->gain_minor = from[i].gain_minor;
        m->contribution_e8 = from[i].contribution_e8;
    }
    return (size_t)n;
}

static size_t put_groups(struct filling *w, const struct perf_group *from, int n,
                         Foliopost__V1__Allocation ***out)
{
    *out = LIST(w, n, Foliopost__V1__Allocation);
    if (!*out)
        return 0;
    for (int i = 0; i < n; i++) {
        Foliopost__V1__Allocation *a = (*out)[i] = ITEM(*out, n, i, Foliopost__V1__Allocation);

        foliopost__v1__allocation__init(a);
        a->label = copy(w, from[i].label);
        a->value_minor = from[i].value_minor;
        a->percent_e2 = from[i].percent_e2;
        a->negative = from[i].negative;
    }
    return (size_t)n;
}

static size_t put_events(struct filling *w, const struct perf_event *from, int n, Foliopost__V1__Event ***out)
{
    *out = LIST(w, n, Foliopost__V1__Event);
    if (!*out)
        return 0;
    for (int i = 0; i < n; i++) {
        const struct portfolio_instrument *instrument = w->f->instruments[from[i].instrument];
        Foliopost__V1__Event *e = (*out)[i] = ITEM(*out, n, i, Foliopost__V1__Event);

        foliopost__v1__event__init(e);
        e->kind = (Foliopost__V1__EventKind)from[i].kind;
        e->day = from[i].day;
        e->instrument_id = instrument->id;
        e->symbol = copy(w, instrument->symbol);
        e->name = copy(w, instrument->name);
        e->numerator = from[i].numerator;
        e->denominator = from[i].denominator;
        e->amount_minor = from[i].amount_minor;
    }
    return (size_t)n;
}

static void put_span(struct filling *w, const struct perf_span_figures *from, Foliopost__V1__Span *s)
{
    s->since_day = from->since_day;
    s->open_value_minor = from->open_value_minor;
    s->net_contributions_minor = from->net_contributions_minor;
    s->gain_minor = from->gain_minor;
    s->twr = put_rate(w, from->twr);
    s->twr_annual = put_rate(w, from->twr_annual);
    s->mwr = put_rate(w, from->mwr);
    s->mwr_annual = put_rate(w, from->mwr_annual);
    s->mwr_several_roots = from->mwr_several_roots;
    s->modified_dietz = from->modified_dietz;
    s->suspect_day = from->suspect_day;
    s->benchmark = put_rate(w, from->benchmark);
    s->volatility = put_rate(w, from->volatility);
    s->max_drawdown = put_rate(w, from->max_drawdown);
    s->drawdown_peak_day = from->drawdown_peak_day;
    s->drawdown_trough_day = from->drawdown_trough_day;
}

static size_t put_spans(struct filling *w, const struct perf_span_figures *from, Foliopost__V1__Span ***out)
{
    *out = LIST(w, PERF_SPANS, Foliopost__V1__Span);
    if (!*out)
        return 0;
    for (int i = 0; i < PERF_SPANS; i++) {
        Foliopost__V1__Span *s = (*out)[i] = ITEM(*out, PERF_SPANS, i, Foliopost__V1__Span);

        foliopost__v1__span__init(s);
        s->kind = (Foliopost__V1__SpanKind)(i + 1);
        put_span(w, &from[i], s);
    }
    return PERF_SPANS;
}

static void put_flags(struct filling *w, unsigned flags, Foliopost__V1__PortfolioSummary *s)
{
    s->flags = give(w, (PERF_FLAGS + 1) * sizeof *s->flags);
    for (int flag = 1; s->flags && flag <= PERF_FLAGS; flag++)
        if (flags & 1u << flag)
            s->flags[s->n_flags++] = (Foliopost__V1__SummaryFlag)flag;
}

/* --- bridge, cost, chart --------------------------------------------------------------------- */

static void put_bridge(struct filling *w, const struct perf_summary *from, Foliopost__V1__PortfolioSummary *s)
{
    s->bridge = give(w, sizeof *s->bridge);
    if (!s->bridge)
        return;
    foliopost__v1__bridge__init(s->bridge);
    s->bridge->realised_minor = from->realised_minor;
    s->bridge->unrealised_minor = from->unrealised_minor;
    s->bridge->currency_minor = from->currency_minor;
}

static void put_cost_basis(struct filling *w, const struct perf_summary *from,
                           Foliopost__V1__PortfolioSummary *s)
{
    Foliopost__V1__CostBasis *c = s->cost_basis = give(w, sizeof *c);

    if (!c)
        return;
    foliopost__v1__cost_basis__init(c);
    c->realised_fifo_minor = from->realised_fifo_minor;
    c->realised_average_minor = from->realised_average_minor;
    c->cost_fifo_minor = from->cost_fifo_minor;
    c->cost_average_minor = from->cost_average_minor;
    c->unrealised_fifo_minor = from->unrealised_fifo_minor;
    c->unrealised_average_minor = from->unrealised_average_minor;
}

/* Every day, or every n-th one counted back from the close. */
static void put_chart(struct filling *w, Foliopost__V1__PortfolioSummary *s)
{
    const struct perf_chart_point *points;
    size_t n = performance_chart(w->f->performance, &points), step, first, count;

    if (!n)
        return;
    step = (n + FILL_CHART_POINTS - 1) / FILL_CHART_POINTS;
    first = (n - 1) % step;
    count = (n - 1) / step + 1;
    s->chart_value_minor = give(w, count * sizeof *s->chart_value_minor);
    s->chart_contributed_minor = give(w, count * sizeof *s->chart_contributed_minor);
    if (w->no_memory)
        return;
    s->chart_first_day = points[first].day;
    s->chart_step_days = (int32_t)step;
    for (size_t i = 0; i < count; i++) {
        s->chart_value_minor[i] = points[first + i * step].value_minor;
        s->chart_contributed_minor[i] = points[first + i * step].contributed_minor;
    }
    s->n_chart_value_minor = s->n_chart_contributed_minor = count;
}

static void put_figures(const struct perf_summary *from, Foliopost__V1__PortfolioSummary *s)
{
    s->exponent = from->exponent;
    s->since_day = from->since_day;
    s->open_value_minor = from->open_value_minor;
    s->close_value_minor = from->close_value_minor;
    s->net_contributions_minor = from->net_contributions_minor;
    s->gain_minor = from->gain_minor;
    s->twr_defined = from->twr_defined;
    s->twr_e8 = from->twr_e8;
    s->holdings = from->holdings;
    s->income_minor = from->income_minor;
    s->fees_minor = from->fees_minor;
    s->taxes_minor = from->taxes_minor;
    s->prices_as_of_day = from->prices_as_of_day;
    s->dividends_minor = from->dividends_minor;
    s->interest_minor = from->interest_minor;
    s->withheld_tax_minor = from->withheld_tax_minor;
}

Foliopost__V1__PortfolioSummary *fill_summary(const struct fill *f, char *currency,
                                              const struct perf_summary *from)
{
    struct filling w = {.f = f};
    Foliopost__V1__PortfolioSummary *s = give(&w, sizeof *s);

    if (!s)
        return NULL;
    foliopost__v1__portfolio_summary__init(s);
    s->currency = currency;
    put_figures(from, s);
    put_flags(&w, from->flags, s);
    s->n_top = put_movers(&w, from->top, from->n_top, &s->top);
    s->n_bottom = put_movers(&w, from->bottom, from->n_bottom, &s->bottom);
    s->n_spans = put_spans(&w, from->spans, &s->spans);
    s->n_by_class = put_groups(&w, from->by_class, from->n_by_class, &s->by_class);
    s->n_by_currency = put_groups(&w, from->by_currency, from->n_by_currency, &s->by_currency);
    s->n_events = put_events(&w, from->events, from->n_events, &s->events);
    put_bridge(&w, from, s);
    put_cost_basis(&w, from, s);
    put_chart(&w, s);
    if (f->benchmark)
        s->benchmark_name = copy(&w, f->benchmark->name);
    return w.no_memory ? NULL : s;
}
