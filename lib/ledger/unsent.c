/*
 * What was marked as sent by a statement whose reply was lost.
 *
 * grant, redo, retry and split mark rows and return what the leader is to send.
 * When the connection is lost after their commit nobody knows what it was: the
 * repetition finds nothing to do, and what the first try marked would wait for
 * its due time, up to two minutes. So before the step is tried again, or any
 * other of these steps is taken, what was marked since it began becomes due at
 * once. Only the leader marks, and one step at a time, so nothing else can be
 * meant but by chance; then a message is sent twice, which harms nobody.
 *
 * Since when is told as so many milliseconds ago, by our clock: the database
 * counts them from its own.
 *
 * What it does not do: find a try that the server carries out later still. That
 * is due as any lost message is.
 */
#include "lib/ledger/ledger_internal.h"

#include <stdio.h>

#include "lib/base/clock.h"

/* A statement on its way, and clocks that do not run alike. */
#define MARGIN_MS 100

#define SINCE "(SELECT clock_timestamp() - $2::bigint * interval '1 ms' AS at) s"

/* A batch that its page made was sent by userstream, who knows. What had been due at
 * once did not count as a redo, and has begun anew; of the others it is not known
 * which did: none shall be charged for what was not sent. */
/* clang-format off */
static const char batches_sql[] =
    "UPDATE foliopost.batches b"
    " SET due_at = '-infinity',"
    "  emits = greatest(b.emits - 1, 1),"
    "  redos = b.redos - (b.redos > 0 AND b.first_emitted_at < s.at)::integer"
    " FROM foliopost.leader l, " SINCE
    " WHERE b.state = 'queued' AND b.emitted_at >= s.at AND NOT (b.origin = 'page' AND b.emits = 1) AND " LEADS;
/* As a grant that was handed back: it was not too short. */
static const char grant_sql[] =
    "UPDATE foliopost.intervals v"
    " SET due_at = '-infinity', due_ms = v.due_ms / 2"
    " FROM foliopost.leader l, " SINCE
    " WHERE v.job_id = $3 AND v.no = $4 AND v.state = 'granted' AND v.due_at > '-infinity'"
    "  AND v.due_at - v.due_ms * interval '1 ms' >= s.at AND " LEADS;
/* clang-format on */

static int make_due(struct fp_ledger *l, struct fp_err *err)
{
    const struct ledger_unsent *u = &l->unsent;
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, u->leader);
    pg_arg_i64(&a, (clock_mono_us() - u->since_us) / 1000 + MARGIN_MS);
    if (u->job_id != 0) {
        pg_arg_i64(&a, u->job_id);
        pg_arg_i64(&a, u->interval_no);
    }
    int rc = u->job_id != 0 ? pg_run(l->pg, "unsent_grant", grant_sql, &a, NULL, err)
                            : pg_run(l->pg, "unsent_batches", batches_sql, &a, NULL, err);
    pg_args_fini(&a);
    return rc;
}

static int marks(struct fp_ledger *l, const struct ledger_unsent *what, const char *name, const char *sql,
                 struct pg_args *a, struct fp_rows **rows, struct fp_err *err)
{
    if (l->unsent.since_us != 0 && make_due(l, err) != 0) {
        pg_args_fini(a);
        return -1;
    }
    l->unsent = *what;
    int rc = ledger_step_after(l, make_due, name, sql, a, rows, err);
    if (rc == 0 || !l->in_doubt)
        l->unsent.since_us = 0;
    return rc;
}

int ledger_marks_batches(struct fp_ledger *l, const char *leader, const char *name, const char *sql,
                         struct pg_args *a, struct fp_rows **rows, struct fp_err *err)
{
    struct ledger_unsent what = {.since_us = clock_mono_us()};
    snprintf(what.leader, sizeof what.leader, "%s", leader);
    return marks(l, &what, name, sql, a, rows, err);
}

int ledger_marks_grant(struct fp_ledger *l, const char *leader, int64_t job_id, int32_t interval_no,
                       const char *name, const char *sql, struct pg_args *a, struct fp_rows **rows,
                       struct fp_err *err)
{
    struct ledger_unsent what = {.job_id = job_id, .interval_no = interval_no, .since_us = clock_mono_us()};
    snprintf(what.leader, sizeof what.leader, "%s", leader);
    return marks(l, &what, name, sql, a, rows, err);
}
