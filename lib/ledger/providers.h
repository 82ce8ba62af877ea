/* The providers that deliveries name by number: table foliopost.providers. Rows
 * are made and never changed. What they allow and how they are is in rates.h. */
#ifndef FP_LEDGER_PROVIDERS_H
#define FP_LEDGER_PROVIDERS_H

#include "lib/ledger/ledger.h"

#define LEDGER_PROVIDER_BYTES 96 /* of a name, with its NUL */

/* At a mailer's start: the number of this name, given now when it is new. */
int ledger_provider_number(struct fp_ledger *l, const char *name, int16_t *no,
                           struct fp_err *err) FP_MUST_CHECK;
/* The number of a name that a person gave. NOT_FOUND, saying which there are:
 * no mailer ever had a provider of that name. */
int ledger_provider_find(struct fp_ledger *l, const char *name, int16_t *no,
                         struct fp_err *err) FP_MUST_CHECK;

#endif
