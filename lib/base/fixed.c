/*
 * Fixed-point arithmetic: one rounding rule, no float.
 *
 * Products are formed in 128 bits and divided once. The multiplication is done
 * on unsigned values: it is exact for two int64, and clang's overflow checks on
 * signed __int128 would need a function of compiler-rt that is not linked.
 *
 * currency_exponent() knows the active codes of ISO 4217 list one, and some
 * that went lately and that old accounts still carry (ANG, BGN, CUC, HRK, SLL,
 * ZWL). Metals and codes for testing have no minor unit and are not known.
 */
#include "lib/base/fixed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"

/* The same in a machine's word, where both fit. */
static int64_t div_64(int64_t n, int64_t d)
{
    int64_t q = n / d, r = n % d;

    if (r < 0)
        r = -r;
    if (r >= d - r)
        q += n < 0 ? -1 : 1;
    return q;
}

fp_i128 fixed_div(fp_i128 n, fp_i128 d)
{
    if (n == (int64_t)n && d == (int64_t)d)
        return d == 1 ? n : div_64((int64_t)n, (int64_t)d);
    fp_i128 q = n / d, r = n % d;

    if (r < 0)
        r = -r;
    if (r >= d - r) /* 2 r >= d, without leaving the range */
        q += n < 0 ? -1 : 1;
    return q;
}

bool fixed_from_i128(fp_i128 v, int64_t *out)
{
    if (v < INT64_MIN || v > INT64_MAX)
        return false;
    *out = (int64_t)v;
    return true;
}

bool fixed_muldiv(int64_t a, int64_t b, int64_t d, int64_t *out)
{
    if (d <= 0)
        return false;
    fp_i128 product = (fp_i128)((unsigned __int128)(fp_i128)a * (unsigned __int128)(fp_i128)b);
    return fixed_from_i128(fixed_div(product, d), out);
}

int64_t fixed_pow10(int n)
{
    static const int64_t powers[] = {
        INT64_C(1),
        INT64_C(10),
        INT64_C(100),
        INT64_C(1000),
        INT64_C(10000),
        INT64_C(100000),
        INT64_C(1000000),
        INT64_C(10000000),
        INT64_C(100000000),
        INT64_C(1000000000),
        INT64_C(10000000000),
        INT64_C(100000000000),
        INT64_C(1000000000000),
        INT64_C(10000000000000),
        INT64_C(100000000000000),
        INT64_C(1000000000000000),
        INT64_C(10000000000000000),
        INT64_C(100000000000000000),
        INT64_C(1000000000000000000),
    };

    if (n < 0 || n > 18)
        fp_panic("fixed_pow10(%d)", n);
    return powers[n];
}

/* *v = *v * 10 + digit, at most max. */
static bool push_digit(uint64_t *v, char digit, uint64_t max)
{
    uint64_t add = (uint64_t)(digit - '0');

    if (*v > (max - add) / 10)
        return false;
    *v = *v * 10 + add;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool fixed_parse(const char *text, int decimals, int64_t *out)
{
    bool negative = *text == '-', up = false;
    uint64_t max = (uint64_t)INT64_MAX + negative, v = 0;

    text += *text == '-' || *text == '+';
    if (!is_digit(*text))
        return false;
    for (; is_digit(*text); text++)
        if (!push_digit(&v, *text, max))
            return false;
    if (*text == '.') {
        text++;
        if (!is_digit(*text))
            return false;
        for (; decimals > 0 && is_digit(*text); text++, decimals--)
            if (!push_digit(&v, *text, max))
                return false;
        up = *text >= '5' && *text <= '9'; /* the first digit dropped decides */
        while (is_digit(*text))
            text++;
    }
    if (*text)
        return false;
    for (; decimals > 0; decimals--)
        if (!push_digit(&v, '0', max))
            return false;
    if (up && v++ == max)
        return false;
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

char *fixed_format(int64_t v, int decimals, char out[32])
{
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    uint64_t unit = (uint64_t)fixed_pow10(decimals);
    const char *sign = v < 0 ? "-" : "";

    if (decimals == 0)
        snprintf(out, 32, "%s%" PRIu64, sign, magnitude);
    else
        snprintf(out, 32, "%s%" PRIu64 ".%0*" PRIu64, sign, magnitude / unit, decimals, magnitude % unit);
    return out;
}

/* Lists of codes by exponent. A code is three capitals and the list's words
 * are divided by blanks, so that strstr() finds whole words only. */
static const char *const currencies[] = {
    [0] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    [2] = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
          "CAD CDF CHE CHF CHW CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
          "GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR "
          "LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB "
          "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP "
          "SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG "
          "ZWL",
    [3] = "BHD IQD JOD KWD LYD OMR TND",
    [4] = "CLF UYW",
};

int currency_exponent(const char *code)
{
    for (int i = 0; i < 3; i++)
        if (code[i] < 'A' || code[i] > 'Z')
            return -1;
    if (code[3])
        return -1;
    for (int e = 0; e < (int)(sizeof currencies / sizeof currencies[0]); e++)
        if (currencies[e] && strstr(currencies[e], code))
            return e;
    return -1;
}
