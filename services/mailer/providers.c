/* Providers from the flags or from sections of a file, and what else limits sending; see providers.h. */
#include "services/mailer/providers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"
#include "services/mailer/sections.h"

#define HOST_BYTES 254

struct one {
    const char *name;
    const struct mailer_settings *settings; /* its section's */
    struct ledger_limits limits;            /* its settings', and its account's as read at start */
    bool dedicated;                         /* to the brands that name it */
};

struct limited {
    char channel[sizeof RATE_DOMAIN + HOST_BYTES];
    double mail_rate;
};

struct providers {
    struct sections *sections;
    struct one list[PROVIDERS_MAX];
    struct limited domains[DOMAINS_MAX];
    int n_domains;
    struct ledger_window window;
};

static const char *const keys[] = {"transport",
                                   "smtp-url",
                                   "smtp-user",
                                   "smtp-password-file",
                                   "smtp-tls",
                                   "smtp-ca-file",
                                   "helo-name",
                                   "connections",
                                   "mails-per-connection",
                                   "connect-timeout",
                                   "reply-timeout",
                                   "maildir",
                                   "api-url",
                                   "api-key-file",
                                   "api-ca-file",
                                   "ses-region",
                                   "ses-configuration-set",
                                   "mail-rate",
                                   "daily-quota",
                                   "weight",
                                   NULL};
static const struct sections_of sections_of_providers = {.file_setting = "providers-file",
                                                         .what = "provider",
                                                         .keys = keys,
                                                         .max = PROVIDERS_MAX};

void providers_free(struct providers *p)
{
    if (p)
        sections_free(p->sections);
    mem_free(p);
}

int providers_find(const struct providers *p, const char *name)
{
    for (int i = 0; i < p->sections->n; i++)
        if (strcmp(p->list[i].name, name) == 0)
            return i;
    return -1;
}

bool providers_reach_people(const struct providers *p)
{
    for (int i = 0; i < p->sections->n; i++) {
        const char *transport = p->list[i].settings->transport;
        if (strcmp(transport, "null") != 0 && strcmp(transport, "maildir") != 0)
            return true;
    }
    return false;
}

int providers_check_sender(const struct providers *p, int i, const char *from, const char *reply_to,
                           struct fp_err *err)
{
    const struct transport_ops *ops = transport_by_name(p->list[i].settings->transport);
    if (!ops->check_sender || ops->check_sender(from, reply_to, err) == 0)
        return 0;
    return err_prefix(err, "provider %s", p->list[i].name);
}

void providers_dedicate(struct providers *p, int i)
{
    p->list[i].dedicated = true;
}

bool providers_is_dedicated(const struct providers *p, int i)
{
    return p->list[i].dedicated;
}

bool providers_any_free(const struct providers *p)
{
    for (int i = 0; i < p->sections->n; i++)
        if (!p->list[i].dedicated)
            return true;
    return false;
}

static struct ledger_limits own_limits(const struct mailer_settings *s)
{
    return (struct ledger_limits){.per_second = s->mail_rate, .per_day = s->daily_quota};
}

static int check(struct one *o, struct fp_err *err)
{
    const struct transport_settings t = settings_transport(o->settings);
    o->limits = own_limits(o->settings);
    if (strncmp(o->name, RATE_DOMAIN, strlen(RATE_DOMAIN)) == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "provider: a name cannot begin with " RATE_DOMAIN);
    if (o->limits.per_day > 0 && o->limits.per_second <= 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "daily-quota: needs a mail-rate, since it is counted with it");
    return transport_by_name(o->settings->transport)->check(&t, err);
}

/* --- domains and the window ------------------------------------------------------------------ */

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

/* "gmail.com:50" */
static int add_domain(struct providers *p, char *text, struct fp_err *err)
{
    double rate;
    char *colon = strchr(text, ':');
    if (colon)
        *colon = '\0';
    const char *name = trim(text);
    if (!colon || strlen(name) == 0 || strlen(name) >= HOST_BYTES ||
        !text_parse_double(trim(colon + 1), &rate) || !(rate > 0) || rate > 1e5)
        return err_set(err, FP_INVALID_ARGUMENT, "domain-rates: \"%.60s\" is not like gmail.com:50", name);
    if (p->n_domains == DOMAINS_MAX)
        return err_set(err, FP_INVALID_ARGUMENT, "domain-rates: more than %d domains", DOMAINS_MAX);
    struct limited *at = &p->domains[p->n_domains++];
    snprintf(at->channel, sizeof at->channel, RATE_DOMAIN "%s", name);
    for (char *c = at->channel; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    at->mail_rate = rate;
    return 0;
}

static int read_domains(struct providers *p, const char *text, struct fp_err *err)
{
    char *copy = mem_strdup(text), *save = NULL;
    int rc = 0;
    for (char *one = strtok_r(copy, ",", &save); one && rc == 0; one = strtok_r(NULL, ",", &save))
        rc = add_domain(p, one, err);
    mem_free(copy);
    return rc;
}

/* "08:00-20:00"; "": always. */
static int read_window(struct providers *p, const struct mailer_settings *s, struct fp_err *err)
{
    p->window = (struct ledger_window){.zone = s->send_window_zone};
    if (s->send_window[0] && ledger_window_parse(s->send_window, &p->window))
        return err_set(err, FP_INVALID_ARGUMENT, "send-window: \"%s\" is not like 08:00-20:00",
                       s->send_window);
    return 0;
}

/* --- all together ------------------------------------------------------------------------------ */

static int check_all(struct providers *p, const struct mailer_settings *s, struct fp_err *err)
{
    for (int i = 0; i < p->sections->n; i++) {
        p->list[i] =
            (struct one){.name = p->sections->list[i]->name, .settings = &p->sections->list[i]->settings};
        if (check(&p->list[i], err) < 0)
            return s->providers_file[0] ? err_prefix(err, "provider %s", p->list[i].name) : -1;
    }
    return 0;
}

struct providers *providers_load(const struct mailer_settings *s, struct fp_err *err)
{
    struct providers *p = mem_alloc(sizeof *p);
    p->sections = sections_new(&sections_of_providers);
    int rc = s->providers_file[0] ? sections_read(p->sections, s, s->providers_file, err)
             : sections_add(p->sections, s, s->provider, err) ? 0
                                                              : -1;
    if (rc == 0)
        rc = check_all(p, s, err);
    if (rc == 0 && s->domain_rates)
        rc = read_domains(p, s->domain_rates, err);
    if (rc == 0 && s->send_window)
        rc = read_window(p, s, err);
    if (rc == 0)
        return p;
    providers_free(p);
    return NULL;
}

/* --- accounts ---------------------------------------------------------------------------------- */

static double lower_of(double ours, double theirs)
{
    return theirs > 0 && (ours <= 0 || theirs < ours) ? theirs : ours;
}

/* A quota needs a rate, which it is counted with. */
static void bound(struct ledger_limits *l, const struct transport_quota *q)
{
    l->account = ACCOUNT_READ;
    l->per_second = lower_of(l->per_second, q->per_second);
    l->rolls = l->per_second > 0 && q->per_day > 0 && (l->per_day <= 0 || q->per_day < l->per_day);
    l->per_day = l->per_second > 0 ? lower_of(l->per_day, q->per_day) : 0;
    l->sent = q->sent;
}

bool providers_has_account(const struct providers *p, int i)
{
    return transport_by_name(p->list[i].settings->transport)->quota != NULL;
}

bool providers_account_unread(const struct providers *p, int i)
{
    return p->list[i].limits.account == ACCOUNT_UNREAD;
}

bool providers_ask_account(const struct providers *p, int i, struct ledger_limits *out)
{
    struct fp_err err;
    struct transport_quota q = {0};
    const struct one *o = &p->list[i];
    const struct transport_ops *ops = transport_by_name(o->settings->transport);
    const struct transport_settings settings = settings_transport(o->settings);
    *out = own_limits(o->settings);
    struct transport *t = ops->open(&settings, &err);
    int rc = t ? ops->quota(t, &q, &err) : -1;
    ops->close(t);
    if (rc < 0) {
        out->account = ACCOUNT_UNREAD;
        log_warn("", "quota not read", "provider=%s reason=%s: what other mailers read holds", o->name,
                 err.msg);
        return false;
    }
    bound(out, &q);
    log_info("", "quota read", "provider=%s rate=%g per_day=%.0f sent=%.0f: at most %g a second, %.0f a day",
             o->name, q.per_second, q.per_day, q.sent, out->per_second, out->per_day);
    return true;
}

void providers_ask_accounts(struct providers *p)
{
    for (int i = 0; i < p->sections->n; i++)
        if (providers_has_account(p, i))
            (void)providers_ask_account(p, i, &p->list[i].limits);
}

int providers_count(const struct providers *p)
{
    return p->sections->n;
}

void providers_to_desk(const struct providers *p, struct desk_options *o)
{
    for (int i = 0; i < p->sections->n; i++) {
        const struct one *at = &p->list[i];
        o->providers[i] = (struct provider_options){.name = at->name,
                                                    .transport = transport_by_name(at->settings->transport),
                                                    .transport_settings = settings_transport(at->settings),
                                                    .limits = at->limits,
                                                    .weight = (int)at->settings->weight,
                                                    .dedicated = at->dedicated,
                                                    .connections = (int)at->settings->connections};
    }
    for (int i = 0; i < p->n_domains; i++)
        o->domains[i] = (struct domain_options){.channel = p->domains[i].channel,
                                                .name = p->domains[i].channel + strlen(RATE_DOMAIN),
                                                .mail_rate = p->domains[i].mail_rate};
    o->n_providers = p->sections->n;
    o->n_domains = p->n_domains;
    o->window = p->window;
}
