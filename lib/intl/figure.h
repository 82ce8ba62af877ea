/* How a locale writes one kind of figure, learnt from ICU. Private to lib/intl. */
#ifndef FP_INTL_FIGURE_H
#define FP_INTL_FIGURE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/intl/intl.h"

#define FIGURE_AFFIX_BYTES  28 /* marks of direction, sign, blanks and a currency's symbol */
#define FIGURE_MARK_BYTES   5  /* a digit, a point, a separator of groups */
#define FIGURE_MAX_DECIMALS 4

struct figure_affix {
    char text[FIGURE_AFFIX_BYTES];
    unsigned char bytes;
};
struct figure_mark {
    char text[FIGURE_MARK_BYTES];
    unsigned char bytes;
};

enum figure_shape { FIGURE_PLAIN, FIGURE_MINUS, FIGURE_PLUS, FIGURE_SHAPES };

struct figure {
    char kind[40]; /* the skeleton it was learnt with: "currency/EUR .00" */
    struct figure_affix before[FIGURE_SHAPES], after[FIGURE_SHAPES];
    struct figure_mark digits[10], point, group;
    int decimals;
    int first_group, next_groups; /* digits, from the point; first_group 0: none */
    int least_digits;             /* of the whole number, from which on it is grouped */
};

/* kind: ICU's number skeleton, with `decimals` of them in it. */
int figure_learn(struct figure *f, const char *locale, const char *kind, int decimals,
                 struct fp_err *err) FP_MUST_CHECK;
/* v in units of 10^-decimals. */
void figure_write(const struct figure *f, int64_t v, enum intl_sign sign, char *out);

#endif
