/*
 * A worker: takes work messages one by one and does them with blocking calls.
 *
 * Trouble with a database holds the message, with growing pauses, and drops it
 * when its time is over; the worker lives on. Nothing is lost by that: a grant
 * becomes overdue and is given again, a batch is due again. A message that does
 * not check is counted and dropped.
 */
#include "services/userstream/stream.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/intervals.h"
#include "lib/log/log.h"
#include "lib/metrics/metrics.h"

/* How long the inbox is awaited: bounds the time to see the end. */
#define TAKE_MS 200
/* A pause or a cancel takes effect within this; a specification never changes. Only a job that
 * runs is remembered: the leader sends a batch the moment its job is resumed, and what is dropped
 * then waits for its next due time. */
#define JOB_FRESH_US   (2 * FP_US_PER_S)
#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000

int worker_open(struct worker *w, struct stream *s, int id, struct fp_err *err)
{
    struct pg_options o;
    w->stream = s;
    w->id = id;
    service_ledger_options(s->service, &o);
    if ((w->ledger = ledger_open(&o, err)) == NULL)
        return err_prefix(err, "ledger-dsn");
    if (s->set->source_dsn[0] != '\0')
        o.dsn = s->set->source_dsn;
    if ((w->source = source_open(&o, err)) == NULL)
        return err_prefix(err, "source-dsn");
    w->replayed_us = INT64_MIN;
    w->arena = arena_new(WIRE_MAX_ARENA_BYTES);
    str_init(&w->packed, WIRE_MAX_MESSAGE_BYTES);
    return 0;
}

void worker_close(struct worker *w)
{
    for (int i = 0; i < STREAM_JOBS; i++)
        ledger_job_fini(&w->jobs[i].job);
    str_fini(&w->packed);
    arena_free(w->arena);
    source_close(w->source);
    ledger_close(w->ledger);
}

void worker_drop(const char *reason_label)
{
    metrics_add("foliopost_work_not_done_total", reason_label, 1);
}

/* --- jobs ----------------------------------------------------------------------- */

/* The job's own place, a free one, or the one read longest ago. */
static struct cached_job *place_of(struct worker *w, int64_t id)
{
    struct cached_job *oldest = &w->jobs[0];
    for (int i = 0; i < STREAM_JOBS; i++) {
        if (w->jobs[i].job.id == id)
            return &w->jobs[i];
        if (w->jobs[i].read_us < oldest->read_us)
            oldest = &w->jobs[i];
    }
    return oldest;
}

const struct ledger_job *worker_job(struct worker *w, int64_t id, struct fp_err *err)
{
    struct cached_job *c = place_of(w, id);
    if (c->job.id == id && c->job.state == JOB_IN_PROGRESS && clock_mono_us() - c->read_us < JOB_FRESH_US)
        return &c->job;
    ledger_job_fini(&c->job);
    memset(c, 0, sizeof *c);
    if (ledger_job_get(w->ledger, id, &c->job, err) != 0) {
        memset(c, 0, sizeof *c);
        return NULL;
    }
    c->read_us = clock_mono_us();
    return &c->job;
}

/* --- trouble ------------------------------------------------------------------------ */

/* Sleeps in pieces; false when the process stops. */
static bool pause_ms(struct worker *w, int64_t ms)
{
    int64_t until_us = clock_mono_us() + ms * 1000;
    while (clock_mono_us() < until_us && !atomic_load(&w->stream->stopping)) {
        service_beat(w->stream->service, w->id, "worker");
        clock_sleep_us(BACKOFF_MIN_MS * 1000);
    }
    return !atomic_load(&w->stream->stopping);
}

bool worker_try_again(struct worker *w, int *tries, const struct fp_err *why)
{
    static long long said_us;
    int64_t wait_ms = BACKOFF_MIN_MS << (*tries < 6 ? *tries : 6);
    wait_ms = wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
    (*tries)++;
    metrics_add("foliopost_step_errors_total", "", 1);
    if (log_limited(&said_us, 10000))
        log_warn("", "step failed", "tries=%d; reason=%s", *tries, why->msg);
    if (clock_mono_us() + wait_ms * 1000 > w->deadline_us || !pause_ms(w, wait_ms)) {
        worker_drop("reason=\"database\"");
        return false;
    }
    return true;
}

/* Until somebody has read the source, nobody knows whether this process can
 * work: asked for at the start and after trouble, so that /readyz is true. */
static void probe_source(struct worker *w)
{
    struct fp_err err;
    int64_t first_us;
    if (source_first_user_us(w->source, &first_us, &err) == 0) {
        stream_source_state(w, NULL);
    } else {
        stream_source_state(w, err.msg);
        (void)pause_ms(w, BACKOFF_MAX_MS);
    }
}

void worker_hand_back(struct worker *w, int64_t batch_id)
{
    struct fp_err err;
    bool done;
    if (ledger_release(w->ledger, NULL, batch_id, 0, &done, &err) < 0)
        log_info("", "batch not handed back", "it comes again when due; reason=%s", err.msg);
}

/* --- messages ------------------------------------------------------------------------- */

/* The job, when it runs; a message for one that does not is not wanted. */
static const struct ledger_job *running_job(struct worker *w, int64_t id)
{
    struct fp_err err;
    const struct ledger_job *job;
    int tries = 0;
    while ((job = worker_job(w, id, &err)) == NULL) {
        if (err.code == FP_NOT_FOUND) {
            worker_drop("reason=\"unknown_job\"");
            return NULL;
        }
        if (!worker_try_again(w, &tries, &err))
            return NULL;
    }
    if (job->state != JOB_IN_PROGRESS) {
        worker_drop("reason=\"job_not_running\"");
        return NULL;
    }
    return job;
}

/* What is not done here any more goes to others now, and not when it is due. */
static void hand_back(struct worker *w, const Foliopost__V1__Work *work)
{
    struct fp_err err;
    if (work->work_case != FOLIOPOST__V1__WORK__WORK_GRANT)
        worker_hand_back(w, work->batch->batch_id);
    else if (ledger_grant_back(w->ledger, work->job_id, work->grant->interval_no, work->grant->grant_no,
                               &err) < 0)
        log_info("", "grant not handed back", "it is given again when due; reason=%s", err.msg);
}

/* Each page has the patience of a message of its own: a long grant is not trouble. */
static void do_grant(struct worker *w, const Foliopost__V1__Work *work)
{
    const Foliopost__V1__Grant *grant = work->grant;
    int64_t job_id = work->job_id;
    struct fp_err err;
    bool more = true;
    int tries = 0;
    for (int32_t page = 0; more && page < grant->pages && !atomic_load(&w->stream->stopping);) {
        service_beat(w->stream->service, w->id, "worker");
        const struct ledger_job *job = running_job(w, job_id);
        if (job == NULL)
            return;
        if (page_once(w, job, grant, &more, &err) == 0) {
            w->deadline_us = clock_mono_us() + STREAM_PATIENCE_MS * 1000;
            tries = 0;
            page++;
        } else if (err.code == FP_NOT_FOUND) {
            worker_drop("reason=\"unknown_interval\"");
            return;
        } else if (!worker_try_again(w, &tries, &err)) {
            return;
        } else {
            more = true;
        }
    }
    if (atomic_load(&w->stream->stopping)) /* a grant that is used up is not changed by it */
        hand_back(w, work);
}

static void do_batch(struct worker *w, int64_t job_id, int64_t batch_id)
{
    struct fp_err err;
    int tries = 0;
    const struct ledger_job *job;
    do {
        if ((job = running_job(w, job_id)) == NULL || resend_batch(w, job, batch_id, &err) == 0)
            return;
        if (err.code == FP_NOT_FOUND) {
            worker_drop("reason=\"unknown_batch\"");
            return;
        }
    } while (worker_try_again(w, &tries, &err));
}

static void do_message(struct worker *w, const void *data, size_t bytes)
{
    static long long said_us;
    struct fp_err err;
    const Foliopost__V1__Work *work;
    arena_reset(w->arena);
    work = wire_unpack(&foliopost__v1__work__descriptor, data, bytes, w->arena, &err);
    if (work == NULL) {
        worker_drop("reason=\"bad_message\"");
        if (log_limited(&said_us, 10000))
            log_warn("", "bad work message", "bytes=%zu; reason=%s", bytes, err.msg);
        return;
    }
    w->deadline_us = clock_mono_us() + STREAM_PATIENCE_MS * 1000;
    log_trace(work->traceparent);
    if (atomic_load(&w->stream->stopping))
        hand_back(w, work);
    else if (work->work_case == FOLIOPOST__V1__WORK__WORK_GRANT)
        do_grant(w, work);
    else
        do_batch(w, work->job_id, work->batch->batch_id);
    log_trace(NULL);
}

static bool must_ask_source(const struct worker *w)
{
    return !w->source_known_good && !atomic_load(&w->stream->stopping);
}

/* The inbox thread closes the inbox when the process drains. */
void *worker_main(void *worker)
{
    struct worker *w = worker;
    struct fp_bus_msg *msg;
    while ((msg = queue_pop(w->stream->inbox, must_ask_source(w) ? 0 : TAKE_MS)) != NULL ||
           !queue_is_closed(w->stream->inbox)) {
        service_beat(w->stream->service, w->id, "worker");
        if (must_ask_source(w))
            probe_source(w);
        if (msg != NULL) {
            size_t bytes;
            const void *data = bus_msg_data(msg, &bytes);
            do_message(w, data, bytes);
            bus_msg_free(msg);
        }
    }
    service_beat_end(w->stream->service, w->id);
    atomic_fetch_sub(&w->stream->running, 1);
    return NULL;
}
