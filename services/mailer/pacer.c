/*
 * The pacer's thread asks for a slice when the desk has mails waiting and the
 * next slice is not held yet. It asks for no more than is waiting, so that a
 * small job does not take the rate from other mailers.
 *
 * When the ledger cannot be reached there are no slices, and nothing is sent.
 * What the desk wants told (throttled, fault) is kept until it is told.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/pacer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ledger/rates.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/rate.h"

#define LOWER_FACTOR   0.6
#define LOWER_HOLD_S   30
#define RAISE_PART     0.05 /* of the limit */
#define RAISE_EVERY_US (5 * FP_US_PER_S)
#define RETRY_US       (FP_US_PER_S / 2) /* the ledger is away */
#define IDLE_US        FP_US_PER_S       /* a beat, and a look at what is lowered */

struct pacer {
    struct pacer_options o;
    struct fp_ledger *ledger;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct rate rate;
    uint64_t voided_told;
    size_t waiting;
    bool stop, lower, fault_news;
    bool late; /* the last slice counted from its question */
    char fault[200];
    int64_t raised_us;     /* when it was last asked for */
    int64_t not_before_us; /* the next request for a slice */
    long long logged_us;
};

/* --- the ledger's side: the pacer's thread, without the lock ---------------------------- */

static void failed(struct pacer *p, const char *what, const struct fp_err *err)
{
    if (log_limited(&p->logged_us, 10000))
        log_warn("", "rate", "what=%s retry_ms=%d reason=%s", what, (int)(RETRY_US / 1000), err->msg);
    pthread_mutex_lock(&p->lock);
    p->not_before_us = clock_mono_us() + RETRY_US;
    pthread_mutex_unlock(&p->lock);
}

/* The delay counts from a moment between question and answer. By the answer a
 * slice is never early. One that took long counts by the question, and is void
 * when it is late by that; but not two in a row, or a slow ledger stops all. */
static int64_t base_us(struct pacer *p, int64_t asked_us, int64_t now_us)
{
    p->late = now_us - asked_us > 2 * RATE_SLICE_US && !p->late;
    return p->late ? asked_us : now_us;
}

static void take(struct pacer *p, size_t n)
{
    struct fp_err err;
    int granted = 0;
    int64_t delay_us = 0;
    double per_second = 0;
    int64_t asked_us = clock_mono_us();
    if (ledger_rate_take(p->ledger, p->o.provider, (int)n, &granted, &delay_us, &per_second, &err) < 0) {
        failed(p, "take", &err);
        return;
    }
    int64_t now_us = clock_mono_us();
    pthread_mutex_lock(&p->lock);
    if (granted > 0 || per_second <= 0)
        rate_add(&p->rate, base_us(p, asked_us, now_us) + delay_us, (size_t)granted, per_second, now_us);
    else
        p->not_before_us = now_us + delay_us;
    uint64_t unused = p->rate.voided - p->voided_told;
    p->voided_told = p->rate.voided;
    pthread_mutex_unlock(&p->lock);
    if (per_second > 0) {
        metrics_add("foliopost_rate_slices_total", "", granted > 0);
        metrics_add("foliopost_rate_granted_total", "", granted);
        metrics_add("foliopost_rate_unused_total", "", (double)unused);
    }
    p->o.changed(p->o.ctx);
}

static void lower(struct pacer *p)
{
    struct fp_err err;
    if (ledger_rate_lower(p->ledger, p->o.provider, LOWER_FACTOR, LOWER_HOLD_S, &err) < 0) {
        failed(p, "lower", &err);
        return;
    }
    log_warn("", "rate lowered", "provider=%s factor=%.1f hold_s=%d", p->o.provider, LOWER_FACTOR,
             LOWER_HOLD_S);
    metrics_add("foliopost_rate_lowered_total", "", 1);
    pthread_mutex_lock(&p->lock);
    p->lower = false;
    pthread_mutex_unlock(&p->lock);
}

/* Asked for now and then by everybody: the ledger raises only what is lowered
 * and has been quiet, whoever lowered it. */
static void raise_rate(struct pacer *p)
{
    struct fp_err err;
    if (ledger_rate_raise(p->ledger, p->o.provider, RAISE_PART, &err) < 0)
        failed(p, "raise", &err);
}

static void tell_fault(struct pacer *p)
{
    struct fp_err err;
    char fault[sizeof(p->fault)];
    pthread_mutex_lock(&p->lock);
    memcpy(fault, p->fault, sizeof(fault));
    p->fault_news = false;
    pthread_mutex_unlock(&p->lock);
    if (ledger_provider_fault(p->ledger, p->o.provider, fault, &err) == 0)
        return;
    failed(p, "fault", &err);
    pthread_mutex_lock(&p->lock);
    p->fault_news = true;
    pthread_mutex_unlock(&p->lock);
}

/* --- the loop ---------------------------------------------------------------------------- */

struct todo {
    size_t take;
    bool lower, raise, fault;
};

/* Under the lock. */
static bool find_todo(struct pacer *p, int64_t now_us, struct todo *out)
{
    *out = (struct todo){0};
    if (now_us < p->not_before_us)
        return false;
    out->lower = p->lower;
    out->fault = p->fault_news;
    out->raise = p->waiting > 0 && now_us >= p->raised_us + RAISE_EVERY_US;
    if (out->raise)
        p->raised_us = now_us;
    out->take = rate_ask(&p->rate, p->waiting, now_us);
    return out->take || out->lower || out->raise || out->fault;
}

/* Under the lock: until the next slice may be asked for, or something comes. */
static void wait_some(struct pacer *p, int64_t now_us)
{
    int64_t until_us = now_us + IDLE_US;
    if (p->not_before_us > now_us && p->not_before_us < until_us)
        until_us = p->not_before_us;
    for (size_t i = 0; i < p->rate.n_slices; i++)
        if (p->rate.slices[i].start_us > now_us && p->rate.slices[i].start_us < until_us)
            until_us = p->rate.slices[i].start_us;
    if (p->rate.unlimited_until_us > now_us && p->rate.unlimited_until_us < until_us)
        until_us = p->rate.unlimited_until_us;
    const struct timespec ts = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = (until_us % FP_US_PER_S) * 1000};
    pthread_cond_timedwait(&p->cond, &p->lock, &ts);
}

/* Waits at most once: *out can be empty. False: stop. */
static bool next_todo(struct pacer *p, struct todo *out)
{
    pthread_mutex_lock(&p->lock);
    if (!p->stop && !find_todo(p, clock_mono_us(), out))
        wait_some(p, clock_mono_us());
    bool go = !p->stop;
    pthread_mutex_unlock(&p->lock);
    return go;
}

static void *pacer_main(void *arg)
{
    struct pacer *p = arg;
    struct todo todo;
    pthread_setname_np(pthread_self(), "pacer");
    while (next_todo(p, &todo)) {
        if (p->o.beat)
            p->o.beat(p->o.ctx);
        if (todo.lower)
            lower(p);
        if (todo.fault)
            tell_fault(p);
        if (todo.raise)
            raise_rate(p);
        if (todo.take)
            take(p, todo.take);
    }
    return NULL;
}

struct pacer *pacer_start(const struct pacer_options *o, struct fp_err *err)
{
    struct fp_ledger *ledger = ledger_open(&o->ledger, err);
    if (!ledger)
        return NULL;
    if (ledger_rate_configure(ledger, o->provider, o->mail_rate, err) < 0) {
        ledger_close(ledger);
        return NULL;
    }
    struct pacer *p = mem_alloc(sizeof(*p));
    pthread_condattr_t attr;
    p->o = *o;
    p->ledger = ledger;
    rate_init(&p->rate, o->mail_rate);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->cond, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&p->thread, NULL, pacer_main, p) != 0)
        fp_panic("cannot start the pacer's thread");
    return p;
}

void pacer_stop(struct pacer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    ledger_close(p->ledger);
    mem_free(p);
}

/* --- the desk's side ---------------------------------------------------------------------- */

size_t pacer_offer(struct pacer *p, size_t waiting, size_t most, int64_t *next_us)
{
    pthread_mutex_lock(&p->lock);
    int64_t now_us = clock_mono_us();
    p->waiting = waiting;
    if (rate_ask(&p->rate, waiting, now_us) > 0)
        pthread_cond_signal(&p->cond);
    size_t n = rate_offer(&p->rate, most, now_us);
    *next_us = n >= most ? INT64_MAX : rate_next_us(&p->rate, most, now_us);
    pthread_mutex_unlock(&p->lock);
    return n < most ? n : most;
}

void pacer_use(struct pacer *p, size_t n)
{
    pthread_mutex_lock(&p->lock);
    rate_use(&p->rate, n, clock_mono_us());
    pthread_mutex_unlock(&p->lock);
}

double pacer_rate(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    double per_second = p->rate.per_second;
    pthread_mutex_unlock(&p->lock);
    return per_second;
}

void pacer_throttled(struct pacer *p)
{
    pthread_mutex_lock(&p->lock);
    p->lower = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void pacer_fault(struct pacer *p, const char *reason)
{
    pthread_mutex_lock(&p->lock);
    (void)snprintf(p->fault, sizeof(p->fault), "%s", reason);
    p->fault_news = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}
