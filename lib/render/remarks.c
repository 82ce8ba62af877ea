/*
 * Notes: what happened in the period (splits, prices that are missing), and
 * what to know about the figures. An event names the instrument, so the
 * general remark of the same kind is left out beside it.
 */
#include <stdio.h>
#include <string.h>

#include "lib/render/filling.h"

#define MAX_EVENTS 6 /* more is no longer a note; how many more is said */

static void add(struct statement *s, const char *text)
{
    if (s->n_remarks == STATEMENT_MAX_NOTES)
        return;
    for (size_t i = 0; i < s->n_remarks; i++)
        if (strcmp(s->remarks[i], text) == 0)
            return;
    snprintf(s->remarks[s->n_remarks++], sizeof s->remarks[0], "%s", text);
}

static const struct {
    int kind, flag;
    enum word word;
} events[] = {
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT, 0, WORD_EVENT_SPLIT},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_DIVIDEND, 0, WORD_EVENT_DIVIDEND},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE, FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE,
     WORD_EVENT_STALE},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_NOT_PRICED, FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NOT_PRICED,
     WORD_EVENT_NOT_PRICED},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SUSPECTED_SPLIT,
     FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECTED_SPLIT, WORD_EVENT_SUSPECTED_SPLIT},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_JUMP,
     FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_PRICE, WORD_EVENT_SUSPECT_PRICE},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_ZERO,
     FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_PRICE, WORD_EVENT_SUSPECT_PRICE},
    {FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_UNITS,
     FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_PRICE, WORD_EVENT_SUSPECT_PRICE},
};

static const struct {
    int flag;
    enum word word;
} flags[] = {
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE, WORD_REMARK_STALE_PRICE},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_PRICE_AFTER, WORD_REMARK_PRICE_AFTER},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NOT_PRICED, WORD_REMARK_NOT_PRICED},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NO_CAPITAL, WORD_REMARK_NO_CAPITAL},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NEGATIVE_VALUE, WORD_REMARK_NEGATIVE_VALUE},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_OPENED_IN_PERIOD, WORD_REMARK_OPENED},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_DAY, WORD_REMARK_SUSPECT_DAY},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SHORT_POSITION, WORD_REMARK_SHORT_POSITION},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECTED_SPLIT, WORD_REMARK_SUSPECTED_SPLIT},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_PRICE, WORD_REMARK_SUSPECT_PRICE},
    {FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_IN_TRANSIT, WORD_REMARK_IN_TRANSIT},
};

static void add_event(struct filling *f, const Foliopost__V1__Event *e, enum word word)
{
    char name[STATEMENT_NAME_BYTES], date[INTL_BYTES], amount[INTL_BYTES], numerator[INTL_BYTES],
        denominator[INTL_BYTES], text[STATEMENT_LABEL_BYTES * 2];
    fill_instrument(f, e->name, e->symbol, e->instrument_id, name, sizeof name);
    intl_date(f->intl, e->day, date);
    fill_money(f, e->amount_minor, true, INTL_MINUS, amount);
    intl_count(f->intl, e->numerator, numerator);
    intl_count(f->intl, e->denominator, denominator);
    const struct word_value values[] = {{"name", name},
                                        {"date", date},
                                        {"amount", amount},
                                        {"numerator", numerator},
                                        {"denominator", denominator},
                                        {NULL, NULL}};
    words_fill(text, sizeof text, f->words->word[word], values);
    add(f->s, text);
}

static void add_more(struct filling *f, int n)
{
    char number[INTL_BYTES], text[STATEMENT_LABEL_BYTES];
    intl_count(f->intl, n, number);
    const struct word_value values[] = {{"n", number}, {NULL, NULL}};
    const char *const *forms = f->words->plural[PLURAL_MORE_EVENTS];
    const char *form = forms[intl_plural_of(f->intl, n)];
    words_fill(text, sizeof text, form ? form : forms[INTL_OTHER], values);
    add(f->s, text);
}

/* What may be wrong first; dividends are the most and the least remarkable. */
static int rank_of(int kind)
{
    if (kind == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_DIVIDEND)
        return 3;
    if (kind == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT)
        return 2;
    return kind == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE ||
           kind == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_NOT_PRICED;
}

/* Among the first MAX_EVENTS by rank? */
static bool is_shown(const Foliopost__V1__PortfolioSummary *m, size_t at)
{
    int rank = rank_of((int)m->events[at]->kind), before = 0;
    for (size_t i = 0; i < m->n_events; i++) {
        int other = rank_of((int)m->events[i]->kind);
        before += other < rank || (other == rank && i < at);
    }
    return before < MAX_EVENTS;
}

/* A remark whose event is not shown is still made in general. */
static void add_events(struct filling *f, unsigned *told)
{
    int more = 0;
    for (int dividends = 0; dividends < 2; dividends++) {
        for (size_t i = 0; i < f->m->n_events; i++) {
            const Foliopost__V1__Event *e = f->m->events[i];
            if ((e->kind == FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_DIVIDEND) != dividends)
                continue;
            for (size_t k = 0; k < sizeof events / sizeof events[0]; k++) {
                if (events[k].kind != (int)e->kind)
                    continue;
                if (!is_shown(f->m, i)) {
                    more++;
                    continue;
                }
                *told |= 1u << events[k].flag;
                add_event(f, e, events[k].word);
            }
        }
    }
    if (more > 0)
        add_more(f, more);
}

/* Only of returns that are shown. */
static bool has_several_roots(const Foliopost__V1__PortfolioSummary *m)
{
    for (size_t i = 0; i < m->n_spans; i++)
        if (m->spans[i]->mwr_several_roots && m->spans[i]->mwr && m->spans[i]->mwr->defined)
            return true;
    return false;
}

/* A day of the period has its own remark. */
static bool has_suspect_day_before(const Foliopost__V1__PortfolioSummary *m)
{
    for (size_t i = 0; i < m->n_flags; i++)
        if (m->flags[i] == FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_DAY)
            return false;
    for (size_t i = 0; i < m->n_spans; i++)
        if (m->spans[i]->suspect_day && m->spans[i]->twr && m->spans[i]->twr->defined)
            return true;
    return false;
}

void fill_remarks(struct filling *f)
{
    unsigned told = 0;
    f->s->n_remarks = 0;
    add_events(f, &told);
    for (size_t k = 0; k < sizeof flags / sizeof flags[0]; k++)
        for (size_t i = 0; i < f->m->n_flags; i++)
            if ((int)f->m->flags[i] == flags[k].flag && !(told >> flags[k].flag & 1))
                add(f->s, f->words->word[flags[k].word]);
    if (has_suspect_day_before(f->m))
        add(f->s, f->words->word[WORD_REMARK_SUSPECT_BEFORE]);
    if (has_several_roots(f->m))
        add(f->s, f->words->word[WORD_REMARK_SEVERAL_ROOTS]);
    f->s->has_remarks = f->s->n_remarks > 0;
}
