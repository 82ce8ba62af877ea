/*
 * The way from the opening to the closing value, and what the gain holds.
 *
 * With a bridge from stats each step has its row; the rows add up to the
 * closing value to the last unit, or the whole gain is one row: a table that
 * does not add up is worse than a short one. Steps of nothing are left out.
 */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/render/filling.h"

static void fill_row(const struct filling *f, struct statement_row *row, const char *label, int64_t minor,
                     bool total)
{
    fill_copy(row->label, sizeof row->label, label);
    fill_money(f, minor, false, total ? INTL_MINUS : INTL_SIGNED, row->amount);
    fill_line(row->label, row->amount, row->line);
    row->total = total;
    row->up = !total && minor > 0;
    row->down = !total && minor < 0;
}

static void add_value(struct filling *f, int32_t day, int64_t minor)
{
    char date[INTL_BYTES], label[STATEMENT_LABEL_BYTES];
    intl_date(f->intl, day, date);
    const struct word_value values[] = {{"date", date}, {NULL, NULL}};
    words_fill(label, sizeof label, f->words->word[WORD_BRIDGE_VALUE], values);
    fill_row(f, &f->s->bridge[f->s->n_bridge++], label, minor, true);
}

static void add_step(struct filling *f, enum word word, int64_t minor)
{
    fill_row(f, &f->s->bridge[f->s->n_bridge++], f->words->word[word], minor, false);
}

static int64_t negated(int64_t v)
{
    return v == INT64_MIN ? INT64_MAX : -v;
}

static bool adds_up(const Foliopost__V1__PortfolioSummary *m)
{
    const Foliopost__V1__Bridge *b = m->bridge;
    if (!b)
        return false;
    fp_i128 sum = (fp_i128)m->open_value_minor + m->net_contributions_minor + b->realised_minor +
                  b->unrealised_minor + m->income_minor - m->fees_minor - m->taxes_minor + b->currency_minor;
    return sum == m->close_value_minor;
}

static void add_steps(struct filling *f)
{
    const Foliopost__V1__PortfolioSummary *m = f->m;
    if (!adds_up(m)) {
        add_step(f, WORD_BRIDGE_GAIN, m->gain_minor);
        return;
    }
    const struct {
        enum word word;
        int64_t minor;
    } steps[] = {
        {WORD_BRIDGE_UNREALISED, m->bridge->unrealised_minor},
        {WORD_BRIDGE_REALISED, m->bridge->realised_minor},
        {WORD_BRIDGE_INCOME, m->income_minor},
        {WORD_BRIDGE_CURRENCY, m->bridge->currency_minor},
        {WORD_BRIDGE_FEES, negated(m->fees_minor)},
        {WORD_BRIDGE_TAXES, negated(m->taxes_minor)},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].minor)
            add_step(f, steps[i].word, steps[i].minor);
}

static void add_detail(struct filling *f, enum word word, int64_t minor)
{
    if (minor && f->s->n_details < STATEMENT_MAX_DETAILS)
        fill_row(f, &f->s->details[f->s->n_details++], f->words->word[word], minor, false);
}

/* What the gain holds of: income adds, costs take. Where the bridge says so
 * already, only what is finer than its rows. */
static void fill_details(struct filling *f)
{
    const Foliopost__V1__PortfolioSummary *m = f->m;
    bool told = adds_up(m);
    if (m->dividends_minor || m->interest_minor) {
        add_detail(f, WORD_DETAIL_DIVIDENDS, m->dividends_minor);
        add_detail(f, WORD_DETAIL_INTEREST, m->interest_minor);
    } else if (!told) {
        add_detail(f, WORD_DETAIL_INCOME, m->income_minor);
    }
    if (!told) {
        add_detail(f, WORD_DETAIL_FEES, negated(m->fees_minor));
        add_detail(f, WORD_DETAIL_TAXES, negated(m->taxes_minor));
    }
    add_detail(f, WORD_DETAIL_WITHHELD, negated(m->withheld_tax_minor));
    if (m->cost_basis) { /* the bridge has sales against the opening value, tax offices ask for the cost */
        add_detail(f, WORD_DETAIL_FIFO, m->cost_basis->realised_fifo_minor);
        add_detail(f, WORD_DETAIL_AVERAGE, m->cost_basis->realised_average_minor);
    }
    f->s->has_details = f->s->n_details > 0;
}

void fill_bridge(struct filling *f)
{
    f->s->n_bridge = f->s->n_details = 0;
    add_value(f, (int32_t)((int64_t)f->job->period_start_day - 1), f->m->open_value_minor);
    add_step(f, WORD_BRIDGE_CONTRIBUTIONS, f->m->net_contributions_minor);
    f->s->bridge[1].up = f->s->bridge[1].down = false; /* money paid in is no success, paid out no failure */
    add_steps(f);
    add_value(f, f->job->period_end_day, f->m->close_value_minor);
    fill_details(f);
}
