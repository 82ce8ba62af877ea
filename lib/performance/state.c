/*
 * Checkpoints: the books at the close of a day, written and read back.
 *
 * What is written is what the days after it depend on and nothing else: cash,
 * positions with their lots, flows, two chains. Values, prices and rates are
 * found again in the market, where they stand for that day.
 *
 * Writing stops when the buffer is full and the state is then not kept. Reading
 * checks every figure before it is used: order, sign, sums, finiteness.
 */
#include <math.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/performance/checkpoint.h"
#include "lib/performance/internal.h"

static const uint8_t magic[4] = {'F', 'P', 'C', CHECKPOINT_VERSION};

/* Amounts in a state end at 2^100: what days.c can make of them fits 128 bits. */
#define AMOUNT_BITS 100

enum { CHAIN_NEGATIVE = 1, CHAIN_NO_CAPITAL = 2, CHAIN_SUSPECT = 4, CHAIN_DIETZ = 8, CHAIN_FLAGS = 15 };

/* --- writing ---------------------------------------------------------------------------- */

struct writer {
    uint8_t *at, *end;
    bool full;
};

static void put_byte(struct writer *w, uint8_t b)
{
    w->full |= w->at == w->end;
    if (!w->full)
        *w->at++ = b;
}

static void put_u(struct writer *w, unsigned __int128 v)
{
    uint64_t low;

    for (; v > UINT64_MAX; v >>= 7)
        put_byte(w, (uint8_t)(v | 0x80));
    for (low = (uint64_t)v; low >= 0x80; low >>= 7)
        put_byte(w, (uint8_t)(low | 0x80));
    put_byte(w, (uint8_t)low);
}

static void put_s(struct writer *w, fp_i128 v)
{
    put_u(w, v < 0 ? ~((unsigned __int128)v << 1) : (unsigned __int128)v << 1);
}

static void put_double(struct writer *w, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    for (int i = 0; i < 64; i += 8)
        put_byte(w, (uint8_t)(bits >> i));
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* All instruments ever held, ascending: those of the state before, and today's. */
static void collect_ever(struct fp_performance *p)
{
    size_t distinct = 0;

    for (size_t i = 0; i < p->n_holdings; i++) {
        const struct perf_holding *h = &p->holdings[i];

        if (h->restored || !h->touched)
            continue; /* it is there already, or only traded later */
        PERF_ROOM(p->ever, p->n_ever, p->cap_ever);
        p->ever[p->n_ever++] = p->in->market->instrument_ids[h->instrument];
    }
    perf_sort(p->ever, p->n_ever, sizeof *p->ever, by_number);
    for (size_t i = 0; i < p->n_ever; i++)
        if (!distinct || p->ever[distinct - 1] != p->ever[i])
            p->ever[distinct++] = p->ever[i];
    p->n_ever = distinct;
}

static void put_ever(struct writer *w, const struct fp_performance *p)
{
    int64_t last = 0;

    put_u(w, p->n_ever);
    for (size_t i = 0; i < p->n_ever; i++) {
        put_s(w, (fp_i128)p->ever[i] - last);
        last = p->ever[i];
    }
}

/* A trade of that very day may be the price of its evening, where no close is yet. */
static void put_trade_price(struct writer *w, const struct fp_performance *p, const struct perf_holding *h)
{
    bool of_today = h->trade_price_e8 && h->trade_day == p->day;

    put_s(w, of_today ? h->trade_price_e8 : 0);
    if (of_today)
        put_u(w, (uint32_t)p->cash[h->trade_cash].currency);
}

static void put_early(struct writer *w, const struct perf_lots *l)
{
    put_u(w, (uint32_t)l->n_early);
    for (int i = 0; i < l->n_early; i++) {
        const struct perf_early *e = &l->early[i];

        put_s(w, e->account);
        put_s(w, e->day);
        put_u(w, (uint32_t)e->currency);
        put_s(w, e->quantity_e8);
        put_s(w, e->price_e8);
    }
}

static void put_owed(struct writer *w, const struct perf_lots *l)
{
    put_u(w, (uint32_t)l->n_owed);
    for (int i = 0; i < l->n_owed; i++) {
        put_s(w, l->owed[i].left);
        put_s(w, l->owed[i].quantity_e8);
    }
}

static void put_holding(struct writer *w, const struct fp_performance *p, const struct perf_holding *h)
{
    put_s(w, p->in->market->instrument_ids[h->instrument]);
    put_trade_price(w, p, h);
    put_s(w, h->quantity_e8);
    put_s(w, h->cost_e8);
    put_s(w, h->lots.average_cost_e8);
    put_early(w, &h->lots);
    put_owed(w, &h->lots);
    put_u(w, h->lots.n);
    for (size_t i = 0; i < h->lots.n; i++) {
        const struct perf_lot *lot = &h->lots.lots[i];

        put_s(w, lot->account);
        put_s(w, lot->day);
        put_u(w, lot->transit);
        if (lot->transit)
            put_s(w, lot->left);
        put_s(w, lot->quantity_e8);
        put_s(w, lot->cost_e8);
    }
}

static bool is_kept(const struct perf_holding *h)
{
    return h->quantity_e8 || lots_wait(&h->lots);
}

/* In the order of ids and codes: the same books are the same bytes, however
 * they came about. */
static void put_holdings(struct writer *w, const struct fp_performance *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_holdings; i++)
        n += is_kept(&p->holdings[i]);
    put_u(w, n);
    for (size_t i = 0; i < p->n_ever; i++) {
        int32_t instrument = perf_index_of(p->in->market, p->ever[i]);
        int32_t slot = instrument < 0 ? 0 : p->slot_of[instrument];

        if (slot && is_kept(&p->holdings[slot - 1]))
            put_holding(w, p, &p->holdings[slot - 1]);
    }
}

static const struct perf_cash *next_cash(const struct fp_performance *p, int32_t after)
{
    const struct perf_cash *next = NULL;

    for (int i = 0; i < p->n_cash; i++)
        if (p->cash[i].amount_e4 && p->cash[i].currency > after &&
            (!next || p->cash[i].currency < next->currency))
            next = &p->cash[i];
    return next;
}

static void put_cash(struct writer *w, const struct fp_performance *p)
{
    size_t n = 0;

    for (int i = 0; i < p->n_cash; i++)
        n += p->cash[i].amount_e4 != 0;
    put_u(w, n);
    for (const struct perf_cash *c = next_cash(p, 0); c; c = next_cash(p, c->currency)) {
        put_u(w, (uint32_t)c->currency);
        put_s(w, c->amount_e4);
    }
}

static void put_flow_days(struct writer *w, const struct fp_performance *p)
{
    int32_t last = 0;

    put_u(w, p->n_flow_days);
    for (size_t i = 0; i < p->n_flow_days; i++) {
        put_s(w, p->flow_days[i].day - last);
        put_s(w, p->flow_days[i].amount_e8);
        last = p->flow_days[i].day;
    }
}

static void put_span(struct writer *w, const struct perf_span *s)
{
    const struct perf_chain *c = &s->chain;
    unsigned flags = (c->negative ? CHAIN_NEGATIVE : 0) | (c->no_capital ? CHAIN_NO_CAPITAL : 0) |
                     (c->suspect ? CHAIN_SUSPECT : 0) | (c->dietz ? CHAIN_DIETZ : 0);

    put_s(w, s->open_day);
    put_s(w, s->open_e8);
    put_u(w, s->first_flow);
    put_s(w, s->benchmark_e8);
    put_double(w, c->wealth);
    put_s(w, c->since_day);
    put_u(w, flags);
    put_double(w, c->last_trading);
    put_u(w, (uint32_t)c->sample.n);
    put_double(w, c->sample.mean);
    put_double(w, c->sample.m2);
    put_double(w, c->drawdown.peak);
    put_s(w, c->drawdown.peak_day);
    put_double(w, c->drawdown.max);
    put_s(w, c->drawdown.max_peak_day);
    put_s(w, c->drawdown.max_trough_day);
}

void perf_keep(struct fp_performance *p)
{
    struct writer w;

    p->n_kept = 0;
    for (int i = PERF_SPAN_YEAR_TO_DATE; i < PERF_SPANS; i++)
        if (p->spans[i].chain.days)
            return;
    if (!p->kept)
        p->kept = mem_alloc(CHECKPOINT_MAX_BYTES);
    w = (struct writer){p->kept, p->kept + CHECKPOINT_MAX_BYTES, false};
    for (size_t i = 0; i < sizeof magic; i++)
        put_byte(&w, magic[i]);
    put_s(&w, p->day);
    put_u(&w, (uint32_t)p->in->base_currency);
    put_s(&w, p->in->benchmark_id);
    collect_ever(p);
    put_ever(&w, p);
    put_holdings(&w, p);
    put_cash(&w, p);
    put_flow_days(&w, p);
    put_span(&w, &p->spans[PERF_SPAN_YEAR_TO_DATE]);
    put_span(&w, &p->spans[PERF_SPAN_SINCE_INCEPTION]);
    p->n_kept = w.full ? 0 : (size_t)(w.at - p->kept);
}

/* --- reading ------------------------------------------------------------------------------ */

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static uint8_t get_byte(struct reader *r)
{
    r->bad |= r->at == r->end;
    return r->bad ? 0 : *r->at++;
}

static unsigned __int128 get_u128(struct reader *r)
{
    unsigned __int128 v = 0;
    unsigned shift = 0;

    for (uint64_t low = 0; shift < 63; v = low, shift += 7) { /* most are short */
        uint8_t b = get_byte(r);

        low |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return low;
    }
    for (; shift <= AMOUNT_BITS; shift += 7) {
        uint8_t b = get_byte(r);

        v |= (unsigned __int128)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}

static fp_i128 get_s128(struct reader *r)
{
    unsigned __int128 v = get_u128(r);

    return v & 1 ? ~(fp_i128)(v >> 1) : (fp_i128)(v >> 1);
}

static int64_t get_s(struct reader *r, int64_t min, int64_t max)
{
    fp_i128 v = get_s128(r);

    if (v >= min && v <= max)
        return (int64_t)v;
    r->bad = true;
    return min;
}

static int32_t get_u31(struct reader *r)
{
    unsigned __int128 v = get_u128(r);

    r->bad |= v > INT32_MAX;
    return r->bad ? 0 : (int32_t)v;
}

static int32_t get_day(struct reader *r, int32_t max)
{
    return (int32_t)get_s(r, FP_DAY_MIN - 1, max);
}

/* A count of things that take at least a byte each. */
static size_t get_count(struct reader *r, size_t max)
{
    unsigned __int128 v = get_u128(r);

    if (v <= max && v <= (size_t)(r->end - r->at))
        return (size_t)v;
    r->bad = true;
    return 0;
}

static double get_double(struct reader *r)
{
    uint64_t bits = 0;
    double v;

    for (int i = 0; i < 64; i += 8)
        bits |= (uint64_t)get_byte(r) << i;
    memcpy(&v, &bits, sizeof v);
    r->bad |= !isfinite(v);
    return r->bad ? 0 : v;
}

static bool get_head(struct reader *r, struct perf_checkpoint_info *info)
{
    for (size_t i = 0; i < sizeof magic; i++)
        r->bad |= get_byte(r) != magic[i];
    info->day = get_day(r, FP_DAY_MAX);
    info->base_currency = get_u31(r);
    info->benchmark_id = get_s(r, INT64_MIN, INT64_MAX);
    return !r->bad;
}

bool checkpoint_info(const uint8_t *bytes, size_t n, struct perf_checkpoint_info *info)
{
    struct reader r = {bytes, bytes + n, bytes == NULL};

    return get_head(&r, info);
}

size_t checkpoint_instruments(const uint8_t *bytes, size_t n, int64_t *ids, size_t max)
{
    struct reader r = {bytes, bytes + n, bytes == NULL};
    struct perf_checkpoint_info info;
    fp_i128 last = 0;
    size_t count;

    if (!get_head(&r, &info))
        return 0;
    count = get_count(&r, n);
    for (size_t i = 0; i < count && !r.bad; i++) {
        last += get_s(&r, INT64_MIN, INT64_MAX);
        if (last < INT64_MIN || last > INT64_MAX)
            r.bad = true;
        else if (i < max)
            ids[i] = (int64_t)last;
    }
    return r.bad ? 0 : count;
}

static void get_ever(struct reader *r, struct fp_performance *p)
{
    size_t n = get_count(r, (size_t)(r->end - r->at));
    fp_i128 last = 0;

    for (size_t i = 0; i < n && !r->bad; i++) {
        last += get_s(r, INT64_MIN, INT64_MAX);
        r->bad |= last < INT64_MIN || last > INT64_MAX || (i && (int64_t)last <= p->ever[i - 1]);
        if (r->bad)
            return;
        PERF_ROOM(p->ever, p->n_ever, p->cap_ever);
        p->ever[p->n_ever++] = (int64_t)last;
    }
}

static void get_early(struct reader *r, struct fp_performance *p, struct perf_lots *l)
{
    size_t n = get_count(r, LOTS_EARLY_MAX);

    if (n && !l->early)
        l->early = mem_alloc(LOTS_EARLY_MAX * sizeof *l->early);
    for (size_t i = 0; i < n && !r->bad; i++) {
        struct perf_early e = {.account = get_s(r, INT64_MIN, INT64_MAX)};

        e.day = get_day(r, p->day);
        e.currency = get_u31(r);
        e.quantity_e8 = get_s(r, 1, INT64_MAX);
        e.price_e8 = get_s(r, 0, INT64_MAX);
        r->bad |= (i && e.day < l->early[i - 1].day) || perf_cash_slot(p, e.currency) < 0;
        l->early[l->n_early++] = e;
    }
}

/* Whatever has waited for longer was dealt with in the morning. */
static int32_t get_left(struct reader *r, int32_t day)
{
    int32_t left = get_day(r, day);

    r->bad |= lots_are_overdue(left, day);
    return left;
}

static void get_owed(struct reader *r, struct perf_lots *l, int32_t day)
{
    size_t n = get_count(r, LOTS_OWED_MAX);

    for (size_t i = 0; i < n && !r->bad; i++) {
        struct perf_owed owed = {.left = get_left(r, day)};

        owed.quantity_e8 = get_s(r, 1, INT64_MAX);
        r->bad |= (i && owed.left <= l->owed[i - 1].left) || !lots_owe(l, &owed);
    }
}

/* All lots of the holding's sign; together its quantity. */
static void get_lots(struct reader *r, struct perf_holding *h, int32_t day)
{
    size_t n = get_count(r, LOTS_MAX);
    fp_i128 sum = 0;

    for (size_t i = 0; i < n && !r->bad; i++) {
        struct perf_lot lot = {.account = get_s(r, INT64_MIN, INT64_MAX)};

        lot.day = get_day(r, day);
        lot.transit = get_u128(r) == 1;
        lot.left = lot.transit ? get_left(r, day) : 0;
        lot.quantity_e8 = get_s(r, -INT64_MAX, INT64_MAX);
        lot.cost_e8 = get_s128(r);
        sum += lot.quantity_e8;
        r->bad |= !lot.quantity_e8 || (lot.quantity_e8 < 0) != (h->quantity_e8 < 0) ||
                  (lot.transit && lot.quantity_e8 < 0) || (i && lot.day < h->lots.lots[i - 1].day);
        if (r->bad || !lots_append(&h->lots, &lot))
            r->bad = true;
        else if (lot.transit)
            h->lots.transit_e8 += lot.quantity_e8;
    }
    r->bad |= sum != h->quantity_e8;
}

static void get_trade_price(struct reader *r, struct fp_performance *p, struct perf_holding *h)
{
    h->trade_price_e8 = get_s(r, 0, INT64_MAX);
    if (r->bad || !h->trade_price_e8)
        return;
    h->trade_day = p->day;
    h->trade_cash = perf_cash_slot(p, get_u31(r));
    r->bad |= h->trade_cash < 0;
}

static bool get_holding(struct reader *r, struct fp_performance *p)
{
    int32_t instrument = perf_index_of(p->in->market, get_s(r, INT64_MIN, INT64_MAX));
    struct perf_holding *h;

    if (r->bad || instrument < 0 || p->slot_of[instrument])
        return false;
    if (!perf_add_holding(p, instrument, &h))
        return false;
    h->restored = true;
    get_trade_price(r, p, h);
    h->quantity_e8 = get_s(r, -INT64_MAX, INT64_MAX);
    h->cost_e8 = get_s128(r);
    h->lots.average_cost_e8 = get_s128(r);
    get_early(r, p, &h->lots);
    get_owed(r, &h->lots, p->day);
    r->bad |= !is_kept(h);
    if (!r->bad)
        get_lots(r, h, p->day);
    while (h->next_split < h->data->n_splits && h->data->splits[h->next_split].day <= p->day)
        h->next_split++;
    return !r->bad;
}

static bool get_cash(struct reader *r, struct fp_performance *p)
{
    size_t n = get_count(r, PERF_MAX_CURRENCIES);

    for (size_t i = 0; i < n && !r->bad; i++) {
        int slot = perf_cash_slot(p, get_u31(r));

        if (slot < 0 || r->bad)
            return false;
        p->cash[slot].amount_e4 = get_s(r, INT64_MIN, INT64_MAX);
    }
    return !r->bad;
}

static bool get_flow_days(struct reader *r, struct fp_performance *p)
{
    size_t n = get_count(r, CHECKPOINT_MAX_BYTES);
    int64_t day = 0;

    for (size_t i = 0; i < n && !r->bad; i++) {
        day += get_s(r, i ? 1 : FP_DAY_MIN, FP_DAY_MAX);
        r->bad |= day > p->day;
        PERF_ROOM(p->flow_days, p->n_flow_days, p->cap_flow_days);
        p->flow_days[p->n_flow_days++] = (struct perf_flow_day){(int32_t)day, get_s128(r)};
    }
    return !r->bad;
}

static bool get_span(struct reader *r, struct fp_performance *p, struct perf_span *s)
{
    struct perf_chain *c = &s->chain;
    int32_t flags;

    s->open_day = get_day(r, p->day);
    perf_chain_init(c, s->open_day);
    s->open_e8 = get_s128(r);
    s->first_flow = (size_t)get_u31(r);
    s->benchmark_e8 = get_s(r, 0, INT64_MAX);
    c->wealth = get_double(r);
    c->since_day = (int32_t)get_s(r, FP_DAY_MIN - 1, INT32_MAX);
    flags = get_u31(r);
    c->negative = flags & CHAIN_NEGATIVE;
    c->no_capital = flags & CHAIN_NO_CAPITAL;
    c->suspect = flags & CHAIN_SUSPECT;
    c->dietz = flags & CHAIN_DIETZ;
    c->last_trading = get_double(r);
    c->sample.n = get_u31(r);
    c->sample.mean = get_double(r);
    c->sample.m2 = get_double(r);
    c->drawdown.peak = get_double(r);
    c->drawdown.peak_day = get_day(r, p->day);
    c->drawdown.max = get_double(r);
    c->drawdown.max_peak_day = get_day(r, p->day);
    c->drawdown.max_trough_day = get_day(r, p->day);
    return !r->bad && flags <= CHAIN_FLAGS && s->first_flow <= p->n_flow_days &&
           (c->since_day == INT32_MAX || c->since_day <= p->day) && c->drawdown.peak > 0 && c->sample.m2 >= 0;
}

static bool get_state(struct reader *r, struct fp_performance *p)
{
    struct perf_checkpoint_info info;
    size_t n;

    if (!get_head(r, &info) || info.base_currency != p->in->base_currency ||
        info.benchmark_id != p->in->benchmark_id || info.day >= p->in->period_start)
        return false;
    p->day = info.day;
    get_ever(r, p);
    n = get_count(r, CHECKPOINT_MAX_BYTES);
    for (size_t i = 0; i < n && !r->bad; i++)
        if (!get_holding(r, p))
            return false;
    return !r->bad && get_cash(r, p) && get_flow_days(r, p) &&
           get_span(r, p, &p->spans[PERF_SPAN_YEAR_TO_DATE]) &&
           get_span(r, p, &p->spans[PERF_SPAN_SINCE_INCEPTION]) && r->at == r->end;
}

bool perf_restore(struct fp_performance *p)
{
    struct reader r = {p->in->checkpoint, p->in->checkpoint + p->in->n_checkpoint, false};

    if (get_state(&r, p))
        return true;
    p->fault->reason[0] = '\0';
    return perf_fail(p, "bad_checkpoint", "%zu bytes, wrong from byte %zu on", p->in->n_checkpoint,
                     (size_t)(r.at - p->in->checkpoint));
}
