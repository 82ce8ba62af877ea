/*
 * recover: the function of migration 0020, and what Message-IDs tell afterwards.
 *
 * A Message-ID is of one (job, user), so one that a provider lists is the proof
 * that this user's mail went out. It counts for jobs that are paused since the
 * recovery: nobody writes outcomes of those, and their proof is yet to come.
 */
#include "lib/ledger/recover.h"

#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char recover_sql[] =
    "SELECT r.refused, r.existing, (r.done).newest, (r.done).jobs, (r.done).batches, (r.done).users,"
    "  (r.done).intervals, (r.done).firings"
    " FROM foliopost.recover($1::timestamptz, $2, $3::boolean) r";
/* clang-format on */

int ledger_recover(struct fp_ledger *l, const char *to, bool dry_run, const char *actor,
                   struct ledger_recovered *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_recovered){0};
    pg_args_init(&a);
    pg_arg_text(&a, to);
    pg_arg_text(&a, actor);
    pg_arg_bool(&a, dry_run);
    if (ledger_step(l, NULL, recover_sql, &a, &rows, err) != 0)
        return -1;
    int rc = 0;
    if (!pg_is_null(rows, 0, 0))
        rc = err_set(err, FP_FAILED_PRECONDITION, "%s", pg_text(rows, 0, 0));
    else
        *out = (struct ledger_recovered){.existing = pg_bool(rows, 0, 1),
                                         .newest_us = ledger_time(rows, 0, 2),
                                         .jobs = (int)pg_i64(rows, 0, 3),
                                         .batches = (int)pg_i64(rows, 0, 4),
                                         .users = pg_i64(rows, 0, 5),
                                         .intervals = (int)pg_i64(rows, 0, 6),
                                         .firings = (int)pg_i64(rows, 0, 7)};
    pg_rows_free(rows);
    return rc;
}

/* job: locked, so that a resume waits, or has come before and is seen. before: the
 * outcomes as they were. A page that slips in is none: the job is paused. */
/* clang-format off */
static const char told_sql[] =
    "WITH job AS ("
    "  SELECT j.id FROM foliopost.jobs j"
    "  WHERE j.id = $1 AND j.state = 'PAUSED' AND j.restored_to IS NOT NULL FOR UPDATE),"
    " listed AS (SELECT DISTINCT user_id FROM unnest($2::bigint[]) AS u (user_id)),"
    " before AS MATERIALIZED ("
    "  SELECT l.user_id, d.state FROM listed l"
    "  LEFT JOIN LATERAL (SELECT state FROM foliopost.deliveries"
    "   WHERE job_id = $1 AND user_id = l.user_id LIMIT 1) d ON true),"
    " kept AS ("
    "  INSERT INTO foliopost.recovered_mails (job_id, user_id)"
    "  SELECT job.id, b.user_id FROM job, before b WHERE b.state IS NULL ON CONFLICT DO NOTHING),"
    " changed AS ("
    "  UPDATE foliopost.deliveries d SET state = 'sent', due_at = NULL, updated_at = clock_timestamp(),"
    "   reason = left('recovered: its Message-ID was listed; ' || d.reason, 255)"
    "  FROM job, before b WHERE d.job_id = job.id AND d.user_id = b.user_id AND d.state = b.state"
    "   AND b.state IN ('ambiguous', 'deferred')"
    "  RETURNING d.batch_id, b.state),"
    " counted AS ("
    "  UPDATE foliopost.batches b SET sent = b.sent + c.ambiguous + c.deferred,"
    "   ambiguous = b.ambiguous - c.ambiguous, deferred = b.deferred - c.deferred"
    "  FROM (SELECT batch_id, count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous,"
    "    count(*) FILTER (WHERE state = 'deferred') AS deferred FROM changed GROUP BY batch_id) c"
    "  WHERE b.id = c.batch_id),"
    " noted AS (" AUDIT_INSERT
    "  SELECT " AUDIT_BY("$3") ", 'recover', job.id, (SELECT count(*) FROM changed) || ' users by their Message-IDs'"
    "  FROM job WHERE EXISTS (SELECT FROM changed))"
    " SELECT EXISTS (SELECT FROM foliopost.jobs WHERE id = $1), EXISTS (SELECT FROM job),"
    "  (SELECT count(*) FROM changed), count(*) FILTER (WHERE b.state = 'sent'),"
    "  count(*) FILTER (WHERE b.state IS NULL), count(*) FILTER (WHERE b.state <> 'sent')"
    " FROM before b";
/* clang-format on */

int ledger_recover_told(struct fp_ledger *l, int64_t job_id, const int64_t *user_ids, size_t n,
                        const char *actor, struct ledger_told *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_told){0};
    if (n > LEDGER_TOLD_MAX)
        return err_set(err, FP_INVALID_ARGUMENT, "%zu users at once, more than %d", n, LEDGER_TOLD_MAX);
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64s(&a, user_ids, n);
    pg_arg_text(&a, actor);
    if (ledger_step(l, NULL, told_sql, &a, &rows, err) != 0)
        return -1;
    *out = (struct ledger_told){.known = pg_bool(rows, 0, 0),
                                .open = pg_bool(rows, 0, 1),
                                .recovered = pg_i64(rows, 0, 2),
                                .already = pg_i64(rows, 0, 3),
                                .later = pg_i64(rows, 0, 4),
                                .others = pg_i64(rows, 0, 5) - pg_i64(rows, 0, 2)};
    pg_rows_free(rows);
    return 0;
}
