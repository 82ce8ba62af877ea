/*
 * Jobs: submitting and reading. Their steps are in jobs_steps.c, the end of a
 * job and its proof in complete.c.
 *
 * A submission is one INSERT that does nothing when the request id is known;
 * reading back by that id then serves a repeated call, a lost reply and two
 * clients with one id alike. The job's partition of deliveries is made in the
 * same transaction, so that no job is without one.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *const state_names[] = {
    [JOB_UNKNOWN] = "",
    [JOB_PENDING] = "PENDING",
    [JOB_IN_PROGRESS] = "IN_PROGRESS",
    [JOB_PAUSED] = "PAUSED",
    [JOB_COMPLETED] = "COMPLETED",
    [JOB_FAILED] = "FAILED",
    [JOB_CANCELLED] = "CANCELLED",
};
#define N_STATES (sizeof state_names / sizeof state_names[0])

const char *job_state_name(enum job_state s)
{
    return (size_t)s < N_STATES ? state_names[s] : "";
}

enum job_state job_state_from_name(const char *name)
{
    for (size_t i = 1; i < N_STATES; i++)
        if (strcmp(name, state_names[i]) == 0)
            return (enum job_state)i;
    return JOB_UNKNOWN;
}

void ledger_job_fini(struct ledger_job *j)
{
    mem_free(j->user_ids);
    j->user_ids = NULL;
    j->n_user_ids = 0;
}

bool ledger_job_unapproved(const struct ledger_job *j)
{
    return j->needs_approval && j->approved_us == 0;
}

/* --- reading ------------------------------------------------------------------ */

#define JOB_COLUMNS                                                                                          \
    "j.id, j.request_id, j.spec_hash, j.parent_job, j.kind, j.title, j.brand, j.template_name,"              \
    " j.template_hash, j.period_start, j.period_end, j.registered_from, j.audience_end,"                     \
    " j.ambiguous_policy = 'resend', j.max_attempts, j.batch_size, j.window_batches, j.interval_delay_ms,"   \
    " j.deadline, j.as_of, j.mail_date, j.traceparent, j.state, j.response, j.waiting, j.round,"             \
    " j.submitted_at, j.started_at, j.finished_at, j.canary_users, j.canary_wait_ms, j.canary_until,"        \
    " j.guard_base[1], j.guard_base[2], j.guard_base[3], j.guard_base[4], j.needs_approval, j.submitted_by," \
    " j.approved_by, j.approved_at, j.time_zone, j.send_window, j.rate_limit, clock_timestamp(),"            \
    " j.share_ppm, j.share_seed, j.provider, j.dry_run"
#define USER_IDS_COLUMN 48 /* behind those, where it is read */

static void read_names(struct ledger_job *j, const struct fp_rows *r, int row)
{
    ledger_text(j->request_id, sizeof j->request_id, r, row, 1);
    ledger_text(j->spec_hash, sizeof j->spec_hash, r, row, 2);
    ledger_text(j->kind, sizeof j->kind, r, row, 4);
    ledger_text(j->title, sizeof j->title, r, row, 5);
    ledger_text(j->brand, sizeof j->brand, r, row, 6);
    ledger_text(j->template_name, sizeof j->template_name, r, row, 7);
    ledger_text(j->template_hash, sizeof j->template_hash, r, row, 8);
    ledger_text(j->traceparent, sizeof j->traceparent, r, row, 21);
    ledger_text(j->response, sizeof j->response, r, row, 23);
    ledger_text(j->waiting, sizeof j->waiting, r, row, 24);
    ledger_text(j->submitted_by, sizeof j->submitted_by, r, row, 37);
    ledger_text(j->approved_by, sizeof j->approved_by, r, row, 38);
    ledger_text(j->time_zone, sizeof j->time_zone, r, row, 40);
    ledger_text(j->send_window, sizeof j->send_window, r, row, 41);
    ledger_text(j->provider, sizeof j->provider, r, row, 46);
}

static void read_job(struct ledger_job *j, const struct fp_rows *r, int row)
{
    memset(j, 0, sizeof *j);
    read_names(j, r, row);
    j->id = pg_i64(r, row, 0);
    j->parent_job = pg_i64(r, row, 3);
    j->period_start_day = pg_day(r, row, 9);
    j->period_end_day = pg_day(r, row, 10);
    j->registered_from_us = ledger_time(r, row, 11);
    j->audience_end_us = ledger_time(r, row, 12);
    j->resend = pg_bool(r, row, 13);
    j->max_attempts = (int)pg_i64(r, row, 14);
    j->batch_size = (int)pg_i64(r, row, 15);
    j->window_batches = (int)pg_i64(r, row, 16);
    j->interval_delay_ms = (int)pg_i64(r, row, 17);
    j->deadline_us = ledger_time(r, row, 18);
    j->as_of_us = ledger_time(r, row, 19);
    j->mail_date_us = ledger_time(r, row, 20);
    j->state = job_state_from_name(pg_text(r, row, 22));
    j->round = (int)pg_i64(r, row, 25);
    j->submitted_us = ledger_time(r, row, 26);
    j->started_us = ledger_time(r, row, 27);
    j->finished_us = ledger_time(r, row, 28);
    j->canary_users = pg_i64(r, row, 29);
    j->canary_wait_ms = pg_i64(r, row, 30);
    j->canary_until_us = ledger_time(r, row, 31);
    for (int i = 0; i < 4; i++)
        j->guard_base[i] = pg_i64(r, row, 32 + i);
    j->needs_approval = pg_bool(r, row, 36);
    j->approved_us = ledger_time(r, row, 39);
    j->rate_limit = pg_f64(r, row, 42);
    j->read_us = pg_time_us(r, row, 43);
    j->share_ppm = (int32_t)pg_i64(r, row, 44);
    j->share_seed = pg_i64(r, row, 45);
    j->dry_run = pg_bool(r, row, 47);
}

/* One job with its user ids; *found false when there is none. */
static int read_one(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                    struct ledger_job *out, bool *found, struct fp_err *err)
{
    struct fp_rows *rows;
    memset(out, 0, sizeof *out);
    if (ledger_step(l, name, sql, a, &rows, err) != 0)
        return -1;
    *found = pg_rows_count(rows) > 0;
    if (*found) {
        read_job(out, rows, 0);
        if (!pg_is_null(rows, 0, USER_IDS_COLUMN) &&
            !pg_i64s(rows, 0, USER_IDS_COLUMN, &out->user_ids, &out->n_user_ids))
            fp_panic("job %" PRId64 ": user_ids is not an array of ids", out->id);
    }
    pg_rows_free(rows);
    return 0;
}

static const char get_sql[] = "SELECT " JOB_COLUMNS ", j.user_ids FROM foliopost.jobs j WHERE j.id = $1";

int ledger_job_get(struct fp_ledger *l, int64_t id, struct ledger_job *out, struct fp_err *err)
{
    struct pg_args a;
    bool found;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    if (read_one(l, "job_get", get_sql, &a, out, &found, err) != 0)
        return -1;
    return found ? 0 : err_set(err, FP_NOT_FOUND, "no job %" PRId64, id);
}

static int read_many(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                     struct ledger_job *out, struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, name, sql, a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_job(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

static const char list_sql[] =
    "SELECT " JOB_COLUMNS " FROM foliopost.jobs j WHERE ($1::text IS NULL OR j.state = $1)"
    "  AND ($2::bigint IS NULL OR j.id < $2) ORDER BY j.id DESC LIMIT $3";

int ledger_job_list(struct fp_ledger *l, enum job_state state, int64_t before_id, struct ledger_job *out,
                    int max, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    ledger_arg_name(&a, job_state_name(state));
    ledger_arg_id(&a, before_id);
    pg_arg_i64(&a, max);
    return read_many(l, "job_list", list_sql, &a, out, err);
}

static const char where_sql[] =
    "SELECT " JOB_COLUMNS " FROM foliopost.jobs j WHERE ($1::text IS NULL OR j.state = $1)"
    "  AND ($2::bigint IS NULL OR j.id < $2)"
    "  AND (NOT $4::boolean OR j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED'))"
    "  AND ($5::text IS NULL OR j.kind = $5) AND ($6::text IS NULL OR j.template_name = $6)"
    "  AND ($7::text IS NULL OR j.brand = $7) AND ($8::text IS NULL OR j.provider = $8)"
    "  AND ($9::text IS NULL OR j.submitted_by = $9)"
    "  AND ($10::text IS NULL OR j.id IN (SELECT f.job_id FROM foliopost.firings f WHERE f.schedule = $10))"
    "  AND ($11::timestamptz IS NULL OR j.submitted_at >= $11)"
    "  AND ($12::timestamptz IS NULL OR j.submitted_at < $12)"
    "  AND ($13::bigint IS NULL OR j.parent_job = $13) AND NOT ($14::boolean AND j.dry_run)"
    "  ORDER BY j.id DESC LIMIT $3";

int ledger_job_list_where(struct fp_ledger *l, const struct ledger_job_filter *f, int64_t before_id,
                          struct ledger_job *out, int max, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    ledger_arg_name(&a, job_state_name(f->state));
    ledger_arg_id(&a, before_id);
    pg_arg_i64(&a, max);
    pg_arg_bool(&a, f->open);
    ledger_arg_name(&a, f->kind);
    ledger_arg_name(&a, f->template_name);
    ledger_arg_name(&a, f->brand);
    ledger_arg_name(&a, f->provider);
    ledger_arg_name(&a, f->submitted_by);
    ledger_arg_name(&a, f->schedule);
    ledger_arg_time(&a, f->from_us);
    ledger_arg_time(&a, f->to_us);
    ledger_arg_id(&a, f->parent_job);
    pg_arg_bool(&a, f->without_dry_runs);
    /* Not prepared: the plan depends on which filter is there. */
    return read_many(l, NULL, where_sql, &a, out, err);
}

static const char open_sql[] =
    "SELECT " JOB_COLUMNS " FROM foliopost.jobs j WHERE j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED')"
    "  ORDER BY j.id LIMIT $1";

int ledger_jobs_open(struct fp_ledger *l, struct ledger_job *out, int max, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_i64(&a, max);
    return read_many(l, "jobs_open", open_sql, &a, out, err);
}

/* --- submitting ------------------------------------------------------------------ */

/* clang-format off */
static const char submit_sql[] =
    "WITH made AS (" JOB_INSERT(ACTOR_NAME("$24"), "NULL::timestamptz") " ON CONFLICT (request_id) DO NOTHING RETURNING id),"
    " noted AS ("
    AUDIT_INSERT "  SELECT " AUDIT_BY("$24") ", 'submit', made.id, 'request id ' || $1 FROM made)"
    " SELECT made.id, foliopost.ensure_delivery_partition(made.id) FROM made";
/* clang-format on */

void ledger_job_args(struct pg_args *a, const struct ledger_job *j, int margin_ms, const char *actor)
{
    pg_args_init(a);
    pg_arg_text(a, j->request_id);
    pg_arg_text(a, j->spec_hash);
    ledger_arg_id(a, j->parent_job);
    pg_arg_text(a, j->kind);
    pg_arg_text(a, j->title);
    pg_arg_text(a, j->brand);
    pg_arg_text(a, j->template_name);
    pg_arg_text(a, j->template_hash);
    pg_arg_day(a, j->period_start_day);
    pg_arg_day(a, j->period_end_day);
    if (j->n_user_ids > 0)
        pg_arg_i64s(a, j->user_ids, j->n_user_ids);
    else
        pg_arg_null(a);
    ledger_arg_time(a, j->registered_from_us);
    ledger_arg_time(a, j->audience_end_us);
    pg_arg_i64(a, margin_ms);
    pg_arg_text(a, j->resend ? "resend" : "hold");
    pg_arg_i64(a, j->max_attempts);
    pg_arg_i64(a, j->batch_size);
    pg_arg_i64(a, j->window_batches);
    pg_arg_i64(a, j->interval_delay_ms);
    ledger_arg_time(a, j->deadline_us);
    ledger_arg_time(a, j->as_of_us);
    ledger_arg_time(a, j->mail_date_us);
    pg_arg_text(a, j->traceparent);
    pg_arg_text(a, actor != NULL ? actor : "");
    pg_arg_i64(a, j->canary_users);
    pg_arg_i64(a, j->canary_wait_ms);
    pg_arg_bool(a, j->needs_approval);
    pg_arg_text(a, j->time_zone[0] ? j->time_zone : "UTC");
    pg_arg_text(a, j->send_window);
    pg_arg_f64(a, j->rate_limit);
    pg_arg_i64(a, j->share_ppm);
    pg_arg_i64(a, j->share_seed);
    pg_arg_text(a, j->provider);
    pg_arg_bool(a, j->dry_run);
    if (!a->overflow && a->n != JOB_N_ARGS)
        fp_panic("a job has %d parameters, not %d", a->n, JOB_N_ARGS);
}

static const char by_request_sql[] =
    "SELECT " JOB_COLUMNS ", j.user_ids FROM foliopost.jobs j WHERE j.request_id = $1";

int ledger_job_by_request(struct fp_ledger *l, const char *request_id, const char *spec_hash,
                          struct ledger_job *out, bool *found, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, request_id);
    if (read_one(l, "job_by_request", by_request_sql, &a, out, found, err) != 0)
        return -1;
    if (!*found || strcmp(out->spec_hash, spec_hash) == 0)
        return 0;
    err_set(err, FP_ALREADY_EXISTS,
            "request_id %s is job %" PRId64 " with another specification: choose a new request_id",
            request_id, out->id);
    ledger_job_fini(out);
    return -1;
}

int ledger_job_submit(struct fp_ledger *l, const struct ledger_job *j, int margin_ms, const char *actor,
                      struct ledger_job *out, bool *existing, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    bool found;
    ledger_job_args(&a, j, margin_ms, actor);
    if (ledger_step(l, "job_submit", submit_sql, &a, &rows, err) != 0)
        return -1;
    *existing = pg_rows_count(rows) == 0;
    pg_rows_free(rows);
    if (ledger_job_by_request(l, j->request_id, j->spec_hash, out, &found, err) != 0)
        return -1;
    return found ? 0 : err_set(err, FP_INTERNAL, "the job with request id %s is gone again", j->request_id);
}

/* --- its templates -------------------------------------------------------------------- */

static const char note_templates_sql[] =
    "WITH noted AS (UPDATE foliopost.jobs SET template_hash = $2 WHERE id = $1 AND template_hash = '')"
    " SELECT template_hash FROM foliopost.jobs WHERE id = $1";

int ledger_job_note_templates(struct fp_ledger *l, int64_t id, const char *hash, char first[65],
                              struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    pg_arg_text(&a, hash);
    if (ledger_step(l, "note_templates", note_templates_sql, &a, &rows, err) != 0)
        return -1;
    first[0] = '\0'; /* as it was before this statement */
    if (pg_rows_count(rows) > 0)
        ledger_text(first, 65, rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- counts ------------------------------------------------------------------------- */

/* A split batch keeps what it had before it was split. Who is deferred waits
 * until a retry batch has him. */
/* clang-format off */
static const char counts_sql[] =
    "SELECT b.users, b.sent, b.failed, b.skipped, b.ambiguous, greatest(0, b.deferred - b.retried),"
    "  b.batches, b.done, b.batches - b.done, i.intervals, i.paged"
    " FROM (SELECT coalesce(sum(cardinality(user_ids)) FILTER (WHERE origin = 'page'), 0) AS users,"
    "   coalesce(sum(cardinality(user_ids)) FILTER (WHERE origin = 'retry'), 0) AS retried,"
    "   coalesce(sum(sent), 0) AS sent, coalesce(sum(failed), 0) AS failed,"
    "   coalesce(sum(skipped), 0) AS skipped, coalesce(sum(ambiguous), 0) AS ambiguous,"
    "   coalesce(sum(deferred), 0) AS deferred, count(*) AS batches,"
    "   count(*) FILTER (WHERE state IN ('done', 'split')) AS done"
    "  FROM foliopost.batches WHERE job_id = $1) b,"
    " (SELECT count(*) AS intervals, count(*) FILTER (WHERE state = 'paged') AS paged"
    "  FROM foliopost.intervals WHERE job_id = $1) i";
/* clang-format on */

int ledger_job_counts(struct fp_ledger *l, int64_t id, struct ledger_counts *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, id);
    if (ledger_step(l, "job_counts", counts_sql, &a, &rows, err) != 0)
        return -1;
    int64_t *to[] = {&out->users,    &out->sent,    &out->failed,       &out->skipped,     &out->ambiguous,
                     &out->deferred, &out->batches, &out->batches_done, &out->batches_open};
    for (int i = 0; i < 9; i++)
        *to[i] = pg_i64(rows, 0, i);
    out->intervals = (int32_t)pg_i64(rows, 0, 9);
    out->intervals_paged = (int32_t)pg_i64(rows, 0, 10);
    pg_rows_free(rows);
    return 0;
}
