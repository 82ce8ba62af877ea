/* The render pool: threads that turn a summary into a mail. Each mail given
 * comes back to the inbox, with its data or with render_err. */
#ifndef FP_MAILER_RENDERERS_H
#define FP_MAILER_RENDERERS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/render/render.h"
#include "lib/token/token.h"
#include "lib/wire/wire.h"

struct renderers;
struct inbox;
struct mail;

#define RENDERED_SENDER_BYTES 255

/* What is known of a mail once it is rendered, beside its data. */
struct rendered {
    struct render_info content;
    char sender[RENDERED_SENDER_BYTES]; /* envelope: checked */
    char token[TOKEN_TEXT_BYTES];       /* of purpose bounce, for what events bring back; "": none */
    int8_t provider;                    /* the only one that may take it, its place among them; -1: any */
};

/* letter_mail() with its templates and sender, or a fake. Called by several
 * threads at once. */
struct render_with {
    int (*mail)(void *ctx, const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                struct fp_str *out, struct rendered *rendered, struct fp_err *err);
    void *ctx;
};

struct renderers *renderers_start(const struct render_with *with, int threads, size_t max_queued,
                                  struct inbox *in);
/* The queue has room for every mail of the claim slots. */
void renderers_give(struct renderers *r, struct mail *m);
/* Ends the threads; what was given has come back. */
void renderers_stop(struct renderers *r);

#endif
