/* What the end of an SMTP transaction means for the user and for the provider. */
#ifndef FP_MAILER_CLASSIFY_H
#define FP_MAILER_CLASSIFY_H

#include <curl/curl.h>

#include "services/mailer/transport.h"

/* How far the transaction had come: what the last reply was, or would have
 * been, an answer to. */
enum smtp_stage {
    SMTP_CONNECT, /* connecting, greeting, EHLO, STARTTLS */
    SMTP_AUTH,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA, /* the command DATA */
    SMTP_BODY, /* the server said 354: from here on it may accept the mail */
};

struct smtp_end {
    enum smtp_stage stage;
    CURLcode result;
    char refusal[512];             /* first line of the reply that refused; "": there was none */
    char acceptance[512];          /* last line of the reply to the body */
    char trouble[CURL_ERROR_SIZE]; /* the transport's own words; may be "" */
    const char *recipient;         /* taken out of texts; NULL: unknown */
};

/* Fills the whole reply. */
void classify_smtp(const struct smtp_end *e, struct transport_reply *reply);
/* Copies without control characters; addresses, the recipient's local part and
 * whatever is quoted are masked. */
void classify_clean(char *out, size_t cap, const char *text, const char *recipient);

#endif
