/* Figures of a run, by the names that the files have for them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "tests/tools/vectors/formulas.h"
#include "tests/tools/vectors/runs.h"

/* --- periods and views ------------------------------------------------------------------------ */

/* Is the period's start the day of the opening value, and not yet in the period? */
static bool opens_at_close(const struct vcase *c)
{
    return json_object_get(c->conventions, "opening") || json_object_get(c->conventions, "inflow") ||
           json_object_get(c->conventions, "flow") || json_object_get(c->conventions, "volatility") ||
           strncmp(c->source, "portfolio-performance", 21) == 0;
}

int32_t period_from(const struct vcase *c)
{
    return opens_at_close(c) ? c->period_start + 1 : c->period_start;
}

static bool has_instruments(const struct vcase *c)
{
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "transactions"), i,
                       m) if (json_object_get(m, "instrument")) return true;
    return false;
}

static bool of_instrument(const struct vcase *c)
{
    return says(c, "scope", "instrument");
}

/* The whole account where there is one, unless one instrument is reported. */
enum reading usual_reading(struct vcase *c)
{
    return of_instrument(c) || !book_has_cash(c) ? SECURITIES : WHOLE;
}

const struct run *run_period(struct vcase *c, enum reading reading)
{
    return book_run(c, (struct view){reading, period_from(c), c->period_end, NULL});
}

const struct run *run_life(struct vcase *c, enum reading reading)
{
    return book_run(c, (struct view){reading, book_first_day(c), c->period_end, NULL});
}

/* --- amounts and counts ------------------------------------------------------------------------- */

enum span { PERIOD, LIFE };
/* Whose books: as the reading says; FEES_OUT: before costs where one instrument
 * is reported, after them where lots are; HELD: the securities, or cash where
 * there is nothing else. */
enum books { OF_WHOLE, OF_SECURITIES, OF_BARE, FEES_OUT, HELD, INSTRUMENT_OR_WHOLE };

#define AMOUNT(field) offsetof(struct perf_summary, field)

static const struct {
    const char *names; /* " a b " */
    enum books books;
    enum span span;
    size_t amount;
} amounts[] = {
    {" opening_value ", OF_WHOLE, PERIOD, AMOUNT(open_value_minor)},
    {" closing_value ", OF_WHOLE, PERIOD, AMOUNT(close_value_minor)},
    {" market_value ", HELD, PERIOD, AMOUNT(close_value_minor)},
    {" transfers cashflow net_contributions ", OF_WHOLE, PERIOD, AMOUNT(net_contributions_minor)},
    {" gain absolute_change ", OF_WHOLE, PERIOD, AMOUNT(gain_minor)},
    {" cumulative_contributions ", OF_WHOLE, LIFE, AMOUNT(net_contributions_minor)},
    {" cumulative_gain ", OF_WHOLE, LIFE, AMOUNT(gain_minor)},
    {" cumulative_income cumulative_earnings ", OF_WHOLE, LIFE, AMOUNT(income_minor)},
    {" cumulative_dividends ", OF_WHOLE, LIFE, AMOUNT(dividends_minor)},
    {" cumulative_interest ", OF_WHOLE, LIFE, AMOUNT(interest_minor)},
    {" cumulative_fees ", INSTRUMENT_OR_WHOLE, LIFE, AMOUNT(fees_minor)},
    {" cumulative_taxes ", OF_WHOLE, LIFE, AMOUNT(taxes_minor)},
    {" total_fees fees_total commissions ", INSTRUMENT_OR_WHOLE, PERIOD, AMOUNT(fees_minor)},
    {" withheld_tax withholding_tax ", OF_WHOLE, PERIOD, AMOUNT(withheld_tax_minor)},
    {" earnings income ", OF_WHOLE, PERIOD, AMOUNT(income_minor)},
    {" interest ", OF_WHOLE, PERIOD, AMOUNT(interest_minor)},
    {" dividend dividends dividend_in_base_currency ", OF_WHOLE, PERIOD, AMOUNT(dividends_minor)},
    {" fees ", INSTRUMENT_OR_WHOLE, PERIOD, AMOUNT(fees_minor)},
    {" taxes ", OF_WHOLE, PERIOD, AMOUNT(taxes_minor)},
    {" capital_gains portfolio_capital_gains ", OF_WHOLE, PERIOD, AMOUNT(unrealised_minor)},
    {" realized_gains portfolio_realized_gains ", OF_WHOLE, PERIOD, AMOUNT(realised_minor)},
    {" fx_gains ", OF_WHOLE, PERIOD, AMOUNT(currency_minor)},
    {" investment total_investment investment_with_fx_effect cost_value ", OF_BARE, LIFE,
     AMOUNT(cost_average_minor)},
    {" cost_fifo open_cost_fifo ", OF_WHOLE, LIFE, AMOUNT(cost_fifo_minor)},
    {" cost_average ", OF_WHOLE, LIFE, AMOUNT(cost_average_minor)},
    {" unrealized_gain_fifo ", FEES_OUT, LIFE, AMOUNT(unrealised_fifo_minor)},
    {" unrealized_gain_average ", FEES_OUT, LIFE, AMOUNT(unrealised_average_minor)},
    {" realized_gain_fifo realized_gain ", FEES_OUT, LIFE, AMOUNT(realised_fifo_minor)},
    {" realized_gain_average ", FEES_OUT, LIFE, AMOUNT(realised_average_minor)},
    {" realized_gain_without_fees_taxes realized_pnl ", OF_BARE, LIFE, AMOUNT(realised_fifo_minor)},
    {" unrealized_gain_without_fees_taxes unrealized_pnl ", OF_BARE, LIFE, AMOUNT(unrealised_fifo_minor)},
    {" gain_on_holdings gain_on_holdings_fifo ", OF_WHOLE, LIFE, AMOUNT(unrealised_fifo_minor)},
    {" gain_on_holdings_average ", OF_WHOLE, LIFE, AMOUNT(unrealised_average_minor)},
};

static enum reading reading_of(struct vcase *c, enum books books)
{
    switch (books) {
    case OF_WHOLE:
        return WHOLE;
    case OF_SECURITIES:
        return SECURITIES;
    case OF_BARE:
        return BARE;
    case FEES_OUT:
        return of_instrument(c) ? BARE : WHOLE;
    case HELD:
        return has_instruments(c) ? SECURITIES : WHOLE;
    case INSTRUMENT_OR_WHOLE:
        return of_instrument(c) ? SECURITIES : WHOLE;
    }
    return WHOLE;
}

static bool is_among(const char *names, const char *name)
{
    char word[100];

    snprintf(word, sizeof word, " %s ", name);
    return strstr(names, word) != NULL;
}

/* Money in another currency has no cost: it is what was put in. */
static bool amount(struct vcase *c, const char *name)
{
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
        enum reading reading = reading_of(c, amounts[i].books);
        size_t at = amounts[i].amount;
        const struct run *r;
        int64_t minor;

        if (!is_among(amounts[i].names, name))
            continue;
        if (reading == BARE && !has_instruments(c)) {
            reading = WHOLE;
            at = AMOUNT(net_contributions_minor);
        }
        r = amounts[i].span == LIFE ? run_life(c, reading) : run_period(c, reading);
        if (!r)
            return true;
        memcpy(&minor, (const char *)&r->summary + at, sizeof minor);
        case_figure(c, name, UNIT_MONEY, true, run_money(r, minor));
        return true;
    }
    return false;
}

/* By share, and the shares themselves. */
static bool count(struct vcase *c, const char *name)
{
    bool bare = strcmp(name, "average_price") == 0 || strcmp(name, "cost_per_share_without_fees_taxes") == 0;
    bool average = strcmp(name, "average_price") == 0 || strcmp(name, "cost_per_share_average") == 0;
    const struct run *r = NULL;

    if (bare || strncmp(name, "cost_per_share", 14) == 0) {
        r = run_life(c, bare ? BARE : WHOLE);
        if (r && r->shares == 0 && number_of(c->expected, name, 1) == 0)
            case_figure(c, name, UNIT_SHARES, true, 0); /* some say 0 of nothing */
        else if (r)
            case_figure(c, name, UNIT_SHARES, r->shares != 0,
                        run_money(r, average ? r->summary.cost_average_minor : r->summary.cost_fifo_minor) /
                            r->shares);
        return true;
    }
    if (!is_among(" shares quantity positions ", name))
        return false;
    r = run_life(c, WHOLE);
    if (r)
        case_figure(c, name, UNIT_SHARES, true, name[0] == 'p' ? r->summary.holdings : r->shares);
    return true;
}

/* --- what was earned ------------------------------------------------------------------------------- */

/* The days of "2022-03-07", "1d", "wtd", "mtd", "ytd", "1y", "5y", "max", or of the case. False: none of
 * these. */
static bool range(struct vcase *c, const char *suffix, int32_t *from, int32_t *to)
{
    int year, month, mday;

    *from = c->period_start;
    *to = c->period_end;
    day_to_civil(*to, &year, &month, &mday);
    if (!*suffix)
        return true;
    if (strcmp(suffix, "1d") == 0)
        *from = *to;
    else if (strcmp(suffix, "wtd") == 0)
        *from = *to - day_of_week(*to) + 1;
    else if (strcmp(suffix, "mtd") == 0)
        *from = day_first_of_month(*to);
    else if (strcmp(suffix, "ytd") == 0)
        *from = day_from_civil(year, 1, 1);
    else if (strcmp(suffix, "1y") == 0)
        *from = day_from_civil(year - 1, month, mday) + 1;
    else if (strcmp(suffix, "5y") == 0)
        *from = day_from_civil(year - 5, month, mday) + 1;
    else if (strcmp(suffix, "max") == 0)
        *from = book_first_day(c);
    else
        return day_parse(suffix, to);
    return true;
}

/* Of a day's evening: at average cost before fees, or what was put in where there is only cash. */
static double invested(struct vcase *c, int32_t day)
{
    bool held = has_instruments(c);
    const struct run *r = book_run(c, (struct view){held ? BARE : WHOLE, book_first_day(c), day, NULL});

    return r ? run_money(r, held ? r->summary.cost_average_minor : r->summary.net_contributions_minor) : NAN;
}

/* ghostfolio's denominator: the mean over the days with a position. */
static double average_investment(struct vcase *c, int32_t to)
{
    double sum = 0, days = 0, now = 0;
    int32_t since = book_first_day(c), day;
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "transactions"), i, m)
    {
        if (!day_of(m, "date", &day) || day > to)
            continue;
        sum += now > 0 ? now * (day - since) : 0;
        days += now > 0 ? day - since : 0;
        now = invested(c, day);
        since = day;
    }
    sum += now > 0 ? now * (to - since) : 0;
    days += now > 0 ? to - since : 0;
    return days > 0 ? sum / days : now;
}

static const struct {
    const char *prefix;
    enum reading reading;
} performances[] = {
    {"net_performance", SECURITIES},
    {"gross_performance", BARE},
    {"fx_performance", WHOLE},
};

/* gross_performance[_ratio][_with_fx_effect|_security_currency][_range] */
static bool performance(struct vcase *c, const char *name)
{
    static const char *const words[] = {"_ratio", "_with_fx_effect", "_security_currency"};
    bool said[3] = {false};
    struct view v = {.reading = WHOLE};
    const char *at = NULL;
    const struct run *r;
    double gain;

    for (size_t i = 0; i < 3 && !at; i++)
        if (strncmp(name, performances[i].prefix, strlen(performances[i].prefix)) == 0) {
            at = name + strlen(performances[i].prefix);
            v.reading = performances[i].reading;
        }
    for (size_t i = 0; at && i < 3; i++)
        if (strncmp(at, words[i], strlen(words[i])) == 0) {
            at += strlen(words[i]);
            said[i] = true;
        }
    if (!at || !range(c, at + (*at == '_'), &v.from, &v.to))
        return false;
    if (said[2]) /* one purchase: the holding's own return */
        v.currency =
            text_of(json_array_get(json_object_get(c->json, "instruments"), 0), "currency", c->currency);
    r = book_run(c, v);
    if (!r)
        return true;
    gain = run_money(r, r->summary.gain_minor);
    if (said[2])
        case_figure(c, name, UNIT_RATE, r->summary.twr_defined, r->summary.twr);
    else if (said[0])
        case_figure(c, name, UNIT_RATE, true, gain / average_investment(c, v.to));
    else
        case_figure(c, name, UNIT_MONEY, true, gain);
    return true;
}

static bool gains(struct vcase *c, const char *name)
{
    const struct run *net = NULL, *whole = NULL;

    if (strcmp(name, "time_weighted_investment") == 0) {
        case_figure(c, name, UNIT_MONEY, true, average_investment(c, c->period_end));
        return true;
    }
    if (!is_among(" total_pnl delta ", name))
        return performance(c, name);
    net = run_life(c, SECURITIES);
    whole = run_life(c, WHOLE);
    if (net && whole && has_instruments(c))
        case_figure(c, name, UNIT_MONEY, true,
                    run_money(net, net->summary.gain_minor) - run_money(whole, whole->summary.taxes_minor));
    else if (whole)
        case_figure(c, name, UNIT_MONEY, true, run_money(whole, whole->summary.gain_minor));
    return true;
}

/* --- returns and risk ---------------------------------------------------------------------------------- */

/* Flows at the end of their day, as fava links them: (close - flow) / open. */
double linked_at_end(const struct run *r)
{
    double wealth = 1, before = run_money(r, r->summary.open_value_minor);

    for (size_t i = 0; i < r->n_days; i++) {
        if (before > 0)
            wealth *= (r->days[i].value - r->days[i].flow) / before;
        before = r->days[i].value;
    }
    return wealth - 1;
}

double rate_of(struct vcase *c, const struct run *r, bool *defined)
{
    *defined = r->summary.twr_defined;
    if (!says(c, "flow", "end of day"))
        return r->summary.twr;
    *defined = true;
    return linked_at_end(r);
}

/* The internal rate of opening value, flows and the closing value, which is dated `late` days behind the end.
 */
static struct returns_mwr rate_of_money(const struct run *r, int late)
{
    struct returns_flow *f = mem_array(r->n_days + 2, sizeof *f);
    const struct perf_rate *own = &r->summary.spans[PERF_SPAN_PERIOD].mwr;
    struct returns_mwr mwr;
    size_t n = 0;

    f[n++] = (struct returns_flow){r->view.from - 1, -run_money(r, r->summary.open_value_minor)};
    for (size_t i = 0; i < r->n_days; i++)
        if (r->days[i].flow != 0)
            f[n++] = (struct returns_flow){r->days[i].day, -r->days[i].flow};
    f[n++] = (struct returns_flow){r->view.to + late, run_money(r, r->summary.close_value_minor)};
    mwr = returns_xirr(f, n);
    mem_free(f);
    if (!late) /* the summary's own, which has it for the span: ours is only to have it for a year */
        mwr.defined = own->defined && mwr.defined && fabs(mwr.period - (double)own->e8 / 1e8) < 1e-6;
    return mwr;
}

/* From the close of the first held day on, as Portfolio Performance has it. */
static double drawdown_of(const struct run *r)
{
    struct returns_drawdown d = {.max = 0};

    for (size_t i = 0; i < r->n_days; i++)
        if (d.peak > 0)
            returns_drawdown_add(&d, r->days[i].day, r->days[i].wealth);
        else if (r->days[i].value != 0)
            d.peak = r->days[i].wealth;
    return d.max;
}

/* Of trading days at whose close, and at the close before, something was held. */
static void volatility_of(struct vcase *c, const char *name, const struct run *r)
{
    double *rates = mem_array(r->n_days + 1, sizeof *rates), volatility = NAN, semi = NAN;
    double value = run_money(r, r->summary.open_value_minor), wealth = 1;
    size_t n = 0;
    bool defined;

    for (size_t i = 0; i < r->n_days; i++) {
        const struct run_day *d = &r->days[i];

        if (is_trading_day(d->day) && value != 0 && d->value != 0)
            rates[n++] = d->wealth / wealth - 1;
        value = d->value;
        wealth = d->wealth;
    }
    defined = returns_volatility_of_period(rates, n, &volatility, &semi);
    case_figure(c, name, UNIT_RATE, defined, strcmp(name, "semi_deviation") == 0 ? semi : volatility);
    mem_free(rates);
}

static void annualised(struct vcase *c, const char *name, const struct run *r)
{
    double annual = NAN;
    bool defined =
        r->summary.twr_defined && returns_annualise(r->summary.twr, c->period_end - c->period_start, &annual);

    case_figure(c, name, UNIT_RATE, defined, annual);
}

static void figure_of_run(struct vcase *c, const char *name, const struct run *r)
{
    bool defined;
    double rate = rate_of(c, r, &defined);

    if (strstr(name, "irr") || strncmp(name, "mwr", 3) == 0 || strncmp(name, "money", 5) == 0) {
        struct returns_mwr mwr = rate_of_money(r, strstr(c->source, "fava") != NULL);

        case_figure(c, name, UNIT_RATE, mwr.defined, strstr(name, "period") ? mwr.period : mwr.annual);
    } else if (strcmp(name, "max_drawdown") == 0) {
        case_figure(c, name, UNIT_RATE, defined,
                    number_of(c->expected, name, 0) < 0 ? -drawdown_of(r) : drawdown_of(r));
    } else if (strcmp(name, "twr_annualized") == 0) {
        annualised(c, name, r);
    } else if (strncmp(name, "twr", 3) == 0 || strncmp(name, "cumulative", 10) == 0 ||
               strcmp(name, "instrument_twr") == 0) {
        bool nothing = r->summary.nothing && number_of(c->expected, name, 1) == 0;

        if (nothing)
            case_note(c, "%s is undefined without a transaction, where the source prints 0", name);
        case_figure(c, name, UNIT_RATE, defined || nothing, nothing ? 0 : rate);
    } else {
        volatility_of(c, name, r);
    }
}

static bool returns(struct vcase *c, const char *name)
{
    struct view v = {usual_reading(c), period_from(c), c->period_end, NULL};
    const struct run *r;

    if (!is_among(
            " cumulative_return mwr mwr_annual mwr_period money_weighted_return irr_holding_period"
            " twr twr_day_before twr_annualized instrument_twr instrument_irr irr max_drawdown volatility_period"
            " instrument_volatility_period portfolio_volatility_period semi_deviation ",
            name))
        return false;
    if (strncmp(name, "instrument", 10) == 0)
        v.reading = SECURITIES;
    if (strncmp(name, "portfolio", 9) == 0)
        v.reading = WHOLE;
    v.to -= strcmp(name, "twr_day_before") == 0;
    r = book_run(c, v);
    if (r)
        figure_of_run(c, name, r);
    return true;
}

/* --- single trades -----------------------------------------------------------------------------------------
 */

struct trade {
    double shares, entry, exit;
    bool is_short;
    struct returns_mwr irr;
};

/* A trade is what was closed, lot by lot; a short one earns on what it was opened with. */
static struct trade closed_trade(const struct vcase *c, const struct run *r)
{
    struct returns_flow *f = mem_array(r->n_lots * 2 + 1, sizeof *f);
    struct trade t = {.shares = 0};
    const char *first = text_of(json_array_get(json_object_get(c->json, "transactions"), 0), "type", "");

    t.is_short = strcmp(first, "SELL") == 0;
    for (size_t i = 0; i < r->n_lots; i++) {
        const struct run_lot *l = &r->lots[i];

        t.shares += l->shares;
        t.entry += l->cost;
        t.exit += l->proceeds;
        f[2 * i] = (struct returns_flow){l->bought, -l->cost};
        f[2 * i + 1] = (struct returns_flow){l->sold, t.is_short ? 2 * l->cost - l->proceeds : l->proceeds};
    }
    t.irr = returns_xirr(f, r->n_lots * 2);
    mem_free(f);
    return t;
}

/* Of a short one: what it was sold for, and what buying it back would cost. */
static struct trade open_trade(const struct run *r)
{
    double cost = run_money(r, r->summary.cost_fifo_minor),
           value = run_money(r, r->summary.cost_fifo_minor + r->summary.unrealised_fifo_minor);

    return (struct trade){.shares = fabs(r->shares),
                          .entry = fabs(cost),
                          .exit = fabs(value),
                          .is_short = r->shares < 0};
}

static bool trade_part(struct vcase *c, const char *what, const char *name, const json_t *want,
                       const struct trade *t)
{
    double gain = t->is_short ? t->entry - t->exit : t->exit - t->entry;

    if (strcmp(name, "shares") == 0)
        case_compare(c, what, name, want, UNIT_SHARES, t->shares);
    else if (strcmp(name, "entry") == 0)
        case_compare(c, what, name, want, UNIT_MONEY, t->entry);
    else if (strcmp(name, "exit") == 0)
        case_compare(c, what, name, want, UNIT_MONEY, t->exit);
    else if (strcmp(name, "return") == 0)
        case_compare(c, what, name, want, UNIT_RATE, t->entry > 0 ? gain / t->entry : NAN);
    else if (strcmp(name, "irr") == 0)
        case_compare(c, what, name, want, UNIT_RATE, t->irr.defined ? t->irr.annual : NAN);
    else
        return false;
    return true;
}

static void trade_parts(struct vcase *c, const char *name, const json_t *want, const struct trade *t)
{
    const char *part;
    json_t *value;
    char what[100];

    json_object_foreach((json_t *)want, part, value)
    {
        snprintf(what, sizeof what, "%s.%s", name, part);
        if (!trade_part(c, what, part, value, t))
            case_differs(c, "%s: there is no such figure here", what);
    }
}

static bool trades(struct vcase *c, const char *name, const json_t *want)
{
    const struct run *r;
    struct trade t;

    if (strcmp(c->kind, "fifo") != 0 || !is_among(" entry exit return irr closed open ", name))
        return false;
    r = run_life(c, WHOLE);
    if (!r)
        return true;
    t = strcmp(name, "open") == 0 ? open_trade(r) : closed_trade(c, r);
    if (json_is_object(want))
        trade_parts(c, name, want, &t);
    else
        trade_part(c, name, name, want, &t);
    return true;
}

/* --- the rest
 * --------------------------------------------------------------------------------------------------- */

/* "equity" is its value, "equity_percent" what is printed beside it. */
static bool allocation(struct vcase *c, const char *name, const json_t *want)
{
    const struct run *r = strcmp(c->kind, "allocation") == 0 ? run_life(c, WHOLE) : NULL;

    for (int i = 0; r && i < r->summary.n_by_class; i++) {
        const struct perf_group *g = &r->summary.by_class[i];
        size_t n = strlen(g->label);

        if (strncmp(g->label, name, n) != 0)
            continue;
        if (!name[n])
            case_compare(c, name, name, want, UNIT_MONEY, run_money(r, g->value_minor));
        else if (strcmp(name + n, "_percent") == 0)
            case_compare(c, name, name, want, UNIT_EXACT, g->percent_e2 / 100.0);
        else
            continue;
        return true;
    }
    return false;
}

/* Dividends of a year over what the shares cost; the mean of the years that paid. */
static bool dividend_rate(struct vcase *c, const char *name)
{
    double sum = 0;
    int first, last, n = 0, month, mday;

    if (strcmp(name, "rate_per_year") != 0)
        return false;
    day_to_civil(book_first_day(c), &first, &month, &mday);
    day_to_civil(c->period_end, &last, &month, &mday);
    for (int year = first; year <= last; year++) {
        const struct run *r =
            book_run(c, (struct view){WHOLE, day_from_civil(year, 1, 1), day_from_civil(year, 12, 31), NULL});

        if (!r || !r->summary.dividends_minor || !r->summary.cost_average_minor)
            continue;
        sum += (double)r->summary.dividends_minor / (double)r->summary.cost_average_minor;
        n++;
    }
    case_figure(c, name, UNIT_RATE, n > 0, sum / n);
    return true;
}

bool figures_figure(struct vcase *c, const char *name, const json_t *want)
{
    if (!json_object_get(c->json, "transactions"))
        return false;
    return trades(c, name, want) || amount(c, name) || count(c, name) || gains(c, name) || returns(c, name) ||
           allocation(c, name, want) || dividend_rate(c, name);
}
