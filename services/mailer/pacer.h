/*
 * Fetches slices of the provider's rate ahead of their use, on a thread and a
 * ledger connection of its own, so that waiting for them stops no record. Also
 * tells the ledger of throttling and of the provider's faults.
 */
#ifndef FP_MAILER_PACER_H
#define FP_MAILER_PACER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/err.h"
#include "lib/pg/pg.h"

struct pacer;

struct pacer_options {
    struct pg_options ledger;
    const char *provider;
    double mail_rate;           /* mails a second; 0: no limit */
    void (*changed)(void *ctx); /* there is a new slice */
    void (*beat)(void *ctx);    /* the loop turns; may be NULL */
    void *ctx;
};

struct pacer *pacer_start(const struct pacer_options *o, struct fp_err *err) FP_MUST_CHECK;
void pacer_stop(struct pacer *p); /* NULL is fine */

/* How many mails wait: keeps slices coming. Then what may be opened of `most`
 * now (0 until it is worth a statement), and when there is more; INT64_MAX when
 * a slice has to come first. */
size_t pacer_offer(struct pacer *p, size_t waiting, size_t most, int64_t *next_us);
/* Of what was offered, n go out now. */
void pacer_use(struct pacer *p, size_t n);
double pacer_rate(struct pacer *p); /* in force; 0: no limit */

void pacer_throttled(struct pacer *p);                 /* lower it */
void pacer_fault(struct pacer *p, const char *reason); /* "": over */

#endif
