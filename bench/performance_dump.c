/*
 * All that lib/performance makes of generated portfolios, as bytes: what only
 * makes it faster must leave them as they are. From the folder of each build:
 *
 *   performance_dump [PORTFOLIOS] | sha256sum
 *
 * Of each seed: the portfolio as the properties have it, and a wild one whose
 * amounts are up to 10^11 times as large, so that figures leave 64
 * bits, and some overflow; every third counts in dollars, where the rate is
 * not the inverse one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/performance/generate.h"

static int failed;

static void put(const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, stdout) != n) {
        perror("performance_dump");
        exit(1);
    }
}

/* Fields are written one by one where padding lies between them. */
static void put_results(const struct world *w)
{
    const struct perf_line *lines;
    const struct perf_position *positions;
    const struct perf_chart_point *points;
    const uint8_t *state;
    size_t n;

    n = performance_lines(w->performance, &lines);
    for (size_t i = 0; i < n; i++) {
        put(&lines[i].instrument, sizeof lines[i].instrument);
        put(&lines[i].contribution, sizeof lines[i].contribution);
    }
    n = performance_positions(w->performance, &positions);
    put(positions, n * sizeof *positions);
    n = performance_chart(w->performance, &points);
    for (size_t i = 0; i < n; i++) {
        put(&points[i].day, sizeof points[i].day);
        put(&points[i].value_minor, sizeof points[i].value_minor);
        put(&points[i].contributed_minor, sizeof points[i].contributed_minor);
    }
    state = performance_checkpoint(w->performance, &n);
    put(state, n);
}

static void dump(struct world *w)
{
    w->in.keep_day = FIRST + DAYS - 4;
    if (world_run(w)) {
        world_clear_padding(&w->summary);
        put(&w->summary, sizeof w->summary);
        put_results(w);
    } else {
        failed++;
        put(&w->fault, sizeof w->fault);
    }
    world_free(w);
}

static void enlarge(int64_t *v, int64_t times)
{
    if (!fixed_muldiv(*v, times, 1, v))
        *v = *v < 0 ? -INT64_MAX : INT64_MAX;
}

static struct world *larger(struct world *w, int64_t times)
{
    for (size_t i = 0; i < w->in.n_txs; i++) {
        enlarge(&w->txs[i].amount_e4, times);
        enlarge(&w->txs[i].fee_e4, times);
        enlarge(&w->txs[i].tax_e4, times);
        enlarge(&w->txs[i].quantity_e8, times);
    }
    return w;
}

int main(int argc, char **argv)
{
    int portfolios = argc > 1 ? atoi(argv[1]) : 10000;

    for (int seed = 1; seed <= portfolios; seed++) {
        struct world *wild = larger(generate_wild((uint64_t)seed), fixed_pow10(seed % 12));

        if (seed % 3 == 0)
            wild->in.base_currency = perf_currency("USD");
        dump(generate((uint64_t)seed));
        dump(wild);
    }
    fprintf(stderr, "%d portfolios, of which %d fail\n", 2 * portfolios, failed);
    return 0;
}
