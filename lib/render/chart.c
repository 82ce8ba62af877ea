/*
 * The chart: columns of coloured table cells, which every mail reader shows,
 * with pictures off too. Each column is what was paid in up to then, and on
 * top of it the gain, or what is missing to what was paid in.
 *
 * A month's gain is small beside the whole value. So the columns need not
 * begin at nothing; where they begin stands below them. What they show stands
 * in a sentence as well, for who cannot see them.
 */
#include <stdio.h>

#include "lib/base/fixed.h"
#include "lib/render/filling.h"

#define HEIGHT 110 /* pixels of the highest column */
#define LEAST  4   /* of the lowest: it is to be seen that it is there */

struct points {
    const int64_t *value, *contributed;
    size_t n, first, step; /* those shown: first, first + step, ... n - 1 */
    int64_t low, high;     /* of both series */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool take_points(const Foliopost__V1__PortfolioSummary *m, struct points *p)
{
    *p = (struct points){.value = m->chart_value_minor,
                         .contributed = m->chart_contributed_minor,
                         .n = m->n_chart_value_minor};
    if (p->n < 3 || m->n_chart_contributed_minor != p->n || m->chart_step_days < 1)
        return false;
    p->step = (p->n + STATEMENT_MAX_COLUMNS - 1) / STATEMENT_MAX_COLUMNS;
    p->first = (p->n - 1) % p->step;
    p->low = INT64_MAX;
    p->high = INT64_MIN;
    for (size_t i = p->first; i < p->n; i += p->step) {
        p->low = least(p->low, least(p->value[i], p->contributed[i]));
        p->high = most(p->high, most(p->value[i], p->contributed[i]));
    }
    return p->low >= 0 && p->high > 0; /* no columns for debts */
}

/* A round figure below the lowest point, so that what moves fills the height;
 * nothing when it moves much anyway. */
static int64_t axis_from(const struct points *p)
{
    int64_t span = p->high - p->low, unit = 1;
    if (p->low < p->high / 2 || span == 0)
        return 0;
    while (unit <= span / 10)
        unit *= 10;
    int64_t from = p->low - most(span / 3, 1);
    return from <= 0 ? 0 : from / unit * unit;
}

static int pixels(int64_t v, int64_t from, int64_t high)
{
    fp_i128 span = (fp_i128)high - from;
    return span <= 0 ? LEAST : LEAST + (int)(((fp_i128)v - from) * (HEIGHT - LEAST) / span);
}

static void add_column(struct statement *s, const struct points *p, size_t i, int64_t from)
{
    struct statement_column *c = &s->columns[s->n_columns++];
    int value = pixels(p->value[i], from, p->high), paid = pixels(p->contributed[i], from, p->high);
    int base = value < paid ? value : paid, step = value < paid ? paid - value : value - paid;
    c->above = value > paid;
    c->below = value < paid;
    fill_small(c->base, (unsigned)base);
    fill_small(c->step, (unsigned)step);
    s->chart_has_gain = s->chart_has_gain || c->above;
    s->chart_has_loss = s->chart_has_loss || c->below;
}

static int32_t day_of(const Foliopost__V1__PortfolioSummary *m, size_t i)
{
    return (int32_t)((int64_t)m->chart_first_day + (int64_t)i * m->chart_step_days);
}

/* Over all points, not only those that have a column. */
static void fill_summary(struct filling *f, const struct points *p)
{
    char figures[4][INTL_BYTES], dates[4][INTL_BYTES];
    size_t low = 0, high = 0;
    for (size_t i = 1; i < p->n; i++) {
        low = p->value[i] < p->value[low] ? i : low;
        high = p->value[i] > p->value[high] ? i : high;
    }
    const size_t at[4] = {0, p->n - 1, low, high};
    for (int i = 0; i < 4; i++) {
        fill_money(f, p->value[at[i]], true, INTL_MINUS, figures[i]);
        intl_short_date(f->intl, day_of(f->m, at[i]), dates[i]);
    }
    const struct word_value values[] = {{"first", figures[0]}, {"first_date", dates[0]},
                                        {"last", figures[1]},  {"last_date", dates[1]},
                                        {"low", figures[2]},   {"low_date", dates[2]},
                                        {"high", figures[3]},  {"high_date", dates[3]},
                                        {NULL, NULL}};
    words_fill(f->s->chart_summary, sizeof f->s->chart_summary, f->words->word[WORD_CHART_SUMMARY], values);
}

void fill_chart(struct filling *f)
{
    struct statement *s = f->s;
    struct points p;
    s->n_columns = 0;
    s->has_chart = s->chart_has_gain = s->chart_has_loss = s->chart_from_zero = false;
    s->chart_summary[0] = s->chart_first[0] = s->chart_last[0] = s->chart_top[0] = s->chart_bottom[0] = 0;
    if (!take_points(f->m, &p))
        return;
    int64_t from = axis_from(&p);
    for (size_t i = p.first; i < p.n; i += p.step)
        add_column(s, &p, i, from);
    s->has_chart = true;
    s->chart_from_zero = from == 0;
    fill_money(f, p.high, true, INTL_MINUS, s->chart_top);
    fill_money(f, from, true, INTL_MINUS, s->chart_bottom);
    intl_short_date(f->intl, day_of(f->m, p.first), s->chart_first);
    intl_short_date(f->intl, day_of(f->m, p.n - 1), s->chart_last);
    fill_summary(f, &p);
}
