/*
 * The state of one claimed batch: its mails, how many are in which state, and
 * the lists the desk works through. mail_move() is the one writer of a mail's
 * state and holds every move against a table, so that a mail can never be
 * sent without its intent or settled twice by a slip elsewhere.
 *
 * Nothing here waits, reads a clock or knows the ledger.
 */
#include "services/mailer/mail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/log/log.h"

#define BIT(s) (1u << (s))

static const struct {
    const char *name;
    unsigned to; /* legal next states */
} states[MAIL_STATES] = {
    [MAIL_WAITING] = {"waiting", BIT(MAIL_RENDERING) | BIT(MAIL_KNOWN) | BIT(MAIL_LEFT)},
    [MAIL_RENDERING] = {"rendering", BIT(MAIL_READY) | BIT(MAIL_KNOWN) | BIT(MAIL_LEFT)},
    [MAIL_READY] = {"ready", BIT(MAIL_ASKED) | BIT(MAIL_KNOWN) | BIT(MAIL_UNSENT) | BIT(MAIL_LEFT)},
    [MAIL_ASKED] = {"asked", BIT(MAIL_SENDING) | BIT(MAIL_READY)},
    [MAIL_SENDING] = {"sending", BIT(MAIL_KNOWN) | BIT(MAIL_UNSENT)},
    [MAIL_KNOWN] = {"known", BIT(MAIL_SETTLED)},
    [MAIL_UNSENT] = {"unsent", BIT(MAIL_READY) | BIT(MAIL_RESTING) | BIT(MAIL_LEFT)},
    [MAIL_RESTING] = {"resting", BIT(MAIL_READY) | BIT(MAIL_KNOWN) | BIT(MAIL_LEFT)},
    [MAIL_SETTLED] = {"settled", 0},
    [MAIL_LEFT] = {"left", 0},
};

const char *mail_state_name(enum mail_state s)
{
    return s < MAIL_STATES ? states[s].name : "?";
}

/* The list that a mail stands in by its state; a lost batch's are in none. */
static struct mail_list *list_of(struct mail_lists *l, const struct mail *m)
{
    if (m->batch->state == BATCH_LOST)
        return NULL;
    switch (m->state) {
    case MAIL_READY:
        return &l->ready;
    case MAIL_KNOWN:
        return &l->known;
    case MAIL_UNSENT:
        return &l->unsent;
    case MAIL_RESTING:
        return &l->resting;
    default:
        return NULL;
    }
}

static void list_add(struct mail_list *list, struct mail *m)
{
    m->prev = list->last;
    m->next = NULL;
    if (list->last)
        list->last->next = m;
    else
        list->first = m;
    list->last = m;
    list->n++;
}

static void list_remove(struct mail_list *list, struct mail *m)
{
    if (m->prev)
        m->prev->next = m->next;
    else
        list->first = m->next;
    if (m->next)
        m->next->prev = m->prev;
    else
        list->last = m->prev;
    m->prev = m->next = NULL;
    list->n--;
}

static void drop_data(struct mail *m)
{
    mem_free(m->data);
    m->data = NULL;
    m->bytes = 0;
}

void mail_move(struct mail_lists *lists, struct mail *m, enum mail_state to)
{
    enum mail_state from = m->state;
    if (!(states[from].to & BIT(to)))
        fp_panic("batch %" PRId64 " user %" PRId64 ": mail from %s to %s", m->batch->id, m->user_id,
                 mail_state_name(from), mail_state_name(to));
    if (to == MAIL_ASKED && m->batch->dry_run)
        fp_panic("batch %" PRId64 " user %" PRId64 ": a dry run would send", m->batch->id, m->user_id);
    struct mail_list *old = list_of(lists, m);
    if (old)
        list_remove(old, m);
    if (from == MAIL_READY)
        lists->ready_bytes -= m->bytes;
    if (to == MAIL_READY)
        lists->ready_bytes += m->bytes;
    if (to == MAIL_KNOWN || to == MAIL_LEFT)
        drop_data(m);
    m->state = to;
    m->batch->count[from]--;
    m->batch->count[to]++;
    struct mail_list *new = list_of(lists, m);
    if (new)
        list_add(new, m);
}

/* --- from claim and message ------------------------------------------------------------ */

struct by_user {
    int64_t user_id;
    const Foliopost__V1__SummaryItem *item;
};

static int by_user_order(const void *a, const void *b)
{
    int64_t x = ((const struct by_user *)a)->user_id, y = ((const struct by_user *)b)->user_id;
    return (x > y) - (x < y);
}

static struct by_user *index_items(const Foliopost__V1__SummaryBatch *message)
{
    struct by_user *index = mem_array(message->n_items + 1, sizeof(*index));
    for (size_t i = 0; i < message->n_items; i++)
        index[i] = (struct by_user){message->items[i]->user->id, message->items[i]};
    qsort(index, message->n_items, sizeof(*index), by_user_order);
    return index;
}

static void fill_mails(struct batch *b, const struct ledger_claim *claim,
                       const Foliopost__V1__SummaryBatch *message)
{
    struct by_user *index = index_items(message);
    for (size_t i = 0; i < claim->n_due; i++) {
        const struct by_user key = {claim->due[i], NULL};
        const struct by_user *found = bsearch(&key, index, message->n_items, sizeof(key), by_user_order);
        if (!found) {
            b->state = BATCH_CLOSING;
            b->why = "the message lacks a user who is due";
            continue;
        }
        b->mails[b->n_mails++] = (struct mail){.batch = b,
                                               .item = found->item,
                                               .user_id = claim->due[i],
                                               .attempts = claim->attempts[i]};
    }
    b->count[MAIL_WAITING] = b->n_mails;
    mem_free(index);
}

struct batch *batch_new(const struct ledger_claim *claim, const char *owner, struct fp_arena *arena,
                        const Foliopost__V1__SummaryBatch *message)
{
    struct batch *b = mem_alloc(sizeof(*b));
    (void)snprintf(b->owner, sizeof(b->owner), "%s", owner);
    b->id = claim->batch_id;
    b->job_id = claim->job_id;
    b->epoch = claim->epoch;
    b->resend = claim->resend;
    b->dry_run = claim->dry_run;
    b->max_attempts = claim->max_attempts;
    b->deadline_us = INT64_MAX;
    b->arena = arena;
    b->job = message->job;
    trace_begin(&b->span, message->traceparent, "mailer batch", TRACE_CONSUMER);
    trace_number(&b->span, "foliopost.job_id", b->job_id);
    trace_number(&b->span, "foliopost.batch_id", b->id);
    trace_number(&b->span, "foliopost.epoch", b->epoch);
    trace_number(&b->span, "messaging.batch.message_count", (int64_t)claim->n_due);
    b->mails = mem_array(claim->n_due + 1, sizeof(*b->mails));
    fill_mails(b, claim, message);
    if (message->job->job_id != claim->job_id) {
        b->state = BATCH_CLOSING;
        b->why = "the message names another job";
    }
    atomic_init(&b->stopped, b->state != BATCH_OPEN);
    return b;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    if (b->count[MAIL_RENDERING] || b->count[MAIL_SENDING])
        fp_panic("batch %" PRId64 " freed with %zu mails in other hands", b->id, batch_out(b));
    trace_end(&b->span, b->state == BATCH_LOST                 ? "claim_lost"
                        : b->count[MAIL_SETTLED] == b->n_mails ? NULL
                                                               : "given_back");
    for (size_t i = 0; i < b->n_mails; i++)
        mem_free(b->mails[i].data);
    mem_free(b->mails);
    arena_free(b->arena);
    mem_free(b);
}

/* Address and content count as used once a mail may have gone there, or was refused there.
 * Deferred without a try is who waited for a provider that stands. */
void mail_to_ledger(const struct mail *m, struct ledger_outcome *out)
{
    outcome_to_ledger(&m->outcome, m->batch->id, m->user_id, out);
    if (m->outcome.attempted || m->outcome.state == DELIVERY_DEFERRED)
        out->provider_no = m->provider_no;
    if (!m->outcome.attempted)
        return;
    out->address_hash = m->address_hash;
    out->template_version = m->rendered.content.template_version;
    out->content_hash = m->rendered.content.content;
}

/* --- how it ends ------------------------------------------------------------------------ */

/* What is not in other hands is taken back; a mail whose intent may be open
 * goes by way of a withdrawal, or of the late truth where the claim is lost. */
static void take_back(struct mail_lists *lists, struct batch *b)
{
    for (size_t i = 0; i < b->n_mails; i++) {
        struct mail *m = &b->mails[i];
        if (m->state == MAIL_READY && m->intent)
            mail_move(lists, m, MAIL_UNSENT);
        else if (m->state == MAIL_WAITING || m->state == MAIL_READY || m->state == MAIL_RESTING)
            mail_move(lists, m, MAIL_LEFT);
    }
}

void batch_close(struct mail_lists *lists, struct batch *b, const char *why)
{
    if (b->state == BATCH_LOST)
        return;
    if (b->state == BATCH_OPEN)
        b->why = why;
    b->state = BATCH_CLOSING;
    atomic_store(&b->stopped, true);
    take_back(lists, b);
}

/* A lost batch's mails leave the lists, since the desk records nothing of it
 * any more; KNOWN and UNSENT ones keep their state for the late truth. */
void batch_lose(struct mail_lists *lists, struct batch *b)
{
    if (b->state == BATCH_LOST)
        return;
    atomic_store(&b->stopped, true);
    take_back(lists, b);
    for (size_t i = 0; i < b->n_mails; i++) {
        struct mail_list *list = list_of(lists, &b->mails[i]);
        if (list)
            list_remove(list, &b->mails[i]);
    }
    b->state = BATCH_LOST;
}

size_t batch_out(const struct batch *b)
{
    return b->count[MAIL_RENDERING] + b->count[MAIL_ASKED] + b->count[MAIL_SENDING];
}

bool batch_at_rest(const struct batch *b)
{
    if (batch_out(b))
        return false;
    return b->state == BATCH_LOST || !(b->count[MAIL_KNOWN] || b->count[MAIL_UNSENT]);
}

bool batch_complete(const struct batch *b)
{
    return b->count[MAIL_SETTLED] == b->n_mails && b->state != BATCH_LOST;
}

const char *batch_label(const struct batch *b, char out[64])
{
    log_trace(b->span.context);
    (void)snprintf(out, 64, "job=%" PRId64 " batch=%" PRId64, b->job_id, b->id);
    return out;
}
