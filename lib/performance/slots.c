/*
 * The transactions of one user, checked and in order, and a slot for each
 * instrument they name.
 *
 * On one day what comes in is booked before transfers, these before what goes
 * out, then by id, whatever the clock said (Portfolio Performance's order). Of
 * a transfer the side that leaves comes first.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/performance/book.h"

/* Size of the tables at first; they grow to what a user needs and stay. */
#define FIRST_SLOTS 64

static const struct perf_instrument no_instrument;

const struct perf_type_traits perf_types[PERF_TYPES] = {
    [PERF_DEPOSIT] = {"deposit", RANK_IN, CASH_ONLY},
    [PERF_WITHDRAWAL] = {"withdrawal", RANK_OUT, CASH_ONLY},
    [PERF_BUY] = {"buy", RANK_IN, IN | NEEDS_INSTRUMENT | SETTLED},
    [PERF_SELL] = {"sell", RANK_OUT, OUT | NEEDS_INSTRUMENT | SETTLED},
    [PERF_DIVIDEND] = {"dividend", RANK_IN, INCOME},
    [PERF_INTEREST] = {"interest", RANK_IN, INCOME},
    [PERF_FEE] = {"fee", RANK_OUT, 0},
    [PERF_TAX] = {"tax", RANK_OUT, CASH_ONLY},
    [PERF_DELIVERY_IN] = {"delivery_in", RANK_IN, IN | NEEDS_INSTRUMENT | DELIVERY},
    [PERF_DELIVERY_OUT] = {"delivery_out", RANK_OUT, OUT | NEEDS_INSTRUMENT | DELIVERY},
    [PERF_TRANSFER_IN] = {"transfer_in", RANK_ARRIVES, TRANSFER},
    [PERF_TRANSFER_OUT] = {"transfer_out", RANK_LEAVES, TRANSFER},
};

const char *perf_type_name(int32_t type)
{
    return type >= 0 && type < PERF_TYPES ? perf_types[type].name : "";
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
    traits = perf_types[t->type].traits;
    if (t->day < FP_DAY_MIN)
        return bad(p, t, "trade_date before 1900");
    if (t->quantity_e8 < 0 || t->price_e8 < 0)
        return bad(p, t, "negative quantity or price");
    if ((traits & NEEDS_INSTRUMENT) && t->instrument < 0)
        return bad(p, t, "no instrument");
    if (t->instrument >= 0 && (size_t)t->instrument >= p->in->market->n_instruments)
        return bad(p, t, "instrument outside the market");
    if ((traits & SETTLED) && !t->quantity_e8 && perf_gross_e4(t) != 0)
        return bad(p, t, "an amount for no quantity");
    if ((t->type == PERF_BUY && perf_gross_e4(t) > 0) || (t->type == PERF_SELL && perf_gross_e4(t) < 0))
        return bad(p, t, "the amount has the wrong sign");
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct perf_tx *x = *(const struct perf_tx *const *)a, *y = *(const struct perf_tx *const *)b;
    enum perf_rank rx = perf_types[x->type].rank, ry = perf_types[y->type].rank;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (rx != ry)
        return rx < ry ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x < y ? -1 : x > y; /* the order of the input */
}

/* Those up to the period's end, and behind the checkpoint. */
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
        if (in->n_checkpoint && t->day <= p->day)
            return perf_fail(p, "bad_checkpoint", "transaction %lld is of a day before it", (long long)t->id);
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

struct perf_holding *perf_holding_of(struct fp_performance *p, const struct perf_tx *t)
{
    if (t->instrument < 0 || (perf_types[t->type].traits & CASH_ONLY))
        return NULL;
    return &p->holdings[p->slot_of[t->instrument] - 1];
}

/* The lots' memory of a slot stays from user to user. */
static struct perf_holding *next_slot(struct fp_performance *p)
{
    struct perf_lots lots;
    struct perf_holding *h;

    if (p->n_holdings == p->cap_holdings) {
        size_t before = p->cap_holdings;

        p->cap_holdings += FIRST_SLOTS;
        p->holdings = mem_resize(p->holdings, p->cap_holdings, sizeof *p->holdings);
        memset(p->holdings + before, 0, FIRST_SLOTS * sizeof *p->holdings);
    }
    h = &p->holdings[p->n_holdings++];
    lots = h->lots;
    lots_clear(&lots);
    *h = (struct perf_holding){.lots = lots, .steady_until = INT32_MIN};
    return h;
}

bool perf_add_holding(struct fp_performance *p, int32_t instrument, struct perf_holding **out)
{
    const struct perf_instrument *data = p->in->market->instruments[instrument];
    struct perf_holding *h;
    int cash;

    if (p->slot_of[instrument]) {
        *out = &p->holdings[p->slot_of[instrument] - 1];
        return true;
    }
    cash = perf_cash_slot(p, data ? data->currency : p->in->base_currency);
    if (cash < 0)
        return false;
    *out = h = next_slot(p);
    h->instrument = instrument;
    h->unknown = !data; /* a fault only when it is held or traded in the period */
    h->data = data ? data : &no_instrument;
    h->cash = cash;
    p->slot_of[instrument] = (int32_t)p->n_holdings;
    return true;
}

bool perf_prepare(struct fp_performance *p)
{
    struct perf_holding *h;

    if (!order(p))
        return false;
    for (size_t i = 0; i < p->n_order; i++) {
        const struct perf_tx *t = p->order[i];

        if (t->instrument < 0 || (perf_types[t->type].traits & CASH_ONLY))
            continue;
        if (!perf_add_holding(p, t->instrument, &h))
            return false;
        h->active |= t->day >= p->in->period_start;
    }
    return true;
}

void perf_slots_reset(struct fp_performance *p)
{
    for (size_t i = 0; i < p->n_holdings; i++)
        p->slot_of[p->holdings[i].instrument] = 0;
}
