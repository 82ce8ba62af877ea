/*
 * Whether mail may go out now: the provider's faults and throttling replies.
 *
 *   CLEAR  --fault-->  STANDING  --wait over-->  one probe mail  --passed-->  CLEAR
 *                         ^                                 |
 *                         +------- failed: wait twice ------+
 *
 * Pure: the caller brings the time. The desk's thread only.
 */
#ifndef FP_MAILER_HOLD_H
#define FP_MAILER_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold {
    bool standing;    /* the provider has a fault */
    int64_t since_us; /* of the fault */
    int64_t until_us; /* nothing goes out before */
    int64_t wait_us;  /* the last wait */
    bool probing;     /* the probe is out */
    char reason[200];
    int in_row;           /* faults, or unclear replies, since a mail passed */
    uint64_t passed;      /* mails accepted or refused as the user's, ever */
    int64_t throttled_us; /* last time the rate was lowered; 0: never */
    int64_t throttle_wait_us;
};

/* A mail met a fault. probe: it was the one sent to see. sure: no mail can pass
 * (nothing answers, say); else it takes some in a row. True when the fault or
 * its reason is new, and should be told. */
bool hold_fault(struct hold *h, const char *reason, bool probe, bool sure, int64_t now_us);
/* A mail met a throttling reply. True when the rate is to be lowered. */
bool hold_throttled(struct hold *h, bool probe, int64_t now_us);
/* The provider took a mail, or refused it for the user's sake. True when a fault is over. */
bool hold_passed(struct hold *h, bool probe);
/* The probe came back untried. */
void hold_probe_back(struct hold *h);
/* How many of n mails may be opened now. */
size_t hold_allows(const struct hold *h, size_t n, int64_t now_us);
/* When hold_allows() can change by time alone; INT64_MAX: it does not. */
int64_t hold_next_us(const struct hold *h, int64_t now_us);
/* How long the fault has stood; 0: there is none. */
int64_t hold_standing_us(const struct hold *h, int64_t now_us);

#endif
