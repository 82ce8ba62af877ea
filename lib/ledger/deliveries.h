/* Deliveries as they are read: for reports and lists. They are written by the
 * steps in batches.h alone. */
#ifndef FP_LEDGER_DELIVERIES_H
#define FP_LEDGER_DELIVERIES_H

#include "lib/ledger/providers.h"

/* The values of foliopost.v1.DeliveryState. */
enum delivery_state {
    DELIVERY_UNKNOWN = 0,
    DELIVERY_SENT = 1,
    DELIVERY_FAILED = 2,
    DELIVERY_SKIPPED = 3,
    DELIVERY_AMBIGUOUS = 4,
    DELIVERY_DEFERRED = 5,
    DELIVERY_REQUEUED = 6,
};
const char *delivery_state_name(enum delivery_state s); /* "sent" */
enum delivery_state delivery_state_from_name(const char *name);

#define LEDGER_VERSION_BYTES 4  /* of a hash of templates */
#define LEDGER_CONTENT_BYTES 16 /* of a hash of a mail's content */

struct ledger_delivery {
    int64_t user_id, batch_id;
    enum delivery_state state;
    char reason[256];
    char provider[LEDGER_PROVIDER_BYTES]; /* whose answer this is; "": no provider's, or not known */
    char provider_id[128];
    int attempts, maybe_doubles;
    int64_t updated_us;
    char template_version[2 * LEDGER_VERSION_BYTES + 1],
        content_hash[2 * LEDGER_CONTENT_BYTES + 1]; /* hex; "" */
};
/* By user id; state DELIVERY_UNKNOWN: all. Returns how many. */
int ledger_deliveries(struct fp_ledger *l, int64_t job_id, enum delivery_state state, int64_t after_user_id,
                      struct ledger_delivery *out, int max, struct fp_err *err) FP_MUST_CHECK;

/* Some of a job's deliveries; 0, "" and NULL: any. */
struct ledger_delivery_filter {
    const char *reason;  /* begins so */
    int32_t interval_no; /* of the batch that had them last */
    int16_t provider_no; /* whose answer their outcome is (providers.h) */
    bool listed;         /* only those of user_ids: nobody when there are none */
    const int64_t *user_ids;
    size_t n_user_ids;
    int64_t from_us, to_us; /* updated since, and before */
    const char *said;       /* in words, for the audit; NULL: all */
};
/* The same, filtered. */
int ledger_deliveries_where(struct fp_ledger *l, int64_t job_id, enum delivery_state state,
                            const struct ledger_delivery_filter *f, int64_t after_user_id,
                            struct ledger_delivery *out, int max, struct fp_err *err) FP_MUST_CHECK;

/* One user's delivery in one job. */
struct ledger_user_mail {
    int64_t job_id;
    char kind[16], template_name[65], brand[65];
    int32_t period_start_day, period_end_day;
    struct ledger_delivery delivery;
};
/* Newest job first; before_job_id 0: from the newest on. Returns how many. */
int ledger_user_history(struct fp_ledger *l, int64_t user_id, int64_t before_job_id,
                        struct ledger_user_mail *out, int max, struct fp_err *err) FP_MUST_CHECK;

struct ledger_reason_count {
    enum delivery_state state;
    char reason[256];
    int64_t users, maybe_doubles;
};
/* Users by state and reason, counted from the deliveries; most first, the
 * reasons past max - 6 together as "(other)". Returns how many. */
int ledger_reason_counts(struct fp_ledger *l, int64_t job_id, struct ledger_reason_count *out, int max,
                         struct fp_err *err) FP_MUST_CHECK;

/* Who failed, is ambiguous or deferred now, by the class that the reason begins with (a filter's
 * `reason` finds them by it): a reply's codes, else its first 60 characters. Most first. Cheap enough
 * for every few seconds: reads at most LEDGER_FAILURES_READ rows of each state, and *partial says
 * that there are more. maybe_doubles stays 0. Returns how many. */
#define LEDGER_FAILURES_READ 20000
int ledger_failure_counts(struct fp_ledger *l, int64_t job_id, struct ledger_reason_count *out, int max,
                          bool *partial, struct fp_err *err) FP_MUST_CHECK;

#endif
