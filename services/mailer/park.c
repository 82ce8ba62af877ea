/*
 * Mails that wait for the one provider that they name, their brand's or their
 * job's, or for the own rate of their recipient's domain, and take all the claim
 * slots: put off, so that others' users in the batches behind them get their mail.
 *
 * A batch mixes brands and domains, and a slot is free only when each of its users has an
 * outcome. One with mails for a provider that stands, or is slow, keeps its slot;
 * soon all are like that, and nothing more is claimed, although the other
 * providers are well. So these mails are `deferred`: never sent, no attempt
 * counted, tried again after `retry-base`. Some batches stay as they are. Of a
 * provider that stands it is one, to probe with and to let a lasting fault be seen
 * (settle.c); of a slow one, and of a domain, as many as it has work of for a second, at most half
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

#define STOOD_US (5 * FP_US_PER_S)
#define CROWDED_US                                                                                           \
    FP_US_PER_S /* nobody but those who wait for a provider or a domain has had work for so long */
#define LIMITED_US                                                                                           \
    (FP_US_PER_S / 5) /* of a domain's rate that is known sooner: it is set, and not found out */
#define OTHERS_US (60 * FP_US_PER_S) /* others came within this: more of them may be behind */

static bool slots_are_full(const struct desk *d)
{
    int n = 0;
    for (const struct batch *b = d->batches; b; b = b->next)
        n++;
    return n >= d->o.slots;
}

/* What mails are put off for: the provider that they name, or their domain's rate. */
struct cause {
    const struct provider *provider; /* NULL: the domain */
    const struct domain *domain;
    const char *why;
};

static bool waits_for(const struct desk *d, const struct mail *m, const struct cause *c)
{
    if (m->state != MAIL_READY)
        return false;
    return c->provider ? m->rendered.provider == (int8_t)(c->provider - d->providers)
                       : m->domain == (int8_t)(c->domain - d->domains);
}

static void put_off(struct desk *d, struct mail *m, const struct cause *c)
{
    const struct retry_rule rule = {.base_ms = d->o.retry_base_ms, .cap_ms = d->o.retry_cap_ms};
    outcome_of_waiting(c->provider ? c->provider->o->name : NULL, c->domain ? c->domain->o->name : NULL,
                       &rule, erand48(d->dice), &m->outcome);
    m->provider_no = c->provider ? c->provider->no : 0;
    mail_move(&d->lists, m, MAIL_KNOWN);
}

/* Its mails that wait for this; 0: it has none. */
static size_t park_batch(struct desk *d, struct batch *b, const struct cause *c, bool count_only)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_mails; i++) {
        if (!waits_for(d, &b->mails[i], c))
            continue;
        n++;
        if (!count_only)
            put_off(d, &b->mails[i], c);
    }
    return n;
}

static void say(struct desk *d, const struct cause *c, size_t n)
{
    metrics_add("foliopost_put_off_total", "", (double)n);
    if (log_limited(&d->logged_us, 10000))
        log_warn("", "mails put off", "%s=%s mails=%zu: it %s, others are to get their claim slots",
                 c->provider ? "provider" : "domain", c->provider ? c->provider->o->name : c->domain->o->name,
                 n, c->why);
}

/* Keeps the first batches with its mails: one, and more until they have `keep`. */
static void park(struct desk *d, const struct cause *c, size_t keep)
{
    int batches = 0, most = d->o.slots / 2;
    size_t kept = 0, n = 0;
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state != BATCH_OPEN)
            continue;
        if (batches > 0 && (kept >= keep || batches >= most)) {
            n += park_batch(d, b, c, false);
            continue;
        }
        size_t has = park_batch(d, b, c, true);
        batches += has > 0;
        kept += has;
    }
    if (n > 0)
        say(d, c, n);
}

/* --- slow ones ------------------------------------------------------------------------------ */

/* Whatever waits here waits for a provider that it names, or for its domain's rate. */
static bool all_wait_for_theirs(const struct desk *d)
{
    for (const struct batch *b = d->batches; b; b = b->next)
        if (b->count[MAIL_WAITING] || b->count[MAIL_RENDERING] || b->count[MAIL_RESTING])
            return false;
    for (const struct mail *m = d->lists.ready.first; m; m = m->next)
        if (m->rendered.provider < 0 && (m->domain < 0 || !d->domains[m->domain].behind))
            return false;
    return d->lists.ready.n > 0;
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool has_others(const struct desk *d, const struct cause *c, int64_t now_us)
{
    int64_t seen_us = d->free_us;
    for (int i = 0; i < d->o.n_providers; i++)
        if (&d->providers[i] != c->provider)
            seen_us = latest(seen_us, d->providers[i].named_us);
    for (int i = 0; i < d->o.n_domains; i++)
        if (&d->domains[i] != c->domain)
            seen_us = latest(seen_us, d->domains[i].came_us);
    return seen_us && now_us < seen_us + OTHERS_US;
}

static size_t work_of_a_second(const struct desk *d, const struct provider *p)
{
    double rate = pacer_rate(d->pacer, p->channel);
    return rate > 0 ? (size_t)(rate + 1) : desk_open_cap(d, p);
}

static void park_slow_providers(struct desk *d, int64_t now_us)
{
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct cause c = {.provider = &d->providers[i], .why = "is slow"};
        if (hold_standing_us(&c.provider->hold, now_us) == 0 && has_others(d, &c, now_us))
            park(d, &c, work_of_a_second(d, c.provider));
    }
}

/* What a domain's rate takes within a second is kept: where another thing is
 * slow, and not the domain, that is all there is of it. */
static void park_domains(struct desk *d, int64_t now_us)
{
    for (int i = 0; i < d->o.n_domains; i++) {
        const struct cause c = {.domain = &d->domains[i], .why = "has used up its rate"};
        double rate = pacer_rate(d->pacer, c.domain->channel);
        if (rate > 0 && (double)c.domain->ready > rate + 1 && has_others(d, &c, now_us))
            park(d, &c, (size_t)(rate + 1));
    }
}

static void park_slow(struct desk *d, int64_t now_us)
{
    if (!all_wait_for_theirs(d))
        d->crowded_us = 0;
    else if (!d->crowded_us)
        d->crowded_us = now_us;
    if (!d->crowded_us)
        return;
    if (now_us >= d->crowded_us + CROWDED_US)
        park_slow_providers(d, now_us);
    if (now_us >= d->crowded_us + LIMITED_US)
        park_domains(d, now_us);
}

void desk_park(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    if ((!d->any_named && !d->any_limited) || !slots_are_full(d)) {
        d->crowded_us = 0;
        return;
    }
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct cause c = {.provider = &d->providers[i], .why = "stands"};
        if (hold_standing_us(&c.provider->hold, now_us) >= STOOD_US)
            park(d, &c, 0);
    }
    park_slow(d, now_us);
    if (!d->known_since_us && d->lists.known.n)
        d->known_since_us = now_us;
}
