/*
 * The lots of one holding: first in, first out for each custody account, and
 * one pool at average cost over all accounts beside it.
 *
 * Quantities are signed: a sale of more than there is opens a short lot, and a
 * purchase closes short lots first. A sale takes the lots of its own account,
 * then those of others, oldest first: sources that book all sales on one
 * account are common, and a short position that is none is the worse error.
 * What is in transit comes last, and when it has been sold its arrival is owed:
 * it brings nothing any more. Arrivals are of what left first.
 * Costs keep their remainder: the last share of a lot takes what is left.
 */
#ifndef FP_PERFORMANCE_LOTS_H
#define FP_PERFORMANCE_LOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/fixed.h"

#define LOTS_MAX       100000 /* of one holding */
#define LOTS_EARLY_MAX 8      /* arrivals that wait for the side that leaves; more are deliveries */
/* Transfers between depositories settle within days; after this many they went elsewhere, or came
 * from there. Nothing waits for longer than that. */
#define LOTS_TRANSIT_DAYS 10
#define LOTS_OWED_MAX     (LOTS_TRANSIT_DAYS + 1) /* one for each day on which they left */

struct perf_lot {
    int64_t account;
    int32_t day;  /* of purchase, kept on transfers */
    int32_t left; /* in transit: the day on which it left */
    int64_t quantity_e8;
    bool transit;     /* left its account, not yet arrived */
    fp_i128 cost_e8;  /* with fees and taxes, in the base currency */
    fp_i128 basis_e8; /* in the period: opening value, or purchase before costs */
};

/* Shares that were booked in before they were booked out: till then they count
 * where they are, and so once. */
struct perf_early {
    int64_t account; /* they go there */
    int32_t day;
    int32_t currency; /* of the price */
    int64_t quantity_e8, price_e8;
};

/* Shares that left, and went on before they arrived: sold, or to a third account. */
struct perf_owed {
    int32_t left;
    int64_t quantity_e8;
};

struct perf_lots {
    struct perf_lot *lots; /* by day within an account */
    size_t n, cap;
    fp_i128 average_cost_e8; /* of the whole quantity */
    int64_t transit_e8;
    struct perf_early *early; /* by day; room for LOTS_EARLY_MAX */
    struct perf_owed *owed;   /* one for each day, ascending; room for LOTS_OWED_MAX */
    int n_early, n_owed;
};

/* A change of quantity and what it is worth, signed alike: a purchase is
 * positive and costs, a sale negative and brings. */
struct perf_lots_change {
    int64_t account;
    int32_t day;
    int64_t quantity_e8;
    fp_i128 net_e8;    /* with fees and taxes */
    fp_i128 gross_e8;  /* before them */
    int64_t before_e8; /* quantity of the holding before */
    bool of_transit;   /* takes what is overdue, and not the account's */
};
struct perf_lots_result {
    fp_i128 fifo_e8, average_e8; /* realised, against cost with fees and taxes */
    fp_i128 basis_e8;            /* realised, against the period's basis */
};

/* Called for each lot that is used up or shortened, with what that brought,
 * after costs; may be NULL. */
typedef void perf_lots_seen(void *ctx, const struct perf_lot *lot, int64_t quantity_e8, fp_i128 cost_e8,
                            fp_i128 proceeds_e8);

/* False when there are more than LOTS_MAX. */
bool lots_change(struct perf_lots *l, const struct perf_lots_change *c, struct perf_lots_result *r,
                 perf_lots_seen *seen, void *ctx);
/* Moves up to so many shares of an account (then of others, then of what is in
 * transit itself) to where some are expected, and the others into transit; what is
 * there no more stays where it is. Returns how many moved. */
int64_t lots_leave(struct perf_lots *l, int64_t account, int32_t day, int64_t quantity_e8);
/* Moves up to so many from transit into the account, or has them settle what is
 * owed, by the day on which they left. Returns how many. */
int64_t lots_arrive(struct perf_lots *l, int64_t account, int64_t quantity_e8);
/* Waits for the side that leaves, when other accounts hold so much that nobody
 * waits for yet. False: they do not, or too many wait; then nothing is noted. */
bool lots_expect(struct perf_lots *l, const struct perf_early *e);
/* Is the other side of a transfer still to come? */
static inline bool lots_wait(const struct perf_lots *l)
{
    return l->transit_e8 || l->n_early || l->n_owed;
}
/* What left on that day, or is expected since then, is it overdue? */
static inline bool lots_are_overdue(int32_t since, int32_t day)
{
    return day - since > LOTS_TRANSIT_DAYS;
}
/* How many are in transit for too long, for a change with of_transit. */
int64_t lots_overdue(const struct perf_lots *l, int32_t day);
/* What is overdue is owed no more. */
void lots_drop_owed(struct perf_lots *l, int32_t day);
/* Removes the oldest of those expected. */
void lots_drop_early(struct perf_lots *l);
/* Each lot's quantity times numerator / denominator; they sum to total_e8. */
bool lots_split(struct perf_lots *l, int32_t numerator, int32_t denominator, int64_t total_e8);
/* The period opens: the holding's value becomes the lots' basis, by quantity. */
void lots_rebase(struct perf_lots *l, int64_t quantity_e8, fp_i128 value_e8);

struct perf_lots_sum {
    int64_t quantity_e8;
    fp_i128 cost_e8, basis_e8;
};
struct perf_lots_sum lots_sum(const struct perf_lots *l);
/* For a decoder: appends as it is. False when there are more than LOTS_MAX. */
bool lots_append(struct perf_lots *l, const struct perf_lot *lot);
/* Of what left on that day so many do not come. False, and nothing noted, when LOTS_OWED_MAX other days
 * have some, or there are too many. */
bool lots_owe(struct perf_lots *l, const struct perf_owed *owed);
void lots_clear(struct perf_lots *l); /* keeps the memory */
void lots_free(struct perf_lots *l);

#endif
