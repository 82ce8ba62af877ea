/* A Maildir that is emptied: a thread of its own. */
#ifndef FP_INBOUND_MAILDIR_H
#define FP_INBOUND_MAILDIR_H

#include "services/mailer/inbound/inbound.h"

struct maildir;

/* beat: the thread says that it turns. */
struct maildir *maildir_start(struct inbound *in, const struct inbound_settings *set, struct token_keys *keys,
                              struct fp_service *service, struct fp_err *err) FP_MUST_CHECK;
void maildir_stop(struct maildir *m); /* NULL is fine */

#endif
