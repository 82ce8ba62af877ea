/*
 * Shows NNG's own defect in a PUSH socket whose peers leave, with nothing of ours.
 *
 *   nng_push [SECONDS]
 *
 * One PUSH socket without a buffer sends; eight peers connect, take up to four
 * messages and leave. A send that completes while its pipe is being closed makes
 * that pipe ready again (push0_send_cb, push0_pipe_ready) after push0_pipe_close
 * has taken it off the list of ready pipes; it is freed, and stays on the list.
 * Prints a line a second; ends with 0 when it lived. docs/architecture.md says
 * which versions die of it and what that costs us.
 */
#include <arpa/inet.h>
#include <nng/nng.h>
#include <nng/protocol/pipeline0/push.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PEERS         8
#define MESSAGE_BYTES 100
#define WAIT_MS       50

static int port;
static atomic_long left;

static void visit(unsigned *dice)
{
    static const char hello[] = {0, 'S', 'P', 0, 0, 0x51, 0, 0}; /* one that pulls */
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval wait = {.tv_usec = 2L * WAIT_MS * 1000};
    char buf[MESSAGE_BYTES * 3];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        send(fd, hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello)
        for (int n = 1 + rand_r(dice) % 4; n > 0; n--)
            if (recv(fd, buf, 1 + (size_t)rand_r(dice) % sizeof buf, 0) <= 0)
                break;
    close(fd);
    atomic_fetch_add(&left, 1);
}

static void *peer(void *arg)
{
    unsigned *dice = arg;

    for (;;)
        visit(dice);
    return NULL;
}

static void must(int rv, const char *what)
{
    if (rv == 0)
        return;
    fprintf(stderr, "nng_push: %s: %s\n", what, nng_strerror(rv));
    exit(2);
}

static long send_for_a_second(nng_socket s)
{
    long sent = 0;
    time_t end = time(NULL) + 1;

    while (time(NULL) < end) {
        nng_msg *m;
        must(nng_msg_alloc(&m, MESSAGE_BYTES), "nng_msg_alloc");
        if (nng_sendmsg(s, m, 0) == 0)
            sent++;
        else
            nng_msg_free(m);
    }
    return sent;
}

int main(int argc, char **argv)
{
    static unsigned dice[PEERS];
    nng_socket s;
    nng_listener listener = NNG_LISTENER_INITIALIZER;
    pthread_t thread;
    long sent = 0;

    must(nng_push0_open(&s), "nng_push0_open");
    must(nng_socket_set_int(s, NNG_OPT_SENDBUF, 0), "send buffer");
    must(nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, WAIT_MS), "send timeout");
    must(nng_listen(s, "tcp://127.0.0.1:0", &listener, 0), "nng_listen");
    must(nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), "port");
    for (unsigned i = 0; i < PEERS; i++) {
        dice[i] = i + 1;
        pthread_create(&thread, NULL, peer, &dice[i]);
    }
    for (int n = argc > 1 ? atoi(argv[1]) : 20; n > 0; n--) {
        sent += send_for_a_second(s);
        printf("NNG %s: %ld messages sent, %ld peers have left\n", nng_version(), sent, atomic_load(&left));
        fflush(stdout);
    }
    _exit(0); /* closing the socket can hang in NNG 1.5 */
}
