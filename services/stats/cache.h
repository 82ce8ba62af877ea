/*
 * Market data of the periods now computed, shared by all workers. Read mostly:
 * an instrument is loaded once for a period and never changes.
 */
#ifndef FP_STATS_CACHE_H
#define FP_STATS_CACHE_H

#include "lib/source/portfolio.h"

struct fp_cache;

/* max_bytes: of everything in it; views in use may take more. */
struct fp_cache *cache_new(int max_periods, size_t max_bytes);
void cache_free(struct fp_cache *c); /* all views must be released; NULL is fine */

/* The market as one batch sees it: instruments parallel to the ids asked for. */
struct cache_view {
    struct perf_market market;
    const struct portfolio_instrument **instruments; /* for symbol and name; an unknown one has known false */
    struct cache_entry **entries;                    /* the cache's own */
    struct cache_period *period;
    struct fp_cache *cache;
};

/* Loads what is missing over the worker's own connection; no lock is held
 * meanwhile, so two workers may load the same thing once. ids must stay until
 * the release. */
int cache_view_open(struct fp_cache *c, struct fp_source *s, const struct portfolio_period *period,
                    const int64_t *ids, size_t n, struct cache_view *out, struct fp_err *err) FP_MUST_CHECK;
void cache_view_release(struct cache_view *v);

/* For the gauges. */
void cache_sizes(struct fp_cache *c, int *periods, size_t *bytes);

#endif
