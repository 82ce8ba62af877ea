/*
 * What the files of the gRPC door share. All of it belongs to the loop's
 * thread, but for the atomics. Life: server > conn > call; a call's work may
 * outlive it in the pool, and a watch lives as long as it has calls or work.
 */
#ifndef FP_GRPC_INTERNAL_H
#define FP_GRPC_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "lib/base/clock.h"
#include "lib/grpc/grpc.h"
#include "lib/grpc/pool.h"
#include "lib/grpc/tls.h"

#define GRPC_MAX_LISTENERS    4
#define GRPC_MAX_HEADER_BYTES 16384              /* of one call; a token and a trace need a tenth */
#define GRPC_MAX_BUFFERED     (16 * 1024 * 1024) /* requests and replies of all calls together */
#define GRPC_MAX_CALLS        20000              /* on all connections: some 1.5 kB each */
#define GRPC_CALM             10000              /* a burst of 1,000 resets or 100 pings: see session.c */
#define GRPC_NEVER            INT64_MAX
#define GRPC_GOES_AWAY        "the server goes away: call again"

struct grpc_conn {
    TAILQ_ENTRY(grpc_conn) link;
    struct fp_grpc_server *server;
    int fd;
    SSL *ssl; /* NULL: plain */
    nghttp2_session *session;
    char peer[64], subject[256];
    struct fp_str out; /* what the socket did not take */
    size_t out_at, n_calls;
    uint32_t events; /* of epoll, now */
    bool handshaking, greeted, dirty, last_words, lingering, closing;
    bool trusted;     /* a call of it was let in: the last to make room */
    const char *dead; /* why it is to be freed; a literal, for metrics */
    int64_t born_us, heard_us, wrote_us, busy_us, ping_us, going_us, linger_us, calm_us;
    double calm; /* what its nuisance may still cost: see grpc_conn_nuisance() */
    bool sent_since_ping;
    TAILQ_HEAD(, grpc_call) calls;
};
TAILQ_HEAD(grpc_conns, grpc_conn);

struct grpc_builtin { /* a method of the door's own */
    const char *path, *label;
    bool open;    /* no token asked for */
    bool streams; /* many requests */
    void (*message)(struct grpc_call *c, const void *data, size_t bytes);
};

struct grpc_call {
    TAILQ_ENTRY(grpc_call) link;  /* of its connection */
    TAILQ_ENTRY(grpc_call) wlink; /* of its work, its watch, or of the health watchers */
    struct grpc_conn *conn;
    int32_t stream_id;
    const struct rpc_method *method;
    const struct grpc_builtin *builtin;
    char path[128], content_type[48], encoding[24], request_id[129], traceparent[64];
    char *token, *identity;
    size_t header_bytes;
    int64_t since_us, deadline_us, timeout_ms; /* timeout -1: none given */
    bool post, bad_timeout, half_closed, has_message;
    unsigned char prefix[5];
    size_t prefix_bytes, message_bytes, held; /* held: of its bytes in GRPC_MAX_BUFFERED */
    struct fp_str body, out;
    size_t out_at;
    bool answered, headers_sent, ended, deferred, counted, health_watch;
    enum fp_code code;
    char *message;
    struct grpc_work *work;
    struct grpc_watch *watch;
    uint64_t seen; /* version of the watch that went out */
};
struct grpc_watch { /* all calls that watch the same */
    TAILQ_ENTRY(grpc_watch) link;
    const struct rpc_method *method;
    struct fp_str request, reply;
    uint64_t version;
    bool ended;
    struct grpc_work *work; /* in the pool */
    int64_t next_us;
    struct grpc_calls calls;
};

struct fp_grpc_server {
    struct grpc_options o;
    struct rpc_dispatch dispatch;
    struct grpc_tls *tls;
    int n_listeners, listeners[GRPC_MAX_LISTENERS], ports[GRPC_MAX_LISTENERS];
    bool tls_at[GRPC_MAX_LISTENERS], listening;
    int epoll, wake;
    pthread_t thread;
    bool thread_runs, was_drained;
    atomic_bool draining, stopping;
    atomic_int n_conns;
    struct grpc_pool *pool;
    struct grpc_conns conns, graves;
    TAILQ_HEAD(, grpc_watch) watches;
    struct grpc_calls health;
    struct grpc_work *flights[RPC_SHARED_SLOTS]; /* in the pool, for all who ask the same meanwhile */
    size_t buffered, n_calls, n_watches;
    int64_t next_us, accept_us;
};

/* loop.c */
void grpc_timer(struct fp_grpc_server *s, int64_t at_us); /* look again by then */
/* conn.c */
void grpc_conn_open(struct fp_grpc_server *s, int fd, bool tls, const char *peer);
void grpc_conn_event(struct grpc_conn *c, uint32_t events);
void grpc_conn_flush(struct grpc_conn *c);
void grpc_conn_drain(struct grpc_conn *c);
int64_t grpc_conn_check(struct grpc_conn *c, int64_t now_us); /* its limits; when to look again */
void grpc_conn_free(struct grpc_conn *c);
/* session.c */
nghttp2_session *grpc_session_new(struct grpc_conn *c);
void grpc_conn_nuisance(struct grpc_conn *c, double cost, const char *what);
void grpc_conn_goodbye(struct grpc_conn *c, uint32_t code, const char *what);
/* call.c */
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream_id);
void grpc_call_begin(struct grpc_call *c); /* all headers are there */
void grpc_call_data(struct grpc_call *c, const uint8_t *data, size_t bytes);
void grpc_call_stays(struct grpc_call *c); /* a stream: its deadline is the client's alone */
void grpc_call_half_closed(struct grpc_call *c);
bool grpc_call_may_stay(struct grpc_call *c);                        /* is still let in; ended, when not */
void grpc_calls_done(struct fp_grpc_server *s, struct grpc_work *w); /* all that wait for it */
void grpc_call_end(struct grpc_call *c, enum fp_code code, const char *message);
void grpc_call_send(struct grpc_call *c, const void *data, size_t bytes);
void grpc_call_wake(struct grpc_call *c); /* there is something to send */
void grpc_call_free(struct grpc_call *c);
/* watch.c */
void grpc_watch_join(struct grpc_call *c, const struct grpc_work *first);
void grpc_watch_leave(struct grpc_call *c);
void grpc_watch_done(struct fp_grpc_server *s, struct grpc_work *w);
void grpc_watches_turn(struct fp_grpc_server *s, int64_t now_us);
void grpc_watches_free(struct fp_grpc_server *s);
/* health.c, reflection.c */
const struct grpc_builtin *grpc_builtin(const char *path);
void grpc_health_drain(struct fp_grpc_server *s);
void grpc_health_message(struct grpc_call *c, const void *data, size_t bytes, bool watch);
void grpc_reflection_message(struct grpc_call *c, const void *data, size_t bytes);

#endif
