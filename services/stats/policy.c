/* Two lists by commas, read once at start. */
#include "services/stats/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/performance/summary.h"

static const struct {
    const char *name;   /* of the setting */
    const char *reason; /* of the failure, in reports */
    unsigned flag;
} flags[] = {
    {"suspect-day", "suspect_day", PERF_SUSPECT_DAY},
    {"suspected-split", "suspected_split", PERF_SUSPECTED_SPLIT},
    {"suspect-price", "suspect_price", PERF_SUSPECT_PRICE},
    {"not-priced", "not_priced", PERF_NOT_PRICED},
    {"stale-price", "stale_price", PERF_STALE_PRICE},
    {"price-after", "price_after", PERF_PRICE_AFTER},
    {"no-capital", "no_capital", PERF_NO_CAPITAL},
    {"negative-value", "negative_value", PERF_NEGATIVE_VALUE},
    {"short-position", "short_position", PERF_SHORT_POSITION},
    {"in-transit", "in_transit", PERF_IN_TRANSIT},
};
#define N_FLAGS (sizeof flags / sizeof flags[0])

/* The next part of a list, without blanks around it; false at its end. */
static bool next_part(const char **at, char part[64])
{
    size_t n;

    *at += strspn(*at, " ,");
    if (!**at)
        return false;
    n = strcspn(*at, ",");
    snprintf(part, 64, "%.*s", (int)(n < 63 ? n : 63), *at);
    *at += n;
    for (n = strlen(part); n > 0 && part[n - 1] == ' ';)
        part[--n] = '\0';
    return true;
}

static int parse_flags(struct stats_policy *p, const char *text, struct fp_err *err)
{
    char part[64];

    while (next_part(&text, part)) {
        size_t i = 0;

        if (strcmp(part, "none") == 0)
            continue;
        while (i < N_FLAGS && strcmp(flags[i].name, part) != 0)
            i++;
        if (i == N_FLAGS)
            return err_set(
                err, FP_INVALID_ARGUMENT,
                "hold-back: \"%s\" is none of suspect-day, suspected-split, suspect-price, not-priced, "
                "stale-price, price-after, no-capital, negative-value, short-position, in-transit, none",
                part);
        p->hold_back |= flags[i].flag;
    }
    return 0;
}

static int parse_benchmarks(struct stats_policy *p, const char *text, struct fp_err *err)
{
    char part[64];

    while (next_part(&text, part)) {
        char *equals = strchr(part, '='), *end = part;
        int32_t currency = 0;
        long long id = 0;

        if (equals) {
            *equals = '\0';
            currency = perf_currency(part);
            id = strtoll(equals + 1, &end, 10);
        }
        if (!equals || (!currency && strcmp(part, "*") != 0) || id <= 0 || end == equals + 1 || *end)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "benchmarks: \"%s\" is not CURRENCY=INSTRUMENT or *=INSTRUMENT, as in EUR=4711",
                           part);
        if (p->n_benchmarks == PERF_MAX_CURRENCIES)
            return err_set(err, FP_INVALID_ARGUMENT, "benchmarks: more than %d", PERF_MAX_CURRENCIES);
        p->benchmarks[p->n_benchmarks].currency = currency;
        p->benchmarks[p->n_benchmarks++].instrument_id = id;
    }
    return 0;
}

int policy_parse(struct stats_policy *p, const char *hold_back, const char *benchmarks, struct fp_err *err)
{
    *p = (struct stats_policy){0};
    return parse_flags(p, hold_back, err) || parse_benchmarks(p, benchmarks, err) ? -1 : 0;
}

int64_t policy_benchmark(const struct stats_policy *p, int32_t currency)
{
    int64_t otherwise = 0;

    for (int i = 0; i < p->n_benchmarks; i++) {
        if (p->benchmarks[i].currency == currency)
            return p->benchmarks[i].instrument_id;
        if (!p->benchmarks[i].currency)
            otherwise = p->benchmarks[i].instrument_id;
    }
    return otherwise;
}

const char *policy_held(const struct stats_policy *p, unsigned of)
{
    for (size_t i = 0; i < N_FLAGS; i++)
        if (p->hold_back & of & flags[i].flag)
            return flags[i].reason;
    return NULL;
}
