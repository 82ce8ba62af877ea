/*
 * What the doors of foliopost-inbound share: the tokens' keys, the ledger, and
 * how a request is answered.
 */
#ifndef FP_INBOUND_H
#define FP_INBOUND_H

#include "lib/ledger/events.h"
#include "lib/service/service.h"
#include "lib/token/token.h"
#include "services/mailer/inbound/settings.h"

struct inbound; /* one in a process */

/* inbound.c: the callbacks of service_run(). */
int inbound_start(struct fp_service *s, void *values, struct fp_err *err);
void inbound_tick(struct fp_service *s, void *values);
void inbound_drain(struct fp_service *s, void *values);
bool inbound_drained(struct fp_service *s, void *values);
void inbound_stop(struct fp_service *s, void *values);
bool inbound_ready(struct fp_service *s, void *values, struct fp_str *why_not);

/* Appends events to the ledger by one of its connections, in pages; at most as
 * many callers at once as there are threads and a Maildir. Thread-safe. */
int inbound_store(struct inbound *in, const struct ledger_event *e, size_t n,
                  struct fp_err *err) FP_MUST_CHECK;

/* --- one request: door.c calls, the others answer ---------------------------------- */

struct request {
    struct inbound *in;
    const struct inbound_settings *set;
    struct token_keys *keys;
    const char *path; /* behind the route: "TOKEN" of /u/TOKEN */
    bool is_post;
    const char *body; /* ended by a NUL that is not counted */
    size_t bytes;
    const char *(*header)(void *ctx, const char *name); /* NULL: not there */
    void *ctx;
};
struct answer {
    unsigned status;
    const char *type; /* a literal */
    struct fp_str body;
};
/* Status and a line of text. Counted in foliopost_inbound_total by `what`, a literal. */
void answer_text(struct answer *a, unsigned status, const char *what, const char *text);
/* Of a token or a signature: 403, 400, or 503 when it could not be checked. */
void answer_error(struct answer *a, const char *door, const struct fp_err *err);
/* inbound_store() failed: 503, whatever the reason. What PostgreSQL refuses us ("permission
 * denied", a password that changed) is no forgery, and who asks again is heard. */
void answer_unstored(struct answer *a, const char *door, const struct fp_err *err);

void unsubscribe_answer(const struct request *q, struct answer *a);
void ses_answer(const struct request *q, struct answer *a);
void sendgrid_answer(const struct request *q, struct answer *a);

#endif
