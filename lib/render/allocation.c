/*
 * What the portfolio is made of: a bar of table cells, and rows below it that
 * say the same in words. What is negative (an overdraft, a short position) has
 * a row and no part of the bar.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/render/filling.h"

/* At least 3:1 on white and on the dark card; neighbours differ in hue. The
 * last is for what is put together or negative. */
static const char *const colors[STATEMENT_MAX_SHARES + 1] = {"#0d9488", "#3b7ddd", "#c2780c",
                                                             "#a855d6", "#5a8f29", "#dd5a1b",
                                                             "#d6457a", "#6b7f99", "#7c8796"};

static const struct {
    const char *name;
    enum word word;
} classes[] = {
    {"equity", WORD_CLASS_EQUITY},
    {"stock", WORD_CLASS_EQUITY},
    {"share", WORD_CLASS_EQUITY},
    {"fund", WORD_CLASS_FUND},
    {"etf", WORD_CLASS_FUND},
    {"bond", WORD_CLASS_BOND},
    {"cash", WORD_CLASS_CASH},
    {"commodity", WORD_CLASS_COMMODITY},
    {"metal", WORD_CLASS_COMMODITY},
    {"crypto", WORD_CLASS_CRYPTO},
    {"property", WORD_CLASS_PROPERTY},
    {"real_estate", WORD_CLASS_PROPERTY},
    {"derivative", WORD_CLASS_DERIVATIVE},
    {"option", WORD_CLASS_DERIVATIVE},
    {"other", WORD_CLASS_OTHER},
    {"", WORD_CLASS_OTHER},
};

/* Known classes in the reader's language; a company's own as they are. */
static void put_label(const struct filling *f, const char *label, bool is_class, char *out, size_t cap)
{
    fill_clean(out, cap, label);
    for (size_t i = 0; is_class && i < sizeof classes / sizeof classes[0]; i++)
        if (strcasecmp(out, classes[i].name) == 0)
            fill_copy(out, cap, f->words->word[classes[i].word]);
}

static void fill_share(struct filling *f, struct statement_share *row, int64_t minor, int32_t percent_e2)
{
    fill_money(f, minor, false, INTL_MINUS, row->amount);
    row->percent[0] = 0;
    if (!row->negative)
        intl_percent(f->intl, (int64_t)percent_e2 * 10000, 2, INTL_MINUS,
                     row->percent); /* all of them: the sum is 100 */
    int width = row->negative || percent_e2 < 50 ? 0 : percent_e2 / 100 > 1 ? percent_e2 / 100 : 1;
    fill_small(row->width, (unsigned)(width < 100 ? width : 100));
    columns_left(row->label, LABEL_COLUMNS, row->line, STATEMENT_LINE_BYTES / 2);
    fill_right(row->line, row->amount, 17);
    fill_right(row->line, row->percent, 9);
}

static bool is_printable(const Foliopost__V1__Allocation *a)
{
    return a->percent_e2 >= 0 && a->percent_e2 <= 10000;
}

/* What there is no place for, together. */
static void add_rest(struct filling *f, struct statement_shares *t, Foliopost__V1__Allocation **a,
                     size_t from, size_t n)
{
    struct statement_share *row = &t->rows[t->n_rows];
    int64_t minor = 0;
    int32_t percent = 0;
    for (size_t i = from; i < n; i++) {
        if (a[i]->negative || !is_printable(a[i]))
            continue;
        if (__builtin_add_overflow(minor, a[i]->value_minor, &minor) || percent > 10000)
            return;
        percent += a[i]->percent_e2;
    }
    if (minor == 0)
        return;
    row->negative = false;
    row->color = colors[STATEMENT_MAX_SHARES];
    fill_copy(row->label, sizeof row->label, f->words->word[WORD_CLASS_OTHER]);
    fill_share(f, row, minor, percent);
    t->n_rows++;
}

static void add_table(struct filling *f, enum word title, Foliopost__V1__Allocation **a, size_t n,
                      bool is_class)
{
    if (n == 0)
        return;
    struct statement_shares *t = &f->s->allocations[f->s->n_allocations++];
    size_t shown = n > STATEMENT_MAX_SHARES ? STATEMENT_MAX_SHARES : n;
    t->title = f->words->word[title];
    t->n_rows = 0;
    for (size_t i = 0; i < shown; i++) {
        struct statement_share *row = &t->rows[t->n_rows];
        if (!is_printable(a[i]))
            continue;
        row->negative = a[i]->negative || a[i]->value_minor < 0;
        row->color = colors[row->negative ? STATEMENT_MAX_SHARES : t->n_rows];
        put_label(f, a[i]->label, is_class, row->label, sizeof row->label);
        fill_share(f, row, a[i]->value_minor, a[i]->percent_e2);
        t->n_rows++;
    }
    if (shown < n)
        add_rest(f, t, a, shown, n);
}

void fill_allocations(struct filling *f)
{
    f->s->n_allocations = 0;
    add_table(f, WORD_SHARES_CLASS, f->m->by_class, f->m->n_by_class, true);
    add_table(f, WORD_SHARES_CURRENCY, f->m->by_currency, f->m->n_by_currency, false);
}
