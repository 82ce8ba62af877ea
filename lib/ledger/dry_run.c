/* The figures of a dry run are counted from its deliveries, as a report's are. */
#include "lib/ledger/dry_run.h"

#include "lib/base/mem.h"
#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char sums_sql[] =
    "SELECT count(*), coalesce(max(size_bytes), 0), coalesce(sum(size_bytes), 0),"
    "  count(*) FILTER (WHERE reason <> '" LEDGER_WOULD_BE_SENT "')"
    " FROM foliopost.deliveries WHERE job_id = $1 AND size_bytes IS NOT NULL";
static const char last_sql[] =
    "SELECT j.id FROM foliopost.jobs j WHERE j.state = 'COMPLETED' AND j.kind = $1 AND j.brand = $2"
    "  AND NOT j.dry_run AND j.parent_job IS NULL AND j.user_ids IS NULL AND j.id < $3 ORDER BY j.id DESC LIMIT 1";
static const char difference_sql[] =
    "WITH new AS MATERIALIZED (SELECT user_id FROM foliopost.deliveries WHERE job_id = $1 AND size_bytes IS NOT NULL),"
    " old AS MATERIALIZED (SELECT user_id FROM foliopost.deliveries WHERE job_id = $2 AND state = 'sent'),"
    " added AS MATERIALIZED (SELECT user_id FROM new EXCEPT SELECT user_id FROM old),"
    " dropped AS MATERIALIZED (SELECT user_id FROM old EXCEPT SELECT user_id FROM new)"
    " SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM dropped),"
    "  ARRAY(SELECT user_id FROM added ORDER BY user_id LIMIT $3),"
    "  ARRAY(SELECT user_id FROM dropped ORDER BY user_id LIMIT $3)";
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
    pg_arg_text(&a, j->kind);
    pg_arg_text(&a, j->brand);
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

int ledger_dry_run(struct fp_ledger *l, const struct ledger_job *j, struct ledger_dry_run *out,
                   struct fp_err *err)
{
    *out = (struct ledger_dry_run){.would_send = 0};
    if (read_sums(l, j->id, out, err) != 0 || find_last(l, j, out, err) != 0)
        return -1;
    return out->compared_job > 0 ? compare(l, j->id, out, err) : 0;
}

void ledger_dry_run_fini(struct ledger_dry_run *d)
{
    mem_free(d->added_ids);
    mem_free(d->dropped_ids);
    d->added_ids = d->dropped_ids = NULL;
}
