/*
 * Transactions of a case as the library's input, and the library's run.
 *
 * A case's money is multiplied by MONEY_SCALE where it wants more than cents,
 * since a summary is printed in them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "lib/performance/trace.h"
#include "tests/tools/vectors/book.h"

#define MONEY_SCALE 10000.0

/* --- transactions ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum perf_type type;
    int sign; /* of the amount on the cash account; 0: none of it moves */
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
    {"ITEM", PERF_DELIVERY_IN, 0}, /* ghostfolio's: something of worth, from outside */
    {"TRANSFER_IN", PERF_TRANSFER_IN, 1},
    {"TRANSFER_OUT", PERF_TRANSFER_OUT, -1},
};

struct booking { /* a transaction's figures in its currency, the sign as on the cash account */
    double quantity, price, amount, fee, tax;
    const char *currency;
    int sign;
    enum perf_type type;
    int32_t day;
};

/* A trade's own rate beats the day's. */
static void own_rate(const struct vcase *c, const json_t *m, struct booking *k)
{
    const json_t *gross = json_object_get(m, "gross");
    double rate = number_of(gross, "rate", 0);

    if (strcmp(k->currency, c->currency) == 0 ||
        strcmp(text_of(gross, "forex_currency", ""), c->currency) != 0 || rate <= 0)
        return;
    k->currency = c->currency;
    k->amount /= rate;
    k->fee /= rate;
    k->tax /= rate;
    k->price /= rate;
}

/* Amounts are positive in a file; one below zero was paid where it should have been received. */
static void read_amount(const json_t *m, struct booking *k)
{
    double amount = number_of(m, "amount", NAN);

    k->amount = k->sign * (isnan(amount) ? k->quantity * k->price : amount);
    if (isnan(amount))
        k->amount -= k->fee + k->tax;
    else if (amount < 0 && k->type == PERF_SELL)
        k->fee -= amount;
}

static bool read_booking(const struct vcase *c, const json_t *m, struct booking *k)
{
    const char *type = text_of(m, "type", ""), *name = text_of(m, "instrument", NULL);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, type) != 0)
            continue;
        *k = (struct booking){.type = types[i].type,
                              .sign = types[i].sign,
                              .quantity = number_of(m, "quantity", 0),
                              .price = number_of(m, "price", 0),
                              .fee = number_of(m, "fee", 0),
                              .tax = number_of(m, "tax", 0)};
        if (k->type >= PERF_DELIVERY_IN && name) {
            k->sign = 0;
            k->price = k->type >= PERF_TRANSFER_IN ? 0 : book_own_price(m);
        }
        k->currency =
            text_of(m, "currency",
                    name && !json_object_get(m, "amount") ? book_currency_of(c, name) : c->currency);
        read_amount(m, k);
        own_rate(c, m, k);
        if (says(c, "missing_price", "not a market price"))
            k->price = 0; /* the amount has it */
        return day_of(m, "date", &k->day);
    }
    return false;
}

/* A delivery at a stated amount is a payment and a purchase: ours are at market value. */
static void as_trade(struct vcase *c, const json_t *m, struct booking *k, struct booking *payment)
{
    double amount = number_of(m, "amount", 0);

    *payment = (struct booking){.sign = 0};
    if ((k->type != PERF_DELIVERY_IN && k->type != PERF_DELIVERY_OUT) || amount <= 0 ||
        !json_object_get(c->conventions, "identity"))
        return;
    k->sign = k->type == PERF_DELIVERY_IN ? -1 : 1;
    k->type = k->type == PERF_DELIVERY_IN ? PERF_BUY : PERF_SELL;
    k->amount = k->sign * amount;
    k->price = 0;
    *payment = *k;
    payment->type = k->sign < 0 ? PERF_DEPOSIT : PERF_WITHDRAWAL;
    payment->sign = -k->sign;
    payment->amount = -k->amount;
    payment->quantity = payment->fee = payment->tax = 0;
}

/* What the reading leaves out. */
static bool bend_to(enum reading reading, const struct vcase *c, const char *name, struct booking *k)
{
    if (reading == WHOLE)
        return true;
    if (!name && k->type == PERF_FEE && strstr(c->source, "ghostfolio")) /* the account's: its net has them */
        return reading == SECURITIES;
    if (!name || k->type == PERF_TAX ||
        (k->type == PERF_DIVIDEND && says(c, "dividends", "NOT in performance")))
        return false;
    if (k->sign)
        k->amount += k->tax;
    k->tax = 0;
    if (reading == BARE) {
        if (k->type == PERF_FEE)
            return false;
        if (k->sign)
            k->amount += k->fee;
        k->fee = 0;
    }
    return true;
}

static struct perf_tx *add_tx(struct book *b, const struct booking *k, int32_t instrument, double weight)
{
    struct perf_tx *t;

    if (b->n_txs == b->cap_txs) {
        b->cap_txs = b->cap_txs * 2 + 64;
        b->txs = mem_resize(b->txs, b->cap_txs, sizeof *b->txs);
    }
    t = &b->txs[b->n_txs++];
    *t = (struct perf_tx){.id = (int64_t)b->n_txs,
                          .day = k->day,
                          .type = (int32_t)k->type,
                          .instrument = instrument,
                          .currency = book_currency(b, k->currency),
                          .quantity_e8 = book_fixed(k->quantity * weight, 1e8),
                          .price_e8 = book_fixed(k->price, 1e8 * b->scale),
                          .amount_e4 = k->sign ? book_fixed(k->amount * weight, 1e4 * b->scale) : 0,
                          .fee_e4 = book_fixed(k->fee * weight, 1e4 * b->scale),
                          .tax_e4 = book_fixed(k->tax * weight, 1e4 * b->scale)};
    return t;
}

static int64_t custody_account(const struct vcase *c, const json_t *m)
{
    const char *name = text_of(m, "portfolio", "");
    const json_t *other;
    size_t i;

    json_array_foreach(json_object_get(c->json, "transactions"), i,
                       other) if (strcmp(text_of(other, "portfolio", ""), name) == 0) return (int64_t)i +
        1;
    return 0;
}

static void pay_from_outside(struct book *b, const struct booking *k, double amount)
{
    const struct booking flow = {.day = k->day,
                                 .currency = k->currency,
                                 .sign = 1,
                                 .type = amount < 0 ? PERF_DEPOSIT : PERF_WITHDRAWAL,
                                 .amount = -amount};

    if (amount != 0)
        add_tx(b, &flow, -1, 1);
}

static void read_transaction(struct vcase *c, const json_t *m, enum reading reading)
{
    const char *name = text_of(m, "instrument", NULL);
    struct book *b = c->book;
    struct booking k, payment;

    if (strcmp(text_of(m, "type", ""), "LIABILITY") == 0)
        return; /* beside the portfolio, here as in ghostfolio's performance */
    if (!read_booking(c, m, &k)) {
        case_differs(c, "transaction of %s: unknown type or date \"%s\"", text_of(m, "date", "?"),
                     text_of(m, "type", ""));
        return;
    }
    as_trade(c, m, &k, &payment);
    if (!bend_to(reading, c, name, &k))
        return;
    if (reading == WHOLE && payment.sign)
        add_tx(b, &payment, -1, 1);
    if (!name)
        add_tx(b, &k, -1, 1)->account = custody_account(c, m);
    for (size_t i = 0; name && i < b->n; i++)
        if (strcmp(b->parts[i].name, name) == 0)
            add_tx(b, &k, (int32_t)i, b->parts[i].weight)->account = custody_account(c, m);
    if (reading != WHOLE && k.sign) /* so that there is no cash */
        pay_from_outside(b, &k, k.amount);
}

/* The one that the case names; of a single instrument, itself. */
static int64_t benchmark_of(const struct vcase *c)
{
    const struct book *b = c->book;
    const char *name = text_of(c->json, "benchmark", "");

    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->parts[i].name, name) == 0)
            return b->ids[i];
    return b->n == 1 ? b->ids[0] : 0;
}

/* --- a run ------------------------------------------------------------------------------------------ */

struct watch { /* what the trace says goes into the run */
    struct run *run;
    int32_t base_currency;
    double unit;   /* of value_e8 */
    size_t booked; /* lots whose transaction is known */
};

static void saw_day(struct run *r, const struct perf_step *s, double unit)
{
    double before = r->n_days ? r->days[r->n_days - 1].contributed : 0;

    if (r->n_days == r->cap_days) {
        r->cap_days = r->cap_days * 2 + 64;
        r->days = mem_resize(r->days, r->cap_days, sizeof *r->days);
    }
    r->days[r->n_days++] = (struct run_day){.day = s->day,
                                            .value = (double)s->value_e8 / unit,
                                            .flow = (double)s->flow_e8 / unit,
                                            .wealth = s->wealth,
                                            .contributed = before + (double)s->flow_e8 / unit};
}

/* A short lot has its proceeds first: they are its cost, and the purchase what it brings. */
static void saw_lot(struct watch *w, const struct perf_step *s)
{
    struct run *r = w->run;

    if (r->n_lots == r->cap_lots) {
        r->cap_lots = r->cap_lots * 2 + 16;
        r->lots = mem_resize(r->lots, r->cap_lots, sizeof *r->lots);
    }
    r->lots[r->n_lots++] = (struct run_lot){.bought = atoi(s->text),
                                            .sold = s->day,
                                            .shares = fabs((double)s->quantity_e8) / 1e8,
                                            .cost = fabs((double)s->value_e8) / w->unit};
}

/* The transaction that used those lots comes after them: what it brought, net of costs, by shares. */
static void saw_booking(struct watch *w, const struct perf_step *s)
{
    const struct perf_tx *t = s->tx;
    double costs = (double)(t->fee_e4 + t->tax_e4), shares = (double)t->quantity_e8 / 1e8;
    double gross = fabs((double)(t->amount_e4 + t->fee_e4 + t->tax_e4)),
           rate = (double)s->value_e8 / w->unit / gross;

    if (!t->amount_e4) { /* a delivery at a price */
        gross = (double)t->price_e8 * shares / 1e4;
        rate = t->currency == w->base_currency ? 1e4 / w->unit : NAN;
    }
    for (; w->booked < w->run->n_lots; w->booked++)
        w->run->lots[w->booked].proceeds = fabs(rate) * (gross + (t->type == PERF_BUY ? costs : -costs)) *
                                           w->run->lots[w->booked].shares / shares;
}

static void step(void *ctx, const struct perf_step *s)
{
    struct watch *w = ctx;

    if (s->kind == PERF_STEP_BOOK)
        saw_booking(w, s);
    else if (s->kind == PERF_STEP_LOT_OUT)
        saw_lot(w, s);
    else if ((s->kind == PERF_STEP_DAY || s->kind == PERF_STEP_SUBPERIOD) && s->in_period)
        saw_day(w->run, s, w->unit);
}

static void keep_holdings(struct book *b, struct run *r)
{
    const struct perf_position *positions;
    const struct perf_line *lines;

    for (size_t n = performance_positions(b->performance, &positions); n > 0; n--) {
        const struct perf_position *p = &positions[n - 1];

        r->shares += (double)p->quantity_e8 / 1e8;
        if (p->instrument < RUN_HELD)
            r->held[p->instrument].value_minor = p->value_minor;
    }
    for (size_t n = performance_lines(b->performance, &lines); n > 0; n--)
        if (lines[n - 1].instrument >= 0 && lines[n - 1].instrument < RUN_HELD)
            r->held[lines[n - 1].instrument].contribution = lines[n - 1].contribution;
}

static void saw_subperiod(void *ctx, const struct perf_step *s)
{
    *(bool *)ctx |= s->kind == PERF_STEP_SUBPERIOD;
}

/*
 * Once by our own convention; and again with every price carried, as those do
 * who wrote the cases, where ours links the days without fresh ones as one.
 */
static bool summarise(struct vcase *c, struct perf_input *in, struct run *r, struct perf_fault *fault)
{
    const struct perf_trace *trace = in->trace, find_out = {saw_subperiod, &in->carry_prices};

    in->trace = &find_out;
    bool summed = performance_summarise(c->book->performance, in, &r->summary, fault);
    in->trace = trace;
    if (!summed)
        return false;
    if (in->carry_prices && !c->book->carried)
        case_note(c, "prices are carried, as by the source: some days have no fresh ones");
    c->book->carried |= in->carry_prices;
    return performance_summarise(c->book->performance, in, &r->summary, fault);
}

static void run(struct vcase *c, struct run *r)
{
    struct book *b = c->book;
    const struct perf_market market = {.instruments = b->pointers,
                                       .instrument_ids = b->ids,
                                       .n_instruments = b->n,
                                       .pairs = b->pairs,
                                       .n_pairs = b->n_pairs};
    const int32_t base = book_currency(b, r->view.currency ? r->view.currency : c->currency);
    struct watch watch = {.run = r, .base_currency = base, .unit = 1e8 * b->scale};
    const struct perf_trace trace = {step, &watch};
    struct perf_input in = {.market = &market,
                            .txs = b->txs,
                            .n_txs = b->n_txs,
                            .base_currency = base,
                            .period_start = r->view.from,
                            .period_end = r->view.to,
                            .benchmark_id = benchmark_of(c),
                            .keep_day = INT32_MIN,
                            .trace = &trace};
    struct perf_fault fault;

    r->failed = !summarise(c, &in, r, &fault);
    if (r->failed)
        case_note(c, "the library refuses the case: %s, %s", fault.reason, fault.detail);
    else
        keep_holdings(b, r);
}

static void open_book(struct vcase *c)
{
    const char *name;
    json_t *tolerance;

    c->book = mem_alloc(sizeof *c->book);
    c->book->scale = json_object_size(c->tolerance) ? 1 : MONEY_SCALE;
    json_object_foreach((json_t *)c->tolerance, name, tolerance) if (number_value(tolerance) < 0.005)
        c->book->scale = MONEY_SCALE;
    if (json_object_get(c->tolerance, "money") && number_of(c->tolerance, "money", 0) >= 0.005)
        c->book->scale = 1;
    c->book->performance = performance_new();
    market_read(c);
}

static bool same_view(const struct view *a, const struct view *b)
{
    return a->reading == b->reading && a->from == b->from && a->to == b->to && a->currency == b->currency;
}

static struct run *find_run(struct book *b, const struct view *v)
{
    for (size_t i = 0; i < b->n_runs; i++)
        if (same_view(&b->runs[i].view, v))
            return &b->runs[i];
    return NULL;
}

static struct run *new_run(struct vcase *c, struct view v)
{
    struct book *b = c->book;
    struct run *r;
    const json_t *m;
    size_t i;

    if (b->n_runs == MAX_RUNS) { /* the last one makes room */
        b->n_runs--;
        mem_free(b->runs[b->n_runs].days), mem_free(b->runs[b->n_runs].lots);
    }
    r = &b->runs[b->n_runs++];
    *r = (struct run){.view = v, .money_scale = b->scale};
    b->n_txs = 0;
    json_array_foreach(json_object_get(c->json, "transactions"), i, m) read_transaction(c, m, v.reading);
    run(c, r);
    return r;
}

const struct run *book_run(struct vcase *c, struct view v)
{
    struct run *r;

    if (!c->book)
        open_book(c);
    r = find_run(c->book, &v);
    if (!r)
        r = new_run(c, v);
    c->refused |= r->failed;
    return r->failed ? NULL : r;
}

double run_money(const struct run *r, int64_t minor)
{
    return (double)minor / (double)fixed_pow10(r->summary.exponent) / r->money_scale;
}

int32_t book_first_day(struct vcase *c)
{
    int32_t first = c->period_end, day;
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "transactions"), i,
                       m) if (day_of(m, "date", &day) && day < first) first = day;
    return first;
}

bool book_has_cash(struct vcase *c)
{
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "transactions"), i,
                       m) if (strstr("DEPOSIT WITHDRAWAL", text_of(m, "type", "-")) ||
                              !json_object_get(m, "instrument")) return true;
    return false;
}

void book_free(struct vcase *c)
{
    struct book *b = c->book;

    if (!b)
        return;
    for (size_t i = 0; i < b->n_runs; i++) {
        mem_free(b->runs[i].days);
        mem_free(b->runs[i].lots);
    }
    market_free(b);
    mem_free(b->txs);
    performance_free(b->performance);
    mem_free(b);
}
