/*
 * For tests: peers of a listening NNG socket, by hand. They finish the
 * handshake, announce a message and send all of it but the last byte.
 */
#ifndef FP_BUS_PEERS_TESTING_H
#define FP_BUS_PEERS_TESTING_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SP_PULL = 0x51, SP_REQ = 0x30 };

/* From 127.0.0.`from`, after the handshake; -1 when it was cut off meanwhile. */
static inline int peer_connect(int port, int from, int protocol)
{
    unsigned char hello[8] = {0, 'S', 'P', 0, 0, (unsigned char)protocol};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000U + (unsigned)from)};
    struct timeval patience = {.tv_sec = 2};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) == 0 &&
        connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        send(fd, hello, sizeof hello, MSG_NOSIGNAL) == sizeof hello)
        return fd;
    close(fd);
    return -1;
}

/* As much of it as the other side takes. */
static inline void peer_announce(int fd, size_t bytes)
{
    char *all = calloc(1, 8 + bytes);
    for (int i = 0; i < 8; i++)
        all[i] = (char)(bytes >> (56 - 8 * i));
    ssize_t n = 1;
    for (size_t at = 0; at < 8 + bytes - 1 && n > 0; at += (size_t)n)
        n = send(fd, all + at, 8 + bytes - 1 - at, MSG_NOSIGNAL);
    free(all);
}

static inline bool peer_is_cut_off(int fd)
{
    char waste[256];
    ssize_t n;
    while ((n = recv(fd, waste, sizeof waste, MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Of this process, in kB. */
static inline long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
        abort();
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#endif
