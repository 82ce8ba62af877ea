/* Whether a scheduler understood what it was asked for. */
#ifndef FP_CLI_ECHO_H
#define FP_CLI_ECHO_H

#include "lib/base/str.h"
#include "lib/wire/wire.h"

/* The names, with commas, of what `asked` says and the job made of it does not: fields that a
 * scheduler of before them has left out. Nothing: it took all. */
void echo_missing(const Foliopost__V1__JobSpec *asked, const Foliopost__V1__Job *got, struct fp_str *out);

#endif
