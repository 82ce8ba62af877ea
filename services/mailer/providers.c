/*
 * A section of the file is a copy of the mailer's own settings in which some
 * rows of their table are set anew: so a provider's keys are the flags, with the
 * same checks, and what it does not say is as the flags say.
 */
#include "services/mailer/providers.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/log/log.h"
#include "services/mailer/settings.h"

#define LINE_BYTES 4096
#define NAME_BYTES 65
#define HOST_BYTES 254

struct one {
    char name[NAME_BYTES];
    struct mailer_settings settings; /* its texts of rows that are a provider's are its own */
    double mail_rate, daily_quota, used_today;
};

struct limited {
    char channel[sizeof RATE_DOMAIN + HOST_BYTES];
    double mail_rate;
};

struct providers {
    struct one list[PROVIDERS_MAX];
    int n;
    struct limited domains[DOMAINS_MAX];
    int n_domains;
    struct ledger_window window;
};

/* --- rows that a provider may have ---------------------------------------------------- */

static bool is_providers(const char *name)
{
    static const char *const names[] = {
        "transport",
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
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool is_own_text(const struct config_setting *row)
{
    return is_providers(row->name) &&
           (row->type == CONFIG_STRING || row->type == CONFIG_CHOICE || row->type == CONFIG_SECRET_FILE);
}

static char **text_at(struct mailer_settings *s, const struct config_setting *row)
{
    return (char **)((char *)s + row->offset);
}

static struct one *add(struct providers *p, const struct mailer_settings *s, const char *name,
                       struct fp_err *err)
{
    if (p->n == PROVIDERS_MAX) {
        err_set(err, FP_INVALID_ARGUMENT, "more than %d providers", PROVIDERS_MAX);
        return NULL;
    }
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->list[i].name, name) == 0) {
            err_set(err, FP_INVALID_ARGUMENT, "provider %s stands there twice", name);
            return NULL;
        }
    }
    struct one *o = &p->list[p->n++];
    snprintf(o->name, sizeof o->name, "%s", name);
    o->settings = *s;
    for (size_t i = 0; i < mailer_settings_n_rows; i++)
        if (is_own_text(&mailer_settings_rows[i]))
            *text_at(&o->settings, &mailer_settings_rows[i]) =
                mem_strdup(*text_at(&o->settings, &mailer_settings_rows[i]));
    return o;
}

void providers_free(struct providers *p)
{
    for (int n = 0; p && n < p->n; n++)
        for (size_t i = 0; i < mailer_settings_n_rows; i++)
            if (is_own_text(&mailer_settings_rows[i]))
                mem_free(*text_at(&p->list[n].settings, &mailer_settings_rows[i]));
    mem_free(p);
}

/* --- the file ----------------------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

static int set_key(struct one *o, char *line, struct fp_err *err)
{
    char *value = strchr(line, '=');
    if (!value)
        return err_set(err, FP_INVALID_ARGUMENT, "\"%.40s\" is neither [name] nor key = value", line);
    *value++ = '\0';
    const char *key = trim(line);
    for (size_t i = 0; i < mailer_settings_n_rows; i++)
        if (strcmp(mailer_settings_rows[i].name, key) == 0 && is_providers(key))
            return config_set(&mailer_settings_rows[i], &o->settings, key, trim(value), err);
    return err_set(err, FP_INVALID_ARGUMENT, "a provider has no setting \"%.40s\"", key);
}

static int read_line(struct providers *p, const struct mailer_settings *s, struct one **at, char *line,
                     struct fp_err *err)
{
    line = trim(line);
    size_t n = strlen(line);
    if (*line == '\0' || *line == '#')
        return 0;
    if (*line != '[')
        return *at ? set_key(*at, line, err)
                   : err_set(err, FP_INVALID_ARGUMENT, "a [name] has to come before \"%.40s\"", line);
    line[n - 1] = line[n - 1] == ']' ? '\0' : line[n - 1];
    if (!is_name(line + 1))
        return err_set(err, FP_INVALID_ARGUMENT, "\"%.70s\" is no name: up to %d letters, digits, - _ .",
                       line, NAME_BYTES - 1);
    *at = add(p, s, line + 1, err);
    return *at ? 0 : -1;
}

static int read_file(struct providers *p, const struct mailer_settings *s, struct fp_err *err)
{
    char line[LINE_BYTES];
    struct one *at = NULL;
    int rc = 0, number = 0;
    FILE *f = fopen(s->providers_file, "re");
    if (!f)
        return err_set(err, FP_INVALID_ARGUMENT, "providers-file %s: %s", s->providers_file, strerror(errno));
    while (rc == 0 && fgets(line, sizeof line, f)) {
        number++;
        rc = read_line(p, s, &at, line, err);
    }
    (void)fclose(f);
    if (rc < 0)
        return err_prefix(err, "providers-file %s line %d", s->providers_file, number);
    return p->n > 0 ? 0
                    : err_set(err, FP_INVALID_ARGUMENT, "providers-file %s names none", s->providers_file);
}

static int check(struct one *o, struct fp_err *err)
{
    const struct transport_settings t = settings_transport(&o->settings);
    o->mail_rate = o->settings.mail_rate;
    o->daily_quota = o->settings.daily_quota;
    if (strncmp(o->name, RATE_DOMAIN, strlen(RATE_DOMAIN)) == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "provider: a name cannot begin with " RATE_DOMAIN);
    if (o->daily_quota > 0 && o->mail_rate <= 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "daily-quota: needs a mail-rate, since it is counted with it");
    return transport_by_name(o->settings.transport)->check(&t, err);
}

/* --- domains and the window ------------------------------------------------------------------ */

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
    int h1, m1, h2, m2, n = 0;
    p->window = (struct ledger_window){.zone = s->send_window_zone};
    if (!s->send_window[0])
        return 0;
    if (sscanf(s->send_window, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &n) != 4 || s->send_window[n] ||
        h1 < 0 || h1 > 23 || m1 < 0 || m1 > 59 || h2 < 0 || h2 > 24 || m2 < 0 || m2 > 59 ||
        h2 * 60 + m2 > 1440 || h1 * 60 + m1 == (h2 * 60 + m2) % 1440)
        return err_set(err, FP_INVALID_ARGUMENT, "send-window: \"%s\" is not like 08:00-20:00",
                       s->send_window);
    p->window.from_minute = h1 * 60 + m1;
    p->window.to_minute = h2 * 60 + m2;
    return 0;
}

/* --- all together ------------------------------------------------------------------------------ */

struct providers *providers_load(const struct mailer_settings *s, struct fp_err *err)
{
    struct providers *p = mem_alloc(sizeof *p);
    int rc = s->providers_file[0] ? read_file(p, s, err) : add(p, s, s->provider, err) ? 0 : -1;
    for (int i = 0; i < p->n && rc == 0; i++) {
        rc = check(&p->list[i], err);
        if (rc < 0 && s->providers_file[0])
            (void)err_prefix(err, "provider %s", p->list[i].name);
    }
    if (rc == 0 && s->domain_rates)
        rc = read_domains(p, s->domain_rates, err);
    if (rc == 0 && s->send_window)
        rc = read_window(p, s, err);
    if (rc == 0)
        return p;
    providers_free(p);
    return NULL;
}

static double lower_of(double ours, double theirs)
{
    return theirs > 0 && (ours <= 0 || theirs < ours) ? theirs : ours;
}

static void ask_quota(struct one *o)
{
    struct fp_err err;
    struct transport_quota q = {0};
    const struct transport_ops *ops = transport_by_name(o->settings.transport);
    const struct transport_settings settings = settings_transport(&o->settings);
    if (!ops->quota)
        return;
    struct transport *t = ops->open(&settings, &err);
    int rc = t ? ops->quota(t, &q, &err) : -1;
    ops->close(t);
    if (rc < 0) {
        log_warn("", "quota not read", "provider=%s reason=%s", o->name, err.msg);
        return;
    }
    o->mail_rate = lower_of(o->mail_rate, q.per_second);
    o->daily_quota = o->mail_rate > 0 ? lower_of(o->daily_quota, q.per_day) : 0;
    o->used_today = q.sent_today;
    log_info("", "quota read", "provider=%s rate=%g per_day=%.0f sent=%.0f: at most %g a second, %.0f a day",
             o->name, q.per_second, q.per_day, q.sent_today, o->mail_rate, o->daily_quota);
}

void providers_ask_quotas(struct providers *p)
{
    for (int i = 0; i < p->n; i++)
        ask_quota(&p->list[i]);
}

void providers_to_desk(const struct providers *p, struct desk_options *o)
{
    for (int i = 0; i < p->n; i++) {
        const struct one *at = &p->list[i];
        o->providers[i] = (struct provider_options){.name = at->name,
                                                    .transport = transport_by_name(at->settings.transport),
                                                    .transport_settings = settings_transport(&at->settings),
                                                    .mail_rate = at->mail_rate,
                                                    .daily_quota = at->daily_quota,
                                                    .used_today = at->used_today,
                                                    .weight = (int)at->settings.weight,
                                                    .connections = (int)at->settings.connections};
    }
    for (int i = 0; i < p->n_domains; i++)
        o->domains[i] = (struct domain_options){.channel = p->domains[i].channel,
                                                .name = p->domains[i].channel + strlen(RATE_DOMAIN),
                                                .mail_rate = p->domains[i].mail_rate};
    o->n_providers = p->n;
    o->n_domains = p->n_domains;
    o->window = p->window;
}
