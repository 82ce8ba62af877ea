/* Figures that a book's summary has in another shape: allocations, the days of
 * a fall, a benchmark beside a book, what was earned for each unit put in. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/tools/vectors/formulas.h"
#include "tests/tools/vectors/runs.h"

/* --- allocations -------------------------------------------------------------------- */

static const struct perf_group *group_in(const struct perf_group *list, int n, const char *label)
{
    for (int i = 0; i < n; i++)
        if (strcmp(list[i].label, label) == 0)
            return &list[i];
    return NULL;
}

/* By class, then by currency; what others call unassigned is "other" here. */
static const struct perf_group *group_of(const struct run *r, const char *label)
{
    const struct perf_summary *s = &r->summary;
    const struct perf_group *g;

    if (strcmp(label, "unassigned") == 0 || strcmp(label, "") == 0)
        label = "other";
    g = group_in(s->by_class, s->n_by_class, label);
    return g ? g : group_in(s->by_currency, s->n_by_currency, label);
}

/* Cuts `end` off; false when it does not end so. */
static bool cut(char *label, const char *end)
{
    size_t n = strlen(label), m = strlen(end);

    if (n <= m || strcmp(label + n - m, end) != 0)
        return false;
    label[n - m] = '\0';
    return true;
}

/* "EUR", "equity_percent", "unassigned_ratio": false when nothing of that name is held. */
static bool group(struct vcase *c, const char *what, const char *name, const json_t *want,
                  const struct run *r)
{
    char label[100];
    const struct perf_group *g;
    bool percent, ratio;

    snprintf(label, sizeof label, "%s", name);
    percent = cut(label, "_percent");
    ratio = !percent && cut(label, "_ratio");
    if (!(g = group_of(r, label)))
        return false;
    if (percent || ratio)
        case_compare(c, what, name, want, ratio ? UNIT_RATE : UNIT_EXACT,
                     g->percent_e2 / (ratio ? 10000.0 : 100.0));
    else
        case_compare(c, what, name, want, UNIT_MONEY, run_money(r, g->value_minor));
    return true;
}

/* {"EUR": 100, ...}: what is not there is worth nothing. */
static void groups(struct vcase *c, const char *name, const json_t *want, const struct run *r)
{
    const char *label;
    json_t *value;
    char what[200];

    json_object_foreach((json_t *)want, label, value)
    {
        snprintf(what, sizeof what, "%s.%s", name, label);
        if (!group(c, what, label, value, r))
            case_compare(c, what, label, value, UNIT_MONEY, 0);
    }
}

static bool allocation(struct vcase *c, const char *name, const json_t *want)
{
    static const char *const prefixes[] = {"allocation_by_", "allocation_", "by_", "asset_class_",
                                           "class_",         "currency_",   ""};
    const struct run *r;

    if (json_is_object(want) ? !strstr(name, "allocation") && strncmp(name, "by_", 3) != 0
                             : strcmp(c->kind, "allocation") != 0)
        return false;
    if (!(r = run_life(c, WHOLE)))
        return true;
    if (json_is_object(want)) {
        groups(c, name, want, r);
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i]);

        if (strncmp(name, prefixes[i], n) == 0 && group(c, name, name + n, want, r))
            return true;
    }
    return false;
}

/* --- days, benchmark, what was put in ------------------------------------------------------ */

void compare_day(struct vcase *c, const char *name, const json_t *want, int32_t day)
{
    char text[11];

    day_format(day, text);
    c->compared++;
    if (!json_is_string(want) || strncmp(json_string_value(want), text, 10) != 0)
        case_differs(c, "%s is %s, expected %s", name, text,
                     json_is_string(want) ? json_string_value(want) : "no day");
}

int day_of_fall(const char *name)
{
    static const char *const peak[] = {"max_drawdown_peak_date", "drawdown_peak_date", "max_drawdown_peak",
                                       "max_drawdown_start", "drawdown_peak_day"},
                             *const trough[] = {"max_drawdown_trough_date", "drawdown_trough_date",
                                                "max_drawdown_trough", "max_drawdown_end",
                                                "drawdown_trough_day"};

    for (size_t i = 0; i < sizeof peak / sizeof peak[0]; i++) {
        if (strcmp(peak[i], name) == 0)
            return 1;
        if (strcmp(trough[i], name) == 0)
            return 2;
    }
    return 0;
}

double simple_return(double open, double close, double net)
{
    return open + net > 0 ? (close - open - net) / (open + net) : NAN;
}

static void of_span(struct vcase *c, const char *name, const json_t *want, const struct run *r)
{
    const struct perf_span_figures *f = &r->summary.spans[PERF_SPAN_PERIOD];
    double simple;

    if (day_of_fall(name)) {
        compare_day(c, name, want, day_of_fall(name) == 1 ? f->drawdown_peak_day : f->drawdown_trough_day);
    } else if (strcmp(name, "simple_return") == 0) {
        simple = simple_return(run_money(r, f->open_value_minor), run_money(r, r->summary.close_value_minor),
                               run_money(r, f->net_contributions_minor));
        case_figure(c, name, UNIT_RATE, !isnan(simple), simple);
    } else {
        case_figure(c, name, UNIT_RATE, f->benchmark.defined, (double)f->benchmark.e8 / 1e8);
    }
}

bool derived_figure(struct vcase *c, const char *name, const json_t *want)
{
    const struct run *r;

    if (!json_object_get(c->json, "transactions"))
        return false;
    if (allocation(c, name, want))
        return true;
    if (!day_of_fall(name) && strcmp(name, "benchmark_return") != 0 && strcmp(name, "simple_return") != 0)
        return false;
    r = run_period(c, usual_reading(c));
    if (r)
        of_span(c, name, want, r);
    return true;
}
