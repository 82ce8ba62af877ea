/*
 * SubmitJob and Resend: how a job comes to be.
 *
 * The specification is resolved (spec.c), the audience frozen, a share of it
 * counted; then the job is written, or planned only, by a dry run.
 */
#include "services/scheduler/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "lib/trace/trace.h"
#include "lib/ledger/rates.h"
#include "services/scheduler/audience.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/named.h"
#include "services/scheduler/person.h"
#include "services/scheduler/report.h"
#include "services/scheduler/spec.h"
#include "services/scheduler/start.h"

#define PACE_JOBS  10   /* completed ones that are looked at */
#define PACE_USERS 1000 /* fewer say more of the start than of the pace */

void methods_take_trace(const struct rpc_call *call, struct ledger_job *j)
{
    char made[56];

    wire_new_traceparent(made);
    snprintf(j->traceparent, sizeof j->traceparent, "%s",
             trace_is_valid(call->traceparent) ? call->traceparent : made);
}

static int count_planned(struct methods_worker *w, const struct scheduler_settings *set,
                         const struct ledger_job *j, struct start_intervals *iv, int64_t *users,
                         struct fp_err *err)
{
    const struct source_share share = {j->share_ppm, j->share_seed};

    if (start_plan(w->source, set, j, iv, err))
        return -1;
    *users = (int64_t)j->n_user_ids;
    if (j->n_user_ids > 0)
        return 0;
    return source_count_users(w->source, iv->lower_us[0], iv->upper_us[iv->n - 1], &share, users, err);
}

/* Users a second of the last completed job that was big enough to tell; 0: none was. */
static int last_pace(struct fp_ledger *l, double *per_s, struct fp_err *err)
{
    struct ledger_job jobs[PACE_JOBS];
    struct ledger_proof p;
    int n = ledger_job_list(l, JOB_COMPLETED, 0, jobs, PACE_JOBS, err);

    *per_s = 0;
    for (int i = 0; i < n && *per_s == 0; i++) {
        int64_t took_us = jobs[i].finished_us - jobs[i].started_us;
        if (ledger_job_proof(l, jobs[i].id, &p, err))
            return -1;
        if (p.users >= PACE_USERS && took_us > 0 && !jobs[i].dry_run)
            *per_s = (double)p.users * 1e6 / (double)took_us;
    }
    return n < 0 ? -1 : 0;
}

/* Who gets no mail uses no rate, so that it rather takes less. */
static int estimate(struct fp_ledger *l, Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    double limit, pace;
    int64_t fault_for_s;
    char fault[256];

    if (ledger_rates_total(l, &limit, fault, &fault_for_s, err) || last_pace(l, &pace, err))
        return -1;
    r->planned_users_per_s = limit > 0 && (pace == 0 || limit < pace) ? limit : pace;
    if (r->planned_users_per_s > 0)
        r->planned_seconds = (double)r->planned_users / r->planned_users_per_s;
    return 0;
}

static int dry_run(struct rpc_call *call, const struct ledger_job *j, struct convert *c,
                   Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct start_intervals *iv = mem_alloc(sizeof *iv);
    int failed = count_planned(methods_worker_of(call), m->o.set, j, iv, &r->planned_users, err);

    r->planned_intervals = iv->n;
    mem_free(iv);
    if (failed || estimate(methods_worker_of(call)->ledger, r, err))
        return -1;
    r->job = convert_job(c, j, NULL, NULL);
    return 0;
}

static int check_open_jobs(struct fp_ledger *l, struct fp_err *err)
{
    struct ledger_job *open = mem_array(LIMIT_OPEN_JOBS, sizeof *open);
    int n = ledger_jobs_open(l, open, LIMIT_OPEN_JOBS, err);

    for (int i = 0; i < n; i++)
        ledger_job_fini(&open[i]);
    mem_free(open);
    if (n >= LIMIT_OPEN_JOBS)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%d jobs are open already: let some end, or cancel some",
                       n);
    return n < 0 ? -1 : 0;
}

/* What a request made, as it is now. */
static int tell_job(struct rpc_call *call, const struct ledger_job *j, bool existing, struct convert *c,
                    Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;

    r->existing = existing;
    r->job = report_job(methods_worker_of(call)->ledger, m->o.set, j, c, err);
    return r->job ? 0 : -1;
}

int methods_known(struct rpc_call *call, const char *request_id, const char *spec_hash, struct convert *c,
                  Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    struct ledger_job j;
    bool found;

    if (ledger_job_by_request(methods_worker_of(call)->ledger, request_id, spec_hash, &j, &found, err))
        return -1;
    int failed = found ? tell_job(call, &j, true, c, r, err) : 0;
    ledger_job_fini(&j);
    return failed;
}

int methods_submit(struct rpc_call *call, const struct ledger_job *j, struct convert *c,
                   Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    struct ledger_job made;
    bool existing;
    char id[32];

    if (check_open_jobs(l, err) || ledger_job_submit(l, j, (int)m->o.set->audience_margin_ms,
                                                     methods_actor_of(call), &made, &existing, err))
        return -1;
    snprintf(id, sizeof id, "job=%" PRId64, made.id);
    if (!existing) {
        log_info(id, "PENDING", "kind=%s listed_users=%zu request_id=%s", made.kind, made.n_user_ids,
                 made.request_id);
        methods_wake_leader(call);
    }
    int failed = tell_job(call, &made, existing, c, r, err);
    ledger_job_fini(&made);
    return failed;
}

static int submit_new(struct rpc_call *call, const Foliopost__V1__SubmitJobRequest *q, struct convert *c,
                      Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct methods_worker *w = methods_worker_of(call);
    struct ledger_job j;
    int failed = spec_resolve(q, m->o.set, clock_wall_us(), &j, err) ||
                 named_check(w->ledger, "spec.provider", j.provider, err) ||
                 audience_freeze(w->source, m->o.set, q->spec, &j, err);

    if (!failed) {
        methods_take_trace(call, &j);
        failed = q->dry_run ? dry_run(call, &j, c, r, err) : methods_submit(call, &j, c, r, err);
    }
    ledger_job_fini(&j);
    return failed ? -1 : 0;
}

/* What is known is answered before anything is checked: its deadline may be past by now, the source
 * away, too many jobs open, and it is the same request all the same. */
ProtobufCMessage *method_submit_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__SubmitJobRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__SubmitJobResponse *r = convert_alloc(&c, 1, sizeof *r);
    char hash[33];

    if (!r)
        return convert_too_large(err);
    foliopost__v1__submit_job_response__init(r);
    if (!q->dry_run &&
        (spec_request_hash(q->spec, hash, err) || methods_known(call, q->request_id, hash, &c, r, err)))
        return NULL;
    int failed = r->job ? 0 : submit_new(call, q, &c, r, err);
    return methods_reply_of(&c, failed ? NULL : &r->base, err);
}

/* --- Resend (person.c) ----------------------------------------------------------------- */

static int resend_new(struct rpc_call *call, const Foliopost__V1__ResendRequest *q, struct convert *c,
                      Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    struct methods_worker *w = methods_worker_of(call);
    struct ledger_job j;
    int failed = person_resend(w->ledger, w->source, q, &j, err);

    if (!failed) {
        methods_take_trace(call, &j);
        j.needs_approval = ((const struct methods *)call->ctx)->o.set->approval_required;
        failed = methods_submit(call, &j, c, r, err);
    }
    ledger_job_fini(&j);
    return failed ? -1 : 0;
}

ProtobufCMessage *method_resend(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__ResendRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__SubmitJobResponse *r = convert_alloc(&c, 1, sizeof *r);
    char hash[33];

    if (!r)
        return convert_too_large(err);
    foliopost__v1__submit_job_response__init(r);
    person_resend_hash(q, hash);
    if (methods_known(call, q->request_id, hash, &c, r, err))
        return NULL;
    int failed = r->job ? 0 : resend_new(call, q, &c, r, err);
    return methods_reply_of(&c, failed ? NULL : &r->base, err);
}
