/*
 * What becomes of a mail that comes back from a sender: its outcome, or, when
 * it certainly did not go out and the user has no part in it, back it goes.
 */
#include "services/mailer/desk_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

/* A mail that met so many provider's faults while others passed is itself what
 * is refused. Two outages in a row must not look like that. */
#define OWN_FAULTS 5
/* So many throttling replies while others passed, and few others throttled,
 * are about this mail; alone it takes more, as a limit looks the same. */
#define OWN_THROTTLES       3
#define OWN_THROTTLES_ALONE 8
/* A mail that was refused by policy comes again after 1 s, 2 s, 4 s. */
#define REST_MIN_US FP_US_PER_S
#define REST_MAX_US (30 * FP_US_PER_S)

static struct retry_rule rule_of(const struct desk *d, const struct batch *b)
{
    int64_t left_us = b->deadline_us < INT64_MAX ? b->deadline_us - clock_mono_us() : INT64_MAX;
    return (struct retry_rule){.base_ms = d->o.retry_base_ms,
                               .cap_ms = d->o.retry_cap_ms,
                               .max_attempts = b->max_attempts,
                               .left_ms = left_us < INT64_MAX ? left_us / 1000 : INT64_MAX,
                               .resend = b->resend};
}

static struct provider *provider_of(struct desk *d, const struct mail *m)
{
    return &d->providers[m->provider];
}

void desk_fault_metric(const struct provider *p, double value)
{
    char labels[100];
    (void)snprintf(labels, sizeof(labels), "provider=\"%s\"", p->o->name);
    metrics_set("foliopost_provider_fault", labels, value);
}

static void tell_fault(struct desk *d, struct provider *p, const struct mail *m)
{
    char label[64];
    log_warn(batch_label(m->batch, label), "provider fault", "provider=%s code=%d reason=%s", p->o->name,
             m->reply.code, p->hold.reason);
    desk_fault_metric(p, 1);
    p->fault_told = true;
    pacer_fault(d->pacer, p->channel, p->hold.reason);
}

static void tell_fault_over(struct desk *d, struct provider *p)
{
    p->fault_told = false;
    atomic_store(&d->stands_back, false);
    desk_fault_metric(p, 0);
    pacer_fault(d->pacer, p->channel, "");
}

static void fault(struct desk *d, struct mail *m, enum hold_row row)
{
    struct provider *p = provider_of(d, m);
    if (hold_fault(&p->hold, m->reply.reason, m->user_id, m->probe, row, clock_mono_us()))
        tell_fault(d, p, m);
}

static void note_first(struct desk *d, struct mail *m)
{
    if (m->faults + m->account_faults + m->throttles > 0)
        return;
    m->passed = provider_of(d, m)->hold.passed;
    m->others = provider_of(d, m)->hold.throttles;
}

/* --- a mail's own -------------------------------------------------------------------------- */

/* This mail has met faults that others have not; or nobody else is left to
 * tell, but the provider worked lately and had heard who the recipient is. */
static bool is_own_fault(struct desk *d, struct mail *m)
{
    note_first(d, m);
    if (m->reply.account) {
        m->account_faults++; /* a quota that runs dry lets some pass between others */
        return false;
    }
    if (++m->faults < OWN_FAULTS)
        return false;
    return provider_of(d, m)->hold.passed >= m->passed + OWN_FAULTS ||
           (m->reply.at_recipient && hold_passed_lately(&provider_of(d, m)->hold, clock_mono_us()));
}

static bool is_own_throttle(struct desk *d, struct mail *m)
{
    note_first(d, m);
    m->throttles++;
    uint64_t passed = provider_of(d, m)->hold.passed - m->passed;
    uint64_t others = provider_of(d, m)->hold.throttles - m->others - (uint64_t)(m->throttles - 1);
    if (m->throttles >= OWN_THROTTLES && passed >= OWN_THROTTLES && passed > 4 * others)
        return true;
    return m->throttles >= OWN_THROTTLES_ALONE && m->reply.at_recipient &&
           hold_passed_lately(&provider_of(d, m)->hold, clock_mono_us());
}

/* Refused as its own: deferred, or what its reply says already. */
static void charge(struct desk *d, struct mail *m)
{
    const struct retry_rule rule = rule_of(d, m->batch);
    if (!m->reply.vague)
        outcome_of_own_fault(&m->reply, m->attempts, &rule, erand48(d->dice), &m->outcome);
    if (m->probe)
        hold_probe_back(&provider_of(d, m)->hold);
    mail_move(&d->lists, m, MAIL_KNOWN);
}

/* The hold paces the probes of a standing fault. */
static void withdraw(struct desk *d, struct mail *m, int times)
{
    int64_t rest_us = REST_MIN_US;
    for (int i = 1; i < times && rest_us < REST_MAX_US; i++)
        rest_us *= 2;
    m->rest_until_us = provider_of(d, m)->hold.standing || times == 0 ? 0 : clock_mono_us() + rest_us;
    mail_move(&d->lists, m, MAIL_UNSENT);
}

/* --- verdicts -------------------------------------------------------------------------------- */

static void faulted(struct desk *d, struct mail *m)
{
    bool sure = m->reply.code == 0 && !m->reply.at_recipient;
    if (is_own_fault(d, m)) {
        charge(d, m);
        return;
    }
    /* The only mail there is, and nothing ever passed, or our account is refused: somebody has to look. */
    if (m->account_faults >= OWN_FAULTS ||
        (m->faults >= OWN_FAULTS && !hold_passed_lately(&provider_of(d, m)->hold, clock_mono_us())))
        sure = true;
    fault(d, m, sure ? HOLD_SURE : m->reply.vague ? HOLD_VAGUE : HOLD_POLICY);
    withdraw(d, m, m->faults + m->account_faults);
}

static void throttled(struct desk *d, struct mail *m)
{
    char label[64];
    int64_t now_us = clock_mono_us();
    metrics_add("foliopost_throttled_total", "", 1);
    if (is_own_throttle(d, m)) {
        charge(d, m);
        return;
    }
    hold_asked(&provider_of(d, m)->hold, m->reply.retry_after_ms * 1000, now_us);
    if (hold_throttled(&provider_of(d, m)->hold, m->probe, now_us)) {
        log_warn(batch_label(m->batch, label), "throttled", "provider=%s code=%d reason=%s",
                 provider_of(d, m)->o->name, m->reply.code, m->reply.reason);
        pacer_throttled(d->pacer, provider_of(d, m)->channel);
    }
    if (hold_only_throttled(&provider_of(d, m)->hold, now_us))
        fault(d, m, HOLD_SURE);
    withdraw(d, m, 0);
}

static void passed(struct desk *d, const struct mail *m)
{
    struct provider *p = provider_of(d, m);
    if (hold_passed(&p->hold, m->probe, clock_mono_us()))
        log_info("", "provider well again", "provider=%s", p->o->name);
    if (p->fault_told && !p->hold.standing)
        tell_fault_over(d, p);
}

/* There is an outcome. An unclear end, or a refusal that does not name the
 * mailbox, says nothing good of the provider: some in a row, or of the probe,
 * are its fault too, or a dying relay would make a whole job ambiguous or
 * failed. What certainly did not go out is then taken back. */
static void concluded(struct desk *d, struct mail *m)
{
    if (m->reply.verdict == VERDICT_AMBIGUOUS) {
        hold_asked(&provider_of(d, m)->hold, m->reply.retry_after_ms * 1000, clock_mono_us());
        fault(d, m, HOLD_POLICY);
    } else if (!m->reply.vague) {
        passed(d, m);
    } else {
        if (!provider_of(d, m)->hold.standing)
            fault(d, m, HOLD_VAGUE);
        if (provider_of(d, m)->hold.standing) {
            faulted(d, m);
            return;
        }
    }
    mail_move(&d->lists, m, MAIL_KNOWN);
}

static void count_reply(const struct provider *p, enum verdict verdict)
{
    static const char *const classes[] = {"sent",      "deferred",  "failed",
                                          "ambiguous", "throttled", "provider_fault"};
    char labels[120];
    (void)snprintf(labels, sizeof(labels), "provider=\"%s\",class=\"%s\"", p->o->name, classes[verdict]);
    metrics_add("foliopost_replies_total", labels, 1);
}

static void take_reply(struct desk *d, struct mail *m)
{
    const struct retry_rule rule = rule_of(d, m->batch);
    d->out--;
    provider_of(d, m)->out--;
    if (!m->tried) {
        if (m->probe)
            hold_probe_back(&provider_of(d, m)->hold);
        mail_move(&d->lists, m, MAIL_UNSENT);
        return;
    }
    count_reply(provider_of(d, m), m->reply.verdict);
    switch (outcome_of_reply(&m->reply, m->attempts, &rule, erand48(d->dice), &m->outcome)) {
    case NEXT_RECORD:
        concluded(d, m);
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
