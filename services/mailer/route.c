/*
 * Which ready mails may go now, and through which provider.
 *
 * Providers that are well share the mails by their weights: each mail gives
 * every one of them its share of credit, and takes a whole mail's from the one
 * it goes through. A provider may run ahead of its share by SHARE_SLACK mails,
 * since their slices do not come at the same moments; beyond that the others
 * are waited for, so a weight is a share and not a wish (a new address that is
 * being warmed up must not get more). Weight 0 is for standing by: it gets
 * mails when no other is well.
 *
 * Who stands, is throttled or has used up his quota for the day gets no share:
 * the others take it. That is all there is to failover, because only mails that
 * were certainly not accepted are ready again; what may have been is recorded
 * as ambiguous and is no longer here. A provider that stands gets one probe.
 *
 * Mails of a domain with a rate of its own are passed over while that gives none.
 *
 * A mail may name its provider: its brand's own, or its job's. Nobody else takes
 * it, and while that one stands it waits: through another the brand's domain
 * would not be signed for. A provider that is a brand's own is dedicated: it has
 * no share and takes these mails alone, as fast as its rate lets them. One that
 * others share in takes those that name it beside its share, which they do not
 * count in; nobody waits for it meanwhile, since they may take all it can.
 */
#include "services/mailer/desk_internal.h"

#include "lib/base/clock.h"

#define OPEN_WORK_S 0.01 /* open intents: at most so much work, or twice the connections */
#define SHARE_SLACK 50

size_t desk_open_cap(const struct desk *d, const struct provider *p)
{
    size_t by_connections = 2 * (size_t)p->o->connections;
    size_t by_work = (size_t)(d->per_second * OPEN_WORK_S);
    size_t cap = by_work > by_connections ? by_work : by_connections;
    return cap < OPEN_MAX ? cap : OPEN_MAX;
}

static bool stands(const struct desk *d, const struct provider *p, int64_t now_us)
{
    return p->hold.standing || now_us < p->hold.until_us || pacer_spent(d->pacer, p->channel);
}

bool desk_all_stand(const struct desk *d)
{
    for (int i = 0; i < d->o.n_providers; i++)
        if (!d->providers[i].hold.standing)
            return false;
    return true;
}

/* All that is yet to be sent: what slices are asked for. Of a dry run nothing is. */
static size_t waiting(const struct desk *d)
{
    size_t n = 0;
    for (const struct batch *b = d->batches; b; b = b->next)
        if (b->state == BATCH_OPEN && !b->dry_run)
            n += b->count[MAIL_WAITING] + b->count[MAIL_RENDERING] + b->count[MAIL_READY];
    return n;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- what each rate gives ----------------------------------------------------------------- */

/* Who joins or leaves starts all anew: a debt to one that is away is not paid. */
static void set_well(struct desk *d, unsigned well)
{
    if (well == d->well)
        return;
    d->well = well;
    for (int i = 0; i < d->o.n_providers; i++)
        d->providers[i].credit = 0;
}

/* Shares of those that are well; 0 for the others. Whom mails name begins anew like one that joins. */
static void find_shares(struct desk *d, double share[PROVIDERS_MAX], int64_t now_us)
{
    double sum = 0;
    int n_well = 0;
    unsigned mask = 0;
    for (int i = 0; i < d->o.n_providers; i++) {
        bool well = !d->providers[i].o->dedicated && !stands(d, &d->providers[i], now_us);
        share[i] = well ? d->providers[i].o->weight : -1;
        sum += well ? share[i] : 0;
        n_well += well;
        mask |= (unsigned)well << i;
        mask |= (unsigned)(!d->providers[i].o->dedicated && d->providers[i].named > 0) << (PROVIDERS_MAX + i);
    }
    set_well(d, mask);
    for (int i = 0; i < d->o.n_providers; i++)
        share[i] = share[i] < 0 ? 0 : sum > 0 ? share[i] / sum : 1.0 / n_well;
}

/* Of a dedicated one: what waits for it is asked for. */
static void offer_own(struct desk *d, struct provider *p, int64_t *next_us)
{
    size_t cap = desk_open_cap(d, p), room = cap > p->out ? cap - p->out : 0;
    int64_t more_us = INT64_MAX;
    p->allowed = hold_allows(&p->hold, room < p->named ? room : p->named, clock_mono_us());
    p->taken = 0;
    p->can = pacer_offer(d->pacer, p->channel, p->named, p->allowed, &more_us);
    *next_us = p->named ? earliest(*next_us, more_us) : *next_us;
}

static void offer(struct desk *d, struct provider *p, double share, size_t n, int64_t now_us,
                  int64_t *next_us)
{
    size_t cap = desk_open_cap(d, p), room = cap > p->out ? cap - p->out : 0;
    int64_t more_us = INT64_MAX;
    p->allowed = hold_allows(&p->hold, room < d->lists.ready.n ? room : d->lists.ready.n, now_us);
    p->taken = 0;
    p->named_only = share <= 0 && !stands(d, p, now_us); /* it stands by */
    if (p->named_only && p->named == 0) {
        p->can = 0;
        return;
    }
    size_t ask_for = share > 0 ? (size_t)((double)n * share + 0.999) + p->named : p->allowed;
    ask_for = p->named_only ? p->named : ask_for;
    if (share <= 0 && ask_for == 0 && pacer_spent(d->pacer, p->channel))
        ask_for = n > 0; /* to hear of a new day */
    p->can = pacer_offer(d->pacer, p->channel, ask_for, p->allowed, &more_us);
    p->planned_credit = share > 0 ? p->credit : 0;
    *next_us = earliest(*next_us, more_us);
}

/* Ready mails that name a provider. Returns how many. */
static size_t count_named(struct desk *d)
{
    size_t n = 0;
    d->named_shared = false;
    for (int i = 0; i < d->o.n_providers; i++)
        d->providers[i].named = 0;
    for (const struct mail *m = d->lists.ready.first; m; m = m->next)
        if (m->rendered.provider >= 0) {
            struct provider *p = &d->providers[m->rendered.provider];
            p->named++;
            d->named_shared |= !p->o->dedicated;
            n++;
        }
    return n;
}

/* Of its mails, those that its rate does not take within two slices. */
static size_t beyond_soon(const struct desk *d, const struct domain *at, size_t mails)
{
    double rate = pacer_rate(d->pacer, at->channel);
    size_t soon = (size_t)(rate / 5) + 1;
    return rate > 0 && mails > soon ? mails - soon : 0;
}

static void offer_domains(struct desk *d, int64_t *next_us)
{
    int64_t more_us;
    size_t unnamed[DOMAINS_MAX] = {0};
    for (int i = 0; i < d->o.n_domains; i++)
        d->domains[i].ready = d->domains[i].taken = 0;
    for (const struct mail *m = d->lists.ready.first; m; m = m->next)
        if (m->domain >= 0) {
            d->domains[m->domain].ready++;
            unnamed[m->domain] += m->rendered.provider < 0;
        }
    for (int i = 0; i < d->o.n_domains; i++) {
        struct domain *at = &d->domains[i];
        at->can = pacer_offer(d->pacer, at->channel, at->ready, at->ready, &more_us);
        *next_us = at->ready ? earliest(*next_us, more_us) : *next_us;
        at->behind = beyond_soon(d, at, at->ready) > 0;
        d->ready_bound += beyond_soon(d, at, unnamed[i]);
    }
}

/* --- which mail through which ---------------------------------------------------------------- */

/* A probe first; else who is owed most. */
static struct provider *choose(struct desk *d, const double share[PROVIDERS_MAX])
{
    struct provider *best = NULL;
    for (int i = 0; i < d->o.n_providers; i++) {
        struct provider *p = &d->providers[i];
        if (p->taken >= p->can || p->o->dedicated || p->named_only)
            continue;
        if (share[i] <= 0)
            return p;
        if ((p->planned_credit > -SHARE_SLACK || d->named_shared) &&
            (!best || p->planned_credit > best->planned_credit))
            best = p;
    }
    return best;
}

/* The one that the mail names, or who is to have it. */
static struct provider *provider_for(struct desk *d, const struct mail *m, const double share[PROVIDERS_MAX])
{
    if (m->rendered.provider < 0)
        return choose(d, share);
    struct provider *p = &d->providers[m->rendered.provider];
    return p->taken < p->can ? p : NULL;
}

static void pay(struct desk *d, struct provider *p, bool named, const double share[PROVIDERS_MAX])
{
    p->taken++;
    if (named || share[p - d->providers] <= 0)
        return;
    for (int i = 0; i < d->o.n_providers; i++)
        if (share[i] > 0)
            d->providers[i].planned_credit += share[i];
    p->planned_credit -= 1;
}

static void assign(struct desk *d, const double share[PROVIDERS_MAX])
{
    struct record_set *r = &d->record;
    bool full = false; /* nothing more for mails that name none */
    r->n_asked = 0;
    for (struct mail *m = d->lists.ready.first; m && r->n_asked < OPEN_MAX; m = m->next) {
        struct domain *at = m->domain >= 0 ? &d->domains[m->domain] : NULL;
        if (at && at->taken >= at->can)
            continue;
        struct provider *p = full && m->rendered.provider < 0 ? NULL : provider_for(d, m, share);
        full |= !p && m->rendered.provider < 0;
        if (!p && full && !d->any_named)
            return;
        if (!p)
            continue;
        pay(d, p, m->rendered.provider >= 0, share);
        if (at)
            at->taken++;
        r->via[r->n_asked] = (int8_t)(p - d->providers);
        r->asked[r->n_asked++] = m;
    }
}

void desk_route(struct desk *d, struct plan *plan)
{
    double share[PROVIDERS_MAX] = {0};
    int64_t now_us = clock_mono_us();
    size_t n = waiting(d);
    *plan = (struct plan){.next_us = INT64_MAX};
    d->ready_bound = d->any_named ? count_named(d) : 0;
    n -= d->ready_bound;
    find_shares(d, share, now_us);
    for (int i = 0; i < d->o.n_providers; i++)
        if (d->providers[i].o->dedicated)
            offer_own(d, &d->providers[i], &plan->next_us);
        else
            offer(d, &d->providers[i], share[i], n, now_us, &plan->next_us);
    if (d->o.n_domains)
        offer_domains(d, &plan->next_us);
    assign(d, share);
    plan->can = d->record.n_asked;
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        bool starving = p->out <= (size_t)p->o->connections / 2;
        plan->worth |=
            p->taken > 0 && (starving || p->taken < p->allowed || p->taken >= desk_open_cap(d, p) / 2);
    }
}
