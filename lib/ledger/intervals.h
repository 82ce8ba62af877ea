/*
 * Intervals: table foliopost.intervals. The only writer of intervals.state.
 *
 *   ready   -> granted  grant   leader: room in the window; also granted and overdue
 *   granted -> granted  page    userstream: batch and cursor in one statement; the
 *                               cursor is the fence, so a page that was read for an
 *                               overdue grant still counts, against the new one
 *   granted -> ready    page    the last page of a grant
 *   granted -> paged    page    a short page: the range is at its end
 */
#ifndef FP_LEDGER_INTERVALS_H
#define FP_LEDGER_INTERVALS_H

#include "lib/ledger/jobs.h"

struct ledger_interval {
    int64_t job_id;
    int32_t no;
    int64_t lower_us, upper_us;
    char state[16];
    int64_t cursor_us, cursor_id;
    int32_t grant_no, grant_pages;
    int64_t started_us, paged_us;
};

/* The intervals of a job that can be granted now (ready, or granted and
 * overdue), by number. Returns how many. */
int ledger_intervals_grantable(struct fp_ledger *l, int64_t job_id, struct ledger_interval *out, int max,
                               struct fp_err *err) FP_MUST_CHECK;
/* Pages still open of all grants that are not overdue: they count in the window. */
int ledger_granted_pages(struct fp_ledger *l, int64_t job_id, int64_t *pages,
                         struct fp_err *err) FP_MUST_CHECK;
/* Users that the job's pages had so far; of one that began before migration 0019, since then. */
int ledger_users_paged(struct fp_ledger *l, int64_t job_id, int64_t *users, struct fp_err *err) FP_MUST_CHECK;
/* grant: *granted false when the condition does not hold. due_ms: until it is
 * overdue, from the grant or its last page on; twice what it was, up to
 * LEDGER_GRANT_DUE_MAX times due_ms, when the grant before was overdue. */
#define LEDGER_GRANT_DUE_MAX 8
int ledger_grant(struct fp_ledger *l, const char *leader, int64_t job_id, int32_t no, int32_t pages,
                 int due_ms, bool *granted, int32_t *grant_no, struct fp_err *err) FP_MUST_CHECK;
/* hand back: what is left of this grant is overdue now, and others get it. One
 * that is used up, or not the present one any more, stays as it is. */
int ledger_grant_back(struct fp_ledger *l, int64_t job_id, int32_t no, int32_t grant_no,
                      struct fp_err *err) FP_MUST_CHECK;
int ledger_interval_get(struct fp_ledger *l, int64_t job_id, int32_t no, struct ledger_interval *out,
                        struct fp_err *err) FP_MUST_CHECK;

struct ledger_page {
    int64_t job_id;
    int32_t interval_no, grant_no;
    int64_t from_us, from_id; /* the cursor that was read from */
    int64_t to_us, to_id;     /* of the last user of the page */
    const int64_t *user_ids;  /* 0 users: the range is at its end, no batch */
    size_t n_users;
    bool last;  /* a short page: nothing behind it */
    int due_ms; /* until the batch is emitted again */
};
struct ledger_paged {
    bool moved;         /* by this call, or by an earlier try of it whose reply was lost */
    int64_t batch_id;   /* 0: none, or a restored job's, which is done already (recover.h) */
    int32_t pages_left; /* of the grant; 0 for who has an older one */
    bool ended;         /* interval paged */
};
int ledger_page(struct fp_ledger *l, const struct ledger_page *p, struct ledger_paged *out,
                struct fp_err *err) FP_MUST_CHECK;

/* For the report: intervals with counts, by number. Returns how many. */
struct ledger_interval_report {
    struct ledger_interval interval;
    struct ledger_counts counts;
};
int ledger_interval_reports(struct fp_ledger *l, int64_t job_id, struct ledger_interval_report *out, int max,
                            struct fp_err *err) FP_MUST_CHECK;

#endif
