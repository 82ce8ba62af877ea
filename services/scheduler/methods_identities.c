/*
 * AddIdentity, RevokeIdentity, ListIdentities.
 *
 * The scheduler that is called knows the change before it answers; the others
 * when they read the table again. The first identity locks an open door, so it
 * has to be one that can add others.
 */
#include "services/scheduler/methods_internal.h"

#include <ctype.h>
#include <string.h>

#include "lib/ledger/identities.h"
#include "lib/log/log.h"
#include "services/scheduler/identities.h"

#define N_ROLES 4

_Static_assert(1u << (FOLIOPOST__V1__ROLE__ROLE_ADMIN - 1) == LEDGER_ADMIN &&
                   1u << (FOLIOPOST__V1__ROLE__ROLE_VIEWER - 1) == LEDGER_VIEWER,
               "roles");

static Foliopost__V1__Identity *convert_identity(struct convert *c, const struct ledger_identity *i)
{
    Foliopost__V1__Identity *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__identity__init(m);
    m->roles = convert_alloc(c, N_ROLES, sizeof *m->roles);
    for (int r = 0; r < N_ROLES && m->roles; r++)
        if (i->roles & 1u << r)
            m->roles[m->n_roles++] = (Foliopost__V1__Role)(r + 1);
    m->name = convert_text(c, i->name);
    m->subject = convert_text(c, i->subject);
    m->has_token = i->has_token;
    m->expires_us = i->expires_us;
    m->created_us = i->created_us;
    m->created_by = convert_text(c, i->created_by);
    m->revoked_us = i->revoked_us;
    return m;
}

/* --- AddIdentity ------------------------------------------------------------------------ */

/* Names that stand in the audit for what is nobody's identity. */
static bool is_reserved(const char *name)
{
    static const char *const own[] = {"rpc", RPC_TOKEN_FILE_NAME, "leader", "guard", "schedule"};

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i], name) == 0)
            return true;
    return false;
}

static int check_name(const char *name, struct fp_err *err)
{
    for (const char *s = name; *s; s++)
        if (!isalnum((unsigned char)*s) && (s == name || !strchr("._-", *s)))
            return err_set(err, FP_INVALID_ARGUMENT,
                           "name: letters, digits, and behind the first . _ - are allowed");
    if (is_reserved(name))
        return err_set(err, FP_INVALID_ARGUMENT, "name: %s means another in the audit", name);
    return 0;
}

static int read_request(const Foliopost__V1__AddIdentityRequest *q, struct ledger_identity *out,
                        struct fp_err *err)
{
    *out = (struct ledger_identity){.expires_us = q->expires_us};
    if (check_name(q->name, err))
        return -1;
    if (q->n_roles == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "roles: none is given");
    if (q->token_sha256.len != 0 && q->token_sha256.len != LEDGER_TOKEN_HASH)
        return err_set(err, FP_INVALID_ARGUMENT, "token_sha256: %zu bytes are not a SHA-256, which has %d",
                       q->token_sha256.len, LEDGER_TOKEN_HASH);
    if (q->token_sha256.len == 0 && !q->subject[0])
        return err_set(err, FP_INVALID_ARGUMENT,
                       "token_sha256: neither it nor a certificate's subject is given");
    for (size_t i = 0; i < q->n_roles; i++)
        out->roles |= 1u << (q->roles[i] - 1);
    snprintf(out->name, sizeof out->name, "%s", q->name);
    snprintf(out->subject, sizeof out->subject, "%s", q->subject);
    out->has_token = q->token_sha256.len > 0;
    if (out->has_token)
        memcpy(out->token_hash, q->token_sha256.data, LEDGER_TOKEN_HASH);
    return 0;
}

static int check_first(const struct rpc_call *call, unsigned roles, struct fp_err *err)
{
    if ((call->identity && call->identity[0]) || roles & LEDGER_ADMIN)
        return 0;
    return err_set(err, FP_FAILED_PRECONDITION,
                   "roles: the first identity locks the door, so it must be an admin that can add others");
}

/* What the ledger has now is known here before the answer. */
static ProtobufCMessage *answer(struct rpc_call *call, const struct ledger_identity *i, struct fp_err *err)
{
    const struct methods *m = call->ctx;
    struct convert c = {.arena = call->arena};

    if (identities_read(m->o.identities, methods_worker_of(call)->ledger, err))
        return NULL;
    Foliopost__V1__Identity *r = convert_identity(&c, i);
    return methods_reply_of(&c, r ? &r->base : NULL, err);
}

static int check_kept(const struct rpc_call *call, struct fp_err *err)
{
    const struct methods *m = call->ctx;

    return m->o.identities ? 0 : err_set(err, FP_UNIMPLEMENTED, "this server keeps no identities");
}

ProtobufCMessage *method_add_identity(struct rpc_call *call, const ProtobufCMessage *request,
                                      struct fp_err *err)
{
    struct ledger_identity wanted, made;

    if (check_kept(call, err) || read_request((const void *)request, &wanted, err) ||
        check_first(call, wanted.roles, err) ||
        ledger_identity_add(methods_worker_of(call)->ledger, &wanted, methods_actor_of(call), &made, err))
        return NULL;
    log_info("rpc", "identity added", "name=%s by=%s", made.name, methods_who(call));
    return answer(call, &made, err);
}

/* --- RevokeIdentity, ListIdentities -------------------------------------------------------- */

ProtobufCMessage *method_revoke_identity(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__RevokeIdentityRequest *q = (const void *)request;
    struct ledger_identity gone;

    if (check_kept(call, err) ||
        ledger_identity_revoke(methods_worker_of(call)->ledger, q->name, methods_actor_of(call), &gone, err))
        return NULL;
    log_info("rpc", "identity revoked", "name=%s by=%s", gone.name, methods_who(call));
    return answer(call, &gone, err);
}

ProtobufCMessage *method_list_identities(struct rpc_call *call, const ProtobufCMessage *request,
                                         struct fp_err *err)
{
    const Foliopost__V1__ListIdentitiesRequest *q = (const void *)request;
    struct convert c = {.arena = call->arena};
    Foliopost__V1__ListIdentitiesResponse *r = convert_alloc(&c, 1, sizeof *r);

    if (!r)
        return convert_too_large(err);
    foliopost__v1__list_identities_response__init(r);
    struct ledger_identity *rows = mem_array(LEDGER_MAX_IDENTITIES, sizeof *rows);
    int n =
        ledger_identities(methods_worker_of(call)->ledger, q->revoked_too, rows, LEDGER_MAX_IDENTITIES, err);
    r->identities = n > 0 ? convert_alloc(&c, (size_t)n, sizeof *r->identities) : NULL;
    for (int i = 0; i < n && r->identities; i++)
        if ((r->identities[i] = convert_identity(&c, &rows[i])))
            r->n_identities++;
    mem_free(rows);
    return methods_reply_of(&c, n < 0 ? NULL : &r->base, err);
}
