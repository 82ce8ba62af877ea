/* From what is known of a try to what the ledger is told. Pure: no clock, no
 * state; the caller brings the dice. */
#ifndef FP_MAILER_OUTCOME_H
#define FP_MAILER_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ledger/batches.h"
#include "lib/wire/wire.h"
#include "services/mailer/transport.h"

struct outcome {
    enum delivery_state state;
    char reason[224];
    char provider_id[100];
    bool attempted, maybe_double;
    bool suppress; /* nobody is to write to this address again */
    int64_t retry_in_ms;
    int32_t size_bytes; /* of a dry run's mail; 0: of any other */
};

struct retry_rule {
    int64_t base_ms, cap_ms; /* first wait, doubled each time up to the cap */
    int max_attempts;        /* of the job */
    int64_t left_ms;         /* to its deadline; INT64_MAX: it has none */
    bool resend;             /* the job's policy for ambiguous */
};

/* What becomes of the mail after a try. */
enum next_step {
    NEXT_RECORD,   /* *out is its outcome */
    NEXT_THROTTLE, /* not accepted, too fast: again later, nothing counted */
    NEXT_FAULT,    /* not accepted, the provider's fault: again later, nothing counted */
};

/* attempts: before this one; dice: uniform in [0, 1). */
enum next_step outcome_of_reply(const struct transport_reply *reply, int attempts,
                                const struct retry_rule *rule, double dice, struct outcome *out);
/* A fault that only this mail meets, while others pass: refused for now, as its own. */
void outcome_of_own_fault(const struct transport_reply *reply, int attempts, const struct retry_rule *rule,
                          double dice, struct outcome *out);
void outcome_of_render_error(const struct fp_err *err, struct outcome *out);
/* True when the item needs no mail: *out says why. */
bool outcome_without_mail(const Foliopost__V1__SummaryItem *item, struct outcome *out);
/* Written, and not sent because its job is a dry run: skipped, with its size and what is remarkable. */
void outcome_of_dry_run(const Foliopost__V1__SummaryItem *item, size_t bytes, struct outcome *out);
void outcome_suppressed(struct outcome *out);
/* What his mail has to wait for is too slow for those behind it: not tried, tried later. One of the two:
 * the provider that it names (stands or is slow), or NULL and its domain, whose own rate is used up. */
void outcome_of_waiting(const char *provider, const char *domain, const struct retry_rule *rule, double dice,
                        struct outcome *out);
/* base * 2^attempts, at most cap, then +-20 %. */
int64_t outcome_backoff_ms(const struct retry_rule *rule, int attempts, double dice);
/* For the ledger; points into o. */
void outcome_to_ledger(const struct outcome *o, int64_t batch_id, int64_t user_id,
                       struct ledger_outcome *out);

#endif
