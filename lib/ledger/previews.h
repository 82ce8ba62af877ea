/*
 * Previews: one user's mail outside of any job. Table foliopost.previews.
 *
 *   asked     -> computing  take    stats
 *   computing -> computed   pass    stats, with the summary
 *   computing -> answered   answer  stats: there is no mail
 *   computed  -> writing    take    mailer
 *   writing   -> answered   answer  mailer
 *   any       -> gone       collect who asked; or anybody, once it has expired
 *
 * Nothing of a job is touched, and nothing is proved: a row that is lost is an
 * error UNAVAILABLE for who asked. A row is taken once: whoever dies with it
 * leaves it to its expiry, so that a test mail never goes out twice for one call.
 */
#ifndef FP_LEDGER_PREVIEWS_H
#define FP_LEDGER_PREVIEWS_H

#include "lib/ledger/ledger.h"

#define LEDGER_PREVIEWS_OPEN 16 /* at once, in all: each may hold a megabyte */
/* A minute, in all, counted by the audit. */
#define LEDGER_PREVIEWS_A_MINUTE 120
#define LEDGER_TESTS_A_MINUTE    30
#define LEDGER_ANSWER_BYTES      1048576

struct ledger_preview_ask {
    char id[LEDGER_UUID]; /* chosen by who asks: the same again is one */
    const char *send_to;  /* "": a preview */
    const char *provider; /* "": any */
    const void *users;
    size_t bytes;
    int64_t keep_ms;
    const char *actor, *detail; /* for the audit: no address */
};
/* RESOURCE_EXHAUSTED when too many are open, or were asked for within a minute. */
int ledger_preview_ask(struct fp_ledger *l, const struct ledger_preview_ask *a,
                       struct fp_err *err) FP_MUST_CHECK;

enum preview_step { PREVIEW_COMPUTE, PREVIEW_WRITE };

struct ledger_preview {
    char id[LEDGER_UUID];
    char send_to[255], provider[96];
    unsigned char *data; /* the users, or the summary */
    size_t bytes;
};
/* The oldest that waits for this step: 1; 0 when there is none. *out is finished by ledger_preview_fini(). */
int ledger_preview_take(struct fp_ledger *l, enum preview_step step, const char *owner,
                        struct ledger_preview *out, struct fp_err *err) FP_MUST_CHECK;
void ledger_preview_fini(struct ledger_preview *p);
/* Both succeed too when nobody waits for it any more. */
int ledger_preview_pass(struct fp_ledger *l, const char *id, const char *owner, const void *summary,
                        size_t bytes, struct fp_err *err) FP_MUST_CHECK;
int ledger_preview_answer(struct fp_ledger *l, const char *id, const char *owner, const void *answer,
                          size_t bytes, struct fp_err *err) FP_MUST_CHECK;

struct ledger_answer {
    char state[16];      /* "": there is no such row */
    unsigned char *data; /* by mem_alloc(); NULL: not answered yet */
    size_t bytes;
};
/* Takes the answer, and the row with it. last: takes the row away in any case. */
int ledger_preview_collect(struct fp_ledger *l, const char *id, bool last, struct ledger_answer *out,
                           struct fp_err *err) FP_MUST_CHECK;
/* Deletes what has expired. */
int ledger_previews_expire(struct fp_ledger *l, struct fp_err *err) FP_MUST_CHECK;

#endif
