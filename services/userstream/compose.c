/*
 * A batch of users as the message for stats.
 *
 * Who is known here to get no mail is marked with the reason (user.c) and sent on
 * all the same: the mailer alone writes outcomes, so nobody gets lost between two
 * writers.
 *
 * Sending waits for a stats that can take the batch, for send-wait at most;
 * the ledger's window keeps what is in flight small, not this socket.
 */
#include "services/userstream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/suppressions.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "lib/trace/trace.h"
#include "services/userstream/user.h"

/* One try, so that a waiting worker sees the end of the process and its heart beats. */
#define SEND_TRY_MS 250

int compose_judge(struct worker *w, const char *kind, size_t n, struct fp_err *err)
{
    struct ledger_recipient who[WIRE_MAX_USERS];
    for (size_t i = 0; i < n; i++) {
        who[i].user_id = w->users[i].id;
        if (ledger_address_hash(w->ledger, w->users[i].email, who[i].address_hash, err) != 0)
            return -1;
    }
    return ledger_suppressed(w->ledger, kind, who, n, w->suppressed, err);
}

static void fill_context(Foliopost__V1__JobContext *m, const struct ledger_job *job, int32_t round)
{
    foliopost__v1__job_context__init(m);
    m->job_id = job->id;
    m->kind = (char *)job->kind;
    m->period_start_day = job->period_start_day;
    m->period_end_day = job->period_end_day;
    m->as_of_us = job->as_of_us;
    m->mail_date_us = job->mail_date_us;
    m->template_name = (char *)job->template_name;
    m->brand = (char *)job->brand;
    m->provider = (char *)job->provider;
    m->round = round;
}

/* The message points into the worker's users. */
static int pack(struct worker *w, const struct ledger_job *job, const char *traceparent,
                const struct batch_place *at, size_t n, struct fp_err *err)
{
    Foliopost__V1__User users[WIRE_MAX_USERS];
    Foliopost__V1__User *list[WIRE_MAX_USERS];
    Foliopost__V1__JobContext context;
    Foliopost__V1__UserBatch batch = FOLIOPOST__V1__USER_BATCH__INIT;
    for (size_t i = 0; i < n; i++) {
        user_to_message(&w->users[i], w->suppressed[i], &users[i]);
        list[i] = &users[i];
    }
    fill_context(&context, job, at->round);
    batch.schema_version = WIRE_SCHEMA_VERSION;
    batch.traceparent = (char *)traceparent;
    batch.job = &context;
    batch.batch_id = at->id;
    batch.users = list;
    batch.n_users = n;
    str_clear(&w->packed);
    return wire_pack(&batch.base, WIRE_MAX_MESSAGE_BYTES, &w->packed, err);
}

/* A worker that stops still sends the page that it has written, if a peer takes it at once. */
static int push(struct worker *w, struct fp_err *err)
{
    int64_t until_us = clock_mono_us() + w->stream->set->send_wait_ms * 1000;
    do {
        service_beat(w->stream->service, w->id, "worker");
        if (bus_push_send(w->stream->push, w->packed.data, w->packed.len, SEND_TRY_MS, err) == 0)
            return 0;
    } while (err->code == FP_UNAVAILABLE && clock_mono_us() < until_us && !atomic_load(&w->stream->stopping));
    return -1;
}

/* A trace is the job's and has a span of each of its nth batches only: one with a
 * hundred thousand spans is shown by nobody. */
static void begin_span(struct trace_span *s, const struct worker *w, const struct ledger_job *job,
                       int64_t batch_id, size_t n)
{
    trace_begin(s, job->traceparent, "userstream batch", TRACE_PRODUCER);
    s->start_us = w->began_us;
    trace_number(s, "foliopost.job_id", job->id);
    trace_number(s, "foliopost.batch_id", batch_id);
    trace_number(s, "messaging.batch.message_count", (int64_t)n);
    if (batch_id % w->stream->set->trace_every != 0)
        trace_unsample(s);
}

void compose_send(struct worker *w, const struct ledger_job *job, const struct batch_place *at, size_t n)
{
    static long long said_us;
    struct fp_err err = {0};
    struct trace_span span;
    char id[64];
    begin_span(&span, w, job, at->id, n);
    bool sent = pack(w, job, span.context, at, n, &err) == 0 && push(w, &err) == 0;
    trace_end(&span, sent ? NULL : err_code_name(err.code));
    if (sent) {
        metrics_add("foliopost_users_total", "", (double)n);
        return;
    }
    if (atomic_load(&w->stream->stopping))
        worker_hand_back(w, at->id);
    worker_drop(err.code == FP_UNAVAILABLE ? "reason=\"no_peer\"" : "reason=\"unsendable\"");
    if (log_limited(&said_us, 10000)) {
        snprintf(id, sizeof id, "job=%" PRId64 " batch=%" PRId64, job->id, at->id);
        log_warn(id, "batch not sent", "users=%zu; it comes again when due; reason=%s", n, err.msg);
    }
}
