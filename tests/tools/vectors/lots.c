/* Lots by quantity and cost, without a book. */
#include <math.h>
#include <string.h>

#include "lib/performance/lots.h"
#include "tests/tools/vectors/formulas.h"

struct booked {
    struct vcase *c;
    const json_t *want;
    size_t n;
};

static void compare_pair(struct vcase *c, const char *name, const json_t *pair, double shares, double cost)
{
    case_compare(c, name, name, json_array_get(pair, 0), UNIT_SHARES, shares);
    case_compare(c, name, name, json_array_get(pair, 1), UNIT_SHARES, cost);
}

static void saw_lot(void *ctx, const struct perf_lot *lot, int64_t quantity_e8, fp_i128 cost_e8,
                    fp_i128 proceeds_e8)
{
    struct booked *b = ctx;

    (void)lot;
    (void)proceeds_e8;
    compare_pair(b->c, "booked", json_array_get(b->want, b->n++), (double)quantity_e8 / 1e8,
                 (double)cost_e8 / (double)quantity_e8);
}

static void change(struct perf_lots *l, int32_t day, double shares, double net, perf_lots_seen *seen,
                   void *ctx)
{
    struct perf_lots_result r;
    const struct perf_lots_change ch = {.day = day,
                                        .quantity_e8 = (int64_t)formulas_e8(shares),
                                        .net_e8 = formulas_e8(net),
                                        .gross_e8 = formulas_e8(net),
                                        .before_e8 = lots_sum(l).quantity_e8};

    lots_change(l, &ch, &r, seen, ctx);
}

/* Bought by date, whatever the order of the list. */
static void buy_lots(const json_t *list, struct perf_lots *l)
{
    int32_t last = INT32_MIN, next, day;
    const json_t *m;
    size_t i;

    do {
        next = INT32_MAX;
        json_array_foreach(list, i, m) if (day_of(m, "date", &day) && day > last && day < next) next = day;
        json_array_foreach(list, i, m) if (day_of(m, "date", &day) && day == next)
            change(l, day, number_of(m, "quantity", 0), number_of(m, "quantity", 0) * number_of(m, "cost", 0),
                   NULL, NULL);
        last = next;
    } while (next != INT32_MAX);
}

/* What is left of the file's lots, in the file's order; at average cost it is one. */
static void compare_remaining(struct vcase *c, const json_t *want, const struct perf_lots *l)
{
    const json_t *m;
    bool *told = mem_array(l->n + 1, sizeof *told);
    size_t i, k = 0, at;
    int32_t day;

    if (strcmp(c->kind, "average_cost") == 0) {
        double shares = (double)lots_sum(l).quantity_e8 / 1e8;

        compare_pair(c, "remaining", json_array_get(want, 0), shares,
                     (double)l->average_cost_e8 / 1e8 / shares);
        mem_free(told);
        return;
    }
    json_array_foreach(json_object_get(c->json, "lots"), i, m)
    {
        if (!day_of(m, "date", &day))
            continue;
        for (at = 0; at < l->n && (told[at] || l->lots[at].day != day); at++)
            ;
        if (at == l->n)
            continue; /* sold */
        told[at] = true;
        compare_pair(c, "remaining", json_array_get(want, k++), (double)l->lots[at].quantity_e8 / 1e8,
                     (double)l->lots[at].cost_e8 / (double)l->lots[at].quantity_e8);
    }
    mem_free(told);
    if (k != json_array_size(want))
        case_differs(c, "remaining: %zu lots", k);
}

bool lots_figure(struct vcase *c, const char *name, const json_t *want)
{
    struct perf_lots l = {.n = 0};
    struct booked b = {c, want, 0};
    bool booked = strcmp(name, "booked") == 0, done = true;
    double shares, sold = number_of(c->json, "sell_quantity", 0);

    buy_lots(json_object_get(c->json, "lots"), &l);
    shares = (double)lots_sum(&l).quantity_e8 / 1e8;
    if (strcmp(name, "average_cost") == 0)
        case_figure(c, name, UNIT_SHARES, shares > 0, (double)l.average_cost_e8 / 1e8 / shares);
    if (booked && strcmp(c->kind, "average_cost") == 0) /* one pool */
        compare_pair(c, name, json_array_get(want, b.n++), sold, (double)l.average_cost_e8 / 1e8 / shares);
    change(&l, c->period_end + 36500, -sold, -sold, booked && !b.n ? saw_lot : NULL, &b);
    if (booked && b.n != json_array_size(want))
        case_differs(c, "booked: %zu lots", b.n);
    else if (strcmp(name, "remaining") == 0)
        compare_remaining(c, want, &l);
    else if (strcmp(name, "error") == 0 && ++c->compared && lots_sum(&l).quantity_e8 >= 0)
        case_differs(c, "no short position where \"%s\" is expected", json_string_value(want));
    else
        done = booked || strcmp(name, "average_cost") == 0 || strcmp(name, "error") == 0;
    lots_free(&l);
    return done;
}
