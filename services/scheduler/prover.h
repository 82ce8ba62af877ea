/*
 * Proofs of very large jobs, beside the leader's loop: they read each delivery
 * once, which can take minutes. A thread and a connection of its own, whose
 * statements may take as long; one proof at a time. The ledger judges the lead
 * at the proof's beginning and the job at its end, whoever waits for it.
 */
#ifndef FP_SCHEDULER_PROVER_H
#define FP_SCHEDULER_PROVER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ledger/jobs.h"

/* As the roles' statement_timeout (sql/roles.sql). */
#define PROVER_TIMEOUT_MS 600000

struct prover;

struct prover_answer {
    int failed; /* err says why */
    bool done;
    struct fp_err err;
};

/* Says that a job is complete. In the prover's thread: once proved, the job is no open one any more that the
 * loop would see. It has no user ids. */
typedef void prover_tell_fn(const struct ledger_job *j, const struct ledger_proof *proof);

/* The prover owns the ledger from now on. */
struct prover *prover_new(struct fp_ledger *ledger, prover_tell_fn *tell, struct fp_err *err) FP_MUST_CHECK;
/* False while another proof goes on; an answer that nobody took is dropped. */
bool prover_begin(struct prover *p, const char *leader, const struct ledger_job *j);
/* This job's proof goes on. */
bool prover_is_at(struct prover *p, int64_t job_id);
/* True with the answer, once, when this job's proof is over. */
bool prover_take(struct prover *p, int64_t job_id, struct prover_answer *out);
/* Frees all, or, when a proof goes on, leaves it behind with what it uses: the process
 * ends, and what the statement does stands. False then. NULL is fine. */
bool prover_stop(struct prover *p);

#endif
