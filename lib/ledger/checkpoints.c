/*
 * Checkpoints: read by one range of the primary key for each user, written by
 * one upsert for a batch.
 *
 * Written without waiting for the disk (set_config is local to the statement's
 * transaction, so PgBouncer does not mind): the row can be lost, never torn,
 * and what is lost is computed again. Two workers with the same batch write the
 * same rows in the order of their keys, and the second finds nothing to change.
 */
#include "lib/ledger/checkpoints.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char load_sql[] =
    "SELECT w.no, c.month_end - date '1970-01-01', c.fingerprint, c.state"
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, no), LATERAL ("
    "  SELECT month_end, fingerprint, state FROM foliopost.checkpoints"
    "  WHERE user_id = w.id AND month_end < $2::date ORDER BY month_end DESC LIMIT 1) AS c"
    " WHERE octet_length(c.state) BETWEEN 1 AND " LEDGER_STR(LEDGER_STATE_MAX_BYTES)
    "  AND octet_length(c.fingerprint) = " LEDGER_STR(LEDGER_FINGERPRINT_BYTES);

static const char store_sql[] =
    "WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)),"
    " old AS (DELETE FROM foliopost.checkpoints"
    "  WHERE user_id = ANY($1::bigint[]) AND month_end < $5::date)"
    " INSERT INTO foliopost.checkpoints AS c (user_id, month_end, fingerprint, state)"
    " SELECT DISTINCT ON (w.id) w.id, $2::date, w.fingerprint, w.state FROM quick,"
    "  unnest($1::bigint[], $3::bytea[], $4::bytea[]) AS w(id, fingerprint, state) ORDER BY w.id"
    " ON CONFLICT (user_id, month_end) DO UPDATE"
    "  SET fingerprint = excluded.fingerprint, state = excluded.state"
    "  WHERE c.fingerprint <> excluded.fingerprint OR c.state <> excluded.state";
/* clang-format on */

static const char forget_sql[] = "DELETE FROM foliopost.checkpoints WHERE user_id = $1";

static void read_one(const struct fp_rows *r, int row, struct ledger_checkpoint *c)
{
    uint8_t *state;
    size_t n, bytes = strlen(pg_text(r, row, 3)) / 2; /* "\x" and two digits for each */

    if (!pg_bytes(r, row, 2, c->fingerprint, sizeof c->fingerprint, &n) || n != sizeof c->fingerprint)
        return;
    state = mem_alloc(bytes + 1);
    if (!pg_bytes(r, row, 3, state, bytes, &c->n_state)) {
        mem_free(state);
        return;
    }
    c->state = state;
    c->month_end = (int32_t)pg_i64(r, row, 1);
}

int ledger_checkpoints_load(struct fp_ledger *l, const int64_t *user_ids, size_t n, int32_t before_day,
                            struct ledger_checkpoint *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i].user_id = user_ids[i];
    pg_args_init(&a);
    pg_arg_i64s(&a, user_ids, n);
    pg_arg_day(&a, before_day);
    if (ledger_step(l, "checkpoints_load", load_sql, &a, &rows, err))
        return -1;
    for (int row = 0; row < pg_rows_count(rows); row++)
        read_one(rows, row, &out[pg_i64(rows, row, 0) - 1]);
    pg_rows_free(rows);
    return 0;
}

void ledger_checkpoints_fini(struct ledger_checkpoint *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(c[i].state);
        c[i].state = NULL;
    }
}

int ledger_checkpoints_store(struct fp_ledger *l, const struct ledger_checkpoint *c, size_t n,
                             int keep_months, struct fp_err *err)
{
    struct pg_args a;

    if (n == 0)
        return 0;
    int64_t *ids = mem_array(n, sizeof *ids);
    struct pg_bytes *fingerprints = mem_array(n, sizeof *fingerprints);
    struct pg_bytes *states = mem_array(n, sizeof *states);
    for (size_t i = 0; i < n; i++) {
        ids[i] = c[i].user_id;
        fingerprints[i] = (struct pg_bytes){c[i].fingerprint, sizeof c[i].fingerprint};
        states[i] = (struct pg_bytes){c[i].state, c[i].n_state};
    }
    pg_args_init(&a);
    pg_arg_i64s(&a, ids, n);
    pg_arg_day(&a, c[0].month_end);
    pg_arg_bytes_list(&a, fingerprints, n);
    pg_arg_bytes_list(&a, states, n);
    pg_arg_day(&a, day_add_months(day_first_of_month(c[0].month_end), 1 - keep_months));
    int changed = ledger_count(l, "checkpoints_store", store_sql, &a, err);
    mem_free(ids);
    mem_free(fingerprints);
    mem_free(states);
    return changed < 0 ? -1 : 0;
}

int ledger_checkpoints_forget(struct fp_ledger *l, int64_t user_id, struct fp_err *err)
{
    struct pg_args a;

    pg_args_init(&a);
    pg_arg_i64(&a, user_id);
    return ledger_count(l, "checkpoints_forget", forget_sql, &a, err) < 0 ? -1 : 0;
}
