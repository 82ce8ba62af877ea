/* What the tests of JobService share: a door on a real socket before a real PostgreSQL, and a client. */
#ifndef FP_SCHEDULER_DOOR_H
#define FP_SCHEDULER_DOOR_H

#include "lib/rpc/rpc.h"
#include "services/scheduler/identities.h"
#include "services/scheduler/methods.h"
#include "services/scheduler/testing.h"

static struct methods *methods;
static struct identities *identities;
static char door_url[64];
static struct fp_rpc_server *server;
static struct fp_rpc_client *client;
static struct fp_arena *arena;
static int woken;

static inline void count_wake(void *ctx)
{
    (void)ctx;
    woken++;
}

static inline int door_up(void **state)
{
    if (t_up(state))
        return -1;
    identities = identities_new();
    t_set.rpc_threads = 2;
    struct methods_options mo = {.set = &t_set,
                                 .ledger = t_pg(),
                                 .source = t_pg(),
                                 .workers = 2,
                                 .identities = identities,
                                 .wake = count_wake};
    methods = methods_new(&mo, &t_err);
    struct rpc_server_options ro = {.listen_url = "tcp://127.0.0.1:0",
                                    .token_file = "",
                                    .threads = 2,
                                    .max_deadline_ms = 20000,
                                    .methods = methods_table,
                                    .n_methods = methods_n,
                                    .identities = identities_door(identities),
                                    .ctx = methods};
    server = methods ? rpc_server_start(&ro, &t_err) : NULL;
    if (!server) {
        fprintf(stderr, "%s\n", t_err.msg);
        return -1;
    }
    snprintf(door_url, sizeof door_url, "tcp://127.0.0.1:%d", rpc_server_port(server));
    client = rpc_client_new(door_url, NULL, NULL, &t_err);
    arena = arena_new(WIRE_MAX_ARENA_BYTES);
    return client ? 0 : -1;
}

static inline int door_down(void **state)
{
    arena_free(arena);
    rpc_client_free(client);
    rpc_server_stop(server);
    methods_free(methods);
    identities_free(identities);
    return t_down(state);
}

static inline int fresh(void **state)
{
    arena_reset(arena);
    woken = 0;
    if (t_clean(state))
        return -1;
    t_sql("DELETE FROM foliopost.identities");
    return identities_read(identities, t_ledger, &t_err);
}

static inline void *call(const char *method, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *reply)
{
    return rpc_call(client, method, request, reply, 10000, arena, &t_err);
}

static inline void *called(const char *method, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *reply)
{
    void *r = call(method, request, reply);

    if (!r)
        fail_msg("%s: %s", method, t_err.msg);
    return r;
}

static inline void refused(const char *method, const ProtobufCMessage *request,
                           const ProtobufCMessageDescriptor *reply, enum fp_code code, const char *says)
{
    assert_null(call(method, request, reply));
    assert_int_equal(t_err.code, code);
    if (!strstr(t_err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", t_err.msg, says);
}

static inline Foliopost__V1__SubmitJobResponse *submit(const char *id, Foliopost__V1__JobKind kind,
                                                       bool dry_run)
{
    Foliopost__V1__SubmitJobRequest q = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;

    spec.kind = kind;
    q.request_id = (char *)id;
    q.spec = &spec;
    q.dry_run = dry_run;
    return call("SubmitJob", &q.base, &foliopost__v1__submit_job_response__descriptor);
}

#define MONTHLY FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY
#define WEEKLY  FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY

static inline int64_t submitted(const char *id)
{
    Foliopost__V1__SubmitJobResponse *r = submit(id, MONTHLY, false);

    if (!r)
        fail_msg("SubmitJob: %s", t_err.msg);
    return r->job->id;
}

static inline Foliopost__V1__Job *get(int64_t id)
{
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;

    q.job_id = id;
    return called("GetJob", &q.base, &foliopost__v1__job__descriptor);
}

static inline Foliopost__V1__Job *pause_job(int64_t id, const char *reason)
{
    Foliopost__V1__PauseJobRequest q = FOLIOPOST__V1__PAUSE_JOB_REQUEST__INIT;

    q.job_id = id;
    q.reason = (char *)reason;
    return called("PauseJob", &q.base, &foliopost__v1__job__descriptor);
}

static inline bool waits_for(const Foliopost__V1__Job *j, const char *what)
{
    for (size_t i = 0; i < j->n_waiting; i++)
        if (strstr(j->waiting[i], what))
            return true;
    return false;
}

#endif
