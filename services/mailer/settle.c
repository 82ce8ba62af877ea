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

#define AGAIN_MIN_US (FP_US_PER_S / 10)
#define AGAIN_MAX_US (5 * FP_US_PER_S)  /* a restarted PostgreSQL is found within this */
#define NAP_US       (FP_US_PER_S / 20) /* how late a stop may be seen */

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
            outcome_to_ledger(&m->outcome, b->id, m->user_id, &out[n++]);
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

/* *done: the ledger's answer. False: stop. */
static bool finish_or_release(struct desk *d, const struct batch *b, bool finish, bool *done)
{
    struct fp_err err;
    int rc;
    do {
        rc = finish ? ledger_finish(d->ledger, d->owner, b->id, b->epoch, done, &err)
                    : ledger_release(d->ledger, d->owner, b->id, b->epoch, done, &err);
    } while (rc < 0 && desk_again(d, finish ? "finish" : "release", &err));
    if (rc < 0)
        return false;
    desk_ledger_well(d);
    return true;
}

/* False: stop. A batch that cannot be finished goes back to the queue, and one
 * that cannot be released is not ours any more: both are safe to forget. */
static bool part(struct desk *d, const struct batch *b)
{
    char label[64];
    bool done = false;
    (void)batch_label(b, label);
    if (b->state == BATCH_LOST)
        return tell_late_truth(d, b);
    if (batch_complete(b)) {
        if (!finish_or_release(d, b, true, &done))
            return false;
        if (done) {
            log_debug(label, "batch finished", "epoch=%d due=%zu", b->epoch, b->n_mails);
            return true;
        }
    }
    if (!finish_or_release(d, b, false, &done))
        return false;
    log_info(label, "batch released", "epoch=%d settled=%zu left=%zu held=%d reason=%s", b->epoch,
             b->count[MAIL_SETTLED], b->count[MAIL_LEFT], done, b->why ? b->why : "cannot be finished");
    return true;
}

static bool may_part(const struct batch *b)
{
    return batch_at_rest(b) && (b->state != BATCH_OPEN || batch_complete(b));
}

void desk_settle(struct desk *d)
{
    for (struct batch **at = &d->batches; *at;) {
        struct batch *b = *at;
        if (!may_part(b)) {
            at = &b->next;
            continue;
        }
        if (!part(d, b))
            return;
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
    return d->o.lease.owns(d->o.lease.ctx, d->owner);
}

static bool seen_before(const struct batch *first, const struct batch *b)
{
    for (; first != b; first = first->next)
        if (first->job_id == b->job_id)
            return true;
    return false;
}

static void pause_job(struct desk *d, const struct batch *b)
{
    struct fp_err err;
    char label[64], reason[256];
    (void)snprintf(reason, sizeof(reason), "provider %s: %s", d->o.provider, d->hold.reason);
    if (ledger_job_pause(d->ledger, b->job_id, reason, "mailer", &err) < 0)
        log_warn(batch_label(b, label), "job not paused", "reason=%s", err.msg);
    else
        log_warn(batch_label(b, label), "job paused", "reason=%s", reason);
}

void desk_check_fault(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    if (!d->batches || hold_standing_us(&d->hold, now_us) < d->o.fault_pause_ms * 1000)
        return;
    for (struct batch *b = d->batches; b; b = b->next) {
        if (!seen_before(d->batches, b))
            pause_job(d, b);
        batch_close(&d->lists, b, "the provider's fault lasts");
    }
    d->hold.since_us = now_us; /* jobs that come now have their own time */
}
