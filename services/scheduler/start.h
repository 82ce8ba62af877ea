/* How a job's audience becomes intervals: for the start and for dry runs. */
#ifndef FP_SCHEDULER_START_H
#define FP_SCHEDULER_START_H

#include "lib/ledger/jobs.h"
#include "lib/source/source.h"
#include "services/scheduler/plan.h"
#include "services/scheduler/settings.h"

struct start_intervals {
    int64_t lower_us[PLAN_MAX_INTERVALS], upper_us[PLAN_MAX_INTERVALS];
    int n;
};

/* Where the job's audience begins: the job's own word, the operator's, or the
 * first user's registration (INT64_MAX: there is no user). */
int start_first_us(struct fp_source *source, const struct scheduler_settings *set, const struct ledger_job *j,
                   int64_t *first_us, struct fp_err *err) FP_MUST_CHECK;
/* OUT_OF_RANGE: the job can never be planned. Other errors may pass. */
int start_plan(struct fp_source *source, const struct scheduler_settings *set, const struct ledger_job *j,
               struct start_intervals *out, struct fp_err *err) FP_MUST_CHECK;

#endif
