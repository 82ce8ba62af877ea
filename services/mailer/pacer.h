/*
 * Fetches slices of rates ahead of their use, on a thread and a ledger
 * connection of its own, so that waiting for them stops no record. Also tells
 * the ledger of throttling and of the providers' faults, and looks at the
 * window of the day.
 *
 * A channel is one rate: of a provider, or of a recipients' domain. Channels
 * are named by their place in the options.
 */
#ifndef FP_MAILER_PACER_H
#define FP_MAILER_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/ledger/rates.h"
#include "lib/pg/pg.h"

#define PACER_MAX_CHANNELS 40

struct pacer;

struct channel_options {
    const char *name; /* of the row in provider_rates */
    struct ledger_limits limits;
};

struct pacer_options {
    struct pg_options ledger;
    struct channel_options channels[PACER_MAX_CHANNELS];
    int n_channels;
    struct ledger_window window;
    void (*changed)(void *ctx); /* there is a new slice, or the window opens */
    void (*beat)(void *ctx);    /* the loop turns; may be NULL */
    void *ctx;
};

/* The strings of the options live as long as the pacer. */
struct pacer *pacer_start(const struct pacer_options *o, struct fp_err *err) FP_MUST_CHECK;
void pacer_stop(struct pacer *p); /* NULL is fine */

/* How many mails wait: keeps slices coming. Then what may be opened of `most`
 * now (0 until it is worth a statement), and when there is more; INT64_MAX when
 * a slice has to come first. */
size_t pacer_offer(struct pacer *p, int channel, size_t waiting, size_t most, int64_t *next_us);
/* Of what was offered, n go out now: the first of them until the time returned,
 * by clock_mono_us(); INT64_MAX: whenever. */
int64_t pacer_use(struct pacer *p, int channel, size_t n);
/* One of them did not go until then, and must not any more. Any thread. */
void pacer_lose(struct pacer *p, int channel);
/* Waits until wait_us for one to go, and takes it; *good_us: until when it is
 * good. False: there was none. Any thread. */
bool pacer_turn(struct pacer *p, int channel, int64_t wait_us, int64_t *good_us);
double pacer_rate(struct pacer *p, int channel); /* in force; 0: no limit */
bool pacer_spent(struct pacer *p, int channel);  /* the day's quota is used up */
/* Why nothing may go although no provider is at fault: the window, a quota. */
void pacer_waits(struct pacer *p, char out[200]);

/* The account was read again. */
void pacer_limits(struct pacer *p, int channel, const struct ledger_limits *limits);
void pacer_throttled(struct pacer *p, int channel);                 /* lower it */
void pacer_fault(struct pacer *p, int channel, const char *reason); /* "": over */

#endif
