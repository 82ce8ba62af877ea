/* What helped most and least: the tables of movers, with their bars. */
#include <stdio.h>
#include <string.h>

#include "lib/base/fixed.h"
#include "lib/render/filling.h"

#define MOVER_COLUMNS 42 /* of the text part: with GAIN and SHARE and two blanks, 72 */
#define GAIN_COLUMNS  18
#define SHARE_COLUMNS 10

/* What a bar shows: the share of the return, or the amount where there is no return. */
static uint64_t bar_weight(const Foliopost__V1__Mover *m, bool by_share)
{
    int64_t v = by_share ? m->contribution_e8 : m->gain_minor;
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

static void fill_mover_line(struct statement_mover *row, bool has_share)
{
    char label[STATEMENT_NAME_BYTES + 72];
    snprintf(label, sizeof label, *row->symbol ? "%s (%s)" : "%s", row->name, row->symbol);
    columns_left(label, MOVER_COLUMNS, row->line, STATEMENT_LINE_BYTES / 2);
    fill_right(row->line, row->gain, GAIN_COLUMNS);
    if (has_share)
        fill_right(row->line, row->share, SHARE_COLUMNS);
}

static void fill_mover(struct filling *f, struct statement_mover *row, const Foliopost__V1__Mover *m,
                       uint64_t widest)
{
    bool has_share = f->m->twr_defined;
    fill_clean(row->symbol, sizeof row->symbol, m->symbol);
    fill_instrument(f, m->name, NULL, m->instrument_id, row->name, sizeof row->name);
    row->up = m->gain_minor > 0;
    row->down = m->gain_minor < 0;
    fill_money(f, m->gain_minor, false, INTL_SIGNED, row->gain);
    row->share[0] = 0;
    if (has_share)
        intl_percent(f->intl, m->contribution_e8, 2, INTL_SIGNED, row->share);
    unsigned bar = 1; /* what is there at all is to be seen */
    if (widest > 0)
        bar += (unsigned)((fp_i128)bar_weight(m, has_share) * 98 / widest);
    fill_small(row->bar, bar);
    fill_small(row->rest, 100 - bar);
    fill_mover_line(row, has_share);
}

static void fill_table(struct filling *f, enum word title, Foliopost__V1__Mover **movers, size_t n,
                       uint64_t widest)
{
    if (n == 0)
        return;
    struct statement_movers *t = &f->s->movers[f->s->n_movers++];
    t->title = f->words->word[title];
    t->n_rows = n < STATEMENT_MAX_MOVERS ? n : STATEMENT_MAX_MOVERS;
    for (size_t i = 0; i < t->n_rows; i++)
        fill_mover(f, &t->rows[i], movers[i], widest);
}

static uint64_t widest_of(Foliopost__V1__Mover **movers, size_t n, bool by_share, uint64_t widest)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t w = bar_weight(movers[i], by_share);
        widest = w > widest ? w : widest;
    }
    return widest;
}

void fill_movers(struct filling *f)
{
    const Foliopost__V1__PortfolioSummary *m = f->m;
    uint64_t widest = widest_of(m->top, m->n_top, m->twr_defined, 0);
    widest = widest_of(m->bottom, m->n_bottom, m->twr_defined, widest);
    f->s->has_shares = m->twr_defined;
    f->s->n_movers = 0;
    fill_table(f, WORD_MOVERS_TOP, m->top, m->n_top, widest);
    fill_table(f, WORD_MOVERS_BOTTOM, m->bottom, m->n_bottom, widest);
}
