/* The four users of the golden mails, for the tests of lib/render alone. */
#ifndef FP_RENDER_FIXTURES_H
#define FP_RENDER_FIXTURES_H

#include "lib/base/clock.h"
#include "lib/render/render.h"

#define FIXTURE_TEMPLATES "services/mailer/templates"

struct fixture {
    Foliopost__V1__JobContext job;
    Foliopost__V1__User user;
    Foliopost__V1__PortfolioSummary summary;
    Foliopost__V1__SummaryItem item;
    Foliopost__V1__Mover movers[8];
    Foliopost__V1__Mover *top[5], *bottom[5];
    Foliopost__V1__SummaryFlag flags[8];
};

static inline struct render_sender fixture_sender(void)
{
    return (struct render_sender){.from = "Foliopost Invest <reports@foliopost.example>",
                                  .reply_to = "help@foliopost.example",
                                  .message_host = "foliopost.example",
                                  .postal_address =
                                      "Foliopost Invest Ltd, 1 Harbour Street, Dublin 1, Ireland"};
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
}

/* A bad week in yen, in another script, without a return. */
static inline void fixture_haruto(struct fixture *f)
{
    fixture_init(f, 1002, "陽翔", "佐藤", "haruto@mail.example");
    f->job.kind = (char *)"weekly";
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
}

/* Names that try to break out, and the widest figures there are. */
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
    f->summary.holdings = INT32_MAX;
}

/* An account opened in a period over New Year, without movement, right to left. */
static inline void fixture_layla(struct fixture *f)
{
    fixture_init(f, 1004, "ليلى", "الحسن", "layla@mail.example");
    f->job.kind = (char *)"custom";
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
}

#endif
