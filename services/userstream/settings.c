/*
 * The table of userstream's settings, beside those that every service has
 * (lib/service/settings.c: the ledger's DSN, query timeout, admin port, logs).
 * A default, its bounds and its help stand here and nowhere else.
 */
#include "services/userstream/settings.h"

#include "lib/bus/bus.h"
#include "lib/service/rows.h"
#include "lib/source/source.h"
#include "services/userstream/stream.h"

#define AT(field) offsetof(struct userstream_settings, field)

const struct config_setting settings_rows[] = {
    {"work-from", CONFIG_STRING, NULL, "tcp://127.0.0.1:7701", 1, 4096, NULL,
     "where the schedulers give out work; several separated by commas", AT(work_from)},
    {"users-listen", CONFIG_STRING, NULL, "tcp://0.0.0.0:7702", 1, 255, NULL,
     "where stats dials in for batches of users", AT(users_listen)},
    SERVICE_ROW_SOURCE_DSN(AT(source_dsn)),
    {"workers", CONFIG_INT, "threads", "2", 1, STREAM_MAX_WORKERS, NULL,
     "pages read at once; each has a connection to the ledger and one to the source", AT(workers)},
    SERVICE_ROW_AUDIENCE_MARGIN(AT(audience_margin_ms)),
    SERVICE_ROW_REDO_AFTER(AT(redo_after_ms)),
    {"send-wait", CONFIG_DURATION_MS, "ms", "5s", 100, 30000, NULL,
     "how long a batch waits for a stats that can take it, before it is left to redo", AT(send_wait_ms)},
    {"trace-every", CONFIG_INT, "batches", "10", 1, 1e6, NULL,
     "with --trace-endpoint: each nth batch has spans, here and in the services behind", AT(trace_every)},
    SERVICE_ROW_BUS_RESOLVE(AT(bus_resolve_ms)),
    SERVICE_ROWS_BUS_TLS(AT(bus_ca_file), AT(bus_cert_file), AT(bus_key_file)),
};
const size_t settings_n_rows = sizeof settings_rows / sizeof settings_rows[0];

int settings_check(void *values, struct fp_err *err)
{
    const struct userstream_settings *s = values;
    if (bus_check_urls(s->work_from, false, err) != 0)
        return err_prefix(err, "work-from");
    if (bus_check_urls(s->users_listen, true, err) != 0)
        return err_prefix(err, "users-listen");
    const struct bus_tls tls = {s->bus_ca_file, s->bus_cert_file, s->bus_key_file};
    return bus_check_tls(&tls, err) != 0 ? -1 : source_check_dsn(s->source_dsn, err);
}
