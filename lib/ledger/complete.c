/*
 * The end of a job: complete, its proof, reopen and accept.
 *
 * complete is one UPDATE that computes the whole proof itself. It reads other
 * tables in the snapshot of its start, and goes on with that snapshot when it
 * has to wait for the job's row. That is safe because what it looks for does
 * not change back while the job is IN_PROGRESS: with every interval paged no
 * page can be inserted, with every batch done or split none can be claimed,
 * recorded or expired, and without deferred rows retry makes none. The one
 * exception is a late truth that turns an ambiguous user into a deferred one;
 * it counts up jobs.revived, which must still be what it was before the
 * snapshot. So must the round: another leader may have proved this one
 * meanwhile, and somebody opened the job again.
 *
 * For the same reason the leader's lease need only hold at the statement's
 * beginning. The proof of a big job can take longer than what is left of the
 * lease, and a renewal meanwhile is not in its snapshot: judged at the end it
 * would fail again and again. Should a second leader come up meanwhile, he
 * proves the same of the same rows, and the job's row lets one of both change it.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <string.h>

#define TERMINAL "('sent', 'failed', 'skipped', 'ambiguous')"

/* --- the proof ---------------------------------------------------------------- */

static const char proof_sql[] =
    "SELECT (p->>'round')::integer, (p->>'users')::bigint, (p->>'sent')::bigint, (p->>'failed')::bigint,"
    "  (p->>'skipped')::bigint, (p->>'ambiguous')::bigint, (p->>'maybe_doubles')::bigint,"
    "  (p->>'proved_us')::bigint FROM (SELECT proofs->-1 AS p FROM foliopost.jobs WHERE id = $1) j";

static void read_proof(struct ledger_proof *p, const struct fp_rows *r)
{
    *p = (struct ledger_proof){.round = (int)pg_i64(r, 0, 0),
                               .users = pg_i64(r, 0, 1),
                               .sent = pg_i64(r, 0, 2),
                               .failed = pg_i64(r, 0, 3),
                               .skipped = pg_i64(r, 0, 4),
                               .ambiguous = pg_i64(r, 0, 5),
                               .maybe_doubles = pg_i64(r, 0, 6),
                               .proved_us = pg_i64(r, 0, 7)};
}

int ledger_job_proof(struct fp_ledger *l, int64_t id, struct ledger_proof *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    if (ledger_step(l, "job_proof", proof_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    if (n > 0)
        read_proof(out, rows);
    pg_rows_free(rows);
    return n > 0 ? 0 : err_set(err, FP_NOT_FOUND, "no job %" PRId64, id);
}

/* --- complete -------------------------------------------------------------------- */

/* What is cheap to see and nearly always says no; each by a partial index. */
/* clang-format off */
static const char ready_sql[] =
    "SELECT j.state, j.revived, j.round,"
    "  NOT EXISTS (SELECT FROM foliopost.intervals v WHERE v.job_id = $1 AND v.state <> 'paged')"
    "  AND NOT EXISTS (SELECT FROM foliopost.batches b"
    "   WHERE b.job_id = $1 AND b.state IN ('queued', 'sending'))"
    "  AND NOT EXISTS (SELECT FROM foliopost.deliveries d WHERE d.job_id = $1 AND d.state = 'deferred')"
    " FROM foliopost.jobs j WHERE j.id = $1";
/* clang-format on */

static int is_ready(struct fp_ledger *l, int64_t id, enum job_state *state, int64_t *revived, int64_t *round,
                    bool *ready, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *state = JOB_UNKNOWN;
    *ready = false;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    if (ledger_step(l, "job_ready", ready_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) > 0) {
        *state = job_state_from_name(pg_text(rows, 0, 0));
        *revived = pg_i64(rows, 0, 1);
        *round = pg_i64(rows, 0, 2);
        *ready = *state == JOB_IN_PROGRESS && pg_bool(rows, 0, 3);
    }
    pg_rows_free(rows);
    return 0;
}

/* span: the intervals tile from the job's first registration to the end of its
 * audience; those of a list only end there. flow: no batch is open, and how
 * many users the pages hold. missing: of those, who has no terminal outcome;
 * by grouping and not by a join, because the planner has seen no rows of this
 * job yet when statistics are older than it, and joined them in nested loops
 * (20,000 users: 25 s).
 * unlisted: who is in the job's list and in no page. sums: the outcomes, one
 * for each user by primary key; not more than users paged. */
/* clang-format off */
static const char complete_sql[] =
    "WITH span AS ("
    "  SELECT count(*) FILTER (WHERE v.state <> 'paged' OR v.lower_at > v.upper_at"
    "   OR v.lower_at <> v.before) AS wrong, min(v.lower_at) AS first, max(v.upper_at) AS last"
    "  FROM (SELECT state, lower_at, upper_at, lag(upper_at) OVER (ORDER BY no) AS before"
    "   FROM foliopost.intervals WHERE job_id = $2) v),"
    " flow AS ("
    "  SELECT count(*) AS batches, count(*) FILTER (WHERE state NOT IN ('done', 'split')) AS open,"
    "   coalesce(sum(cardinality(user_ids)) FILTER (WHERE origin = 'page'), 0) AS paged"
    "  FROM foliopost.batches WHERE job_id = $2),"
    " missing AS ("
    "  SELECT count(*) AS n FROM (SELECT user_id FROM ("
    "    SELECT unnest(user_ids) AS user_id, false AS told FROM foliopost.batches"
    "    WHERE job_id = $2 AND origin = 'page'"
    "    UNION ALL SELECT user_id, true FROM foliopost.deliveries"
    "    WHERE job_id = $2 AND state IN " TERMINAL ") u"
    "   GROUP BY user_id HAVING NOT bool_or(told)) x),"
    " unlisted AS ("
    "  SELECT count(*) AS n FROM (SELECT unnest(user_ids) FROM foliopost.jobs WHERE id = $2"
    "   EXCEPT SELECT unnest(b.user_ids) FROM foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id"
    "    WHERE b.job_id = $2 AND b.origin = 'page' AND j.user_ids IS NOT NULL) x),"
    " sums AS ("
    "  SELECT count(*) AS users, count(*) FILTER (WHERE state = 'sent') AS sent,"
    "   count(*) FILTER (WHERE state = 'failed') AS failed,"
    "   count(*) FILTER (WHERE state = 'skipped') AS skipped,"
    "   count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous,"
    "   count(*) FILTER (WHERE state NOT IN " TERMINAL ") AS unfinished,"
    "   coalesce(sum(maybe_doubles), 0) AS maybe_doubles"
    "  FROM foliopost.deliveries WHERE job_id = $2)"
    " UPDATE foliopost.jobs j SET state = 'COMPLETED', finished_at = clock_timestamp(), response = '',"
    "  waiting = '', proofs = j.proofs || jsonb_build_object('round', j.round, 'users', sums.users,"
    "   'sent', sums.sent, 'failed', sums.failed, 'skipped', sums.skipped, 'ambiguous', sums.ambiguous,"
    "   'maybe_doubles', sums.maybe_doubles, 'batches', flow.batches,"
    "   'proved_us', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    " FROM foliopost.leader l, span, flow, missing, unlisted, sums"
    " WHERE j.id = $2 AND j.state = 'IN_PROGRESS' AND j.revived = $3 AND j.round = $4 AND " LED
    "  AND span.wrong = 0 AND span.last = j.audience_end"
    "  AND (j.user_ids IS NOT NULL OR span.first = least(j.registered_from, j.audience_end))"
    "  AND flow.open = 0 AND missing.n = 0 AND unlisted.n = 0"
    "  AND sums.unfinished = 0 AND sums.users <= flow.paged";
/* clang-format on */

int ledger_job_complete(struct fp_ledger *l, const char *leader, int64_t id, bool *done,
                        struct ledger_proof *proof, struct fp_err *err)
{
    struct pg_args a;
    enum job_state state;
    int64_t revived = 0, round = 0;
    bool ready;
    *done = false;
    memset(proof, 0, sizeof *proof);
    if (is_ready(l, id, &state, &revived, &round, &ready, err) != 0)
        return -1;
    if (state == JOB_COMPLETED) { /* an earlier try, whose reply was lost */
        *done = true;
        return ledger_job_proof(l, id, proof, err);
    }
    if (!ready)
        return 0;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, id);
    pg_arg_i64(&a, revived);
    pg_arg_i64(&a, round);
    int n = ledger_count(l, "job_complete", complete_sql, &a, err);
    if (n <= 0)
        return n;
    *done = true;
    return ledger_job_proof(l, id, proof, err);
}

/* --- reopen, accept ------------------------------------------------------------------ */

/* $2: the states, $3: the actor, $4 to $9: the filter, $10: that in words. A job of whom nobody is
 * concerned stays as it is. A deadline that is past was for the rounds before: it would
 * fail this one at once, and leave whom it opened without an outcome for good. */
/* clang-format off */
#define CONCERNED "d.job_id = $1 AND d.state = ANY ($2::text[]) AND " FILTERED
#define OPENED \
    "WITH job AS (" \
    "  UPDATE foliopost.jobs j SET state = 'IN_PROGRESS', round = j.round + 1, finished_at = NULL," \
    "   deadline = CASE WHEN j.deadline > clock_timestamp() THEN j.deadline END, response = ''" \
    "  WHERE j.id = $1 AND j.state = 'COMPLETED' AND EXISTS (SELECT" \
    "   FROM foliopost.deliveries d WHERE " CONCERNED ") RETURNING j.id)," \
    " picked AS (" \
    "  SELECT d.job_id, d.user_id, d.state FROM foliopost.deliveries d JOIN job ON job.id = d.job_id" \
    "  WHERE " CONCERNED " FOR UPDATE OF d)"
#define SUMMED \
    " (SELECT batch_id, count(*) FILTER (WHERE state = 'failed') AS failed," \
    "   count(*) FILTER (WHERE state = 'ambiguous') AS ambiguous FROM changed GROUP BY batch_id) s"
#define NOTED(action) \
    " noted AS (" AUDIT_INSERT \
    "  SELECT " AUDIT_BY("$3") ", '" action "', job.id, array_to_string($2::text[], ', ')" \
    "   || coalesce(', ' || $10::text, '') || ': ' || (SELECT count(*) FROM changed) || ' users' FROM job)" \
    " SELECT count(*) FROM changed"

/* Who is opened again leaves the counters of the batch that finished him: he
 * is deferred there, until a retry batch counts him anew. */
static const char reopen_sql[] = OPENED ","
    " changed AS ("
    "  UPDATE foliopost.deliveries d SET state = 'deferred', due_at = clock_timestamp(), attempts = 0,"
    "   maybe_doubles = d.maybe_doubles + (p.state = 'ambiguous')::integer, updated_at = clock_timestamp()"
    "  FROM picked p WHERE d.job_id = $1 AND d.user_id = p.user_id AND d.state = p.state"
    "  RETURNING d.batch_id, p.state),"
    " moved AS ("
    "  UPDATE foliopost.batches b SET failed = b.failed - s.failed, ambiguous = b.ambiguous - s.ambiguous,"
    "   deferred = b.deferred + s.failed + s.ambiguous FROM" SUMMED " WHERE b.id = s.batch_id),"
    NOTED("reopen");

/* The reason keeps what was known; a proof of the next round counts them as sent. */
static const char accept_sql[] = OPENED ","
    " changed AS ("
    "  UPDATE foliopost.deliveries d SET state = 'sent', due_at = NULL, updated_at = clock_timestamp(),"
    "   reason = left('accepted by an operator: ' || d.reason, 255)"
    "  FROM picked p WHERE d.job_id = $1 AND d.user_id = p.user_id AND d.state = p.state"
    "  RETURNING d.batch_id, p.state),"
    " moved AS ("
    "  UPDATE foliopost.batches b SET ambiguous = b.ambiguous - s.ambiguous, sent = b.sent + s.ambiguous"
    "  FROM" SUMMED " WHERE b.id = s.batch_id),"
    NOTED("accept");
/* clang-format on */

static int reopen_states(const char *const *states, size_t n, struct fp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(states[i], "failed") != 0 && strcmp(states[i], "ambiguous") != 0) {
            return err_set(err, FP_INVALID_ARGUMENT, "deliveries that are %s cannot be opened again",
                           states[i]);
        }
    }
    return 0;
}

/* Whether the filter leaves somebody in these states. */
static const char concerned_sql[] = "SELECT EXISTS (SELECT FROM foliopost.deliveries d WHERE " CONCERNED
                                    ") AND $3::text IS NOT NULL AND coalesce($10::text, '') IS NOT NULL";

static int is_concerned(struct fp_ledger *l, struct pg_args *a, bool *yes, struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, NULL, concerned_sql, a, &rows, err) != 0)
        return -1;
    *yes = pg_bool(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* Nobody: well when the job is COMPLETED, and when it is in a round again in which none of them is left: an
 * earlier call's, whose reply was lost. Else the state that forbids it. *a goes with it. */
static int nobody_concerned(struct fp_ledger *l, int64_t id, struct pg_args *a, struct fp_err *err)
{
    struct ledger_job j;
    bool left = true;
    if (ledger_job_get(l, id, &j, err) != 0) {
        pg_args_fini(a);
        return -1;
    }
    ledger_job_fini(&j);
    if (j.state != JOB_IN_PROGRESS || j.round <= 1)
        pg_args_fini(a);
    else if (is_concerned(l, a, &left, err) != 0)
        return -1;
    if (j.state == JOB_COMPLETED)
        return 0;
    return left ? err_set(err, FP_FAILED_PRECONDITION,
                          "job %" PRId64 " is %s: only a COMPLETED one is reopened", id,
                          job_state_name(j.state))
                : 0;
}

/* Not prepared: the plan depends on which filter is there. */
static void opened_args(struct pg_args *a, int64_t id, const char *const *states, size_t n,
                        const struct ledger_delivery_filter *f, const char *actor)
{
    static const struct ledger_delivery_filter all;
    pg_args_init(a);
    pg_arg_i64(a, id);
    pg_arg_texts(a, states, n);
    pg_arg_text(a, actor != NULL ? actor : "");
    ledger_arg_filter(a, f != NULL ? f : &all);
    ledger_arg_name(a, f != NULL ? f->said : NULL);
}

static int run_opened(struct fp_ledger *l, const char *sql, int64_t id, const char *const *states, size_t n,
                      const struct ledger_delivery_filter *f, const char *actor, int64_t *users,
                      struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    opened_args(&a, id, states, n, f, actor);
    if (ledger_step(l, NULL, sql, &a, &rows, err) != 0)
        return -1;
    *users = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    if (*users > 0)
        return 0;
    opened_args(&a, id, states, n, f, actor);
    return nobody_concerned(l, id, &a, err);
}

int ledger_job_reopen(struct fp_ledger *l, int64_t id, const char *const *states, size_t n,
                      const struct ledger_delivery_filter *f, const char *actor, int64_t *users,
                      struct fp_err *err)
{
    *users = 0;
    if (reopen_states(states, n, err) != 0)
        return -1;
    return run_opened(l, reopen_sql, id, states, n, f, actor, users, err);
}

int ledger_job_accept(struct fp_ledger *l, int64_t id, const struct ledger_delivery_filter *f,
                      const char *actor, int64_t *users, struct fp_err *err)
{
    static const char *const ambiguous[] = {"ambiguous"};
    *users = 0;
    return run_opened(l, accept_sql, id, ambiguous, 1, f, actor, users, err);
}
