/*
 * split: a batch that went down too often is cut into tenths, down to single
 * users; a single one that still fails is poison.
 *
 * Candidates are read first, and each is split by a statement of its own that
 * names the batch's epoch. This matters: the statement reads deliveries (who
 * has no outcome yet) in its snapshot, and would go on with that snapshot if
 * it had to wait for the batch. But outcomes are only written under a claim,
 * and a claim counts up the epoch: a batch that is queued under the epoch of
 * the candidate was in nobody's hands since before the snapshot. A late truth
 * alone can settle a requeued user in that moment: then the conditions on his
 * own row fail here, and the part he got into finds that he is not due.
 *
 * Poison who may have got his mail already is ambiguous, not failed.
 *
 * The parts get only those without an outcome. The batch keeps its counters
 * for the others; when nobody is left it is simply done.
 */
#include "lib/ledger/sweep.h"

#include "lib/ledger/ledger_internal.h"

#define PARTS 10
/* Candidates of one sweep. */
#define MAX_CANDIDATES 64

/* clang-format off */
static const char candidates_sql[] =
    "SELECT b.id, b.epoch FROM foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id"
    "  AND j.state = 'IN_PROGRESS' WHERE b.state = 'queued' AND b.redos >= " LEDGER_STR(LEDGER_MAX_REDOS)
    "  ORDER BY b.id LIMIT $1";
/* clang-format on */

/* clang-format off */
static const char split_sql[] =
    "WITH target AS ("
    "  SELECT b.id, b.job_id, b.interval_no, b.round, b.epoch, b.user_ids, j.traceparent"
    "  FROM foliopost.leader l, foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id"
    "  WHERE b.id = $2 AND b.epoch = $3 AND b.state = 'queued'"
    "   AND b.redos >= " LEDGER_STR(LEDGER_MAX_REDOS) " AND j.state = 'IN_PROGRESS' AND " LEADS
    "  FOR UPDATE OF b),"
    " users AS MATERIALIZED ("
    "  SELECT u.user_id, u.no, d.state, d.batch_id,"
    "   d.state IS NULL OR (d.state = 'requeued' AND d.batch_id = t.id) AS due"
    "  FROM target t CROSS JOIN unnest(t.user_ids) WITH ORDINALITY AS u (user_id, no)"
    "  LEFT JOIN LATERAL (SELECT state, batch_id FROM foliopost.deliveries"
    "   WHERE job_id = t.job_id AND user_id = u.user_id LIMIT 1) d ON true),"
    " poison AS ("
    "  INSERT INTO foliopost.deliveries AS d (job_id, user_id, batch_id, epoch, state, reason)"
    "  SELECT t.job_id, u.user_id, t.id, t.epoch, 'failed', 'poison: no worker finished it alone'"
    "  FROM target t, users u WHERE cardinality(t.user_ids) = 1 AND u.due"
    "  ON CONFLICT (job_id, user_id) DO UPDATE SET epoch = excluded.epoch,"
    "   state = CASE WHEN d.maybe_doubles > 0 THEN 'ambiguous' ELSE excluded.state END,"
    "   reason = excluded.reason, provider = NULL, updated_at = excluded.updated_at"
    "  WHERE d.state = 'requeued' AND d.batch_id = excluded.batch_id RETURNING d.state),"
    " cut AS ("
    "  SELECT u.user_id, ceil(row_number() OVER (ORDER BY u.no)"
    "   / ceil(count(*) OVER () / " LEDGER_STR(PARTS) ".0)) AS part"
    "  FROM users u, target t WHERE u.due AND cardinality(t.user_ids) > 1),"
    " parts AS ("
    "  INSERT INTO foliopost.batches (job_id, interval_no, round, origin, parent_batch, user_ids, due_at)"
    "  SELECT t.job_id, t.interval_no, t.round, 'split', t.id, c.user_ids, " IN_MS("$4")
    "  FROM target t, (SELECT part, array_agg(user_id ORDER BY user_id) AS user_ids FROM cut"
    "   GROUP BY part) c"
    "  ORDER BY c.part RETURNING id, user_ids),"
    " requeued AS ("
    "  UPDATE foliopost.deliveries d SET batch_id = p.id"
    "  FROM target t, (SELECT id, unnest(user_ids) AS user_id FROM parts) p"
    "  WHERE d.job_id = t.job_id AND d.user_id = p.user_id AND d.state = 'requeued' AND d.batch_id = t.id),"
    " ended AS ("
    "  UPDATE foliopost.batches b SET finished_at = clock_timestamp(),"
    "   state = CASE WHEN EXISTS (SELECT FROM parts) THEN 'split' ELSE 'done' END, sent = c.sent,"
    "   failed = c.failed + (SELECT count(*) FROM poison WHERE state = 'failed'), skipped = c.skipped,"
    "   ambiguous = c.ambiguous + (SELECT count(*) FROM poison WHERE state = 'ambiguous'),"
    "   deferred = c.deferred"
    "  FROM target t, (SELECT"
    "   count(*) FILTER (WHERE NOT due AND state = 'sent' AND batch_id <= $2) AS sent,"
    "   count(*) FILTER (WHERE NOT due AND state = 'failed' AND batch_id <= $2) AS failed,"
    "   count(*) FILTER (WHERE NOT due AND state = 'skipped' AND batch_id <= $2) AS skipped,"
    "   count(*) FILTER (WHERE NOT due AND state = 'ambiguous' AND batch_id <= $2) AS ambiguous,"
    "   count(*) FILTER (WHERE NOT due AND (state = 'deferred' OR batch_id > $2)) AS deferred"
    "   FROM users) c"
    "  WHERE b.id = t.id)"
    " SELECT t.job_id, p.id, t.traceparent FROM target t, parts p ORDER BY p.id";
/* clang-format on */

/* At most PARTS into out; how many. */
static int split_one(struct fp_ledger *l, const char *leader, int64_t batch_id, int64_t epoch, int due_ms,
                     struct ledger_emit *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, batch_id);
    pg_arg_i64(&a, epoch);
    pg_arg_i64(&a, due_ms);
    if (ledger_marks_batches(l, leader, "split", split_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++) {
        out[i] =
            (struct ledger_emit){.job_id = pg_i64(rows, i, 0), .batch_id = pg_i64(rows, i, 1), .emits = 1};
        ledger_text(out[i].traceparent, sizeof out[i].traceparent, rows, i, 2);
    }
    pg_rows_free(rows);
    return n;
}

int ledger_split(struct fp_ledger *l, const char *leader, int due_ms, struct ledger_emit *out, int max,
                 struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    int n = 0;
    pg_args_init(&a);
    pg_arg_i64(&a, MAX_CANDIDATES);
    if (ledger_step(l, "split_candidates", candidates_sql, &a, &rows, err) != 0)
        return -1;
    for (int i = 0; i < pg_rows_count(rows) && n + PARTS <= max; i++) {
        int made = split_one(l, leader, pg_i64(rows, i, 0), pg_i64(rows, i, 1), due_ms, out + n, err);
        if (made < 0) {
            n = -1;
            break;
        }
        n += made;
    }
    pg_rows_free(rows);
    return n;
}
