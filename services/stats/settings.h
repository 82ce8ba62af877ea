/* What can be set: one row for each in settings.c, filled in before start. */
#ifndef FP_STATS_SETTINGS_H
#define FP_STATS_SETTINGS_H

#include "lib/config/config.h"
#include "services/stats/policy.h"

struct stats_settings {
    char *source_dsn;
    int64_t workers;
    char *users_from, *summaries_listen;
    int64_t bus_resolve_ms;
    char *bus_ca_file, *bus_cert_file, *bus_key_file;
    int64_t retry_for_ms;
    int64_t max_transactions;
    int64_t cache_periods, cache_mb;
    char *hold_back, *benchmarks;
    bool checkpoints;
    double verify_checkpoints; /* percent */
    int64_t checkpoint_months;
    struct stats_policy policy; /* made of these by settings_check() */
};

extern const struct config_setting settings_rows[];
extern const size_t settings_n_rows;

/* What one row cannot say: URLs, files that belong together, lists. */
int settings_check(struct stats_settings *s, struct fp_err *err) FP_MUST_CHECK;

#endif
