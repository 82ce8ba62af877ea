/*
 * Cron expressions: parsing, and the next minute that matches.
 *
 * A minute of the wall clock is counted from 1970 as if there were no zones; what
 * moment it is, zone.c says. The moments of growing minutes never go back, so that
 * the first matching minute whose moment lies behind `after` is the answer: from
 * the wall clock's minute at `after` on, at most one repeated hour is passed over.
 */
#include "lib/cron/cron.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/cron/zone.h"

#define MINUTES_PER_DAY 1440
/* 29 February that is a Monday comes within 40 years, even over the year 2100. */
#define HORIZON_DAYS (41 * 366)
#define MAX_NUMBER   1000 /* while digits are read; every bound is below */

struct field {
    const char *name;
    unsigned lo, hi;
    const char *names; /* of three letters each, the first is `first_name` */
    unsigned first_name;
};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, N_FIELDS };
static const struct field fields[N_FIELDS] = {
    [MINUTE] = {"minute", 0, 59, "", 0},
    [HOUR] = {"hour", 0, 23, "", 0},
    [DAY] = {"day of the month", 1, 31, "", 0},
    [MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
    [WEEKDAY] = {"day of the week", 0, 7, "sunmontuewedthufrisat", 0},
};

static const struct {
    const char *name, *means;
} macros[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};

/* --- one field --------------------------------------------------------------------------- */

/* Where a field is being read. `text` is all of it, for errors. */
struct reading {
    const struct field *f;
    const char *text, *at;
    struct fp_err *err;
};

static int wrong(const struct reading *r, const char *why)
{
    return err_set(r->err, FP_INVALID_ARGUMENT, "%s \"%s\": %s", r->f->name, r->text, why);
}

static int out_of_range(const struct reading *r)
{
    return err_set(r->err, FP_INVALID_ARGUMENT, "%s \"%s\": not %u to %u%s", r->f->name, r->text, r->f->lo,
                   r->f->hi, r->f == &fields[DAY] ? ", or L for the last one" : "");
}

static int read_digits(struct reading *r, unsigned *out)
{
    unsigned n = 0;

    if (*r->at < '0' || *r->at > '9')
        return wrong(r, "a number is missing");
    for (; *r->at >= '0' && *r->at <= '9'; r->at++)
        if (n < MAX_NUMBER)
            n = n * 10 + (unsigned)(*r->at - '0');
    *out = n;
    return 0;
}

static bool read_name(struct reading *r, unsigned *out)
{
    for (unsigned i = 0; r->f->names[3 * i]; i++)
        if (strncasecmp(r->at, r->f->names + 3 * (size_t)i, 3) == 0) {
            r->at += 3;
            *out = r->f->first_name + i;
            return true;
        }
    return false;
}

static int read_value(struct reading *r, unsigned *out)
{
    if (read_name(r, out))
        return 0;
    if (read_digits(r, out))
        return -1;
    return *out < r->f->lo || *out > r->f->hi ? out_of_range(r) : 0;
}

/* "*", "a" or "a-b", without its step. */
static int read_range(struct reading *r, unsigned *from, unsigned *to)
{
    *from = r->f->lo;
    *to = r->f == &fields[WEEKDAY] ? 6 : r->f->hi; /* Sunday once */
    if (*r->at == '*') {
        r->at++;
        return 0;
    }
    if (read_value(r, from))
        return -1;
    if (*r->at != '-') {
        *to = *r->at == '/' ? *to : *from; /* "5/15": from 5 on */
        return 0;
    }
    r->at++;
    if (read_value(r, to))
        return -1;
    if (r->f == &fields[WEEKDAY] && *to == 0 && *from > 0)
        *to = 7; /* fri-sun */
    return *to < *from ? wrong(r, "the range ends before it begins; write two") : 0;
}

static int read_step(struct reading *r, unsigned *step)
{
    *step = 1;
    if (*r->at != '/')
        return 0;
    r->at++;
    if (read_digits(r, step))
        return -1;
    return *step == 0 || *step > r->f->hi ? wrong(r, "the step is 0, or longer than the field") : 0;
}

/* The whole list: bits by value; *last when L is among them. */
static int read_field(struct reading *r, uint64_t *bits, bool *last)
{
    *bits = 0;
    for (;; r->at++) {
        unsigned from, to, step;
        if (last && (*r->at == 'L' || *r->at == 'l')) {
            *last = true;
            r->at++;
        } else {
            if (read_range(r, &from, &to) || read_step(r, &step))
                return -1;
            for (unsigned v = from; v <= to; v += step)
                *bits |= UINT64_C(1) << v;
        }
        if (*r->at == '\0')
            return 0;
        if (*r->at != ',')
            return wrong(r, "only numbers, names, and , - * / are allowed");
    }
}

/* --- the expression ----------------------------------------------------------------------- */

/* Cuts *buf at blanks; how many parts there are, of which at most `max` are kept. */
static int split(char *buf, char **parts, int max)
{
    int n = 0;
    char *rest;

    for (char *p = strtok_r(buf, " \t", &rest); p; p = strtok_r(NULL, " \t", &rest), n++)
        if (n < max)
            parts[n] = p;
    return n;
}

static int compile(char *const parts[N_FIELDS], struct cron *out, struct fp_err *err)
{
    uint64_t bits[N_FIELDS];

    for (int i = 0; i < N_FIELDS; i++) {
        struct reading r = {&fields[i], parts[i], parts[i], err};
        if (read_field(&r, &bits[i], i == DAY ? &out->last_day : NULL))
            return -1;
    }
    if (bits[WEEKDAY] >> 7 & 1) /* Sunday as 7 */
        bits[WEEKDAY] |= 1;
    out->minutes = bits[MINUTE];
    out->hours = (uint32_t)bits[HOUR];
    out->days = (uint32_t)bits[DAY];
    out->months = (uint32_t)bits[MONTH];
    out->weekdays = (uint32_t)bits[WEEKDAY] & 0x7f;
    out->either_day = parts[DAY][0] != '*' && parts[WEEKDAY][0] != '*';
    return 0;
}

static bool next_match(const struct cron *c, int64_t minute, int64_t *out);

static const char *expand(const char *text)
{
    for (size_t i = 0; i < sizeof macros / sizeof macros[0]; i++)
        if (strcasecmp(text, macros[i].name) == 0)
            return macros[i].means;
    return text;
}

int cron_parse(const char *text, struct cron *out, struct fp_err *err)
{
    char buf[CRON_TEXT_BYTES], *parts[N_FIELDS];
    size_t len = strlen(text);
    int64_t ignored;

    memset(out, 0, sizeof *out);
    if (len >= sizeof buf)
        return err_set(err, FP_INVALID_ARGUMENT, "a cron expression of %zu bytes is longer than %zu", len,
                       sizeof buf - 1);
    if (text[0] == '@' && expand(text) == text)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "\"%s\" is not @hourly, @daily, @weekly, @monthly or @yearly", text);
    memcpy(buf, expand(text), strlen(expand(text)) + 1);
    int n = split(buf, parts, N_FIELDS);
    if (n != N_FIELDS)
        return err_set(
            err, FP_INVALID_ARGUMENT,
            "\"%s\" has %d fields, not five: minute, hour, day of the month, month, day of the week", text,
            n);
    if (compile(parts, out, err))
        return -1;
    return next_match(out, 0, &ignored) ? 0 : err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is never due", text);
}

/* --- matching ------------------------------------------------------------------------------ */

static bool is_last(int32_t day)
{
    return day_first_of_month(day + 1) == day + 1;
}

static bool day_matches(const struct cron *c, int32_t day)
{
    int y, m, d;

    day_to_civil(day, &y, &m, &d);
    if (!(c->months >> m & 1))
        return false;
    bool by_month = (c->days >> d & 1) || (c->last_day && is_last(day));
    bool by_week = c->weekdays >> day_of_week(day) % 7 & 1;
    return c->either_day ? by_month || by_week : by_month && by_week;
}

/* From this minute of a day on; MINUTES_PER_DAY: none any more. */
static int next_in_day(const struct cron *c, int minute)
{
    for (; minute < MINUTES_PER_DAY; minute++)
        if (!(c->hours >> minute / 60 & 1))
            minute += 59 - minute % 60;
        else if (c->minutes >> minute % 60 & 1)
            return minute;
    return MINUTES_PER_DAY;
}

/* The first minute of the wall clock that matches, `minute` itself or later. */
static bool next_match(const struct cron *c, int64_t minute, int64_t *out)
{
    int32_t day = (int32_t)(minute / MINUTES_PER_DAY);
    int from = (int)(minute % MINUTES_PER_DAY);

    for (int32_t last = day + HORIZON_DAYS; day <= last; day++, from = 0) {
        int at = day_matches(c, day) ? next_in_day(c, from) : MINUTES_PER_DAY;
        if (at < MINUTES_PER_DAY) {
            *out = (int64_t)day * MINUTES_PER_DAY + at;
            return true;
        }
    }
    return false;
}

int cron_next(const struct cron *c, struct cron_zone *z, int64_t after_us, int64_t *due_us,
              struct fp_err *err)
{
    int64_t wall;

    if (after_us < FP_US_PER_DAY || after_us / FP_US_PER_DAY > FP_DAY_MAX - 2 * HORIZON_DAYS)
        return err_set(err, FP_INVALID_ARGUMENT, "%" PRId64 " us is no time for a schedule", after_us);
    if (zone_wall_minute(z, after_us, &wall, err))
        return -1;
    do {
        if (!next_match(c, wall + 1, &wall))
            return err_set(err, FP_OUT_OF_RANGE, "nothing is due in the next 40 years");
        if (zone_moment(z, wall, due_us, err))
            return -1;
    } while (*due_us <= after_us);
    return 0;
}
