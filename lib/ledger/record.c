/*
 * What becomes of the users of a claimed batch: record, and late truth.
 *
 * record is one statement for all the batches a mailer has in hand. It first
 * updates the rows that an outcome, an intent or a withdrawal is of, each under
 * its fence; outcomes and new intents hang on what that returns, so that a stale
 * worker's statement changes nothing, and a waiting one checks the fence anew.
 * The others are read under the same conditions as the statement's snapshot has
 * them: nothing hangs on their answer but that a pause or a lost claim is noticed,
 * if not by this record then by the next. Open intents are computed from the
 * row's own value as a set, so that a repeated record opens and settles the
 * same; replacing them instead would lose those of mails still under way.
 *
 * On the common way a user costs one insert into deliveries. The upsert only
 * touches a row that was requeued to this very batch.
 */
#include "lib/ledger/ledger_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/ledger/suppressions.h"

/* --- columns: arrays of the statement's unnest ----------------------------------- */

struct columns {
    size_t n;
    int64_t *batch_ids, *user_ids, *retry_ms;
    int32_t *attempted, *doubles, *suppress, *sizes, *providers;
    const char **states, **reasons, **provider_ids, **hashes;
    struct pg_bytes *versions, *contents; /* empty: null */
    bool any_suppress;
    struct fp_arena *texts;
};

/* 256 bytes of reason and 128 of provider id each, for as many users as 64
 * batches of 200 have. */
#define TEXTS_MAX_BYTES ((size_t)8 << 20)
#define REASON_BYTES    256
#define PROVIDER_BYTES  128

/* What a provider said is cut and cleaned here, once for all who record. */
static const char *clean(struct columns *c, const char *s, size_t cap)
{
    char text[REASON_BYTES];
    if (s == NULL || s[0] == '\0')
        return "";
    text_clean(text, cap < sizeof text ? cap : sizeof text, s);
    const char *kept = arena_strdup(c->texts, text);
    return kept != NULL ? kept : "";
}

static void columns_init(struct columns *c, const struct ledger_outcome *o, size_t n)
{
    c->n = n;
    c->texts = arena_new(TEXTS_MAX_BYTES);
    c->batch_ids = mem_array(n + 1, sizeof *c->batch_ids);
    c->user_ids = mem_array(n + 1, sizeof *c->user_ids);
    c->retry_ms = mem_array(n + 1, sizeof *c->retry_ms);
    c->attempted = mem_array(n + 1, sizeof *c->attempted);
    c->doubles = mem_array(n + 1, sizeof *c->doubles);
    c->suppress = mem_array(n + 1, sizeof *c->suppress);
    c->sizes = mem_array(n + 1, sizeof *c->sizes);
    c->providers = mem_array(n + 1, sizeof *c->providers);
    c->hashes = mem_array(n + 1, sizeof *c->hashes);
    c->versions = mem_array(n + 1, sizeof *c->versions);
    c->contents = mem_array(n + 1, sizeof *c->contents);
    c->any_suppress = false;
    c->states = mem_array(n + 1, sizeof *c->states);
    c->reasons = mem_array(n + 1, sizeof *c->reasons);
    c->provider_ids = mem_array(n + 1, sizeof *c->provider_ids);
    for (size_t i = 0; i < n; i++) {
        if (o[i].state < DELIVERY_SENT || o[i].state > DELIVERY_DEFERRED)
            fp_panic("user %" PRId64 ": %d is not an outcome", o[i].user_id, (int)o[i].state);
        c->batch_ids[i] = o[i].batch_id;
        c->user_ids[i] = o[i].user_id;
        c->retry_ms[i] = o[i].retry_in_ms;
        c->attempted[i] = o[i].attempted;
        c->doubles[i] = o[i].maybe_double;
        c->suppress[i] = o[i].suppress;
        c->sizes[i] = o[i].size_bytes;
        c->providers[i] = o[i].provider_no;
        c->any_suppress |= o[i].suppress;
        c->hashes[i] = o[i].address_hash != NULL ? o[i].address_hash : "";
        c->versions[i] =
            (struct pg_bytes){o[i].template_version, o[i].template_version ? LEDGER_VERSION_BYTES : 0};
        c->contents[i] = (struct pg_bytes){o[i].content_hash, o[i].content_hash ? LEDGER_CONTENT_BYTES : 0};
        c->states[i] = delivery_state_name(o[i].state);
        c->reasons[i] = clean(c, o[i].reason, REASON_BYTES);
        c->provider_ids[i] = clean(c, o[i].provider_id, PROVIDER_BYTES);
    }
}

static void columns_fini(struct columns *c)
{
    mem_free(c->batch_ids);
    mem_free(c->user_ids);
    mem_free(c->retry_ms);
    mem_free(c->attempted);
    mem_free(c->doubles);
    mem_free(c->suppress);
    mem_free(c->sizes);
    mem_free(c->providers);
    mem_free(c->hashes);
    mem_free(c->versions);
    mem_free(c->contents);
    mem_free(c->states);
    mem_free(c->reasons);
    mem_free(c->provider_ids);
    arena_free(c->texts);
}

/* --- record ------------------------------------------------------------------------ */

/* DISTINCT ON: an upsert may not meet one user twice. A user who is not in the
 * batch is nobody's, and is left out.
 *
 * The planner cannot look into an array behind a SELECT. Else it takes the number
 * of its elements for worth a new plan at each execution, and planning is a
 * quarter of the statement's time. */
/* clang-format off */
#define MINE "b.epoch = h.epoch AND b.owner = $1::uuid AND b.state = 'sending'"
#define RECORD \
    "WITH held AS MATERIALIZED (" \
    "  SELECT id, epoch, id = ANY ((SELECT $4::bigint[])::bigint[]) OR id = ANY ((SELECT $12::bigint[])::bigint[])" \
    "   OR id = ANY ((SELECT $14::bigint[])::bigint[]) AS touched" \
    "  FROM unnest((SELECT $2::bigint[]), (SELECT $3::integer[])) AS h (id, epoch))," \
    " outcomes AS MATERIALIZED (" \
    "  SELECT * FROM unnest((SELECT $4::bigint[]), (SELECT $5::bigint[]), (SELECT $6::text[])," \
    "   (SELECT $7::text[]), (SELECT $8::text[]), (SELECT $9::integer[]), (SELECT $10::integer[])," \
    "   (SELECT $11::bigint[]), (SELECT $16::text[]), (SELECT $17::bytea[]), (SELECT $18::bytea[])," \
    "   (SELECT $19::integer[]), (SELECT $20::integer[])) AS o (batch_id, user_id, state, reason, provider_id," \
    "   attempted, doubles, retry_ms, hash, version, content, size, provider))," \
    " opened AS MATERIALIZED (" \
    "  SELECT * FROM unnest((SELECT $12::bigint[]), (SELECT $13::bigint[])) AS n (batch_id, user_id))," \
    " withdrawn AS MATERIALIZED (" \
    "  SELECT * FROM unnest((SELECT $14::bigint[]), (SELECT $15::bigint[])) AS w (batch_id, user_id))," \
    " fenced AS (" \
    "  UPDATE foliopost.batches b SET open_intents = ARRAY(" \
    "   SELECT x FROM unnest(b.open_intents) AS x" \
    "   WHERE NOT EXISTS (SELECT FROM outcomes o WHERE o.batch_id = b.id AND o.user_id = x)" \
    "    AND NOT EXISTS (SELECT FROM withdrawn w WHERE w.batch_id = b.id AND w.user_id = x)" \
    "   UNION SELECT n.user_id FROM opened n" \
    "   WHERE n.batch_id = b.id AND n.user_id = ANY (b.user_ids) AND j.state = 'IN_PROGRESS' AND NOT " OUTSIDE ")" \
    "  FROM held h, foliopost.jobs j, foliopost.instances i" \
    "  WHERE h.touched AND b.id = h.id AND " MINE \
    "   AND j.id = b.job_id AND " LIVES \
    "  RETURNING b.id, b.job_id, b.epoch, b.user_ids, j.state)," \
    " written AS (" \
    "  INSERT INTO foliopost.deliveries AS d (job_id, user_id, batch_id, epoch, state, reason," \
    "   provider_id, attempts, maybe_doubles, due_at, address_hash, template_version, content_hash, size_bytes," \
    "   provider)" \
    "  SELECT DISTINCT ON (f.job_id, o.user_id) f.job_id, o.user_id, f.id, f.epoch, o.state, o.reason," \
    "   o.provider_id, o.attempted, o.doubles, CASE o.state WHEN 'deferred' THEN " IN_MS("o.retry_ms") " END," \
    "   nullif(o.hash, '')::uuid, nullif(o.version, ''), nullif(o.content, ''), nullif(o.size, 0)," \
    "   nullif(o.provider, 0)" \
    "  FROM fenced f JOIN outcomes o ON o.batch_id = f.id" \
    "  WHERE o.user_id = ANY (f.user_ids)" \
    "  ON CONFLICT (job_id, user_id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state," \
    "   reason = excluded.reason, provider_id = excluded.provider_id," \
    "   attempts = d.attempts + excluded.attempts," \
    "   maybe_doubles = d.maybe_doubles + excluded.maybe_doubles," \
    "   due_at = excluded.due_at, address_hash = excluded.address_hash," \
    "   template_version = excluded.template_version, content_hash = excluded.content_hash," \
    "   size_bytes = excluded.size_bytes, provider = excluded.provider," \
    "   updated_at = excluded.updated_at" \
    "  WHERE d.state = 'requeued' AND d.batch_id = excluded.batch_id)"
#define RECORDED \
    " SELECT h.id, CASE WHEN h.touched THEN f.id IS NOT NULL ELSE coalesce(" MINE " AND " LIVES ", false) END," \
    "  coalesce(f.state, j.state), coalesce(" OUTSIDE ", false)" \
    " FROM held h LEFT JOIN fenced f ON f.id = h.id" \
    " LEFT JOIN foliopost.batches b ON b.id = h.id LEFT JOIN foliopost.jobs j ON j.id = b.job_id" \
    " LEFT JOIN foliopost.instances i ON i.id = $1::uuid"

/* The same with mailboxes that are not there: suppressed in the statement that
 * records it, and an event for the guards. Its own text, so that the common one
 * does not pay for it. */
#define SUPPRESSING \
    ", bounced AS (" \
    "  SELECT f.job_id, o.user_id, o.reason, o.hash" \
    "  FROM fenced f JOIN unnest($4::bigint[], $5::bigint[], $7::text[], $16::text[], $21::integer[])" \
    "   AS o (batch_id, user_id, reason, hash, suppress) ON o.batch_id = f.id" \
    "  WHERE o.suppress > 0 AND o.user_id = ANY (f.user_ids))," \
    " suppressed AS (" SUPPRESSION_INSERT \
    "  SELECT DISTINCT ON (user_id, hash) user_id, nullif(hash, '')::uuid, 'all', 'hard_bounce', 'mailer'," \
    "   reason, job_id, clock_timestamp(), NULL::timestamptz FROM bounced" SUPPRESSION_MERGE ")," \
    " told AS (" \
    "  INSERT INTO foliopost.delivery_events (job_id, user_id, event, provider, detail, occurred_at)" \
    "  SELECT job_id, user_id, 'bounced', 'mailer', reason, clock_timestamp() FROM bounced" \
    "  ON CONFLICT (job_id, event, user_id, event_key) DO NOTHING)"

static const char record_sql[] = RECORD RECORDED;
static const char record_suppress_sql[] = RECORD SUPPRESSING RECORDED;
/* clang-format on */

static void arg_held(struct pg_args *a, const struct ledger_held *held, size_t n)
{
    int64_t *ids = mem_array(n + 1, sizeof *ids);
    int32_t *epochs = mem_array(n + 1, sizeof *epochs);
    for (size_t i = 0; i < n; i++) {
        ids[i] = held[i].batch_id;
        epochs[i] = held[i].epoch;
    }
    pg_arg_i64s(a, ids, n);
    pg_arg_i32s(a, epochs, n);
    mem_free(ids);
    mem_free(epochs);
}

static void arg_intents(struct pg_args *a, const struct ledger_intent *v, size_t n)
{
    int64_t *batch_ids = mem_array(n + 1, sizeof *batch_ids);
    int64_t *user_ids = mem_array(n + 1, sizeof *user_ids);
    for (size_t i = 0; i < n; i++) {
        batch_ids[i] = v[i].batch_id;
        user_ids[i] = v[i].user_id;
    }
    pg_arg_i64s(a, batch_ids, n);
    pg_arg_i64s(a, user_ids, n);
    mem_free(batch_ids);
    mem_free(user_ids);
}

/* True when somebody is to be suppressed. */
static bool record_args(struct pg_args *a, const struct ledger_record *r)
{
    struct columns c;
    columns_init(&c, r->outcomes, r->n_outcomes);
    pg_args_init(a);
    pg_arg_text(a, r->owner);
    arg_held(a, r->held, r->n_held);
    pg_arg_i64s(a, c.batch_ids, c.n);
    pg_arg_i64s(a, c.user_ids, c.n);
    pg_arg_texts(a, c.states, c.n);
    pg_arg_texts(a, c.reasons, c.n);
    pg_arg_texts(a, c.provider_ids, c.n);
    pg_arg_i32s(a, c.attempted, c.n);
    pg_arg_i32s(a, c.doubles, c.n);
    pg_arg_i64s(a, c.retry_ms, c.n);
    arg_intents(a, r->intents, r->n_intents);
    arg_intents(a, r->withdrawn, r->n_withdrawn);
    pg_arg_texts(a, c.hashes, c.n);
    pg_arg_bytes_list(a, c.versions, c.n);
    pg_arg_bytes_list(a, c.contents, c.n);
    pg_arg_i32s(a, c.sizes, c.n);
    pg_arg_i32s(a, c.providers, c.n);
    if (c.any_suppress)
        pg_arg_i32s(a, c.suppress, c.n);
    columns_fini(&c);
    return c.any_suppress;
}

/* Held rows come in any order. */
static void read_held(struct ledger_record *r, const struct fp_rows *rows)
{
    for (int row = 0; row < pg_rows_count(rows); row++) {
        for (size_t i = 0; i < r->n_held; i++) {
            if (r->held[i].batch_id == pg_i64(rows, row, 0)) {
                r->held[i].held = pg_bool(rows, row, 1);
                r->held[i].job_state = job_state_from_name(pg_text(rows, row, 2));
                r->held[i].outside = pg_bool(rows, row, 3);
            }
        }
    }
}

int ledger_record(struct fp_ledger *l, struct ledger_record *r, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    for (size_t i = 0; i < r->n_held; i++) {
        r->held[i].held = false;
        r->held[i].job_state = JOB_UNKNOWN;
        r->held[i].outside = false;
    }
    if (r->n_held == 0 || ledger_keeps_none(r))
        return 0;
    bool suppress = record_args(&a, r);
    int rc = ledger_step(l, suppress ? "record_suppress" : "record",
                         suppress ? record_suppress_sql : record_sql, &a, &rows, err);
    r->in_doubt |= l->in_doubt;
    if (rc != 0)
        return -1;
    read_held(r, rows);
    pg_rows_free(rows);
    return 0;
}

/* --- late truth ----------------------------------------------------------------------- */

/* The rows that expire marked for this claim, and that nobody changed since:
 * ambiguous ones, and requeued ones as long as nobody claimed the batch again.
 * Whose batch is claimed in this moment is told by its row: it is locked first
 * and read under the lock, and a claim reads who is due after its own commit.
 * Who was certainly not attempted gets back the attempt that expire counted;
 * maybe_doubles is never lowered.
 *
 * Back to deferred only while the job is open, and counted in jobs.revived,
 * which keeps complete from going by an older snapshot (complete.c). A batch
 * that is being finished in this very moment by its new owner keeps counting
 * the user as ambiguous; the deliveries, the report and the proof do not. */
/* clang-format off */
static const char late_sql[] =
    "WITH batch AS ("
    "  SELECT id, job_id, state, epoch = $2 AND state = 'queued' AS unclaimed"
    "  FROM foliopost.batches"
    "  WHERE id = $1 AND epoch >= $2"
    "  FOR UPDATE),"
    " truth AS ("
    "  SELECT * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[],"
    "   $8::integer[], $9::integer[], $10::bytea[], $11::bytea[], $12::integer[])"
    "   AS o (user_id, state, reason, provider_id, retry_ms, attempted, doubles, version, content, provider)),"
    " revived AS ("
    "  UPDATE foliopost.jobs j SET revived = j.revived + 1"
    "  FROM batch"
    "  WHERE j.id = batch.job_id AND j.state IN ('IN_PROGRESS', 'PAUSED')"
    "   AND 'deferred' = ANY ($4::text[])"
    "  RETURNING j.id),"
    " changed AS ("
    "  UPDATE foliopost.deliveries d SET state = o.state, reason = o.reason, provider_id = o.provider_id,"
    "   provider = nullif(o.provider, 0), attempts = greatest(d.attempts - 1 + o.attempted, 0),"
    "   maybe_doubles = d.maybe_doubles + (o.doubles > 0 AND d.state = 'ambiguous')::integer,"
    "   due_at = CASE o.state WHEN 'deferred' THEN " IN_MS("o.retry_ms") " END,"
    "   template_version = nullif(o.version, ''), content_hash = nullif(o.content, ''),"
    "   updated_at = clock_timestamp()"
    "  FROM batch, truth o"
    "  WHERE d.job_id = batch.job_id AND d.user_id = o.user_id AND d.batch_id = batch.id AND d.epoch = $2"
    "   AND (d.state = 'ambiguous' OR (d.state = 'requeued' AND batch.unclaimed))"
    "   AND d.reason = '" LEDGER_EXPIRED "' AND o.state <> 'ambiguous'"
    "   AND (o.state <> 'deferred' OR EXISTS (SELECT FROM revived))"
    "  RETURNING o.state),"
    " counted AS ("
    "  UPDATE foliopost.batches b SET ambiguous = b.ambiguous - s.n, sent = b.sent + s.sent,"
    "   failed = b.failed + s.failed, skipped = b.skipped + s.skipped, deferred = b.deferred + s.deferred"
    "  FROM batch, (SELECT count(*) AS n, count(*) FILTER (WHERE state = 'sent') AS sent,"
    "   count(*) FILTER (WHERE state = 'failed') AS failed,"
    "   count(*) FILTER (WHERE state = 'skipped') AS skipped,"
    "   count(*) FILTER (WHERE state = 'deferred') AS deferred FROM changed) s"
    "  WHERE b.id = batch.id AND batch.state IN ('done', 'split') AND s.n > 0)"
    " SELECT count(*) FROM changed";
/* clang-format on */

/* A mailbox that is not there is a truth whoever tells it: apart, since it
 * hangs on no claim. */
static int suppress_late(struct fp_ledger *l, const struct ledger_outcome *o, size_t n, struct fp_err *err)
{
    struct ledger_suppression *s = mem_array(n + 1, sizeof *s);
    int64_t added;
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        if (!o[i].suppress)
            continue;
        struct ledger_suppression *to = &s[found++];
        to->user_id = o[i].user_id;
        to->reason = SUPPRESSION_HARD_BOUNCE;
        snprintf(to->address_hash, sizeof to->address_hash, "%s", o[i].address_hash ? o[i].address_hash : "");
        snprintf(to->source, sizeof to->source, "mailer");
        text_clean(to->evidence, sizeof to->evidence, o[i].reason ? o[i].reason : "");
    }
    int rc = ledger_suppress(l, s, found, NULL, &added, err);
    mem_free(s);
    return rc;
}

int ledger_late_truth(struct fp_ledger *l, int64_t batch_id, int32_t epoch,
                      const struct ledger_outcome *outcomes, size_t n, struct fp_err *err)
{
    struct pg_args a;
    struct columns c;
    struct fp_rows *rows;
    columns_init(&c, outcomes, n);
    pg_args_init(&a);
    pg_arg_i64(&a, batch_id);
    pg_arg_i64(&a, epoch);
    pg_arg_i64s(&a, c.user_ids, n);
    pg_arg_texts(&a, c.states, n);
    pg_arg_texts(&a, c.reasons, n);
    pg_arg_texts(&a, c.provider_ids, n);
    pg_arg_i64s(&a, c.retry_ms, n);
    pg_arg_i32s(&a, c.attempted, n);
    pg_arg_i32s(&a, c.doubles, n);
    pg_arg_bytes_list(&a, c.versions, n);
    pg_arg_bytes_list(&a, c.contents, n);
    pg_arg_i32s(&a, c.providers, n);
    columns_fini(&c);
    if (ledger_step(l, "late_truth", late_sql, &a, &rows, err) != 0)
        return -1;
    int changed = (int)pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return suppress_late(l, outcomes, n, err) != 0 ? -1 : changed;
}
