/*
 * Suppressions: who is not mailed any more. Table foliopost.suppressions.
 *
 * A row concerns a user, an address (by its hash) or both, and all mail or one
 * kind. The same subject again is one row: the stronger reason wins (hard
 * bounce, manual, unsubscribe, complaint in this order), the later expiry, and
 * the first time it was seen; an expired row begins anew. So every step is
 * safe to repeat.
 */
#ifndef FP_LEDGER_SUPPRESSIONS_H
#define FP_LEDGER_SUPPRESSIONS_H

#include "lib/ledger/ledger.h"

#define LEDGER_HASH_BYTES 37 /* a UUID's text and its NUL */

/* The pseudonym of an address: the HMAC-SHA256 of its lower-case text under the
 * ledger's salt, 128 bits as a UUID. "" for an empty address. The salt is read
 * at the first call. */
int ledger_address_hash(struct fp_ledger *l, const char *address, char out[LEDGER_HASH_BYTES],
                        struct fp_err *err) FP_MUST_CHECK;

/* A recipient: the user, and the hash of where his mail would go ("": unknown). */
struct ledger_recipient {
    int64_t user_id;
    char address_hash[LEDGER_HASH_BYTES];
};
/* Which of these are suppressed now for mail of this kind: filled in out[i]. */
int ledger_suppressed(struct fp_ledger *l, const char *kind, const struct ledger_recipient *who, size_t n,
                      bool *out, struct fp_err *err) FP_MUST_CHECK;

enum suppression_reason {
    SUPPRESSION_UNKNOWN = 0,
    SUPPRESSION_HARD_BOUNCE = 1,
    SUPPRESSION_MANUAL = 2,
    SUPPRESSION_UNSUBSCRIBE = 3,
    SUPPRESSION_COMPLAINT = 4,
};
const char *suppression_reason_name(enum suppression_reason r); /* "hard_bounce" */
enum suppression_reason suppression_reason_from_name(const char *name);

struct ledger_suppression {
    int64_t id;                           /* out only */
    int64_t user_id;                      /* 0: by address alone */
    char address_hash[LEDGER_HASH_BYTES]; /* "": not known */
    char scope[16];                       /* all, weekly, monthly, custom; "" in: all */
    enum suppression_reason reason;
    char source[32];
    char evidence[256];    /* short, never an address */
    int64_t job_id;        /* 0: none */
    int64_t first_seen_us; /* in: 0 is now */
    int64_t expires_us;    /* 0: never */
};
/* *added: rows that were not there. Each entry names a user or a hash. */
int ledger_suppress(struct fp_ledger *l, const struct ledger_suppression *s, size_t n, const char *actor,
                    int64_t *added, struct fp_err *err) FP_MUST_CHECK;
/* Removes all rows of the user (0: none is meant) or of the hash ("": none), of
 * this scope ("": of every one). *removed: how many. */
int ledger_unsuppress(struct fp_ledger *l, int64_t user_id, const char *address_hash, const char *scope,
                      const char *actor, int64_t *removed, struct fp_err *err) FP_MUST_CHECK;

struct ledger_suppression_filter { /* 0 and "": any */
    int64_t user_id;
    const char *address_hash;
    enum suppression_reason reason;
    bool expired_too;
};
/* By id, above after_id. Returns how many. */
int ledger_suppressions(struct fp_ledger *l, const struct ledger_suppression_filter *f, int64_t after_id,
                        struct ledger_suppression *out, int max, struct fp_err *err) FP_MUST_CHECK;

#endif
