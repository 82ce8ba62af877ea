/* A job's own pace: how many of its users are let into the pipeline now, by its rate and its hours. */
#ifndef FP_SCHEDULER_PACE_H
#define FP_SCHEDULER_PACE_H

#include "lib/ledger/rates.h"
#include "services/scheduler/leader.h"

/* It goes by a rate of its own, and pace_room() wants to know who was let in. */
bool pace_has_rate(const struct ledger_job *j);
/* Lowers *room (batches) to what the job's rate and hours allow now. let_in: users of its pages so
 * far, with full ones for the pages that are granted and not read yet. */
void pace_room(const struct ledger_job *j, struct leader_track *t, int64_t let_in, int64_t *room);
/* So many users were let in again. */
void pace_retried(const struct ledger_job *j, struct leader_track *t, int users);
/* Its hours or its rate let nobody in now. */
bool pace_holds(const struct ledger_job *j, struct leader_track *t);
/* Why it stands: "" when its hours are not the reason. */
const char *pace_waits(const struct ledger_job *j, const struct leader_track *t, char out[160]);

/* Pure. Batches of `users` that may go at now_us, when the next is due at next_us
 * and a second's worth, or one batch, may be ahead of it; below 1: none. */
int64_t pace_batches(int64_t next_us, double per_second, int users, int64_t now_us);
/* When the next is due after so many users; negative: after all not let in. */
int64_t pace_charge(int64_t next_us, double per_second, int64_t users, int64_t now_us);
bool pace_in_hours(const struct ledger_window *w, int minute);
/* Seconds of its hours between two times; of ones further apart than a month, a month's. */
double pace_open_s(const struct ledger_job *j, int64_t from_us, int64_t to_us);
bool pace_is_shut(const struct ledger_job *j, int64_t wall_us);

#endif
