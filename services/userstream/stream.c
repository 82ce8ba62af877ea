/*
 * The process: opens the sockets, starts the inbox thread and the workers, and
 * takes them down.
 *
 * The inbox thread is the only reader of the PULL socket (lib/bus wants one)
 * and hands on one message at a time: what it holds is lost to others when a
 * worker is slow, so it holds as little as can be.
 *
 * Draining: the schedulers are asked to send no more, the workers end after the
 * page in hand, and what had been sent here goes back to the ledger.
 */
#include "services/userstream/stream.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/log/log.h"

#define INBOX_MESSAGES 1
#define RECV_MS        200
#define REST_MS        3000 /* for handing back what was on its way here when the drain began */
#define PUSH_SHUT_MS   1000

static struct stream the; /* of this process */

/* --- the source's state ------------------------------------------------------------ */

/* One row in the ledger's error log for a time of trouble; what cannot be
 * written there stands in the log. */
static void note_trouble(struct worker *w, const char *why)
{
    static long long said_us;
    struct fp_err ignored;
    char owner[LEDGER_UUID];
    if (log_limited(&said_us, 60000)) {
        service_owner(w->stream->service, owner);
        (void)!ledger_error(w->ledger, "userstream", owner, 0, 0, "source_failed", why, &ignored);
    }
}

void stream_source_state(struct worker *w, const char *why)
{
    struct stream *s = w->stream;
    w->source_known_good = why == NULL;
    if (why != NULL)
        w->replayed_us = INT64_MIN; /* the next connection may be to another replica */
    pthread_mutex_lock(&s->lock);
    bool changed = !s->asked || (s->trouble[0] == '\0') != (why == NULL);
    s->asked = true;
    snprintf(s->trouble, sizeof s->trouble, "%s", why != NULL ? why : "");
    pthread_mutex_unlock(&s->lock);
    if (!changed)
        return;
    service_set_note(s->service, why != NULL ? why : "");
    if (why != NULL) {
        log_warn("", "source failed", "reason=%s", why);
        note_trouble(w, why);
    } else {
        log_info("", "source answers", "worker=%d", w->id);
    }
}

bool stream_ready(struct fp_service *service, void *values, struct fp_str *why_not)
{
    (void)service;
    (void)values;
    pthread_mutex_lock(&the.lock);
    bool well = the.trouble[0] == '\0';
    if (!well)
        str_printf(why_not, "source: %s", the.trouble);
    pthread_mutex_unlock(&the.lock);
    return well;
}

/* --- threads ------------------------------------------------------------------------- */

/* To a worker, which hands it back, since the process drains. */
static void give_back(struct stream *s, struct fp_bus_msg *msg)
{
    service_beat(s->service, 0, "inbox");
    if (!queue_push(s->inbox, msg, REST_MS))
        bus_msg_free(msg); /* all of them hang: it comes again when due */
}

static void *inbox_main(void *arg)
{
    struct stream *s = arg;
    struct fp_err err;
    while (!atomic_load(&s->stopping)) {
        struct fp_bus_msg *msg = NULL;
        service_beat(s->service, 0, "inbox");
        if (bus_pull_recv(s->pull, RECV_MS, &msg, &err) != 0)
            continue; /* nothing came */
        bool handed = false;
        while (!handed && !atomic_load(&s->stopping)) {
            service_beat(s->service, 0, "inbox");
            handed = queue_push(s->inbox, msg, RECV_MS);
        }
        if (!handed)
            give_back(s, msg);
    }
    int64_t until_us = clock_mono_us() + REST_MS * 1000;
    struct fp_bus_msg *msg;
    while (bus_pull_rest(s->pull, until_us, &msg))
        give_back(s, msg);
    queue_close(s->inbox); /* the workers end when it is empty */
    service_beat_end(s->service, 0);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

static int start_thread(struct stream *s, pthread_t *thread, void *(*run)(void *), void *arg,
                        struct fp_err *err)
{
    atomic_fetch_add(&s->running, 1);
    int failed = pthread_create(thread, NULL, run, arg);
    if (failed) {
        atomic_fetch_sub(&s->running, 1);
        return err_set(err, FP_RESOURCE_EXHAUSTED, "cannot start a thread: %s", strerror(failed));
    }
    return 0;
}

static int start_threads(struct stream *s, struct fp_err *err)
{
    s->workers = mem_array((size_t)s->set->workers, sizeof *s->workers);
    for (int i = 0; i < s->set->workers; i++)
        if (worker_open(&s->workers[i], s, i + 1, err) != 0)
            return -1;
    for (; s->n_started < s->set->workers; s->n_started++) {
        struct worker *w = &s->workers[s->n_started];
        if (start_thread(s, &w->thread, worker_main, w, err) != 0)
            return -1;
    }
    return start_thread(s, &s->inbox_thread, inbox_main, s, err);
}

/* --- life cycle ------------------------------------------------------------------------ */

/* A failure here ends the process; the operating system takes back the rest. */
int stream_start(struct fp_service *service, void *values, struct fp_err *err)
{
    struct stream *s = &the;
    memset(s, 0, sizeof *s);
    s->service = service;
    s->set = values;
    pthread_mutex_init(&s->lock, NULL);
    snprintf(s->trouble, sizeof s->trouble, "not asked yet");
    struct bus_tls tls = {s->set->bus_ca_file, s->set->bus_cert_file, s->set->bus_key_file};
    s->push = bus_push_open("users", s->set->users_listen, &tls, err);
    if (s->push == NULL)
        return err_prefix(err, "users-listen");
    s->pull = bus_pull_open("work", s->set->work_from, &tls, (int)s->set->bus_resolve_ms, err);
    if (s->pull == NULL)
        return err_prefix(err, "work-from");
    s->inbox = queue_new(INBOX_MESSAGES);
    return start_threads(s, err);
}

void stream_drain(struct fp_service *service, void *values)
{
    (void)service;
    (void)values;
    bus_pull_leave(the.pull);
    atomic_store(&the.stopping, true);
}

bool stream_drained(struct fp_service *service, void *values)
{
    (void)service;
    (void)values;
    return atomic_load(&the.running) == 0;
}

void stream_stop(struct fp_service *service, void *values)
{
    struct stream *s = &the;
    struct fp_bus_msg *msg;
    (void)service;
    (void)values;
    atomic_store(&s->stopping, true);
    pthread_join(s->inbox_thread, NULL);
    for (int i = 0; i < s->n_started; i++) {
        pthread_join(s->workers[i].thread, NULL);
        worker_close(&s->workers[i]);
    }
    while ((msg = queue_pop(s->inbox, 0)) != NULL)
        bus_msg_free(msg);
    queue_close(s->inbox);
    queue_free(s->inbox);
    bus_pull_shut(s->pull);
    bus_push_shut(s->push, PUSH_SHUT_MS);
    mem_free(s->workers);
    pthread_mutex_destroy(&s->lock);
}
