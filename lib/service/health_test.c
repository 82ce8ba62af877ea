/* /livez and the beats, without a database: a struct of the skeleton by hand. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/service/service_internal.h"

static const struct service_def def = {.name = "tiny"};
static struct fp_service s;
static char listen_on[] = "127.0.0.1:0";

static int setup(void **state)
{
    struct fp_err err;

    (void)state;
    memset(&s, 0, sizeof s);
    s.def = &def;
    s.set.admin_listen = listen_on;
    pthread_mutex_init(&s.lock, NULL);
    pthread_mutex_init(&s.ready_gate, NULL);
    s.http = health_start(&s, &err);
    return s.http ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(s.http);
    pthread_mutex_destroy(&s.ready_gate);
    pthread_mutex_destroy(&s.lock);
    return 0;
}

static const char *get(const char *page)
{
    static char text[65536];
    char request[100];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(s.http))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t n = 0;
    ssize_t got;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", page);
    assert_true(write(fd, request, strlen(request)) > 0);
    while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    close(fd);
    text[n] = '\0';
    return text;
}

/* As if the loop had last beaten so long ago. */
static void silent_for_s(int id, int seconds)
{
    atomic_store(&s.beats[id].last_us, clock_mono_us() - seconds * FP_US_PER_S);
}

static void a_process_without_loops_lives(void **state)
{
    (void)state;
    assert_non_null(strstr(get("/livez"), "200 OK"));
}

static void a_silent_loop_is_named(void **state)
{
    (void)state;
    service_beat(&s, 0, "pager");
    service_beat(&s, 15, "sender");
    silent_for_s(0, 59);
    assert_non_null(strstr(get("/livez"), "200 OK"));
    silent_for_s(15, 61);
    const char *text = get("/livez");
    assert_memory_equal(text, "HTTP/1.1 503", 12);
    assert_non_null(strstr(text, "loop sender is silent for 61 s"));
    service_beat(&s, 15, "sender");
    assert_non_null(strstr(get("/livez"), "200 OK"));
}

static void a_loop_that_ended_on_purpose_is_not_missed(void **state)
{
    (void)state;
    service_beat(&s, 3, "loader");
    silent_for_s(3, 1000);
    service_beat_end(&s, 3);
    assert_non_null(strstr(get("/livez"), "200 OK"));
}

static void before_its_start_it_says_why_it_is_not_ready(void **state)
{
    (void)state;
    assert_non_null(strstr(get("/readyz"), "\r\n\r\nstarting\n"));
    service_set_waiting(&s, "no such database");
    assert_non_null(strstr(get("/readyz"), "\r\n\r\nno such database\n"));
    service_set_phase(&s, SERVICE_RUNNING);
    assert_non_null(strstr(get("/readyz"), "lease not held: not taken yet"));
    assert_non_null(strstr(get("/metrics"), "\nfoliopost_ready 0\n"));
    assert_non_null(strstr(get("/metrics"), "\nfoliopost_lease_held 0\n"));
}

static void without_a_lease_nobody_owns_anything(void **state)
{
    char owner[37] = "x";

    (void)state;
    service_owner(&s, owner);
    assert_string_equal(owner, "");
    assert_false(service_lease_held(&s));
    assert_false(service_owns(&s, ""));
    assert_false(service_owns(&s, "00000000-0000-0000-0000-000000000000"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_process_without_loops_lives),
        TEST(a_silent_loop_is_named),
        TEST(a_loop_that_ended_on_purpose_is_not_missed),
        TEST(before_its_start_it_says_why_it_is_not_ready),
        TEST(without_a_lease_nobody_owns_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
