/*
 * Events, and the suppressions that follow from them, in one statement: an
 * unsubscription that was answered with success is as durable as a mail.
 */
#include "lib/ledger/events.h"

#include <string.h>

#include "lib/ledger/ledger_internal.h"

static const char *const names[] = {
    "", "delivered", "delayed", "bounced", "complained", "unsubscribed",
};

const char *delivery_event_name(enum delivery_event e)
{
    return (size_t)e < sizeof names / sizeof names[0] ? names[e] : "";
}

/* What is said of an erased user would bring his id back: it is dropped.
 * DISTINCT ON: an upsert may not meet one subject twice. */
/* clang-format off */
static const char events_sql[] =
    "WITH e AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],"
    "   $6::text[], $7::timestamptz[], $8::text[], $9::text[])"
    "   AS e (job_id, user_id, event, key, provider, detail, at, suppress, scope)"
    "  WHERE NOT EXISTS (SELECT FROM foliopost.erased WHERE user_hash = foliopost.user_hash(e.user_id))),"
    " kept AS ("
    "  INSERT INTO foliopost.delivery_events (job_id, user_id, event, event_key, provider, detail, occurred_at)"
    "  SELECT job_id, user_id, event, key, provider, detail, at FROM e"
    "  ON CONFLICT (job_id, event, user_id, event_key) DO NOTHING RETURNING 1),"
    " struck AS ("
    "  SELECT DISTINCT ON (e.user_id, d.address_hash, e.scope) e.*, d.address_hash"
    "  FROM e LEFT JOIN LATERAL (SELECT address_hash FROM foliopost.deliveries"
    "   WHERE job_id = e.job_id AND user_id = e.user_id LIMIT 1) d ON true"
    "  WHERE e.suppress <> ''"
    "  ORDER BY e.user_id, d.address_hash, e.scope, " SUPPRESSION_RANK("e.suppress") " DESC),"
    " put AS (" SUPPRESSION_INSERT
    "  SELECT user_id, address_hash, scope, suppress, provider, detail, job_id, at, NULL::timestamptz"
    "  FROM struck" SUPPRESSION_MERGE ")"
    " SELECT count(*) FROM kept";
/* clang-format on */

static void event_args(struct pg_args *a, const struct ledger_event *e, size_t n)
{
    int64_t *numbers = mem_array(n + 1, sizeof *numbers);
    const char **texts = mem_array(n + 1, sizeof *texts);
    pg_args_init(a);
#define COLUMN(array, add, value)                                                                            \
    for (size_t i = 0; i < n; i++)                                                                           \
        (array)[i] = (value);                                                                                \
    add(a, array, n)
    COLUMN(numbers, pg_arg_i64s, e[i].job_id);
    COLUMN(numbers, pg_arg_i64s, e[i].user_id);
    COLUMN(texts, pg_arg_texts, delivery_event_name(e[i].event));
    COLUMN(texts, pg_arg_texts, e[i].key);
    COLUMN(texts, pg_arg_texts, e[i].provider);
    COLUMN(texts, pg_arg_texts, e[i].detail);
    COLUMN(numbers, pg_arg_times_us, e[i].occurred_us);
    COLUMN(texts, pg_arg_texts, suppression_reason_name(e[i].suppress));
    COLUMN(texts, pg_arg_texts, e[i].scope[0] != '\0' ? e[i].scope : "all");
#undef COLUMN
    mem_free(numbers);
    mem_free(texts);
}

int ledger_events(struct fp_ledger *l, const struct ledger_event *e, size_t n, int64_t *stored,
                  struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *stored = 0;
    if (n == 0)
        return 0;
    event_args(&a, e, n);
    if (ledger_step(l, "events", events_sql, &a, &rows, err) != 0)
        return -1;
    *stored = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- counts ------------------------------------------------------------------------ */

/* A bounce can be reported twice, by the relay's reply and by a DSN. */
static const char counts_sql[] =
    "SELECT event, count(DISTINCT user_id) FROM foliopost.delivery_events WHERE job_id = $1 GROUP BY event";

int ledger_event_counts(struct fp_ledger *l, int64_t job_id, struct ledger_event_counts *out,
                        struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_event_counts){0};
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "event_counts", counts_sql, &a, &rows, err) != 0)
        return -1;
    for (int i = 0; i < pg_rows_count(rows); i++) {
        const char *event = pg_text(rows, i, 0);
        int64_t users = pg_i64(rows, i, 1);
        if (strcmp(event, "delivered") == 0)
            out->delivered = users;
        else if (strcmp(event, "bounced") == 0)
            out->bounced = users;
        else if (strcmp(event, "complained") == 0)
            out->complained = users;
        else if (strcmp(event, "unsubscribed") == 0)
            out->unsubscribed = users;
    }
    pg_rows_free(rows);
    return 0;
}
