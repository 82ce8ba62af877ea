/*
 * The table of the mailer's settings, beside those that every service has. A
 * default, its bounds and its help stand here and nowhere else.
 *
 * The check loads the templates and asks transport and renderer whether they
 * can work with what they got, so that a wrong setting stops the start and not
 * the first mail.
 */
#include "services/mailer/settings.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/bus/bus.h"
#include "lib/service/rows.h"
#include "services/mailer/providers.h"

#define AT(field) offsetof(struct mailer_settings, field)
#define HOUR_MS   3600e3

const struct config_setting settings_rows[] = {
    {"summaries-from", CONFIG_STRING, NULL, "tcp://127.0.0.1:7703", 1, 4096, NULL,
     "where stats hands out summaries; several separated by commas", AT(summaries_from)},
    SERVICE_ROW_BUS_RESOLVE(AT(bus_resolve_ms)),
    SERVICE_ROWS_BUS_TLS(AT(bus_ca_file), AT(bus_cert_file), AT(bus_key_file)),

    {"transport", CONFIG_CHOICE, NULL, "smtp", 0, 0, "smtp|ses|sendgrid|maildir|null",
     "how mail is handed over", AT(transport)},
    {"smtp-url", CONFIG_STRING, NULL, "smtp://127.0.0.1:25", 1, 1024, NULL,
     "the relay: smtp://HOST:PORT, or smtps:// for TLS from the first byte", AT(smtp_url)},
    {"smtp-user", CONFIG_STRING, NULL, "", 0, 255, NULL, "user name at the relay; empty: no authentication",
     AT(smtp_user)},
    {"smtp-password-file", CONFIG_SECRET_FILE, NULL, "", 0, 4096, NULL, "file with the password at the relay",
     AT(smtp_password_file)},
    {"smtp-tls", CONFIG_CHOICE, NULL, "try", 0, 0, "never|try|require", "STARTTLS with smtp://",
     AT(smtp_tls)},
    {"smtp-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "CA of the relay's certificate; empty: the system's", AT(smtp_ca_file)},
    {"helo-name", CONFIG_STRING, NULL, "", 0, 255, NULL, "name for EHLO; empty: the host's name",
     AT(helo_name)},
    {"connections", CONFIG_INT, "connections", "16", 1, 256, NULL,
     "mails handed over at once; about the rate times the relay's answering time", AT(connections)},
    {"mails-per-connection", CONFIG_INT, "mails", "100", 1, 1e6, NULL, "then a new connection is made",
     AT(mails_per_connection)},
    {"connect-timeout", CONFIG_DURATION_MS, "ms", "10s", 100, 300e3, NULL, "for a connection to the relay",
     AT(connect_timeout_ms)},
    {"reply-timeout", CONFIG_DURATION_MS, "ms", "2m", 1000, 1200e3, NULL,
     "for one mail's whole transfer; past it a mail that was handed over is ambiguous", AT(reply_timeout_ms)},
    {"maildir", CONFIG_STRING, NULL, "", 0, 4096, NULL, "folder of transport maildir", AT(maildir)},

    {"api-url", CONFIG_STRING, NULL, "", 0, 1024, NULL,
     "transports ses and sendgrid: https://HOST; empty: the provider's own", AT(api_url)},
    {"api-key-file", CONFIG_SECRET_FILE, NULL, "", 0, 4096, NULL,
     "sendgrid: file with the API key; ses: with lines as in ~/.aws/credentials; read again when it changes",
     AT(api_key_file)},
    {"api-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "CA of the provider's certificate; empty: the system's", AT(api_ca_file)},
    {"ses-region", CONFIG_STRING, NULL, "", 0, 64, NULL, "region of transport ses: eu-west-1, say",
     AT(ses_region)},
    {"ses-configuration-set", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "configuration set of transport ses, which tells of its events; empty: none", AT(ses_configuration_set)},

    {"templates", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "folder laid over the templates that come with the program: files of the same name take their place",
     AT(templates)},
    {"locales", CONFIG_STRING, NULL, "", 0, 512, NULL,
     "languages to mail in, like en,de; empty: each that has a catalogue", AT(locales)},
    {"default-locale", CONFIG_STRING, NULL, "en", 2, 35, NULL,
     "for users whose language has no catalogue: en, en-GB, de", AT(default_locale)},
    {"from", CONFIG_STRING, NULL, "Foliopost <reports@foliopost.invalid>", 3, 512, NULL,
     "From of the mails; set it to an address of your own domain", AT(from)},
    {"reply-to", CONFIG_STRING, NULL, "", 0, 512, NULL, "Reply-To of the mails; empty: none", AT(reply_to)},
    {"message-host", CONFIG_STRING, NULL, "", 0, 253, NULL, "host in Message-IDs; empty: the domain of from",
     AT(message_host)},
    {"unsubscribe-url", CONFIG_STRING, NULL, "", 0, 200, NULL,
     "where foliopost-inbound answers, https://unsubscribe.example.com: makes List-Unsubscribe and the link in "
     "the footer; empty: neither",
     AT(unsubscribe_url)},
    {"token-key-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "keys that sign the tokens of unsubscribe links, the same as of foliopost-inbound", AT(token_key_file)},
    {"postal-address", CONFIG_STRING, NULL, "", 0, 512, NULL, "the sender's address in the mails' footer",
     AT(postal_address)},
    {"bounce-address", CONFIG_STRING, NULL, "", 0, 254, NULL,
     "envelope sender, where bounces go; empty: the address of from", AT(bounce_address)},

    {"mail-rate", CONFIG_DOUBLE, "mails/s", "100", 0, 1e5, NULL,
     "of all mailers of this provider together; 0: no limit", AT(mail_rate)},
    {"provider", CONFIG_STRING, NULL, "default", 1, 64, NULL, "name of the rate that mailers share",
     AT(provider)},
    {"providers-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "several providers: a [NAME] for each, and under it KEY = VALUE with these settings' names",
     AT(providers_file)},
    {"weight", CONFIG_INT, NULL, "100", 0, 1e6, NULL,
     "of a provider in that file: its share of the mails; 0: only when no other takes mail", AT(weight)},
    {"daily-quota", CONFIG_DOUBLE, "mails/day", "0", 0, 1e9, NULL,
     "of all mailers of this provider together, by days of UTC; 0: none", AT(daily_quota)},
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
const size_t settings_n_rows = sizeof settings_rows / sizeof settings_rows[0];

/* --- templates ----------------------------------------------------------------------------- */

static int load_templates(struct mailer_settings *s, struct fp_err *err)
{
    char base[PATH_MAX];
    if (!templates_find_base(base))
        return err_set(err, FP_NOT_FOUND,
                       "templates: those that come with the program are not in share/foliopost/templates "
                       "beside its folder");
    const struct templates_from from = {base, s->templates, s->locales, s->default_locale};
    s->loaded = templates_load(&from, err);
    return s->loaded ? 0 : err_prefix(err, "templates");
}

/* --- sender --------------------------------------------------------------------------------- */

/* "Name <address>" or "address". */
static void split_from(struct mailer_settings *s)
{
    const char *open = strrchr(s->from, '<');
    const char *start = open ? open + 1 : s->from;
    size_t len = strcspn(start, ">");
    (void)snprintf(s->from_address, sizeof(s->from_address), "%.*s", (int)len, start);
    const char *at = strchr(s->from_address, '@');
    (void)snprintf(s->from_host, sizeof(s->from_host), "%s", at ? at + 1 : "");
}

struct render_sender settings_sender(const struct mailer_settings *s)
{
    return (struct render_sender){
        .from = s->from,
        .reply_to = s->reply_to,
        .message_host = s->message_host[0] ? s->message_host : s->from_host,
        .postal_address = s->postal_address,
    };
}

const char *settings_envelope_sender(const struct mailer_settings *s)
{
    return s->bounce_address[0] ? s->bounce_address : s->from_address;
}

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

static int check_sender(struct mailer_settings *s, struct fp_err *err)
{
    split_from(s);
    if (!text_is_address(s->from_address))
        return err_set(err, FP_INVALID_ARGUMENT, "from: \"%s\" holds no usable address", s->from);
    if (!text_is_address(settings_envelope_sender(s)))
        return err_set(err, FP_INVALID_ARGUMENT, "bounce-address: \"%s\" is no usable address",
                       s->bounce_address);
    const struct render_sender sender = settings_sender(s);
    if (render_check_sender(&sender, err) < 0)
        return err_prefix(err, "from, reply-to, message-host, postal-address");
    return 0;
}

/* A link without a token, or tokens without a link, is a mistake. */
static int open_keys(struct mailer_settings *s, struct fp_err *err)
{
    size_t n = strlen(s->unsubscribe_url);
    if (n == 0 && !s->token_key_file[0])
        return 0;
    if (strncmp(s->unsubscribe_url, "https://", 8) != 0 || n < 12 || s->unsubscribe_url[n - 1] == '/' ||
        strcspn(s->unsubscribe_url, " <>,\"") != n || !text_is_clean(s->unsubscribe_url))
        return err_set(
            err, FP_INVALID_ARGUMENT,
            "unsubscribe-url: \"%s\" is not like https://unsubscribe.example.com (mailbox providers "
            "ask for https)",
            s->unsubscribe_url);
    if (!s->token_key_file[0])
        return err_set(err, FP_INVALID_ARGUMENT, "unsubscribe-url needs token-key-file");
    s->keys = token_keys_open(s->token_key_file, err);
    return s->keys ? 0 : err_prefix(err, "token-key-file");
}

int settings_check(void *values, struct fp_err *err)
{
    struct mailer_settings *s = values;
    if (check_bus(s, err) < 0 || check_sender(s, err) < 0)
        return -1;
    if (s->retry_cap_ms < s->retry_base_ms)
        return err_set(err, FP_INVALID_ARGUMENT, "retry-cap: %lld ms is below retry-base, %lld ms",
                       (long long)s->retry_cap_ms, (long long)s->retry_base_ms);
    s->providers = providers_load(s, err);
    if (!s->providers)
        return -1;
    if (open_keys(s, err) < 0)
        return -1;
    return load_templates(s, err);
}
