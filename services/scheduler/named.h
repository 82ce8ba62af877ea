/* The provider that a job or a schedule names, against those that mailers told of. */
#ifndef FP_SCHEDULER_NAMED_H
#define FP_SCHEDULER_NAMED_H

#include "lib/base/err.h"
#include "lib/ledger/ledger.h"

/* INVALID_ARGUMENT, with the names there are, when mailers told of providers and
 * of none like this. "" is fine; so is any name while no mailer ever started: it
 * would pause the job then, with the reason. field: of the request. */
int named_check(struct fp_ledger *l, const char *field, const char *provider,
                struct fp_err *err) FP_MUST_CHECK;

#endif
