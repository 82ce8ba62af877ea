/*
 * Peers that break the rules of HTTP/2 and gRPC, or keep them to harm. After
 * each a new client is served, and nothing of the peer is left.
 */
#include "lib/grpc/testing.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define CALM     NGHTTP2_ENHANCE_YOUR_CALM
#define END      NGHTTP2_FLAG_END_HEADERS
#define WHOLE    (NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM)
#define FLOOD    20000
#define PATIENCE 8000 /* ms; the sanitizers are slow, and machines busy */

static struct fp_str out;

static int begin(void **state)
{
    struct grpc_options o = t_options();
    (void)state;
    t_serve(&o);
    str_init(&out, 64 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    t_stop();
    str_fini(&out);
    return 0;
}

static void served(void)
{
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    if (!t_await_connections(0, PATIENCE))
        fail_msg("%d connections are left", atomic_load(&t_server->n_conns));
}

/* Sends what is in `out`, reads until the end of the connection or for so long, and hangs up. */
static void strike(struct t_fate *f, int ms)
{
    int fd = t_connect();
    t_fate_init(f);
    t_send(fd, &out);
    t_read_until(fd, f, NULL, 0, ms);
    close(fd);
    t_fate_fini(f);
    str_clear(&out);
}

static void struck_down(const char *what)
{
    struct t_fate f;
    strike(&f, PATIENCE);
    if (!f.closed)
        fail_msg("%s: the connection is open still", what);
    served();
}

static void answered(const char *what, int wanted)
{
    struct t_fate f;
    int fd = t_connect();
    t_fate_init(&f);
    t_send(fd, &out);
    t_read_until(fd, &f, &f.n_statuses, 1, PATIENCE);
    close(fd);
    t_fate_fini(&f);
    str_clear(&out);
    if (f.status != wanted)
        fail_msg("%s: status %d, not %d", what, f.status, wanted);
    served();
}

/* --- bytes -------------------------------------------------------------------------- */

static void what_does_not_begin_with_the_preface_is_dropped(void **state)
{
    (void)state;
    static const char *const said[] = {
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        "\x16\x03\x01\x02\x05\x01\x05\x05\x03\x03 a TLS client hello, in plain text",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        str_puts(&out, said[i]);
        struck_down(said[i]);
    }
    str_puts(&out, T_PREFACE); /* and then no SETTINGS */
    t_call(&out, 1, T_GET, T_GOOD);
    struck_down("no settings");
}

static void a_call_that_comes_byte_by_byte_is_answered(void **state)
{
    (void)state;
    struct t_fate f;
    for (size_t piece = 1; piece < 40; piece += 6) {
        int fd = t_connect();
        t_fate_init(&f);
        t_hello(&out);
        t_call(&out, 1, T_GET, T_GOOD);
        for (size_t at = 0; at < out.len; at += piece) {
            size_t n = out.len - at < piece ? out.len - at : piece;
            assert_int_equal(send(fd, out.data + at, n, MSG_NOSIGNAL), n);
            if (at % 3 == 0)
                clock_sleep_us(300);
        }
        t_read_until(fd, &f, &f.n_statuses, 1, PATIENCE);
        assert_int_equal(f.status, FP_OK);
        close(fd);
        t_fate_fini(&f);
        str_clear(&out);
    }
    served();
}

static void random_mutations_of_a_good_session_harm_nobody(void **state)
{
    (void)state;
    struct fp_str good;
    str_init(&good, 0);
    t_hello(&good);
    t_call(&good, 1, T_GET, T_GOOD);
    t_call(&good, 3, T_WATCH, T_GOOD);
    t_frame(&good, NGHTTP2_PING, 0, 0, "12345678", 8);
    t_call(&good, 5, "/grpc.health.v1.Health/Watch", T_GOOD);
    t_frame(&good, NGHTTP2_RST_STREAM, 0, 5, "\0\0\0\10", 4);
    t_call(&good, 7, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", T_GOOD);
    srand(20261125);
    for (int i = 0; i < 1500; i++) {
        struct t_fate f;
        str_add(&out, good.data, good.len);
        for (int n = 1 + rand() % 6; n > 0; n--) /* most behind the preface */
            out.data[(rand() % 8 != 0 ? 24 : 0) + (size_t)rand() % (good.len - 24)] = (char)rand();
        if (rand() % 4 == 0)
            out.len = (size_t)rand() % out.len;
        strike(&f, 2);
    }
    str_fini(&good);
    served();
}

/* --- frames -------------------------------------------------------------------------- */

#define BYTES(s) s, sizeof(s) - 1

static const struct wrong_frame {
    const char *what;
    int type, flags;
    uint32_t stream;
    const char *data;
    size_t bytes;
} wrong_frames[] = {
    {"settings of 5 bytes", NGHTTP2_SETTINGS, 0, 0, BYTES("\0\1\0\0\0")},
    {"settings of a stream", NGHTTP2_SETTINGS, 0, 1, BYTES("")},
    {"an acknowledgement with a payload", NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, BYTES("\0\1\0\0\0\0")},
    {"an acknowledgement of nothing", NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, BYTES("")},
    {"a window above 2^31-1", NGHTTP2_SETTINGS, 0, 0, BYTES("\0\4\x80\0\0\0")},
    {"frames of 1 byte", NGHTTP2_SETTINGS, 0, 0, BYTES("\0\5\0\0\0\1")},
    {"push is 2", NGHTTP2_SETTINGS, 0, 0, BYTES("\0\2\0\0\0\2")},
    {"a ping of 7 bytes", NGHTTP2_PING, 0, 0, BYTES("1234567")},
    {"a ping of a stream", NGHTTP2_PING, 0, 1, BYTES("12345678")},
    {"a window update of 3 bytes", NGHTTP2_WINDOW_UPDATE, 0, 0, BYTES("\0\0\1")},
    {"a window update of 0", NGHTTP2_WINDOW_UPDATE, 0, 0, BYTES("\0\0\0\0")},
    {"a window that overflows", NGHTTP2_WINDOW_UPDATE, 0, 0, BYTES("\x7f\xff\xff\xff")},
    {"a window update of an idle stream", NGHTTP2_WINDOW_UPDATE, 0, 77, BYTES("\0\0\0\1")},
    {"a goaway of 7 bytes", NGHTTP2_GOAWAY, 0, 0, BYTES("1234567")},
    {"a goaway of a stream", NGHTTP2_GOAWAY, 0, 1, BYTES("12345678")},
    {"data of no stream", NGHTTP2_DATA, 0, 0, BYTES("x")},
    {"data of an idle stream", NGHTTP2_DATA, 0, 77, BYTES("x")},
    {"padding longer than the data", NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 77, BYTES("\x7fx")},
    {"headers of no stream", NGHTTP2_HEADERS, WHOLE, 0, BYTES("\x83")},
    {"headers of an even stream", NGHTTP2_HEADERS, WHOLE, 2, BYTES("\x83")},
    {"headers padded beyond their end", NGHTTP2_HEADERS, WHOLE | NGHTTP2_FLAG_PADDED, 1, BYTES("\x7f\x83")},
    {"a promise", NGHTTP2_PUSH_PROMISE, END, 1, BYTES("\0\0\0\2\x83")},
    {"a continuation of nothing", NGHTTP2_CONTINUATION, END, 1, BYTES("\x83")},
    {"a reset of no stream", NGHTTP2_RST_STREAM, 0, 0, BYTES("\0\0\0\10")},
    {"a reset of an idle stream", NGHTTP2_RST_STREAM, 0, 77, BYTES("\0\0\0\10")},
    {"a reset of 3 bytes", NGHTTP2_RST_STREAM, 0, 1, BYTES("\0\0\10")},
    {"a priority of no stream", NGHTTP2_PRIORITY, 0, 0, BYTES("\0\0\0\0\1")},
    {"a priority of 4 bytes", NGHTTP2_PRIORITY, 0, 1, BYTES("\0\0\0\0")},
    /* HPACK */
    {"index 0", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\x80")},
    {"an index beyond the table", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\xff\x7f")},
    {"an integer without an end", NGHTTP2_HEADERS, WHOLE, 1,
     BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
    {"a table of 4 GB", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\x3f\xe1\xff\xff\xff\x0f\x83")},
    {"a table resized at the end", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\x83\x20")},
    {"a name longer than its block", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\0\x7fx")},
    {"Huffman code that ends in EOS", NGHTTP2_HEADERS, WHOLE, 1, BYTES("\0\x84\xff\xff\xff\xff\x81\xff")},
};

static void wrong_frames_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_frames / sizeof wrong_frames[0]; i++) {
        const struct wrong_frame *w = &wrong_frames[i];
        t_hello(&out);
        t_frame(&out, w->type, w->flags, w->stream, w->data, w->bytes);
        struck_down(w->what);
    }
}

static void frames_larger_than_was_agreed_end_the_connection(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0xff, 0xff, 0xff, NGHTTP2_DATA, 0, 0, 0, 0, 1};
    static char zeros[16385];
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    t_frame(&out, NGHTTP2_DATA, 0, 1, zeros, sizeof zeros);
    struck_down("16385 bytes of data");
    t_hello(&out);
    str_add(&out, huge, sizeof huge);
    struck_down("16 MB of data");
    t_hello(&out);
    t_headers(&out, 1, T_GET, 0);
    t_frame(&out, NGHTTP2_PING, 0, 0, "12345678", 8);
    struck_down("a ping between headers");
}

static void frames_of_unknown_types_are_passed_over(void **state)
{
    (void)state;
    t_hello(&out);
    for (int i = 0; i < 1000; i++)
        t_frame(&out, 0x20 + i % 200, i % 256, (uint32_t)i, "whatever", 8);
    t_call(&out, 1, T_GET, T_GOOD);
    answered("unknown frames", FP_OK);
}

/* --- headers -------------------------------------------------------------------------- */

/* Puts `value` into the table of headers once, then refers to it by a byte each time. */
static void bomb(size_t value_bytes, size_t times)
{
    struct fp_str block, more;
    str_init(&block, 0);
    str_init(&more, 0);
    t_request_block(&block, T_GET);
    str_puts(&block, "\x40\x01x\x7f"); /* literal, to be indexed: x: */
    for (size_t rest = value_bytes - 127;; rest >>= 7) {
        str_putc(&block, (char)(rest < 128 ? rest : (rest & 127) | 128));
        if (rest < 128)
            break;
    }
    for (size_t i = 0; i < value_bytes; i++)
        str_putc(&block, 'v');
    for (size_t i = 0; i < times; i++)
        str_putc(i < 10000 ? &block : &more, (char)0xbe); /* index 62: the newest */
    t_hello(&out);
    t_frame(&out, NGHTTP2_HEADERS, more.len > 0 ? 0 : END, 1, block.data, block.len);
    if (more.len > 0)
        t_frame(&out, NGHTTP2_CONTINUATION, END, 1, more.data, more.len);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    str_fini(&block);
    str_fini(&more);
}

static void hpack_bombs_cost_the_call_or_the_connection(void **state)
{
    (void)state;
    bomb(3900, 2);
    answered("12 kB of headers", FP_OK);
    bomb(3900, 5);
    answered("24 kB of headers", FP_RESOURCE_EXHAUSTED);
    bomb(3900, 12000);
    struck_down("46 MB of headers in 16 kB");
}

static void endless_headers_end_the_connection(void **state)
{
    (void)state;
    struct fp_str block;
    t_hello(&out);
    t_headers(&out, 1, T_GET, 0);
    for (int i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_CONTINUATION, 0, 1, NULL, 0);
    struck_down("empty continuations");
    str_init(&block, 0);
    for (int i = 0; i < 100; i++)
        t_header(&block, "x-more", "and more, and more, and more, and more, and more, and more");
    t_hello(&out);
    t_headers(&out, 1, T_GET, 0);
    for (int i = 0; i < 200; i++)
        t_frame(&out, NGHTTP2_CONTINUATION, 0, 1, block.data, block.len);
    struck_down("1.4 MB of headers");
    t_hello(&out);
    for (uint32_t i = 0; i < 200; i++) /* trailers count with the headers */
        t_frame(&out, NGHTTP2_HEADERS, END, 1, block.data, block.len);
    str_fini(&block);
    struct t_fate f;
    strike(&f, 500);
    assert_true(f.closed || f.n_resets > 0);
    served();
}

static void headers_that_are_not_http_cost_their_stream(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"X-Upper", "v"},
                                           {"a b", "v"},
                                           {"x", "a\nb"},
                                           {":path", "/again"},
                                           {":unknown", "v"},
                                           {"te", "gzip"},
                                           {"x", "a\001b"},
                                           {"connection", "close"},
                                           {"transfer-encoding", "chunked"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct fp_str block;
        struct t_fate f;
        str_init(&block, 0);
        t_request_block(&block, T_GET);
        t_header(&block, names[i][0], names[i][1]);
        t_hello(&out);
        t_frame(&out, NGHTTP2_HEADERS, END, 1, block.data, block.len);
        t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
        str_fini(&block);
        strike(&f, 200);
        if (f.n_resets == 0 && !f.closed)
            fail_msg("%s: %s was taken, status %d", names[i][0], names[i][1], f.status);
        served();
    }
}

/* --- floods ---------------------------------------------------------------------------- */

static void calmed(const char *what)
{
    struct t_fate f;
    strike(&f, PATIENCE);
    if (!f.closed || (f.goaway != T_NOTHING && f.goaway != CALM))
        fail_msg("%s: closed %d, goaway %d", what, f.closed, f.goaway);
    served();
}

static void rapid_resets_are_calmed(void **state)
{
    (void)state;
    int before = atomic_load(&t_asked);
    t_hello(&out);
    for (uint32_t i = 1; i < 2 * FLOOD; i += 2) {
        t_call(&out, i, T_GET, T_GOOD);
        t_frame(&out, NGHTTP2_RST_STREAM, 0, i, "\0\0\0\10", 4);
    }
    calmed("resets");
    assert_in_range(atomic_load(&t_asked) - before, 0, 3000);
}

/* Streams that the server is made to reset are closed at once, and their calls are worked on. */
static void provoked_resets_are_calmed(void **state)
{
    (void)state;
    struct t_fate f;
    int fd = t_connect();
    t_fate_init(&f);
    t_hello(&out);
    for (uint32_t i = 1; i < 2 * FLOOD && !f.closed; i += 2) {
        t_call(&out, i, T_GET, T_SLOW);
        t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, i, "\x7f\xff\xff\xff", 4);
        if (i % 100 != 1)
            continue;
        t_send(fd, &out);
        str_clear(&out);
        t_read(fd, &f, 20);
    }
    t_read_until(fd, &f, NULL, 0, PATIENCE);
    assert_true(f.closed);
    assert_int_equal(f.goaway, CALM);
    assert_in_range(f.n_resets, 500, 1500);
    close(fd);
    t_fate_fini(&f);
    str_clear(&out);
    served();
}

static void floods_of_small_frames_are_calmed(void **state)
{
    (void)state;
    t_hello(&out);
    for (int i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_PING, 0, 0, "12345678", 8);
    calmed("pings");
    t_hello(&out);
    for (int i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\1\0", 6);
    calmed("settings");
    t_hello(&out);
    for (uint32_t i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_PRIORITY, 0, 1 + 2 * i, "\0\0\0\0\1", 5);
    calmed("priorities");
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    for (int i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_DATA, 0, 1, NULL, 0);
    calmed("empty data");
}

/* Who does not say that it knows the limit is refused stream by stream: and pays for it. */
static void streams_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    str_puts(&out, T_PREFACE);
    t_frame(&out, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    for (uint32_t i = 1; i < 2 * FLOOD; i += 2)
        t_headers(&out, i, T_GET, END);
    calmed("streams");
    t_hello(&out);
    for (uint32_t i = 1; i < 2 * 200; i += 2)
        t_headers(&out, i, T_GET, END);
    struck_down("streams beyond a limit that was acknowledged");
}

/* --- windows --------------------------------------------------------------------------- */

static void a_window_that_opens_byte_by_byte_gets_its_answer(void **state)
{
    (void)state;
    struct t_fate f;
    int fd = t_connect();
    t_fate_init(&f);
    t_hello(&out);
    t_frame(&out, NGHTTP2_SETTINGS, 0, 0, "\0\4\0\0\0\0", 6);
    t_call(&out, 1, T_GET, T_LARGE);
    assert_true(t_send(fd, &out));
    t_read_until(fd, &f, NULL, 0, 300);
    assert_int_equal(f.data_bytes, 0);
    for (int i = 0; i < 1100 && f.n_statuses == 0 && !f.closed; i++) {
        str_clear(&out);
        t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
        assert_true(t_send(fd, &out));
        t_read(fd, &f, 20);
    }
    assert_int_equal(f.status, FP_OK);
    assert_true(f.data_bytes > 1000);
    close(fd);
    t_fate_fini(&f);
    str_clear(&out);
    served();
}

static void games_with_windows_end_badly(void **state)
{
    (void)state;
    struct t_fate f;
    t_hello(&out);
    t_call(&out, 1, T_WATCH, T_GOOD);
    t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\x7f\xff\xff\xff", 4);
    strike(&f, 300);
    assert_true(f.n_resets > 0 || f.n_statuses > 0); /* it may be answered before the frame is read */
    served();
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    for (int i = 0; i < FLOOD; i++)
        t_frame(&out, NGHTTP2_SETTINGS, 0, 0, i % 2 == 0 ? "\0\4\0\0\0\0" : "\0\4\x7f\xff\xff\xff", 6);
    calmed("windows that open and shut");
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    for (int i = 0; i < 5 * FLOOD; i++)
        t_frame(&out, NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1", 4);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    answered("100,000 window updates", FP_OK); /* cheap, and legal */
}

/* --- streams -------------------------------------------------------------------------- */

static void ten_thousand_idle_streams_keep_nobody_out(void **state)
{
    (void)state;
    enum { CONNECTIONS = 100, STREAMS = 100 };
    int fds[CONNECTIONS];
    t_hello(&out);
    for (uint32_t i = 0; i < STREAMS; i++)
        t_headers(&out, 1 + 2 * i, T_GET, END);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = t_connect();
        assert_true(t_send(fds[i], &out));
    }
    str_clear(&out);
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    assert_int_equal(t_status("/grpc.health.v1.Health/Check", 0, PATIENCE), FP_OK);
    for (int i = 0; i < CONNECTIONS; i++)
        close(fds[i]);
    served();
    assert_int_equal(t_server->n_calls, 0);
    assert_int_equal(t_server->buffered, 0);
}

static void half_closed_streams_are_answered_or_reset(void **state)
{
    (void)state;
    struct t_fate f;
    t_hello(&out);
    t_headers(&out, 1, T_GET, WHOLE);
    answered("no message", FP_INVALID_ARGUMENT);
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    answered("no end", FP_DEADLINE_EXCEEDED);
    t_hello(&out);
    t_call(&out, 1, T_GET, T_SLOW);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    strike(&f, 500);
    assert_true(f.closed || f.reset == NGHTTP2_STREAM_CLOSED);
    served();
    t_hello(&out);
    t_call(&out, 3, T_GET, T_GOOD);
    t_call(&out, 1, T_GET, T_GOOD); /* streams count upwards: nghttp2 passes over it */
    strike(&f, 200);
    assert_int_equal(f.n_statuses, 1);
    served();
}

static void hanging_up_at_any_byte_harms_nobody(void **state)
{
    (void)state;
    t_hello(&out);
    t_call(&out, 1, T_GET, T_SLOW);
    t_call(&out, 3, T_WATCH, T_GOOD);
    atomic_store(&t_state, 1);
    struct fp_str all = out;
    for (size_t n = 0; n < all.len; n += 3) {
        struct fp_str part = {.data = all.data, .len = n};
        int fd = t_connect();
        const struct linger reset = {.l_onoff = 1};
        t_send(fd, &part);
        if (n % 2 == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    str_clear(&out);
    atomic_store(&t_state, 0);
    served();
}

/* --- messages -------------------------------------------------------------------------- */

static void message(const char *what, const void *data, size_t bytes, int wanted)
{
    t_hello(&out);
    t_headers(&out, 1, T_GET, END);
    t_frame(&out, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, data, bytes);
    answered(what, wanted);
}

static void wrong_messages_get_a_code(void **state)
{
    (void)state;
    message("4 GB are announced", BYTES("\0\xff\xff\xff\xffxx"), FP_RESOURCE_EXHAUSTED);
    message("compressed", BYTES("\1\0\0\0\1x"), FP_UNIMPLEMENTED);
    message("half a prefix", BYTES("\0\0\0"), FP_INVALID_ARGUMENT);
    message("half a message", BYTES("\0\0\0\0\5x"), FP_INVALID_ARGUMENT);
    message("two messages", BYTES("\0\0\0\0\2\10\1\0\0\0\0\2\10\1"), FP_UNIMPLEMENTED);
    message("not protobuf", BYTES("\0\0\0\0\2\377\377"), FP_INVALID_ARGUMENT);
    message("an empty message", BYTES("\0\0\0\0\0"), FP_INVALID_ARGUMENT); /* job_id 0 */
}

static void call_with(const char *what, const char *name, const char *value, int wanted)
{
    struct fp_str block;
    str_init(&block, 0);
    t_request_block(&block, T_GET);
    t_header(&block, name, value);
    t_hello(&out);
    t_frame(&out, NGHTTP2_HEADERS, END, 1, block.data, block.len);
    t_message(&out, 1, T_GOOD, NGHTTP2_FLAG_END_STREAM);
    str_fini(&block);
    answered(what, wanted);
}

static void wrong_metadata_gets_a_code(void **state)
{
    (void)state;
    call_with("a timeout without a unit", "grpc-timeout", "100", FP_INVALID_ARGUMENT);
    call_with("a timeout of 9 digits", "grpc-timeout", "123456789m", FP_INVALID_ARGUMENT);
    call_with("no time at all", "grpc-timeout", "0n", FP_DEADLINE_EXCEEDED);
    call_with("the longest timeout", "grpc-timeout", "99999999H", FP_OK);
    call_with("gzip", "grpc-encoding", "gzip", FP_UNIMPLEMENTED);
    call_with("identity", "grpc-encoding", "identity", FP_OK);
    t_hello(&out);
    t_call(&out, 1, "/foliopost.v1.JobService/", T_GOOD);
    answered("no method", FP_UNIMPLEMENTED);
    t_hello(&out);
    t_call(&out, 1, "/foliopost.v1.JobService/GetJob/../../../../etc/passwd%00%s%n", T_GOOD);
    answered("a path", FP_UNIMPLEMENTED);
}

static void what_is_not_grpc_gets_an_http_status(void **state)
{
    (void)state;
    static const struct {
        const char *method, *type;
        int status;
    } said[] = {{"GET", "application/grpc", 405},
                {"POST", "text/html", 415},
                {"POST", "application/grpc-web", 415},
                {"POST", "application/grpc+json", 415}};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct fp_str block;
        struct t_fate f;
        str_init(&block, 0);
        t_header(&block, ":method", said[i].method);
        t_header(&block, ":scheme", "http");
        t_header(&block, ":path", T_GET);
        t_header(&block, ":authority", "localhost");
        t_header(&block, "content-type", said[i].type);
        t_hello(&out);
        t_frame(&out, NGHTTP2_HEADERS, WHOLE, 1, block.data, block.len);
        str_fini(&block);
        strike(&f, 200);
        assert_int_equal(f.http, said[i].status);
        served();
    }
}

/* --- connections ------------------------------------------------------------------------ */

/* In a process of its own: it has file descriptors when the server has none. */
static int hog(int port_pipe)
{
    int idle[100];
    if (read(port_pipe, &t_port, sizeof t_port) != sizeof t_port)
        return 1;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 100; i++)
            idle[i] = t_connect();
        if (t_status(T_GET, T_GOOD, 2 * PATIENCE) != FP_OK)
            return 2;
        for (size_t i = 0; i < 100; i++)
            close(idle[i]);
    }
    return 0;
}

static void without_file_descriptors_idle_connections_make_room(void **state)
{
    (void)state;
    struct rlimit before, low;
    int ports[2], status, probe = dup(0);
    assert_int_equal(pipe(ports), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(hog(ports[0]));
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)probe + 16;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(write(ports[1], &t_port, sizeof t_port), sizeof t_port);
    assert_int_equal(waitpid(child, &status, 0), child);
    setrlimit(RLIMIT_NOFILE, &before);
    close(ports[0]);
    close(ports[1]);
    close(probe);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    served();
}

static void connections_beyond_the_limit_make_room(void **state)
{
    (void)state;
    int fds[400];
    struct fp_str hello;
    str_init(&hello, 0);
    t_hello(&hello);
    for (size_t i = 0; i < 400; i++) { /* twice the limit */
        fds[i] = t_connect();
        t_send(fds[i], &hello);
    }
    assert_int_equal(t_status(T_GET, T_GOOD, PATIENCE), FP_OK);
    assert_in_range(atomic_load(&t_server->n_conns), 1, 200);
    for (size_t i = 0; i < 400; i++)
        close(fds[i]);
    str_fini(&hello);
    served();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    log_init("hostile_test", false, LOG_ERROR_LEVEL + 1);
    const struct CMUnitTest tests[] = {
        TEST(what_does_not_begin_with_the_preface_is_dropped),
        TEST(a_call_that_comes_byte_by_byte_is_answered),
        TEST(random_mutations_of_a_good_session_harm_nobody),
        TEST(wrong_frames_end_the_connection),
        TEST(frames_larger_than_was_agreed_end_the_connection),
        TEST(frames_of_unknown_types_are_passed_over),
        TEST(hpack_bombs_cost_the_call_or_the_connection),
        TEST(endless_headers_end_the_connection),
        TEST(headers_that_are_not_http_cost_their_stream),
        TEST(rapid_resets_are_calmed),
        TEST(provoked_resets_are_calmed),
        TEST(floods_of_small_frames_are_calmed),
        TEST(streams_beyond_the_limit_are_refused),
        TEST(a_window_that_opens_byte_by_byte_gets_its_answer),
        TEST(games_with_windows_end_badly),
        TEST(ten_thousand_idle_streams_keep_nobody_out),
        TEST(half_closed_streams_are_answered_or_reset),
        TEST(hanging_up_at_any_byte_harms_nobody),
        TEST(wrong_messages_get_a_code),
        TEST(wrong_metadata_gets_a_code),
        TEST(what_is_not_grpc_gets_an_http_status),
        TEST(without_file_descriptors_idle_connections_make_room),
        TEST(connections_beyond_the_limit_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
