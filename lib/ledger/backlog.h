/* What is still to do in the jobs in progress: foliopost.backlog, a view. */
#ifndef FP_LEDGER_BACKLOG_H
#define FP_LEDGER_BACKLOG_H

#include "lib/ledger/ledger.h"

#define LEDGER_BACKLOG_STAGES 4

struct ledger_backlog {
    char stage[12]; /* unread (estimated), queued, sending, deferred (and due) */
    int64_t users;
    double age_s; /* of the oldest; 0: none */
};

/* Fills all LEDGER_BACKLOG_STAGES rows. */
int ledger_backlog(struct fp_ledger *l, struct ledger_backlog *out, struct fp_err *err) FP_MUST_CHECK;

#endif
