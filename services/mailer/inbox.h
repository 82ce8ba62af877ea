/*
 * What comes to the desk from the other threads: claimed batches, rendered
 * mails, mails that a sender has done with. One lock, one condition; the desk
 * takes all there is at once.
 *
 * The desk says how many replies and rendered mails are worth waking it for,
 * so that one statement of the ledger carries many outcomes.
 */
#ifndef FP_MAILER_INBOX_H
#define FP_MAILER_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inbox;
struct mail;
struct batch;

struct inbox *inbox_new(int slots);
void inbox_free(struct inbox *in); /* must be empty */

/* A claim slot: taken before a batch is claimed, given back when the desk is
 * done with it. False when none was free for timeout_ms. */
bool inbox_take_slot(struct inbox *in, int timeout_ms);
void inbox_give_slot(struct inbox *in);
int inbox_slots_used(struct inbox *in);

void inbox_batch(struct inbox *in, struct batch *b);
void inbox_rendered(struct inbox *in, struct mail *m);
void inbox_replied(struct inbox *in, struct mail *m);
void inbox_wake(struct inbox *in); /* something else to look at */

struct inbox_wait {
    int64_t until_us;  /* CLOCK_MONOTONIC */
    size_t replies;    /* wake when there are so many ... */
    int64_t settle_us; /* ... or so long after the first one */
    size_t rendered;
};
struct inbox_taken {       /* in the order they came */
    struct batch *batches; /* by batch.next */
    struct mail *rendered; /* by mail.in_next */
    struct mail *replied;  /* by mail.in_next */
};
void inbox_take(struct inbox *in, const struct inbox_wait *w, struct inbox_taken *out);

#endif
