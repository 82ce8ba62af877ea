/*
 * Mails that wait for the one provider that they name, their brand's or their
 * job's, and take all the claim slots: put off, so that others' users in the
 * batches behind them get their mail.
 *
 * A batch mixes brands, and a slot is free only when each of its users has an
 * outcome. One with mails for a provider that stands, or is slow, keeps its slot;
 * soon all are like that, and nothing more is claimed, although the other
 * providers are well. So these mails are `deferred`: never sent, no attempt
 * counted, tried again after `retry-base`. Some batches stay as they are. Of a
 * provider that stands it is one, to probe with and to let a lasting fault be seen
 * (settle.c); of a slow one as many as it has work of for a second, at most half
 * of them, so that it loses nothing of its rate. With a single slot that one batch
 * is all there is, and the others wait.
 *
 * Not before the fault has stood for a while and the slots are full: a relay that
 * starts anew, or a job of that brand alone on an idle mailer, puts nobody off. Nor
 * when nobody else has been here lately: then there is nobody to make room for.
 */
#include "services/mailer/desk_internal.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define STOOD_US   (5 * FP_US_PER_S)
#define CROWDED_US FP_US_PER_S        /* nobody but those who name one has had work for so long */
#define OTHERS_US  (60 * FP_US_PER_S) /* others came within this: more of them may be behind */

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

/* Keeps the first batches with its mails: one, and more until they have `keep`. */
static void park(struct desk *d, const struct provider *p, size_t keep, const char *why)
{
    int batches = 0, most = d->o.slots / 2;
    size_t kept = 0, n = 0;
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state != BATCH_OPEN)
            continue;
        if (batches > 0 && (kept >= keep || batches >= most)) {
            n += park_batch(d, b, p, false);
            continue;
        }
        size_t has = park_batch(d, b, p, true);
        batches += has > 0;
        kept += has;
    }
    if (n == 0)
        return;
    metrics_add("foliopost_put_off_total", "", (double)n);
    if (log_limited(&d->logged_us, 10000))
        log_warn("", "mails put off", "provider=%s mails=%zu: it %s, others are to get their claim slots",
                 p->o->name, n, why);
}

/* --- slow ones ------------------------------------------------------------------------------ */

/* Whatever waits here waits for a provider that it names. */
static bool all_wait_for_theirs(const struct desk *d)
{
    for (const struct batch *b = d->batches; b; b = b->next)
        if (b->count[MAIL_WAITING] || b->count[MAIL_RENDERING] || b->count[MAIL_RESTING])
            return false;
    for (const struct mail *m = d->lists.ready.first; m; m = m->next)
        if (m->rendered.provider < 0)
            return false;
    return d->lists.ready.n > 0;
}

static bool has_others(const struct desk *d, const struct provider *p, int64_t now_us)
{
    int64_t seen_us = d->unnamed_us;
    for (int i = 0; i < d->o.n_providers; i++)
        if (&d->providers[i] != p && d->providers[i].named_us > seen_us)
            seen_us = d->providers[i].named_us;
    return seen_us && now_us < seen_us + OTHERS_US;
}

static size_t work_of_a_second(const struct desk *d, const struct provider *p)
{
    double rate = pacer_rate(d->pacer, p->channel);
    return rate > 0 ? (size_t)(rate + 1) : desk_open_cap(d, p);
}

static void park_slow(struct desk *d, int64_t now_us)
{
    if (!all_wait_for_theirs(d))
        d->crowded_us = 0;
    else if (!d->crowded_us)
        d->crowded_us = now_us;
    if (!d->crowded_us || now_us < d->crowded_us + CROWDED_US)
        return;
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        if (hold_standing_us(&p->hold, now_us) == 0 && has_others(d, p, now_us))
            park(d, p, work_of_a_second(d, p), "is slow");
    }
}

void desk_park(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    if (!d->any_named || !slots_are_full(d)) {
        d->crowded_us = 0;
        return;
    }
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        if (hold_standing_us(&p->hold, now_us) >= STOOD_US)
            park(d, p, 0, "stands");
    }
    park_slow(d, now_us);
    if (!d->known_since_us && d->lists.known.n)
        d->known_since_us = now_us;
}
