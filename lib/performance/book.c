/*
 * The books of one user: what each transaction means for cash, positions and
 * lots, for what crosses the border of the portfolio, and in the period for
 * income, costs and results.
 *
 * Each amount goes into the base currency once, at the day's rate; gross =
 * amount + fee + tax holds there to the last unit, and so the statement closes.
 * For the types fee and tax the amount itself is the cost.
 *
 * A holding's result is after its own fees and before taxes; account fees,
 * taxes, interest on cash and currency results on cash are nobody's, and make
 * the line `other`. A transfer is no flow: shares are in transit until they
 * arrive. Sources book the arrival before the departure too, a few days and a
 * month end apart: what another account still holds is expected, not counted
 * twice, and its lots move when it leaves. Whether the other side comes is not
 * looked up in later transactions: a state must not depend on what is behind
 * it. What arrives and nobody else holds, or what is expected for too long, was
 * delivered in; what has been in transit for too long was delivered out: a view
 * may show one account alone.
 */
#include "lib/performance/book.h"

#include <stdio.h>

#include "lib/base/mem.h"

#define EXCHANGE_COST_PART 20 /* an exchange of cash loses or gains at most so small a part */

struct entry { /* one transaction on its way through the books */
    const struct perf_tx *t;
    struct perf_holding *h; /* NULL: cash alone */
    int cash, traits;
    fp_i128 net_e8, fee_e8, tax_e8, gross_e8; /* base currency; net: as the cash account changes */
    int64_t before_e8, change_e8;             /* of the position */
    bool delivered;                           /* change_e8 crossed the border in kind */
    fp_i128 kind_e8;                          /* its value then */
    fp_i128 flow_e8;
};

/* --- positions --------------------------------------------------------------------- */

static bool split_once(struct fp_performance *p, struct perf_holding *h, const struct perf_split *s)
{
    int64_t before_e8 = h->quantity_e8;

    if (s->numerator <= 0 || s->denominator <= 0)
        return perf_fail(p, "bad_split", "instrument %lld, day %d", perf_id(p, h->instrument), s->day);
    if (!fixed_muldiv(before_e8, s->numerator, s->denominator, &h->quantity_e8) ||
        !lots_split(&h->lots, s->numerator, s->denominator, h->quantity_e8))
        return perf_fail(p, "overflow", "quantity of instrument %lld over a split",
                         perf_id(p, h->instrument));
    if (!h->quantity_e8)
        h->cost_e8 = 0;
    if (p->in_period)
        perf_event(p, &(struct perf_event){PERF_EVENT_SPLIT, s->day, h->instrument, s->numerator,
                                           s->denominator, 0});
    if (PERF_TRACES(p)) {
        struct perf_step step = {.kind = PERF_STEP_SPLIT,
                                 .instrument = h->instrument,
                                 .quantity_e8 = before_e8,
                                 .value_e8 = h->quantity_e8};

        snprintf(step.text, sizeof step.text, "%d:%d", s->numerator, s->denominator);
        perf_step(p, step);
    }
    return true;
}

bool perf_split_to(struct fp_performance *p, struct perf_holding *h, int32_t day)
{
    for (; h->next_split < h->data->n_splits; h->next_split++) {
        const struct perf_split *s = &h->data->splits[h->next_split];

        if (s->day > day)
            break;
        if ((h->quantity_e8 || lots_wait(&h->lots)) && !split_once(p, h, s))
            return false;
    }
    return true;
}

/* The trade's own price stands in for a close before the first one. */
static void remember_price(struct perf_holding *h, const struct perf_tx *t, int cash)
{
    int64_t price_e8 = t->price_e8;

    if (!price_e8 && (perf_types[t->type].traits & SETTLED) && t->quantity_e8) {
        fp_i128 gross_e4 = perf_gross_e4(t), paid_e8 = (gross_e4 < 0 ? -gross_e4 : gross_e4) * PERF_E4_TO_E8;

        if (!fixed_from_i128(fixed_div(paid_e8 * FP_E8, t->quantity_e8), &price_e8))
            price_e8 = 0;
    }
    if (!price_e8)
        return;
    h->trade_price_e8 = price_e8;
    h->trade_day = t->day;
    h->trade_cash = cash;
}

/* What a change of position without a close cost or, negative, brought, before fees. */
static bool paid_for(struct fp_performance *p, const struct entry *e, fp_i128 *out_e8)
{
    *out_e8 = -e->gross_e8;
    return e->traits & SETTLED ||
           perf_to_base(p, e->cash, fixed_div((fp_i128)e->change_e8 * e->t->price_e8, FP_E8), out_e8);
}

/* fixed_div() of quantities that may both be negative. */
static fp_i128 divided_by(fp_i128 v, int64_t by_e8)
{
    return by_e8 < 0 ? fixed_div(-v, -by_e8) : fixed_div(v, by_e8);
}

/* Average cost, before fees, of what has no close: rounded once, and the last
 * sale takes the rest. A short position stands at what it brought, as a debt. */
static bool book_cost(struct fp_performance *p, const struct entry *e)
{
    struct perf_holding *h = e->h;
    const int64_t after_e8 = h->quantity_e8;
    bool was_long = e->before_e8 > 0, is_long = after_e8 > 0;
    fp_i128 paid_e8;

    if (!after_e8) {
        h->cost_e8 = 0;
    } else if (e->before_e8 && was_long == is_long && was_long != (e->change_e8 > 0)) { /* less of it */
        if (!perf_mul(p, h->cost_e8, after_e8, &paid_e8))
            return false;
        h->cost_e8 = divided_by(paid_e8, e->before_e8);
    } else {
        if (!paid_for(p, e, &paid_e8))
            return false;
        if (e->before_e8 && was_long != is_long) { /* all of it, and so much the other way */
            if (!perf_mul(p, paid_e8, after_e8, &paid_e8))
                return false;
            h->cost_e8 = divided_by(paid_e8, e->change_e8);
        } else {
            h->cost_e8 += paid_e8;
        }
    }
    return true;
}

/* In kind, at the market value of the day; what has none, at cost. */
static bool value_in_kind(struct fp_performance *p, struct entry *e, fp_i128 cost_before_e8)
{
    if (perf_is_priced(e->h))
        return perf_position_value(p, e->h, e->change_e8, &e->kind_e8);
    e->kind_e8 = e->h->cost_e8 - cost_before_e8;
    return true;
}

/* Deliveries cost and bring what the source states, else their market value. */
static bool lots_worth(struct fp_performance *p, const struct entry *e, struct perf_lots_change *c)
{
    if (!e->delivered) {
        c->net_e8 = -e->net_e8;
        c->gross_e8 = -e->gross_e8;
        return true;
    }
    c->gross_e8 = c->net_e8 = e->kind_e8;
    if (e->t->price_e8 &&
        !perf_to_base(p, e->cash, fixed_div((fp_i128)e->change_e8 * e->t->price_e8, FP_E8), &c->net_e8))
        return false;
    c->net_e8 += e->fee_e8 + e->tax_e8;
    return true;
}

static void saw_lot(void *ctx, const struct perf_lot *lot, int64_t quantity_e8, fp_i128 cost_e8,
                    fp_i128 proceeds_e8)
{
    struct fp_performance *p = ctx;
    struct perf_step step = {.kind = PERF_STEP_LOT_OUT,
                             .instrument = -1,
                             .account = lot->account,
                             .quantity_e8 = quantity_e8,
                             .value_e8 = cost_e8,
                             .flow_e8 = proceeds_e8};

    snprintf(step.text, sizeof step.text, "%d", lot->day);
    perf_step(p, step);
}

static bool book_lots(struct fp_performance *p, const struct entry *e, bool of_transit)
{
    struct perf_lots_change c = {.account = e->t->account,
                                 .day = e->t->day,
                                 .quantity_e8 = e->change_e8,
                                 .before_e8 = e->before_e8,
                                 .of_transit = of_transit};
    struct perf_lots_result r;

    if (!lots_worth(p, e, &c))
        return false;
    if (!lots_change(&e->h->lots, &c, &r, PERF_TRACES(p) ? saw_lot : NULL, p))
        return perf_fail(p, "overflow", "more than %d lots of instrument %lld", LOTS_MAX,
                         perf_id(p, e->h->instrument));
    if (PERF_TRACES(p) && c.quantity_e8 > 0)
        perf_step(p, (struct perf_step){.kind = PERF_STEP_LOT_IN,
                                        .instrument = e->h->instrument,
                                        .account = c.account,
                                        .quantity_e8 = c.quantity_e8,
                                        .value_e8 = c.net_e8});
    if (!p->in_period)
        return true;
    p->flows.realised_e8 += r.basis_e8;
    p->flows.realised_fifo_e8 += r.fifo_e8;
    p->flows.realised_average_e8 += r.average_e8;
    return true;
}

static bool change_position(struct fp_performance *p, struct entry *e, bool of_transit)
{
    struct perf_holding *h = e->h;
    fp_i128 cost_before_e8 = h->cost_e8;

    e->before_e8 = h->quantity_e8;
    if (!e->change_e8)
        return true;
    h->touched = true;
    if (__builtin_add_overflow(h->quantity_e8, e->change_e8, &h->quantity_e8) || h->quantity_e8 == INT64_MIN)
        return perf_fail(p, "overflow", "quantity of instrument %lld", perf_id(p, h->instrument));
    if (!perf_is_priced(h) && !book_cost(p, e))
        return false;
    if (e->delivered && !value_in_kind(p, e, cost_before_e8))
        return false;
    return book_lots(p, e, of_transit);
}

/* From transit, also of what was sold there, or before it left its account; what is
 * neither was delivered in. */
static void arrive(struct entry *e)
{
    const struct perf_tx *t = e->t;
    struct perf_early early = {t->account, t->day, t->currency, t->quantity_e8, t->price_e8};

    early.quantity_e8 -= lots_arrive(&e->h->lots, t->account, t->quantity_e8);
    if (!early.quantity_e8 || lots_expect(&e->h->lots, &early))
        return;
    e->change_e8 = early.quantity_e8;
    e->delivered = true;
}

static bool book_position(struct fp_performance *p, struct entry *e)
{
    const struct perf_tx *t = e->t;

    if (!perf_split_to(p, e->h, t->day))
        return false;
    if (!t->quantity_e8 || !(e->traits & (IN | OUT | TRANSFER)))
        return true;
    remember_price(e->h, t, e->cash);
    e->change_e8 = e->traits & IN ? t->quantity_e8 : e->traits & OUT ? -t->quantity_e8 : 0;
    e->delivered = e->traits & DELIVERY;
    if (t->type == PERF_TRANSFER_OUT)
        lots_leave(&e->h->lots, t->account, t->day, t->quantity_e8);
    if (t->type == PERF_TRANSFER_IN)
        arrive(e);
    return change_position(p, e, false);
}

/* --- what it means ------------------------------------------------------------------- */

/* What crosses the border of the portfolio, which the return must not see as a gain. */
static void add_flow(struct fp_performance *p, fp_i128 flow_e8)
{
    if (flow_e8 > 0)
        p->in_e8 += flow_e8;
    else
        p->out_e8 -= flow_e8;
}

static void book_flow(struct fp_performance *p, struct entry *e)
{
    bool unpriced = e->h && !perf_is_priced(e->h);

    if (e->delivered || e->t->type == PERF_DEPOSIT || e->t->type == PERF_WITHDRAWAL ||
        (e->traits & DELIVERY)) {
        fp_i128 cash_e8 = e->traits & TRANSFER ? 0 : e->gross_e8;

        e->flow_e8 = cash_e8 + e->kind_e8;
        p->day_net_e8 += e->flow_e8;
        add_flow(p, cash_e8 + (unpriced ? 0 : e->kind_e8));
    } else if (unpriced && e->t->type != PERF_FEE && !(e->traits & TRANSFER)) {
        add_flow(p, e->gross_e8); /* to or from what stands outside the return */
    }
    if (e->h && !unpriced)
        e->h->today_e8 += e->net_e8 + e->tax_e8 - e->flow_e8;
}

static void book_costs(struct perf_flows *f, const struct entry *e)
{
    f->fees_e8 += e->t->type == PERF_FEE ? -e->net_e8 - e->tax_e8 : e->fee_e8;
    f->taxes_e8 += e->t->type == PERF_TAX ? -e->net_e8 - e->fee_e8 : e->tax_e8;
}

static bool book_income(struct fp_performance *p, const struct entry *e)
{
    struct perf_flows *f = &p->flows;
    struct perf_event event = {PERF_EVENT_DIVIDEND, e->t->day, e->t->instrument, 0, 0, 0};

    f->income_e8 += e->gross_e8;
    f->withheld_e8 += e->tax_e8;
    if (e->t->type == PERF_INTEREST) {
        f->interest_e8 += e->gross_e8;
        return true;
    }
    f->dividends_e8 += e->gross_e8;
    if (!perf_to_minor(p, e->gross_e8, &event.amount_minor))
        return false;
    if (e->h)
        perf_event(p, &event);
    return true;
}

static bool book_results(struct fp_performance *p, const struct entry *e)
{
    p->n_in_period++;
    book_costs(&p->flows, e);
    if (e->traits & TRANSFER) /* from one currency to another, as the bank did it */
        p->flows.currency_e8 += e->gross_e8;
    return !(e->traits & INCOME) || book_income(p, e);
}

static bool to_base(struct fp_performance *p, struct entry *e)
{
    if (!perf_to_base(p, e->cash, (fp_i128)e->t->amount_e4 * PERF_E4_TO_E8, &e->net_e8) ||
        !perf_to_base(p, e->cash, (fp_i128)e->t->fee_e4 * PERF_E4_TO_E8, &e->fee_e8) ||
        !perf_to_base(p, e->cash, (fp_i128)e->t->tax_e4 * PERF_E4_TO_E8, &e->tax_e8))
        return false;
    e->gross_e8 = e->net_e8 + e->fee_e8 + e->tax_e8;
    return true;
}

static void trace_entry(struct fp_performance *p, const struct entry *e)
{
    perf_step(p, (struct perf_step){.kind = PERF_STEP_BOOK,
                                    .tx = e->t,
                                    .instrument = e->t->instrument,
                                    .currency = e->t->currency,
                                    .account = e->t->account,
                                    .rate_day = perf_rate_day(p, e->cash),
                                    .value_e8 = e->gross_e8,
                                    .flow_e8 = e->flow_e8});
}

bool perf_book(struct fp_performance *p, const struct perf_tx *t)
{
    struct entry e = {.t = t,
                      .h = perf_holding_of(p, t),
                      .cash = perf_cash_slot(p, t->currency),
                      .traits = perf_types[t->type].traits};

    if (e.cash < 0)
        return false;
    if (__builtin_add_overflow(p->cash[e.cash].amount_e4, t->amount_e4, &p->cash[e.cash].amount_e4))
        return perf_fail(p, "overflow", "cash at transaction %lld", (long long)t->id);
    if (!to_base(p, &e) || (e.h && !book_position(p, &e)))
        return false;
    if (e.h)
        e.h->touched = true; /* also by a dividend: whether it has closes decides where that goes */
    book_flow(p, &e);
    if (e.traits & TRANSFER && !e.h)
        p->cash[e.cash].moved_e8 += e.gross_e8;
    p->traded |= (e.traits & (IN | OUT | CASH_ONLY | TRANSFER)) != 0;
    if (PERF_TRACES(p))
        trace_entry(p, &e);
    return !p->in_period || book_results(p, &e);
}

/*
 * What a day's transfers leave of each currency. Where one lost and another won about as
 * much, they were exchanged, and what is missing is what that cost. All else is on its way:
 * a flow until the other side brings it back.
 */
void perf_book_lone_transfers(struct fp_performance *p)
{
    fp_i128 left_e8 = 0, came_e8 = 0;

    for (int i = 0; i < p->n_cash; i++) {
        *(p->cash[i].moved_e8 < 0 ? &left_e8 : &came_e8) += p->cash[i].moved_e8;
        p->cash[i].moved_e8 = 0;
    }
    const fp_i128 net_e8 = left_e8 + came_e8, larger_e8 = net_e8 < 0 ? -left_e8 : came_e8;
    if (!net_e8 || (left_e8 && came_e8 && (net_e8 < 0 ? -net_e8 : net_e8) * EXCHANGE_COST_PART <= larger_e8))
        return;
    p->day_net_e8 += net_e8;
    add_flow(p, net_e8);
    if (p->in_period)
        p->flows.currency_e8 -= net_e8;
}

/* A delivery that no transaction states. */
static bool book_delivery(struct fp_performance *p, struct perf_holding *h, const struct perf_tx *t,
                          bool of_transit)
{
    struct entry e = {.t = t,
                      .h = h,
                      .cash = perf_cash_slot(p, t->currency),
                      .traits = perf_types[t->type].traits,
                      .delivered = true};

    if (e.cash < 0)
        return false;
    e.change_e8 = e.traits & IN ? t->quantity_e8 : -t->quantity_e8;
    if (!change_position(p, &e, of_transit))
        return false;
    book_flow(p, &e);
    p->traded = true;
    if (PERF_TRACES(p))
        trace_entry(p, &e);
    return true;
}

bool perf_book_overdue(struct fp_performance *p, struct perf_holding *h)
{
    struct perf_tx t = {.day = p->day, .instrument = h->instrument};

    lots_drop_owed(&h->lots, p->day);
    t.quantity_e8 = lots_overdue(&h->lots, p->day);
    if (t.quantity_e8) {
        t.type = PERF_DELIVERY_OUT;
        t.currency = p->cash[h->cash].currency;
        if (!book_delivery(p, h, &t, true))
            return false;
    }
    while (h->lots.n_early && lots_are_overdue(h->lots.early[0].day, p->day)) {
        const struct perf_early *early = &h->lots.early[0];

        t.type = PERF_DELIVERY_IN;
        t.account = early->account;
        t.quantity_e8 = early->quantity_e8;
        t.price_e8 = early->price_e8;
        t.currency = early->currency;
        lots_drop_early(&h->lots);
        if (!book_delivery(p, h, &t, false))
            return false;
    }
    return true;
}
