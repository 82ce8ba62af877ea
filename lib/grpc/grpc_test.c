/* The door to peers that keep the rules, and its limits in time: what it answers, when it hangs up. */
#include "lib/grpc/testing.h"
#include "lib/rpc/identity.h"

#include "lib/grpc/status.h"

#define PATIENCE 8000 /* ms */

struct peer {
    int fd;
    struct t_fate fate;
};

static struct fp_str out;

static struct peer *join(void)
{
    struct peer *p = mem_alloc(sizeof *p);
    p->fd = t_connect();
    t_fate_init(&p->fate);
    str_clear(&out);
    t_hello(&out);
    return p;
}

static void leave(struct peer *p)
{
    close(p->fd);
    t_fate_fini(&p->fate);
    mem_free(p);
}

static void say(struct peer *p)
{
    assert_true(t_send(p->fd, &out));
    str_clear(&out);
}

static void ends(struct peer *p, int ms)
{
    t_read_until(p->fd, &p->fate, NULL, 0, ms);
    assert_true(p->fate.closed);
}

static int begin(void **state)
{
    (void)state;
    str_init(&out, 64 << 20);
    atomic_store(&t_state, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    t_stop();
    str_fini(&out);
    return 0;
}

static void serve(void)
{
    struct grpc_options o = t_options();
    t_serve(&o);
}

/* --- the small texts ------------------------------------------------------------------ */

static void timeouts_are_1_to_8_digits_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } said[] = {{"100m", 100},   {"5S", 5000},    {"2M", 120000},
                {"1H", 3600000}, {"1u", 1},       {"1n", 1},
                {"0n", 0},       {"1000001n", 2}, {"99999999H", INT64_C(366) * 86400000},
                {"", -1},        {"m", -1},       {"1", -1},
                {"-1m", -1},     {"1.5S", -1},    {"123456789m", -1},
                {"1s", -1},      {"1 S", -1}};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        int64_t ms = -1;
        assert_int_equal(grpc_parse_timeout(said[i].text, strlen(said[i].text), &ms), said[i].ms >= 0);
        assert_int_equal(ms, said[i].ms);
    }
}

static void messages_are_percent_encoded_and_cut_between_characters(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(grpc_percent_encode(text, sizeof text, "100 % \xc3\xa9\n"), 17);
    assert_string_equal(text, "100 %25 %C3%A9%0A");
    grpc_percent_encode(text, 10, "abcd\xc3\xa9z");
    assert_string_equal(text, "abcd");
    grpc_percent_encode(text, sizeof text, "\xff");
    assert_string_equal(text, "%FF");
    grpc_percent_encode(text, 1, "a");
    assert_string_equal(text, "");
}

/* --- answers ---------------------------------------------------------------------------- */

static void replies_and_errors_reach_the_client(void **state)
{
    (void)state;
    serve();
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    assert_int_equal(t_status(T_GET, T_NOT_THERE, PATIENCE), FP_NOT_FOUND);
    assert_int_equal(t_status("/foliopost.v1.JobService/Nothing", T_GOOD, PATIENCE), FP_UNIMPLEMENTED);
    assert_int_equal(t_status("/other.Service/GetJob", T_GOOD, PATIENCE), FP_UNIMPLEMENTED);
}

static void a_hundred_calls_at_once_on_one_connection(void **state)
{
    (void)state;
    serve();
    struct peer *p = join();
    for (uint32_t i = 0; i < 100; i++)
        t_call(&out, 1 + 2 * i, T_GET, T_LARGE);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 64,
                 PATIENCE); /* as many as its window of 64 kB lets through */
    str_clear(&out);
    t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 0, "\0\x10\0\0", 4);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 100, PATIENCE);
    assert_int_equal(p->fate.n_statuses, 100);
    leave(p);
}

static void a_slow_method_meets_its_deadline(void **state)
{
    (void)state;
    serve();
    struct peer *p = join();
    struct fp_str block;
    int64_t since_us = clock_mono_us();
    str_init(&block, 0);
    t_request_block(&block, T_GET);
    t_header(&block, "grpc-timeout", "100m");
    t_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block.data, block.len);
    t_message(&out, 1, T_SLOW, NGHTTP2_FLAG_END_STREAM);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(p->fate.status, FP_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_us() - since_us, 90000, 900000);
    str_fini(&block);
    leave(p);
}

static void tokens_are_asked_for_but_not_for_health(void **state)
{
    (void)state;
    char file[] = "/tmp/foliopost-grpc-test.XXXXXX";
    struct grpc_options o = t_options();
    int fd = mkstemp(file);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    o.token_file = file;
    t_serve(&o);
    unlink(file);
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_UNAUTHENTICATED);
    assert_int_equal(t_status("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 0, PATIENCE),
                     FP_UNAUTHENTICATED);
    assert_int_equal(t_status("/grpc.health.v1.Health/Check", 0, PATIENCE), FP_OK);
    struct peer *p = join();
    struct fp_str block;
    str_init(&block, 0);
    t_request_block(&block, T_GET);
    t_header(&block, "authorization", "bearer secret"); /* the scheme's case does not matter */
    t_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block.data, block.len);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(p->fate.status, FP_OK);
    str_fini(&block);
    leave(p);
}

/* --- streams ---------------------------------------------------------------------------- */

static void reads_bytes(struct peer *p, size_t wanted)
{
    int64_t until_us = clock_mono_us() + PATIENCE * INT64_C(1000);
    while (p->fate.data_bytes < wanted && !p->fate.closed && clock_mono_us() < until_us)
        t_read(p->fd, &p->fate, 100);
    assert_int_equal(p->fate.data_bytes, wanted);
}

static void all_watchers_of_one_thing_share_one_question(void **state)
{
    (void)state;
    enum { PEERS = 5, STREAMS = 20, FIRST = STREAMS * (5 + 2 + 4) /* prefix, id, counts */ };
    struct peer *peers[PEERS];
    serve();
    atomic_store(&t_state, 1);
    for (size_t i = 0; i < PEERS; i++) {
        peers[i] = join();
        for (uint32_t k = 0; k < STREAMS; k++)
            t_call(&out, 1 + 2 * k, T_WATCH, T_GOOD);
        say(peers[i]);
    }
    for (size_t i = 0; i < PEERS; i++)
        reads_bytes(peers[i], FIRST);
    int before = atomic_load(&t_asked);
    clock_sleep_us(FP_US_PER_S);
    assert_in_range(atomic_load(&t_asked) - before, 5, 25); /* every 50 ms, for all 100 */
    atomic_store(&t_state, 2);
    for (size_t i = 0; i < PEERS; i++)
        reads_bytes(peers[i], 2 * FIRST);
    t_read(peers[0]->fd, &peers[0]->fate, 200);
    assert_int_equal(peers[0]->fate.data_bytes, 2 * FIRST); /* once for the change, and no more */
    atomic_store(&t_state, 0);
    for (size_t i = 0; i < PEERS; i++) {
        t_read_until(peers[i]->fd, &peers[i]->fate, &peers[i]->fate.n_statuses, STREAMS, PATIENCE);
        assert_int_equal(peers[i]->fate.n_statuses, STREAMS);
        assert_int_equal(peers[i]->fate.status, FP_OK);
        leave(peers[i]);
    }
    assert_true(t_await_connections(0, PATIENCE));
    assert_int_equal(t_server->n_watches, 0);
    assert_int_equal(t_server->buffered, 0);
}

static atomic_bool t_revoked;

static int t_find(void *ctx, const char *token, const char *subject, struct rpc_identity *who,
                  struct fp_err *err)
{
    (void)ctx;
    (void)subject;
    (void)err;
    *who = (struct rpc_identity){.name = "ann", .roles = RPC_VIEWER};
    bool ann = strcmp(token, "hers") == 0 && !atomic_load(&t_revoked);
    return ann || strcmp(token, "his") == 0 ? RPC_FOUND : RPC_STRANGER;
}

static void says_with_token(struct peer *p, const char *path, const char *authorization)
{
    struct fp_str block;
    str_init(&block, 0);
    t_request_block(&block, path);
    t_header(&block, "authorization", authorization);
    t_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block.data, block.len);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    str_fini(&block);
    say(p);
}

static void whose_identity_is_revoked_watches_no_longer(void **state)
{
    (void)state;
    enum { REPLY = 5 + 2 + 4 }; /* prefix, id, counts */
    const struct rpc_identities identities = {NULL, t_find};
    struct grpc_options o = t_options();
    o.identities = &identities;
    atomic_store(&t_revoked, false);
    atomic_store(&t_state, 1);
    t_serve(&o);
    struct peer *hers = join();
    says_with_token(hers, T_WATCH, "Bearer hers");
    struct peer *his = join();
    says_with_token(his, T_WATCH, "Bearer his");
    reads_bytes(hers, REPLY);
    reads_bytes(his, REPLY);
    atomic_store(&t_revoked, true);
    t_read_until(hers->fd, &hers->fate, &hers->fate.n_statuses, 1, 2000);
    assert_int_equal(hers->fate.status, FP_UNAUTHENTICATED);
    atomic_store(&t_state, 2);
    reads_bytes(his, 2 * REPLY); /* the other goes on */
    assert_int_equal(hers->fate.data_bytes, REPLY);
    atomic_store(&t_state, 0);
    t_read_until(his->fd, &his->fate, &his->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(his->fate.status, FP_OK);
    leave(hers);
    leave(his);
}

/* --- who asks the same --------------------------------------------------------------------- */

static struct rpc_shared *shared;

static void serve_sharing(void)
{
    struct grpc_options o = t_options();
    o.shared = shared = rpc_shared_new();
    t_serve(&o);
    atomic_store(&t_asked, 0);
}

static void stop_sharing(void)
{
    t_stop();
    rpc_shared_free(shared);
}

static void who_asks_the_same_at_once_is_answered_by_one_reading(void **state)
{
    (void)state;
    serve_sharing();
    struct peer *p = join(), *other = join();
    for (uint32_t i = 0; i < 100; i++)
        t_call(&out, 1 + 2 * i, T_GET, T_SLOW);
    say(p);
    t_hello(&out);
    t_call(&out, 1, T_GET, T_SLOW);
    say(other);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 100, PATIENCE);
    t_read_until(other->fd, &other->fate, &other->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(p->fate.n_statuses, 100);
    assert_int_equal(p->fate.status, FP_OK);
    assert_int_equal(other->fate.status, FP_OK);
    assert_int_equal(atomic_load(&t_asked), 1);
    assert_int_equal(t_server->buffered, 0);
    leave(p);
    leave(other);
    stop_sharing();
}

static void who_writes_and_reads_sees_what_he_wrote(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int asked; /* after it */
    } calls[] = {{T_GET, 1}, {T_GET, 1},   {T_PAUSE, 2}, {T_GET, 3},
                 {T_GET, 3}, {T_PAUSE, 4}, {T_PAUSE, 5}, {T_GET, 6}};
    serve_sharing();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        assert_int_equal(t_status(calls[i].path, T_GOOD, PATIENCE), FP_OK);
        assert_int_equal(atomic_load(&t_asked), calls[i].asked);
    }
    assert_int_equal(t_status(T_GET, T_LARGE, PATIENCE), FP_OK); /* another request */
    assert_int_equal(atomic_load(&t_asked), 7);
    for (int i = 0; i < 2; i++) /* errors are not kept */
        assert_int_equal(t_status(T_GET, T_NOT_THERE, PATIENCE), FP_NOT_FOUND);
    assert_int_equal(atomic_load(&t_asked), 9);
    stop_sharing();
}

static void a_write_in_between_ends_what_is_joined(void **state)
{
    (void)state;
    serve_sharing();
    struct peer *p = join();
    t_call(&out, 1, T_GET, T_SLOW);
    t_call(&out, 3, T_PAUSE, T_GOOD);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 1, PATIENCE); /* the write; the read goes on */
    assert_int_equal(atomic_load(&t_asked), 2);
    t_call(&out, 5, T_GET, T_SLOW);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 3, PATIENCE);
    assert_int_equal(p->fate.n_statuses, 3);
    assert_int_equal(atomic_load(&t_asked), 3);
    leave(p);
    stop_sharing();
}

static void who_joined_is_answered_though_the_first_left(void **state)
{
    (void)state;
    serve_sharing();
    struct peer *p = join();
    struct fp_str block;
    str_init(&block, 0);
    t_request_block(&block, T_GET);
    t_header(&block, "grpc-timeout", "100m");
    t_frame(&out, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, block.data, block.len);
    t_message(&out, 1, T_SLOW, NGHTTP2_FLAG_END_STREAM);
    t_call(&out, 3, T_GET, T_SLOW);
    t_call(&out, 5, T_GET, T_SLOW);
    t_frame(&out, NGHTTP2_RST_STREAM, 0, 3, "\0\0\0\10", 4); /* CANCEL */
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(p->fate.status, FP_DEADLINE_EXCEEDED);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 2, PATIENCE);
    assert_int_equal(p->fate.status, FP_OK);
    assert_int_equal(atomic_load(&t_asked), 1);
    str_fini(&block);
    leave(p);
    stop_sharing();
}

static void a_watcher_that_does_not_read_gets_the_newest(void **state)
{
    (void)state;
    serve();
    atomic_store(&t_state, 1);
    struct peer *p = join();
    t_frame(&out, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6); /* a window of 0 */
    t_call(&out, 1, T_WATCH, T_GOOD);
    say(p);
    for (int i = 2; i < 12; i++) {
        atomic_store(&t_state, i);
        t_read_until(p->fd, &p->fate, NULL, 0, 60);
    }
    assert_int_equal(p->fate.data_bytes, 0);
    atomic_store(&t_state, 0);
    clock_sleep_us(300000);
    t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\x10\0", 4);
    say(p);
    t_read_until(p->fd, &p->fate, &p->fate.n_statuses, 1, PATIENCE);
    assert_int_equal(p->fate.status, FP_OK);
    assert_in_range(p->fate.data_bytes, 1, 60); /* the first it was given, and the last */
    leave(p);
}

static void a_client_that_goes_takes_its_watch_along(void **state)
{
    (void)state;
    serve();
    atomic_store(&t_state, 1);
    struct peer *p = join();
    t_call(&out, 1, T_WATCH, T_GOOD);
    t_call(&out, 3, T_WATCH, T_LARGE);
    say(p);
    t_read_until(p->fd, &p->fate, NULL, 0, 200);
    t_frame(&out, NGHTTP2_RST_STREAM, 0, 1, "\0\0\0\10", 4);
    say(p);
    leave(p);
    assert_true(t_await_connections(0, PATIENCE));
    clock_sleep_us(200000);
    int before = atomic_load(&t_asked);
    clock_sleep_us(300000);
    assert_int_equal(atomic_load(&t_asked), before);
}

/* --- limits ------------------------------------------------------------------------------ */

static void at_the_limit_of_connections_only_idle_ones_make_room(void **state)
{
    (void)state;
    struct peer *busy[3], *idle;
    struct grpc_options o = t_options();
    o.max_connections = 4;
    t_serve(&o);
    atomic_store(&t_state, 1);
    for (size_t i = 0; i < 3; i++) {
        busy[i] = join();
        t_call(&out, 1, T_WATCH, T_GOOD);
        say(busy[i]);
        t_read(busy[i]->fd, &busy[i]->fate, PATIENCE);
    }
    idle = join();
    say(idle);
    t_read_until(idle->fd, &idle->fate, NULL, 0, 100);
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    ends(idle, PATIENCE);
    leave(idle);
    idle = join(); /* takes the last place, by a call */
    t_call(&out, 1, T_WATCH, T_GOOD);
    say(idle);
    t_read_until(idle->fd, &idle->fate, NULL, 0, 300);
    assert_int_equal(t_status(T_GET, T_GOOD, 500), T_NOTHING);
    for (size_t i = 0; i < 3; i++) {
        t_read_until(busy[i]->fd, &busy[i]->fate, NULL, 0, 10);
        assert_false(busy[i]->fate.closed);
        leave(busy[i]);
    }
    leave(idle);
    assert_true(t_await_connections(0, PATIENCE));
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
}

static void idle_and_old_connections_are_told_to_go(void **state)
{
    (void)state;
    struct grpc_options o = t_options();
    o.idle_ms = 1000;
    o.max_age_ms = 2000;
    t_serve(&o);
    atomic_store(&t_state, 1);
    struct peer *idle = join();
    say(idle);
    struct peer *old = join();
    t_call(&out, 1, T_WATCH, T_GOOD);
    say(old);
    int64_t since_us = clock_mono_us();
    ends(idle, PATIENCE);
    assert_in_range(clock_mono_us() - since_us, 900000, 2500000);
    assert_int_equal(idle->fate.goaway, NGHTTP2_NO_ERROR);
    assert_int_equal(idle->fate.goaways, 2); /* the notice, and the last stream's id */
    t_read_until(old->fd, &old->fate, NULL, 0, 2500);
    assert_int_equal(old->fate.goaways, 2);
    assert_false(old->fate.closed); /* its call goes on */
    atomic_store(&t_state, 0);
    ends(old, PATIENCE);
    assert_int_equal(old->fate.status, FP_OK);
    leave(idle);
    leave(old);
}

static void a_drain_answers_what_runs_and_sends_watchers_away(void **state)
{
    (void)state;
    serve();
    atomic_store(&t_state, 1);
    struct peer *slow = join();
    t_call(&out, 1, T_GET, T_SLOW);
    say(slow);
    struct peer *watcher = join();
    t_call(&out, 1, T_WATCH, T_GOOD);
    say(watcher);
    struct peer *idle = join();
    say(idle);
    t_read_until(watcher->fd, &watcher->fate, NULL, 0, 200);
    grpc_server_drain(t_server);
    ends(idle, PATIENCE);
    ends(watcher, PATIENCE);
    ends(slow, PATIENCE);
    assert_int_equal(watcher->fate.status, FP_UNAVAILABLE);
    assert_int_equal(slow->fate.status, FP_OK);
    assert_int_equal(slow->fate.goaways, 2);
    assert_true(t_await_connections(0, PATIENCE));
    assert_true(grpc_server_drained(t_server));
    leave(slow);
    leave(watcher);
    leave(idle);
}

static void stopping_in_the_midst_leaves_nothing(void **state)
{
    (void)state;
    serve();
    atomic_store(&t_state, 1);
    struct peer *p = join();
    for (uint32_t i = 0; i < 20; i++)
        t_call(&out, 1 + 2 * i, i % 2 == 0 ? T_WATCH : T_GET, i % 3 == 0 ? T_SLOW : T_GOOD);
    say(p);
    clock_sleep_us(100000);
    t_stop();
    leave(p);
    grpc_server_stop(NULL);
}

/* All at once, since each takes 10 to 20 seconds. */
static void the_silent_the_slow_and_the_mute_are_cut_off(void **state)
{
    (void)state;
    struct grpc_options o = t_options();
    o.keepalive_ms = 1000;
    o.max_deadline_ms = 2000;
    t_serve(&o);
    struct peer *mute = join(), *half = join(), *deaf, *silent, *dripping;
    str_clear(&out);
    str_puts(&out, "PRI * HTTP/2.0\r\n");
    say(half);
    silent = join();
    say(silent);
    dripping = join(); /* headers without an end */
    t_headers(&out, 1, T_GET, 0);
    say(dripping);
    deaf = join();
    t_frame(&out, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    t_call(&out, 1, T_GET, T_GOOD);
    say(deaf);
    int64_t since_us = clock_mono_us();
    ends(mute, 14000);
    ends(half, 4000);
    assert_in_range(clock_mono_us() - since_us, 9000000, 14000000);
    t_read_until(deaf->fd, &deaf->fate, &deaf->fate.n_resets, 1, 5000);
    assert_int_equal(deaf->fate.reset, NGHTTP2_CANCEL);
    ends(silent, 15000);
    assert_int_equal(silent->fate.n_pings, 1);
    ends(dripping, 4000);
    assert_in_range(clock_mono_us() - since_us, 20000000, 25000000);
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    leave(mute);
    leave(half);
    leave(deaf);
    leave(silent);
    leave(dripping);
}

/* It asks again and again and takes no answer: what is queued for it has an end. */
static void who_calls_and_never_reads_is_cut_off(void **state)
{
    (void)state;
    serve();
    struct peer *p = join();
    int small = 4096;
    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    say(p);
    for (int i = 0; i < 20000; i++)
        t_frame(&out, NGHTTP2_PING, 0, 0, "12345678", 8);
    for (uint32_t i = 0; i < 20000; i++)
        t_call(&out, 1 + 2 * i, T_GET, T_LARGE);
    t_send(p->fd, &out);
    assert_true(t_await_connections(0, 25000));
    leave(p);
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
}

static void options_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct fp_err err;
    struct grpc_options o = t_options();
    static const char *const wrong[] = {"",
                                        "nonsense",
                                        "tcp://",
                                        "http://127.0.0.1:1",
                                        "tls+tcp://127.0.0.1:0",
                                        "tcp://127.0.0.1:1,,tcp://127.0.0.1:2",
                                        "tcp://a:1,tcp://a:2,tcp://a:3,tcp://a:4,tcp://a:5"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        o.listen = wrong[i];
        if (grpc_check(&o, &err) == 0)
            fail_msg("\"%s\" was taken", wrong[i]);
        assert_null(grpc_server_start(&o, &err));
    }
    o = t_options();
    o.cert_file = "/tls/crt"; /* given, and of no use at a plain address */
    assert_int_equal(grpc_check(&o, &err), -1);
    o.listen = "tls+tcp://127.0.0.1:0";
    o.key_file = "/no/such/key";
    assert_int_equal(grpc_check(&o, &err), 0);
    assert_null(grpc_server_start(&o, &err));
    assert_non_null(strstr(err.msg, "/tls/crt"));
    o = t_options();
    o.token_file = "/no/such/token";
    assert_null(grpc_server_start(&o, &err));
    assert_non_null(strstr(err.msg, "/no/such/token"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    log_init("grpc_test", false, LOG_ERROR_LEVEL + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timeouts_are_1_to_8_digits_and_a_unit),
        cmocka_unit_test(messages_are_percent_encoded_and_cut_between_characters),
        TEST(replies_and_errors_reach_the_client),
        TEST(a_hundred_calls_at_once_on_one_connection),
        TEST(a_slow_method_meets_its_deadline),
        TEST(tokens_are_asked_for_but_not_for_health),
        TEST(all_watchers_of_one_thing_share_one_question),
        TEST(whose_identity_is_revoked_watches_no_longer),
        TEST(a_watcher_that_does_not_read_gets_the_newest),
        TEST(who_asks_the_same_at_once_is_answered_by_one_reading),
        TEST(who_writes_and_reads_sees_what_he_wrote),
        TEST(a_write_in_between_ends_what_is_joined),
        TEST(who_joined_is_answered_though_the_first_left),
        TEST(a_client_that_goes_takes_its_watch_along),
        TEST(at_the_limit_of_connections_only_idle_ones_make_room),
        TEST(idle_and_old_connections_are_told_to_go),
        TEST(a_drain_answers_what_runs_and_sends_watchers_away),
        TEST(stopping_in_the_midst_leaves_nothing),
        TEST(the_silent_the_slow_and_the_mute_are_cut_off),
        TEST(who_calls_and_never_reads_is_cut_off),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
