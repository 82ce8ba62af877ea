/*
 * Processes and their leases.
 *
 *   live -> ended    end     by itself
 *   live -> expired  expire  by the leader (sweep.c)
 *
 * A lease that is over but was not swept can be renewed: after an outage of
 * PostgreSQL everybody's is, and nobody could have taken anything over. The
 * sweep and the renewal meet on this row, so exactly one of them wins.
 */
#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char start_sql[] =
    "INSERT INTO foliopost.instances (id, service, address, version, slots, note, schema_version, lease_until)"
    " VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, clock_timestamp() + " LEASE_LENGTH ")"
    " ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until"
    " WHERE instances.state = 'live' AND instances.service = excluded.service";
/* clang-format on */

int ledger_instance_start(struct fp_ledger *l, const struct ledger_instance *i, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, i->id);
    pg_arg_text(&a, i->service);
    pg_arg_text(&a, i->address);
    pg_arg_text(&a, i->version);
    pg_arg_i64(&a, i->slots);
    pg_arg_text(&a, i->note);
    pg_arg_i64(&a, LEDGER_SCHEMA_VERSION);
    int n = ledger_count(l, "instance_start", start_sql, &a, err);
    if (n == 0) {
        return err_set(err, FP_FAILED_PRECONDITION,
                       "instance %s was there before and has ended: take a new id", i->id);
    }
    return n < 0 ? -1 : 0;
}

static const char renew_sql[] =
    "UPDATE foliopost.instances SET lease_until = clock_timestamp() + " LEASE_LENGTH ", slots = $2,"
    "  note = $3 WHERE id = $1::uuid AND state = 'live'";

int ledger_instance_renew(struct fp_ledger *l, const char *id, int slots, const char *note, bool *held,
                          struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, id);
    pg_arg_i64(&a, slots);
    pg_arg_text(&a, note != NULL ? note : "");
    int n = ledger_count(l, "instance_renew", renew_sql, &a, err);
    *held = n > 0;
    return n < 0 ? -1 : 0;
}

static const char end_sql[] =
    "UPDATE foliopost.instances SET state = 'ended', lease_until = clock_timestamp() WHERE id = $1::uuid"
    "  AND state = 'live'";

int ledger_instance_end(struct fp_ledger *l, const char *id, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, id);
    return ledger_count(l, "instance_end", end_sql, &a, err) < 0 ? -1 : 0;
}

/* clang-format off */
static const char live_sql[] =
    "SELECT i.id, i.service, i.address, i.version, i.slots, i.state, i.note, i.lease_until, i.started_at,"
    "  i.schema_version"
    "  FROM foliopost.instances i WHERE i.state = 'live' AND " LEASE_HOLDS("i")
    "  ORDER BY i.service, i.started_at, i.id LIMIT $1";
/* clang-format on */

static void read_instance(struct ledger_instance *i, const struct fp_rows *r, int row)
{
    ledger_text(i->id, sizeof i->id, r, row, 0);
    ledger_text(i->service, sizeof i->service, r, row, 1);
    ledger_text(i->address, sizeof i->address, r, row, 2);
    ledger_text(i->version, sizeof i->version, r, row, 3);
    i->slots = (int)pg_i64(r, row, 4);
    ledger_text(i->state, sizeof i->state, r, row, 5);
    ledger_text(i->note, sizeof i->note, r, row, 6);
    i->lease_until_us = pg_time_us(r, row, 7);
    i->started_us = pg_time_us(r, row, 8);
    i->schema_version = (int)pg_i64(r, row, 9);
}

int ledger_instances_live(struct fp_ledger *l, struct ledger_instance *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "instances_live", live_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_instance(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* clang-format off */
static const char fleet_sql[] =
    "SELECT i.id, i.service, i.address, i.version, i.slots, i.state, i.note, i.lease_until, i.started_at,"
    "  i.schema_version, coalesce(b.n, 0), l.owner IS NOT NULL FROM foliopost.instances i"
    "  LEFT JOIN (SELECT owner, count(*) AS n FROM foliopost.batches WHERE state = 'sending' GROUP BY owner) b"
    "   ON b.owner = i.id"
    "  LEFT JOIN foliopost.leader l ON l.owner = i.id AND " LEASE_HOLDS("l")
    "  WHERE i.state = 'live' AND " LEASE_HOLDS("i") " ORDER BY i.service, i.started_at, i.id LIMIT $1";
/* clang-format on */

int ledger_fleet(struct fp_ledger *l, struct ledger_member *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "fleet", fleet_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++) {
        read_instance(&out[i].instance, rows, i);
        out[i].batches = pg_i64(rows, i, 10);
        out[i].leads = pg_bool(rows, i, 11);
    }
    pg_rows_free(rows);
    return n;
}
