/* ListRates, SetRate, ListAudit: what operators change beside jobs, and what they did. */
#ifndef FP_SCHEDULER_OPERATE_H
#define FP_SCHEDULER_OPERATE_H

#include "services/scheduler/convert.h"

#define OPERATE_MAX_PAGE     1000
#define OPERATE_DEFAULT_PAGE 100

/* Each returns its reply, or NULL with *err filled; actor: lib/ledger/ledger.h. */
ProtobufCMessage *operate_list_rates(struct fp_ledger *l, struct convert *c, struct fp_err *err);
ProtobufCMessage *operate_set_rate(struct fp_ledger *l, const Foliopost__V1__SetRateRequest *q,
                                   const char *actor, struct convert *c, struct fp_err *err);
ProtobufCMessage *operate_list_audit(struct fp_ledger *l, const Foliopost__V1__ListAuditRequest *q, int page,
                                     struct convert *c, struct fp_err *err);

#endif
