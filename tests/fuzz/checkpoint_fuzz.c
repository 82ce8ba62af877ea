/* A checkpoint from the database is refused, or computed with: never more. */
#include "lib/performance/checkpoint.h"
#include "lib/performance/testing.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct perf_checkpoint_info info;
    struct world *w = world_new("EUR", "2024-03-01", "2024-03-31");
    int64_t ids[4];

    for (int i = 0; i < 2; i++) {
        int a = world_instrument(w, i ? "USD" : "EUR");

        world_close(w, a, "2024-02-01", "100");
        world_close(w, a, "2024-03-15", "110");
    }
    world_split(w, 0, "2024-03-10", 2, 1);
    world_rate(w, "EUR", "USD", "2024-01-01", "1.1");
    world_cash(w, "2024-03-05", PERF_DEPOSIT, "1000", "EUR");
    world_trade(w, "2024-03-06", PERF_SELL, 0, "3", "300", "EUR");
    w->in.checkpoint = data;
    w->in.n_checkpoint = size;
    w->in.keep_day = w->in.period_end;
    checkpoint_info(data, size, &info);
    checkpoint_instruments(data, size, ids, 4);
    if (size && !world_run(w) && !w->fault.reason[0])
        BROKEN();
    world_free(w);
    return 0;
}
