/* What PreviewEmail and SendTest ask for, checked and resolved: methods_preview.c. */
#ifndef FP_SCHEDULER_PREVIEW_H
#define FP_SCHEDULER_PREVIEW_H

#include "lib/address/address.h"
#include "lib/ledger/ledger.h"
#include "lib/source/source.h"
#include "lib/wire/wire.h"
#include "services/scheduler/settings.h"

struct preview_asked { /* points into itself and into the request: not to be copied */
    struct source_user from_source;
    Foliopost__V1__User user;
    Foliopost__V1__JobContext context;
    char kind[16], template_name[65], brand[65];
    char remark[128]; /* why a job would skip him; "": it would not */
};

/* NOT_FOUND: there is no such user. Errors name the request's fields. */
int preview_resolve(const Foliopost__V1__PreviewEmailRequest *q, const struct scheduler_settings *set,
                    struct fp_ledger *l, struct fp_source *s, struct preview_asked *out,
                    struct fp_err *err) FP_MUST_CHECK;
/* The message for stats: a batch of one. */
int preview_pack(const struct preview_asked *q, const char *traceparent, struct fp_str *out,
                 struct fp_err *err) FP_MUST_CHECK;
/* A test's address as SMTP carries it: one of the domains that may get tests, and not suppressed. */
int preview_recipient(const char *to, const struct scheduler_settings *set, struct fp_ledger *l,
                      char out[ADDRESS_BYTES], struct fp_err *err) FP_MUST_CHECK;

#endif
