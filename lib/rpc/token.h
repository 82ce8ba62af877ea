/* The bearer token of the RPC's door: a file that is read again when it changes. */
#ifndef FP_RPC_TOKEN_H
#define FP_RPC_TOKEN_H

#include "lib/base/err.h"

struct rpc_token;

/* path "": every call is let in. An unreadable or empty file is an error: a
 * door that was meant to be locked does not open. */
struct rpc_token *rpc_token_new(const char *path, struct fp_err *err) FP_MUST_CHECK;
void rpc_token_free(struct rpc_token *t);
/* 0, or UNAUTHENTICATED. Thread-safe; the comparison's time tells nothing. */
int rpc_token_check(struct rpc_token *t, const char *given, struct fp_err *err) FP_MUST_CHECK;

#endif
