/*
 * Schedules: what operators do with them. The leader fires them (schedules.c).
 */
#include "services/scheduler/methods_internal.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"
#include "services/scheduler/audience.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/named.h"
#include "services/scheduler/spec.h"
#include "services/scheduler/timetable.h"

/* As it is now, with its last firings. */
static Foliopost__V1__Schedule *shown(struct rpc_call *call, const struct ledger_schedule *s, int n_firings,
                                      struct convert *c, struct fp_err *err)
{
    struct ledger_firing firings[TIMETABLE_SHOWN];
    int n = ledger_firings(methods_worker_of(call)->ledger, s->name, firings, n_firings, err);

    if (n < 0)
        return NULL;
    Foliopost__V1__Schedule *m = timetable_convert(c, s, firings, n);
    return m ? m : convert_too_large(err);
}

static ProtobufCMessage *answer(struct rpc_call *call, const char *name, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};
    struct ledger_schedule s;

    if (ledger_schedule_get(methods_worker_of(call)->ledger, name, &s, err))
        return NULL;
    Foliopost__V1__Schedule *m = shown(call, &s, TIMETABLE_SHOWN, &c, err);
    return methods_reply_of(&c, m ? &m->base : NULL, err);
}

static void tell(const char *name, const char *what)
{
    char id[LEDGER_SCHEDULE_NAME + 16];

    snprintf(id, sizeof id, "schedule=%s", name);
    log_info(id, what, "reason=asked for by a client");
}

static const struct scheduler_settings *settings_of(const struct rpc_call *call)
{
    return ((const struct methods *)call->ctx)->o.set;
}

static int check(struct rpc_call *call, const Foliopost__V1__Schedule *m, struct ledger_schedule *s,
                 struct fp_err *err)
{
    if (timetable_check(m, settings_of(call), clock_wall_us(), s, err))
        return -1;
    return named_check(methods_worker_of(call)->ledger, "schedule.spec.provider", m->spec->provider, err);
}

ProtobufCMessage *method_create_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__CreateScheduleRequest *q = (const void *)request;
    struct ledger_schedule s;
    bool existing;

    if (check(call, q->schedule, &s, err) ||
        ledger_schedule_create(methods_worker_of(call)->ledger, &s, LIMIT_SCHEDULES, methods_actor_of(call),
                               &existing, err))
        return NULL;
    if (!existing)
        tell(s.name, "created");
    return answer(call, s.name, err);
}

ProtobufCMessage *method_update_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__UpdateScheduleRequest *q = (const void *)request;
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    struct ledger_schedule s, before;
    struct fp_str what;

    if (check(call, q->schedule, &s, err) || ledger_schedule_get(l, s.name, &before, err))
        return NULL;
    str_init(&what, 400);
    timetable_changes(&before, &s, call->arena, &what);
    int failed = ledger_schedule_update(l, &s, what.len > 0 ? what.data : "", methods_actor_of(call), err);
    str_fini(&what);
    if (failed)
        return NULL;
    tell(s.name, "updated");
    return answer(call, s.name, err);
}

ProtobufCMessage *method_get_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                      struct fp_err *err)
{
    return answer(call, ((const Foliopost__V1__GetScheduleRequest *)request)->name, err);
}

static int fill_list(struct rpc_call *call, const struct ledger_schedule *rows, int n, struct convert *c,
                     Foliopost__V1__ListSchedulesResponse *r, struct fp_err *err)
{
    r->schedules = n > 0 ? convert_alloc(c, (size_t)n, sizeof *r->schedules) : NULL;
    for (int i = 0; i < n && r->schedules; i++) {
        r->schedules[i] = shown(call, &rows[i], 1, c, err);
        if (!r->schedules[i])
            return -1;
        r->n_schedules++;
    }
    return 0;
}

ProtobufCMessage *method_list_schedules(struct rpc_call *call, const ProtobufCMessage *request,
                                        struct fp_err *err)
{
    struct convert c = {.arena = call->arena};
    Foliopost__V1__ListSchedulesResponse *r = convert_alloc(&c, 1, sizeof *r);

    (void)request;
    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_schedules_response__init(r);
    struct ledger_schedule *rows = mem_array(LIMIT_SCHEDULES, sizeof *rows);
    int n = ledger_schedules(methods_worker_of(call)->ledger, rows, LIMIT_SCHEDULES, err);
    int failed = n < 0 || fill_list(call, rows, n, &c, r, err);
    mem_free(rows);
    return methods_reply_of(&c, failed ? NULL : &r->base, err);
}

ProtobufCMessage *method_pause_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                        struct fp_err *err)
{
    const char *name = ((const Foliopost__V1__PauseScheduleRequest *)request)->name;

    if (ledger_schedule_pause(methods_worker_of(call)->ledger, name, methods_actor_of(call), err))
        return NULL;
    tell(name, "paused");
    return answer(call, name, err);
}

ProtobufCMessage *method_resume_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const char *name = ((const Foliopost__V1__ResumeScheduleRequest *)request)->name;
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    struct ledger_schedule s;
    int64_t next_us;

    if (ledger_schedule_get(l, name, &s, err) || timetable_next(&s, clock_wall_us(), &next_us, err) ||
        ledger_schedule_resume(l, name, next_us, methods_actor_of(call), err))
        return NULL;
    tell(name, "resumed");
    return answer(call, name, err);
}

ProtobufCMessage *method_delete_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const char *name = ((const Foliopost__V1__DeleteScheduleRequest *)request)->name;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__DeleteScheduleResponse *r = convert_alloc(&c, 1, sizeof *r);
    bool existed;

    if (!r)
        return convert_too_large(err);
    foliopost__v1__delete_schedule_response__init(r);
    if (ledger_schedule_delete(methods_worker_of(call)->ledger, name, methods_actor_of(call), &existed, err))
        return NULL;
    r->existed = existed;
    if (existed)
        tell(name, "deleted");
    return methods_reply_of(&c, &r->base, err);
}

/* The schedule's name is all that is asked for: what it says, and from when its deadline counts, may be
 * another the next time, and the request the same. */
static void run_hash(const char *name, char out[33])
{
    char what[LEDGER_SCHEDULE_NAME + 16];
    int n = snprintf(what, sizeof what, "run schedule %s", name);

    spec_hash(what, (size_t)n, out);
}

static int run_new(struct rpc_call *call, const Foliopost__V1__RunScheduleRequest *q, const char *hash,
                   struct convert *c, Foliopost__V1__SubmitJobResponse *r, struct fp_err *err)
{
    struct methods_worker *w = methods_worker_of(call);
    const Foliopost__V1__JobSpec *spec;
    struct ledger_schedule s;
    struct ledger_job j;
    int64_t now_us = clock_wall_us();

    if (ledger_schedule_get(w->ledger, q->name, &s, err))
        return -1;
    int failed =
        timetable_job(&s, settings_of(call), now_us, now_us, q->request_id, call->arena, &spec, &j, err) ||
        audience_freeze(w->source, settings_of(call), spec, &j, err);
    if (!failed) {
        snprintf(j.spec_hash, sizeof j.spec_hash, "%s", hash);
        methods_take_trace(call, &j);
        failed = methods_submit(call, &j, c, r, err);
    }
    ledger_job_fini(&j);
    return failed ? -1 : 0;
}

ProtobufCMessage *method_run_schedule(struct rpc_call *call, const ProtobufCMessage *request,
                                      struct fp_err *err)
{
    const Foliopost__V1__RunScheduleRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__SubmitJobResponse *r = convert_alloc(&c, 1, sizeof *r);
    char hash[33];

    if (!r)
        return convert_too_large(err);
    foliopost__v1__submit_job_response__init(r);
    run_hash(q->name, hash);
    if (methods_known(call, q->request_id, hash, &c, r, err))
        return NULL;
    int failed = r->job ? 0 : run_new(call, q, hash, &c, r, err);
    return methods_reply_of(&c, failed ? NULL : &r->base, err);
}
