/*
 * From a summary to a mail: templates in a folder, the view of one statement,
 * and the MIME source that goes out. Everything is checked at start: a
 * template that does not compile, or asks for a name that no statement has,
 * stops the mailer with file, line and column.
 *
 * The folder holds NAME.subject, NAME.txt and NAME.html for each template
 * ("statement"), and *.mustache for partials.
 */
#ifndef FP_RENDER_RENDER_H
#define FP_RENDER_RENDER_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/wire.h"

struct fp_templates;

struct render_sender {
    const char *from;           /* "Foliopost <reports@example.com>" */
    const char *reply_to;       /* "": none */
    const char *message_host;   /* of the Message-ID: "example.com" */
    const char *postal_address; /* in the footer; "" */
};

struct fp_templates *templates_load(const char *dir, struct fp_err *err) FP_MUST_CHECK;
void templates_free(struct fp_templates *t);
bool templates_has(const struct fp_templates *t, const char *name);
/* SHA-256 or the like of all files, hex; for jobs.template_hash. */
const char *templates_hash(const struct fp_templates *t);
/* Checks a sender: addresses, no line breaks, a host name. */
int render_check_sender(const struct render_sender *s, struct fp_err *err) FP_MUST_CHECK;

/* The whole mail, CRLF lines, multipart/alternative with text first. The same
 * input gives the same bytes. The Message-ID begins "<JOB.USER." and ends with
 * the sender's host, equal for every attempt; Date is the job's mail date.
 * Errors are of this user alone: NOT_FOUND (template), INVALID_ARGUMENT,
 * RESOURCE_EXHAUSTED (past 256 kB). */
int render_mail(const struct fp_templates *t, const struct render_sender *s,
                const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                struct fp_str *out, struct fp_err *err) FP_MUST_CHECK;

#endif
