/*
 * Table foliopost.checkpoints: the state of a user's portfolio at the end of a
 * month, and what it was made from. A cache beside the truth: any row may be
 * missing, old or deleted at any time, and the user's life is read again.
 * state: lib/performance/checkpoint.h; fingerprint: lib/source/fingerprint.h.
 */
#ifndef FP_LEDGER_CHECKPOINTS_H
#define FP_LEDGER_CHECKPOINTS_H

#include "lib/ledger/ledger.h"

#define LEDGER_FINGERPRINT_BYTES 16
#define LEDGER_STATE_MAX_BYTES   (64 * 1024) /* a larger row is as good as none */

struct ledger_checkpoint {
    int64_t user_id;
    int32_t month_end;
    uint8_t fingerprint[LEDGER_FINGERPRINT_BYTES];
    uint8_t *state; /* NULL: there is none */
    size_t n_state;
};

/* Of each user the newest one before `before_day`; out[i] is of user_ids[i].
 * The states are freed by ledger_checkpoints_fini(). One statement. */
int ledger_checkpoints_load(struct fp_ledger *l, const int64_t *user_ids, size_t n, int32_t before_day,
                            struct ledger_checkpoint *out, struct fp_err *err) FP_MUST_CHECK;
void ledger_checkpoints_fini(struct ledger_checkpoint *c, size_t n);

/* Writes n of one month over what is there, and deletes these users' of more
 * than keep_months months before. One statement; its commit is not waited for:
 * what a crash of the server takes is made again. One user's is not changed
 * when it says the same. */
int ledger_checkpoints_store(struct fp_ledger *l, const struct ledger_checkpoint *c, size_t n,
                             int keep_months, struct fp_err *err) FP_MUST_CHECK;
/* Deletes all of a user: one was found wrong. */
int ledger_checkpoints_forget(struct fp_ledger *l, int64_t user_id, struct fp_err *err) FP_MUST_CHECK;

#endif
