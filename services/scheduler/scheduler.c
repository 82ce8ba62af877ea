/*
 * What the process is made of, and in which order it comes and goes.
 *
 * The work pipe listens first, so that userstreams can dial in to a standby
 * too; then the RPC door; then the leader's thread, which makes that of its
 * lead. A drain ends the leader and gives its lead back at once, while calls are still answered: any
 * scheduler can, and a client should not see the difference.
 */
#include "services/scheduler/scheduler.h"

#include <pthread.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/bus/bus.h"
#include "lib/log/log.h"
#include "lib/rpc/shared.h"
#include "services/scheduler/identities.h"
#include "services/scheduler/leader.h"
#include "services/scheduler/methods.h"

/* The leader's loop asks the source one small question for each job, and
 * stands while it does. */
#define LEADER_SOURCE_CONNECT_MS 2000
#define LEADER_SOURCE_QUERY_MS   5000

/* Of the lead's own connection: two tries fit into the lead. */
#define LEAD_TIMEOUT_MS 3000

#define PIPE_SHUT_MS 500
/* A proof of fewer is over before the loop is missed. */
#define PROVE_APART_USERS INT64_C(1000000)
#define BEAT_LEADER       0
#define BEAT_LEAD         1

struct scheduler {
    struct scheduler_settings set; /* first: see scheduler.h */
    struct fp_service *service;
    struct fp_bus_push *work;
    struct identities *identities;
    struct methods *methods;
    struct fp_rpc_server *rpc;
    struct fp_grpc_server *grpc;            /* NULL: not wanted */
    struct rpc_shared *shared;              /* replies, between both doors */
    struct fp_ledger *ledger, *lead_ledger; /* the leader's */
    struct fp_source *source;
    struct leader leader;
    struct lead lead;
    struct prover *prover;
    pthread_t thread, lead_thread;
    bool thread_runs;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool woken, stopping, ended;
    bool loop_over; /* the lead is not needed any more */
};

struct scheduler *scheduler_instance(void)
{
    static struct scheduler one;

    return &one;
}

int scheduler_validate(void *values, struct fp_err *err)
{
    struct scheduler *s = values;

    return settings_check(&s->set, err);
}

/* --- the leader's thread ---------------------------------------------------------------- */

/* Waits until one of the two is set. Returns *stop. */
static bool wait_for(struct scheduler *s, int ms, bool *woken, const bool *stop)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + ms * INT64_C(1000000);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&s->lock);
    while (!*woken && !*stop)
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until))
            break;
    *woken = false;
    bool stopped = *stop;
    pthread_mutex_unlock(&s->lock);
    return stopped;
}

static void set(struct scheduler *s, bool *flag)
{
    pthread_mutex_lock(&s->lock);
    *flag = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *run_lead(void *arg)
{
    struct scheduler *s = arg;
    bool never = false;
    int wait_ms;

    do {
        service_beat(s->service, BEAT_LEAD, "lead");
        wait_ms = lead_turn(&s->lead);
    } while (!wait_for(s, wait_ms, &never, &s->loop_over));
    lead_resign(&s->lead);
    service_beat_end(s->service, BEAT_LEAD);
    return NULL;
}

static void *run_leader(void *arg)
{
    struct scheduler *s = arg;
    int wait_ms;

    int rc = pthread_create(&s->lead_thread, NULL, run_lead, s);
    if (rc)
        fp_panic("no thread for the lead: error %d", rc);
    do {
        service_beat(s->service, BEAT_LEADER, "leader");
        wait_ms = leader_tick(&s->leader);
    } while (!wait_for(s, wait_ms, &s->woken, &s->stopping));
    service_beat_end(s->service, BEAT_LEADER);
    set(s, &s->loop_over);
    pthread_join(s->lead_thread, NULL);
    set(s, &s->ended);
    return NULL;
}

static void wake(void *ctx)
{
    struct scheduler *s = ctx;

    set(s, &s->woken);
}

static void owner(void *ctx, char out[LEDGER_UUID])
{
    struct scheduler *s = ctx;

    service_owner(s->service, out);
}

static int send_work(void *ctx, const void *data, size_t bytes, int timeout_ms, struct fp_err *err)
{
    struct scheduler *s = ctx;

    return bus_push_send(s->work, data, bytes, timeout_ms, err);
}

static int work_peers(void *ctx)
{
    struct scheduler *s = ctx;

    return bus_push_peers(s->work);
}

/* --- start ---------------------------------------------------------------------------------- */

static void source_options(const struct scheduler *s, const struct pg_options *ledger, struct pg_options *out)
{
    *out = *ledger;
    if (s->set.source_dsn[0])
        out->dsn = s->set.source_dsn;
}

static int start_grpc(struct scheduler *s, struct fp_err *err)
{
    struct grpc_options o;

    if (!s->set.grpc_listen[0])
        return 0;
    settings_grpc(&s->set, &o);
    o.methods = methods_table;
    o.n_methods = methods_n;
    o.identities = identities_door(s->identities);
    o.shared = s->shared;
    o.ctx = s->methods;
    s->grpc = grpc_server_start(&o, err);
    return s->grpc ? 0 : err_prefix(err, "grpc-listen %s", s->set.grpc_listen);
}

static int start_doors(struct scheduler *s, const struct pg_options *ledger, const struct pg_options *source,
                       struct fp_err *err)
{
    struct bus_tls tls = {s->set.bus_ca_file, s->set.bus_cert_file, s->set.bus_key_file};
    struct methods_options mo = {.set = &s->set,
                                 .ledger = *ledger,
                                 .source = *source,
                                 .workers = (int)(s->set.rpc_threads + s->set.grpc_threads),
                                 .identities = s->identities,
                                 .ctx = s,
                                 .wake = wake};

    s->work = bus_push_open("work", s->set.work_listen, &tls, err);
    if (!s->work)
        return err_prefix(err, "work-listen %s", s->set.work_listen);
    s->shared = rpc_shared_new();
    s->methods = methods_new(&mo, err);
    if (!s->methods)
        return -1;
    struct rpc_server_options ro = {.listen_url = s->set.rpc_listen,
                                    .tls = &tls,
                                    .token_file = s->set.rpc_token_file,
                                    .threads = (int)s->set.rpc_threads,
                                    .max_deadline_ms = (int)s->set.rpc_deadline_ms,
                                    .methods = methods_table,
                                    .n_methods = methods_n,
                                    .identities = identities_door(s->identities),
                                    .shared = s->shared,
                                    .ctx = s->methods};
    s->rpc = rpc_server_start(&ro, err);
    if (!s->rpc)
        return err_prefix(err, "rpc-listen %s", s->set.rpc_listen);
    if (start_grpc(s, err))
        return -1;
    log_info("", "listening", "rpc_port=%d work_port=%d", rpc_server_port(s->rpc), bus_push_port(s->work));
    return 0;
}

static int start_leader(struct scheduler *s, const struct pg_options *ledger, const struct pg_options *source,
                        struct fp_err *err)
{
    struct pg_options quick = *source, lead = *ledger, proofs = *ledger;

    quick.connect_timeout_ms = LEADER_SOURCE_CONNECT_MS;
    quick.query_timeout_ms = LEADER_SOURCE_QUERY_MS;
    lead.connect_timeout_ms = lead.query_timeout_ms = LEAD_TIMEOUT_MS;
    s->ledger = ledger_open(ledger, err);
    s->lead_ledger = s->ledger ? ledger_open(&lead, err) : NULL;
    s->source = s->lead_ledger ? source_open(&quick, err) : NULL;
    if (!s->source)
        return -1;
    proofs.query_timeout_ms = PROVER_TIMEOUT_MS;
    struct fp_ledger *prover_ledger = ledger_open(&proofs, err);
    s->prover = prover_ledger ? prover_new(prover_ledger, complete_tell, err) : NULL;
    if (!s->prover)
        return -1;
    lead_init(&s->lead, s->lead_ledger, s, owner);
    struct leader_options lo = {.set = &s->set,
                                .ledger = s->ledger,
                                .source = s->source,
                                .lead = &s->lead,
                                .prover = s->prover,
                                .prove_apart_users = PROVE_APART_USERS,
                                .ctx = s,
                                .send = send_work,
                                .peers = work_peers};
    if (leader_init(&s->leader, &lo, err))
        return -1;
    int rc = pthread_create(&s->thread, NULL, run_leader, s);
    if (rc)
        return err_set(err, FP_INTERNAL, "cannot start the leader's thread: error %d", rc);
    s->thread_runs = true;
    return 0;
}

int scheduler_start(struct fp_service *service, void *values, struct fp_err *err)
{
    struct scheduler *s = values;
    struct pg_options ledger, source;
    pthread_condattr_t attr;

    s->service = service;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    service_ledger_options(service, &ledger);
    source_options(s, &ledger, &source);
    s->identities = identities_new();
    if (identities_start(s->identities, &ledger, err) || start_doors(s, &ledger, &source, err) ||
        start_leader(s, &ledger, &source, err)) {
        scheduler_stop(service, s);
        return -1;
    }
    return 0;
}

/* --- end ---------------------------------------------------------------------------------------- */

void scheduler_drain(struct fp_service *service, void *values)
{
    struct scheduler *s = values;

    (void)service;
    set(s, &s->stopping);
    if (s->grpc)
        grpc_server_drain(s->grpc);
}

bool scheduler_drained(struct fp_service *service, void *values)
{
    struct scheduler *s = values;

    (void)service;
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended || !s->thread_runs;
    pthread_mutex_unlock(&s->lock);
    return ended && (!s->grpc || grpc_server_drained(s->grpc));
}

/* A leader that is still waiting for PostgreSQL when the grace period is over
 * is left alone with what it uses: the process ends now, its lease soon. */
static void stop_leader(struct fp_service *service, struct scheduler *s)
{
    (void)service;
    set(s, &s->stopping);
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended || !s->thread_runs;
    pthread_mutex_unlock(&s->lock);
    if (!ended) {
        log_warn("", "leader left behind", "reason=it waits for PostgreSQL; its lead ends with its lease");
        return;
    }
    if (s->thread_runs)
        pthread_join(s->thread, NULL);
    s->thread_runs = false;
    if (!prover_stop(s->prover))
        log_warn("", "proof left behind", "reason=it goes on in PostgreSQL; what it finds stands");
    s->prover = NULL;
    leader_fini(&s->leader);
    lead_fini(&s->lead);
    if (s->source)
        source_close(s->source);
    if (s->ledger)
        ledger_close(s->ledger);
    if (s->lead_ledger)
        ledger_close(s->lead_ledger);
    s->source = NULL;
    s->ledger = s->lead_ledger = NULL;
    if (s->work)
        bus_push_shut(s->work, PIPE_SHUT_MS);
    s->work = NULL;
}

void scheduler_stop(struct fp_service *service, void *values)
{
    struct scheduler *s = values;

    if (s->rpc)
        rpc_server_stop(s->rpc);
    s->rpc = NULL;
    grpc_server_stop(s->grpc);
    s->grpc = NULL;
    rpc_shared_free(s->shared);
    s->shared = NULL;
    methods_free(s->methods);
    s->methods = NULL;
    identities_free(s->identities);
    s->identities = NULL;
    stop_leader(service, s);
}
