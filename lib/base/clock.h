/*
 * Time: microseconds and days, no locale, no time zone but UTC.
 *
 * Days count from 1970-01-01 in the proleptic Gregorian calendar.
 */
#ifndef FP_BASE_CLOCK_H
#define FP_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define FP_US_PER_S   INT64_C(1000000)
#define FP_US_PER_DAY INT64_C(86400000000)

/* 1900-01-01 and 9999-12-31: what day_parse() takes, and what is a day at all. */
#define FP_DAY_MIN (-25567)
#define FP_DAY_MAX 2932896

int64_t clock_wall_us(void); /* since 1970, UTC */
int64_t clock_mono_us(void); /* CLOCK_MONOTONIC: for waiting and timing */
int64_t clock_boot_us(void); /* CLOCK_BOOTTIME: for leases, goes on in suspend */
void clock_sleep_us(int64_t us);

int32_t day_from_civil(int year, int month, int day);
void day_to_civil(int32_t day, int *year, int *month, int *mday);
int32_t day_from_us(int64_t us); /* UTC day that holds the moment */
int32_t day_first_of_month(int32_t day);
int32_t day_add_months(int32_t first_of_month, int months); /* first of month in and out */
int day_of_week(int32_t day);                               /* 1 Monday to 7 Sunday */
/* The last full week, Monday to Sunday, that ended before `today`. */
void day_last_week(int32_t today, int32_t *start_day, int32_t *end_day);
/* The last full calendar month that ended before `today`. */
void day_last_month(int32_t today, int32_t *start_day, int32_t *end_day);
bool day_parse(const char *text, int32_t *day); /* YYYY-MM-DD, nothing behind it; years 1900 to 9999 */
void day_format(int32_t day, char out[11]);
void time_format_rfc3339(int64_t us, char out[32]); /* 2026-11-01T00:00:00.000000Z */
void time_format_rfc5322(int64_t us, char out[40]); /* Sun, 01 Nov 2026 00:00:00 +0000 */

#endif
