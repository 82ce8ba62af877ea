/*
 * Straight-line senders: take a mail, look whether it may still go, send it,
 * hand back what came of it. libcurl's multi interface blocks on the final
 * reply of SMTP, so a connection is a thread.
 *
 * The last look before a mail goes out is here: a batch that ends, a lease
 * that is over and a provider at fault send it back untried, and the desk
 * withdraws its intent.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/sender.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/crash.h"
#include "lib/base/mem.h"
#include "lib/base/queue.h"
#include "services/mailer/inbox.h"
#include "services/mailer/mail.h"

/* libcurl with TLS needs under 100 kB; hundreds of threads stay cheap. */
#define SENDER_STACK_BYTES (512 * 1024)
#define TURN_LOOK_US       (FP_US_PER_S / 20)

struct connection {
    struct senders *senders;
    struct transport *transport;
    pthread_t thread;
};

struct senders {
    struct senders_options o;
    struct fp_queue *queue;
    struct connection *connections;
    int n_open, n_threads;
    atomic_bool halted;
    atomic_int sending;
};

static bool may_go(struct senders *s, const struct mail *m)
{
    if (atomic_load(&m->batch->stopped))
        return false;
    if (!m->probe && atomic_load(&s->halted))
        return false;
    return s->o.lease.owns(s->o.lease.ctx, m->batch->owner);
}

struct look {
    struct senders *senders;
    struct mail *mail;
};

static bool look_again(void *ctx)
{
    const struct look *l = ctx;
    return may_go(l->senders, l->mail);
}

static bool lease_holds(void *ctx)
{
    const struct look *l = ctx;
    const struct lease *lease = &l->senders->o.lease;
    return lease->owns(lease->ctx, l->mail->batch->owner);
}

/* Looks up now and then, as what the mail goes for may end meanwhile. */
static bool my_turn(void *ctx)
{
    const struct look *l = ctx;
    const struct senders_options *o = &l->senders->o;
    int64_t end_us = clock_mono_us() + TRANSPORT_TURN_MAX_MS * 1000;
    for (;;) {
        int64_t now_us = clock_mono_us();
        if (!may_go(l->senders, l->mail))
            return false;
        if (o->turn(o->ctx, l->mail, now_us + TURN_LOOK_US))
            return true;
        if (now_us >= end_us)
            return false;
    }
}

static void try_mail(struct connection *c, struct mail *m)
{
    struct senders *s = c->senders;
    struct look look = {s, m};
    const struct transport_mail mail = {
        .sender = m->rendered.sender,
        .recipient = m->item->user->email,
        .data = m->data,
        .bytes = m->bytes,
        .job_id = m->batch->job_id,
        .user_id = m->user_id,
        .token = m->rendered.token,
        .may_go = look_again,
        .turn = my_turn,
        .lease_holds = lease_holds,
        .ctx = &look,
    };
    memset(&m->reply, 0, sizeof(m->reply));
    atomic_fetch_add(&s->sending, 1);
    crash_point("before", "send");
    s->o.transport->send(c->transport, &mail, &m->reply);
    crash_point("after", "send");
    atomic_fetch_sub(&s->sending, 1);
    m->tried = !m->reply.untried;
    /* Nothing answers: what is queued need not find out too before the desk
     * has heard of it and says how long to stand. */
    if (m->tried && m->reply.verdict == VERDICT_PROVIDER_FAULT && m->reply.code == 0)
        atomic_store(&s->halted, true);
}

static void *sender_main(void *arg)
{
    struct connection *c = arg;
    struct mail *m;
    pthread_setname_np(pthread_self(), "sender");
    while ((m = queue_pop(c->senders->queue, -1)) != NULL) {
        m->tried = false;
        if (may_go(c->senders, m))
            try_mail(c, m);
        inbox_replied(c->senders->o.inbox, m);
    }
    return NULL;
}

static int open_transports(struct senders *s, struct fp_err *err)
{
    for (int i = 0; i < s->o.connections; i++) {
        struct connection *c = &s->connections[i];
        c->senders = s;
        c->transport = s->o.transport->open(&s->o.settings, err);
        if (!c->transport)
            return -1;
        s->n_open++;
    }
    return 0;
}

static void start_threads(struct senders *s)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, SENDER_STACK_BYTES);
    for (int i = 0; i < s->n_open; i++) {
        if (pthread_create(&s->connections[i].thread, &attr, sender_main, &s->connections[i]) != 0)
            fp_panic("cannot start sender thread %d of %d: lower --connections", i + 1, s->n_open);
        s->n_threads++;
    }
    pthread_attr_destroy(&attr);
}

struct senders *senders_start(const struct senders_options *o, struct fp_err *err)
{
    struct senders *s = mem_alloc(sizeof(*s));
    s->o = *o;
    s->connections = mem_array((size_t)o->connections, sizeof(*s->connections));
    s->queue = queue_new(o->max_queued);
    if (open_transports(s, err) < 0) {
        senders_stop(s);
        return NULL;
    }
    start_threads(s);
    return s;
}

void senders_give(struct senders *s, struct mail *m)
{
    if (!queue_push(s->queue, m, 0))
        fp_panic("send queue is full: more open intents than its %zu places", s->o.max_queued);
}

void senders_halt(struct senders *s, bool halt)
{
    atomic_store(&s->halted, halt);
}

int senders_sending(struct senders *s)
{
    return atomic_load(&s->sending);
}

void senders_stop(struct senders *s)
{
    if (!s)
        return;
    queue_close(s->queue);
    for (int i = 0; i < s->n_threads; i++)
        pthread_join(s->connections[i].thread, NULL);
    for (int i = 0; i < s->n_open; i++)
        s->o.transport->close(s->connections[i].transport);
    queue_free(s->queue);
    mem_free(s->connections);
    mem_free(s);
}
