/* Three loads, one after the other: transactions tell the days and the
 * instruments, these the market. */
#include "services/stats/life.h"

#include <stdlib.h>

#include "lib/base/mem.h"

static int32_t first_day(const struct life *l, const struct life_ask *ask)
{
    int32_t day = ask->period.start;

    for (size_t i = 0; i < l->txs.n_txs; i++)
        if (l->txs.txs[i].day < day)
            day = l->txs.txs[i].day;
    return day;
}

static int load_market(struct life *l, struct fp_source *s, const struct portfolio_period *days,
                       struct fp_err *err)
{
    size_t n = l->txs.n_instruments;

    l->loaded = mem_array(n + 1, sizeof *l->loaded);
    l->data = mem_array(n + 1, sizeof *l->data);
    l->instruments = mem_array(n + 1, sizeof *l->instruments);
    if (n && portfolio_instruments_load(s, days, l->txs.instrument_ids, n, l->loaded, err))
        return -1;
    if (portfolio_rates_load(s, days, &l->rates, err))
        return -1;
    for (size_t i = 0; i < n; i++) {
        l->instruments[i] = l->loaded[i];
        l->data[i] = l->loaded[i]->known ? &l->loaded[i]->data : NULL;
    }
    l->market = (struct perf_market){.instruments = l->data,
                                     .instrument_ids = l->txs.instrument_ids,
                                     .n_instruments = n,
                                     .pairs = l->rates.pairs,
                                     .n_pairs = l->rates.n_pairs};
    return 0;
}

int life_open(struct life *l, struct fp_source *s, const struct life_ask *ask, struct fp_err *err)
{
    struct portfolio_period days = ask->period;

    *l = (struct life){0};
    const struct portfolio_ask all = {&ask->user_id, 1, ask->max_txs, PORTFOLIO_ALL};

    if (portfolio_txs_load(s, &ask->period, &all, &l->txs, err))
        return -1;
    if (l->txs.users[0].reason[0])
        return err_set(err, FP_FAILED_PRECONDITION, "user %lld: %s: %s", (long long)ask->user_id,
                       l->txs.users[0].reason, l->txs.users[0].detail);
    if (ask->benchmark_id)
        portfolio_txs_also(&l->txs, &ask->benchmark_id, 1);
    days.start = first_day(l, ask);
    if (load_market(l, s, &days, err))
        return -1;
    l->in = (struct perf_input){.market = &l->market,
                                .txs = l->txs.txs,
                                .n_txs = l->txs.n_txs,
                                .base_currency = ask->base_currency,
                                .period_start = ask->period.start,
                                .period_end = ask->period.end,
                                .benchmark_id = ask->benchmark_id,
                                .keep_day = INT32_MIN};
    return 0;
}

void life_close(struct life *l)
{
    for (size_t i = 0; l->loaded && i < l->txs.n_instruments; i++)
        mem_free(l->loaded[i]);
    mem_free(l->loaded);
    mem_free(l->data);
    mem_free(l->instruments);
    portfolio_rates_fini(&l->rates);
    portfolio_txs_fini(&l->txs);
    *l = (struct life){0};
}
