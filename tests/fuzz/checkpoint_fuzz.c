/* A checkpoint from the database is refused, or computed with: never more. */
#include "lib/performance/checkpoint.h"
#include "tests/fuzz/checkpoint_world.h"
#include "tests/fuzz/fuzz.h"

static void move(struct world *w, const char *day, enum perf_type type, int64_t account)
{
    world_trade(w, day, type, IN_USD, "2", "0", "USD")->account = account;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct perf_checkpoint_info info;
    struct world *w = checkpoint_world();
    int64_t ids[4];

    world_cash(w, "2024-03-05", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-03-06", PERF_SELL, IN_EUR, "3", "300", "EUR");
    move(w, "2024-03-07", PERF_TRANSFER_IN, 2);
    move(w, "2024-03-12", PERF_TRANSFER_OUT, 1);
    world_trade(w, "2024-03-12", PERF_BUY, UNPRICED, "3", "-50", "EUR");
    w->in.checkpoint = data;
    w->in.n_checkpoint = size;
    w->in.keep_day = w->in.period_end;
    if (checkpoint_info(data, size, &info))
        w->in.benchmark_id = info.benchmark_id; /* another's state is refused before it is read */
    checkpoint_instruments(data, size, ids, 4);
    if (size && !world_run(w) && !w->fault.reason[0])
        BROKEN();
    world_free(w);
    return 0;
}
