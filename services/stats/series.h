/*
 * Closes, each series once, whichever and how many periods ask for a part of
 * it: jobs at once read the same market, with other days at its ends. Not for
 * several threads: the cache has the lock.
 */
#ifndef FP_STATS_SERIES_H
#define FP_STATS_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/performance/performance.h"

struct fp_series_pool;
struct series; /* counted; points never change */

struct fp_series_pool *series_pool_new(void);
void series_pool_free(struct fp_series_pool *p); /* nothing of it may be in use; NULL is fine */
size_t series_pool_bytes(const struct fp_series_pool *p);

/* A part of a series that has exactly these points, in *out; the caller's count
 * of it is returned. When there is none it is made of a copy, and *made is set.
 * No points: NULL. */
struct series *series_of(struct fp_series_pool *p, int64_t id, struct perf_series points,
                         struct perf_series *out, bool *made);
/* The same within this series alone; NULL when it has no such part. */
struct series *series_part(struct series *s, struct perf_series points, struct perf_series *out);
/* Gives a count back; NULL is fine. */
void series_put(struct fp_series_pool *p, struct series *s);

#endif
