/*
 * The books of one user: transactions in order, cash by currency, quantity by
 * instrument, and what each transaction means for flows, income and results.
 *
 * On one day what comes in is booked before transfers, these before what goes
 * out, then by id, whatever the clock said (Portfolio Performance's order).
 * gross = amount + fee + tax is what moved before costs, for every type: a
 * deposit's flow, a dividend before tax, a purchase's price. For the types fee
 * and tax the amount itself is the cost.
 *
 * A holding's result is after its own fees and before taxes; account fees,
 * taxes, interest on cash and currency results on cash are nobody's, and make
 * the line `other`. Positions are per user, over all custody accounts.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/performance/internal.h"

/* Size of the tables at first; they grow to what a user needs and stay. */
#define FIRST_SLOTS 64

static const struct perf_instrument no_instrument;

enum rank { RANK_IN, RANK_TRANSFER, RANK_OUT };

enum { CASH_ONLY = 1, IN = 2, OUT = 4, NEEDS_INSTRUMENT = 8, SETTLED = 16 };

static const struct {
    enum rank rank;
    int traits;
} types[PERF_TYPES] = {
    [PERF_DEPOSIT] = {RANK_IN, CASH_ONLY},
    [PERF_WITHDRAWAL] = {RANK_OUT, CASH_ONLY},
    [PERF_BUY] = {RANK_IN, IN | NEEDS_INSTRUMENT | SETTLED},
    [PERF_SELL] = {RANK_OUT, OUT | NEEDS_INSTRUMENT | SETTLED},
    [PERF_DIVIDEND] = {RANK_IN, 0},
    [PERF_INTEREST] = {RANK_IN, 0},
    [PERF_FEE] = {RANK_OUT, 0},
    [PERF_TAX] = {RANK_OUT, CASH_ONLY},
    [PERF_DELIVERY_IN] = {RANK_IN, IN | NEEDS_INSTRUMENT},
    [PERF_DELIVERY_OUT] = {RANK_OUT, OUT | NEEDS_INSTRUMENT},
    [PERF_TRANSFER_IN] = {RANK_TRANSFER, IN},
    [PERF_TRANSFER_OUT] = {RANK_TRANSFER, OUT},
};

static fp_i128 gross_e4(const struct perf_tx *t)
{
    return (fp_i128)t->amount_e4 + t->fee_e4 + t->tax_e4;
}

/* --- checks and order -------------------------------------------------------------- */

static bool bad(struct fp_performance *p, const struct perf_tx *t, const char *why)
{
    return perf_fail(p, "bad_transaction", "transaction %lld: %s", (long long)t->id, why);
}

static bool check(struct fp_performance *p, const struct perf_tx *t)
{
    int traits;

    if (t->type < 0 || t->type >= PERF_TYPES)
        return perf_fail(p, "unknown_type", "transaction %lld", (long long)t->id);
    traits = types[t->type].traits;
    if (t->quantity_e8 < 0 || t->price_e8 < 0)
        return bad(p, t, "negative quantity or price");
    if ((traits & NEEDS_INSTRUMENT) && t->instrument < 0)
        return bad(p, t, "no instrument");
    if ((traits & SETTLED) && !t->quantity_e8 && gross_e4(t) != 0)
        return bad(p, t, "an amount for no quantity");
    if ((t->type == PERF_BUY && gross_e4(t) > 0) || (t->type == PERF_SELL && gross_e4(t) < 0))
        return bad(p, t, "the amount has the wrong sign");
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct perf_tx *x = *(const struct perf_tx *const *)a, *y = *(const struct perf_tx *const *)b;
    enum rank rx = types[x->type].rank, ry = types[y->type].rank;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (rx != ry)
        return rx < ry ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x < y ? -1 : x > y; /* the order of the input */
}

static bool order(struct fp_performance *p)
{
    const struct perf_input *in = p->in;
    bool sorted = true;

    if (in->n_txs > p->cap_order) {
        p->cap_order = in->n_txs + FIRST_SLOTS;
        p->order = mem_resize(p->order, p->cap_order, sizeof *p->order);
    }
    p->n_order = 0;
    for (size_t i = 0; i < in->n_txs; i++) {
        const struct perf_tx *t = &in->txs[i];

        if (t->day > in->period_end)
            continue;
        if (!check(p, t))
            return false;
        p->order[p->n_order] = t;
        if (p->n_order && compare(&p->order[p->n_order - 1], &p->order[p->n_order]) > 0)
            sorted = false;
        p->n_order++;
    }
    if (!sorted)
        qsort(p->order, p->n_order, sizeof *p->order, compare);
    return true;
}

/* --- slots ------------------------------------------------------------------------- */

static struct perf_holding *holding_of(struct fp_performance *p, const struct perf_tx *t)
{
    if (t->instrument < 0 || (types[t->type].traits & CASH_ONLY))
        return NULL;
    return &p->holdings[p->slot_of[t->instrument] - 1];
}

static bool add_holding(struct fp_performance *p, int32_t instrument)
{
    const struct perf_instrument *data = p->in->market->instruments[instrument];
    struct perf_holding *h;
    int cash;

    if (p->slot_of[instrument])
        return true;
    cash = perf_cash_slot(p, data ? data->currency : p->in->base_currency);
    if (cash < 0)
        return false;
    if (p->n_holdings == p->cap_holdings) {
        p->cap_holdings += FIRST_SLOTS;
        p->holdings = mem_resize(p->holdings, p->cap_holdings, sizeof *p->holdings);
    }
    h = &p->holdings[p->n_holdings++];
    memset(h, 0, sizeof *h);
    h->instrument = instrument;
    h->unknown = !data; /* a fault only when it is held or traded in the period */
    h->data = data ? data : &no_instrument;
    h->cash = cash;
    p->slot_of[instrument] = (int32_t)p->n_holdings;
    return true;
}

bool perf_book_prepare(struct fp_performance *p)
{
    size_t n = p->in->market->n_instruments;

    if (n > p->cap_slots) {
        p->slot_of = mem_resize(p->slot_of, n, sizeof *p->slot_of);
        memset(p->slot_of + p->cap_slots, 0, (n - p->cap_slots) * sizeof *p->slot_of);
        p->cap_slots = n;
    }
    if (!order(p))
        return false;
    for (size_t i = 0; i < p->n_order; i++) {
        const struct perf_tx *t = p->order[i];

        if (t->instrument >= 0 && (size_t)t->instrument >= n)
            return bad(p, t, "instrument outside the market");
        if (t->instrument < 0 || (types[t->type].traits & CASH_ONLY))
            continue;
        if (!add_holding(p, t->instrument))
            return false;
        holding_of(p, t)->active |= t->day >= p->in->period_start;
    }
    return true;
}

void perf_book_reset(struct fp_performance *p)
{
    for (size_t i = 0; i < p->n_holdings; i++)
        p->slot_of[p->holdings[i].instrument] = 0;
}

/* --- positions --------------------------------------------------------------------- */

bool perf_split_to(struct fp_performance *p, struct perf_holding *h, int32_t day)
{
    for (; h->next_split < h->data->n_splits; h->next_split++) {
        const struct perf_split *s = &h->data->splits[h->next_split];

        if (s->day > day)
            break;
        if (!h->quantity_e8)
            continue;
        if (s->numerator <= 0 || s->denominator <= 0)
            return perf_fail(p, "bad_split", "instrument %lld, day %d",
                             (long long)p->in->market->instrument_ids[h->instrument], s->day);
        if (!fixed_muldiv(h->quantity_e8, s->numerator, s->denominator, &h->quantity_e8))
            return perf_fail(p, "overflow", "quantity of instrument %lld over a split",
                             (long long)p->in->market->instrument_ids[h->instrument]);
    }
    return true;
}

/* The trade's own price stands in for a close before the first one. */
static void remember_price(struct perf_holding *h, const struct perf_tx *t, int cash)
{
    int64_t price_e8 = t->price_e8;

    if (!price_e8 && (types[t->type].traits & SETTLED) && t->quantity_e8) {
        fp_i128 paid_e8 = (gross_e4(t) < 0 ? -gross_e4(t) : gross_e4(t)) * PERF_E4_TO_E8;

        if (!fixed_from_i128(fixed_div(paid_e8 * FP_E8, t->quantity_e8), &price_e8))
            price_e8 = 0;
    }
    if (!price_e8)
        return;
    h->trade_price_e8 = price_e8;
    h->trade_day = t->day;
    h->trade_cash = cash;
}

/* Average cost, before fees, of what has no close: rounded once, and the last
 * sale takes the rest. */
static bool book_cost(struct fp_performance *p, struct perf_holding *h, const struct perf_tx *t, int cash,
                      int64_t before_e8)
{
    fp_i128 cost_e8;

    if (types[t->type].traits & IN) {
        cost_e8 = t->type == PERF_BUY ? -gross_e4(t) * PERF_E4_TO_E8
                                      : fixed_div((fp_i128)t->quantity_e8 * t->price_e8, FP_E8);
        if (!perf_to_base(p, cash, cost_e8, &cost_e8))
            return false;
        h->cost_e8 += cost_e8;
        return true;
    }
    if (t->quantity_e8 >= before_e8) {
        h->cost_e8 = 0;
        return true;
    }
    if (!perf_mul(p, h->cost_e8, before_e8 - t->quantity_e8, &cost_e8))
        return false;
    h->cost_e8 = fixed_div(cost_e8, before_e8);
    return true;
}

static bool book_position(struct fp_performance *p, struct perf_holding *h, const struct perf_tx *t, int cash)
{
    int64_t before_e8, change_e8 = t->quantity_e8;
    int traits = types[t->type].traits;

    if (!perf_split_to(p, h, t->day))
        return false;
    if (!(traits & (IN | OUT)) || !change_e8)
        return true;
    if (traits & OUT)
        change_e8 = -change_e8;
    before_e8 = h->quantity_e8;
    if (__builtin_add_overflow(before_e8, change_e8, &h->quantity_e8))
        return perf_fail(p, "overflow", "quantity of instrument %lld",
                         (long long)p->in->market->instrument_ids[h->instrument]);
    remember_price(h, t, cash);
    if (!perf_is_priced(h) && !h->unknown && types[t->type].rank != RANK_TRANSFER)
        return book_cost(p, h, t, cash, before_e8);
    return true;
}

/* --- what it means in the period ----------------------------------------------------- */

static bool book_costs(struct fp_performance *p, const struct perf_tx *t, int cash)
{
    fp_i128 fee_e4 = t->type == PERF_FEE ? -(fp_i128)t->amount_e4 - t->tax_e4 : t->fee_e4;
    fp_i128 tax_e4 = t->type == PERF_TAX ? -(fp_i128)t->amount_e4 - t->fee_e4 : t->tax_e4;
    fp_i128 fee_e8, tax_e8;

    if (!perf_to_base(p, cash, fee_e4 * PERF_E4_TO_E8, &fee_e8) ||
        !perf_to_base(p, cash, tax_e4 * PERF_E4_TO_E8, &tax_e8))
        return false;
    p->flows.fees_e8 += fee_e8;
    p->flows.taxes_e8 += tax_e8;
    return true;
}

/* What crosses the border of the portfolio, which the return must not see as a gain. */
static void add_flow(struct fp_performance *p, fp_i128 flow_e8)
{
    if (flow_e8 > 0)
        p->in_e8 += flow_e8;
    else
        p->out_e8 -= flow_e8;
}

/* In kind, at the market value of the day; what cost has none leaves at cost. */
static bool delivered(struct fp_performance *p, struct perf_holding *h, const struct perf_tx *t,
                      fp_i128 cost_before_e8, fp_i128 *value_e8)
{
    if (!perf_is_priced(h)) {
        *value_e8 = h->cost_e8 - cost_before_e8;
        return true;
    }
    return perf_position_value(p, h, t->type == PERF_DELIVERY_IN ? t->quantity_e8 : -t->quantity_e8,
                               value_e8);
}

static bool book_meaning(struct fp_performance *p, struct perf_holding *h, const struct perf_tx *t, int cash,
                         fp_i128 cost_before_e8)
{
    bool delivery = h && (t->type == PERF_DELIVERY_IN || t->type == PERF_DELIVERY_OUT);
    bool transfer = types[t->type].rank == RANK_TRANSFER, unpriced = h && !perf_is_priced(h);
    fp_i128 gross_e8, kind_e8 = 0, result_e8;

    if (!perf_to_base(p, cash, gross_e4(t) * PERF_E4_TO_E8, &gross_e8) || !book_costs(p, t, cash))
        return false;
    if (t->type == PERF_DIVIDEND || t->type == PERF_INTEREST)
        p->flows.income_e8 += gross_e8;
    if (delivery && !delivered(p, h, t, cost_before_e8, &kind_e8))
        return false;
    if (delivery || t->type == PERF_DEPOSIT || t->type == PERF_WITHDRAWAL) {
        p->flows.net_e8 += gross_e8 + kind_e8;
        add_flow(p, gross_e8 + (unpriced ? 0 : kind_e8));
    } else if (unpriced && t->type != PERF_FEE && !transfer) {
        add_flow(p, gross_e8); /* to or from what stands outside the return */
    }
    if (!h || unpriced)
        return true;
    if (!perf_to_base(p, cash, ((fp_i128)t->amount_e4 + t->tax_e4) * PERF_E4_TO_E8, &result_e8))
        return false;
    h->today_e8 += result_e8 - (delivery ? gross_e8 + kind_e8 : 0);
    return true;
}

bool perf_book(struct fp_performance *p, const struct perf_tx *t, bool in_period)
{
    struct perf_holding *h = holding_of(p, t);
    int cash = perf_cash_slot(p, t->currency);
    fp_i128 cost_before_e8 = h ? h->cost_e8 : 0;

    if (cash < 0)
        return false;
    if (__builtin_add_overflow(p->cash[cash].amount_e4, t->amount_e4, &p->cash[cash].amount_e4))
        return perf_fail(p, "overflow", "cash at transaction %lld", (long long)t->id);
    if (h && !book_position(p, h, t, cash))
        return false;
    if (!in_period)
        return true;
    p->in_period++;
    p->traded |= (types[t->type].traits & (IN | OUT | CASH_ONLY)) != 0;
    return book_meaning(p, h, t, cash, cost_before_e8);
}
