/*
 * A mail as the mailer writes it: the brand's sender, the templates, the links
 * and the envelope of its settings, for the mailer itself and for the commands
 * that show or try out one of its mails.
 */
#ifndef FP_MAILER_LETTER_H
#define FP_MAILER_LETTER_H

#include "lib/render/render.h"
#include "lib/token/token.h"
#include "services/mailer/renderers.h"

struct mailer_settings;

/* How one that nobody gets as part of a job differs from the real one. */
struct letter_trial {
    const char *to; /* instead of the user's own address; "": his own */
    bool test;      /* the subject says so */
};

/* Loads the brands, checks their senders, loads the templates. */
int letter_open(struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
/* The keys that links and bounce addresses need, where a brand has such. */
int letter_open_keys(struct mailer_settings *s, struct fp_err *err) FP_MUST_CHECK;
/* What both made; may be called after a failure. */
void letter_close(struct mailer_settings *s);
/* Why no mail of the job can be written: no such template, no such brand. "": nothing. */
void letter_cannot(const struct mailer_settings *s, const Foliopost__V1__JobContext *job, char out[160]);

/* render_mail() with the sender of the user's brand, and the envelope. trial
 * NULL: the mail of the job, whose link is signed for its user. In a trial the
 * link leads to a page that unsubscribes nobody, and bounces name nobody.
 * FAILED_PRECONDITION: the user's brand is unknown. */
int letter_mail(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial, struct fp_str *out,
                struct rendered *rendered, struct fp_err *err) FP_MUST_CHECK;
/* render_part(), likewise. */
int letter_part(const struct mailer_settings *s, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, const struct letter_trial *trial,
                enum render_part part, struct fp_str *out, struct fp_err *err) FP_MUST_CHECK;

#endif
