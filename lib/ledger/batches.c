/*
 * Batches in their owner's hands: claim, release, finish. What is written
 * while sending is in record.c, what the leader does in sweep.c and split.c.
 *
 * The fence is the batch's own row: id, epoch, owner and state. A statement
 * that waited for it checks these anew. What it reads from deliveries beside
 * that would still be the old snapshot, therefore claim reads who is due in a
 * second statement: after the first one's commit nobody but the new owner
 * writes outcomes of this batch, and the second one's snapshot has all that
 * were written before.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <string.h>

/* --- get ------------------------------------------------------------------------ */

static const char get_sql[] =
    "SELECT job_id, interval_no, state, user_ids, epoch, emits, redos, owner, round FROM foliopost.batches"
    " WHERE id = $1";

static void read_batch(struct ledger_batch *b, const struct fp_rows *r)
{
    b->job_id = pg_i64(r, 0, 0);
    b->interval_no = (int32_t)pg_i64(r, 0, 1);
    ledger_text(b->state, sizeof b->state, r, 0, 2);
    if (!pg_i64s(r, 0, 3, &b->user_ids, &b->n_users))
        fp_panic("batch %" PRId64 ": user_ids is not an array of ids", b->id);
    b->epoch = (int32_t)pg_i64(r, 0, 4);
    b->emits = (int32_t)pg_i64(r, 0, 5);
    b->redos = (int32_t)pg_i64(r, 0, 6);
    ledger_text(b->owner, sizeof b->owner, r, 0, 7);
    b->round = (int32_t)pg_i64(r, 0, 8);
}

int ledger_batch_get(struct fp_ledger *l, int64_t batch_id, struct ledger_batch *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_batch){.id = batch_id};
    pg_args_init(&a);
    pg_arg_i64(&a, batch_id);
    if (ledger_step(l, "batch_get", get_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    if (n > 0)
        read_batch(out, rows);
    pg_rows_free(rows);
    return n > 0 ? 0 : err_set(err, FP_NOT_FOUND, "no batch %" PRId64, batch_id);
}

/* --- claim ------------------------------------------------------------------------ */

/* With my own token again (the first reply was lost) nothing changes, whatever the hour. */
/* clang-format off */
static const char claim_sql[] =
    "UPDATE foliopost.batches b SET state = 'sending', owner = $1::uuid, claim_token = $3::uuid,"
    "  epoch = b.epoch + (b.state = 'queued')::integer,"
    "  open_intents = CASE b.state WHEN 'queued' THEN '{}' ELSE b.open_intents END,"
    "  claimed_at = CASE b.state WHEN 'queued' THEN clock_timestamp() ELSE b.claimed_at END"
    " FROM foliopost.jobs j, foliopost.instances i"
    " WHERE b.id = $2 AND j.id = b.job_id AND j.state = 'IN_PROGRESS' AND " LIVES
    "  AND ((b.state = 'queued' AND NOT " OUTSIDE ")"
    "   OR (b.state = 'sending' AND b.owner = $1::uuid AND b.claim_token = $3::uuid))"
    " RETURNING b.job_id, b.epoch, j.ambiguous_policy = 'resend', j.max_attempts,"
    "  cardinality(b.user_ids), j.state, j.dry_run,"
    "  CASE WHEN j.restored_to IS NULL"
    "   THEN ceil(1000 * extract(epoch FROM j.deadline - clock_timestamp()))::bigint END";
/* clang-format on */

/* clang-format off */
static const char why_not_sql[] =
    "SELECT b.job_id, j.state, b.state = 'queued' AND " OUTSIDE " FROM foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id"
    " WHERE b.id = $1";
/* clang-format on */

static int not_won(struct fp_ledger *l, struct ledger_claim *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, out->batch_id);
    if (ledger_step(l, "claim_lost", why_not_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) > 0) {
        out->job_id = pg_i64(rows, 0, 0);
        out->job_state = job_state_from_name(pg_text(rows, 0, 1));
        out->outside = pg_bool(rows, 0, 2);
    }
    pg_rows_free(rows);
    return 0;
}

/* Each user by the primary key of deliveries: LIMIT 1 keeps it that way. The job
 * is behind a SELECT so that the plan is kept (see record.c). */
/* clang-format off */
static const char due_sql[] =
    "SELECT u.user_id, coalesce(d.attempts, 0)"
    " FROM foliopost.batches b CROSS JOIN unnest(b.user_ids) WITH ORDINALITY AS u (user_id, no)"
    " LEFT JOIN LATERAL (SELECT state, batch_id, attempts FROM foliopost.deliveries"
    "  WHERE job_id = (SELECT $2::bigint) AND user_id = u.user_id LIMIT 1) d ON true"
    " WHERE b.id = $1 AND (d.state IS NULL OR (d.state = 'requeued' AND d.batch_id = b.id))"
    " ORDER BY u.no";
/* clang-format on */

static int read_due(struct fp_ledger *l, struct ledger_claim *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, out->batch_id);
    pg_arg_i64(&a, out->job_id);
    if (ledger_step(l, "claim_due", due_sql, &a, &rows, err) != 0)
        return -1;
    out->n_due = (size_t)pg_rows_count(rows);
    out->due = mem_array(out->n_due + 1, sizeof *out->due);
    out->attempts = mem_array(out->n_due + 1, sizeof *out->attempts);
    for (size_t i = 0; i < out->n_due; i++) {
        out->due[i] = pg_i64(rows, (int)i, 0);
        out->attempts[i] = (int32_t)pg_i64(rows, (int)i, 1);
    }
    pg_rows_free(rows);
    return 0;
}

int ledger_claim(struct fp_ledger *l, const char *owner, int64_t batch_id, const char *token,
                 struct ledger_claim *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_claim){.batch_id = batch_id};
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    pg_arg_i64(&a, batch_id);
    pg_arg_text(&a, token);
    if (ledger_step(l, "claim", claim_sql, &a, &rows, err) != 0)
        return -1;
    out->won = pg_rows_count(rows) > 0;
    if (out->won) {
        out->job_id = pg_i64(rows, 0, 0);
        out->epoch = (int32_t)pg_i64(rows, 0, 1);
        out->resend = pg_bool(rows, 0, 2);
        out->max_attempts = (int)pg_i64(rows, 0, 3);
        out->n_users = (size_t)pg_i64(rows, 0, 4);
        out->job_state = job_state_from_name(pg_text(rows, 0, 5));
        out->dry_run = pg_bool(rows, 0, 6);
        out->left_ms = pg_is_null(rows, 0, 7) ? INT64_MAX : pg_i64(rows, 0, 7);
    }
    pg_rows_free(rows);
    return out->won ? read_due(l, out, err) : not_won(l, out, err);
}

/* --- release ---------------------------------------------------------------------- */

/* clang-format off */
static const char release_sql[] =
    "UPDATE foliopost.batches b SET state = 'queued', due_at = '-infinity', claim_token = NULL"
    " FROM foliopost.instances i"
    " WHERE b.id = $2 AND b.epoch = $3 AND b.owner = $1::uuid AND b.state = 'sending'"
    "  AND b.open_intents = '{}' AND " LIVES;
/* clang-format on */

int ledger_fenced(struct fp_ledger *l, const char *name, const char *sql, const char *owner, int64_t batch_id,
                  int32_t epoch, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    pg_arg_i64(&a, batch_id);
    pg_arg_i64(&a, epoch);
    return ledger_count(l, name, sql, &a, err);
}

static const char queued_sql[] =
    "SELECT FROM foliopost.batches WHERE id = $2 AND epoch = $3 AND owner = $1::uuid AND state = 'queued'";

int ledger_put_back(struct fp_ledger *l, int n, const char *owner, int64_t batch_id, int32_t epoch,
                    bool *done, struct fp_err *err)
{
    if (n == 0)
        n = ledger_fenced(l, "put_back", queued_sql, owner, batch_id, epoch, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}

static const char hand_back_sql[] =
    "UPDATE foliopost.batches SET due_at = '-infinity' WHERE id = $1 AND state = 'queued'";

/* stats never claims; what it read and will not do is due at once. */
static int hand_back(struct fp_ledger *l, int64_t batch_id, bool *done, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, batch_id);
    int n = ledger_count(l, "hand_back", hand_back_sql, &a, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}

int ledger_release(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                   struct fp_err *err)
{
    if (owner == NULL)
        return hand_back(l, batch_id, done, err);
    int n = ledger_fenced(l, "release", release_sql, owner, batch_id, epoch, err);
    return ledger_put_back(l, n, owner, batch_id, epoch, done, err);
}

/* --- finish ------------------------------------------------------------------------- */

/* Only this claim writes outcomes of this batch's users, so an old snapshot
 * can at most miss some, and then nothing is finished. Who was deferred here
 * and is by now in a retry batch (one with a later id) is counted there, and
 * as deferred here. */
/* clang-format off */
static const char finish_sql[] =
    "UPDATE foliopost.batches b SET state = 'done', finished_at = clock_timestamp(), claim_token = NULL,"
    "  sent = c.sent, failed = c.failed, skipped = c.skipped, ambiguous = c.ambiguous, deferred = c.deferred"
    " FROM foliopost.instances i, (SELECT"
    "   count(*) FILTER (WHERE d.state IS NULL OR (d.state = 'requeued' AND d.batch_id = $2)) AS missing,"
    "   count(*) FILTER (WHERE d.state = 'sent' AND d.batch_id <= $2) AS sent,"
    "   count(*) FILTER (WHERE d.state = 'failed' AND d.batch_id <= $2) AS failed,"
    "   count(*) FILTER (WHERE d.state = 'skipped' AND d.batch_id <= $2) AS skipped,"
    "   count(*) FILTER (WHERE d.state = 'ambiguous' AND d.batch_id <= $2) AS ambiguous,"
    "   count(*) FILTER (WHERE d.state = 'deferred' OR d.batch_id > $2) AS deferred"
    "   FROM foliopost.batches x CROSS JOIN unnest(x.user_ids) AS u (user_id)"
    "   LEFT JOIN LATERAL (SELECT state, batch_id FROM foliopost.deliveries"
    "    WHERE job_id = x.job_id AND user_id = u.user_id LIMIT 1) d ON true WHERE x.id = $2) c"
    " WHERE b.id = $2 AND b.epoch = $3 AND b.owner = $1::uuid AND b.state = 'sending'"
    "  AND b.open_intents = '{}' AND c.missing = 0 AND " LIVES;
/* clang-format on */

static const char finished_sql[] =
    "SELECT FROM foliopost.batches WHERE id = $2 AND epoch = $3 AND owner = $1::uuid AND state = 'done'";

int ledger_finish(struct fp_ledger *l, const char *owner, int64_t batch_id, int32_t epoch, bool *done,
                  struct fp_err *err)
{
    *done = false;
    int n = ledger_fenced(l, "finish", finish_sql, owner, batch_id, epoch, err);
    if (n == 0)
        n = ledger_fenced(l, "finished", finished_sql, owner, batch_id, epoch, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}
