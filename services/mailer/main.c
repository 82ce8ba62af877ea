/* foliopost-mailer: claims batches, renders and sends their mails, and writes
 * every outcome into the ledger. DESIGN.md says how and why. */
#include "services/mailer/mailer.h"
#include "services/mailer/settings.h"

#define TICK_MS 1000 /* gauges */

int main(int argc, char **argv)
{
    static struct mailer_settings settings;
    const struct service_def def = {
        .name = "mailer",
        .summary = "claims batches of summaries, sends the mails and records every outcome",
        .settings = mailer_settings_rows,
        .n_settings = mailer_settings_n_rows,
        .values = &settings,
        .validate = mailer_settings_check,
        .start = mailer_start,
        .tick = mailer_tick,
        .tick_ms = TICK_MS,
        .drain = mailer_drain,
        .drained = mailer_drained,
        .stop = mailer_stop,
        .ready = mailer_ready,
    };
    return service_run(&def, argc, argv);
}
