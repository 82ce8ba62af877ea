/*
 * The provider's rate and its faults: table foliopost.provider_rates, one row
 * for all mailers of a provider.
 */
#ifndef FP_LEDGER_RATES_H
#define FP_LEDGER_RATES_H

#include "lib/ledger/ledger.h"

/* At a mailer's start: makes the row, or sets its limit. 0: no limit. */
int ledger_rate_configure(struct fp_ledger *l, const char *provider, double per_second,
                          struct fp_err *err) FP_MUST_CHECK;
/* A slice of n mails by virtual scheduling. *granted 0: too far ahead, ask
 * again in *delay_us. Else n mails may go from *delay_us on (counted from the
 * database's now), over n / *rate seconds. *rate 0: no limit. */
int ledger_rate_take(struct fp_ledger *l, const char *provider, int n, int *granted, int64_t *delay_us,
                     double *rate, struct fp_err *err) FP_MUST_CHECK;
/* Throttled: rate * factor for hold_s, not below 1/20 of the limit. */
int ledger_rate_lower(struct fp_ledger *l, const char *provider, double factor, int hold_s,
                      struct fp_err *err) FP_MUST_CHECK;
/* Quiet again: up by a part of the limit, once lowered_until is over. */
int ledger_rate_raise(struct fp_ledger *l, const char *provider, double part,
                      struct fp_err *err) FP_MUST_CHECK;
/* Why the provider stands, told again with each probe; "" when it goes again. */
int ledger_provider_fault(struct fp_ledger *l, const char *provider, const char *fault,
                          struct fp_err *err) FP_MUST_CHECK;
/* Sum of rates in force, 0 when one has no limit or there is none; and the first
 * fault. Of the providers that mailers used within ten minutes, or used last. */
int ledger_rates_total(struct fp_ledger *l, double *per_second, char fault[256], int64_t *fault_for_s,
                       struct fp_err *err) FP_MUST_CHECK;

#endif
