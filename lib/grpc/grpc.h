/*
 * gRPC's door to the table of methods of lib/rpc: HTTP/2 by nghttp2, TLS by
 * OpenSSL, so that any gRPC client calls with nothing of ours but the .proto.
 *
 * One thread with an event loop has all connections; methods run in a few
 * worker threads and never in the loop. Beside the table: grpc.health.v1 and
 * server reflection v1 and v1alpha. What a peer sends can cost it its call or
 * its connection, and nothing else: every buffer, count and wait has a limit.
 */
#ifndef FP_GRPC_GRPC_H
#define FP_GRPC_GRPC_H

#include "lib/rpc/rpc.h"

struct grpc_options {
    const char
        *listen; /* "tcp://127.0.0.1:7710[,tls+tcp://0.0.0.0:7711...]", at most 4; port 0: a free one */
    const char *service;                     /* "foliopost.v1.JobService" */
    const char *token_file;                  /* "": none */
    const struct rpc_identities *identities; /* NULL: none; lib/rpc/identity.h */
    struct rpc_shared *shared;               /* replies; NULL: none are shared; lib/rpc/shared.h */
    const char *cert_file, *key_file;        /* for tls+tcp; PEM; read again when they change */
    const char *client_ca_file;              /* "": no certificates of clients are asked for */
    bool client_cert_optional;               /* asked for, checked when given */
    int threads;                             /* calls at once: 1 to 64 */
    int first_worker;                        /* rpc_call.worker counts from here */
    int max_deadline_ms;                     /* of one unary call */
    int max_connections;
    int max_streams;                       /* calls at once on one connection */
    int idle_ms, keepalive_ms, max_age_ms; /* of a connection */
    const struct rpc_method *methods;
    size_t n_methods;
    void *ctx; /* rpc_call.ctx */
};

struct fp_grpc_server;

/* Checks what the options say, opening nothing. */
int grpc_check(const struct grpc_options *o, struct fp_err *err) FP_MUST_CHECK;
/* The strings, methods and ctx live as long as the server. */
struct fp_grpc_server *grpc_server_start(const struct grpc_options *o, struct fp_err *err) FP_MUST_CHECK;
int grpc_server_port(const struct fp_grpc_server *s, int listener); /* 0: the first of `listen` */
/* Takes no new connections, says GOAWAY on those there are, ends streams that
 * have no end of their own; calls being worked on are answered. Does not wait. */
void grpc_server_drain(struct fp_grpc_server *s);
bool grpc_server_drained(const struct fp_grpc_server *s);
/* Ends and frees: NULL is fine. */
void grpc_server_stop(struct fp_grpc_server *s);

#endif
