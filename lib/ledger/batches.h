/*
 * Batches: table foliopost.batches. The only writer of batches.state.
 *
 *   (page, split, retry) -> queued
 *   queued  -> sending  claim    mailer: first claim wins; epoch + 1
 *   sending -> queued   release  its owner: nothing open; counts nothing
 *   sending -> queued   expire   leader: the owner's lease is over; open intents
 *                                become ambiguous (resend: requeued, maybe_doubles + 1,
 *                                unless that was the last attempt)
 *   sending -> queued   forget   its owner, who does not know the claim any more: open
 *                                intents as with expire; counts no redo
 *   sending -> done     finish   its owner: each user has an outcome
 *   queued  -> queued   redo     leader: due again, emitted again
 *   queued  -> split    split    leader: after LEDGER_MAX_REDOS that count; ten
 *                                batches of a tenth; one single user fails: poison
 *                                (his redos count only when others overtook him or
 *                                a lease ended in sending: alone he waits)
 *   queued  -> done     split    of a single user
 *
 * Who writes for a claim names batch, epoch and owner, and the owner's lease
 * must hold; a stale worker's statement changes nothing and says so.
 *
 * A queued batch whose due time is -infinity (released, expired, resumed) is
 * emitted by the next redo, whatever its age.
 */
#ifndef FP_LEDGER_BATCHES_H
#define FP_LEDGER_BATCHES_H

#include "lib/ledger/deliveries.h"
#include "lib/ledger/jobs.h"

/* What a batch is made of: for userstream, which sends it again. *user_ids is
 * freed by mem_free(). *state may be anything: only queued ones are worth it. */
struct ledger_batch {
    int64_t id, job_id;
    int32_t interval_no, round;
    char state[16];
    int64_t *user_ids;
    size_t n_users;
    int32_t epoch, emits, redos;
    char owner[LEDGER_UUID]; /* of the last claim; "": never claimed */
};
int ledger_batch_get(struct fp_ledger *l, int64_t batch_id, struct ledger_batch *out,
                     struct fp_err *err) FP_MUST_CHECK;

/* Of attempts that may each have reached the user, whatever max_attempts is: policy
 * `resend` accepts a double, not a dozen. */
#define LEDGER_MAX_UNCLEAR 3
struct ledger_claim {
    bool won; /* false: not queued, or the job does not run, or is outside its hours, or our lease is over */
    int64_t batch_id, job_id;
    int32_t epoch;
    enum job_state job_state; /* when not won: the job's state now */
    bool outside;             /* when not won: it is queued, and its job outside its hours */
    bool resend;              /* ambiguous_policy */
    bool dry_run;             /* nothing is to be sent, and no intent can be opened */
    int max_attempts;
    int64_t left_ms;   /* to the job's deadline; INT64_MAX: it has none that counts */
    size_t n_users;    /* in the batch */
    int64_t *due;      /* the users without an outcome; mem_free() */
    int32_t *attempts; /* of each due user so far; mem_free() */
    size_t n_due;
};
/* claim: token is the caller's own, so that a repeated call wins again. */
int ledger_claim(struct fp_ledger *l, const char *owner, int64_t batch_id, const char *token,
                 struct ledger_claim *out, struct fp_err *err) FP_MUST_CHECK;

struct ledger_held { /* a claim of mine */
    int64_t batch_id;
    int32_t epoch;
    bool held;                /* out: the claim still holds */
    enum job_state job_state; /* out: new intents were opened only when IN_PROGRESS */
    bool outside;             /* out: and none were, since the job is outside its hours */
};
struct ledger_outcome {
    int64_t batch_id, user_id;
    enum delivery_state state; /* sent, failed, skipped, ambiguous, deferred */
    const char *reason;        /* short code and text, no address; NULL: "" */
    int16_t provider_no;       /* whose answer, or silence, this is (providers.h); 0: no provider's */
    const char *provider_id;   /* NULL: "" */
    bool attempted;            /* counts as an attempt */
    bool maybe_double;         /* + 1 in maybe_doubles: deferred although it may have gone out */
    int64_t retry_in_ms;       /* deferred only */
    const char *address_hash;  /* where it went (suppressions.h); NULL: did not go out */
    bool suppress;             /* failed: no such mailbox; it is suppressed with the same statement */
    const unsigned char *template_version; /* LEDGER_VERSION_BYTES of what went out; NULL: nothing did */
    const unsigned char *content_hash;     /* LEDGER_CONTENT_BYTES */
    int32_t size_bytes;                    /* of a mail that a dry run wrote; 0: of any other */
};
struct ledger_intent {
    int64_t batch_id, user_id;
};
struct ledger_record {
    const char *owner;
    struct ledger_held *held; /* every batch named below, once; filled in */
    size_t n_held;
    const struct ledger_outcome *outcomes;
    size_t n_outcomes;
    const struct ledger_intent *intents; /* to open, before the mail goes out */
    size_t n_intents;
    const struct ledger_intent *withdrawn; /* certainly not gone out */
    size_t n_withdrawn;
    bool in_doubt; /* out, never cleared: a try of it got no answer */
};
/* record (and withdraw), in one statement for several batches:
 * open := (open - settled - withdrawn) + new; outcomes are an upsert that
 * touches only users without a row or requeued to this batch. A claim that
 * nothing of these is for is neither written nor locked: its answer is what the
 * statement's snapshot said.
 *
 * in_doubt: a try whose connection broke may be carried out long after its repetition,
 * by a server process that was held up. Its outcomes and intents do no harm then, but
 * it would withdraw an intent that was opened anew: who is withdrawn by a record in doubt
 * gets none under this epoch any more. */
int ledger_record(struct fp_ledger *l, struct ledger_record *r, struct fp_err *err) FP_MUST_CHECK;

/* release: *done also when it was queued already (stats hands back what it read: owner NULL, epoch 0). */
int ledger_release(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                   struct fp_err *err) FP_MUST_CHECK;
/* finish: *done false when a user has no outcome yet, an intent is open or the claim is lost. */
int ledger_finish(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                  struct fp_err *err) FP_MUST_CHECK;
/* forget.c: claims of mine that are in no hands (a reply lost while the lease
 * lapsed). Batches 'sending' with this owner, by id: batch_id and epoch. Returns
 * how many, at most max. */
int ledger_claims(struct fp_ledger *l, const char *owner, struct ledger_held *out, int max,
                  struct fp_err *err) FP_MUST_CHECK;
/* forget: hands one back. *done also when it is queued already; false when the
 * claim is not this one's any more, or the lease is over. */
int ledger_forget(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                  struct fp_err *err) FP_MUST_CHECK;
/* late truth: ambiguous (by expire, of this epoch), or requeued and not claimed
 * since -> what really was; to deferred only while the job is open; attempted
 * false takes the attempt back. Returns how many changed. */
int ledger_late_truth(struct fp_ledger *l, int64_t batch_id, int32_t epoch,
                      const struct ledger_outcome *outcomes, size_t n, struct fp_err *err) FP_MUST_CHECK;

#endif
