/*
 * Portfolios built from bytes. A summary must be finite and close; what cannot
 * be computed must be a fault with a code; a run from a kept state must give
 * the figures of the whole one.
 */
#include <math.h>

#include "lib/performance/checkpoint.h"
#include "lib/performance/testing.h"
#include "tests/fuzz/fuzz.h"

#define FIRST    19786 /* 2024-03-04 */
#define MAX_TXS  40
#define KEEP_DAY 19782 /* 2024-02-29 */

static struct world *world;

static void read_market(struct bytes *b)
{
    static const char *const currencies[] = {"EUR", "USD", "JPY", "KWD"};
    int n = 1 + pick(b, 5);

    for (int i = 0; i < n; i++) {
        int a = world_instrument(world, currencies[pick(b, 4)]);

        for (int k = pick(b, 12); k > 0; k--)
            world_put(world->closes[a], &world->instruments[a].closes_e8.n, FIRST - 60 + pick(b, 95),
                      number_of(b));
        if (pick(b, 4) == 0) {
            world->splits[a][0] = (struct perf_split){FIRST - 60 + pick(b, 95), pick(b, 12), pick(b, 12)};
            world->instruments[a].n_splits = 1;
        }
    }
    world_rate(world, "EUR", "USD", "2023-12-01", "1.1");
    for (int k = pick(b, 8); k > 0; k--)
        world_put(world->rates[0], &world->pairs[0].rates_e10.n, FIRST - 60 + pick(b, 95), number_of(b));
    world_rate(world, "USD", "JPY", "2023-12-01", "150");
}

static void read_txs(struct bytes *b)
{
    static const char *const currencies[] = {"EUR", "USD", "JPY", "KWD", "XAU"};

    while (b->at < b->end && world->in.n_txs < MAX_TXS) {
        struct perf_tx *t = world_cash(world, "2024-01-01", PERF_DEPOSIT, "0", currencies[pick(b, 5)]);

        t->day = FIRST - 60 + pick(b, 95);
        t->type = pick(b, PERF_TYPES + 1);
        t->instrument = pick(b, (int)world->market.n_instruments + 2) - 1;
        t->account = pick(b, 3);
        t->quantity_e8 = number_of(b);
        t->price_e8 = pick(b, 2) ? number_of(b) : 0;
        t->amount_e4 = number_of(b);
        t->fee_e4 = pick(b, 3) ? 0 : number_of(b);
        t->tax_e4 = pick(b, 3) ? 0 : number_of(b);
    }
}

static void check_rate(const struct perf_rate *r)
{
    if (!r->defined && r->e8)
        BROKEN();
}

/* Those that have one add up to 100; none has one where nothing is worth anything. */
static void check_percentages(const struct perf_group *g, int n)
{
    int sum = 0, printed = 0;

    for (int i = 0; i < n; i++) {
        printed += !g[i].negative && g[i].value_minor > 0;
        sum += g[i].negative ? 0 : g[i].percent_e2;
    }
    if (printed && sum != 10000)
        BROKEN();
}

static void check_summary(const struct perf_summary *s)
{
    fp_i128 sum = (fp_i128)s->open_value_minor + s->net_contributions_minor + s->realised_minor;

    sum +=
        (fp_i128)s->unrealised_minor + s->income_minor - s->fees_minor - s->taxes_minor + s->currency_minor;
    if (s->closes && sum != s->close_value_minor)
        BROKEN();
    check_percentages(s->by_class, s->n_by_class);
    check_percentages(s->by_currency, s->n_by_currency);
    if (s->twr_defined && !isfinite(s->twr))
        BROKEN();
    for (int i = 0; i < PERF_SPANS; i++) {
        check_rate(&s->spans[i].twr);
        check_rate(&s->spans[i].mwr);
        check_rate(&s->spans[i].volatility);
        check_rate(&s->spans[i].max_drawdown);
    }
}

/* Finite, and the return they add up to, as exact as double is beside the
 * largest wealth on the way, which may be 9e10 for 1 at the start. */
static void check_lines(const struct perf_summary *s)
{
    const struct perf_line *lines;
    double sum = 0, size = 1;

    for (size_t n = performance_lines(world->performance, &lines); n > 0; n--) {
        if (!isfinite(lines[n - 1].contribution))
            BROKEN();
        sum += lines[n - 1].contribution;
        size += fabs(lines[n - 1].contribution);
    }
    if (s->twr_defined && fabs(sum - s->twr) > 1e-3 * size)
        BROKEN();
}

static void compare_from_state(struct perf_summary *whole)
{
    static uint8_t kept[CHECKPOINT_MAX_BYTES];
    size_t n = 0;
    const uint8_t *state = performance_checkpoint(world->performance, &n);

    if (!state)
        return;
    memcpy(kept, state, n);
    world->in.checkpoint = kept;
    world->in.n_checkpoint = n;
    n = 0;
    for (size_t i = 0; i < world->in.n_txs; i++)
        if (world->txs[i].day > KEEP_DAY)
            world->txs[n++] = world->txs[i];
    world->in.n_txs = n;
    if (!world_run(world))
        BROKEN();
    world_clear_padding(whole);
    world_clear_padding(&world->summary);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): no padding is left in either */
    if (memcmp(&world->summary, whole, sizeof *whole) != 0)
        BROKEN();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    struct perf_summary whole;

    world = world_new("EUR", "2024-03-04", "2024-04-03");
    world->in.carry_prices = pick(&b, 2);
    world->in.keep_day = KEEP_DAY;
    read_market(&b);
    read_txs(&b);
    if (world_run(world)) {
        whole = world->summary;
        check_summary(&whole);
        check_lines(&whole);
        compare_from_state(&whole);
    } else if (!world->fault.reason[0]) {
        BROKEN();
    }
    world_free(world);
    return 0;
}
