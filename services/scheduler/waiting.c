/*
 * The reasons why a job does not go on, each with what a person can do.
 *
 * They are read when somebody asks, and by any scheduler, from what the
 * services keep in the ledger anyway: leases, notes, the provider's fault, the
 * leader's own word. Nothing here is stored, so nothing here can be stale.
 * docs/operations.md has the same reasons as a table.
 */
#include "services/scheduler/waiting.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/ledger/rates.h"

#define MAX_INSTANCES 256
#define MAX_NOTES     3 /* of instances: ten mailers say the same about one relay */

#define MAX_LISTED 100 /* jobs in progress that are looked at: max-jobs is no more */

struct reasons {
    struct convert *c;
    char *texts[WAITING_MAX];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct reasons *r, const char *fmt, ...)
{
    char text[640];
    va_list ap;

    if (r->n == WAITING_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->texts[r->n] = convert_text(r->c, text);
    if (r->texts[r->n])
        r->n++;
}

/* --- the services and the provider ------------------------------------------------------ */

static int live_of(const struct ledger_instance *live, int n, const char *service)
{
    int count = 0;

    for (int i = 0; i < n; i++)
        count += strcmp(live[i].service, service) == 0;
    return count;
}

static void add_missing(struct reasons *r, const struct ledger_instance *live, int n)
{
    static const char *const services[] = {"mailer", "stats", "userstream"};

    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (live_of(live, n, services[i]) == 0)
            add(r, "no %s is alive: start one, or look at the last lines of its log", services[i]);
}

static void add_notes(struct reasons *r, const struct ledger_instance *live, int n)
{
    int said = 0;

    for (int i = 0; i < n && said < MAX_NOTES; i++) {
        if (!live[i].note[0])
            continue;
        add(r, "%s %s: %s", live[i].service, live[i].address, live[i].note);
        said++;
    }
}

static int add_services(struct reasons *r, struct fp_ledger *l, struct fp_err *err)
{
    struct ledger_instance *live = mem_array(MAX_INSTANCES, sizeof *live);
    double per_second;
    char fault[256];
    int64_t fault_for_s;
    int n = ledger_instances_live(l, live, MAX_INSTANCES, err);

    if (n < 0 || ledger_rates_total(l, &per_second, fault, &fault_for_s, err)) {
        mem_free(live);
        return -1;
    }
    add_missing(r, live, n);
    if (fault[0])
        add(r,
            "the mail provider does not take mail, for %" PRId64
            " s: %s; mailers go on trying, no attempt is counted",
            fault_for_s, fault);
    add_notes(r, live, n);
    mem_free(live);
    return 0;
}

/* --- the job ------------------------------------------------------------------------------ */

static int add_turn(struct reasons *r, struct fp_ledger *l, const struct scheduler_settings *set,
                    struct fp_err *err)
{
    struct ledger_job *running = mem_array(MAX_LISTED, sizeof *running);
    int n = ledger_job_list(l, JOB_IN_PROGRESS, 0, running, MAX_LISTED, err), busy = 0, failed = n < 0;

    for (int i = 0; i < n; i++) {
        struct ledger_counts c; /* whose last users alone wait for their next attempt takes no turn */
        failed = failed || ledger_job_counts(l, running[i].id, &c, err) < 0;
        busy += !failed && (c.intervals_paged < c.intervals || c.batches_open > 0);
        ledger_job_fini(&running[i]);
    }
    mem_free(running);
    if (failed)
        return -1;
    if (busy >= set->max_jobs)
        add(r, "%d jobs are in progress and --max-jobs is %" PRId64 ": it starts when one of them ends", busy,
            set->max_jobs);
    return 0;
}

static void add_approval(struct reasons *r, const struct ledger_job *j)
{
    add(r, "waiting for approval by somebody else than %s: `foliopost approve %" PRId64 "`",
        j->submitted_by[0] ? j->submitted_by : "its submitter", j->id);
}

static int gather(struct reasons *r, struct fp_ledger *l, const struct scheduler_settings *set,
                  const struct ledger_job *j, const struct ledger_counts *counts, struct fp_err *err)
{
    if (j->state == JOB_PAUSED) {
        if (ledger_job_unapproved(j))
            add_approval(r, j);
        add(r, "paused%s%s; `foliopost resume %" PRId64 "` lets it go on", j->response[0] ? ": " : "",
            j->response, j->id);
        return 0;
    }
    if (j->state != JOB_PENDING && j->state != JOB_IN_PROGRESS)
        return 0;
    if (ledger_job_unapproved(j))
        add_approval(r, j);
    if (add_services(r, l, err))
        return -1;
    if (j->waiting[0])
        add(r, "%s", j->waiting);
    if (j->state == JOB_PENDING && add_turn(r, l, set, err))
        return -1;
    if (j->state == JOB_IN_PROGRESS && counts && counts->deferred > 0)
        add(r, "%" PRId64 " users were refused for now and wait for their next attempt", counts->deferred);
    return 0;
}

int waiting_fill(struct fp_ledger *l, const struct scheduler_settings *set, const struct ledger_job *j,
                 const struct ledger_counts *counts, struct convert *c, Foliopost__V1__Job *m,
                 struct fp_err *err)
{
    struct reasons r = {.c = c};

    if (gather(&r, l, set, j, counts, err))
        return -1;
    if (r.n == 0)
        return 0;
    m->waiting = convert_alloc(c, r.n, sizeof *m->waiting);
    if (!m->waiting)
        return 0;
    memcpy(m->waiting, r.texts, r.n * sizeof *m->waiting);
    m->n_waiting = r.n;
    return 0;
}
