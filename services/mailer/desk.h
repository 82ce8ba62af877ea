/*
 * The desk: one thread with one ledger connection that owns all state of the
 * claimed batches. Everything else (intake, render pool, senders, pacer) hands
 * it work through the inbox, and gets work from it.
 */
#ifndef FP_MAILER_DESK_H
#define FP_MAILER_DESK_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/pg/pg.h"
#include "services/mailer/renderers.h"
#include "services/mailer/sender.h"

struct desk;
struct batch;

struct desk_options {
    struct pg_options ledger;
    struct lease lease;
    struct render_with render;
    const struct transport_ops *transport;
    struct transport_settings transport_settings;
    const char *envelope_sender;
    const char *provider;
    double mail_rate; /* mails a second; 0: no limit */
    int connections, render_threads, slots;
    int64_t retry_base_ms, retry_cap_ms, fault_pause_ms;
    void (*note)(void *ctx, const char *why);          /* why it stands; "" when well */
    void (*beat)(void *ctx, int id, const char *name); /* a loop turns */
    void *ctx;
};

/* Strings of the options live as long as the desk. The ledger must be there. */
struct desk *desk_start(const struct desk_options *o, struct fp_err *err) FP_MUST_CHECK;
/* A claim slot, before a batch is claimed; given back without a batch, or by
 * the desk itself when it is done with the batch. */
bool desk_take_slot(struct desk *d, int timeout_ms);
void desk_give_slot(struct desk *d);
void desk_give(struct desk *d, struct batch *b); /* claimed; takes it */
int desk_slots_used(struct desk *d);

/* Takes back what is not sent, lets the rest settle, releases the batches. */
void desk_drain(struct desk *d);
/* Gauges, now and then. */
void desk_report(struct desk *d);
/* Ends the threads. What is still out is left to the lease's end. */
void desk_stop(struct desk *d);

#endif
