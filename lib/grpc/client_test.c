/* rpc_call() by the gRPC door (lib/rpc/client_grpc.c): with our own server, and with peers whose answers are
 * none. */
#include "lib/grpc/testing.h"

#include <pthread.h>

#include "lib/rpc/rpc.h"

static struct fp_arena *arena;
static struct fp_rpc_client *client;
static struct fp_err err;
static char url[64];

static void meet(const char *token)
{
    snprintf(url, sizeof url, "grpc://127.0.0.1:%d", t_port);
    client = rpc_client_new(url, token, NULL, &err);
    assert_non_null(client);
}

static void part(void)
{
    rpc_client_free(client);
    client = NULL;
}

static void serve(void)
{
    struct grpc_options o = t_options();
    t_serve(&o);
    meet(NULL);
}

/* The code of a call, FP_OK with the job that it asked for. */
static enum fp_code get(int64_t id, int ms)
{
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    q.job_id = id;
    arena_reset(arena);
    err = (struct fp_err){0};
    const Foliopost__V1__Job *job =
        (void *)rpc_call(client, "GetJob", &q.base, &foliopost__v1__job__descriptor, ms, arena, &err);
    if (job == NULL)
        return err.code;
    assert_int_equal(job->id, id);
    return FP_OK;
}

static void says(const char *text)
{
    if (strstr(err.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.msg);
}

static int begin(void **state)
{
    (void)state;
    arena = arena_new(WIRE_MAX_ARENA_BYTES);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rpc_client_free(client);
    client = NULL;
    t_stop();
    arena_free(arena);
    return 0;
}

/* --- our server ------------------------------------------------------------------------ */

static void replies_and_errors_come_back(void **state)
{
    (void)state;
    serve();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(T_GOOD, 5000), FP_OK);
        assert_int_equal(get(T_NOT_THERE, 5000), FP_NOT_FOUND);
        assert_string_equal(err.msg, "job 2: 100 % not there, \xc3\xa9");
        assert_int_equal(get(T_LARGE, 5000), FP_OK);
    }
    assert_int_equal(atomic_load(&t_server->n_conns), 1); /* it is kept */
}

static void a_deadline_is_kept(void **state)
{
    (void)state;
    serve();
    const int64_t since_us = clock_mono_us();
    assert_int_equal(get(T_SLOW, 300), FP_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_us() - since_us, 200000, 900000);
    assert_int_equal(get(T_GOOD, 5000), FP_OK);
}

static void a_token_goes_along(void **state)
{
    (void)state;
    char path[] = "/tmp/foliopost-client-test.XXXXXX";
    struct grpc_options o = t_options();
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    o.token_file = path;
    t_serve(&o);
    static const struct {
        const char *token;
        enum fp_code code;
    } cases[] = {{NULL, FP_UNAUTHENTICATED},
                 {"", FP_UNAUTHENTICATED},
                 {"secre", FP_UNAUTHENTICATED},
                 {"secret", FP_OK}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        meet(cases[i].token);
        assert_int_equal(get(T_GOOD, 5000), cases[i].code);
        part();
    }
    unlink(path);
}

static void a_server_that_restarts_is_found_again(void **state)
{
    (void)state;
    char listen[64];
    serve();
    assert_int_equal(get(T_GOOD, 5000), FP_OK);
    t_stop();
    assert_int_equal(get(T_GOOD, 5000), FP_UNAVAILABLE);
    says("is the scheduler running?");
    struct grpc_options o = t_options();
    snprintf(listen, sizeof listen, "tcp://127.0.0.1:%d", t_port);
    o.listen = listen;
    t_serve(&o);
    assert_int_equal(get(T_GOOD, 5000), FP_OK);
}

/* The server says GOAWAY to connections that are old or idle; no call notices. */
static void a_connection_that_ends_costs_no_call(void **state)
{
    (void)state;
    struct grpc_options o = t_options();
    o.max_age_ms = 300;
    o.idle_ms = 200;
    t_serve(&o);
    meet(NULL);
    const int64_t until_us = clock_mono_us() + 3 * FP_US_PER_S;
    for (int i = 0; clock_mono_us() < until_us; i++) {
        if (get(T_GOOD, 5000) != FP_OK)
            fail_msg("call %d: %s", i, err.msg);
        clock_sleep_us(i % 20 == 0 ? 300000 : 7000);
    }
}

static void wrong_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"grpc://",
                                        "grpc://host",
                                        "grpc://host:0x1",
                                        "grpc://host:123456",
                                        "grpc://:7710",
                                        "grpc://me@host:7710",
                                        "grpc://host:7710/x",
                                        "tls+grpc://host:7710,host2:7710",
                                        "grpc://host:7710?x",
                                        "tls+grpc:// host:7710"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        err = (struct fp_err){0};
        if (rpc_client_new(wrong[i], NULL, NULL, &err) != NULL)
            fail_msg("%s was taken", wrong[i]);
        assert_int_equal(err.code, FP_INVALID_ARGUMENT);
        says("grpc://host:port");
    }
}

/* --- peers that are none ---------------------------------------------------------------- */

/* Accepts once, reads what comes first, says its bytes, and holds the line until it is let go. */
struct impostor {
    int listener;
    struct fp_str says;
    pthread_t thread;
    bool hangs_up;
};

static void *serve_impostor(void *arg)
{
    struct impostor *m = arg;
    char first[4096];
    int fd = accept(m->listener, NULL, NULL);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (int silent = 0; !silent;) { /* the client's settings, headers and message may come apart */
        silent = poll(&p, 1, 200) <= 0;
        if (!silent && recv(fd, first, sizeof first, 0) <= 0)
            break;
    }
    t_send(fd, &m->says);
    while (!m->hangs_up && recv(fd, first, sizeof first, 0) > 0)
        continue;
    close(fd);
    return NULL;
}

static void start(struct impostor *m, bool hangs_up)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t bytes = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->hangs_up = hangs_up;
    m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(m->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(m->listener, 1), 0);
    assert_int_equal(getsockname(m->listener, (struct sockaddr *)&a, &bytes), 0);
    t_port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&m->thread, NULL, serve_impostor, m), 0);
    meet(NULL);
}

static enum fp_code answer_of(struct impostor *m, bool hangs_up)
{
    start(m, hangs_up);
    enum fp_code code = get(T_GOOD, 2500);
    part(); /* it ends the connection */
    pthread_join(m->thread, NULL);
    close(m->listener);
    str_clear(&m->says);
    return code;
}

static void add_headers(struct fp_str *out, const char *const *pairs, int flags)
{
    struct fp_str block;
    str_init(&block, 0);
    for (; *pairs != NULL; pairs += 2)
        t_header(&block, pairs[0], pairs[1]);
    t_frame(out, NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, 1, block.data, block.len);
    str_fini(&block);
}

/* An answer of stream 1: headers, these bytes of data, and a status behind them. */
static void add_answer(struct fp_str *out, const void *data, size_t bytes, const char *status)
{
    const char *const head[] = {":status", "200", "content-type", "application/grpc", NULL};
    const char *const tail[] = {"grpc-status", status, "grpc-message", "50%25%zz%4", NULL};
    t_frame(out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    add_headers(out, head, 0);
    for (size_t at = 0; at < bytes;) {
        const size_t n = bytes - at < 16384 ? bytes - at : 16384;
        t_frame(out, NGHTTP2_DATA, status == NULL && at + n == bytes ? NGHTTP2_FLAG_END_STREAM : 0, 1,
                (const char *)data + at, n);
        at += n;
    }
    if (status != NULL)
        add_headers(out, tail, NGHTTP2_FLAG_END_STREAM);
}

static void answers_that_are_none(void **state)
{
    (void)state;
    static char large[2 * WIRE_MAX_RPC_BYTES];
    static const struct {
        const char *data;
        size_t bytes;
        const char *status; /* NULL: none */
        enum fp_code code;
        const char *text;
    } cases[] = {
        {"\0\0\0\0\2\x08\1", 7, "0", FP_OK, ""},
        {"\0\0\0\0\2\x08\1", 7, "5", FP_NOT_FOUND, "50%%zz%4"},
        {"\0\0\0\0\2\x08\1", 7, NULL, FP_INTERNAL, "no status"},
        {"\0\0\0\0\2\x08\1", 7, "17", FP_UNKNOWN, ""},
        {"\0\0\0\0\2\x08\1", 7, "-1", FP_UNKNOWN, ""},
        {"\0\0\0\0\2\x08\1", 7, "", FP_UNKNOWN, ""},
        {"", 0, "0", FP_INTERNAL, "not one message"},
        {"\0\0\0\0\3\x08\1", 7, "0", FP_INTERNAL, "not one message"},
        {"\0\0\0\0\1\x08\1", 7, "0", FP_INTERNAL, "not one message"},
        {"\1\0\0\0\2\x08\1", 7, "0", FP_INTERNAL, "not one message"},
        {"\0\xff\xff\xff\xff\x08\1", 7, "0", FP_INTERNAL, "not one message"},
        {"\0\0\0\0\2\xff\xff", 7, "0", FP_INTERNAL, "not valid"},
    };
    struct impostor m;
    str_init(&m.says, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        add_answer(&m.says, cases[i].data, cases[i].bytes, cases[i].status);
        const enum fp_code code = answer_of(&m, false);
        if (code != cases[i].code)
            fail_msg("case %zu: %s: %s", i, err_code_name(code), err.msg);
        says(cases[i].text);
    }
    add_answer(&m.says, large, sizeof large, "0");
    assert_int_equal(answer_of(&m, false), FP_INTERNAL);
    says("larger than");
    str_fini(&m.says);
}

static void peers_that_do_not_speak_grpc(void **state)
{
    (void)state;
    const char *const page[] = {":status", "404", "content-type", "text/html", NULL};
    struct impostor m;
    str_init(&m.says, 0);
    t_frame(&m.says, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    add_headers(&m.says, page, NGHTTP2_FLAG_END_STREAM);
    assert_int_equal(answer_of(&m, false), FP_UNKNOWN);
    says("does not speak gRPC (HTTP 404)");
    str_puts(&m.says, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    assert_int_equal(answer_of(&m, true), FP_UNAVAILABLE);
    str_add(&m.says, "\0SP\0\0\x31\0\0", 8); /* the bus's door */
    assert_int_equal(answer_of(&m, true), FP_UNAVAILABLE);
    assert_int_equal(answer_of(&m, true), FP_UNAVAILABLE); /* hangs up without a word */
    assert_int_equal(answer_of(&m, false), FP_DEADLINE_EXCEEDED);
    str_fini(&m.says);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    log_init("client_test", false, LOG_ERROR_LEVEL + 1);
    const struct CMUnitTest tests[] = {
        TEST(replies_and_errors_come_back),
        TEST(a_deadline_is_kept),
        TEST(a_token_goes_along),
        TEST(a_server_that_restarts_is_found_again),
        TEST(a_connection_that_ends_costs_no_call),
        TEST(wrong_addresses_are_refused),
        TEST(answers_that_are_none),
        TEST(peers_that_do_not_speak_grpc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
