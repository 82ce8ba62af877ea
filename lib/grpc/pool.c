/*
 * A bounded queue in, a list out, one lock. A method cannot be stopped while it
 * runs (it is one statement of the ledger, with a time limit of its own); work
 * whose client left is not begun.
 */
#include "lib/grpc/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/bus/endpoint.h"

/* More than the workers get done within any deadline worth waiting for. */
#define MAX_WAITING 1024

struct worker {
    struct grpc_pool *pool;
    int no;
    pthread_t thread;
};

struct grpc_pool {
    const struct rpc_dispatch *dispatch;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct grpc_works waiting, done;
    size_t n_waiting;
    bool stop;
    int wake_fd, n_threads;
    struct worker *workers;
};

struct grpc_work *grpc_work_new(const struct rpc_method *m, int64_t deadline_us)
{
    struct grpc_work *w = mem_alloc(sizeof *w);
    w->method = m;
    w->deadline_us = deadline_us;
    TAILQ_INIT(&w->calls);
    str_init(&w->request, RPC_MAX_PAYLOAD_BYTES + 1);
    str_init(&w->reply, WIRE_MAX_RPC_BYTES);
    return w;
}

void grpc_work_free(struct grpc_work *w)
{
    if (w == NULL)
        return;
    str_fini(&w->request);
    str_fini(&w->reply);
    mem_free(w->subject);
    mem_free(w->identity);
    mem_free(w);
}

static void run(const struct grpc_pool *p, struct grpc_work *w, int no, struct fp_arena *in,
                struct fp_arena *out)
{
    struct rpc_call call = {.request_id = w->request_id,
                            .traceparent = w->traceparent,
                            .peer = w->peer,
                            .subject = w->subject != NULL ? w->subject : "",
                            .identity = w->identity != NULL ? w->identity : "",
                            .deadline_mono_us = w->deadline_us,
                            .worker = no,
                            .arena = out};
    arena_reset(in);
    arena_reset(out);
    if (atomic_load(&w->unwanted) || clock_mono_us() > w->deadline_us) {
        err_set(&w->err, FP_DEADLINE_EXCEEDED, "%s: not begun before its deadline", w->method->name);
        return;
    }
    if (rpc_run(p->dispatch, w->method, &call, w->request.data, w->request.len, in, &w->reply, &w->err) == 0)
        w->err.code = FP_OK; /* whatever a method that succeeded left in it */
    w->again_ms = call.again_ms;
}

static struct grpc_work *next(struct grpc_pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->stop && STAILQ_EMPTY(&p->waiting))
        pthread_cond_wait(&p->more, &p->lock);
    struct grpc_work *w = p->stop ? NULL : STAILQ_FIRST(&p->waiting);
    if (w != NULL) {
        STAILQ_REMOVE_HEAD(&p->waiting, link);
        p->n_waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return w;
}

static void hand_back(struct grpc_pool *p, struct grpc_work *w)
{
    pthread_mutex_lock(&p->lock);
    bool first = STAILQ_EMPTY(&p->done);
    STAILQ_INSERT_TAIL(&p->done, w, link);
    pthread_mutex_unlock(&p->lock);
    if (first)
        (void)!write(p->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct fp_arena *in = arena_new(WIRE_MAX_ARENA_BYTES), *out = arena_new(WIRE_MAX_ARENA_BYTES);
    struct grpc_work *w;
    while ((w = next(me->pool)) != NULL) {
        run(me->pool, w, me->no, in, out);
        hand_back(me->pool, w);
    }
    arena_free(in);
    arena_free(out);
    return NULL;
}

struct grpc_pool *grpc_pool_new(const struct rpc_dispatch *d, int threads, int first_worker, int wake_fd)
{
    struct grpc_pool *p = mem_alloc(sizeof *p);
    p->dispatch = d;
    p->wake_fd = wake_fd;
    p->n_threads = threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    STAILQ_INIT(&p->waiting);
    STAILQ_INIT(&p->done);
    p->workers = mem_array((size_t)threads, sizeof *p->workers);
    for (int i = 0; i < threads; i++) {
        p->workers[i] = (struct worker){.pool = p, .no = first_worker + i};
        endpoint_thread(&p->workers[i].thread, work, &p->workers[i]);
    }
    return p;
}

bool grpc_pool_put(struct grpc_pool *p, struct grpc_work *w)
{
    pthread_mutex_lock(&p->lock);
    bool room = p->n_waiting < MAX_WAITING && !p->stop;
    if (room) {
        STAILQ_INSERT_TAIL(&p->waiting, w, link);
        p->n_waiting++;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

void grpc_pool_take(struct grpc_pool *p, struct grpc_works *out)
{
    pthread_mutex_lock(&p->lock);
    STAILQ_CONCAT(out, &p->done);
    pthread_mutex_unlock(&p->lock);
}

static void free_all(struct grpc_works *list)
{
    struct grpc_work *w;
    while ((w = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        grpc_work_free(w);
    }
}

void grpc_pool_free(struct grpc_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads; i++)
        pthread_join(p->workers[i].thread, NULL);
    free_all(&p->waiting);
    free_all(&p->done);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    mem_free(p->workers);
    mem_free(p);
}
