/* Writes the mails of previews, and sends those that are tests (lib/ledger/previews.h). */
#ifndef FP_MAILER_PREVIEWS_H
#define FP_MAILER_PREVIEWS_H

#include "services/mailer/desk.h"

struct mailer_settings;
struct preview_desk;

struct preview_options {
    const struct mailer_settings *set; /* its templates, brands and providers are there */
    struct pg_options ledger;
    void (*owner)(void *ctx, char out[37]);
    void *ctx;
};

struct preview_desk *preview_desk_start(const struct preview_options *o, struct fp_err *err) FP_MUST_CHECK;
void preview_desk_drain(struct preview_desk *p); /* the one in work is finished */
bool preview_desk_drained(struct preview_desk *p);
void preview_desk_stop(struct preview_desk *p); /* once drained */

#endif
