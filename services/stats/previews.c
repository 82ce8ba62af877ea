/*
 * Takes what asks for figures, computes a batch of one as a worker would, and
 * puts the summary in its place. Checkpoints are neither read nor written: a
 * life is read from its first transaction, and nothing is left behind.
 *
 * Where there is no mail (a failure, nothing to report), that is the answer, and
 * no mailer is asked. Errors name ids and codes, as SummaryFailure does.
 */
#include "services/stats/previews.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ledger/previews.h"
#include "lib/log/log.h"
#include "services/stats/batch.h"

#define POLL_MS      250  /* a look at a table that is nearly always empty */
#define TROUBLE_MS   5000 /* the ledger is away, or we may not read the table */
#define LOG_EVERY_MS 600000

struct previews {
    struct fp_service *service;
    const struct stats_settings *set;
    struct fp_ledger *ledger;
    struct fp_source *source; /* connects at the first preview */
    struct fp_cache *cache;
    struct fp_checkpoints *checkpoints; /* off */
    struct fp_performance *performance;
    struct fp_arena *arena;
    pthread_t thread;
    bool started;
    long long logged_us;
    atomic_bool draining, ended;
};

static void still_alive(void *arg)
{
    (void)arg;
}

static void trouble(struct previews *p, const struct fp_err *err)
{
    if (log_limited(&p->logged_us, LOG_EVERY_MS))
        log_warn("", "no previews", "reason=%s", err->msg);
}

/* --- one of them -------------------------------------------------------------------------- */

static void answer_error(struct previews *p, const char *id, const char *owner, const struct fp_err *why)
{
    Foliopost__V1__RpcReply reply = FOLIOPOST__V1__RPC_REPLY__INIT;
    struct fp_str packed;
    struct fp_err err;

    reply.schema_version = WIRE_SCHEMA_VERSION;
    reply.code = (int32_t)why->code;
    reply.message = (char *)why->msg;
    str_init(&packed, WIRE_MAX_MESSAGE_BYTES + 1);
    if (wire_pack(&reply.base, WIRE_MAX_MESSAGE_BYTES, &packed, &err) ||
        ledger_preview_answer(p->ledger, id, owner, packed.data, packed.len, &err))
        trouble(p, &err);
    str_fini(&packed);
}

static const Foliopost__V1__SummaryBatch *compute(struct previews *p, const Foliopost__V1__UserBatch *b,
                                                  struct fp_err *err)
{
    struct batch_counts counts;
    struct batch_tools tools = {.source = p->source,
                                .ledger = p->ledger,
                                .checkpoints = p->checkpoints,
                                .performance = p->performance,
                                .cache = p->cache,
                                .policy = &p->set->policy,
                                .max_txs = (size_t)p->set->max_transactions,
                                .alive = still_alive};
    const Foliopost__V1__SummaryBatch *out = batch_compute(&tools, b, p->arena, &counts, err);

    if (!out) {
        err->code = FP_UNAVAILABLE;
        err_prefix(err, "stats cannot read the source");
        return NULL;
    }
    const Foliopost__V1__SummaryItem *item = out->items[0];
    if (item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY)
        return out;
    if (item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE)
        err_set(err, FP_FAILED_PRECONDITION, "user %" PRId64 ": failed: %s: %s", item->user->id,
                item->failure->reason, item->failure->detail);
    else
        err_set(err, FP_FAILED_PRECONDITION, "user %" PRId64 ": skipped: nothing to report in this period",
                item->user->id);
    return NULL;
}

static int pack_summary(struct previews *p, const struct ledger_preview *one, struct fp_str *packed,
                        struct fp_err *err)
{
    const Foliopost__V1__UserBatch *b =
        one->data ? wire_unpack(&foliopost__v1__user_batch__descriptor, one->data, one->bytes, p->arena, err)
                  : NULL;
    if (!b || b->n_users != 1)
        return err_set(err, FP_INTERNAL, "what the scheduler asked stats is not one user");
    const Foliopost__V1__SummaryBatch *out = compute(p, b, err);
    if (!out)
        return -1;
    return wire_check(&out->base, err) ? -1 : wire_pack(&out->base, WIRE_MAX_MESSAGE_BYTES, packed, err);
}

static void work_on(struct previews *p, const struct ledger_preview *one, const char *owner)
{
    struct fp_str packed;
    struct fp_err err;

    str_init(&packed, WIRE_MAX_MESSAGE_BYTES + 1);
    if (pack_summary(p, one, &packed, &err))
        answer_error(p, one->id, owner, &err);
    else if (ledger_preview_pass(p->ledger, one->id, owner, packed.data, packed.len, &err))
        trouble(p, &err);
    str_fini(&packed);
    arena_reset(p->arena);
}

/* --- the thread --------------------------------------------------------------------------- */

/* How long to wait before the next look. */
static int turn(struct previews *p)
{
    struct ledger_preview one;
    struct fp_err err;
    char owner[LEDGER_UUID];

    service_owner(p->service, owner);
    int taken = ledger_preview_take(p->ledger, PREVIEW_COMPUTE, owner, &one, &err);
    if (taken < 0) {
        trouble(p, &err);
        return TROUBLE_MS;
    }
    if (taken == 0)
        return POLL_MS;
    work_on(p, &one, owner);
    ledger_preview_fini(&one);
    return 0;
}

static void *work(void *arg)
{
    struct previews *p = arg;

    while (!atomic_load(&p->draining)) {
        int wait_ms = turn(p);
        for (; wait_ms > 0 && !atomic_load(&p->draining); wait_ms -= POLL_MS)
            clock_sleep_us(POLL_MS * 1000);
    }
    atomic_store(&p->ended, true);
    return NULL;
}

static int open_all(struct previews *p, struct fp_err *err)
{
    struct pg_options o;

    service_ledger_options(p->service, &o);
    p->ledger = ledger_open(&o, err);
    if (!p->ledger)
        return -1;
    if (p->set->source_dsn[0])
        o.dsn = p->set->source_dsn;
    p->source = source_open(&o, err);
    return p->source ? 0 : err_prefix(err, "source-dsn");
}

struct previews *previews_start(struct fp_service *s, const struct stats_settings *set,
                                struct fp_cache *cache, struct fp_err *err)
{
    struct previews *p = mem_alloc(sizeof *p);

    p->service = s;
    p->set = set;
    p->cache = cache;
    p->checkpoints = checkpoints_new(&(struct checkpoint_settings){.on = false});
    p->performance = performance_new();
    p->arena = arena_new(WIRE_MAX_ARENA_BYTES);
    atomic_store(&p->ended, true);
    int failed = open_all(p, err);
    if (!failed) {
        atomic_store(&p->ended, false);
        int rc = pthread_create(&p->thread, NULL, work, p);
        p->started = rc == 0;
        if (rc)
            failed = err_set(err, FP_RESOURCE_EXHAUSTED, "previews: no thread: %s", strerror(rc));
    }
    if (failed) {
        atomic_store(&p->ended, true);
        previews_stop(p);
        return NULL;
    }
    return p;
}

void previews_drain(struct previews *p)
{
    if (p)
        atomic_store(&p->draining, true);
}

bool previews_drained(struct previews *p)
{
    return !p || atomic_load(&p->ended);
}

void previews_stop(struct previews *p)
{
    if (!p)
        return;
    if (p->started)
        pthread_join(p->thread, NULL);
    ledger_close(p->ledger);
    source_close(p->source);
    checkpoints_free(p->checkpoints);
    performance_free(p->performance);
    arena_free(p->arena);
    mem_free(p);
}
