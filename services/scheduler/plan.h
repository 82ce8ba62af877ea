/*
 * Plans: how a job's audience is cut into intervals, and how many batches may be in flight. Pure arithmetic:
 * no clock, no database.
 */
#ifndef FP_SCHEDULER_PLAN_H
#define FP_SCHEDULER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/wire.h"

/* What a report can carry; registrations further back are broken data. */
#define PLAN_MAX_INTERVALS WIRE_MAX_INTERVALS

/* Cuts [from_us, to_us) at the first of each calendar month, UTC, into
 * lower[i], upper[i]; both arrays hold PLAN_MAX_INTERVALS. The first and the
 * last can be parts of a month. Nothing to cut (from >= to) gives one empty
 * interval at to_us, so that an empty job is paged and proved like any other.
 * Returns how many; -1 when there would be more than PLAN_MAX_INTERVALS. */
int plan_intervals(int64_t from_us, int64_t to_us, int64_t *lower_us, int64_t *upper_us);

struct plan_window {
    int job_batches;       /* the job's or the operator's own number; 0: by rate and mailers */
    int batch_size;        /* users */
    double limit_per_s;    /* the provider's rate; 0: no limit */
    double measured_per_s; /* users finished a second of late; < 0: nothing known yet */
    int slots;             /* claim slots of the live mailers */
};
/* Batches of one job that may be in flight, at least 2 unless the job says 1. */
int plan_window(const struct plan_window *w);

/* Batches in flight of jobs that name a provider: of one provider's, and of all of
 * these together. So many of a mailer's slots, or what was done of them in the last
 * second. users_per_s: finished of late, of the jobs concerned. */
int plan_named_window(int least_slots, bool one_provider, double users_per_s, int batch_size);

/* How much of a full window is kept free for retries: a tenth, 1 to max. */
int plan_reserve(int64_t window, int max);

/* Mixes one second's throughput into the average of the last seconds. */
double plan_throughput(double average_per_s, double last_second);

/* Taken for the throughput until something was measured, at a job's begin and
 * after a change of leader: a dozen batches of 100, as three for each slot of
 * one mailer. What is sent out on a guess lies in the buffers of whoever is there:
 * with 50 batches, mailers that came seconds later had nothing to do until a slow
 * first one had worked them off. */
#define PLAN_START_USERS_PER_S 250.0

#endif
