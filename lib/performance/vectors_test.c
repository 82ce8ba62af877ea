/*
 * Figures that other projects and textbooks computed (tests/vectors), as far as
 * the summary has them. Each row names the figures that are compared; money is
 * compared to half a cent where the file is stricter, since ours is printed.
 *
 * Two readings of a case: WHOLE takes cash and holdings as they are.
 * SECURITIES takes the holdings alone, as those do who have no cash account or
 * report one instrument: each trade is paid from outside, taxes left out.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/performance/chain.h"
#include "lib/performance/testing.h"
#include "tests/vectors/json.h"

enum reading { WHOLE, SECURITIES };

struct vector {
    struct fp_arena *arena;
    struct json *json;
    struct world *world;
    const char *names[WORLD_INSTRUMENTS];
    enum reading reading;
    bool trades_set_prices;
};

/* Two currencies of a case are invented. */
static const char *currency_of(const char *name)
{
    if (strcmp(name, "TGT") == 0)
        return "EUR";
    return strcmp(name, "BASE") == 0 ? "USD" : name;
}

/* "12.5" or "100/110" at a scale. */
static int64_t scaled(const char *text, int decimals)
{
    const char *slash = strchr(text, '/');
    char number[64];
    int64_t v;

    snprintf(number, sizeof number, "%.*s", slash ? (int)(slash - text) : 60, text);
    v = world_number(number, decimals);
    if (slash && !fixed_muldiv(v, 1, atoll(slash + 1), &v))
        fp_panic("%s", text);
    return v;
}

static int instrument(struct vector *v, const char *name, const char *currency)
{
    int i = 0;

    for (; i < (int)v->world->market.n_instruments; i++)
        if (strcmp(v->names[i], name) == 0)
            return i;
    v->names[i] = name;
    return world_instrument(v->world, currency);
}

static void read_market(struct vector *v, const char *base)
{
    const struct json *m;

    for (m = json_get(v->json, "instruments") ? json_get(v->json, "instruments")->first : NULL; m;
         m = m->next)
        instrument(v, json_text(m, "id", ""), json_text(m, "currency", base));
    for (m = json_get(v->json, "transactions")->first; m; m = m->next)
        if (json_get(m, "instrument"))
            instrument(v, json_text(m, "instrument", ""), currency_of(json_text(m, "currency", base)));
    for (m = json_get(v->json, "prices") ? json_get(v->json, "prices")->first : NULL; m; m = m->next)
        world_close(v->world, instrument(v, json_text(m, "instrument", ""), base), json_text(m, "date", ""),
                    json_text(m, "close", ""));
    for (m = json_get(v->json, "fx") ? json_get(v->json, "fx")->first : NULL; m; m = m->next)
        world_rate(v->world, currency_of(json_text(m, "base", "")), currency_of(json_text(m, "quote", "")),
                   json_text(m, "date", ""), json_text(m, "rate", ""));
    for (m = json_get(v->json, "splits") ? json_get(v->json, "splits")->first : NULL; m; m = m->next)
        world_split(v->world, instrument(v, json_text(m, "instrument", ""), base), json_text(m, "date", ""),
                    atoi(json_text(m, "numerator", "")), atoi(json_text(m, "denominator", "")));
}

static const struct {
    const char *name;
    enum perf_type type;
    int sign;
} types[] = {
    {"DEPOSIT", PERF_DEPOSIT, 1},
    {"WITHDRAWAL", PERF_WITHDRAWAL, -1},
    {"BUY", PERF_BUY, -1},
    {"SELL", PERF_SELL, 1},
    {"DIVIDEND", PERF_DIVIDEND, 1},
    {"INTEREST", PERF_INTEREST, 1},
    {"INTEREST_CHARGE", PERF_INTEREST, -1},
    {"FEE", PERF_FEE, -1},
    {"FEE_REFUND", PERF_FEE, 1},
    {"TAX", PERF_TAX, -1},
    {"TAX_REFUND", PERF_TAX, 1},
    {"DELIVERY_IN", PERF_DELIVERY_IN, 0},
    {"DELIVERY_OUT", PERF_DELIVERY_OUT, 0},
    {"TRANSFER_IN", PERF_TRANSFER_IN, 1},
    {"TRANSFER_OUT", PERF_TRANSFER_OUT, -1},
};

/* Amount with fee and tax in it; from price and quantity where it is not given. */
static int64_t amount_e4(const struct json *m, const struct perf_tx *t, int sign)
{
    int64_t v;

    if (json_get(m, "amount"))
        return sign * scaled(json_text(m, "amount", ""), 4);
    if (!fixed_muldiv(t->quantity_e8, t->price_e8, FP_E8 * 10000, &v))
        fp_panic("amount");
    return sign * v - t->fee_e4 - t->tax_e4;
}

/* Pays a trade from outside, before tax. */
static void pay_from_outside(struct vector *v, struct perf_tx *t)
{
    struct perf_tx *flow;

    if (t->type == PERF_TAX || t->instrument < 0) {
        v->world->in.n_txs--;
        return;
    }
    t->amount_e4 += t->tax_e4;
    t->tax_e4 = 0;
    if (!t->amount_e4)
        return;
    flow = &v->world->txs[v->world->in.n_txs++];
    *flow = (struct perf_tx){.id = (int64_t)v->world->in.n_txs,
                             .day = t->day,
                             .type = t->amount_e4 < 0 ? PERF_DEPOSIT : PERF_WITHDRAWAL,
                             .instrument = -1,
                             .currency = t->currency,
                             .amount_e4 = -t->amount_e4};
}

static void read_tx(struct vector *v, const struct json *m, const char *base)
{
    const char *type = json_text(m, "type", ""), *name = json_text(m, "instrument", NULL);
    struct perf_tx *t = world_cash(v->world, json_text(m, "date", ""), PERF_DEPOSIT, "0",
                                   currency_of(json_text(m, "currency", base)));
    size_t i = 0;

    while (strcmp(types[i].name, type) != 0)
        if (++i == sizeof types / sizeof types[0])
            fp_panic("type %s", type);
    t->type = types[i].type;
    t->quantity_e8 = scaled(json_text(m, "quantity", "0"), 8);
    t->price_e8 = scaled(json_text(m, "price", "0"), 8);
    t->fee_e4 = scaled(json_text(m, "fee", "0"), 4);
    t->tax_e4 = scaled(json_text(m, "tax", "0"), 4);
    if (name) {
        t->instrument = instrument(v, name, base);
        if (!json_get(m, "currency") && !json_get(m, "amount")) /* a price is in the instrument's currency */
            t->currency = v->world->instruments[t->instrument].currency;
    }
    if (types[i].sign && !(name && types[i].type >= PERF_TRANSFER_IN))
        t->amount_e4 = amount_e4(m, t, types[i].sign);
    if (v->trades_set_prices && name && t->price_e8)
        world_close(v->world, t->instrument, json_text(m, "date", ""), json_text(m, "price", ""));
    if (v->reading == SECURITIES)
        pay_from_outside(v, t);
}

/* from: first day of the period; to: last one. */
static struct vector *vector_open(const char *file, enum reading reading, bool trades_set_prices,
                                  const char *from, const char *to)
{
    struct vector *v = mem_alloc(sizeof *v);
    char path[200];
    const char *base;

    v->arena = arena_new(16 << 20);
    snprintf(path, sizeof path, "tests/vectors/%s.json", file);
    v->json = json_file(v->arena, path);
    v->reading = reading;
    v->trades_set_prices = trades_set_prices;
    base = currency_of(json_text(v->json, "currency", "EUR"));
    v->world = world_new(base, from ? from : json_text(json_get(v->json, "period"), "start", ""),
                         to ? to : json_text(json_get(v->json, "period"), "end", ""));
    v->world->in.carry_prices = true; /* as those do who wrote the cases */
    if (!from)                        /* the start is the date of the opening value */
        v->world->in.period_start++;
    read_market(v, base);
    for (const struct json *m = json_get(v->json, "transactions")->first; m; m = m->next)
        read_tx(v, m, base);
    return v;
}

static void vector_run(struct vector *v)
{
    if (!world_run(v->world))
        fail_msg("%s: %s", v->world->fault.reason, v->world->fault.detail);
}

static void vector_close(struct vector *v)
{
    world_free(v->world);
    arena_free(v->arena);
    mem_free(v);
}

static double money(const struct vector *v, int64_t minor)
{
    return (double)minor / (double)fixed_pow10(v->world->summary.exponent);
}

static double figure(const struct vector *v, const char *name, bool *is_money)
{
    const struct perf_summary *s = &v->world->summary;
    const struct {
        const char *names;
        int64_t minor;
    } amounts[] = {
        {"opening_value", s->open_value_minor},
        {"closing_value market_value", s->close_value_minor},
        {"transfers cashflow", s->net_contributions_minor},
        {"earnings", s->income_minor},
        {"fees", s->fees_minor},
        {"taxes", s->taxes_minor},
        {"net_performance net_performance_with_fx_effect total_pnl fx_performance capital_gains+realized_gains",
         s->gain_minor},
    };

    *is_money = true;
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        if (strstr(amounts[i].names, name))
            return money(v, amounts[i].minor);
    *is_money = false;
    if (strstr("positions", name))
        return s->holdings;
    if (strcmp(name, "twr") == 0 || strcmp(name, "instrument_twr") == 0)
        return s->twr;
    fp_panic("figure %s", name);
}

/* Sums are written "a+b". */
static double expected(const struct vector *v, const char *name)
{
    const char *plus = strchr(name, '+');
    char first[60];

    snprintf(first, sizeof first, "%.*s", plus ? (int)(plus - name) : 59, name);
    return json_number(json_get(v->json, "expected"), first, NAN) + (plus ? expected(v, plus + 1) : 0);
}

static int compare(const struct vector *v, const char *file, const char *name)
{
    const struct json *tolerances = json_get(v->json, "tolerance");
    bool is_money;
    double have = figure(v, name, &is_money), want = expected(v, name);
    double tolerance =
        json_number(tolerances, name, is_money ? json_number(tolerances, "money", 1e-9) : 1e-9);

    if (is_money && tolerance < 0.005 + 1e-9)
        tolerance = 0.005 + 1e-9;
    if (fabs(have - want) <= tolerance)
        return 0;
    print_error("%s: %s is %.10f, expected %.10f +- %g\n", file, name, have, want, tolerance);
    return 1;
}

static const struct {
    const char *file;
    enum reading reading;
    const char *figures;
    const char *from, *to; /* NULL: as in the file, from the opening value's date on */
    bool trades_set_prices;
} rows[] = {
    {"portfolio-pp-full-statement", WHOLE, "opening_value closing_value earnings fees taxes transfers", 0, 0,
     0},
    /* the delivery's amount is 99 where the close is 100: ours is the market value, so no flow is compared */
    {"portfolio-pp-capital-gains-delivery", WHOLE, "opening_value closing_value earnings", 0, 0, 0},
    {"portfolio-pp-deposit-plus-interest", WHOLE, "opening_value closing_value earnings", 0, 0, 0},
    {"portfolio-pp-dividend-with-tax", WHOLE, "earnings taxes fees", 0, 0, 0},
    {"portfolio-pp-interest-charge", WHOLE, "earnings", 0, 0, 0},
    {"portfolio-pp-partial-sell", WHOLE,
     "opening_value closing_value earnings transfers capital_gains+realized_gains", 0, 0, 0},
    {"portfolio-pp-partial-sell-with-fee", WHOLE, "fees", 0, 0, 0},
    {"portfolio-pp-fx-realized-unrealized", WHOLE, "capital_gains+realized_gains", 0, 0, 0},
    {"portfolio-pp-apple-record", SECURITIES, "market_value fees instrument_twr", 0, 0, 0},
    {"portfolio-ghostfolio-baln-buy", SECURITIES, "market_value net_performance fees", "2021-11-30", 0, 0},
    {"portfolio-ghostfolio-btcusd", SECURITIES, "market_value net_performance", "2021-12-12", 0, 0},
    {"portfolio-ghostfolio-cash-usd-in-chf", WHOLE, "market_value fx_performance", "2023-12-31", 0, 0},
    {"portfolio-ghostfolio-googl-chf", SECURITIES, "market_value net_performance_with_fx_effect fees",
     "2023-01-03", 0, 0},
    {"portfolio-ghostfolio-jnug", SECURITIES, "market_value net_performance fees", "2025-12-11", 0, 0},
    {"portfolio-ghostfolio-no-activities", WHOLE, "market_value positions fees", "2021-12-18", 0, 0},
    {"portfolio-ghostfolio-novn-buy-and-sell", SECURITIES, "market_value net_performance", "2022-03-07", 0,
     0},
    {"split-fava-10-for-1", SECURITIES, "market_value", "2020-01-01", "2020-03-01", 0},
    {"split-ghostfolio-provider-prices-not-adjusted-twice", SECURITIES, "market_value", "2023-07-10",
     "2023-07-10", 0},
    {"twr-pp-deposit-last-day-neutral", WHOLE, "twr", 0, 0, 0},
    {"twr-pp-heatmap-interest", WHOLE, "twr", 0, 0, 0},
    {"twr-pp-instrument-before-tax", SECURITIES, "instrument_twr", 0, 0, 0},
    {"twr-pp-instrument-before-tax-div-tax", SECURITIES, "instrument_twr", 0, 0, 0},
    {"twr-pp-adidas-fees", SECURITIES, "instrument_twr market_value", 0, 0, 0},
    {"twr-pp-tax-refund", SECURITIES, "instrument_twr market_value fees", 0, 0, 0},
    {"twr-pp-tax-refund-all-sold", SECURITIES, "instrument_twr market_value fees", 0, 0, 0},
    {"twr-pp-371-transfer", SECURITIES, "instrument_twr market_value fees", 0, 0, 0},
    {"twr-pp-1498", SECURITIES, "instrument_twr market_value", 0, 0, 0},
    {"twr-fava-linear-growth", SECURITIES, "market_value total_pnl", "2020-01-01", 0, true},
};

static void portfolios_of_others(void **state)
{
    int differ = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vector *v =
            vector_open(rows[i].file, rows[i].reading, rows[i].trades_set_prices, rows[i].from, rows[i].to);
        char names[200], *save = NULL;

        vector_run(v);
        snprintf(names, sizeof names, "%s", rows[i].figures);
        for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
            differ += compare(v, rows[i].file, name);
        vector_close(v);
    }
    assert_int_equal(differ, 0);
}

/* --- series: one figure after the other ------------------------------------------------- */

static void returns_of(const char *file, const char *series, double tolerance)
{
    struct vector *v = vector_open(file, SECURITIES, true, NULL, NULL);
    const struct json *m = json_get(json_get(v->json, "expected"), series)->first;

    for (m = m->next; m; m = m->next) { /* the first is the opening */
        v->world->in.period_end = world_day(m->first->text);
        vector_run(v);
        if (fabs(v->world->summary.twr - strtod(m->first->next->text, NULL)) > tolerance)
            fail_msg("%s to %s: %.10f", file, m->first->text, v->world->summary.twr);
    }
    vector_close(v);
}

/* fava counts inflows at the end of the day, so where a purchase at a new price
 * is the only quote of its day (twr-fava-linear-growth, -start-inside, -two-stocks) its
 * return of that day is another one. */
static void series_of_returns(void **state)
{
    (void)state;
    returns_of("twr-fava-currency-single", "series_target_currency", 1e-9);
}

static void series_of_values(void **state)
{
    (void)state;
    struct vector *v = vector_open("portfolio-fava-two-securities", SECURITIES, true, "2020-01-01", NULL);

    for (const struct json *m = json_get(json_get(v->json, "expected"), "series")->first; m; m = m->next) {
        v->world->in.period_end = world_day(m->first->text);
        vector_run(v);
        assert_int_equal(v->world->summary.close_value_minor, world_number(m->first->next->text, 2));
        assert_int_equal(v->world->summary.net_contributions_minor,
                         world_number(m->first->next->next->next->text, 2));
    }
    vector_close(v);
}

static void results_by_month(void **state)
{
    (void)state;
    struct vector *v = vector_open("pnl-fava-linear-by-month", SECURITIES, true, "2020-01-01", "2020-12-31");

    for (const struct json *m = json_get(json_get(v->json, "expected"), "pnl_by_month")->first; m;
         m = m->next) {
        char day[11];

        snprintf(day, sizeof day, "%s-01", strlen(m->key) == 4 ? "2020-01" : m->key);
        v->world->in.period_start = world_day(day);
        v->world->in.period_end = day_add_months(v->world->in.period_start, strlen(m->key) == 4 ? 12 : 1) - 1;
        vector_run(v);
        assert_int_equal(v->world->summary.gain_minor, world_number(m->text, 2));
    }
    vector_close(v);
}

/* hledger links internal rates of return, so its twr is another figure; the money is the same. */
static void months_of_hledger(void **state)
{
    (void)state;
    struct vector *v = vector_open("twr-hledger-17-months", SECURITIES, false, "2024-10-01", "2024-12-31");

    for (const struct json *m = json_get(json_get(v->json, "expected"), "rows")->first; m; m = m->next) {
        v->world->in.period_start = world_day(json_text(m, "begin", ""));
        v->world->in.period_end = world_day(json_text(m, "end", ""));
        vector_run(v);
        assert_int_equal(v->world->summary.open_value_minor,
                         world_number(json_text(m, "value_begin", ""), 2));
        assert_int_equal(v->world->summary.net_contributions_minor,
                         world_number(json_text(m, "cashflow", ""), 2));
        assert_int_equal(v->world->summary.close_value_minor, scaled(json_text(m, "value_end", ""), 2));
        assert_int_equal(v->world->summary.gain_minor, scaled(json_text(m, "pnl", ""), 2));
    }
    vector_close(v);
}

/* Shares are kept to 1e-8, so two thirds of ten are 6.66666667 and not a fraction. */
static void splits_of_ghostfolio(void **state)
{
    (void)state;
    const char *files[] = {"split-ghostfolio-reverse-1-for-10", "split-ghostfolio-two-splits-fractional"};

    for (int i = 0; i < 2; i++) {
        struct vector *v = vector_open(files[i], SECURITIES, false, "2023-01-01", "2023-01-01");

        world_close(v->world, 0, "2023-01-01", "1000");
        vector_run(v);
        assert_int_equal(v->world->summary.close_value_minor,
                         llround(json_number(json_get(v->json, "expected"), "quantity", 0) * 100000));
        vector_close(v);
    }
}

/* --- chains of valuations -------------------------------------------------------------------- */

static fp_i128 e8(const struct json *o, const char *key)
{
    return json_get(o, key) ? scaled(json_text(o, key, ""), 8) : 0;
}

/* Valued before the flow of the same date. */
static void chain_valuations(const struct json *j, struct perf_chain *c)
{
    const struct json *flow = json_get(j, "flows")->first, *m = json_get(j, "valuations")->first;
    struct perf_day d = {.close_e8 = e8(m, "value")};

    perf_chain_init(c, 0);
    for (m = m->next; m; m = m->next) {
        fp_i128 flow_e8 = 0;

        if (flow && strcmp(json_text(flow, "date", ""), json_text(m, "date", "")) == 0) {
            flow_e8 = e8(flow, "amount");
            flow = flow->next;
        }
        d.open_e8 = d.close_e8;
        d.out_e8 = flow_e8 < 0 ? -flow_e8 : 0;
        d.close_e8 = e8(m, "value") - d.out_e8;
        d.day++;
        perf_chain_add(c, &d, &(double){0});
        d.in_e8 = flow_e8 > 0 ? flow_e8 : 0; /* works from the next day on */
    }
}

static void chain_subperiods(const struct json *j, struct perf_chain *c)
{
    perf_chain_init(c, 0);
    for (const struct json *m = json_get(j, "subperiods")->first; m; m = m->next) {
        fp_i128 out_e8 = e8(m, "income") - e8(m, "flow");

        perf_chain_add(
            c, &(struct perf_day){.open_e8 = e8(m, "begin"), .close_e8 = e8(m, "end"), .out_e8 = out_e8},
            &(double){0});
    }
}

static void chains_of_textbooks(void **state)
{
    (void)state;
    const char *files[] = {"twr-fcl-r",  "twr-scribd-million", "twr-homework-wally",
                           "twr-fincal", "twr-gpw-linked",     "twr-gpw-single-3"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct fp_arena *arena = arena_new(16 << 20);
        struct perf_chain c;
        char path[200];
        bool mean = strcmp(files[i], "twr-fincal") == 0; /* a mean of two periods */
        const char *name = mean ? "twr_per_period" : "twr";
        struct json *j;
        double have;

        snprintf(path, sizeof path, "tests/vectors/%s.json", files[i]);
        j = json_file(arena, path);
        json_get(j, "subperiods") ? chain_subperiods(j, &c) : chain_valuations(j, &c);
        have = (mean ? sqrt(c.wealth) : c.wealth) - 1;
        if (fabs(have - json_number(json_get(j, "expected"), name, NAN)) >
            json_number(json_get(j, "tolerance"), name, 1e-9))
            fail_msg("%s: %.10f", files[i], have);
        assert_false(c.negative);
        arena_free(arena);
    }
}

static void a_negative_value_has_no_chain(void **state)
{
    (void)state;
    struct fp_arena *arena = arena_new(16 << 20);
    struct perf_chain c;

    chain_valuations(json_file(arena, "tests/vectors/twr-wealthfolio-negative-value.json"), &c);
    assert_true(c.negative);
    arena_free(arena);
}

/* Weights of 50/50 that drift: day one is +10 % and -5 %. */
static void contributions_of_drifting_weights(void **state)
{
    (void)state;
    struct world *w = world_new("EUR", "2024-01-02", "2024-01-02");
    struct fp_arena *arena = arena_new(16 << 20);
    struct json *j = json_file(arena, "tests/vectors/contribution-pa-drift.json");
    const struct perf_line *lines;
    double closes[2] = {100, 100};

    world_cash(w, "2024-01-01", PERF_DEPOSIT, "2000", "EUR");
    for (int i = 0; i < 2; i++) {
        const struct json *r = json_get(json_get(j, "asset_returns"), i ? "B" : "A")->first;
        int a = world_instrument(w, "EUR");

        world_close(w, a, "2024-01-01", "100");
        world_trade(w, "2024-01-01", PERF_BUY, a, "10", "-1000", "EUR");
        for (int d = 2; r; r = r->next, d++) {
            char day[11], close[40];

            closes[i] *= 1 + strtod(r->text, NULL);
            snprintf(day, sizeof day, "2024-01-%02d", d);
            snprintf(close, sizeof close, "%.8f", closes[i]);
            world_close(w, a, day, close);
        }
    }
    assert_true(world_run(w));
    assert_true(fabs(w->summary.twr - json_number(json_get(j, "expected"), "portfolio_return_day1", NAN)) <
                1e-12);
    assert_int_equal(performance_lines(w->performance, &lines), 3);
    assert_true(fabs(lines[0].contribution - 0.05) < 1e-12 && fabs(lines[1].contribution + 0.025) < 1e-12);
    w->in.period_end = world_day("2024-01-03"); /* on day two only B moves, by +5 % */
    assert_true(world_run(w));
    performance_lines(w->performance, &lines);
    assert_true(fabs((lines[1].contribution + 0.025) / 1.025 -
                     (1 - json_number(json_get(j, "expected"), "weight_A_day2", NAN)) * 0.05) < 1e-12);
    arena_free(arena);
    world_free(w);
}

/* Portfolio Performance prints 0 % for a portfolio without transactions; we print nothing. */
static void no_transactions_no_return(void **state)
{
    (void)state;
    struct vector *v = vector_open("twr-pp-no-valuation", WHOLE, false, NULL, NULL);

    vector_run(v);
    assert_true(v->world->summary.nothing);
    assert_false(v->world->summary.twr_defined);
    vector_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(portfolios_of_others),
        cmocka_unit_test(series_of_returns),
        cmocka_unit_test(series_of_values),
        cmocka_unit_test(results_by_month),
        cmocka_unit_test(months_of_hledger),
        cmocka_unit_test(splits_of_ghostfolio),
        cmocka_unit_test(chains_of_textbooks),
        cmocka_unit_test(a_negative_value_has_no_chain),
        cmocka_unit_test(contributions_of_drifting_weights),
        cmocka_unit_test(no_transactions_no_return),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
