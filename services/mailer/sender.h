/* The senders: a thread and one open transport for each connection. Each mail
 * given comes back to the inbox: tried with the reply, or untried. */
#ifndef FP_MAILER_SENDER_H
#define FP_MAILER_SENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "services/mailer/transport.h"

struct senders;
struct inbox;
struct mail;

/* Whether this process may act for a claim: the skeleton's lease, or a fake. */
struct lease {
    void (*owner)(void *ctx, char out[37]);
    bool (*owns)(void *ctx, const char *owner);
    void *ctx;
};

struct senders_options {
    const struct transport_ops *transport;
    struct transport_settings settings;
    int connections;
    size_t max_queued;
    struct lease lease;
    struct inbox *inbox;
    /* Whether it is the mail's turn; who has lost his waits until wait_us for another. */
    bool (*turn)(void *ctx, struct mail *m, int64_t wait_us);
    void *ctx;
};

struct senders *senders_start(const struct senders_options *o, struct fp_err *err) FP_MUST_CHECK;
/* The mail's intent must be durable. The queue has room for every open intent. */
void senders_give(struct senders *s, struct mail *m);
/* While halted, only probes are tried; what waits comes back untried. */
void senders_halt(struct senders *s, bool halt);
int senders_sending(struct senders *s); /* mails at the provider right now */
/* Ends the threads once they are done with what they have. */
void senders_stop(struct senders *s);

#endif
