/*
 * JobService inside: what the handlers share, and the handlers.
 *
 * A handler checks its request, runs steps of the ledger and converts what is
 * there. Everything is safe to call again: a submission by its request id,
 * pause, resume and cancel because being so already is a success. What is
 * wrong with a request is INVALID_ARGUMENT and names the field; errors of the
 * ledger keep their code.
 */
#ifndef FP_SCHEDULER_METHODS_INTERNAL_H
#define FP_SCHEDULER_METHODS_INTERNAL_H

#include <stdatomic.h>

#include "lib/source/source.h"
#include "services/scheduler/convert.h"
#include "services/scheduler/methods.h"
#include "services/scheduler/tempo.h"

struct methods_worker {
    struct fp_ledger *ledger;
    struct fp_source *source;
};

struct methods {
    struct methods_options o;
    struct tempo *tempo;
    struct methods_worker *workers;
    atomic_int previewing[2]; /* calls that wait for a preview, at the bus's door and at gRPC's */
};

/* The connections of the worker that runs this call. */
struct methods_worker *methods_worker_of(const struct rpc_call *call);
const char *methods_who(const struct rpc_call *call); /* "rpc": at an open door */
/* For the audit: who calls, and from where; lib/ledger/ledger.h. */
const char *methods_actor_of(struct rpc_call *call);
void methods_wake_leader(const struct rpc_call *call);
/* The reply, once everything fitted into the arena; NULL with *err filled. */
ProtobufCMessage *methods_reply_of(const struct convert *c, ProtobufCMessage *m, struct fp_err *err);
/* The job as GetJob shows it without details. */
ProtobufCMessage *methods_answer_job(struct rpc_call *call, int64_t job_id, struct fp_err *err);
ProtobufCMessage *methods_show_job(struct rpc_call *call, int64_t job_id, bool details, struct fp_err *err);

/* methods_submit.c: what a request of this id and hash has made, in *r; r->job stays NULL when it is new.
 * ALREADY_EXISTS: the id stands for another request. */
int methods_known(struct rpc_call *call, const char *request_id, const char *spec_hash, struct convert *c,
                  Foliopost__V1__SubmitJobResponse *r, struct fp_err *err) FP_MUST_CHECK;
/* A resolved job is made, or found by its request id, and told in *r. */
int methods_submit(struct rpc_call *call, const struct ledger_job *j, struct convert *c,
                   Foliopost__V1__SubmitJobResponse *r, struct fp_err *err) FP_MUST_CHECK;
/* The client's traceparent, or a new one. */
void methods_take_trace(const struct rpc_call *call, struct ledger_job *j);

/* 0, or INVALID_ARGUMENT that names the field. */
int methods_check_job_id(int64_t job_id, struct fp_err *err) FP_MUST_CHECK;
int methods_check_page(int32_t size, int max, int def, int *out, struct fp_err *err) FP_MUST_CHECK;
int methods_check_reason(const char *reason, struct fp_err *err) FP_MUST_CHECK;

/* The handlers, by file; their table is in methods.c. */
typedef ProtobufCMessage *methods_handler(struct rpc_call *call, const ProtobufCMessage *request,
                                          struct fp_err *err);

/* methods_submit.c */
methods_handler method_submit_job, method_resend;
/* methods_jobs.c */
methods_handler method_get_job, method_watch_job, method_list_jobs, method_get_report;
methods_handler method_pause_job, method_resume_job, method_cancel_job, method_approve_job;
methods_handler method_retry_failed, method_resolve_ambiguous;
/* methods_users.c */
methods_handler method_list_deliveries, method_get_user_history, method_erase_user;
methods_handler method_suppress, method_unsuppress, method_list_suppressions;
/* methods_schedules.c */
methods_handler method_create_schedule, method_get_schedule, method_list_schedules, method_update_schedule;
methods_handler method_pause_schedule, method_resume_schedule, method_delete_schedule, method_run_schedule;
/* methods_operate.c */
methods_handler method_get_fleet, method_list_rates, method_set_rate, method_list_audit;
/* methods_preview.c */
methods_handler method_preview_email, method_send_test;
/* methods_identities.c */
methods_handler method_add_identity, method_revoke_identity, method_list_identities;

#endif
