/*
 * Users a second of the stats service with its database: batches of 100 users,
 * as they stand in portfolio.users, are computed and packed by some workers,
 * each with connections of its own; nothing is sent.
 *
 *   bench/stats_bench DSN WORKERS FIRST..LAST [checkpoints|lives]
 *
 * Prints a line: users, seconds, users a second, CPU microseconds of this
 * process a user, bytes of message a user. script/bench-stats runs it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/clock.h"
#include "lib/ledger/ledger.h"
#include "lib/source/source.h"
#include "services/stats/batch.h"

#define BATCH 100

struct bench {
    const char *dsn;
    struct portfolio_period period;
    struct fp_cache *cache;
    struct fp_checkpoints *checkpoints;
    struct stats_policy policy;
    int64_t *ids;
    size_t n;
    atomic_size_t next;
    atomic_llong bytes, summaries, failures, skips;
};

static void stop(const struct fp_err *err)
{
    fprintf(stderr, "stats_bench: %s\n", err->msg);
    exit(1);
}

static void alive(void *arg)
{
    (void)arg;
}

static Foliopost__V1__UserBatch *users_of(const struct source_user *from, size_t n, struct fp_arena *arena,
                                          Foliopost__V1__JobContext *job)
{
    Foliopost__V1__UserBatch *b = arena_alloc(arena, sizeof *b);

    foliopost__v1__user_batch__init(b);
    b->schema_version = WIRE_SCHEMA_VERSION;
    b->job = job;
    b->batch_id = 1;
    b->users = arena_alloc(arena, n * sizeof *b->users);
    b->n_users = n;
    for (size_t i = 0; i < n; i++) {
        Foliopost__V1__User *u = b->users[i] = arena_alloc(arena, sizeof *u);

        foliopost__v1__user__init(u);
        u->id = from[i].id;
        u->base_currency = arena_strdup(arena, from[i].base_currency);
    }
    return b;
}

static void compute(struct bench *all, struct batch_tools *t, const struct source_user *users, size_t n,
                    struct fp_arena *in, struct fp_arena *out, struct fp_str *packed)
{
    Foliopost__V1__JobContext job = FOLIOPOST__V1__JOB_CONTEXT__INIT;
    struct batch_counts counts;
    struct fp_err err = {0};

    job.job_id = 1;
    job.kind = "monthly";
    job.period_start_day = all->period.start;
    job.period_end_day = all->period.end;
    job.as_of_us = all->period.as_of_us;
    Foliopost__V1__SummaryBatch *b = batch_compute(t, users_of(users, n, in, &job), out, &counts, &err);

    str_clear(packed);
    if (!b || wire_pack(&b->base, WIRE_MAX_MESSAGE_BYTES, packed, &err))
        stop(&err);
    atomic_fetch_add(&all->bytes, (long long)packed->len);
    atomic_fetch_add(&all->summaries, counts.summaries);
    atomic_fetch_add(&all->failures, counts.failures);
    atomic_fetch_add(&all->skips, counts.skips);
    arena_reset(in);
    arena_reset(out);
}

static void *work(void *arg)
{
    struct bench *all = arg;
    struct fp_err err = {0};
    const struct pg_options o = {.dsn = all->dsn, .prepare = true};
    struct batch_tools t = {.source = source_open(&o, &err),
                            .ledger = ledger_open(&o, &err),
                            .checkpoints = all->checkpoints,
                            .performance = performance_new(),
                            .cache = all->cache,
                            .policy = &all->policy,
                            .max_txs = 50000,
                            .alive = alive};
    struct fp_arena *in = arena_new(WIRE_MAX_ARENA_BYTES), *out = arena_new(WIRE_MAX_ARENA_BYTES);
    struct source_user *users = mem_array(BATCH, sizeof *users);
    struct fp_str packed;
    size_t at;

    if (!t.source || !t.ledger)
        stop(&err);
    str_init(&packed, WIRE_MAX_MESSAGE_BYTES + 1);
    while ((at = atomic_fetch_add(&all->next, BATCH)) < all->n) {
        size_t n = all->n - at < BATCH ? all->n - at : BATCH;

        if (source_users_by_id(t.source, "monthly", all->ids + at, n, users, &err) < 0)
            stop(&err);
        compute(all, &t, users, n, in, out, &packed);
    }
    str_fini(&packed);
    mem_free(users);
    arena_free(in);
    arena_free(out);
    performance_free(t.performance);
    ledger_close(t.ledger);
    source_close(t.source);
    return NULL;
}

static void list_users(struct bench *all)
{
    struct fp_err err = {0};
    struct fp_rows *rows;
    struct fp_pg *pg = pg_new(&(struct pg_options){.dsn = all->dsn}, &err);

    if (!pg || pg_run(pg, NULL, "SELECT id FROM portfolio.users ORDER BY created_at, id", NULL, &rows, &err))
        stop(&err);
    all->n = (size_t)pg_rows_count(rows);
    all->ids = mem_array(all->n + 1, sizeof *all->ids);
    for (size_t i = 0; i < all->n; i++)
        all->ids[i] = pg_i64(rows, (int)i, 0);
    pg_rows_free(rows);
    pg_free(pg);
}

static double cpu_s(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void run(struct bench *all, int workers)
{
    pthread_t threads[16];
    int64_t begin_us = clock_mono_us();
    double cpu = cpu_s(), s;

    for (int i = 0; i < workers; i++)
        if (pthread_create(&threads[i], NULL, work, all))
            exit(1);
    for (int i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    s = (double)(clock_mono_us() - begin_us) / 1e6;
    printf("%zu users in %.2f s: %.0f users a second, %.1f us of CPU a user here, %lld bytes a user"
           " (%lld summaries, %lld failures, %lld skips)\n",
           all->n, s, (double)all->n / s, (cpu_s() - cpu) * 1e6 / (double)all->n,
           (long long)all->bytes / (long long)all->n, (long long)all->summaries, (long long)all->failures,
           (long long)all->skips);
}

int main(int argc, char **argv)
{
    static struct bench all;
    char *dots = argc > 3 ? strstr(argv[3], "..") : NULL;
    int workers = argc > 2 ? atoi(argv[2]) : 0;

    if (!dots || workers < 1 || workers > 16) {
        fprintf(stderr, "usage: stats_bench DSN WORKERS FIRST..LAST [checkpoints|lives]\n");
        return 2;
    }
    *dots = '\0';
    if (!day_parse(argv[3], &all.period.start) || !day_parse(dots + 2, &all.period.end)) {
        fprintf(stderr, "stats_bench: %s..%s is no period\n", argv[3], dots + 2);
        return 2;
    }
    all.period.as_of_us = clock_wall_us();
    all.dsn = argv[1];
    all.cache = cache_new(4, 32u << 20);
    all.checkpoints =
        checkpoints_new(&(struct checkpoint_settings){.on = argc < 5 || strcmp(argv[4], "lives") != 0,
                                                      .verify = 0.001,
                                                      .keep_months = 3});
    list_users(&all);
    run(&all, workers);
    checkpoints_free(all.checkpoints);
    cache_free(all.cache);
    mem_free(all.ids);
    return 0;
}
