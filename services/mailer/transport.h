/*
 * A way to hand over mail, by name: smtp, ses, sendgrid, maildir, null. A table of functions
 * each; one open transport belongs to one sender thread and is one connection.
 */
#ifndef FP_MAILER_TRANSPORT_H
#define FP_MAILER_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* What is known after a try; classify.h says how a reply becomes one of these.
 * THROTTLED and PROVIDER_FAULT are not accepted, and cost the user no attempt. */
enum verdict {
    VERDICT_SENT,           /* accepted; reply.provider_id */
    VERDICT_DEFERRED,       /* refused for now, this user only: try again later */
    VERDICT_FAILED,         /* refused for good, this user only */
    VERDICT_AMBIGUOUS,      /* may or may not have been accepted */
    VERDICT_THROTTLED,      /* too fast */
    VERDICT_PROVIDER_FAULT, /* relay down, authentication, sender policy */
};

struct transport_reply {
    enum verdict verdict;
    int code;         /* SMTP reply or HTTP status; 0: none */
    char reason[200]; /* "550 5.1.1 mailbox unavailable": control characters and addresses taken out */
    char provider_id[100];
    bool suppress;          /* FAILED for a mailbox that is not there: not to be mailed again */
    bool vague;             /* refused without naming the mailbox: may be the provider's own trouble */
    bool account;           /* PROVIDER_FAULT of our key, quota or standing there: never this mail's own */
    bool at_recipient;      /* the provider had been told the recipient */
    int64_t retry_after_ms; /* THROTTLED, AMBIGUOUS: the provider says when to come again; 0: it does not */
    bool untried;           /* not sent, and nothing learnt: may_go(), turn() or lease_holds() said no */
};

#define TRANSPORT_TURN_MAX_MS INT64_C(1000) /* turn() takes no longer; no part of reply_timeout_ms */

struct transport_mail {
    const char *sender; /* envelope; checked addresses */
    const char *recipient;
    const char *data; /* CRLF lines */
    size_t bytes;
    int64_t job_id, user_id;
    const char *token;         /* for what events bring back; "" or NULL: none */
    bool (*may_go)(void *ctx); /* asked before a second connection; NULL: it may */
    /* Asked when a connection stands, before anything of the mail is said: the rate's turn may have
     * passed meanwhile, then it waits for another. false: untried. NULL: it is. */
    bool (*turn)(void *ctx);
    /* Asked when all is ready for the mail itself, which can be long after the call; NULL: it does. */
    bool (*lease_holds)(void *ctx);
    void *ctx;
};

struct transport_settings {
    const char *smtp_url;  /* smtp://host:port or smtps://host:port */
    const char *smtp_user; /* "": no authentication */
    const char *smtp_password_file;
    const char *smtp_tls; /* never, try, require, insecure-login */
    const char *smtp_ca_file;
    const char *helo_name;
    int64_t connect_timeout_ms, reply_timeout_ms; /* one mail's whole transfer */
    int64_t mails_per_connection;
    const char *maildir; /* its folder */

    const char *api_url;      /* of an HTTP provider; "": its own */
    const char *api_key_file; /* sendgrid: the key; ses: lines as in ~/.aws/credentials */
    const char *api_ca_file;
    const char *ses_region, *ses_configuration_set;
};

/* What the account allows; 0: no limit. */
struct transport_quota {
    double per_second, per_day; /* mails; the day is the last 24 hours */
    double sent;                /* within these */
};

struct transport; /* the implementation's own */

struct transport_ops {
    const char *name;
    /* Settings of this transport are right; names the setting that is not. */
    int (*check)(const struct transport_settings *s, struct fp_err *err);
    /* From and Reply-To can be sent with it; names the setting that cannot. NULL: any can. */
    int (*check_sender)(const char *from, const char *reply_to, struct fp_err *err);
    /* Connects nothing yet. */
    struct transport *(*open)(const struct transport_settings *s, struct fp_err *err);
    void (*send)(struct transport *t, const struct transport_mail *m, struct transport_reply *reply);
    void (*close)(struct transport *t);
    /* Asks the provider what the account allows; NULL: it cannot be asked. */
    int (*quota)(struct transport *t, struct transport_quota *out, struct fp_err *err);
};

/* NULL when there is none of that name. */
const struct transport_ops *transport_by_name(const char *name);

#endif
