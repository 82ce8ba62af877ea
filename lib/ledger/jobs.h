/*
 * Jobs: table foliopost.jobs. The only writer of jobs.state.
 *
 *   (submit)    -> PENDING
 *   PENDING     -> IN_PROGRESS  start    leader, with all its intervals; once approved, where that is needed
 *   PENDING     -> PAUSED, CANCELLED, FAILED
 *   IN_PROGRESS -> PAUSED       pause    RPC, or the leader (a lasting fault)
 *   PAUSED      -> IN_PROGRESS  resume   when it has intervals; its queued batches are due now
 *   PAUSED      -> PENDING      resume   when it was never started
 *   IN_PROGRESS -> COMPLETED    complete leader, with the proof (P3)
 *   IN_PROGRESS, PENDING, PAUSED -> FAILED     past its deadline, or cannot be planned
 *   IN_PROGRESS, PENDING, PAUSED -> CANCELLED  cancel
 *   COMPLETED   -> IN_PROGRESS  reopen, accept   round + 1
 */
#ifndef FP_LEDGER_JOBS_H
#define FP_LEDGER_JOBS_H

#include "lib/ledger/ledger.h"

/* The values of foliopost.v1.JobState. */
enum job_state {
    JOB_UNKNOWN = 0,
    JOB_PENDING = 1,
    JOB_IN_PROGRESS = 2,
    JOB_PAUSED = 3,
    JOB_COMPLETED = 4,
    JOB_FAILED = 5,
    JOB_CANCELLED = 6,
};
const char *job_state_name(enum job_state s); /* "IN_PROGRESS" */
enum job_state job_state_from_name(const char *name);

struct ledger_job {
    int64_t id;
    char request_id[129];
    char spec_hash[65];
    int64_t parent_job;
    char kind[16]; /* weekly, monthly, custom */
    char title[201];
    char brand[65];
    char template_name[65];
    char template_hash[65];
    int32_t period_start_day, period_end_day;
    int64_t *user_ids; /* sorted, distinct; NULL: by registration. Owned: ledger_job_fini() */
    size_t n_user_ids;
    int64_t registered_from_us; /* 0: from the first user on */
    int64_t audience_end_us;
    int32_t share_ppm; /* of those registered; 0: all. Who: lib/source/share.h */
    int64_t share_seed;
    char provider[65]; /* through which its mails go; "": any */
    bool resend;       /* ambiguous_policy */
    int max_attempts, batch_size, window_batches, interval_delay_ms;
    int64_t deadline_us;                  /* 0: none */
    int64_t canary_users, canary_wait_ms; /* 0: no canary */
    int64_t canary_until_us;              /* its wait ends; 0: it is not sent yet */
    int64_t read_us;       /* the database's clock when this was read: what that is held against */
    int64_t guard_base[4]; /* struct ledger_guard_sums when a guard last paused it */
    int64_t as_of_us, mail_date_us;
    char traceparent[64];
    char time_zone[64];   /* of its days and its hours; "": UTC */
    char send_window[12]; /* "08:00-20:00"; "": always */
    double rate_limit;    /* users a second; 0: none of its own */
    bool needs_approval;
    bool dry_run; /* everything but the send: dry_run.h */
    /* read only; names of identities */
    char submitted_by[129]; /* "": before there was approval */
    char approved_by[129];
    int64_t approved_us; /* 0: not approved */
    enum job_state state;
    char response[512];
    char waiting[512];
    int round;
    int64_t submitted_us, started_us, finished_us; /* 0: not yet */
};
void ledger_job_fini(struct ledger_job *j);
/* It is not to start before somebody approves it. */
bool ledger_job_unapproved(const struct ledger_job *j);

/* How the reason begins why a job waits for prices. */
#define LEDGER_DATA_NOT_READY "data not ready"

struct ledger_counts { /* from the batches; see Counts in job_service.proto */
    int64_t users, sent, failed, skipped, ambiguous, deferred;
    int64_t batches, batches_done, batches_open;
    int32_t intervals, intervals_paged;
};

struct ledger_proof {
    int round; /* 0: none */
    int64_t users, sent, failed, skipped, ambiguous, maybe_doubles, proved_us;
};

/* Inserts, PENDING, and makes its partition of deliveries. The same request_id
 * with the same spec_hash: *existing true and the job as it is; with another:
 * ALREADY_EXISTS. *out is to be finished. Times of 0 (as_of, mail_date) become
 * the database's now; audience_end_us is cut to now less margin_ms. */
int ledger_job_submit(struct fp_ledger *l, const struct ledger_job *j, int margin_ms, const char *actor,
                      struct ledger_job *out, bool *existing, struct fp_err *err) FP_MUST_CHECK;
/* The job that such a request has made, when it has; with another spec_hash: ALREADY_EXISTS. *out is
 * to be finished. */
int ledger_job_by_request(struct fp_ledger *l, const char *request_id, const char *spec_hash,
                          struct ledger_job *out, bool *found, struct fp_err *err) FP_MUST_CHECK;
int ledger_job_get(struct fp_ledger *l, int64_t id, struct ledger_job *out, struct fp_err *err) FP_MUST_CHECK;
/* Newest first; state JOB_UNKNOWN: all; before_id 0: from the newest. Returns how many, without user ids. */
int ledger_job_list(struct fp_ledger *l, enum job_state state, int64_t before_id, struct ledger_job *out,
                    int max, struct fp_err *err) FP_MUST_CHECK;
/* Some of all jobs; 0, "", NULL and false: any. */
struct ledger_job_filter {
    enum job_state state;
    bool open; /* PENDING, IN_PROGRESS or PAUSED */
    const char *kind, *template_name, *brand, *provider, *submitted_by;
    const char *schedule;   /* made by its due times */
    int64_t from_us, to_us; /* submitted since, and before */
    int64_t parent_job;
    bool without_dry_runs;
};
/* The same, filtered. */
int ledger_job_list_where(struct fp_ledger *l, const struct ledger_job_filter *f, int64_t before_id,
                          struct ledger_job *out, int max, struct fp_err *err) FP_MUST_CHECK;
/* PENDING, IN_PROGRESS and PAUSED, oldest first, without user ids. */
int ledger_jobs_open(struct fp_ledger *l, struct ledger_job *out, int max, struct fp_err *err) FP_MUST_CHECK;
/* The hash of the templates that the job's mails are written with: the first
 * mailer's stays. first: what stands there; "" when it was noted this moment. */
int ledger_job_note_templates(struct fp_ledger *l, int64_t id, const char *hash, char first[65],
                              struct fp_err *err) FP_MUST_CHECK;
int ledger_job_counts(struct fp_ledger *l, int64_t id, struct ledger_counts *out,
                      struct fp_err *err) FP_MUST_CHECK;
/* The last round's. */
int ledger_job_proof(struct fp_ledger *l, int64_t id, struct ledger_proof *out,
                     struct fp_err *err) FP_MUST_CHECK;

struct ledger_start {
    int max_jobs;
    int64_t as_of_us; /* its figures use what was recorded up to here; 0: as it was submitted */
    const int64_t *lower_us, *upper_us;
    size_t n;
};
/* start: the intervals [lower[i], upper[i]) as intervals 1..n, in one statement.
 * They tile from registered_from (when given, cut to the audience's end) to the
 * audience's end, else INVALID_ARGUMENT; without users one empty interval. A
 * list job has one that ends there; its lower bound is free. The Date of its mails
 * becomes now, and as_of moves on to as_of_us: nobody has got anything of it yet.
 * *done false: not PENDING any more, or the lead is lost, or max_jobs are in progress,
 * or nobody has approved it. */
int ledger_job_start(struct fp_ledger *l, const char *leader, int64_t id, const struct ledger_start *s,
                     bool *done, struct fp_err *err) FP_MUST_CHECK;
/* pause, resume, cancel: FAILED_PRECONDITION, naming the state, when not legal;
 * success when it is so already. actor: for the audit. */
int ledger_job_pause(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                     struct fp_err *err) FP_MUST_CHECK;
int ledger_job_resume(struct fp_ledger *l, int64_t id, const char *actor, struct fp_err *err) FP_MUST_CHECK;
int ledger_job_cancel(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                      struct fp_err *err) FP_MUST_CHECK;
/* approve: by an actor of another name than the submitter's, else PERMISSION_DENIED.
 * One that is approved already, by whomever, is a success; one that needs none,
 * or has ended, is FAILED_PRECONDITION. */
int ledger_job_approve(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                       struct fp_err *err) FP_MUST_CHECK;
/* The job's own rate from now on; 0: none. FAILED_PRECONDITION when it has ended. */
int ledger_job_set_rate(struct fp_ledger *l, int64_t id, double per_second, const char *actor,
                        struct fp_err *err) FP_MUST_CHECK;
int ledger_job_fail(struct fp_ledger *l, const char *leader, int64_t id, const char *reason, bool *done,
                    struct fp_err *err) FP_MUST_CHECK;
/* Fails every open job whose deadline is over; returns how many. */
int ledger_jobs_fail_late(struct fp_ledger *l, const char *leader, struct fp_err *err) FP_MUST_CHECK;
/* Why it does not go on now; only written when it differs. */
int ledger_job_set_waiting(struct fp_ledger *l, const char *leader, int64_t id, const char *why,
                           struct fp_err *err) FP_MUST_CHECK;
/* complete, in one statement: the intervals tile the range and each is paged;
 * every batch is done or split; every user of the pages, counted, has one
 * terminal outcome (and is in deliveries once). *done false: not yet. */
int ledger_job_complete(struct fp_ledger *l, const char *leader, int64_t id, bool *done,
                        struct ledger_proof *proof, struct fp_err *err) FP_MUST_CHECK;
struct ledger_delivery_filter; /* deliveries.h */
/* reopen: the deliveries in `states` ("failed", "ambiguous") and in
 * the filter (NULL: all) become deferred,
 * due now, attempts 0; a reopened ambiguous counts in maybe_doubles. Nobody in
 * these states: *users 0, and it stays COMPLETED. */
int ledger_job_reopen(struct fp_ledger *l, int64_t id, const char *const *states, size_t n,
                      const struct ledger_delivery_filter *f, const char *actor, int64_t *users,
                      struct fp_err *err) FP_MUST_CHECK;
/* accept: ambiguous deliveries become sent, by a person's word; the round that
 * this opens is proved at once when nothing else is open. The rest as reopen. */
int ledger_job_accept(struct fp_ledger *l, int64_t id, const struct ledger_delivery_filter *f,
                      const char *actor, int64_t *users, struct fp_err *err) FP_MUST_CHECK;

#endif
