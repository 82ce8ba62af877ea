/* The steps of canary and guards: small statements, each safe to repeat. */
#include "lib/ledger/guard.h"

#include <string.h>

#include "lib/ledger/ledger_internal.h"

static const char paged_sql[] =
    "SELECT coalesce(sum(cardinality(user_ids)), 0) FROM foliopost.batches WHERE job_id = $1 AND origin = 'page'";

int ledger_job_paged(struct fp_ledger *l, int64_t job_id, int64_t *users, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "job_paged", paged_sql, &a, &rows, err) != 0)
        return -1;
    *users = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

static const char wait_sql[] =
    "UPDATE foliopost.jobs j SET canary_until = clock_timestamp() + j.canary_wait_ms * interval '1 ms'"
    " FROM foliopost.leader l WHERE j.id = $2 AND j.state = 'IN_PROGRESS' AND j.canary_users > 0"
    "  AND j.canary_until IS NULL AND " LEADS;

int ledger_canary_wait(struct fp_ledger *l, const char *leader, int64_t job_id, bool *done,
                       struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, job_id);
    int n = ledger_count(l, "canary_wait", wait_sql, &a, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}

/* clang-format off */
static const char canary_pause_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs j SET state = 'PAUSED', response = $3, waiting = '', canary_until = clock_timestamp()"
    "  FROM foliopost.leader l WHERE j.id = $2 AND j.state = 'IN_PROGRESS' AND j.canary_users > 0"
    "   AND j.canary_until IS NULL AND " LEADS
    "  RETURNING j.id),"
    " noted AS (INSERT INTO foliopost.audit (actor, action, job_id, detail)"
    "  SELECT 'guard', 'pause', id, $3 FROM changed)"
    " SELECT id FROM changed";
/* clang-format on */

int ledger_canary_pause(struct fp_ledger *l, const char *leader, int64_t job_id, const char *reason,
                        bool *done, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, job_id);
    pg_arg_text(&a, reason);
    int n = ledger_count(l, "canary_pause", canary_pause_sql, &a, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}

static const char events_sql[] = "SELECT event, count(DISTINCT user_id) FROM foliopost.delivery_events"
                                 " WHERE job_id = $1 AND event IN ('bounced', 'complained') GROUP BY event";

int ledger_guard_events(struct fp_ledger *l, int64_t job_id, struct ledger_guard_sums *sums,
                        struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    sums->bounced = sums->complained = 0;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "guard_events", events_sql, &a, &rows, err) != 0)
        return -1;
    for (int i = 0; i < pg_rows_count(rows); i++)
        *(strcmp(pg_text(rows, i, 0), "bounced") == 0 ? &sums->bounced : &sums->complained) =
            pg_i64(rows, i, 1);
    pg_rows_free(rows);
    return 0;
}

/* clang-format off */
static const char pause_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.jobs j SET state = 'PAUSED', response = $3, waiting = '', guard_base = $4::bigint[]"
    "  FROM foliopost.leader l WHERE j.id = $2 AND j.state = 'IN_PROGRESS' AND " LEADS
    "  RETURNING j.id),"
    " noted AS (INSERT INTO foliopost.audit (actor, action, job_id, detail)"
    "  SELECT 'guard', 'pause', id, $3 FROM changed)"
    " SELECT id FROM changed";
/* clang-format on */

int ledger_guard_pause(struct fp_ledger *l, const char *leader, int64_t job_id, const char *reason,
                       const struct ledger_guard_sums *s, bool *done, struct fp_err *err)
{
    const int64_t base[] = {s->mails, s->failed, s->bounced, s->complained};
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, job_id);
    pg_arg_text(&a, reason);
    pg_arg_i64s(&a, base, 4);
    int n = ledger_count(l, "guard_pause", pause_sql, &a, err);
    *done = n > 0;
    return n < 0 ? -1 : 0;
}
