/*
 * Fingerprints: hashed and summed inside the database, put together here.
 *
 * Only rows that a computation can use are hashed, behind the same guards as
 * in market.c; a NaN that is loaded and left out changes nothing here either.
 */
#include "lib/source/fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

/* clang-format off */
static const char txs_sql[] =
    "SELECT user_id::bigint, count(*), sum(" FINGERPRINT_TX ")"
    " FROM portfolio.transactions WHERE user_id = ANY($1::bigint[]) AND trade_date <= $2::date"
    "  AND (recorded_at <= $3::timestamptz OR recorded_at IS NULL) GROUP BY user_id";

#define DAY_NO   "(day::date - date '1970-01-01')::bigint"
#define A_DAY    " day BETWEEN date '1900-01-01' AND date '9999-12-31'"
#define CLOSES   " FROM portfolio.prices WHERE instrument_id = w.id AND" A_DAY                                \
                 " AND close::numeric BETWEEN 0 AND 90000000000"                                             \
                 " AND (recorded_at <= $3::timestamptz OR recorded_at IS NULL)"
#define CLOSE_HASH "hash_numeric_extended(close::numeric, " DAY_NO ")"

/* Number and sum up to the first day, then what the days behind it add to them: each row is hashed once. */
#define TWO_DAYS(hash, first)                                                                                \
    "count(*) FILTER (WHERE day <= " first "::date), sum(" hash ") FILTER (WHERE day <= " first "::date),"   \
    " count(*) FILTER (WHERE day > " first "::date), sum(" hash ") FILTER (WHERE day > " first "::date)"
#define FIRST_CLOSE_AFTER(day) "(SELECT " CLOSE_HASH CLOSES " AND day > " day "::date ORDER BY day LIMIT 1)"

static const char instruments_sql[] =
    "SELECT w.no, c.n, c.sum, CASE WHEN c.n = 0 THEN " FIRST_CLOSE_AFTER("$2") " END,"
    " c.more, c.added, CASE WHEN c.n + c.more = 0 THEN " FIRST_CLOSE_AFTER("$4") " END,"
    " (SELECT sum(hashint8extended(coalesce(numerator::bigint, 0) << 32 # coalesce(denominator::bigint, 0), "
    DAY_NO ")) FROM portfolio.splits WHERE instrument_id = w.id AND" A_DAY "),"
    " (SELECT hashtextextended(currency::text, 0) FROM portfolio.instruments WHERE id = w.id LIMIT 1)"
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, no),"
    " LATERAL (SELECT " TWO_DAYS(CLOSE_HASH, "$2") CLOSES " AND day <= $4::date) AS c(n, sum, more, added)";

#define RATES     " FROM portfolio.fx_rates WHERE base = p.base AND quote = p.quote AND" A_DAY               \
                  " AND rate::numeric BETWEEN 0.0000000001 AND 900000000"
#define RATE_HASH "hash_numeric_extended(rate::numeric, hashtextextended(base || '/' || quote, " DAY_NO "))"
#define FIRST_RATE_AFTER(day) "(SELECT " RATE_HASH RATES " AND day > " day "::date ORDER BY day LIMIT 1)"

/* The distinct pairs by a loose scan of the primary key, as in market.c. */
static const char rates_sql[] =
    "WITH RECURSIVE pair AS ((SELECT base, quote FROM portfolio.fx_rates ORDER BY base, quote LIMIT 1)"
    " UNION ALL SELECT n.base, n.quote FROM pair AS p, LATERAL (SELECT base, quote FROM portfolio.fx_rates"
    "  WHERE (base, quote) > (p.base, p.quote) ORDER BY base, quote LIMIT 1) AS n)"
    " SELECT sum(c.n), sum(c.sum), sum(CASE WHEN c.n = 0 THEN " FIRST_RATE_AFTER("$1") " END),"
    "  sum(c.more), sum(c.added), sum(CASE WHEN c.n + c.more = 0 THEN " FIRST_RATE_AFTER("$2") " END)"
    " FROM pair AS p,"
    "  LATERAL (SELECT " TWO_DAYS(RATE_HASH, "$1") RATES " AND day <= $2::date) AS c(n, sum, more, added)";
/* clang-format on */

const char *fingerprint_txs_sql(void)
{
    return txs_sql;
}

/* A sum of bigints is numeric: its decimal digits, modulo 2^64. "" is 0. */
static uint64_t wrap(const char *text)
{
    bool minus = text[0] == '-';
    uint64_t v = 0;

    for (const char *p = text + minus; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return minus ? 0 - v : v;
}

/* splitmix64: each bit of x changes each bit of the result. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* --- transactions ---------------------------------------------------------------- */

struct place {
    int64_t id;
    size_t at;
};

static int compare_places(const void *a, const void *b)
{
    int64_t x = ((const struct place *)a)->id, y = ((const struct place *)b)->id;

    return x < y ? -1 : x > y;
}

static void give_sums(const struct fp_rows *r, const int64_t *ids, size_t n, struct fingerprint_sum *out)
{
    struct place *places = mem_array(n + 1, sizeof *places);

    for (size_t i = 0; i < n; i++)
        places[i] = (struct place){ids[i], i};
    qsort(places, n, sizeof *places, compare_places);
    for (int row = 0; row < pg_rows_count(r); row++) {
        const struct place want = {pg_i64(r, row, 0), 0};
        const struct place *p = bsearch(&want, places, n, sizeof *places, compare_places);

        if (p)
            out[p->at] = (struct fingerprint_sum){(uint64_t)pg_i64(r, row, 1), wrap(pg_text(r, row, 2))};
    }
    mem_free(places);
}

int fingerprint_txs(struct fp_source *s, int32_t day, int64_t as_of_us, const int64_t *user_ids, size_t n,
                    struct fingerprint_sum *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    memset(out, 0, n * sizeof *out);
    pg_args_init(&a);
    pg_arg_i64s(&a, user_ids, n);
    pg_arg_day(&a, day);
    pg_arg_time_us(&a, as_of_us);
    int failed = pg_run(source_pg(s), "fingerprint_txs", txs_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "fingerprints of %zu users", n);
    give_sums(rows, user_ids, n, out);
    pg_rows_free(rows);
    return 0;
}

/* --- market ------------------------------------------------------------------------ */

/* Six columns from `col` on: number, sum and first later one of the first day; what the second adds to
 * number and sum, and its own first later one. */
static struct fingerprint_marks read_marks(const struct fp_rows *r, int row, int col)
{
    const uint64_t n = wrap(pg_text(r, row, col)), sum = wrap(pg_text(r, row, col + 1));
    const uint64_t parts[FINGERPRINT_DAYS][3] = {{n, sum, wrap(pg_text(r, row, col + 2))},
                                                 {n + wrap(pg_text(r, row, col + 3)),
                                                  sum + wrap(pg_text(r, row, col + 4)),
                                                  wrap(pg_text(r, row, col + 5))}};
    struct fingerprint_marks marks = {0};

    for (int d = 0; d < FINGERPRINT_DAYS; d++)
        for (int i = 0; i < 3; i++)
            marks.of[d] = mix(marks.of[d] ^ parts[d][i]);
    return marks;
}

int fingerprint_instruments(struct fp_source *s, const struct fingerprint_days *days, int64_t as_of_us,
                            const int64_t *ids, size_t n, struct fingerprint_marks *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    memset(out, 0, n * sizeof *out);
    pg_args_init(&a);
    pg_arg_i64s(&a, ids, n);
    pg_arg_day(&a, days->day[FINGERPRINT_BEFORE]);
    pg_arg_time_us(&a, as_of_us);
    pg_arg_day(&a, days->day[FINGERPRINT_KEPT]);
    int failed = pg_run(source_pg(s), "fingerprint_instruments", instruments_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "fingerprints of %zu instruments", n);
    for (int row = 0; row < pg_rows_count(rows); row++) {
        struct fingerprint_marks *marks = &out[pg_i64(rows, row, 0) - 1];

        *marks = read_marks(rows, row, 1);
        for (int d = 0; d < FINGERPRINT_DAYS; d++)
            for (int col = 7; col <= 8; col++) /* splits and currency, the same for both */
                marks->of[d] = mix(marks->of[d] ^ wrap(pg_text(rows, row, col)));
    }
    pg_rows_free(rows);
    return 0;
}

int fingerprint_rates(struct fp_source *s, const struct fingerprint_days *days, struct fingerprint_marks *out,
                      struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    *out = (struct fingerprint_marks){0};
    pg_args_init(&a);
    pg_arg_day(&a, days->day[FINGERPRINT_BEFORE]);
    pg_arg_day(&a, days->day[FINGERPRINT_KEPT]);
    int failed = pg_run(source_pg(s), "fingerprint_rates", rates_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "fingerprint of the exchange rates");
    *out = read_marks(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- all of it ----------------------------------------------------------------------- */

struct state {
    uint64_t a, b; /* two chains from different beginnings */
};

static void put(struct state *h, uint64_t v)
{
    h->a = mix(h->a ^ v);
    h->b = mix(h->b + v * 3);
}

static void put_bytes(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

void fingerprint_make(const struct fingerprint_parts *p, uint8_t out[FINGERPRINT_BYTES])
{
    struct state h = {1, 2};

    put(&h, (uint64_t)p->user_id);
    put(&h, (uint64_t)(uint32_t)p->format << 32 | (uint32_t)p->base_currency);
    put(&h, (uint64_t)(uint32_t)p->day);
    put(&h, (uint64_t)p->benchmark_id);
    put(&h, p->txs.n);
    put(&h, p->txs.sum);
    put(&h, p->rates);
    for (size_t i = 0; i < p->n_instruments; i++) {
        put(&h, (uint64_t)p->instrument_ids[i]);
        put(&h, p->instruments[i]);
    }
    put_bytes(out, h.a);
    put_bytes(out + 8, h.b);
}
