/*
 * A message is read only when a claim slot is free, so that what this mailer
 * cannot work on stays with the bus and goes to others. Everything about the
 * message is checked before it costs a statement; a bad one is counted and
 * dropped, since the ledger makes every good one again (P4).
 *
 * The claim is here and not at the desk so that its round trips and the desk's
 * records overlap. A claim is repeated with the same token until the ledger
 * answers: a reply lost after the commit must not leave a batch claimed that
 * nobody works on.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/intake.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/ledger/suppressions.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/desk_internal.h"

#define WAIT_MS      200 /* how late a drain may be seen */
#define RETRY_MIN_MS 100
#define RETRY_MAX_MS 2000
#define NOTED_JOBS   64   /* at once in progress; past that one is only noted again */
#define REST_MS      3000 /* for handing back what was on its way here when the drain began */

struct intake {
    struct intake_options o;
    struct fp_ledger *ledger;
    pthread_t thread;
    atomic_bool draining, ended;
    int retry_ms;
    long long logged_us;
    int64_t noted[NOTED_JOBS]; /* jobs whose templates are noted: a ring */
    int next_noted;
};

/* False when draining. */
static bool again(struct intake *in, const char *step, const struct fp_err *err)
{
    in->retry_ms = in->retry_ms ? in->retry_ms * 2 : RETRY_MIN_MS;
    if (in->retry_ms > RETRY_MAX_MS)
        in->retry_ms = RETRY_MAX_MS;
    if (log_limited(&in->logged_us, 10000))
        log_warn("", "ledger step failed", "step=%s code=%s retry_ms=%d reason=%s", step,
                 err_code_name(err->code), in->retry_ms, err->msg);
    for (int left_ms = in->retry_ms; left_ms > 0 && !atomic_load(&in->draining); left_ms -= 50)
        clock_sleep_us(50 * 1000);
    in->o.beat(in->o.ctx, INTAKE_BEAT, "intake");
    return !atomic_load(&in->draining);
}

/* Without the lease a claim would only be refused. False when draining. */
static bool wait_for_lease(struct intake *in, char owner[LEDGER_UUID])
{
    for (;;) {
        in->o.lease.owner(in->o.lease.ctx, owner);
        if (in->o.lease.owns(in->o.lease.ctx, owner))
            return true;
        if (atomic_load(&in->draining))
            return false;
        in->o.beat(in->o.ctx, INTAKE_BEAT, "intake");
        clock_sleep_us(50 * 1000);
    }
}

/* False when it was not won, or the process drains first. */
static bool claim(struct intake *in, int64_t batch_id, char owner[LEDGER_UUID], struct ledger_claim *out)
{
    struct fp_err err;
    char token[LEDGER_UUID];
    text_new_uuid(token);
    do {
        if (!wait_for_lease(in, owner))
            return false;
        if (ledger_claim(in->ledger, owner, batch_id, token, out, &err) == 0) {
            in->retry_ms = 0;
            return out->won;
        }
    } while (again(in, "claim", &err));
    return false;
}

static int judge(struct intake *in, struct batch *b, bool *hit, struct fp_err *err)
{
    struct ledger_recipient *who = mem_array(b->n_mails + 1, sizeof(*who));
    int rc = 0;
    for (size_t i = 0; i < b->n_mails && rc == 0; i++) {
        struct mail *m = &b->mails[i];
        rc = ledger_address_hash(in->ledger, m->item->user->email, m->address_hash, err);
        who[i].user_id = m->user_id;
        memcpy(who[i].address_hash, m->address_hash, sizeof(who[i].address_hash));
    }
    if (rc == 0)
        rc = ledger_suppressed(in->ledger, b->job->kind, who, b->n_mails, hit, err);
    mem_free(who);
    return rc;
}

/* Unsubscribes and bounces arrive in mid-job: who must not be mailed is looked
 * up as late as a batch's claim; suppressed.c looks again while it waits. */
static void mark_suppressed(struct intake *in, struct batch *b)
{
    struct fp_err err;
    bool *hit = mem_array(b->n_mails + 1, sizeof(*hit));
    while (judge(in, b, hit, &err) < 0) {
        if (again(in, "suppressed", &err))
            continue;
        b->state = BATCH_CLOSING;
        b->why = "suppressions cannot be read";
        break;
    }
    for (size_t i = 0; i < b->n_mails; i++)
        b->mails[i].suppressed = hit[i];
    b->judged_us = clock_mono_us();
    mem_free(hit);
}

/* Once for each job. Templates that changed while it runs make mails that are not
 * alike: said, not stopped, since it is the usual end of a roll-out; the
 * deliveries say which mail had which. */
static void note_templates(struct intake *in, int64_t job_id)
{
    char first[65], label[32];
    struct fp_err err;
    for (int i = 0; i < NOTED_JOBS; i++)
        if (in->noted[i] == job_id || !in->o.templates_hash)
            return;
    if (ledger_job_note_templates(in->ledger, job_id, in->o.templates_hash, first, &err) < 0)
        return; /* the next batch of the job tries again */
    in->noted[in->next_noted++ % NOTED_JOBS] = job_id;
    if (!first[0] || strcmp(first, in->o.templates_hash) == 0)
        return;
    (void)snprintf(label, sizeof(label), "job=%" PRId64, job_id);
    log_warn(label, "templates differ", "its first mails had %.8s, these have %.8s", first,
             in->o.templates_hash);
    metrics_add("foliopost_templates_differ_total", "", 1);
}

static int release_unclaimed(struct intake *in, int64_t batch_id)
{
    struct fp_err err;
    bool done = false;
    int rc = ledger_release(in->ledger, NULL, batch_id, 0, &done, &err);
    if (rc < 0)
        log_info("", "batch not handed back", "batch=%" PRId64 " reason=%s", batch_id, err.msg);
    return rc;
}

/* Takes the arena. True when the desk has the batch. */
static bool claim_and_give(struct intake *in, struct fp_arena *arena,
                           const Foliopost__V1__SummaryBatch *message)
{
    char owner[LEDGER_UUID], label[64];
    struct ledger_claim c = {0};
    atomic_store(&in->o.desk->claiming, message->batch_id);
    bool won = claim(in, message->batch_id, owner, &c);
    if (won) {
        struct batch *b = batch_new(&c, owner, arena, message);
        if (c.left_ms < INT64_MAX)
            b->deadline_us = clock_mono_us() + c.left_ms * 1000;
        mark_suppressed(in, b);
        log_debug(batch_label(b, label), "claimed", "epoch=%d users=%zu due=%zu", b->epoch, c.n_users,
                  c.n_due);
        note_templates(in, c.job_id);
        metrics_add("foliopost_claims_total", "won=\"true\"", 1);
        desk_give(in->o.desk, b);
    } else {
        metrics_add("foliopost_claims_total", "won=\"false\"", 1);
        if (atomic_load(&in->draining) || c.outside) /* so that it counts as emitted for nothing */
            (void)!release_unclaimed(in, message->batch_id);
        arena_free(arena);
    }
    atomic_store(&in->o.desk->claiming, 0);
    mem_free(c.due);
    mem_free(c.attempts);
    return won;
}

/* A name that this mailer has no template or brand for is the job's fault: failing its
 * users one by one would end a job that a person can mend and resume. */
static void pause_job(struct intake *in, const Foliopost__V1__JobContext *job, const char *why)
{
    struct fp_err err;
    char label[32], reason[256];
    (void)snprintf(label, sizeof(label), "job=%" PRId64, job->job_id);
    (void)snprintf(reason, sizeof(reason), "the mailers have no %s, restart them and resume", why);
    if (ledger_job_pause(in->ledger, job->job_id, reason, "mailer", &err) == 0)
        log_warn(label, "job paused", "reason=%s", reason);
    else if (err.code != FP_FAILED_PRECONDITION) /* it ended meanwhile: nothing to pause */
        log_warn(label, "job not paused", "reason=%s", err.msg);
    metrics_add("foliopost_messages_dropped_total", "pipe=\"summaries\",reason=\"template\"", 1);
}

static bool can_render(struct intake *in, const Foliopost__V1__JobContext *job)
{
    char why[160] = "";
    if (in->o.cannot)
        in->o.cannot(job, why);
    if (!why[0])
        return true;
    pause_job(in, job, why);
    return false;
}

bool intake_message(struct intake *in, const void *data, size_t bytes)
{
    struct fp_err err;
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    const Foliopost__V1__SummaryBatch *message =
        wire_unpack(&foliopost__v1__summary_batch__descriptor, data, bytes, arena, &err);
    log_trace(message ? message->traceparent : NULL);
    if (message && !can_render(in, message->job)) {
        arena_free(arena);
        desk_give_slot(in->o.desk);
        return false;
    }
    if (message && claim_and_give(in, arena, message))
        return true;
    if (!message) {
        metrics_add("foliopost_messages_dropped_total", "pipe=\"summaries\",reason=\"bad\"", 1);
        if (log_limited(&in->logged_us, 1000))
            log_warn("", "bad message", "bytes=%zu reason=%s", bytes, err.msg);
        arena_free(arena);
    }
    desk_give_slot(in->o.desk);
    return false;
}

/* One message into the slot. */
static void pull_one(struct intake *in)
{
    struct fp_err err = {0};
    struct fp_bus_msg *msg = NULL;
    size_t bytes;
    int rc = bus_pull_recv(in->o.pull, WAIT_MS, &msg, &err);
    if (rc != 0) {
        desk_give_slot(in->o.desk);
        if (rc < 0)
            (void)again(in, "receive", &err);
        return;
    }
    const void *data = bus_msg_data(msg, &bytes);
    (void)intake_message(in, data, bytes);
    bus_msg_free(msg);
}

static int hand_back(struct intake *in, struct fp_bus_msg *msg)
{
    struct fp_err err;
    size_t bytes;
    const void *data = bus_msg_data(msg, &bytes);
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    const Foliopost__V1__SummaryBatch *message =
        wire_unpack(&foliopost__v1__summary_batch__descriptor, data, bytes, arena, &err);
    int rc = message ? release_unclaimed(in, message->batch_id) : 0;
    arena_free(arena);
    return rc;
}

/* What the pushers had sent here goes to others at once, and not when it is due
 * again. A ledger that does not answer leaves it to that. */
static void hand_back_rest(struct intake *in)
{
    struct fp_bus_msg *msg;
    int64_t until_us = clock_mono_us() + REST_MS * 1000;
    int n = 0, rc = 0;
    while (rc == 0 && bus_pull_rest(in->o.pull, until_us, &msg)) {
        rc = hand_back(in, msg);
        n += rc == 0;
        bus_msg_free(msg);
        in->o.beat(in->o.ctx, INTAKE_BEAT, "intake");
    }
    if (n > 0)
        log_info("", "handed back", "batches=%d reason=draining", n);
}

static void *intake_main(void *arg)
{
    struct intake *in = arg;
    pthread_setname_np(pthread_self(), "intake");
    while (!atomic_load(&in->draining)) {
        in->o.beat(in->o.ctx, INTAKE_BEAT, "intake");
        if (desk_take_slot(in->o.desk, WAIT_MS))
            pull_one(in);
    }
    hand_back_rest(in);
    atomic_store(&in->ended, true);
    return NULL;
}

struct intake *intake_start(const struct intake_options *o, struct fp_err *err)
{
    struct fp_ledger *ledger = ledger_open(&o->ledger, err);
    if (!ledger)
        return NULL;
    struct intake *in = mem_alloc(sizeof(*in));
    in->o = *o;
    in->ledger = ledger;
    if (o->pull && pthread_create(&in->thread, NULL, intake_main, in) != 0)
        fp_panic("cannot start the intake's thread");
    return in;
}

void intake_drain(struct intake *in)
{
    atomic_store(&in->draining, true);
}

bool intake_ended(struct intake *in)
{
    return !in->o.pull || atomic_load(&in->ended);
}

void intake_stop(struct intake *in)
{
    if (!in)
        return;
    intake_drain(in);
    if (in->o.pull)
        pthread_join(in->thread, NULL);
    ledger_close(in->ledger);
    mem_free(in);
}
