/*
 * Cron expressions with time zones: when a schedule is due.
 *
 * Five fields: minute (0-59), hour (0-23), day of the month (1-31, or L for the
 * last one), month (1-12, or jan-dec), day of the week (0-7, Sunday is 0 and 7,
 * or sun-sat). Each is a list of numbers, ranges (a-b) and stars for all, and of
 * these with a step (a-b/n, a/n: from a on). When both days are restricted, that is neither begins with
 * a star, either suffices, as everywhere with cron; else both must hold. In place
 * of the five: @hourly, @daily (@midnight), @weekly, @monthly, @yearly (@annually).
 *
 * The expression is matched against the minutes of the zone's wall clock, and each
 * that matches is due at one moment:
 *   - one that comes twice, when clocks go back, the first time only;
 *   - one that never comes, when clocks go forward, at the first minute after the
 *     gap; with all others of the same gap, once.
 * So a due moment is neither lost nor doubled by daylight saving. "0-59 * * * *"
 * pauses for the hour that comes again, like a person who goes by the clock.
 */
#ifndef FP_CRON_H
#define FP_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/err.h"

#define CRON_TEXT_BYTES 128 /* of an expression, with its NUL */
#define CRON_ZONE_BYTES 64  /* of a zone's name, with its NUL */

/* Bits by value. Compiled by cron_parse(), then read only. */
struct cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* weekdays: 0 Sunday to 6 */
    bool last_day;                          /* L */
    bool either_day;                        /* both days are restricted: one suffices */
};

/* What is wrong is INVALID_ARGUMENT with the field's name, the value and what is
 * allowed. An expression that is never due (30 February) is refused, too. */
int cron_parse(const char *text, struct cron *out, struct fp_err *err) FP_MUST_CHECK;

/* A time zone of the IANA database as ICU has it: "Europe/Berlin", "UTC". It is
 * used by one thread at a time. INVALID_ARGUMENT: there is none of that name. */
struct cron_zone;
struct cron_zone *cron_zone_open(const char *name, struct fp_err *err) FP_MUST_CHECK;
void cron_zone_close(struct cron_zone *z); /* NULL is fine */

/* The first due moment behind `after_us`, which is 1970 to 9000. */
int cron_next(const struct cron *c, struct cron_zone *z, int64_t after_us, int64_t *due_us,
              struct fp_err *err) FP_MUST_CHECK;

/* The zone's minute of the day at a moment: 0 to 1439. */
int cron_local_minute(struct cron_zone *z, int64_t at_us, int *minute, struct fp_err *err) FP_MUST_CHECK;
/* The zone's date at a moment, as a day of lib/base/clock.h. */
int cron_local_day(struct cron_zone *z, int64_t at_us, int32_t *day, struct fp_err *err) FP_MUST_CHECK;

#endif
