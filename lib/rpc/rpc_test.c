/*
 * Calls: codes, tokens, deadlines, garbage, restarts, stopping while busy.
 *
 * A server in a process of its own is this program with the role `serve URL`.
 * The tests end by _exit(): NNG sockets are never closed (lib/bus/bus.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/rpc.h"

#define LONG_BYTES 1000

#define JOB_DESCRIPTOR (&foliopost__v1__job__descriptor)

static atomic_int running, most_running;

/* GetJob: the id says what the method is to do. */
enum {
    GOOD = 1,
    NOT_THERE = 2,
    SLOW = 3,
    SILENT = 4,
    DIRTY_ERROR = 5,
    BAD_REPLY = 6,
    WRONG_TYPE = 7,
    TOO_BIG = 8,
    LONG = 9
};

static ProtobufCMessage *get_job(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    int64_t id = ((const Foliopost__V1__GetJobRequest *)m)->job_id;
    Foliopost__V1__Job *job = arena_alloc(call->arena, sizeof *job);
    Foliopost__V1__GetJobRequest *other = arena_alloc(call->arena, sizeof *other);
    foliopost__v1__job__init(job);
    foliopost__v1__get_job_request__init(other);
    job->id = id;
    job->request_id = arena_strdup(call->arena, call->request_id);
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most_running))
        atomic_store(&most_running, now);
    if (id == SLOW) {
        clock_sleep_us(FP_US_PER_S);
        if (clock_mono_us() > call->deadline_mono_us) {
            atomic_fetch_sub(&running, 1);
            err_set(err, FP_ABORTED, "the statement was cancelled");
            return NULL;
        }
    }
    atomic_fetch_sub(&running, 1);
    switch (id) {
    case NOT_THERE:
        err_set(err, FP_NOT_FOUND, "job %lld", (long long)id);
        return NULL;
    case SILENT:
        return NULL;
    case DIRTY_ERROR:
        err_set(err, FP_UNAVAILABLE, "line one\nline two\xff");
        return NULL;
    case BAD_REPLY:
        job->response = "two\nlines";
        return &job->base;
    case WRONG_TYPE:
        return &other->base;
    case LONG:
        job->n_waiting = 32;
        job->waiting = arena_alloc(call->arena, 32 * sizeof(char *));
        for (int i = 0; i < 32; i++)
            job->waiting[i] = memset(arena_alloc(call->arena, LONG_BYTES + 1), 'x', LONG_BYTES);
        return &job->base;
    case TOO_BIG:
        job->n_waiting = 33;
        job->waiting = arena_alloc(call->arena, 33 * sizeof(char *));
        for (int i = 0; i < 33; i++)
            job->waiting[i] = "x";
        return &job->base;
    default:
        return &job->base;
    }
}

static const struct rpc_method methods[] = {
    {"GetJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     get_job, 0},
};

static struct fp_rpc_server *serve_on(const char *url, const char *token_file, int threads)
{
    struct fp_err err;
    struct rpc_server_options o = {.listen_url = url,
                                   .token_file = token_file,
                                   .threads = threads,
                                   .max_deadline_ms = 5000,
                                   .methods = methods,
                                   .n_methods = 1};
    struct fp_rpc_server *s = rpc_server_start(&o, &err);
    if (s == NULL)
        fail_msg("%s", err.msg);
    return s;
}

static struct fp_rpc_client *client_of(int port, const char *token)
{
    struct fp_err err;
    char url[64];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    struct fp_rpc_client *c = rpc_client_new(url, token, NULL, &err);
    if (c == NULL)
        fail_msg("%s", err.msg);
    return c;
}

/* Calls GetJob(id); returns the code. */
static enum fp_code get(struct fp_rpc_client *c, int64_t id, int deadline_ms, struct fp_err *err)
{
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    Foliopost__V1__GetJobRequest request = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    request.job_id = id;
    err->code = FP_OK;
    err->msg[0] = '\0';
    const Foliopost__V1__Job *job =
        (const void *)rpc_call(c, "GetJob", &request.base, JOB_DESCRIPTOR, deadline_ms, arena, err);
    if (job != NULL) {
        assert_int_equal(job->id, id);
        assert_int_equal(strlen(job->request_id), 36);
    } else {
        assert_int_not_equal(err->code, FP_OK);
    }
    arena_free(arena);
    return job != NULL ? FP_OK : err->code;
}

static int serve_role(const char *url)
{
    (void)!serve_on(url, "", 2);
    sleep(30);
    _exit(0);
}

static pid_t start_server(const char *url)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "rpc_rpc_test", "serve", url, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

/* --- tests --------------------------------------------------------------------------- */

static void replies_and_errors_reach_the_client(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 2);
    struct fp_rpc_client *c = client_of(rpc_server_port(s), NULL);
    assert_int_equal(get(c, GOOD, 5000, &err), FP_OK);
    assert_int_equal(get(c, NOT_THERE, 5000, &err), FP_NOT_FOUND);
    assert_string_equal(err.msg, "job 2");
    assert_int_equal(get(c, SILENT, 5000, &err), FP_INTERNAL);
    assert_int_equal(get(c, DIRTY_ERROR, 5000, &err), FP_UNAVAILABLE);
    assert_string_equal(err.msg, "line one line two\xef\xbf\xbd");
    assert_int_equal(get(c, BAD_REPLY, 5000, &err), FP_INTERNAL);
    assert_int_equal(get(c, WRONG_TYPE, 5000, &err), FP_INTERNAL);
    assert_int_equal(get(c, TOO_BIG, 5000, &err), FP_INTERNAL);
    assert_int_equal(get(c, -1, 5000, &err), FP_INVALID_ARGUMENT);
    assert_string_equal(err.msg, "GetJobRequest.job_id: -1 is below 1");
    struct fp_arena *arena = arena_new(100000);
    Foliopost__V1__ListJobsRequest list = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    assert_null(rpc_call(c, "DropTables", &list.base, JOB_DESCRIPTOR, 5000, arena, &err));
    assert_int_equal(err.code, FP_UNIMPLEMENTED);
    assert_string_equal(err.msg, "this server has no method \"DropTables\"");
    arena_free(arena);
    assert_int_equal(get(c, GOOD, 5000, &err), FP_OK);
    assert_true(metrics_value("foliopost_rpc_calls_total", "method=\"GetJob\",code=\"OK\"") == 2);
    assert_true(metrics_value("foliopost_rpc_calls_total", "method=\"other\",code=\"UNIMPLEMENTED\"") == 1);
    rpc_client_free(c);
    rpc_server_stop(s);
}

static void a_slow_method_meets_its_deadline(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 1);
    struct fp_rpc_client *c = client_of(rpc_server_port(s), NULL);
    assert_int_equal(get(c, GOOD, 5000, &err), FP_OK);
    assert_int_equal(get(c, SLOW, 5000, &err), FP_OK);
    int64_t before_us = clock_mono_us();
    assert_int_equal(get(c, SLOW, 100, &err), FP_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_us() - before_us, 90000, 900000); /* sooner than the method ends */
    assert_int_equal(get(c, GOOD, 5000, &err), FP_OK); /* the late answer is not taken for this call's */
    rpc_client_free(c);
    rpc_server_stop(s);
}

static void write_file(const char *path, const char *text)
{
    char next[80];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *f = fopen(next, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(next, path), 0);
}

static void tokens_are_asked_for_and_read_again(void **state)
{
    (void)state;
    struct fp_err err;
    char path[] = "/tmp/fp-rpc-token-XXXXXX";
    close(mkstemp(path));
    struct rpc_server_options o = {.listen_url = "tcp://127.0.0.1:0",
                                   .token_file = path,
                                   .threads = 1,
                                   .max_deadline_ms = 1000,
                                   .methods = methods,
                                   .n_methods = 1};
    assert_null(rpc_server_start(&o, &err)); /* empty: does not stand open */
    assert_non_null(strstr(err.msg, path));
    o.token_file = "/no/such/token";
    assert_null(rpc_server_start(&o, &err));
    write_file(path, "secret-1\n");
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", path, 1);
    struct fp_rpc_client *none = client_of(rpc_server_port(s), NULL);
    struct fp_rpc_client *wrong = client_of(rpc_server_port(s), "secret-10");
    struct fp_rpc_client *first = client_of(rpc_server_port(s), "secret-1");
    struct fp_rpc_client *second = client_of(rpc_server_port(s), "secret-2");
    assert_int_equal(get(none, GOOD, 5000, &err), FP_UNAUTHENTICATED);
    assert_non_null(strstr(err.msg, "no token"));
    assert_int_equal(get(wrong, GOOD, 5000, &err), FP_UNAUTHENTICATED);
    assert_null(strstr(err.msg, "secret"));
    assert_int_equal(get(first, GOOD, 5000, &err), FP_OK);
    write_file(path, "secret-2\n");
    assert_int_equal(get(first, GOOD, 5000, &err), FP_UNAUTHENTICATED);
    assert_int_equal(get(second, GOOD, 5000, &err), FP_OK);
    write_file(path, ""); /* half written: the old one stays */
    assert_int_equal(get(second, GOOD, 5000, &err), FP_OK);
    unlink(path);
    assert_int_equal(get(second, GOOD, 5000, &err), FP_OK);
    rpc_client_free(none);
    rpc_client_free(wrong);
    rpc_client_free(first);
    rpc_client_free(second);
    rpc_server_stop(s);
}

static void who_does_not_listen_is_unavailable_at_once(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_rpc_client *c = client_of(free_port(), NULL);
    assert_int_equal(get(c, GOOD, 300, &err), FP_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "is the scheduler running?"));
    int64_t before_us = clock_mono_us();
    assert_int_equal(get(c, GOOD, 60000, &err), FP_UNAVAILABLE);
    assert_true(clock_mono_us() - before_us < 5 * FP_US_PER_S);
    rpc_client_free(c);
    assert_null(rpc_client_new("localhost:7700", NULL, NULL, &err));
    assert_null(rpc_client_new("ipc:///tmp/x", NULL, NULL, &err));
}

static void a_client_survives_the_restart_of_its_server(void **state)
{
    (void)state;
    struct fp_err err;
    char url[64];
    int port = free_port();
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    struct fp_rpc_client *c = client_of(port, NULL);
    for (int round = 0; round < 3; round++) {
        pid_t pid = start_server(url);
        assert_int_equal(get(c, GOOD, 10000, &err), FP_OK);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        enum fp_code code = get(c, GOOD, 300, &err);
        assert_int_equal(code, FP_UNAVAILABLE);
    }
    rpc_client_free(c);
}

static void connect_and_send(int port, const void *data, size_t bytes, bool reset)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)!send(fd, data, bytes, MSG_NOSIGNAL);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
}

static void garbage_on_the_port_harms_nobody(void **state)
{
    (void)state;
    struct fp_err err;
    static const char http[] = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    static const unsigned char no_id[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2};
    static const unsigned char huge[] = {0,    'S',  'P',  0,    0,    0x30, 0,    0,
                                         0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 2);
    struct fp_rpc_client *c = client_of(rpc_server_port(s), NULL);
    for (int i = 0; i < 20; i++) {
        connect_and_send(rpc_server_port(s), http, sizeof http - 1, i & 1);
        connect_and_send(rpc_server_port(s), no_id, sizeof no_id, i & 1);
        connect_and_send(rpc_server_port(s), huge, sizeof huge, i & 1);
        connect_and_send(rpc_server_port(s), "\0SP", 3, i & 1);
    }
    assert_int_equal(get(c, GOOD, 20000, &err), FP_OK);
    rpc_client_free(c);
    rpc_server_stop(s);
}

/* A request by hand: the raw bytes of the envelope. Returns the reply's code. */
static int call_raw(nng_socket s, const void *data, size_t bytes, char text[512])
{
    nng_msg *m;
    struct fp_err err;
    assert_int_equal(nng_msg_alloc(&m, 0), 0);
    assert_int_equal(nng_msg_append(m, data, bytes), 0);
    assert_int_equal(nng_sendmsg(s, m, 0), 0);
    if (nng_recvmsg(s, &m, 0) != 0)
        return -1;
    struct fp_arena *arena = arena_new(100000);
    const Foliopost__V1__RpcReply *r =
        wire_unpack(&foliopost__v1__rpc_reply__descriptor, nng_msg_body(m), nng_msg_len(m), arena, &err);
    assert_non_null(r);
    int code = r->code;
    snprintf(text, 512, "%s", r->message);
    arena_free(arena);
    nng_msg_free(m);
    return code;
}

static void wrong_envelopes_are_answered_and_huge_ones_dropped(void **state)
{
    (void)state;
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 1);
    nng_socket raw;
    char url[64], text[512];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", rpc_server_port(s));
    assert_int_equal(nng_req0_open(&raw), 0);
    assert_int_equal(nng_socket_set_ms(raw, NNG_OPT_RECVTIMEO, 2000), 0);
    assert_int_equal(nng_dial(raw, url, NULL, 0), 0);
    assert_int_equal(call_raw(raw, "", 0, text), FP_INVALID_ARGUMENT);
    assert_string_equal(text, "RpcRequest.schema_version: 0 is not in 1..1");
    assert_int_equal(call_raw(raw, "hello", 5, text), FP_INVALID_ARGUMENT);
    assert_int_equal(call_raw(raw, "\x08\x01", 2, text), FP_INVALID_ARGUMENT);
    assert_string_equal(text, "RpcRequest.method: empty");
    assert_int_equal(call_raw(raw, "\x08\x01\x12\x06GetJob\x32\x03\xff\xff\xff", 15, text),
                     FP_INVALID_ARGUMENT);
    assert_string_equal(text, "GetJobRequest: not a protobuf message of this type");
    static char big[WIRE_MAX_RPC_BYTES + 1];
    assert_int_equal(call_raw(raw, big, sizeof big, text), -1);
    struct fp_rpc_client *c = client_of(rpc_server_port(s), NULL);
    struct fp_err err;
    assert_int_equal(get(c, GOOD, 5000, &err), FP_OK);
    rpc_client_free(c);
    rpc_server_stop(s);
}

struct caller {
    struct fp_rpc_client *client;
    int64_t id;
    int deadline_ms;
    enum fp_code code;
    pthread_t thread;
};

static void *call_in_thread(void *arg)
{
    struct caller *c = arg;
    struct fp_err err;
    c->code = get(c->client, c->id, c->deadline_ms, &err);
    return NULL;
}

static void calls_run_at_once_as_many_as_there_are_threads(void **state)
{
    (void)state;
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 3);
    struct caller callers[7];
    atomic_store(&most_running, 0);
    for (size_t i = 0; i < 7; i++) {
        callers[i] =
            (struct caller){.client = client_of(rpc_server_port(s), NULL), .id = SLOW, .deadline_ms = 5000};
        pthread_create(&callers[i].thread, NULL, call_in_thread, &callers[i]);
    }
    for (size_t i = 0; i < 7; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].code, FP_OK);
        rpc_client_free(callers[i].client);
    }
    assert_int_equal(atomic_load(&most_running), 3);
    rpc_server_stop(s);
}

/* One REQ peer that asks for long answers and reads none, until it is cut off. */
static void *ask_and_never_read(void *arg)
{
    static const unsigned char hello[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const unsigned char ask[] = {0,    0, 0,    0,   0,   0,   0,   18,  0x80, 0,   0, 1, /* SP */
                                        0x08, 1, 0x12, 6,   'G', 'e', 't', 'J', 'o',  'b',       /* GetJob */
                                        0x32, 2, 0x08, LONG};
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t) * (int *)arg),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    struct timeval a_second = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &a_second, sizeof a_second);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)!send(fd, hello, sizeof hello, MSG_NOSIGNAL);
    ssize_t n;
    for (size_t at = 0; (n = send(fd, ask + at, sizeof ask - at, MSG_NOSIGNAL)) > 0 || errno == EAGAIN;)
        at = n > 0 ? (at + (size_t)n) % sizeof ask : at;
    close(fd);
    return NULL;
}

static void who_does_not_read_his_answers_keeps_no_thread(void **state)
{
    (void)state;
    struct fp_err err;
    pthread_t slow[4];
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 2);
    int port = rpc_server_port(s);
    struct fp_rpc_client *c = client_of(port, NULL);
    for (int i = 0; i < 4; i++)
        pthread_create(&slow[i], NULL, ask_and_never_read, &port);
    int64_t since_us = clock_mono_us(), most_us = 0;
    while (metrics_value("foliopost_rpc_slow_readers_total", "") < 4 &&
           clock_mono_us() - since_us < 60 * FP_US_PER_S) {
        int64_t asked_us = clock_mono_us();
        assert_int_equal(get(c, GOOD, 20000, &err), FP_OK);
        most_us = clock_mono_us() - asked_us > most_us ? clock_mono_us() - asked_us : most_us;
        clock_sleep_us(20000);
    }
    /* each is cut off, and told of by whoever of the two threads had an answer for him */
    for (int i = 0; i < 4; i++)
        pthread_join(slow[i], NULL);
    assert_in_range((int)metrics_value("foliopost_rpc_slow_readers_total", ""), 4, 8);
    assert_true(most_us < 8 * FP_US_PER_S);
    rpc_client_free(c);
    rpc_server_stop(s);
}

static void stopping_answers_what_is_being_worked_on(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_rpc_server *s = serve_on("tcp://127.0.0.1:0", "", 2);
    struct caller caller = {.client = client_of(rpc_server_port(s), NULL), .id = SLOW, .deadline_ms = 5000};
    assert_int_equal(get(caller.client, GOOD, 5000, &err), FP_OK);
    pthread_create(&caller.thread, NULL, call_in_thread, &caller);
    clock_sleep_us(100000);
    int64_t before_us = clock_mono_us();
    rpc_server_stop(s);
    assert_in_range(clock_mono_us() - before_us, 200000, 4000000);
    pthread_join(caller.thread, NULL);
    assert_int_equal(caller.code, FP_OK);
    assert_int_equal(get(caller.client, GOOD, 300, &err),
                     FP_DEADLINE_EXCEEDED); /* connected, but nobody works */
    rpc_client_free(caller.client);
    rpc_server_stop(NULL);
    rpc_client_free(NULL);
}

/* There only in a sanitized build: _exit() would skip its check for leaks. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

int main(int argc, char **argv)
{
    log_init("rpc_test", false, LOG_ERROR_LEVEL + 1);
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve_role(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_and_errors_reach_the_client),
        cmocka_unit_test(a_slow_method_meets_its_deadline),
        cmocka_unit_test(tokens_are_asked_for_and_read_again),
        cmocka_unit_test(who_does_not_listen_is_unavailable_at_once),
        cmocka_unit_test(a_client_survives_the_restart_of_its_server),
        cmocka_unit_test(garbage_on_the_port_harms_nobody),
        cmocka_unit_test(wrong_envelopes_are_answered_and_huge_ones_dropped),
        cmocka_unit_test(calls_run_at_once_as_many_as_there_are_threads),
        cmocka_unit_test(who_does_not_read_his_answers_keeps_no_thread),
        cmocka_unit_test(stopping_answers_what_is_being_worked_on),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(stdout);
    fflush(stderr);
    if (&__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        failed++;
    _exit(failed == 0 ? 0 : 1);
}
