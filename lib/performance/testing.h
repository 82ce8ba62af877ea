/* A small world for tests: instruments, closes, rates and transactions, written
 * as a person would write them ("12.34"), in any order. */
#ifndef FP_PERFORMANCE_TESTING_H
#define FP_PERFORMANCE_TESTING_H

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/fixed.h"
#include "lib/base/mem.h"
#include "lib/performance/performance.h"

#define WORLD_INSTRUMENTS 16
#define WORLD_POINTS      1200
#define WORLD_PAIRS       8
#define WORLD_TXS         512

struct world {
    struct perf_market market;
    struct perf_input in;
    struct perf_instrument instruments[WORLD_INSTRUMENTS];
    const struct perf_instrument *pointers[WORLD_INSTRUMENTS];
    int64_t ids[WORLD_INSTRUMENTS];
    struct perf_point closes[WORLD_INSTRUMENTS][WORLD_POINTS];
    struct perf_split splits[WORLD_INSTRUMENTS][8];
    struct perf_pair pairs[WORLD_PAIRS];
    struct perf_point rates[WORLD_PAIRS][WORLD_POINTS];
    struct perf_tx txs[WORLD_TXS];
    struct fp_performance *performance;
    struct perf_summary summary;
    struct perf_fault fault;
};

static inline int32_t world_day(const char *text)
{
    int32_t day;

    if (!day_parse(text, &day))
        fp_panic("day %s", text);
    return day;
}

static inline int64_t world_number(const char *text, int decimals)
{
    int64_t v;

    if (!fixed_parse(text, decimals, &v))
        fp_panic("number %s", text);
    return v;
}

static inline struct world *world_new(const char *base, const char *start, const char *end)
{
    struct world *w = mem_alloc(sizeof *w);

    w->market = (struct perf_market){.instruments = w->pointers, .instrument_ids = w->ids, .pairs = w->pairs};
    w->in = (struct perf_input){.market = &w->market,
                                .txs = w->txs,
                                .base_currency = perf_currency(base),
                                .period_start = world_day(start),
                                .period_end = world_day(end)};
    w->performance = performance_new();
    return w;
}

static inline void world_free(struct world *w)
{
    performance_free(w->performance);
    mem_free(w);
}

/* Returns its index; its id is 100 more. */
static inline int world_instrument(struct world *w, const char *currency)
{
    size_t i = w->market.n_instruments++;

    if (i == WORLD_INSTRUMENTS)
        fp_panic("too many instruments");
    w->ids[i] = (int64_t)i + 100;
    w->instruments[i].currency = perf_currency(currency);
    w->instruments[i].closes_e8.points = w->closes[i];
    w->instruments[i].splits = w->splits[i];
    w->pointers[i] = &w->instruments[i];
    return (int)i;
}

/* Kept by day; a day again replaces. */
static inline void world_put(struct perf_point *points, size_t *n, int32_t day, int64_t value)
{
    size_t at = *n;

    while (at > 0 && points[at - 1].day > day)
        at--;
    if (at > 0 && points[at - 1].day == day) {
        points[at - 1].value = value;
        return;
    }
    if (*n == WORLD_POINTS)
        fp_panic("too many points");
    memmove(points + at + 1, points + at, (*n - at) * sizeof *points);
    points[at] = (struct perf_point){day, value};
    (*n)++;
}

static inline void world_close(struct world *w, int instrument, const char *day, const char *close)
{
    world_put(w->closes[instrument], &w->instruments[instrument].closes_e8.n, world_day(day),
              world_number(close, 8));
}

static inline void world_rate(struct world *w, const char *base, const char *quote, const char *day,
                              const char *rate)
{
    size_t i = 0;

    while (i < w->market.n_pairs &&
           (w->pairs[i].base != perf_currency(base) || w->pairs[i].quote != perf_currency(quote)))
        i++;
    if (i == WORLD_PAIRS)
        fp_panic("too many pairs");
    if (i == w->market.n_pairs) {
        w->pairs[i] = (struct perf_pair){perf_currency(base), perf_currency(quote), {w->rates[i], 0}};
        w->market.n_pairs++;
    }
    world_put(w->rates[i], &w->pairs[i].rates_e10.n, world_day(day), world_number(rate, 10));
}

static inline void world_split(struct world *w, int instrument, const char *day, int numerator,
                               int denominator)
{
    struct perf_instrument *i = &w->instruments[instrument];

    w->splits[instrument][i->n_splits++] = (struct perf_split){world_day(day), numerator, denominator};
}

/* Cash alone; amount signed. */
static inline struct perf_tx *world_cash(struct world *w, const char *day, enum perf_type type,
                                         const char *amount, const char *currency)
{
    struct perf_tx *t = &w->txs[w->in.n_txs++];

    if (w->in.n_txs > WORLD_TXS)
        fp_panic("too many transactions");
    *t = (struct perf_tx){.id = (int64_t)w->in.n_txs,
                          .day = world_day(day),
                          .type = type,
                          .instrument = -1,
                          .currency = perf_currency(currency),
                          .amount_e4 = world_number(amount, 4)};
    return t;
}

static inline struct perf_tx *world_trade(struct world *w, const char *day, enum perf_type type,
                                          int instrument, const char *quantity, const char *amount,
                                          const char *currency)
{
    struct perf_tx *t = world_cash(w, day, type, amount, currency);

    t->instrument = instrument;
    t->quantity_e8 = world_number(quantity, 8);
    return t;
}

static inline bool world_run(struct world *w)
{
    return performance_summarise(w->performance, &w->in, &w->summary, &w->fault);
}

static inline void world_clear_movers(struct perf_mover *movers)
{
    for (int i = 0; i < PERF_MOVERS; i++) {
        const struct perf_mover m = movers[i];

        memset(&movers[i], 0, sizeof m);
        movers[i].instrument = m.instrument;
        movers[i].gain_minor = m.gain_minor;
        movers[i].contribution_e8 = m.contribution_e8;
    }
}

/* What lies between the fields of a rate, a mover or an event is nobody's. */
static inline void world_clear_padding(struct perf_summary *s)
{
    world_clear_movers(s->top);
    world_clear_movers(s->bottom);
    for (int i = 0; i < PERF_EVENTS; i++) {
        const struct perf_event e = s->events[i];

        memset(&s->events[i], 0, sizeof e);
        s->events[i].kind = e.kind;
        s->events[i].day = e.day;
        s->events[i].instrument = e.instrument;
        s->events[i].numerator = e.numerator;
        s->events[i].denominator = e.denominator;
        s->events[i].amount_minor = e.amount_minor;
    }
    for (int i = 0; i < PERF_SPANS; i++) {
        struct perf_span_figures *f = &s->spans[i];
        struct perf_rate *rates[] = {&f->twr,       &f->twr_annual, &f->mwr,         &f->mwr_annual,
                                     &f->benchmark, &f->volatility, &f->max_drawdown};

        for (size_t k = 0; k < sizeof rates / sizeof rates[0]; k++) {
            const struct perf_rate rate = *rates[k];

            memset(rates[k], 0, sizeof *rates[k]);
            rates[k]->defined = rate.defined;
            rates[k]->e8 = rate.e8;
        }
    }
}

/* A rate that is defined, to the last of its eight decimals. */
#define assert_e8(rate, value)                                                                               \
    do {                                                                                                     \
        assert_true((rate).defined);                                                                         \
        assert_int_equal((rate).e8, llround((value)*1e8));                                                   \
    } while (0)

#endif
