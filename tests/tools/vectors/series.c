/* Lists of figures: by date, by month or year, by window, by weight. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/tools/vectors/formulas.h"
#include "tests/tools/vectors/runs.h"

/* --- by date ----------------------------------------------------------------------------- */

static bool date_at(const json_t *row, int32_t *day)
{
    const char *text = json_string_value(json_array_get(row, 0));

    return text && day_parse(text, day);
}

/* Time-weighted to each date; the first date is the opening. */
static void rates_by_date(struct vcase *c, const char *name, const json_t *rows, const char *currency)
{
    const json_t *row;
    size_t i;
    int32_t first = 0, day;
    char what[100];

    json_array_foreach(rows, i, row)
    {
        const struct run *r = NULL;
        double rate = 0;
        bool defined = true;

        if (!date_at(row, &day))
            continue;
        if (i == 0)
            first = day;
        if (day > first)
            r = book_run(c, (struct view){usual_reading(c), first + 1, day, currency});
        if (r)
            rate = rate_of(c, r, &defined);
        snprintf(what, sizeof what, "%s of %s", name, json_string_value(json_array_get(row, 0)));
        case_compare(c, what, name, json_array_get(row, 1), UNIT_RATE, defined ? rate : NAN);
    }
}

static void drawdowns_by_date(struct vcase *c, const char *name, const json_t *rows)
{
    const struct run *r = run_period(c, SECURITIES);
    const json_t *row;
    size_t i;
    int32_t day;

    json_array_foreach(rows, i, row)
    {
        double peak = 1, wealth = 1;

        if (!r || !date_at(row, &day))
            continue;
        for (size_t k = 0; k < r->n_days && r->days[k].day <= day; k++) {
            wealth = r->days[k].wealth;
            peak = fmax(peak, wealth);
        }
        case_compare(c, name, name, json_array_get(row, 1), UNIT_RATE, wealth / peak - 1);
    }
}

static double column(const struct vcase *c, const struct run *net, const struct run *bare, const char *name)
{
    (void)c;
    if (strcmp(name, "market") == 0)
        return run_money(net, net->summary.close_value_minor);
    if (strcmp(name, "cost") == 0)
        return run_money(bare, bare->summary.cost_fifo_minor);
    return strcmp(name, "net_contributed") == 0 ? run_money(net, net->summary.net_contributions_minor) : NAN;
}

static void columns_by_date(struct vcase *c, const char *name, const json_t *rows)
{
    const json_t *columns = json_object_get(c->expected, "columns"), *row;
    size_t i;
    int32_t day;

    json_array_foreach(rows, i, row)
    {
        const struct run *net, *bare;

        if (!date_at(row, &day))
            continue;
        net = book_run(c, (struct view){SECURITIES, book_first_day(c), day, NULL});
        bare = book_run(c, (struct view){BARE, book_first_day(c), day, NULL});
        for (size_t k = 1; net && bare && k < json_array_size(columns); k++)
            case_compare(c, name, name, json_array_get(row, k), UNIT_MONEY,
                         column(c, net, bare, json_string_value(json_array_get(columns, k))));
    }
}

static bool dated(struct vcase *c, const char *name, const json_t *want)
{
    bool by_date = json_is_array(want) && json_is_array(json_array_get(want, 0));

    if (!by_date || !json_object_get(c->json, "transactions"))
        return false;
    if (strcmp(name, "series_security_currency") == 0)
        rates_by_date(c, name, want,
                      text_of(json_array_get(json_object_get(c->json, "transactions"), 0), "currency",
                              c->currency));
    else if (strcmp(c->kind, "drawdown") == 0)
        drawdowns_by_date(c, name, want);
    else if (json_object_get(c->expected, "columns"))
        columns_by_date(c, name, want);
    else
        rates_by_date(c, name, want, NULL); /* a benchmark's too: the return of the only holding */
    return true;
}

/* --- by month and year ------------------------------------------------------------------------ */

/* "2020" or "2020-03". */
static bool window(const char *key, int32_t *from, int32_t *to)
{
    char day[11];
    bool year = strlen(key) == 4;

    snprintf(day, sizeof day, year ? "%.4s-01-01" : "%.7s-01", key);
    if (!day_parse(day, from))
        return false;
    *to = day_add_months(*from, year ? 12 : 1) - 1;
    return true;
}

/* Opening value at the first day's close, closing value the day after the last, flows between them. */
static struct returns_mwr irr_of_window(const struct run *r)
{
    struct returns_flow *f = mem_array(r->n_days + 2, sizeof *f);
    struct returns_mwr mwr;
    size_t n = 0;

    f[n++] = (struct returns_flow){r->view.from - 1, -run_money(r, r->summary.open_value_minor)};
    for (size_t i = 0; i < r->n_days; i++)
        if (r->days[i].flow != 0)
            f[n++] = (struct returns_flow){r->days[i].day, -r->days[i].flow};
    f[n++] = (struct returns_flow){r->view.to + 1, run_money(r, r->summary.close_value_minor)};
    mwr = returns_xirr(f, n);
    mem_free(f);
    return mwr;
}

static bool by_window(struct vcase *c, const char *name, const json_t *want)
{
    const char *key;
    json_t *value;
    char what[100];

    if (!json_is_object(want) || !json_object_get(c->json, "transactions") ||
        (strncmp(name, "pnl", 3) != 0 && strcmp(name, "irr") != 0))
        return false;
    json_object_foreach((json_t *)want, key, value)
    {
        struct view v = {.reading = SECURITIES};
        const struct run *r;

        if (!window(key, &v.from, &v.to))
            continue;
        v.from += name[0] == 'i';
        if (!(r = book_run(c, v)))
            continue;
        snprintf(what, sizeof what, "%s of %s", name, key);
        if (name[0] == 'p')
            case_compare(c, what, name, value, UNIT_MONEY, run_money(r, r->summary.gain_minor));
        else
            case_compare(c, what, name, value, UNIT_RATE,
                         r->summary.nothing ? 0 : irr_of_window(r).annual); /* upstream: 0 */
    }
    return true;
}

/* --- hledger: rows of windows ---------------------------------------------------------------------- */

/*
 * Windows [begin, end + 1), years of 365.25 days. Its time-weighted return
 * links what is between the days of known values (quotes, stated valuations,
 * profits, the last day): by growth, or by the internal rate where there are
 * flows inside. A value is known before the flows of its day.
 */
struct row {
    int32_t begin, end;
    double value_begin, cashflow, value_end, irr_period, twr;
};

struct ledger {
    int32_t *days; /* whose value is known */
    size_t n;
    const struct run *book;     /* values of any day; NULL: as stated, or what flows and profits add up to */
    const struct vcase *stated; /* "valuations" or "pnl" */
    struct returns_flow *flows; /* negative: into the portfolio */
    size_t n_flows;
};

static double rate_between(const struct ledger *l, int32_t begin, double open, int32_t end, double close)
{
    struct returns_flow *f = mem_array(l->n_flows + 2, sizeof *f);
    struct returns_mwr r;
    size_t n = 0;

    f[n++] = (struct returns_flow){begin, -open};
    for (size_t i = 0; i < l->n_flows; i++)
        if (l->flows[i].day >= begin && l->flows[i].day < end)
            f[n++] = l->flows[i];
    f[n++] = (struct returns_flow){end, close};
    r = returns_xirr(f, n);
    mem_free(f);
    /* the root is of the first to the last flow that is not zero */
    return r.defined ? pow(1 + r.annual, (end - begin) / 365.0) - 1 : 0;
}

static double flows_between(const struct ledger *l, int32_t begin, int32_t end)
{
    double sum = 0;

    for (size_t i = 0; i < l->n_flows; i++)
        if (l->flows[i].day >= begin && l->flows[i].day < end)
            sum -= l->flows[i].amount;
    return sum;
}

static double paid_and_earned(const struct ledger *l, int32_t day)
{
    double sum = flows_between(l, INT32_MIN, day + 1);
    const json_t *m;
    size_t i;
    int32_t of;

    json_array_foreach(json_object_get(l->stated->json, "pnl"), i, m) if (day_of(m, "date", &of) && of <= day)
        sum += number_of(m, "amount", 0);
    return sum;
}

/* In the evening. */
static double value_at(const struct ledger *l, int32_t day)
{
    const json_t *m;
    double value = 0;
    size_t i;
    int32_t of;

    if (json_object_get(l->stated->json, "pnl"))
        return paid_and_earned(l, day);
    for (i = 0; l->book && i < l->book->n_days && l->book->days[i].day <= day; i++)
        value = l->book->days[i].value;
    json_array_foreach(l->book ? NULL : json_object_get(l->stated->json, "valuations"), i,
                       m) if (day_of(m, "date", &of) && of <= day) value = number_of(m, "value", 0);
    return value;
}

static void compute_row(const struct ledger *l, struct row *r)
{
    int32_t from = r->begin, end = r->end + 1;
    double open = value_at(l, from - 1), value, wealth = 1;

    r->value_begin = open;
    r->cashflow = flows_between(l, r->begin, end);
    r->value_end = value_at(l, r->end);
    r->irr_period = rate_between(l, r->begin, open, end, r->value_end);
    for (size_t i = 0; i <= l->n; i++) {
        int32_t cut = i < l->n && l->days[i] < r->end ? l->days[i] : r->end;

        if (cut <= from)
            continue;
        value = value_at(l, cut) - flows_between(l, cut, cut + 1);
        wealth *= 1 + rate_between(l, from, open, cut, value);
        from = cut;
        open = value;
    }
    r->twr = wealth * (1 + rate_between(l, from, open, end, r->value_end)) - 1;
}

static void know_days(const struct vcase *c, const char *list, struct ledger *l)
{
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, list), i, m) l->n += day_of(m, "date", &l->days[l->n]);
}

static void flows_of_book(struct ledger *l)
{
    const struct run *r = l->book;

    l->flows = mem_array(r->n_days + 1, sizeof *l->flows);
    for (size_t i = 0; i < r->n_days; i++)
        if (r->days[i].flow != 0)
            l->flows[l->n_flows++] = (struct returns_flow){r->days[i].day, -r->days[i].flow};
}

static int by_day(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return x < y ? -1 : x > y;
}

static void read_ledger(struct vcase *c, struct ledger *l)
{
    const char *lists[] = {"prices", "valuations", "pnl"};

    for (size_t i = 0; i < 3; i++) {
        size_t most = l->n + json_array_size(json_object_get(c->json, lists[i]));

        l->days = mem_resize(l->days, most + 1, sizeof *l->days);
        know_days(c, lists[i], l);
    }
    qsort(l->days, l->n, sizeof *l->days, by_day);
    if (json_object_get(c->json, "transactions"))
        l->book = run_life(c, SECURITIES);
    if (l->book)
        flows_of_book(l);
    else
        l->flows = flows_of(json_object_get(c->json, "flows"), -1, &l->n_flows);
}

static void compare_row(struct vcase *c, const json_t *want, const struct row *r)
{
    const double year = 365.25 / (r->end + 1 - r->begin);
    const struct {
        const char *name, *tolerance;
        double have;
    } cells[] = {
        {"value_begin", "value", r->value_begin},
        {"cashflow", "value", r->cashflow},
        {"value_end", "value", r->value_end},
        {"pnl", "value", r->value_end - r->value_begin - r->cashflow},
        {"irr_pct", "percent", 100 * (pow(1 + r->irr_period, year) - 1)},
        {"twr_pct", "percent", 100 * r->twr},
        {"twr_year_pct", "percent", 100 * (pow(1 + r->twr, year) - 1)},
    };

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        if (json_object_get(want, cells[i].name) && !why_not_ours(c, cells[i].name))
            case_compare(c, cells[i].name, cells[i].tolerance, json_object_get(want, cells[i].name),
                         UNIT_RATE, cells[i].have);
}

static void rows_of_windows(struct vcase *c, const json_t *rows)
{
    struct ledger l = {.stated = c};
    const json_t *m;
    size_t i;

    read_ledger(c, &l);
    json_array_foreach(rows, i, m)
    {
        struct row r = {.begin = 0};

        if (!day_of(m, "begin", &r.begin) || !day_of(m, "end", &r.end))
            continue;
        compute_row(&l, &r);
        compare_row(c, m, &r);
    }
    mem_free(l.days);
    mem_free(l.flows);
}

/* --- benchmarks ---------------------------------------------------------------------------------------- */

/* Of the closes alone: the last one up to each day, the first one before them all. */
static double index_return(const struct vcase *c, int32_t from, int32_t to)
{
    double open = NAN, close = NAN;
    const json_t *m;
    size_t i;
    int32_t day;

    json_array_foreach(json_object_get(c->json, "prices"), i, m)
    {
        if (!day_of(m, "date", &day))
            continue;
        if (day <= from || isnan(open))
            open = number_of(m, "close", NAN);
        if (day <= to || isnan(close))
            close = number_of(m, "close", NAN);
    }
    return close / open - 1;
}

/* The library's own figure, for a portfolio that holds something from `from` on. */
static double benchmark_of_library(struct vcase *c, enum reading reading, int32_t from, int32_t to)
{
    const struct run *r = to > from ? book_run(c, (struct view){reading, from + 1, to, NULL}) : NULL;

    if (!r)
        return to > from ? NAN : 0;
    return r->summary.spans[PERF_SPAN_PERIOD].benchmark.defined
               ? (double)r->summary.spans[PERF_SPAN_PERIOD].benchmark.e8 / 1e8
               : NAN;
}

static void benchmarks_by_price(struct vcase *c, const char *name, const json_t *want)
{
    const json_t *m;
    size_t i;
    int32_t day;

    json_array_foreach(json_object_get(c->json, "prices"), i, m)
    {
        const struct run *r;

        if (!day_of(m, "date", &day) || i >= json_array_size(want))
            continue;
        if (strcmp(name, "benchmark") == 0) {
            case_compare(c, name, name, json_array_get(want, i), UNIT_RATE,
                         benchmark_of_library(c, SECURITIES, c->period_start, day));
            continue;
        }
        r = book_run(c, (struct view){SECURITIES, book_first_day(c), day, NULL});
        if (r)
            case_compare(c, name, name, json_array_get(want, i), UNIT_RATE,
                         run_money(r, r->summary.gain_minor) /
                             run_money(r, r->summary.net_contributions_minor));
    }
}

static bool benchmark(struct vcase *c, const char *name, const json_t *want)
{
    int32_t from = c->period_start - 1, to = c->period_end + 1;
    char first[11], last[11];

    if (strcmp(c->kind, "benchmark") != 0)
        return false;
    if (json_is_array(want)) {
        benchmarks_by_price(c, name, want);
        return true;
    }
    if (strncmp(name, "return", 6) != 0)
        return false;
    if (sscanf(name, "return_%10[0-9-]_%10[0-9-]", first, last) == 2 &&
        (!day_parse(first, &from) || !day_parse(last, &to)))
        return false;
    case_figure(c, name, UNIT_RATE, true, index_return(c, from, to));
    return true;
}

/* --- contributions: assets of given returns that drift -------------------------------------------------- */

#define FIRST_DAY 19723 /* 2024-01-01; the assets are bought that evening, and day 1 is the next */

/* Each asset is bought for its weight of a million, and quoted every day. */
static void quote_asset(struct vcase *c, const char *asset, const json_t *returns)
{
    double weight = number_of(json_object_get(c->json, "weights"), asset, 0), close = 100;
    json_t *prices = json_object_get(c->json, "prices");
    char day[11];

    for (size_t i = 0; i <= json_array_size(returns); i++) {
        close *= i ? 1 + number_value(json_array_get(returns, i - 1)) : 1;
        day_format(FIRST_DAY + (int32_t)i, day);
        json_array_append_new(prices,
                              json_pack("{s:s,s:s,s:f}", "instrument", asset, "date", day, "close", close));
    }
    day_format(FIRST_DAY, day);
    json_array_append_new(json_object_get(c->json, "transactions"),
                          json_pack("{s:s,s:s,s:s,s:f,s:f}", "date", day, "type", "BUY", "instrument", asset,
                                    "quantity", weight * 1e4, "amount", weight * 1e6));
}

static void make_book(struct vcase *c)
{
    const char *asset;
    json_t *returns;

    if (json_object_get(c->json, "transactions"))
        return;
    json_object_set_new(c->json, "transactions", json_array());
    json_object_set_new(c->json, "prices", json_array());
    json_object_foreach(json_object_get(c->json, "asset_returns"), asset, returns)
        quote_asset(c, asset, returns);
}

/* The index of the asset named after the first underscore of "weight_A_day2" or "weight_A"; -1: none. */
static int asset_of(const json_t *returns, const char *name)
{
    const char *at = strchr(name, '_'), *asset;
    json_t *list;
    int i = 0;

    json_object_foreach((json_t *)returns, asset, list)
    {
        if (at && strncmp(at + 1, asset, strlen(asset)) == 0 && strchr("_", at[1 + strlen(asset)]))
            return i;
        i++;
    }
    return -1;
}

static size_t days_of_assets(const json_t *returns)
{
    const char *asset;
    json_t *list;
    size_t n = 0;

    json_object_foreach((json_t *)returns, asset, list) n =
        json_array_size(list) > n ? json_array_size(list) : n;
    return n;
}

/* portfolio_return_dayN, contribution_A_dayN, weight_A_dayN (before the day);
 * without a day: of all days together. */
static bool contribution(struct vcase *c, const char *name, const json_t *want)
{
    const json_t *returns = json_object_get(c->json, "asset_returns");
    const char *d = strstr(name, "_day");
    int day = d ? atoi(d + 4) : 1, last = d ? day : (int)days_of_assets(returns);
    int asset = returns ? asset_of(returns, name) : -1;
    const struct run *r;

    if (!returns || day < 1 || (asset < 0 && strncmp(name, "portfolio", 9) != 0))
        return false;
    if (asset >= RUN_HELD) {
        case_differs(c, "%s: only the first %d assets are kept apart here", name, RUN_HELD);
        return true;
    }
    make_book(c);
    day -= name[0] == 'w'; /* the evening before */
    r = book_run(c,
                 (struct view){SECURITIES, FIRST_DAY + day, FIRST_DAY + (name[0] == 'w' ? day : last), NULL});
    if (!r)
        return true;
    if (asset < 0)
        case_compare(c, name, name, want, UNIT_RATE, r->summary.twr);
    else if (name[0] == 'w')
        case_compare(c, name, name, want, UNIT_RATE,
                     run_money(r, r->held[asset].value_minor) / run_money(r, r->summary.close_value_minor));
    else
        case_compare(c, name, name, want, UNIT_RATE, r->held[asset].contribution);
    return true;
}

bool series_figure(struct vcase *c, const char *name, const json_t *want)
{
    if (strcmp(name, "rows") == 0) {
        rows_of_windows(c, want);
        return true;
    }
    return dated(c, name, want) || by_window(c, name, want) || benchmark(c, name, want) ||
           contribution(c, name, want);
}
