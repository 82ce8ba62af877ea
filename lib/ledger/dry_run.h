/*
 * Dry runs: jobs that do everything but send. A user whose mail would go out is
 * `skipped`, with a reason that begins LEDGER_WOULD_BE_SENT and the mail's size:
 * nothing that asks for who was sent a mail can take him for one.
 */
#ifndef FP_LEDGER_DRY_RUN_H
#define FP_LEDGER_DRY_RUN_H

#include "lib/ledger/ledger.h"

#define LEDGER_WOULD_BE_SENT "dry run: would be sent"
#define LEDGER_NOT_WRITTEN                                                                                   \
    "render: "                 /* a failure's reason begins so when the templates could not be filled in */
#define LEDGER_DRY_RUN_IDS 100 /* of users added and dropped */

struct ledger_dry_run {
    int64_t would_send, outliers;
    int64_t size_max_bytes, size_sum_bytes;
    int64_t compared_job;                  /* 0: there is none */
    int64_t unwritten, compared_unwritten; /* mails that could not be written, here and in that job */
    int64_t added, dropped;
    int64_t *added_ids, *dropped_ids; /* the first by id; mem_free() */
    size_t n_added_ids, n_dropped_ids;
};

struct ledger_job;
/* What would go out, against whom the last completed job of the same kind and brand was
 * sent to: one that was no dry run, no resend and for everybody (no list, share or past range). Who is
 * not of the dry run's own list, share or range is not dropped. Reads both jobs' deliveries. */
int ledger_dry_run(struct fp_ledger *l, const struct ledger_job *j, struct ledger_dry_run *out,
                   struct fp_err *err) FP_MUST_CHECK;
void ledger_dry_run_fini(struct ledger_dry_run *d);

#endif
