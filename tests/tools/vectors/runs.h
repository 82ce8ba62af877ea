/* What figures.c has for series.c. */
#ifndef FP_TOOLS_VECTORS_RUNS_H
#define FP_TOOLS_VECTORS_RUNS_H

#include "tests/tools/vectors/vectors.h"

int32_t period_from(const struct vcase *c); /* its first day: the file's start may be the opening's */
enum reading usual_reading(struct vcase *c);
const struct run *run_period(struct vcase *c, enum reading reading);
const struct run *run_life(struct vcase *c, enum reading reading);
/* The run's time-weighted return, by the case's timing of flows. */
double rate_of(struct vcase *c, const struct run *r, bool *defined);
double linked_at_end(const struct run *r);

#endif
