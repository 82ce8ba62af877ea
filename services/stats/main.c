/*
 * foliopost-stats: batches of users in, batches of summaries out.
 *
 * Its settings, its callbacks and one call; see DESIGN.md. The periodic work
 * is in workers_tick(): gauges.
 */
#include "lib/metrics/metrics.h"
#include "services/stats/settings.h"
#include "services/stats/worker.h"

/* Gauges of /metrics; a scrape is seldom more often than 5 s. */
#define TICK_MS 2000

struct stats {
    struct stats_settings set; /* first: the table's offsets are in it */
    struct fp_workers *workers;
};

static int validate(void *values, struct fp_err *err)
{
    return settings_check(&((struct stats *)values)->set, err);
}

static int start(struct fp_service *s, void *values, struct fp_err *err)
{
    struct stats *stats = values;

    metrics_add("foliopost_stats_checkpoints_wrong_total", "", 0); /* an alert waits for its first one */
    stats->workers = workers_start(s, &stats->set, err);
    return stats->workers ? 0 : -1;
}

static void tick(struct fp_service *s, void *values)
{
    (void)s;
    workers_tick(((struct stats *)values)->workers);
}

static void drain(struct fp_service *s, void *values)
{
    (void)s;
    workers_drain(((struct stats *)values)->workers);
}

static bool drained(struct fp_service *s, void *values)
{
    (void)s;
    return workers_drained(((struct stats *)values)->workers);
}

static void stop(struct fp_service *s, void *values)
{
    (void)s;
    workers_stop(((struct stats *)values)->workers);
}

static bool ready(struct fp_service *s, void *values, struct fp_str *why_not)
{
    (void)s;
    return workers_ready(((struct stats *)values)->workers, why_not);
}

int main(int argc, char **argv)
{
    static struct stats stats;
    struct service_def def = {
        .name = "stats",
        .summary = "computes each user's portfolio summary",
        .settings = settings_rows,
        .n_settings = settings_n_rows,
        .values = &stats,
        .validate = validate,
        .start = start,
        .tick = tick,
        .tick_ms = TICK_MS,
        .drain = drain,
        .drained = drained,
        .stop = stop,
        .ready = ready,
    };

    return service_run(&def, argc, argv);
}
