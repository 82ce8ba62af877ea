/*
 * Fixed-point integers: money in minor units, quantities and prices in 1e-8,
 * exchange rates in 1e-10. Products go through __int128 and are rounded once,
 * half away from zero: the one rounding of the project (the notes in
 * docs/statistics.md say why).
 */
#ifndef FP_BASE_FIXED_H
#define FP_BASE_FIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 fp_i128;

#define FP_E8  INT64_C(100000000)
#define FP_E10 INT64_C(10000000000)

/* n / d rounded half away from zero; d > 0. */
fp_i128 fixed_div(fp_i128 n, fp_i128 d);
/* a * b / d rounded half away from zero; false when the result does not fit. */
bool fixed_muldiv(int64_t a, int64_t b, int64_t d, int64_t *out);
bool fixed_from_i128(fp_i128 v, int64_t *out);
/* Nearly always it fits 64 bits, which is a machine's own conversion. */
static inline double fixed_double(fp_i128 v)
{
    return v == (int64_t)v ? (double)(int64_t)v : (double)v;
}
/* 10^n for n in 0..18. */
int64_t fixed_pow10(int n);
/* "-12.345" into units of 10^-decimals; more digits are rounded half away
 * from zero. False on anything but [+-]digits[.digits] and on overflow. */
bool fixed_parse(const char *text, int decimals, int64_t *out);
/* 12345, 2 -> "123.45". Returns out. */
char *fixed_format(int64_t v, int decimals, char out[32]);
/* Decimals of a currency by ISO 4217 (JPY 0, EUR 2, KWD 3); -1: not a known code. */
int currency_exponent(const char *code);

#endif
