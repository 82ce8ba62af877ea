/* EraseUser and Resend: what is done for one user who asks for it. */
#ifndef FP_SCHEDULER_PERSON_H
#define FP_SCHEDULER_PERSON_H

#include "lib/source/source.h"
#include "services/scheduler/convert.h"

ProtobufCMessage *person_erase(struct fp_ledger *l, struct fp_source *s,
                               const Foliopost__V1__EraseUserRequest *q, const char *actor, struct convert *c,
                               struct fp_err *err);
/* What tells the same resend from another one under its request id. */
void person_resend_hash(const Foliopost__V1__ResendRequest *q, char out[33]);
/* The child job that mails the report again, ready to be submitted; to be finished in any case. */
int person_resend(struct fp_ledger *l, struct fp_source *s, const Foliopost__V1__ResendRequest *q,
                  struct ledger_job *out, struct fp_err *err) FP_MUST_CHECK;

#endif
