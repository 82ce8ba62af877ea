/*
 * Time zones, by ICU: Debian's comes with the IANA database inside.
 *
 * A calendar of ICU's is told how to read a wall clock that shows a time twice or
 * not at all (cron.h has the rule), and asked for nothing else: dates are counted
 * by lib/base.
 */
#include "lib/cron/zone.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/ustring.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define US_PER_MS      1000
#define MS_PER_MINUTE  60000
#define MINUTE_PER_DAY 1440

struct cron_zone {
    UCalendar *calendar;
    char name[CRON_ZONE_BYTES];
};

static int failed(const struct cron_zone *z, UErrorCode e, struct fp_err *err)
{
    return err_set(err, FP_INTERNAL, "ICU cannot tell the time in %s: %s", z->name, u_errorName(e));
}

/* ICU also takes "GMT+3:07" and old names of three letters; it says of each
 * whether the IANA database has it. */
static bool is_known(const char *name, UChar wide[CRON_ZONE_BYTES])
{
    UErrorCode e = U_ZERO_ERROR;
    UChar canonical[CRON_ZONE_BYTES];
    UBool is_system = 0;

    if (!name[0] || strlen(name) >= CRON_ZONE_BYTES ||
        name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-")])
        return false;
    u_uastrcpy(wide, name);
    ucal_getCanonicalTimeZoneID(wide, -1, canonical, CRON_ZONE_BYTES, &is_system, &e);
    return U_SUCCESS(e) && is_system && strcmp(name, "Etc/Unknown") != 0;
}

struct cron_zone *cron_zone_open(const char *name, struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[CRON_ZONE_BYTES];

    if (!is_known(name, wide)) {
        err_set(err, FP_INVALID_ARGUMENT,
                "\"%.60s\" is not a time zone of the IANA database, such as Europe/Berlin or UTC", name);
        return NULL;
    }
    struct cron_zone *z = mem_alloc(sizeof *z);
    snprintf(z->name, sizeof z->name, "%s", name);
    z->calendar = ucal_open(wide, -1, "en@calendar=gregorian", UCAL_GREGORIAN, &e);
    if (U_FAILURE(e)) {
        failed(z, e, err);
        cron_zone_close(z);
        return NULL;
    }
    ucal_setAttribute(z->calendar, UCAL_REPEATED_WALL_TIME, UCAL_WALLTIME_FIRST);
    ucal_setAttribute(z->calendar, UCAL_SKIPPED_WALL_TIME, UCAL_WALLTIME_NEXT_VALID);
    return z;
}

void cron_zone_close(struct cron_zone *z)
{
    if (!z)
        return;
    if (z->calendar)
        ucal_close(z->calendar);
    mem_free(z);
}

int zone_wall_minute(struct cron_zone *z, int64_t at_us, int64_t *minute, struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    int64_t at_ms = at_us / US_PER_MS;

    ucal_setMillis(z->calendar, (double)at_ms, &e);
    int32_t offset_ms =
        ucal_get(z->calendar, UCAL_ZONE_OFFSET, &e) + ucal_get(z->calendar, UCAL_DST_OFFSET, &e);
    if (U_FAILURE(e))
        return failed(z, e, err);
    *minute = (at_ms + offset_ms) / MS_PER_MINUTE; /* after 1970: rounds down */
    return 0;
}

int zone_moment(struct cron_zone *z, int64_t minute, int64_t *at_us, struct fp_err *err)
{
    UErrorCode e = U_ZERO_ERROR;
    int y, m, d, of_day = (int)(minute % MINUTE_PER_DAY);

    day_to_civil((int32_t)(minute / MINUTE_PER_DAY), &y, &m, &d);
    ucal_clear(z->calendar);
    ucal_setDateTime(z->calendar, y, m - 1, d, of_day / 60, of_day % 60, 0, &e);
    double at_ms = ucal_getMillis(z->calendar, &e);
    if (U_FAILURE(e))
        return failed(z, e, err);
    *at_us = (int64_t)at_ms * US_PER_MS;
    return 0;
}

int cron_local_day(struct cron_zone *z, int64_t at_us, int32_t *day, struct fp_err *err)
{
    int64_t minute;

    if (zone_wall_minute(z, at_us, &minute, err))
        return -1;
    *day = (int32_t)(minute / MINUTE_PER_DAY);
    return 0;
}

int cron_local_minute(struct cron_zone *z, int64_t at_us, int *minute, struct fp_err *err)
{
    int64_t wall;

    if (zone_wall_minute(z, at_us, &wall, err))
        return -1;
    *minute = (int)(wall % MINUTE_PER_DAY);
    return 0;
}
