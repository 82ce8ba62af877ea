/* What the canary and the guards of a job ask and write: columns of
 * foliopost.jobs, and sums of what is there. */
#ifndef FP_LEDGER_GUARD_H
#define FP_LEDGER_GUARD_H

#include "lib/ledger/jobs.h"

/* Users paged so far. Read while there are few: during the canary. */
int ledger_job_paged(struct fp_ledger *l, int64_t job_id, int64_t *users, struct fp_err *err) FP_MUST_CHECK;
/* The canary's users have their outcomes: the wait begins now. *done false: it
 * has begun already, or the lead is lost. */
int ledger_canary_wait(struct fp_ledger *l, const char *leader, int64_t job_id, bool *done,
                       struct fp_err *err) FP_MUST_CHECK;

/* The same, but it waits for a person: IN_PROGRESS -> PAUSED with the reason, and after a resume the rest
 * follows. */
int ledger_canary_pause(struct fp_ledger *l, const char *leader, int64_t job_id, const char *reason,
                        bool *done, struct fp_err *err) FP_MUST_CHECK;

/* In the order of jobs.guard_base. */
struct ledger_guard_sums {
    int64_t mails, failed; /* of batches that are done: the caller's */
    int64_t bounced, complained;
};
/* Users with these events, along the index of their kind: few, in a good job. */
int ledger_guard_events(struct fp_ledger *l, int64_t job_id, struct ledger_guard_sums *sums,
                        struct fp_err *err) FP_MUST_CHECK;
/* IN_PROGRESS -> PAUSED with the reason; from here on the guards count anew. */
int ledger_guard_pause(struct fp_ledger *l, const char *leader, int64_t job_id, const char *reason,
                       const struct ledger_guard_sums *sums, bool *done, struct fp_err *err) FP_MUST_CHECK;

#endif
