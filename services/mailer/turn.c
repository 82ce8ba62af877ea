/*
 * A mail's turn of the rates. The desk takes it when it opens the intent, so that
 * no more intents are open than the rates let go. From then to the first word at the provider
 * there can be a queue and a connection that has yet to be made; at the start
 * all mails wait for such, and would arrive together. So who begins looks at the
 * time: a turn is good for a slice's length from when it was due (rate.h), and who is later
 * has lost it and waits for another, now that he can use it at once.
 *
 * The statement that makes the intent durable does not count, up to half a slice. It delays all that
 * the desk opened alike, one statement after the other, so nothing piles up behind it; counted, a slow
 * ledger would cost each mail two turns, and half of the rate. One that stalls for longer is no delay of all:
 * what it had opened would go together with what is good by then.
 */
#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/desk_internal.h"
#include "services/mailer/rate.h"

#define STATEMENT_MOST_US (RATE_SLICE_US / 2)

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int domain_channel(const struct desk *d, const struct mail *m)
{
    return m->domain >= 0 ? d->domains[m->domain].channel : -1;
}

void desk_use_turn(struct desk *d, struct mail *m)
{
    int domain = domain_channel(d, m);
    m->turn_until_us = pacer_use(d->pacer, d->providers[m->provider].channel, 1);
    if (domain >= 0)
        m->turn_until_us = earliest(m->turn_until_us, pacer_use(d->pacer, domain, 1));
}

void desk_keep_turn(struct mail *m, int64_t statement_us)
{
    if (m->turn_until_us != INT64_MAX)
        m->turn_until_us += earliest(statement_us, STATEMENT_MOST_US);
}

static void lose_turn(struct desk *d, struct mail *m)
{
    int domain = domain_channel(d, m);
    if (m->turn_until_us == 0)
        return;
    m->turn_until_us = 0;
    metrics_add("foliopost_turns_missed_total", "", 1);
    pacer_lose(d->pacer, d->providers[m->provider].channel);
    if (domain >= 0)
        pacer_lose(d->pacer, domain);
}

/* The domain's first: its turns are the rarer ones. */
static bool take_turn(struct desk *d, struct mail *m, int64_t wait_us)
{
    int domain = domain_channel(d, m);
    int64_t good_us = INT64_MAX, of_domain_us = INT64_MAX;
    if (domain >= 0 && !pacer_turn(d->pacer, domain, wait_us, &of_domain_us))
        return false;
    if (!pacer_turn(d->pacer, d->providers[m->provider].channel, wait_us, &good_us)) {
        if (domain >= 0)
            pacer_lose(d->pacer, domain);
        return false;
    }
    m->turn_until_us = earliest(good_us, of_domain_us);
    return true;
}

bool desk_turn(void *ctx, struct mail *m, int64_t wait_us)
{
    struct desk *d = ctx;
    if (clock_mono_us() <= m->turn_until_us)
        return true;
    lose_turn(d, m);
    return take_turn(d, m, wait_us);
}
