/*
 * PreviewEmail and SendTest: one user's mail, made by whoever may make it.
 *
 * The scheduler may neither read transactions nor send, so it writes down for
 * whom (lib/ledger/previews.h), a stats that lives computes, a mailer that lives
 * writes, and the answer is fetched from the row, which goes with it. Nothing of
 * a mail or an address is logged; the audit has the user's id and of a test's
 * address the domain.
 *
 * A call holds a thread of its door while it waits: at most half of them at once.
 */
#include "services/scheduler/methods_internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/ledger/previews.h"
#include "lib/ledger/suppressions.h"
#include "lib/log/log.h"
#include "services/scheduler/preview.h"

#define MOST_MS       20000 /* a life is computed in milliseconds, a mail accepted in seconds */
#define SPARE_MS      300   /* of the call's deadline, so that its error says more than that it is over */
#define POLL_FIRST_MS 20
#define POLL_MOST_MS  100
#define MAX_INSTANCES 1000

/* --- at once ------------------------------------------------------------------------------- */

static atomic_int *seats_of(struct methods *m, const struct rpc_call *call, int *max)
{
    const bool bus = call->worker < m->o.set->rpc_threads;
    int threads = (int)(bus ? m->o.set->rpc_threads : m->o.set->grpc_threads);

    *max = threads > 1 ? threads / 2 : 1;
    return bus ? &m->previewing[0] : &m->previewing[1];
}

/* --- who could answer ---------------------------------------------------------------------- */

static int check_alive(struct fp_ledger *l, struct fp_err *err)
{
    struct ledger_instance *live = mem_array(MAX_INSTANCES, sizeof *live);
    int n = ledger_instances_live(l, live, MAX_INSTANCES, err), stats = 0, mailers = 0;

    for (int i = 0; i < n; i++) {
        stats += strcmp(live[i].service, "stats") == 0;
        mailers += strcmp(live[i].service, "mailer") == 0;
    }
    mem_free(live);
    if (n >= 0 && stats == 0)
        return err_set(err, FP_UNAVAILABLE, "no stats is alive to compute the figures");
    if (n >= 0 && mailers == 0)
        return err_set(err, FP_UNAVAILABLE, "no mailer is alive to write the mail");
    return n < 0 ? -1 : 0;
}

/* --- asking, waiting ------------------------------------------------------------------------ */

static int ask(struct rpc_call *call, const struct preview_asked *q, const char *to, const char *provider,
               int64_t until_us, char id[LEDGER_UUID], struct fp_err *err)
{
    char detail[192];
    struct fp_str packed;
    struct ledger_preview_ask a = {.send_to = to,
                                   .provider = provider,
                                   .keep_ms = (until_us - clock_mono_us()) / 1000 + SPARE_MS,
                                   .actor = methods_actor_of(call),
                                   .detail = detail};

    /* A test of the same call (the bus asks again when an answer does not come) is not mailed again. */
    if (to[0] && text_is_uuid(call->request_id))
        snprintf(a.id, sizeof a.id, "%s", call->request_id);
    else
        text_new_uuid(a.id);
    memcpy(id, a.id, sizeof a.id);
    snprintf(detail, sizeof detail, "user %" PRId64 "%s%.60s%s%s", q->user.id,
             to[0] ? " to somebody at " : "", to[0] ? strrchr(to, '@') + 1 : "", to[0] ? ", call " : "",
             to[0] ? a.id : "");
    str_init(&packed, WIRE_MAX_MESSAGE_BYTES + 1);
    int failed = preview_pack(q, call->traceparent, &packed, err);
    a.users = packed.data;
    a.bytes = packed.len;
    if (!failed)
        failed = ledger_preview_ask(methods_worker_of(call)->ledger, &a, err);
    str_fini(&packed);
    return failed;
}

static int too_late(const char *state, bool test, struct fp_err *err)
{
    if (strcmp(state, "asked") == 0)
        return err_set(
            err, FP_UNAVAILABLE,
            "no stats took it up in time: does one run in this version, and with the rights of sql/roles.sql?");
    if (strcmp(state, "computing") == 0)
        return err_set(err, FP_UNAVAILABLE, "stats took it up and has not answered in time");
    if (strcmp(state, "computed") == 0)
        return err_set(
            err, FP_UNAVAILABLE,
            "no mailer took it up in time: does one run in this version, and with the rights of sql/roles.sql?");
    return err_set(err, FP_UNAVAILABLE, "a mailer took it up and has not answered in time%s",
                   test ? ": the test mail may or may not go out" : "");
}

/* The answer's bytes, to be freed; NULL with the reason. */
static int wait_for(struct fp_ledger *l, const char *id, bool test, int64_t until_us,
                    struct ledger_answer *out, struct fp_err *err)
{
    int pause_ms = POLL_FIRST_MS;
    bool last;

    do {
        clock_sleep_us(pause_ms * INT64_C(1000));
        pause_ms = pause_ms * 2 < POLL_MOST_MS ? pause_ms * 2 : POLL_MOST_MS;
        last = clock_mono_us() >= until_us;
        if (ledger_preview_collect(l, id, last, out, err))
            return -1;
        if (out->data)
            return 0;
        if (!out->state[0] || strcmp(out->state, "answered") == 0)
            return err_set(err, FP_UNAVAILABLE, "the answer was lost%s: call again",
                           test ? ", and the test mail may have gone out" : "");
    } while (!last);
    return too_late(out->state, test, err);
}

/* What came back is as little to be trusted as any message. */
static ProtobufCMessage *read_answer(const struct ledger_answer *a, const ProtobufCMessageDescriptor *d,
                                     struct fp_arena *arena, struct fp_err *err)
{
    struct fp_err wrong;
    const Foliopost__V1__RpcReply *r =
        wire_unpack(&foliopost__v1__rpc_reply__descriptor, a->data, a->bytes, arena, &wrong);

    if (r && r->code > FP_OK && r->code <= FP_UNAUTHENTICATED) {
        err_set(err, (enum fp_code)r->code, "%s", r->message);
        return NULL;
    }
    ProtobufCMessage *m =
        r && r->code == FP_OK ? wire_unpack(d, r->payload.data, r->payload.len, arena, &wrong) : NULL;
    if (!m) {
        log_error("", "bad answer of a preview", "bytes=%zu reason=%s", a->bytes,
                  r ? "its payload or code" : "its form");
        err_set(err, FP_INTERNAL, "what the mailer answered is not an answer");
    }
    return m;
}

static ProtobufCMessage *ask_and_wait(struct rpc_call *call, const struct preview_asked *q, const char *to,
                                      const char *provider, const ProtobufCMessageDescriptor *d,
                                      struct fp_err *err)
{
    struct fp_ledger *l = methods_worker_of(call)->ledger;
    int64_t until_us = call->deadline_mono_us - SPARE_MS * 1000, most_us = clock_mono_us() + MOST_MS * 1000;
    struct ledger_answer a;
    ProtobufCMessage *m = NULL;
    char id[LEDGER_UUID];

    if (until_us > most_us)
        until_us = most_us;
    if (check_alive(l, err) || ask(call, q, to, provider, until_us, id, err))
        return NULL;
    if (wait_for(l, id, to[0] != '\0', until_us, &a, err) == 0)
        m = read_answer(&a, d, call->arena, err);
    mem_free(a.data);
    return m;
}

static char *day_text(struct convert *c, int32_t day)
{
    char text[11];

    day_format(day, text);
    return convert_text(c, text);
}

/* --- both ------------------------------------------------------------------------------------- */

static ProtobufCMessage *one_mail(struct rpc_call *call, const Foliopost__V1__PreviewEmailRequest *request,
                                  const char *to, const char *provider, const ProtobufCMessageDescriptor *d,
                                  struct preview_asked *q, struct fp_err *err)
{
    struct methods *m = call->ctx;
    struct methods_worker *w = methods_worker_of(call);
    int max;
    atomic_int *seats = seats_of(m, call, &max);

    if (preview_resolve(request, m->o.set, w->ledger, w->source, q, err))
        return NULL;
    if (atomic_fetch_add(seats, 1) >= max) {
        atomic_fetch_sub(seats, 1);
        err_set(err, FP_RESOURCE_EXHAUSTED, "%d such calls are waiting at this door: call again", max);
        return NULL;
    }
    ProtobufCMessage *reply = ask_and_wait(call, q, to, provider, d, err);
    atomic_fetch_sub(seats, 1);
    return reply;
}

ProtobufCMessage *method_preview_email(struct rpc_call *call, const ProtobufCMessage *request,
                                       struct fp_err *err)
{
    struct convert c = {.arena = call->arena};
    struct preview_asked q;
    Foliopost__V1__PreviewEmailResponse *r =
        (void *)one_mail(call, (const void *)request, "", "",
                         &foliopost__v1__preview_email_response__descriptor, &q, err);

    if (!r)
        return NULL;
    r->remark = convert_text(&c, q.remark);
    r->period_start = day_text(&c, q.context.period_start_day);
    r->period_end = day_text(&c, q.context.period_end_day);
    return methods_reply_of(&c, &r->base, err);
}

ProtobufCMessage *method_send_test(struct rpc_call *call, const ProtobufCMessage *request, struct fp_err *err)
{
    const Foliopost__V1__SendTestRequest *t = (const void *)request;
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};
    char to[ADDRESS_BYTES];
    struct preview_asked q;

    if (preview_recipient(t->to, m->o.set, methods_worker_of(call)->ledger, to, err))
        return NULL;
    Foliopost__V1__SendTestResponse *r =
        (void *)one_mail(call, t->mail, to, t->provider, &foliopost__v1__send_test_response__descriptor, &q,
                         err);
    if (!r)
        return NULL;
    r->remark = convert_text(&c, q.remark);
    return methods_reply_of(&c, &r->base, err);
}
