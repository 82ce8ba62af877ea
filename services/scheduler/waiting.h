/* Why a job stands, for people: composed when asked for, worst first. */
#ifndef FP_SCHEDULER_WAITING_H
#define FP_SCHEDULER_WAITING_H

#include "services/scheduler/convert.h"
#include "services/scheduler/settings.h"

#define WAITING_MAX 12

/* Fills m->waiting. Nothing for a job in a final state. counts may be NULL. */
int waiting_fill(struct fp_ledger *l, const struct scheduler_settings *set, const struct ledger_job *j,
                 const struct ledger_counts *counts, struct convert *c, Foliopost__V1__Job *m,
                 struct fp_err *err) FP_MUST_CHECK;

#endif
