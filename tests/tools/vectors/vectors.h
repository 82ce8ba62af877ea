/*
 * Runs worked cases of others (tests/vectors/README.md describes the files)
 * against lib/performance: `vectors DIR...` prints for each case its id and
 * `ok`, or the figures that differ.
 *
 *   cases.c      a file becomes a case; comparing; what is not compared, and why
 *   formulas.c   bare numbers: flows and valuations; lists.c: returns; lots.c: lots
 *   book.c       transactions become the library's input, and a run; market.c: prices and rates
 *   figures.c    figures of a run, by name; derived.c: allocations and days of it
 *   series.c     lists of figures by date, month or window
 */
#ifndef FP_TOOLS_VECTORS_H
#define FP_TOOLS_VECTORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/mem.h"
#include "lib/performance/performance.h"

struct vcase {
    json_t *json;
    const char *id, *kind, *source, *currency;
    const json_t *expected, *tolerance, *conventions;
    int32_t period_start, period_end; /* as in the file; from the transactions where it has none */
    int differ, compared, left_out;
    bool refused; /* a run that the figure needed: the library has no statement for it */
    char *text;   /* what differs and what is not compared, a line for each */
    size_t text_bytes;
    struct book *book; /* book.c */
};

/* What a figure is, which says how exact the library can be: money of a run is
 * kept to 1e-4 of a unit, shares to 1e-8. */
enum unit { UNIT_RATE, UNIT_MONEY, UNIT_SHARES, UNIT_EXACT };

/* --- cases.c ------------------------------------------------------------------------- */

/* NULL with a message in text[] when the file is no case. */
struct vcase *case_open(const char *path, char text[300]);
void case_close(struct vcase *c);
void case_run(struct vcase *c);

void case_note(struct vcase *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void case_differs(struct vcase *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Compares `have` with the number `want`; what: as printed; name: of the tolerance. */
void case_compare(struct vcase *c, const char *what, const char *name, const json_t *want, enum unit unit,
                  double have);
/* The same for expected[name]; `defined` false: expected must be null. */
void case_figure(struct vcase *c, const char *name, enum unit unit, bool defined, double have);
double case_tolerance(const struct vcase *c, const char *name, enum unit unit);

/* Why a figure is not compared, from the table in cases.c; NULL: it is. */
const char *why_not_ours(const struct vcase *c, const char *figure);

/* Reading of JSON: false or the other value where it is not there. */
double number_of(const json_t *o, const char *key, double otherwise);
double number_value(const json_t *v); /* also "1/1.2043"; NAN for what is no number */
const char *text_of(const json_t *o, const char *key, const char *otherwise);
bool day_of(const json_t *o, const char *key, int32_t *day);                /* also of an instant */
bool says(const struct vcase *c, const char *convention, const char *part); /* a convention holds the text */

/* --- the providers: false when the figure is not theirs --------------------------------- */

bool formulas_figure(struct vcase *c, const char *name, const json_t *want);
bool figures_figure(struct vcase *c, const char *name, const json_t *want);
bool derived_figure(struct vcase *c, const char *name, const json_t *want);
bool series_figure(struct vcase *c, const char *name, const json_t *want);

/* --- book.c --------------------------------------------------------------------------- */

/* WHOLE takes cash and holdings as they are. SECURITIES takes the holdings
 * alone, as those do who have no cash account or report one instrument: each
 * trade is paid from outside, and taxes are left out. BARE is SECURITIES
 * without fees. */
enum reading { WHOLE, SECURITIES, BARE };

struct view {
    enum reading reading;
    int32_t from, to;     /* first and last day of the period */
    const char *currency; /* NULL: the case's */
};

struct run_day {
    int32_t day;
    double value, flow, wealth, contributed; /* flow: in less out */
};
struct run_lot { /* shares that a sale or the like took from a lot */
    int32_t bought, sold;
    double shares, cost, proceeds;
};
#define RUN_HELD 64 /* instruments of which a run keeps more than the sum */

struct run {
    struct view view;
    bool failed;
    struct perf_summary summary;
    double shares; /* of all holdings */
    struct {
        int64_t value_minor;
        double contribution;
    } held[RUN_HELD]; /* by the order in the file */
    struct run_day *days;
    size_t n_days, cap_days;
    struct run_lot *lots;
    size_t n_lots, cap_lots;
    double money_scale; /* what the case's money was multiplied by */
};

/* Computed once for each view; NULL with c->refused set when the library refuses it. */
const struct run *book_run(struct vcase *c, struct view v);
double run_money(const struct run *r, int64_t minor);
int32_t book_first_day(struct vcase *c); /* of the transactions */
bool book_has_cash(struct vcase *c);     /* deposits or withdrawals */
void book_free(struct vcase *c);

#endif
