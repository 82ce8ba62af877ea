/*
 * The installation rather than a job: its instances, its rates, its audit.
 */
#include "services/scheduler/methods_internal.h"

#include "services/scheduler/operate.h"

#define MAX_FLEET 1000

/* --- GetFleet ------------------------------------------------------------------------------ */

ProtobufCMessage *method_get_fleet(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};
    Foliopost__V1__GetFleetResponse *r = convert_alloc(&c, 1, sizeof *r);

    (void)request;
    if (!r)
        return convert_too_large(err);
    foliopost__v1__get_fleet_response__init(r);
    struct ledger_member *rows = mem_array(MAX_FLEET, sizeof *rows);
    int n = ledger_fleet(methods_worker_of(call)->ledger, rows, MAX_FLEET, err);
    r->instances = n > 0 ? convert_alloc(&c, (size_t)n, sizeof *r->instances) : NULL;
    for (int i = 0; i < n && r->instances; i++)
        if ((r->instances[i] = convert_member(&c, &rows[i])))
            r->n_instances++;
    mem_free(rows);
    return methods_reply_of(&c, n < 0 ? NULL : &r->base, err);
}

/* --- ListRates, SetRate, ListAudit (operate.c) ---------------------------------------------- */

ProtobufCMessage *method_list_rates(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    (void)request;
    return methods_reply_of(&c, operate_list_rates(methods_worker_of(call)->ledger, &c, err), err);
}

ProtobufCMessage *method_set_rate(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return methods_reply_of(&c,
                            operate_set_rate(methods_worker_of(call)->ledger, (const void *)request,
                                             methods_actor_of(call), &c, err),
                            err);
}

ProtobufCMessage *method_list_audit(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    const Foliopost__V1__ListAuditRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (methods_check_page(q->page_size, OPERATE_MAX_PAGE, OPERATE_DEFAULT_PAGE, &page, err))
        return NULL;
    return methods_reply_of(&c, operate_list_audit(methods_worker_of(call)->ledger, q, page, &c, err), err);
}
