/*
 * Too many peers of a PUSH socket, who announce what nobody asked for and stay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/bus/bus.h"
#include "lib/bus/peers_testing.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define METRIC "foliopost_bus_refused_total"
#define TOTAL  256 /* of push.c */
#define EACH   128

static const struct bus_tls no_tls = {"", "", ""};

#define AWAIT(condition)                                                                                     \
    do {                                                                                                     \
        int64_t end_ = clock_mono_us() + 10 * FP_US_PER_S;                                                   \
        while (!(condition) && clock_mono_us() < end_)                                                       \
            clock_sleep_us(5000);                                                                            \
        assert_true(condition);                                                                              \
    } while (0)

static struct fp_bus_push *open_push(const char *pipe)
{
    struct fp_err err;
    struct fp_bus_push *p = bus_push_open(pipe, "tcp://127.0.0.1:0", &no_tls, &err);
    if (p == NULL)
        fail_msg("%s", err.msg);
    return p;
}

static struct fp_bus_pull *open_pull(int port)
{
    struct fp_err err;
    char url[80];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    struct fp_bus_pull *p = bus_pull_open("pull", url, &no_tls, 100, &err);
    if (p == NULL)
        fail_msg("%s", err.msg);
    return p;
}

static void what_is_announced_to_a_pusher_is_not_allocated(void **state)
{
    (void)state;
    struct fp_bus_push *push = open_push("announce");
    long before_kb = resident_kb();
    int fds[100];
    for (int i = 0; i < 100; i++)
        fds[i] = peer_connect(bus_push_port(push), 2, SP_PULL);
    AWAIT(bus_push_peers(push) == 100);
    for (int i = 0; i < 100; i++)
        peer_announce(fds[i], 1024 * 1024);
    AWAIT(bus_push_peers(push) == 0);
    assert_in_range(resident_kb() - before_kb, 0, 20000); /* not 100 MiB */
    for (int i = 0; i < 100; i++)
        close(fds[i]);
    bus_push_shut(push, 100);
}

static void one_address_leaves_room_for_others(void **state)
{
    (void)state;
    struct fp_bus_push *push = open_push("one");
    struct fp_err err;
    struct fp_bus_msg *m;
    int fds[2 * TOTAL], n = 0;
    while (n < EACH + 50)
        fds[n++] = peer_connect(bus_push_port(push), 2, SP_PULL);
    AWAIT(bus_push_peers(push) == EACH && metrics_value(METRIC, "pipe=\"one\"") == 50);
    while (n < 2 * TOTAL) /* several take all there is */
        fds[n] = peer_connect(bus_push_port(push), 3 + n % 2, SP_PULL), n++;
    AWAIT(bus_push_peers(push) == TOTAL);
    /* who comes then gets the place of one of those who have most */
    struct fp_bus_pull *pull = open_pull(bus_push_port(push));
    AWAIT(bus_pull_peers(pull) == 1);
    clock_sleep_us(300000);
    assert_int_equal(bus_pull_peers(pull), 1);
    AWAIT(bus_push_peers(push) == TOTAL);
    for (int i = 0; i < n; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    AWAIT(bus_push_peers(push) == 1);
    int got = 1; /* NNG can give one to a peer that has just gone */
    for (int i = 0; i < 10 && got == 1; i++) {
        assert_int_equal(bus_push_send(push, "work", 5, 1000, &err), 0);
        got = bus_pull_recv(pull, 1000, &m, &err);
    }
    assert_int_equal(got, 0);
    bus_msg_free(m);
    bus_pull_shut(pull);
    bus_push_shut(push, 100);
}

/* There only in a sanitized build: _exit() would skip its check for leaks. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

int main(void)
{
    log_init("crowd_test", false, LOG_ERROR_LEVEL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_announced_to_a_pusher_is_not_allocated),
        cmocka_unit_test(one_address_leaves_room_for_others),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(stdout);
    fflush(stderr);
    if (&__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        failed++;
    _exit(failed == 0 ? 0 : 1);
}
