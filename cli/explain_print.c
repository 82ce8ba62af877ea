/*
 * Steps and figures as text: a line each, amounts in columns of one width, so
 * that two statements can be compared with diff.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/explain.h"
#include "lib/base/clock.h"
#include "lib/performance/returns.h"
#include "lib/wire/wire.h"

#define NUMBER 48 /* a 128-bit figure with its grouping */

/* v of 10^-8 with so many decimals, rounded, grouped: "12,345.67". */
static const char *amount(fp_i128 v_e8, int decimals, char out[NUMBER])
{
    char digits[NUMBER];
    fp_i128 v = fixed_div(v_e8, fixed_pow10(8 - decimals));
    bool negative = v < 0;
    int n = 0, at = NUMBER;
    out[--at] = '\0';
    for (v = negative ? -v : v; v > 0 || n <= decimals; v /= 10)
        digits[n++] = (char)('0' + (int)(v % 10));
    for (int i = 0; i < n; i++) {
        if (i == decimals && decimals > 0)
            out[--at] = '.';
        if (i > decimals && (i - decimals) % 3 == 0)
            out[--at] = ',';
        out[--at] = digits[i];
    }
    if (negative)
        out[--at] = '-';
    return out + at;
}

static const char *minor(const struct explain *e, int64_t v, char out[NUMBER])
{
    return amount((fp_i128)v * fixed_pow10(8 - e->exponent), e->exponent, out);
}

/* Shares without the zeros at their end. */
static const char *quantity(fp_i128 v_e8, char out[NUMBER])
{
    const char *text = amount(v_e8, 8, out);
    char *end = out + NUMBER - 2;
    for (; *end == '0'; end--)
        *end = '\0';
    if (*end == '.')
        *end = '\0';
    return text;
}

static const char *percent(double rate, char out[NUMBER])
{
    snprintf(out, NUMBER, "%+.4f %%", rate * 100);
    return out;
}

/* As the summary keeps it, so that a column adds up. */
static const char *exact_percent(int64_t e8, char out[NUMBER])
{
    snprintf(out, NUMBER, "%+.6f %%", (double)e8 / 1e6);
    return out;
}

static const char *rate(struct perf_rate r, char out[NUMBER])
{
    if (!r.defined)
        return "n/a";
    return percent((double)r.e8 / 1e8, out);
}

/* "12 ACME"; "-" for none. */
static const char *instrument(const struct explain *e, int32_t i, char out[NUMBER])
{
    if (i < 0)
        return "";
    snprintf(out, NUMBER, "%" PRId64 " %.20s", e->life->instruments[i]->id, e->life->instruments[i]->symbol);
    return out;
}

/* --- steps --------------------------------------------------------------------------------- */

static void print_day(struct explain *e, const struct perf_step *s)
{
    char day[11];
    if (s->in_period != e->in_period || e->day == INT32_MIN)
        printf("\n%s\n", s->in_period ? "THE PERIOD" : "BEFORE THE PERIOD");
    e->in_period = s->in_period;
    if (s->day == e->day)
        return;
    e->day = s->day;
    day_format(s->day, day);
    printf("%s\n", day);
}

/* " at 0.80000000 of 2026-10-30": units of the base currency for one of the
 * line's, and the rate's day; "" where there is no rate. */
static const char *exchanged(double amount, const struct perf_step *s, char out[NUMBER])
{
    char day[11];
    out[0] = '\0';
    if (s->rate_day == INT32_MIN || amount == 0)
        return out;
    day_format(s->rate_day, day);
    snprintf(out, NUMBER, " at %.8f of %s", (double)s->value_e8 / amount, day);
    return out;
}

/* In its own currency, before fee and tax. */
static double gross_e8(const struct perf_tx *t)
{
    return ((double)t->amount_e4 + (double)t->fee_e4 + (double)t->tax_e4) * 10000;
}

static void print_booking(const struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER], f[NUMBER], code[4];
    const struct perf_tx *t = s->tx;
    perf_currency_text(t->currency, code);
    printf("  book    %-12s tx %" PRId64 "  %s", perf_type_name(t->type), t->id,
           instrument(e, t->instrument, a));
    if (t->quantity_e8)
        printf("  %s shares", quantity(t->quantity_e8, b));
    printf("  %s %s", amount((fp_i128)t->amount_e4 * 10000, 4, a), code);
    if (t->fee_e4)
        printf("  fee %s", amount((fp_i128)t->fee_e4 * 10000, 4, a));
    if (t->tax_e4)
        printf("  tax %s", amount((fp_i128)t->tax_e4 * 10000, 4, b));
    printf("%s = %s before costs", exchanged(gross_e8(t), s, b), amount(s->value_e8, 4, a));
    if (s->flow_e8)
        printf(", flow %s", amount(s->flow_e8, 4, f));
    putchar('\n');
}

static void print_lot(const struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], day[11];
    if (s->kind == PERF_STEP_LOT_IN) {
        printf("  lot +   %s  account %" PRId64 "  %s shares cost %s\n", instrument(e, s->instrument, a),
               s->account, quantity(s->quantity_e8, b), amount(s->value_e8, 4, c));
        return;
    }
    day_format(atoi(s->text), day);
    printf("  lot -   of %s  account %" PRId64 "  %s shares that cost %s brought %s: %s\n", day, s->account,
           quantity(s->quantity_e8, b), amount(s->value_e8, 4, c), amount(s->flow_e8, 4, d),
           amount(s->flow_e8 - s->value_e8, 4, a));
}

/* What is to be known of a price: " STALE", " AFTER"; "" mostly. */
static const char *price_remark(const struct perf_step *s)
{
    return s->flags & PERF_STALE_PRICE ? " STALE" : s->flags & PERF_PRICE_AFTER ? " AFTER" : "";
}

static void print_line(const struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], f[NUMBER], code[4];
    if (s->kind == PERF_STEP_HOLDING) {
        if (s->text[0])
            printf("  value   %-24s %16s x %s of %s%s%s = %s\n", instrument(e, s->instrument, a),
                   quantity(s->quantity_e8, b), quantity(s->price_e8, c), s->text, price_remark(s),
                   exchanged((double)s->quantity_e8 * (double)s->price_e8 / 1e8, s, f),
                   amount(s->value_e8, 4, d));
        else
            printf("  value   %-24s %16s at cost = %s\n", instrument(e, s->instrument, a),
                   quantity(s->quantity_e8, b), amount(s->value_e8, 4, d));
        return;
    }
    perf_currency_text(s->currency, code);
    printf("  value   cash %-19s %16s%s = %s\n", code, amount(s->quantity_e8, 4, b),
           exchanged((double)s->quantity_e8, s, f), amount(s->value_e8, 4, d));
}

static void print_finding(const struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER], c[NUMBER];
    printf("  SUSPECT %-24s %s: %s after %s\n", instrument(e, s->instrument, a),
           wire_enum_name(&foliopost__v1__event_kind__descriptor, (int)s->finding), quantity(s->price_e8, b),
           quantity(s->value_e8, c));
}

/* A day's flows wait for the length of their sub-period, which their weights depend on. */
static void note_flow(struct explain *e, const struct perf_step *s)
{
    const struct perf_link *l = &s->link;
    if ((l->today_in_e8 || l->today_out_e8) && e->n_flows < EXPLAIN_FLOWS)
        e->flows[e->n_flows++] = (struct explain_flow){s->day, l->days, l->today_in_e8, l->today_out_e8};
}

static void print_weights(struct explain *e, int32_t days)
{
    char a[NUMBER], day[11];
    for (int i = 0; i < e->n_flows; i++) {
        const struct explain_flow *f = &e->flows[i];
        day_format(f->day, day);
        if (f->in_e8)
            printf("  weight  %s in %s x %d/%d\n", day, amount(f->in_e8, 4, a), days - f->no + 1, days);
        if (f->out_e8)
            printf("  weight  %s out %s x %d/%d\n", day, amount(f->out_e8, 4, a), days - f->no, days);
    }
    e->n_flows = 0;
}

static void print_held_open(struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER];
    note_flow(e, s);
    printf("  wait    no fresh prices, day %d of a sub-period: in %s, out %s\n", s->link.days,
           amount(s->link.today_in_e8, 4, a), amount(s->link.today_out_e8, 4, b));
}

/* The return can be added up from the line: (closed + out - opened - in) / capital. */
static void print_link(struct explain *e, const struct perf_step *s)
{
    const struct perf_link *l = &s->link;
    char a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], f[NUMBER], g[NUMBER], r[NUMBER];
    if (s->kind == PERF_STEP_SUBPERIOD) {
        note_flow(e, s);
        print_weights(e, l->days);
    }
    printf("  %s value %s, flow %s: ", s->kind == PERF_STEP_DAY ? "link   " : "link MD",
           amount(s->value_e8, 4, a), amount(s->flow_e8, 4, b));
    if (l->days > 1)
        printf("%d days, ", l->days);
    printf("opened %s, in %s, out %s, closed %s, capital %s, return %s, wealth %.10f\n",
           amount(l->open_e8, 4, c), amount(l->in_e8, 4, d), amount(l->out_e8, 4, f),
           amount(l->close_e8, 4, g), amount(l->capital_e8, 4, a), percent(s->rate, r), s->wealth);
}

/* --- what the spans were made from ---------------------------------------------------------- */

static const char *const span_names[PERF_SPANS] = {"period", "year to date", "since inception"};

static void end_payments(struct explain *e)
{
    if (!isnan(e->payments))
        printf("    = %.4f\n", fabs(e->payments) < 0.00005 ? 0 : e->payments);
    e->payments = NAN;
}

static void print_span_inputs(struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], b[NUMBER];
    if (!e->span)
        printf("\nWHAT THE RETURNS OF THE SPANS ARE MADE FROM\n");
    else
        end_payments(e);
    e->span = (int)s->span + 1;
    e->end_day = s->day;
    e->payments = NAN;
    printf("  %s\n", span_names[s->span]);
    if (s->link.open_e8 && s->link.close_e8)
        printf("    benchmark from %s of the evening before its first day to %s at the close\n",
               amount(s->link.open_e8, 4, a), amount(s->link.close_e8, 4, b));
    printf("    volatility from %d returns of trading days%s\n", s->link.days, isnan(s->rate) ? ", n/a" : "");
}

/* Each is worth so much at the end; the rate is the one at which that sums to nothing. */
static void print_payment(struct explain *e, const struct perf_step *s)
{
    char a[NUMBER], day[11];
    double growth = pow(1 + s->rate, (double)(e->end_day - s->payment_day) / RETURNS_YEAR_DAYS),
           worth = (double)s->value_e8 / 1e8 * growth;
    day_format(s->payment_day, day);
    printf("    payment %s %20s", day, amount(s->value_e8, 4, a));
    if (isnan(s->rate) || !isfinite(worth)) {
        printf("\n");
        return;
    }
    e->payments = (isnan(e->payments) ? 0 : e->payments) + worth;
    printf(" x %.8f of %d days at %s a year\n", growth, e->end_day - s->payment_day, percent(s->rate, a));
}

static bool is_of_days(const struct perf_step *s)
{
    return s->kind == PERF_STEP_HOLDING || s->kind == PERF_STEP_CASH || s->kind == PERF_STEP_DAY ||
           s->kind == PERF_STEP_SUBPERIOD || s->kind == PERF_STEP_HELD_OPEN || s->kind == PERF_STEP_PAYMENT;
}

void explain_step(void *ctx, const struct perf_step *s)
{
    struct explain *e = ctx;
    char a[NUMBER], b[NUMBER], c[NUMBER];
    if (is_of_days(s) && (e->brief || !s->in_period))
        return; /* of the years before, what was booked is enough */
    if (s->kind == PERF_STEP_SPAN || s->kind == PERF_STEP_PAYMENT) {
        (s->kind == PERF_STEP_SPAN ? print_span_inputs : print_payment)(e, s);
        return;
    }
    print_day(e, s);
    switch (s->kind) {
    case PERF_STEP_OPEN:
        printf("  open    value %s\n", amount(s->value_e8, 4, a));
        return;
    case PERF_STEP_SPLIT:
        printf("  split   %s  %s, %s shares become %s\n", instrument(e, s->instrument, a), s->text,
               quantity(s->quantity_e8, b), quantity(s->value_e8, c));
        return;
    case PERF_STEP_BOOK:
        print_booking(e, s);
        return;
    case PERF_STEP_LOT_IN:
    case PERF_STEP_LOT_OUT:
        print_lot(e, s);
        return;
    case PERF_STEP_FINDING:
        print_finding(e, s);
        return;
    case PERF_STEP_HOLDING:
    case PERF_STEP_CASH:
        print_line(e, s);
        return;
    case PERF_STEP_HELD_OPEN:
        print_held_open(e, s);
        return;
    default:
        print_link(e, s);
    }
}

/* --- the figures ----------------------------------------------------------------------------- */

static void print_bridge(const struct explain *e, const struct perf_summary *s)
{
    const struct {
        const char *label;
        int64_t minor;
    } lines[] = {
        {"opening value", s->open_value_minor},
        {"+ contributions", s->net_contributions_minor},
        {"+ realised, against the opening value", s->realised_minor},
        {"+ unrealised, likewise", s->unrealised_minor},
        {"+ income (dividends, interest)", s->income_minor},
        {"- fees", -s->fees_minor},
        {"- taxes", -s->taxes_minor},
        {"+ currencies, of cash", s->currency_minor},
        {"= closing value", s->close_value_minor},
    };
    char a[NUMBER];
    printf("\nBRIDGE\n");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        printf("  %-40s %20s\n", lines[i].label, minor(e, lines[i].minor, a));
    printf("  income: dividends %s, interest %s\n", minor(e, s->dividends_minor, a),
           minor(e, s->interest_minor, (char[NUMBER]){0}));
    printf("  gain %s; withheld tax %s; residual before rounding %+.8f: the statement %s\n",
           minor(e, s->gain_minor, a), minor(e, s->withheld_tax_minor, (char[NUMBER]){0}),
           (double)s->residual_e8 / 1e8, s->closes ? "closes" : "DOES NOT CLOSE");
}

static void print_cost(const struct explain *e, const struct perf_summary *s)
{
    const struct {
        const char *label;
        int64_t fifo, average;
    } lines[] = {
        {"realised in the period", s->realised_fifo_minor, s->realised_average_minor},
        {"cost of what is held", s->cost_fifo_minor, s->cost_average_minor},
        {"unrealised", s->unrealised_fifo_minor, s->unrealised_average_minor},
    };
    char a[NUMBER], b[NUMBER];
    printf("\nSINCE PURCHASE, with fees and taxes\n  %-40s %20s %20s\n", "", "first in first out",
           "average cost");
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        printf("  %-40s %20s %20s\n", lines[i].label, minor(e, lines[i].fifo, a),
               minor(e, lines[i].average, b));
}

static void print_span(const struct explain *e, const char *name, const struct perf_span_figures *f)
{
    char a[NUMBER], b[NUMBER], c[NUMBER], since[11], peak[11], trough[11];
    day_format(f->since_day, since);
    day_format(f->drawdown_peak_day, peak);
    day_format(f->drawdown_trough_day, trough);
    printf("  %-16s since %s  opened %s, contributed %s, gain %s\n", name, since,
           minor(e, f->open_value_minor, a), minor(e, f->net_contributions_minor, b),
           minor(e, f->gain_minor, c));
    printf("    time-weighted %s (a year: %s)%s%s\n", rate(f->twr, a), rate(f->twr_annual, b),
           f->modified_dietz ? ", some days linked by Modified Dietz" : "",
           f->suspect_day ? ", over a SUSPECT day" : "");
    printf("    money-weighted %s (a year: %s)%s\n", rate(f->mwr, a), rate(f->mwr_annual, b),
           f->mwr_several_roots ? ", one of several solutions" : "");
    printf("    benchmark %s, volatility %s, largest fall %s (%s to %s)\n", rate(f->benchmark, a),
           rate(f->volatility, b), rate(f->max_drawdown, c), peak, trough);
}

static void print_contributions(const struct explain *e, const struct fp_performance *p,
                                const struct perf_summary *s)
{
    const struct perf_line *lines;
    size_t n = performance_lines(p, &lines);
    char a[NUMBER], b[NUMBER];
    int64_t rest_e8 = s->twr_e8;
    printf("\nCONTRIBUTIONS TO THE RETURN OF THE PERIOD\n");
    for (size_t i = 0; i < n; i++) {
        int64_t e8 = llround(lines[i].contribution * 1e8);
        rest_e8 -= e8;
        printf("  %-40s %20s\n", lines[i].instrument < 0 ? "other" : instrument(e, lines[i].instrument, a),
               exact_percent(e8, b));
    }
    if (s->twr_defined && rest_e8)
        printf("  %-40s %20s\n", "rounding of these lines", exact_percent(rest_e8, b));
    printf("  %-40s %20s\n", "= time-weighted return", s->twr_defined ? exact_percent(s->twr_e8, b) : "n/a");
}

static void print_positions(const struct explain *e, const struct fp_performance *p)
{
    const struct perf_position *x;
    size_t n = performance_positions(p, &x);
    char a[NUMBER], b[NUMBER], c[NUMBER], d[NUMBER], day[11];
    printf("\nPOSITIONS AT THE CLOSE\n  %-24s %16s %16s %10s %16s\n", "", "shares", "close", "of", "value");
    for (size_t i = 0; i < n; i++) {
        day_format(x[i].price_day, day);
        printf("  %-24s %16s %16s %10s %16s\n", instrument(e, x[i].instrument, a),
               quantity(x[i].quantity_e8, b), quantity(x[i].price_e8, c), x[i].price_e8 ? day : "none",
               minor(e, x[i].value_minor, d));
    }
    printf("  %-24s %16s %16s %27s\n", "", "cost (fifo)", "cost (average)", "gain of the period");
    for (size_t i = 0; i < n; i++)
        printf("  %-24s %16s %16s %27s\n", instrument(e, x[i].instrument, a),
               minor(e, x[i].cost_fifo_minor, b), minor(e, x[i].cost_average_minor, c),
               minor(e, x[i].gain_minor, d));
}

static void print_movers(const struct explain *e, const char *title, const struct perf_mover *m, int n)
{
    char a[NUMBER], b[NUMBER], c[NUMBER];
    if (n > 0)
        printf("\n%s\n", title);
    for (int i = 0; i < n; i++)
        printf("  %-40s %20s  gain %s\n", instrument(e, m[i].instrument, a),
               percent((double)m[i].contribution_e8 / 1e8, b), minor(e, m[i].gain_minor, c));
}

static void print_groups(const struct explain *e, const char *title, const struct perf_group *g, int n)
{
    char a[NUMBER];
    printf("\nALLOCATION %s\n", title);
    for (int i = 0; i < n; i++) {
        printf("  %-40s %20s", g[i].label, minor(e, g[i].value_minor, a));
        if (g[i].negative)
            printf("         -\n");
        else
            printf("  %3d.%02d %%\n", g[i].percent_e2 / 100, g[i].percent_e2 % 100);
    }
}

static void print_remarks(const struct explain *e, const struct perf_summary *s)
{
    char a[NUMBER], day[11];
    printf("\nREMARKS\n");
    for (int flag = 1; flag <= PERF_FLAGS; flag++)
        if (s->flags & 1u << flag)
            printf("  %s\n", wire_enum_name(&foliopost__v1__summary_flag__descriptor, flag));
    for (int i = 0; i < s->n_events; i++) {
        const struct perf_event *v = &s->events[i];
        day_format(v->day, day);
        printf("  %s %s %s", day, wire_enum_name(&foliopost__v1__event_kind__descriptor, (int)v->kind),
               instrument(e, v->instrument, a));
        if (v->numerator)
            printf(" %d:%d", v->numerator, v->denominator);
        if (v->amount_minor)
            printf(" %s", minor(e, v->amount_minor, a));
        putchar('\n');
    }
}

void explain_summary(struct explain *e, const struct fp_performance *p, const struct perf_summary *s)
{
    if (e->span)
        end_payments(e);
    if (s->nothing) {
        printf("\nNothing to report: no value at either end, and no transaction in the period.\n");
        return;
    }
    print_bridge(e, s);
    print_cost(e, s);
    printf("\nRETURNS\n");
    for (int i = 0; i < PERF_SPANS; i++)
        print_span(e, span_names[i], &s->spans[i]);
    print_contributions(e, p, s);
    print_movers(e, "TOP MOVERS, by contribution", s->top, s->n_top);
    print_movers(e, "BOTTOM MOVERS, by contribution", s->bottom, s->n_bottom);
    print_positions(e, p);
    print_groups(e, "BY ASSET CLASS", s->by_class, s->n_by_class);
    print_groups(e, "BY CURRENCY", s->by_currency, s->n_by_currency);
    if (s->flags || s->n_events)
        print_remarks(e, s);
}
