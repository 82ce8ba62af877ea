/* The parts of statement_fill(): one file each. Private to lib/render. */
#ifndef FP_RENDER_FILLING_H
#define FP_RENDER_FILLING_H

#include "lib/render/columns.h"
#include "lib/render/statement.h"

#define LABEL_COLUMNS  44 /* of the text part: with a blank between, 72 in all */
#define AMOUNT_COLUMNS 27

/* What all parts need. */
struct filling {
    struct statement *s;
    const struct words *words;
    struct intl *intl;
    const Foliopost__V1__JobContext *job;
    const Foliopost__V1__PortfolioSummary *m;
};

/* Text from outside: no control characters, none that turn text round, no blanks at the ends. */
void fill_clean(char *out, size_t cap, const char *in);
/* A copy, cut where it does not fit: printf()'s own took a tenth of the work on a mail. */
void fill_copy(char *out, size_t cap, const char *in);
/* From 0 to 999, in digits. */
void fill_small(char out[4], unsigned v);
/* A figure in the summary's currency; with its name when named. */
void fill_money(const struct filling *f, int64_t minor, bool named, enum intl_sign sign, char *out);
/* Appends a blank, and the text at the right of so many columns. */
void fill_right(char line[STATEMENT_LINE_BYTES], const char *text, size_t columns);
/* Label and amount, which are set, in columns. */
void fill_line(const char *label, const char *amount, char line[STATEMENT_LINE_BYTES]);
/* The name of an instrument: its own, else its id. */
void fill_instrument(const struct filling *f, const char *name, const char *symbol, int64_t id, char *out,
                     size_t cap);

void fill_bridge(struct filling *f);
void fill_spans(struct filling *f);
void fill_chart(struct filling *f);
void fill_movers(struct filling *f);
void fill_allocations(struct filling *f);
void fill_remarks(struct filling *f);

#endif
