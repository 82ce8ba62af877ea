/*
 * Market data of a period: instruments, closes, splits, exchange rates.
 *
 * Of a series only those points are read that a summary of the period can use:
 * the last one up to the open, those within, and the first one after (for what
 * had no quote before). Points that are no figures (NaN, negative, absurd) are
 * left out, as if the quote were missing: it is carried forward and flagged.
 *
 * Instruments are read in chunks, so that a long period does not need much
 * memory at once; each ends up in one piece of memory of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/source/portfolio.h"

/* Closes of one result, some 20 bytes each. */
#define MAX_CLOSES_AT_ONCE 200000
/* Rates of a period: 900 pairs for ten months, 30 pairs for 25 years. */
#define MAX_RATES 200000
/* Of one instrument; more are no corporate history but an error. */
#define MAX_SPLITS "1000"

/* Three index lookups for each series: x is the table, w the outer row. */
#define SERIES(table, column, key, good, value)                                                              \
    " ((SELECT " column ", " value " FROM " table " WHERE " key " AND " column " <= $2::date AND " column    \
    " >= date '1900-01-01' AND " good " ORDER BY " column " DESC LIMIT 1)"                                   \
    " UNION ALL (SELECT " column ", " value " FROM " table " WHERE " key " AND " column                      \
    " > $2::date AND " column " <= $3::date AND " good ")"                                                   \
    " UNION ALL (SELECT " column ", " value " FROM " table " WHERE " key " AND " column                      \
    " > $3::date AND " column " <= date '9999-12-31' AND " good " ORDER BY " column                          \
    " LIMIT 1)) AS x(day, value)"

/* clang-format off */
static const char instruments_sql[] =
    "SELECT DISTINCT ON (w.no) w.no, left(i.symbol::text, 40), left(i.name::text, 120), left(i.currency::text, 4), left(i.asset_class::text, 30)"
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, no) JOIN portfolio.instruments i ON i.id = w.id"
    " ORDER BY w.no";

/* A row for each instrument: what a row for each close costs, in the server and here, is more than the close. */
static const char closes_sql[] =
    "SELECT w.no, c.days, c.closes FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, no), LATERAL ("
    "SELECT array_agg((x.day::date - date '1970-01-01')::bigint), array_agg((x.value * 100000000)::bigint) FROM"
    SERIES("portfolio.prices", "day", "instrument_id = w.id",
           "close::numeric BETWEEN 0 AND 90000000000"
           " AND (recorded_at <= $4::timestamptz OR recorded_at IS NULL)", "close::numeric")
    ") AS c(days, closes) WHERE c.days IS NOT NULL ORDER BY w.no";

static const char splits_sql[] =
    "SELECT w.no, x.day - date '1970-01-01', x.numerator, x.denominator"
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, no), LATERAL (SELECT day::date,"
    "  coalesce(numerator::integer, 0) AS numerator, coalesce(denominator::integer, 0) AS denominator"
    "  FROM portfolio.splits WHERE instrument_id = w.id"
    "   AND day BETWEEN date '1900-01-01' AND date '9999-12-31' ORDER BY day LIMIT " MAX_SPLITS ") AS x"
    " ORDER BY w.no, x.day";

/* The distinct pairs by a loose scan of the primary key. */
static const char rates_sql[] =
    "WITH RECURSIVE pair AS ((SELECT base, quote FROM portfolio.fx_rates ORDER BY base, quote LIMIT 1)"
    " UNION ALL SELECT n.base, n.quote FROM pair AS p, LATERAL (SELECT base, quote FROM portfolio.fx_rates"
    "  WHERE (base, quote) > (p.base, p.quote) ORDER BY base, quote LIMIT 1) AS n)"
    " SELECT left(w.base::text, 4), left(w.quote::text, 4), x.day::date - date '1970-01-01',"
    "  (x.value * 10000000000)::bigint"
    " FROM (SELECT base, quote, $1::integer FROM pair) AS w, LATERAL"
    SERIES("portfolio.fx_rates", "day", "base = w.base AND quote = w.quote",
           "rate::numeric BETWEEN 0.0000000001 AND 900000000", "rate::numeric")
    " ORDER BY w.base, w.quote, x.day, x.value LIMIT $4::bigint";
/* clang-format on */

static int run(struct fp_source *s, const char *name, const char *sql, const struct portfolio_period *p,
               const int64_t *ids, size_t n, struct fp_rows **rows, struct fp_err *err)
{
    struct pg_args a;

    pg_args_init(&a);
    pg_arg_i64s(&a, ids, n);
    if (p) {
        pg_arg_day(&a, p->start - 1);
        pg_arg_day(&a, p->end);
        pg_arg_time_us(&a, p->as_of_us);
    }
    int failed = pg_run(source_pg(s), name, sql, &a, rows, err);
    pg_args_fini(&a);
    return failed ? err_prefix(err, "%s of %zu instruments", name, n) : 0;
}

/* --- instruments ---------------------------------------------------------------------- */

struct chunk {
    struct fp_rows *names, *closes, *splits;
    int name, close, split; /* next row */
};

/* Rows of the n-th id from *row on; leaves *row behind them. */
static int rows_of(const struct fp_rows *r, int *row, int64_t no)
{
    int first = *row;

    while (*row < pg_rows_count(r) && pg_i64(r, *row, 0) == no)
        (*row)++;
    return *row - first;
}

/* A day that comes twice out of a view counts once. */
static size_t read_points(const struct fp_rows *r, int first, int n, struct perf_point *out)
{
    size_t kept = 0;

    for (int row = first; row < first + n; row++) {
        int32_t day = (int32_t)pg_i64(r, row, 2);

        if (!kept || out[kept - 1].day != day)
            out[kept++] = (struct perf_point){day, pg_i64(r, row, 3)};
    }
    return kept;
}

static int by_day(const void *a, const void *b)
{
    const struct perf_point *x = a, *y = b;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* By day; an index gives them so, and a view anyhow. Of a day that comes twice the lowest counts. */
static size_t in_order(struct perf_point *points, size_t n)
{
    bool sorted = true;
    size_t kept = 0;

    for (size_t i = 1; sorted && i < n; i++)
        sorted = points[i - 1].day < points[i].day;
    if (sorted)
        return n;
    qsort(points, n, sizeof *points, by_day);
    for (size_t i = 0; i < n; i++)
        if (!kept || points[kept - 1].day != points[i].day)
            points[kept++] = points[i];
    return kept;
}

/* The two arrays of a row; both belong to the caller. */
struct closes {
    int64_t *days, *values;
    size_t n;
};

static struct closes read_closes(const struct fp_rows *r, int row)
{
    struct closes c = {0};
    size_t values = 0;

    if (pg_i64s(r, row, 1, &c.days, &c.n) && pg_i64s(r, row, 2, &c.values, &values) && values < c.n)
        c.n = values; /* cannot be: neither is ever null */
    return c;
}

static size_t read_splits(const struct fp_rows *r, int first, int n, struct perf_split *out)
{
    size_t kept = 0;

    for (int row = first; row < first + n; row++) {
        struct perf_split split = {(int32_t)pg_i64(r, row, 1), (int32_t)pg_i64(r, row, 2),
                                   (int32_t)pg_i64(r, row, 3)};

        if (!kept || out[kept - 1].day != split.day)
            out[kept++] = split;
    }
    return kept;
}

static void read_name(const struct fp_rows *r, int row, struct portfolio_instrument *i)
{
    (void)text_clean(i->symbol, sizeof i->symbol, pg_text(r, row, 1));
    (void)text_clean(i->name, sizeof i->name, pg_text(r, row, 2));
    i->data.currency = perf_currency(pg_text(r, row, 3));
    (void)text_clean(i->data.asset_class, sizeof i->data.asset_class, pg_text(r, row, 4));
}

static struct portfolio_instrument *read_instrument(struct chunk *c, int64_t id, int64_t no)
{
    int names = rows_of(c->names, &c->name, no), splits = rows_of(c->splits, &c->split, no);
    struct closes closes = {0};

    if (rows_of(c->closes, &c->close, no))
        closes = read_closes(c->closes, c->close - 1);
    size_t closes_bytes = closes.n * sizeof(struct perf_point);
    size_t bytes =
        sizeof(struct portfolio_instrument) + closes_bytes + (size_t)splits * sizeof(struct perf_split);
    struct portfolio_instrument *i = mem_alloc(bytes);
    struct perf_point *points = (struct perf_point *)(i + 1);
    struct perf_split *split = (struct perf_split *)((char *)points + closes_bytes);

    i->id = id;
    i->bytes = bytes;
    i->known = names > 0;
    if (i->known)
        read_name(c->names, c->name - names, i);
    for (size_t k = 0; k < closes.n; k++)
        points[k] = (struct perf_point){(int32_t)closes.days[k], closes.values[k]};
    i->data.closes_e8 = (struct perf_series){points, in_order(points, closes.n)};
    i->data.splits = split;
    i->data.n_splits = read_splits(c->splits, c->split - splits, splits, split);
    mem_free(closes.days);
    mem_free(closes.values);
    return i;
}

static int load_chunk(struct fp_source *s, const struct portfolio_period *p, const int64_t *ids, size_t n,
                      struct portfolio_instrument **out, struct fp_err *err)
{
    struct chunk c = {0};
    int failed = run(s, "portfolio_instruments", instruments_sql, NULL, ids, n, &c.names, err) ||
                 run(s, "portfolio_closes", closes_sql, p, ids, n, &c.closes, err) ||
                 run(s, "portfolio_splits", splits_sql, NULL, ids, n, &c.splits, err);

    for (size_t i = 0; !failed && i < n; i++)
        out[i] = read_instrument(&c, ids[i], (int64_t)i + 1);
    pg_rows_free(c.names);
    pg_rows_free(c.closes);
    pg_rows_free(c.splits);
    return failed ? -1 : 0;
}

int portfolio_instruments_load(struct fp_source *s, const struct portfolio_period *period, const int64_t *ids,
                               size_t n, struct portfolio_instrument **out, struct fp_err *err)
{
    size_t days = (size_t)(period->end - period->start) + 3, at_once = MAX_CLOSES_AT_ONCE / days + 1;

    for (size_t done = 0; done < n; done += at_once) {
        size_t count = n - done < at_once ? n - done : at_once;

        if (load_chunk(s, period, ids + done, count, out + done, err)) {
            for (size_t i = 0; i < done; i++)
                mem_free(out[i]);
            return -1;
        }
    }
    return 0;
}

/* --- rates ------------------------------------------------------------------------------ */

static void read_rates(const struct fp_rows *r, struct portfolio_rates *out)
{
    int n = pg_rows_count(r), used = 0;

    out->n_pairs = 0;
    out->points = mem_array((size_t)n + 1, sizeof *out->points);
    out->pairs = mem_array((size_t)n + 1, sizeof *out->pairs);
    while (used < n) {
        int32_t base = perf_currency(pg_text(r, used, 0)), quote = perf_currency(pg_text(r, used, 1));
        int first = used;

        while (used < n && perf_currency(pg_text(r, used, 0)) == base &&
               perf_currency(pg_text(r, used, 1)) == quote)
            used++;
        if (base && quote)
            out->pairs[out->n_pairs++] = (struct perf_pair){
                base, quote, {out->points + first, read_points(r, first, used - first, out->points + first)}};
    }
    out->pairs = mem_resize(out->pairs, out->n_pairs + 1, sizeof *out->pairs);
}

int portfolio_rates_load(struct fp_source *s, const struct portfolio_period *period,
                         struct portfolio_rates *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_i64(&a, 0); /* keeps $2 and $3 where SERIES has them */
    pg_arg_day(&a, period->start - 1);
    pg_arg_day(&a, period->end);
    pg_arg_i64(&a, MAX_RATES + 1);
    int failed = pg_run(source_pg(s), "portfolio_rates", rates_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "exchange rates");
    if (pg_rows_count(rows) > MAX_RATES) {
        pg_rows_free(rows);
        return err_set(err, FP_RESOURCE_EXHAUSTED,
                       "more than %d exchange rates in the period: shorten it, or offer"
                       " fewer pairs in portfolio.fx_rates",
                       MAX_RATES);
    }
    read_rates(rows, out);
    pg_rows_free(rows);
    return 0;
}

void portfolio_rates_fini(struct portfolio_rates *r)
{
    mem_free(r->pairs);
    mem_free(r->points);
    *r = (struct portfolio_rates){0};
}
