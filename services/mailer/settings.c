/*
 * The table of the mailer's settings, beside those that every service has. A
 * default, its bounds and its help stand here and nowhere else.
 *
 * Rows that commands have too stand in rows.h. The check loads the templates and
 * asks transport and renderer whether they can work with what they got, so that
 * a wrong setting stops the start and not the first mail.
 */
#include "services/mailer/settings.h"

#include "lib/base/text.h"
#include "lib/bus/bus.h"
#include "lib/service/rows.h"
#include "services/mailer/brands.h"
#include "services/mailer/letter.h"
#include "services/mailer/providers.h"
#include "services/mailer/rows.h"

#define AT(field) offsetof(struct mailer_settings, field)
#define HOUR_MS   3600e3

const struct config_setting mailer_settings_rows[] = {
    {"summaries-from", CONFIG_STRING, NULL, "tcp://127.0.0.1:7703", 1, 4096, NULL,
     "where stats hands out summaries; several separated by commas", AT(summaries_from)},
    SERVICE_ROW_BUS_RESOLVE(AT(bus_resolve_ms)),
    SERVICE_ROWS_BUS_TLS(AT(bus_ca_file), AT(bus_cert_file), AT(bus_key_file)),

    MAILER_ROWS_TRANSPORT(AT),
    MAILER_ROWS_LETTER(AT),
    MAILER_ROWS_ENVELOPE(AT),
    {"token-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "keys that sign the tokens of unsubscribe links and bounce addresses, the same as of foliopost-inbound",
     AT(token_key_file)},
    MAILER_ROWS_PROVIDERS(AT),
    {"domain-rates", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "mails a second to a recipients' domain, of all mailers: gmail.com:50,yahoo.com:20", AT(domain_rates)},
    {"send-window", CONFIG_STRING, NULL, "", 0, 11, NULL,
     "mail is sent between these hours only: 08:00-20:00; empty: always", AT(send_window)},
    {"send-window-zone", CONFIG_STRING, NULL, "UTC", 1, 64, NULL,
     "time zone of send-window: Europe/Berlin, say", AT(send_window_zone)},
    {"slots", CONFIG_INT, "batches", "4", 1, 32, NULL, "batches claimed at once", AT(slots)},
    {"render-threads", CONFIG_INT, "threads", "2", 1, 64, NULL, "mails rendered at once", AT(render_threads)},
    {"retry-base", CONFIG_DURATION_MS, "ms", "5m", 100, 24 * HOUR_MS, NULL,
     "wait before a refused mail's second attempt; doubled each time, +-20 %", AT(retry_base_ms)},
    {"retry-cap", CONFIG_DURATION_MS, "ms", "1h", 100, 7 * 24 * HOUR_MS, NULL,
     "longest wait between attempts", AT(retry_cap_ms)},
    {"fault-pause", CONFIG_DURATION_MS, "ms", "15m", 1000, 24 * HOUR_MS, NULL,
     "a provider's fault that lasts longer pauses the jobs at hand", AT(fault_pause_ms)},
};
const size_t mailer_settings_n_rows = sizeof mailer_settings_rows / sizeof mailer_settings_rows[0];

struct transport_settings settings_transport(const struct mailer_settings *s)
{
    return (struct transport_settings){
        .smtp_url = s->smtp_url,
        .smtp_user = s->smtp_user,
        .smtp_password_file = s->smtp_password_file,
        .smtp_tls = s->smtp_tls,
        .smtp_ca_file = s->smtp_ca_file,
        .helo_name = s->helo_name,
        .connect_timeout_ms = s->connect_timeout_ms,
        .reply_timeout_ms = s->reply_timeout_ms,
        .mails_per_connection = s->mails_per_connection,
        .maildir = s->maildir,
        .api_url = s->api_url,
        .api_key_file = s->api_key_file,
        .api_ca_file = s->api_ca_file,
        .ses_region = s->ses_region,
        .ses_configuration_set = s->ses_configuration_set,
    };
}

/* --- all together ------------------------------------------------------------------------------ */

static int check_bus(const struct mailer_settings *s, struct fp_err *err)
{
    const struct bus_tls tls = {s->bus_ca_file, s->bus_cert_file, s->bus_key_file};
    if (bus_check_urls(s->summaries_from, false, err) < 0)
        return err_prefix(err, "summaries-from");
    return bus_check_tls(&tls, err);
}

int mailer_settings_check(void *values, struct fp_err *err)
{
    struct mailer_settings *s = values;
    if (check_bus(s, err) < 0 || letter_open(s, err) < 0 || letter_open_keys(s, err) < 0)
        return -1;
    if (s->retry_cap_ms < s->retry_base_ms)
        return err_set(err, FP_INVALID_ARGUMENT, "retry-cap: %lld ms is below retry-base, %lld ms",
                       (long long)s->retry_cap_ms, (long long)s->retry_base_ms);
    s->providers = providers_load(s, err);
    return s->providers ? brands_bind(s->brands, s->providers, err) : -1;
}
