/* The figures of one summary. What each means: docs/statistics.md. */
#ifndef FP_PERFORMANCE_SUMMARY_H
#define FP_PERFORMANCE_SUMMARY_H

#include "lib/performance/input.h"

#define PERF_MOVERS 3  /* at the top, and at the bottom */
#define PERF_GROUPS 12 /* of an allocation; the smallest others share the last one */
#define PERF_EVENTS 12
#define PERF_FLAGS  11 /* the last one's bit */

/* Bit n is the value n of SummaryFlag in foliopost/v1/portfolio.proto. */
enum perf_flag {
    PERF_STALE_PRICE = 1 << 1,
    PERF_PRICE_AFTER = 1 << 2,
    PERF_NOT_PRICED = 1 << 3,
    PERF_NO_CAPITAL = 1 << 4,
    PERF_NEGATIVE_VALUE = 1 << 5,
    PERF_OPENED_IN_PERIOD = 1 << 6,
    PERF_SUSPECT_DAY = 1 << 7,
    PERF_SHORT_POSITION = 1 << 8,
    PERF_SUSPECTED_SPLIT = 1 << 9,
    PERF_IN_TRANSIT = 1 << 10,
    PERF_SUSPECT_PRICE = 1 << 11,
};

struct perf_rate {
    bool defined;
    int64_t e8;
};

/* As SpanKind - 1. */
enum perf_span_kind { PERF_SPAN_PERIOD, PERF_SPAN_YEAR_TO_DATE, PERF_SPAN_SINCE_INCEPTION, PERF_SPANS };

struct perf_span_figures {
    int32_t since_day; /* first day of the chain */
    int64_t open_value_minor, net_contributions_minor, gain_minor;
    struct perf_rate twr, twr_annual, mwr, mwr_annual, benchmark, volatility, max_drawdown;
    bool mwr_several_roots, modified_dietz;
    bool suspect_day; /* one of the span's, maybe before the period: no flag of the summary says that */
    int32_t drawdown_peak_day, drawdown_trough_day;
};

struct perf_mover {
    int32_t instrument;
    int64_t gain_minor, contribution_e8;
};

struct perf_group { /* of an allocation */
    char label[PERF_CLASS_BYTES];
    int64_t value_minor;
    int32_t percent_e2; /* those of one list add up to 10000 */
    bool negative;      /* has no percentage */
};

enum perf_event_kind { /* as EventKind */
                       PERF_EVENT_SPLIT = 1,
                       PERF_EVENT_DIVIDEND,
                       PERF_EVENT_STALE_PRICE,
                       PERF_EVENT_NOT_PRICED,
                       PERF_EVENT_SUSPECTED_SPLIT,
                       PERF_EVENT_PRICE_JUMP,
                       PERF_EVENT_PRICE_ZERO,
                       PERF_EVENT_PRICE_UNITS
};
struct perf_event {
    enum perf_event_kind kind;
    int32_t day, instrument;
    int32_t numerator, denominator;
    int64_t amount_minor;
};

struct perf_summary {
    bool nothing; /* no value at either end and no transaction in the period */
    int32_t exponent, since_day, holdings, prices_as_of_day;
    unsigned flags;
    int64_t open_value_minor, close_value_minor, net_contributions_minor, gain_minor;
    int64_t income_minor, fees_minor, taxes_minor;
    int64_t dividends_minor, interest_minor, withheld_tax_minor;

    /* close = open + contributions + realised + unrealised + income - fees - taxes + currency */
    int64_t realised_minor, unrealised_minor, currency_minor;
    int64_t residual_e8; /* what the unrounded sum misses; saturated */
    bool closes;         /* |residual| is within 0.01 for each line */

    /* against what was paid, with fees and taxes */
    int64_t realised_fifo_minor, realised_average_minor;
    int64_t cost_fifo_minor, cost_average_minor;
    int64_t unrealised_fifo_minor, unrealised_average_minor;

    bool twr_defined;
    double twr; /* before the rounding to twr_e8 */
    int64_t twr_e8;
    struct perf_span_figures spans[PERF_SPANS];
    int n_top, n_bottom;
    struct perf_mover top[PERF_MOVERS], bottom[PERF_MOVERS];
    int n_by_class, n_by_currency, n_events;
    struct perf_group by_class[PERF_GROUPS], by_currency[PERF_GROUPS];
    struct perf_event events[PERF_EVENTS];
};

struct perf_fault {
    char reason[32];  /* missing_rate, overflow, ...: the codes are in docs/statistics.md */
    char detail[200]; /* ids and figures */
};

/* A line of the return: a holding, or (instrument -1) cash, currency, account fees and taxes. */
struct perf_line {
    int32_t instrument;
    double contribution;
};

struct perf_position {
    int32_t instrument;
    int32_t price_day; /* of the quote that was used */
    int64_t quantity_e8, price_e8;
    int64_t value_minor, cost_fifo_minor, cost_average_minor;
    int64_t gain_minor; /* of the period, after its own fees, before taxes */
};

struct perf_chart_point {
    int32_t day;
    int64_t value_minor, contributed_minor;
};

#endif
