/* Bounces (RFC 3464) and complaints (RFC 5965) that came as mails. */
#ifndef FP_INBOUND_DSN_H
#define FP_INBOUND_DSN_H

#include "services/mailer/inbound/inbound.h"

void dsn_init(void); /* once in a process, before the first call */
/* Reads one mail. 0 with the event; 1: not a report of ours; -1: it carries
 * tokens, and all are forged. */
int dsn_read(struct token_keys *keys, const char *mail, size_t bytes, struct ledger_event *e,
             struct fp_err *err) FP_MUST_CHECK;

#endif
