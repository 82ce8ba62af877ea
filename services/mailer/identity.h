/*
 * Who a brand is: its From, Reply-To, hosts, link and envelope sender as headers
 * and SMTP carry them. Settings may write a domain in any script
 * ("reports@bücher.example"); it is made A-labels here, once, at start, so that
 * no mail depends on it and all that is behind needs to know ASCII alone.
 */
#ifndef FP_MAILER_IDENTITY_H
#define FP_MAILER_IDENTITY_H

#include "lib/address/address.h"
#include "lib/base/err.h"

#define IDENTITY_MAILBOX_BYTES (512 + ADDRESS_BYTES) /* the longest setting, its domain grown */
#define IDENTITY_HOST_BYTES    254
#define IDENTITY_URL_BYTES     256

struct mailer_settings;

/* Each text may be "", but for the From and where plain bounces go. */
struct identity {
    char from[IDENTITY_MAILBOX_BYTES], reply_to[IDENTITY_MAILBOX_BYTES];
    char from_address[ADDRESS_BYTES];
    char message_host[IDENTITY_HOST_BYTES], list_host[IDENTITY_HOST_BYTES];
    char url[IDENTITY_URL_BYTES]; /* of unsubscribe-url */
    char mailto[ADDRESS_BYTES];   /* the address alone */
    char bounce_domain[IDENTITY_HOST_BYTES];
    char bounce[ADDRESS_BYTES]; /* envelope sender where bounces name nobody */
};

/* From the settings of the brand; an error names the setting that is wrong. */
int identity_fill(struct identity *out, const struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;

#endif
