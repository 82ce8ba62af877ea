/* foliopost-inbound: takes unsubscriptions, bounces and complaints from the
 * world and writes them into the ledger. DESIGN.md says how and why. */
#include "services/mailer/inbound/inbound.h"

#define TICK_MS 1000 /* slow connections */

int main(int argc, char **argv)
{
    static struct inbound_settings settings;
    const struct service_def def = {
        .name = "inbound",
        .summary = "takes unsubscriptions, bounces and complaints, and records them",
        .settings = inbound_rows,
        .n_settings = inbound_n_rows,
        .values = &settings,
        .validate = inbound_settings_check,
        .start = inbound_start,
        .tick = inbound_tick,
        .tick_ms = TICK_MS,
        .drain = inbound_drain,
        .drained = inbound_drained,
        .stop = inbound_stop,
        .ready = inbound_ready,
    };
    return service_run(&def, argc, argv);
}
