/*
 * A connection to an SMTP server, and the mails that go over it one after the
 * other. libcurl connects, greets, encrypts and logs in; MAIL, RCPT, DATA and
 * the mail itself are said here, in one write where the server offers
 * PIPELINING (RFC 2920): two round trips for a mail and not four.
 */
#ifndef FP_MAILER_SMTP_DIALOGUE_H
#define FP_MAILER_SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "services/mailer/classify.h"

struct smtp_dialogue;

/* Strings stay the caller's, for as long as the dialogue lasts. */
struct smtp_dialogue_options {
    const char *url, *ca_file;   /* "": the system's authorities */
    const char *user, *password; /* "": no login */
    long use_ssl;                /* CURLUSESSL_... */
    int64_t connect_timeout_ms;
};

/* Until the server is ready for a mail. NULL: it is not, and `end` says at which
 * stage and why. deadline_us is by clock_mono_us(). */
struct smtp_dialogue *smtp_dialogue_open(const struct smtp_dialogue_options *o, int64_t deadline_us,
                                         struct smtp_end *end);

/* One mail, until the deadline. one_by_one: a command waits for the answer to the one
 * before, whatever the server offers, so that a connection that is lost says at which.
 * Fills `end` but its recipient. CURLE_ABORTED_BY_CALLBACK: the lease did not hold any
 * more when the mail itself was to go, and nothing of it went. */
void smtp_dialogue_mail(struct smtp_dialogue *d, const struct transport_mail *m, bool one_by_one,
                        int64_t deadline_us, struct smtp_end *end);

/* Whether both sides agree where they are, so that another mail may follow. */
bool smtp_dialogue_in_step(const struct smtp_dialogue *d);

/* With QUIT, whose answer is waited for a moment, when they agree; else at once,
 * without a word. NULL does nothing. */
void smtp_dialogue_close(struct smtp_dialogue *d);

#endif
