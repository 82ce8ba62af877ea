/*
 * Schedules: what operators do with them, and the two steps of the leader.
 *
 * Exactly once rests on two keys: firings (schedule, due), and the job's request
 * id, which names both; so a schedule that is deleted and made again under its name
 * does not repeat a due time either. The step that fires is one statement. Its
 * reply may be lost: repeated, it finds another version and does nothing.
 */
#include "lib/ledger/schedules.h"

#include <stdio.h>
#include <string.h>

#include "lib/ledger/ledger_internal.h"

/* --- reading ------------------------------------------------------------------------------ */

/* clang-format off */
#define BUSY \
    "EXISTS (SELECT FROM foliopost.firings f JOIN foliopost.jobs j ON j.id = f.job_id WHERE f.schedule = s.name" \
    " AND j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED'))"
#define COLUMNS \
    "s.name, s.cron, s.time_zone, s.spec, NOT s.enabled, s.overlap = 'skip', s.catch_up_ms, s.deadline_after_ms," \
    " s.next_due, s.version, s.created_at, s.updated_at, s.restored_until, " BUSY
#define NOW_COLUMN 14 /* behind those, where it is read */
/* clang-format on */

static void read_schedule(struct ledger_schedule *s, const struct fp_rows *r, int row)
{
    memset(s, 0, sizeof *s);
    ledger_text(s->name, sizeof s->name, r, row, 0);
    ledger_text(s->cron, sizeof s->cron, r, row, 1);
    ledger_text(s->zone, sizeof s->zone, r, row, 2);
    if (!pg_bytes(r, row, 3, s->spec, sizeof s->spec, &s->spec_bytes))
        s->spec_bytes = 0; /* not ours: a specification of nothing is refused */
    s->paused = pg_bool(r, row, 4);
    s->skip_overlap = pg_bool(r, row, 5);
    s->catch_up_ms = pg_i64(r, row, 6);
    s->deadline_after_ms = pg_i64(r, row, 7);
    s->next_due_us = ledger_time(r, row, 8);
    s->version = pg_i64(r, row, 9);
    s->created_us = ledger_time(r, row, 10);
    s->updated_us = ledger_time(r, row, 11);
    s->restored_until_us = ledger_time(r, row, 12);
    s->busy = pg_bool(r, row, 13);
}

static int read_schedules(struct ledger_schedule *out, struct fp_rows *rows)
{
    int n = pg_rows_count(rows);

    for (int i = 0; i < n; i++)
        read_schedule(&out[i], rows, i);
    return n;
}

static const char get_sql[] = "SELECT " COLUMNS " FROM foliopost.schedules s WHERE s.name = $1";
static const char list_sql[] = "SELECT " COLUMNS " FROM foliopost.schedules s ORDER BY s.name LIMIT $1";

int ledger_schedule_get(struct fp_ledger *l, const char *name, struct ledger_schedule *out,
                        struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_text(&a, name);
    if (ledger_step(l, "schedule_get", get_sql, &a, &rows, err) != 0)
        return -1;
    int n = read_schedules(out, rows);
    pg_rows_free(rows);
    return n ? 0 : err_set(err, FP_NOT_FOUND, "no schedule \"%s\"", name);
}

int ledger_schedules(struct fp_ledger *l, struct ledger_schedule *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "schedules", list_sql, &a, &rows, err) != 0)
        return -1;
    int n = read_schedules(out, rows);
    pg_rows_free(rows);
    return n;
}

static const char firings_sql[] =
    "SELECT due, at, outcome, job_id, missed, reason FROM foliopost.firings WHERE schedule = $1"
    " ORDER BY due DESC LIMIT $2";

int ledger_firings(struct fp_ledger *l, const char *name, struct ledger_firing *out, int max,
                   struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_text(&a, name);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "firings", firings_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++) {
        out[i] = (struct ledger_firing){.due_us = ledger_time(rows, i, 0),
                                        .at_us = ledger_time(rows, i, 1),
                                        .job_id = pg_i64(rows, i, 3),
                                        .missed = pg_i64(rows, i, 4)};
        ledger_text(out[i].outcome, sizeof out[i].outcome, rows, i, 2);
        ledger_text(out[i].reason, sizeof out[i].reason, rows, i, 5);
    }
    pg_rows_free(rows);
    return n;
}

/* By way of the schedules: firings are found by the schedule, a year of them is kept, and what was missed may
 * have been due long before. One that is due each minute has sixty in an hour. */
/* clang-format off */
static const char missed_sql[] =
    "SELECT count(*) FILTER (WHERE f.outcome = 'missed'), count(*) FILTER (WHERE f.outcome = 'refused')"
    " FROM foliopost.schedules s CROSS JOIN LATERAL ("
    "  SELECT outcome, at FROM foliopost.firings WHERE schedule = s.name ORDER BY due DESC LIMIT 64) f"
    " WHERE f.at > clock_timestamp() - interval '1 hour'";
/* clang-format on */

int ledger_schedules_missed(struct fp_ledger *l, int64_t *missed, int64_t *refused, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    if (ledger_step(l, "schedules_missed", missed_sql, &a, &rows, err) != 0)
        return -1;
    *missed = pg_i64(rows, 0, 0);
    *refused = pg_i64(rows, 0, 1);
    pg_rows_free(rows);
    return 0;
}

/* --- what operators do ----------------------------------------------------------------------- */

/* clang-format off */
#define NOTED(n, action, from) \
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY(n) ", '" action "', NULL, name FROM " from ")"

static const char create_sql[] =
    "WITH made AS (INSERT INTO foliopost.schedules"
    "  (name, cron, time_zone, spec, overlap, catch_up_ms, deadline_after_ms, next_due, enabled, changed_by)"
    "  SELECT $1, $2, $3, $4::bytea, CASE WHEN $5::boolean THEN 'skip' ELSE 'allow' END, $6::bigint, $7::bigint,"
    "   $8::timestamptz, NOT $11::boolean, " ACTOR_NAME("$9")
    "  WHERE (SELECT count(*) FROM foliopost.schedules) < $10::bigint"
    "  ON CONFLICT (name) DO NOTHING RETURNING name),"
    NOTED("$9", "schedule_create", "made")
    " SELECT name FROM made";
static const char update_sql[] =
    "WITH changed AS (UPDATE foliopost.schedules SET cron = $2, time_zone = $3, spec = $4::bytea,"
    "  overlap = CASE WHEN $5::boolean THEN 'skip' ELSE 'allow' END, catch_up_ms = $6::bigint,"
    "  deadline_after_ms = $7::bigint, version = version + 1, updated_at = clock_timestamp(),"
    "  changed_by = " ACTOR_NAME("$9") ","
    "  next_due = CASE WHEN cron = $2 AND time_zone = $3 THEN next_due ELSE $8::timestamptz END"
    "  WHERE name = $1 RETURNING name),"
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$9") ", 'schedule_update', NULL, name || $10 FROM changed)"
    " SELECT name FROM changed";
static const char pause_sql[] =
    "WITH changed AS (UPDATE foliopost.schedules SET enabled = false, version = version + 1,"
    "  updated_at = clock_timestamp() WHERE name = $1 AND enabled RETURNING name),"
    NOTED("$2", "schedule_pause", "changed")
    " SELECT name FROM foliopost.schedules WHERE name = $1";
static const char resume_sql[] =
    "WITH changed AS (UPDATE foliopost.schedules SET enabled = true, version = version + 1,"
    "  updated_at = clock_timestamp(), next_due = $3::timestamptz WHERE name = $1 AND NOT enabled RETURNING name),"
    NOTED("$2", "schedule_resume", "changed")
    " SELECT name FROM foliopost.schedules WHERE name = $1";
static const char delete_sql[] =
    "WITH gone AS (DELETE FROM foliopost.schedules WHERE name = $1 RETURNING name),"
    NOTED("$2", "schedule_delete", "gone")
    " SELECT name FROM gone";
/* clang-format on */

static void definition_args(struct pg_args *a, const struct ledger_schedule *s, const char *actor)
{
    pg_args_init(a);
    pg_arg_text(a, s->name);
    pg_arg_text(a, s->cron);
    pg_arg_text(a, s->zone);
    pg_arg_bytes(a, s->spec, s->spec_bytes);
    pg_arg_bool(a, s->skip_overlap);
    pg_arg_i64(a, s->catch_up_ms);
    pg_arg_i64(a, s->deadline_after_ms);
    ledger_arg_time(a, s->next_due_us);
    pg_arg_text(a, actor);
}

static bool same_definition(const struct ledger_schedule *a, const struct ledger_schedule *b)
{
    return strcmp(a->cron, b->cron) == 0 && strcmp(a->zone, b->zone) == 0 && a->spec_bytes == b->spec_bytes &&
           memcmp(a->spec, b->spec, a->spec_bytes) == 0 && a->skip_overlap == b->skip_overlap &&
           a->catch_up_ms == b->catch_up_ms && a->deadline_after_ms == b->deadline_after_ms;
}

int ledger_schedule_create(struct fp_ledger *l, const struct ledger_schedule *s, int max, const char *actor,
                           bool *existing, struct fp_err *err)
{
    struct pg_args a;
    struct ledger_schedule there;

    *existing = false;
    definition_args(&a, s, actor);
    pg_arg_i64(&a, max);
    pg_arg_bool(&a, s->paused);
    int n = ledger_count(l, "schedule_create", create_sql, &a, err);
    if (n != 0)
        return n < 0 ? -1 : 0;
    if (ledger_schedule_get(l, s->name, &there, err) != 0)
        return err->code == FP_NOT_FOUND
                   ? err_set(err, FP_RESOURCE_EXHAUSTED, "there are %d schedules already: delete some", max)
                   : -1;
    *existing = true;
    return same_definition(s, &there)
               ? 0
               : err_set(err, FP_ALREADY_EXISTS,
                         "there is another schedule \"%s\": update it, or choose another name", s->name);
}

/* 0 when the statement found the schedule. */
static int found(struct fp_ledger *l, const char *step, const char *sql, struct pg_args *a, const char *name,
                 struct fp_err *err)
{
    int n = ledger_count(l, step, sql, a, err);

    if (n == 0)
        return err_set(err, FP_NOT_FOUND, "no schedule \"%s\"", name);
    return n < 0 ? -1 : 0;
}

int ledger_schedule_update(struct fp_ledger *l, const struct ledger_schedule *s, const char *what,
                           const char *actor, struct fp_err *err)
{
    struct pg_args a;

    definition_args(&a, s, actor);
    pg_arg_text(&a, what);
    return found(l, "schedule_update", update_sql, &a, s->name, err);
}

static void name_args(struct pg_args *a, const char *name, const char *actor)
{
    pg_args_init(a);
    pg_arg_text(a, name);
    pg_arg_text(a, actor);
}

int ledger_schedule_pause(struct fp_ledger *l, const char *name, const char *actor, struct fp_err *err)
{
    struct pg_args a;

    name_args(&a, name, actor);
    return found(l, "schedule_pause", pause_sql, &a, name, err);
}

int ledger_schedule_resume(struct fp_ledger *l, const char *name, int64_t next_due_us, const char *actor,
                           struct fp_err *err)
{
    struct pg_args a;

    name_args(&a, name, actor);
    ledger_arg_time(&a, next_due_us);
    return found(l, "schedule_resume", resume_sql, &a, name, err);
}

int ledger_schedule_delete(struct fp_ledger *l, const char *name, const char *actor, bool *existed,
                           struct fp_err *err)
{
    struct pg_args a;

    name_args(&a, name, actor);
    int n = ledger_count(l, "schedule_delete", delete_sql, &a, err);
    *existed = n > 0;
    return n < 0 ? -1 : 0;
}

/* --- the leader's steps ------------------------------------------------------------------------ */

static const char due_sql[] =
    "SELECT " COLUMNS ", clock_timestamp() FROM foliopost.schedules s"
    " WHERE s.enabled AND s.next_due <= clock_timestamp() ORDER BY s.next_due, s.name LIMIT $1";

int ledger_schedules_due(struct fp_ledger *l, struct ledger_schedule *out, int max, int64_t *now_us,
                         struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "schedules_due", due_sql, &a, &rows, err) != 0)
        return -1;
    int n = read_schedules(out, rows);
    *now_us = n > 0 ? ledger_time(rows, 0, NOW_COLUMN) : 0;
    pg_rows_free(rows);
    return n;
}

/* clang-format off */
/* A year of firings is kept; of an hourly schedule that is some thousand rows. */
#define TRIMMED(due) \
    " trimmed AS (DELETE FROM foliopost.firings f USING moved WHERE f.schedule = moved.name" \
    "  AND f.due < " due "::timestamptz - interval '400 days')"

/* What stands behind the job's: */
#define LEADER   BEHIND_JOB_1
#define SCHEDULE BEHIND_JOB_2
#define VERSION  BEHIND_JOB_3
#define DUE      BEHIND_JOB_4
#define NEXT     BEHIND_JOB_5
#define MISSED   BEHIND_JOB_6
static const char fire_sql[] =
    "WITH moved AS (UPDATE foliopost.schedules s SET version = s.version + 1, next_due = " NEXT "::timestamptz,"
    "   last_fired = " DUE "::timestamptz FROM foliopost.leader l"
    "  WHERE s.name = " SCHEDULE " AND s.version = " VERSION "::bigint AND s.enabled AND l.owner = " LEADER "::uuid AND " LEASE_HOLDS("l")
    "  RETURNING s.name, s.changed_by, CASE WHEN " DUE "::timestamptz <= s.restored_until THEN s.restored_to END AS restored_to),"
    " made AS (" JOB_INSERT("moved.changed_by", "moved.restored_to") " FROM moved ON CONFLICT (request_id) DO NOTHING RETURNING id),"
    " fired AS (INSERT INTO foliopost.firings (schedule, due, outcome, job_id, missed, reason)"
    "  SELECT moved.name, " DUE "::timestamptz, CASE WHEN made.id IS NULL THEN 'refused' ELSE 'fired' END, made.id,"
    "   " MISSED "::bigint, CASE WHEN made.id IS NULL THEN 'the request id ' || $1 || ' is known' ELSE '' END"
    "  FROM moved LEFT JOIN made ON true ON CONFLICT (schedule, due) DO NOTHING),"
    TRIMMED(DUE) ","
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$24") ", 'submit', made.id, 'request id ' || $1 FROM made)"
    " SELECT made.id, foliopost.ensure_delivery_partition(made.id) FROM made";
static const char pass_sql[] =
    "WITH moved AS (UPDATE foliopost.schedules s SET version = s.version + 1, next_due = $5::timestamptz"
    "  FROM foliopost.leader l WHERE s.name = $2 AND s.version = $3::bigint AND s.enabled AND " LEADS
    "  RETURNING s.name),"
    TRIMMED("$4")
    " INSERT INTO foliopost.firings (schedule, due, outcome, missed, reason)"
    " SELECT moved.name, $4::timestamptz, $6, $7::bigint, $8 FROM moved ON CONFLICT (schedule, due) DO NOTHING";
/* clang-format on */

int ledger_schedule_fire(struct fp_ledger *l, const char *leader, const struct ledger_schedule *s,
                         const struct ledger_firing *f, int64_t next_us, const struct ledger_job *j,
                         int margin_ms, int64_t *job_id, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    char actor[16 + LEDGER_SCHEDULE_NAME];

    snprintf(actor, sizeof actor, "schedule %s", s->name);
    ledger_job_args(&a, j, margin_ms, actor);
    pg_arg_text(&a, leader);
    pg_arg_text(&a, s->name);
    pg_arg_i64(&a, s->version);
    ledger_arg_time(&a, f->due_us);
    ledger_arg_time(&a, next_us);
    pg_arg_i64(&a, f->missed);
    if (ledger_step(l, "schedule_fire", fire_sql, &a, &rows, err) != 0)
        return -1;
    *job_id = pg_rows_count(rows) > 0 ? pg_i64(rows, 0, 0) : 0;
    pg_rows_free(rows);
    return 0;
}

int ledger_schedule_pass(struct fp_ledger *l, const char *leader, const struct ledger_schedule *s,
                         const struct ledger_firing *f, int64_t next_us, struct fp_err *err)
{
    struct pg_args a;

    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_text(&a, s->name);
    pg_arg_i64(&a, s->version);
    ledger_arg_time(&a, f->due_us);
    ledger_arg_time(&a, next_us);
    pg_arg_text(&a, f->outcome);
    pg_arg_i64(&a, f->missed);
    pg_arg_text(&a, f->reason);
    return ledger_count(l, "schedule_pass", pass_sql, &a, err) < 0 ? -1 : 0;
}
