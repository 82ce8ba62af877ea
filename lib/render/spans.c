/*
 * Returns over the period, the year and since the beginning, and the risk.
 * A rate that is not defined is not shown; an annual one only where stats
 * gives it (from 365 days on), because a good week times fifty is a lie.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/fixed.h"
#include "lib/render/filling.h"

static bool is_defined(const Foliopost__V1__Rate *r)
{
    return r && r->defined;
}

static void put_rate(const struct filling *f, const Foliopost__V1__Rate *r, char out[INTL_BYTES])
{
    out[0] = 0;
    if (is_defined(r))
        intl_percent(f->intl, r->e8, 2, INTL_SIGNED, out);
}

/* As it is printed: what rounds to zero is neither up nor down. */
static int direction(const Foliopost__V1__Rate *r)
{
    int64_t v = is_defined(r) ? (int64_t)fixed_div(r->e8, 10000) : 0;
    return (v > 0) - (v < 0);
}

static void put_annual(struct filling *f, const Foliopost__V1__Rate *r, char out[INTL_BYTES * 2])
{
    char rate[INTL_BYTES];
    put_rate(f, r, rate);
    const struct word_value values[] = {{"rate", rate}, {NULL, NULL}};
    out[0] = 0;
    if (*rate)
        words_fill(out, INTL_BYTES * 2, f->words->word[WORD_ANNUAL], values);
    f->s->has_annual = f->s->has_annual || *rate;
}

static void add_row(struct statement_span *o, const char *label, const char *rate, const char *annual)
{
    if (!*rate)
        return;
    struct statement_row *row = &o->rows[o->n_rows++];
    char name[STATEMENT_LABEL_BYTES];
    if (*annual)
        snprintf(row->label, sizeof row->label, "%.200s (%.190s)", label, annual);
    else
        fill_copy(row->label, sizeof row->label, label);
    name[0] = name[1] = ' ';
    fill_copy(name + 2, sizeof name - 2, row->label);
    fill_copy(row->amount, sizeof row->amount, rate);
    fill_line(name, rate, row->line);
    row->total = row->up = row->down = false;
}

static const char *label_of(const struct filling *f, int kind)
{
    switch (kind) {
    case FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD:
        return f->words->word[WORD_SPAN_PERIOD];
    case FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_YEAR_TO_DATE:
        return f->words->word[WORD_SPAN_YEAR];
    case FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_SINCE_INCEPTION:
        return f->words->word[WORD_SPAN_INCEPTION];
    default:
        return NULL;
    }
}

static void put_since(struct filling *f, int32_t day, char out[INTL_BYTES * 2])
{
    char date[INTL_BYTES];
    intl_date(f->intl, day, date);
    const struct word_value values[] = {{"date", date}, {NULL, NULL}};
    words_fill(out, INTL_BYTES * 2, f->words->word[WORD_SPAN_SINCE], values);
}

static void add_span(struct filling *f, const Foliopost__V1__Span *m, const char *label)
{
    struct statement *s = f->s;
    struct statement_span *o = &s->spans[s->n_spans++];
    o->label = label;
    put_since(f, m->since_day, o->since);
    put_rate(f, m->twr, o->twr);
    put_rate(f, m->mwr, o->mwr);
    put_rate(f, s->benchmark_name[0] ? m->benchmark : NULL, o->benchmark);
    put_annual(f, m->twr_annual, o->twr_annual);
    put_annual(f, m->mwr_annual, o->mwr_annual);
    int twr = direction(m->twr), mwr = direction(m->mwr);
    o->twr_up = twr > 0;
    o->twr_down = twr < 0;
    o->mwr_up = mwr > 0;
    o->mwr_down = mwr < 0;
    o->n_rows = 0;
    add_row(o, f->words->word[WORD_RETURN_TWR], o->twr, o->twr_annual);
    add_row(o, f->words->word[WORD_RETURN_MWR], o->mwr, o->mwr_annual);
    add_row(o, s->benchmark_name, o->benchmark, "");
    s->has_mwr = s->has_mwr || o->mwr[0];
    s->has_benchmark = s->has_benchmark || o->benchmark[0];
    s->has_modified_dietz = s->has_modified_dietz || m->modified_dietz;
}

/* Of the longest span that has it: a month has too few days to say much. */
static void fill_risk(struct filling *f, const Foliopost__V1__Span *m, const char *label)
{
    struct statement *s = f->s;
    char from[INTL_BYTES], to[INTL_BYTES];
    if (!is_defined(m->volatility) && !is_defined(m->max_drawdown))
        return;
    s->has_risk = true;
    s->risk_span = label;
    s->volatility[0] = s->drawdown[0] = s->drawdown_days[0] = 0;
    if (is_defined(m->volatility))
        intl_percent(f->intl, m->volatility->e8, 1, INTL_MINUS, s->volatility);
    if (!is_defined(m->max_drawdown))
        return;
    intl_percent(f->intl, m->max_drawdown->e8, 1, INTL_MINUS, s->drawdown);
    if (m->drawdown_peak_day <= 0 || m->drawdown_trough_day <= m->drawdown_peak_day)
        return;
    intl_date(f->intl, m->drawdown_peak_day, from);
    intl_date(f->intl, m->drawdown_trough_day, to);
    const struct word_value values[] = {{"from", from}, {"to", to}, {NULL, NULL}};
    words_fill(s->drawdown_days, sizeof s->drawdown_days, f->words->word[WORD_RISK_FALL], values);
}

void fill_spans(struct filling *f)
{
    struct statement *s = f->s;
    s->n_spans = 0;
    s->has_mwr = s->has_benchmark = s->has_annual = s->has_modified_dietz = s->has_risk = false;
    s->volatility[0] = s->drawdown[0] = s->drawdown_days[0] = 0;
    s->risk_span = "";
    fill_clean(s->benchmark_name, sizeof s->benchmark_name, f->m->benchmark_name);
    for (size_t i = 0; i < f->m->n_spans; i++) {
        const Foliopost__V1__Span *m = f->m->spans[i];
        const char *label = label_of(f, (int)m->kind);
        if (!label || s->n_spans == STATEMENT_MAX_SPANS)
            continue;
        if (is_defined(m->twr) || is_defined(m->mwr))
            add_span(f, m, label);
        fill_risk(f, m, label);
    }
    s->has_spans = s->n_spans > 0;
}
