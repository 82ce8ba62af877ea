/*
 * One user's mail outside of any job, for preview and send-test: his summary
 * computed as stats does, written as the mailer does.
 */
#ifndef FP_CLI_TRIAL_H
#define FP_CLI_TRIAL_H

#include "cli/subject.h"
#include "services/mailer/letter.h"
#include "services/mailer/rows.h"

struct trial_values {
    struct subject_values subject;
    struct mailer_settings mailer; /* the rows of rows.h alone; all else is 0 */
    char *template_name, *locale, *kind, *brand;
};

/* clang-format off */
/* AT(field): where the field of struct trial_values lies in the command's values. */
#define TRIAL_ROWS(AT)                                                                                       \
    {"template", CONFIG_STRING, NULL, "statement", 1, 64, NULL, "the template's name", AT(template_name)},   \
    {"locale", CONFIG_STRING, NULL, "", 0, 35, NULL,                                                         \
     "instead of the user's own: de-AT", AT(locale)},                                                        \
    {"brand", CONFIG_STRING, NULL, "", 0, 64, NULL, "instead of the user's own", AT(brand)},                 \
    {"kind", CONFIG_CHOICE, NULL, "auto", 0, 0, "auto|weekly|monthly|custom",                                \
     "of the report; auto: by the length of the period", AT(kind)}
/* clang-format on */

struct trial {
    struct fp_arena *arena; /* holds the item */
    struct source_user user;
    Foliopost__V1__User message;
    Foliopost__V1__JobContext job; /* id 0: of no job; dated now */
    const Foliopost__V1__SummaryItem *item;
};

/* FAILED_PRECONDITION when he has no statement, with the reason that the ledger would hold. */
int trial_open(struct trial *t, struct trial_values *v, struct fp_err *err) FP_MUST_CHECK;
void trial_close(struct trial *t, struct trial_values *v); /* also after a failed open */
/* On stderr: why the mailer would send him nothing, if it would not. */
void trial_remark(const struct trial *t);

#endif
