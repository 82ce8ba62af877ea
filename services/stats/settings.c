/*
 * The table of stats' settings. A default, its bounds and its help stand here
 * and nowhere else; --help and the docs are printed from it. What every service
 * has (ledger-dsn, db-query-timeout, admin-listen, ...) is in lib/service; the
 * time limits there also hold for the source's connections.
 */
#include "services/stats/settings.h"

#include <stddef.h>

#include "lib/bus/bus.h"
#include "lib/service/rows.h"
#include "lib/source/source.h"

#define AT(field) offsetof(struct stats_settings, field)

const struct config_setting settings_rows[] = {
    SERVICE_ROW_SOURCE_DSN(AT(source_dsn)),
    {"workers", CONFIG_INT, "threads", "2", 1, 16, NULL,
     "batches computed at once; each worker has a connection to the source and one to the ledger",
     AT(workers)},
    {"users-from", CONFIG_STRING, NULL, "tcp://127.0.0.1:7702", 1, 1024, NULL,
     "userstreams to pull batches from: tcp://HOST:PORT, several by commas", AT(users_from)},
    {"summaries-listen", CONFIG_STRING, NULL, "tcp://0.0.0.0:7703", 1, 255, NULL,
     "where mailers dial in for summaries", AT(summaries_listen)},
    SERVICE_ROW_BUS_RESOLVE(AT(bus_resolve_ms)),
    SERVICE_ROWS_BUS_TLS(AT(bus_ca_file), AT(bus_cert_file), AT(bus_key_file)),
    {"retry-for", CONFIG_DURATION_MS, "ms", "60s", 0, 3600000, NULL,
     "how long a batch is kept while the source or the mailers are away; then it is left to the ledger's "
     "redo",
     AT(retry_for_ms)},
    {"max-transactions", CONFIG_INT, "rows", "50000", 100, 1000000, NULL,
     "transactions read at once; above that the users of the batch are computed one by one, and one user "
     "with "
     "more fails. A row takes some 300 bytes for a moment",
     AT(max_transactions)},
    {"cache-periods", CONFIG_INT, NULL, "64", 1, 256, NULL,
     "periods whose prices and rates are kept in memory, one or two for each job at once", AT(cache_periods)},
    {"cache-mb", CONFIG_INT, "MiB", "24", 1, 4096, NULL,
     "memory of all of them; what several periods have in common counts once. Too little for one, and each batch "
     "loads its prices anew",
     AT(cache_mb)},
    {"hold-back", CONFIG_STRING, NULL, "suspect-day,suspected-split,suspect-price", 0, 255, NULL,
     "remarks that keep a summary from being mailed, by commas: suspect-day, suspected-split, suspect-price, "
     "not-priced, stale-price, price-after, no-capital, negative-value, short-position, in-transit; or none. Its user "
     "fails with that reason",
     AT(hold_back)},
    {"benchmarks", CONFIG_STRING, NULL, "", 0, 1024, NULL,
     "total-return indexes to compare with, by base currency: EUR=4711,USD=4712,*=4713 (ids of "
     "portfolio.instruments); empty: none",
     AT(benchmarks)},
    {"checkpoints", CONFIG_BOOL, NULL, "true", 0, 0, NULL,
     "keep each user's portfolio at the end of the month in foliopost.checkpoints, so that the next run reads "
     "one month and not a life",
     AT(checkpoints)},
    {"verify-checkpoints", CONFIG_DOUBLE, "%", "0.1", 0, 100, NULL,
     "share of users with a checkpoint who are computed from their first transaction too; where the two "
     "differ, the checkpoint is deleted",
     AT(verify_checkpoints)},
    {"checkpoint-months", CONFIG_INT, "months", "3", 1, 120, NULL, "checkpoints kept for each user",
     AT(checkpoint_months)},
};
const size_t settings_n_rows = sizeof settings_rows / sizeof settings_rows[0];

int settings_check(struct stats_settings *s, struct fp_err *err)
{
    const struct bus_tls tls = {s->bus_ca_file, s->bus_cert_file, s->bus_key_file};

    if (policy_parse(&s->policy, s->hold_back, s->benchmarks, err))
        return -1;
    if (bus_check_urls(s->users_from, false, err))
        return err_prefix(err, "users-from");
    if (bus_check_urls(s->summaries_listen, true, err))
        return err_prefix(err, "summaries-listen");
    return bus_check_tls(&tls, err) ? -1 : source_check_dsn(s->source_dsn, err);
}
