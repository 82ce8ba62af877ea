/*
 * Writes states of the present version for the corpus of checkpoint_fuzz.c, whose market they are
 * of: checkpoint_seeds FOLDER. script/fuzz --renew takes what they and a search from them reach.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/performance/checkpoint.h"
#include "lib/performance/generate.h"
#include "tests/fuzz/checkpoint_world.h"

#define LIVES 200

/* What the draws of generate.h have not: no close, a close that comes later, shares on their way. */
static void add_uncommon(struct world *w, struct random *r)
{
    static const char *const days[] = {"2023-12-05", "2024-02-26", STATE_DAY};
    const char *day = days[between(r, 0, 2)];
    int i = (int)between(r, IN_EUR, LISTED_LATER);

    world_trade(w, "2023-11-20", PERF_BUY, i, "7.5", "-750", "EUR")->account = 1;
    switch (between(r, 0, 4)) {
    case 0:
        world_trade(w, day, PERF_SELL, i, "3", "333.33", "EUR")->account = 2;
        break;
    case 1:
        world_trade(w, day, PERF_TRANSFER_OUT, i, "2", "0", "EUR")->account = 1;
        break;
    case 3: /* sold on its way: its arrival is owed */
        world_trade(w, STATE_DAY, PERF_TRANSFER_OUT, i, "7", "0", "EUR")->account = 1;
        world_trade(w, STATE_DAY, PERF_SELL, i, "3", "333.33", "EUR")->account = 1;
        break;
    case 2: /* booked in before it is booked out */
        world_trade(w, day, PERF_TRANSFER_IN, i, "2", "0", "EUR")->account = 2;
        break;
    default:
        world_trade(w, day, PERF_BUY, i, "2", "-20", "USD")->price_e8 = FP_E8 * 10;
    }
}

static void live(struct world *w, struct random *r)
{
    const int32_t end = world_day(STATE_DAY), begin = end - (int32_t)between(r, 0, WILD_DAYS);

    if (between(r, 0, 3))
        world_cash(w, "2023-10-02", PERF_DEPOSIT, "5000", "EUR");
    for (int64_t k = between(r, 0, 9); k > 0; k--) {
        int32_t day = begin + (int32_t)between(r, 0, end - begin);

        if (between(r, 0, 2))
            share_event(w, r, day, (int)between(r, IN_EUR, IN_USD));
        else
            cash_event(w, r, day);
    }
    for (int64_t k = between(r, 0, 2); k > 0; k--)
        add_uncommon(w, r);
    if (!between(r, 0, 2))
        w->in.benchmark_id = w->ids[IN_USD];
}

static bool write_state(const char *folder, int number, const uint8_t *state, size_t n)
{
    char path[4096];
    FILE *f;
    bool written;

    snprintf(path, sizeof path, "%s/state-%d", folder, number);
    if (!(f = fopen(path, "wb")))
        return false;
    written = fwrite(state, 1, n, f) == n;
    return fclose(f) == 0 && written;
}

int main(int argc, char **argv)
{
    int written = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: checkpoint_seeds FOLDER\n");
        return 2;
    }
    for (int seed = 1; seed <= LIVES; seed++) {
        struct random r = {(uint64_t)seed};
        struct world *w = checkpoint_world();
        const uint8_t *state;
        size_t n;

        live(w, &r);
        w->in.keep_day = world_day(STATE_DAY);
        state = world_run(w) ? performance_checkpoint(w->performance, &n) : NULL;
        if (state && !write_state(argv[1], seed, state, n)) {
            perror(argv[1]);
            return 1;
        }
        written += state != NULL;
        world_free(w);
    }
    fprintf(stderr, "checkpoint_seeds: %d states of version %d\n", written, CHECKPOINT_VERSION);
    return written < LIVES / 2;
}
