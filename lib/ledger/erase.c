/*
 * Erasing a user, in one statement, so that nothing is left half done.
 *
 * Batches hold his id and have no index by it, since that would cost every page:
 * they are read whole. That takes seconds in a ledger of years, and is asked for
 * rarely. Only jobs that have ended are touched: in an open one a mailer may hold
 * his batch. A cancelled job's batches may be in a mailer's hands a while longer, and
 * what becomes of them is written under his id: such a batch is waited for too.
 */
#include "lib/ledger/erase.h"

#include <inttypes.h>

#include "lib/ledger/ledger_internal.h"

/* Jobs that are open, and those that are not of which a mailer still holds him. */
#define OPEN "j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED')"
#define HAS_HIM                                                                                              \
    "(" OPEN " AND ($1 = ANY (j.user_ids) OR EXISTS (SELECT FROM foliopost.batches b"                        \
    " WHERE b.job_id = j.id AND $1 = ANY (b.user_ids))))"
#define HELD                                                                                                 \
    "EXISTS (SELECT FROM foliopost.batches b WHERE b.job_id = j.id AND b.state = 'sending'"                  \
    " AND $1 = ANY (b.user_ids))"
static const char open_sql[] =
    "SELECT j.id, " OPEN " FROM foliopost.jobs j WHERE " HAS_HIM " OR " HELD " ORDER BY j.id LIMIT 1";

/* locked: a job of his that is being reopened is waited for, and none is until all is done. Whoever came
 * between the snapshot and the lock shows by the state or by the round: what is erased is what the snapshot
 * has, and a batch of the new round would keep his id, and never find his delivery. In their order, so that
 * two who are erased at once do not wait for each other.
 * who: nobody while an open job has him. Texts name users as "user 7" or
 * "user=7" alone. A row of suppressions without any hash stays under the pseudonym. */
/* clang-format off */
#define NAMED       "'(user[ =]|user_id[ =])' || $1::text || '\\M'"
#define UNNAMED(c)  c " = regexp_replace(" c ", " NAMED ", '\\1' || who.id::text, 'g')"
static const char erase_sql[] =
    "WITH locked AS MATERIALIZED ("
    "  SELECT j.id, j.state, j.round FROM foliopost.jobs j"
    "  WHERE EXISTS (SELECT FROM foliopost.deliveries d WHERE d.job_id = j.id AND d.user_id = $1)"
    "  ORDER BY j.id FOR NO KEY UPDATE),"
    " who AS ("
    "  SELECT foliopost.user_hash($1) AS hash, foliopost.user_pseudonym($1) AS id WHERE NOT EXISTS ("
    "   SELECT FROM foliopost.jobs j WHERE " HAS_HIM ") AND NOT EXISTS ("
    "   SELECT FROM foliopost.batches b WHERE b.state = 'sending' AND $1 = ANY (b.user_ids))"
    "   AND NOT EXISTS (SELECT FROM locked JOIN foliopost.jobs j ON j.id = locked.id"
    "    WHERE locked.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') OR locked.round <> j.round)),"
    " known AS ("
    "  INSERT INTO foliopost.erased (user_hash) SELECT hash FROM who ON CONFLICT DO NOTHING RETURNING 1),"
    " hashes AS ("
    "  SELECT d.address_hash AS hash FROM foliopost.deliveries d WHERE d.user_id = $1 AND d.address_hash IS NOT NULL"
    "  UNION SELECT address_hash FROM foliopost.suppressions WHERE user_id = $1 AND address_hash IS NOT NULL"
    "  UNION SELECT $2::uuid WHERE $2 IS NOT NULL),"
    " sent AS ("
    "  UPDATE foliopost.deliveries d SET user_id = who.id, address_hash = NULL, provider_id = '',"
    "   content_hash = NULL, reason = regexp_replace(d.reason, " NAMED ", '\\1' || who.id::text, 'g')"
    "  FROM who WHERE d.user_id = $1 RETURNING d.job_id),"
    " paged AS ("
    "  UPDATE foliopost.batches b SET user_ids = array_replace(b.user_ids, $1, who.id) FROM who"
    "  WHERE $1 = ANY (b.user_ids)),"
    " listed AS ("
    "  UPDATE foliopost.jobs j SET user_ids = CASE WHEN $1 = ANY (j.user_ids)"
    "    THEN array_append(array_remove(j.user_ids, $1), who.id) ELSE j.user_ids END,"
    "   " UNNAMED("response") "," UNNAMED("title") "," UNNAMED("waiting")
    "  FROM who WHERE $1 = ANY (j.user_ids) OR j.response ~ (" NAMED ") OR j.title ~ (" NAMED ")"
    "   OR j.waiting ~ (" NAMED ")),"
    " cursors AS ("
    "  UPDATE foliopost.intervals v SET cursor_id = who.id FROM who, foliopost.jobs j"
    "  WHERE v.cursor_id = $1 AND j.id = v.job_id AND j.state NOT IN ('PENDING', 'IN_PROGRESS', 'PAUSED')),"
    " told AS ("
    "  UPDATE foliopost.delivery_events e SET user_id = who.id, event_key = '', detail = '' FROM who"
    "  WHERE e.user_id = $1 RETURNING 1),"
    " listed_ids AS ("
    "  DELETE FROM foliopost.recovered_mails r USING who WHERE r.user_id = $1),"
    " computed AS ("
    "  DELETE FROM foliopost.checkpoints c USING who WHERE c.user_id = $1 RETURNING 1),"
    " taken AS ("
    "  DELETE FROM foliopost.suppressions s USING who WHERE s.user_id = $1 RETURNING s.*),"
    " kept AS (" SUPPRESSION_INSERT
    "  SELECT DISTINCT ON (x.user_id, x.hash, t.scope) x.user_id, x.hash, t.scope, t.reason, t.source, '',"
    "   NULL::bigint, t.first_seen, t.expires_at"
    "  FROM taken t, who CROSS JOIN LATERAL ("
    "   SELECT NULL::bigint AS user_id, h.hash FROM hashes h"
    "   UNION ALL SELECT who.id, NULL::uuid WHERE NOT EXISTS (SELECT FROM hashes)) x"
    "  WHERE t.reason <> 'hard_bounce' OR t.address_hash IS NULL OR x.hash = t.address_hash"
    "  ORDER BY x.user_id, x.hash, t.scope, " SUPPRESSION_RANK("t.reason") " DESC" SUPPRESSION_MERGE
    "  RETURNING 1),"
    " said AS ("
    "  UPDATE foliopost.audit a SET " UNNAMED("detail") " FROM who WHERE a.detail ~ (" NAMED ")),"
    " logged AS ("
    "  UPDATE foliopost.error_log e SET " UNNAMED("message") " FROM who WHERE e.message ~ (" NAMED ")),"
    " noted AS (" AUDIT_INSERT
    "  SELECT " AUDIT_BY("$3") ", 'erase', NULL::bigint, 'user ' || who.id FROM who WHERE EXISTS (SELECT FROM known))"
    " SELECT (NOT EXISTS (SELECT FROM known))::int, (SELECT count(*) FROM sent), (SELECT count(*) FROM told),"
    "  (SELECT count(*) FROM computed), (SELECT count(*) FROM taken) FROM who";
/* clang-format on */

static int in_open_job(struct fp_ledger *l, int64_t user_id, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, user_id);
    if (ledger_step(l, NULL, open_sql, &a, &rows, err) != 0)
        return -1;
    int64_t job = pg_rows_count(rows) > 0 ? pg_i64(rows, 0, 0) : 0;
    bool open = job > 0 && pg_bool(rows, 0, 1);
    pg_rows_free(rows);
    if (job == 0)
        return err_set(err, FP_ABORTED, "a job with this user was open a moment ago: call again");
    if (!open)
        return err_set(err, FP_FAILED_PRECONDITION,
                       "job %" PRId64 " has ended, but a mailer has a batch with this user in its hands: "
                       "call again in half a minute",
                       job);
    return err_set(err, FP_FAILED_PRECONDITION, "job %" PRId64 " is open and has this user: let it end first",
                   job);
}

int ledger_erase_user(struct fp_ledger *l, int64_t user_id, const char *address_hash, const char *actor,
                      struct ledger_erased *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_erased){0};
    pg_args_init(&a);
    pg_arg_i64(&a, user_id);
    ledger_arg_name(&a, address_hash);
    pg_arg_text(&a, actor);
    if (ledger_step(l, NULL, erase_sql, &a, &rows, err) != 0)
        return -1;
    bool done = pg_rows_count(rows) > 0;
    if (done)
        *out = (struct ledger_erased){.existing = pg_i64(rows, 0, 0) != 0,
                                      .deliveries = pg_i64(rows, 0, 1),
                                      .events = pg_i64(rows, 0, 2),
                                      .checkpoints = pg_i64(rows, 0, 3),
                                      .suppressions = pg_i64(rows, 0, 4)};
    pg_rows_free(rows);
    return done ? 0 : in_open_job(l, user_id, err);
}

int ledger_is_erased(struct fp_ledger *l, int64_t user_id, bool *erased, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, user_id);
    if (ledger_step(l, "is_erased", "SELECT FROM foliopost.erased WHERE user_hash = foliopost.user_hash($1)",
                    &a, &rows, err) != 0)
        return -1;
    *erased = pg_rows_count(rows) > 0;
    pg_rows_free(rows);
    return 0;
}
