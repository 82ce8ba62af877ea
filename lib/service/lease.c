/*
 * The lease: what lets this process act for its owner id.
 *
 * A thread with a connection of its own renews it, so that neither a long
 * statement nor a stuck worker lets it run out. The database counts the lease
 * from when it handled the renewal; we count from when we sent it, which is
 * earlier, on a clock that goes on in suspend, and stop a margin before. So we
 * always believe to be over before the database does, whatever the network
 * did between.
 *
 * An instance whose lease was swept is gone: its batches belong to others. Its
 * id is never used again; a new one is made, and work that was begun under
 * the old one sees service_owns() false.
 *
 * All of the struct but its lock belongs to the thread, except what stands
 * behind "shared".
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"
#include "lib/service/service_internal.h"

#define RENEW_MS      (LEDGER_LEASE_MS / 3) /* two renewals may fail before the lease is over */
#define RETRY_MS      500                   /* after a failure */
#define MARGIN_MS     2000                  /* scheduling delays, and clocks that run at different speeds */
#define WARN_EVERY_MS 10000

struct fp_lease {
    struct fp_service *service;
    struct fp_ledger *ledger;
    pthread_t thread;
    char next[LEDGER_UUID]; /* the id that is being taken; kept while its insert is repeated */
    bool taken;             /* owner is an instance of ours, as far as we know */
    bool was_held;          /* what the log said last */
    long long warned_us;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* shared: */
    bool stop, hurry, abandoned;
    char owner[LEDGER_UUID]; /* "" before the first */
    int64_t deadline_us;     /* CLOCK_BOOTTIME */
    char problem[256];
};

static void set_lease(struct fp_lease *le, const char *owner, int64_t deadline_us, const char *problem)
{
    pthread_mutex_lock(&le->lock);
    memmove(le->owner, owner, strlen(owner) + 1); /* may be le->owner itself */
    le->deadline_us = le->abandoned ? 0 : deadline_us;
    snprintf(le->problem, sizeof le->problem, "%s", problem);
    pthread_mutex_unlock(&le->lock);
}

static void note_problem(struct fp_lease *le, const struct fp_err *err)
{
    pthread_mutex_lock(&le->lock);
    snprintf(le->problem, sizeof le->problem, "%s", err->msg);
    pthread_mutex_unlock(&le->lock);
    if (log_limited(&le->warned_us, WARN_EVERY_MS))
        log_warn("", "lease not renewed", "owner=%s reason=%s", le->owner, err->msg);
}

/* One line for each change between held and not. */
static void log_change(struct fp_lease *le)
{
    bool held = lease_held(le);

    if (held == le->was_held)
        return;
    le->was_held = held;
    if (held)
        log_info("", "lease held", "owner=%s", le->owner);
    else
        log_warn("", "lease over", "owner=%s: nothing is sent or recorded until it is renewed", le->owner);
}

/* The lease ran out while the renewal that saves it was on its way. */
static void log_gap(const struct fp_lease *le)
{
    int64_t over_us = clock_boot_us() - le->deadline_us;

    if (le->was_held && over_us > 0)
        log_warn("", "lease over", "owner=%s for_ms=%lld and held again", le->owner,
                 (long long)over_us / 1000);
}

/* Inserts a new instance. Only the renewal after it makes the lease ours: an
 * insert that was repeated may have begun its lease long ago. */
static int take_new_owner(struct fp_lease *le, struct fp_err *err)
{
    struct fp_service *s = le->service;
    struct ledger_instance i = {.slots = 0};

    if (!*le->next)
        text_new_uuid(le->next);
    snprintf(i.id, sizeof i.id, "%s", le->next);
    snprintf(i.service, sizeof i.service, "%s", s->def->name);
    snprintf(i.address, sizeof i.address, "%s", s->address);
    snprintf(i.version, sizeof i.version, "%s", config_version());
    snprintf(i.state, sizeof i.state, "live");
    pthread_mutex_lock(&s->lock);
    i.slots = s->slots;
    snprintf(i.note, sizeof i.note, "%s", s->note);
    pthread_mutex_unlock(&s->lock);
    if (ledger_instance_start(le->ledger, &i, err) < 0) {
        if (err->code == FP_FAILED_PRECONDITION) /* inserted by an earlier try, and swept since */
            le->next[0] = '\0';
        return -1;
    }
    set_lease(le, le->next, 0, "not renewed yet");
    le->taken = true;
    le->next[0] = '\0';
    return 0;
}

/* One renewal. *held false: the instance was swept, and there is no owner now. */
static int renew(struct fp_lease *le, bool *held, struct fp_err *err)
{
    struct fp_service *s = le->service;
    char note[sizeof s->note];

    pthread_mutex_lock(&s->lock);
    int slots = s->slots;
    snprintf(note, sizeof note, "%s", s->note);
    pthread_mutex_unlock(&s->lock);

    int64_t sent_us = clock_boot_us();
    if (ledger_instance_renew(le->ledger, le->owner, slots, note, held, err) < 0)
        return -1;
    if (*held) {
        log_gap(le);
        set_lease(le, le->owner, sent_us + (LEDGER_LEASE_MS - MARGIN_MS) * 1000LL, "");
    } else {
        log_warn("", "lease swept", "owner=%s: others have its work, taking a new owner id", le->owner);
        le->taken = false; /* the old id stays visible, so that nobody meets an empty one */
        set_lease(le, le->owner, 0, "the lease was swept");
    }
    return 0;
}

static int keep(struct fp_lease *le, struct fp_err *err)
{
    bool held = false;

    if (le->taken && renew(le, &held, err) < 0)
        return -1;
    if (held)
        return 0;
    if (take_new_owner(le, err) < 0 || renew(le, &held, err) < 0)
        return -1;
    return held ? 0 : err_set(err, FP_ABORTED, "the lease was swept at once");
}

/* Waits for the next renewal; true when the thread is to end. */
static bool wait_ms(struct fp_lease *le, int ms)
{
    struct timespec until;
    int64_t until_us = clock_mono_us() + ms * 1000LL;
    int rc = 0;

    until.tv_sec = until_us / FP_US_PER_S;
    until.tv_nsec = until_us % FP_US_PER_S * 1000;
    pthread_mutex_lock(&le->lock);
    while (!le->stop && !le->hurry && rc == 0)
        rc = pthread_cond_timedwait(&le->wake, &le->lock, &until);
    le->hurry = false;
    bool stop = le->stop;
    pthread_mutex_unlock(&le->lock);
    return stop;
}

/* A renewal that was long on its way bought little, or nothing any more: the
 * next one follows early enough to have a third of the lease for itself. */
int lease_pause_ms(int64_t left_us)
{
    int64_t pause_ms = left_us / 1000 - RENEW_MS;

    if (pause_ms < 0)
        return 0;
    return pause_ms < RENEW_MS ? (int)pause_ms : RENEW_MS;
}

static void *lease_run(void *arg)
{
    struct fp_lease *le = arg;
    struct fp_err err;
    int next_ms = 0;
    bool ok = false;

    while (!wait_ms(le, next_ms)) {
        service_beat(le->service, BEAT_LEASE, "lease");
        ok = keep(le, &err) == 0;
        if (!ok)
            note_problem(le, &err);
        next_ms = ok ? lease_pause_ms(le->deadline_us - clock_boot_us()) : RETRY_MS;
        log_change(le);
    }
    service_beat_end(le->service, BEAT_LEASE);
    /* A ledger that did not answer just now would hold up the end past the
     * grace period; the lease then runs out by itself. */
    if (ok && ledger_instance_end(le->ledger, le->owner, &err) < 0)
        log_warn("", "instance not ended", "owner=%s reason=%s", le->owner, err.msg);
    return NULL;
}

struct fp_lease *lease_start(struct fp_service *s, struct fp_err *err)
{
    struct pg_options o;
    struct fp_lease *le = mem_alloc(sizeof *le);
    pthread_condattr_t attr;

    service_short_options(s, &o);
    le->service = s;
    le->ledger = ledger_open(&o, err);
    if (!le->ledger) {
        mem_free(le);
        return NULL;
    }
    snprintf(le->problem, sizeof le->problem, "not taken yet");
    pthread_mutex_init(&le->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&le->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&le->thread, NULL, lease_run, le);
    if (rc != 0)
        fp_panic("no thread for the lease: %s", strerror(rc));
    pthread_setname_np(le->thread, "lease");
    return le;
}

void lease_stop(struct fp_lease *le)
{
    if (!le)
        return;
    pthread_mutex_lock(&le->lock);
    le->stop = true;
    pthread_cond_signal(&le->wake);
    pthread_mutex_unlock(&le->lock);
    pthread_join(le->thread, NULL);
    ledger_close(le->ledger);
    pthread_cond_destroy(&le->wake);
    pthread_mutex_destroy(&le->lock);
    mem_free(le);
}

void lease_hurry(struct fp_lease *le)
{
    if (!le)
        return;
    pthread_mutex_lock(&le->lock);
    le->hurry = true;
    pthread_cond_signal(&le->wake);
    pthread_mutex_unlock(&le->lock);
}

void lease_abandon(struct fp_lease *le)
{
    if (!le)
        return;
    pthread_mutex_lock(&le->lock);
    le->abandoned = true;
    le->deadline_us = 0;
    pthread_mutex_unlock(&le->lock);
}

bool lease_held(struct fp_lease *le)
{
    if (!le)
        return false;
    pthread_mutex_lock(&le->lock);
    bool held = *le->owner && clock_boot_us() < le->deadline_us;
    pthread_mutex_unlock(&le->lock);
    return held;
}

void lease_owner(struct fp_lease *le, char out[LEDGER_UUID])
{
    out[0] = '\0';
    if (!le)
        return;
    pthread_mutex_lock(&le->lock);
    memcpy(out, le->owner, LEDGER_UUID);
    pthread_mutex_unlock(&le->lock);
}

bool lease_owns(struct fp_lease *le, const char *owner)
{
    if (!le)
        return false;
    pthread_mutex_lock(&le->lock);
    bool owns = *owner && strcmp(owner, le->owner) == 0 && clock_boot_us() < le->deadline_us;
    pthread_mutex_unlock(&le->lock);
    return owns;
}

void lease_problem(struct fp_lease *le, char *out, size_t cap)
{
    snprintf(out, cap, "not taken yet");
    if (!le)
        return;
    pthread_mutex_lock(&le->lock);
    snprintf(out, cap, "%s", *le->problem ? le->problem : "its time is over");
    pthread_mutex_unlock(&le->lock);
}
