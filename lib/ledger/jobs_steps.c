/*
 * The steps of a job but its end (complete.c): each the one UPDATE of its row,
 * with what else must happen hanging on its RETURNING.
 *
 * Each has its conditions on the job's own row, so waiting for that row is
 * safe: they are checked anew on what the other statement left. Where the
 * leader's row is joined, an old reading of it can only come from the moments
 * of that wait, and the next leader's steps have conditions of their own.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <string.h>

/* --- start ---------------------------------------------------------------------- */

/* The number of jobs in progress is counted by the one leader alone; one that only
 * waits for the next attempt at its last users holds up no other. */
/* clang-format off */
static const char start_sql[] =
    "WITH started AS ("
    "  UPDATE foliopost.jobs j SET state = 'IN_PROGRESS', started_at = clock_timestamp(), response = '',"
    "   as_of = greatest(j.as_of, $6::timestamptz), mail_date = clock_timestamp(), waiting = '',"
    "   registered_from = CASE WHEN j.user_ids IS NULL"
    "    THEN coalesce(j.registered_from, ($4::timestamptz[])[1]) ELSE j.registered_from END"
    "  FROM foliopost.leader l WHERE j.id = $2 AND j.state = 'PENDING' AND " LEADS
    "   AND j.audience_end = ($5::timestamptz[])[cardinality($5::timestamptz[])]"
    "   AND (j.user_ids IS NOT NULL OR j.registered_from IS NULL"
    "    OR ($4::timestamptz[])[1] = least(j.registered_from, j.audience_end))"
    "   AND (NOT j.needs_approval OR j.approved_at IS NOT NULL)"
    "   AND (SELECT count(*) FROM foliopost.jobs o WHERE o.state = 'IN_PROGRESS'"
    "    AND (EXISTS (SELECT FROM foliopost.intervals v WHERE v.job_id = o.id AND v.state <> 'paged')"
    "     OR EXISTS (SELECT FROM foliopost.batches b WHERE b.job_id = o.id"
    "      AND b.state IN ('queued', 'sending')))) < $3"
    "  RETURNING j.id),"
    " planned AS ("
    "  INSERT INTO foliopost.intervals (job_id, no, lower_at, upper_at, cursor_at, cursor_id)"
    "  SELECT s.id, v.no, v.lower_at, v.upper_at, v.lower_at, -9223372036854775808 FROM started s,"
    "   unnest($4::timestamptz[], $5::timestamptz[]) WITH ORDINALITY AS v (lower_at, upper_at, no)"
    "  RETURNING 1)"
    " SELECT (SELECT count(*) FROM planned) FROM started";
/* clang-format on */

/* As the proof will ask for it: a job that cannot be proved is not begun. */
static int check_tiling(int64_t id, const int64_t *lower_us, const int64_t *upper_us, size_t n,
                        struct fp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (lower_us[i] > upper_us[i] || (i > 0 && lower_us[i] != upper_us[i - 1])) {
            return err_set(err, FP_INVALID_ARGUMENT,
                           "job %" PRId64 ": interval %zu does not go on where %zu ends", id, i + 1, i);
        }
    }
    return n > 0 ? 0 : err_set(err, FP_INVALID_ARGUMENT, "job %" PRId64 " has no interval", id);
}

/* Not started: an error when the intervals are not the job's, else an answer. */
static int why_not_started(struct fp_ledger *l, int64_t id, int64_t first_us, int64_t last_us,
                           struct fp_err *err)
{
    struct ledger_job j;
    if (ledger_job_get(l, id, &j, err) != 0)
        return -1;
    int64_t from_us = j.registered_from_us < j.audience_end_us ? j.registered_from_us : j.audience_end_us;
    bool ours = last_us == j.audience_end_us && (j.user_ids != NULL || from_us == 0 || first_us == from_us);
    bool pending = j.state == JOB_PENDING;
    ledger_job_fini(&j);
    if (pending && !ours) {
        return err_set(err, FP_INVALID_ARGUMENT,
                       "job %" PRId64 ": the intervals do not cover its registration range", id);
    }
    return 0;
}

int ledger_job_start(struct fp_ledger *l, const char *leader, int64_t id, const struct ledger_start *s,
                     bool *done, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *done = false;
    if (check_tiling(id, s->lower_us, s->upper_us, s->n, err) != 0)
        return -1;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, id);
    pg_arg_i64(&a, s->max_jobs);
    pg_arg_times_us(&a, s->lower_us, s->n);
    pg_arg_times_us(&a, s->upper_us, s->n);
    ledger_arg_time(&a, s->as_of_us);
    if (ledger_step(l, "job_start", start_sql, &a, &rows, err) != 0)
        return -1;
    *done = pg_rows_count(rows) > 0;
    pg_rows_free(rows);
    return *done ? 0 : why_not_started(l, id, s->lower_us[0], s->upper_us[s->n - 1], err);
}

/* --- pause, resume, cancel -------------------------------------------------------- */

/* Zero rows: success when the job is so already (by us or by another), else
 * the state that forbids it. */
static int already(struct fp_ledger *l, int64_t id, const char *what, enum job_state a, enum job_state b,
                   struct fp_err *err)
{
    struct ledger_job j;
    if (ledger_job_get(l, id, &j, err) != 0)
        return -1;
    ledger_job_fini(&j);
    if (j.state == a || j.state == b)
        return 0;
    return err_set(err, FP_FAILED_PRECONDITION, "job %" PRId64 " is %s: it cannot be %s", id,
                   job_state_name(j.state), what);
}

static int by_person(struct fp_ledger *l, const char *name, const char *sql, int64_t id, const char *reason,
                     const char *actor, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    pg_arg_text(&a, reason != NULL ? reason : "");
    pg_arg_text(&a, actor != NULL ? actor : "");
    return ledger_count(l, name, sql, &a, err);
}

#define AUDIT_OF(step, detail)                                                                               \
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$3") ", '" step "', c.id, " detail " FROM changed c)"    \
                                                         " SELECT id FROM changed"

/* clang-format off */
static const char pause_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs SET state = 'PAUSED', response = $2, waiting = ''"
    "  WHERE id = $1 AND state IN ('PENDING', 'IN_PROGRESS') RETURNING id),"
    AUDIT_OF("pause", "$2");
/* clang-format on */

int ledger_job_pause(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                     struct fp_err *err)
{
    int n = by_person(l, "job_pause", pause_sql, id, reason, actor, err);
    return n != 0 ? (n < 0 ? -1 : 0) : already(l, id, "paused", JOB_PAUSED, JOB_PAUSED, err);
}

/* Messages of a paused job were dropped by whoever got them, and grants ran
 * dry: all of it is due at once, without waiting for its age. */
/* clang-format off */
static const char resume_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs SET response = $2, waiting = '',"
    "   state = CASE WHEN started_at IS NULL THEN 'PENDING' ELSE 'IN_PROGRESS' END"
    "  WHERE id = $1 AND state = 'PAUSED' RETURNING id),"
    " due AS ("
    "  UPDATE foliopost.batches b SET due_at = '-infinity' FROM changed c"
    "  WHERE b.job_id = c.id AND b.state = 'queued'),"
    " overdue AS ("
    "  UPDATE foliopost.intervals v SET due_at = '-infinity' FROM changed c"
    "  WHERE v.job_id = c.id AND v.state = 'granted')," AUDIT_OF("resume", "''");
/* clang-format on */

int ledger_job_resume(struct fp_ledger *l, int64_t id, const char *actor, struct fp_err *err)
{
    int n = by_person(l, "job_resume", resume_sql, id, "", actor, err);
    return n != 0 ? (n < 0 ? -1 : 0) : already(l, id, "resumed", JOB_PENDING, JOB_IN_PROGRESS, err);
}

/* clang-format off */
static const char cancel_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs SET state = 'CANCELLED', response = $2, waiting = '',"
    "   finished_at = clock_timestamp()"
    "  WHERE id = $1 AND state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') RETURNING id),"
    AUDIT_OF("cancel", "$2");
/* clang-format on */

int ledger_job_cancel(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                      struct fp_err *err)
{
    int n = by_person(l, "job_cancel", cancel_sql, id, reason, actor, err);
    return n != 0 ? (n < 0 ? -1 : 0) : already(l, id, "cancelled", JOB_CANCELLED, JOB_CANCELLED, err);
}

/* --- approve ------------------------------------------------------------------------- */

/* clang-format off */
static const char approve_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs SET approved_by = " ACTOR_NAME("$3") ", approved_at = clock_timestamp()"
    "  WHERE id = $1 AND state IN ('PENDING', 'PAUSED') AND needs_approval AND approved_at IS NULL"
    "   AND submitted_by <> " ACTOR_NAME("$3") " RETURNING id),"
    AUDIT_OF("approve", "$2");
/* clang-format on */

/* Zero rows: approved already, or why it cannot be. */
static int why_not_approved(const struct ledger_job *j, struct fp_err *err)
{
    if (j->approved_us > 0)
        return 0;
    if (!j->needs_approval)
        return err_set(err, FP_FAILED_PRECONDITION, "job %" PRId64 " needs no approval", j->id);
    if (j->state != JOB_PENDING && j->state != JOB_PAUSED)
        return err_set(err, FP_FAILED_PRECONDITION, "job %" PRId64 " is %s: it cannot be approved", j->id,
                       job_state_name(j->state));
    return err_set(err, FP_PERMISSION_DENIED,
                   "job %" PRId64 " was submitted by %s, who cannot approve it as well: another identity "
                   "with the role approver or admin can (foliopost identities add)",
                   j->id, j->submitted_by);
}

int ledger_job_approve(struct fp_ledger *l, int64_t id, const char *reason, const char *actor,
                       struct fp_err *err)
{
    struct ledger_job j;
    int n = by_person(l, "job_approve", approve_sql, id, reason, actor, err);
    if (n != 0)
        return n < 0 ? -1 : 0;
    if (ledger_job_get(l, id, &j, err) != 0)
        return -1;
    ledger_job_fini(&j);
    return why_not_approved(&j, err);
}

/* --- its rate -------------------------------------------------------------------------- */

/* clang-format off */
static const char rate_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs SET rate_limit = $2::float8"
    "  WHERE id = $1 AND state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') RETURNING id),"
    AUDIT_OF("set_rate", "CASE WHEN $2::float8 > 0 THEN $2::float8 || ' users a second' ELSE 'no rate of its own' END");
/* clang-format on */

int ledger_job_set_rate(struct fp_ledger *l, int64_t id, double per_second, const char *actor,
                        struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    pg_arg_f64(&a, per_second);
    pg_arg_text(&a, actor != NULL ? actor : "");
    int n = ledger_count(l, "job_set_rate", rate_sql, &a, err);
    return n != 0 ? (n < 0 ? -1 : 0) : already(l, id, "given a rate", JOB_UNKNOWN, JOB_UNKNOWN, err);
}

/* --- by the leader ------------------------------------------------------------------- */

#define FAIL(condition)                                                                                      \
    "WITH changed AS (UPDATE foliopost.jobs j SET state = 'FAILED', waiting = '',"                           \
    " response = left($2 || CASE WHEN starts_with(j.waiting, '" LEDGER_DATA_NOT_READY "')"                   \
    "  THEN ': ' || j.waiting WHEN j.needs_approval AND j.approved_at IS NULL"                               \
    "  THEN ': nobody has approved it' ELSE '' END, 500),"                                                   \
    " finished_at = clock_timestamp() FROM foliopost.leader l"                                               \
    " WHERE j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') AND " condition " AND " LEADS                    \
    " RETURNING j.id)," AUDIT_OF("fail", "$2")

static const char fail_sql[] = FAIL("j.id = $4");

int ledger_job_fail(struct fp_ledger *l, const char *leader, int64_t id, const char *reason, bool *done,
                    struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_text(&a, reason);
    pg_arg_text(&a, "leader");
    pg_arg_i64(&a, id);
    int n = ledger_count(l, "job_fail", fail_sql, &a, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}

/* A restored job waits for somebody who says what becomes of its ambiguous users: failed, nobody could. */
static const char late_sql[] = FAIL("j.deadline < clock_timestamp() AND j.restored_to IS NULL");

int ledger_jobs_fail_late(struct fp_ledger *l, const char *leader, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_text(&a, "not complete by its deadline");
    pg_arg_text(&a, "leader");
    return ledger_count(l, "jobs_fail_late", late_sql, &a, err);
}

static const char waiting_sql[] =
    "UPDATE foliopost.jobs j SET waiting = $3 FROM foliopost.leader l WHERE j.id = $2"
    "  AND j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') AND j.waiting <> $3 AND " LEADS;

int ledger_job_set_waiting(struct fp_ledger *l, const char *leader, int64_t id, const char *why,
                           struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, id);
    pg_arg_text(&a, why != NULL ? why : "");
    return ledger_count(l, "job_set_waiting", waiting_sql, &a, err) < 0 ? -1 : 0;
}
