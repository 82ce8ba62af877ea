/* The operator's lists: what they say, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/performance/summary.h"
#include "services/stats/policy.h"

static void flags_hold_back(void **state)
{
    (void)state;
    struct stats_policy p;
    struct fp_err err;

    assert_int_equal(policy_parse(&p, "suspect-day, suspected-split", "", &err), 0);
    assert_string_equal(policy_held(&p, PERF_SUSPECT_DAY | PERF_STALE_PRICE), "suspect_day");
    assert_string_equal(policy_held(&p, PERF_SUSPECTED_SPLIT), "suspected_split");
    assert_null(policy_held(&p, PERF_STALE_PRICE | PERF_SUSPECT_PRICE));
    assert_int_equal(policy_parse(&p, "suspect-price", "", &err), 0);
    assert_string_equal(policy_held(&p, PERF_SUSPECT_PRICE), "suspect_price");
    assert_int_equal(policy_parse(&p, "none", "", &err), 0);
    assert_null(policy_held(&p, ~0u));
    assert_int_equal(policy_parse(&p, "suspect-day,splits", "", &err), -1);
    assert_non_null(strstr(err.msg, "splits"));
}

static void a_benchmark_is_chosen_by_currency(void **state)
{
    (void)state;
    const char *bad[] = {"EUR", "EUR=", "EUR=0", "EUR=-4", "EUR=4x", "EURO=4", "=4", "eur=4"};
    struct stats_policy p;
    struct fp_err err;

    assert_int_equal(policy_parse(&p, "none", "*=3,EUR=4711, USD=4712", &err), 0);
    assert_int_equal(policy_benchmark(&p, perf_currency("EUR")), 4711);
    assert_int_equal(policy_benchmark(&p, perf_currency("USD")), 4712);
    assert_int_equal(policy_benchmark(&p, perf_currency("CHF")), 3);
    assert_int_equal(policy_parse(&p, "none", "EUR=1", &err), 0);
    assert_int_equal(policy_benchmark(&p, perf_currency("CHF")), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(policy_parse(&p, "none", bad[i], &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_hold_back),
        cmocka_unit_test(a_benchmark_is_chosen_by_currency),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
