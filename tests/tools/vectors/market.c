/* Instruments, closes, rates and splits of a case; invented currencies become real ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fixed.h"
#include "tests/tools/vectors/book.h"

/* --- numbers and names ---------------------------------------------------------------------- */

int64_t book_fixed(double v, double unit)
{
    long double scaled = (long double)v * unit;

    return isfinite(v) && fabsl(scaled) < 9e18L ? llroundl(scaled) : 0;
}

static const char *real_code(struct book *b, const char *code)
{
    static const char *const spare[] = {"SEK", "NOK", "DKK", "CZK", "PLN", "NZD", "AUD", "CAD"};
    size_t i;

    if (strlen(code) == 3 && currency_exponent(code) >= 0)
        return code;
    for (i = 0; i < b->n_codes; i++)
        if (strcmp(b->codes[i][0], code) == 0)
            return b->codes[i][1];
    if (i == sizeof spare / sizeof spare[0])
        return "XXX";
    snprintf(b->codes[i][0], sizeof b->codes[i][0], "%s", code);
    snprintf(b->codes[i][1], sizeof b->codes[i][1], "%s", spare[i]);
    b->n_codes++;
    return b->codes[i][1];
}

int32_t book_currency(struct book *b, const char *code)
{
    return perf_currency(real_code(b, code));
}

/* --- market ------------------------------------------------------------------------------------ */

/* By day; a day again replaces. */
static void put_point(struct points *s, int32_t day, int64_t value)
{
    size_t at = s->n;

    while (at > 0 && s->p[at - 1].day > day)
        at--;
    if (at > 0 && s->p[at - 1].day == day) {
        s->p[at - 1].value = value;
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap * 2 + 16;
        s->p = mem_resize(s->p, s->cap, sizeof *s->p);
    }
    memmove(s->p + at + 1, s->p + at, (s->n - at) * sizeof *s->p);
    s->p[at] = (struct perf_point){day, value};
    s->n++;
}

static bool has_day(const struct points *s, int32_t day)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->p[i].day == day)
            return true;
    return false;
}

static bool known(const struct book *b, const char *name)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->parts[i].name, name) == 0)
            return true;
    return false;
}

static void add_part(struct book *b, const char *name, const char *class, double weight)
{
    b->parts = mem_resize(b->parts, b->n + 1, sizeof *b->parts);
    b->parts[b->n++] = (struct part){name, class, weight};
}

static void add_instrument(struct vcase *c, const char *name)
{
    const json_t *classes = json_object_get(json_object_get(c->json, "classes"), name);
    const char *class;
    json_t *weight;
    double left = 1;

    if (!name || known(c->book, name))
        return;
    if (!json_object_size(classes))
        add_part(c->book, name, "", 1);
    json_object_foreach((json_t *)classes, class, weight)
    {
        add_part(c->book, name, class, number_value(weight));
        left -= number_value(weight);
    }
    if (json_object_size(classes) && left > 1e-9)
        add_part(c->book, name, "", left); /* what is in no class */
}

static void name_instruments(struct vcase *c)
{
    const char *lists[] = {"transactions", "prices", "splits"};
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "instruments"), i, m)
        add_instrument(c, text_of(m, "id", NULL));
    for (size_t k = 0; k < 3; k++)
        json_array_foreach(json_object_get(c->json, lists[k]), i, m)
            add_instrument(c, text_of(m, "instrument", NULL));
}

const char *book_currency_of(const struct vcase *c, const char *name)
{
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "instruments"), i,
                       m) if (strcmp(text_of(m, "id", ""), name) == 0) return text_of(m, "currency",
                                                                                      c->currency);
    json_array_foreach(json_object_get(c->json, "transactions"), i,
                       m) if (strcmp(text_of(m, "instrument", ""), name) == 0 &&
                              json_object_get(m, "currency")) return text_of(m, "currency", c->currency);
    return c->currency;
}

static void put_close(struct book *b, const char *name, int32_t day, double close, bool replace)
{
    for (size_t i = 0; i < b->n; i++)
        if (strcmp(b->parts[i].name, name) == 0 && (replace || !has_day(&b->closes[i], day)))
            put_point(&b->closes[i], day, book_fixed(close, 1e8 * b->scale));
}

double book_own_price(const json_t *m)
{
    double quantity = number_of(m, "quantity", 0), costs = number_of(m, "fee", 0) + number_of(m, "tax", 0);
    bool in = strstr("BUY DELIVERY_IN TRANSFER_IN", text_of(m, "type", "-")) != NULL;

    if (json_object_get(m, "price"))
        return number_of(m, "price", 0);
    return quantity > 0 ? (number_of(m, "amount", 0) + (in ? -costs : costs)) / quantity : 0;
}

/* ghostfolio takes the nearest close, also a later one, where a trade has none. */
static void nearest_closes(struct vcase *c)
{
    struct book *b = c->book;
    int32_t day = book_first_day(c);

    for (size_t i = 0; says(c, "missing_price", "nearest available") && i < b->n; i++)
        if (b->closes[i].n && b->closes[i].p[0].day > day)
            put_point(&b->closes[i], day, b->closes[i].p[0].value);
}

/* Where the source has it so: fava takes a trade as a quote, and some builders have no other. */
static void trades_as_prices(struct vcase *c)
{
    bool of_trades = says(c, "prices", "trade sets a price") || strstr(c->source, "fava");
    bool of_all = says(c, "missing_price", "last transaction");
    const json_t *m;
    size_t i;
    int32_t day;

    if (!of_trades && !of_all)
        return;
    json_array_foreach(json_object_get(c->json, "transactions"), i, m)
    {
        bool trade =
            strcmp(text_of(m, "type", ""), "BUY") == 0 || strcmp(text_of(m, "type", ""), "SELL") == 0;

        if ((of_all || (trade && json_object_get(m, "price"))) && book_own_price(m) > 0 &&
            day_of(m, "date", &day))
            put_close(c->book, text_of(m, "instrument", ""), day, book_own_price(m), false);
    }
}

static void read_prices(struct vcase *c)
{
    const json_t *m;
    size_t i;
    int32_t day;

    json_array_foreach(json_object_get(c->json, "prices"), i, m) if (day_of(m, "date", &day))
        put_close(c->book, text_of(m, "instrument", ""), day, number_of(m, "close", NAN), true);
}

static void read_rates(struct vcase *c)
{
    struct book *b = c->book;
    const json_t *m;
    size_t i, k;
    int32_t day;

    json_array_foreach(json_object_get(c->json, "fx"), i, m)
    {
        int32_t base = book_currency(b, text_of(m, "base", "")),
                quote = book_currency(b, text_of(m, "quote", ""));

        for (k = 0; k < b->n_pairs && (b->pairs[k].base != base || b->pairs[k].quote != quote); k++)
            ;
        if (k == CODES || !day_of(m, "date", &day)) {
            case_differs(c, "fx[%zu]: more than %d pairs of currencies", i, CODES);
            continue;
        }
        if (k == b->n_pairs)
            b->pairs[b->n_pairs++] = (struct perf_pair){.base = base, .quote = quote};
        put_point(&b->rates[k], day, book_fixed(number_of(m, "rate", NAN), 1e10));
    }
    for (k = 0; k < b->n_pairs; k++)
        b->pairs[k].rates_e10 = (struct perf_series){b->rates[k].p, b->rates[k].n};
}

/* In whole numbers, as the library has it: 1.5 for 1 is 3 for 2. False: it takes more than MOST_FOLD. */
static bool whole_ratio(double numerator, double denominator, struct perf_split *s)
{
    enum { MOST_FOLD = 10000 };

    for (int fold = 1; fold <= MOST_FOLD; fold++) {
        double n = numerator * fold, d = denominator * fold;

        if (!(n > 0 && d > 0 && n < 2e9 && d < 2e9))
            return false;
        if (fabs(n - round(n)) < 1e-9 * n && fabs(d - round(d)) < 1e-9 * d) {
            s->numerator = (int32_t)lround(n);
            s->denominator = (int32_t)lround(d);
            return true;
        }
    }
    return false;
}

/* By day, whatever the file's order. */
static void put_split(struct book *b, size_t k, struct perf_split s)
{
    size_t at = b->instruments[k].n_splits++;

    b->splits[k] = mem_resize(b->splits[k], at + 1, sizeof s);
    for (; at > 0 && b->splits[k][at - 1].day > s.day; at--)
        b->splits[k][at] = b->splits[k][at - 1];
    b->splits[k][at] = s;
}

static void read_splits(struct vcase *c)
{
    struct book *b = c->book;
    struct perf_split s;
    const json_t *m;
    size_t i;

    json_array_foreach(json_object_get(c->json, "splits"), i, m)
    {
        if (!day_of(m, "date", &s.day) ||
            !whole_ratio(number_of(m, "numerator", 1), number_of(m, "denominator", 1), &s)) {
            case_differs(c, "splits[%zu]: no ratio of whole numbers", i);
            continue;
        }
        for (size_t k = 0; k < b->n; k++)
            if (strcmp(b->parts[k].name, text_of(m, "instrument", "")) == 0)
                put_split(b, k, s);
    }
}

/* Closes in a file are adjusted for splits, ours are as traded: one before a
 * split is multiplied by it. */
static void unadjust(struct book *b, size_t k)
{
    for (size_t s = 0; s < b->instruments[k].n_splits; s++)
        for (size_t i = 0; i < b->closes[k].n; i++)
            if (b->closes[k].p[i].day < b->splits[k][s].day)
                fixed_muldiv(b->closes[k].p[i].value, b->splits[k][s].numerator, b->splits[k][s].denominator,
                             &b->closes[k].p[i].value);
}

void market_read(struct vcase *c)
{
    struct book *b = c->book;

    name_instruments(c);
    b->instruments = mem_array(b->n + 1, sizeof *b->instruments);
    b->pointers = mem_array(b->n + 1, sizeof *b->pointers);
    b->splits = mem_array(b->n + 1, sizeof *b->splits);
    b->closes = mem_array(b->n + 1, sizeof *b->closes);
    b->ids = mem_array(b->n + 1, sizeof *b->ids);
    read_prices(c);
    read_splits(c);
    for (size_t k = 0; k < b->n; k++)
        unadjust(b, k);
    trades_as_prices(c);
    nearest_closes(c);
    for (size_t k = 0; k < b->n; k++) {
        struct perf_instrument *i = &b->instruments[k];

        i->currency = book_currency(b, book_currency_of(c, b->parts[k].name));
        i->closes_e8 = (struct perf_series){b->closes[k].p, b->closes[k].n};
        i->splits = b->splits[k];
        snprintf(i->asset_class, sizeof i->asset_class, "%s", b->parts[k].class);
        b->pointers[k] = i;
        b->ids[k] = (int64_t)k + 1;
    }
    read_rates(c);
}

void market_free(struct book *b)
{
    for (size_t i = 0; i < b->n; i++) {
        mem_free(b->closes[i].p);
        mem_free(b->splits[i]);
    }
    for (size_t i = 0; i < b->n_pairs; i++)
        mem_free(b->rates[i].p);
    mem_free(b->parts);
    mem_free(b->instruments);
    mem_free((void *)b->pointers);
    mem_free(b->splits);
    mem_free(b->closes);
    mem_free(b->ids);
}
