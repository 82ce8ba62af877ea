/*
 * What becomes of a mail that comes back from a sender: its outcome, or, when
 * it certainly did not go out and the user has no part in it, back it goes.
 */
#include "services/mailer/desk_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

/* A mail that met so many provider's faults while others passed is itself what
 * is refused. Two outages in a row must not look like that. */
#define OWN_FAULTS 5

static struct retry_rule rule_of(const struct desk *d, const struct batch *b)
{
    return (struct retry_rule){.base_ms = d->o.retry_base_ms,
                               .cap_ms = d->o.retry_cap_ms,
                               .max_attempts = b->max_attempts,
                               .resend = b->resend};
}

static void tell_fault(struct desk *d, const struct mail *m)
{
    char label[64];
    log_warn(batch_label(m->batch, label), "provider fault", "provider=%s code=%d reason=%s", d->o.provider,
             m->reply.code, d->hold.reason);
    metrics_set("foliopost_provider_fault", "", 1);
    d->fault_told = true;
    d->o.note(d->o.ctx, d->hold.reason);
    pacer_fault(d->pacer, d->hold.reason);
}

static void tell_fault_over(struct desk *d)
{
    d->fault_told = false;
    metrics_set("foliopost_provider_fault", "", 0);
    d->o.note(d->o.ctx, "");
    pacer_fault(d->pacer, "");
}

static void fault(struct desk *d, struct mail *m, bool sure)
{
    if (hold_fault(&d->hold, m->reply.reason, m->probe, sure, clock_mono_us()))
        tell_fault(d, m);
}

/* This mail has met faults that others have not. */
static bool is_own_fault(const struct desk *d, struct mail *m)
{
    if (m->faults++ == 0)
        m->passed = d->hold.passed;
    return m->faults >= OWN_FAULTS && d->hold.passed >= m->passed + OWN_FAULTS;
}

static void faulted(struct desk *d, struct mail *m)
{
    const struct retry_rule rule = rule_of(d, m->batch);
    if (is_own_fault(d, m)) {
        outcome_of_own_fault(&m->reply, m->attempts, &rule, erand48(d->dice), &m->outcome);
        if (m->probe)
            hold_probe_back(&d->hold);
        mail_move(&d->lists, m, MAIL_KNOWN);
        return;
    }
    fault(d, m, m->reply.code == 0);
    mail_move(&d->lists, m, MAIL_UNSENT);
}

static void throttled(struct desk *d, struct mail *m)
{
    char label[64];
    if (hold_throttled(&d->hold, m->probe, clock_mono_us())) {
        log_warn(batch_label(m->batch, label), "throttled", "provider=%s code=%d reason=%s", d->o.provider,
                 m->reply.code, m->reply.reason);
        pacer_throttled(d->pacer);
    }
    metrics_add("foliopost_throttled_total", "", 1);
    mail_move(&d->lists, m, MAIL_UNSENT);
}

/* An unclear end says nothing good of the provider: some in a row, or of the
 * probe, are its fault too, or a dying relay would make a whole job ambiguous. */
static void judge_provider(struct desk *d, struct mail *m)
{
    if (m->reply.verdict == VERDICT_AMBIGUOUS) {
        fault(d, m, false);
        return;
    }
    if (hold_passed(&d->hold, m->probe))
        log_info("", "provider well again", "provider=%s", d->o.provider);
    if (d->fault_told && !d->hold.standing)
        tell_fault_over(d);
}

static void take_reply(struct desk *d, struct mail *m)
{
    const struct retry_rule rule = rule_of(d, m->batch);
    d->out--;
    if (!m->tried) {
        if (m->probe)
            hold_probe_back(&d->hold);
        mail_move(&d->lists, m, MAIL_UNSENT);
        return;
    }
    switch (outcome_of_reply(&m->reply, m->attempts, &rule, erand48(d->dice), &m->outcome)) {
    case NEXT_RECORD:
        judge_provider(d, m);
        mail_move(&d->lists, m, MAIL_KNOWN);
        return;
    case NEXT_THROTTLE:
        throttled(d, m);
        return;
    case NEXT_FAULT:
        faulted(d, m);
        return;
    }
}

void desk_take_replied(struct desk *d, struct mail *first)
{
    struct mail *next;
    for (struct mail *m = first; m; m = next) {
        next = m->in_next;
        take_reply(d, m);
    }
}
