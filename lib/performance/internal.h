/* What the files of lib/performance share: the state of one run. */
#ifndef FP_PERFORMANCE_INTERNAL_H
#define FP_PERFORMANCE_INTERNAL_H

#include "lib/base/fixed.h"
#include "lib/base/ratio.h"
#include "lib/base/str.h"
#include "lib/performance/chain.h"
#include "lib/performance/lots.h"
#include "lib/performance/performance.h"
#include "lib/performance/trace.h"

#define PERF_E4_TO_E8    10000
#define PERF_EVENTS_KEPT 64 /* before the first PERF_EVENTS by rank are chosen */

/* How one currency becomes the base currency: nothing, one rate, or two over
 * a third currency. Looked up at its first use. */
struct perf_leg {
    const struct perf_pair *pair;
    bool inverse;
    size_t next;           /* the first rate after the present day */
    struct fp_ratio ratio; /* what an amount is multiplied by on the present day */
};
struct perf_cash {
    int32_t currency;
    int64_t amount_e4;
    int legs; /* -1: not looked up yet */
    struct perf_leg leg[2];
    int32_t day;      /* of the rates in the legs */
    unsigned version; /* grows when a rate changes */
    unsigned flags;   /* of the rates */
    fp_i128 moved_e8; /* by the day's transfers of cash, in the base currency */
    /* the balance's value, and what it was made from */
    fp_i128 value_e8;
    int64_t valued_e4;
    unsigned valued_version;
};

struct perf_price {
    int64_t value_e8;
    int32_t cash; /* slot of its currency */
    int32_t quote_day;
    unsigned flags;
};
struct perf_holding {
    int32_t instrument, cash;
    const struct perf_instrument *data;
    bool active;   /* held at the period's open, or traded in it */
    bool touched;  /* held or paid by at some time since the run began */
    bool restored; /* held at the checkpoint */
    bool unknown;  /* the market has no such instrument */
    int64_t quantity_e8;
    size_t next_split, next_close;
    int32_t trade_day, trade_cash; /* the last trade and what it cost */
    int64_t trade_price_e8;
    fp_i128 cost_e8; /* of one without any close; base currency */
    struct perf_lots lots;
    /* the line's value, and what it was made from */
    fp_i128 value_e8;
    int64_t valued_quantity_e8;
    struct perf_price valued_price;
    unsigned valued_version;
    int32_t steady_until; /* until then a valuation finds nothing new */
    /* result */
    fp_i128 today_e8; /* of the open sub-period's transactions */
    fp_i128 gain_e8;
    double contribution;
};

struct perf_flows { /* of the period, all 1e-8 of the base currency */
    fp_i128 net_e8, income_e8, dividends_e8, interest_e8, withheld_e8, fees_e8, taxes_e8;
    fp_i128 currency_e8; /* of cash */
    fp_i128 realised_e8, realised_fifo_e8,
        realised_average_e8; /* before costs, against the basis; after, against cost */
};

struct perf_flow_day { /* what crossed the border on a day, since inception */
    int32_t day;
    fp_i128 amount_e8; /* positive: into the portfolio */
};

/* A span's chain, and what its money-weighted return is made from. */
struct perf_span {
    struct perf_chain chain;
    int32_t open_day;
    fp_i128 open_e8;
    size_t first_flow;              /* in flow_days */
    int64_t benchmark_e8;           /* in the base currency, before the first day with capital; 0: none */
    int64_t subperiod_benchmark_e8; /* before the first day of the sub-period that is open */
};

struct perf_value {
    fp_i128 in_return_e8, at_cost_e8;
    fp_i128 stale_e8; /* of in_return: without a fresh quote */
    bool quoted;      /* somebody has a quote of this very day */
};

struct fp_performance {
    const struct perf_input *in;
    struct perf_fault *fault;
    int32_t day; /* the present one */
    int32_t month_end;
    int32_t inception_day; /* the day before the first transaction; INT32_MIN: behind a checkpoint, or none */
    bool in_period;
    bool dry; /* looking a rate up for the benchmark: its absence is no fault */
    unsigned flags, day_flags;
    int exponent;          /* decimals of the base currency */
    struct fp_ratio minor; /* its smallest unit, of 1e-8 */

    struct perf_cash cash[PERF_MAX_CURRENCIES];
    int n_cash;
    struct perf_holding *holdings;
    size_t n_holdings, cap_holdings;
    int32_t *slot_of; /* instrument -> holding + 1; 0 between runs */
    size_t cap_slots;
    const struct perf_tx **order;
    size_t n_order, cap_order;
    int64_t *ever; /* ids of instruments that a checkpoint brought along */
    size_t n_ever, cap_ever;

    struct perf_value value; /* at the close of the present day */
    struct perf_span spans[PERF_SPANS];
    struct perf_flow_day *flow_days;
    size_t n_flow_days, cap_flow_days;
    int32_t benchmark;  /* its index in the market */
    size_t next_quote;  /* of its closes */
    int benchmark_cash; /* -1: no benchmark */
    int64_t benchmark_e8;

    fp_i128 day_net_e8;                 /* flows of the day as the statement prints them */
    fp_i128 in_e8, out_e8;              /* the day's flows as the return sees them */
    bool traded;                        /* the day has a flow or a trade */
    struct perf_flows flows;
    size_t n_in_period; /* transactions */
    double other;       /* contribution of all that is no holding */
    fp_i128 opened_e8;  /* the period's opening value */

    struct perf_event events[PERF_EVENTS_KEPT];
    int n_events;
    struct perf_line *lines;
    size_t n_lines, cap_lines;
    struct perf_position *positions;
    size_t n_positions, cap_positions;
    struct perf_chart_point *chart;
    size_t n_chart, cap_chart;
    struct returns_flow *mwr_flows;
    size_t cap_mwr_flows;
    uint8_t *kept;
    size_t n_kept;
};

/* Fills the fault and returns false. */
bool perf_fail(struct fp_performance *p, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* a * b without overflow, else the fault "overflow". */
bool perf_mul(struct fp_performance *p, fp_i128 a, int64_t b, fp_i128 *out);
/* The id of an instrument, for faults. */
long long perf_id(const struct fp_performance *p, int32_t instrument);
/* The index of an id in the market; -1: not there. */
int32_t perf_index_of(const struct perf_market *m, int64_t id);
/* Rounded for print, to the base currency's decimals; else the fault "overflow". */
bool perf_to_minor(struct fp_performance *p, fp_i128 v_e8, int64_t *out);
/* Is the rate finite, and within an int64 of 1e-8? What is not is undefined. */
bool perf_rate_fits(double rate);
void perf_event(struct fp_performance *p, const struct perf_event *e);
int perf_event_compare(const void *a, const void *b); /* by day */
int perf_event_by_rank(const void *a, const void *b); /* what must not be missed first, then by day */
/* qsort() for what is nearly always in order already, or empty. */
void perf_sort(void *base, size_t n, size_t bytes, int (*compare)(const void *, const void *));
/* Calls the trace, which must be there. */
void perf_step(struct fp_performance *p, struct perf_step s);
#define PERF_TRACES(p) ((p)->in->trace != NULL)
/* Room for one more in a growing array. */
#define PERF_ROOM(array, n, cap)                                                                             \
    do {                                                                                                     \
        if ((n) == (cap)) {                                                                                  \
            (cap) = (cap)*2 + 16;                                                                            \
            (array) = mem_resize((array), (cap), sizeof *(array));                                           \
        }                                                                                                    \
    } while (0)

/* --- rates.c */
/* The slot of a currency, made at its first use; -1 with a fault. */
int perf_cash_slot(struct fp_performance *p, int32_t currency);
/* Brings the rates of a currency to the present day. */
bool perf_rates_look_up(struct fp_performance *p, struct perf_cash *c);
static inline bool perf_rates_today(struct fp_performance *p, struct perf_cash *c)
{
    if (c->day != p->day && !perf_rates_look_up(p, c))
        return false;
    p->day_flags |= c->flags;
    return true;
}
/* Of the rate in use, the older of two; INT32_MIN: none is, or not today. For a trace. */
int32_t perf_rate_day(const struct fp_performance *p, int cash);
/* Into the base currency at the present day's rate. */
bool perf_to_base(struct fp_performance *p, int cash, fp_i128 v_e8, fp_i128 *out_e8);
/* The same over its legs, and where v may be beyond all money. */
bool perf_convert(struct fp_performance *p, const struct perf_cash *c, fp_i128 v_e8, fp_i128 *out_e8);
/* The same when its rates are of today. Nearly always it is in the base currency already. */
static inline bool perf_to_base_today(struct fp_performance *p, const struct perf_cash *c, fp_i128 v_e8,
                                      fp_i128 *out_e8)
{
    if (c->legs || v_e8 != (int64_t)v_e8)
        return perf_convert(p, c, v_e8, out_e8);
    *out_e8 = v_e8;
    return true;
}
/* Revalues balances at the day's rates, before its transactions: what that
 * changes is the result of currencies. */
bool perf_cash_revalue(struct fp_performance *p);
bool perf_cash_value(struct fp_performance *p, fp_i128 *sum_e8);

/* --- price.c */
static inline bool perf_is_priced(const struct perf_holding *h)
{
    return h->data->closes_e8.n > 0;
}
/* What so many of it are worth on the present day. */
bool perf_position_value(struct fp_performance *p, struct perf_holding *h, int64_t quantity_e8,
                         fp_i128 *out_e8);
/* h->value_e8 for the present day. */
bool perf_holding_value(struct fp_performance *p, struct perf_holding *h);
/* First index whose day is after `day`, seen from `next` on; days only grow. */
size_t perf_series_seek(const struct perf_series *s, size_t next, int32_t day);
/* More than five trading days (Monday to Friday) between a quote and its use. */
bool perf_is_stale(int32_t quote_day, int32_t day);
/* p->benchmark_e8 for the present day; 0 when there is no quote, or a stale one. */
void perf_benchmark_today(struct fp_performance *p);

/* --- quality.c */
/* Nearly always: less than a third more or less. */
static inline bool perf_is_near(int64_t before_e8, int64_t after_e8)
{
    return after_e8 - after_e8 / 4 < before_e8 && before_e8 - before_e8 / 4 < after_e8;
}
/* Remarks on a new quote, not near the one before, beside h->valued_price, which it takes the place of. */
void perf_judge_quote(struct fp_performance *p, const struct perf_holding *h, const struct perf_price *now);

/* --- slots.c */
/* Checks the transactions and orders them, and makes a slot for each holding. */
bool perf_prepare(struct fp_performance *p);
bool perf_add_holding(struct fp_performance *p, int32_t instrument, struct perf_holding **out);
struct perf_holding *perf_holding_of(struct fp_performance *p, const struct perf_tx *t);
/* The tables of slots are clean again, also after a fault. */
void perf_slots_reset(struct fp_performance *p);

/* --- book.c */
bool perf_split_to(struct fp_performance *p, struct perf_holding *h, int32_t day);
/* Cash, quantity, lots and flows; in the period also results. */
bool perf_book(struct fp_performance *p, const struct perf_tx *t);
/* After the day's transactions: see there. */
void perf_book_lone_transfers(struct fp_performance *p);
/* What has been in transit for too long has been delivered out, what has been
 * expected for too long has been delivered in. */
bool perf_book_overdue(struct fp_performance *p, struct perf_holding *h);
/* For the remark; what is owed has been sold, and is nobody's any more. */
static inline bool perf_is_on_its_way(const struct perf_holding *h)
{
    return h->lots.transit_e8 || h->lots.n_early;
}

/* --- days.c */
bool perf_begin(struct fp_performance *p);
bool perf_run(struct fp_performance *p);

/* --- state.c */
/* Takes up the state of in->checkpoint; the fault is bad_checkpoint. */
bool perf_restore(struct fp_performance *p);
/* p->kept becomes the state at the present close; n_kept 0 when it is too large. */
void perf_keep(struct fp_performance *p);

/* --- figures.c, statement.c */
bool perf_spans(struct fp_performance *p, struct perf_summary *s);
bool perf_statement(struct fp_performance *p, struct perf_summary *s);
bool perf_groups(struct fp_performance *p, struct perf_summary *s);

#endif
