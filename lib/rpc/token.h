/* The bearer token of the RPC's door: a file that is read again when it changes. */
#ifndef FP_RPC_TOKEN_H
#define FP_RPC_TOKEN_H

#include <stdbool.h>

#include "lib/base/err.h"

struct rpc_token;

/* path "": no token. An unreadable or empty file is an error: a
 * door that was meant to be locked does not open. */
struct rpc_token *rpc_token_new(const char *path, struct fp_err *err) FP_MUST_CHECK;
void rpc_token_free(struct rpc_token *t);
bool rpc_token_asked(const struct rpc_token *t); /* there is a file */
/* False without a file. Thread-safe; the comparison's time tells nothing. */
bool rpc_token_matches(struct rpc_token *t, const char *given);

#endif
