/*
 * A mail as the mailer writes it: the sender, the templates and the unsubscribe
 * link of its settings, for the mailer itself and for the commands that show or
 * try out one of its mails.
 */
#ifndef FP_MAILER_LETTER_H
#define FP_MAILER_LETTER_H

#include "lib/render/render.h"

struct mailer_settings;

/* How one that nobody gets as part of a job differs from the real one. */
struct letter_trial {
    const char *to; /* instead of the user's own address; "": his own */
    bool test;      /* the subject says so */
};

/* Checks the sender and loads the templates into s->loaded. */
int letter_open(struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
/* The link's form and its keys, into s->keys; neither is set: no links. */
int letter_open_keys(struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
/* What both made; may be called after a failure. */
void letter_close(struct mailer_settings *s);

/* render_mail() with the sender of s. trial NULL: the mail of the job, whose
 * link is signed for its user. In a trial the link leads to a page that
 * unsubscribes nobody. info may be NULL. */
int letter_mail(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial, struct fp_str *out,
                struct render_info *info, struct fp_err *err) FP_MUST_CHECK;
/* render_part(), likewise. */
int letter_part(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial,
                enum render_part part, struct fp_str *out, struct fp_err *err) FP_MUST_CHECK;

#endif
