/* A thread that sleeps; see accounts.h. One that waits for a provider's answer when the process ends, ends
 * with it. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/accounts.h"

#include <pthread.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define EVERY_MS (3600 * INT64_C(1000))
#define AGAIN_MS (300 * INT64_C(1000)) /* its quota stands as it was meanwhile */

struct accounts {
    struct accounts_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond; /* draining, ended */
    bool draining, asking, ended;
};

/* Under the lock, which it gives away while it waits for the answer. */
static bool ask(struct accounts *a, int provider)
{
    struct ledger_limits limits;
    a->asking = true;
    pthread_mutex_unlock(&a->lock);
    bool read = providers_ask_account(a->o.providers, provider, &limits);
    pthread_mutex_lock(&a->lock);
    a->asking = false;
    if (read && !a->draining)
        a->o.tell(a->o.ctx, provider, &limits);
    return read;
}

/* How long to wait before the next time. */
static int64_t ask_all(struct accounts *a)
{
    int64_t wait_ms = a->o.every_ms;
    for (int i = 0; i < providers_count(a->o.providers) && !a->draining; i++)
        if (providers_has_account(a->o.providers, i) && !ask(a, i))
            wait_ms = a->o.again_ms;
    return wait_ms;
}

static bool all_read(const struct providers *p)
{
    for (int i = 0; i < providers_count(p); i++)
        if (providers_account_unread(p, i))
            return false;
    return true;
}

static void wait_some(struct accounts *a, int64_t wait_ms)
{
    int64_t until_us = clock_mono_us() + wait_ms * 1000;
    const struct timespec ts = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = (until_us % FP_US_PER_S) * 1000};
    while (!a->draining && clock_mono_us() < until_us)
        pthread_cond_timedwait(&a->cond, &a->lock, &ts);
}

static void *accounts_main(void *arg)
{
    struct accounts *a = arg;
    pthread_setname_np(pthread_self(), "accounts");
    pthread_mutex_lock(&a->lock);
    wait_some(a, all_read(a->o.providers) ? a->o.every_ms : a->o.again_ms);
    while (!a->draining)
        wait_some(a, ask_all(a));
    a->ended = true;
    pthread_cond_broadcast(&a->cond);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static struct accounts *accounts_new(const struct accounts_options *o)
{
    pthread_condattr_t attr;
    struct accounts *a = mem_alloc(sizeof(*a));
    a->o = *o;
    a->o.every_ms = o->every_ms ? o->every_ms : EVERY_MS;
    a->o.again_ms = o->again_ms ? o->again_ms : AGAIN_MS;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->cond, &attr);
    pthread_condattr_destroy(&attr);
    return a;
}

struct accounts *accounts_start(const struct accounts_options *o)
{
    bool any = false;
    for (int i = 0; i < providers_count(o->providers); i++)
        any |= providers_has_account(o->providers, i);
    if (!any)
        return NULL;
    struct accounts *a = accounts_new(o);
    if (pthread_create(&a->thread, NULL, accounts_main, a) != 0)
        fp_panic("cannot start the thread of accounts");
    return a;
}

void accounts_drain(struct accounts *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->draining = true;
    pthread_cond_broadcast(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

bool accounts_stop(struct accounts *a)
{
    if (!a)
        return true;
    accounts_drain(a);
    pthread_mutex_lock(&a->lock);
    while (!a->ended && !a->asking)
        pthread_cond_wait(&a->cond, &a->lock);
    bool ended = a->ended;
    pthread_mutex_unlock(&a->lock);
    if (!ended) /* a provider that does not answer: it ends with the process */
        return false;
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->cond);
    pthread_mutex_destroy(&a->lock);
    mem_free(a);
    return true;
}
