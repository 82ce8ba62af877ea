/* What the files of lib/performance share: the state of one run. */
#ifndef FP_PERFORMANCE_INTERNAL_H
#define FP_PERFORMANCE_INTERNAL_H

#include "lib/base/fixed.h"
#include "lib/performance/chain.h"
#include "lib/performance/performance.h"

#define PERF_E4_TO_E8 10000

/* How one currency becomes the base currency: nothing, one rate, or two over
 * a third currency. Looked up at its first use. */
struct perf_leg {
    const struct perf_pair *pair;
    bool inverse;
    size_t next; /* the first rate after the present day */
    int64_t rate_e10;
};
struct perf_cash {
    int32_t currency;
    int64_t amount_e4;
    int legs; /* -1: not looked up yet */
    struct perf_leg leg[2];
    int32_t day;      /* of the rates in the legs */
    unsigned version; /* grows when a rate changes */
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
    bool active;  /* held at the open, or traded in the period */
    bool unknown; /* the market has no such instrument */
    int64_t quantity_e8;
    size_t next_split, next_close;
    int32_t trade_day, trade_cash; /* the last trade and what it cost */
    int64_t trade_price_e8;
    fp_i128 cost_e8; /* of one without any close; base currency */
    /* the line's value, and what it was made from */
    fp_i128 value_e8;
    int64_t valued_quantity_e8;
    struct perf_price valued_price;
    unsigned valued_version;
    /* result */
    fp_i128 today_e8; /* of the day's transactions */
    fp_i128 gain_e8;
    double contribution;
};

struct perf_flows { /* all 1e-8 of the base currency */
    fp_i128 net_e8, income_e8, fees_e8, taxes_e8;
};

struct fp_performance {
    const struct perf_input *in;
    struct perf_fault *fault;
    int32_t day; /* the present one */
    unsigned flags;

    struct perf_cash cash[PERF_MAX_CURRENCIES];
    int n_cash;
    struct perf_holding *holdings;
    size_t n_holdings, cap_holdings;
    int32_t *slot_of; /* instrument -> holding + 1; 0 between runs */
    size_t cap_slots;
    const struct perf_tx **order;
    size_t n_order, cap_order;

    struct perf_flows flows;
    fp_i128 in_e8, out_e8; /* the day's flows as the return sees them */
    bool traded;           /* the day has a flow or a trade */
    size_t in_period;      /* transactions */
    struct perf_chain chain;
    double other; /* contribution of all that is no holding */
    struct perf_line *lines;
    size_t n_lines, cap_lines;
};

/* Fills the fault and returns false. */
bool perf_fail(struct fp_performance *p, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* a * b without overflow, else the fault "overflow". */
bool perf_mul(struct fp_performance *p, fp_i128 a, int64_t b, fp_i128 *out);

/* --- rates.c */
/* The slot of a currency, made at its first use; -1 with a fault. */
int perf_cash_slot(struct fp_performance *p, int32_t currency);
/* Brings the rates of a currency to the present day. */
bool perf_rates_today(struct fp_performance *p, struct perf_cash *c);
/* Into the base currency at the present day's rate. */
bool perf_to_base(struct fp_performance *p, int cash, fp_i128 v_e8, fp_i128 *out_e8);
bool perf_cash_value(struct fp_performance *p, fp_i128 *sum_e8);

/* --- price.c */
bool perf_is_priced(const struct perf_holding *h);
/* What so many of it are worth on the present day. */
bool perf_position_value(struct fp_performance *p, struct perf_holding *h, int64_t quantity_e8,
                         fp_i128 *out_e8);
/* h->value_e8 for the present day. */
bool perf_holding_value(struct fp_performance *p, struct perf_holding *h);

/* --- book.c */
/* Checks the transactions, orders them, and makes a slot for each holding. */
bool perf_book_prepare(struct fp_performance *p);
bool perf_split_to(struct fp_performance *p, struct perf_holding *h, int32_t day);
/* Cash, quantity and cost; in the period also flows and results. */
bool perf_book(struct fp_performance *p, const struct perf_tx *t, bool in_period);
/* The tables of slots are clean again, also after a fault. */
void perf_book_reset(struct fp_performance *p);

/* First index whose day is after `day`, seen from `next` on; days only grow. */
size_t perf_series_seek(const struct perf_series *s, size_t next, int32_t day);
/* More than five trading days (Monday to Friday) between a quote and its use. */
bool perf_is_stale(int32_t quote_day, int32_t day);

#endif
