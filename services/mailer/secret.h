/*
 * A secret that a transport keeps, from a file that may be replaced while it
 * runs: Kubernetes does so by a rename, a rotation with new contents.
 */
#ifndef FP_MAILER_SECRET_H
#define FP_MAILER_SECRET_H

#include <stdbool.h>
#include <sys/stat.h>

#include "lib/base/err.h"

struct secret {
    char *path;
    bool whole; /* the whole file, and not its first line alone */
    char *text; /* NULL: not read yet */
    struct stat seen;
};

void secret_init(struct secret *s, const char *path, bool whole);
void secret_fini(struct secret *s);
void secret_forget(struct secret *s); /* it is of no use: read again next time */
/* Reads the file when it is not the one that was read last. *changed: the text is another one than before. */
int secret_refresh(struct secret *s, bool *changed, struct fp_err *err) FP_MUST_CHECK;

#endif
