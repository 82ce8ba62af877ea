/* The eleven users of the golden mails, for the tests and the bench of lib/render alone. */
#ifndef FP_RENDER_FIXTURES_H
#define FP_RENDER_FIXTURES_H

#include "lib/base/clock.h"
#include "lib/render/render.h"

#define FIXTURE_TEMPLATES "services/mailer/templates"
#define FIXTURE_URL                                                                                          \
    "https://unsubscribe.foliopost.example/u/ciaredasm5enktwkvigezxq5pmhyxw2fnq7u4e3kd6abcdefgh"

struct fixture {
    Foliopost__V1__JobContext job;
    Foliopost__V1__User user;
    Foliopost__V1__PortfolioSummary summary;
    Foliopost__V1__SummaryItem item;
    Foliopost__V1__Mover movers[10];
    Foliopost__V1__Mover *top[5], *bottom[5];
    Foliopost__V1__SummaryFlag flags[12];
    Foliopost__V1__Span span[3], *spans[3];
    Foliopost__V1__Rate rates[3][7];
    Foliopost__V1__Bridge bridge;
    Foliopost__V1__CostBasis cost;
    Foliopost__V1__Allocation share[20], *by_class[10], *by_currency[10];
    Foliopost__V1__Event event[10], *events[10];
    int64_t chart[2][64];
};

static inline struct render_sender fixture_sender(void)
{
    return (struct render_sender){.from = "Foliopost Invest <reports@foliopost.example>",
                                  .reply_to = "help@foliopost.example",
                                  .message_host = "foliopost.example",
                                  .postal_address =
                                      "Foliopost Invest Ltd, 1 Harbour Street, Dublin 1, Ireland"};
}

static inline struct templates_from fixture_templates(void)
{
    return (struct templates_from){FIXTURE_TEMPLATES, "", "", "en"};
}

static inline struct render_extras fixture_extras(void)
{
    return (struct render_extras){FIXTURE_URL, "", "", false};
}

static inline void fixture_init(struct fixture *f, int64_t user_id, const char *first, const char *last,
                                const char *email)
{
    foliopost__v1__job_context__init(&f->job);
    foliopost__v1__user__init(&f->user);
    foliopost__v1__portfolio_summary__init(&f->summary);
    foliopost__v1__summary_item__init(&f->item);
    f->job.job_id = 42;
    f->job.kind = (char *)"monthly";
    f->job.period_start_day = day_from_civil(2026, 10, 1);
    f->job.period_end_day = day_from_civil(2026, 10, 31);
    f->job.as_of_us = day_from_civil(2026, 11, 2) * FP_US_PER_DAY;
    f->job.mail_date_us = f->job.as_of_us + 6 * 3600 * FP_US_PER_S;
    f->job.template_name = (char *)"statement";
    f->job.brand = (char *)"default";
    f->user.id = user_id;
    f->user.first_name = (char *)first;
    f->user.last_name = (char *)last;
    f->user.email = (char *)email;
    f->item.user = &f->user;
    f->item.summary = &f->summary;
    f->item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    f->summary.currency = (char *)"EUR";
    f->summary.exponent = 2;
    f->summary.prices_as_of_day = f->job.period_end_day - 1;
    f->summary.since_day = f->job.period_start_day;
    f->summary.top = f->top;
    f->summary.bottom = f->bottom;
    f->summary.flags = f->flags;
    f->summary.spans = f->spans;
    f->summary.by_class = f->by_class;
    f->summary.by_currency = f->by_currency;
    f->summary.events = f->events;
    f->user.locale = (char *)"en-GB";
}

static inline void fixture_values(struct fixture *f, int64_t open, int64_t paid_in, int64_t gain)
{
    f->summary.open_value_minor = open;
    f->summary.net_contributions_minor = paid_in;
    f->summary.gain_minor = gain;
    f->summary.close_value_minor = open + paid_in + gain;
}

static inline void fixture_mover(struct fixture *f, bool top, const char *symbol, const char *name,
                                 int64_t gain_minor, int64_t contribution_e8)
{
    Foliopost__V1__Mover *m = &f->movers[f->summary.n_top + f->summary.n_bottom];
    foliopost__v1__mover__init(m);
    m->symbol = (char *)symbol;
    m->name = (char *)name;
    m->gain_minor = gain_minor;
    m->contribution_e8 = contribution_e8;
    if (top)
        f->top[f->summary.n_top++] = m;
    else
        f->bottom[f->summary.n_bottom++] = m;
}

/* --- what stats adds ---------------------------------------------------------------- */

/* A rate in 1e-8; INT64_MIN: none. */
static inline Foliopost__V1__Rate *fixture_rate(struct fixture *f, size_t span, size_t i, int64_t e8)
{
    Foliopost__V1__Rate *r = &f->rates[span][i];
    foliopost__v1__rate__init(r);
    r->defined = e8 != INT64_MIN;
    r->e8 = r->defined ? e8 : 0;
    return r;
}

static inline Foliopost__V1__Span *fixture_span(struct fixture *f, int kind, int32_t since, int64_t twr,
                                                int64_t mwr, int64_t benchmark)
{
    size_t n = f->summary.n_spans++;
    Foliopost__V1__Span *s = f->spans[n] = &f->span[n];
    foliopost__v1__span__init(s);
    s->kind = (Foliopost__V1__SpanKind)kind;
    s->since_day = since;
    s->twr = fixture_rate(f, n, 0, twr);
    s->mwr = fixture_rate(f, n, 1, mwr);
    s->benchmark = fixture_rate(f, n, 2, benchmark);
    return s;
}

static inline void fixture_share(struct fixture *f, bool by_class, const char *label, int64_t minor,
                                 int32_t e2)
{
    Foliopost__V1__Allocation *a = &f->share[f->summary.n_by_class + f->summary.n_by_currency];
    foliopost__v1__allocation__init(a);
    a->label = (char *)label;
    a->value_minor = minor;
    a->percent_e2 = e2;
    a->negative = minor < 0;
    if (by_class)
        f->by_class[f->summary.n_by_class++] = a;
    else
        f->by_currency[f->summary.n_by_currency++] = a;
}

static inline Foliopost__V1__Event *fixture_event(struct fixture *f, int kind, int32_t day, const char *name,
                                                  int64_t minor)
{
    Foliopost__V1__Event *e = f->events[f->summary.n_events] = &f->event[f->summary.n_events];
    f->summary.n_events++;
    foliopost__v1__event__init(e);
    e->kind = (Foliopost__V1__EventKind)kind;
    e->day = day;
    e->name = (char *)name;
    e->symbol = (char *)"";
    e->numerator = 4;
    e->denominator = 1;
    e->amount_minor = minor;
    return e;
}

/* From the opening to the closing value with some ups and downs; what was paid in comes at a third. */
static inline void fixture_chart(struct fixture *f, size_t points, int32_t step)
{
    Foliopost__V1__PortfolioSummary *m = &f->summary;
    int64_t swing = m->gain_minor < 0 ? -(m->gain_minor / 3) + 1 : m->gain_minor / 3 + 1;
    m->chart_first_day = f->job.period_end_day - (int32_t)(points - 1) * step;
    m->chart_step_days = step;
    m->chart_value_minor = f->chart[0];
    m->chart_contributed_minor = f->chart[1];
    m->n_chart_value_minor = m->n_chart_contributed_minor = points;
    for (size_t i = 0; i < points; i++) {
        int64_t paid = i > points / 3 ? m->net_contributions_minor : 0;
        int64_t wave = (int64_t)(i * 7919 % 13) - 6;
        f->chart[1][i] = m->open_value_minor + paid;
        f->chart[0][i] =
            f->chart[1][i] + m->gain_minor * (int64_t)i / (int64_t)(points - 1) + wave * swing / 6;
    }
    f->chart[0][points - 1] = m->close_value_minor;
}

static inline void fixture_bridge(struct fixture *f, int64_t realised, int64_t currency)
{
    Foliopost__V1__PortfolioSummary *m = &f->summary;
    foliopost__v1__bridge__init(&f->bridge);
    f->bridge.realised_minor = realised;
    f->bridge.currency_minor = currency;
    f->bridge.unrealised_minor =
        m->gain_minor - realised - currency - m->income_minor + m->fees_minor + m->taxes_minor;
    m->bridge = &f->bridge;
}

static inline void fixture_sales(struct fixture *f, int64_t fifo, int64_t average)
{
    foliopost__v1__cost_basis__init(&f->cost);
    f->cost.realised_fifo_minor = fifo;
    f->cost.realised_average_minor = average;
    f->summary.cost_basis = &f->cost;
}

#define FIXTURE_PERIOD FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD
#define FIXTURE_YEAR   FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_YEAR_TO_DATE
#define FIXTURE_ALL    FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_SINCE_INCEPTION

/* A good month with everything there is to show. */
static inline void fixture_anna(struct fixture *f)
{
    fixture_init(f, 1001, "Anna", "Schmidt", "anna.schmidt@mail.example");
    fixture_values(f, 2412075, 50000, 61234);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = 2521234;
    fixture_mover(f, true, "NLGF", "Northern Light Global Fund", 40210, 1655012);
    fixture_mover(f, true, "ACME", "Acme Industries", 25077, 1032100);
    fixture_mover(f, true, "SOLR", "Solar Rim Energy Infrastructure Holdings plc", 8000, 329001);
    fixture_mover(f, false, "BLUE", "Blue Harbour Shipping", -9876, -406410);
    fixture_mover(f, false, "GOLD", "Physical Gold", -2177, -88469);
    f->summary.holdings = 12;
    f->summary.income_minor = 4312;
    f->summary.fees_minor = 599;
    f->summary.taxes_minor = 1078;
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE;
    f->summary.n_flags = 1;
    f->summary.dividends_minor = 3912;
    f->summary.interest_minor = 400;
    f->summary.withheld_tax_minor = 978;
    f->summary.benchmark_name = (char *)"MSCI World";
    fixture_bridge(f, 12350, -1875);
    fixture_sales(f, 20115, 18790);
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, 2521234, 2480411, 1904000);
    fixture_span(f, FIXTURE_YEAR, day_from_civil(2026, 1, 1), 9120450, 8834100, 10442000);
    Foliopost__V1__Span *all =
        fixture_span(f, FIXTURE_ALL, day_from_civil(2022, 3, 15), 38412900, 33120000, 41077000);
    all->twr_annual = fixture_rate(f, 2, 3, 7266000);
    all->mwr_annual = fixture_rate(f, 2, 4, 6370000);
    all->volatility = fixture_rate(f, 2, 5, 11420000);
    all->max_drawdown = fixture_rate(f, 2, 6, 17650000);
    all->drawdown_peak_day = day_from_civil(2022, 8, 16);
    all->drawdown_trough_day = day_from_civil(2022, 10, 12);
    fixture_share(f, true, "equity", 1480211, 5866);
    fixture_share(f, true, "fund", 612300, 2427);
    fixture_share(f, true, "bond", 251998, 999);
    fixture_share(f, true, "commodity", 128800, 510);
    fixture_share(f, true, "cash", 50000, 198);
    fixture_share(f, false, "EUR", 1320400, 5233);
    fixture_share(f, false, "USD", 942109, 3734);
    fixture_share(f, false, "GBP", 260800, 1033);
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT, day_from_civil(2026, 10, 14),
                  "Acme Industries", 0);
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_DIVIDEND, day_from_civil(2026, 10, 20),
                  "Northern Light Global Fund", 3912);
    fixture_chart(f, 31, 1);
}

/* A bad week in yen, in another script, without a return. */
static inline void fixture_haruto(struct fixture *f)
{
    fixture_init(f, 1002, "陽翔", "佐藤", "haruto@mail.example");
    f->job.kind = (char *)"weekly";
    f->user.locale = (char *)"ja-JP";
    f->job.period_start_day = day_from_civil(2026, 9, 28);
    f->job.period_end_day = day_from_civil(2026, 10, 4);
    f->summary.since_day = f->job.period_start_day;
    f->summary.currency = (char *)"JPY";
    f->summary.exponent = 0;
    fixture_values(f, 1250000, -200000, -48211);
    fixture_mover(f, true, "7203.T", "トヨタ自動車", 3110, 0);
    fixture_mover(f, false, "6758.T", "ソニーグループ株式会社 普通株式 東京証券取引所プライム", -51321, 0);
    f->summary.holdings = 1;
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NEGATIVE_VALUE;
    f->flags[1] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NOT_PRICED;
    f->flags[2] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NOT_PRICED;
    f->summary.n_flags = 3;
    fixture_chart(f, 7, 1);
    fixture_share(f, true, "equity", 1001789, 10000);
}

#define FIXTURE_LONG_WORD                                                                                    \
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"

/* Names that try to break out or have no end, and the widest figures there are. */
static inline void fixture_mallory(struct fixture *f)
{
    fixture_init(f, 1003, "{{close_value}}<script>alert(\"x\")</script>",
                 "O'Brien & \\\"Sons\\\" =?UTF-8?Q?x?=", "mallory+tag@mail.example");
    f->summary.currency = (char *)"KWD";
    f->summary.exponent = 3;
    f->summary.open_value_minor = INT64_MAX;
    f->summary.close_value_minor = INT64_MIN;
    f->summary.net_contributions_minor = INT64_MIN;
    f->summary.gain_minor = INT64_MIN;
    f->summary.fees_minor = INT64_MIN;
    f->summary.twr_defined = true;
    f->summary.twr_e8 = INT64_MIN;
    fixture_mover(f, true, "</td>", "<b>{{{name}}}</b>", INT64_MAX, INT64_MAX);
    fixture_mover(f, false, "", "", INT64_MIN, INT64_MIN);
    fixture_mover(f, false, "QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", FIXTURE_LONG_WORD, INT64_MIN, INT64_MIN);
    f->summary.holdings = INT32_MAX;
    f->user.locale = (char *)"../../en\r\nBcc: x";
    f->summary.benchmark_name = (char *)"<i>{{x}}</i>" FIXTURE_LONG_WORD;
    fixture_span(f, FIXTURE_PERIOD, INT32_MIN, INT64_MAX, INT64_MIN + 1, INT64_MAX);
    fixture_share(f, true, "<script>", INT64_MIN, 0);
    fixture_share(f, true, "\"><img src=x>", INT64_MAX, 10000);
    fixture_share(f, true, FIXTURE_LONG_WORD, INT64_MIN, 0);
    Foliopost__V1__Event *e =
        fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_SPLIT, INT32_MAX, "{{{name}}}", INT64_MIN);
    e->numerator = e->denominator = INT32_MIN;
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE, INT32_MAX, FIXTURE_LONG_WORD, 0);
    foliopost__v1__bridge__init(&f->bridge);
    f->bridge.unrealised_minor = INT64_MIN;
    f->summary.bridge = &f->bridge;
    f->summary.chart_step_days = INT32_MAX;
    f->summary.chart_value_minor = f->chart[0];
    f->summary.chart_contributed_minor = f->chart[1];
    f->summary.n_chart_value_minor = f->summary.n_chart_contributed_minor = 3;
    f->chart[0][0] = f->chart[0][1] = f->chart[0][2] = INT64_MAX;
    f->chart[1][0] = f->chart[1][1] = f->chart[1][2] = 0;
}

/* An account opened in a period over New Year, without movement, right to left. */
static inline void fixture_layla(struct fixture *f)
{
    fixture_init(f, 1004, "ليلى", "الحسن", "layla@mail.example");
    f->job.kind = (char *)"custom";
    f->user.locale = (char *)"ar-EG";
    f->job.period_start_day = day_from_civil(2025, 12, 15);
    f->job.period_end_day = day_from_civil(2026, 1, 14);
    f->summary.since_day = day_from_civil(2025, 12, 22);
    f->summary.currency = (char *)"USD";
    fixture_values(f, 0, 100000, 0);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = -3;
    f->summary.prices_as_of_day = 0;
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_OPENED_IN_PERIOD;
    f->summary.n_flags = 1;
    fixture_span(f, FIXTURE_PERIOD, f->summary.since_day, -3, 0, INT64_MIN);
    fixture_share(f, true, "cash", 100000, 10000);
    fixture_share(f, false, "USD", 100000, 10000);
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE, day_from_civil(2026, 1, 2),
                  "Northern Light", 0);
    fixture_chart(f, 24, 1);
}

/* A bad month in Austria: losses, a short position, debts, and everything that can be remarked. */
static inline void fixture_maria(struct fixture *f)
{
    fixture_init(f, 1005, "Maria", "Gruber-Fürstenberg", "maria@mail.example");
    f->user.locale = (char *)"de_AT.UTF-8";
    fixture_values(f, 18050000, -250000, -1432077);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = -7934411;
    fixture_mover(f, true, "OMV", "Donau Energie AG", 18044, 100011);
    fixture_mover(f, false, "RBI", "Alpenbank Holding", -812055, -4499001);
    fixture_mover(f, false, "VOE", "Stahlwerke Linz", -620033, -3435009);
    fixture_bridge(f, -40012, 15000);
    fixture_sales(f, 0, 0); /* nothing sold that was bought */
    f->summary.holdings = 2;
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, -7934411, -8011000, INT64_MIN)
        ->mwr_several_roots = true;
    fixture_span(f, FIXTURE_YEAR, day_from_civil(2026, 1, 1), -2104400, -2200100, INT64_MIN)->modified_dietz =
        true;
    fixture_share(f, true, "equity", 17010000, 9200);
    fixture_share(f, true, "Genussrechte", 1479000, 800);
    fixture_share(f, true, "derivative", -2121077, 0);
    fixture_share(f, false, "EUR", 16367923, 10000);
    for (int i = 1; i <= 11; i++)
        f->flags[f->summary.n_flags++] = (Foliopost__V1__SummaryFlag)i;
    fixture_chart(f, 31, 1);
}

/* Everything was sold and paid out. */
static inline void fixture_luc(struct fixture *f)
{
    fixture_init(f, 1006, "Luc", "Lefèvre", "luc@mail.example");
    f->user.locale = (char *)"fr-FR";
    fixture_values(f, 1005000, -1010050, 5050);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = 502487;
    fixture_bridge(f, 5050, 0);
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, 502487, 502487, INT64_MIN);
    fixture_chart(f, 31, 1);
    for (size_t i = 20; i < 31; i++)
        f->chart[0][i] = f->chart[1][i] = 0;
}

/* Debts: no return, no chart. */
static inline void fixture_sofia(struct fixture *f)
{
    fixture_init(f, 1007, "Sofía", "Núñez", "sofia@mail.example");
    f->user.locale = (char *)"es-ES";
    fixture_values(f, -12000, 0, -104550);
    fixture_bridge(f, 0, 0);
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_NEGATIVE_VALUE;
    f->summary.n_flags = 1;
    fixture_share(f, true, "cash", -116550, 0);
    fixture_share(f, false, "EUR", -116550, 0);
    fixture_chart(f, 31, 1);
}

/* A single holding, sold short, in Brazil. */
static inline void fixture_joao(struct fixture *f)
{
    fixture_init(f, 1008, "João", "Conceição", "joao@mail.example");
    f->user.locale = (char *)"pt-BR";
    f->summary.currency = (char *)"BRL";
    fixture_values(f, 500000, 0, 12345);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = 2469000;
    fixture_mover(f, true, "PETR4", "Petróleo do Sul", 12345, 2469000);
    f->summary.holdings = 1;
    fixture_bridge(f, 12345, 0);
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, 2469000, 2469000, INT64_MIN);
    fixture_share(f, true, "cash", 700000, 10000);
    fixture_share(f, true, "equity", -187655, 0);
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SHORT_POSITION;
    f->summary.n_flags = 1;
    fixture_chart(f, 31, 1);
}

/* Nothing but cash, in a language there is no catalogue for, from a stats that sends the least. */
static inline void fixture_jan(struct fixture *f)
{
    fixture_init(f, 1009, "", "", "jan@mail.example");
    f->user.locale = (char *)"cs-CZ";
    f->summary.currency = (char *)"CZK";
    fixture_values(f, 10000000, 0, 0);
    f->summary.twr_defined = true;
}

/* A long period in Germany: more classes and currencies than there is room for, many events. */
static inline void fixture_jonas(struct fixture *f)
{
    static const char *const classes[] = {"equity",   "fund",       "bond", "commodity", "crypto",
                                          "property", "derivative", "cash", "Kunst",     "Wein"};
    static const char *const currencies[] = {"EUR", "USD", "GBP", "CHF", "JPY",
                                             "SEK", "NOK", "DKK", "PLN", "AUD"};
    fixture_init(f, 1010, "Jonas", "Weiß", "jonas@mail.example");
    f->user.locale = (char *)"de-DE";
    f->job.kind = (char *)"custom";
    f->job.period_start_day = day_from_civil(2026, 1, 1);
    fixture_values(f, 5000000, 1200000, 640000);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = 11230000;
    f->summary.holdings = 41;
    fixture_bridge(f, 100000, 20000);
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, 11230000, 10980000, INT64_MIN);
    for (int i = 0; i < 10; i++) {
        fixture_share(f, true, classes[i], 684000, 1000);
        fixture_share(f, false, currencies[i], 684000, 1000);
        fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_DIVIDEND, f->job.period_start_day + 20 * i,
                      classes[i], 1000 + i);
    }
    fixture_chart(f, 61, 5);
}

/* Sent although the setting could have held it back: closes that cannot be, and shares that one
 * account was booked into before the other was booked out of. */
static inline void fixture_nina(struct fixture *f)
{
    fixture_init(f, 1011, "Nina", "Andersen", "nina@mail.example");
    f->user.locale = (char *)"en-US";
    f->summary.currency = (char *)"USD";
    fixture_values(f, 1840000, 0, 21050);
    f->summary.twr_defined = true;
    f->summary.twr_e8 = 1144022;
    f->summary.holdings = 3;
    fixture_mover(f, true, "PENCE", "Hundredfold plc", 18040, 980434);
    fixture_mover(f, false, "TYPO", "Wrongly Typed NV", -2210, -120108);
    fixture_bridge(f, 0, 0);
    fixture_span(f, FIXTURE_PERIOD, f->job.period_start_day, 1144022, 1144022, INT64_MIN);
    fixture_share(f, true, "equity", 1661050, 8925);
    fixture_share(f, true, "cash", 200000, 1075);
    fixture_share(f, false, "USD", 1861050, 10000);
    f->flags[0] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_PRICE;
    f->flags[1] = FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_IN_TRANSIT;
    f->summary.n_flags = 2;
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_JUMP, day_from_civil(2026, 10, 6),
                  "Wrongly Typed NV", 0);
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_UNITS, day_from_civil(2026, 10, 19),
                  "Hundredfold plc", 0);
    fixture_event(f, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_PRICE_ZERO, day_from_civil(2026, 10, 21),
                  "Hundredfold plc", 0);
    fixture_chart(f, 31, 1);
}

struct fixture_case {
    const char *name;
    void (*fill)(struct fixture *f);
};
static const struct fixture_case fixture_cases[] = {
    {"good-month", fixture_anna},           {"bad-week-yen", fixture_haruto},
    {"hostile", fixture_mallory},           {"opened-right-to-left", fixture_layla},
    {"bad-month-all-flags", fixture_maria}, {"emptied", fixture_luc},
    {"negative-value", fixture_sofia},      {"short-position", fixture_joao},
    {"nothing-but-cash", fixture_jan},      {"many-parts", fixture_jonas},
    {"suspect-price", fixture_nina},
};
#define FIXTURE_CASES (sizeof fixture_cases / sizeof fixture_cases[0])

#endif
