/*
 * The inside of userstream. A struct stream is the process's: sockets, the
 * inbox thread and the workers (stream.c). A struct worker is one thread with
 * its own connections and memory (worker.c), which does grants (page.c) and
 * batches again (resend.c), both by compose.c.
 */
#ifndef FP_USERSTREAM_STREAM_H
#define FP_USERSTREAM_STREAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/base/queue.h"
#include "lib/bus/bus.h"
#include "lib/ledger/batches.h"
#include "lib/service/service.h"
#include "lib/source/source.h"
#include "lib/wire/wire.h"
#include "services/userstream/settings.h"

/* service_beat() has 16 ids: one is the inbox's. */
#define STREAM_MAX_WORKERS 15
/* Job specifications that a worker remembers: more than run at once by default. */
#define STREAM_JOBS 8

/* A work message ends by then, whatever the databases do: before its grant is
 * overdue (15 s by default) and given to another. */
#define STREAM_PATIENCE_MS 10000

struct stream;

struct worker {
    struct stream *stream;
    int id; /* of its heartbeat: 1 to STREAM_MAX_WORKERS */
    pthread_t thread;
    struct fp_ledger *ledger;
    struct fp_source *source;
    bool source_known_good; /* asked once at least, and the last answer was good */
    int64_t replayed_us;    /* the source has all that was committed up to here, at least */
    struct fp_arena *arena; /* of the message in work */
    struct fp_str packed;
    int64_t deadline_us; /* of the message in work, CLOCK_MONOTONIC */
    int64_t began_us;    /* the page or batch in work, wall clock: for its span */
    struct cached_job {
        struct ledger_job job; /* id 0: free */
        int64_t read_us;
    } jobs[STREAM_JOBS];
    struct source_user users[WIRE_MAX_USERS];
    bool suppressed[WIRE_MAX_USERS];
};

struct stream {
    struct fp_service *service;
    const struct userstream_settings *set;
    struct fp_bus_pull *pull;
    struct fp_bus_push *push;
    struct fp_queue *inbox; /* struct fp_bus_msg, from the inbox thread to the workers */
    pthread_t inbox_thread;
    struct worker *workers;
    int n_started;
    atomic_bool stopping;
    atomic_int running; /* threads */
    pthread_mutex_t lock;
    bool asked;        /* the source was, at least once. Under lock */
    char trouble[512]; /* why the source cannot be read now; "" when well. Under lock */
};

/* --- stream.c: the callbacks of service_run(), values are userstream_settings ---- */

int stream_start(struct fp_service *s, void *values, struct fp_err *err);
void stream_drain(struct fp_service *s, void *values);
bool stream_drained(struct fp_service *s, void *values);
void stream_stop(struct fp_service *s, void *values);
bool stream_ready(struct fp_service *s, void *values, struct fp_str *why_not);

/* The source failed, or answered again (why NULL): logged when it changes, and
 * shown by /readyz and in the ledger's instances. */
void stream_source_state(struct worker *w, const char *why);

/* --- worker.c ------------------------------------------------------------------------ */

int worker_open(struct worker *w, struct stream *s, int id, struct fp_err *err);
void worker_close(struct worker *w);
void *worker_main(void *worker);
/* The job as the ledger has it, when it runs at most a few seconds old; NULL on error. Lives
 * until the next call. */
const struct ledger_job *worker_job(struct worker *w, int64_t id, struct fp_err *err);
/* After a failed step: waits a growing while and says whether to try it again.
 * False when the message's time is over or the process stops. */
bool worker_try_again(struct worker *w, int *tries, const struct fp_err *why);
/* The batch is due now: others shall have it. For a process that stops. */
void worker_hand_back(struct worker *w, int64_t batch_id);
/* The message, or the rest of it, comes to nothing: counted by reason, a literal. */
void worker_drop(const char *reason_label);

/* --- what a message asks for ------------------------------------------------------------ */

/* page.c: one page of the grant. *more says whether the grant goes on. */
int page_once(struct worker *w, const struct ledger_job *job, const Foliopost__V1__Grant *grant, bool *more,
              struct fp_err *err) FP_MUST_CHECK;
/* resend.c */
int resend_batch(struct worker *w, const struct ledger_job *job, int64_t batch_id,
                 struct fp_err *err) FP_MUST_CHECK;

/* compose.c: asks the ledger who of w->users[0..n) is suppressed for this
 * kind of mail. Before the page is written, so that a failure repeats the whole page. */
int compose_judge(struct worker *w, const char *kind, size_t n, struct fp_err *err) FP_MUST_CHECK;
/* Packs w->users[0..n), as judged, and pushes them. What cannot be sent within
 * send-wait is dropped, counted and logged: its row brings it again. */
struct batch_place {
    int64_t id;
    int32_t round; /* of its row, since the job may have been read before the retry */
};
void compose_send(struct worker *w, const struct ledger_job *job, const struct batch_place *at, size_t n);

#endif
