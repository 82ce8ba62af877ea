/* What the end of a try means for the user and for the provider: one table for
 * SMTP transactions and for calls of providers' HTTP interfaces. */
#ifndef FP_MAILER_CLASSIFY_H
#define FP_MAILER_CLASSIFY_H

#include <curl/curl.h>

#include "services/mailer/transport.h"

/* How far the transaction had come: what the last reply was, or would have
 * been, an answer to. */
enum send_stage {
    SMTP_CONNECT, /* connecting, greeting, EHLO, STARTTLS */
    SMTP_AUTH,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA, /* the command DATA */
    SMTP_BODY, /* the server said 354: from here on it may accept the mail */

    HTTP_CONNECT, /* nothing of the request went out */
    HTTP_REQUEST, /* a part of it did: not to be understood by anybody */
    HTTP_WAIT,    /* all of it did: from here on the mail may be accepted */
    HTTP_REPLY,   /* the status and headers of the reply came */
};

struct smtp_end {
    enum send_stage stage;
    CURLcode result;
    char refusal[512];             /* first line of the reply that refused; "": there was none */
    char acceptance[512];          /* last line of the reply to the body */
    char trouble[CURL_ERROR_SIZE]; /* the transport's own words; may be "" */
    const char *recipient;         /* taken out of texts; NULL: unknown */
};

struct http_end {
    enum send_stage stage;
    CURLcode result;
    int status;
    bool accepted;                 /* the reply says so in the provider's own form */
    char words[512];               /* "TYPE: message" of a refusal; may be "" */
    char id[100];                  /* the provider's name for an accepted mail */
    char trouble[CURL_ERROR_SIZE]; /* the transport's own words; may be "" */
    const char *recipient;         /* taken out of texts; NULL: unknown */
    int64_t retry_after_ms;        /* Retry-After; 0: not said */
};

/* Both fill the whole reply. */
void classify_smtp(const struct smtp_end *e, struct transport_reply *reply);
void classify_http(const struct http_end *e, struct transport_reply *reply);
/* Copies without control characters; addresses, the recipient's local part and
 * whatever is quoted are masked. */
void classify_clean(char *out, size_t cap, const char *text, const char *recipient);

#endif
