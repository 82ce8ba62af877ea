/* The admin port against well and badly behaved clients. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/http/http.h"

static atomic_bool is_ready;

static bool live(void *ctx, struct fp_str *why_not)
{
    (void)ctx;
    (void)why_not;
    return true;
}

static bool ready(void *ctx, struct fp_str *why_not)
{
    (void)ctx;
    if (!is_ready)
        str_puts(why_not, "waiting for the ledger");
    return is_ready;
}

static void metrics(void *ctx, struct fp_str *out)
{
    str_printf(out, "%s 1\n", (const char *)ctx);
}

static struct fp_http *h;

static int setup(void **state)
{
    static char name[] = "up";
    const struct http_admin admin = {"127.0.0.1:0", name, live, ready, metrics};
    struct fp_err err;

    (void)state;
    is_ready = true;
    h = http_start(&admin, &err);
    return h ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(h);
    http_stop(NULL);
    return 0;
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(h))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void put(int fd, const void *data, size_t bytes)
{
    const char *p = data;

    while (bytes > 0) {
        ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may hang up early; the answer tells */
        p += n;
        bytes -= (size_t)n;
    }
}

/* Reads until the peer closes, or nothing comes for two seconds. */
static const char *answer_of(int fd)
{
    static char text[65536];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (n < sizeof text - 1 && poll(&p, 1, 2000) > 0) {
        ssize_t got = read(fd, text + n, sizeof text - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return text;
}

/* Ends our side and waits until the server has seen it, so that the limit for
 * one address is not reached by connections that are over. */
static void hang_up(int fd)
{
    shutdown(fd, SHUT_WR);
    answer_of(fd);
    close(fd);
}

static const char *ask(const char *request)
{
    int fd = dial();

    put(fd, request, strlen(request));
    shutdown(fd, SHUT_WR);
    const char *text = answer_of(fd);
    close(fd);
    return text;
}

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void is_alive(void)
{
    int64_t until_us = clock_mono_us() + 5 * FP_US_PER_S;
    const char *text;

    do /* connections that we just closed may still count against our address */
        text = ask("GET /livez" END);
    while (strncmp(text, "HTTP/1.1 200", 12) != 0 && clock_mono_us() < until_us);
    if (strncmp(text, "HTTP/1.1 200", 12) != 0)
        fail_msg("not alive: %s", text);
}

static void the_three_pages_answer(void **state)
{
    (void)state;
    assert_non_null(strstr(ask("GET /livez" END), "\r\n\r\nok\n"));
    assert_non_null(strstr(ask("GET /readyz" END), "\r\n\r\nok\n"));
    const char *text = ask("GET /metrics" END);
    assert_memory_equal(text, "HTTP/1.1 200", 12);
    assert_non_null(strstr(text, "version=0.0.4"));
    assert_non_null(strstr(text, "\r\n\r\nup 1\n"));
    assert_non_null(strstr(ask("GET /livez?x=1" END), "200 OK"));
}

static void unready_is_503_with_the_reason(void **state)
{
    (void)state;
    is_ready = false;
    const char *text = ask("GET /readyz" END);
    assert_memory_equal(text, "HTTP/1.1 503", 12);
    assert_non_null(strstr(text, "\r\n\r\nwaiting for the ledger\n"));
    is_alive();
}

static void other_pages_and_methods_are_refused(void **state)
{
    (void)state;
    assert_memory_equal(ask("GET /" END), "HTTP/1.1 404", 12);
    assert_memory_equal(ask("GET /livez/../etc/passwd" END), "HTTP/1.1 404", 12);
    const char *text =
        ask("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    assert_memory_equal(text, "HTTP/1.1 405", 12);
    assert_non_null(strstr(text, "Allow: GET, HEAD"));
    assert_memory_equal(ask("DELETE /livez" END), "HTTP/1.1 405", 12);
    text = ask("HEAD /metrics" END);
    assert_memory_equal(text, "HTTP/1.1 200", 12);
    assert_null(strstr(text, "up 1"));
}

static void garbage_is_survived(void **state)
{
    unsigned char junk[4096];

    (void)state;
    srandom(7);
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (unsigned char)random();
        int fd = dial();
        put(fd, junk, (size_t)random() % sizeof junk);
        hang_up(fd);
    }
    ask("\r\n\r\n\r\n\r\n");
    ask("GET\r\n\r\n");
    ask("GET /livez HTTP/9.9\r\n\r\n");
    ask("GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n");
    ask("POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n");
    ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    is_alive();
}

static void half_requests_do_no_harm(void **state)
{
    const char *whole = "GET /livez" END;

    (void)state;
    for (size_t n = 0; n < strlen(whole); n += 3) {
        int fd = dial();
        put(fd, whole, n);
        hang_up(fd);
    }
    int fd = dial(); /* one that goes on later is served */
    put(fd, whole, 10);
    clock_sleep_us(50000);
    put(fd, whole + 10, strlen(whole) - 10);
    assert_non_null(strstr(answer_of(fd), "200 OK"));
    close(fd);
    is_alive();
}

static void huge_requests_are_refused(void **state)
{
    size_t n = 200000;
    char *big = malloc(n + 1);

    (void)state;
    memset(big, 'a', n);
    big[n] = '\0';
    int fd = dial();
    put(fd, "GET /", 5);
    put(fd, big, n);
    put(fd, END, strlen(END));
    assert_null(strstr(answer_of(fd), "200 OK"));
    close(fd);
    fd = dial();
    const char *head = "GET /livez HTTP/1.1\r\nHost: x\r\nX-Big: ";
    put(fd, head, strlen(head));
    put(fd, big, n);
    put(fd, "\r\n\r\n", 4);
    assert_null(strstr(answer_of(fd), "200 OK"));
    close(fd);
    fd = dial(); /* an endless body is thrown away */
    head = "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
    put(fd, head, strlen(head));
    put(fd, big, n);
    close(fd);
    free(big);
    is_alive();
}

static void one_address_has_a_limit(void **state)
{
    int fds[40], refused = 0;
    char c;

    (void)state;
    for (int i = 0; i < 40; i++)
        fds[i] = dial();
    int64_t until_us = clock_mono_us() + FP_US_PER_S; /* the rest stays open, well below the time limit */
    for (int i = 0; i < 40; i++) {
        struct pollfd p = {.fd = fds[i], .events = POLLIN};
        int64_t left_ms = (until_us - clock_mono_us()) / 1000;
        if (poll(&p, 1, left_ms > 0 ? (int)left_ms : 0) > 0 && read(fds[i], &c, 1) <= 0)
            refused++;
    }
    for (int i = 0; i < 40; i++)
        close(fds[i]);
    assert_int_equal(refused, 40 - 16);
    is_alive();
}

static void *ask_often(void *arg)
{
    for (int i = 0; i < 50; i++) {
        int fd = dial();
        put(fd, "GET /metrics" END, strlen("GET /metrics" END));
        char buf[512];
        if (read(fd, buf, sizeof buf) > 12 && memcmp(buf, "HTTP/1.1 200", 12) == 0)
            ++*(int *)arg;
        close(fd);
    }
    return NULL;
}

static void several_at_once_are_served(void **state)
{
    pthread_t t[4];
    int good[4] = {0};

    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, ask_often, &good[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(good[i], 50);
    }
}

static void an_address_in_use_or_wrong_is_named(void **state)
{
    char listen[64];
    struct http_admin admin = {.listen = listen};
    struct fp_err err;

    (void)state;
    snprintf(listen, sizeof listen, "127.0.0.1:%d", http_port(h));
    assert_null(http_start(&admin, &err));
    assert_int_equal(err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(err.msg, listen));
    assert_non_null(strstr(err.msg, "Address already in use"));
    snprintf(listen, sizeof listen, "nonsense");
    assert_null(http_start(&admin, &err));
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, "nonsense"));
}

static void addresses_are_split(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
    } good[] = {{"127.0.0.1:9101", "127.0.0.1", 9101},
                {"[::]:9101", "::", 9101},
                {"[::1]:0", "::1", 0},
                {":80", "", 80},
                {"mailer-0.x:65535", "mailer-0.x", 65535}};
    static const char *const bad[] = {"",      ":",     "x",          "x:",      "x:65536",
                                      "x:-1",  "x:+1",  "x: 1",       "x:1 ",    "::1:80",
                                      "[::1",  "[::1]", "[]:80",      "[::1]80", "x:99999999999",
                                      "a]b:1", "a b:1", "http://x:1", "x:1\n",   "x\r:1"};
    char host[64], tiny[4];
    int port;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(http_split_address(good[i].text, host, sizeof host, &port));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_split_address(bad[i], host, sizeof host, &port))
            fail_msg("taken: %s", bad[i]);
    assert_true(http_split_address("abc:1", tiny, sizeof tiny, &port));
    assert_false(http_split_address("abcd:1", tiny, sizeof tiny, &port));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_three_pages_answer),
        TEST(unready_is_503_with_the_reason),
        TEST(other_pages_and_methods_are_refused),
        TEST(garbage_is_survived),
        TEST(half_requests_do_no_harm),
        TEST(huge_requests_are_refused),
        TEST(one_address_has_a_limit),
        TEST(several_at_once_are_served),
        TEST(an_address_in_use_or_wrong_is_named),
        cmocka_unit_test(addresses_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
