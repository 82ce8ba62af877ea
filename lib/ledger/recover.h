/*
 * After a restore of the ledger from a backup: recover.
 *
 * The ledger is as it was at a time in the past, and mails may have gone out
 * since. Jobs that were open then are paused, and send nothing more to whom they
 * have no outcome for: he is ambiguous ("restored to ..."), whatever the job's
 * policy is, and a person decides as about every ambiguous one. So is whoever is
 * paged later, by the statement that pages him. A due time of a schedule that may
 * have fired since fires as such a job, paused. Numbers that may have been given
 * away since are left out. A dry run sends nothing, and is only paused.
 *
 * What this cannot know of: jobs that were submitted since; suppressions, erasures
 * and revoked tokens since; jobs that had ended and were tried again since.
 * docs/operations.md says what to do about each. The rules stand in migration 0020,
 * since pages are settled by a trigger.
 */
#ifndef FP_LEDGER_RECOVER_H
#define FP_LEDGER_RECOVER_H

#include "lib/ledger/ledger.h"

struct ledger_recovered {
    bool existing;     /* it was done before: these are the figures of then */
    int64_t newest_us; /* what the ledger had last been told of; 0: nothing */
    int jobs;          /* that were open, and are paused */
    int batches;       /* of theirs that were open, and are done */
    int64_t users;     /* of theirs who were paged by then, and are ambiguous now */
    int intervals;     /* of theirs that are not read to their end: these users follow when they are paged */
    int firings;       /* schedules that were due since: each makes a job, paused */
};
/* to: the restored time, as recovery_target_time had it. dry_run: nothing is changed.
 * FAILED_PRECONDITION when a lease holds, when the ledger has later entries, or
 * when the time is in the future. One statement; safe to repeat. */
int ledger_recover(struct fp_ledger *l, const char *to, bool dry_run, const char *actor,
                   struct ledger_recovered *out, struct fp_err *err) FP_MUST_CHECK;

#define LEDGER_TOLD_MAX 10000 /* users of one call */
struct ledger_told {
    bool known;        /* there is such a job */
    bool open;         /* it was recovered, and is still paused: only then anything is changed */
    int64_t recovered; /* ambiguous or deferred before, sent now */
    int64_t already;   /* were sent */
    int64_t later;     /* not paged yet: they are sent as soon as they are */
    int64_t others;    /* have another outcome, which stays: in an ended job, or skipped or failed */
};
/* The mails of the job to these users certainly went out: their Message-IDs were
 * listed. Safe to repeat. */
int ledger_recover_told(struct fp_ledger *l, int64_t job_id, const int64_t *user_ids, size_t n,
                        const char *actor, struct ledger_told *out, struct fp_err *err) FP_MUST_CHECK;

#endif
