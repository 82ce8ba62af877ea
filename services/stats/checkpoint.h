/*
 * Checkpoints of a batch's users: read and held against what they were made
 * from, made and written. A run that begins with a valid one reads one month of
 * transactions and not a life, and gives the same bytes.
 *
 * Nothing depends on them: without a row, or with a stale or broken one, the
 * user's life is read, and a write that fails costs nobody his mail.
 */
#ifndef FP_STATS_CHECKPOINT_H
#define FP_STATS_CHECKPOINT_H

#include "lib/ledger/checkpoints.h"
#include "lib/source/fingerprint.h"
#include "lib/source/portfolio.h"

struct fp_checkpoints; /* of a process: what its workers share */

struct checkpoint_settings {
    bool on;
    double verify;   /* share of users with a checkpoint that are computed from their first transaction too */
    int keep_months; /* older rows of a user are deleted */
    int periods;     /* whose market the cache keeps at once */
};
struct fp_checkpoints *checkpoints_new(const struct checkpoint_settings *s);
void checkpoints_free(struct fp_checkpoints *c); /* NULL is fine */

/* One user of a set, and what is known of him. */
struct checkpoint_user {
    int64_t id;
    int32_t base_currency;
    int64_t benchmark_id;
    /* in: the newest row, when it holds; out of find() */
    const uint8_t *state; /* NULL: none, or not what it was made from */
    size_t n_state;
    struct fingerprint_sum before; /* transactions up to its day */
    bool verify;
};

struct checkpoint_set {
    int32_t day; /* of the states: the last end of a month before the period */
    struct ledger_checkpoint *rows;
    size_t n;
};

/* The last end of a month before `day`; and the last one up to `day`. */
int32_t checkpoint_day_before(int32_t day);
int32_t checkpoint_day_up_to(int32_t day);
/* Of the states that a run of the period leaves behind: the last end of a month
 * that it passes; when it passes none, the one before it. */
int32_t checkpoint_day_kept(const struct portfolio_period *period);

/* Fills the users' states. They live until checkpoints_release(). */
int checkpoints_find(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                     const struct portfolio_period *period, struct checkpoint_user *users, size_t n,
                     struct checkpoint_set *set, struct fp_err *err) FP_MUST_CHECK;
void checkpoints_release(struct checkpoint_set *set);

/* To be called before the market of these instruments (distinct, ascending) is
 * loaded to compute the period: a state that is made of it is marked with what
 * stood in the database before, and so never passes for newer than it is. */
int checkpoints_prime(struct fp_checkpoints *c, struct fp_source *s, const struct portfolio_period *period,
                      const int64_t *ids, size_t n, struct fp_err *err) FP_MUST_CHECK;

/* A state that was made: bytes belong to it. */
struct checkpoint_made {
    int64_t user_id;
    int32_t base_currency;
    int64_t benchmark_id;
    struct fingerprint_sum txs; /* up to the day */
    uint8_t *state;
    size_t n_state;
};
/* Writes all, of checkpoint_day_kept(); what goes wrong is counted and logged, once in a while. */
void checkpoints_write(struct fp_checkpoints *c, struct fp_ledger *l, struct fp_source *s,
                       const struct portfolio_period *period, struct checkpoint_made *made, size_t n);
/* A checkpoint led to another value, return, ... than the life did: said, and deleted. */
void checkpoints_wrong(struct fp_ledger *l, int64_t user_id, const char *what);

#endif
