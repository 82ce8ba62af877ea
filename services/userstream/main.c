/* foliopost-userstream: reads users by keyset, writes each page as a batch into
 * the ledger, and sends the batches on to stats. DESIGN.md says how and why. */
#include "lib/service/service.h"
#include "services/userstream/settings.h"
#include "services/userstream/stream.h"

int main(int argc, char **argv)
{
    static struct userstream_settings settings;
    const struct service_def def = {
        .name = "userstream",
        .summary = "pages users into batches and sends them to stats",
        .settings = settings_rows,
        .n_settings = settings_n_rows,
        .values = &settings,
        .validate = settings_check,
        .start = stream_start,
        .drain = stream_drain,
        .drained = stream_drained,
        .stop = stream_stop,
        .ready = stream_ready,
    };
    return service_run(&def, argc, argv);
}
