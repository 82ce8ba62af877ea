/*
 * The audit as it is read: who did what, when and from where. A line is
 * written by the statement that does it (AUDIT_INSERT in ledger_internal.h),
 * so there is none without the other, and a repeated call that changes nothing
 * leaves none.
 */
#ifndef FP_LEDGER_AUDIT_H
#define FP_LEDGER_AUDIT_H

#include "lib/ledger/ledger.h"

struct ledger_audit {
    int64_t id, at_us;
    char actor[129], peer[129]; /* peer: an address; "": the door does not know it */
    char action[33];
    int64_t job_id; /* 0: of no job */
    char detail[512];
};
struct ledger_audit_filter { /* 0 and "": any */
    const char *actor, *action;
    int64_t job_id;
    int64_t from_us, to_us; /* from is in, to is not */
};
/* Newest first, older than before_id (0: from the newest). Returns how many. */
int ledger_audit(struct fp_ledger *l, const struct ledger_audit_filter *f, int64_t before_id,
                 struct ledger_audit *out, int max, struct fp_err *err) FP_MUST_CHECK;

#endif
