/*
 * Erasing a user from the ledger.
 *
 * His id becomes a pseudonym wherever it stands, so that the proofs and reports
 * of past jobs still add up; what said more than that (the hash of his address,
 * the provider's name of the mail, the hash of what it said, checkpoints) goes.
 * Suppressions stay by the hash of the address: who registers it again is not
 * mailed against his will.
 */
#ifndef FP_LEDGER_ERASE_H
#define FP_LEDGER_ERASE_H

#include "lib/ledger/ledger.h"

struct ledger_erased {
    bool existing; /* it was done before; what came since is erased too */
    int64_t deliveries, events, checkpoints, suppressions; /* suppressions: that stay by hash */
};
/* address_hash: of an address that he is known by, or "". FAILED_PRECONDITION,
 * naming the job, while an open one has him. One statement; safe to repeat. */
int ledger_erase_user(struct fp_ledger *l, int64_t user_id, const char *address_hash, const char *actor,
                      struct ledger_erased *out, struct fp_err *err) FP_MUST_CHECK;
int ledger_is_erased(struct fp_ledger *l, int64_t user_id, bool *erased, struct fp_err *err) FP_MUST_CHECK;

#endif
