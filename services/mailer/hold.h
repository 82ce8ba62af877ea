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

/* So many different mails in a row, without one that passes between them, are
 * the provider's fault. */
enum hold_row {
    HOLD_SURE = 1,   /* nothing answers, say: no mail can pass */
    HOLD_POLICY = 3, /* refused by the sender's policy, or left unclear: can be about that mail */
    HOLD_VAGUE = 5,  /* refused without a word on whose account it is */
};

#define HOLD_ASKED_MAX_US INT64_C(900000000) /* a quarter of an hour: then it is asked again */

struct hold {
    bool standing;    /* the provider has a fault */
    int64_t since_us; /* of the fault */
    int64_t until_us; /* nothing goes out before */
    int64_t wait_us;  /* the last wait */
    bool probing;     /* the probe is out */
    char reason[200];
    int64_t row[HOLD_VAGUE]; /* mails that met one since a mail passed */
    int in_row;
    uint64_t passed;       /* mails accepted, or refused with their mailbox named, ever */
    int64_t passed_us;     /* the last one */
    bool stood_since;      /* a fault has stood since then */
    uint64_t throttles;    /* throttling replies, ever */
    int throttles_in_row;  /* since a mail passed */
    int64_t slow_since_us; /* the first of them */
    int64_t throttled_us;  /* last time the rate was lowered; 0: never */
    int64_t throttle_wait_us;
};

/* A mail met a fault. probe: it was the one sent to see. True when the fault
 * or its reason is new, and should be told. */
bool hold_fault(struct hold *h, const char *reason, int64_t mail, bool probe, enum hold_row row,
                int64_t now_us);
/* A mail met a throttling reply. True when the rate is to be lowered. */
bool hold_throttled(struct hold *h, bool probe, int64_t now_us);
/* The provider said when to come again; at most HOLD_ASKED_MAX_US from now. */
void hold_asked(struct hold *h, int64_t wait_us, int64_t now_us);
/* Nothing but throttling for so long that it is a fault. */
bool hold_only_throttled(const struct hold *h, int64_t now_us);
/* The provider took a mail, or named its mailbox in refusing it. True when a fault is over. */
bool hold_passed(struct hold *h, bool probe, int64_t now_us);
/* Mails have passed here lately: what one mail meets again and again is its own. */
bool hold_passed_lately(const struct hold *h, int64_t now_us);
/* The probe came back untried. */
void hold_probe_back(struct hold *h);
/* How many of n mails may be opened now. */
size_t hold_allows(const struct hold *h, size_t n, int64_t now_us);
/* When hold_allows() can change by time alone; INT64_MAX: it does not. */
int64_t hold_next_us(const struct hold *h, int64_t now_us);
/* How long the fault has stood; 0: there is none. */
int64_t hold_standing_us(const struct hold *h, int64_t now_us);

#endif
