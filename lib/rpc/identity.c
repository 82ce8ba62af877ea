/* Authentication, then permission: see identity.h for the order of the keys. */
#include "lib/rpc/identity.h"

#include <stdio.h>
#include <string.h>

static const char *const role_names[] = {"viewer", "operator", "approver", "admin"};
#define N_ROLES (sizeof role_names / sizeof role_names[0])

static int unknown(const char *token, const char *subject, struct fp_err *err)
{
    if (token[0] != '\0')
        return err_set(err, FP_UNAUTHENTICATED, "the token is not one of this server's");
    if (subject[0] != '\0')
        return err_set(err, FP_UNAUTHENTICATED, "no token, and no identity has the certificate's subject %s",
                       subject);
    return err_set(err, FP_UNAUTHENTICATED,
                   "no token: this server asks for one (--token-file, FOLIOPOST_TOKEN_FILE)");
}

static int authenticate(const struct rpc_dispatch *d, const char *token, const char *subject,
                        struct rpc_identity *who, struct fp_err *err)
{
    bool locked = rpc_token_asked(d->token);
    int found = RPC_NONE_EXISTS;
    *who = (struct rpc_identity){.name = RPC_TOKEN_FILE_NAME, .roles = RPC_ANYBODY};
    if (locked && rpc_token_matches(d->token, token))
        return 0;
    if (d->identities != NULL)
        found = d->identities->find(d->identities->ctx, token, subject, who, err);
    if (found < 0 || found == RPC_FOUND)
        return found;
    if (found == RPC_STRANGER || locked)
        return unknown(token, subject, err);
    *who = (struct rpc_identity){.name = "", .roles = RPC_ANYBODY};
    return 0;
}

/* "operator or admin" */
static void say_roles(unsigned roles, char *out, size_t cap)
{
    out[0] = '\0';
    for (size_t i = 0; i < N_ROLES; i++)
        if (roles & 1u << i)
            snprintf(out + strlen(out), cap - strlen(out), "%s%s", out[0] != '\0' ? " or " : "",
                     role_names[i]);
}

int rpc_admit(const struct rpc_dispatch *d, const struct rpc_method *m, const char *token,
              const char *subject, struct rpc_identity *who, struct fp_err *err)
{
    char roles[64];
    if (authenticate(d, token, subject, who, err) != 0)
        return -1;
    if (m == NULL || (m->roles & who->roles) != 0)
        return 0;
    say_roles(m->roles, roles, sizeof roles);
    return err_set(err, FP_PERMISSION_DENIED, "%s: %s may not call it: the role %s is needed", m->name,
                   who->name, roles);
}
