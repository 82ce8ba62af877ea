/*
 * Time and the calendar, in integers only.
 *
 * The calendar's arithmetic is Howard Hinnant's ("chrono-Compatible Low-Level
 * Date Algorithms", days_from_civil and civil_from_days): exact for every day
 * an int32 can name, without tables, loops or the C library's time zone.
 */
#include "lib/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * FP_US_PER_S + t.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_us(void)
{
    return clock_us(CLOCK_BOOTTIME);
}

void clock_sleep_us(int64_t us)
{
    if (us <= 0)
        return;
    struct timespec t = {.tv_sec = us / FP_US_PER_S, .tv_nsec = us % FP_US_PER_S * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
        ;
}

/* a / b rounded down; b > 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int32_t day_from_civil(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return (int32_t)(era * 146097 + doe - 719468);
}

void day_to_civil(int32_t day, int *year, int *month, int *mday)
{
    int64_t z = (int64_t)day + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *mday = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

int32_t day_from_us(int64_t us)
{
    return (int32_t)floor_div(us, FP_US_PER_DAY);
}

int32_t day_first_of_month(int32_t day)
{
    int y, m, d;

    day_to_civil(day, &y, &m, &d);
    return day - (d - 1);
}

int32_t day_add_months(int32_t first_of_month, int months)
{
    int y, m, d;

    day_to_civil(first_of_month, &y, &m, &d);
    int64_t n = (int64_t)y * 12 + (m - 1) + months;
    int64_t year = floor_div(n, 12);
    return day_from_civil((int)year, (int)(n - year * 12) + 1, 1);
}

int day_of_week(int32_t day)
{
    int64_t d = (int64_t)day + 3; /* 1970-01-01 was a Thursday */

    return (int)(d - floor_div(d, 7) * 7) + 1;
}

void day_last_week(int32_t today, int32_t *start_day, int32_t *end_day)
{
    int32_t monday = today - (day_of_week(today) - 1);

    *start_day = monday - 7;
    *end_day = monday - 1;
}

void day_last_month(int32_t today, int32_t *start_day, int32_t *end_day)
{
    int32_t first = day_first_of_month(today);

    *start_day = day_add_months(first, -1);
    *end_day = first - 1;
}

/* `n` digits at s; -1 when one is not a digit. */
static int digits(const char *s, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

bool day_parse(const char *text, int32_t *day)
{
    int y, m, d, y2, m2, d2;

    /* In this order each test stays inside the text. */
    if ((y = digits(text, 4)) < 1900 || text[4] != '-' || (m = digits(text + 5, 2)) < 1 || m > 12 ||
        text[7] != '-' || (d = digits(text + 8, 2)) < 1 || d > 31 || text[10] != '\0')
        return false;
    int32_t n = day_from_civil(y, m, d);
    day_to_civil(n, &y2, &m2, &d2);
    if (m2 != m || d2 != d) /* 30 February */
        return false;
    *day = n;
    return true;
}

void day_format(int32_t day, char out[11])
{
    int y, m, d;
    char text[40];

    day_to_civil(day, &y, &m, &d);
    snprintf(text, sizeof text, "%04d-%02d-%02d", y, m, d);
    snprintf(out, 11, "%.10s", text); /* years past 9999 are cut, not overflowed */
}

/* The day and the parts of the day that hold a moment. */
static int32_t time_parts(int64_t us, int *h, int *m, int *s, int *frac_us)
{
    int32_t day = day_from_us(us);
    int64_t rest = us % FP_US_PER_DAY;

    if (rest < 0) /* not us - day * FP_US_PER_DAY, whose product overflows at the range's end */
        rest += FP_US_PER_DAY;

    *frac_us = (int)(rest % FP_US_PER_S);
    rest /= FP_US_PER_S;
    *h = (int)(rest / 3600);
    *m = (int)(rest / 60 % 60);
    *s = (int)(rest % 60);
    return day;
}

void time_format_rfc3339(int64_t us, char out[32])
{
    int y, mon, d, h, m, s, frac;
    char text[96];

    day_to_civil(time_parts(us, &h, &m, &s, &frac), &y, &mon, &d);
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", y, mon, d, h, m, s, frac);
    snprintf(out, 32, "%.31s", text);
}

void time_format_rfc5322(int64_t us, char out[40])
{
    static const char week[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int y, mon, d, h, m, s, frac;
    char text[96];

    int32_t day = time_parts(us, &h, &m, &s, &frac);
    day_to_civil(day, &y, &mon, &d);
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d +0000", week[day_of_week(day) - 1], d,
             months[mon - 1], y, h, m, s);
    snprintf(out, 40, "%.39s", text);
}
