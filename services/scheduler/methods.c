/*
 * The handlers of JobService, in the order of the .proto.
 *
 * A handler checks its request, runs steps of the ledger and converts what is
 * there. Everything is safe to call again: a submission by its request id,
 * pause, resume and cancel because being so already is a success. What is
 * wrong with a request is INVALID_ARGUMENT and names the field; errors of the
 * ledger keep their code.
 */
#include "services/scheduler/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/ledger/deliveries.h"
#include "lib/log/log.h"
#include "services/scheduler/convert.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/operate.h"
#include "services/scheduler/person.h"
#include "services/scheduler/pick.h"
#include "services/scheduler/report.h"
#include "services/scheduler/spec.h"
#include "services/scheduler/start.h"
#include "services/scheduler/suppress.h"

#define MAX_PAGE_JOBS           200
#define DEFAULT_PAGE_JOBS       50
#define MAX_PAGE_DELIVERIES     1000
#define DEFAULT_PAGE_DELIVERIES 100
#define MAX_PAGE_HISTORY        200
#define DEFAULT_PAGE_HISTORY    50
#define MAX_FLEET               1000
#define WATCH_AGAIN_MS          1000
#define ACTOR_BYTES             128
#define MAX_REASON_BYTES        400 /* it becomes the job's response, together with what was done */

struct worker {
    struct fp_ledger *ledger;
    struct fp_source *source;
};

struct methods {
    struct methods_options o;
    struct worker *workers;
};

struct methods *methods_new(const struct methods_options *o, struct fp_err *err)
{
    struct methods *m = mem_alloc(sizeof *m);

    m->o = *o;
    m->workers = mem_array((size_t)o->workers, sizeof *m->workers);
    for (int i = 0; i < o->workers; i++) {
        m->workers[i].ledger = ledger_open(&o->ledger, err);
        m->workers[i].source = m->workers[i].ledger ? source_open(&o->source, err) : NULL;
        if (!m->workers[i].source) {
            methods_free(m);
            return NULL;
        }
    }
    return m;
}

void methods_free(struct methods *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->o.workers; i++) {
        if (m->workers[i].source)
            source_close(m->workers[i].source);
        if (m->workers[i].ledger)
            ledger_close(m->workers[i].ledger);
    }
    mem_free(m->workers);
    mem_free(m);
}

/* --- what the handlers share ---------------------------------------------------------- */

static struct worker *worker_of(const struct rpc_call *call)
{
    const struct methods *m = call->ctx;

    if (call->worker < 0 || call->worker >= m->o.workers)
        fp_panic("worker %d of %d", call->worker, m->o.workers);
    return &m->workers[call->worker];
}

/* For the audit: who calls, and from where. */
static const char *actor_of(struct rpc_call *call)
{
    char who[ACTOR_BYTES], peer[ACTOR_BYTES];
    char *actor = arena_alloc(call->arena, 2 * ACTOR_BYTES);

    text_clean(who, sizeof who, call->subject && call->subject[0] ? call->subject : "rpc");
    text_clean(peer, sizeof peer, call->peer ? call->peer : "");
    if (actor)
        snprintf(actor, 2 * ACTOR_BYTES, "%s\n%s", who, peer);
    return actor ? actor : "rpc";
}

static void wake_leader(const struct rpc_call *call)
{
    const struct methods *m = call->ctx;

    if (m->o.wake)
        m->o.wake(m->o.ctx);
}

/* The reply, once everything fitted into the arena. */
static ProtobufCMessage *reply_of(const struct convert *c, ProtobufCMessage *m, struct fp_err *err)
{
    return !m || convert_check(c, err) ? NULL : m;
}

static int check_job_id(int64_t job_id, struct fp_err *err)
{
    if (job_id <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "job_id: %" PRId64 " is not a job's id, which is above 0",
                       job_id);
    return 0;
}

static int check_page(int32_t size, int max, int def, int *out, struct fp_err *err)
{
    if (size < 0 || size > max)
        return err_set(err, FP_INVALID_ARGUMENT, "page_size: %" PRId32 " is not 0 (%d) to %d", size, def,
                       max);
    *out = size ? size : def;
    return 0;
}

static int check_reason(const char *reason, struct fp_err *err)
{
    if (strlen(reason) > MAX_REASON_BYTES)
        return err_set(err, FP_INVALID_ARGUMENT, "reason: %zu bytes are more than %d", strlen(reason),
                       MAX_REASON_BYTES);
    return 0;
}

static ProtobufCMessage *answer_job(struct rpc_call *call, int64_t job_id, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};
    struct ledger_job j;

    if (ledger_job_get(worker_of(call)->ledger, job_id, &j, err))
        return NULL;
    Foliopost__V1__Job *job = report_job(worker_of(call)->ledger, m->o.set, &j, &c, err);
    ledger_job_fini(&j);
    return reply_of(&c, job ? &job->base : NULL, err);
}

/* --- SubmitJob --------------------------------------------------------------------------- */

/* A replica of the source may not have what was committed a moment ago: the
 * audience ends where it certainly has everything (P1). */
static int freeze_audience(struct worker *w, const struct scheduler_settings *set, struct ledger_job *j,
                           struct fp_err *err)
{
    int64_t replayed_us;

    if (j->n_user_ids > 0)
        return 0;
    if (source_replayed_us(w->source, &replayed_us, err))
        return err_prefix(err, "cannot ask the source database how far it has come");
    replayed_us -= set->audience_margin_ms * 1000;
    if (replayed_us < j->audience_end_us)
        j->audience_end_us = replayed_us;
    return 0;
}

/* A share of the audience becomes a number now, and stays that. */
static int count_canary(struct worker *w, const Foliopost__V1__JobSpec *s, struct ledger_job *j,
                        struct fp_err *err)
{
    int64_t users = (int64_t)j->n_user_ids;

    if (s->canary_ppm == 0)
        return 0;
    if (users == 0 && source_count_users(w->source, j->registered_from_us, j->audience_end_us, &users, err))
        return err_prefix(err, "cannot count the audience for spec.canary_ppm");
    j->canary_users = (users * s->canary_ppm + 999999) / 1000000;
    return 0;
}

static bool is_traceparent(const char *s)
{
    return s && strlen(s) == 55 && strncmp(s, "00-", 3) == 0 && strspn(s, "0123456789abcdef-") == 55;
}

static void take_trace(const struct rpc_call *call, struct ledger_job *j)
{
    char made[56];

    wire_new_traceparent(made);
    snprintf(j->traceparent, sizeof j->traceparent, "%s",
             is_traceparent(call->traceparent) ? call->traceparent : made);
}

static int count_planned(struct worker *w, const struct scheduler_settings *set, const struct ledger_job *j,
                         struct start_intervals *iv, int64_t *users, struct fp_err *err)
{
    if (start_plan(w->source, set, j, iv, err))
        return -1;
    *users = (int64_t)j->n_user_ids;
    if (j->n_user_ids > 0)
        return 0;
    return source_count_users(w->source, iv->lower_us[0], iv->upper_us[iv->n - 1], users, err);
}

static int dry_run(struct rpc_call *call, const struct ledger_job *j, struct convert *c,
                   Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct start_intervals *iv = mem_alloc(sizeof *iv);
    int failed = count_planned(worker_of(call), m->o.set, j, iv, &r->planned_users, err);

    r->planned_intervals = iv->n;
    mem_free(iv);
    if (failed)
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

static int submit(struct rpc_call *call, const struct ledger_job *j, struct convert *c,
                  Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct fp_ledger *l = worker_of(call)->ledger;
    struct ledger_job made;
    bool existing;
    char id[32];

    if (check_open_jobs(l, err) ||
        ledger_job_submit(l, j, (int)m->o.set->audience_margin_ms, actor_of(call), &made, &existing, err))
        return -1;
    r->existing = existing;
    snprintf(id, sizeof id, "job=%" PRId64, made.id);
    if (!existing) {
        log_info(id, "PENDING", "kind=%s listed_users=%zu request_id=%s", made.kind, made.n_user_ids,
                 made.request_id);
        wake_leader(call);
    }
    r->job = report_job(l, m->o.set, &made, c, err);
    ledger_job_fini(&made);
    return r->job ? 0 : -1;
}

static ProtobufCMessage *submit_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__SubmitJobRequest *q = (const void *)request;
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__SubmitJobResponse *r = convert_alloc(&c, 1, sizeof *r);
    struct ledger_job j;

    if (!r)
        return convert_too_large(err);
    foliopost__v1__submit_job_response__init(r);
    int failed = spec_resolve(q, m->o.set, clock_wall_us(), &j, err) ||
                 freeze_audience(worker_of(call), m->o.set, &j, err) ||
                 count_canary(worker_of(call), q->spec, &j, err);
    if (!failed) {
        take_trace(call, &j);
        failed = q->dry_run ? dry_run(call, &j, &c, r, err) : submit(call, &j, &c, r, err);
    }
    ledger_job_fini(&j);
    return reply_of(&c, failed ? NULL : &r->base, err);
}

/* --- GetJob, ListJobs -------------------------------------------------------------------- */

static ProtobufCMessage *get_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__GetJobRequest *q = (const void *)request;

    return check_job_id(q->job_id, err) ? NULL : answer_job(call, q->job_id, err);
}

/* The door asks again and sends what changed, until the job has ended. */
static ProtobufCMessage *watch_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__WatchJobRequest *q = (const void *)request;
    ProtobufCMessage *m = check_job_id(q->job_id, err) ? NULL : answer_job(call, q->job_id, err);

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

static ProtobufCMessage *list_jobs(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__ListJobsRequest *q = (const void *)request;
    struct fp_ledger *l = worker_of(call)->ledger;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (check_page(q->page_size, MAX_PAGE_JOBS, DEFAULT_PAGE_JOBS, &page, err))
        return NULL;
    if ((int)q->state < JOB_UNKNOWN || (int)q->state > JOB_CANCELLED) {
        err_set(err, FP_INVALID_ARGUMENT, "state: %d is not a job's state", (int)q->state);
        return NULL;
    }
    Foliopost__V1__ListJobsResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_jobs_response__init(r);
    struct ledger_job *jobs =
        mem_array((size_t)page + 1, sizeof *jobs); /* one more tells whether there are more */
    int n = ledger_job_list(l, (enum job_state)q->state, q->before_id, jobs, page + 1, err);
    int failed = n < 0 || fill_jobs(l, jobs, n, page, &c, r, err);
    for (int i = 0; i < n; i++)
        ledger_job_fini(&jobs[i]);
    mem_free(jobs);
    return reply_of(&c, failed ? NULL : &r->base, err);
}

/* --- PauseJob, ResumeJob, CancelJob -------------------------------------------------------- */

/* What a client asked for and got; a step asked for twice is told twice. */
static void tell(int64_t job_id, const char *state, const char *reason)
{
    char id[32];

    snprintf(id, sizeof id, "job=%" PRId64, job_id);
    log_info(id, state, "reason=%s", reason);
}

static ProtobufCMessage *pause_job(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__PauseJobRequest *q = (const void *)request;
    const char *reason = q->reason && q->reason[0] ? q->reason : "asked for by a client";

    if (check_job_id(q->job_id, err) || check_reason(reason, err) ||
        ledger_job_pause(worker_of(call)->ledger, q->job_id, reason, actor_of(call), err))
        return NULL;
    tell(q->job_id, "PAUSED", reason);
    wake_leader(call);
    return answer_job(call, q->job_id, err);
}

static ProtobufCMessage *resume_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__ResumeJobRequest *q = (const void *)request;

    if (check_job_id(q->job_id, err) ||
        ledger_job_resume(worker_of(call)->ledger, q->job_id, actor_of(call), err))
        return NULL;
    tell(q->job_id, "resumed", "asked for by a client");
    wake_leader(call);
    return answer_job(call, q->job_id, err);
}

static ProtobufCMessage *cancel_job(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__CancelJobRequest *q = (const void *)request;
    const char *reason = q->reason && q->reason[0] ? q->reason : "asked for by a client";

    if (check_job_id(q->job_id, err) || check_reason(reason, err) ||
        ledger_job_cancel(worker_of(call)->ledger, q->job_id, reason, actor_of(call), err))
        return NULL;
    tell(q->job_id, "CANCELLED", reason);
    wake_leader(call);
    return answer_job(call, q->job_id, err);
}

/* Runs ask() with the filter as the ledger takes it. */
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
    struct worker *w = worker_of(call);
    struct pick p;

    if (check_job_id(job_id, err))
        return -1;
    int failed = pick_resolve(w->ledger, w->source, job_id, state, filter, &p, err) ||
                 step(w->ledger, job_id, &p.filter, actor_of(call), users, err);
    pick_fini(&p);
    if (!failed && *users > 0)
        log_info("", "reopened", "job=%" PRId64 " users=%" PRId64, job_id, *users);
    if (!failed)
        wake_leader(call);
    return failed;
}

static ProtobufCMessage *retry_failed(struct rpc_call *call, const ProtobufCMessage *request,
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
    r->job = (Foliopost__V1__Job *)answer_job(call, q->job_id, err);
    return r->job ? &r->base : NULL;
}

static ProtobufCMessage *resolve_ambiguous(struct rpc_call *call, const ProtobufCMessage *request,
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
    r->job = (Foliopost__V1__Job *)answer_job(call, q->job_id, err);
    return r->job ? &r->base : NULL;
}

/* --- GetReport, ListDeliveries --------------------------------------------------------------- */

static ProtobufCMessage *get_report(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__GetReportRequest *q = (const void *)request;
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};

    if (check_job_id(q->job_id, err))
        return NULL;
    Foliopost__V1__Report *r =
        report_make(worker_of(call)->ledger, m->o.set, q->job_id, clock_wall_us(), &c, err);
    return reply_of(&c, r ? &r->base : NULL, err);
}

static void fill_deliveries(const struct ledger_delivery *rows, int n, int page, struct convert *c,
                            Foliopost__V1__ListDeliveriesResponse *r)
{
    int shown = n < page ? n : page;

    r->deliveries = convert_alloc(c, (size_t)shown, sizeof *r->deliveries);
    for (int i = 0; i < shown && r->deliveries; i++)
        if ((r->deliveries[i] = convert_delivery(c, &rows[i])))
            r->n_deliveries++;
    if (n > page)
        r->next_after_user_id = rows[page - 1].user_id;
}

static int read_deliveries(struct fp_ledger *l, const Foliopost__V1__ListDeliveriesRequest *q,
                           struct ledger_delivery *rows, int max, struct fp_err *err)
{
    const struct ledger_delivery_filter f = {.reason = q->reason,
                                             .interval_no = q->interval_no,
                                             .listed = q->user_id > 0,
                                             .user_ids = &q->user_id,
                                             .n_user_ids = 1,
                                             .from_us = q->from_us,
                                             .to_us = q->to_us};
    enum delivery_state state = (enum delivery_state)q->state;

    if (f.reason[0] || f.interval_no || f.listed || f.from_us || f.to_us)
        return ledger_deliveries_where(l, q->job_id, state, &f, q->after_user_id, rows, max, err);
    return ledger_deliveries(l, q->job_id, state, q->after_user_id, rows, max, err);
}

static ProtobufCMessage *list_deliveries(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__ListDeliveriesRequest *q = (const void *)request;
    struct fp_ledger *l = worker_of(call)->ledger;
    struct convert c = {.arena = call->arena};
    struct ledger_job j;
    int page = 0;

    if (check_job_id(q->job_id, err) ||
        check_page(q->page_size, MAX_PAGE_DELIVERIES, DEFAULT_PAGE_DELIVERIES, &page, err))
        return NULL;
    if ((int)q->state < DELIVERY_UNKNOWN || (int)q->state > DELIVERY_REQUEUED) {
        err_set(err, FP_INVALID_ARGUMENT, "state: %d is not a delivery's state", (int)q->state);
        return NULL;
    }
    if (ledger_job_get(l, q->job_id, &j, err)) /* an unknown job is not an empty list */
        return NULL;
    ledger_job_fini(&j);
    Foliopost__V1__ListDeliveriesResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_deliveries_response__init(r);
    struct ledger_delivery *rows = mem_array((size_t)page + 1, sizeof *rows);
    int n = read_deliveries(l, q, rows, page + 1, err);
    if (n >= 0)
        fill_deliveries(rows, n, page, &c, r);
    mem_free(rows);
    return reply_of(&c, n < 0 ? NULL : &r->base, err);
}

/* --- Suppress, Unsuppress, ListSuppressions (suppress.c) --------------------------------------- */

static void fill_history(const struct ledger_user_mail *rows, int n, int page, struct convert *c,
                         Foliopost__V1__GetUserHistoryResponse *r)
{
    int shown = n < page ? n : page;

    r->mails = convert_alloc(c, (size_t)shown, sizeof *r->mails);
    for (int i = 0; i < shown && r->mails; i++)
        if ((r->mails[i] = convert_user_mail(c, &rows[i])))
            r->n_mails++;
    if (n > page)
        r->next_before_job_id = rows[page - 1].job_id;
}

static ProtobufCMessage *get_user_history(struct rpc_call *call, const ProtobufCMessage *request,
                                          struct fp_err *err)
{
    const Foliopost__V1__GetUserHistoryRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (check_page(q->page_size, MAX_PAGE_HISTORY, DEFAULT_PAGE_HISTORY, &page, err))
        return NULL;
    Foliopost__V1__GetUserHistoryResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__get_user_history_response__init(r);
    struct ledger_user_mail *rows = mem_array((size_t)page + 1, sizeof *rows); /* one more: are there more? */
    int n = ledger_user_history(worker_of(call)->ledger, q->user_id, q->before_job_id, rows, page + 1, err);
    if (n >= 0)
        fill_history(rows, n, page, &c, r);
    mem_free(rows);
    return reply_of(&c, n < 0 ? NULL : &r->base, err);
}

static ProtobufCMessage *get_fleet(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};
    Foliopost__V1__GetFleetResponse *r = convert_alloc(&c, 1, sizeof *r);

    (void)request;
    if (!r)
        return convert_too_large(err);
    foliopost__v1__get_fleet_response__init(r);
    struct ledger_member *rows = mem_array(MAX_FLEET, sizeof *rows);
    int n = ledger_fleet(worker_of(call)->ledger, rows, MAX_FLEET, err);
    r->instances = n > 0 ? convert_alloc(&c, (size_t)n, sizeof *r->instances) : NULL;
    for (int i = 0; i < n && r->instances; i++)
        if ((r->instances[i] = convert_member(&c, &rows[i])))
            r->n_instances++;
    mem_free(rows);
    return reply_of(&c, n < 0 ? NULL : &r->base, err);
}

static ProtobufCMessage *suppress(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return reply_of(&c, suppress_add(worker_of(call)->ledger, (const void *)request, actor_of(call), &c, err),
                    err);
}

static ProtobufCMessage *unsuppress(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return reply_of(&c,
                    suppress_remove(worker_of(call)->ledger, (const void *)request, actor_of(call), &c, err),
                    err);
}

static ProtobufCMessage *list_suppressions(struct rpc_call *call, const ProtobufCMessage *request,
                                           struct fp_err *err)
{
    const Foliopost__V1__ListSuppressionsRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (check_page(q->page_size, SUPPRESS_MAX_PAGE, SUPPRESS_DEFAULT_PAGE, &page, err))
        return NULL;
    return reply_of(&c, suppress_list(worker_of(call)->ledger, q, page, &c, err), err);
}

/* --- ListRates, SetRate, ListAudit (operate.c) ---------------------------------------------------- */

static ProtobufCMessage *list_rates(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    (void)request;
    return reply_of(&c, operate_list_rates(worker_of(call)->ledger, &c, err), err);
}

static ProtobufCMessage *set_rate(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return reply_of(&c,
                    operate_set_rate(worker_of(call)->ledger, (const void *)request, actor_of(call), &c, err),
                    err);
}

static ProtobufCMessage *list_audit(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__ListAuditRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (check_page(q->page_size, OPERATE_MAX_PAGE, OPERATE_DEFAULT_PAGE, &page, err))
        return NULL;
    return reply_of(&c, operate_list_audit(worker_of(call)->ledger, q, page, &c, err), err);
}

/* --- EraseUser, Resend (person.c) ------------------------------------------------------------------ */

static ProtobufCMessage *erase_user(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct worker *w = worker_of(call);
    struct convert c = {.arena = call->arena};

    return reply_of(&c, person_erase(w->ledger, w->source, (const void *)request, actor_of(call), &c, err),
                    err);
}

static ProtobufCMessage *resend(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct worker *w = worker_of(call);
    struct convert c = {.arena = call->arena};
    Foliopost__V1__SubmitJobResponse *r = convert_alloc(&c, 1, sizeof *r);
    struct ledger_job j;

    if (!r)
        return convert_too_large(err);
    foliopost__v1__submit_job_response__init(r);
    int failed = person_resend(w->ledger, w->source, (const void *)request, &j, err);
    if (!failed) {
        take_trace(call, &j);
        failed = submit(call, &j, &c, r, err);
    }
    ledger_job_fini(&j);
    return reply_of(&c, failed ? NULL : &r->base, err);
}

/* --- the table ---------------------------------------------------------------------------------- */

const struct rpc_method methods_table[] = {
    {"SubmitJob", &foliopost__v1__submit_job_request__descriptor,
     &foliopost__v1__submit_job_response__descriptor, submit_job},
    {"GetJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, get_job},
    {"WatchJob", &foliopost__v1__watch_job_request__descriptor, &foliopost__v1__job__descriptor, watch_job},
    {"ListJobs", &foliopost__v1__list_jobs_request__descriptor,
     &foliopost__v1__list_jobs_response__descriptor, list_jobs},
    {"PauseJob", &foliopost__v1__pause_job_request__descriptor, &foliopost__v1__job__descriptor, pause_job},
    {"ResumeJob", &foliopost__v1__resume_job_request__descriptor, &foliopost__v1__job__descriptor,
     resume_job},
    {"CancelJob", &foliopost__v1__cancel_job_request__descriptor, &foliopost__v1__job__descriptor,
     cancel_job},
    {"GetReport", &foliopost__v1__get_report_request__descriptor, &foliopost__v1__report__descriptor,
     get_report},
    {"ListDeliveries", &foliopost__v1__list_deliveries_request__descriptor,
     &foliopost__v1__list_deliveries_response__descriptor, list_deliveries},
    {"GetUserHistory", &foliopost__v1__get_user_history_request__descriptor,
     &foliopost__v1__get_user_history_response__descriptor, get_user_history},
    {"RetryFailed", &foliopost__v1__retry_failed_request__descriptor,
     &foliopost__v1__retry_failed_response__descriptor, retry_failed},
    {"ResolveAmbiguous", &foliopost__v1__resolve_ambiguous_request__descriptor,
     &foliopost__v1__resolve_ambiguous_response__descriptor, resolve_ambiguous},
    {"GetFleet", &foliopost__v1__get_fleet_request__descriptor,
     &foliopost__v1__get_fleet_response__descriptor, get_fleet},
    {"Suppress", &foliopost__v1__suppress_request__descriptor, &foliopost__v1__suppress_response__descriptor,
     suppress},
    {"Unsuppress", &foliopost__v1__unsuppress_request__descriptor,
     &foliopost__v1__unsuppress_response__descriptor, unsuppress},
    {"ListSuppressions", &foliopost__v1__list_suppressions_request__descriptor,
     &foliopost__v1__list_suppressions_response__descriptor, list_suppressions},
    {"EraseUser", &foliopost__v1__erase_user_request__descriptor,
     &foliopost__v1__erase_user_response__descriptor, erase_user},
    {"Resend", &foliopost__v1__resend_request__descriptor, &foliopost__v1__submit_job_response__descriptor,
     resend},
    {"ListRates", &foliopost__v1__list_rates_request__descriptor,
     &foliopost__v1__list_rates_response__descriptor, list_rates},
    {"SetRate", &foliopost__v1__set_rate_request__descriptor, &foliopost__v1__provider_rate__descriptor,
     set_rate},
    {"ListAudit", &foliopost__v1__list_audit_request__descriptor,
     &foliopost__v1__list_audit_response__descriptor, list_audit},
};
const size_t methods_n = sizeof methods_table / sizeof methods_table[0];
