/*
 * Ends connections whose peer is dead: a node without power, a pod whose
 * network is gone. TCP alone takes a quarter of an hour for that when something
 * was sent, two hours when nothing was; meanwhile a pusher goes on sending
 * batches to the dead, and each waits for its redo.
 *
 * A peer that is alive and does not read is not dead: it may hold a full
 * receive window for hours, while the provider is down.
 */
#ifndef FP_BUS_WATCH_H
#define FP_BUS_WATCH_H

#include <netinet/tcp.h>
#include <nng/nng.h>
#include <stdbool.h>

/* Both are called from NNG's callbacks; they take a lock of their own and call
 * nothing back. The first starts a thread. */
void watch_add(nng_pipe pipe);
void watch_remove(nng_pipe pipe);
/* Closes the sending half of all connections of this socket, also of those to
 * come: a pusher ends a connection at that, behind its last message. Soon. */
void watch_leave(nng_socket socket);

/* For tests: what the kernel says of a connection, judged. */
bool watch_is_dead(const struct tcp_info *info);

#endif
