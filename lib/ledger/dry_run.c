/* The figures of a dry run are counted from its deliveries, as a report's are. */
#include "lib/ledger/dry_run.h"

#include "lib/base/mem.h"
#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char sums_sql[] =
    "SELECT count(*), coalesce(max(size_bytes), 0), coalesce(sum(size_bytes), 0),"
    "  count(*) FILTER (WHERE reason <> '" LEDGER_WOULD_BE_SENT "')"
    " FROM foliopost.deliveries WHERE job_id = $1 AND size_bytes IS NOT NULL";
/* Of before it, for everybody there was when it was submitted; one that begins as early before one that does not. */
static const char last_sql[] =
    "SELECT o.id FROM foliopost.jobs o, foliopost.jobs j WHERE j.id = $1 AND o.id < j.id AND o.state = 'COMPLETED'"
    "  AND o.kind = j.kind AND o.brand = j.brand AND NOT o.dry_run AND o.parent_job IS NULL AND o.user_ids IS NULL"
    "  AND o.share_ppm = 0 AND o.audience_end > o.submitted_at - interval '1 day'"
    "  ORDER BY coalesce(o.registered_from <= j.registered_from, true) DESC, o.id DESC LIMIT 1";
/* Who is in no page of the dry run was dropped when it was for all of the other's audience,
 * and is no concern of it when it is for a list, a share or a range. */
static const char difference_sql[] =
    "WITH new AS MATERIALIZED (SELECT user_id FROM foliopost.deliveries WHERE job_id = $1 AND size_bytes IS NOT NULL),"
    " old AS MATERIALIZED (SELECT user_id FROM foliopost.deliveries WHERE job_id = $2 AND state = 'sent'),"
    " added AS MATERIALIZED (SELECT user_id FROM new EXCEPT SELECT user_id FROM old),"
    " whole AS MATERIALIZED (SELECT FROM foliopost.jobs j, foliopost.jobs o WHERE j.id = $1 AND o.id = $2"
    "  AND j.user_ids IS NULL AND j.share_ppm = 0 AND j.registered_from <= o.registered_from"
    "  AND j.audience_end >= o.audience_end),"
    " dropped AS MATERIALIZED (SELECT user_id FROM old EXCEPT SELECT user_id FROM new"
    "  EXCEPT SELECT user_id FROM old WHERE NOT EXISTS (SELECT FROM whole) AND NOT EXISTS ("
    "   SELECT FROM foliopost.deliveries d WHERE d.job_id = $1 AND d.user_id = old.user_id))"
    " SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM dropped),"
    "  ARRAY(SELECT user_id FROM added ORDER BY user_id LIMIT $3),"
    "  ARRAY(SELECT user_id FROM dropped ORDER BY user_id LIMIT $3)";
static const char unwritten_sql[] =
    "SELECT count(*) FILTER (WHERE job_id = $1), count(*) FILTER (WHERE job_id = $2) FROM foliopost.deliveries"
    " WHERE job_id IN ($1, $2) AND state = 'failed' AND starts_with(reason, '" LEDGER_NOT_WRITTEN "')";
/* clang-format on */

static int read_sums(struct fp_ledger *l, int64_t job_id, struct ledger_dry_run *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "dry_run_sums", sums_sql, &a, &rows, err) != 0)
        return -1;
    out->would_send = pg_i64(rows, 0, 0);
    out->size_max_bytes = pg_i64(rows, 0, 1);
    out->size_sum_bytes = pg_i64(rows, 0, 2);
    out->outliers = pg_i64(rows, 0, 3);
    pg_rows_free(rows);
    return 0;
}

static int find_last(struct fp_ledger *l, const struct ledger_job *j, struct ledger_dry_run *out,
                     struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, j->id);
    if (ledger_step(l, "dry_run_last", last_sql, &a, &rows, err) != 0)
        return -1;
    out->compared_job = pg_rows_count(rows) > 0 ? pg_i64(rows, 0, 0) : 0;
    pg_rows_free(rows);
    return 0;
}

static int compare(struct fp_ledger *l, int64_t job_id, struct ledger_dry_run *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, out->compared_job);
    pg_arg_i64(&a, LEDGER_DRY_RUN_IDS);
    if (ledger_step(l, "dry_run_difference", difference_sql, &a, &rows, err) != 0)
        return -1;
    out->added = pg_i64(rows, 0, 0);
    out->dropped = pg_i64(rows, 0, 1);
    bool read = pg_i64s(rows, 0, 2, &out->added_ids, &out->n_added_ids) &&
                pg_i64s(rows, 0, 3, &out->dropped_ids, &out->n_dropped_ids);
    pg_rows_free(rows);
    return read ? 0 : err_set(err, FP_INTERNAL, "the difference of a dry run is no list of ids");
}

static int count_unwritten(struct fp_ledger *l, int64_t job_id, struct ledger_dry_run *out,
                           struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, out->compared_job);
    if (ledger_step(l, "dry_run_unwritten", unwritten_sql, &a, &rows, err) != 0)
        return -1;
    out->unwritten = pg_i64(rows, 0, 0);
    out->compared_unwritten = pg_i64(rows, 0, 1);
    pg_rows_free(rows);
    return 0;
}

int ledger_dry_run(struct fp_ledger *l, const struct ledger_job *j, struct ledger_dry_run *out,
                   struct fp_err *err)
{
    *out = (struct ledger_dry_run){.would_send = 0};
    if (read_sums(l, j->id, out, err) != 0 || find_last(l, j, out, err) != 0 ||
        count_unwritten(l, j->id, out, err) != 0)
        return -1;
    return out->compared_job > 0 ? compare(l, j->id, out, err) : 0;
}

void ledger_dry_run_fini(struct ledger_dry_run *d)
{
    mem_free(d->added_ids);
    mem_free(d->dropped_ids);
    d->added_ids = d->dropped_ids = NULL;
}
