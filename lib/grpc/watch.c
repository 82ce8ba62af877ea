/*
 * Streams: a method that wants to be asked again is asked once for all calls
 * with the same request, so that a thousand watchers cost as much as one. A
 * call that reads slowly misses what lies between, never the newest, and holds
 * one reply at most.
 */
#include <string.h>

#include "lib/grpc/internal.h"

#define MIN_AGAIN_MS 50
#define MAX_WATCHES  1000 /* different ones: each is a query every second or so */

static struct grpc_watch *find(struct fp_grpc_server *s, const struct grpc_work *w)
{
    struct grpc_watch *x;
    TAILQ_FOREACH (x, &s->watches, link)
        if (!x->ended && x->method == w->method && x->request.len == w->request.len &&
            (x->request.len == 0 || memcmp(x->request.data, w->request.data, w->request.len) == 0))
            return x;
    return NULL;
}

static bool take(struct fp_grpc_server *s, struct grpc_watch *x, const struct grpc_work *w)
{
    const uint8_t prefix[5] = {0, (uint8_t)(w->reply.len >> 24), (uint8_t)(w->reply.len >> 16),
                               (uint8_t)(w->reply.len >> 8), (uint8_t)w->reply.len};
    int again_ms = w->again_ms < MIN_AGAIN_MS ? MIN_AGAIN_MS : w->again_ms;
    bool changed = x->version == 0 || x->reply.len != w->reply.len + 5 ||
                   (w->reply.len > 0 && memcmp(x->reply.data + 5, w->reply.data, w->reply.len) != 0);
    x->ended = w->again_ms <= 0;
    x->next_us = clock_mono_us() + again_ms * INT64_C(1000);
    grpc_timer(s, x->next_us);
    if (changed) {
        str_clear(&x->reply);
        str_add(&x->reply, prefix, sizeof prefix);
        str_add(&x->reply, w->reply.data, w->reply.len);
        x->version++;
    }
    return changed || x->ended;
}

static void free_if_unused(struct fp_grpc_server *s, struct grpc_watch *x)
{
    if (!TAILQ_EMPTY(&x->calls) || x->work != NULL)
        return;
    TAILQ_REMOVE(&s->watches, x, link);
    s->n_watches--;
    str_fini(&x->request);
    str_fini(&x->reply);
    mem_free(x);
}

static struct grpc_watch *begin(struct fp_grpc_server *s, const struct grpc_work *first)
{
    struct grpc_watch *x = mem_alloc(sizeof *x);
    x->method = first->method;
    str_init(&x->request, RPC_MAX_PAYLOAD_BYTES + 1);
    str_init(&x->reply, WIRE_MAX_RPC_BYTES);
    str_add(&x->request, first->request.data, first->request.len);
    TAILQ_INIT(&x->calls);
    TAILQ_INSERT_TAIL(&s->watches, x, link);
    s->n_watches++;
    (void)take(s, x, first);
    return x;
}

void grpc_watch_join(struct grpc_call *c, const struct grpc_work *first)
{
    struct fp_grpc_server *s = c->conn->server;
    struct grpc_watch *x = find(s, first);
    if (s->was_drained) {
        grpc_call_end(c, FP_UNAVAILABLE, GRPC_GOES_AWAY);
        return;
    }
    if (x == NULL && s->n_watches >= MAX_WATCHES) {
        grpc_call_end(c, FP_RESOURCE_EXHAUSTED, "too many different streams: try again later");
        return;
    }
    if (x == NULL)
        x = begin(s, first);
    TAILQ_INSERT_TAIL(&x->calls, c, wlink);
    c->watch = x;
    grpc_call_wake(c);
}

void grpc_watch_leave(struct grpc_call *c)
{
    struct grpc_watch *x = c->watch;
    if (x == NULL)
        return;
    c->watch = NULL;
    TAILQ_REMOVE(&x->calls, c, wlink);
    free_if_unused(c->conn->server, x);
}

void grpc_watch_done(struct fp_grpc_server *s, struct grpc_work *w)
{
    struct grpc_watch *x = w->watch;
    struct grpc_call *c, *after;
    bool well = w->err.code == FP_OK;
    x->work = NULL;
    bool news = well && take(s, x, w);
    x->work = w; /* keeps it while its calls leave */
    for (c = TAILQ_FIRST(&x->calls); c != NULL; c = after) {
        after = TAILQ_NEXT(c, wlink);
        if (!well)
            grpc_call_end(c, w->err.code, w->err.msg);
        else if (grpc_call_may_stay(c) && news) /* who was let in once may have been revoked since */
            grpc_call_wake(c);
    }
    x->work = NULL;
    free_if_unused(s, x);
}

static void ask(struct fp_grpc_server *s, struct grpc_watch *x, int64_t now_us)
{
    struct grpc_work *w = grpc_work_new(x->method, rpc_deadline_us(&s->dispatch, 0));
    str_add(&w->request, x->request.data, x->request.len);
    w->watch = x;
    if (grpc_pool_put(s->pool, w)) {
        x->work = w;
        return;
    }
    grpc_work_free(w);
    x->next_us = now_us + FP_US_PER_S; /* the workers are behind: later */
}

void grpc_watches_turn(struct fp_grpc_server *s, int64_t now_us)
{
    struct grpc_watch *x;
    TAILQ_FOREACH (x, &s->watches, link) {
        if (x->work != NULL || x->ended)
            continue;
        if (x->next_us <= now_us)
            ask(s, x, now_us);
        if (x->work == NULL)
            grpc_timer(s, x->next_us);
    }
}

void grpc_watches_free(struct fp_grpc_server *s)
{
    struct grpc_watch *x, *after;
    for (x = TAILQ_FIRST(&s->watches); x != NULL; x = after) {
        after = TAILQ_NEXT(x, link);
        x->work = NULL;
        free_if_unused(s, x);
    }
}
