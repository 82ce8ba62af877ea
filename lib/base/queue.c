/*
 * The bounded queue: a ring under one lock.
 *
 * One sleeper at a time is woken: who comes and leaves items behind wakes the
 * next. So a pusher makes one system call for many items, and threads that are
 * fast enough alone leave the others asleep. Signals go out after the lock, so
 * that who wakes does not run into it.
 *
 * Waits count on CLOCK_MONOTONIC, so that a set clock neither ends nor extends
 * them. Closing is a state, not an item: what is in the ring can still be
 * popped, and every waiter wakes to see it.
 */
#include "lib/base/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

struct fp_queue {
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    pthread_cond_t has_item;
    size_t max_items;
    size_t first;
    size_t len;
    size_t sleepers; /* in queue_pop() */
    bool waking;     /* one of them is on its way; cleared by whoever comes out of its sleep */
    bool closed;
    void *items[];
};

struct fp_queue *queue_new(size_t max_items)
{
    struct fp_queue *q;
    pthread_condattr_t attr;

    if (max_items == 0)
        fp_panic("queue_new(0)");
    if (max_items > (SIZE_MAX - sizeof *q) / sizeof q->items[0])
        fp_panic("queue_new(%zu)", max_items);
    q = mem_alloc(sizeof *q + max_items * sizeof q->items[0]);
    q->max_items = max_items;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->has_room, &attr);
    pthread_cond_init(&q->has_item, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

void queue_free(struct fp_queue *q)
{
    if (!q)
        return;
    if (q->len)
        fp_panic("queue_free: %zu items left", q->len);
    pthread_cond_destroy(&q->has_item);
    pthread_cond_destroy(&q->has_room);
    pthread_mutex_destroy(&q->lock);
    mem_free(q);
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

/* False when the time is over. */
static bool wait_on(struct fp_queue *q, pthread_cond_t *cond, int timeout_ms, const struct timespec *until)
{
    if (timeout_ms == 0)
        return false;
    if (timeout_ms < 0) {
        pthread_cond_wait(cond, &q->lock);
        return true;
    }
    return pthread_cond_timedwait(cond, &q->lock, until) != ETIMEDOUT;
}

/* With the lock held. True: has_item is to be signalled, once the lock is free. */
static bool wake_one(struct fp_queue *q)
{
    if (q->len == 0 || q->sleepers == 0 || q->waking)
        return false;
    q->waking = true;
    return true;
}

bool queue_push(struct fp_queue *q, void *item, int timeout_ms)
{
    struct timespec until = timeout_ms > 0 ? deadline_in(timeout_ms) : (struct timespec){0};

    if (!item)
        fp_panic("queue_push(NULL)"); /* queue_pop() could not be told from a time-out */
    pthread_mutex_lock(&q->lock);
    bool waiting = true;
    while (!q->closed && q->len == q->max_items && waiting)
        waiting = wait_on(q, &q->has_room, timeout_ms, &until);
    bool ok = !q->closed && q->len < q->max_items;
    if (ok) {
        q->items[(q->first + q->len) % q->max_items] = item;
        q->len++;
    }
    bool wake = wake_one(q);
    pthread_mutex_unlock(&q->lock);
    if (wake)
        pthread_cond_signal(&q->has_item);
    return ok;
}

void *queue_pop(struct fp_queue *q, int timeout_ms)
{
    struct timespec until = timeout_ms > 0 ? deadline_in(timeout_ms) : (struct timespec){0};
    void *item = NULL;

    pthread_mutex_lock(&q->lock);
    bool waiting = true;
    while (!q->closed && q->len == 0 && waiting) {
        q->sleepers++;
        waiting = wait_on(q, &q->has_item, timeout_ms, &until);
        q->sleepers--;
        q->waking = false;
    }
    if (q->len > 0) {
        item = q->items[q->first];
        q->first = (q->first + 1) % q->max_items;
        q->len--;
    }
    bool wake = wake_one(q);
    pthread_mutex_unlock(&q->lock);
    if (item)
        pthread_cond_signal(&q->has_room);
    if (wake)
        pthread_cond_signal(&q->has_item);
    return item;
}

void queue_close(struct fp_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->has_item);
    pthread_cond_broadcast(&q->has_room);
    pthread_mutex_unlock(&q->lock);
}

bool queue_is_closed(struct fp_queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

size_t queue_len(struct fp_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t len = q->len;
    pthread_mutex_unlock(&q->lock);
    return len;
}
