/* The library's input of a case: market.c reads the market, book.c the transactions. */
#ifndef FP_TOOLS_VECTORS_BOOK_H
#define FP_TOOLS_VECTORS_BOOK_H

#include "tests/tools/vectors/vectors.h"

#define MAX_RUNS 64
#define CODES    64

struct part { /* of an instrument: one for each asset class it is shared by */
    const char *name, *class;
    double weight;
};
struct points {
    struct perf_point *p;
    size_t n, cap;
};
struct book {
    struct part *parts;
    struct perf_instrument *instruments;
    const struct perf_instrument **pointers;
    struct perf_split **splits;
    struct points *closes;
    int64_t *ids;
    size_t n;
    struct perf_pair pairs[CODES];
    struct points rates[CODES];
    size_t n_pairs;
    struct perf_tx *txs; /* of one view; rebuilt */
    size_t n_txs, cap_txs;
    char codes[CODES][2][8]; /* invented currency, the one in its place */
    size_t n_codes;
    double scale;
    bool carried; /* some run carries its prices */
    struct run runs[MAX_RUNS];
    size_t n_runs;
    struct fp_performance *performance;
};

int64_t book_fixed(double v, double unit); /* rounded; 0 for what does not fit */
int32_t book_currency(struct book *b, const char *code);
/* As stated, else of the first trade that says, else the case's. */
const char *book_currency_of(const struct vcase *c, const char *name);
/* What one share cost or brought before fee and tax, by the price or by the amount. */
double book_own_price(const json_t *transaction);
void market_read(struct vcase *c);
void market_free(struct book *b);

#endif
