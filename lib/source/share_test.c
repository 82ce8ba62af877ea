/* A share against what drawing by lot would give: size, spread, independence of seeds. */
#include "lib/source/share.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define USERS 20000
#define SEEDS 200

/* How far a count lies from its expectation, in standard deviations of a draw by lot. */
static double sigmas(int64_t count, int64_t n, double p)
{
    return ((double)count - (double)n * p) / sqrt((double)n * p * (1 - p));
}

static int64_t count(const struct source_share *s, int64_t first, int64_t step, int64_t n)
{
    int64_t in = 0;
    for (int64_t i = 0; i < n; i++)
        in += source_share_has(s, first + i * step);
    return in;
}

/* Ids in a row, with gaps as sharded sequences leave them, and large ones: over
 * the seeds the counts must lie around the share as a lot's would, neither
 * wider nor much closer. */
static void shares_are_as_large_as_asked_for(void **state)
{
    const int64_t firsts[] = {1, 7, 1000000, INT64_C(1) << 40, INT64_C(1) << 62};
    const int64_t steps[] = {1, 2, 64, 1024, 65536, 1000};
    const double shares[] = {0.01, 0.05, 0.5};

    (void)state;
    for (int f = 0; f < 5; f++)
        for (int t = 0; t < 6; t++)
            for (int p = 0; p < 3; p++) {
                double sum = 0, squares = 0;
                for (int64_t seed = 0; seed < SEEDS; seed++) {
                    const struct source_share s = {(int32_t)(shares[p] * 1e6), seed};
                    double z = sigmas(count(&s, firsts[f], steps[t], USERS / 10), USERS / 10, shares[p]);
                    assert_true(fabs(z) < 7);
                    sum += z;
                    squares += z * z;
                }
                assert_true(fabs(sum) / sqrt(SEEDS) < 4.5);
                assert_true(squares / SEEDS > 0.5 && squares / SEEDS < 1.6);
            }
}

/* Who is in one share is in another seed's as often as anybody. */
static void seeds_are_independent(void **state)
{
    (void)state;
    for (int64_t seed = 1; seed <= 100; seed++) {
        const struct source_share a = {100000, 0}, b = {100000, seed};
        int64_t in_a = 0, in_both = 0;
        for (int64_t id = 1; id <= USERS; id++)
            if (source_share_has(&a, id)) {
                in_a++;
                in_both += source_share_has(&b, id);
            }
        assert_true(fabs(sigmas(in_both, in_a, 0.1)) < 5);
    }
}

static void a_larger_share_of_a_seed_has_the_smaller_one(void **state)
{
    (void)state;
    for (int64_t id = 1; id <= USERS; id++) {
        bool was = false;
        for (int32_t ppm = 100000; ppm <= SHARE_ALL_PPM; ppm += 100000) {
            const struct source_share s = {ppm, 5};
            bool is = source_share_has(&s, id);
            assert_true(is || !was);
            was = is;
        }
        assert_true(was);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_as_large_as_asked_for),
        cmocka_unit_test(seeds_are_independent),
        cmocka_unit_test(a_larger_share_of_a_seed_has_the_smaller_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
