/*
 * How the desk parts with a batch: finished, released, or lost to somebody
 * else; and what makes it part with many at once: a new owner, a provider's
 * fault that lasts, a ledger that is away.
 */
#include "services/mailer/desk_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define AGAIN_MIN_US  (FP_US_PER_S / 10)
#define AGAIN_MAX_US  (5 * FP_US_PER_S)  /* a restarted PostgreSQL is found within this */
#define NAP_US        (FP_US_PER_S / 20) /* how late a stop may be seen */
#define INSTANCES_MAX 64                 /* looked at for one that is well */
#define REFUSED_MAX   5                  /* each a turn of the desk apart: a renewal comes in between */

/* --- the ledger is away ------------------------------------------------------------------ */

bool desk_again(struct desk *d, const char *step, const struct fp_err *err)
{
    d->retry_wait_us = d->retry_wait_us ? d->retry_wait_us * 2 : AGAIN_MIN_US;
    if (d->retry_wait_us > AGAIN_MAX_US)
        d->retry_wait_us = AGAIN_MAX_US;
    if (log_limited(&d->logged_us, 10000))
        log_warn("", "ledger step failed", "step=%s code=%s retry_ms=%" PRId64 " reason=%s", step,
                 err_code_name(err->code), d->retry_wait_us / 1000, err->msg);
    metrics_add("foliopost_ledger_retries_total", "", 1);
    for (int64_t left_us = d->retry_wait_us; left_us > 0; left_us -= NAP_US) {
        if (atomic_load(&d->stopping))
            return false;
        d->o.beat(d->o.ctx, DESK_BEAT, "desk");
        clock_sleep_us(NAP_US);
    }
    return !atomic_load(&d->stopping);
}

void desk_ledger_well(struct desk *d)
{
    d->retry_wait_us = 0;
}

/* --- one batch --------------------------------------------------------------------------- */

/* What was known before the claim was lost. A mail that certainly did not go
 * out is told as a deferral, due now, that counts nothing. */
static size_t late_outcomes(const struct batch *b, struct ledger_outcome *out)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_mails; i++) {
        const struct mail *m = &b->mails[i];
        if (!m->intent || (m->state != MAIL_KNOWN && m->state != MAIL_UNSENT))
            continue;
        if (m->state == MAIL_KNOWN)
            mail_to_ledger(m, &out[n++]);
        else
            out[n++] = (struct ledger_outcome){.batch_id = b->id,
                                               .user_id = m->user_id,
                                               .state = DELIVERY_DEFERRED,
                                               .reason = "not sent: the mailer had lost its claim"};
    }
    return n;
}

static bool tell_late_truth(struct desk *d, const struct batch *b)
{
    struct fp_err err;
    char label[64];
    struct ledger_outcome *outcomes = mem_array(b->n_mails + 1, sizeof(*outcomes));
    size_t n = late_outcomes(b, outcomes);
    int changed = 0;
    while (n > 0 && (changed = ledger_late_truth(d->ledger, b->id, b->epoch, outcomes, n, &err)) < 0)
        if (!desk_again(d, "late truth", &err))
            break;
    mem_free(outcomes);
    log_info(batch_label(b, label), "batch given up", "epoch=%d late=%zu changed=%d", b->epoch, n, changed);
    return !atomic_load(&d->stopping);
}

/* A record or a step before this one can have taken minutes. */
bool desk_holds_lease(const struct desk *d)
{
    return d->o.lease.owns(d->o.lease.ctx, d->owner);
}

/* GONE: not ours any more, told by the ledger. LATER: ours still, or who knows. */
enum parting { PART_GONE, PART_LATER, PART_STOP };

/* *done: the ledger's answer; without it GONE is not told. */
static enum parting finish_or_release(struct desk *d, const struct batch *b, bool finish, bool *done)
{
    struct fp_err err;
    *done = false;
    while (desk_holds_lease(d)) {
        int rc = finish ? ledger_finish(d->ledger, d->owner, b->id, b->epoch, done, &err)
                        : ledger_release(d->ledger, d->owner, b->id, b->epoch, done, &err);
        if (rc == 0) {
            desk_ledger_well(d);
            return PART_GONE;
        }
        if (!desk_again(d, finish ? "finish" : "release", &err))
            return PART_STOP;
    }
    return PART_LATER;
}

/* Nothing changed. While the row says that the claim is ours, it is: the lease
 * had lapsed and is renewed, say. What is refused again and again has an intent
 * open that we do not know (of a record that was committed late). */
static enum parting part_refused(struct desk *d, struct batch *b)
{
    struct fp_err err;
    bool done = false;
    switch (desk_look_at_claim(d, b)) {
    case CLAIM_GONE:
        return PART_GONE;
    case CLAIM_UNKNOWN:
        return PART_LATER;
    case CLAIM_MINE:
        break;
    }
    if (++b->refused <= REFUSED_MAX || ledger_forget(d->ledger, d->owner, b->id, b->epoch, &done, &err) < 0)
        return PART_LATER;
    return done ? PART_GONE : PART_LATER;
}

/* A batch that cannot be finished goes back to the queue. It is forgotten on
 * proof alone: a claim that nobody knows while its owner lives stands for ever. */
static enum parting part(struct desk *d, struct batch *b)
{
    char label[64];
    bool done = false;
    (void)batch_label(b, label);
    if (b->state == BATCH_LOST)
        return tell_late_truth(d, b) ? PART_GONE : PART_STOP;
    enum parting p = batch_complete(b) ? finish_or_release(d, b, true, &done) : PART_GONE;
    if (p == PART_GONE && batch_complete(b) && done) {
        log_debug(label, "batch finished", "epoch=%d due=%zu", b->epoch, b->n_mails);
        return PART_GONE;
    }
    if (p == PART_GONE)
        p = finish_or_release(d, b, false, &done);
    if (p == PART_GONE && !done)
        p = part_refused(d, b);
    if (p == PART_GONE)
        log_info(label, "batch released", "epoch=%d settled=%zu left=%zu held=%d reason=%s", b->epoch,
                 b->count[MAIL_SETTLED], b->count[MAIL_LEFT], done, b->why ? b->why : "cannot be finished");
    return p;
}

static bool may_part(const struct batch *b)
{
    return batch_at_rest(b) && (b->state != BATCH_OPEN || batch_complete(b));
}

void desk_settle(struct desk *d)
{
    for (struct batch **at = &d->batches; *at;) {
        struct batch *b = *at;
        enum parting p = may_part(b) ? part(d, b) : PART_LATER;
        if (p == PART_STOP)
            return;
        if (p == PART_LATER) {
            at = &b->next;
            continue;
        }
        if (b->state != BATCH_LOST && b->count[MAIL_READY] + b->count[MAIL_RESTING] > 0)
            fp_panic("batch %" PRId64 " is parted with, and %zu of its mails are in the desk's lists", b->id,
                     b->count[MAIL_READY] + b->count[MAIL_RESTING]);
        *at = b->next;
        d->n_batches--;
        batch_free(b);
        inbox_give_slot(d->inbox);
    }
}

/* --- many at once ------------------------------------------------------------------------ */

bool desk_check_owner(struct desk *d)
{
    char owner[LEDGER_UUID];
    char label[64];
    d->o.lease.owner(d->o.lease.ctx, owner);
    memcpy(d->owner, owner, sizeof(owner));
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state == BATCH_LOST || strcmp(b->owner, owner) == 0)
            continue;
        log_warn(batch_label(b, label), "claim lost", "epoch=%d reason=the lease was over", b->epoch);
        metrics_add("foliopost_claims_lost_total", "", 1);
        batch_lose(&d->lists, b);
    }
    return desk_holds_lease(d);
}

static bool seen_before(const struct batch *first, const struct batch *b)
{
    for (; first != b; first = first->next)
        if (first->job_id == b->job_id)
            return true;
    return false;
}

static void pause_job(struct desk *d, const struct batch *b, const struct provider *p)
{
    struct fp_err err;
    char label[64], reason[256];
    (void)snprintf(reason, sizeof(reason), "provider %s: %s", p->o->name, p->hold.reason);
    if (ledger_job_pause(d->ledger, b->job_id, reason, "mailer", &err) < 0)
        log_warn(batch_label(b, label), "job not paused", "reason=%s", err.msg);
    else
        log_warn(batch_label(b, label), "job paused", "reason=%s", reason);
}

/* A live mailer that notes no fault: it is our way to the provider that is broken. */
static bool others_are_well(struct desk *d)
{
    struct fp_err err;
    struct ledger_instance *live = mem_array(INSTANCES_MAX, sizeof(*live));
    int n = ledger_instances_live(d->ledger, live, INSTANCES_MAX, &err);
    bool well = false;
    for (int i = 0; i < n; i++)
        well |= strcmp(live[i].service, "mailer") == 0 && strcmp(live[i].id, d->owner) != 0 &&
                live[i].note[0] == '\0';
    mem_free(live);
    return well;
}

/* The others get what we cannot send, but for one batch to probe with. */
static void stand_back(struct desk *d)
{
    bool kept = false;
    log_warn("", "stands back", "provider=%s reason=%s: other mailers note no fault", d->providers[0].o->name,
             d->providers[0].hold.reason);
    atomic_store(&d->stands_back, true);
    for (struct batch *b = d->batches; b; b = b->next)
        if (kept || b->state != BATCH_OPEN)
            batch_close(&d->lists, b, "another mailer may reach the provider");
        else
            kept = true;
}

static bool stands_long(const struct desk *d, const struct provider *p, int64_t now_us)
{
    return hold_standing_us(&p->hold, now_us) >= d->o.fault_pause_ms * 1000;
}

/* A provider that mails wait for which name it (*own), or one of all that are
 * nobody's own when they all stand. NULL: mail passes, or may soon. */
static struct provider *lasting_fault(struct desk *d, int64_t now_us, bool *own)
{
    struct provider *common = NULL, *named = NULL;
    bool passes = false;
    *own = true;
    for (int i = 0; i < d->o.n_providers; i++) {
        struct provider *p = &d->providers[i];
        if (p->o->dedicated && p->named > 0 && stands_long(d, p, now_us))
            return p;
        if (p->o->dedicated)
            continue;
        if (stands_long(d, p, now_us))
            named = p->named > 0 ? p : named;
        else
            passes = true;
        common = common ? common : p;
    }
    *own = passes;
    return passes ? named : common;
}

/* Whether it has mails that wait for this provider. */
static bool concerns(const struct batch *b, const struct desk *d, const struct provider *p)
{
    int8_t place = (int8_t)(p - d->providers);
    for (size_t i = 0; i < b->n_mails; i++)
        if (b->mails[i].state == MAIL_READY && b->mails[i].rendered.provider == place)
            return true;
    return false;
}

/* Jobs that come now have their own time. */
static void begin_again(struct desk *d, const struct provider *p, bool own, int64_t now_us)
{
    for (int i = 0; i < d->o.n_providers; i++)
        if (&d->providers[i] == p || (!own && !d->providers[i].o->dedicated))
            d->providers[i].hold.since_us = now_us;
}

void desk_check_fault(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    bool own;
    const struct provider *p = d->batches ? lasting_fault(d, now_us, &own) : NULL;
    if (!p || !desk_holds_lease(d)) /* whoever is cut off may be what is broken */
        return;
    begin_again(d, p, own, now_us);
    if (!own && others_are_well(d)) {
        stand_back(d);
        return;
    }
    for (struct batch *b = d->batches; b; b = b->next) {
        if (own && !concerns(b, d, p))
            continue;
        if (own || !seen_before(d->batches, b)) /* pausing twice is once */
            pause_job(d, b, p);
        batch_close(&d->lists, b, "the provider's fault lasts");
    }
}
