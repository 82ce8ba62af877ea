/*
 * Who calls, and whether he may: the same for both doors.
 *
 * A role is a bit; what each may call is rpc_method.roles, in the table of
 * methods and nowhere else. Who carries the first line of the token file has
 * every role: it is the key that an installation begins with, and the one that
 * opens when all others are lost.
 */
#ifndef FP_RPC_IDENTITY_H
#define FP_RPC_IDENTITY_H

#include "lib/rpc/dispatch.h"

#define RPC_TOKEN_FILE_NAME "token-file" /* the name of who carries that token */

struct rpc_identity {
    char name[65]; /* "": at an open door, where nobody has to say */
    unsigned roles;
};

enum rpc_found {
    RPC_FOUND,
    RPC_STRANGER,    /* there are identities, and this is none of them */
    RPC_NONE_EXISTS, /* there is no identity at all */
};

/* Where identities are looked up. Any thread, also a door's loop: it must not wait. */
struct rpc_identities {
    void *ctx;
    /* enum rpc_found; -1 with *err: not known yet, expired. token, subject (of
     * a verified certificate): "" when there is none. A token goes first. */
    int (*find)(void *ctx, const char *token, const char *subject, struct rpc_identity *out,
                struct fp_err *err);
};

/* 0 with *who; UNAUTHENTICATED, PERMISSION_DENIED, or what find said. m NULL:
 * whoever is known. A door without token file and identities is open: *who is
 * nobody, with every role. */
int rpc_admit(const struct rpc_dispatch *d, const struct rpc_method *m, const char *token,
              const char *subject, struct rpc_identity *who, struct fp_err *err) FP_MUST_CHECK;

#endif
