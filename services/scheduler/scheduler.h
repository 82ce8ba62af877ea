/* The scheduler's process: the doors, the work pipe and the leader's thread. */
#ifndef FP_SCHEDULER_SCHEDULER_H
#define FP_SCHEDULER_SCHEDULER_H

#include "lib/service/service.h"
#include "services/scheduler/settings.h"

struct scheduler;

/* The struct that the settings fill is the first member, so that the
 * skeleton's `values` is the whole process. One for a process. */
struct scheduler *scheduler_instance(void);

int scheduler_validate(void *values, struct fp_err *err) FP_MUST_CHECK;
int scheduler_start(struct fp_service *s, void *values, struct fp_err *err) FP_MUST_CHECK;
void scheduler_drain(struct fp_service *s, void *values); /* gives the lead away; calls are still answered */
bool scheduler_drained(struct fp_service *s, void *values);
void scheduler_stop(struct fp_service *s, void *values);

#endif
