/*
 * Claims that the ledger holds for this mailer and that the mailer does not
 * know. A reply lost while the lease lapsed, or a statement that committed
 * after its client had given up, leaves a batch 'sending' for an owner who
 * lives: expire does not touch it, and its job would stand for ever.
 *
 * So a batch is forgotten only when its row says that it is not ours; and
 * every few seconds the ledger's list is held against what the desk and the
 * intake have. What is missing twice in a row is handed back: a claim whose
 * batch is just on its way to the desk is missing once at most.
 */
#include "services/mailer/desk_internal.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

#define LOOK_US (5 * FP_US_PER_S) /* twice this is how long a lost batch stands */

enum claim_is desk_look_at_claim(struct desk *d, const struct batch *b)
{
    struct fp_err err;
    struct ledger_batch row;
    if (ledger_batch_get(d->ledger, b->id, &row, &err) < 0)
        return err.code == FP_NOT_FOUND ? CLAIM_GONE : CLAIM_UNKNOWN;
    mem_free(row.user_ids);
    bool mine =
        strcmp(row.state, "sending") == 0 && row.epoch == b->epoch && strcmp(row.owner, b->owner) == 0;
    return mine ? CLAIM_MINE : CLAIM_GONE;
}

static bool in_hand(struct desk *d, const struct ledger_held *claim)
{
    if (atomic_load(&d->claiming) == claim->batch_id)
        return true;
    for (const struct batch *b = d->batches; b; b = b->next)
        if (b->id == claim->batch_id && b->epoch == claim->epoch)
            return true;
    return false;
}

static bool seen_before(const struct strays *s, const struct ledger_held *claim)
{
    for (int i = 0; i < s->n; i++)
        if (s->seen[i].batch_id == claim->batch_id && s->seen[i].epoch == claim->epoch)
            return true;
    return false;
}

static void hand_back(struct desk *d, const struct ledger_held *claim)
{
    struct fp_err err;
    bool done = false;
    if (ledger_forget(d->ledger, d->owner, claim->batch_id, claim->epoch, &done, &err) < 0)
        return; /* it is seen again */
    log_warn("", "unknown claim handed back", "batch=%" PRId64 " epoch=%d done=%d", claim->batch_id,
             claim->epoch, done);
    metrics_add("foliopost_claims_strayed_total", "", done);
}

void desk_check_strays(struct desk *d)
{
    struct fp_err err;
    struct strays now = {.looked_us = clock_mono_us()};
    if (now.looked_us < d->strays.looked_us + LOOK_US)
        return;
    int most = d->o.slots + STRAYS_MAX; /* what is known is in the list, too */
    struct ledger_held *claims = mem_array((size_t)most, sizeof(*claims));
    int n = ledger_claims(d->ledger, d->owner, claims, most, &err);
    for (int i = 0; i < n; i++) {
        if (in_hand(d, &claims[i]))
            continue;
        if (seen_before(&d->strays, &claims[i]))
            hand_back(d, &claims[i]);
        else if (now.n < STRAYS_MAX)
            now.seen[now.n++] = claims[i];
    }
    d->strays = now;
    mem_free(claims);
}
