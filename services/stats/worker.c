/*
 * A worker: pull a batch, compute it, push it, again. Straight-line and
 * blocking; two connections, one to the source and one to the ledger, which is
 * only used to hand a batch back.
 *
 * What can stand in the way is waited out for a bounded time, with the batch in
 * hand, saying alive all the while: the source's database (backoff), or mailers
 * that take nothing. After that the batch is dropped: it is a hint, and the
 * ledger makes it again (P4). The pull socket is read by one worker at a time,
 * by a lock.
 */
#include "services/stats/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/bus/bus.h"
#include "lib/ledger/batches.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/trace/trace.h"
#include "services/stats/batch.h"
#include "services/stats/previews.h"

/* Short, so that a drain is noticed at once; a turn that yields nothing costs nothing. */
#define RECV_MS 200
#define REST_MS 3000 /* for handing back what was on its way here when the drain began */
#define SEND_MS 200
/* From a hiccup to a restarting server. */
#define BACKOFF_FIRST_MS 200
#define BACKOFF_MOST_MS  5000
/* Faults that repeat are logged this often. */
#define LOG_EVERY_MS 10000

struct worker {
    struct fp_workers *all;
    int no;
    pthread_t thread;
    bool started;
    int64_t probe_us; /* the next one, not before */
    struct fp_source *source;
    struct fp_ledger *ledger;
    struct fp_performance *performance;
    struct fp_arena *in, *out;
    struct fp_str packed;
};

struct fp_workers {
    struct fp_service *service;
    const struct stats_settings *set;
    struct fp_cache *cache;
    struct fp_checkpoints *checkpoints;
    struct fp_bus_pull *pull;
    struct fp_bus_push *push;
    struct previews *previews;
    pthread_mutex_t turn; /* to read the pull socket */
    atomic_bool draining;
    atomic_int running;
    pthread_mutex_t lock; /* trouble */
    char trouble[256];    /* why the source cannot be read; "" when it can */
    long long trouble_logged_us;
    long long bad_logged_us;
    int n;
    struct worker workers[];
};

static void beat(void *arg)
{
    const struct worker *w = arg;

    service_beat(w->all->service, w->no, "worker");
}

static void set_trouble(struct fp_workers *all, const char *id, const struct fp_err *why)
{
    bool changed, log;

    pthread_mutex_lock(&all->lock);
    changed = (all->trouble[0] != 0) != (why != NULL);
    snprintf(all->trouble, sizeof all->trouble, "%s", why ? why->msg : "");
    log = (why && log_limited(&all->trouble_logged_us, LOG_EVERY_MS)) || changed;
    pthread_mutex_unlock(&all->lock);
    if (changed)
        service_set_note(all->service, why ? why->msg : "");
    if (log && why)
        log_warn(id, "waiting for the source", "reason=%s", why->msg);
    else if (log)
        log_info(id, "source is back", "state=ok");
}

/* --- a batch that does not get through ---------------------------------------------------- */

static void dropped(struct worker *w, const Foliopost__V1__UserBatch *b, const char *id,
                    const struct fp_err *why)
{
    struct fp_err err;
    char labels[40], owner[LEDGER_UUID];

    snprintf(labels, sizeof labels, "code=\"%s\"", err_code_name(why->code));
    metrics_add("foliopost_stats_batches_dropped_total", labels, 1);
    log_warn(id, "dropped", "it comes again by redo; reason=%s", why->msg);
    service_owner(w->all->service, owner);
    if (ledger_error(w->ledger, "stats", owner, b->job->job_id, b->batch_id, err_code_name(why->code),
                     why->msg, &err))
        log_debug(id, "not in error_log", "reason=%s", err.msg);
}

static int hand_back(struct worker *w, const Foliopost__V1__UserBatch *b, const char *id)
{
    struct fp_err err;
    bool done;

    if (ledger_release(w->ledger, NULL, b->batch_id, 0, &done, &err)) {
        log_warn(id, "not handed back", "it comes again by redo; reason=%s", err.msg);
        return -1;
    }
    log_info(id, "handed back", "done=%d", done);
    return 0;
}

/* True: go on. False: the process drains, or the batch was held long enough. */
static bool hold_on(struct worker *w, int64_t until_us, int64_t wait_ms)
{
    int64_t wake_us = clock_mono_us() + wait_ms * 1000;

    beat(w);
    while (clock_mono_us() < wake_us) {
        beat(w);
        if (atomic_load(&w->all->draining) || clock_mono_us() >= until_us)
            return false;
        clock_sleep_us(50 * 1000);
    }
    return !atomic_load(&w->all->draining) && clock_mono_us() < until_us;
}

static void give_up(struct worker *w, const Foliopost__V1__UserBatch *b, const char *id,
                    const struct fp_err *why)
{
    if (atomic_load(&w->all->draining))
        (void)!hand_back(w, b, id);
    else
        dropped(w, b, id, why);
}

/* --- the way of a batch --------------------------------------------------------------------- */

static Foliopost__V1__SummaryBatch *compute(struct worker *w, const Foliopost__V1__UserBatch *b,
                                            const char *id, struct batch_counts *counts)
{
    struct batch_tools tools = {.source = w->source,
                                .ledger = w->ledger,
                                .checkpoints = w->all->checkpoints,
                                .performance = w->performance,
                                .cache = w->all->cache,
                                .policy = &w->all->set->policy,
                                .max_txs = (size_t)w->all->set->max_transactions,
                                .alive = beat,
                                .alive_arg = w};
    int64_t until_us = clock_mono_us() + w->all->set->retry_for_ms * 1000, wait_ms = BACKOFF_FIRST_MS;
    Foliopost__V1__SummaryBatch *out;
    struct fp_err err = {0};

    while (!(out = batch_compute(&tools, b, w->out, counts, &err))) {
        arena_reset(w->out);
        if (err.code == FP_RESOURCE_EXHAUSTED) {
            dropped(w, b, id, &err);
            return NULL;
        }
        set_trouble(w->all, id, &err);
        if (!hold_on(w, until_us, wait_ms)) {
            give_up(w, b, id, &err);
            return NULL;
        }
        wait_ms = wait_ms * 2 < BACKOFF_MOST_MS ? wait_ms * 2 : BACKOFF_MOST_MS;
    }
    set_trouble(w->all, id, NULL);
    return out;
}

static int send_packed(struct worker *w, const Foliopost__V1__UserBatch *b, const char *id)
{
    int64_t until_us = clock_mono_us() + w->all->set->retry_for_ms * 1000;
    struct fp_err err;

    while (bus_push_send(w->all->push, w->packed.data, w->packed.len, SEND_MS, &err)) {
        if (err.code == FP_UNAVAILABLE && hold_on(w, until_us, 0))
            continue;
        give_up(w, b, id, &err);
        return -1;
    }
    return 0;
}

/* A large batch of long names goes without its charts rather than not at all. */
static int pack(struct worker *w, Foliopost__V1__SummaryBatch *out, struct fp_err *err)
{
    if (wire_check(&out->base, err))
        return -1;
    if (wire_pack(&out->base, WIRE_MAX_MESSAGE_BYTES, &w->packed, err) == 0)
        return 0;
    for (size_t i = 0; i < out->n_items; i++)
        if (out->items[i]->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY)
            out->items[i]->summary->n_chart_value_minor = out->items[i]->summary->n_chart_contributed_minor =
                0;
    metrics_add("foliopost_stats_charts_left_out_total", "", (double)out->n_items);
    str_clear(&w->packed);
    return wire_pack(&out->base, WIRE_MAX_MESSAGE_BYTES, &w->packed, err);
}

/* True when the summaries are on their way. */
static bool finish(struct worker *w, const Foliopost__V1__UserBatch *b, const char *id,
                   struct trace_span *span)
{
    struct batch_counts counts;
    Foliopost__V1__SummaryBatch *out = compute(w, b, id, &counts);
    struct fp_err err;

    if (!out)
        return false;
    out->traceparent = span->context;
    str_clear(&w->packed);
    if (pack(w, out, &err)) {
        dropped(w, b, id, &err); /* too large: the ledger's redos split it */
        return false;
    }
    if (send_packed(w, b, id))
        return false;
    metrics_add("foliopost_stats_batches_total", "", 1);
    metrics_add("foliopost_stats_users_total", "outcome=\"summary\"", counts.summaries);
    metrics_add("foliopost_stats_users_total", "outcome=\"failure\"", counts.failures);
    metrics_add("foliopost_stats_users_total", "outcome=\"skip\"", counts.skips);
    log_debug(id, "computed", "summaries=%d skips=%d failures=%d%s%s", counts.summaries, counts.skips,
              counts.failures, counts.failures ? " first=" : "", counts.first_failure);
    trace_number(span, "foliopost.failures", counts.failures);
    return true;
}

static void begin_span(struct trace_span *s, const Foliopost__V1__UserBatch *b)
{
    trace_begin(s, b->traceparent, "stats batch", TRACE_CONSUMER);
    trace_number(s, "foliopost.job_id", b->job->job_id);
    trace_number(s, "foliopost.batch_id", b->batch_id);
    trace_number(s, "messaging.batch.message_count", (int64_t)b->n_users);
}

static void handle(struct worker *w, const void *data, size_t bytes)
{
    int64_t begin_us = clock_mono_us();
    struct fp_err err;
    const Foliopost__V1__UserBatch *b =
        wire_unpack(&foliopost__v1__user_batch__descriptor, data, bytes, w->in, &err);
    char id[64];

    if (!b) {
        metrics_add("foliopost_stats_bad_messages_total", "", 1);
        if (log_limited(&w->all->bad_logged_us, LOG_EVERY_MS))
            log_warn("", "bad message", "bytes=%zu reason=%s", bytes, err.msg);
        return;
    }
    snprintf(id, sizeof id, "job=%lld batch=%lld", (long long)b->job->job_id, (long long)b->batch_id);
    struct trace_span span;
    begin_span(&span, b);
    log_trace(span.context);
    trace_end(&span, finish(w, b, id, &span) ? NULL : "not_sent");
    log_trace(NULL);
    metrics_observe_s("foliopost_stats_batch_seconds", "", (double)(clock_mono_us() - begin_us) / 1e6);
}

/* A message, or NULL when none came for a moment. */
static struct fp_bus_msg *next_message(struct worker *w)
{
    struct timespec until;
    struct fp_bus_msg *m = NULL;
    struct fp_err err;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (pthread_mutex_timedlock(&w->all->turn, &until))
        return NULL;
    if (!atomic_load(&w->all->draining) && bus_pull_recv(w->all->pull, RECV_MS, &m, &err) < 0) {
        m = NULL;
        clock_sleep_us(RECV_MS * 1000); /* shut: the drain is on its way */
    }
    pthread_mutex_unlock(&w->all->turn);
    return m;
}

static bool in_trouble(struct fp_workers *all)
{
    bool trouble;

    pthread_mutex_lock(&all->lock);
    trouble = all->trouble[0] != 0;
    pthread_mutex_unlock(&all->lock);
    return trouble;
}

/* Nothing to do, and the source could not be read the last time: asks again
 * with the real statement, for nobody, so that readiness does not wait for the
 * next batch. */
static void probe(struct worker *w)
{
    const struct portfolio_period nobody = {0};
    const struct portfolio_ask ask = {.max_rows = 1, .first_day = PORTFOLIO_ALL};
    struct portfolio_txs txs;
    struct fp_err err;
    int64_t now_us = clock_mono_us();

    if (!in_trouble(w->all) || now_us < w->probe_us)
        return;
    w->probe_us = now_us + BACKOFF_MOST_MS * 1000;
    if (portfolio_txs_load(w->source, &nobody, &ask, &txs, &err)) {
        set_trouble(w->all, "", &err);
        return;
    }
    portfolio_txs_fini(&txs);
    set_trouble(w->all, "", NULL);
}

static bool rest(struct worker *w, int64_t until_us, struct fp_bus_msg **m)
{
    pthread_mutex_lock(&w->all->turn);
    bool came = bus_pull_rest(w->all->pull, until_us, m);
    pthread_mutex_unlock(&w->all->turn);
    return came;
}

/* What userstreams had sent here goes to others at once, and not when it is due again. */
static void hand_back_rest(struct worker *w)
{
    int64_t until_us = clock_mono_us() + REST_MS * 1000;
    struct fp_bus_msg *m;
    int rc = 0;

    while (rc == 0 && rest(w, until_us, &m)) {
        size_t bytes;
        const void *data = bus_msg_data(m, &bytes);
        struct fp_err err;
        char id[64];
        const Foliopost__V1__UserBatch *b =
            wire_unpack(&foliopost__v1__user_batch__descriptor, data, bytes, w->in, &err);

        beat(w);
        if (b) {
            snprintf(id, sizeof id, "job=%lld batch=%lld", (long long)b->job->job_id, (long long)b->batch_id);
            rc = hand_back(w, b, id);
        }
        bus_msg_free(m);
        arena_reset(w->in);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(&w->all->draining)) {
        struct fp_bus_msg *m;

        beat(w);
        m = next_message(w);
        if (!m) {
            probe(w);
            continue;
        }
        size_t bytes;
        const void *data = bus_msg_data(m, &bytes);

        handle(w, data, bytes);
        bus_msg_free(m);
        arena_reset(w->in);
        arena_reset(w->out);
    }
    hand_back_rest(w);
    service_beat_end(w->all->service, w->no);
    atomic_fetch_sub(&w->all->running, 1);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------ */

static int worker_open(struct worker *w, struct fp_err *err)
{
    struct pg_options o;

    service_ledger_options(w->all->service, &o);
    w->ledger = ledger_open(&o, err);
    if (!w->ledger)
        return -1;
    if (w->all->set->source_dsn[0])
        o.dsn = w->all->set->source_dsn;
    w->source = source_open(&o, err);
    if (!w->source)
        return err_prefix(err, "source-dsn");
    w->performance = performance_new();
    w->in = arena_new(WIRE_MAX_ARENA_BYTES);
    w->out = arena_new(WIRE_MAX_ARENA_BYTES);
    str_init(&w->packed, WIRE_MAX_MESSAGE_BYTES + 1);
    return 0;
}

static void worker_close(struct worker *w)
{
    ledger_close(w->ledger);
    source_close(w->source);
    performance_free(w->performance);
    arena_free(w->in);
    arena_free(w->out);
    str_fini(&w->packed);
}

static int open_bus(struct fp_workers *all, struct fp_err *err)
{
    const struct bus_tls tls = {all->set->bus_ca_file, all->set->bus_cert_file, all->set->bus_key_file};

    all->push = bus_push_open("summaries", all->set->summaries_listen, &tls, err);
    if (!all->push)
        return err_prefix(err, "summaries-listen");
    all->pull = bus_pull_open("users", all->set->users_from, &tls, (int)all->set->bus_resolve_ms, err);
    return all->pull ? 0 : err_prefix(err, "users-from");
}

static int start_threads(struct fp_workers *all, struct fp_err *err)
{
    for (int i = 0; i < all->n; i++) {
        struct worker *w = &all->workers[i];
        int rc;

        atomic_fetch_add(&all->running, 1);
        rc = pthread_create(&w->thread, NULL, work, w);
        if (rc) {
            atomic_fetch_sub(&all->running, 1);
            return err_set(err, FP_RESOURCE_EXHAUSTED, "worker %d: no thread: %s", i, strerror(rc));
        }
        w->started = true;
    }
    return 0;
}

struct fp_workers *workers_start(struct fp_service *s, const struct stats_settings *set, struct fp_err *err)
{
    struct fp_workers *all = mem_alloc(sizeof *all + (size_t)set->workers * sizeof all->workers[0]);
    int failed = 0;

    all->service = s;
    all->set = set;
    all->n = (int)set->workers;
    all->cache = cache_new((int)set->cache_periods, (size_t)set->cache_mb << 20);
    all->checkpoints =
        checkpoints_new(&(struct checkpoint_settings){set->checkpoints, set->verify_checkpoints / 100,
                                                      (int)set->checkpoint_months, (int)set->cache_periods});
    pthread_mutex_init(&all->turn, NULL);
    pthread_mutex_init(&all->lock, NULL);
    for (int i = 0; i < all->n && !failed; i++) {
        all->workers[i].all = all;
        all->workers[i].no = i;
        failed = worker_open(&all->workers[i], err);
    }
    if (!failed)
        all->previews = previews_start(s, set, all->cache, err);
    if (failed || !all->previews || open_bus(all, err) || start_threads(all, err)) {
        workers_drain(all);
        workers_stop(all);
        return NULL;
    }
    return all;
}

void workers_drain(struct fp_workers *w)
{
    if (w->pull)
        bus_pull_leave(w->pull);
    atomic_store(&w->draining, true);
    previews_drain(w->previews);
}

bool workers_drained(struct fp_workers *w)
{
    return atomic_load(&w->running) == 0 && previews_drained(w->previews);
}

void workers_tick(struct fp_workers *w)
{
    int periods;
    size_t bytes;

    cache_sizes(w->cache, &periods, &bytes);
    metrics_set("foliopost_stats_cache_periods", "", periods);
    metrics_set("foliopost_stats_cache_bytes", "", (double)bytes);
    metrics_set("foliopost_stats_mailers", "", bus_push_peers(w->push));
    metrics_set("foliopost_stats_userstreams", "", bus_pull_peers(w->pull));
}

bool workers_ready(struct fp_workers *w, struct fp_str *why_not)
{
    bool ready;

    pthread_mutex_lock(&w->lock);
    ready = !w->trouble[0];
    if (!ready)
        str_printf(why_not, "source: %s", w->trouble);
    pthread_mutex_unlock(&w->lock);
    return ready;
}

void workers_stop(struct fp_workers *w)
{
    /* A thread that outlived the grace period hangs in the database or the bus:
     * it ends with the process, and so does what it uses. */
    if (!workers_drained(w)) {
        bool stuck = true;

        for (int i = 0; i < 20 && stuck; i++) { /* a start that failed half-way drains at once */
            clock_sleep_us(50 * 1000);
            stuck = !workers_drained(w);
        }
        if (stuck)
            return;
    }
    for (int i = 0; i < w->n; i++)
        if (w->workers[i].started)
            pthread_join(w->workers[i].thread, NULL);
    previews_stop(w->previews);
    if (w->pull)
        bus_pull_shut(w->pull);
    if (w->push)
        bus_push_shut(w->push, SEND_MS * 5);
    for (int i = 0; i < w->n; i++)
        worker_close(&w->workers[i]);
    cache_free(w->cache);
    checkpoints_free(w->checkpoints);
    pthread_mutex_destroy(&w->turn);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
