/*
 * Rows of the mailer's settings that `foliopost preview` and `send-test` have
 * too: the same name, default, bounds, help and variable in both, so that a
 * command run beside a mailer (with its environment) makes the mailer's mails.
 * AT(field): where the field of struct mailer_settings lies in the program's struct.
 */
#ifndef FP_MAILER_ROWS_H
#define FP_MAILER_ROWS_H

#include "lib/config/config.h"
#include "services/mailer/settings.h"

/* clang-format off */
/* How mail is handed over: what a section of the providers' file may set, but for its rates. */
#define MAILER_ROWS_TRANSPORT(AT)                                                                            \
    {"transport", CONFIG_CHOICE, NULL, "smtp", 0, 0, "smtp|ses|sendgrid|maildir|null",                       \
     "how mail is handed over", AT(transport)},                                                              \
    {"smtp-url", CONFIG_STRING, NULL, "smtp://127.0.0.1:25", 1, 1024, NULL,                                  \
     "the relay: smtp://HOST:PORT, or smtps:// for TLS from the first byte", AT(smtp_url)},                  \
    {"smtp-user", CONFIG_STRING, NULL, "", 0, 255, NULL, "user name at the relay; empty: no authentication", \
     AT(smtp_user)},                                                                                         \
    {"smtp-password-file", CONFIG_SECRET_FILE, NULL, "", 0, 4096, NULL, "file with the password at the relay", \
     AT(smtp_password_file)},                                                                                \
    {"smtp-tls", CONFIG_CHOICE, NULL, "try", 0, 0, "never|try|require|insecure-login",                       \
     "STARTTLS with smtp://; smtp-user needs require, but to this machine; insecure-login: as try, and the password " \
     "may go in clear", AT(smtp_tls)},                                                                       \
    {"smtp-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                 \
     "CA of the relay's certificate; empty: the system's", AT(smtp_ca_file)},                                \
    {"helo-name", CONFIG_STRING, NULL, "", 0, 255, NULL, "name for EHLO; empty: the host's name",            \
     AT(helo_name)},                                                                                         \
    {"connections", CONFIG_INT, "connections", "16", 1, 256, NULL,                                           \
     "mails handed over at once; about the rate times the relay's answering time", AT(connections)},         \
    {"mails-per-connection", CONFIG_INT, "mails", "100", 1, 1e6, NULL, "then a new connection is made",      \
     AT(mails_per_connection)},                                                                              \
    {"connect-timeout", CONFIG_DURATION_MS, "ms", "10s", 100, 300e3, NULL, "for a connection to the relay",  \
     AT(connect_timeout_ms)},                                                                                \
    {"reply-timeout", CONFIG_DURATION_MS, "ms", "2m", 1000, 1200e3, NULL,                                    \
     "for one mail's whole transfer; past it a mail that was handed over is ambiguous", AT(reply_timeout_ms)}, \
    {"maildir", CONFIG_STRING, NULL, "", 0, 4096, NULL, "folder of transport maildir", AT(maildir)},         \
    {"api-url", CONFIG_STRING, NULL, "", 0, 1024, NULL,                                                      \
     "transports ses and sendgrid: https://HOST; empty: the provider's own", AT(api_url)},                   \
    {"api-key-file", CONFIG_SECRET_FILE, NULL, "", 0, 4096, NULL,                                            \
     "sendgrid: file with the API key; ses: with lines as in ~/.aws/credentials; read again when it changes", \
     AT(api_key_file)},                                                                                      \
    {"api-ca-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                  \
     "CA of the provider's certificate; empty: the system's", AT(api_ca_file)},                              \
    {"ses-region", CONFIG_STRING, NULL, "", 0, 64, NULL, "region of transport ses: eu-west-1, say",          \
     AT(ses_region)},                                                                                        \
    {"ses-configuration-set", CONFIG_STRING, NULL, "", 0, 64, NULL,                                          \
     "configuration set of transport ses, which tells of its events; empty: none", AT(ses_configuration_set)}

/* What is in a mail, and who sends it. */
#define MAILER_ROWS_LETTER(AT)                                                                               \
    {"templates", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                    \
     "folder laid over the templates that come with the program: files of the same name take their place",   \
     AT(templates)},                                                                                         \
    {"locales", CONFIG_STRING, NULL, "", 0, 512, NULL,                                                       \
     "languages to mail in, like en,de; empty: each that has a catalogue", AT(locales)},                     \
    {"default-locale", CONFIG_STRING, NULL, "en", 2, 35, NULL,                                               \
     "for users whose language has no catalogue: en, en-GB, de", AT(default_locale)},                        \
    {"from", CONFIG_STRING, NULL, "Foliopost <reports@foliopost.invalid>", 3, 512, NULL,                     \
     "From of the mails; set it to an address of your own domain", AT(from)},                                \
    {"reply-to", CONFIG_STRING, NULL, "", 0, 512, NULL, "Reply-To of the mails; empty: none", AT(reply_to)}, \
    {"message-host", CONFIG_STRING, NULL, "", 0, 253, NULL, "host in Message-IDs; empty: the domain of from", \
     AT(message_host)},                                                                                      \
    {"unsubscribe-url", CONFIG_STRING, NULL, "", 0, 200, NULL,                                               \
     "where foliopost-inbound answers, https://unsubscribe.example.com: makes List-Unsubscribe and the link in " \
     "the footer; empty: neither",                                                                           \
     AT(unsubscribe_url)},                                                                                   \
    {"unsubscribe-mailto", CONFIG_STRING, NULL, "", 0, 254, NULL,                                            \
     "an address in List-Unsubscribe beside the link, for mail programs that know mail alone: a mailbox that a " \
     "person reads; the subject is the link's token. Needs unsubscribe-url", AT(unsubscribe_mailto)},        \
    {"postal-address", CONFIG_STRING, NULL, "", 0, 512, NULL, "the sender's address in the mails' footer",   \
     AT(postal_address)},                                                                                    \
    {"list-host", CONFIG_STRING, NULL, "", 0, 253, NULL, "domain of List-Id; empty: that of Message-IDs",    \
     AT(list_host)},                                                                                         \
    {"feedback-sender", CONFIG_STRING, NULL, "foliopost", 5, 15, NULL,                                       \
     "who sends, in Feedback-ID: the same in all mails of a brand, for Gmail's Postmaster Tools", AT(feedback_sender)}, \
    {"brands-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                                  \
     "several brands: a [NAME] for each, and under it KEY = VALUE with these settings' names, template or provider", \
     AT(brands_file)}

#define MAILER_ROWS_ENVELOPE(AT)                                                                             \
    {"bounce-address", CONFIG_STRING, NULL, "", 0, 254, NULL,                                                \
     "envelope sender, where bounces go; empty: the address of from", AT(bounce_address)},                   \
    {"bounce-domain", CONFIG_STRING, NULL, "", 0, 190, NULL,                                                 \
     "instead of it an address for each mail, bounce+TOKEN@DOMAIN, by which foliopost-inbound knows a bounce; needs " \
     "token-key-file", AT(bounce_domain)}

/* Several ways to hand it over. */
#define MAILER_ROWS_PROVIDERS(AT)                                                                            \
    {"mail-rate", CONFIG_DOUBLE, "mails/s", "100", 0, 1e5, NULL,                                             \
     "of all mailers of this provider together; 0: no limit", AT(mail_rate)},                                \
    {"provider", CONFIG_STRING, NULL, "default", 1, 64, NULL, "name of the rate that mailers share",         \
     AT(provider)},                                                                                          \
    {"providers-file", CONFIG_STRING, NULL, "", 0, 4096, NULL,                                               \
     "several providers: a [NAME] for each, and under it KEY = VALUE with these settings' names",            \
     AT(providers_file)},                                                                                    \
    {"weight", CONFIG_INT, NULL, "100", 0, 1e6, NULL,                                                        \
     "of a provider in that file: its share of the mails; 0: only when no other takes mail", AT(weight)},    \
    {"daily-quota", CONFIG_DOUBLE, "mails/day", "0", 0, 1e9, NULL,                                           \
     "of all mailers of this provider together, by days of UTC; 0: none", AT(daily_quota)}
/* clang-format on */

#endif
