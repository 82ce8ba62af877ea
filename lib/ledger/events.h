/*
 * What providers and recipients report of a mail after it was sent: table
 * foliopost.delivery_events. Appended to, never changed, and no proof hangs on
 * it (P2). An event with the same job, user, event and key is stored once.
 */
#ifndef FP_LEDGER_EVENTS_H
#define FP_LEDGER_EVENTS_H

#include "lib/ledger/suppressions.h"

enum delivery_event {
    EVENT_DELIVERED = 1,    /* the recipient's server took it */
    EVENT_DELAYED = 2,      /* not yet; the provider goes on trying */
    EVENT_BOUNCED = 3,      /* it came back, for good */
    EVENT_COMPLAINED = 4,   /* reported as spam */
    EVENT_UNSUBSCRIBED = 5, /* wants no more */
};
const char *delivery_event_name(enum delivery_event e); /* "bounced" */

struct ledger_event {
    int64_t job_id, user_id;
    enum delivery_event event;
    char key[65];      /* the provider's id of the event; "": one of its kind for a mail */
    char provider[16]; /* ses, sendgrid, dsn, arf, one-click */
    char detail[256];  /* codes and texts, never an address */
    int64_t occurred_us;
    enum suppression_reason suppress; /* UNKNOWN: nobody is suppressed by it */
    char scope[16];                   /* of that: all, weekly, monthly, custom */
};
/* Appends them, and suppresses user and address in the same statement: the
 * address is the one that the delivery was recorded with. Safe to repeat.
 * *stored: events that were new. */
int ledger_events(struct fp_ledger *l, const struct ledger_event *e, size_t n, int64_t *stored,
                  struct fp_err *err) FP_MUST_CHECK;

/* Users with such events. Read along an index; delivered is as long as the job. */
struct ledger_event_counts {
    int64_t delivered, bounced, complained, unsubscribed;
};
int ledger_event_counts(struct fp_ledger *l, int64_t job_id, struct ledger_event_counts *out,
                        struct fp_err *err) FP_MUST_CHECK;

#endif
