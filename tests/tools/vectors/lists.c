/* Lists of returns: risk, and what they add up to. */
#include <math.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/tools/vectors/formulas.h"

static int32_t easter(int year) /* Sunday; Gauss, as in the Nautical Almanac of 1961 */
{
    int a = year % 19, b = year / 100, c = year % 100, d = b / 4, e = b % 4, g = (8 * b + 13) / 25;
    int h = (19 * a + b - d - g + 15) % 30, i = c / 4, k = c % 4, l = (32 + 2 * e + 2 * i - h - k) % 7;
    int m = (a + 11 * h + 19 * l) / 433, month = (h + l - 7 * m + 90) / 25;

    return day_from_civil(year, month, (h + l - 7 * m + 33 * month + 19) % 32);
}

bool is_trading_day(int32_t day)
{
    int year, month, mday;

    day_to_civil(day, &year, &month, &mday);
    if (day_of_week(day) > 5 || day == easter(year) - 2 || day == easter(year) + 1)
        return false;
    if (mday == 1 && (month == 1 || month == 5))
        return false;
    return !(month == 12 && mday >= 24 && mday <= 26);
}

struct list {
    double *r;
    int32_t *days;
    size_t n;
    bool dated;
};

/* "returns" with or without "dates", or a "series" of returns or accumulated
 * returns, whose first line is what the second refers to. */
static bool list_of(const struct vcase *c, struct list *l)
{
    const json_t *list = json_object_get(c->json, "returns"), *series = json_object_get(c->json, "series"),
                 *m;
    double before = NAN;
    size_t i;

    if (!list && !series)
        return false;
    l->r = mem_array(json_array_size(list) + json_array_size(series) + 1, sizeof *l->r);
    l->days = mem_array(json_array_size(list) + json_array_size(series) + 1, sizeof *l->days);
    l->dated = series || json_object_get(c->json, "dates");
    json_array_foreach(list, i, m)
    {
        day_parse(json_string_value(json_array_get(json_object_get(c->json, "dates"), i)) ?: "2000-01-01",
                  &l->days[l->n]);
        if (json_is_number(m))
            l->r[l->n++] = number_value(m);
    }
    json_array_foreach(series, i, m)
    {
        double wealth = 1 + number_of(m, "accumulated", NAN);

        day_of(m, "date", &l->days[l->n]);
        l->r[l->n] = number_of(m, "return", wealth / before - 1);
        before = wealth;
        l->n += i > 0;
    }
    return true;
}

static void list_volatility(struct vcase *c, const char *name, const struct list *l)
{
    double *r = mem_array(l->n + 1, sizeof *r), volatility = NAN, semi = NAN;
    size_t n = 0;
    bool defined;

    for (size_t i = 0; i < l->n; i++)
        if (!l->dated || is_trading_day(l->days[i]))
            r[n++] = l->r[i];
    defined = returns_volatility_of_period(r, n, &volatility, &semi);
    case_figure(c, name, UNIT_RATE, defined, strcmp(name, "semi_deviation") == 0 ? semi : volatility);
    mem_free(r);
}

/* Returns in a year: of trading days, unless the case says weekly, monthly or the like. */
static double returns_a_year(const struct vcase *c)
{
    static const struct {
        const char *period;
        double n;
    } periods[] = {{"weekly", 52}, {"monthly", 12}, {"quarterly", 4}, {"yearly", 1}};
    const char *period = text_of(c->json, "period", text_of(c->conventions, "period", ""));

    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++)
        if (strcmp(period, periods[i].period) == 0)
            return periods[i].n;
    return RETURNS_TRADING_DAYS;
}

static void annual_volatility(struct vcase *c, const char *name, const struct list *l)
{
    struct returns_sample s = {.n = 0};

    for (size_t i = 0; i < l->n; i++)
        returns_sample_add(&s, l->r[i]);
    case_figure(c, name, UNIT_RATE, s.n > 1, sqrt(s.m2 / (s.n - 1) * returns_a_year(c)));
}

static double drawdown(const struct list *l, size_t from, size_t to, double *wealth)
{
    struct returns_drawdown d = {.peak = 1.0};

    *wealth = 1;
    for (size_t i = from; i < to; i++) {
        *wealth *= 1 + l->r[i];
        returns_drawdown_add(&d, (int32_t)i, *wealth);
    }
    return d.max;
}

/* Days from a peak until it is passed, or to the end. */
static double longest_under_water(const struct list *l)
{
    double wealth = 1, peak = 1;
    int32_t peak_day = l->n ? l->days[0] - 1 : 0, longest = 0;

    for (size_t i = 0; i < l->n; i++) {
        wealth *= 1 + l->r[i];
        if (l->days[i] - peak_day > longest)
            longest = l->days[i] - peak_day;
        if (wealth > peak) {
            peak = wealth;
            peak_day = l->days[i];
        }
    }
    return longest;
}

/* One figure for each run of losses. */
static void episodes(struct vcase *c, const char *name, const json_t *want, const struct list *l)
{
    size_t k = 0;
    double wealth;

    for (size_t i = 0, end; i < l->n; i = end + 1) {
        for (end = i; end < l->n && l->r[end] < 0; end++)
            ;
        if (end > i)
            case_compare(c, name, name, json_array_get(want, k++), UNIT_RATE, drawdown(l, i, end, &wealth));
    }
    if (k != json_array_size(want))
        case_differs(c, "%s: %zu runs of losses", name, k);
}

/* The first day of the week, month, quarter or year; a week ends with the year, as empyrical has it. */
static int32_t bucket(const char *name, int32_t day)
{
    int year, month, mday;
    int32_t new_year, monday = day - day_of_week(day) + 1;

    day_to_civil(day, &year, &month, &mday);
    new_year = day_from_civil(year, 1, 1);
    if (strcmp(name, "weekly") == 0)
        return monday > new_year ? monday : new_year;
    if (strcmp(name, "quarterly") == 0)
        return day_from_civil(year, (month - 1) / 3 * 3 + 1, 1);
    return strcmp(name, "monthly") == 0 ? day_first_of_month(day) : new_year;
}

static void aggregate(struct vcase *c, const char *name, const json_t *want, const struct list *l)
{
    size_t k = 0;
    double wealth;

    for (size_t i = 0, end; i < l->n; i = end) {
        for (end = i; end < l->n && bucket(name, l->days[end]) == bucket(name, l->days[i]); end++)
            ;
        drawdown(l, i, end, &wealth);
        case_compare(c, name, name, json_array_get(want, k++), UNIT_RATE, wealth - 1);
    }
    if (k != json_array_size(want))
        case_differs(c, "%s: %zu of them", name, k);
}

static bool figure_of_list(struct vcase *c, const char *name, const json_t *want, const struct list *l)
{
    double wealth, deepest = drawdown(l, 0, l->n, &wealth);

    if (strcmp(name, "max_drawdown") == 0)
        case_figure(c, name, UNIT_RATE, l->n > 0, number_value(want) < 0 ? -deepest : deepest);
    else if (strcmp(name, "max_drawdown_equals_cumulative_return") == 0)
        case_compare(c, name, name, want, UNIT_EXACT, fabs(deepest - (1 - wealth)) < 1e-12);
    else if (strcmp(name, "max_duration_days") == 0)
        case_figure(c, name, UNIT_EXACT, true, longest_under_water(l));
    else if (strcmp(name, "episode_drawdowns") == 0)
        episodes(c, name, want, l);
    else if (strcmp(name, "weekly") == 0 || strcmp(name, "monthly") == 0 || strcmp(name, "quarterly") == 0 ||
             strcmp(name, "yearly") == 0)
        aggregate(c, name, want, l);
    else if (strcmp(name, "volatility_period") == 0 || strcmp(name, "semi_deviation") == 0)
        list_volatility(c, name, l);
    else if (strcmp(name, "volatility") == 0 || strcmp(name, "annual_volatility") == 0 ||
             strcmp(name, "volatility_annual") == 0)
        annual_volatility(c, name, l);
    else if (strcmp(name, "cumulative_return") == 0 || strcmp(name, "total_return") == 0 ||
             strcmp(name, "cum_returns_final") == 0)
        case_figure(c, name, UNIT_RATE, true, wealth - 1);
    else if (strcmp(name, "annual_return") == 0 || strcmp(name, "cagr") == 0)
        case_figure(c, name, UNIT_RATE, l->n > 0, pow(wealth, returns_a_year(c) / (double)l->n) - 1);
    else
        return false;
    return true;
}

bool list_figure(struct vcase *c, const char *name, const json_t *want)
{
    struct list l = {.n = 0};
    bool done = list_of(c, &l) && figure_of_list(c, name, want, &l);

    mem_free(l.r);
    mem_free(l.days);
    return done;
}
