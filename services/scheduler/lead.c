/*
 * The lead's renewal, and how long it went without a gap.
 *
 * The database's lease ends at the earliest LEDGER_LEASE_MS after the renewal
 * was sent; the deadline kept here is two seconds earlier. Whoever passed it
 * has lost the lead, also when the row still carries his name and nobody took
 * it: what stopped him may have stopped the renewals of all the others, so he
 * begins anew and waits before he declares anybody dead. The same goes for a
 * renewal that took long without the lead being lost: the lease of an
 * instance may have run out in the same gap.
 *
 * How long there was no gap counts from the first answer on, whoever led then: a
 * standby that the database has answered all the while knows as well as a leader
 * that missing renewals are not the database's fault. So a leader and a mailer that
 * die together are seen within one lease and not two.
 *
 * What it does not do: make the thread (scheduler.c), or act.
 */
#include "services/scheduler/lead.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define RENEW_MS 1000

/* Two seconds leave time for a statement on its way. */
#define LEAD_US ((LEDGER_LEASE_MS - 2000) * INT64_C(1000))

/* Instances renew every third of the lease, so a halt of two thirds can cost
 * one its lease. Half of it counts as a gap. */
#define GAP_US (LEDGER_LEASE_MS / 2 * INT64_C(1000))

void lead_init(struct lead *d, struct fp_ledger *ledger, void *ctx,
               void (*process)(void *ctx, char out[LEDGER_UUID]))
{
    memset(d, 0, sizeof *d);
    d->ledger = ledger;
    d->ctx = ctx;
    d->process = process;
    pthread_mutex_init(&d->lock, NULL);
}

void lead_fini(struct lead *d)
{
    if (d->process)
        pthread_mutex_destroy(&d->lock);
    d->process = NULL;
}

static void lost(struct lead *d, const char *why)
{
    if (!d->leading)
        return;
    pthread_mutex_lock(&d->lock);
    d->leading = false;
    d->answered_boot_us = 0;
    pthread_mutex_unlock(&d->lock);
    log_warn("", "lead lost", "term=%" PRId64 " reason=%s", d->term, why);
}

/* A new owner UUID means that our lease was swept: the lead went with it. */
static void follow_process(struct lead *d)
{
    char now[LEDGER_UUID];

    d->process(d->ctx, now);
    if (strcmp(now, d->owner) == 0)
        return;
    lost(d, "this process's lease was swept");
    pthread_mutex_lock(&d->lock);
    memcpy(d->owner, now, sizeof now);
    d->answered_boot_us = 0;
    pthread_mutex_unlock(&d->lock);
}

/* How long ago what was answered before was sent. */
static int64_t gap_us(const struct lead *d, int64_t now)
{
    return d->answered_boot_us == 0 ? INT64_MAX : now - d->answered_boot_us;
}

/* Under the lock. */
static void answered(struct lead *d, int64_t sent_boot_us, int64_t now)
{
    if (gap_us(d, now) > GAP_US)
        d->since_boot_us = now;
    d->answered_boot_us = sent_boot_us;
}

static void renewed(struct lead *d, int64_t term, int64_t sent_boot_us)
{
    int64_t now = clock_boot_us(), gap = gap_us(d, now);
    bool taken = !d->leading || term != d->term;

    if (taken)
        log_info("", "lead taken", "term=%" PRId64 " owner=%s", term, d->owner);
    else if (gap > GAP_US)
        log_warn("", "lead renewed late", "gap_ms=%" PRId64 " effect=nobody is declared dead for %d s",
                 gap / 1000, LEDGER_LEASE_MS / 1000);
    pthread_mutex_lock(&d->lock);
    answered(d, sent_boot_us, now);
    d->leading = true;
    d->term = term;
    d->until_boot_us = sent_boot_us + LEAD_US;
    pthread_mutex_unlock(&d->lock);
}

static void renew(struct lead *d, int64_t sent_boot_us)
{
    static long long said_us;
    struct fp_err err;
    bool leading;
    int64_t term;

    if (ledger_lead(d->ledger, d->owner, &leading, &term, &err)) {
        if (log_limited(&said_us, 10000))
            log_warn("", "lead not renewed", "leading=%d reason=%s", d->leading, err.msg);
    } else if (leading) {
        renewed(d, term, sent_boot_us);
    } else {
        lost(d, "another scheduler has it");
        pthread_mutex_lock(&d->lock);
        answered(d, sent_boot_us, clock_boot_us());
        pthread_mutex_unlock(&d->lock);
    }
}

int lead_turn(struct lead *d)
{
    int64_t now = clock_boot_us();

    follow_process(d);
    if (d->leading && now >= d->until_boot_us)
        lost(d, "the lease could not be renewed in time");
    renew(d, now);
    bool over = d->leading && clock_boot_us() >= d->until_boot_us; /* it was long on its way */
    metrics_set("foliopost_leader", "", d->leading && !over);
    return over ? 0 : RENEW_MS;
}

bool lead_look(struct lead *d, struct lead_view *v)
{
    pthread_mutex_lock(&d->lock);
    int64_t now = clock_boot_us();
    v->held = d->leading && now < d->until_boot_us;
    memcpy(v->owner, d->owner, sizeof v->owner);
    v->term = d->term;
    v->steady_ms = v->held ? (now - d->since_boot_us) / 1000 : 0;
    pthread_mutex_unlock(&d->lock);
    return v->held;
}

void lead_resign(struct lead *d)
{
    struct fp_err err;

    if (!d->leading)
        return;
    pthread_mutex_lock(&d->lock);
    d->leading = false;
    pthread_mutex_unlock(&d->lock);
    metrics_set("foliopost_leader", "", 0);
    if (ledger_lead_end(d->ledger, d->owner, &err))
        log_warn("", "lead not given back", "it ends with its lease; reason=%s", err.msg);
    else
        log_info("", "lead given back", "term=%" PRId64, d->term);
}
