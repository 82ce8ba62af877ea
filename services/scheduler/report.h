/* A job as GetJob shows it, and the processing report. */
#ifndef FP_SCHEDULER_REPORT_H
#define FP_SCHEDULER_REPORT_H

#include "services/scheduler/convert.h"
#include "services/scheduler/settings.h"

/* Counts, proof and reasons; reads the ledger. NULL with *err filled. */
Foliopost__V1__Job *report_job(struct fp_ledger *l, const struct scheduler_settings *set,
                               const struct ledger_job *j, struct convert *c,
                               struct fp_err *err) FP_MUST_CHECK;
/* Its intervals and failures, for who asks for details. */
int report_details(struct fp_ledger *l, struct convert *c, Foliopost__V1__Job *m,
                   struct fp_err *err) FP_MUST_CHECK;
/* The report, as of now_us for a job that still runs. */
Foliopost__V1__Report *report_make(struct fp_ledger *l, const struct scheduler_settings *set, int64_t job_id,
                                   int64_t now_us, struct convert *c, struct fp_err *err) FP_MUST_CHECK;
/* Whether rate and quota are enough until the deadline: seconds and in_time. quota_a_day: mails of a whole
 * day, where quota_left is not -1; open_s: seconds until the deadline in which the job may send. Pure. */
void report_in_time(Foliopost__V1__DryRun *d, int64_t now_us, double quota_a_day, double open_s);
/* Duration, totals, rate and speed from what is in the report already. Pure. */
void report_figures(Foliopost__V1__Report *r, const struct ledger_job *j, int64_t now_us);

#endif
