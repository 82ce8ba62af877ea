/*
 * Which outcome a try has, in one table of decisions.
 *
 * Only SENT is success. A refusal of this user for now waits and is tried
 * again, each wait twice the last, until the job's attempts are used up; the
 * spread of +-20 % keeps a thousand users greylisted together from coming
 * back together. A job's deadline ends that sooner. What may or may not have been accepted is ambiguous;
 * where the policy is to resend it is a deferral that counts as a possible double, until three attempts are
 * used up: then nobody can know, and it says so.
 *
 * Throttling and the provider's faults are not outcomes: they cost the user
 * nothing, and hold.c decides when to go on.
 */
#include "services/mailer/outcome.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/ledger/dry_run.h"

#define OUTLIER_RETURN_E8 INT64_C(50000000) /* of a period: one in thousands, and worth a look */
#define LAST_MINUTE_MS    INT64_C(60000) /* before a deadline: a mail that comes due then is not out in time */
#define BACKOFF_SPREAD    0.2            /* of the wait, each way */

static void set(struct outcome *o, enum delivery_state state, bool attempted, const char *prefix,
                const char *reason)
{
    char text[sizeof(o->reason) * 2];
    memset(o, 0, sizeof(*o));
    o->state = state;
    o->attempted = attempted;
    (void)snprintf(text, sizeof(text), "%s%s", prefix, reason);
    (void)text_clean(o->reason, sizeof(o->reason), text);
}

int64_t outcome_backoff_ms(const struct retry_rule *rule, int attempts, double dice)
{
    int64_t wait_ms = rule->base_ms;
    for (int i = 0; i < attempts && wait_ms < rule->cap_ms; i++)
        wait_ms *= 2;
    if (wait_ms > rule->cap_ms)
        wait_ms = rule->cap_ms;
    return (int64_t)((double)wait_ms * (1 - BACKOFF_SPREAD + 2 * BACKOFF_SPREAD * dice));
}

/* An attempt that comes after the job's end would leave it failed for this one user. */
static bool is_too_late(const struct retry_rule *rule, int64_t wait_ms)
{
    return rule->left_ms < INT64_MAX && wait_ms > rule->left_ms - LAST_MINUTE_MS;
}

static void defer(struct outcome *o, const struct transport_reply *r, int attempts,
                  const struct retry_rule *rule, double dice)
{
    if (attempts + 1 >= rule->max_attempts) {
        set(o, DELIVERY_FAILED, true, "retries exhausted: ", r->reason);
        return;
    }
    int64_t wait_ms = outcome_backoff_ms(rule, attempts, dice);
    if (is_too_late(rule, wait_ms)) {
        set(o, DELIVERY_FAILED, true, "retries end with the deadline: ", r->reason);
        return;
    }
    set(o, DELIVERY_DEFERRED, true, "", r->reason);
    o->retry_in_ms = wait_ms;
}

static void ambiguous(struct outcome *o, const struct transport_reply *r, int attempts,
                      const struct retry_rule *rule, double dice)
{
    int64_t wait_ms = outcome_backoff_ms(rule, attempts, dice);
    if (!rule->resend || attempts + 1 >= rule->max_attempts || attempts + 1 >= LEDGER_MAX_UNCLEAR ||
        is_too_late(rule, wait_ms)) {
        set(o, DELIVERY_AMBIGUOUS, true, "", r->reason);
        return;
    }
    set(o, DELIVERY_DEFERRED, true, "ambiguous: ", r->reason);
    o->maybe_double = true;
    o->retry_in_ms = wait_ms;
}

enum next_step outcome_of_reply(const struct transport_reply *reply, int attempts,
                                const struct retry_rule *rule, double dice, struct outcome *out)
{
    switch (reply->verdict) {
    case VERDICT_SENT:
        set(out, DELIVERY_SENT, true, "", "");
        (void)text_clean(out->provider_id, sizeof(out->provider_id), reply->provider_id);
        return NEXT_RECORD;
    case VERDICT_DEFERRED:
        defer(out, reply, attempts, rule, dice);
        return NEXT_RECORD;
    case VERDICT_FAILED:
        set(out, DELIVERY_FAILED, true, "", reply->reason);
        out->suppress = reply->suppress;
        return NEXT_RECORD;
    case VERDICT_THROTTLED:
        return NEXT_THROTTLE;
    case VERDICT_PROVIDER_FAULT:
        return NEXT_FAULT;
    case VERDICT_AMBIGUOUS:
        break;
    }
    ambiguous(out, reply, attempts, rule, dice); /* also for a verdict that is none: nobody can know */
    return NEXT_RECORD;
}

void outcome_of_own_fault(const struct transport_reply *reply, int attempts, const struct retry_rule *rule,
                          double dice, struct outcome *out)
{
    defer(out, reply, attempts, rule, dice);
}

void outcome_of_render_error(const struct fp_err *err, struct outcome *out)
{
    bool judged =
        err->code == FP_FAILED_PRECONDITION; /* his brand is unknown: nothing went wrong in rendering */
    set(out, DELIVERY_FAILED, false, judged ? "" : LEDGER_NOT_WRITTEN, err->msg);
}

static bool skip(int reason, struct outcome *out)
{
    const char *name = wire_enum_name(&foliopost__v1__skip_reason__descriptor, reason);
    set(out, DELIVERY_SKIPPED, false, "", name[0] ? name : "unknown skip reason");
    return true;
}

bool outcome_without_mail(const Foliopost__V1__SummaryItem *item, struct outcome *out)
{
    if (item->user->skip != FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_UNSPECIFIED)
        return skip((int)item->user->skip, out);
    switch (item->outcome_case) {
    case FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SKIP:
        return skip((int)item->skip, out);
    case FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE:
        set(out, DELIVERY_FAILED, false, "stats: ", item->failure->reason);
        return true;
    case FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY:
        if (text_is_address(item->user->email))
            return false;
        return skip(FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_BAD_ADDRESS, out);
    default:
        set(out, DELIVERY_FAILED, false, "stats: ", "no summary");
        return true;
    }
}

/* The period's return and its closing value, as a reader would ask about them. */
static const char *outlier(const Foliopost__V1__PortfolioSummary *s)
{
    for (size_t i = 0; i < s->n_spans; i++) {
        const Foliopost__V1__Span *span = s->spans[i];
        if (span->kind != FOLIOPOST__V1__SPAN_KIND__SPAN_KIND_PERIOD)
            continue;
        if (span->twr != NULL && span->twr->defined && span->twr->e8 > OUTLIER_RETURN_E8)
            return ", outlier: return above +50 %";
        if (span->twr != NULL && span->twr->defined && span->twr->e8 < -OUTLIER_RETURN_E8)
            return ", outlier: return below -50 %";
        if (span->open_value_minor > 0 && span->net_contributions_minor == 0 &&
            span->open_value_minor + span->gain_minor <= 0)
            return ", outlier: nothing is left";
    }
    return "";
}

void outcome_of_dry_run(const Foliopost__V1__SummaryItem *item, size_t bytes, struct outcome *out)
{
    const bool summary = item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY;
    set(out, DELIVERY_SKIPPED, false, LEDGER_WOULD_BE_SENT, summary ? outlier(item->summary) : "");
    out->size_bytes = (int32_t)bytes;
}

void outcome_suppressed(struct outcome *out)
{
    (void)skip(FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_SUPPRESSED, out);
}

void outcome_of_waiting(const char *provider, const char *domain, const struct retry_rule *rule, double dice,
                        struct outcome *out)
{
    if (provider)
        set(out, DELIVERY_DEFERRED, false, "its provider stands or is slow: ", provider);
    else
        set(out, DELIVERY_DEFERRED, false, "its domain's own rate is used up: ", domain);
    out->retry_in_ms = outcome_backoff_ms(rule, 0, dice);
}

void outcome_to_ledger(const struct outcome *o, int64_t batch_id, int64_t user_id, struct ledger_outcome *out)
{
    *out = (struct ledger_outcome){
        .batch_id = batch_id,
        .user_id = user_id,
        .state = o->state,
        .reason = o->reason,
        .provider_id = o->provider_id,
        .attempted = o->attempted,
        .maybe_double = o->maybe_double,
        .retry_in_ms = o->retry_in_ms,
        .suppress = o->suppress,
        .size_bytes = o->size_bytes,
    };
}
