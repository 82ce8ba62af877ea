/*
 * Deliveries as they are read.
 *
 * Lists go by the primary key, a user's history by one look into it for each
 * job: a company has hundreds of jobs, and an index by user would cost every
 * mail that is sent. The counts read the job's whole part of the
 * table and are for reports, not for every second. The list of one state but
 * sent has an index of its own; sent is read along the primary key, where it
 * is nearly every row.
 */
#include "lib/ledger/deliveries.h"

#include <string.h>

#include "lib/ledger/ledger_internal.h"

static const char *const state_names[] = {
    [DELIVERY_UNKNOWN] = "",          [DELIVERY_SENT] = "sent",           [DELIVERY_FAILED] = "failed",
    [DELIVERY_SKIPPED] = "skipped",   [DELIVERY_AMBIGUOUS] = "ambiguous", [DELIVERY_DEFERRED] = "deferred",
    [DELIVERY_REQUEUED] = "requeued",
};
#define N_STATES   (sizeof state_names / sizeof state_names[0])
#define N_OUTCOMES ((int)N_STATES - 1) /* without unknown */

const char *delivery_state_name(enum delivery_state s)
{
    return (size_t)s < N_STATES ? state_names[s] : "";
}

enum delivery_state delivery_state_from_name(const char *name)
{
    for (size_t i = 1; i < N_STATES; i++)
        if (strcmp(name, state_names[i]) == 0)
            return (enum delivery_state)i;
    return DELIVERY_UNKNOWN;
}

/* --- lists ----------------------------------------------------------------------- */

/* The provider's name by its number: a few rows that every session has at hand. */
/* clang-format off */
#define COLUMNS \
    " d.user_id, d.batch_id, d.state, d.reason, d.provider_id, d.attempts, d.maybe_doubles, d.updated_at," \
    " encode(d.template_version, 'hex'), encode(d.content_hash, 'hex')," \
    " (SELECT p.name FROM foliopost.providers p WHERE p.no = d.provider)"
#define N_COLUMNS 11

static const char list_sql[] =
    "SELECT" COLUMNS
    "  FROM foliopost.deliveries d WHERE job_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3";

/* Its own text, so that the plan can use the index on state. */
static const char list_state_sql[] =
    "SELECT" COLUMNS
    "  FROM foliopost.deliveries d WHERE job_id = $1 AND user_id > $2 AND state = $4 ORDER BY user_id"
    "  LIMIT $3";
static const char list_unsent_sql[] =
    "SELECT" COLUMNS
    "  FROM foliopost.deliveries d WHERE job_id = $1 AND user_id > $2 AND state = $4 AND state <> 'sent'"
    "  ORDER BY user_id LIMIT $3";
/* clang-format on */

static void read_delivery(struct ledger_delivery *d, const struct fp_rows *r, int row)
{
    d->user_id = pg_i64(r, row, 0);
    d->batch_id = pg_i64(r, row, 1);
    d->state = delivery_state_from_name(pg_text(r, row, 2));
    ledger_text(d->reason, sizeof d->reason, r, row, 3);
    ledger_text(d->provider_id, sizeof d->provider_id, r, row, 4);
    d->attempts = (int)pg_i64(r, row, 5);
    d->maybe_doubles = (int)pg_i64(r, row, 6);
    d->updated_us = pg_time_us(r, row, 7);
    ledger_text(d->template_version, sizeof d->template_version, r, row, 8);
    ledger_text(d->content_hash, sizeof d->content_hash, r, row, 9);
    ledger_text(d->provider, sizeof d->provider, r, row, 10);
}

static const char *list_name(enum delivery_state state, const char **sql)
{
    if (state == DELIVERY_UNKNOWN) {
        *sql = list_sql;
        return "deliveries";
    }
    *sql = state == DELIVERY_SENT ? list_state_sql : list_unsent_sql;
    return state == DELIVERY_SENT ? "deliveries_sent" : "deliveries_unsent";
}

int ledger_deliveries(struct fp_ledger *l, int64_t job_id, enum delivery_state state, int64_t after_user_id,
                      struct ledger_delivery *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    const char *sql, *name = list_name(state, &sql);
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, after_user_id);
    pg_arg_i64(&a, max);
    if (state != DELIVERY_UNKNOWN)
        pg_arg_text(&a, delivery_state_name(state));
    if (ledger_step(l, name, sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_delivery(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* clang-format off */
static const char where_sql[] =
    "SELECT" COLUMNS
    "  FROM foliopost.deliveries d WHERE job_id = $1 AND user_id > $2 AND " FILTERED
    "  AND ($10::text IS NULL OR state = $10) ORDER BY user_id LIMIT $3";
/* clang-format on */

void ledger_arg_filter(struct pg_args *a, const struct ledger_delivery_filter *f)
{
    ledger_arg_name(a, f->reason);
    if (f->listed)
        pg_arg_i64s(a, f->user_ids, f->n_user_ids);
    else
        pg_arg_null(a);
    ledger_arg_time(a, f->from_us);
    ledger_arg_time(a, f->to_us);
    ledger_arg_id(a, f->interval_no);
    ledger_arg_id(a, f->provider_no);
}

int ledger_deliveries_where(struct fp_ledger *l, int64_t job_id, enum delivery_state state,
                            const struct ledger_delivery_filter *f, int64_t after_user_id,
                            struct ledger_delivery *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, after_user_id);
    pg_arg_i64(&a, max);
    ledger_arg_filter(&a, f);
    ledger_arg_name(&a, delivery_state_name(state));
    /* Not prepared: the plan depends on which filter is there. */
    if (ledger_step(l, NULL, where_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_delivery(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* --- one user ------------------------------------------------------------------ */

static const char history_sql[] =
    "SELECT" COLUMNS ", j.id, j.kind, j.template_name, j.brand, j.period_start, j.period_end"
    "  FROM foliopost.jobs j CROSS JOIN LATERAL (SELECT * FROM foliopost.deliveries d"
    "   WHERE d.job_id = j.id AND d.user_id = $1 LIMIT 1) d"
    "  WHERE ($2 = 0 OR j.id < $2) AND NOT j.dry_run ORDER BY j.id DESC LIMIT $3";

static void read_user_mail(struct ledger_user_mail *m, const struct fp_rows *r, int row)
{
    read_delivery(&m->delivery, r, row);
    m->job_id = pg_i64(r, row, N_COLUMNS);
    ledger_text(m->kind, sizeof m->kind, r, row, N_COLUMNS + 1);
    ledger_text(m->template_name, sizeof m->template_name, r, row, N_COLUMNS + 2);
    ledger_text(m->brand, sizeof m->brand, r, row, N_COLUMNS + 3);
    m->period_start_day = pg_day(r, row, N_COLUMNS + 4);
    m->period_end_day = pg_day(r, row, N_COLUMNS + 5);
}

int ledger_user_history(struct fp_ledger *l, int64_t user_id, int64_t before_job_id,
                        struct ledger_user_mail *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, user_id);
    pg_arg_i64(&a, before_job_id);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "user_history", history_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_user_mail(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* --- counts --------------------------------------------------------------------- */

static const char reasons_sql[] =
    "WITH counted AS (SELECT state, reason, count(*) AS users, sum(maybe_doubles) AS doubles,"
    "  row_number() OVER (ORDER BY count(*) DESC, state, reason) AS place FROM foliopost.deliveries"
    "  WHERE job_id = $1 GROUP BY state, reason)"
    " SELECT state, CASE WHEN place <= $2 THEN reason ELSE '(other)' END AS why, sum(users), sum(doubles)"
    "  FROM counted GROUP BY state, why, place <= $2 ORDER BY sum(users) DESC, state, why";

static void read_reason_counts(struct ledger_reason_count *out, const struct fp_rows *rows, int n)
{
    for (int i = 0; i < n; i++) {
        out[i].state = delivery_state_from_name(pg_text(rows, i, 0));
        ledger_text(out[i].reason, sizeof out[i].reason, rows, i, 1);
        out[i].users = pg_i64(rows, i, 2);
        out[i].maybe_doubles = pg_i64(rows, i, 3);
    }
}

int ledger_reason_counts(struct fp_ledger *l, int64_t job_id, struct ledger_reason_count *out, int max,
                         struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, max > N_OUTCOMES ? max - N_OUTCOMES : 0);
    if (ledger_step(l, "reason_counts", reasons_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows) < max ? pg_rows_count(rows) : max;
    read_reason_counts(out, rows, n);
    pg_rows_free(rows);
    return n;
}

/* "550 5.1.1 <[address]>: no such user" and "retries exhausted: 451 4.7.1 later" end behind their
 * codes. A state of its own for each part, so that each can use the index on what is not sent. */
/* clang-format off */
#define REPLY_CODES "^(?:[a-z ]+: )?(?:HTTP )?[0-9]{3}(?:[ -][245]\\.[0-9]{1,3}\\.[0-9]{1,3})?(?![0-9.])"
#define FAILURES_OF(STATE)                                                                                   \
    "(SELECT state, reason FROM foliopost.deliveries WHERE job_id = $1 AND state = '" STATE "' LIMIT $2)"
static const char failures_sql[] =
    "WITH found AS (" FAILURES_OF("failed") " UNION ALL " FAILURES_OF("ambiguous")
    "   UNION ALL " FAILURES_OF("deferred") "),"
    " classed AS (SELECT state, coalesce(substring(reason FROM '" REPLY_CODES "'), left(reason, 60)) AS class FROM found)"
    " SELECT state, class, count(*), 0, sum(count(*)) OVER (PARTITION BY state) >= $2"
    "  FROM classed GROUP BY state, class ORDER BY count(*) DESC, state, class LIMIT $3";
/* clang-format on */

int ledger_failure_counts(struct fp_ledger *l, int64_t job_id, struct ledger_reason_count *out, int max,
                          bool *partial, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, LEDGER_FAILURES_READ);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "failure_counts", failures_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    read_reason_counts(out, rows, n);
    *partial = false;
    for (int i = 0; i < n; i++)
        *partial = *partial || pg_bool(rows, i, 4);
    pg_rows_free(rows);
    return n;
}
