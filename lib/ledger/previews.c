/*
 * Previews: asked for, taken, passed on, answered, collected. What was used is
 * set to null at once, and the row goes with its answer.
 *
 * How many were asked for of late is read from the end of the audit, which has
 * a line for each: one limit for all schedulers, and no counter of its own.
 */
#include "lib/ledger/previews.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/ledger/ledger_internal.h"

#define MESSAGE_BYTES 262144 /* of users and summary: the CHECKs of the table */
/* Also one from before the database's clock was set back. */
#define OVER       "(expires_at <= clock_timestamp() OR expires_at > clock_timestamp() + interval '10 minutes')"
#define AUDIT_TAIL "1000" /* lines that are looked at: more than all the limits together */

/* --- asking --------------------------------------------------------------------------- */

/* clang-format off */
static const char ask_sql[] =
    "WITH gone AS (DELETE FROM foliopost.previews WHERE " OVER "),"
    " lately AS (SELECT count(*) AS n FROM foliopost.audit a"
    "  WHERE a.id > (SELECT coalesce(max(id), 0) FROM foliopost.audit) - " AUDIT_TAIL
    "   AND a.action = $6 AND a.at > clock_timestamp() - interval '1 minute'),"
    " open AS (SELECT count(*) AS n FROM foliopost.previews WHERE expires_at > clock_timestamp()),"
    " done AS (SELECT count(*) AS n FROM foliopost.audit a"
    "  WHERE a.id > (SELECT coalesce(max(id), 0) FROM foliopost.audit) - " AUDIT_TAIL
    "   AND a.action = $6 AND a.detail LIKE '%, call ' || $1),"
    " made AS ("
    "  INSERT INTO foliopost.previews (id, users, send_to, provider, expires_at)"
    "  SELECT $1::uuid, $2::bytea, $3, $4, " IN_MS("$5") " FROM lately, open, done"
    "  WHERE lately.n < $7 AND open.n < $8 AND done.n = 0 ON CONFLICT (id) DO NOTHING RETURNING id),"
    " noted AS (" AUDIT_INSERT " SELECT " AUDIT_BY("$9") ", $6, NULL::bigint, $10 FROM made)"
    " SELECT (SELECT count(*) FROM made), lately.n, open.n, done.n FROM lately, open, done";
static const char there_sql[] = "SELECT FROM foliopost.previews WHERE id = $1::uuid";
/* clang-format on */

static int refused(struct fp_ledger *l, const struct ledger_preview_ask *p, int64_t lately, int64_t max,
                   bool done, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, p->id);
    int n = ledger_count(l, "preview_there", there_sql, &a, err);
    if (n != 0)
        return n < 0 ? -1 : 0; /* the reply was lost, not the commit */
    if (done)
        return err_set(err, FP_ALREADY_EXISTS,
                       "this call was made before, and its test mail went out: look into the mailbox");
    if (lately >= max)
        return err_set(err, FP_RESOURCE_EXHAUSTED,
                       "%" PRId64 " %s were asked for within a minute, and %" PRId64
                       " may be: call again later",
                       lately, p->send_to[0] != '\0' ? "test mails" : "previews", max);
    return err_set(err, FP_RESOURCE_EXHAUSTED, "%d previews are being made already: call again",
                   LEDGER_PREVIEWS_OPEN);
}

int ledger_preview_ask(struct fp_ledger *l, const struct ledger_preview_ask *p, struct fp_err *err)
{
    const bool test = p->send_to[0] != '\0';
    const int64_t max = test ? LEDGER_TESTS_A_MINUTE : LEDGER_PREVIEWS_A_MINUTE;
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, p->id);
    pg_arg_bytes(&a, p->users, p->bytes);
    pg_arg_text(&a, p->send_to);
    pg_arg_text(&a, p->provider);
    pg_arg_i64(&a, p->keep_ms);
    pg_arg_text(&a, test ? "send_test" : "preview");
    pg_arg_i64(&a, max);
    pg_arg_i64(&a, LEDGER_PREVIEWS_OPEN);
    pg_arg_text(&a, p->actor);
    pg_arg_text(&a, p->detail);
    if (ledger_step(l, "preview_ask", ask_sql, &a, &rows, err) != 0)
        return -1;
    bool made = pg_i64(rows, 0, 0) > 0;
    int64_t lately = pg_i64(rows, 0, 1);
    bool done = pg_i64(rows, 0, 3) > 0;
    pg_rows_free(rows);
    return made ? 0 : refused(l, p, lately, max, done, err);
}

/* --- working on it ---------------------------------------------------------------------- */

/* clang-format off */
#define TAKE(from, to, column) \
    "UPDATE foliopost.previews p SET state = '" to "', owner = $1::uuid WHERE p.id = (" \
    "  SELECT q.id FROM foliopost.previews q WHERE q.state = '" from "' AND q.expires_at > clock_timestamp()" \
    "  ORDER BY q.created_at LIMIT 1 FOR UPDATE SKIP LOCKED)" \
    " AND p.state = '" from "' RETURNING p.id, p.send_to, p.provider, p." column
static const char compute_sql[] = TAKE("asked", "computing", "users");
static const char write_sql[] = TAKE("computed", "writing", "summary");
static const char pass_sql[] =
    "UPDATE foliopost.previews SET state = 'computed', owner = NULL, users = NULL, summary = $3::bytea"
    " WHERE id = $1::uuid AND owner = $2::uuid AND state = 'computing'";
static const char answer_sql[] =
    "UPDATE foliopost.previews SET state = 'answered', users = NULL, summary = NULL, answer = $3::bytea"
    " WHERE id = $1::uuid AND owner = $2::uuid AND state IN ('computing', 'writing')";
/* clang-format on */

static unsigned char *read_bytes(const struct fp_rows *r, int row, int col, size_t max, size_t *n)
{
    unsigned char *data = mem_alloc(max);
    if (pg_bytes(r, row, col, data, max, n))
        return data;
    mem_free(data);
    *n = 0;
    return NULL;
}

int ledger_preview_take(struct fp_ledger *l, enum preview_step step, const char *owner,
                        struct ledger_preview *out, struct fp_err *err)
{
    const bool compute = step == PREVIEW_COMPUTE;
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_preview){.data = NULL};
    pg_args_init(&a);
    pg_arg_text(&a, owner);
    if (ledger_step(l, compute ? "preview_compute" : "preview_write", compute ? compute_sql : write_sql, &a,
                    &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    if (n > 0) {
        ledger_text(out->id, sizeof out->id, rows, 0, 0);
        ledger_text(out->send_to, sizeof out->send_to, rows, 0, 1);
        ledger_text(out->provider, sizeof out->provider, rows, 0, 2);
        out->data = read_bytes(rows, 0, 3, MESSAGE_BYTES, &out->bytes);
    }
    pg_rows_free(rows);
    return n > 0;
}

void ledger_preview_fini(struct ledger_preview *p)
{
    mem_free(p->data);
    p->data = NULL;
}

static int hand_on(struct fp_ledger *l, const char *name, const char *sql, const char *id, const char *owner,
                   const void *data, size_t bytes, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, id);
    pg_arg_text(&a, owner);
    pg_arg_bytes(&a, data, bytes);
    return ledger_count(l, name, sql, &a, err) < 0 ? -1 : 0;
}

int ledger_preview_pass(struct fp_ledger *l, const char *id, const char *owner, const void *summary,
                        size_t bytes, struct fp_err *err)
{
    return hand_on(l, "preview_pass", pass_sql, id, owner, summary, bytes, err);
}

int ledger_preview_answer(struct fp_ledger *l, const char *id, const char *owner, const void *answer,
                          size_t bytes, struct fp_err *err)
{
    return hand_on(l, "preview_answer", answer_sql, id, owner, answer, bytes, err);
}

/* --- the end ---------------------------------------------------------------------------- */

/* Without an answer the state alone: "asked" says that no stats was there. */
/* clang-format off */
static const char collect_sql[] =
    "WITH taken AS (DELETE FROM foliopost.previews WHERE id = $1::uuid AND (state = 'answered' OR $2::boolean)"
    "  RETURNING state, answer)"
    " SELECT state, answer FROM taken"
    " UNION ALL SELECT state, NULL FROM foliopost.previews"
    "  WHERE id = $1::uuid AND NOT EXISTS (SELECT FROM taken)";
static const char expire_sql[] = "DELETE FROM foliopost.previews WHERE " OVER;
/* clang-format on */

int ledger_preview_collect(struct fp_ledger *l, const char *id, bool last, struct ledger_answer *out,
                           struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *out = (struct ledger_answer){.data = NULL};
    pg_args_init(&a);
    pg_arg_text(&a, id);
    pg_arg_bool(&a, last);
    if (ledger_step(l, "preview_collect", collect_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) > 0) {
        ledger_text(out->state, sizeof out->state, rows, 0, 0);
        if (!pg_is_null(rows, 0, 1))
            out->data = read_bytes(rows, 0, 1, LEDGER_ANSWER_BYTES, &out->bytes);
    }
    pg_rows_free(rows);
    return 0;
}

int ledger_previews_expire(struct fp_ledger *l, struct fp_err *err)
{
    return ledger_count(l, "previews_expire", expire_sql, NULL, err) < 0 ? -1 : 0;
}
