/*
 * Batches out of a real database: each user has one outcome, and what is wrong
 * with one is wrong for him alone. And the cache, shared by threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/ledger/ledger.h"
#include "lib/metrics/metrics.h"
#include "lib/source/testing.h"
#include "services/stats/batch.h"

#define PERIOD_START 19783 /* 2024-03-01 */
#define PERIOD_END   19813
#define AS_OF_US     (19820 * FP_US_PER_DAY)

static struct fp_source *source;
static struct fp_cache *cache;
static struct fp_performance *performance;
static struct fp_arena *arena;
static int alive_calls;
static const char *correction; /* committed at the second call */
static struct stats_policy policy;
static struct fp_ledger *ledger;
static struct fp_checkpoints *checkpoints; /* off, but for the tests of them */

static void alive(void *arg)
{
    (void)arg;
    if (++alive_calls == 2 && correction)
        testing_script(testing_dsn, correction);
}

static void make_schema(void)
{
    char *sql = mem_alloc(1 << 20);
    FILE *f = fopen("sql/portfolio.sql", "r");

    if (!f)
        fail_msg("sql/portfolio.sql: run the test in the root of the project");
    sql[fread(sql, 1, (1 << 20) - 1, f)] = 0;
    fclose(f);
    testing_script(testing_dsn, sql);
    mem_free(sql);
    testing_script(
        testing_dsn,
        "INSERT INTO portfolio.instruments SELECT i, 'S' || i, 'Share ' || i, 'EUR', '' FROM generate_series(1, 40) AS i;"
        "INSERT INTO portfolio.prices SELECT i, d, 100 + i * (d = '2024-03-15')::int, '2024-03-01'"
        " FROM generate_series(1, 40) AS i, unnest('{2024-02-29,2024-03-15}'::date[]) AS d;"
        "INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
        " SELECT u, u, 1, 'deposit', 1000, 'EUR', '2024-01-02', '2024-01-02' FROM generate_series(1, 40) AS u;"
        "INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price, amount, currency,"
        " trade_date, recorded_at) SELECT u + 100, u, 1, u, 'buy', 10, 100, -1000, 'EUR', '2024-01-02', '2024-01-02'"
        " FROM generate_series(1, 40) AS u;"
        /* 2: NaN; 3: a currency without a rate; 4: an instrument that is not there */
        "UPDATE portfolio.transactions SET amount = 'NaN' WHERE id = 102;"
        "UPDATE portfolio.transactions SET currency = 'CHF' WHERE id = 3;"
        "UPDATE portfolio.transactions SET instrument_id = 999 WHERE id = 104");
}

static int setup(void **state)
{
    struct fp_err err = {0};

    if (testing_create(state) != 0)
        return -1;
    make_schema();
    source = source_open(&(struct pg_options){.dsn = testing_dsn, .prepare = true}, &err);
    cache = cache_new(2, 1 << 20);
    performance = performance_new();
    arena = arena_new(WIRE_MAX_ARENA_BYTES);
    checkpoints = checkpoints_new(&(struct checkpoint_settings){.on = false});
    return source ? 0 : -1;
}

static int teardown(void **state)
{
    source_close(source);
    cache_free(cache);
    performance_free(performance);
    arena_free(arena);
    checkpoints_free(checkpoints);
    return testing_drop(state);
}

/* Users 1 to n, all in EUR but user 5. */
struct users {
    Foliopost__V1__UserBatch batch;
    Foliopost__V1__JobContext job;
    Foliopost__V1__User users[60], *pointers[60];
};

static Foliopost__V1__UserBatch *users_make(struct users *u, int first, int n)
{
    foliopost__v1__user_batch__init(&u->batch);
    foliopost__v1__job_context__init(&u->job);
    u->job.job_id = 1;
    u->job.kind = "monthly";
    u->job.period_start_day = PERIOD_START;
    u->job.period_end_day = PERIOD_END;
    u->job.as_of_us = AS_OF_US;
    u->batch.schema_version = WIRE_SCHEMA_VERSION;
    u->batch.job = &u->job;
    u->batch.batch_id = 77;
    u->batch.users = u->pointers;
    u->batch.n_users = (size_t)n;
    for (int i = 0; i < n; i++) {
        foliopost__v1__user__init(&u->users[i]);
        u->users[i].id = first + i;
        u->users[i].base_currency = first + i == 5 ? "XXX" : "EUR";
        u->pointers[i] = &u->users[i];
    }
    return &u->batch;
}

static struct batch_tools tools(void)
{
    return (struct batch_tools){.source = source,
                                .performance = performance,
                                .cache = cache,
                                .policy = &policy,
                                .ledger = ledger,
                                .checkpoints = checkpoints,
                                .max_txs = 1000,
                                .alive = alive};
}

static Foliopost__V1__SummaryBatch *compute(struct users *u, struct batch_counts *counts)
{
    struct batch_tools t = tools();
    struct fp_err err = {0};
    arena_reset(arena);
    Foliopost__V1__SummaryBatch *b = batch_compute(&t, &u->batch, arena, counts, &err);

    if (!b)
        fail_msg("%s", err.msg);
    if (wire_check(&b->base, &err))
        fail_msg("%s", err.msg);
    return b;
}

static void is_failure(const Foliopost__V1__SummaryItem *item, const char *reason)
{
    assert_int_equal(item->outcome_case, FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE);
    assert_string_equal(item->failure->reason, reason);
}

static void each_user_has_one_outcome(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    Foliopost__V1__SummaryBatch *b;

    users_make(&u, 1, 42)->users[6]->skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_OPTED_OUT;
    b = compute(&u, &counts);
    assert_int_equal(b->n_items, 42);
    for (size_t i = 0; i < 42; i++)
        assert_int_equal(b->items[i]->user->id, i + 1);
    is_failure(b->items[1], "bad_transaction");
    is_failure(b->items[2], "missing_rate");
    is_failure(b->items[3], "unknown_instrument");
    is_failure(b->items[4], "unknown_currency");
    assert_int_equal(b->items[6]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_OPTED_OUT);
    assert_int_equal(b->items[40]->skip, FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_NOTHING_TO_REPORT);
    assert_int_equal(counts.summaries, 35);
    assert_int_equal(counts.failures, 4);
    assert_int_equal(counts.skips, 3);
    assert_string_equal(counts.first_failure, "user 2: bad_transaction");

    const Foliopost__V1__PortfolioSummary *s = b->items[9]->summary; /* +10 on 100 */
    assert_int_equal(s->open_value_minor, 100000);
    assert_int_equal(s->close_value_minor, 110000);
    assert_int_equal(s->twr_e8, 10000000);
    assert_int_equal(s->n_top, 1);
    assert_string_equal(s->top[0]->symbol, "S10");
    assert_int_equal(s->top[0]->gain_minor, 10000);
    assert_int_equal(s->n_flags, 1);
    assert_int_equal(s->flags[0], FOLIOPOST__V1__SUMMARY_FLAG__SUMMARY_FLAG_STALE_PRICE);
}

static void a_summary_carries_all_that_a_statement_prints(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    users_make(&u, 10, 1);
    const Foliopost__V1__PortfolioSummary *s = compute(&u, &counts)->items[0]->summary;

    assert_int_equal(s->n_spans, 3);
    assert_int_equal(s->spans[0]->kind, FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD);
    assert_int_equal(s->spans[0]->twr->e8, s->twr_e8);
    assert_int_equal(s->spans[2]->net_contributions_minor, 100000);
    assert_null(s->spans[0]->benchmark); /* none is set */
    assert_int_equal(s->bridge->unrealised_minor, 10000);
    assert_int_equal(s->cost_basis->cost_fifo_minor, 100000);
    assert_int_equal(s->n_by_class, 1);
    assert_int_equal(s->by_currency[0]->percent_e2, 10000);
    assert_int_equal(s->n_chart_value_minor, 32);
    assert_int_equal(s->chart_first_day, PERIOD_START - 1);
    assert_int_equal(s->chart_value_minor[31], s->close_value_minor);
    assert_int_equal(s->n_events, 1);
    assert_int_equal(s->events[0]->kind, FOLIOPOST__V1__EVENT_KIND__EVENT_KIND_STALE_PRICE);
    assert_string_equal(s->events[0]->symbol, "S10");
}

static void what_the_operator_holds_back_fails_with_its_reason(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;

    policy.hold_back = PERF_STALE_PRICE;
    users_make(&u, 10, 1);
    is_failure(compute(&u, &counts)->items[0], "stale_price");
    policy.hold_back = 0;
}

/* 900 in the smallest part of a share, of which a split leaves nothing: no transaction says where it went. */
static void a_statement_that_does_not_close_is_not_mailed(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    const Foliopost__V1__SummaryItem *item;

    testing_script(
        testing_dsn,
        "INSERT INTO portfolio.instruments VALUES (60, 'S60', 'Share 60', 'EUR', '');"
        "INSERT INTO portfolio.prices VALUES (60, '2024-02-29', 90000000000, '2024-03-01'),"
        " (60, '2024-03-15', 90000000000, '2024-03-15');"
        "INSERT INTO portfolio.splits VALUES (60, '2024-03-10', 1, 3);"
        "INSERT INTO portfolio.transactions (id, user_id, account_id, instrument_id, type, quantity, price, amount,"
        " currency, trade_date, recorded_at) VALUES (601, 60, 1, NULL, 'deposit', 0, NULL, 900, 'EUR', '2024-01-02',"
        " '2024-01-02'), (602, 60, 1, 60, 'buy', 0.00000001, 90000000000, -900, 'EUR', '2024-01-02', '2024-01-02')");
    users_make(&u, 60, 1);
    item = compute(&u, &counts)->items[0];
    is_failure(item, "statement does not close");
    assert_string_equal(item->failure->detail, "residual -90000000000 e-8 EUR, 0 holdings");
}

static void the_same_batch_gives_the_same_bytes(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    struct fp_str bytes[2];
    struct fp_err err;

    for (int i = 0; i < 2; i++) {
        users_make(&u, 1, 40);
        str_init(&bytes[i], WIRE_MAX_MESSAGE_BYTES);
        assert_int_equal(wire_pack(&compute(&u, &counts)->base, WIRE_MAX_MESSAGE_BYTES, &bytes[i], &err), 0);
    }
    assert_int_equal(bytes[0].len, bytes[1].len);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].len);
    str_fini(&bytes[0]);
    str_fini(&bytes[1]);
}

static void a_statement_that_one_user_breaks_fails_him_alone(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    Foliopost__V1__SummaryBatch *b;
    double before = metrics_value("foliopost_stats_batches_one_by_one_total", "");

    testing_script(
        testing_dsn,
        "ALTER TABLE portfolio.transactions RENAME TO kept;"
        "CREATE VIEW portfolio.transactions AS SELECT id, user_id, account_id, instrument_id, type, quantity, price,"
        " amount / (user_id - 12) AS amount, fee, tax, currency, trade_date, recorded_at FROM portfolio.kept");
    alive_calls = 0;
    users_make(&u, 11, 3);
    b = compute(&u, &counts);
    testing_script(testing_dsn,
                   "DROP VIEW portfolio.transactions; ALTER TABLE portfolio.kept RENAME TO transactions");
    is_failure(b->items[1], "source_error");
    assert_string_equal(b->items[1]->failure->detail, "SQLSTATE 22012");
    assert_int_equal(b->items[2]->outcome_case, FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY);
    assert_int_equal(counts.failures + counts.summaries, 3);
    assert_true(alive_calls >= 3);
    assert_true(metrics_value("foliopost_stats_batches_one_by_one_total", "") == before + 1);
}

static void one_user_with_too_much_fails_alone(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    struct batch_tools t = tools();
    struct fp_err err;
    Foliopost__V1__SummaryBatch *b;

    testing_script(
        testing_dsn,
        "INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
        " SELECT i, 21, 1, 'deposit', 1, 'EUR', '2024-01-02', '2024-01-02' FROM generate_series(1001, 1100) AS i");
    t.max_txs = 50;
    arena_reset(arena);
    b = batch_compute(&t, users_make(&u, 20, 3), arena, &counts, &err);
    testing_script(testing_dsn, "DELETE FROM portfolio.transactions WHERE id > 1000");
    assert_non_null(b);
    is_failure(b->items[1], "too_much_data");
    assert_int_equal(counts.summaries, 2);
}

static void trouble_with_the_database_is_nobodys_failure(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    struct batch_tools t = tools();
    struct fp_err err;

    arena_reset(arena);
    testing_script(testing_dsn, "ALTER TABLE portfolio.transactions RENAME TO kept");
    assert_null(batch_compute(&t, users_make(&u, 1, 3), arena, &counts, &err));
    testing_script(testing_dsn, "ALTER TABLE portfolio.kept RENAME TO transactions");
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    t.source = source_open(&(struct pg_options){.dsn = "host=127.0.0.1 port=1 dbname=x"}, &err);
    arena_reset(arena);
    assert_null(batch_compute(&t, users_make(&u, 1, 3), arena, &counts, &err));
    assert_int_equal(err.code, FP_UNAVAILABLE);
    source_close(t.source);
}

static void a_batch_of_skips_asks_nothing(void **state)
{
    (void)state;
    struct users u;
    struct batch_counts counts;
    struct batch_tools t = tools();
    struct fp_err err;

    t.source = source_open(&(struct pg_options){.dsn = "host=127.0.0.1 port=1 dbname=x"}, &err);
    users_make(&u, 1, 1)->users[0]->skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_GONE;
    arena_reset(arena);
    assert_non_null(batch_compute(&t, &u.batch, arena, &counts, &err));
    assert_int_equal(counts.skips, 1);
    source_close(t.source);
}

/* --- the cache ------------------------------------------------------------------------------- */

static void view(struct fp_cache *c, struct fp_source *s, int end, const int64_t *ids, size_t n)
{
    struct portfolio_period p = {PERIOD_START, PERIOD_END + end, AS_OF_US, 1};
    struct cache_view v;
    struct fp_err err = {0};

    if (cache_view_open(c, s, &p, ids, n, &v, &err))
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(v.instruments[i]->id, ids[i]);
        assert_int_equal(v.market.instruments[i] != NULL, ids[i] <= 40);
    }
    cache_view_release(&v);
}

static void the_cache_keeps_few_periods_and_few_bytes(void **state)
{
    (void)state;
    const int64_t ids[] = {1, 2, 3, 999};
    struct fp_cache *c = cache_new(2, 20000);
    int periods;
    size_t bytes;

    for (int end = 0; end < 5; end++) {
        view(c, source, end, ids, 4);
        cache_sizes(c, &periods, &bytes);
        assert_true(periods <= 2);
        assert_true(bytes <= 20000 || periods == 1); /* a table alone takes 16 kB */
    }
    cache_free(c);
    cache_free(NULL);
}

static void what_is_kept_is_not_loaded_again(void **state)
{
    (void)state;
    const int64_t ids[] = {1, 2, 3, 999};
    struct fp_cache *c = cache_new(2, 1 << 20);
    struct fp_err err;
    struct fp_source *nowhere =
        source_open(&(struct pg_options){.dsn = "host=127.0.0.1 port=1 dbname=x"}, &err);
    struct cache_view v;
    struct portfolio_period p = {PERIOD_START, PERIOD_END, AS_OF_US, 1};

    view(c, source, 0, ids, 4);
    view(c, nowhere, 0, ids, 4);
    p.as_of_us++; /* another as_of is another market */
    assert_int_equal(cache_view_open(c, nowhere, &p, ids, 4, &v, &err), -1);
    p.as_of_us--;
    p.round++; /* before a retry somebody may have mended it */
    assert_int_equal(cache_view_open(c, nowhere, &p, ids, 4, &v, &err), -1);
    source_close(nowhere);
    cache_free(c);
}

static void *use_cache(void *arg)
{
    struct fp_err err;
    struct fp_source *s = source_open(&(struct pg_options){.dsn = testing_dsn}, &err);
    int64_t ids[5];

    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 5; k++)
            ids[k] = 1 + (i * 7 + k * 8) % 41 + (k == 4) * 900;
        view(arg, s, i % 3, ids, 5);
    }
    source_close(s);
    return NULL;
}

static void threads_share_the_cache(void **state)
{
    (void)state;
    struct fp_cache *c = cache_new(2, 40000); /* emptied again and again */
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_cache, c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cache_free(c);
}

/* --- checkpoints ------------------------------------------------------------------------------ */

/* The ledger's tables beside the portfolio's. */
static void with_ledger(double verify)
{
    struct fp_err err;
    int applied;

    ledger = ledger_open(&(struct pg_options){.dsn = testing_dsn, .prepare = true}, &err);
    if (!ledger || ledger_migrate(ledger, &applied, &err))
        fail_msg("%s", err.msg);
    checkpoints_free(checkpoints);
    checkpoints = checkpoints_new(
        &(struct checkpoint_settings){.on = true, .verify = verify, .keep_months = 3, .periods = 2});
    testing_script(testing_dsn, "TRUNCATE foliopost.checkpoints");
}

static void without_ledger(void)
{
    checkpoints_free(checkpoints);
    checkpoints = checkpoints_new(&(struct checkpoint_settings){.on = false});
    ledger_close(ledger);
    ledger = NULL;
}

static double found(const char *how)
{
    char labels[40];

    snprintf(labels, sizeof labels, "found=\"%s\"", how);
    return metrics_value("foliopost_stats_checkpoints_total", labels);
}

/* The batch of a period as bytes; valid, stale: how many checkpoints were so. */
static struct fp_str packed(int32_t start, int32_t end, int64_t as_of_us, double *valid, double *stale)
{
    struct users u;
    struct batch_counts counts;
    struct fp_str bytes;
    struct fp_err err;
    double v = found("valid"), s = found("stale");

    users_make(&u, 1, 40);
    u.job.period_start_day = start;
    u.job.period_end_day = end;
    u.job.as_of_us = as_of_us;
    str_init(&bytes, WIRE_MAX_MESSAGE_BYTES);
    assert_int_equal(wire_pack(&compute(&u, &counts)->base, WIRE_MAX_MESSAGE_BYTES, &bytes, &err), 0);
    *valid = found("valid") - v;
    *stale = found("stale") - s;
    return bytes;
}

static void same_bytes(struct fp_str a, struct fp_str b)
{
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    str_fini(&a);
    str_fini(&b);
}

#define APRIL_START 19814
#define APRIL_END   19843
#define LATER_US    (19850 * FP_US_PER_DAY)

static void a_run_with_checkpoints_gives_the_same_bytes(void **state)
{
    (void)state;
    double valid, stale;
    struct fp_str without = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale), with;

    with_ledger(1);
    str_fini(&(struct fp_str[]){packed(PERIOD_START, PERIOD_END, AS_OF_US, &valid, &stale)}[0]);
    assert_true(valid == 0); /* but March left them behind */
    with = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
    assert_true(valid == 36 && stale == 0); /* 40 less the four who fail */
    assert_true(metrics_value("foliopost_stats_checkpoints_verified_total", "") >= 36);
    assert_true(metrics_value("foliopost_stats_checkpoints_wrong_total", "") == 0);
    same_bytes(with, without);
    without_ledger();
}

static void what_was_corrected_is_computed_anew(void **state)
{
    (void)state;
    const struct {
        const char *correct, *undo;
        int stale; /* users */
    } cases[] = {
        {"UPDATE portfolio.transactions SET amount = amount - 7, recorded_at = '2024-04-03' WHERE id = 110",
         "UPDATE portfolio.transactions SET amount = amount + 7, recorded_at = '2024-01-02' WHERE id = 110",
         1},
        {"INSERT INTO portfolio.transactions (id, user_id, account_id, type, amount, currency, trade_date, recorded_at)"
         " VALUES (9001, 11, 1, 'deposit', 5, 'EUR', '2024-02-01', '2024-04-02')",
         "DELETE FROM portfolio.transactions WHERE id = 9001", 1},
        {"UPDATE portfolio.prices SET close = close + 1 WHERE instrument_id = 12 AND day = '2024-02-29'",
         "UPDATE portfolio.prices SET close = close - 1 WHERE instrument_id = 12 AND day = '2024-02-29'", 1},
        {"INSERT INTO portfolio.splits VALUES (13, '2024-03-20', 2, 1)",
         "DELETE FROM portfolio.splits WHERE instrument_id = 13", 1},
        {"INSERT INTO portfolio.fx_rates VALUES ('EUR', 'USD', '2024-01-02', 1.1)",
         "DELETE FROM portfolio.fx_rates", 36},
    };
    double valid, stale;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fp_str with, without;

        with_ledger(0);
        str_fini(&(struct fp_str[]){packed(PERIOD_START, PERIOD_END, AS_OF_US, &valid, &stale)}[0]);
        testing_script(testing_dsn, cases[i].correct);
        cache_free(cache);
        cache = cache_new(2, 1 << 20);
        with = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
        assert_int_equal(stale, cases[i].stale);
        assert_int_equal(valid, 36 - cases[i].stale);
        without_ledger();
        without = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
        same_bytes(with, without);
        testing_script(testing_dsn, cases[i].undo);
        cache_free(cache);
        cache = cache_new(2, 1 << 20);
    }
}

/* The first group of lives is computed with the old close, all states are written after the
 * correction: user 12's must not pass for made of the new one. */
static void a_correction_under_way_leaves_no_checkpoint_that_looks_valid(void **state)
{
    (void)state;
    double valid, stale;
    struct fp_str with, without;

    with_ledger(0);
    alive_calls = 0;
    correction =
        "UPDATE portfolio.prices SET close = close + 1 WHERE instrument_id = 12 AND day = '2024-02-29'";
    str_fini(&(struct fp_str[]){packed(PERIOD_START, PERIOD_END, AS_OF_US, &valid, &stale)}[0]);
    correction = NULL;
    assert_true(alive_calls >= 2);
    cache_free(cache);
    cache = cache_new(2, 1 << 20);
    with = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
    assert_int_equal(stale, 1);
    assert_int_equal(valid, 35);
    without_ledger();
    without = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
    same_bytes(with, without);
    testing_script(
        testing_dsn,
        "UPDATE portfolio.prices SET close = close - 1 WHERE instrument_id = 12 AND day = '2024-02-29'");
    cache_free(cache);
    cache = cache_new(2, 1 << 20);
}

/* Somebody wrote into the table: the fingerprint fits, the state is another's. */
static void a_wrong_checkpoint_is_found_by_the_sample(void **state)
{
    (void)state;
    double valid, stale, wrong = metrics_value("foliopost_stats_checkpoints_wrong_total", "");
    struct fp_str without = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale), with;

    with_ledger(1);
    str_fini(&(struct fp_str[]){packed(PERIOD_START, PERIOD_END, AS_OF_US, &valid, &stale)}[0]);
    testing_script(testing_dsn,
                   "UPDATE foliopost.checkpoints SET state = overlay(state placing '\\x07'::bytea from"
                   " octet_length(state) - 12) WHERE user_id = 20;"
                   "UPDATE foliopost.checkpoints SET state = '\\x00' WHERE user_id = 21");
    with = packed(APRIL_START, APRIL_END, LATER_US, &valid, &stale);
    assert_true(metrics_value("foliopost_stats_checkpoints_wrong_total", "") > wrong || found("broken") > 0);
    same_bytes(with, without);
    without_ledger();
}

/* A week in the midst of a month: its run from a checkpoint keeps no state, and that is no difference. */
static void the_sample_of_a_week_within_a_month_finds_nothing_wrong(void **state)
{
    (void)state;
    double valid, stale, wrong = metrics_value("foliopost_stats_checkpoints_wrong_total", ""),
                         verified = metrics_value("foliopost_stats_checkpoints_verified_total", "");

    with_ledger(1);
    str_fini(&(struct fp_str[]){packed(PERIOD_START, PERIOD_END, AS_OF_US, &valid, &stale)}[0]);
    str_fini(&(struct fp_str[]){packed(APRIL_START + 6, APRIL_START + 12, LATER_US, &valid, &stale)}[0]);
    assert_true(valid > 0);
    assert_true(metrics_value("foliopost_stats_checkpoints_verified_total", "") > verified);
    assert_true(metrics_value("foliopost_stats_checkpoints_wrong_total", "") == wrong);
    without_ledger();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_user_has_one_outcome),
        cmocka_unit_test(a_summary_carries_all_that_a_statement_prints),
        cmocka_unit_test(what_the_operator_holds_back_fails_with_its_reason),
        cmocka_unit_test(a_statement_that_does_not_close_is_not_mailed),
        cmocka_unit_test(the_same_batch_gives_the_same_bytes),
        cmocka_unit_test(a_statement_that_one_user_breaks_fails_him_alone),
        cmocka_unit_test(one_user_with_too_much_fails_alone),
        cmocka_unit_test(trouble_with_the_database_is_nobodys_failure),
        cmocka_unit_test(a_batch_of_skips_asks_nothing),
        cmocka_unit_test(the_cache_keeps_few_periods_and_few_bytes),
        cmocka_unit_test(what_is_kept_is_not_loaded_again),
        cmocka_unit_test(threads_share_the_cache),
        cmocka_unit_test(a_run_with_checkpoints_gives_the_same_bytes),
        cmocka_unit_test(what_was_corrected_is_computed_anew),
        cmocka_unit_test(a_correction_under_way_leaves_no_checkpoint_that_looks_valid),
        cmocka_unit_test(the_sample_of_a_week_within_a_month_finds_nothing_wrong),
        cmocka_unit_test(a_wrong_checkpoint_is_found_by_the_sample),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
