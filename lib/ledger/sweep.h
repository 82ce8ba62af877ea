/*
 * What the leader does once a second to batches that are late, lost or in dead
 * hands: expire, redo, split, retry; and what it measures by; and to all that
 * waits when the database's clock was set back. The states are
 * those of batches.h. Nothing happens unless the leader's lease holds. What redo,
 * retry, split or a grant marked while its reply was lost is due at once from the
 * next of these calls on (unsent.c).
 */
#ifndef FP_LEDGER_SWEEP_H
#define FP_LEDGER_SWEEP_H

#include "lib/ledger/ledger.h"

#define LEDGER_MAX_REDOS 5 /* that count: then a batch is split */

/* queued and sending: what is in flight. */
int ledger_in_flight(struct fp_ledger *l, int64_t job_id, int64_t *batches, struct fp_err *err) FP_MUST_CHECK;

/* The queued batch of the job that was emitted most often, and how often: for
 * the reasons of a job whose last batch nobody takes. *emits 0: none is queued. */
int ledger_most_emitted(struct fp_ledger *l, int64_t job_id, int64_t *batch_id, int32_t *emits,
                        struct fp_err *err) FP_MUST_CHECK;

struct ledger_expired {
    int instances, batches, ambiguous, requeued;
};
/* expire: every live instance whose lease is over, and every batch in sending
 * whose owner is not live. For a leader that has been connected for a lease. */
int ledger_expire(struct fp_ledger *l, const char *leader, struct ledger_expired *out,
                  struct fp_err *err) FP_MUST_CHECK;

struct ledger_emit {
    int64_t job_id, batch_id;
    char traceparent[64];
    int32_t emits; /* times emitted, with this one */
    bool counted;  /* towards a split */
    int users;     /* in it; of a retry alone */
};
/* redo: at most max batches that are queued and due; the next due time doubles
 * from base_ms up to 2 minutes. Counted towards a split only when a batch
 * emitted later was claimed meanwhile, or, with several users in it, when at
 * most three are in flight, none is being sent and each service lives (sweep.c
 * says why). min_age_ms: 4 times the pipeline's latency. Returns how many to emit. */
int ledger_redo(struct fp_ledger *l, const char *leader, int base_ms, int min_age_ms, struct ledger_emit *out,
                int max, struct fp_err *err) FP_MUST_CHECK;
/* The message of these was not accepted: due at once, and the emission and its
 * count are taken back. */
int ledger_not_emitted(struct fp_ledger *l, const char *leader, const struct ledger_emit *e, int n,
                       struct fp_err *err) FP_MUST_CHECK;
/* split: every queued batch with LEDGER_MAX_REDOS or more, its users without an
 * outcome in tenths; out should have room for ten at least. Returns how many to emit. */
int ledger_split(struct fp_ledger *l, const char *leader, int due_ms, struct ledger_emit *out, int max,
                 struct fp_err *err) FP_MUST_CHECK;
/* How long the deferred user of the job has been due who has been so for longest; 0: none is. */
int ledger_retry_late_s(struct fp_ledger *l, int64_t job_id, double *late_s,
                        struct fp_err *err) FP_MUST_CHECK;
/* retry: up to 100 deferred users of the job that are due -> one new batch. Returns 0 or 1. */
int ledger_retry(struct fp_ledger *l, const char *leader, int64_t job_id, int due_ms, struct ledger_emit *out,
                 struct fp_err *err) FP_MUST_CHECK;
/* Time from the first emission to the claim: the lower quartile of the last claims of an
 * hour, 0 when there was none; at most ten minutes. */
int ledger_latency_ms(struct fp_ledger *l, int64_t *ms, struct fp_err *err) FP_MUST_CHECK;

/* What waits for times that the database's clock gave before it was set back (setback.c). */
struct ledger_set_back {
    int64_t by_ms;                                /* at least so far; 0: it was not */
    int64_t deliveries, batches, intervals, jobs; /* moved along */
};
/* At most 10,000 deliveries and 10,000 batches at once: call it again while it finds any. */
int ledger_set_back(struct fp_ledger *l, const char *leader, struct ledger_set_back *out,
                    struct fp_err *err) FP_MUST_CHECK;
/* Everything is moved along, for a while: the clock as it is now is the one that counts. */
int ledger_set_back_over(struct fp_ledger *l, const char *leader, struct fp_err *err) FP_MUST_CHECK;

#endif
