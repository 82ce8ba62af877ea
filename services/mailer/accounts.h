/*
 * Reads the providers' accounts again while the mailer runs: what an account
 * allows may change, and its quota is one of the last 24 hours, which only its own
 * count knows. On a thread of its own, since an answer can take as long as a mail.
 */
#ifndef FP_MAILER_ACCOUNTS_H
#define FP_MAILER_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "services/mailer/providers.h"

struct accounts;

struct accounts_options {
    const struct providers *providers; /* lives until accounts_stop(), or to the process's end */
    int64_t every_ms, again_ms;        /* after an answer; after none. 0: as usual */
    void (*tell)(void *ctx, int provider, const struct ledger_limits *limits); /* of each answer */
    void *ctx;
};

/* NULL when no account can be asked: the others take that. */
struct accounts *accounts_start(const struct accounts_options *o);
/* Asks no more, and tells nothing more. NULL is fine here and below. */
void accounts_drain(struct accounts *a);
/* False: it waits for an answer still, uses the providers, and ends with the process. */
bool accounts_stop(struct accounts *a);

#endif
