/* What each type of transaction is, for slots.c and book.c. */
#ifndef FP_PERFORMANCE_BOOK_H
#define FP_PERFORMANCE_BOOK_H

#include "lib/performance/internal.h"

enum perf_rank { RANK_IN, RANK_LEAVES, RANK_ARRIVES, RANK_OUT };

enum {
    CASH_ONLY = 1, /* an instrument beside it means nothing */
    IN = 2,        /* adds to a position */
    OUT = 4,
    NEEDS_INSTRUMENT = 8,
    SETTLED = 16, /* paid in cash: the amount tells the price */
    DELIVERY = 32,
    TRANSFER = 64,
    INCOME = 128
};

struct perf_type_traits {
    const char *name;
    enum perf_rank rank;
    int traits;
};
extern const struct perf_type_traits perf_types[PERF_TYPES];

/* What moved before costs, for every type: a deposit's flow, a dividend before
 * tax, a purchase's price. */
static inline fp_i128 perf_gross_e4(const struct perf_tx *t)
{
    return (fp_i128)t->amount_e4 + t->fee_e4 + t->tax_e4;
}

#endif
