/* Which settings an action of a command takes: foliopost suppressions, schedule, identities. */
#ifndef FP_CLI_FLAGS_H
#define FP_CLI_FLAGS_H

#include "lib/base/err.h"
#include "lib/config/config.h"

/* INVALID_ARGUMENT when a setting has another value than its default and its row of takes (one for each
 * of rows, a bit for each action) lacks all bits of `action`. what: "schedule update", for the error. */
int flags_check(const struct config_setting *rows, size_t n, const unsigned *takes, const void *values,
                unsigned action, const char *what, struct fp_err *err) FP_MUST_CHECK;

#endif
