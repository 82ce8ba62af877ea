/*
 * Ties the parts together: bus -> intake -> desk -> (render pool, pacer,
 * senders), all with the skeleton's lease. There is one mailer in a process.
 */
#include "services/mailer/mailer.h"

#include <string.h>

#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/accounts.h"
#include "services/mailer/brands.h"
#include "services/mailer/desk.h"
#include "services/mailer/intake.h"
#include "services/mailer/letter.h"
#include "services/mailer/previews.h"
#include "services/mailer/providers.h"
#include "services/mailer/settings.h"

static struct mailer {
    struct fp_service *service;
    struct mailer_settings *settings;
    struct fp_bus_pull *pull;
    struct desk *desk;
    struct intake *intake;
    struct preview_desk *previews;
    struct accounts *accounts;
} the;

/* --- what the parts ask of the skeleton and of the renderer -------------------------------- */

static void lease_owner(void *ctx, char out[37])
{
    service_owner(ctx, out);
}

static bool lease_owns(void *ctx, const char *owner)
{
    return service_owns(ctx, owner);
}

static void note(void *ctx, const char *why)
{
    service_set_note(ctx, why);
}

static void beat(void *ctx, int id, const char *name)
{
    service_beat(ctx, id, name);
}

static int render(void *ctx, const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                  struct fp_str *out, struct rendered *rendered, struct fp_err *err)
{
    const struct mailer *m = ctx;
    return letter_mail(m->settings, job, item, NULL, out, rendered, err);
}

/* --- start --------------------------------------------------------------------------------- */

static struct lease the_lease(struct fp_service *s)
{
    return (struct lease){.owner = lease_owner, .owns = lease_owns, .ctx = s};
}

static int start_desk(struct mailer *m, struct fp_err *err)
{
    const struct mailer_settings *set = m->settings;
    struct desk_options o = {
        .lease = the_lease(m->service),
        .render = {.mail = render, .ctx = m},
        .render_threads = (int)set->render_threads,
        .slots = (int)set->slots,
        .retry_base_ms = set->retry_base_ms,
        .retry_cap_ms = set->retry_cap_ms,
        .fault_pause_ms = set->fault_pause_ms,
        .note = note,
        .beat = beat,
        .ctx = m->service,
    };
    providers_ask_accounts(set->providers);
    providers_to_desk(set->providers, &o);
    service_ledger_options(m->service, &o.ledger);
    m->desk = desk_start(&o, err);
    return m->desk ? 0 : -1;
}

static void cannot(const Foliopost__V1__JobContext *job, char out[160])
{
    letter_cannot(the.settings, job, out);
}

static int start_intake(struct mailer *m, struct fp_err *err)
{
    const struct mailer_settings *set = m->settings;
    const struct bus_tls tls = {set->bus_ca_file, set->bus_cert_file, set->bus_key_file};
    m->pull = bus_pull_open("summaries", set->summaries_from, &tls, (int)set->bus_resolve_ms, err);
    if (!m->pull)
        return err_prefix(err, "summaries-from");
    struct intake_options o = {.lease = the_lease(m->service),
                               .pull = m->pull,
                               .desk = m->desk,
                               .cannot = cannot,
                               .templates_hash = templates_hash(set->loaded),
                               .beat = beat,
                               .ctx = m->service};
    service_ledger_options(m->service, &o.ledger);
    m->intake = intake_start(&o, err);
    return m->intake ? 0 : -1;
}

static int start_previews(struct mailer *m, struct fp_err *err)
{
    struct preview_options o = {.set = m->settings, .owner = lease_owner, .ctx = m->service};
    service_ledger_options(m->service, &o.ledger);
    m->previews = preview_desk_start(&o, err);
    return m->previews ? 0 : -1;
}

static void tell_limits(void *ctx, int provider, const struct ledger_limits *limits)
{
    desk_limits(((struct mailer *)ctx)->desk, provider, limits);
}

static void start_accounts(struct mailer *m)
{
    const struct accounts_options o = {.providers = m->settings->providers, .tell = tell_limits, .ctx = m};
    m->accounts = accounts_start(&o);
}

/* What is fine for a trial and not for users. */
static void warn_of_defaults(const struct mailer_settings *s)
{
    const struct brand *b;
    if (!providers_reach_people(s->providers))
        return;
    for (int i = 0; (b = brands_at(s->brands, i)) != NULL; i++) {
        if (strstr(b->settings->from, "@foliopost.invalid"))
            log_warn("", "from is still the example's", "brand=%s from=%s", b->name, b->settings->from);
        if (!b->settings->unsubscribe_url[0])
            log_warn("", "mails without a way to unsubscribe: mailbox providers and the law ask for one",
                     "brand=%s setting=unsubscribe-url", b->name);
    }
}

/* A failure here ends the process; the operating system takes back the rest. */
int mailer_start(struct fp_service *s, void *values, struct fp_err *err)
{
    the = (struct mailer){.service = s, .settings = values};
    service_set_slots(s, (int)the.settings->slots);
    metrics_add("foliopost_throttled_total", "", 0); /* an alert waits for its first one */
    if (start_desk(&the, err) < 0 || start_intake(&the, err) < 0 || start_previews(&the, err) < 0)
        return -1;
    start_accounts(&the);
    warn_of_defaults(the.settings);
    log_info("", "mailer started",
             "transport=%s provider=%s rate=%g connections=%lld slots=%lld templates=%s",
             the.settings->transport, the.settings->provider, the.settings->mail_rate,
             (long long)the.settings->connections, (long long)the.settings->slots,
             templates_hash(the.settings->loaded));
    return 0;
}

/* --- the rest of the life --------------------------------------------------------------------- */

void mailer_tick(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    desk_report(the.desk);
}

void mailer_drain(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    bus_pull_leave(the.pull);
    intake_drain(the.intake);
    desk_drain(the.desk);
    preview_desk_drain(the.previews);
    accounts_drain(the.accounts);
}

/* A slot is in use from before a claim until the desk has parted with the batch. */
bool mailer_drained(struct fp_service *s, void *values)
{
    (void)s;
    (void)values;
    return intake_ended(the.intake) && desk_slots_used(the.desk) == 0 && preview_desk_drained(the.previews);
}

void mailer_stop(struct fp_service *s, void *values)
{
    (void)values;
    const bool asked = accounts_stop(the.accounts);
    intake_stop(the.intake);
    const bool home = desk_stop(the.desk), shown = preview_desk_drained(the.previews);
    if (!home || !shown) /* their threads use the lease and the providers */
        service_abandon(s);
    preview_desk_stop(the.previews);
    bus_pull_shut(the.pull);
    if (!asked) /* it still uses what follows */
        return;
    providers_free(the.settings->providers);
    letter_close(the.settings);
}

bool mailer_ready(struct fp_service *s, void *values, struct fp_str *why_not)
{
    (void)values;
    if (service_lease_held(s))
        return true;
    str_puts(why_not, "the lease is not held: the ledger cannot be reached");
    return false;
}
