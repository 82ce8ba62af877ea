/*
 * Users: their deliveries, their mails over all jobs, who is mailed no more,
 * who is forgotten.
 */
#include "services/scheduler/methods_internal.h"

#include "lib/ledger/deliveries.h"
#include "services/scheduler/person.h"
#include "services/scheduler/suppress.h"

#define MAX_PAGE_DELIVERIES     1000
#define DEFAULT_PAGE_DELIVERIES 100
#define MAX_PAGE_HISTORY        200
#define DEFAULT_PAGE_HISTORY    50

/* --- ListDeliveries ----------------------------------------------------------------------- */

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
    struct ledger_delivery_filter f = {.reason = q->reason,
                                       .interval_no = q->interval_no,
                                       .listed = q->user_id > 0,
                                       .user_ids = &q->user_id,
                                       .n_user_ids = 1,
                                       .from_us = q->from_us,
                                       .to_us = q->to_us};
    enum delivery_state state = (enum delivery_state)q->state;

    if (q->provider[0] && ledger_provider_find(l, q->provider, &f.provider_no, err))
        return err_prefix(err, "provider");
    if (f.reason[0] || f.interval_no || f.provider_no || f.listed || f.from_us || f.to_us)
        return ledger_deliveries_where(l, q->job_id, state, &f, q->after_user_id, rows, max, err);
    return ledger_deliveries(l, q->job_id, state, q->after_user_id, rows, max, err);
}

ProtobufCMessage *method_list_deliveries(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__ListDeliveriesRequest *q = (const void *)request;
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    struct convert c = {.arena = call->arena};
    struct ledger_job j;
    int page = 0;

    if (methods_check_job_id(q->job_id, err) ||
        methods_check_page(q->page_size, MAX_PAGE_DELIVERIES, DEFAULT_PAGE_DELIVERIES, &page, err))
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
    return methods_reply_of(&c, n < 0 ? NULL : &r->base, err);
}

/* --- GetUserHistory ----------------------------------------------------------------------- */

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

ProtobufCMessage *method_get_user_history(struct rpc_call *call, const ProtobufCMessage *request,
                                          struct fp_err *err)
{
    const Foliopost__V1__GetUserHistoryRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (methods_check_page(q->page_size, MAX_PAGE_HISTORY, DEFAULT_PAGE_HISTORY, &page, err))
        return NULL;
    Foliopost__V1__GetUserHistoryResponse *r = convert_alloc(&c, 1, sizeof *r);
    if (!r)
        return convert_too_large(err);
    foliopost__v1__get_user_history_response__init(r);
    struct ledger_user_mail *rows = mem_array((size_t)page + 1, sizeof *rows); /* one more: are there more? */
    int n = ledger_user_history(methods_worker_of(call)->ledger, q->user_id, q->before_job_id, rows, page + 1,
                                err);
    if (n >= 0)
        fill_history(rows, n, page, &c, r);
    mem_free(rows);
    return methods_reply_of(&c, n < 0 ? NULL : &r->base, err);
}

/* --- Suppress, Unsuppress, ListSuppressions (suppress.c) ---------------------------------- */

ProtobufCMessage *method_suppress(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return methods_reply_of(&c,
                            suppress_add(methods_worker_of(call)->ledger, (const void *)request,
                                         methods_actor_of(call), &c, err),
                            err);
}

ProtobufCMessage *method_unsuppress(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct convert c = {.arena = call->arena};

    return methods_reply_of(&c,
                            suppress_remove(methods_worker_of(call)->ledger, (const void *)request,
                                            methods_actor_of(call), &c, err),
                            err);
}

ProtobufCMessage *method_list_suppressions(struct rpc_call *call, const ProtobufCMessage *request,
                                           struct fp_err *err)
{
    const Foliopost__V1__ListSuppressionsRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    int page = 0;

    if (methods_check_page(q->page_size, SUPPRESS_MAX_PAGE, SUPPRESS_DEFAULT_PAGE, &page, err))
        return NULL;
    return methods_reply_of(&c, suppress_list(methods_worker_of(call)->ledger, q, page, &c, err), err);
}

/* --- EraseUser (person.c) ------------------------------------------------------------------ */

ProtobufCMessage *method_erase_user(struct rpc_call *call, const ProtobufCMessage *request,
                                    struct fp_err *err)
{
    struct methods_worker *w = methods_worker_of(call);
    struct convert c = {.arena = call->arena};

    return methods_reply_of(
        &c, person_erase(w->ledger, w->source, (const void *)request, methods_actor_of(call), &c, err), err);
}
