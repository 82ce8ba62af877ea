/*
 * Cron expressions and time zones of clients: refused with the reason, or due
 * later than was asked, at a whole minute, and at nothing in between.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"
#include "tests/fuzz/fuzz.h"

#define FIRST_US (1 * FP_US_PER_DAY)
#define DAYS     30000 /* up to 2052 */

static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
                                    "Pacific/Apia"};

static void walk(const struct cron *c, struct cron_zone *z, int64_t at_us)
{
    struct fp_err err;
    int64_t due_us, same_us;

    for (int i = 0; i < 4; i++) {
        if (cron_next(c, z, at_us, &due_us, &err) != 0)
            return; /* beyond what ICU's calendar can say */
        if (due_us <= at_us || due_us % (60 * FP_US_PER_S) != 0)
            BROKEN();
        /* from anywhere between the two it is the same */
        if (cron_next(c, z, at_us + (due_us - at_us) / 2, &same_us, &err) != 0 ||
            (same_us != due_us && due_us - at_us > 1))
            BROKEN();
        at_us = due_us;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cron_zone *known[sizeof zones / sizeof zones[0]];
    struct bytes b = {data, data + size};
    int place = pick(&b, sizeof zones / sizeof zones[0]);
    int64_t after_us = FIRST_US +
                       (int64_t)(((unsigned)byte_of(&b) << 8 | byte_of(&b)) % DAYS) * FP_US_PER_DAY +
                       byte_of(&b) * INT64_C(337000123);
    char text[200];
    size_t n = (size_t)(b.end - b.at) < sizeof text - 1 ? (size_t)(b.end - b.at) : sizeof text - 1;
    struct cron c;
    struct fp_err err;

    memcpy(text, b.at, n);
    text[n] = '\0';
    struct cron_zone *named = cron_zone_open(text, &err); /* a zone may be anything, too */
    cron_zone_close(named);
    if (!known[place] && !(known[place] = cron_zone_open(zones[place], &err)))
        BROKEN();
    if (cron_parse(text, &c, &err) == 0)
        walk(&c, known[place], after_us);
    return 0;
}
