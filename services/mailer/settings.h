/* The mailer's settings: the struct that the table in settings.c fills. */
#ifndef FP_MAILER_SETTINGS_H
#define FP_MAILER_SETTINGS_H

#include "lib/config/config.h"
#include "lib/render/render.h"
#include "lib/token/token.h"
#include "services/mailer/identity.h"
#include "services/mailer/transport.h"

struct mailer_settings {
    char *summaries_from, *bus_ca_file, *bus_cert_file, *bus_key_file;
    int64_t bus_resolve_ms;

    char *transport, *smtp_url, *smtp_user, *smtp_password_file, *smtp_tls, *smtp_ca_file, *helo_name,
        *maildir, *api_url, *api_key_file, *api_ca_file, *ses_region, *ses_configuration_set;
    int64_t connections, mails_per_connection, connect_timeout_ms, reply_timeout_ms;

    char *token_key_file, *templates, *locales, *default_locale, *brands_file;
    /* what a brand may have its own of */
    char *from, *reply_to, *message_host, *postal_address, *unsubscribe_url, *unsubscribe_mailto,
        *bounce_address, *bounce_domain, *list_host, *feedback_sender;

    double mail_rate, daily_quota;
    char *provider, *providers_file, *domain_rates, *send_window, *send_window_zone;
    int64_t weight;
    int64_t slots, render_threads, retry_base_ms, retry_cap_ms, fault_pause_ms;

    /* made by mailer_settings_check() */
    struct fp_templates *loaded;
    struct providers *providers;
    struct brands *brands;
    struct token_keys *keys;  /* NULL: no unsubscribe links */
    struct identity identity; /* of the brand that these settings are */
};

extern const struct config_setting mailer_settings_rows[];
extern const size_t mailer_settings_n_rows;

/* Checks what needs more than one setting and loads the templates. */
int mailer_settings_check(void *values, struct fp_err *err);

struct transport_settings settings_transport(const struct mailer_settings *s);

#endif
