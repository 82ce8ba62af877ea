/*
 * The two statements that every template is tried with at start: one that has
 * all there is to show, as much as a table holds and in names of usual length,
 * and one of an account without anything.
 *
 * What no look at a template alone can tell comes out here, and not in the
 * middle of a run: a mail that is cut by Gmail, or is past what we send. In a
 * thread of its own: what ICU keeps for each language goes with it.
 */
#include "lib/render/rehearse.h"

#include <pthread.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/render/statement.h"

#define CHART_POINTS  64 /* the most that a summary has */
#define FLAGS         11 /* every one there is */
#define EVENTS        8  /* every kind */
#define EACH_WAY      5  /* movers, up and down: what stats names at most by default */
#define LONG_NAME     "Northern Light Global Infrastructure Fund plc"
#define MILLION_MINOR INT64_C(123456789) /* 1,234,567.89 */
#define RATE_E8       INT64_C(12345678)

struct sample {
    Foliopost__V1__JobContext job;
    Foliopost__V1__User user;
    Foliopost__V1__PortfolioSummary summary;
    Foliopost__V1__SummaryItem item;
    Foliopost__V1__Mover mover, *movers[EACH_WAY];
    Foliopost__V1__SummaryFlag flags[FLAGS];
    Foliopost__V1__Span span[STATEMENT_MAX_SPANS], *spans[STATEMENT_MAX_SPANS];
    Foliopost__V1__Rate rate;
    Foliopost__V1__Bridge bridge;
    Foliopost__V1__CostBasis cost;
    Foliopost__V1__Allocation share, *shares[STATEMENT_MAX_SHARES + 1];
    Foliopost__V1__Event event[EVENTS], *events[EVENTS];
    int64_t value[CHART_POINTS], contributed[CHART_POINTS];
};

/* --- the statement without anything ------------------------------------------------------ */

static void fill_nothing(struct sample *s)
{
    foliopost__v1__job_context__init(&s->job);
    foliopost__v1__user__init(&s->user);
    foliopost__v1__portfolio_summary__init(&s->summary);
    foliopost__v1__summary_item__init(&s->item);
    s->job.job_id = 1;
    s->job.kind = (char *)"monthly";
    s->job.brand = (char *)"default";
    s->job.period_start_day = day_from_civil(2026, 9, 1);
    s->job.period_end_day = day_from_civil(2026, 9, 30);
    s->job.as_of_us = s->job.mail_date_us = day_from_civil(2026, 10, 2) * FP_US_PER_DAY;
    s->user.id = 1;
    s->user.email = (char *)"somebody@foliopost.invalid";
    s->user.first_name = s->user.last_name = (char *)"";
    s->item.user = &s->user;
    s->item.summary = &s->summary;
    s->item.outcome_case = FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    s->summary.currency = (char *)"EUR";
    s->summary.exponent = 2;
    s->summary.since_day = s->job.period_start_day;
    s->summary.prices_as_of_day = s->job.period_end_day;
}

/* --- the statement with everything --------------------------------------------------------- */

static void fill_figures(struct sample *s)
{
    Foliopost__V1__PortfolioSummary *m = &s->summary;
    s->user.first_name = (char *)"Maximiliana";
    s->user.last_name = (char *)"Featherstonehaugh";
    s->summary.since_day = s->job.period_start_day + 3; /* opened in the period */
    m->open_value_minor = 100 * MILLION_MINOR;
    m->net_contributions_minor = MILLION_MINOR;
    m->gain_minor = 2 * MILLION_MINOR;
    m->close_value_minor = 103 * MILLION_MINOR;
    m->twr_defined = true;
    m->twr_e8 = RATE_E8;
    m->holdings = 1234;
    m->dividends_minor = MILLION_MINOR;
    m->interest_minor = MILLION_MINOR;
    m->income_minor = 2 * MILLION_MINOR;
    m->fees_minor = m->taxes_minor = m->withheld_tax_minor = MILLION_MINOR;
    foliopost__v1__bridge__init(&s->bridge);
    s->bridge.realised_minor = s->bridge.unrealised_minor = MILLION_MINOR;
    m->bridge = &s->bridge;
    s->bridge.currency_minor =
        m->gain_minor - 2 * MILLION_MINOR - m->income_minor + m->fees_minor + m->taxes_minor + 1;
    s->bridge.unrealised_minor--; /* so that no step is nothing */
    foliopost__v1__cost_basis__init(&s->cost);
    s->cost.realised_fifo_minor = s->cost.realised_average_minor = MILLION_MINOR;
    m->cost_basis = &s->cost;
}

static void fill_spans_of(struct sample *s)
{
    static const Foliopost__V1__SpanKind kinds[STATEMENT_MAX_SPANS] = {
        FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD, FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_YEAR_TO_DATE,
        FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_SINCE_INCEPTION};
    foliopost__v1__rate__init(&s->rate);
    s->rate.defined = true;
    s->rate.e8 = RATE_E8;
    for (size_t i = 0; i < STATEMENT_MAX_SPANS; i++) {
        Foliopost__V1__Span *o = s->spans[i] = &s->span[i];
        foliopost__v1__span__init(o);
        o->kind = kinds[i];
        o->since_day = s->summary.since_day - 1000;
        o->twr = o->twr_annual = o->mwr = o->mwr_annual = o->benchmark = o->volatility = o->max_drawdown =
            &s->rate;
        o->mwr_several_roots = o->modified_dietz = true;
        o->drawdown_peak_day = o->since_day;
        o->drawdown_trough_day = s->job.period_end_day;
    }
    s->summary.spans = s->spans;
    s->summary.n_spans = STATEMENT_MAX_SPANS;
    s->summary.benchmark_name = (char *)LONG_NAME;
}

static void fill_tables(struct sample *s)
{
    Foliopost__V1__PortfolioSummary *m = &s->summary;
    foliopost__v1__mover__init(&s->mover);
    s->mover.symbol = (char *)"NLGIF.PA";
    s->mover.name = (char *)LONG_NAME;
    s->mover.gain_minor = MILLION_MINOR;
    s->mover.contribution_e8 = RATE_E8;
    for (size_t i = 0; i < EACH_WAY; i++)
        s->movers[i] = &s->mover;
    m->top = m->bottom = s->movers;
    m->n_top = m->n_bottom = EACH_WAY;
    foliopost__v1__allocation__init(&s->share);
    s->share.label = (char *)"commodity";
    s->share.value_minor = 10 * MILLION_MINOR;
    s->share.percent_e2 = 10000 / (STATEMENT_MAX_SHARES + 1);
    for (size_t i = 0; i <= STATEMENT_MAX_SHARES; i++)
        s->shares[i] = &s->share;
    m->by_class = m->by_currency = s->shares;
    m->n_by_class = m->n_by_currency = STATEMENT_MAX_SHARES + 1;
}

static void fill_remarks_of(struct sample *s)
{
    for (int i = 0; i < FLAGS; i++)
        s->flags[i] = (Foliopost__V1__SummaryFlag)(i + 1);
    s->summary.flags = s->flags;
    s->summary.n_flags = FLAGS;
    for (int i = 0; i < EVENTS; i++) {
        Foliopost__V1__Event *e = s->events[i] = &s->event[i];
        foliopost__v1__event__init(e);
        e->kind = (Foliopost__V1__EventKind)(i + 1);
        e->day = s->job.period_end_day - i;
        e->name = (char *)LONG_NAME;
        e->numerator = 4;
        e->denominator = 1;
        e->amount_minor = MILLION_MINOR;
    }
    s->summary.events = s->events;
    s->summary.n_events = EVENTS;
}

static void fill_chart_of(struct sample *s)
{
    Foliopost__V1__PortfolioSummary *m = &s->summary;
    m->chart_first_day = s->job.period_end_day - (CHART_POINTS - 1);
    m->chart_step_days = 1;
    for (int i = 0; i < CHART_POINTS; i++) { /* now above, now below what was paid in */
        s->contributed[i] = m->open_value_minor;
        s->value[i] = m->open_value_minor + (i % 2 ? MILLION_MINOR : -MILLION_MINOR) * i;
    }
    m->chart_value_minor = s->value;
    m->chart_contributed_minor = s->contributed;
    m->n_chart_value_minor = m->n_chart_contributed_minor = CHART_POINTS;
}

static void fill_everything(struct sample *s)
{
    fill_nothing(s);
    fill_figures(s);
    fill_spans_of(s);
    fill_tables(s);
    fill_remarks_of(s);
    fill_chart_of(s);
}

/* Instead of a suspect day of the period one before it, which has a remark of its own. */
static void move_suspect_day(struct sample *s)
{
    size_t n = 0;
    for (int i = 0; i < FLAGS; i++)
        if (s->flags[i] != FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_SUSPECT_DAY)
            s->flags[n++] = s->flags[i];
    s->summary.n_flags = n;
    for (int i = 0; i < STATEMENT_MAX_SPANS; i++)
        s->span[i].suspect_day = true;
}

/* --- each template in each language ---------------------------------------------------------- */

static const struct render_sender sender = {.from = "Foliopost Invest <reports@foliopost.invalid>",
                                            .reply_to = "help@foliopost.invalid",
                                            .message_host = "foliopost.invalid",
                                            .postal_address =
                                                "Foliopost Invest Ltd, 1 Harbour Street, Dublin 1, Ireland"};
static const struct render_extras with_link = {
    "https://unsubscribe.foliopost.invalid/u/ciaredasm5enktwkvigezxq5pmhyxw2fnq7u4e3kd6abcdefgh", "", "",
    false};

static int try_part(const struct fp_templates *t, struct sample *s, const struct render_extras *x,
                    enum render_part part, const char *what, struct fp_err *err)
{
    static const char *const ends[] = {"subject", "txt", "html"};
    struct fp_str out;
    str_init(&out, 0);
    int rc = render_part(t, &sender, x, &s->job, &s->item, part, &out, err);
    if (rc != 0)
        err_prefix(err, "%s.%s, in %s with %s", s->job.template_name, ends[part], s->user.locale, what);
    else if (out.len > RENDER_MAX_PART_BYTES)
        rc = err_set(err, FP_RESOURCE_EXHAUSTED,
                     "%s.%s:1:1: %zu bytes in %s with %s; it may have %d: Gmail cuts long mails",
                     s->job.template_name, ends[part], out.len, s->user.locale, what, RENDER_MAX_PART_BYTES);
    str_fini(&out);
    return rc;
}

static int try_mail(const struct fp_templates *t, struct sample *s, const struct render_extras *x,
                    const char *what, struct fp_err *err)
{
    struct fp_str out;
    str_init(&out, 0);
    int rc = render_mail(t, &sender, x, &s->job, &s->item, &out, NULL, err);
    if (rc != 0)
        err_prefix(err, "the template \"%s\", in %s with %s", s->job.template_name, s->user.locale, what);
    str_fini(&out);
    return rc;
}

static int try_all(const struct fp_templates *t, struct sample *s, const struct render_extras *x,
                   const char *what, struct fp_err *err)
{
    for (size_t l = 0; l < templates_languages(t); l++)
        for (size_t i = 0; templates_name(t, i); i++) {
            s->user.locale = (char *)templates_language_tag(t, l);
            s->job.template_name = (char *)templates_name(t, i);
            for (int part = RENDER_SUBJECT; part <= RENDER_HTML; part++)
                if (try_part(t, s, x, (enum render_part)part, what, err) != 0)
                    return -1;
            if (try_mail(t, s, x, what, err) != 0)
                return -1;
        }
    return 0;
}

struct rehearsal {
    const struct fp_templates *t;
    struct fp_err *err;
    int rc;
};

static void *run(void *ctx)
{
    struct rehearsal *r = ctx;
    struct sample *s = mem_alloc(sizeof *s);
    fill_nothing(s);
    r->rc = try_all(r->t, s, NULL, "a statement of nothing", r->err);
    fill_everything(s);
    if (r->rc == 0)
        r->rc = try_all(r->t, s, &with_link, "a statement of everything", r->err);
    move_suspect_day(s);
    if (r->rc == 0)
        r->rc = try_all(r->t, s, &with_link, "a statement with a suspect day before its period", r->err);
    mem_free(s);
    return NULL;
}

int rehearse(const struct fp_templates *t, struct fp_err *err)
{
    struct rehearsal r = {t, err, -1};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, &r) != 0)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "no thread to try the templates in");
    pthread_join(thread, NULL);
    return r.rc;
}
