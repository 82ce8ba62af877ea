/* The threads that do the work, and what they share. */
#ifndef FP_STATS_WORKER_H
#define FP_STATS_WORKER_H

#include "lib/service/service.h"
#include "services/stats/settings.h"

struct fp_workers;

/* Opens the bus and starts the threads. s and set must outlive them. */
struct fp_workers *workers_start(struct fp_service *s, const struct stats_settings *set,
                                 struct fp_err *err) FP_MUST_CHECK;
/* Nothing new is taken; what is in work is finished or handed back. */
void workers_drain(struct fp_workers *w);
bool workers_drained(struct fp_workers *w);
void workers_tick(struct fp_workers *w); /* gauges */
/* False with the reason while the source cannot be read. */
bool workers_ready(struct fp_workers *w, struct fp_str *why_not);
/* Joins the threads if they are done (else leaves them to the process's end), closes the bus. */
void workers_stop(struct fp_workers *w);

#endif
