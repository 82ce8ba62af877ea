/* The calls about suppressions: requests become rows of the ledger, and back. */
#ifndef FP_SCHEDULER_SUPPRESS_H
#define FP_SCHEDULER_SUPPRESS_H

#include "lib/ledger/suppressions.h"
#include "services/scheduler/convert.h"

#define SUPPRESS_MAX_PAGE     1000
#define SUPPRESS_DEFAULT_PAGE 100

/* NULL with *err filled, or when the arena is full (convert_check). */
ProtobufCMessage *suppress_add(struct fp_ledger *l, const Foliopost__V1__SuppressRequest *q,
                               const char *actor, struct convert *c, struct fp_err *err);
ProtobufCMessage *suppress_remove(struct fp_ledger *l, const Foliopost__V1__UnsuppressRequest *q,
                                  const char *actor, struct convert *c, struct fp_err *err);
ProtobufCMessage *suppress_list(struct fp_ledger *l, const Foliopost__V1__ListSuppressionsRequest *q,
                                int page, struct convert *c, struct fp_err *err);

#endif
