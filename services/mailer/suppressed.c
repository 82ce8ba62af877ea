/*
 * Suppressed while a batch waits here.
 *
 * A batch's users are looked up when it is claimed. At full speed it is gone
 * within seconds; under a low rate, or while the provider stands, it can wait
 * for many minutes, in which people unsubscribe. So a batch that was last
 * looked up some seconds ago is looked up again, which costs nothing where
 * batches do not wait. What is asked for or with the senders is left alone: it
 * is on its way. A ledger that does not answer changes nothing: nothing can be
 * sent without it either.
 */
#include "services/mailer/desk_internal.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"

#define LOOK_EVERY_US (5 * FP_US_PER_S)

static bool waits(const struct mail *m)
{
    return m->state == MAIL_WAITING || m->state == MAIL_RENDERING || m->state == MAIL_READY ||
           m->state == MAIL_RESTING;
}

/* A mail that is being rendered is another thread's: it is moved when it is back. */
static void skip(struct desk *d, struct mail *m)
{
    m->suppressed = true;
    if (m->state == MAIL_RENDERING)
        return;
    outcome_suppressed(&m->outcome);
    mail_move(&d->lists, m, MAIL_KNOWN);
}

static void look(struct desk *d, struct batch *b)
{
    struct fp_err err;
    char label[64];
    size_t n = 0;
    struct ledger_recipient *who = mem_array(b->n_mails + 1, sizeof(*who));
    struct mail **mails = mem_array(b->n_mails + 1, sizeof(struct mail *));
    bool *hit = mem_array(b->n_mails + 1, sizeof(*hit));
    for (size_t i = 0; i < b->n_mails; i++) {
        if (!waits(&b->mails[i]))
            continue;
        who[n].user_id = b->mails[i].user_id;
        memcpy(who[n].address_hash, b->mails[i].address_hash, sizeof(who[n].address_hash));
        mails[n++] = &b->mails[i];
    }
    if (n > 0 && ledger_suppressed(d->ledger, b->job->kind, who, n, hit, &err) < 0) {
        if (log_limited(&d->logged_us, 10000))
            log_warn(batch_label(b, label), "suppressions not read", "reason=%s", err.msg);
        n = 0;
    }
    for (size_t i = 0; i < n; i++)
        if (hit[i])
            skip(d, mails[i]);
    mem_free(who);
    mem_free(mails);
    mem_free(hit);
}

void desk_check_suppressed(struct desk *d)
{
    int64_t now_us = clock_mono_us();
    for (struct batch *b = d->batches; b; b = b->next) {
        if (b->state != BATCH_OPEN || now_us < b->judged_us + LOOK_EVERY_US)
            continue;
        b->judged_us = now_us;
        look(d, b);
    }
    if (!d->known_since_us && d->lists.known.n)
        d->known_since_us = now_us;
}
