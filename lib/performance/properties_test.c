/*
 * Laws that hold for any portfolio, tried on generated ones: the calm ones never
 * go short, so that each has a return; the wild ones go through everything.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/performance/checkpoint.h"
#include "lib/performance/generate.h"

#define PORTFOLIOS 10000 /* for each law */

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

static void contributions_sum_to_the_return(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        const struct perf_line *lines;
        double sum = 0;
        size_t n;

        run(w, seed);
        n = performance_lines(w->performance, &lines);
        for (size_t i = 0; i < n; i++)
            sum += lines[i].contribution;
        assert_near(sum, w->summary.twr, 1e-12);
        world_free(w);
    }
}

static void two_parts_link_to_the_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary whole, first;
        int32_t end = w->in.period_end;

        run(w, seed);
        whole = w->summary;
        w->in.period_end = FIRST + (int32_t)(seed % (DAYS - 1));
        run(w, seed);
        first = w->summary;
        w->in.period_start = w->in.period_end + 1;
        w->in.period_end = end;
        run(w, seed);
        assert_near((1 + first.twr) * (1 + w->summary.twr) - 1, whole.twr, 1e-12);
        assert_int_equal(first.close_value_minor, w->summary.open_value_minor);
        assert_int_equal(whole.gain_minor - first.gain_minor - w->summary.gain_minor > 1 ||
                             whole.gain_minor - first.gain_minor - w->summary.gain_minor < -1,
                         0); /* three roundings of contributions */
        world_free(w);
    }
}

static void a_flow_at_flat_prices_leaves_the_return_unchanged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct random r = {seed ^ 77};
        int32_t flat = FIRST + (int32_t)(seed % DAYS);

        /* From `flat` on nothing moves any more. */
        for (size_t i = 0; i < w->market.n_instruments; i++)
            while (w->closes[i][w->instruments[i].closes_e8.n - 1].day > flat)
                w->instruments[i].closes_e8.n--;
        while (w->rates[0][w->pairs[0].rates_e10.n - 1].day > flat)
            w->pairs[0].rates_e10.n--;
        for (size_t i = 0; i < w->in.n_txs; i++)
            if (w->txs[i].day > flat)
                w->txs[i].day = flat;
        run(w, seed);
        struct perf_summary before = w->summary;
        int32_t day = flat + 1;

        if (day > w->in.period_end) {
            world_free(w);
            continue;
        }
        add(w, day, PERF_DEPOSIT, -1, "USD")->amount_e4 = between(&r, 1, 90000000);
        add(w, day, PERF_WITHDRAWAL, -1, "EUR")->amount_e4 = -between(&r, 1, 1000000);
        add(w, day, PERF_DELIVERY_IN, 0, "EUR")->quantity_e8 = between(&r, 1, 1000000000);
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-12);
        assert_int_equal(w->summary.gain_minor - before.gain_minor <= 1 &&
                             w->summary.gain_minor >= before.gain_minor - 1,
                         1);
        world_free(w);
    }
}

static void a_split_leaves_value_and_return_unchanged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary before;
        int32_t day = FIRST - 5 + (int32_t)(seed % (DAYS + 5));
        int ratio = 2 + (int)(seed % 9);

        run(w, seed);
        before = w->summary;
        /* Closes that divide, so that only a fault can make a difference. */
        for (size_t k = 0; k < w->instruments[0].closes_e8.n; k++)
            w->closes[0][k].value -= w->closes[0][k].value % 2520; /* by 2 to 10 */
        run(w, seed);
        before = w->summary;
        for (size_t k = 0; k < w->instruments[0].closes_e8.n; k++)
            if (w->closes[0][k].day >= day)
                w->closes[0][k].value /= ratio;
        for (size_t k = 0; k < w->in.n_txs; k++)
            if (w->txs[k].instrument == 0 && w->txs[k].day >= day) {
                w->txs[k].quantity_e8 *= ratio;
                w->txs[k].price_e8 /= ratio;
            }
        w->splits[0][0] = (struct perf_split){day, ratio, 1};
        w->instruments[0].n_splits = 1;
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-12);
        assert_int_equal(w->summary.open_value_minor, before.open_value_minor);
        assert_int_equal(w->summary.close_value_minor, before.close_value_minor);
        assert_int_equal(w->summary.net_contributions_minor, before.net_contributions_minor);
        assert_int_equal(w->summary.holdings, before.holdings);
        assert_near(w->summary.cost_fifo_minor, before.cost_fifo_minor, 0);
        assert_near(w->summary.cost_average_minor, before.cost_average_minor, 0);
        assert_near(w->summary.realised_fifo_minor, before.realised_fifo_minor, 1);
        assert_near(w->summary.realised_minor, before.realised_minor, 1);
        world_free(w);
    }
}

static void all_money_ten_times_is_ten_times_the_gain(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed);
        struct perf_summary before;

        run(w, seed);
        before = w->summary;
        for (size_t i = 0; i < w->in.n_txs; i++) {
            w->txs[i].quantity_e8 *= 10;
            w->txs[i].amount_e4 *= 10;
            w->txs[i].fee_e4 *= 10;
        }
        run(w, seed);
        assert_near(w->summary.twr, before.twr, 1e-10); /* lines are rounded at 1e-8 */
        assert_near(w->summary.gain_minor, before.gain_minor * 10, 20);
        world_free(w);
    }
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate(seed), *other = generate(seed + 1);
        struct perf_summary before;

        run(w, seed);
        before = w->summary;
        for (size_t i = 0; i < w->in.n_txs / 2; i++) { /* also when it comes in another order */
            struct perf_tx t = w->txs[i];

            w->txs[i] = w->txs[w->in.n_txs - 1 - i];
            w->txs[w->in.n_txs - 1 - i] = t;
        }
        run(other, seed);
        performance_free(w->performance);
        w->performance = other->performance; /* and after another user */
        other->performance = NULL;
        run(w, seed);
        world_clear_padding(&before);
        world_clear_padding(&w->summary);
        if (memcmp(&before, &w->summary, sizeof before) != 0)
            fail_msg("seed %llu: other bytes", (unsigned long long)seed);
        world_free(w);
        world_free(other);
    }
}

/* --- of any portfolio, however wild -------------------------------------------------------- */

static bool run_wild(struct world *w, uint64_t seed)
{
    w->in.keep_day = FIRST + DAYS - 4; /* 2024-03-31 */
    if (!world_run(w))
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, w->fault.reason, w->fault.detail);
    return w->summary.twr_defined;
}

static void the_statement_closes(void **state)
{
    (void)state;
    int with_return = 0, short_ones = 0, in_transit = 0;

    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate_wild(seed);
        const struct perf_summary *s = &w->summary;

        with_return += run_wild(w, seed);
        short_ones += (s->flags & PERF_SHORT_POSITION) != 0;
        in_transit += (s->flags & PERF_IN_TRANSIT) != 0;
        if (!s->closes)
            fail_msg("seed %llu: residual %lld", (unsigned long long)seed, (long long)s->residual_e8);
        assert_near(s->residual_e8, 0, 1000); /* units of 1e-8: far inside the tolerance */
        assert_int_equal(s->open_value_minor + s->net_contributions_minor + s->realised_minor +
                             s->unrealised_minor + s->income_minor - s->fees_minor - s->taxes_minor +
                             s->currency_minor,
                         s->close_value_minor);
        assert_int_equal(s->open_value_minor + s->net_contributions_minor + s->gain_minor,
                         s->close_value_minor);
        world_free(w);
    }
    print_message("with a return: %d, short: %d, in transit: %d\n", with_return, short_ones, in_transit);
    assert_true(with_return > PORTFOLIOS / 4 && short_ones > PORTFOLIOS / 20 &&
                in_transit > PORTFOLIOS / 100);
}

static void is_finite(uint64_t seed, const struct perf_rate *r)
{
    if (r->defined && (r->e8 > INT64_C(9000000000000000000) || r->e8 < -INT64_C(9000000000000000000)))
        fail_msg("seed %llu: a rate of %lld", (unsigned long long)seed, (long long)r->e8);
}

static void percentages_add_up(uint64_t seed, const struct perf_group *g, int n)
{
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += g[i].percent_e2;
    if (sum != 0)
        assert_near(sum, 10000, 0);
}

/* What is defined is finite; the parts of the return are the return; allocations are 100.00 %. */
static void figures_are_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate_wild(seed);
        const struct perf_line *lines;
        double sum = 0, all = 0;

        if (run_wild(w, seed)) {
            for (size_t n = performance_lines(w->performance, &lines); n > 0; n--) {
                sum += lines[n - 1].contribution;
                all += fabs(lines[n - 1].contribution);
            }
            assert_near(sum, w->summary.twr, 1e-12 * (1 + all));
        }
        for (int i = 0; i < PERF_SPANS; i++) {
            is_finite(seed, &w->summary.spans[i].twr);
            is_finite(seed, &w->summary.spans[i].mwr_annual);
            is_finite(seed, &w->summary.spans[i].volatility);
        }
        percentages_add_up(seed, w->summary.by_class, w->summary.n_by_class);
        percentages_add_up(seed, w->summary.by_currency, w->summary.n_by_currency);
        world_free(w);
    }
}

/* The transactions up to the day go into a state, and are left out. */
static bool begin_with_a_state(struct world *w, int32_t day, uint8_t *bytes)
{
    const uint8_t *state;
    size_t n = 0, bytes_n;

    w->in.keep_day = day;
    if (!world_run(w) || !(state = performance_checkpoint(w->performance, &bytes_n)))
        return false;
    memcpy(bytes, state, bytes_n);
    for (size_t i = 0; i < w->in.n_txs; i++)
        if (w->txs[i].day > day)
            w->txs[n++] = w->txs[i];
    w->in.n_txs = n;
    w->in.checkpoint = bytes;
    w->in.n_checkpoint = bytes_n;
    return true;
}

static void a_run_from_a_checkpoint_gives_the_same_bytes(void **state)
{
    (void)state;
    static const int32_t ends[] = {19691, 19722, 19753, 19782}; /* of November to February */
    uint8_t *bytes = mem_alloc(CHECKPOINT_MAX_BYTES), *later = mem_alloc(CHECKPOINT_MAX_BYTES);
    int taken_up = 0;

    for (uint64_t seed = 1; seed <= PORTFOLIOS; seed++) {
        struct world *w = generate_wild(seed);
        /* half of them at the end of a month, where nothing can be open */
        int32_t day = seed % 2 ? ends[seed / 2 % 4] : FIRST - 1 - (int32_t)(seed % (WILD_DAYS - 10));
        struct perf_summary whole;
        const uint8_t *next_state;
        size_t n, n_later;

        run_wild(w, seed);
        whole = w->summary;
        next_state = performance_checkpoint(w->performance, &n_later);
        memcpy(later, next_state, n_later);
        if (!begin_with_a_state(w, day, bytes)) {
            world_free(w); /* its life begins later, or a sub-period is open */
            continue;
        }
        taken_up++;
        run_wild(w, seed);
        world_clear_padding(&whole);
        world_clear_padding(&w->summary);
        if (memcmp(&whole, &w->summary, sizeof whole) != 0)
            fail_msg("seed %llu: another summary from the state of day %d", (unsigned long long)seed, day);
        next_state = performance_checkpoint(w->performance, &n);
        if (n != n_later || memcmp(next_state, later, n) != 0)
            fail_msg("seed %llu: another next state", (unsigned long long)seed);
        world_free(w);
    }
    print_message("from a state: %d\n", taken_up);
    assert_true(taken_up > PORTFOLIOS * 9 / 10);
    mem_free(bytes);
    mem_free(later);
}

/* FNV-1a of what 500 lives leave behind. */
static uint64_t hash_of_states(void)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct world *w = generate_wild(seed);
        const uint8_t *state;
        size_t n = 0;

        run_wild(w, seed);
        state = performance_checkpoint(w->performance, &n);
        for (size_t i = 0; state && i < n; i++)
            hash = (hash ^ state[i]) * UINT64_C(0x100000001b3);
        world_free(w);
    }
    return hash;
}

/* States that stand in databases are read as long as their version is ours. Whoever changes what
 * goes into them, or how it is computed or written, counts CHECKPOINT_VERSION up, so that they are
 * made anew, and then changes this figure. */
static void the_states_are_those_of_this_version(void **state)
{
    (void)state;
    static const struct {
        int version;
        uint64_t hash;
    } known = {8, UINT64_C(0x0b7cbe7beba9d791)};
    uint64_t hash = hash_of_states();

    if (CHECKPOINT_VERSION != known.version || hash != known.hash)
        fail_msg("states of version %d hash to 0x%016llx: see the comment here", CHECKPOINT_VERSION,
                 (unsigned long long)hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contributions_sum_to_the_return),
        cmocka_unit_test(two_parts_link_to_the_whole),
        cmocka_unit_test(a_flow_at_flat_prices_leaves_the_return_unchanged),
        cmocka_unit_test(a_split_leaves_value_and_return_unchanged),
        cmocka_unit_test(all_money_ten_times_is_ten_times_the_gain),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(the_statement_closes),
        cmocka_unit_test(figures_are_whole),
        cmocka_unit_test(a_run_from_a_checkpoint_gives_the_same_bytes),
        cmocka_unit_test(the_states_are_those_of_this_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
