/*
 * Identities: added, revoked, read. Both steps are one statement with its line
 * of the audit, and are read back, so that a repeated call finds what it did.
 */
#include "lib/ledger/identities.h"

#include <openssl/evp.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/ledger/ledger_internal.h"

static const char *const role_names[] = {"viewer", "operator", "approver", "admin"};
#define N_ROLES (sizeof role_names / sizeof role_names[0])

void ledger_token_hash(const char *token, unsigned char out[LEDGER_TOKEN_HASH])
{
    unsigned n = 0;
    if (EVP_Digest(token, strlen(token), out, &n, EVP_sha256(), NULL) != 1 || n != LEDGER_TOKEN_HASH)
        fp_panic("libcrypto has no SHA-256");
}

/* --- reading ---------------------------------------------------------------------- */

#define COLUMNS                                                                                              \
    "i.name, i.token_hash, coalesce(i.subject, ''), i.created_by, i.expires_at, i.created_at, i.revoked_at," \
    " 'viewer' = ANY (i.roles), 'operator' = ANY (i.roles), 'approver' = ANY (i.roles), 'admin' = ANY (i.roles)"
#define FIRST_ROLE_COLUMN 7

static void read_identity(struct ledger_identity *out, const struct fp_rows *r, int row)
{
    size_t n = 0;
    *out = (struct ledger_identity){.expires_us = ledger_time(r, row, 4),
                                    .created_us = ledger_time(r, row, 5),
                                    .revoked_us = ledger_time(r, row, 6)};
    ledger_text(out->name, sizeof out->name, r, row, 0);
    ledger_text(out->subject, sizeof out->subject, r, row, 2);
    ledger_text(out->created_by, sizeof out->created_by, r, row, 3);
    out->has_token = !pg_is_null(r, row, 1) && pg_bytes(r, row, 1, out->token_hash, LEDGER_TOKEN_HASH, &n) &&
                     n == LEDGER_TOKEN_HASH;
    for (size_t i = 0; i < N_ROLES; i++)
        if (pg_bool(r, row, FIRST_ROLE_COLUMN + (int)i))
            out->roles |= 1u << i;
}

/* clang-format off */
static const char list_sql[] =
    "SELECT " COLUMNS " FROM foliopost.identities i WHERE $1::boolean OR i.revoked_at IS NULL"
    " ORDER BY i.revoked_at IS NOT NULL, i.name LIMIT $2";
static const char one_sql[] = "SELECT " COLUMNS " FROM foliopost.identities i WHERE i.name = $1";
static const char any_sql[] = "SELECT EXISTS (SELECT FROM foliopost.identities)";
/* clang-format on */

int ledger_identities(struct fp_ledger *l, bool revoked_too, struct ledger_identity *out, int max,
                      struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_bool(&a, revoked_too);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "identities", list_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_identity(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

int ledger_identities_any(struct fp_ledger *l, bool *any, struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, "identities_any", any_sql, NULL, &rows, err) != 0)
        return -1;
    *any = pg_bool(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

static int read_one(struct fp_ledger *l, const char *name, struct ledger_identity *out, bool *found,
                    struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, name);
    if (ledger_step(l, "identity", one_sql, &a, &rows, err) != 0)
        return -1;
    *found = pg_rows_count(rows) > 0;
    if (*found)
        read_identity(out, rows, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- adding and revoking --------------------------------------------------------------- */

#define MAX_VALID "1000" /* LEDGER_MAX_IDENTITIES */

/* clang-format off */
static const char add_sql[] =
    "WITH made AS ("
    "  INSERT INTO foliopost.identities (name, roles, token_hash, subject, expires_at, created_by)"
    "  SELECT $1, $2::text[], $4::bytea, $5::text, $6::timestamptz, split_part($3, chr(10), 1)"
    "  WHERE ($6::timestamptz IS NULL OR $6::timestamptz > clock_timestamp())"
    "   AND (SELECT count(*) FROM foliopost.identities WHERE revoked_at IS NULL) < " MAX_VALID
    "  ON CONFLICT DO NOTHING RETURNING name, roles),"
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$3") ", 'add_identity', NULL::bigint,"
    "   name || ': ' || array_to_string(roles, ', ') FROM made)"
    " SELECT name FROM made";
static const char revoke_sql[] =
    "WITH gone AS ("
    "  UPDATE foliopost.identities SET revoked_at = clock_timestamp()"
    "  WHERE name = $1 AND revoked_at IS NULL RETURNING name),"
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$2") ", 'revoke_identity', NULL::bigint, name FROM gone)"
    " SELECT name FROM gone";
/* clang-format on */

static void add_args(struct pg_args *a, const struct ledger_identity *i, const char *actor)
{
    const char *roles[N_ROLES];
    size_t n = 0;
    for (size_t k = 0; k < N_ROLES; k++)
        if (i->roles & 1u << k)
            roles[n++] = role_names[k];
    pg_args_init(a);
    pg_arg_text(a, i->name);
    pg_arg_texts(a, roles, n);
    pg_arg_text(a, actor != NULL ? actor : "");
    if (i->has_token)
        pg_arg_bytes(a, i->token_hash, LEDGER_TOKEN_HASH);
    else
        pg_arg_null(a);
    ledger_arg_name(a, i->subject);
    ledger_arg_time(a, i->expires_us);
}

static bool same(const struct ledger_identity *a, const struct ledger_identity *b)
{
    return a->roles == b->roles && a->has_token == b->has_token && a->expires_us == b->expires_us &&
           strcmp(a->subject, b->subject) == 0 &&
           (!a->has_token || memcmp(a->token_hash, b->token_hash, LEDGER_TOKEN_HASH) == 0);
}

int ledger_identity_add(struct fp_ledger *l, const struct ledger_identity *i, const char *actor,
                        struct ledger_identity *out, struct fp_err *err)
{
    struct pg_args a;
    bool found;
    add_args(&a, i, actor);
    int n = ledger_count(l, "identity_add", add_sql, &a, err);
    if (n < 0 || read_one(l, i->name, out, &found, err) != 0)
        return -1;
    if (found && (n > 0 || (out->revoked_us == 0 && same(i, out))))
        return 0;
    if (found)
        return err_set(err, FP_ALREADY_EXISTS, "name: there %s a %s: choose another name",
                       out->revoked_us != 0 ? "was" : "is", i->name);
    if (i->expires_us != 0 && i->expires_us <= clock_wall_us())
        return err_set(err, FP_FAILED_PRECONDITION, "expires_us: over already");
    return err_set(err, FP_ALREADY_EXISTS,
                   "another identity has this token or subject, or there are " MAX_VALID " already");
}

int ledger_identity_revoke(struct fp_ledger *l, const char *name, const char *actor,
                           struct ledger_identity *out, struct fp_err *err)
{
    struct pg_args a;
    bool found;
    pg_args_init(&a);
    pg_arg_text(&a, name);
    pg_arg_text(&a, actor != NULL ? actor : "");
    if (ledger_count(l, "identity_revoke", revoke_sql, &a, err) < 0 ||
        read_one(l, name, out, &found, err) != 0)
        return -1;
    return found ? 0 : err_set(err, FP_NOT_FOUND, "name: there is no identity %s", name);
}
