/* Bare numbers in, formulas of lib/performance/{returns,chain,lots}.h out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/performance/chain.h"
#include "tests/tools/vectors/formulas.h"

/* --- dated flows ------------------------------------------------------------------------- */

struct returns_flow *flows_of(const json_t *list, double sign, size_t *n)
{
    struct returns_flow *flows = mem_array(json_array_size(list) + 2, sizeof *flows);
    const json_t *m;
    size_t i;

    *n = 0;
    json_array_foreach(list, i, m)
    {
        if (!day_of(m, "date", &flows[*n].day))
            flows[*n].day = (int32_t)number_of(m, "day", 0);
        flows[(*n)++].amount = sign * number_of(m, "amount", NAN);
    }
    return flows;
}

double days_of_year(const struct vcase *c)
{
    const char *text = text_of(c->conventions, "day_count", "act/365F"), *slash = strchr(text, '/');
    double days = slash ? strtod(slash + 1, NULL) : 0;

    return days > 300 ? days : RETURNS_YEAR_DAYS;
}

double rate_of_year(const struct vcase *c, double annual_365)
{
    return pow(1 + annual_365, days_of_year(c) / RETURNS_YEAR_DAYS) - 1;
}

/* Relative to all that flows: 0 at a root. */
static double present_value(const struct returns_flow *f, size_t n, double rate)
{
    double sum = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        double v = f[i].amount * pow(1 + rate, -(f[i].day - f[0].day) / 365.0);

        sum += v;
        all += fabs(v);
    }
    return all > 0 ? sum / all : 0;
}

/* Of several roots we publish the one nearest +10 % and flag it. */
static bool another_root(struct vcase *c, const struct returns_flow *f, size_t n, struct returns_mwr r)
{
    double want = number_of(c->expected, "xirr", NAN), known;
    const json_t *m;
    size_t i;

    if (fabs(present_value(f, n, r.annual)) > 1e-9)
        return false;
    if (r.several && fabs(log((1 + r.annual) / 1.1)) < fabs(log((1 + want) / 1.1))) {
        case_note(c, "xirr is %.10g where the source has the root %.10g: the one nearest +10 %%, flagged",
                  r.annual, want);
        return true;
    }
    json_array_foreach(json_object_get(c->expected, "other_roots_ours"), i, m)
    {
        known = number_value(m);
        if (isnan(want) && fabs(r.annual - known) < 1e-6) {
            case_note(c, "xirr is the root %.10g where the source finds none", r.annual);
            return true;
        }
    }
    return false;
}

static void xirr_error(struct vcase *c)
{
    size_t n;
    struct returns_flow *f = flows_of(json_object_get(c->json, "flows"), 1, &n);

    c->compared++;
    if (returns_xirr(f, n).defined)
        case_differs(c, "no error where \"%s\" is expected", text_of(c->expected, "error", "?"));
    mem_free(f);
}

static void xirr(struct vcase *c)
{
    size_t n;
    struct returns_flow *f =
        flows_of(json_object_get(c->json, "flows"), says(c, "flow_sign", "positive = investor") ? -1 : 1, &n);
    struct returns_mwr r = returns_xirr(f, n);

    if (r.defined && !(fabs(rate_of_year(c, r.annual) - number_of(c->expected, "xirr", NAN)) < 1e-6) &&
        another_root(c, f, n, r))
        c->compared++;
    else
        case_figure(c, "xirr", UNIT_RATE, r.defined, rate_of_year(c, r.annual));
    mem_free(f);
}

/* --- Modified Dietz ------------------------------------------------------------------------- */

struct dietz {
    double open, close, net;
    int32_t length; /* days, or seconds where moments are given */
    int32_t length_days;
    struct returns_dietz_flow *flows;
    size_t n;
};

static int64_t moment(const json_t *o, const char *key)
{
    const char *text = text_of(o, key, "");
    int h = 0, m = 0, s = 0;
    int32_t day;

    if (!day_of(o, key, &day))
        return INT64_MIN;
    if (strlen(text) > 10)
        sscanf(text + 11, "%d:%d:%d", &h, &m, &s);
    return (int64_t)day * 86400 + h * 3600 + m * 60 + s;
}

static void add_dietz(struct dietz *d, int32_t at, double amount, bool end_of_day)
{
    d->flows[d->n++] = (struct returns_dietz_flow){.day = at, .amount = amount, .end_of_day = end_of_day};
    d->net += amount;
}

/* Opening value, closing value and flows by day of the period. */
static bool dietz_of_values(const struct vcase *c, struct dietz *d)
{
    const json_t *m;
    size_t i;

    if (!json_object_get(c->json, "opening_value"))
        return false;
    d->open = number_of(c->json, "opening_value", NAN);
    d->close = number_of(c->json, "closing_value", NAN);
    d->length = d->length_days = (int32_t)number_of(c->json, "period_days", 0);
    json_array_foreach(json_object_get(c->json, "flows"), i, m)
        add_dietz(d, (int32_t)number_of(m, "day", 0), number_of(m, "amount", NAN), true);
    return true;
}

/* Between the first and the last valuation; those at the start or after the end are not in it. */
static bool dietz_of_valuations(const struct vcase *c, struct dietz *d)
{
    const json_t *v = json_object_get(c->json, "valuations"), *first = json_array_get(v, 0), *m;
    const json_t *last = json_array_get(v, json_array_size(v) - 1);
    int64_t start = moment(first, "date"), end = moment(last, "date"), at, unit;
    size_t i;

    if (json_array_size(v) < 2 || end - start > INT32_MAX)
        return false;
    unit = strlen(text_of(first, "date", "")) > 10 ? 1 : 86400;
    d->open = number_of(first, "value", NAN);
    d->close = number_of(last, "value", NAN);
    d->length = (int32_t)((end - start) / unit);
    d->length_days = (int32_t)((end - start) / 86400);
    json_array_foreach(json_object_get(c->json, "flows"), i, m)
    {
        at = moment(m, "date");
        if (at > start && at <= end)
            add_dietz(d, (int32_t)((at - start) / unit), number_of(m, "amount", NAN), true);
    }
    return true;
}

/* Days first..last of a series of market value and profit, carried forward. */
static bool dietz_of_days(const struct vcase *c, int first, int last, struct dietz *d)
{
    const json_t *m, *before = NULL;
    size_t i;

    json_array_foreach(json_object_get(c->json, "daily"), i, m)
    {
        int day = (int)number_of(m, "day", 0);

        if (day < first)
            d->open = number_of(m, "mv", NAN);
        else if (day <= last && before)
            add_dietz(d, day - first + 1,
                      number_of(m, "mv", NAN) - number_of(before, "mv", NAN) - number_of(m, "pl", NAN),
                      !says(c, "inflow", "start"));
        if (day <= last)
            d->close = number_of(m, "mv", NAN);
        before = m;
    }
    d->length = d->length_days = last - first + 1;
    return before != NULL;
}

/* NAN where it is undefined. */
static double linked(const struct vcase *c, double rate)
{
    const json_t *m;
    size_t i;

    rate += 1;
    json_array_foreach(json_object_get(c->json, "linked_with"), i, m) rate *= 1 + number_value(m);
    return rate - 1;
}

static bool xirr_of_dietz(struct vcase *c, const struct dietz *d, const char *name)
{
    struct returns_flow *f = mem_array(d->n + 2, sizeof *f);
    struct returns_mwr r;

    f[0] = (struct returns_flow){0, -d->open};
    for (size_t i = 0; i < d->n; i++)
        f[i + 1] = (struct returns_flow){d->flows[i].day, -d->flows[i].amount};
    f[d->n + 1] = (struct returns_flow){d->length, d->close};
    r = returns_xirr(f, d->n + 2);
    mem_free(f);
    case_figure(c, name, UNIT_RATE, r.defined,
                strstr(name, "holding") || strstr(name, "period") ? r.period : r.annual);
    return true;
}

static bool dietz_figure(struct vcase *c, const struct dietz *d, const char *name)
{
    double rate = NAN, average = NAN;
    bool defined = returns_dietz(d->open, d->close, d->length, d->flows, d->n, &rate, &average);

    if (strncmp(name, "irr", 3) == 0 || strncmp(name, "mwr", 3) == 0 || strncmp(name, "money_w", 7) == 0)
        return xirr_of_dietz(c, d, name);
    if (strncmp(name, "modified_dietz", 14) == 0)
        case_figure(c, name, UNIT_RATE, defined, rate);
    else if (strncmp(name, "average_capital", 15) == 0)
        case_figure(c, name, UNIT_RATE, true, average);
    else if (strcmp(name, "simple_return") == 0)
        case_figure(c, name, UNIT_RATE, d->open + d->net > 0, simple_return(d->open, d->close, d->net));
    else if (strcmp(name, "gain") == 0)
        case_figure(c, name, UNIT_RATE, true, d->close - d->open - d->net);
    else if (strcmp(name, "net_cashflow") == 0)
        case_figure(c, name, UNIT_RATE, true, d->net);
    else if (strcmp(name, "weighted_cashflow") == 0)
        case_figure(c, name, UNIT_RATE, true, average - d->open);
    else if (strncmp(name, "linked", 6) == 0)
        case_figure(c, name, UNIT_RATE, defined, linked(c, rate));
    else if (strcmp(name, "days") == 0)
        case_figure(c, name, UNIT_RATE, true, d->length_days);
    else
        return false;
    return true;
}

static bool dietz(struct vcase *c, const char *name)
{
    const json_t *lists[] = {json_object_get(c->json, "flows"), json_object_get(c->json, "daily")};
    struct dietz d = {.open = 0};
    const char *range = name + strcspn(name, "0123456789");
    int first, last;
    bool done = false;

    d.flows = mem_array(json_array_size(lists[0]) + json_array_size(lists[1]) + 1, sizeof *d.flows);
    if (lists[1] ? sscanf(range, "%d_%d", &first, &last) == 2 && dietz_of_days(c, first, last, &d)
                 : dietz_of_values(c, &d) || dietz_of_valuations(c, &d))
        done = dietz_figure(c, &d, name);
    mem_free(d.flows);
    return done;
}

/* --- chains ------------------------------------------------------------------------------------ */

fp_i128 formulas_e8(double v)
{
    return llroundl((long double)v * FP_E8);
}

/* Adds a sub-period that ends on `day`; returns its rate. */
static double link_one(struct perf_chain *c, int32_t day, double open, double close, double in, double out)
{
    double before = c->wealth, weight;
    const struct perf_day d = {.day = day,
                               .open_e8 = formulas_e8(open),
                               .close_e8 = formulas_e8(close),
                               .in_e8 = formulas_e8(in),
                               .out_e8 = formulas_e8(out)};

    perf_chain_add(c, &d, &weight);
    return before > 0 ? c->wealth / before - 1 : 0;
}

struct chained {
    struct perf_chain chain;
    double rates[1000];
    int n;
};

/* Valued before the flow of the same date, which works from the next day on. */
static void chain_valuations(const json_t *valuations, const json_t *flows, struct chained *r)
{
    const json_t *m;
    size_t i, k;
    double open = 0, in = 0;
    int32_t day = 0;

    json_array_foreach(valuations, i, m)
    {
        double flow = 0, close = number_of(m, "value", NAN);
        const json_t *f;

        if (!day_of(m, "date", &day))
            day++;
        if (i == 0)
            perf_chain_init(&r->chain, day);

        json_array_foreach(flows, k, f) if (strcmp(text_of(f, "date", ""), text_of(m, "date", "-")) == 0)
            flow += number_of(f, "amount", NAN);
        if (i > 0 && r->n < 1000)
            r->rates[r->n++] =
                link_one(&r->chain, day, open, flow < 0 ? close + flow : close, in, flow < 0 ? -flow : 0);
        open = flow < 0 ? close + flow : close;
        in = flow > 0 ? flow : 0;
    }
}

static void chain_subperiods(const json_t *list, struct chained *r)
{
    const json_t *m;
    size_t i;

    json_array_foreach(list, i, m) if (r->n < 1000) r->rates[r->n++] =
        link_one(&r->chain, (int32_t)i, number_of(m, "begin", NAN), number_of(m, "end", NAN), 0,
                 number_of(m, "income", 0) - number_of(m, "flow", 0));
}

/* Days of market value and profit: the rest of a day's change has flowed. */
static void chain_days(const struct vcase *c, const json_t *daily, struct chained *r)
{
    const json_t *m;
    double open = 0;
    size_t i;

    json_array_foreach(daily, i, m)
    {
        double close = number_of(m, "mv", NAN), flow = close - open - number_of(m, "pl", NAN);
        bool at_start = flow > 0 && says(c, "inflow", "start");

        if (i > 0 && r->n < 1000) /* what comes at the end of a day is worth itself */
            r->rates[r->n++] = at_start ? link_one(&r->chain, (int32_t)i, open, close, flow, 0)
                                        : link_one(&r->chain, (int32_t)i, open, close, 0, -flow);
        open = close;
    }
}

static bool chain_of(const struct vcase *c, struct chained *r)
{
    const json_t *valuations = json_object_get(c->json, "valuations"),
                 *subperiods = json_object_get(c->json, "subperiods"),
                 *daily = json_object_get(c->json, "daily");

    perf_chain_init(&r->chain, 0);
    if (json_object_get(c->json, "transactions"))
        return false;
    if (subperiods)
        chain_subperiods(subperiods, r);
    else if (json_array_size(valuations) > 1)
        chain_valuations(valuations, json_object_get(c->json, "flows"), r);
    else
        chain_days(c, daily, r);
    return r->n > 0;
}

static bool chain_figure(struct vcase *c, const char *name, const json_t *want)
{
    struct chained r = {.n = 0};
    double annual = NAN;
    const json_t *m;
    size_t i;
    bool defined, linked;

    if (!chain_of(c, &r))
        return false;
    linked = !r.chain.negative && r.chain.since_day != INT32_MAX; /* there was something to earn on */
    if (strcmp(name, "twr") == 0 || strcmp(name, "cumulative_return") == 0) {
        case_figure(c, name, UNIT_RATE, linked, r.chain.wealth - 1);
    } else if (day_of_fall(name)) {
        compare_day(c, name, want,
                    day_of_fall(name) == 1 ? r.chain.drawdown.max_peak_day : r.chain.drawdown.max_trough_day);
    } else if (strcmp(name, "max_drawdown") == 0) {
        case_figure(c, name, UNIT_RATE, linked,
                    number_value(want) < 0 ? -r.chain.drawdown.max : r.chain.drawdown.max);
    } else if (strcmp(name, "twr_annualized") == 0) {
        defined = returns_annualise(r.chain.wealth - 1, c->period_end - c->period_start, &annual);
        case_figure(c, name, UNIT_RATE, defined && linked, annual);
    } else if (strcmp(name, "twr_per_period") == 0) {
        case_figure(c, name, UNIT_RATE, linked, pow(r.chain.wealth, 1.0 / r.n) - 1);
    } else if (strcmp(name, "subperiod_returns") == 0) {
        json_array_foreach(want, i, m)
            case_compare(c, name, name, m, UNIT_RATE, i < (size_t)r.n ? r.rates[i] : NAN);
    } else if (strcmp(name, "error") == 0) {
        c->compared++;
        if (linked)
            case_differs(c, "no error where \"%s\" is expected", json_string_value(want));
    } else {
        return false;
    }
    return true;
}

static void annualised(struct vcase *c, const char *name)
{
    double days = number_of(c->json, "days", number_of(c->json, "years", 0) * RETURNS_YEAR_DAYS);
    double total = number_of(c->json, "total_return", NAN), annual = NAN;
    bool defined;

    if (days == 0)
        days = c->period_end - c->period_start;
    defined = returns_annualise(total, (int32_t)days, &annual);
    if (defined && days != (int32_t)days) /* the library's are whole */
        annual = pow(1 + total, RETURNS_YEAR_DAYS / days) - 1;

    case_figure(c, name, UNIT_RATE, defined, annual);
}

/* What the solver brings to nothing, at a rate that is given: of the first flow's day. */
static void xnpv(struct vcase *c, const char *name)
{
    double rate = number_of(c->json, "rate", number_of(c->json, "discount_rate", NAN)), sum = 0;
    size_t n;
    struct returns_flow *f = flows_of(json_object_get(c->json, "flows"), 1, &n);

    for (size_t i = 0; i < n; i++)
        sum += f[i].amount * pow(1 + rate, -(f[i].day - f[0].day) / days_of_year(c));
    case_figure(c, name, UNIT_MONEY, rate > -1, sum);
    mem_free(f);
}

/* --- which of them
 * ------------------------------------------------------------------------------------------ */

bool formulas_figure(struct vcase *c, const char *name, const json_t *want)
{
    if (json_object_get(c->json, "flows") &&
        (strcmp(name, "xirr") == 0 || (strcmp(name, "error") == 0 && strcmp(c->kind, "xirr") == 0))) {
        name[0] == 'x' ? xirr(c) : xirr_error(c);
        return true;
    }
    if (json_object_get(c->json, "flows") && (strcmp(name, "xnpv") == 0 || strcmp(name, "npv") == 0)) {
        xnpv(c, name);
        return true;
    }
    if (strncmp(name, "annualized", 10) == 0 && json_object_get(c->json, "total_return")) {
        annualised(c, name);
        return true;
    }
    if (json_object_get(c->json, "lots"))
        return lots_figure(c, name, want);
    if (json_object_get(c->json, "transactions") || strcmp(name, "rows") == 0)
        return false;
    return chain_figure(c, name, want) || list_figure(c, name, want) || dietz(c, name);
}
