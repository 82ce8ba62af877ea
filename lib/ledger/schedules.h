/*
 * Schedules and their firings: tables foliopost.schedules and firings.
 *
 * The leader reads what is due and, in one statement, moves the schedule on to
 * its next due time, notes the firing under the key (schedule, due) and makes the
 * job. The schedule's version fences it: whoever read an older one changes nothing.
 * When a schedule is due is for the caller to say (lib/cron).
 */
#ifndef FP_LEDGER_SCHEDULES_H
#define FP_LEDGER_SCHEDULES_H

#include "lib/ledger/jobs.h"

#define LEDGER_SCHEDULE_NAME 65   /* bytes with the NUL */
#define LEDGER_SPEC_BYTES    4096 /* of a packed specification; without lists of users */

struct ledger_schedule {
    char name[LEDGER_SCHEDULE_NAME];
    char cron[128], zone[64];
    unsigned char spec[LEDGER_SPEC_BYTES]; /* a packed JobSpec */
    size_t spec_bytes;
    bool paused;
    bool skip_overlap;         /* a due time passes while a job of an earlier one is open */
    int64_t catch_up_ms;       /* a due time that is older fires no more */
    int64_t deadline_after_ms; /* of its jobs, from the due time; 0: none */
    int64_t next_due_us;
    /* read only */
    int64_t version, created_us, updated_us;
    int64_t restored_until_us; /* what was due until then may have fired in a time that a restore took away
                                  (recover.h): its job is PAUSED, and mails nobody by itself; 0: no restore */
    bool busy;                 /* a job that it fired is open */
};

struct ledger_firing {
    int64_t due_us, at_us;
    char outcome[16]; /* fired; missed: too late; skipped: an earlier job was open; refused: no job could be
                         made */
    int64_t job_id;
    int64_t missed; /* due times before this one that it stands for */
    char reason[256];
};

/* The same schedule twice is a success, *existing true; another one of the name
 * is ALREADY_EXISTS; more than max are RESOURCE_EXHAUSTED. */
int ledger_schedule_create(struct fp_ledger *l, const struct ledger_schedule *s, int max, const char *actor,
                           bool *existing, struct fp_err *err) FP_MUST_CHECK;
/* Replaces all but paused. next_due counts only when expression or zone change. what: ": cron", behind the
 * name in the audit. */
int ledger_schedule_update(struct fp_ledger *l, const struct ledger_schedule *s, const char *what,
                           const char *actor, struct fp_err *err) FP_MUST_CHECK;
/* Being so already is a success. A resumed one goes on with next_due_us. */
int ledger_schedule_pause(struct fp_ledger *l, const char *name, const char *actor,
                          struct fp_err *err) FP_MUST_CHECK;
int ledger_schedule_resume(struct fp_ledger *l, const char *name, int64_t next_due_us, const char *actor,
                           struct fp_err *err) FP_MUST_CHECK;
/* With its firings; its jobs stay. */
int ledger_schedule_delete(struct fp_ledger *l, const char *name, const char *actor, bool *existed,
                           struct fp_err *err) FP_MUST_CHECK;
int ledger_schedule_get(struct fp_ledger *l, const char *name, struct ledger_schedule *out,
                        struct fp_err *err) FP_MUST_CHECK; /* NOT_FOUND */
/* By name. Returns how many. */
int ledger_schedules(struct fp_ledger *l, struct ledger_schedule *out, int max,
                     struct fp_err *err) FP_MUST_CHECK;
/* Newest first. Returns how many. */
int ledger_firings(struct fp_ledger *l, const char *name, struct ledger_firing *out, int max,
                   struct fp_err *err) FP_MUST_CHECK;

/* Due times that made no job, noted within the last hour. */
int ledger_schedules_missed(struct fp_ledger *l, int64_t *missed, int64_t *refused,
                            struct fp_err *err) FP_MUST_CHECK;

/* --- the leader's steps ------------------------------------------------------------------ */

/* Those that are due, longest first; *now_us: the database's time. Returns how many. */
int ledger_schedules_due(struct fp_ledger *l, struct ledger_schedule *out, int max, int64_t *now_us,
                         struct fp_err *err) FP_MUST_CHECK;
/* fire: j becomes a job, f its firing, s is due again at next_us. *job_id 0: not
 * done: the lead is lost, s has changed, or the request id is known. */
int ledger_schedule_fire(struct fp_ledger *l, const char *leader, const struct ledger_schedule *s,
                         const struct ledger_firing *f, int64_t next_us, const struct ledger_job *j,
                         int margin_ms, int64_t *job_id, struct fp_err *err) FP_MUST_CHECK;
/* pass: the due time goes by without a job, with outcome and reason. */
int ledger_schedule_pass(struct fp_ledger *l, const char *leader, const struct ledger_schedule *s,
                         const struct ledger_firing *f, int64_t next_us, struct fp_err *err) FP_MUST_CHECK;

#endif
