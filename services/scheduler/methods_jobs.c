/*
 * One job, or all: what they do, and the operator's hand on them.
 */
#include "services/scheduler/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "services/scheduler/pick.h"
#include "services/scheduler/report.h"

#define MAX_PAGE_JOBS     200
#define DEFAULT_PAGE_JOBS 50
#define WATCH_AGAIN_MS    1000

/* --- GetJob, ListJobs -------------------------------------------------------------------- */

ProtobufCMessage *method_get_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__GetJobRequest *q = (const void *)request;

    return methods_check_job_id(q->job_id, err) ? NULL : methods_show_job(call, q->job_id, q->details, err);
}

/* The door asks again and sends what changed, until the job has ended. */
ProtobufCMessage *method_watch_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__WatchJobRequest *q = (const void *)request;
    ProtobufCMessage *m =
        methods_check_job_id(q->job_id, err) ? NULL : methods_show_job(call, q->job_id, q->details, err);

    if (m) /* with details too: it would go out with each change */
        convert_trim_list((Foliopost__V1__Job *)m);
    if (m && ((Foliopost__V1__Job *)m)->state <= FOLIOPOST__V1__JOB_STATE__JOB_STATE_PAUSED)
        call->again_ms = WATCH_AGAIN_MS;
    return m;
}

/* A completed job's figures are those of its proof; its batches are not
 * summed again for each list. */
static Foliopost__V1__Job *listed_job(struct fp_ledger *l, const struct ledger_job *j, struct convert *c,
                                      struct fp_err *err)
{
    struct ledger_counts n = {0};
    struct ledger_proof p = {0};

    if (j->state == JOB_COMPLETED) {
        if (ledger_job_proof(l, j->id, &p, err))
            return NULL;
        n.users = p.users;
        n.sent = p.sent;
        n.failed = p.failed;
        n.skipped = p.skipped;
        n.ambiguous = p.ambiguous;
    } else if (ledger_job_counts(l, j->id, &n, err)) {
        return NULL;
    }
    Foliopost__V1__Job *job = convert_job(c, j, &n, &p);
    return job ? job : convert_too_large(err);
}

static int fill_jobs(struct fp_ledger *l, const struct ledger_job *jobs, int n, int page, struct convert *c,
                     Foliopost__V1__ListJobsResponse *r, struct fp_err *err)
{
    int shown = n < page ? n : page;

    r->jobs = convert_alloc(c, (size_t)shown, sizeof *r->jobs);
    for (int i = 0; i < shown && r->jobs; i++) {
        r->jobs[i] = listed_job(l, &jobs[i], c, err);
        if (!r->jobs[i])
            return -1;
        r->n_jobs++;
    }
    if (n > page)
        r->next_before_id = jobs[page - 1].id;
    return 0;
}

static int take_filter(const Foliopost__V1__ListJobsRequest *q, struct ledger_job_filter *f,
                       struct fp_err *err)
{
    static const char *const kinds[] = {"", "weekly", "monthly", "custom"};

    if ((int)q->state < JOB_UNKNOWN || (int)q->state > JOB_CANCELLED)
        return err_set(err, FP_INVALID_ARGUMENT, "state: %d is not a job's state", (int)q->state);
    if ((int)q->kind < 0 || (int)q->kind > FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM)
        return err_set(err, FP_INVALID_ARGUMENT, "kind: %d is not a job's kind", (int)q->kind);
    if (q->to_us > 0 && q->to_us <= q->from_us)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "to_us: not after from_us, so no job can be between them: exchange the two");
    *f = (struct ledger_job_filter){.state = (enum job_state)q->state,
                                    .open = q->open,
                                    .kind = kinds[q->kind],
                                    .template_name = q->template_name,
                                    .brand = q->brand,
                                    .provider = q->provider,
                                    .submitted_by = q->submitted_by,
                                    .schedule = q->schedule,
                                    .from_us = q->from_us,
                                    .to_us = q->to_us,
                                    .parent_job = q->parent_job,
                                    .without_dry_runs = q->without_dry_runs};
    return 0;
}

ProtobufCMessage *method_list_jobs(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__ListJobsRequest *q = (const void *)request;
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    struct convert c = {.arena = call->arena};
    struct ledger_job_filter f;
    int page = 0;

    if (methods_check_page(q->page_size, MAX_PAGE_JOBS, DEFAULT_PAGE_JOBS, &page, err))
        return NULL;
    if (take_filter(q, &f, err))
        return NULL;
    Foliopost__V1__ListJobsResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_jobs_response__init(r);
    struct ledger_job *jobs =
        mem_array((size_t)page + 1, sizeof *jobs); /* one more tells whether there are more */
    int n = ledger_job_list_where(l, &f, q->before_id, jobs, page + 1, err);
    int failed = n < 0 || fill_jobs(l, jobs, n, page, &c, r, err);
    for (int i = 0; i < n; i++)
        ledger_job_fini(&jobs[i]);
    mem_free(jobs);
    return methods_reply_of(&c, failed ? NULL : &r->base, err);
}

/* --- PauseJob, ResumeJob, CancelJob, ApproveJob -------------------------------------------- */

/* What a client asked for and got; a step asked for twice is told twice. */
static void tell(int64_t job_id, const char *state, const char *reason)
{
    char id[32];

    snprintf(id, sizeof id, "job=%" PRId64, job_id);
    log_info(id, state, "reason=%s", reason);
}

ProtobufCMessage *method_pause_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__PauseJobRequest *q = (const void *)request;
    const char *reason = q->reason && q->reason[0] ? q->reason : "asked for by a client";

    if (methods_check_job_id(q->job_id, err) || methods_check_reason(reason, err) ||
        ledger_job_pause(methods_worker_of(call)->ledger, q->job_id, reason, methods_actor_of(call), err))
        return NULL;
    tell(q->job_id, "PAUSED", reason);
    methods_wake_leader(call);
    return methods_answer_job(call, q->job_id, err);
}

ProtobufCMessage *method_resume_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__ResumeJobRequest *q = (const void *)request;

    if (methods_check_job_id(q->job_id, err) ||
        ledger_job_resume(methods_worker_of(call)->ledger, q->job_id, methods_actor_of(call), err))
        return NULL;
    tell(q->job_id, "resumed", "asked for by a client");
    methods_wake_leader(call);
    return methods_answer_job(call, q->job_id, err);
}

ProtobufCMessage *method_cancel_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__CancelJobRequest *q = (const void *)request;
    const char *reason = q->reason && q->reason[0] ? q->reason : "asked for by a client";

    if (methods_check_job_id(q->job_id, err) || methods_check_reason(reason, err) ||
        ledger_job_cancel(methods_worker_of(call)->ledger, q->job_id, reason, methods_actor_of(call), err))
        return NULL;
    tell(q->job_id, "CANCELLED", reason);
    methods_wake_leader(call);
    return methods_answer_job(call, q->job_id, err);
}

/* At an open door everybody is the same, and so the submitter: over gRPC a certificate's subject would
 * be a second name of who submitted over NNG, or without it. */
ProtobufCMessage *method_approve_job(struct rpc_call *call, const ProtobufCMessage *request,
                                     struct fp_err *err)
{
    const Foliopost__V1__ApproveJobRequest *q = (const void *)request;
    const char *reason = q->reason ? q->reason : "";

    if (!call->identity || !call->identity[0]) {
        err_set(
            err, FP_PERMISSION_DENIED,
            "without identities nobody can be told from the submitter: add some (foliopost identities add)");
        return NULL;
    }
    if (methods_check_job_id(q->job_id, err) || methods_check_reason(reason, err) ||
        ledger_job_approve(methods_worker_of(call)->ledger, q->job_id, reason, methods_actor_of(call), err))
        return NULL;
    tell(q->job_id, "approved", methods_who(call));
    methods_wake_leader(call);
    return methods_answer_job(call, q->job_id, err);
}

/* --- RetryFailed, ResolveAmbiguous (pick.c) ------------------------------------------------ */

/* A step of the ledger on the users of a filter. */
typedef int opened(struct fp_ledger *l, int64_t job_id, const struct ledger_delivery_filter *f,
                   const char *actor, int64_t *users, struct fp_err *err);

static int reopen_failed(struct fp_ledger *l, int64_t job_id, const struct ledger_delivery_filter *f,
                         const char *actor, int64_t *users, struct fp_err *err)
{
    static const char *const failed[] = {"failed"};

    return ledger_job_reopen(l, job_id, failed, 1, f, actor, users, err);
}

static int reopen_ambiguous(struct fp_ledger *l, int64_t job_id, const struct ledger_delivery_filter *f,
                            const char *actor, int64_t *users, struct fp_err *err)
{
    static const char *const ambiguous[] = {"ambiguous"};

    return ledger_job_reopen(l, job_id, ambiguous, 1, f, actor, users, err);
}

static int open_again(struct rpc_call *call, opened *step, int64_t job_id, enum delivery_state state,
                      const Foliopost__V1__DeliveryFilter *filter, int64_t *users, struct fp_err *err)
{
    struct methods_worker *w = methods_worker_of(call);
    struct pick p;

    if (methods_check_job_id(job_id, err))
        return -1;
    int failed = pick_resolve(w->ledger, w->source, job_id, state, filter, &p, err) ||
                 step(w->ledger, job_id, &p.filter, methods_actor_of(call), users, err);
    pick_fini(&p);
    if (!failed && *users > 0)
        log_info("", "reopened", "job=%" PRId64 " users=%" PRId64, job_id, *users);
    if (!failed)
        methods_wake_leader(call);
    return failed;
}

ProtobufCMessage *method_retry_failed(struct rpc_call *call, const ProtobufCMessage *request,
                                      struct fp_err *err)
{
    const Foliopost__V1__RetryFailedRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int64_t users;

    if (open_again(call, reopen_failed, q->job_id, DELIVERY_FAILED, q->filter, &users, err))
        return NULL;
    Foliopost__V1__RetryFailedResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__retry_failed_response__init(r);
    r->users = users;
    r->job = (Foliopost__V1__Job *)methods_answer_job(call, q->job_id, err);
    return r->job ? &r->base : NULL;
}

ProtobufCMessage *method_resolve_ambiguous(struct rpc_call *call, const ProtobufCMessage *request,
                                           struct fp_err *err)
{
    const Foliopost__V1__ResolveAmbiguousRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    opened *step = q->resolution == FOLIOPOST__V1__AMBIGUOUS_RESOLUTION__AMBIGUOUS_RESOLUTION_ACCEPT
                       ? ledger_job_accept
                       : reopen_ambiguous;
    int64_t users;

    if (open_again(call, step, q->job_id, DELIVERY_AMBIGUOUS, q->filter, &users, err))
        return NULL;
    Foliopost__V1__ResolveAmbiguousResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__resolve_ambiguous_response__init(r);
    r->users = users;
    r->job = (Foliopost__V1__Job *)methods_answer_job(call, q->job_id, err);
    return r->job ? &r->base : NULL;
}

/* --- GetReport -------------------------------------------------------------------------- */

ProtobufCMessage *method_get_report(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__GetReportRequest *q = (const void *)request;
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};

    if (methods_check_job_id(q->job_id, err))
        return NULL;
    Foliopost__V1__Report *r =
        report_make(methods_worker_of(call)->ledger, m->o.set, q->job_id, clock_wall_us(), &c, err);
    return methods_reply_of(&c, r ? &r->base : NULL, err);
}
