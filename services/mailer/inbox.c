/*
 * The desk's inbox: three lists under one lock. It is bounded by what feeds
 * it: at most a claim slot's batch, the mails of claimed batches, no more.
 * Where many come, the desk is signalled after the lock: it would only run into it.
 */
#include "services/mailer/inbox.h"

#include <pthread.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "services/mailer/mail.h"

struct chain {
    struct mail *first, **end;
    size_t n;
};

struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t cond, slot_free;
    int slots, slots_used;
    struct batch *batches, **batches_end;
    struct chain rendered, replied;
    int64_t first_reply_us;
    bool woken;
    bool waiting;
    size_t want_replies, want_rendered; /* while waiting */
};

static void chain_reset(struct chain *c)
{
    c->first = NULL;
    c->end = &c->first;
    c->n = 0;
}

static void chain_add(struct chain *c, struct mail *m)
{
    m->in_next = NULL;
    *c->end = m;
    c->end = &m->in_next;
    c->n++;
}

struct inbox *inbox_new(int slots)
{
    struct inbox *in = mem_alloc(sizeof(*in));
    pthread_condattr_t attr;
    pthread_mutex_init(&in->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&in->cond, &attr);
    pthread_cond_init(&in->slot_free, &attr);
    pthread_condattr_destroy(&attr);
    in->slots = slots;
    in->batches_end = &in->batches;
    chain_reset(&in->rendered);
    chain_reset(&in->replied);
    return in;
}

void inbox_free(struct inbox *in)
{
    if (!in)
        return;
    if (in->batches || in->rendered.n || in->replied.n)
        fp_panic("inbox freed with %zu rendered and %zu replied mails", in->rendered.n, in->replied.n);
    pthread_cond_destroy(&in->slot_free);
    pthread_cond_destroy(&in->cond);
    pthread_mutex_destroy(&in->lock);
    mem_free(in);
}

static struct timespec at_us(int64_t us)
{
    return (struct timespec){.tv_sec = us / FP_US_PER_S, .tv_nsec = (us % FP_US_PER_S) * 1000};
}

bool inbox_take_slot(struct inbox *in, int timeout_ms)
{
    const struct timespec until = at_us(clock_mono_us() + timeout_ms * INT64_C(1000));
    int rc = 0;
    pthread_mutex_lock(&in->lock);
    while (in->slots_used == in->slots && rc == 0)
        rc = pthread_cond_timedwait(&in->slot_free, &in->lock, &until);
    bool taken = in->slots_used < in->slots;
    in->slots_used += taken;
    pthread_mutex_unlock(&in->lock);
    return taken;
}

void inbox_give_slot(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    in->slots_used--;
    pthread_cond_signal(&in->slot_free);
    pthread_mutex_unlock(&in->lock);
}

int inbox_slots_used(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    int n = in->slots_used;
    pthread_mutex_unlock(&in->lock);
    return n;
}

void inbox_batch(struct inbox *in, struct batch *b)
{
    pthread_mutex_lock(&in->lock);
    b->next = NULL;
    *in->batches_end = b;
    in->batches_end = &b->next;
    pthread_cond_signal(&in->cond);
    pthread_mutex_unlock(&in->lock);
}

void inbox_rendered(struct inbox *in, struct mail *m)
{
    pthread_mutex_lock(&in->lock);
    chain_add(&in->rendered, m);
    bool wake = in->waiting && in->rendered.n >= in->want_rendered;
    pthread_mutex_unlock(&in->lock);
    if (wake)
        pthread_cond_signal(&in->cond);
}

/* The first reply wakes the desk too: only then it knows until when to wait. */
void inbox_replied(struct inbox *in, struct mail *m)
{
    pthread_mutex_lock(&in->lock);
    chain_add(&in->replied, m);
    if (in->replied.n == 1)
        in->first_reply_us = clock_mono_us();
    bool wake = in->waiting && (in->replied.n == 1 || in->replied.n >= in->want_replies);
    pthread_mutex_unlock(&in->lock);
    if (wake)
        pthread_cond_signal(&in->cond);
}

void inbox_wake(struct inbox *in)
{
    pthread_mutex_lock(&in->lock);
    in->woken = true;
    pthread_cond_signal(&in->cond);
    pthread_mutex_unlock(&in->lock);
}

static bool worth_waking(const struct inbox *in, const struct inbox_wait *w)
{
    return in->woken || in->batches || in->replied.n >= w->replies || in->rendered.n >= w->rendered;
}

/* Waits once; false when the time is over. */
static bool wait_once(struct inbox *in, const struct inbox_wait *w)
{
    int64_t until_us = w->until_us;
    if (in->replied.n && in->first_reply_us + w->settle_us < until_us)
        until_us = in->first_reply_us + w->settle_us;
    if (clock_mono_us() >= until_us)
        return false;
    const struct timespec ts = at_us(until_us);
    pthread_cond_timedwait(&in->cond, &in->lock, &ts);
    return true;
}

void inbox_take(struct inbox *in, const struct inbox_wait *w, struct inbox_taken *out)
{
    pthread_mutex_lock(&in->lock);
    in->want_replies = w->replies;
    in->want_rendered = w->rendered;
    in->waiting = true;
    while (!worth_waking(in, w) && wait_once(in, w))
        ;
    in->waiting = in->woken = false;
    *out = (struct inbox_taken){in->batches, in->rendered.first, in->replied.first};
    in->batches = NULL;
    in->batches_end = &in->batches;
    chain_reset(&in->rendered);
    chain_reset(&in->replied);
    pthread_mutex_unlock(&in->lock);
}
