/*
 * ListRates, SetRate, ListAudit.
 *
 * A rate is set by the name of its row. Most installations have one provider,
 * so an empty name means that one; where there are several it would be a guess,
 * and the error names them.
 */
#include "services/scheduler/operate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/ledger/audit.h"
#include "lib/ledger/jobs.h"
#include "lib/ledger/rates.h"
#include "lib/log/log.h"

#define MAX_RATES      1000
#define MAX_PER_SECOND 1e6 /* beyond it "no limit" is meant */

/* --- rates ----------------------------------------------------------------------------- */

static Foliopost__V1__ProviderRate *convert_rate(struct convert *c, const struct ledger_rate *r)
{
    Foliopost__V1__ProviderRate *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__provider_rate__init(m);
    m->provider = convert_text(c, r->provider);
    m->per_second = r->rate;
    m->limit_per_second = r->limit;
    m->configured_per_second = r->configured;
    m->by_operator = r->by_operator;
    m->lowered_until_us = r->lowered_until_us;
    m->daily_quota = r->daily_quota;
    m->used_today = r->used_today;
    m->fault = convert_text(c, r->fault);
    m->touched_us = r->touched_us;
    return m;
}

ProtobufCMessage *operate_list_rates(struct fp_ledger *l, struct convert *c, struct fp_err *err)
{
    Foliopost__V1__ListRatesResponse *r = convert_alloc(c, 1, sizeof *r);

    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_rates_response__init(r);
    struct ledger_rate *rows = mem_array(MAX_RATES, sizeof *rows);
    int n = ledger_rates(l, rows, MAX_RATES, err);
    r->rates = n > 0 ? convert_alloc(c, (size_t)n, sizeof *r->rates) : NULL;
    for (int i = 0; i < n && r->rates; i++)
        if ((r->rates[i] = convert_rate(c, &rows[i])))
            r->n_rates++;
    mem_free(rows);
    return n < 0 ? NULL : &r->base;
}

static bool is_provider(const struct ledger_rate *r)
{
    return strncmp(r->provider, RATE_DOMAIN, sizeof RATE_DOMAIN - 1) != 0;
}

/* The row of that name; for "" the only provider's. */
static const struct ledger_rate *find_rate(const struct ledger_rate *rows, int n, const char *name,
                                           struct fp_err *err)
{
    const struct ledger_rate *found = NULL;
    char known[256] = "";
    int hits = 0;

    for (int i = 0; i < n; i++) {
        size_t len = strlen(known);
        if (is_provider(&rows[i]))
            snprintf(known + len, sizeof known - len, "%s%s", len ? ", " : "", rows[i].provider);
        if (name[0] ? strcmp(rows[i].provider, name) == 0 : is_provider(&rows[i])) {
            found = &rows[i];
            hits++;
        }
    }
    if (hits == 1)
        return found;
    if (hits > 1)
        err_set(err, FP_INVALID_ARGUMENT, "provider: there are several: %s", known);
    else if (name[0])
        err_set(err, FP_NOT_FOUND, "provider: no mailer has used \"%s\"; known: %s", name, known);
    else
        err_set(err, FP_NOT_FOUND, "provider: no mailer has used any yet");
    return NULL;
}

static int check_rate(const Foliopost__V1__SetRateRequest *q, struct fp_err *err)
{
    if (!(q->per_second >= 0 && q->per_second <= MAX_PER_SECOND))
        return err_set(err, FP_INVALID_ARGUMENT, "per_second: %g is not 0 (no limit) to %g mails a second",
                       q->per_second, MAX_PER_SECOND);
    if (q->reset && q->per_second > 0)
        return err_set(err, FP_INVALID_ARGUMENT, "reset: give it or per_second, not both");
    return 0;
}

/* Sets it and reads it back. */
static Foliopost__V1__ProviderRate *set_rate(struct fp_ledger *l, const Foliopost__V1__SetRateRequest *q,
                                             const char *actor, struct ledger_rate *rows, struct convert *c,
                                             struct fp_err *err)
{
    char name[sizeof rows->provider];
    int n = ledger_rates(l, rows, MAX_RATES, err);
    const struct ledger_rate *r = n < 0 ? NULL : find_rate(rows, n, q->provider, err);

    if (!r)
        return NULL;
    snprintf(name, sizeof name, "%s", r->provider);
    if (ledger_rate_set(l, name, q->reset ? NULL : &q->per_second, actor, err))
        return NULL;
    n = ledger_rates(l, rows, MAX_RATES, err);
    r = n < 0 ? NULL : find_rate(rows, n, name, err);
    if (!r)
        return NULL;
    log_info("", "rate set", "provider=%s per_second=%g configured=%g", r->provider, r->limit, r->configured);
    return convert_rate(c, r);
}

/* Of a job: in the leader's next turn. */
static Foliopost__V1__ProviderRate *set_job_rate(struct fp_ledger *l, const Foliopost__V1__SetRateRequest *q,
                                                 const char *actor, struct convert *c, struct fp_err *err)
{
    struct ledger_rate r = {.rate = q->per_second, .limit = q->per_second, .by_operator = true};

    if (q->provider[0] || q->reset || q->job_id < 0) {
        err_set(err, FP_INVALID_ARGUMENT, "job_id: a job's rate has neither provider nor reset");
        return NULL;
    }
    if (ledger_job_set_rate(l, q->job_id, q->per_second, actor, err))
        return NULL;
    snprintf(r.provider, sizeof r.provider, "job:%" PRId64, q->job_id);
    log_info("", "rate set", "job=%" PRId64 " per_second=%g", q->job_id, q->per_second);
    return convert_rate(c, &r);
}

ProtobufCMessage *operate_set_rate(struct fp_ledger *l, const Foliopost__V1__SetRateRequest *q,
                                   const char *actor, struct convert *c, struct fp_err *err)
{
    if (check_rate(q, err))
        return NULL;
    if (q->job_id != 0) {
        Foliopost__V1__ProviderRate *of_job = set_job_rate(l, q, actor, c, err);
        return of_job ? &of_job->base : NULL;
    }
    struct ledger_rate *rows = mem_array(MAX_RATES, sizeof *rows);
    Foliopost__V1__ProviderRate *r = set_rate(l, q, actor, rows, c, err);
    mem_free(rows);
    return r ? &r->base : NULL;
}

/* --- the audit ------------------------------------------------------------------------- */

static Foliopost__V1__AuditEntry *convert_audit(struct convert *c, const struct ledger_audit *a)
{
    Foliopost__V1__AuditEntry *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__audit_entry__init(m);
    m->id = a->id;
    m->at_us = a->at_us;
    m->actor = convert_text(c, a->actor);
    m->peer = convert_text(c, a->peer);
    m->action = convert_text(c, a->action);
    m->job_id = a->job_id;
    m->detail = convert_text(c, a->detail);
    return m;
}

ProtobufCMessage *operate_list_audit(struct fp_ledger *l, const Foliopost__V1__ListAuditRequest *q, int page,
                                     struct convert *c, struct fp_err *err)
{
    const struct ledger_audit_filter f = {.actor = q->actor,
                                          .action = q->action,
                                          .job_id = q->job_id,
                                          .from_us = q->from_us,
                                          .to_us = q->to_us};
    Foliopost__V1__ListAuditResponse *r = convert_alloc(c, 1, sizeof *r);

    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_audit_response__init(r);
    struct ledger_audit *rows = mem_array((size_t)page + 1, sizeof *rows); /* one more: are there more? */
    int n = ledger_audit(l, &f, q->before_id, rows, page + 1, err);
    int shown = n < page ? n : page;
    r->entries = shown > 0 ? convert_alloc(c, (size_t)shown, sizeof *r->entries) : NULL;
    for (int i = 0; i < shown && r->entries; i++)
        if ((r->entries[i] = convert_audit(c, &rows[i])))
            r->n_entries++;
    if (n > page)
        r->next_before_id = rows[page - 1].id;
    mem_free(rows);
    return n < 0 ? NULL : &r->base;
}
