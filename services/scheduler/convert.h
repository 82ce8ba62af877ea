/* Rows of the ledger as messages of JobService. Replies live in the call's arena. */
#ifndef FP_SCHEDULER_CONVERT_H
#define FP_SCHEDULER_CONVERT_H

#include "lib/ledger/deliveries.h"
#include "lib/ledger/intervals.h"
#include "lib/wire/wire.h"

/* An arena that remembers that it was full: checked once at the end. */
struct convert {
    struct fp_arena *arena;
    bool full;
};

/* NULL when the arena is full; never for 0 bytes. */
void *convert_alloc(struct convert *c, size_t count, size_t bytes);
char *convert_text(struct convert *c, const char *s);
/* RESOURCE_EXHAUSTED when something did not fit. */
int convert_check(const struct convert *c, struct fp_err *err) FP_MUST_CHECK;
void *convert_too_large(struct fp_err *err); /* that error, and NULL */

/* counts and proof may be NULL; a proof of round 0 is none. */
Foliopost__V1__Job *convert_job(struct convert *c, const struct ledger_job *j,
                                const struct ledger_counts *counts, const struct ledger_proof *proof);
/* Takes a long list of user ids out; listed_users stays. */
void convert_trim_list(Foliopost__V1__Job *m);
Foliopost__V1__IntervalReport *convert_interval(struct convert *c, const struct ledger_interval_report *r);
Foliopost__V1__ReasonCount *convert_reason(struct convert *c, const struct ledger_reason_count *r);
Foliopost__V1__Delivery *convert_delivery(struct convert *c, const struct ledger_delivery *d);
Foliopost__V1__Instance *convert_member(struct convert *c, const struct ledger_member *m);
Foliopost__V1__UserMail *convert_user_mail(struct convert *c, const struct ledger_user_mail *m);

#endif
