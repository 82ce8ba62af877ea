/* Synthetic data: a schema portfolio made from a seed, by sql/synthetic.sql. */
#ifndef FP_SOURCE_SYNTHETIC_H
#define FP_SOURCE_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/pg/pg.h"

#define SOURCE_SEED_MAX_USERS 20000000 /* 40 GB of tables */

struct source_seed_options {
    int64_t users; /* 1 to SOURCE_SEED_MAX_USERS */
    int64_t seed;
    int32_t last_day; /* the last one with data; 0: yesterday, UTC */
    bool force;       /* replaces synthetic data that is there already */
    /* Called before each step and while one goes on, in users; may be NULL. */
    void (*progress)(void *ctx, const char *step, int64_t done, int64_t total);
    void *ctx;
};

/* Makes schema portfolio and fills it; takes minutes for a million users. The
 * DSN is a direct one, not PgBouncer's, of a role that may create a schema.
 * What was not made here is never touched: FAILED_PRECONDITION when a table of
 * the contract is there without the marker portfolio.synthetic, ALREADY_EXISTS
 * when finished synthetic data is there and force is false. A seeding that was
 * cut short is simply begun again. */
int source_seed(const struct pg_options *pg, const struct source_seed_options *o,
                struct fp_err *err) FP_MUST_CHECK;

#endif
