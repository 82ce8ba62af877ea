/*
 * Peers of the RPC door who announce the largest request and never end it: from
 * more addresses than have places, many times over. Who asks is served.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/bus/peers_testing.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/rpc.h"

#define PEERS    300
#define ANNOUNCE WIRE_MAX_RPC_BYTES
#define PLACES   48 /* of server.c */

static ProtobufCMessage *get_job(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    (void)err;
    Foliopost__V1__Job *job = arena_alloc(call->arena, sizeof *job);
    foliopost__v1__job__init(job);
    job->id = ((const Foliopost__V1__GetJobRequest *)m)->job_id;
    return &job->base;
}

static const struct rpc_method methods[] = {
    {"GetJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     get_job, 0},
};

static struct fp_rpc_server *serve(void)
{
    struct fp_err err;
    struct rpc_server_options o = {.listen_url = "tcp://127.0.0.1:0",
                                   .token_file = "",
                                   .threads = 2,
                                   .max_deadline_ms = 20000,
                                   .methods = methods,
                                   .n_methods = 1};
    struct fp_rpc_server *s = rpc_server_start(&o, &err);
    if (s == NULL)
        fail_msg("%s", err.msg);
    return s;
}

static struct fp_rpc_client *client_of(const struct fp_rpc_server *s)
{
    struct fp_err err;
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", rpc_server_port(s));
    struct fp_rpc_client *c = rpc_client_new(url, NULL, NULL, &err);
    if (c == NULL)
        fail_msg("%s", err.msg);
    return c;
}

static void ask(struct fp_rpc_client *c)
{
    struct fp_err err;
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    q.job_id = 7;
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    const ProtobufCMessage *m =
        rpc_call(c, "GetJob", &q.base, &foliopost__v1__job__descriptor, 20000, arena, &err);
    if (m == NULL)
        fail_msg("%s", err.msg);
    arena_free(arena);
}

static void take_all(int port, int addresses, int fds[PEERS])
{
    for (int i = 0; i < PEERS; i++)
        if ((fds[i] = peer_connect(port, 2 + i % addresses, SP_REQ)) >= 0)
            peer_announce(fds[i], ANNOUNCE);
}

static void drop_all(int fds[PEERS])
{
    for (int i = 0; i < PEERS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int left(int fds[PEERS])
{
    int n = 0;
    for (int i = 0; i < PEERS; i++)
        n += fds[i] >= 0 && !peer_is_cut_off(fds[i]);
    return n;
}

static void announced_memory_is_bounded_and_who_asks_is_served(void **state)
{
    (void)state;
    struct fp_rpc_server *s = serve();
    struct fp_rpc_client *before = client_of(s);
    int fds[PEERS];
    ask(before);
    for (int addresses = 1; addresses <= PEERS / 3; addresses *= 10) {
        long had_kb = resident_kb();
        take_all(rpc_server_port(s), addresses, fds);
        assert_in_range(resident_kb() - had_kb + 20000, 0, (PLACES + 30) * 1024 + 20000); /* not 300 MiB */
        int places = addresses == 1 ? PLACES / 2 : PLACES;
        for (int waited = 0; waited < 1000 && left(fds) > places; waited++)
            clock_sleep_us(10000);
        assert_in_range(left(fds), 1, places);
        struct fp_rpc_client *fresh = client_of(s);
        ask(fresh);
        ask(before);
        rpc_client_free(fresh);
        drop_all(fds);
    }
    assert_true(metrics_value("foliopost_bus_refused_total", "pipe=\"rpc\"") > 500);
    rpc_client_free(before);
    rpc_server_stop(s);
}

/* There only in a sanitized build: _exit() would skip its check for leaks. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

int main(void)
{
    log_init("rpc_crowd_test", false, LOG_ERROR_LEVEL + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(announced_memory_is_bounded_and_who_asks_is_served),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(stdout);
    fflush(stderr);
    if (&__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        failed++;
    _exit(failed == 0 ? 0 : 1);
}
