/*
 * The identities that both doors ask: a copy of the ledger's table in memory,
 * since a door's loop cannot wait for a database. It is read again every two
 * seconds, and by the methods that change it.
 */
#ifndef FP_SCHEDULER_IDENTITIES_H
#define FP_SCHEDULER_IDENTITIES_H

#include "lib/ledger/ledger.h"
#include "lib/rpc/identity.h"

struct identities;

/* Knows nothing yet: until it was read, callers are told UNAVAILABLE. */
struct identities *identities_new(void);
void identities_free(struct identities *x); /* NULL is fine; ends its thread */
/* Reads the table now; what was known stays when that fails. Any thread. */
int identities_read(struct identities *x, struct fp_ledger *l, struct fp_err *err) FP_MUST_CHECK;
/* Reads it now, well or badly, and starts the thread that goes on. */
int identities_start(struct identities *x, const struct pg_options *ledger, struct fp_err *err) FP_MUST_CHECK;
/* For the doors; lives as long as x. */
const struct rpc_identities *identities_door(struct identities *x);

#endif
