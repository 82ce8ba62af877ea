/*
 * More laws on generated portfolios: of the benchmark, of the end of a year, of
 * days whose prices are not fresh, and of the two sides of transfers.
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

#define PORTFOLIOS 2000 /* for each law */
/* Whole weeks from FIRST, so that a Monday stays one: the period becomes 2024-12-23 to 2025-01-22. */
#define TO_THE_YEARS_END (42 * 7)
#define NEW_YEAR         20089 /* 2025-01-01 */

static void run(struct world *w, uint64_t seed)
{
    if (!world_run(w))
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, w->fault.reason, w->fault.detail);
    if (!w->summary.twr_defined)
        fail_msg("seed %llu: no return", (unsigned long long)seed);
}

#define assert_near(a, b, tolerance)                                                                         \
    do {                                                                                                     \
        if (!(fabs((double)(a) - (double)(b)) <= (tolerance)))                                               \
            fail_msg("seed %llu: %.15g is not %.15g", (unsigned long long)seed, (double)(a), (double)(b));   \
    } while (0)

/* --- the benchmark --------------------------------------------------------------------- */

static int add_benchmark(struct world *w, uint64_t seed)
{
    struct random r = {seed ^ 4711};
    int index = world_instrument(w, seed % 2 ? "USD" : "EUR");

    walk(w, &r, index, FIRST - 10);
    w->in.benchmark_id = w->ids[index];
    return index;
}

static struct perf_rate benchmark(const struct world *w)
{
    return w->summary.spans[PERF_SPAN_PERIOD].benchmark;
}

static void a_benchmark_changes_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary without;

        add_benchmark(w, seed);
        w->in.benchmark_id = 0;
        run(w, seed);
        without = w->summary;
        w->in.benchmark_id = w->ids[w->market.n_instruments - 1];
        run(w, seed);
        assert_true(benchmark(w).defined);
        for (int i = 0; i < PERF_SPANS; i++)
            w->summary.spans[i].benchmark = without.spans[i].benchmark;
        world_clear_padding(&without);
        world_clear_padding(&w->summary);
        if (memcmp(&without, &w->summary, sizeof without) != 0)
            fail_msg("seed %llu: another summary", (unsigned long long)seed);
        world_free(w);
    }
}

static void a_benchmark_of_two_parts_links_to_the_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        int32_t end = w->in.period_end;
        double whole, first;
        int index = add_benchmark(w, seed);

        run(w, seed);
        whole = (double)benchmark(w).e8 / 1e8;
        if (w->instruments[index].currency == w->in.base_currency)
            assert_near((double)close_on(w, index, end) / (double)close_on(w, index, FIRST - 1) - 1, whole,
                        1e-8);
        for (size_t i = 0; i < w->instruments[index].closes_e8.n; i++) /* its unit does not matter */
            w->closes[index][i].value *= 10;
        w->in.period_end = FIRST + (int32_t)(seed % (DAYS - 1));
        run(w, seed);
        first = (double)benchmark(w).e8 / 1e8;
        w->in.period_start = w->in.period_end + 1;
        w->in.period_end = end;
        run(w, seed);
        assert_near((1 + first) * (1 + (double)benchmark(w).e8 / 1e8) - 1, whole, 1e-7);
        world_free(w);
    }
}

/* All money in the index, bought at its close: the portfolio is its benchmark. */
static void who_holds_the_benchmark_has_its_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");
        struct random r = {seed};
        int index;

        walk_rates(w, &r, FIRST - 13);
        index = add_benchmark(w, seed);
        add(w, FIRST - 8, PERF_DELIVERY_IN, index, "EUR")->quantity_e8 =
            between(&r, 100000000000, 5000000000000);
        run(w, seed);
        assert_near(w->summary.twr_e8, benchmark(w).e8, 2);
        assert_near(w->summary.spans[PERF_SPAN_PERIOD].mwr.e8, benchmark(w).e8, 2);
        world_free(w);
    }
}

/* --- the end of a year ---------------------------------------------------------------------- */

static void move_series(struct perf_point *points, size_t n)
{
    for (size_t i = 0; i < n; i++)
        points[i].day += TO_THE_YEARS_END;
}

static struct world *generate_at_the_years_end(uint64_t seed)
{
    struct world *w = generate(seed);

    for (size_t i = 0; i < w->market.n_instruments; i++)
        move_series(w->closes[i], w->instruments[i].closes_e8.n);
    for (size_t i = 0; i < w->market.n_pairs; i++)
        move_series(w->rates[i], w->pairs[i].rates_e10.n);
    for (size_t i = 0; i < w->in.n_txs; i++)
        w->txs[i].day += TO_THE_YEARS_END;
    w->in.period_start += TO_THE_YEARS_END;
    w->in.period_end += TO_THE_YEARS_END;
    return w;
}

static void a_year_begins_with_the_close_of_its_eve(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate_at_the_years_end(seed);
        struct perf_span_figures year, all, old;

        run(w, seed);
        year = w->summary.spans[PERF_SPAN_YEAR_TO_DATE];
        all = w->summary.spans[PERF_SPAN_SINCE_INCEPTION];
        w->in.period_start = NEW_YEAR;
        run(w, seed); /* that part of the period is a period, too */
        assert_near(year.twr.e8, w->summary.twr_e8, 0);
        assert_near(year.mwr.e8, w->summary.spans[PERF_SPAN_PERIOD].mwr.e8, 0);
        assert_near(year.open_value_minor, w->summary.open_value_minor, 0);
        assert_near(year.net_contributions_minor, w->summary.net_contributions_minor, 0);
        assert_near(year.gain_minor, w->summary.gain_minor, 0);
        w->in.period_start = FIRST + TO_THE_YEARS_END;
        w->in.period_end = NEW_YEAR - 1;
        run(w, seed); /* and the year before ends there */
        old = w->summary.spans[PERF_SPAN_YEAR_TO_DATE];
        assert_near(old.twr.e8, w->summary.spans[PERF_SPAN_SINCE_INCEPTION].twr.e8, 0);
        assert_near(w->summary.close_value_minor, year.open_value_minor, 0);
        assert_near((1 + (double)old.twr.e8 / 1e8) * (1 + (double)year.twr.e8 / 1e8) - 1,
                    (double)all.twr.e8 / 1e8, 1e-7);
        world_free(w);
    }
}

/* --- days without fresh prices -------------------------------------------------------------- */

/* No closes for weeks, and no flows until each has one again. */
static void take_closes(struct world *w, int32_t first, int32_t last)
{
    for (size_t i = 0; i < w->market.n_instruments; i++) {
        struct perf_series *s = &w->instruments[i].closes_e8;
        size_t kept = 0;

        for (size_t k = 0; k < s->n; k++)
            if (w->closes[i][k].day < first || w->closes[i][k].day > last)
                w->closes[i][kept++] = w->closes[i][k];
        s->n = kept;
    }
    for (size_t i = 0; i < w->in.n_txs; i++)
        if (w->txs[i].day >= first && w->txs[i].day <= last + 7 &&
            (w->txs[i].instrument < 0 || w->txs[i].type == PERF_DELIVERY_IN))
            w->txs[i].day = first - 1;
}

/* Linked day by day at carried prices, or as a sub-period: what was not paid in between
 * earns the same. Money never depends on how days are linked. */
static void how_days_without_prices_are_linked_matters_to_flows_alone(void **state)
{
    int stale = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        int32_t first = FIRST + (int32_t)(seed % 7);
        const struct perf_line *lines;
        struct perf_summary carried;
        double sum = 0;
        size_t n;

        take_closes(w, first, first + 9 + (int32_t)(seed % 5));
        w->in.carry_prices = true;
        run(w, seed);
        carried = w->summary;
        w->in.carry_prices = false;
        run(w, seed);
        stale += (w->summary.flags & PERF_STALE_PRICE) != 0;
        assert_near(w->summary.twr, carried.twr, 1e-12);
        assert_false(w->summary.spans[PERF_SPAN_PERIOD].modified_dietz);
        assert_int_equal(w->summary.close_value_minor, carried.close_value_minor);
        assert_int_equal(w->summary.gain_minor, carried.gain_minor);
        assert_int_equal(w->summary.unrealised_minor, carried.unrealised_minor);
        assert_int_equal(w->summary.spans[PERF_SPAN_PERIOD].mwr.e8, carried.spans[PERF_SPAN_PERIOD].mwr.e8);
        n = performance_lines(w->performance, &lines);
        for (size_t i = 0; i < n; i++)
            sum += lines[i].contribution;
        assert_near(sum, w->summary.twr, 1e-12);
        world_free(w);
    }
    assert_true(stale > PORTFOLIOS / 2);
}

/* --- the two sides of transfers ---------------------------------------------------------------- */

#define APART_DAYS 10 /* for which shares may be in transit */

/* Between three accounts, also of shares that have not arrived yet; sales are booked anywhere, of what
 * is there and of what is not. No account is asked for more than all have. */
static struct world *generate_transfers(uint64_t seed, bool apart)
{
    struct random r = {seed ^ 815};
    struct world *w = world_new("EUR", "2024-03-04", "2024-04-03");
    int n = (int)between(&r, 1, 3);
    struct perf_tx *t;

    add(w, FIRST - 9, PERF_DEPOSIT, -1, "EUR")->amount_e4 = 5000000000;
    for (int i = 0; i < n; i++) {
        world_put(w->closes[i], &w->instruments[world_instrument(w, "EUR")].closes_e8.n, FIRST - 9,
                  between(&r, 1, 999) * FP_E8);
        for (int account = 1; account <= 3; account++) {
            trade(w, FIRST - 8 + account, PERF_BUY, i, between(&r, 10, 15) * FP_E8, 0);
            w->txs[w->in.n_txs - 1].account = account;
        }
        for (int k = (int)between(&r, 1, 4); k > 0; k--) { /* at most 20 of 30 are sold */
            int32_t day = FIRST + (int32_t)between(&r, -3, DAYS - 1);

            trade(w, day, PERF_SELL, i, between(&r, 1, 5) * FP_E8, between(&r, 0, 99999));
            w->txs[w->in.n_txs - 1].account = between(&r, 1, 4);
        }
        for (int k = (int)between(&r, 1, 6); k > 0; k--) {
            int32_t between_days = (int32_t)between(&r, 0, APART_DAYS),
                    day = FIRST + (int32_t)between(&r, -3, DAYS - 1 - between_days);
            int64_t quantity_e8 = between(&r, 1, 10) * FP_E8;

            t = add(w, day, PERF_TRANSFER_OUT, i, "EUR");
            t->quantity_e8 = quantity_e8;
            t->account = between(&r, 1, 3);
            t = add(w, apart ? day + between_days : day, PERF_TRANSFER_IN, i, "EUR");
            t->quantity_e8 = quantity_e8;
            t->account = between(&r, 1, 3);
        }
    }
    return w;
}

static void how_long_shares_are_on_their_way_changes_no_money(void **state)
{
    int apart = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate_transfers(seed, false), *other = generate_transfers(seed, true);

        run(w, seed);
        run(other, seed);
        for (size_t i = 0; i < w->in.n_txs; i++)
            apart += w->txs[i].day != other->txs[i].day;
        assert_true(other->summary.closes);
        assert_near(w->summary.net_contributions_minor, 0, 0);
        assert_near(other->summary.net_contributions_minor, 0, 0);
        assert_near(other->summary.close_value_minor, w->summary.close_value_minor, 0);
        assert_near(other->summary.gain_minor, w->summary.gain_minor, 0);
        assert_near(other->summary.open_value_minor, w->summary.open_value_minor, 0);
        assert_near(other->summary.holdings, w->summary.holdings, 0);
        world_free(w);
        world_free(other);
    }
    assert_true(apart > PORTFOLIOS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_benchmark_changes_nothing_else),
        cmocka_unit_test(a_benchmark_of_two_parts_links_to_the_whole),
        cmocka_unit_test(who_holds_the_benchmark_has_its_return),
        cmocka_unit_test(a_year_begins_with_the_close_of_its_eve),
        cmocka_unit_test(how_days_without_prices_are_linked_matters_to_flows_alone),
        cmocka_unit_test(how_long_shares_are_on_their_way_changes_no_money),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
