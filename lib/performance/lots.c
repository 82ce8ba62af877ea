/*
 * Lots in one array, oldest first within each account. A part of a lot carries
 * its share of cost and basis, rounded once; what is used up whole takes the
 * rest, so that no cost is lost or made over the life of a lot.
 */
#include "lib/performance/lots.h"

#include <string.h>

#include "lib/base/mem.h"

static bool reserve(struct perf_lots *l)
{
    if (l->n < l->cap)
        return true;
    if (l->n >= LOTS_MAX)
        return false;
    l->cap = l->cap * 2 + 8;
    l->lots = mem_resize(l->lots, l->cap, sizeof *l->lots);
    return true;
}

bool lots_append(struct perf_lots *l, const struct perf_lot *lot)
{
    if (!reserve(l))
        return false;
    l->lots[l->n++] = *lot;
    return true;
}

/* Behind those of the same account and transit that are not younger. */
static bool insert(struct perf_lots *l, const struct perf_lot *lot)
{
    size_t at = l->n;

    if (!reserve(l))
        return false;
    while (at > 0 && l->lots[at - 1].day > lot->day)
        at--;
    memmove(l->lots + at + 1, l->lots + at, (l->n - at) * sizeof *l->lots);
    l->lots[at] = *lot;
    l->n++;
    return true;
}

/* v x part / whole, both of one sign. Within 128 bits: values end at 2^90 and
 * so the quantity is taken in halves when it is long. */
static fp_i128 share(fp_i128 v, int64_t part, int64_t whole)
{
    fp_i128 high, rest;

    if (part == whole)
        return v;
    if (whole < 0)
        part = -part, whole = whole == INT64_MIN ? INT64_MAX : -whole;
    high = v / whole;
    rest = v % whole;
    return high * part + fixed_div(rest * part, whole);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t magnitude(int64_t v)
{
    return v == INT64_MIN ? INT64_MAX : v < 0 ? -v : v;
}

/* Takes `quantity` (of the lot's sign, at most all of it) out of the lot. */
static struct perf_lot take(struct perf_lot *lot, int64_t quantity_e8)
{
    struct perf_lot part = *lot;

    part.quantity_e8 = quantity_e8;
    part.cost_e8 = share(lot->cost_e8, quantity_e8, lot->quantity_e8);
    part.basis_e8 = share(lot->basis_e8, quantity_e8, lot->quantity_e8);
    lot->quantity_e8 -= part.quantity_e8;
    lot->cost_e8 -= part.cost_e8;
    lot->basis_e8 -= part.basis_e8;
    return part;
}

/* And counts anew what is in transit. */
static void drop_empty(struct perf_lots *l)
{
    size_t kept = 0;

    l->transit_e8 = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!l->lots[i].quantity_e8)
            continue;
        if (l->lots[i].transit)
            l->transit_e8 += l->lots[i].quantity_e8;
        l->lots[kept++] = l->lots[i];
    }
    l->n = kept;
}

/* --- what is owed ------------------------------------------------------------------------- */

/* What would be beyond an int64 is not owed: only hostile input has so many. */
static bool owe_more(struct perf_owed *owed, int64_t quantity_e8)
{
    if (quantity_e8 > INT64_MAX - owed->quantity_e8)
        return false;
    owed->quantity_e8 += quantity_e8;
    return true;
}

bool lots_owe(struct perf_lots *l, const struct perf_owed *owed)
{
    int at = l->n_owed;

    while (at > 0 && l->owed[at - 1].left > owed->left)
        at--;
    if (at > 0 && l->owed[at - 1].left == owed->left)
        return owe_more(&l->owed[at - 1], owed->quantity_e8);
    if (l->n_owed == LOTS_OWED_MAX)
        return false;
    if (!l->owed)
        l->owed = mem_alloc(LOTS_OWED_MAX * sizeof *l->owed);
    memmove(l->owed + at + 1, l->owed + at, (size_t)(l->n_owed++ - at) * sizeof *l->owed);
    l->owed[at] = *owed;
    return true;
}

static void drop_owed(struct perf_lots *l, int i)
{
    memmove(l->owed + i, l->owed + i + 1, (size_t)(--l->n_owed - i) * sizeof *l->owed);
}

void lots_drop_owed(struct perf_lots *l, int32_t day)
{
    while (l->n_owed && lots_are_overdue(l->owed[0].left, day))
        drop_owed(l, 0);
}

/* Returns how many of the oldest are settled, when they left on that day. */
static int64_t settle_owed(struct perf_lots *l, int32_t left, int64_t quantity_e8)
{
    int64_t settled_e8;

    if (!l->n_owed || l->owed[0].left != left)
        return 0;
    settled_e8 = smaller(l->owed[0].quantity_e8, quantity_e8);
    l->owed[0].quantity_e8 -= settled_e8;
    if (!l->owed[0].quantity_e8)
        drop_owed(l, 0);
    return settled_e8;
}

/* --- purchases and sales ---------------------------------------------------------------- */

struct use {
    struct perf_lots *l;
    struct perf_lots_change left; /* of the change */
    struct perf_lots_result *r;
    perf_lots_seen *seen;
    void *ctx;
};

/* The lot ends against a part of the change: what it cost and what that brought
 * have opposite signs, and their sum is the loss. */
static void close_lot(struct use *u, struct perf_lot *lot)
{
    int64_t n = smaller(magnitude(lot->quantity_e8), magnitude(u->left.quantity_e8));
    int64_t of_lot = lot->quantity_e8 < 0 ? -n : n;
    struct perf_lot part = take(lot, of_lot);
    fp_i128 net_e8 = share(u->left.net_e8, -of_lot, u->left.quantity_e8);
    fp_i128 gross_e8 = share(u->left.gross_e8, -of_lot, u->left.quantity_e8);

    u->r->fifo_e8 -= part.cost_e8 + net_e8;
    u->r->basis_e8 -= part.basis_e8 + gross_e8;
    if (part.transit && !u->left.of_transit)
        lots_owe(u->l, &(struct perf_owed){part.left, n});
    u->left.quantity_e8 += of_lot;
    u->left.net_e8 -= net_e8;
    u->left.gross_e8 -= gross_e8;
    if (u->seen)
        u->seen(u->ctx, &part, of_lot, part.cost_e8, -net_e8);
}

/* The account's own, those of others, what is on its way. */
enum choice { CHOICE_FIRST, CHOICE_SETTLED, CHOICE_ANY, CHOICES };

static bool is_chosen(const struct use *u, const struct perf_lot *lot, enum choice choice)
{
    if (choice == CHOICE_ANY)
        return true;
    if (u->left.of_transit)
        return lot->transit && lots_are_overdue(lot->left, u->left.day);
    return !lot->transit && (choice == CHOICE_SETTLED || lot->account == u->left.account);
}

static void close_lots(struct use *u, enum choice choice)
{
    for (size_t i = 0; i < u->l->n && u->left.quantity_e8; i++) {
        struct perf_lot *lot = &u->l->lots[i];

        if (lot->quantity_e8 && (lot->quantity_e8 < 0) != (u->left.quantity_e8 < 0) &&
            is_chosen(u, lot, choice))
            close_lot(u, lot);
    }
}

/* The pool at average cost: closed in proportion, the rest opens anew. */
static void change_average(struct perf_lots *l, const struct perf_lots_change *c, struct perf_lots_result *r)
{
    int64_t closes;
    fp_i128 cost_e8, net_e8;

    if (!c->before_e8 || (c->before_e8 < 0) == (c->quantity_e8 < 0)) {
        l->average_cost_e8 += c->net_e8;
        return;
    }
    closes = smaller(magnitude(c->before_e8), magnitude(c->quantity_e8));
    cost_e8 = share(l->average_cost_e8, c->before_e8 < 0 ? -closes : closes, c->before_e8);
    net_e8 = share(c->net_e8, c->quantity_e8 < 0 ? -closes : closes, c->quantity_e8);
    r->average_e8 -= cost_e8 + net_e8;
    l->average_cost_e8 += c->net_e8 - net_e8 - cost_e8;
}

bool lots_change(struct perf_lots *l, const struct perf_lots_change *c, struct perf_lots_result *r,
                 perf_lots_seen *seen, void *ctx)
{
    struct use u = {l, *c, r, seen, ctx};

    *r = (struct perf_lots_result){0};
    change_average(l, c, r);
    for (enum choice choice = CHOICE_FIRST; choice < CHOICES; choice++)
        close_lots(&u, choice);
    drop_empty(l);
    if (!u.left.quantity_e8)
        return true;
    return insert(l, &(struct perf_lot){.account = c->account,
                                        .day = c->day,
                                        .quantity_e8 = u.left.quantity_e8,
                                        .cost_e8 = u.left.net_e8,
                                        .basis_e8 = u.left.gross_e8});
}

/* --- transfers ------------------------------------------------------------------------------ */

struct place {
    int64_t account;
    bool transit;
    int32_t left;
};

/* Parts keep their day; a part is a lot of its own. `what` is what `from`
 * compares. What leaves while it is in transit, its first arrival is owed.
 * Returns how many moved. */
static int64_t move(struct perf_lots *l, bool (*from)(const struct perf_lot *, int64_t), int64_t what,
                    const struct place *to, int64_t quantity_e8)
{
    int64_t left = quantity_e8;
    size_t n = l->n;

    for (size_t i = 0; i < n && left; i++) {
        struct perf_lot part;

        if (l->lots[i].quantity_e8 <= 0 || !from(&l->lots[i], what) || !reserve(l))
            continue;
        part = take(&l->lots[i], smaller(l->lots[i].quantity_e8, left));
        left -= part.quantity_e8;
        if (part.transit && to->transit)
            lots_owe(l, &(struct perf_owed){part.left, part.quantity_e8});
        part.transit = to->transit;
        part.account = to->account;
        part.left = to->left;
        l->lots[l->n++] = part;
    }
    drop_empty(l);
    return quantity_e8 - left;
}

static void sort_by_day(struct perf_lots *l)
{
    for (size_t i = 1; i < l->n; i++) { /* nearly sorted: insertion, stable */
        struct perf_lot lot = l->lots[i];
        size_t at = i;

        for (; at > 0 && l->lots[at - 1].day > lot.day; at--)
            l->lots[at] = l->lots[at - 1];
        l->lots[at] = lot;
    }
}

static bool in_account(const struct perf_lot *lot, int64_t account)
{
    return !lot->transit && lot->account == account;
}

static bool elsewhere(const struct perf_lot *lot, int64_t account)
{
    return !lot->transit && lot->account != account;
}

static bool in_transit(const struct perf_lot *lot, int64_t any)
{
    (void)any;
    return lot->transit;
}

static bool left_on(const struct perf_lot *lot, int64_t day)
{
    return lot->transit && lot->left == day;
}

static void drop_early(struct perf_lots *l, int i)
{
    memmove(l->early + i, l->early + i + 1, (size_t)(--l->n_early - i) * sizeof *l->early);
}

void lots_drop_early(struct perf_lots *l)
{
    drop_early(l, 0);
}

/* To where shares are expected, of which the source has had the other side
 * already. What is sold since has not moved, and is waited for no more. */
static int64_t serve_early(struct perf_lots *l, int64_t account, int64_t quantity_e8)
{
    int64_t left = quantity_e8;

    for (int i = 0; i < l->n_early && left;) {
        struct perf_early *e = &l->early[i];
        const struct place to = {.account = e->account};
        int64_t n = smaller(e->quantity_e8, left);

        if (e->account == account) {
            i++;
            continue;
        }
        move(l, in_account, account, &to, n);
        left -= n;
        e->quantity_e8 -= n;
        if (!e->quantity_e8)
            drop_early(l, i);
    }
    return quantity_e8 - left;
}

int64_t lots_leave(struct perf_lots *l, int64_t account, int32_t day, int64_t quantity_e8)
{
    const struct place transit = {account, true, day};
    int64_t moved = l->n_early ? serve_early(l, account, quantity_e8) : 0;

    if (moved < quantity_e8)
        moved += move(l, in_account, account, &transit, quantity_e8 - moved);
    if (moved < quantity_e8)
        moved += move(l, elsewhere, account, &transit, quantity_e8 - moved);
    if (moved < quantity_e8)
        moved += move(l, in_transit, account, &transit, quantity_e8 - moved);
    sort_by_day(l);
    return moved;
}

/* The day on which the first left of what has not arrived. */
static bool first_that_left(const struct perf_lots *l, int32_t *day)
{
    bool found = l->n_owed > 0;

    if (found)
        *day = l->owed[0].left;
    for (size_t i = 0; i < l->n && l->transit_e8; i++)
        if (l->lots[i].transit && (!found || l->lots[i].left < *day))
            found = true, *day = l->lots[i].left;
    return found;
}

int64_t lots_arrive(struct perf_lots *l, int64_t account, int64_t quantity_e8)
{
    const struct place here = {.account = account};
    int64_t left = quantity_e8, before;
    int32_t day;

    do {
        before = left;
        if (!left || !first_that_left(l, &day))
            break;
        left -= move(l, left_on, day, &here, left);
        left -= settle_owed(l, day, left);
    } while (left < before); /* else there are LOTS_MAX */
    sort_by_day(l);
    return quantity_e8 - left;
}

int64_t lots_overdue(const struct perf_lots *l, int32_t day)
{
    int64_t overdue_e8 = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->lots[i].transit && lots_are_overdue(l->lots[i].left, day))
            overdue_e8 += l->lots[i].quantity_e8;
    return overdue_e8;
}

bool lots_expect(struct perf_lots *l, const struct perf_early *e)
{
    fp_i128 there_e8 = 0;

    if (l->n_early == LOTS_EARLY_MAX)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (l->lots[i].quantity_e8 > 0 && elsewhere(&l->lots[i], e->account))
            there_e8 += l->lots[i].quantity_e8;
    for (int i = 0; i < l->n_early; i++)
        there_e8 -= l->early[i].quantity_e8;
    if (there_e8 < e->quantity_e8)
        return false;
    if (!l->early)
        l->early = mem_alloc(LOTS_EARLY_MAX * sizeof *l->early);
    l->early[l->n_early++] = *e;
    return true;
}

/* --- splits, the opening, sums ------------------------------------------------------------------ */

/* One lot never takes more than what is left of the rounded whole: all keep its sign. */
static bool split_early(struct perf_lots *l, int32_t numerator, int32_t denominator)
{
    for (int i = l->n_early; i-- > 0;) {
        struct perf_early *e = &l->early[i];

        if (!fixed_muldiv(e->quantity_e8, numerator, denominator, &e->quantity_e8) ||
            !fixed_muldiv(e->price_e8, denominator, numerator, &e->price_e8))
            return false;
        if (!e->quantity_e8)
            drop_early(l, i);
    }
    return true;
}

static bool split_owed(struct perf_lots *l, int32_t numerator, int32_t denominator)
{
    for (int i = l->n_owed; i-- > 0;) {
        int64_t *quantity_e8 = &l->owed[i].quantity_e8;

        if (!fixed_muldiv(*quantity_e8, numerator, denominator, quantity_e8))
            return false;
        if (!*quantity_e8)
            drop_owed(l, i);
    }
    return true;
}

bool lots_split(struct perf_lots *l, int32_t numerator, int32_t denominator, int64_t total_e8)
{
    if (!split_early(l, numerator, denominator) || !split_owed(l, numerator, denominator))
        return false;
    if (!total_e8) /* less than a share's smallest part is left: nothing, and nothing paid for it */
        l->average_cost_e8 = 0;
    for (size_t i = 0; i < l->n; i++) {
        int64_t *quantity_e8 = &l->lots[i].quantity_e8;

        if (!fixed_muldiv(*quantity_e8, numerator, denominator, quantity_e8))
            return false;
        if (i + 1 == l->n || magnitude(*quantity_e8) > magnitude(total_e8))
            *quantity_e8 = total_e8;
        total_e8 -= *quantity_e8;
    }
    drop_empty(l);
    return true;
}

void lots_rebase(struct perf_lots *l, int64_t quantity_e8, fp_i128 value_e8)
{
    for (size_t i = 0; i < l->n; i++) {
        struct perf_lot *lot = &l->lots[i];

        lot->basis_e8 =
            i + 1 == l->n || !quantity_e8 ? value_e8 : share(value_e8, lot->quantity_e8, quantity_e8);
        value_e8 -= lot->basis_e8;
        quantity_e8 -= lot->quantity_e8;
    }
}

struct perf_lots_sum lots_sum(const struct perf_lots *l)
{
    struct perf_lots_sum s = {0};

    for (size_t i = 0; i < l->n; i++) {
        s.quantity_e8 += l->lots[i].quantity_e8;
        s.cost_e8 += l->lots[i].cost_e8;
        s.basis_e8 += l->lots[i].basis_e8;
    }
    return s;
}

void lots_clear(struct perf_lots *l)
{
    l->n = 0;
    l->average_cost_e8 = 0;
    l->transit_e8 = 0;
    l->n_early = l->n_owed = 0;
}

void lots_free(struct perf_lots *l)
{
    mem_free(l->lots);
    mem_free(l->early);
    mem_free(l->owed);
    *l = (struct perf_lots){0};
}
