/*
 * The database's clock was set back: what waits for a time that the old clock
 * gave would wait for the step's length more.
 *
 * A row says when it was written, and one that was written in the future is of
 * before the step. Its due time is moved so that it waits as long as it did when
 * it was written, from now on: never shorter than was meant, at most twice as
 * long. Where a row knows the longest it may wait, that is the bound from now.
 * Claimed batches are moved too: the newest ones tell redo whether the pipeline
 * moves (sweep.c), and one that was claimed "later" would count against all.
 *
 * To look for such rows is to read what is deferred, so that is done only while
 * leader.clock_high is ahead: the latest that any leader has seen the clock.
 *
 * Not here: leases (LEASE_HOLDS), the rate (rates.c), and what is meant by the
 * calendar, which goes by the clock as it is: deadlines, schedules, the provider's
 * day, what expires. docs/reliability.md has the list.
 */
#include "lib/ledger/sweep.h"

#include "lib/ledger/ledger_internal.h"

#define AT_ONCE "10000"

static const char by_sql[] =
    "SELECT ceil(extract(epoch FROM l.clock_high - clock_timestamp()) * 1000)::bigint"
    " FROM foliopost.leader l WHERE l.clock_high > clock_timestamp() AND " LEADS;

/* clang-format off */
static const char deliveries_sql[] =
    "WITH old AS ("
    "  SELECT d.job_id, d.user_id FROM foliopost.leader l, foliopost.jobs j"
    "  JOIN foliopost.deliveries d ON d.job_id = j.id AND d.state = 'deferred'"
    "  WHERE j.state IN ('PENDING', 'IN_PROGRESS', 'PAUSED') AND d.updated_at > clock_timestamp() AND " LEADS
    "  LIMIT " AT_ONCE " FOR UPDATE OF d SKIP LOCKED)"
    " UPDATE foliopost.deliveries d"
    " SET due_at = d.due_at - (d.updated_at - clock_timestamp()), updated_at = clock_timestamp()"
    " FROM old WHERE d.job_id = old.job_id AND d.user_id = old.user_id AND d.state = 'deferred'";

#define WRITTEN "greatest(b.emitted_at, b.claimed_at)"
#define EARLIER "(" WRITTEN " - clock_timestamp())"
static const char batches_sql[] =
    "WITH old AS ("
    "  SELECT b.id FROM foliopost.leader l, foliopost.batches b"
    "  WHERE (b.state IN ('queued', 'sending') OR b.id > (SELECT max(id) FROM foliopost.batches) - 1000)"
    "   AND " WRITTEN " > clock_timestamp() AND " LEADS
    "  ORDER BY b.id LIMIT " AT_ONCE " FOR UPDATE OF b SKIP LOCKED)"
    " UPDATE foliopost.batches b"
    " SET due_at = CASE WHEN isfinite(b.due_at) THEN b.due_at - " EARLIER " ELSE b.due_at END,"
    "  emitted_at = b.emitted_at - " EARLIER ","
    "  first_emitted_at = b.first_emitted_at - " EARLIER ","
    "  claimed_at = b.claimed_at - " EARLIER
    " FROM old WHERE b.id = old.id AND " WRITTEN " > clock_timestamp()";

static const char intervals_sql[] =
    "UPDATE foliopost.intervals v SET due_at = " IN_MS("v.due_ms")
    " FROM foliopost.leader l, foliopost.jobs j"
    " WHERE j.id = v.job_id AND j.state IN ('IN_PROGRESS', 'PAUSED') AND v.state = 'granted'"
    "  AND v.due_at > " IN_MS("v.due_ms") " AND " LEADS;

static const char jobs_sql[] =
    "UPDATE foliopost.jobs j SET canary_until = " IN_MS("j.canary_wait_ms")
    " FROM foliopost.leader l WHERE j.state IN ('IN_PROGRESS', 'PAUSED')"
    "  AND j.canary_until > " IN_MS("j.canary_wait_ms") " AND " LEADS;

static const char over_sql[] =
    "UPDATE foliopost.leader l SET clock_high = clock_timestamp() WHERE " LEADS;
/* clang-format on */

static int by_ms(struct fp_ledger *l, const char *leader, int64_t *ms, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    if (ledger_step(l, "set_back", by_sql, &a, &rows, err) != 0)
        return -1;
    *ms = pg_rows_count(rows) > 0 ? pg_i64(rows, 0, 0) : 0;
    pg_rows_free(rows);
    return 0;
}

int ledger_set_back(struct fp_ledger *l, const char *leader, struct ledger_set_back *out, struct fp_err *err)
{
    const struct {
        const char *name, *sql;
        int64_t *moved;
    } steps[] = {{"set_back_deliveries", deliveries_sql, &out->deliveries},
                 {"set_back_batches", batches_sql, &out->batches},
                 {"set_back_intervals", intervals_sql, &out->intervals},
                 {"set_back_jobs", jobs_sql, &out->jobs}};

    *out = (struct ledger_set_back){0};
    if (by_ms(l, leader, &out->by_ms, err) != 0)
        return -1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && out->by_ms > 0; i++) {
        struct pg_args a;
        pg_args_init(&a);
        pg_arg_text(&a, leader);
        int n = ledger_count(l, steps[i].name, steps[i].sql, &a, err);
        if (n < 0)
            return -1;
        *steps[i].moved = n;
    }
    return 0;
}

int ledger_set_back_over(struct fp_ledger *l, const char *leader, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    return ledger_count(l, "set_back_over", over_sql, &a, err) < 0 ? -1 : 0;
}
