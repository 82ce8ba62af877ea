/*
 * Claims that their owner does not know: claims, forget.
 *
 * A claim's reply can be lost while the lease lapses, and a statement that the
 * client gave up on can still commit. The batch is then 'sending' for an owner
 * who lives and will never finish it, and expire does not touch the batches of
 * the living. The owner itself compares what the ledger holds for it with what
 * it has in its hands, and hands back the difference.
 *
 * What was open is marked as expire marks it (sweep.c), because nobody knows
 * any more what became of it. No redo is counted: the batch has done nothing.
 */
#include "lib/ledger/ledger_internal.h"

static const char claims_sql[] =
    "SELECT id, epoch FROM foliopost.batches WHERE state = 'sending' AND owner = $1::uuid ORDER BY id LIMIT $2";

int ledger_claims(struct fp_ledger *l, const char *owner, struct ledger_held *out, int max,
                  struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "claims", claims_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        out[i] = (struct ledger_held){.batch_id = pg_i64(rows, i, 0), .epoch = (int32_t)pg_i64(rows, i, 1)};
    pg_rows_free(rows);
    return n;
}

/* mine: the batch as it is under the lock, with the intents of a record that
 * we waited for. An intent is open only while its user has no outcome, so the
 * upsert needs to look at nothing but the row it meets. */
/* clang-format off */
static const char forget_sql[] =
    "WITH mine AS ("
    "  SELECT b.id, b.job_id, b.epoch, b.open_intents, j.ambiguous_policy = 'resend' AS resend,"
    "   least(j.max_attempts, " LEDGER_STR(LEDGER_MAX_UNCLEAR) ") AS max_attempts"
    "  FROM foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id, foliopost.instances i"
    "  WHERE b.id = $2 AND b.epoch = $3 AND b.owner = $1::uuid AND b.state = 'sending' AND " LIVES
    "  FOR UPDATE OF b),"
    " back AS ("
    "  UPDATE foliopost.batches b SET state = 'queued', due_at = '-infinity', open_intents = '{}',"
    "   claim_token = NULL FROM mine m WHERE b.id = m.id RETURNING b.id),"
    " marked AS ("
    "  INSERT INTO foliopost.deliveries AS d (job_id, user_id, batch_id, epoch, state, reason, attempts,"
    "   maybe_doubles)"
    "  SELECT m.job_id, u.user_id, m.id, m.epoch, CASE WHEN x.again THEN 'requeued' ELSE 'ambiguous' END,"
    "   '" LEDGER_EXPIRED "', 1, x.again::integer"
    "  FROM mine m"
    "  JOIN back ON back.id = m.id"
    "  CROSS JOIN unnest(m.open_intents) AS u (user_id)"
    "  LEFT JOIN LATERAL (SELECT attempts FROM foliopost.deliveries"
    "   WHERE job_id = m.job_id AND user_id = u.user_id LIMIT 1) tried ON true"
    "  CROSS JOIN LATERAL"
    "   (SELECT m.resend AND coalesce(tried.attempts, 0) + 1 < m.max_attempts AS again) x"
    "  ON CONFLICT (job_id, user_id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state,"
    "   reason = excluded.reason, provider = NULL, attempts = d.attempts + 1,"
    "   maybe_doubles = d.maybe_doubles + excluded.maybe_doubles, updated_at = excluded.updated_at"
    "  WHERE d.state = 'requeued' AND d.batch_id = excluded.batch_id)"
    " SELECT FROM back";
/* clang-format on */

int ledger_forget(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                  struct fp_err *err)
{
    int n = ledger_fenced(l, "forget", forget_sql, owner, batch_id, epoch, err);
    return ledger_put_back(l, n, owner, batch_id, epoch, done, err);
}
