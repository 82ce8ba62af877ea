/* The intake: one thread that takes SummaryBatches from the bus, claims them
 * in the ledger on a connection of its own, and gives them to the desk. */
#ifndef FP_MAILER_INTAKE_H
#define FP_MAILER_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/bus/bus.h"
#include "services/mailer/desk.h"

struct intake;

struct intake_options {
    struct pg_options ledger;
    struct lease lease;
    struct fp_bus_pull *pull; /* NULL: no thread; the caller feeds intake_message() */
    struct desk *desk;
    /* Why no mail of the job can be written: "brand \"acme\": add it ..."; "": nothing. NULL: never asked. */
    void (*cannot)(const Foliopost__V1__JobContext *job, char out[160]);
    const char *templates_hash; /* noted with each job; NULL: not */
    void (*beat)(void *ctx, int id, const char *name);
    void *ctx;
};

struct intake *intake_start(const struct intake_options *o, struct fp_err *err) FP_MUST_CHECK;
/* One message, for a slot that was taken: the slot goes with the batch, or
 * back. True when the batch was claimed. For the thread, and for tests. */
bool intake_message(struct intake *in, const void *data, size_t bytes);
void intake_drain(struct intake *in); /* no new claims */
bool intake_ended(struct intake *in); /* nothing comes any more */
void intake_stop(struct intake *in);

#endif
