/* Canary and guards: the leader's look at how a job's mails fare. */
#ifndef FP_SCHEDULER_GUARD_H
#define FP_SCHEDULER_GUARD_H

#include "services/scheduler/leader.h"

/* Once a second, behind the counts: ends canaries, pauses jobs. */
int guard_jobs(struct leader *l, struct fp_err *err) FP_MUST_CHECK;
/* How many of `room` pages the canary leaves to be granted now. */
int guard_canary_room(struct leader *l, const struct ledger_job *j, const struct leader_track *t,
                      int64_t *room, struct fp_err *err) FP_MUST_CHECK;
/* "" when the job does not wait for its canary. */
const char *guard_canary_waits(const struct ledger_job *j, int64_t now_us, char out[160]);

/* Pure: so few mails came of a canary whose users all have outcomes that it shows nothing; with what to do.
 */
bool guard_canary_too_few(const struct ledger_job *j, const struct ledger_counts *c, char *reason,
                          size_t cap);
/* Pure: mails below which no guard judges. sent: its canary's users all have outcomes, and its wait is yet to
 * begin. */
int64_t guard_least(const struct scheduler_settings *set, const struct ledger_job *j, bool sent);
/* Pure: which guard trips, with what to do; false: none. `sums` since the last time. */
bool guard_judge(const struct scheduler_settings *set, const struct ledger_job *j,
                 const struct ledger_guard_sums *sums, int64_t least, char *reason, size_t cap);

#endif
