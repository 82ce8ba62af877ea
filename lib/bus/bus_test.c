/*
 * Pipelines between threads and processes: sharing, loss, death, garbage.
 *
 * NNG must not be forked, so a test that needs another process starts this
 * program again with a role: `bus_bus_test pull URL` receives and prints a
 * line for each message, `bus_bus_test push URL` sends one every few ms.
 * The tests end by _exit(): sockets are never closed (see bus.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/bus/bus.h"
#include "lib/bus/dialers.h"
#include "lib/bus/watch.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

static const struct bus_tls no_tls = {"", "", ""};

/* --- other processes ----------------------------------------------------------------- */

struct child {
    pid_t pid;
    FILE *out;
};

static struct child start_child(const char *role, const char *url)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        close(fds[0]);
        close(fds[1]);
        execl("/proc/self/exe", "bus_bus_test", role, url, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    return (struct child){.pid = pid, .out = fdopen(fds[0], "r")};
}

static void kill_child(struct child *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    fclose(c->out);
}

static int pull_role(const char *url)
{
    struct fp_err err;
    struct fp_bus_msg *m;
    struct fp_bus_pull *p = bus_pull_open("test", url, &no_tls, 200, &err);
    size_t bytes;
    while (p != NULL && bus_pull_recv(p, 30000, &m, &err) == 0) {
        printf("%.8s\n", (const char *)bus_msg_data(m, &bytes));
        fflush(stdout);
        bus_msg_free(m);
    }
    _exit(0);
}

static int push_role(const char *url)
{
    struct fp_err err;
    struct fp_bus_push *p = bus_push_open("test", url, &no_tls, &err);
    if (p == NULL)
        fprintf(stderr, "%s\n", err.msg);
    for (int i = 0; p != NULL && i < 6000; i++) {
        (void)!bus_push_send(p, "pushed!", 8, 100, &err);
        clock_sleep_us(5000);
    }
    _exit(0);
}

/* --- helpers ---------------------------------------------------------------------------- */

static struct fp_bus_push *open_push(const char *url)
{
    struct fp_err err;
    struct fp_bus_push *p = bus_push_open("test", url, &no_tls, &err);
    if (p == NULL)
        fail_msg("%s", err.msg);
    return p;
}

static struct fp_bus_pull *open_pull(const char *host, int port)
{
    struct fp_err err;
    char url[80];
    snprintf(url, sizeof url, "tcp://%s:%d", host, port);
    struct fp_bus_pull *p = bus_pull_open("test", url, &no_tls, 100, &err);
    if (p == NULL)
        fail_msg("%s", err.msg);
    return p;
}

/* Waits up to ten seconds for a condition. */
#define AWAIT(condition)                                                                                     \
    do {                                                                                                     \
        int64_t end_ = clock_mono_us() + 10 * FP_US_PER_S;                                                   \
        while (!(condition) && clock_mono_us() < end_)                                                       \
            clock_sleep_us(5000);                                                                            \
        assert_true(condition);                                                                              \
    } while (0)

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

static int receive_number(struct fp_bus_pull *p, int timeout_ms)
{
    struct fp_bus_msg *m;
    struct fp_err err;
    size_t bytes;
    int n = -1;
    if (bus_pull_recv(p, timeout_ms, &m, &err) != 0)
        return -1;
    memcpy(&n, bus_msg_data(m, &bytes), sizeof n);
    assert_true(bytes >= sizeof n);
    bus_msg_free(m);
    return n;
}

/* --- tests ------------------------------------------------------------------------------- */

static void a_message_arrives_whole(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_msg *m;
    size_t bytes;
    char *big = calloc(1, BUS_MAX_MESSAGE_BYTES + 1);
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
    memset(big, 'x', BUS_MAX_MESSAGE_BYTES);
    AWAIT(bus_push_peers(push) == 1 && bus_pull_peers(pull) == 1);
    assert_int_equal(bus_push_send(push, big, BUS_MAX_MESSAGE_BYTES, 1000, &err), 0);
    assert_int_equal(bus_pull_recv(pull, 5000, &m, &err), 0);
    assert_memory_equal(bus_msg_data(m, &bytes), big, BUS_MAX_MESSAGE_BYTES);
    assert_int_equal(bytes, BUS_MAX_MESSAGE_BYTES);
    bus_msg_free(m);
    assert_int_equal(bus_push_send(push, big, 0, 1000, &err), 0); /* an empty one is one */
    assert_int_equal(bus_pull_recv(pull, 5000, &m, &err), 0);
    bus_msg_data(m, &bytes);
    assert_int_equal(bytes, 0);
    bus_msg_free(m);
    assert_int_equal(bus_pull_recv(pull, 20, &m, &err), 1);
    assert_null(m);
    assert_int_equal(bus_push_send(push, big, BUS_MAX_MESSAGE_BYTES + 1, 1000, &err), -1);
    assert_int_equal(err.code, FP_RESOURCE_EXHAUSTED);
    assert_true(metrics_value("foliopost_bus_messages_total", "pipe=\"test\",direction=\"received\"") >= 2);
    bus_pull_shut(pull);
    bus_push_shut(push, 100);
    free(big);
}

static void a_push_without_peers_times_out_and_sends_nothing_later(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    int64_t before_us = clock_mono_us();
    int first = 1, second = 2;
    assert_int_equal(bus_push_send(push, &first, sizeof first, 150, &err), -1);
    assert_int_equal(err.code, FP_UNAVAILABLE);
    assert_in_range(clock_mono_us() - before_us, 140000, 2000000);
    assert_int_equal(bus_push_send(push, &first, sizeof first, 0, &err), -1);
    struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
    AWAIT(bus_push_peers(push) == 1);
    assert_int_equal(bus_push_send(push, &second, sizeof second, 1000, &err), 0);
    assert_int_equal(receive_number(pull, 5000), 2);
    assert_int_equal(receive_number(pull, 100), -1);
    bus_pull_shut(pull);
    bus_push_shut(push, 100);
}

struct sender {
    struct fp_bus_push *push;
    int first, n;
    int failed;
    pthread_t thread;
};

static void *send_numbers(void *arg)
{
    struct sender *s = arg;
    struct fp_err err;
    for (int i = 0; i < s->n; i++) {
        int number = s->first + i;
        s->failed += bus_push_send(s->push, &number, sizeof number, 5000, &err) != 0;
    }
    return NULL;
}

static void senders_in_threads_and_several_pullers_share_without_loss(void **state)
{
    (void)state;
    enum { SENDERS = 4, EACH = 500, PULLERS = 3 };
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    struct fp_bus_pull *pulls[PULLERS];
    struct sender senders[SENDERS];
    static char seen[SENDERS * EACH];
    int got[PULLERS] = {0};
    for (int i = 0; i < PULLERS; i++)
        pulls[i] = open_pull("127.0.0.1", bus_push_port(push));
    AWAIT(bus_push_peers(push) == PULLERS);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.push = push, .first = i * EACH, .n = EACH};
        pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]);
    }
    int left = SENDERS * EACH;
    for (int idle = 0; left > 0 && idle < 500;) {
        bool any = false;
        for (int i = 0; i < PULLERS; i++) {
            int number = receive_number(pulls[i], 5);
            if (number < 0)
                continue;
            assert_int_equal(seen[number]++, 0); /* none twice */
            got[i]++;
            left--;
            any = true;
        }
        idle = any ? 0 : idle + 1;
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        assert_int_equal(senders[i].failed, 0);
    }
    assert_int_equal(left, 0);
    for (int i = 0; i < PULLERS; i++) {
        assert_true(got[i] > EACH / 4);
        bus_pull_shut(pulls[i]);
    }
    bus_push_shut(push, 100);
}

static void a_killed_puller_disappears_and_the_other_goes_on(void **state)
{
    (void)state;
    struct fp_err err;
    char url[64], line[64];
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", bus_push_port(push));
    struct child child = start_child("pull", url);
    AWAIT(bus_push_peers(push) == 1);
    assert_int_equal(bus_push_send(push, "to both", 8, 1000, &err), 0);
    assert_non_null(fgets(line, sizeof line, child.out));
    assert_string_equal(line, "to both\n");
    kill_child(&child);
    AWAIT(bus_push_peers(push) == 0);
    assert_int_equal(bus_push_send(push, "nobody", 7, 50, &err), -1);
    struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
    AWAIT(bus_push_peers(push) == 1);
    int number = 77;
    assert_int_equal(bus_push_send(push, &number, sizeof number, 1000, &err), 0);
    assert_int_equal(receive_number(pull, 5000), 77);
    bus_pull_shut(pull);
    bus_push_shut(push, 100);
}

static void a_puller_finds_the_pusher_again_after_its_restart(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_msg *m;
    char url[64];
    int port = free_port();
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    struct fp_bus_pull *pull = open_pull("127.0.0.1", port); /* before anybody listens */
    for (int round = 0; round < 3; round++) {
        struct child child = start_child("push", url);
        assert_int_equal(bus_pull_recv(pull, 10000, &m, &err), 0);
        bus_msg_free(m);
        kill_child(&child);
        AWAIT(bus_pull_peers(pull) == 0);
        while (bus_pull_recv(pull, 50, &m, &err) == 0)
            bus_msg_free(m);
    }
    bus_pull_shut(pull);
}

static void every_address_of_the_list_is_dialed(void **state)
{
    (void)state;
    struct fp_err err;
    char url[160], first[64], second[64];
    struct fp_bus_push *a = open_push("tcp://127.0.0.1:0");
    snprintf(first, sizeof first, "tcp://127.0.0.1:%d", bus_push_port(a));
    snprintf(second, sizeof second, "tcp://127.0.0.2:%d", bus_push_port(a));
    struct fp_bus_push *b = open_push(second);
    snprintf(url, sizeof url, "%s,%s,%s", first, second, first); /* one of them twice: dialed once */
    struct fp_bus_pull *pull = bus_pull_open("test", url, &no_tls, 50, &err);
    assert_non_null(pull);
    AWAIT(bus_push_peers(a) == 1 && bus_push_peers(b) == 1);
    clock_sleep_us(300000); /* several passes of the resolver add nothing */
    assert_int_equal(bus_pull_peers(pull), 2);
    int one = 1, two = 2;
    assert_int_equal(bus_push_send(a, &one, sizeof one, 1000, &err), 0);
    assert_int_equal(bus_push_send(b, &two, sizeof two, 1000, &err), 0);
    assert_int_equal(receive_number(pull, 5000) + receive_number(pull, 5000), 3);
    bus_pull_shut(pull);
    AWAIT(bus_push_peers(a) == 0 && bus_push_peers(b) == 0);
    bus_push_shut(a, 100);
    bus_push_shut(b, 100);
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
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    static const unsigned char wrong_protocol[] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    static const unsigned char huge[] = {0,    'S',  'P',  0,    0,    0x51, 0,    0,
                                         0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
    AWAIT(bus_push_peers(push) == 1);
    for (int i = 0; i < 20; i++) {
        connect_and_send(bus_push_port(push), http, sizeof http - 1, i & 1);
        connect_and_send(bus_push_port(push), wrong_protocol, sizeof wrong_protocol, i & 1);
        connect_and_send(bus_push_port(push), huge, sizeof huge, i & 1);
        connect_and_send(bus_push_port(push), "\0SP", 3, i & 1);
        connect_and_send(bus_push_port(push), "", 0, i & 1);
    }
    for (int i = 1; i <= 20; i++) {
        /* One may go to a liar that has just said it is a PULL: that is a lost message. */
        (void)!bus_push_send(push, &i, sizeof i, 1000, &err);
    }
    int last = 0;
    for (int n; (n = receive_number(pull, 1000)) > 0 && last < 20;)
        last = n;
    assert_int_equal(last, 20);
    AWAIT(bus_push_peers(push) == 1);
    bus_pull_shut(pull);
    bus_push_shut(push, 100);
}

static void what_cannot_be_opened_is_said(void **state)
{
    (void)state;
    struct fp_err err;
    char url[64];
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", bus_push_port(push));
    assert_null(bus_push_open("test", url, &no_tls, &err));
    assert_non_null(strstr(err.msg, url));
    assert_null(bus_push_open("test", "ipc:///tmp/x", &no_tls, &err));
    assert_null(bus_pull_open("test", "tcp://x", &no_tls, 1000, &err));
    struct bus_tls half = {"/no/such/ca.pem", "", ""};
    assert_null(bus_push_open("test", "tls+tcp://127.0.0.1:0", &half, &err));
    assert_non_null(strstr(err.msg, "1 of 3"));
    struct bus_tls missing = {"/no/such/ca.pem", "/no/such/c.pem", "/no/such/k.pem"};
    assert_null(bus_push_open("test", "tls+tcp://127.0.0.1:0", &missing, &err));
    assert_non_null(strstr(err.msg, "/no/such/ca.pem"));
    assert_null(bus_push_open("test", "tcp://127.0.0.1:0", &missing, &err));
    assert_non_null(strstr(err.msg, "write tls+tcp://"));
    assert_null(bus_push_open("test", "tls+tcp://127.0.0.1:0", &no_tls, &err));
    bus_push_shut(push, 0);
}

static void a_name_that_does_not_resolve_is_waited_for(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_msg *m;
    struct fp_bus_pull *pull = bus_pull_open("test", "tcp://no-such-name.invalid:7000", &no_tls, 50, &err);
    assert_non_null(pull);
    assert_int_equal(bus_pull_recv(pull, 200, &m, &err), 1);
    assert_int_equal(bus_pull_peers(pull), 0);
    bus_pull_shut(pull);
}

static void *shut_soon(void *arg)
{
    clock_sleep_us(100000);
    bus_pull_shut(arg);
    return NULL;
}

static void shutting_wakes_who_waits_and_can_be_repeated(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_msg *m;
    pthread_t thread;
    struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
    struct sender sender = {.push = push, .n = 1};
    struct fp_bus_pull *pull = open_pull("127.0.0.1", free_port());
    pthread_create(&thread, NULL, shut_soon, pull);
    int64_t before_us = clock_mono_us();
    assert_int_equal(bus_pull_recv(pull, 20000, &m, &err), -1);
    pthread_join(thread, NULL);
    pthread_create(&sender.thread, NULL, send_numbers, &sender); /* nobody takes it: waits for 5 s */
    clock_sleep_us(100000);
    bus_push_shut(push, 50);
    pthread_join(sender.thread, NULL);
    assert_int_equal(sender.failed, 1);
    assert_true(clock_mono_us() - before_us < 3 * FP_US_PER_S);
    assert_int_equal(bus_pull_recv(pull, 20000, &m, &err), -1);
    assert_int_equal(bus_push_send(push, "x", 1, 5000, &err), -1);
    bus_pull_shut(pull);
    bus_push_shut(push, 50);
    bus_pull_shut(NULL);
    bus_push_shut(NULL, 0);
}

/* --- TLS ------------------------------------------------------------------------------------- */

static char tls_dir[] = "/tmp/fp-bus-tls-XXXXXX";

static int make_certificates(void **state)
{
    (void)state;
    char command[2048];
    assert_non_null(mkdtemp(tls_dir));
    snprintf(
        command, sizeof command,
        "cd %s && exec 2>openssl.log && ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-nodes -subj /CN=$1 -keyout $1.key -out $1.pem -days 2; } && ca ca && ca other && "
        "leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
        "-keyout $1.key -out $1.csr && printf subjectAltName=DNS:localhost > ext && "
        "openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 2 -extfile ext -out "
        "$1.pem; } "
        "&& leaf good ca && leaf bad other",
        tls_dir);
    return system(command);
}

static int remove_certificates(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", tls_dir);
    return system(command);
}

static void with_keys_only_who_has_a_certificate_gets_work(void **state)
{
    (void)state;
    struct fp_err err;
    char ca[80], good_cert[80], good_key[80], bad_cert[80], bad_key[80], url[64];
    snprintf(ca, sizeof ca, "%s/ca.pem", tls_dir);
    snprintf(good_cert, sizeof good_cert, "%s/good.pem", tls_dir);
    snprintf(good_key, sizeof good_key, "%s/good.key", tls_dir);
    snprintf(bad_cert, sizeof bad_cert, "%s/bad.pem", tls_dir);
    snprintf(bad_key, sizeof bad_key, "%s/bad.key", tls_dir);
    struct bus_tls good = {ca, good_cert, good_key}, bad = {ca, bad_cert, bad_key};
    struct fp_bus_push *push = bus_push_open("test", "tls+tcp://127.0.0.1:0", &good, &err);
    if (push == NULL)
        fail_msg("%s", err.msg);
    snprintf(url, sizeof url, "tls+tcp://localhost:%d", bus_push_port(push));
    struct fp_bus_pull *stranger = bus_pull_open("test", url, &bad, 200, &err);
    assert_non_null(stranger);
    struct fp_bus_pull *plain = open_pull("127.0.0.1", bus_push_port(push));
    struct fp_bus_pull *friend = bus_pull_open("test", url, &good, 200, &err);
    assert_non_null(friend);
    AWAIT(bus_pull_peers(friend) == 1);
    for (int i = 1; i <= 20; i++) {
        assert_int_equal(bus_push_send(push, &i, sizeof i, 2000, &err), 0);
        assert_int_equal(receive_number(friend, 5000), i);
    }
    assert_int_equal(bus_pull_peers(stranger), 0);
    assert_int_equal(bus_pull_peers(plain), 0);
    bus_pull_shut(stranger);
    bus_pull_shut(plain);
    bus_pull_shut(friend);
    bus_push_shut(push, 100);
}

/* --- dead peers ------------------------------------------------------------------------- */

/* Connections of this process on which the kernel probes an idle peer after 10 s. */
static int probed(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) {
        int idle = 0;
        socklen_t len = sizeof idle;
        n += getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len) == 0 && idle == 10;
    }
    return n;
}

static void both_ends_of_a_connection_probe_a_silent_peer(void **state)
{
    (void)state;
    struct fp_err err;
    struct fp_bus_push *push = bus_push_open("test", "tcp://127.0.0.1:0", &no_tls, &err);
    assert_non_null(push);
    int before = probed();
    struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
    AWAIT(probed() >= before + 2);
    bus_pull_shut(pull);
    AWAIT(bus_push_peers(push) == 0);
    bus_push_shut(push, 100);
}

static void dead_is_who_acknowledges_nothing_and_not_who_does_not_read(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct tcp_info info;
        bool dead;
    } table[] = {
        {"works", {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 10}, false},
        {"idle since an hour", {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 3600000}, false},
        {"one retransmission",
         {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 900, .tcpi_retransmits = 2},
         false},
        {"sends into nothing",
         {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 20000, .tcpi_retransmits = 7},
         true},
        {"alive with a full window",
         {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 90000, .tcpi_probes = 1},
         false},
        {"died with a full window",
         {.tcpi_state = TCP_ESTABLISHED, .tcpi_last_ack_recv = 90000, .tcpi_probes = 2},
         true},
        {"closes already",
         {.tcpi_state = TCP_FIN_WAIT1, .tcpi_last_ack_recv = 90000, .tcpi_retransmits = 9},
         false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (watch_is_dead(&table[i].info) != table[i].dead)
            fail_msg("%s", table[i].what);
}

/* --- leaving ---------------------------------------------------------------------------- */

#define MANY 300

static int await_rest(struct fp_bus_pull *pull)
{
    struct fp_bus_msg *msg;
    int64_t until_us = clock_mono_us() + INT64_C(10000000);
    int n = 0;
    while (bus_pull_rest(pull, until_us, &msg)) {
        bus_msg_free(msg);
        n++;
    }
    return n;
}

static void who_leaves_gets_what_was_on_its_way_and_no_more(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        4, 40000}; /* a few pages in all; more than the kernel's buffers take at once */
    for (size_t k = 0; k < 2; k++) {
        struct fp_err err;
        char *data = calloc(1, sizes[k]);
        struct fp_bus_push *push = open_push("tcp://127.0.0.1:0");
        struct fp_bus_pull *pull = open_pull("127.0.0.1", bus_push_port(push));
        AWAIT(bus_push_peers(push) == 1);
        int sent = 0;
        while (sent < MANY && bus_push_send(push, data, sizes[k], 200, &err) == 0)
            sent++; /* nobody reads: they lie in the kernel's buffers */
        assert_true(sent > 20);
        bus_pull_leave(pull);
        int got = await_rest(pull);
        if (got < sent - 1) /* one may be cut off half-way, where the buffers were full */
            fail_msg("%d of %d messages of %zu bytes", got, sent, sizes[k]);
        if (sent == MANY)
            assert_int_equal(got, sent);
        AWAIT(bus_push_peers(push) == 0);
        clock_sleep_us(300000); /* longer than a dialer waits before it tries again */
        assert_int_equal(bus_push_peers(push), 0);
        assert_int_equal(bus_push_send(push, data, sizes[k], 50, &err), -1);
        bus_pull_shut(pull);
        bus_push_shut(push, 100);
        free(data);
    }
}

static void leaving_without_a_peer_is_over_at_once(void **state)
{
    (void)state;
    struct fp_bus_msg *msg;
    struct fp_bus_pull *pull = open_pull("127.0.0.1", free_port());
    bus_pull_leave(pull);
    int64_t begin_us = clock_mono_us();
    assert_false(bus_pull_rest(pull, begin_us + 5 * FP_US_PER_S, &msg));
    assert_true(clock_mono_us() - begin_us < FP_US_PER_S);
    bus_pull_shut(pull);
}

/* There only in a sanitized build: _exit() would skip its check for leaks. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

int main(int argc, char **argv)
{
    log_init("bus_test", false, LOG_ERROR_LEVEL);
    if (argc == 3 && strcmp(argv[1], "pull") == 0)
        return pull_role(argv[2]);
    if (argc == 3 && strcmp(argv[1], "push") == 0)
        return push_role(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_whole),
        cmocka_unit_test(a_push_without_peers_times_out_and_sends_nothing_later),
        cmocka_unit_test(senders_in_threads_and_several_pullers_share_without_loss),
        cmocka_unit_test(a_killed_puller_disappears_and_the_other_goes_on),
        cmocka_unit_test(a_puller_finds_the_pusher_again_after_its_restart),
        cmocka_unit_test(every_address_of_the_list_is_dialed),
        cmocka_unit_test(garbage_on_the_port_harms_nobody),
        cmocka_unit_test(what_cannot_be_opened_is_said),
        cmocka_unit_test(a_name_that_does_not_resolve_is_waited_for),
        cmocka_unit_test(shutting_wakes_who_waits_and_can_be_repeated),
        cmocka_unit_test(both_ends_of_a_connection_probe_a_silent_peer),
        cmocka_unit_test(dead_is_who_acknowledges_nothing_and_not_who_does_not_read),
        cmocka_unit_test(who_leaves_gets_what_was_on_its_way_and_no_more),
        cmocka_unit_test(leaving_without_a_peer_is_over_at_once),
        cmocka_unit_test_setup_teardown(with_keys_only_who_has_a_certificate_gets_work, make_certificates,
                                        remove_certificates),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(stdout);
    fflush(stderr);
    if (&__lsan_do_recoverable_leak_check != NULL && __lsan_do_recoverable_leak_check() != 0)
        failed++;
    _exit(failed == 0 ? 0 : 1);
}
