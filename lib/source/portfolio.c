/*
 * Transactions of a batch of users, in one statement.
 *
 * Numbers are scaled to bigint inside the database, each behind a CASE that
 * lets no NaN, infinity or absurd figure reach the cast: such a cell comes back
 * as null and marks its row, so that one user's row never fails the statement
 * for the other ninety-nine. Every column is cast to the type that is read
 * here: a view may have others.
 *
 * This file does not judge what the transactions mean; lib/performance does.
 */
#include "lib/source/portfolio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/source/fingerprint.h"

/* Just inside of an int64 at the scale, in whole units. */
#define E8_LIMIT "90000000000"
#define E4_LIMIT "900000000000000"
#define E8(x)                                                                                                \
    "CASE WHEN " x "::numeric BETWEEN -" E8_LIMIT " AND " E8_LIMIT " THEN (" x                               \
    "::numeric * 100000000)::bigint END"
#define E4(x)                                                                                                \
    "CASE WHEN " x "::numeric BETWEEN -" E4_LIMIT " AND " E4_LIMIT " THEN (" x                               \
    "::numeric * 10000)::bigint END"

enum column {
    COL_USER,
    COL_ID,
    COL_INSTRUMENT,
    COL_TYPE,
    COL_CURRENCY,
    COL_DAY,
    COL_QUANTITY,
    COL_PRICE,
    COL_AMOUNT,
    COL_FEE,
    COL_TAX,
    COL_ACCOUNT,
    COL_MARK
};

/* clang-format off */
static const char txs_sql[] =
    "SELECT user_id::bigint, id::bigint, instrument_id::bigint, left(type::text, 20), left(currency::text, 4),"
    " CASE WHEN trade_date::date >= date '1900-01-01' THEN trade_date::date - date '1970-01-01' END,"
    " CASE WHEN quantity IS NULL THEN 0 ELSE " E8("quantity") " END,"
    " CASE WHEN price IS NULL THEN 0 ELSE " E8("price") " END,"
    " " E4("amount") ","
    " CASE WHEN fee IS NULL THEN 0 ELSE " E4("fee") " END,"
    " CASE WHEN tax IS NULL THEN 0 ELSE " E4("tax") " END, account_id::bigint, " FINGERPRINT_TX
    " FROM portfolio.transactions WHERE user_id = ANY($1::bigint[]) AND trade_date <= $2::date"
    "  AND trade_date >= $5::date AND (recorded_at <= $3::timestamptz OR recorded_at IS NULL)"
    " ORDER BY user_id, trade_date, id LIMIT $4::bigint";
/* clang-format on */

static const char *const type_names[PERF_TYPES] = {
    [PERF_DEPOSIT] = "deposit",
    [PERF_WITHDRAWAL] = "withdrawal",
    [PERF_BUY] = "buy",
    [PERF_SELL] = "sell",
    [PERF_DIVIDEND] = "dividend",
    [PERF_INTEREST] = "interest",
    [PERF_FEE] = "fee",
    [PERF_TAX] = "tax",
    [PERF_DELIVERY_IN] = "delivery_in",
    [PERF_DELIVERY_OUT] = "delivery_out",
    [PERF_TRANSFER_IN] = "transfer_in",
    [PERF_TRANSFER_OUT] = "transfer_out",
};

static int32_t type_of(const char *name)
{
    for (int32_t i = 0; i < PERF_TYPES; i++)
        if (strcmp(type_names[i], name) == 0)
            return i;
    return -1;
}

/* The first broken row stays. */
static void mark(struct portfolio_user *u, const char *reason, int64_t tx_id, const char *what)
{
    if (u->reason[0])
        return;
    snprintf(u->reason, sizeof u->reason, "%s", reason);
    snprintf(u->detail, sizeof u->detail, "transaction %lld: %s", (long long)tx_id, what);
}

static void check_row(const struct fp_rows *r, int row, const struct perf_tx *t, struct portfolio_user *u)
{
    static const char *const names[] = {
        [COL_DAY] = "trade_date", [COL_QUANTITY] = "quantity", [COL_PRICE] = "price",
        [COL_AMOUNT] = "amount",  [COL_FEE] = "fee",           [COL_TAX] = "tax"};
    char what[60];

    for (int col = COL_DAY; col <= COL_TAX; col++)
        if (pg_is_null(r, row, col)) {
            snprintf(what, sizeof what, "%s is not a usable figure", names[col]);
            mark(u, "bad_transaction", t->id, what);
        }
    if (t->type < 0)
        mark(u, "unknown_type", t->id, "type is not one of the contract's");
    if (!t->currency)
        mark(u, "unknown_currency", t->id, "currency is not three letters A to Z");
}

static void read_row(const struct fp_rows *r, int row, struct perf_tx *t)
{
    *t = (struct perf_tx){
        .id = pg_i64(r, row, COL_ID),
        .account = pg_i64(r, row, COL_ACCOUNT),
        .day = (int32_t)pg_i64(r, row, COL_DAY),
        .type = type_of(pg_text(r, row, COL_TYPE)),
        .instrument = -1,
        .currency = perf_currency(pg_text(r, row, COL_CURRENCY)),
        .quantity_e8 = pg_i64(r, row, COL_QUANTITY),
        .price_e8 = pg_i64(r, row, COL_PRICE),
        .amount_e4 = pg_i64(r, row, COL_AMOUNT),
        .fee_e4 = pg_i64(r, row, COL_FEE),
        .tax_e4 = pg_i64(r, row, COL_TAX),
    };
}

/* --- users of the batch, instruments of the rows -------------------------------------- */

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static int compare_users(const void *a, const void *b)
{
    return compare_ids(&(*(struct portfolio_user *const *)a)->id, &(*(struct portfolio_user *const *)b)->id);
}

/* Rows come by user: walks the users in the same order. One listed twice gets
 * the same rows twice. */
static void give_rows(const struct fp_rows *r, struct portfolio_txs *t, struct portfolio_user **by_id)
{
    size_t u = 0;

    for (size_t row = 0; row < t->n_txs; row++) {
        int64_t user_id = pg_i64(r, (int)row, COL_USER);

        read_row(r, (int)row, &t->txs[row]);
        t->marks[row] = (uint64_t)pg_i64(r, (int)row, COL_MARK);
        while (u < t->n_users && by_id[u]->id < user_id)
            u++;
        if (u == t->n_users)
            break;
        if (!by_id[u]->n++)
            by_id[u]->first = row;
        check_row(r, (int)row, &t->txs[row], by_id[u]);
    }
    for (u = 1; u < t->n_users; u++)
        if (by_id[u]->id == by_id[u - 1]->id)
            *by_id[u] = *by_id[u - 1];
}

/* Sorts, and takes each once. Returns how many are left. */
static size_t make_distinct(int64_t *ids, size_t n)
{
    size_t distinct = 0;

    qsort(ids, n, sizeof *ids, compare_ids);
    for (size_t i = 0; i < n; i++)
        if (!distinct || ids[distinct - 1] != ids[i])
            ids[distinct++] = ids[i];
    return distinct;
}

static int32_t index_of(const int64_t *ids, size_t n, int64_t id)
{
    return (int32_t)((const int64_t *)bsearch(&id, ids, n, sizeof *ids, compare_ids) - ids);
}

static void number_instruments(const struct fp_rows *r, struct portfolio_txs *t)
{
    int64_t *ids = mem_array(t->n_txs + 1, sizeof *ids);
    size_t n = 0;

    for (size_t row = 0; row < t->n_txs; row++)
        if (!pg_is_null(r, (int)row, COL_INSTRUMENT))
            ids[n++] = pg_i64(r, (int)row, COL_INSTRUMENT);
    n = make_distinct(ids, n);
    for (size_t row = 0; row < t->n_txs; row++)
        if (!pg_is_null(r, (int)row, COL_INSTRUMENT))
            t->txs[row].instrument = index_of(ids, n, pg_i64(r, (int)row, COL_INSTRUMENT));
    t->instrument_ids = ids;
    t->n_instruments = n;
}

void portfolio_txs_also(struct portfolio_txs *t, const int64_t *instrument_ids, size_t n)
{
    int64_t *ids = mem_array(t->n_instruments + n + 1, sizeof *ids);
    size_t count;

    memcpy(ids, t->instrument_ids, t->n_instruments * sizeof *ids);
    if (n)
        memcpy(ids + t->n_instruments, instrument_ids, n * sizeof *ids);
    count = make_distinct(ids, t->n_instruments + n);
    for (size_t i = 0; i < t->n_txs; i++)
        if (t->txs[i].instrument >= 0)
            t->txs[i].instrument = index_of(ids, count, t->instrument_ids[t->txs[i].instrument]);
    mem_free(t->instrument_ids);
    t->instrument_ids = ids;
    t->n_instruments = count;
}

static void read_txs(const struct fp_rows *r, const int64_t *user_ids, size_t n, struct portfolio_txs *out)
{
    struct portfolio_user **by_id = mem_array(n, sizeof *by_id);

    *out = (struct portfolio_txs){.n_txs = (size_t)pg_rows_count(r), .n_users = n};
    out->txs = mem_array(out->n_txs + 1, sizeof *out->txs);
    out->marks = mem_array(out->n_txs + 1, sizeof *out->marks);
    out->users = mem_array(n, sizeof *out->users);
    for (size_t i = 0; i < n; i++) {
        out->users[i].id = user_ids[i];
        by_id[i] = &out->users[i];
    }
    qsort(by_id, n, sizeof(struct portfolio_user *), compare_users);
    give_rows(r, out, by_id);
    number_instruments(r, out);
    mem_free(by_id);
}

int portfolio_txs_load(struct fp_source *s, const struct portfolio_period *period,
                       const struct portfolio_ask *ask, struct portfolio_txs *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_i64s(&a, ask->user_ids, ask->n);
    pg_arg_day(&a, period->end);
    pg_arg_time_us(&a, period->as_of_us);
    pg_arg_i64(&a, (int64_t)ask->max_rows + 1);
    pg_arg_day(&a, ask->first_day); /* PORTFOLIO_ALL is -infinity */
    int failed = pg_run(source_pg(s), "portfolio_txs", txs_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "transactions of %zu users", ask->n);
    if ((size_t)pg_rows_count(rows) > ask->max_rows) {
        pg_rows_free(rows);
        return err_set(err, FP_RESOURCE_EXHAUSTED, "more than %zu transactions for %zu users", ask->max_rows,
                       ask->n);
    }
    read_txs(rows, ask->user_ids, ask->n, out);
    pg_rows_free(rows);
    return 0;
}

void portfolio_txs_fini(struct portfolio_txs *t)
{
    mem_free(t->txs);
    mem_free(t->marks);
    mem_free(t->users);
    mem_free(t->instrument_ids);
    *t = (struct portfolio_txs){0};
}
