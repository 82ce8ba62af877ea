/*
 * The providers that a mailer sends through, from its settings: the one that
 * the flags tell of, or several from a file. Also what else limits sending:
 * rates of recipients' domains and the window of the day.
 *
 *     # providers.conf: a section for each; what it does not say is as the flags say
 *     [ses-eu]
 *     transport = ses
 *     weight = 80
 *     mail-rate = 500
 *     daily-quota = 1000000
 *     [relay]
 *     transport = smtp
 *     smtp-url = smtp://relay.example:587
 *     weight = 20
 */
#ifndef FP_MAILER_PROVIDERS_H
#define FP_MAILER_PROVIDERS_H

#include "services/mailer/desk.h"

struct mailer_settings;
struct providers;

/* Checks everything that can be checked without a network. The settings live
 * as long as the providers; domain_rates and send_window may be NULL. */
struct providers *providers_load(const struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
void providers_free(struct providers *p);
/* Its place among them, which is the desk's number of it; -1: there is none. */
int providers_find(const struct providers *p, const char *name);
/* Whether a From and Reply-To can go through it. */
int providers_check_sender(const struct providers *p, int i, const char *from, const char *reply_to,
                           struct fp_err *err) FP_MUST_CHECK;
bool providers_reach_people(const struct providers *p); /* one is neither null nor a maildir */
/* It takes only mails that name it (struct rendered). */
void providers_dedicate(struct providers *p, int i);
bool providers_is_dedicated(const struct providers *p, int i);
bool providers_any_free(const struct providers *p); /* one that is not dedicated */
int providers_count(const struct providers *p);
/* Its account can be asked what it allows. */
bool providers_has_account(const struct providers *p, int i);
bool providers_account_unread(const struct providers *p, int i); /* at start */
/* Asks it: the settings' limits, kept below the account's. False: it did not answer, which is warned of; *out
 * says so. It can take as long as a mail; any thread. */
bool providers_ask_account(const struct providers *p, int i, struct ledger_limits *out);
/* All of them, for providers_to_desk(). */
void providers_ask_accounts(struct providers *p);
/* Sets providers, domains and window of the desk. */
void providers_to_desk(const struct providers *p, struct desk_options *o);

#endif
