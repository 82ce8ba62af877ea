/* The settings of foliopost-inbound. */
#ifndef FP_INBOUND_SETTINGS_H
#define FP_INBOUND_SETTINGS_H

#include "lib/config/config.h"

struct inbound_settings {
    char *listen;
    int64_t threads;
    char *token_key_file;
    char *unsubscribe_scope; /* all, kind */
    char *ses_topics;        /* ARNs, by commas; "": no SES */
    char *sns_certificate_folder;
    char *sendgrid_key_file; /* "": no SendGrid */
    int64_t sendgrid_max_age_ms;
    char *maildir; /* "": none */
    int64_t maildir_poll_ms;
};

extern const struct config_setting inbound_rows[];
extern const size_t inbound_n_rows;
int inbound_settings_check(void *values, struct fp_err *err);

#endif
