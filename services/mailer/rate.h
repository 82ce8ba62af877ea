/*
 * Slices of the provider's rate, as one mailer uses them: the present slice
 * and the next one, fetched ahead. Pure: the caller brings the time; pacer.c
 * brings the slices.
 *
 * A slice of n mails from `start` on lets mail i be due at start + i * (1 / rate),
 * so a slice is spread over its length. Each mail is good for the length of a
 * slice from when it is due, and void after: whatever stalls and however many
 * mailers there are, what goes in a second was due in it or in the slice's
 * length before, so no second has more than its rate and a slice. (Of a statement that
 * opens it a mail is forgiven half a slice, turn.c: where these change from nothing to so long
 * and back, a second can have that half more.)
 */
#ifndef FP_MAILER_RATE_H
#define FP_MAILER_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_SLICE_US   INT64_C(100000) /* a slice's length, when the rate gives it a whole mail */
#define RATE_MAX_SLICES 8               /* the last, the present, the next; more when they were cut small */

struct rate_slice {
    int64_t start_us, end_us; /* CLOCK_MONOTONIC */
    size_t n, used, voided;   /* mails; the oldest go, or are void, first */
};

struct rate {
    struct rate_slice slices[RATE_MAX_SLICES]; /* oldest first */
    size_t n_slices;
    double per_second; /* in force, as last heard; 0: no limit */
    int64_t unlimited_until_us;
    uint64_t granted, used, voided; /* mails */
    size_t ability;                 /* mails of a slice that can be used here, as far as is known */
    int full_in_row;                /* slices used to the last mail */
};

void rate_init(struct rate *r, double per_second);
/* The answer to a request: n mails from start on; per_second 0: no limit. */
void rate_add(struct rate *r, int64_t start_us, size_t n, double per_second, int64_t now_us);
/* Mails that may go now. */
size_t rate_available(struct rate *r, int64_t now_us);
/* As rate_available(), but 0 until it is worth a statement: half a slice, all
 * that is wanted, or what has waited half a slice's length. */
size_t rate_offer(struct rate *r, size_t wanted, int64_t now_us);
/* n of them go. Until when the first of them is good: what goes later breaks the
 * bound above. INT64_MAX: there is no limit. */
int64_t rate_use(struct rate *r, size_t n, int64_t now_us);
/* One that was used did not go while it was good. */
void rate_lose(struct rate *r);
/* Mails of the slices at hand that are neither used nor void. */
size_t rate_held(const struct rate *r);
/* When more may go than now; INT64_MAX: when a slice comes. */
int64_t rate_next_us(struct rate *r, size_t wanted, int64_t now_us);
/* How many mails to ask for now: 0 when the next slice is held already, or
 * what is held is enough for `wanted`; no more than the last slices showed can
 * be used, so that others have what we cannot. */
size_t rate_ask(struct rate *r, size_t wanted, int64_t now_us);

#endif
