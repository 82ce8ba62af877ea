/*
 * Rendering is most of the mailer's own work on a mail, and needs nothing but
 * the message and the templates: so it is spread over threads, ahead of the
 * rate's slices. A mail that cannot be rendered never gets an intent.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "services/mailer/renderers.h"

#include <pthread.h>

#include "lib/base/mem.h"
#include "lib/base/queue.h"
#include "services/mailer/inbox.h"
#include "services/mailer/mail.h"

struct renderers {
    struct render_with with;
    struct inbox *inbox;
    struct fp_queue *queue;
    pthread_t *threads;
    int n_threads;
};

static void render(const struct renderers *r, struct mail *m)
{
    struct fp_str out;
    m->render_err = (struct fp_err){0};
    if (atomic_load(&m->batch->stopped)) {
        (void)err_set(&m->render_err, FP_CANCELLED, "the batch ends");
        return;
    }
    str_init(&out, 0);
    if (r->with.mail(r->with.ctx, m->batch->job, m->item, &out, &m->rendered, &m->render_err) == 0) {
        m->bytes = out.len;
        m->data = str_take(&out);
    }
    str_fini(&out);
}

static void *render_main(void *arg)
{
    struct renderers *r = arg;
    struct mail *m;
    pthread_setname_np(pthread_self(), "render");
    while ((m = queue_pop(r->queue, -1)) != NULL) {
        render(r, m);
        inbox_rendered(r->inbox, m);
    }
    return NULL;
}

struct renderers *renderers_start(const struct render_with *with, int threads, size_t max_queued,
                                  struct inbox *in)
{
    struct renderers *r = mem_alloc(sizeof(*r));
    r->with = *with;
    r->inbox = in;
    r->queue = queue_new(max_queued);
    r->threads = mem_array((size_t)threads, sizeof(*r->threads));
    for (int i = 0; i < threads; i++)
        if (pthread_create(&r->threads[r->n_threads++], NULL, render_main, r) != 0)
            fp_panic("cannot start render thread %d of %d", i + 1, threads);
    return r;
}

void renderers_give(struct renderers *r, struct mail *m)
{
    if (!queue_push(r->queue, m, 0))
        fp_panic("render queue is full: more mails than the claim slots hold");
}

void renderers_stop(struct renderers *r)
{
    if (!r)
        return;
    queue_close(r->queue);
    for (int i = 0; i < r->n_threads; i++)
        pthread_join(r->threads[i], NULL);
    queue_free(r->queue);
    mem_free(r->threads);
    mem_free(r);
}
