/*
 * The view of one statement: every name that a template may ask for, already
 * in words and figures. The names are in view.c and docs/templates.md.
 */
#ifndef FP_RENDER_STATEMENT_H
#define FP_RENDER_STATEMENT_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/intl/intl.h"
#include "lib/mustache/mustache.h"
#include "lib/render/render.h"
#include "lib/render/templates.h"

#define STATEMENT_MAX_MOVERS  10 /* of each table; more is no longer a summary */
#define STATEMENT_MAX_BRIDGE  9  /* two values, and the seven ways between them */
#define STATEMENT_MAX_DETAILS 7
#define STATEMENT_MAX_SPANS   3
#define STATEMENT_MAX_SHARES  8  /* of a portfolio; the rest is one row more */
#define STATEMENT_MAX_COLUMNS 32 /* of the chart: 10 pixels each on a phone */
#define STATEMENT_MAX_NOTES   19 /* one for each flag, six events and how many more, several roots */
#define STATEMENT_NAME_BYTES  256
#define STATEMENT_LINE_BYTES  400
#define STATEMENT_LABEL_BYTES 400 /* a message: some words in any script */

/* A labelled figure; `line` is both in the text part's columns. */
struct statement_row {
    char label[STATEMENT_LABEL_BYTES], amount[INTL_BYTES];
    char line[STATEMENT_LINE_BYTES];
    bool up, down, total;
};

struct statement_mover {
    char name[STATEMENT_NAME_BYTES], symbol[64];
    char gain[INTL_BYTES], share[INTL_BYTES];
    char line[STATEMENT_LINE_BYTES];
    char bar[4], rest[4]; /* percent of the widest bar: together 100 */
    bool up, down;
};

struct statement_movers {
    const char *title;
    struct statement_mover rows[STATEMENT_MAX_MOVERS];
    size_t n_rows;
};

/* Returns over one span of days; "": not known. */
struct statement_span {
    const char *label;
    char since[INTL_BYTES * 2];
    char twr[INTL_BYTES], twr_annual[INTL_BYTES * 2], mwr[INTL_BYTES], mwr_annual[INTL_BYTES * 2];
    char benchmark[INTL_BYTES];
    bool twr_up, twr_down, mwr_up, mwr_down;
    struct statement_row rows[3]; /* the same for the text part */
    size_t n_rows;
};

/* A part of the portfolio. `width` is the whole percents of a bar of all. */
struct statement_share {
    char label[STATEMENT_NAME_BYTES], amount[INTL_BYTES], percent[INTL_BYTES];
    char line[STATEMENT_LINE_BYTES];
    const char *color;
    char width[4];
    bool negative;
};

struct statement_shares {
    const char *title;
    struct statement_share rows[STATEMENT_MAX_SHARES + 1];
    size_t n_rows;
};

/* A column of the chart, from below: `base` pixels, then `step` more that are
 * the gain (above), or what is missing to what was paid in (below). */
struct statement_column {
    char base[4], step[4];
    bool above, below;
};

/* What takes work to fill, by who fills it. What none of a mail's templates
 * shows is left alone: a mail of two lines needs no chart. */
enum statement_part {
    STATEMENT_BRIDGE = 1,
    STATEMENT_SPANS = 2,
    STATEMENT_CHART = 4,
    STATEMENT_MOVERS = 8,
    STATEMENT_ALLOCATIONS = 16,
    STATEMENT_REMARKS = 32,
    STATEMENT_ALL = 63,
    STATEMENT_FIGURES = STATEMENT_BRIDGE | STATEMENT_SPANS | STATEMENT_MOVERS | STATEMENT_ALLOCATIONS
};

/* The head, which is always filled, and behind it the parts one after the
 * other: view.c knows by the place of a member which part it is of. */
struct statement {
    const char *lang, *dir, *template_name;
    const char *left, *right; /* where a line begins and ends: the other way round in Arabic */
    char sender_name[STATEMENT_NAME_BYTES], postal_address[512];
    char first_name[STATEMENT_NAME_BYTES], name[STATEMENT_NAME_BYTES];
    const char *direction, *reply_to, *unsubscribe_url;
    bool weekly, monthly, custom, right_to_left, test;
    bool long_figures; /* too long to stand beside each other on a phone: may break */
    char currency[4];
    char period[INTL_BYTES], period_start[INTL_BYTES], period_end[INTL_BYTES];
    char as_of[INTL_BYTES], prices_as_of[INTL_BYTES], since[INTL_BYTES];
    char open_value[INTL_BYTES], close_value[INTL_BYTES], contributions[INTL_BYTES];
    char gain[INTL_BYTES], gain_amount[INTL_BYTES], twr[INTL_BYTES], holdings[STATEMENT_LABEL_BYTES];
    bool up, down, flat, twr_up, twr_down;

    bool has_details;
    struct statement_row bridge[STATEMENT_MAX_BRIDGE], details[STATEMENT_MAX_DETAILS];
    size_t n_bridge, n_details;

    struct statement_span spans[STATEMENT_MAX_SPANS];
    size_t n_spans;
    bool has_spans, has_mwr, has_benchmark, has_annual, has_modified_dietz, has_risk;
    char benchmark_name[STATEMENT_NAME_BYTES];
    char volatility[INTL_BYTES], drawdown[INTL_BYTES], drawdown_days[STATEMENT_LABEL_BYTES];
    const char *risk_span;

    bool has_chart, chart_has_loss, chart_has_gain, chart_from_zero;
    struct statement_column columns[STATEMENT_MAX_COLUMNS];
    size_t n_columns;
    char chart_summary[STATEMENT_LABEL_BYTES * 2], chart_first[INTL_BYTES], chart_last[INTL_BYTES];
    char chart_top[INTL_BYTES], chart_bottom[INTL_BYTES];

    bool has_shares;
    struct statement_movers movers[2];
    size_t n_movers;

    struct statement_shares allocations[2];
    size_t n_allocations;

    bool has_remarks;
    char remarks[STATEMENT_MAX_NOTES][STATEMENT_LABEL_BYTES * 2];
    size_t n_remarks;
};

/* What a statement is filled from. */
struct statement_from {
    unsigned parts; /* of enum statement_part: those to fill; the others are not to be looked at */
    const struct render_sender *sender;
    const char *sender_name;
    const struct render_extras *extras;
    const struct language *language;
    struct intl *intl;
    const Foliopost__V1__JobContext *job;
    const Foliopost__V1__SummaryItem *item;
};

/* Fills s. INVALID_ARGUMENT when the item has no summary, or one that cannot be printed. */
int statement_fill(struct statement *s, const struct statement_from *from, struct fp_err *err) FP_MUST_CHECK;
/* The value to render templates with. */
void statement_root(const struct statement *s, struct mustache_value *out);
/* The number of a name that a statement or something in it has; 0: none has. */
unsigned statement_number(const char *name);
/* The parts that must be filled for a template that uses this name. */
unsigned statement_parts(const struct mustache_use *use);
/* Whether a template may use this name inside these sections. */
bool statement_offers(const struct mustache_use *use);

#endif
