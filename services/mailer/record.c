/*
 * The desk's statement: outcomes so far, withdrawals and new intents of all
 * batches in one round trip and one commit. Only after it succeeded do the new
 * intents' mails go to the senders (P6).
 *
 * It is safe to repeat, so while PostgreSQL is away the same one is tried
 * again. A mail's `intent` is set before the statement and only cleared by an
 * answer: a reply lost after the commit must not leave an intent behind that
 * nobody withdraws.
 */
#include "services/mailer/desk_internal.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

/* A claim that is not held is looked at once more after this, since a lease
 * renewed in the same moment can make it held again; and it is given up only
 * when its row says so, since a clock that steps ends leases that are renewed. */
#define LOOK_AGAIN_US INT64_C(900000)
#define HELD_TWICE    2

static void add_held(struct desk *d)
{
    struct record_set *r = &d->record;
    r->n_held = 0;
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state == BATCH_LOST)
            continue;
        b->held_at = r->n_held;
        r->held[r->n_held++] = (struct ledger_held){.batch_id = b->id, .epoch = b->epoch};
    }
}

static void add_known_and_unsent(struct desk *d)
{
    struct record_set *r = &d->record;
    r->n_known = r->n_unsent = 0;
    for (struct mail *m = d->lists.known.first; m && r->n_known < RECORD_MAX_OUTCOMES; m = m->next) {
        mail_to_ledger(m, &r->outcomes[r->n_known]);
        r->known[r->n_known++] = m;
    }
    for (struct mail *m = d->lists.unsent.first; m && r->n_unsent < OPEN_MAX; m = m->next) {
        r->withdrawn[r->n_unsent] = (struct ledger_intent){m->batch->id, m->user_id};
        r->unsent[r->n_unsent++] = m;
    }
}

/* What the plan names. From here on it counts: rates are used, shares are paid. */
static void ask(struct desk *d, bool with_new)
{
    struct record_set *r = &d->record;
    r->asked_us = clock_mono_us();
    if (!with_new)
        r->n_asked = 0;
    for (size_t i = 0; i < r->n_asked; i++) {
        struct mail *m = r->asked[i];
        struct provider *p = &d->providers[r->via[i]];
        if (m->provider != r->via[i])
            m->faults = m->account_faults = m->throttles = 0; /* met with another */
        m->provider = r->via[i];
        m->provider_no = p->no;
        m->probe = p->hold.standing;
        p->hold.probing |= m->probe;
        m->intent = true;
        desk_use_turn(d, m);
        mail_move(&d->lists, m, MAIL_ASKED);
        r->intents[i] = (struct ledger_intent){m->batch->id, m->user_id};
    }
    for (int i = 0; i < d->o.n_providers && with_new; i++)
        d->providers[i].credit = d->providers[i].planned_credit;
}

/* --- the answer -------------------------------------------------------------------------- */

static const struct ledger_held *answer_for(const struct desk *d, const struct mail *m)
{
    return &d->record.held[m->batch->held_at];
}

static void apply_known(struct desk *d)
{
    double counts[DELIVERY_REQUEUED + 1] = {0};
    struct record_set *r = &d->record;
    for (size_t i = 0; i < r->n_known; i++) {
        struct mail *m = r->known[i];
        if (!answer_for(d, m)->held)
            continue;
        m->intent = false;
        mail_move(&d->lists, m, MAIL_SETTLED);
        counts[m->outcome.state]++;
        d->measured++;
    }
    for (int s = DELIVERY_SENT; s <= DELIVERY_DEFERRED; s++) {
        static const char *const labels[] = {
            [DELIVERY_SENT] = "outcome=\"sent\"",         [DELIVERY_FAILED] = "outcome=\"failed\"",
            [DELIVERY_SKIPPED] = "outcome=\"skipped\"",   [DELIVERY_AMBIGUOUS] = "outcome=\"ambiguous\"",
            [DELIVERY_DEFERRED] = "outcome=\"deferred\"",
        };
        if (counts[s] > 0)
            metrics_add("foliopost_mails_total", labels[s], counts[s]);
    }
}

/* The first try of this record may yet be carried out: it must find no intent that was
 * opened anew, or a crash would leave a mail behind that nobody knows of. Under the epoch
 * of the next claim it changes nothing. */
static void close_doubtful(struct desk *d)
{
    char label[64];
    struct record_set *r = &d->record;
    for (size_t i = 0; i < r->n_unsent && r->in_doubt; i++) {
        struct batch *b = r->unsent[i]->batch;
        if (b->state != BATCH_OPEN)
            continue;
        log_info(batch_label(b, label), "batch closes", "reason=a withdrawal is in doubt");
        batch_close(&d->lists, b, "a withdrawal is in doubt");
    }
}

static void apply_unsent(struct desk *d)
{
    struct record_set *r = &d->record;
    for (size_t i = 0; i < r->n_unsent; i++) {
        struct mail *m = r->unsent[i];
        if (!answer_for(d, m)->held)
            continue;
        m->intent = false;
        if (m->batch->state != BATCH_OPEN)
            mail_move(&d->lists, m, MAIL_LEFT);
        else
            mail_move(&d->lists, m, m->rest_until_us ? MAIL_RESTING : MAIL_READY);
    }
}

static bool may_send(const struct ledger_held *h)
{
    return h->held && h->job_state == JOB_IN_PROGRESS && !h->outside;
}

static void apply_asked(struct desk *d)
{
    struct record_set *r = &d->record;
    int64_t took_us = clock_mono_us() - r->asked_us;
    for (size_t i = 0; i < r->n_asked; i++) {
        struct mail *m = r->asked[i];
        const struct ledger_held *h = answer_for(d, m);
        if (may_send(h)) {
            mail_move(&d->lists, m, MAIL_SENDING);
            desk_keep_turn(m, took_us);
            d->out++;
            d->providers[m->provider].out++;
            senders_give(d->providers[m->provider].senders, m);
            continue;
        }
        mail_move(&d->lists, m, MAIL_READY);
        if (m->batch->state != BATCH_OPEN) /* since a moment ago: nobody takes it back later */
            mail_move(&d->lists, m, MAIL_UNSENT);
        if (m->probe)
            hold_probe_back(&d->providers[m->provider].hold);
    }
}

static void apply_held(struct desk *d, struct batch *b, const struct ledger_held *h)
{
    char label[64];
    if (h->held) {
        b->not_held = 0;
        if (may_send(h) || b->state != BATCH_OPEN)
            return;
        const char *why =
            h->job_state == JOB_IN_PROGRESS ? "outside its hours" : job_state_name(h->job_state);
        log_info(batch_label(b, label), "batch closes", "reason=job is %s", why);
        batch_close(&d->lists, b, why);
        return;
    }
    if (!desk_holds_lease(d))
        return;
    d->last_record_us -= LOOK_AGAIN_US;
    if (++b->not_held < HELD_TWICE || desk_look_at_claim(d, b) != CLAIM_GONE)
        return;
    log_warn(batch_label(b, label), "claim lost", "epoch=%d", b->epoch);
    metrics_add("foliopost_claims_lost_total", "", 1);
    batch_lose(&d->lists, b);
}

static void apply(struct desk *d)
{
    apply_known(d);
    close_doubtful(d);
    apply_unsent(d);
    apply_asked(d);
    for (struct batch *b = d->batches; b; b = b->next)
        if (b->state != BATCH_LOST)
            apply_held(d, b, &d->record.held[b->held_at]);
}

/* False when the process ends before the ledger answered. */
static bool run(struct desk *d)
{
    struct fp_err err;
    struct record_set *r = &d->record;
    struct ledger_record record = {
        .owner = d->owner,
        .held = r->held,
        .n_held = r->n_held,
        .outcomes = r->outcomes,
        .n_outcomes = r->n_known,
        .intents = r->intents,
        .n_intents = r->n_asked,
        .withdrawn = r->withdrawn,
        .n_withdrawn = r->n_unsent,
    };
    r->in_doubt = false;
    for (;;) {
        int64_t start_us = clock_mono_us();
        int rc = ledger_record(d->ledger, &record, &err);
        metrics_observe_s("foliopost_record_seconds", "", (double)(clock_mono_us() - start_us) / 1e6);
        r->in_doubt |= record.in_doubt;
        if (rc == 0)
            break;
        if (!desk_again(d, "record", &err))
            return false;
    }
    desk_ledger_well(d);
    return true;
}

void desk_record(struct desk *d, bool with_new)
{
    add_held(d);
    if (d->record.n_held == 0)
        return;
    add_known_and_unsent(d);
    ask(d, with_new);
    if (!run(d))
        return;
    d->last_record_us = clock_mono_us();
    d->known_since_us = 0;
    apply(d);
    if (d->lists.known.n || d->lists.unsent.n)
        d->known_since_us = d->last_record_us;
}
