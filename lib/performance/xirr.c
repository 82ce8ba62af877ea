/*
 * The money-weighted rate. With v, what one unit of tomorrow is worth today,
 *
 *     f(v) = sum of amount_i v^(day_i - day_0)
 *
 * is a polynomial whose exponents are whole days: it needs no exp and no pow,
 * and is the same to the last bit on every machine. Below v = 1 (gains) it is
 * taken from the last flow to the first (Horner over the gaps); above (losses)
 * from the first to the last in u = 1 / v, which has the same roots. So powers
 * are of numbers up to 1 and never overflow.
 *
 * How many roots there can be is known before a search: on (0, 1) at most as
 * many as the sums of the flows from the first day on change sign (Norstrom,
 * by Descartes' rule on f(v) / (1 - v)), and in u the same of the sums from the
 * last day back. Somebody who invests has one, and it is solved from the
 * Modified Dietz rate by Newton's method inside a bracket. Else a grid that
 * grows outwards finds all changes of sign, up to where the outermost flow
 * outweighs the rest and no root can follow; a cell without one, into which the
 * curve comes nearer to zero from both ends, is looked at where the curve turns,
 * so that two roots in one cell are found, too. What remains unseen is a pair in
 * a cell in which the curve turns three times and more.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/performance/returns.h"

#define STACK_FLOWS  512
#define TEN_PERCENT  0x1.ffddc748a2f0bp-1 /* 1.1^(-1 / 365): where the nearest root is measured from */
#define FIRST_STEP   0.02                 /* of the grid, in the logarithm of the whole span's factor */
#define STEP_GROWTH  1.02
#define LARGEST_STEP 0.5
#define GRID_POINTS  4000 /* far beyond what a hundred years take */
#define ITERATIONS   120
#define CONVERGED    1e-11 /* a step of a day's factor: what is left is its square times the days */

struct curve {
    const struct returns_flow *flows;
    size_t n; /* first and last day have a sum that is not zero */
    double first, last, total, sum_abs;
    int64_t first_gap, last_gap; /* from the outermost days to the next ones that are not zero */
    int64_t days;
    int gains, losses; /* how many roots there can be with v below 1, above 1 */
};

/* One side of v = 1: u in (0, 1], flows taken so that u = 0 leaves `outer`. */
struct side {
    const struct curve *c;
    bool loss; /* u is 1 / v */
    double outer;
    int64_t outer_gap;
};

struct roots {
    int n;
    double v, distance; /* of the nearest to +10 %; 1 is at it */
};

/* --- the polynomial ------------------------------------------------------------- */

static double power(double base, uint64_t n)
{
    double p = 1;

    for (; n; n >>= 1, base *= base)
        if (n & 1)
            p *= base;
    return p;
}

/* u^(2^k), as many as the longest gap has bits. */
struct powers {
    double square[33];
    int n;
};

static inline double raise(struct powers *t, uint64_t gap)
{
    double p = 1;

    for (int k = 0; gap; gap >>= 1, k++) {
        if (k == t->n) {
            t->square[k] = t->square[k - 1] * t->square[k - 1];
            t->n++;
        }
        if (gap & 1)
            p *= t->square[k];
    }
    return p;
}

/* f on this side; *slope: its derivative by the logarithm of u. */
static double value_at(const struct side *s, double u, double *slope)
{
    const struct returns_flow *f = s->c->flows + (s->loss ? 0 : s->c->n - 1), *next;
    struct powers t;
    double acc = f->amount, d = 0, p = 1;
    int64_t gap = 0, known = 0;
    int step = s->loss ? 1 : -1;

    t.square[0] = u;
    t.n = 1;
    for (size_t left = s->c->n - 1; left; left--, f = next) {
        next = f + step;
        gap = s->loss ? (int64_t)next->day - f->day : (int64_t)f->day - next->day;
        if (gap != known) {
            p = raise(&t, (uint64_t)gap);
            known = gap;
        }
        d = (d + (double)gap * acc) * p;
        acc = acc * p + next->amount;
    }
    *slope = d;
    return acc;
}

/* --- the flows -------------------------------------------------------------------- */

/* The sum of the flows of one day, from *i on; *i moves behind them. */
static double day_sum(const struct returns_flow *f, size_t n, size_t *i)
{
    int32_t day = f[*i].day;
    double sum = 0;

    for (; *i < n && f[*i].day == day; (*i)++)
        sum += f[*i].amount;
    return sum;
}

/* The same backwards: of [0, *end), *end moves before them. */
static double day_sum_back(const struct returns_flow *f, size_t *end)
{
    size_t from = *end, stop = *end, i;

    while (from > 0 && f[from - 1].day == f[stop - 1].day)
        from--;
    i = *end = from;
    return day_sum(f, stop, &i);
}

/* False when the flows cannot be solved: out of order, not finite. */
static bool sane(const struct returns_flow *f, size_t n, double *sum_abs)
{
    *sum_abs = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && f[i].day < f[i - 1].day)
            return false;
        *sum_abs += fabs(f[i].amount);
    }
    return isfinite(*sum_abs);
}

/* Cuts days that sum to zero off both ends. False when nothing is left. */
static bool trim(struct curve *c)
{
    size_t i = 0, from = 0;

    while ((from = i) < c->n && (c->first = day_sum(c->flows, c->n, &i)) == 0)
        ;
    if (from >= c->n)
        return false;
    c->flows += from;
    c->n -= from;
    for (size_t end = c->n; (c->last = day_sum_back(c->flows, &end)) == 0;)
        c->n = end;
    c->days = (int64_t)c->flows[c->n - 1].day - c->flows[0].day;
    return c->days > 0;
}

static int turns(double *before, double sum)
{
    int turn = sum != 0 && *before != 0 && (sum > 0) != (*before > 0);

    if (sum != 0)
        *before = sum;
    return turn;
}

/* How often the running sums change sign, from the first day and from the last. */
static void count(struct curve *c)
{
    double sum = 0, before = 0, day;

    for (size_t i = 0; i < c->n;) {
        int32_t at = c->flows[i].day;

        day = day_sum(c->flows, c->n, &i);
        sum += day;
        c->gains += turns(&before, sum);
        if (!c->first_gap && day != 0)
            c->first_gap = (int64_t)at - c->flows[0].day;
    }
    c->total = sum;
    sum = before = 0;
    for (size_t end = c->n; end > 0;) {
        int32_t at = c->flows[end - 1].day;

        day = day_sum_back(c->flows, &end);
        sum += day;
        c->losses += turns(&before, sum);
        if (!c->last_gap && day != 0)
            c->last_gap = (int64_t)c->flows[c->n - 1].day - at;
    }
}

/* --- one root ------------------------------------------------------------------------ */

/* Where Modified Dietz puts the rate: y = ln(1 + r) by r / sqrt(1 + r), spread over the days. */
static double first_guess(const struct curve *c)
{
    double capital = 0, days = (double)c->days, r, y = 1;
    int32_t end = c->flows[c->n - 1].day;

    for (size_t i = 0; i < c->n; i++)
        capital -= c->flows[i].amount * (double)((int64_t)end - c->flows[i].day);
    r = c->total * days / capital;
    if (capital > 0 && r > -1 && isfinite(r))
        y = fabs(r / sqrt(1 + r));
    return days / (days + y);
}

/* Between the logarithms of both; an end at 0 or 1 has none worth halving. */
static double middle(double low, double high)
{
    double m = low > 0 ? sqrt(low) * sqrt(high) : high < 0.99 ? high * high : high - 0.02;

    return m > low && m < high ? m : low + (high - low) / 2;
}

/* A root in (low, high), where f changes its sign; f at low has the sign of at_low. */
static double solve(const struct side *s, double low, double high, double at_low, double guess)
{
    double u = guess > low && guess < high ? guess : middle(low, high), last_step = 1;

    for (int i = 0; i < ITERATIONS; i++) {
        double slope, f = value_at(s, u, &slope), step, to;

        if (f == 0)
            return u;
        if ((f > 0) == (at_low > 0))
            low = u;
        else
            high = u;
        step = -f / slope;
        to = u + u * step;
        if (!(to > low && to < high) || fabs(step) > last_step / 2) {
            to = middle(low, high);
            step = 1; /* Newton may begin anew from here */
        }
        if (to == u || to <= low || to >= high)
            return u;
        u = to;
        last_step = fabs(step);
        if (last_step < CONVERGED)
            return u;
    }
    return u;
}

/* --- all roots ------------------------------------------------------------------------- */

static void found(struct roots *r, double v)
{
    double distance = v > TEN_PERCENT ? v / TEN_PERCENT : TEN_PERCENT / v;

    if (r->n++ == 0 || distance < r->distance) {
        r->v = v;
        r->distance = distance;
    }
}

static void found_on(struct roots *r, const struct side *s, double u)
{
    if (u > 0 && isfinite(1 / u))
        found(r, s->loss ? 1 / u : u);
}

/* A point of the curve. */
struct spot {
    double u, f, slope;
};

static struct spot spot_at(const struct side *s, double u)
{
    struct spot p = {.u = u};

    p.f = value_at(s, u, &p.slope);
    return p;
}

static bool same_sign(double a, double b)
{
    return (a > 0 && b > 0) || (a < 0 && b < 0);
}

/* The curve comes nearer to zero from both ends of the cell: where it turns, it is across
 * (two roots), or touches zero as far as doubles can tell (one), or stays short of it. */
static void look_at_turn(const struct side *s, const struct spot *outer, const struct spot *inner,
                         struct roots *r)
{
    double low = outer->u, high = inner->u;
    struct spot turn = *inner;

    for (int i = 0; i < ITERATIONS; i++) {
        double m = low + (high - low) / 2;

        if (m <= low || m >= high)
            break;
        turn = spot_at(s, m);
        if (same_sign(turn.slope, inner->slope))
            high = m;
        else
            low = m;
    }
    if (fabs(turn.f) <= (double)s->c->n * DBL_EPSILON * s->c->sum_abs) {
        found_on(r, s, turn.u);
    } else if (!same_sign(turn.f, inner->f)) {
        found_on(r, s, solve(s, outer->u, turn.u, outer->f, outer->u));
        found_on(r, s, solve(s, turn.u, inner->u, turn.f, inner->u));
    }
}

/* The inner end is a root, which has been counted: another follows when the curve leaves it
 * to one side and ends the cell on the other. */
static void look_behind_root(const struct side *s, const struct spot *outer, const struct spot *inner,
                             struct roots *r)
{
    double width = inner->u - outer->u, slope;

    if (same_sign(-inner->slope, outer->f) || inner->slope == 0)
        return;
    for (int i = 0; i < ITERATIONS; i++) {
        double high = inner->u - (width /= 2);

        if (high >= inner->u)
            return;
        if (same_sign(value_at(s, high, &slope), -inner->slope)) {
            found_on(r, s, solve(s, outer->u, high, outer->f, outer->u));
            return;
        }
    }
}

static void look_between(const struct side *s, const struct spot *outer, const struct spot *inner,
                         struct roots *r)
{
    if (outer->f == 0)
        found_on(r, s, outer->u);
    else if (inner->f == 0)
        look_behind_root(s, outer, inner, r);
    else if (!same_sign(outer->f, inner->f))
        found_on(r, s, solve(s, outer->u, inner->u, outer->f, outer->u));
    else if (same_sign(inner->f, inner->slope) && same_sign(outer->f, -outer->slope))
        look_at_turn(s, outer, inner, r);
}

/* Outwards from u = 1, in steps that grow with the distance, as what there is
 * to see does. Ends where the outermost flow outweighs all others together. */
static void scan(const struct side *s, struct roots *r)
{
    double step = FIRST_STEP / (double)s->c->days;
    struct spot inner = spot_at(s, 1), outer;

    inner.f = s->c->total;
    for (int i = 0; i < GRID_POINTS; i++) {
        outer = spot_at(s, inner.u * (1 - step));
        look_between(s, &outer, &inner, r);
        if (fabs(s->outer) > power(outer.u, (uint64_t)s->outer_gap) * s->c->sum_abs)
            return;
        inner = outer;
        step = step * STEP_GROWTH < LARGEST_STEP ? step * STEP_GROWTH : LARGEST_STEP;
    }
}

static void search(const struct side *s, int most, struct roots *r)
{
    if (most == 1 && s->c->total != 0)
        found_on(r, s, solve(s, 0, 1, s->outer, first_guess(s->c)));
    else if (most > 0)
        scan(s, r);
}

static struct returns_mwr rate_of(double v, int64_t days)
{
    struct returns_mwr m = {.defined = true};
    bool loss = v > 1;
    double u = loss ? 1 / v : v; /* the power of what is below 1 cannot overflow */

    m.annual = power(u, RETURNS_YEAR_DAYS);
    m.period = power(u, (uint64_t)days);
    m.annual = (loss ? m.annual : 1 / m.annual) - 1;
    m.period = (loss ? m.period : 1 / m.period) - 1;
    if (!isfinite(m.annual) || !isfinite(m.period))
        return (struct returns_mwr){0};
    return m;
}

/* Paid in, and in the end there is nothing. */
static bool total_loss(const struct returns_flow *f, size_t n)
{
    bool paid = false;

    if (n < 2 || f[n - 1].amount != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (f[i].amount > 0)
            return false;
        paid |= f[i].amount < 0 && f[i].day < f[n - 1].day;
    }
    return paid;
}

struct returns_mwr returns_xirr_sorted(const struct returns_flow *flows, size_t n)
{
    struct curve c = {.flows = flows, .n = n};
    struct roots roots = {0};
    struct returns_mwr m;

    if (!sane(flows, n, &c.sum_abs))
        return (struct returns_mwr){0};
    if (total_loss(flows, n))
        return (struct returns_mwr){.defined = true, .annual = -1, .period = -1};
    if (!trim(&c))
        return (struct returns_mwr){0};
    count(&c);
    if (c.total == 0)
        found(&roots, 1);
    search(&(struct side){&c, false, c.first, c.first_gap}, c.gains, &roots);
    search(&(struct side){&c, true, c.last, c.last_gap}, c.losses, &roots);
    if (roots.n == 0)
        return (struct returns_mwr){0};
    m = rate_of(roots.v, c.days);
    m.several = m.defined && roots.n > 1;
    return m;
}

/* By day and amount: a sum of doubles must not depend on the order they came in. */
static int by_day(const void *a, const void *b)
{
    const struct returns_flow *x = a, *y = b;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return (x->amount > y->amount) - (x->amount < y->amount);
}

struct returns_mwr returns_xirr(const struct returns_flow *flows, size_t n)
{
    struct returns_flow few[STACK_FLOWS], *sorted = few, closing;
    struct returns_mwr m;

    if (n == 0)
        return (struct returns_mwr){0};
    if (n > STACK_FLOWS)
        sorted = mem_array(n, sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = flows[i];
    closing = flows[n - 1];
    qsort(sorted, n, sizeof *sorted, by_day);
    if (closing.amount == 0 && closing.day == sorted[n - 1].day && total_loss(flows, n))
        m = (struct returns_mwr){.defined = true, .annual = -1, .period = -1};
    else
        m = returns_xirr_sorted(sorted, n);
    if (sorted != few)
        mem_free(sorted);
    return m;
}
