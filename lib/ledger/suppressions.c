/*
 * Who is suppressed: asked for twice for every batch, so it is two index
 * lookups for each user and nothing else; added to, taken from and listed
 * rarely.
 *
 * The reason says whom a row with both a user and an address concerns: a hard
 * bounce is the address's, since the user may mend it; an unsubscription, a
 * complaint and what a person entered are the user's and the address's.
 */
#include "lib/ledger/suppressions.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/ledger/ledger_internal.h"

static const char *const reasons[] = {
    [SUPPRESSION_UNKNOWN] = "",
    [SUPPRESSION_HARD_BOUNCE] = "hard_bounce",
    [SUPPRESSION_MANUAL] = "manual",
    [SUPPRESSION_UNSUBSCRIBE] = "unsubscribe",
    [SUPPRESSION_COMPLAINT] = "complaint",
};
#define N_REASONS (sizeof reasons / sizeof reasons[0])

const char *suppression_reason_name(enum suppression_reason r)
{
    return (size_t)r < N_REASONS ? reasons[r] : "";
}

enum suppression_reason suppression_reason_from_name(const char *name)
{
    for (size_t i = 1; i < N_REASONS; i++)
        if (strcmp(name, reasons[i]) == 0)
            return (enum suppression_reason)i;
    return SUPPRESSION_UNKNOWN;
}

/* --- who is suppressed --------------------------------------------------------------- */

#define IN_FORCE                                                                                             \
    "(s.scope = 'all' OR s.scope = $3) AND coalesce(s.expires_at, 'infinity') > clock_timestamp()"

/* clang-format off */
static const char suppressed_sql[] =
    "SELECT u.no FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS u (user_id, hash, no)"
    " CROSS JOIN LATERAL ("
    "  (SELECT FROM foliopost.suppressions s WHERE s.user_id = u.user_id"
    "    AND (s.reason <> 'hard_bounce' OR s.address_hash IS NULL) AND " IN_FORCE " LIMIT 1)"
    "  UNION ALL"
    "  (SELECT FROM foliopost.suppressions s WHERE s.address_hash = nullif(u.hash, '')::uuid"
    "    AND " IN_FORCE " LIMIT 1)) hit";
/* clang-format on */

static void recipient_args(struct pg_args *a, const struct ledger_recipient *who, size_t n)
{
    int64_t *ids = mem_array(n + 1, sizeof *ids);
    const char **hashes = mem_array(n + 1, sizeof *hashes);
    for (size_t i = 0; i < n; i++) {
        ids[i] = who[i].user_id;
        hashes[i] = who[i].address_hash;
    }
    pg_arg_i64s(a, ids, n);
    pg_arg_texts(a, hashes, n);
    mem_free(ids);
    mem_free(hashes);
}

int ledger_suppressed(struct fp_ledger *l, const char *kind, const struct ledger_recipient *who, size_t n,
                      bool *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    for (size_t i = 0; i < n; i++)
        out[i] = false;
    pg_args_init(&a);
    recipient_args(&a, who, n);
    pg_arg_text(&a, kind);
    if (ledger_step(l, "suppressed", suppressed_sql, &a, &rows, err) != 0)
        return -1;
    for (int i = 0; i < pg_rows_count(rows); i++)
        out[pg_i64(rows, i, 0) - 1] = true; /* twice where user and address are hit */
    pg_rows_free(rows);
    return 0;
}

/* --- adding ------------------------------------------------------------------------------ */

/* The audit names the first ten, by the user alone where there is one: erasing him finds him by that.
 * DISTINCT ON: an upsert may not meet one subject twice; the strongest reason
 * of several goes first. */
/* clang-format off */
static const char suppress_sql[] =
    "WITH entries AS (SELECT DISTINCT ON (user_id, hash, scope) * FROM unnest($1::bigint[], $2::text[],"
    "   $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[], $9::timestamptz[])"
    "   AS e (user_id, hash, scope, reason, source, evidence, job_id, seen, expires)"
    "  ORDER BY user_id, hash, scope, " SUPPRESSION_RANK("reason") " DESC),"
    " put AS (" SUPPRESSION_INSERT
    "  SELECT nullif(user_id, 0), nullif(hash, '')::uuid, scope, reason, source, evidence, nullif(job_id, 0),"
    "   CASE WHEN isfinite(seen) THEN seen ELSE clock_timestamp() END, nullif(expires, '-infinity')"
    "  FROM entries" SUPPRESSION_MERGE " RETURNING xmax = 0 AS new),"
    " noted AS (" AUDIT_INSERT
    "  SELECT " AUDIT_BY("$10") ", 'suppress', NULL::bigint, (SELECT count(*) FROM entries) || ' entries: '"
    "   || (SELECT string_agg(CASE WHEN user_id > 0 THEN 'user ' || user_id ELSE 'address ' || hash END"
    "    || ' (' || scope || ', ' || reason || ')', ', ') FROM (SELECT * FROM entries LIMIT 10) first)"
    "   || CASE WHEN (SELECT count(*) FROM entries) > 10 THEN ', ...' ELSE '' END WHERE $10 <> '')"
    " SELECT count(*) FILTER (WHERE new) FROM put";
/* clang-format on */

/* Times of 0 are -infinity for the statement. */
static int64_t time_or_none(int64_t us)
{
    return us != 0 ? us : INT64_MIN;
}

static void suppress_args(struct pg_args *a, const struct ledger_suppression *s, size_t n)
{
    int64_t *ids = mem_array(3 * n + 1, sizeof *ids), *seen = ids + n, *expires = seen + n;
    const char **texts = mem_array(n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        ids[i] = s[i].user_id;
        seen[i] = time_or_none(s[i].first_seen_us);
        expires[i] = time_or_none(s[i].expires_us);
    }
    pg_arg_i64s(a, ids, n);
#define TEXTS(value)                                                                                         \
    for (size_t i = 0; i < n; i++)                                                                           \
        texts[i] = (value);                                                                                  \
    pg_arg_texts(a, texts, n)
    TEXTS(s[i].address_hash);
    TEXTS(s[i].scope[0] != '\0' ? s[i].scope : "all");
    TEXTS(suppression_reason_name(s[i].reason));
    TEXTS(s[i].source);
    TEXTS(s[i].evidence);
#undef TEXTS
    for (size_t i = 0; i < n; i++)
        ids[i] = s[i].job_id;
    pg_arg_i64s(a, ids, n);
    pg_arg_times_us(a, seen, n);
    pg_arg_times_us(a, expires, n);
    mem_free(ids);
    mem_free(texts);
}

int ledger_suppress(struct fp_ledger *l, const struct ledger_suppression *s, size_t n, const char *actor,
                    int64_t *added, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *added = 0;
    if (n == 0)
        return 0;
    pg_args_init(&a);
    suppress_args(&a, s, n);
    pg_arg_text(&a, actor != NULL ? actor : "");
    if (ledger_step(l, "suppress", suppress_sql, &a, &rows, err) != 0)
        return -1;
    *added = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- taking away --------------------------------------------------------------------------- */

/* clang-format off */
static const char unsuppress_sql[] =
    "WITH gone AS (DELETE FROM foliopost.suppressions"
    "  WHERE (user_id = $1 OR address_hash = $2::uuid) AND ($3::text IS NULL OR scope = $3)"
    "  RETURNING scope),"
    " noted AS (" AUDIT_INSERT
    "  SELECT " AUDIT_BY("$4") ", 'unsuppress', NULL::bigint, coalesce('user ' || $1, 'address ' || $2) || ', ' || coalesce($3 || ' mail, ', '') || count(*) || ' entries'"
    "  FROM gone HAVING count(*) > 0)"
    " SELECT count(*) FROM gone";
/* clang-format on */

int ledger_unsuppress(struct fp_ledger *l, int64_t user_id, const char *address_hash, const char *scope,
                      const char *actor, int64_t *removed, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    ledger_arg_id(&a, user_id);
    ledger_arg_name(&a, address_hash);
    ledger_arg_name(&a, scope);
    pg_arg_text(&a, actor);
    if (ledger_step(l, "unsuppress", unsuppress_sql, &a, &rows, err) != 0)
        return -1;
    *removed = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- lists ------------------------------------------------------------------------------------ */

/* clang-format off */
static const char list_sql[] =
    "SELECT id, user_id, address_hash, scope, reason, source, evidence, job_id, first_seen, expires_at"
    " FROM foliopost.suppressions s WHERE id > $1 AND ($3::bigint IS NULL OR user_id = $3)"
    "  AND ($4::uuid IS NULL OR address_hash = $4::uuid) AND ($5::text IS NULL OR reason = $5)"
    "  AND ($6 OR coalesce(expires_at, 'infinity') > clock_timestamp())"
    " ORDER BY id LIMIT $2";
/* clang-format on */

static void read_suppression(struct ledger_suppression *s, const struct fp_rows *r, int row)
{
    *s = (struct ledger_suppression){.id = pg_i64(r, row, 0), .user_id = pg_i64(r, row, 1)};
    ledger_text(s->address_hash, sizeof s->address_hash, r, row, 2);
    ledger_text(s->scope, sizeof s->scope, r, row, 3);
    s->reason = suppression_reason_from_name(pg_text(r, row, 4));
    ledger_text(s->source, sizeof s->source, r, row, 5);
    ledger_text(s->evidence, sizeof s->evidence, r, row, 6);
    s->job_id = pg_i64(r, row, 7);
    s->first_seen_us = ledger_time(r, row, 8);
    s->expires_us = ledger_time(r, row, 9);
}

int ledger_suppressions(struct fp_ledger *l, const struct ledger_suppression_filter *f, int64_t after_id,
                        struct ledger_suppression *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, after_id);
    pg_arg_i64(&a, max);
    ledger_arg_id(&a, f->user_id);
    ledger_arg_name(&a, f->address_hash);
    ledger_arg_name(&a, suppression_reason_name(f->reason));
    pg_arg_bool(&a, f->expired_too);
    /* Not prepared: the plan depends on which filter is there. */
    if (ledger_step(l, NULL, list_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_suppression(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}
