/*
 * Input that only malice makes ends in a fault of that user or in a finite
 * summary. The last test prints the cost of a summary.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/performance/generate.h"

static int64_t extreme(struct random *r)
{
    const int64_t values[] = {0,  1,         -1,        INT64_MAX,    INT64_MIN,     INT64_MAX / 2,
                              -2, INT32_MAX, INT32_MIN, FP_E8 * 1000, FP_E10 * 1000, INT64_MIN + 1};

    return between(r, 0, 3) ? values[next(r) % (sizeof values / sizeof values[0])] : (int64_t)next(r);
}

static void poison_market(struct world *w, struct random *r)
{
    for (size_t i = 0; i < w->market.n_instruments; i++) {
        struct perf_instrument *in = &w->instruments[i];

        if (in->closes_e8.n && !between(r, 0, 2))
            w->closes[i][next(r) % in->closes_e8.n].value = extreme(r);
        if (!between(r, 0, 4)) {
            w->splits[i][0] = (struct perf_split){FIRST + (int32_t)between(r, -3, 9), (int32_t)extreme(r),
                                                  (int32_t)extreme(r)};
            in->n_splits = 1;
        }
        if (!between(r, 0, 9))
            in->closes_e8.n = 0;
        if (!between(r, 0, 30))
            in->currency = (int32_t)next(r);
        if (!between(r, 0, 30))
            w->pointers[i] = NULL;
    }
    if (!between(r, 0, 4))
        w->rates[0][next(r) % w->pairs[0].rates_e10.n].value = extreme(r);
}

static void poison_tx(struct perf_tx *t, struct random *r)
{
    switch (between(r, 0, 9)) {
    case 0:
        t->quantity_e8 = extreme(r);
        break;
    case 1:
        t->price_e8 = extreme(r);
        break;
    case 2:
        t->amount_e4 = extreme(r);
        break;
    case 3:
        t->fee_e4 = extreme(r);
        break;
    case 4:
        t->tax_e4 = extreme(r);
        break;
    case 5:
        t->day = between(r, 0, 1) ? (int32_t)next(r) : FIRST + (int32_t)between(r, -5, 31);
        break;
    case 6:
        t->type = between(r, 0, 5) ? (int32_t)between(r, 0, PERF_TYPES - 1) : (int32_t)next(r);
        break;
    case 7:
        t->instrument = (int32_t)between(r, -2, WORLD_INSTRUMENTS);
        break;
    case 8:
        t->id = extreme(r);
        break;
    default:
        t->currency = between(r, 0, 2) ? perf_currency("USD") : (int32_t)next(r);
    }
}

static void absurd_input_ends_in_a_fault_or_a_finite_summary(void **state)
{
    (void)state;
    int faults = 0, summaries = 0;

    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct random r = {seed * 31};
        struct world *w = generate(seed);

        poison_market(w, &r);
        for (int64_t k = between(&r, 0, 4); k > 0; k--)
            poison_tx(&w->txs[next(&r) % w->in.n_txs], &r);
        if (!between(&r, 0, 50))
            w->in.period_start = (int32_t)next(&r);
        if (world_run(w)) {
            summaries++;
            assert_true(isfinite(w->summary.twr));
        } else {
            faults++;
            assert_true(w->fault.reason[0]);
        }
        world_free(w);
    }
    assert_true(faults > 1000);
    assert_true(summaries > 1000);
}

/* --- cost -------------------------------------------------------------------------------------- */

static void a_summary_costs_microseconds(void **state)
{
    (void)state;
    struct world *w = generate_usual();
    const int rounds = 5000;
    int64_t begin_us = clock_mono_us();
    double each_us;

    for (int i = 0; i < rounds; i++)
        assert_true(world_run(w));
    each_us = (double)(clock_mono_us() - begin_us) / rounds;
    print_message("15 holdings, 31 days, 20 transactions: %.1f us\n", each_us);
    assert_true(each_us < 5000); /* sanitizers and a loaded machine; a benchmark measures it */
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absurd_input_ends_in_a_fault_or_a_finite_summary),
        cmocka_unit_test(a_summary_costs_microseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
