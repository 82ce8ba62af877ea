/* What the webhooks share: ids and times of a report, and where it belongs. */
#ifndef FP_INBOUND_REPORT_H
#define FP_INBOUND_REPORT_H

#include <jansson.h>

#include "services/mailer/inbound/inbound.h"

/* A member's text; "" when there is none. Lives as long as the object. */
const char *report_text(const json_t *object, const char *name);
/* "2026-11-01T12:00:00.000Z"; now, when it is not, or lies in the future. */
int64_t report_time_us(const char *text);
/* What a message that the provider signed says whose mail it was; "": nothing. */
struct report_names {
    const char *sender;     /* envelope: "...+TOKEN@..." */
    const char *token;      /* a tag that the mail had */
    const char *job, *user; /* the ids as text */
};
/* The ids of the mail: by the token of its envelope sender, its tag with the
 * token, or else the tags with the ids. 0; 1: not a mail of ours; -1: a token
 * that is forged. */
int report_ids(struct token_keys *keys, const struct report_names *n, struct ledger_event *e,
               struct fp_err *err) FP_MUST_CHECK;
/* The first token for bounces in a text, behind a plus and before an at: 0; 1
 * when there is none, -1 when one is there and none is good. */
int report_find_token(struct token_keys *keys, const char *text, size_t bytes, struct token_ids *out,
                      struct fp_err *err) FP_MUST_CHECK;
/* Keeps what an enhanced status or a word may have, so that no address gets in. */
void report_add_detail(struct ledger_event *e, const char *word);

#endif
