/*
 * v x numerator / denominator, for a ratio that is used often: a price, a day's
 * exchange rate. The result is that of fixed_div() to the last unit, without a
 * division: the denominator's reciprocal is kept beside it.
 *
 * After Moller and Granlund, "Improved division by invariant integers" (2011),
 * algorithm 4: 128 by 64 bits, exact for every quotient that fits 64. What is
 * larger is left to the caller and 128 bits. A constant denominator costs
 * nothing to prepare: compilers do it.
 */
#ifndef FP_BASE_RATIO_H
#define FP_BASE_RATIO_H

#include "lib/base/fixed.h"

struct fp_ratio {
    int64_t numerator, denominator; /* not below zero; above zero */
    uint64_t normal;                /* the denominator, shifted so that its first bit is set */
    uint64_t reciprocal;            /* (2^128 - 1) / normal - 2^64 */
    int shift;
};

static inline struct fp_ratio ratio_of(int64_t numerator, int64_t denominator)
{
    int shift = __builtin_clzll((uint64_t)denominator);
    uint64_t normal = (uint64_t)denominator << shift;
    unsigned __int128 ones = (unsigned __int128)~normal << 64 | UINT64_MAX;

    return (struct fp_ratio){numerator, denominator, normal, (uint64_t)(ones / normal), shift};
}

/* n / denominator, rounded down; n < 2^64 x denominator. */
static inline uint64_t ratio_quotient(const struct fp_ratio *r, unsigned __int128 n)
{
    unsigned __int128 shifted = n << r->shift;
    uint64_t high = (uint64_t)(shifted >> 64), low = (uint64_t)shifted;
    unsigned __int128 guess = (unsigned __int128)r->reciprocal * high + shifted;
    uint64_t q = (uint64_t)(guess >> 64) + 1, rest = low - q * r->normal;
    uint64_t too_large = 0 - (uint64_t)(rest > (uint64_t)guess); /* all bits: half the time, so no branch */

    q += too_large;
    rest += too_large & r->normal;
    return q + (rest >= r->normal);
}

/* v x numerator / denominator, rounded half away from zero. False, with *out as it
 * was, when its size is 2^63 or more. */
static inline bool ratio_scale(const struct fp_ratio *r, int64_t v, int64_t *out)
{
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, q;
    unsigned __int128 n = (unsigned __int128)size * (uint64_t)r->numerator + (uint64_t)(r->denominator / 2);

    if ((uint64_t)(n >> 64) >= (uint64_t)r->denominator)
        return false;
    q = ratio_quotient(r, n);
    if (q > INT64_MAX)
        return false;
    *out = v < 0 ? -(int64_t)q : (int64_t)q;
    return true;
}

#endif
