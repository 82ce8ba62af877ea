/*
 * Mails that wait for the one provider that they name, their brand's or their
 * job's, when that stands and they take all the claim slots: put off, so that
 * others' users in the batches behind them get their mail.
 *
 * A batch mixes brands, and a slot is free only when each of its users has an
 * outcome. One with mails for a provider that stands keeps its slot; soon all are
 * like that, and nothing more is claimed, although the other providers are well.
 * So these mails are `deferred`: never sent, no attempt counted, tried again
 * after `retry-base`. One batch stays as it is, to probe with and to let a
 * lasting fault be seen (settle.c). With a single slot that one batch is all
 * there is, and the others wait.
 *
 * Not before the fault has stood for a while and the slots are full: a relay that
 * starts anew, or a job of that brand alone on an idle mailer, puts nobody off.
 */
#include "services/mailer/desk_internal.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define STOOD_US (5 * FP_US_PER_S)

static bool slots_are_full(const struct desk *d)
{
    int n = 0;
    for (const struct batch *b = d->batches; b; b = b->next)
        n++;
    return n >= d->o.slots;
}

/* Its mails for this provider; 0: it has none. */
static size_t park_batch(struct desk *d, struct batch *b, const struct provider *p, bool count_only)
{
    const struct retry_rule rule = {.base_ms = d->o.retry_base_ms, .cap_ms = d->o.retry_cap_ms};
    size_t n = 0;
    for (size_t i = 0; i < b->n_mails; i++) {
        struct mail *m = &b->mails[i];
        if (m->state != MAIL_READY || m->rendered.provider != (int8_t)(p - d->providers))
            continue;
        n++;
        if (count_only)
            continue;
        outcome_of_waiting(p->o->name, &rule, erand48(d->dice), &m->outcome);
        m->provider_no = p->no;
        mail_move(&d->lists, m, MAIL_KNOWN);
    }
    return n;
}

static void park(struct desk *d, const struct provider *p)
{
    bool kept = false;
    size_t n = 0;
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state != BATCH_OPEN)
            continue;
        if (kept)
            n += park_batch(d, b, p, false);
        else
            kept = park_batch(d, b, p, true) > 0;
    }
    if (n == 0)
        return;
    metrics_add("foliopost_put_off_total", "", (double)n);
    if (log_limited(&d->logged_us, 10000))
        log_warn("", "mails put off", "provider=%s mails=%zu: it stands, others are to get their claim slots",
                 p->o->name, n);
}

void desk_park(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    if (!d->any_named || !slots_are_full(d))
        return;
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        if (hold_standing_us(&p->hold, now_us) >= STOOD_US)
            park(d, p);
    }
    if (!d->known_since_us && d->lists.known.n)
        d->known_since_us = now_us;
}
