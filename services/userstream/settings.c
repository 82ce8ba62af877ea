/*
 * The table of userstream's settings, beside those that every service has
 * (lib/service/settings.c: the ledger's DSN, query timeout, admin port, logs).
 * A default, its bounds and its help stand here and nowhere else.
 */
#include "services/userstream/settings.h"

#include "lib/bus/bus.h"
#include "services/userstream/stream.h"

#define AT(field) offsetof(struct userstream_settings, field)

const struct config_setting settings_rows[] = {
    {"work-from", CONFIG_STRING, NULL, "tcp://127.0.0.1:7701", 1, 4096, NULL,
     "where the schedulers give out work; several separated by commas", AT(work_from)},
    {"users-listen", CONFIG_STRING, NULL, "tcp://0.0.0.0:7702", 1, 255, NULL,
     "where stats dials in for batches of users", AT(users_listen)},
    {"source-dsn", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "PostgreSQL with schema portfolio; empty: the ledger's database", AT(source_dsn)},
    {"workers", CONFIG_INT, "threads", "2", 1, STREAM_MAX_WORKERS, NULL,
     "pages read at once; each has a connection to the ledger and one to the source", AT(workers)},
    {"redo-after", CONFIG_DURATION_MS, "ms", "30s", 1000, 3600000, NULL,
     "a batch nobody claimed by then is sent down the pipeline again", AT(redo_after_ms)},
    {"send-wait", CONFIG_DURATION_MS, "ms", "5s", 100, 30000, NULL,
     "how long a batch waits for a stats that can take it, before it is left to redo", AT(send_wait_ms)},
    {"bus-resolve", CONFIG_DURATION_MS, "ms", "5s", 500, 600000, NULL,
     "the names in work-from are looked up again this often", AT(resolve_every_ms)},
    {"bus-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "CA of the bus's certificates; empty: plain tcp",
     AT(bus_ca_file)},
    {"bus-cert-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "this process's certificate on the bus",
     AT(bus_cert_file)},
    {"bus-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL, "the certificate's key", AT(bus_key_file)},
};
const size_t settings_n_rows = sizeof settings_rows / sizeof settings_rows[0];

static int check_dsn(const char *dsn, struct fp_err *err)
{
    struct fp_pg *pg = pg_new(&(struct pg_options){.dsn = dsn}, err);
    if (pg == NULL)
        return err_prefix(err, "source-dsn");
    pg_free(pg);
    return 0;
}

int settings_check(void *values, struct fp_err *err)
{
    const struct userstream_settings *s = values;
    if (bus_check_urls(s->work_from, false, err) != 0)
        return err_prefix(err, "work-from");
    if (bus_check_urls(s->users_listen, true, err) != 0)
        return err_prefix(err, "users-listen");
    if (check_dsn(s->source_dsn, err) != 0)
        return -1;
    int files = (s->bus_ca_file[0] != '\0') + (s->bus_cert_file[0] != '\0') + (s->bus_key_file[0] != '\0');
    if (files != 0 && files != 3) {
        return err_set(err, FP_INVALID_ARGUMENT,
                       "bus-ca-file, bus-cert-file and bus-key-file: give all three, or none for plain tcp");
    }
    return 0;
}
