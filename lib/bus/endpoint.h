/*
 * What PUSH, PULL and the RPC's sockets have in common: for lib/bus and
 * lib/rpc, nobody else sees NNG.
 */
#ifndef FP_BUS_ENDPOINT_H
#define FP_BUS_ENDPOINT_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>

#include "lib/base/err.h"
#include "lib/bus/bus.h"
#include "lib/bus/url.h"

/* Sets NNG's thread limits where it has them. Before any other call of NNG; repeatable. */
void endpoint_init(void);

/* Fills *err from an NNG error: "text: NNG's words". Returns -1. */
int endpoint_err(struct fp_err *err, int rv, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* For calls that fail only when memory or threads are gone: fatal. */
void endpoint_must(int rv, const char *what);

/* NULL in *out when url and tls agree on plain TCP. */
int endpoint_tls(const struct bus_url *u, const struct bus_tls *tls, bool server, nng_tls_config **out,
                 struct fp_err *err) FP_MUST_CHECK;

/* tls where the first of the URLs asks for it, else NULL: for doors at which
 * plain TCP stays possible beside a bus with certificates. */
const struct bus_tls *endpoint_tls_of(const char *urls, const struct bus_tls *tls);

/* Listens with keepalive (and TLS); *port is the bound one. */
int endpoint_listen(nng_socket s, const char *url, const struct bus_tls *tls, nng_listener *listener,
                    int *port, struct fp_err *err) FP_MUST_CHECK;

/* Whose a connection is: an address, of IPv6 the network (/64) that one customer has. */
struct endpoint_host {
    int family; /* 0: not known */
    unsigned char address[16];
};
void endpoint_host_of(nng_pipe pipe, struct endpoint_host *out);

/* The connections of a socket that are up. NNG tells of the end of a pipe
 * also when it was refused in the handshake (before ADD_POST), and the end can
 * overtake ADD_POST; so each is followed from ADD_PRE on. */
struct endpoint_pipes {
    struct endpoint_pipe {
        int id;
        bool up;
    } * pipes;
    size_t n;
};
/* What the event changes in the number of connections: 1, 0 or -1. Under a lock of the caller's. */
int endpoint_pipe_event(struct endpoint_pipes *p, nng_pipe pipe, nng_pipe_ev event);
/* Has cb called for all events of the socket's pipes; arg must live for ever. */
void endpoint_notify(nng_socket s, nng_pipe_cb cb, void *arg);

/* A thread with all signals blocked: they belong to the skeleton's thread. */
void endpoint_thread(pthread_t *thread, void *(*run)(void *), void *arg);

/* Keeps what NNG may call back into until the process ends: reachable for
 * ever, so that a late callback finds it and a leak checker too. */
void endpoint_keep(void *p);

#endif
