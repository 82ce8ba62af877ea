/*
 * The desk: one thread with one ledger connection that owns all state of the
 * claimed batches. Everything else (intake, render pool, senders, pacer) hands
 * it work through the inbox, and gets work from it.
 */
#ifndef FP_MAILER_DESK_H
#define FP_MAILER_DESK_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/ledger/rates.h"
#include "lib/pg/pg.h"
#include "services/mailer/renderers.h"
#include "services/mailer/sender.h"

struct desk;
struct batch;

#define PROVIDERS_MAX 8
#define DOMAINS_MAX   32 /* of recipients, with a rate of their own */

struct provider_options {
    const char *name; /* of its row in provider_rates */
    const struct transport_ops *transport;
    struct transport_settings transport_settings;
    struct ledger_limits limits;
    int weight;     /* its share of the mails, among those that are well */
    bool dedicated; /* takes only the mails that name it */
    int connections;
};

struct domain_options {
    const char *channel; /* "domain:gmail.com" */
    const char *name;    /* "gmail.com" */
    double mail_rate;
};

struct desk_options {
    struct pg_options ledger;
    struct lease lease;
    struct render_with render;
    struct provider_options providers[PROVIDERS_MAX];
    int n_providers;
    struct domain_options domains[DOMAINS_MAX];
    int n_domains;
    struct ledger_window window;
    int render_threads, slots;
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
/* The account of a provider, by its place, was read again. Any thread. */
void desk_limits(struct desk *d, int provider, const struct ledger_limits *limits);
/* Gauges, now and then. */
void desk_report(struct desk *d);
/* Ends the threads, and frees. False: mails are out at a server that does not answer,
 * and their threads live on and use all there is: the process must end as it stands,
 * with its lease not ended but run out. */
bool desk_stop(struct desk *d);

#endif
