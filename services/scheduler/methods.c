/*
 * JobService: the table of its methods, their connections, and what all
 * handlers share. The handlers are in methods_*.c, by what they are about.
 */
#include "services/scheduler/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "services/scheduler/report.h"

#define ACTOR_BYTES      128
#define MAX_REASON_BYTES 400 /* it becomes the job's response, together with what was done */

/* --- the table ------------------------------------------------------------------------ */

/* Who may call what: here, and nowhere else. */
#define VIEW      RPC_ANYBODY
#define LOOK_INTO (RPC_OPERATOR | RPC_APPROVER | RPC_ADMIN) /* people and machines by name */
#define OPERATE   (RPC_OPERATOR | RPC_ADMIN)
#define APPROVE   (RPC_APPROVER | RPC_ADMIN)
#define STOP      (RPC_OPERATOR | RPC_APPROVER | RPC_ADMIN) /* who may approve may also refuse */

/* Clients poll it, so it is read once for all of them within so long: lib/rpc/shared.h. */
#define SHARE_MS 100

/* A method, who may call it, the name of its handler, which its request has too, and its reply. */
/* clang-format off */
#define METHOD(name, roles, handler, reply)                                                                  \
    {#name, &foliopost__v1__##handler##_request__descriptor, &foliopost__v1__##reply##__descriptor, roles,   \
     method_##handler, 0}
#define SHARED(name, roles, handler, reply)                                                                  \
    {#name, &foliopost__v1__##handler##_request__descriptor, &foliopost__v1__##reply##__descriptor, roles,   \
     method_##handler, SHARE_MS}
/* clang-format on */

const struct rpc_method methods_table[] = {
    METHOD(SubmitJob, OPERATE, submit_job, submit_job_response),
    SHARED(GetJob, VIEW, get_job, job),
    METHOD(WatchJob, VIEW, watch_job, job),
    METHOD(ListJobs, VIEW, list_jobs, list_jobs_response),
    METHOD(PauseJob, OPERATE, pause_job, job),
    METHOD(ResumeJob, OPERATE, resume_job, job),
    METHOD(CancelJob, STOP, cancel_job, job),
    METHOD(ApproveJob, APPROVE, approve_job, job),
    METHOD(GetReport, VIEW, get_report, report),
    METHOD(ListDeliveries, VIEW, list_deliveries, list_deliveries_response),
    METHOD(GetUserHistory, VIEW, get_user_history, get_user_history_response),
    METHOD(RetryFailed, OPERATE, retry_failed, retry_failed_response),
    METHOD(ResolveAmbiguous, OPERATE, resolve_ambiguous, resolve_ambiguous_response),
    METHOD(GetFleet, VIEW, get_fleet, get_fleet_response),
    METHOD(Suppress, OPERATE, suppress, suppress_response),
    METHOD(Unsuppress, OPERATE, unsuppress, unsuppress_response),
    METHOD(ListSuppressions, VIEW, list_suppressions, list_suppressions_response),
    METHOD(EraseUser, RPC_ADMIN, erase_user, erase_user_response),
    METHOD(Resend, OPERATE, resend, submit_job_response),
    METHOD(PreviewEmail, OPERATE, preview_email, preview_email_response), /* figures beside a name */
    METHOD(SendTest, OPERATE, send_test, send_test_response),
    METHOD(ListRates, VIEW, list_rates, list_rates_response),
    METHOD(SetRate, OPERATE, set_rate, provider_rate),
    METHOD(ListAudit, LOOK_INTO, list_audit, list_audit_response),
    METHOD(CreateSchedule, OPERATE, create_schedule, schedule),
    METHOD(GetSchedule, VIEW, get_schedule, schedule),
    METHOD(ListSchedules, VIEW, list_schedules, list_schedules_response),
    METHOD(UpdateSchedule, OPERATE, update_schedule, schedule),
    METHOD(PauseSchedule, OPERATE, pause_schedule, schedule),
    METHOD(ResumeSchedule, OPERATE, resume_schedule, schedule),
    METHOD(DeleteSchedule, OPERATE, delete_schedule, delete_schedule_response),
    METHOD(RunSchedule, OPERATE, run_schedule, submit_job_response),
    METHOD(AddIdentity, RPC_ADMIN, add_identity, identity),
    METHOD(RevokeIdentity, RPC_ADMIN, revoke_identity, identity),
    METHOD(ListIdentities, RPC_ADMIN, list_identities, list_identities_response),
};
const size_t methods_n = sizeof methods_table / sizeof methods_table[0];

/* --- life ------------------------------------------------------------------------------- */

struct methods *methods_new(const struct methods_options *o, struct fp_err *err)
{
    struct methods *m = mem_alloc(sizeof *m);

    m->o = *o;
    m->tempo = tempo_new();
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
    tempo_free(m->tempo);
    mem_free(m->workers);
    mem_free(m);
}

/* --- what the handlers share ---------------------------------------------------------- */

struct methods_worker *methods_worker_of(const struct rpc_call *call)
{
    const struct methods *m = call->ctx;

    if (call->worker < 0 || call->worker >= m->o.workers)
        fp_panic("worker %d of %d", call->worker, m->o.workers);
    return &m->workers[call->worker];
}

/* At an open door a certificate's subject, when there is one, says more than nothing. */
const char *methods_who(const struct rpc_call *call)
{
    if (call->identity && call->identity[0])
        return call->identity;
    return call->subject && call->subject[0] ? call->subject : "rpc";
}

/* For the audit: who calls, and from where. */
const char *methods_actor_of(struct rpc_call *call)
{
    char who[ACTOR_BYTES], peer[ACTOR_BYTES];
    char *actor = arena_alloc(call->arena, 2 * ACTOR_BYTES);

    text_clean(who, sizeof who, methods_who(call));
    text_clean(peer, sizeof peer, call->peer ? call->peer : "");
    if (actor)
        snprintf(actor, 2 * ACTOR_BYTES, "%s\n%s", who, peer);
    return actor ? actor : "rpc";
}

void methods_wake_leader(const struct rpc_call *call)
{
    const struct methods *m = call->ctx;

    if (m->o.wake)
        m->o.wake(m->o.ctx);
}

/* The reply, once everything fitted into the arena. */
ProtobufCMessage *methods_reply_of(const struct convert *c, ProtobufCMessage *m, struct fp_err *err)
{
    return !m || convert_check(c, err) ? NULL : m;
}

int methods_check_job_id(int64_t job_id, struct fp_err *err)
{
    if (job_id <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "job_id: %" PRId64 " is not a job's id, which is above 0",
                       job_id);
    return 0;
}

int methods_check_page(int32_t size, int max, int def, int *out, struct fp_err *err)
{
    if (size < 0 || size > max)
        return err_set(err, FP_INVALID_ARGUMENT, "page_size: %" PRId32 " is not 0 (%d) to %d", size, def,
                       max);
    *out = size ? size : def;
    return 0;
}

int methods_check_reason(const char *reason, struct fp_err *err)
{
    if (strlen(reason) > MAX_REASON_BYTES)
        return err_set(err, FP_INVALID_ARGUMENT, "reason: %zu bytes are more than %d", strlen(reason),
                       MAX_REASON_BYTES);
    return 0;
}

ProtobufCMessage *methods_answer_job(struct rpc_call *call, int64_t job_id, struct fp_err *err)
{
    return methods_show_job(call, job_id, false, err);
}

ProtobufCMessage *methods_show_job(struct rpc_call *call, int64_t job_id, bool details, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};
    struct ledger_job j;

    struct fp_ledger *l = methods_worker_of(call)->ledger;
    if (ledger_job_get(l, job_id, &j, err))
        return NULL;
    Foliopost__V1__Job *job = report_job(l, m->o.set, &j, &c, err);
    if (job)
        job->progress = tempo_progress(m->tempo, &j, job->counts, clock_wall_us(), &c);
    if (job && details && report_details(l, &c, job, err))
        job = NULL;
    ledger_job_fini(&j);
    if (job && !details)
        convert_trim_list(job);
    return methods_reply_of(&c, job ? &job->base : NULL, err);
}
