/*
 * From a summary to a mail: templates in a folder, the view of one statement,
 * and the MIME source that goes out. Everything is checked at start: a
 * template that does not compile, or asks for a name that no statement has,
 * stops the mailer with file, line and column.
 *
 * A folder holds NAME.subject, NAME.txt and NAME.html for each template
 * ("statement"), *.mustache for partials, and LANGUAGE.properties with the
 * messages of each language. docs/templates.md tells all of it.
 */
#ifndef FP_RENDER_RENDER_H
#define FP_RENDER_RENDER_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/wire.h"

struct fp_templates;

struct templates_from {
    const char *base;           /* the folder that comes with the program; "" */
    const char *own;            /* laid over it: replaces files by name, adds messages; "" */
    const char *locales;        /* languages to mail in, "en,de"; "": every catalogue there is */
    const char *default_locale; /* for users whose language there is not: "en-GB" */
};

struct render_sender {
    const char *from;            /* "Foliopost <reports@example.com>" */
    const char *reply_to;        /* "": none */
    const char *message_host;    /* of the Message-ID: "example.com" */
    const char *list_host;       /* of List-Id; "" or NULL: the message_host */
    const char *feedback_sender; /* the last part of Feedback-ID; "" or NULL: "foliopost" */
    const char *postal_address;  /* in the footer; "" */
};

/* What is of one mail alone. Every text may be "". */
struct render_extras {
    const char *unsubscribe_url;    /* https, with the token: List-Unsubscribe and the footer's link */
    const char *unsubscribe_mailto; /* a URI: "mailto:leave@example.com?subject=token" */
    const char *to;                 /* instead of the user's own address: test mails */
    bool test;                      /* the subject says so */
};

/* What is known of a mail beside its source: the beginnings of SHA-256 hashes.
 * The content is the subject, a line end and the text part with LF line ends,
 * as a reader decodes them: they hold every figure. */
#define RENDER_VERSION_BYTES 4
#define RENDER_CONTENT_BYTES 16
struct render_info {
    unsigned char template_version[RENDER_VERSION_BYTES]; /* of templates_hash() */
    unsigned char content[RENDER_CONTENT_BYTES];
};

/* Where the templates that come with the program are: installed beside its
 * folder, or in a source tree; out holds PATH_MAX bytes. */
bool templates_find_base(char *out);
struct fp_templates *templates_load(const struct templates_from *from, struct fp_err *err) FP_MUST_CHECK;
void templates_free(struct fp_templates *t);
bool templates_has(const struct fp_templates *t, const char *name);
const char *templates_name(const struct fp_templates *t, size_t i); /* NULL behind the last */
size_t templates_languages(const struct fp_templates *t);
const char *templates_language_tag(const struct fp_templates *t, size_t i);
/* SHA-256 of all files, hex; for jobs.template_hash. */
const char *templates_hash(const struct fp_templates *t);
/* Its beginning, as bytes. */
void templates_version(const struct fp_templates *t, unsigned char out[RENDER_VERSION_BYTES]);
/* Checks a sender: addresses, no line breaks, a host name. */
int render_check_sender(const struct render_sender *s, struct fp_err *err) FP_MUST_CHECK;

/* The whole mail, CRLF lines, multipart/alternative with text first. The same
 * input gives the same bytes. The Message-ID begins "<JOB.USER." and ends with
 * the sender's host, equal for every attempt; Date is the job's mail date.
 * extras and info may be NULL. ICU's formatters are kept by the calling thread.
 * Errors are of this user alone, and do not name him: reports count them by their text. NOT_FOUND (template),
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED (past 256 kB). */
int render_mail(const struct fp_templates *t, const struct render_sender *s,
                const struct render_extras *extras, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, struct fp_str *out, struct render_info *info,
                struct fp_err *err) FP_MUST_CHECK;

enum render_part { RENDER_SUBJECT, RENDER_TEXT, RENDER_HTML };
/* One part as a reader sees it, decoded: for previews. */
int render_part(const struct fp_templates *t, const struct render_sender *s,
                const struct render_extras *extras, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, enum render_part part, struct fp_str *out,
                struct fp_err *err) FP_MUST_CHECK;

#endif
