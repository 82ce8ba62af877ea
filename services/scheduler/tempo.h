/*
 * How fast jobs go: the counts that this process saw of them in the last
 * seconds, and from these rate and time to the end.
 *
 * In memory alone: whoever watches a job makes the samples, and a scheduler
 * that sees it for the first time has its mean since the start.
 */
#ifndef FP_SCHEDULER_TEMPO_H
#define FP_SCHEDULER_TEMPO_H

#include "lib/ledger/jobs.h"
#include "services/scheduler/convert.h"

struct tempo;

struct tempo *tempo_new(void);
void tempo_free(struct tempo *p); /* NULL is fine */
/* The progress of a job in progress, of which the counts were read at now_us
 * (CLOCK_REALTIME); NULL for any other. Any thread. */
Foliopost__V1__Progress *tempo_progress(struct tempo *p, const struct ledger_job *j,
                                        const Foliopost__V1__Counts *counts, int64_t now_us,
                                        struct convert *c);

#endif
