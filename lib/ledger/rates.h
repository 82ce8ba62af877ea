/*
 * The provider's rate, daily quota and faults: table foliopost.provider_rates,
 * one row for all mailers of a provider; rows named RATE_DOMAIN... are of a
 * recipient's domain. And the window of the day in which mail is sent.
 */
#ifndef FP_LEDGER_RATES_H
#define FP_LEDGER_RATES_H

#include "lib/ledger/ledger.h"

#define RATE_DOMAIN "domain:"

/* At a mailer's start: makes the row, or sets its limit unless an operator did. 0: no limit. */
int ledger_rate_configure(struct fp_ledger *l, const char *provider, double per_second,
                          struct fp_err *err) FP_MUST_CHECK;
/* After configure: mails a day (UTC) of all mailers together, 0: no quota;
 * and what is known to have gone out today, whoever sent it. */
int ledger_rate_quota(struct fp_ledger *l, const char *provider, double per_day, double used_today,
                      struct fp_err *err) FP_MUST_CHECK;

/* Whether a provider's account can be asked what it allows, and was. */
enum ledger_account { ACCOUNT_NONE, ACCOUNT_UNREAD, ACCOUNT_READ };
/* What holds for a provider: a mailer's settings and what the account allows, the lower of both. */
struct ledger_limits {
    double per_second, per_day; /* 0: none */
    enum ledger_account account;
    bool rolls;  /* per_day is the account's: of the last 24 hours, not of a day of UTC */
    double sent; /* within these, as the account says */
};
/* Configure and quota in one, at a mailer's start and whenever the account was read again. The count of
 * a quota that rolls is the account's, and what was taken since. UNREAD: what a mailer read within 24 hours
 * is only lowered, and its quota stays. */
int ledger_rate_limits(struct fp_ledger *l, const char *provider, const struct ledger_limits *limits,
                       struct fp_err *err) FP_MUST_CHECK;
/* A slice of n mails by virtual scheduling. *granted 0: too far ahead, ask
 * again in *delay_us; RATE_QUOTA_SPENT: the day's quota is used up, ask again
 * then. Else *granted mails (n, or what is left of the quota) may go from
 * *delay_us on (counted from the database's now), over *granted / *rate
 * seconds. *rate 0: no limit. *day, set when there are any: the day of UTC that they
 * count for, since 1970. */
#define RATE_QUOTA_SPENT (-1)
int ledger_rate_take(struct fp_ledger *l, const char *provider, int n, int *granted, int64_t *delay_us,
                     double *rate, int32_t *day, struct fp_err *err) FP_MUST_CHECK;
/* The next three are not tried again by themselves when their answer is lost: a step
 * carried out twice would pass the quota, or lower the rate by the factor's square.
 *
 * Mails of slices that were not used: they do not count against the quota of the
 * day that they were taken on. */
int ledger_rate_return(struct fp_ledger *l, const char *provider, int n, int32_t day,
                       struct fp_err *err) FP_MUST_CHECK;
/* Throttled: rate * factor for hold_s, not below 1/20 of the limit. 1; or 0: nothing
 * changed, another mailer had lowered it for the same wave of replies, or it has no limit. */
#define RATE_HOLD_MAX_S    60
#define RATE_LOWER_EVERY_S 2
int ledger_rate_lower(struct fp_ledger *l, const char *provider, double factor, int hold_s,
                      struct fp_err *err) FP_MUST_CHECK;
/* Quiet again: up by a part of the limit, once lowered_until is over and the last
 * change, whoever made it, is long enough ago. 1; or 0: not now. */
#define RATE_RAISE_EVERY_S 5
int ledger_rate_raise(struct fp_ledger *l, const char *provider, double part,
                      struct fp_err *err) FP_MUST_CHECK;
/* Why the provider stands, told again with each probe; "" when it goes again. */
int ledger_provider_fault(struct fp_ledger *l, const char *provider, const char *fault,
                          struct fp_err *err) FP_MUST_CHECK;
/* Sum of rates in force, 0 when one has no limit or there is none; and the first
 * fault. Of the providers that mailers used within ten minutes, or used last. */
int ledger_rates_total(struct fp_ledger *l, double *per_second, char fault[256], int64_t *fault_for_s,
                       struct fp_err *err) FP_MUST_CHECK;

struct ledger_rate {
    char provider[96];
    double rate;                    /* in force now; 0: no limit */
    double limit, configured;       /* what it goes back to after a lowering; what the mailers are told */
    bool by_operator;               /* the limit is an operator's */
    int64_t lowered_until_us;       /* 0: not lowered by throttling */
    double daily_quota, used_today; /* 0: no quota */
    char fault[256];
    int64_t touched_us; /* when a mailer used it last */
};
/* Providers first, then domains, by name. Returns how many. */
int ledger_rates(struct fp_ledger *l, struct ledger_rate *out, int max, struct fp_err *err) FP_MUST_CHECK;
/* An operator's limit from now on, for every mailer, until the next one; 0: no
 * limit; NULL: as the mailers are configured. It ends a lowering. NOT_FOUND:
 * no mailer ever used that provider; FAILED_PRECONDITION: no limit, and it has a daily
 * quota, which is counted with the rate. */
int ledger_rate_set(struct fp_ledger *l, const char *provider, const double *per_second, const char *actor,
                    struct fp_err *err) FP_MUST_CHECK;

/* Of minutes of the day in a time zone; from = to: always. Past midnight when to < from. */
struct ledger_window {
    const char *zone; /* a name that PostgreSQL knows: Europe/Berlin */
    int from_minute, to_minute;
};
/* Fills the minutes from "08:00-20:00", "22:00-06:00"; -1: it is not like that. */
int ledger_window_parse(const char *text, struct ledger_window *w) FP_MUST_CHECK;
/* Whether the window is open, and how long it stays so. INVALID_ARGUMENT: there
 * is no such zone. */
int ledger_window_look(struct fp_ledger *l, const struct ledger_window *w, bool *open, int64_t *for_us,
                       struct fp_err *err) FP_MUST_CHECK;

#endif
