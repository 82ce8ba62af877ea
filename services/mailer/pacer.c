/*
 * The pacer's thread asks for a slice when the desk has mails waiting and the
 * next slice is not held yet. It asks for no more than is waiting, so that a
 * small job does not take the rate from other mailers.
 *
 * When the ledger cannot be reached there are no slices, and nothing is sent.
 * What the desk wants told (throttled, fault) is kept until it is told. The
 * window of the day is the database's clock too: it is asked when it may change,
 * and every few seconds, as a clock may be set.
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

#define LOWER_FACTOR 0.6
#define LOWER_HOLD_S 30
#define RAISE_PART   0.05              /* of the limit */
#define RAISE_ASK_US FP_US_PER_S       /* the ledger says when it is time, for all mailers */
#define RETRY_US     (FP_US_PER_S / 2) /* the ledger is away */
#define IDLE_US      FP_US_PER_S       /* a beat, and a look at what is lowered */

#define WINDOW_LOOK_US (10 * FP_US_PER_S)

struct channel {
    struct channel_options o;
    struct rate rate;
    uint64_t voided_told,
        voided_returned; /* of rate.voided: to the metrics; to the quota, or no more its own */
    int32_t day;         /* that the last slice counts for, in the quota */
    size_t waiting;      /* mails with the desk */
    size_t turnless;     /* with the senders: they wait in pacer_turn() */
    bool lower, fault_news, limit_news, spent;
    bool late; /* the last slice counted from its question */
    char fault[200];
    int64_t raised_us; /* when it was last asked for */
    int64_t slice_us;  /* the next request for a slice, not before */
    int64_t retry_us;  /* anything at all, not before: the ledger is away */
};

struct pacer {
    struct pacer_options o;
    struct fp_ledger *ledger;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;  /* there is something to do */
    pthread_cond_t turns; /* there is a new slice */
    struct channel channels[PACER_MAX_CHANNELS];
    int next_channel; /* behind the one served last: a slow ledger is slow for all alike */
    bool stop;
    int64_t open_until_us; /* the window; 0: it is shut */
    int64_t look_us;       /* at the window again */
    long long logged_us;
};

static bool has_window(const struct pacer *p)
{
    return p->o.window.from_minute != p->o.window.to_minute;
}

/* --- the ledger's side: the pacer's thread, without the lock ---------------------------- */

static void failed(struct pacer *p, struct channel *c, const char *what, const struct fp_err *err)
{
    if (log_limited(&p->logged_us, 10000))
        log_warn("", "rate", "what=%s provider=%s retry_ms=%d reason=%s", what, c->o.name,
                 (int)(RETRY_US / 1000), err->msg);
    pthread_mutex_lock(&p->lock);
    c->retry_us = clock_mono_us() + RETRY_US;
    pthread_mutex_unlock(&p->lock);
}

/* The delay counts from a moment between question and answer. By the answer a
 * slice is never early. One that took long counts by the question, and is void
 * when it is late by that; but not two in a row, or a slow ledger stops all. */
static int64_t base_us(struct channel *c, int64_t asked_us, int64_t now_us)
{
    c->late = now_us - asked_us > 2 * RATE_SLICE_US && !c->late;
    return c->late ? asked_us : now_us;
}

/* Under the lock. What is void, or may be yet, of slices that counted for the day
 * before is nothing to the quota of this one. */
static void new_day(struct channel *c, int32_t day)
{
    c->voided_returned = c->rate.voided + rate_held(&c->rate);
    c->day = day;
}

static void take(struct pacer *p, struct channel *c, size_t n)
{
    struct fp_err err;
    int granted = 0;
    int64_t delay_us = 0;
    double per_second = 0;
    int32_t day = c->day;
    int64_t asked_us = clock_mono_us();
    if (ledger_rate_take(p->ledger, c->o.name, (int)n, &granted, &delay_us, &per_second, &day, &err) < 0) {
        failed(p, c, "take", &err);
        return;
    }
    int64_t now_us = clock_mono_us();
    pthread_mutex_lock(&p->lock);
    c->spent = granted == RATE_QUOTA_SPENT;
    if (day != c->day)
        new_day(c, day);
    if (granted > 0 || (per_second <= 0 && !c->spent))
        rate_add(&c->rate, base_us(c, asked_us, now_us) + delay_us, (size_t)granted, per_second, now_us);
    else
        c->slice_us = now_us + delay_us;
    uint64_t unused = c->rate.voided - c->voided_told;
    c->voided_told = c->rate.voided;
    pthread_cond_broadcast(&p->turns);
    pthread_mutex_unlock(&p->lock);
    if (per_second > 0) {
        metrics_add("foliopost_rate_slices_total", "", granted > 0);
        metrics_add("foliopost_rate_granted_total", "", granted > 0 ? granted : 0);
        metrics_add("foliopost_rate_unused_total", "", (double)unused);
    }
    p->o.changed(p->o.ctx);
}

/* Under the lock. */
static size_t to_return(const struct channel *c)
{
    return c->o.limits.per_day > 0 && c->rate.voided > c->voided_returned
               ? (size_t)(c->rate.voided - c->voided_returned)
               : 0;
}

/* So that the quota counts mails and not slices. Whatever comes of it, it is not
 * tried again: returned twice would be a quota passed. */
static void give_back(struct pacer *p, struct channel *c, size_t n)
{
    struct fp_err err;
    pthread_mutex_lock(&p->lock);
    c->voided_returned += n;
    c->slice_us = c->spent ? 0 : c->slice_us; /* there is something left again */
    pthread_mutex_unlock(&p->lock);
    if (ledger_rate_return(p->ledger, c->o.name, (int)n, c->day, &err) < 0)
        failed(p, c, "return", &err);
}

static void lower(struct pacer *p, struct channel *c)
{
    struct fp_err err;
    int lowered = ledger_rate_lower(p->ledger, c->o.name, LOWER_FACTOR, LOWER_HOLD_S, &err);
    if (lowered < 0) {
        failed(p, c, "lower", &err);
        return;
    }
    if (lowered)
        log_warn("", "rate lowered", "provider=%s factor=%.1f hold_s=%d", c->o.name, LOWER_FACTOR,
                 LOWER_HOLD_S);
    metrics_add("foliopost_rate_lowered_total", "", lowered);
    pthread_mutex_lock(&p->lock);
    c->lower = false;
    pthread_mutex_unlock(&p->lock);
}

/* Asked for now and then by everybody: the ledger raises only what is lowered
 * and has been quiet, whoever lowered it. */
static void raise_rate(struct pacer *p, struct channel *c)
{
    struct fp_err err;
    if (ledger_rate_raise(p->ledger, c->o.name, RAISE_PART, &err) < 0)
        failed(p, c, "raise", &err);
}

static void tell_fault(struct pacer *p, struct channel *c)
{
    struct fp_err err;
    char fault[sizeof(c->fault)];
    pthread_mutex_lock(&p->lock);
    memcpy(fault, c->fault, sizeof(fault));
    c->fault_news = false;
    pthread_mutex_unlock(&p->lock);
    if (ledger_provider_fault(p->ledger, c->o.name, fault, &err) == 0)
        return;
    failed(p, c, "fault", &err);
    pthread_mutex_lock(&p->lock);
    c->fault_news = true;
    pthread_mutex_unlock(&p->lock);
}

static void tell_limits(struct pacer *p, struct channel *c)
{
    struct fp_err err;
    pthread_mutex_lock(&p->lock);
    const struct ledger_limits limits = c->o.limits;
    c->limit_news = false;
    pthread_mutex_unlock(&p->lock);
    if (ledger_rate_limits(p->ledger, c->o.name, &limits, &err) == 0)
        return;
    failed(p, c, "limits", &err);
    pthread_mutex_lock(&p->lock);
    c->limit_news = true;
    pthread_mutex_unlock(&p->lock);
}

static void look_at_window(struct pacer *p)
{
    struct fp_err err;
    bool open = false;
    int64_t for_us = 0, next_us = RETRY_US;
    int64_t asked_us = clock_mono_us();
    if (ledger_window_look(p->ledger, &p->o.window, &open, &for_us, &err) < 0) {
        if (log_limited(&p->logged_us, 10000))
            log_warn("", "rate", "what=window retry_ms=%d reason=%s", (int)(RETRY_US / 1000), err.msg);
    } else {
        next_us = for_us < WINDOW_LOOK_US ? for_us : WINDOW_LOOK_US;
    }
    pthread_mutex_lock(&p->lock);
    bool changed = open != (p->open_until_us > 0);
    p->open_until_us = open ? asked_us + for_us : 0;
    p->look_us = clock_mono_us() + next_us;
    pthread_mutex_unlock(&p->lock);
    if (changed) {
        log_info("", open ? "sending window opens" : "sending window is shut",
                 "zone=%s from=%02d:%02d to=%02d:%02d", p->o.window.zone, p->o.window.from_minute / 60,
                 p->o.window.from_minute % 60, p->o.window.to_minute / 60, p->o.window.to_minute % 60);
        p->o.changed(p->o.ctx);
    }
}

/* --- the loop ---------------------------------------------------------------------------- */

struct todo {
    struct channel *channel; /* NULL: the window alone */
    size_t take, give_back;
    bool window, lower, raise, fault, limits;
};

/* Under the lock. */
static bool is_open(const struct pacer *p, int64_t now_us)
{
    return !has_window(p) || now_us < p->open_until_us;
}

/* Under the lock. */
static bool channel_todo(const struct pacer *p, struct channel *c, int64_t now_us, struct todo *out)
{
    if (now_us < c->retry_us)
        return false;
    *out = (struct todo){.channel = c, .lower = c->lower, .fault = c->fault_news, .limits = c->limit_news};
    out->raise = c->waiting > 0 && now_us >= c->raised_us + RAISE_ASK_US;
    if (out->raise)
        c->raised_us = now_us;
    if (is_open(p, now_us) && now_us >= c->slice_us)
        out->take = rate_ask(&c->rate, c->waiting + c->turnless, now_us);
    if (out->take || out->raise || c->spent)
        out->give_back = to_return(c);
    return out->take || out->lower || out->raise || out->fault || out->limits || out->give_back;
}

/* Under the lock. */
static bool find_todo(struct pacer *p, int64_t now_us, struct todo *out)
{
    *out = (struct todo){.window = has_window(p) && now_us >= p->look_us};
    if (out->window)
        return true;
    for (int i = 0; i < p->o.n_channels; i++) {
        int at = (p->next_channel + i) % p->o.n_channels;
        if (channel_todo(p, &p->channels[at], now_us, out)) {
            p->next_channel = (at + 1) % p->o.n_channels;
            return true;
        }
    }
    *out = (struct todo){0};
    return false;
}

static void wait_until(struct pacer *p, pthread_cond_t *cond, int64_t until_us)
{
    const struct timespec ts = {.tv_sec = until_us / FP_US_PER_S, .tv_nsec = (until_us % FP_US_PER_S) * 1000};
    pthread_cond_timedwait(cond, &p->lock, &ts);
}

static int64_t sooner(int64_t a, int64_t b, int64_t now_us)
{
    return b > now_us && b < a ? b : a;
}

/* Under the lock: until the next slice may be asked for, or something comes. */
static void wait_some(struct pacer *p, int64_t now_us)
{
    int64_t until_us = now_us + IDLE_US;
    if (has_window(p))
        until_us = sooner(until_us, p->look_us, now_us);
    for (int c = 0; c < p->o.n_channels; c++) {
        const struct channel *ch = &p->channels[c];
        until_us = sooner(until_us, ch->retry_us, now_us);
        until_us = sooner(until_us, ch->slice_us, now_us);
        until_us = sooner(until_us, ch->rate.unlimited_until_us, now_us);
        for (size_t i = 0; i < ch->rate.n_slices; i++)
            until_us = sooner(until_us, ch->rate.slices[i].start_us, now_us);
    }
    wait_until(p, &p->cond, until_us);
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
        if (todo.window)
            look_at_window(p);
        if (todo.lower)
            lower(p, todo.channel);
        if (todo.fault)
            tell_fault(p, todo.channel);
        if (todo.limits)
            tell_limits(p, todo.channel);
        if (todo.raise)
            raise_rate(p, todo.channel);
        if (todo.give_back)
            give_back(p, todo.channel, todo.give_back);
        if (todo.take)
            take(p, todo.channel, todo.take);
    }
    return NULL;
}

static int configure(struct fp_ledger *l, const struct pacer_options *o, struct fp_err *err)
{
    bool open;
    int64_t for_us;
    for (int i = 0; i < o->n_channels; i++)
        if (ledger_rate_limits(l, o->channels[i].name, &o->channels[i].limits, err) < 0)
            return -1;
    if (o->window.from_minute == o->window.to_minute)
        return 0;
    return ledger_window_look(l, &o->window, &open, &for_us, err) < 0 ? err_prefix(err, "send-window") : 0;
}

struct pacer *pacer_start(const struct pacer_options *o, struct fp_err *err)
{
    struct fp_ledger *ledger = ledger_open(&o->ledger, err);
    if (!ledger)
        return NULL;
    if (configure(ledger, o, err) < 0) {
        ledger_close(ledger);
        return NULL;
    }
    struct pacer *p = mem_alloc(sizeof(*p));
    pthread_condattr_t attr;
    p->o = *o;
    p->ledger = ledger;
    for (int i = 0; i < o->n_channels; i++) {
        p->channels[i].o = o->channels[i];
        rate_init(&p->channels[i].rate, o->channels[i].limits.per_second);
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->cond, &attr);
    pthread_cond_init(&p->turns, &attr);
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
    pthread_cond_destroy(&p->turns);
    pthread_mutex_destroy(&p->lock);
    ledger_close(p->ledger);
    mem_free(p);
}

/* --- the desk's side ---------------------------------------------------------------------- */

size_t pacer_offer(struct pacer *p, int channel, size_t waiting, size_t most, int64_t *next_us)
{
    struct channel *c = &p->channels[channel];
    size_t n = 0;
    pthread_mutex_lock(&p->lock);
    int64_t now_us = clock_mono_us();
    c->waiting = waiting;
    *next_us = INT64_MAX; /* when the window opens, changed() is called */
    if (is_open(p, now_us)) {
        if (rate_ask(&c->rate, waiting + c->turnless, now_us) > 0)
            pthread_cond_signal(&p->cond);
        n = rate_offer(&c->rate, most, now_us);
        *next_us = n >= most ? INT64_MAX : rate_next_us(&c->rate, most, now_us);
    }
    pthread_mutex_unlock(&p->lock);
    return n < most ? n : most;
}

int64_t pacer_use(struct pacer *p, int channel, size_t n)
{
    pthread_mutex_lock(&p->lock);
    int64_t good_us = rate_use(&p->channels[channel].rate, n, clock_mono_us());
    pthread_mutex_unlock(&p->lock);
    return good_us;
}

/* --- the senders' side -------------------------------------------------------------------- */

void pacer_lose(struct pacer *p, int channel)
{
    pthread_mutex_lock(&p->lock);
    rate_lose(&p->channels[channel].rate);
    pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static bool take_turn(struct pacer *p, struct channel *c, int64_t now_us, int64_t *good_us)
{
    if (!is_open(p, now_us) || rate_available(&c->rate, now_us) == 0)
        return false;
    *good_us = rate_use(&c->rate, 1, now_us);
    return true;
}

bool pacer_turn(struct pacer *p, int channel, int64_t wait_us, int64_t *good_us)
{
    struct channel *c = &p->channels[channel];
    bool taken = false;
    pthread_mutex_lock(&p->lock);
    c->turnless++;
    for (;;) {
        int64_t now_us = clock_mono_us();
        taken = take_turn(p, c, now_us, good_us);
        if (taken || now_us >= wait_us)
            break;
        if (rate_ask(&c->rate, c->waiting + c->turnless, now_us) > 0)
            pthread_cond_signal(&p->cond);
        wait_until(p, &p->turns, sooner(wait_us, rate_next_us(&c->rate, 1, now_us), now_us));
    }
    c->turnless--;
    pthread_mutex_unlock(&p->lock);
    return taken;
}

/* --- what is told --------------------------------------------------------------------------- */

double pacer_rate(struct pacer *p, int channel)
{
    pthread_mutex_lock(&p->lock);
    double per_second = p->channels[channel].rate.per_second;
    pthread_mutex_unlock(&p->lock);
    return per_second;
}

bool pacer_spent(struct pacer *p, int channel)
{
    pthread_mutex_lock(&p->lock);
    bool spent = p->channels[channel].spent;
    pthread_mutex_unlock(&p->lock);
    return spent;
}

static void quota_waits(const struct channel *c, char out[200])
{
    if (c->o.limits.rolls)
        (void)snprintf(out, 200, "provider %.64s: its account's quota of %.0f mails in 24 hours is used up",
                       c->o.name, c->o.limits.per_day);
    else
        (void)snprintf(out, 200, "provider %.64s: the daily quota of %.0f mails is used up until 00:00 UTC",
                       c->o.name, c->o.limits.per_day);
}

void pacer_waits(struct pacer *p, char out[200])
{
    const struct ledger_window *w = &p->o.window;
    out[0] = '\0';
    pthread_mutex_lock(&p->lock);
    if (!is_open(p, clock_mono_us()))
        (void)snprintf(out, 200, "outside the sending window, %02d:%02d to %02d:%02d %.100s",
                       w->from_minute / 60, w->from_minute % 60, w->to_minute / 60, w->to_minute % 60,
                       w->zone);
    for (int i = 0; !out[0] && i < p->o.n_channels; i++)
        if (p->channels[i].spent)
            quota_waits(&p->channels[i], out);
    pthread_mutex_unlock(&p->lock);
}

void pacer_limits(struct pacer *p, int channel, const struct ledger_limits *limits)
{
    pthread_mutex_lock(&p->lock);
    p->channels[channel].o.limits = *limits;
    p->channels[channel].limit_news = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void pacer_throttled(struct pacer *p, int channel)
{
    pthread_mutex_lock(&p->lock);
    p->channels[channel].lower = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}

void pacer_fault(struct pacer *p, int channel, const char *reason)
{
    struct channel *c = &p->channels[channel];
    pthread_mutex_lock(&p->lock);
    (void)snprintf(c->fault, sizeof(c->fault), "%s", reason);
    c->fault_news = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
}
