/*
 * Files of sections: a [NAME] for each provider or brand, and under it
 * KEY = VALUE with the names of the mailer's settings. A section is a copy of
 * the mailer's own settings in which some rows of their table are set anew: so
 * its keys are the flags, with the same checks, and what it does not say is as
 * the flags say.
 */
#ifndef FP_MAILER_SECTIONS_H
#define FP_MAILER_SECTIONS_H

#include "services/mailer/settings.h"

#define SECTION_NAME_BYTES 65

struct section {
    char name[SECTION_NAME_BYTES];
    struct mailer_settings settings; /* its texts of the keys are its own */
};

struct sections_of {
    const char *file_setting;          /* "providers-file", for errors */
    const char *what;                  /* "provider" */
    const char *const *keys;           /* rows of the mailer's table that a section may set; ended by NULL */
    const struct config_setting *more; /* keys that are no setting of the mailer; NULL: none */
    size_t n_more;
    int max;
};

struct sections {
    const struct sections_of *of;
    struct section **list; /* by their place in the file */
    char **more;           /* of each the texts of `more`, n_more in a row */
    int n;
};

struct sections *sections_new(const struct sections_of *of);
void sections_free(struct sections *s);
/* A copy of the settings, which must live as long. NULL: too many, or there already. */
struct section *sections_add(struct sections *s, const struct mailer_settings *base, const char *name,
                             struct fp_err *err) FP_MUST_CHECK;
/* Every section of the file; one without any is an error. */
int sections_read(struct sections *s, const struct mailer_settings *base, const char *path,
                  struct fp_err *err) FP_MUST_CHECK;
/* The text of a key of `more` in section i; "" when not set. */
const char *sections_more(const struct sections *s, int i, const char *key);

#endif
