/*
 * The loop. In the order of a mail's way: render -> slice of the rate ->
 * intent -> send, refilled as outcomes arrive, so that no connection waits for
 * a batch's slowest mail.
 *
 * When to make a statement is the one thing tuned here. It is worth one when
 * the senders run out of mails, or half of the open intents can be opened
 * anew, or the rate hands out mails; outcomes alone wait a little for company.
 * The number of open intents is what a crash can leave unknown, so it is kept
 * as small as keeps the senders busy.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/desk_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define SETTLE_US     INT64_C(25000)     /* how long an outcome waits for company */
#define HEARTBEAT_US  FP_US_PER_S        /* a record at least so often: jobs' states come back with it */
#define MEASURE_US    FP_US_PER_S        /* the present rate is measured over this */
#define AHEAD_MIN     64                 /* mails rendered ahead */
#define AHEAD_BYTES   (16 * 1024 * 1024) /* and at most so many bytes of them */
#define LEASE_LOOK_US (FP_US_PER_S / 10) /* how often to look while no lease is held */

/* --- what may be opened -------------------------------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t all_connections(const struct desk *d)
{
    size_t n = 0;
    for (int i = 0; i < d->o.n_providers; i++)
        n += (size_t)d->o.providers[i].connections;
    return n;
}

static size_t open_cap(const struct desk *d)
{
    size_t n = 0;
    for (int i = 0; i < d->o.n_providers; i++)
        n += desk_open_cap(d, &d->providers[i]);
    return least(n, OPEN_MAX);
}

static bool record_due(const struct desk *d, const struct plan *p)
{
    int64_t now_us = clock_mono_us();
    if (p->worth)
        return true;
    if (d->known_since_us &&
        (now_us >= d->known_since_us + SETTLE_US || d->lists.known.n >= RECORD_MAX_OUTCOMES / 2))
        return true;
    return now_us >= d->last_record_us + HEARTBEAT_US;
}

/* --- waiting -------------------------------------------------------------------------------- */

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static struct inbox_wait make_wait(const struct desk *d, const struct plan *p, bool owned)
{
    int64_t now_us = clock_mono_us();
    struct inbox_wait w = {.until_us = now_us + HEARTBEAT_US,
                           .settle_us = SETTLE_US,
                           .replies = SIZE_MAX,
                           .rendered = SIZE_MAX};
    size_t few = all_connections(d) / 2, half = open_cap(d) / 2;
    if (!owned) {
        w.until_us = now_us + LEASE_LOOK_US;
        return w;
    }
    for (int i = 0; i < d->o.n_providers; i++)
        w.until_us = earliest(w.until_us, hold_next_us(&d->providers[i].hold, now_us));
    w.until_us = earliest(w.until_us, p->next_us);
    w.until_us = earliest(w.until_us, d->rested_us);
    if (d->n_batches)
        w.until_us = earliest(w.until_us, d->last_record_us + HEARTBEAT_US);
    if (d->known_since_us)
        w.until_us = earliest(w.until_us, d->known_since_us + SETTLE_US);
    if (d->lists.ready.n > 0)
        w.replies = d->out > few ? least(half, d->out - few) : 1;
    w.rendered = d->lists.ready.n == 0 ? 1 : half;
    return w;
}

/* --- what came -------------------------------------------------------------------------------- */

static int8_t domain_of(const struct desk *d, const char *email)
{
    const char *at = strrchr(email, '@');
    for (int i = 0; at && i < d->o.n_domains; i++)
        if (strcasecmp(at + 1, d->o.domains[i].name) == 0)
            return (int8_t)i;
    return -1;
}

static void adopt(struct desk *d, struct batch *b)
{
    struct batch **end = &d->batches;
    while (*end)
        end = &(*end)->next;
    b->next = NULL;
    *end = b;
    d->n_batches++;
    for (size_t i = 0; i < b->n_mails; i++) {
        struct mail *m = &b->mails[i];
        m->domain = domain_of(d, m->item->user->email);
        if (m->suppressed)
            outcome_suppressed(&m->outcome);
        if (m->suppressed || outcome_without_mail(m->item, &m->outcome))
            mail_move(&d->lists, m, MAIL_KNOWN);
    }
    if (b->state == BATCH_CLOSING)
        batch_close(&d->lists, b, b->why);
}

/* What it has to wait for, besides the providers that all share. */
static void note_wait(struct desk *d, const struct mail *m)
{
    int8_t no = m->rendered.provider;
    int64_t now_us = clock_mono_us();
    d->any_named |= no >= 0;
    d->any_limited |= m->domain >= 0;
    if (no >= 0)
        d->providers[no].named_us = now_us;
    else if (m->domain >= 0)
        d->domains[m->domain].came_us = now_us;
    else
        d->free_us = now_us;
}

static void take_rendered(struct desk *d, struct mail *m)
{
    d->rendering--;
    if (m->batch->state != BATCH_OPEN) {
        mail_move(&d->lists, m, MAIL_LEFT);
    } else if (m->suppressed) {
        outcome_suppressed(&m->outcome);
        mail_move(&d->lists, m, MAIL_KNOWN);
    } else if (m->data && m->batch->dry_run) {
        outcome_of_dry_run(m->item, m->bytes, &m->outcome);
        mail_move(&d->lists, m, MAIL_KNOWN);
    } else if (m->data) {
        note_wait(d, m);
        mail_move(&d->lists, m, MAIL_READY);
    } else {
        outcome_of_render_error(&m->render_err, &m->outcome);
        mail_move(&d->lists, m, MAIL_KNOWN);
    }
}

static void take(struct desk *d, const struct inbox_taken *t)
{
    struct batch *next_batch;
    struct mail *next;
    for (struct batch *b = t->batches; b; b = next_batch) {
        next_batch = b->next;
        adopt(d, b);
    }
    for (struct mail *m = t->rendered; m; m = next) {
        next = m->in_next;
        take_rendered(d, m);
    }
    desk_take_replied(d, t->replied);
    if (!d->known_since_us && (d->lists.known.n || d->lists.unsent.n))
        d->known_since_us = clock_mono_us();
}

static void wake_rested(struct desk *d, int64_t now_us)
{
    struct mail *next;
    d->rested_us = INT64_MAX;
    for (struct mail *m = d->lists.resting.first; m; m = next) {
        next = m->next;
        if (now_us >= m->rest_until_us)
            mail_move(&d->lists, m, MAIL_READY);
        else
            d->rested_us = earliest(d->rested_us, m->rest_until_us);
    }
}

/* --- rendering ahead ---------------------------------------------------------------------------- */

/* What waits for the one provider that it names, or for its domain's rate, keeps
 * nobody else from being rendered; the claim slots bound it. */
static bool render_more(const struct desk *d)
{
    size_t ready = d->lists.ready.n > d->ready_bound ? d->lists.ready.n - d->ready_bound : 0;
    size_t slice = (size_t)(d->per_second / 5); /* two slices */
    size_t ahead = 2 * open_cap(d);
    ahead = ahead > slice ? ahead : slice;
    ahead = ahead > AHEAD_MIN ? ahead : AHEAD_MIN;
    return ready + d->rendering < ahead && d->lists.ready_bytes < AHEAD_BYTES;
}

static bool feed_one(struct desk *d, struct batch *b)
{
    while (b->next_waiting < b->n_mails && b->mails[b->next_waiting].state != MAIL_WAITING)
        b->next_waiting++;
    if (b->next_waiting == b->n_mails)
        return false;
    struct mail *m = &b->mails[b->next_waiting];
    mail_move(&d->lists, m, MAIL_RENDERING);
    d->rendering++;
    renderers_give(d->renderers, m);
    return true;
}

static void feed(struct desk *d)
{
    for (struct batch *b = d->batches; b; b = b->next)
        while (b->state == BATCH_OPEN && render_more(d) && feed_one(d, b))
            ;
}

/* --- the loop -------------------------------------------------------------------------------------- */

static void measure(struct desk *d, int64_t now_us)
{
    if (now_us < d->measured_us + MEASURE_US)
        return;
    double per_second = (double)d->measured * 1e6 / (double)(now_us - d->measured_us);
    d->per_second = d->per_second > 0 ? (d->per_second + per_second) / 2 : per_second;
    d->measured = 0;
    d->measured_us = now_us;
}

static void halt_senders(struct desk *d, int64_t now_us)
{
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        senders_halt(p->senders, p->hold.standing || now_us < p->hold.until_us);
    }
}

/* What the process says of itself. While one provider works, it is well. */
static void note(struct desk *d)
{
    char now[sizeof(d->noted)] = "";
    if (desk_all_stand(d))
        (void)snprintf(now, sizeof(now), "%s", d->providers[0].hold.reason);
    else
        pacer_waits(d->pacer, now);
    if (strcmp(now, d->noted) == 0)
        return;
    memcpy(d->noted, now, sizeof(now));
    d->o.note(d->o.ctx, now);
}

static void close_all(struct desk *d, const char *why)
{
    for (struct batch *b = d->batches; b; b = b->next)
        if (b->state == BATCH_OPEN)
            batch_close(&d->lists, b, why);
}

/* All that the desk does, once. */
static void turn(struct desk *d, struct plan *plan, bool *owned)
{
    struct inbox_taken taken;
    const struct inbox_wait w = make_wait(d, plan, *owned);
    inbox_take(d->inbox, &w, &taken);
    d->o.beat(d->o.ctx, DESK_BEAT, "desk");
    take(d, &taken);
    int64_t now_us = clock_mono_us();
    halt_senders(d, now_us);
    if (atomic_load(&d->draining))
        close_all(d, "draining");
    *owned = desk_check_owner(d);
    desk_check_fault(d);
    wake_rested(d, now_us);
    desk_check_suppressed(d);
    desk_park(d);
    feed(d);
    desk_route(d, plan);
    if (*owned && record_due(d, plan))
        desk_record(d, true);
    if (*owned) {
        desk_settle(d);
        desk_check_strays(d);
    }
    measure(d, clock_mono_us());
    note(d);
    atomic_store(&d->open_now, (int)(d->out + d->lists.known.n + d->lists.unsent.n));
}

static void *desk_main(void *arg)
{
    struct desk *d = arg;
    struct plan plan = {.next_us = INT64_MAX};
    bool owned = true;
    pthread_setname_np(pthread_self(), "desk");
    while (!atomic_load(&d->stopping))
        turn(d, &plan, &owned);
    return NULL;
}

/* --- life -------------------------------------------------------------------------------------------- */

static void slice_came(void *ctx)
{
    inbox_wake(((struct desk *)ctx)->inbox);
}

static void pacer_beats(void *ctx)
{
    struct desk *d = ctx;
    d->o.beat(d->o.ctx, PACER_BEAT, "pacer");
}

static int start_pacer(struct desk *d, struct fp_err *err)
{
    struct pacer_options p = {
        .ledger = d->o.ledger,
        .window = d->o.window,
        .changed = slice_came,
        .beat = pacer_beats,
        .ctx = d,
    };
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider_options *o = &d->o.providers[i];
        d->providers[i].channel = p.n_channels;
        p.channels[p.n_channels++] = (struct channel_options){o->name, o->limits};
    }
    for (int i = 0; i < d->o.n_domains; i++) {
        d->domains[i] = (struct domain){.o = &d->o.domains[i], .channel = p.n_channels};
        p.channels[p.n_channels++] =
            (struct channel_options){d->o.domains[i].channel, {.per_second = d->o.domains[i].mail_rate}};
    }
    d->pacer = pacer_start(&p, err);
    return d->pacer ? 0 : -1;
}

static int start_senders(struct desk *d, struct provider *p, struct fp_err *err)
{
    const struct senders_options s = {
        .transport = p->o->transport,
        .settings = p->o->transport_settings,
        .connections = p->o->connections,
        .max_queued = OPEN_MAX,
        .lease = d->o.lease,
        .inbox = d->inbox,
        .turn = desk_turn,
        .ctx = d,
    };
    p->senders = senders_start(&s, err);
    return p->senders ? 0 : err_prefix(err, "provider %s", p->o->name);
}

static int start_providers(struct desk *d, struct fp_err *err)
{
    for (int i = 0; i < d->o.n_providers; i++) {
        d->providers[i].o = &d->o.providers[i];
        d->providers[i].fault_told = true; /* by a mailer before this one, perhaps */
        desk_fault_metric(&d->providers[i], 0);
        if (ledger_provider_number(d->ledger, d->o.providers[i].name, &d->providers[i].no, err) < 0)
            return -1;
    }
    if (start_pacer(d, err) < 0)
        return -1;
    for (int i = 0; i < d->o.n_providers; i++)
        if (start_senders(d, &d->providers[i], err) < 0)
            return -1;
    return 0;
}

struct desk *desk_start(const struct desk_options *o, struct fp_err *err)
{
    struct desk *d = mem_alloc(sizeof(*d));
    int64_t now_us = clock_mono_us();
    d->o = *o;
    d->inbox = inbox_new(o->slots);
    d->record.held = mem_array((size_t)o->slots, sizeof(*d->record.held));
    d->last_record_us = d->measured_us = now_us;
    d->rested_us = INT64_MAX;
    memcpy(d->dice, &now_us, sizeof(d->dice));
    d->ledger = ledger_open(&o->ledger, err);
    if (!d->ledger || start_providers(d, err) < 0) {
        (void)desk_stop(d);
        return NULL;
    }
    d->renderers =
        renderers_start(&o->render, o->render_threads, (size_t)o->slots * WIRE_MAX_USERS, d->inbox);
    d->thread_runs = pthread_create(&d->thread, NULL, desk_main, d) == 0;
    if (!d->thread_runs)
        fp_panic("cannot start the desk's thread");
    return d;
}

bool desk_take_slot(struct desk *d, int timeout_ms)
{
    if (atomic_load(&d->stands_back) && inbox_slots_used(d->inbox) > 0) {
        clock_sleep_us((int64_t)timeout_ms * 1000);
        return false;
    }
    return inbox_take_slot(d->inbox, timeout_ms);
}

void desk_give_slot(struct desk *d)
{
    inbox_give_slot(d->inbox);
}

void desk_give(struct desk *d, struct batch *b)
{
    inbox_batch(d->inbox, b);
}

int desk_slots_used(struct desk *d)
{
    return inbox_slots_used(d->inbox);
}

void desk_drain(struct desk *d)
{
    atomic_store(&d->draining, true);
    inbox_wake(d->inbox);
}

void desk_limits(struct desk *d, int provider, const struct ledger_limits *limits)
{
    pacer_limits(d->pacer, d->providers[provider].channel, limits);
}

void desk_report(struct desk *d)
{
    metrics_set("foliopost_open_intents", "", atomic_load(&d->open_now));
    metrics_set("foliopost_active_batches", "", desk_slots_used(d));
    for (int i = 0; i < d->o.n_providers; i++) {
        const struct provider *p = &d->providers[i];
        char labels[100];
        (void)snprintf(labels, sizeof(labels), "provider=\"%s\"", p->o->name);
        metrics_set("foliopost_sends_in_flight", labels, senders_sending(p->senders));
        metrics_set("foliopost_mail_rate", labels, pacer_rate(d->pacer, p->channel));
    }
}

static void take_what_came(struct desk *d)
{
    struct inbox_taken taken;
    const struct inbox_wait now = {0};
    inbox_take(d->inbox, &now, &taken);
    take(d, &taken);
}

static void free_batches(struct desk *d)
{
    take_what_came(d);
    while (d->batches) {
        struct batch *b = d->batches;
        d->batches = b->next;
        batch_free(b);
        inbox_give_slot(d->inbox);
    }
}

bool desk_stop(struct desk *d)
{
    atomic_store(&d->stopping, true);
    inbox_wake(d->inbox);
    if (d->thread_runs)
        pthread_join(d->thread, NULL);
    for (struct batch *b = d->batches; b; b = b->next)
        atomic_store(&b->stopped, true);
    renderers_stop(d->renderers);
    take_what_came(d);
    if (d->out > 0) { /* a sender may hang on a slow server longer than we may wait */
        log_warn("", "stopped with mails out", "mails=%zu they become ambiguous when the lease is over",
                 d->out);
        return false;
    }
    for (int i = 0; i < d->o.n_providers; i++)
        senders_stop(d->providers[i].senders);
    pacer_stop(d->pacer);
    free_batches(d);
    ledger_close(d->ledger);
    inbox_free(d->inbox);
    mem_free(d->record.held);
    mem_free(d);
    return true;
}
