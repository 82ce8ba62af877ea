/*
 * Portfolios for tests, made from a number: the same one on every machine, so
 * that a failure can be named by its seed. No two draws stand in one expression:
 * C leaves their order to the compiler.
 */
#ifndef FP_PERFORMANCE_GENERATE_H
#define FP_PERFORMANCE_GENERATE_H

#include "lib/performance/testing.h"

#define FIRST 19786 /* 2024-03-04, a Monday: the period's first day */
#define DAYS  31

struct random {
    uint64_t state;
};

static inline uint64_t next(struct random *r) /* splitmix64 */
{
    uint64_t z = (r->state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static inline int64_t between(struct random *r, int64_t low, int64_t high)
{
    return low + (int64_t)(next(r) % (uint64_t)(high - low + 1));
}

static inline struct perf_tx *add(struct world *w, int32_t day, enum perf_type type, int instrument,
                                  const char *currency)
{
    struct perf_tx *t = world_cash(w, "2024-01-01", type, "0", currency);

    t->day = day;
    t->instrument = instrument;
    return t;
}

static inline int64_t close_on(const struct world *w, int i, int32_t day)
{
    size_t n = w->instruments[i].closes_e8.n;

    while (n > 1 && w->closes[i][n - 1].day > day)
        n--;
    return w->closes[i][n - 1].value;
}

static inline const char *either(struct random *r)
{
    return between(r, 0, 1) ? "EUR" : "USD";
}

/* At the close of the day, so that a purchase makes no jump. */
static inline void trade(struct world *w, int32_t day, enum perf_type type, int i, int64_t quantity_e8,
                         int64_t fee_e4)
{
    struct perf_tx *t = add(w, day, type, i, "EUR");
    int64_t paid_e4;

    t->currency = w->instruments[i].currency;
    t->quantity_e8 = quantity_e8;
    t->price_e8 = close_on(w, i, day);
    if (!fixed_muldiv(quantity_e8, t->price_e8, FP_E8 * 10000, &paid_e4))
        fp_panic("trade");
    t->fee_e4 = fee_e4;
    t->amount_e4 = (type == PERF_BUY ? -paid_e4 : paid_e4) - fee_e4;
}

static inline void walk(struct world *w, struct random *r, int i, int32_t from)
{
    int64_t close = between(r, 500000000, 20000000000);

    for (int32_t day = from; day <= FIRST + DAYS + 5; day++) {
        close += close / 1000 * between(r, -30, 31);
        if (day_of_week(day) <= 5 && between(r, 0, 20))
            world_put(w->closes[i], &w->instruments[i].closes_e8.n, day, close);
    }
}

static inline void walk_rates(struct world *w, struct random *r, int32_t from)
{
    int64_t rate = 11000000000;

    world_rate(w, "EUR", "USD", "2024-03-04", "1.1"); /* makes the pair */
    world_put(w->rates[0], &w->pairs[0].rates_e10.n, from, rate);
    for (int32_t day = from + 1; day <= FIRST + DAYS; day++) {
        rate += between(r, -80000000, 80000000);
        if (day_of_week(day) <= 5)
            world_put(w->rates[0], &w->pairs[0].rates_e10.n, day, rate);
    }
}

static inline void trade_some(struct world *w, struct random *r, int32_t day, enum perf_type type, int i,
                              int64_t least_e8, int64_t most_e8)
{
    int64_t quantity_e8 = between(r, least_e8, most_e8), fee_e4 = between(r, 0, 99999);

    trade(w, day, type, i, quantity_e8, fee_e4);
}

/* Some cash, some holdings in two currencies, trades and flows; never short. */
static inline struct world *generate(uint64_t seed)
{
    struct random r = {seed};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");
    int n = (int)between(&r, 1, 8);

    walk_rates(w, &r, FIRST - 13);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "EUR")->amount_e4 = between(&r, 500000000, 5000000000);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "USD")->amount_e4 = between(&r, 500000000, 5000000000);
    for (int i = 0; i < n; i++) {
        int a = world_instrument(w, either(&r));

        walk(w, &r, a, FIRST - 10);
        trade_some(w, &r, FIRST - 8, PERF_BUY, a, 100000000, 5000000000);
    }
    for (int k = (int)between(&r, 0, 12); k > 0; k--) {
        int32_t day = FIRST + (int32_t)between(&r, 0, DAYS - 1);
        int a = (int)between(&r, 0, n - 1);
        struct perf_tx *t;

        switch (between(&r, 0, 5)) {
        case 0:
            t = add(w, day, PERF_DEPOSIT, -1, either(&r));
            t->amount_e4 = between(&r, 1, 90000000);
            break;
        case 1:
            add(w, day, PERF_WITHDRAWAL, -1, "EUR")->amount_e4 = -between(&r, 1, 1000000);
            break;
        case 2:
            trade_some(w, &r, day, PERF_SELL, a, 1, 9000000);
            break;
        case 3:
            add(w, day, PERF_DIVIDEND, a, "EUR")->amount_e4 = between(&r, 1, 900000);
            break;
        case 4:
            add(w, day, PERF_DELIVERY_IN, a, "EUR")->quantity_e8 = between(&r, 1, 900000000);
            break;
        default:
            add(w, day, PERF_FEE, -1, "EUR")->amount_e4 = -between(&r, 1, 100000);
        }
    }
    return w;
}

/* --- whatever an account can go through ---------------------------------------------------- */

#define WILD_DAYS     140 /* before the period */
#define WILD_ACCOUNTS 3

/* A split of its own, and the closes after it as they would be traded. */
static inline void split_some(struct world *w, struct random *r, int i)
{
    static const int ratios[][2] = {{2, 1}, {3, 1}, {1, 10}, {3, 2}, {1, 3}};
    const int *ratio = ratios[between(r, 0, 4)];
    int32_t day = FIRST - WILD_DAYS + (int32_t)between(r, 5, WILD_DAYS + DAYS - 1);
    size_t at = w->instruments[i].n_splits++;

    for (size_t k = 0; k < w->instruments[i].closes_e8.n; k++)
        if (w->closes[i][k].day >= day)
            w->closes[i][k].value = w->closes[i][k].value * ratio[1] / ratio[0];
    for (; at > 0 && w->splits[i][at - 1].day > day; at--)
        w->splits[i][at] = w->splits[i][at - 1];
    w->splits[i][at] = (struct perf_split){day, ratio[0], ratio[1]};
}

/* Shares leave one account and arrive in another, usually the same day; some
 * are booked in before they are booked out. */
static inline void transfer(struct world *w, struct random *r, int32_t day, int i)
{
    int64_t quantity_e8 = between(r, 1, 900000000);
    struct perf_tx *t = add(w, day, PERF_TRANSFER_OUT, i, "EUR");
    int32_t arrives;

    t->quantity_e8 = quantity_e8;
    t->account = between(r, 1, WILD_ACCOUNTS);
    if (!between(r, 0, 9)) /* never arrives */
        return;
    arrives = day + (int32_t)(between(r, 0, 3) ? 0 : between(r, -12, 12));
    t = add(w, arrives < FIRST - WILD_DAYS ? day : arrives, PERF_TRANSFER_IN, i, "EUR");
    t->price_e8 = between(r, 0, 3) ? 0 : between(r, 1, 10000000000);
    t->quantity_e8 = quantity_e8;
    t->account = between(r, 1, WILD_ACCOUNTS);
}

static inline void cash_event(struct world *w, struct random *r, int32_t day)
{
    static const enum perf_type types[] = {PERF_DEPOSIT, PERF_WITHDRAWAL, PERF_INTEREST, PERF_FEE, PERF_TAX};
    enum perf_type type = types[between(r, 0, 4)];
    struct perf_tx *t = add(w, day, type, -1, either(r));

    t->amount_e4 = between(r, 1, type <= PERF_WITHDRAWAL ? 400000000 : 300000);
    if (type == PERF_WITHDRAWAL || (type >= PERF_INTEREST && between(r, 0, 4)))
        t->amount_e4 = -t->amount_e4; /* charges, and now and then a refund */
    if (type == PERF_INTEREST && t->amount_e4 > 0)
        t->tax_e4 = between(r, 0, 9999);
}

static inline void share_event(struct world *w, struct random *r, int32_t day, int i)
{
    struct perf_tx *t;

    switch (between(r, 0, 7)) {
    case 0:
    case 1:
        trade_some(w, r, day, PERF_BUY, i, 1, 3000000000);
        break;
    case 2:
    case 3: /* also more than there is: a short position, that a purchase closes */
        trade_some(w, r, day, PERF_SELL, i, 1, 3000000000);
        break;
    case 4:
        t = add(w, day, PERF_DIVIDEND, i, either(r));
        t->tax_e4 = between(r, 0, 99999);
        t->amount_e4 = between(r, 1, 900000);
        break;
    case 5:
        t = add(w, day, between(r, 0, 1) ? PERF_DELIVERY_IN : PERF_DELIVERY_OUT, i, "EUR");
        t->quantity_e8 = between(r, 1, 900000000);
        t->price_e8 = between(r, 0, 1) ? close_on(w, i, day) : 0;
        t->fee_e4 = between(r, 0, 9999);
        break;
    default:
        transfer(w, r, day, i);
        return;
    }
    w->txs[w->in.n_txs - 1].account = between(r, 1, WILD_ACCOUNTS);
}

/* Months of trades, short sales, transfers, deliveries, splits, overdrafts and
 * emptied accounts, in two currencies; the period is the last month. */
static inline struct world *generate_wild(uint64_t seed)
{
    struct random r = {seed * 7919};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");
    int n = (int)between(&r, 1, 6);

    walk_rates(w, &r, FIRST - WILD_DAYS - 3);
    for (int i = 0; i < n; i++) {
        int a = world_instrument(w, either(&r));

        walk(w, &r, a, FIRST - (int32_t)(between(&r, 0, 5) ? WILD_DAYS + 2 : between(&r, 0, WILD_DAYS)));
        for (int k = (int)between(&r, -1, 2); k > 0; k--)
            split_some(w, &r, i);
    }
    if (between(&r, 0, 9))
        add(w, FIRST - WILD_DAYS, PERF_DEPOSIT, -1, "EUR")->amount_e4 = between(&r, 1, 5000000000);
    for (int k = (int)between(&r, 1, 40); k > 0; k--) {
        int32_t day = FIRST - WILD_DAYS + (int32_t)between(&r, 0, WILD_DAYS + DAYS - 1);

        if (between(&r, 0, 3))
            share_event(w, &r, day, (int)between(&r, 0, n - 1));
        else
            cash_event(w, &r, day);
    }
    return w;
}

/* --- what costs are stated for --------------------------------------------------------------- */

/* 15 holdings in two currencies, 31 days, 20 transactions, of which 4 are in the period. */
static inline struct world *generate_usual(void)
{
    struct random r = {7};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");

    walk_rates(w, &r, FIRST - 13);
    add(w, FIRST - 9, PERF_DEPOSIT, -1, "EUR")->amount_e4 = 5000000000;
    for (int i = 0; i < 15; i++) {
        walk(w, &r, world_instrument(w, i % 3 ? "EUR" : "USD"), FIRST - 10);
        trade(w, FIRST - 8, PERF_BUY, i, 500000000, 10000);
    }
    for (int i = 0; i < 4; i++)
        trade(w, FIRST + 7 * i, PERF_SELL, i, 100000000, 10000);
    return w;
}

#endif
