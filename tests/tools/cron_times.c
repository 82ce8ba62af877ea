/* For tests: reads lines of "FROM TO ZONE EXPRESSION" (seconds since 1970, from
 * exclusive, to inclusive) and answers each with one line of the moments due in
 * between, or with "error: ...". tests/scenarios/test_cron.py compares them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"

static int print_due(const struct cron *c, struct cron_zone *z, int64_t from_s, int64_t to_s,
                     struct fp_err *err)
{
    int64_t at_us = from_s * FP_US_PER_S;

    for (;;) {
        if (cron_next(c, z, at_us, &at_us, err))
            return -1;
        if (at_us > to_s * FP_US_PER_S)
            return 0;
        printf("%" PRId64 " ", at_us / FP_US_PER_S);
    }
}

static int answer(const char *expression, const char *zone, int64_t from_s, int64_t to_s, struct fp_err *err)
{
    struct cron c;

    if (cron_parse(expression, &c, err))
        return -1;
    struct cron_zone *z = cron_zone_open(zone, err);
    int failed = z ? print_due(&c, z, from_s, to_s, err) : -1;
    cron_zone_close(z);
    return failed;
}

int main(void)
{
    char line[512], zone[128], expression[256];
    int64_t from_s, to_s;
    struct fp_err err;

    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%" SCNd64 " %" SCNd64 " %127s %255[^\n]", &from_s, &to_s, zone, expression) != 4)
            return 2;
        if (answer(expression, zone, from_s, to_s, &err))
            printf("error: %s", err.msg);
        putchar('\n');
    }
    return 0;
}
