/* A client's DeliveryFilter as the ledger takes it. */
#ifndef FP_SCHEDULER_PICK_H
#define FP_SCHEDULER_PICK_H

#include "lib/ledger/deliveries.h"
#include "lib/source/source.h"
#include "lib/wire/wire.h"

struct pick {
    struct ledger_delivery_filter filter; /* points into the request and into ids */
    int64_t *ids;
    char said[256];
};

/* q may be NULL: everybody. A domain is looked up in the source, for the users
 * of the job in this state whom the rest of the filter names. pick_fini() in any case. */
int pick_resolve(struct fp_ledger *l, struct fp_source *s, int64_t job_id, enum delivery_state state,
                 const Foliopost__V1__DeliveryFilter *q, struct pick *out, struct fp_err *err) FP_MUST_CHECK;
void pick_fini(struct pick *p);

#endif
