/*
 * The pipelines between services: the only code that knows NNG's PUSH/PULL.
 *
 * Upstream listens and pushes, downstream dials and pulls; a new worker dials
 * in and gets work, a dying one just disappears. A message accepted by a send
 * is a hint on its way and no more: PostgreSQL has the truth, and what is lost
 * is made again. Flow control is the ledger's window, not the socket.
 *
 * The puller resolves its peer's name itself (every A and AAAA record), keeps
 * one dialer for each address, and resolves again every few seconds.
 * Only tcp:// and tls+tcp://. Sockets are not closed at run time: NNG 1.5 can
 * hang in it; bus_*_shut() stops the flow, and the process ends by _exit().
 */
#ifndef FP_BUS_BUS_H
#define FP_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"

#define BUS_MAX_MESSAGE_BYTES (256 * 1024)
#define BUS_RECV_MAX_BYTES    (1024 * 1024)

struct fp_bus_push;
struct fp_bus_pull;
struct fp_bus_msg;

struct bus_tls {
    const char *ca_file, *cert_file, *key_file; /* all "" : plain tcp */
};

/* Listens on tcp://host:port; a port of 0 picks a free one. pipe: the name in
 * metrics and logs, "work", "users", "summaries". */
struct fp_bus_push *bus_push_open(const char *pipe, const char *listen_url, const struct bus_tls *tls,
                                  struct fp_err *err) FP_MUST_CHECK;
int bus_push_port(const struct fp_bus_push *p);
/* Hands one message to any peer. Waits at most timeout_ms for one that can
 * take it: UNAVAILABLE after that. Thread-safe. Messages above
 * BUS_MAX_MESSAGE_BYTES are refused with RESOURCE_EXHAUSTED. */
int bus_push_send(struct fp_bus_push *p, const void *data, size_t bytes, int timeout_ms,
                  struct fp_err *err) FP_MUST_CHECK;
int bus_push_peers(const struct fp_bus_push *p); /* connected now */

/* peers: "tcp://name:port[,tcp://name:port...]". */
struct fp_bus_pull *bus_pull_open(const char *pipe, const char *peers, const struct bus_tls *tls,
                                  int resolve_every_ms, struct fp_err *err) FP_MUST_CHECK;
/* The next message into *data (freed by bus_msg_free()). Returns 0; 1 when
 * none came within timeout_ms; -1 when shut. One thread at a time. */
int bus_pull_recv(struct fp_bus_pull *p, int timeout_ms, struct fp_bus_msg **msg,
                  struct fp_err *err) FP_MUST_CHECK;
const void *bus_msg_data(const struct fp_bus_msg *m, size_t *bytes);
void bus_msg_free(struct fp_bus_msg *m);
int bus_pull_peers(const struct fp_bus_pull *p); /* connected now */
/* For a process that ends: asks the pushers to send nothing more and to end
 * their connections. What was on its way is then given by bus_pull_rest():
 * true with a message; false when there will be none, or until_us (of
 * clock_mono_us()) has passed. What it misses comes again by redo. */
void bus_pull_leave(struct fp_bus_pull *p);
bool bus_pull_rest(struct fp_bus_pull *p, int64_t until_us, struct fp_bus_msg **msg) FP_MUST_CHECK;

/* Stops sending and receiving; a send under way is waited for, at most
 * timeout_ms, and then cancelled. The puller disconnects. The handle stays
 * valid, and fails, for the rest of the process: NNG calls back into it. */
void bus_push_shut(struct fp_bus_push *p, int timeout_ms);
void bus_pull_shut(struct fp_bus_pull *p);

/* Checks a URL list without opening anything: names the wrong part. */
int bus_check_urls(const char *urls, bool listen, struct fp_err *err) FP_MUST_CHECK;
/* All three files are named, or none. */
int bus_check_tls(const struct bus_tls *tls, struct fp_err *err) FP_MUST_CHECK;

#endif
