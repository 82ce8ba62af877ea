/* The table of settings of foliopost-inbound, and what needs more than one row. */
#include "services/mailer/inbound/settings.h"

#include <string.h>

#define AT(field) offsetof(struct inbound_settings, field)

const struct config_setting inbound_rows[] = {
    {"listen", CONFIG_STRING, NULL, ":8080", 1, 255, NULL,
     "where links and webhooks arrive, HOST:PORT; TLS is the ingress's in front of it", AT(listen)},
    {"threads", CONFIG_INT, "threads", "4", 1, 64, NULL, "requests worked on at once", AT(threads)},
    {"token-key-file", CONFIG_SECRET_FILE, NULL, NULL, 0, 4096, NULL,
     "keys of the signed tokens, the same as the mailers'; a line ID:SECRET for each", AT(token_key_file)},
    {"unsubscribe-scope", CONFIG_CHOICE, NULL, "kind", 0, 0, "all|kind",
     "what one click ends: this kind of report (weekly, monthly, custom), as the mails' link says, or all of them",
     AT(unsubscribe_scope)},
    {"ses-topics", CONFIG_STRING, NULL, "", 0, 2048, NULL,
     "ARNs of the SNS topics with our SES events, by commas; empty: /ses takes nothing", AT(ses_topics)},
    {"sns-certificate-folder", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "SNS's certificates are read from this folder, by the file name of their URL, and nothing is fetched",
     AT(sns_certificate_folder)},
    {"sendgrid-key-file", CONFIG_SECRET_FILE, NULL, "", 0, 4096, NULL,
     "verification key of SendGrid's signed event webhook (base64); empty: /sendgrid takes nothing",
     AT(sendgrid_key_file)},
    {"sendgrid-max-age", CONFIG_DURATION_MS, "h", "24h", 1000, 30 * 86400e3, NULL,
     "older signatures are refused; SendGrid tries for a day", AT(sendgrid_max_age_ms)},
    {"maildir", CONFIG_STRING, NULL, "", 0, 4096, NULL,
     "Maildir where bounces and complaints are delivered; empty: none", AT(maildir)},
    {"maildir-poll", CONFIG_DURATION_MS, "s", "5s", 50, 3600e3, NULL, "it is looked at this often",
     AT(maildir_poll_ms)},
};
const size_t inbound_n_rows = sizeof inbound_rows / sizeof inbound_rows[0];

/* Without one of them a stranger's topic could tell us anything, well signed. */
int inbound_settings_check(void *values, struct fp_err *err)
{
    const struct inbound_settings *s = values;
    for (const char *p = s->ses_topics; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
        if (strncmp(p, "arn:aws", 7) != 0 || strstr(p, ":sns:") == NULL)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "ses-topics: \"%.100s\" is not arn:aws:sns:REGION:ACCOUNT:NAME", p);
    return 0;
}
