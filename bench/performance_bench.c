/*
 * CPU of one summary, library only: 15 holdings, 31 days, 20 transactions; from
 * the first transaction on, and from a checkpoint that is kept anew each time.
 *
 *   performance_bench [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/performance/checkpoint.h"
#include "lib/performance/generate.h"

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* The best of ten parts: what else the machine does only ever adds. script/instructions
 * counts what is done in it. */
__attribute__((noinline)) static double best_us(struct world *w, int rounds)
{
    double best = 1e30;

    for (int part = 0; part < 10; part++) {
        const int of_part = rounds / 10;
        double begin = cpu_us(), each;

        for (int i = 0; i < of_part; i++)
            if (!world_run(w))
                fp_panic("%s: %s", w->fault.reason, w->fault.detail);
        each = (cpu_us() - begin) / of_part;
        best = each < best ? each : best;
    }
    return best;
}

static void take_up_from(struct world *w, int32_t day, uint8_t *bytes)
{
    size_t n = 0, left = 0;
    const uint8_t *state;

    w->in.keep_day = day;
    if (!world_run(w) || !(state = performance_checkpoint(w->performance, &n)))
        fp_panic("no state of day %d", day);
    memcpy(bytes, state, n);
    for (size_t i = 0; i < w->in.n_txs; i++)
        if (w->txs[i].day > day)
            w->txs[left++] = w->txs[i];
    w->in.n_txs = left;
    w->in.checkpoint = bytes;
    w->in.n_checkpoint = n;
    w->in.keep_day = w->in.period_end;
}

int main(int argc, char **argv)
{
    static uint8_t bytes[CHECKPOINT_MAX_BYTES];
    int rounds = argc > 1 ? atoi(argv[1]) : 50000;
    struct world *w = generate_usual();

    if (rounds < 10) {
        fprintf(stderr, "usage: performance_bench [ROUNDS, at least 10]\n");
        return 2;
    }
    w->in.keep_day = INT32_MIN;
    printf("from the first transaction: %6.1f us\n", best_us(w, rounds));
    take_up_from(w, FIRST - 1, bytes);
    printf("from a checkpoint:          %6.1f us, with the next one kept\n", best_us(w, rounds));
    world_free(w);
    return 0;
}
