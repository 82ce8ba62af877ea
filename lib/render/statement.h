/*
 * The view of one statement: every name that a template may ask for, already
 * in words and figures. The names are in view.c.
 */
#ifndef FP_RENDER_STATEMENT_H
#define FP_RENDER_STATEMENT_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/mustache/mustache.h"
#include "lib/render/format.h"
#include "lib/render/render.h"

#define STATEMENT_MAX_MOVERS 10 /* of each table; more is no longer a summary */
#define STATEMENT_MAX_ROWS   4
#define STATEMENT_MAX_FLAGS  8 /* one remark for each flag there is */
#define STATEMENT_NAME_BYTES 256
#define STATEMENT_LINE_BYTES 320

/* A labelled amount; `line` is both in fixed columns. */
struct statement_row {
    char label[FORMAT_BYTES], amount[FORMAT_BYTES];
    char line[STATEMENT_LINE_BYTES];
    bool up, down, total;
};

struct statement_mover {
    char name[STATEMENT_NAME_BYTES], symbol[64];
    char gain[FORMAT_BYTES], share[FORMAT_BYTES];
    char line[STATEMENT_LINE_BYTES];
    char bar[4], rest[4]; /* percent of the widest bar: together 100 */
    bool up, down;
};

struct statement_table {
    const char *title;
    struct statement_mover rows[STATEMENT_MAX_MOVERS];
    size_t n_rows;
};

struct statement {
    char sender_name[STATEMENT_NAME_BYTES], postal_address[512];
    char first_name[STATEMENT_NAME_BYTES], name[STATEMENT_NAME_BYTES];
    const char *kind, *direction, *reply_to;
    char currency[4];
    char period[FORMAT_BYTES], period_start[FORMAT_BYTES], period_end[FORMAT_BYTES];
    char as_of[FORMAT_BYTES], prices_as_of[FORMAT_BYTES], since[FORMAT_BYTES];
    char open_value[FORMAT_BYTES], close_value[FORMAT_BYTES], contributions[FORMAT_BYTES];
    char gain[FORMAT_BYTES], gain_amount[FORMAT_BYTES], twr[FORMAT_BYTES], holdings[FORMAT_BYTES];
    bool up, down, flat, twr_up, twr_down, has_shares, has_details, has_remarks;
    struct statement_row bridge[STATEMENT_MAX_ROWS], details[STATEMENT_MAX_ROWS];
    size_t n_bridge, n_details;
    struct statement_table movers[2];
    size_t n_movers;
    const char *remarks[STATEMENT_MAX_FLAGS];
    size_t n_remarks;
};

/* Fills s. INVALID_ARGUMENT when the item has no summary, or one that cannot be printed. */
int statement_fill(struct statement *s, const struct render_sender *sender, const char *sender_name,
                   const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                   struct fp_err *err) FP_MUST_CHECK;
/* The value to render templates with. */
void statement_root(const struct statement *s, struct mustache_value *out);
/* Whether a template may use this name inside these sections. */
bool statement_offers(const struct mustache_use *use);

#endif
