/*
 * Intervals: grants and pages.
 *
 * Both steps have their conditions on the interval's own row, so of two that
 * wait for it the second finds the cursor or the grant moved on and changes
 * nothing. The cursor is the fence of a page: whoever read from it has read the
 * right users, also when his grant was given to another meanwhile. Would his
 * page be thrown away for that, a source slower than a grant's time would never
 * get anywhere. The job's state is an old reading after such a wait: a page that
 * slips in behind a pause is a batch that is queued and not claimed.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>

#define INTERVAL_COLUMNS                                                                                     \
    "v.job_id, v.no, v.lower_at, v.upper_at, v.state, v.cursor_at, v.cursor_id, v.grant_no, v.grant_pages,"  \
    " v.started_at, v.paged_at"
#define N_INTERVAL_COLUMNS 11

static void read_interval(struct ledger_interval *v, const struct fp_rows *r, int row)
{
    v->job_id = pg_i64(r, row, 0);
    v->no = (int32_t)pg_i64(r, row, 1);
    v->lower_us = pg_time_us(r, row, 2);
    v->upper_us = pg_time_us(r, row, 3);
    ledger_text(v->state, sizeof v->state, r, row, 4);
    v->cursor_us = pg_time_us(r, row, 5);
    v->cursor_id = pg_i64(r, row, 6);
    v->grant_no = (int32_t)pg_i64(r, row, 7);
    v->grant_pages = (int32_t)pg_i64(r, row, 8);
    v->started_us = ledger_time(r, row, 9);
    v->paged_us = ledger_time(r, row, 10);
}

/* --- grants ------------------------------------------------------------------ */

#define GRANTABLE "(v.state = 'ready' OR (v.state = 'granted' AND v.due_at <= clock_timestamp()))"

static const char grantable_sql[] =
    "SELECT " INTERVAL_COLUMNS " FROM foliopost.intervals v WHERE v.job_id = $1 AND v.state <> 'paged'"
    "  AND " GRANTABLE " ORDER BY v.no LIMIT $2";

int ledger_intervals_grantable(struct fp_ledger *l, int64_t job_id, struct ledger_interval *out, int max,
                               struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "intervals_grantable", grantable_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_interval(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* The first cell of the one row. */
static int read_number(struct fp_ledger *l, const char *name, const char *sql, int64_t job_id, int64_t *out,
                       struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, name, sql, &a, &rows, err) != 0)
        return -1;
    *out = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

static const char granted_sql[] =
    "SELECT coalesce(sum(v.grant_pages), 0) FROM foliopost.intervals v WHERE v.job_id = $1"
    "  AND v.state = 'granted' AND v.due_at > clock_timestamp()";

int ledger_granted_pages(struct fp_ledger *l, int64_t job_id, int64_t *pages, struct fp_err *err)
{
    return read_number(l, "granted_pages", granted_sql, job_id, pages, err);
}

static const char users_sql[] =
    "SELECT coalesce(sum(v.users), 0)::bigint FROM foliopost.intervals v WHERE v.job_id = $1";

int ledger_users_paged(struct fp_ledger *l, int64_t job_id, int64_t *users, struct fp_err *err)
{
    return read_number(l, "users_paged", users_sql, job_id, users, err);
}

/* A page that was being read may still come; beyond it the older grant is void.
 * A grant that was too short is doubled; each one that was not is followed by
 * one a tenth shorter, so that a slow source is not asked twice all the time. */
#define DUE_MS                                                                                               \
    "greatest($5::bigint, CASE v.state"                                                                      \
    " WHEN 'granted' THEN least(2 * v.due_ms, " LEDGER_STR(                                                  \
        LEDGER_GRANT_DUE_MAX) " * $5::bigint)"                                                               \
                              " ELSE v.due_ms * 9 / 10 END)"
/* clang-format off */
static const char grant_sql[] =
    "UPDATE foliopost.intervals v"
    " SET state = 'granted',"
    "  grant_no = v.grant_no + 1,"
    "  grant_pages = $4,"
    "  due_ms = " DUE_MS ","
    "  due_at = " IN_MS(DUE_MS) ","
    "  started_at = coalesce(v.started_at, clock_timestamp())"
    " FROM foliopost.leader l, foliopost.jobs j"
    " WHERE v.job_id = $2 AND v.no = $3 AND " GRANTABLE " AND " LEADS
    "  AND j.id = v.job_id AND j.state = 'IN_PROGRESS'"
    " RETURNING v.grant_no";
/* clang-format on */

int ledger_grant(struct fp_ledger *l, const char *leader, int64_t job_id, int32_t no, int32_t pages,
                 int due_ms, bool *granted, int32_t *grant_no, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *granted = false;
    *grant_no = 0;
    if (pages <= 0) {
        return err_set(err, FP_INVALID_ARGUMENT, "job %" PRId64 " interval %d: a grant of %d pages", job_id,
                       no, pages);
    }
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, no);
    pg_arg_i64(&a, pages);
    pg_arg_i64(&a, due_ms);
    if (ledger_marks_grant(l, leader, job_id, no, "grant", grant_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) > 0) {
        *granted = true;
        *grant_no = (int32_t)pg_i64(rows, 0, 0);
    }
    pg_rows_free(rows);
    return 0;
}

/* It was not too short: halved, since the next grant doubles one that is overdue. */
static const char grant_back_sql[] =
    "UPDATE foliopost.intervals SET due_at = '-infinity', due_ms = due_ms / 2"
    " WHERE job_id = $1 AND no = $2 AND grant_no = $3 AND state = 'granted' AND due_at > clock_timestamp()";

int ledger_grant_back(struct fp_ledger *l, int64_t job_id, int32_t no, int32_t grant_no, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, no);
    pg_arg_i64(&a, grant_no);
    return ledger_count(l, "grant_back", grant_back_sql, &a, err) < 0 ? -1 : 0;
}

/* --- pages ---------------------------------------------------------------------- */

static const char get_sql[] =
    "SELECT " INTERVAL_COLUMNS " FROM foliopost.intervals v WHERE v.job_id = $1 AND v.no = $2";

int ledger_interval_get(struct fp_ledger *l, int64_t job_id, int32_t no, struct ledger_interval *out,
                        struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, no);
    if (ledger_step(l, "interval_get", get_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    if (n > 0)
        read_interval(out, rows, 0);
    pg_rows_free(rows);
    return n > 0 ? 0 : err_set(err, FP_NOT_FOUND, "job %" PRId64 " has no interval %d", job_id, no);
}

/* clang-format off */
static const char page_sql[] =
    "WITH moved AS ("
    "  UPDATE foliopost.intervals v"
    "  SET cursor_at = $6,"
    "   cursor_id = $7,"
    "   users = v.users + cardinality($8::bigint[]),"
    "   grant_pages = v.grant_pages - 1,"
    "   due_at = " IN_MS("v.due_ms") ","
    "   state = CASE WHEN $9::boolean THEN 'paged' WHEN v.grant_pages <= 1 THEN 'ready' ELSE 'granted' END,"
    "   paged_at = CASE WHEN $9::boolean THEN clock_timestamp() END"
    "  FROM foliopost.jobs j"
    "  WHERE v.job_id = $1 AND v.no = $2 AND v.grant_no >= $3 AND v.state = 'granted'"
    "   AND v.cursor_at = $4 AND v.cursor_id = $5"
    "   AND j.id = v.job_id AND j.state = 'IN_PROGRESS'"
    "  RETURNING v.job_id, v.no, v.state, j.round,"
    "   CASE v.grant_no WHEN $3 THEN v.grant_pages ELSE 0 END AS pages_left),"
    " made AS ("
    "  INSERT INTO foliopost.batches (job_id, interval_no, round, origin, user_ids, due_at)"
    "  SELECT m.job_id, m.no, m.round, 'page', $8::bigint[], " IN_MS("$10")
    "  FROM moved m WHERE cardinality($8::bigint[]) > 0 RETURNING id, restored)"
    " SELECT CASE WHEN NOT made.restored THEN made.id END, m.pages_left, m.state = 'paged' FROM moved m LEFT JOIN made ON true";
/* clang-format on */

/* Zero rows moved: was it this very page that moved the cursor here? Without
 * users there is no batch to compare, and the cursor stands still. */
/* clang-format off */
static const char paged_sql[] =
    "SELECT b.id, v.grant_pages, v.state = 'paged'"
    " FROM foliopost.intervals v LEFT JOIN LATERAL (SELECT id, user_ids FROM foliopost.batches"
    "  WHERE job_id = $1 AND interval_no = $2 AND origin = 'page' ORDER BY id DESC LIMIT 1) b ON true"
    " WHERE v.job_id = $1 AND v.no = $2 AND v.cursor_at = $3 AND v.cursor_id = $4"
    "  AND CASE WHEN cardinality($5::bigint[]) > 0 THEN b.user_ids = $5::bigint[] ELSE v.state = 'paged' END";
/* clang-format on */

static void read_paged(struct ledger_paged *out, const struct fp_rows *r, bool users)
{
    if (pg_rows_count(r) > 0) {
        out->moved = true;
        out->batch_id = users ? pg_i64(r, 0, 0) : 0;
        out->pages_left = (int32_t)pg_i64(r, 0, 1);
        out->ended = pg_bool(r, 0, 2);
    }
}

static int paged_already(struct fp_ledger *l, const struct ledger_page *p, struct ledger_paged *out,
                         struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, p->job_id);
    pg_arg_i64(&a, p->interval_no);
    pg_arg_time_us(&a, p->to_us);
    pg_arg_i64(&a, p->to_id);
    pg_arg_i64s(&a, p->user_ids, p->n_users);
    if (ledger_step(l, "paged", paged_sql, &a, &rows, err) != 0)
        return -1;
    read_paged(out, rows, p->n_users > 0);
    pg_rows_free(rows);
    return 0;
}

int ledger_page(struct fp_ledger *l, const struct ledger_page *p, struct ledger_paged *out,
                struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    bool still = p->n_users == 0; /* nobody behind the cursor: it stays */
    *out = (struct ledger_paged){0};
    pg_args_init(&a);
    pg_arg_i64(&a, p->job_id);
    pg_arg_i64(&a, p->interval_no);
    pg_arg_i64(&a, p->grant_no);
    pg_arg_time_us(&a, p->from_us);
    pg_arg_i64(&a, p->from_id);
    pg_arg_time_us(&a, still ? p->from_us : p->to_us);
    pg_arg_i64(&a, still ? p->from_id : p->to_id);
    pg_arg_i64s(&a, p->user_ids, p->n_users);
    pg_arg_bool(&a, p->last || still);
    pg_arg_i64(&a, p->due_ms);
    if (ledger_step(l, "page", page_sql, &a, &rows, err) != 0)
        return -1;
    read_paged(out, rows, !still);
    pg_rows_free(rows);
    if (out->moved)
        return 0;
    struct ledger_page at = *p;
    at.to_us = still ? p->from_us : p->to_us;
    at.to_id = still ? p->from_id : p->to_id;
    return paged_already(l, &at, out, err);
}

/* --- the report -------------------------------------------------------------------- */

/* Retried users are in batches without an interval, so deferred is what an
 * interval's own batches handed on. */
/* clang-format off */
static const char report_sql[] =
    "SELECT " INTERVAL_COLUMNS ","
    "  b.users, b.sent, b.failed, b.skipped, b.ambiguous, b.deferred, b.batches, b.done"
    " FROM foliopost.intervals v CROSS JOIN LATERAL"
    " (SELECT coalesce(sum(cardinality(user_ids)) FILTER (WHERE origin = 'page'), 0) AS users,"
    "   coalesce(sum(sent), 0) AS sent, coalesce(sum(failed), 0) AS failed,"
    "   coalesce(sum(skipped), 0) AS skipped, coalesce(sum(ambiguous), 0) AS ambiguous,"
    "   coalesce(sum(deferred), 0) AS deferred, count(*) AS batches,"
    "   count(*) FILTER (WHERE state IN ('done', 'split')) AS done"
    "  FROM foliopost.batches WHERE job_id = v.job_id AND interval_no = v.no) b"
    " WHERE v.job_id = $1 ORDER BY v.no LIMIT $2";
/* clang-format on */

static void read_report(struct ledger_interval_report *p, const struct fp_rows *r, int row)
{
    struct ledger_counts *c = &p->counts;
    int64_t *to[] = {&c->users,     &c->sent,     &c->failed,  &c->skipped,
                     &c->ambiguous, &c->deferred, &c->batches, &c->batches_done};
    *p = (struct ledger_interval_report){0};
    read_interval(&p->interval, r, row);
    for (int i = 0; i < 8; i++)
        *to[i] = pg_i64(r, row, N_INTERVAL_COLUMNS + i);
    c->batches_open = c->batches - c->batches_done;
    c->intervals = 1;
    c->intervals_paged = p->interval.paged_us != 0;
}

int ledger_interval_reports(struct fp_ledger *l, int64_t job_id, struct ledger_interval_report *out, int max,
                            struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "interval_reports", report_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_report(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}
