/* Ratios: what fixed_div() gives, to the last unit, for every size of the three numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/base/ratio.h"

static void compare(int64_t v, int64_t numerator, int64_t denominator)
{
    const struct fp_ratio r = ratio_of(numerator, denominator);
    fp_i128 want = fixed_div((fp_i128)v * numerator, denominator);
    bool fits = want <= INT64_MAX && want >= -INT64_MAX;
    int64_t got = 7;

    if (ratio_scale(&r, v, &got) != fits || got != (fits ? (int64_t)want : 7))
        fail_msg("%lld * %lld / %lld is not %lld", (long long)v, (long long)numerator, (long long)denominator,
                 (long long)got);
}

static int64_t of_any_length(void)
{
    uint64_t v = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();

    return (int64_t)(v >> 1 >> random() % 63);
}

static void any_three_numbers(void **state)
{
    (void)state;
    srandom(1);
    for (int i = 0; i < 1000000; i++) {
        int64_t v = of_any_length(), numerator = of_any_length(), denominator = of_any_length() | 1;

        compare(random() % 2 ? v : -v, numerator, random() % 2 ? denominator : denominator / 2 + 1);
    }
}

/* One unit below a half, the half, one above; of even and odd denominators. */
static void about_the_half(void **state)
{
    static const int64_t denominators[] = {1, 2, 3, 7, 10, FP_E8, FP_E10, INT64_MAX - 1, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof denominators / sizeof denominators[0]; i++)
        for (int64_t k = 0; k < 50; k++)
            for (int64_t off = -1; off <= 1; off++) {
                int64_t d = denominators[i], v = d / 2 + off;

                if (k * 2 + 1 > INT64_MAX / d) /* (2 k + 1) / 2 of d */
                    continue;
                v += k * d;
                compare(v, 1, d);
                compare(-v, 1, d);
            }
}

static void the_edges(void **state)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -2,       -1, 0, 1, 2, 3, FP_E8, FP_E10,
                                    INT32_MAX, INT64_MAX - 1, INT64_MAX};
    const size_t n = sizeof edges / sizeof edges[0];

    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < n; k++)
                if (edges[j] >= 0 && edges[k] > 0)
                    compare(edges[i], edges[j], edges[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_three_numbers),
        cmocka_unit_test(about_the_half),
        cmocka_unit_test(the_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
