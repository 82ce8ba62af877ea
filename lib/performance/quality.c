/*
 * What a new quote of a holding says about the data, beside the quote before
 * it: both are in the shares of the day, splits on file are in them already.
 *
 * One share among many is wrong long before the whole portfolio's day is: the
 * limits are those of a suspect day (chain.c), for each holding. A quote that is
 * n or 1/n of the one before, within a percent, is a split that nobody told of;
 * about a hundred times, or a hundredth, is a quote in pence where the others
 * are in pounds, or the other way round.
 */
#include <stdio.h>

#include "lib/performance/internal.h"

/* Ratios of splits that are common enough to be meant by a jump. */
#define SPLIT_LEAST 2
#define SPLIT_MOST  50
/* Beside a hundred times, a day's own change. */
#define UNITS       100
#define UNITS_LEAST 80
#define UNITS_MOST  125
/* Beyond -95 % and +400 %. */
#define FALLS_TO_LESS_THAN_1_IN 20
#define RISES_TO_MORE_THAN      5

static void find(struct fp_performance *p, const struct perf_holding *h, const struct perf_price *now,
                 struct perf_event event)
{
    event.day = p->day;
    event.instrument = h->instrument;
    p->day_flags |= event.kind == PERF_EVENT_SUSPECTED_SPLIT ? PERF_SUSPECTED_SPLIT : PERF_SUSPECT_PRICE;
    perf_event(p, &event);
    if (PERF_TRACES(p))
        perf_step(p, (struct perf_step){.kind = PERF_STEP_FINDING,
                                        .finding = event.kind,
                                        .instrument = h->instrument,
                                        .price_e8 = now->value_e8,
                                        .value_e8 = h->valued_price.value_e8});
}

/* n when large is n times small within a percent, n a split's; else 0. */
static int32_t split_ratio(int64_t large, int64_t small)
{
    fp_i128 exact;
    int64_t n;

    if (!fixed_muldiv(large, 1, small, &n) || n < SPLIT_LEAST || n > SPLIT_MOST)
        return 0;
    exact = (fp_i128)small * n;
    return (large > exact ? large - exact : exact - large) * 100 > exact ? 0 : (int32_t)n;
}

static void judge_ratio(struct fp_performance *p, const struct perf_holding *h, const struct perf_price *now,
                        int64_t before_e8, int64_t after_e8)
{
    bool up = after_e8 > before_e8;
    int64_t large = up ? after_e8 : before_e8, small = up ? before_e8 : after_e8;
    struct perf_event event = {.kind = PERF_EVENT_SUSPECTED_SPLIT, .numerator = 1, .denominator = 1};
    int32_t n = split_ratio(large, small);

    if (!n && large >= (fp_i128)small * UNITS_LEAST && large <= (fp_i128)small * UNITS_MOST) {
        event.kind = PERF_EVENT_PRICE_UNITS;
        n = UNITS;
    }
    if (n) {
        *(up ? &event.denominator : &event.numerator) = n;
        find(p, h, now, event);
    } else if (!(h->valued_price.flags & PERF_STALE_PRICE) && /* a quote of weeks ago may be far away */
               large > (fp_i128)small * (up ? RISES_TO_MORE_THAN : FALLS_TO_LESS_THAN_1_IN)) {
        find(p, h, now, (struct perf_event){.kind = PERF_EVENT_PRICE_JUMP});
    }
}

void perf_judge_quote(struct fp_performance *p, const struct perf_holding *h, const struct perf_price *now)
{
    int64_t before_e8 = h->valued_price.value_e8, after_e8 = now->value_e8;

    if (now->quote_day != p->day || h->valued_price.quote_day >= p->day || now->flags ||
        h->valued_price.flags & PERF_PRICE_AFTER)
        return;
    if (before_e8 > 0 && after_e8 > 0)
        judge_ratio(p, h, now, before_e8, after_e8);
    else if (before_e8 > 0 || after_e8 > 0)
        find(p, h, now, (struct perf_event){.kind = PERF_EVENT_PRICE_ZERO});
}
