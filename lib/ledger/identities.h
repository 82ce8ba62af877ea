/*
 * Who may call JobService: table foliopost.identities.
 *
 * A row is added once and revoked once; its name is never given again, so
 * that a line of the audit always means the same one. Who has been in the
 * table at all locks the doors: an empty table, of an installation that has
 * not begun with identities, does not.
 */
#ifndef FP_LEDGER_IDENTITIES_H
#define FP_LEDGER_IDENTITIES_H

#include "lib/ledger/ledger.h"

#define LEDGER_MAX_IDENTITIES 1000 /* valid at once: each scheduler has them in memory */
#define LEDGER_TOKEN_HASH     32
#define LEDGER_SUBJECT        256

enum ledger_role { /* bits; the names in SQL are of the same words */
                   LEDGER_VIEWER = 1,
                   LEDGER_OPERATOR = 2,
                   LEDGER_APPROVER = 4,
                   LEDGER_ADMIN = 8,
};

struct ledger_identity {
    char name[65];
    unsigned roles; /* of enum ledger_role */
    bool has_token;
    unsigned char token_hash[LEDGER_TOKEN_HASH];
    char subject[LEDGER_SUBJECT]; /* "": none */
    char created_by[129];
    int64_t expires_us, created_us, revoked_us; /* 0: never, not */
};

/* SHA-256 of a token's text. */
void ledger_token_hash(const char *token, unsigned char out[LEDGER_TOKEN_HASH]);

/* name, roles, token_hash with has_token or subject or both, and expires_us
 * are what is added; *out is the row. The same again is a success. A name, token or
 * subject that is taken: ALREADY_EXISTS; what expired already, or a 1001st:
 * FAILED_PRECONDITION. */
int ledger_identity_add(struct fp_ledger *l, const struct ledger_identity *i, const char *actor,
                        struct ledger_identity *out, struct fp_err *err) FP_MUST_CHECK;
/* Revoked already: a success, as it is. NOT_FOUND when there is none. */
int ledger_identity_revoke(struct fp_ledger *l, const char *name, const char *actor,
                           struct ledger_identity *out, struct fp_err *err) FP_MUST_CHECK;
/* By name; revoked ones behind the others, when asked for. Returns how many. */
int ledger_identities(struct fp_ledger *l, bool revoked_too, struct ledger_identity *out, int max,
                      struct fp_err *err) FP_MUST_CHECK;
/* *any: there is or was one. */
int ledger_identities_any(struct fp_ledger *l, bool *any, struct fp_err *err) FP_MUST_CHECK;

#endif
