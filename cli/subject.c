/*
 * Whose statement, over which days, as known when: read, checked, and the
 * source opened.
 */
#include "cli/subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

static int bad_period(const char *text, struct fp_err *err)
{
    return err_set(err, FP_INVALID_ARGUMENT,
                   "--period: \"%s\" is neither a month, as 2026-10, nor FIRST..LAST, as "
                   "2026-10-01..2026-10-31",
                   text);
}

static void month_of(int32_t first, struct portfolio_period *p)
{
    p->start = first;
    p->end = day_add_months(first, 1) - 1;
}

static int parse_period(const char *text, struct portfolio_period *p, struct fp_err *err)
{
    const char *dots = strstr(text, "..");
    char day[11];
    if (strcmp(text, "auto") == 0) {
        month_of(day_add_months(day_first_of_month(day_from_us(clock_wall_us())), -1), p);
        return 0;
    }
    if (dots == NULL) {
        snprintf(day, sizeof day, "%.7s-01", text);
        if (strlen(text) != 7 || !day_parse(day, &p->start))
            return bad_period(text, err);
        month_of(p->start, p);
        return 0;
    }
    snprintf(day, sizeof day, "%.*s", (int)(dots - text < 10 ? dots - text : 10), text);
    if (dots - text != 10 || !day_parse(day, &p->start) || !day_parse(dots + 2, &p->end) || p->end < p->start)
        return bad_period(text, err);
    return 0;
}

static int parse_as_of(const char *text, int64_t *us, struct fp_err *err)
{
    int32_t day;
    *us = clock_wall_us();
    if (strcmp(text, "now") == 0)
        return 0;
    if (!day_parse(text, &day))
        return err_set(err, FP_INVALID_ARGUMENT, "--as-of: \"%s\" is not a day, as 2026-11-03", text);
    *us = (day + INT64_C(1)) * FP_US_PER_DAY - 1;
    return 0;
}

int subject_days(const struct subject_values *v, struct portfolio_period *out, struct fp_err *err)
{
    if (parse_period(v->period, out, err) != 0)
        return -1;
    return parse_as_of(v->as_of, &out->as_of_us, err);
}

static int read_subject(const struct subject_values *v, struct subject *who, struct fp_err *err)
{
    *who = (struct subject){.user_id = v->user};
    if (v->user <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "--user: whose statement? As --user 4711");
    if (v->source_dsn[0] == '\0' && v->ledger_dsn[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "no database: give --source-dsn, or FOLIOPOST_SOURCE_DSN");
    if (policy_parse(&who->policy, "none", v->benchmarks, err) != 0)
        return -1;
    return subject_days(v, &who->period, err);
}

struct fp_source *subject_open(const struct subject_values *v, struct subject *who, struct fp_err *err)
{
    if (read_subject(v, who, err) != 0)
        return NULL;
    const struct pg_options o = database_options(v->source_dsn[0] != '\0' ? v->source_dsn : v->ledger_dsn);
    return source_open(&o, err);
}

int subject_user(const struct subject *who, struct fp_source *s, const char *kind, struct source_user *out,
                 struct fp_err *err)
{
    if (source_users_by_id(s, kind, &who->user_id, 1, out, err) < 0)
        return -1;
    if (out->gone)
        return err_set(err, FP_NOT_FOUND, "user %" PRId64 " is not in portfolio.users", who->user_id);
    return 0;
}
