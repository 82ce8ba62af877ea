/*
 * The leader's sweep: expire, redo, retry, and what it measures by.
 *
 * Each joins the leader's row. Where rows are picked first and changed after,
 * the picking locks them (FOR UPDATE) and reads under the lock what it needs,
 * so that a statement that waited goes on with the row as it is now.
 */
#include "lib/ledger/sweep.h"

#include "lib/ledger/ledger_internal.h"

static int read_emits(struct ledger_emit *out, const struct fp_rows *r)
{
    int n = pg_rows_count(r);
    for (int i = 0; i < n; i++) {
        out[i] = (struct ledger_emit){.job_id = pg_i64(r, i, 0), .batch_id = pg_i64(r, i, 1), .emits = 1};
        ledger_text(out[i].traceparent, sizeof out[i].traceparent, r, i, 2);
    }
    return n;
}

/* --- expire ---------------------------------------------------------------------- */

/*
 * gone: a renewal in the same moment meets this on the instance's row, and one
 * of both changes nothing. orphaned: batches of theirs, and of owners that are
 * not live for whatever reason (ended in a hurry; a claim that was committing
 * while its instance was swept). held: the batches as they are under the lock,
 * with the intents of a record that we waited for; the epoch says it is still
 * the orphan's claim. A record that waits for us finds the batch queued.
 * Outcomes: an intent is open only while it has none, so the upsert needs to
 * look at nothing but the row it meets. tried: his attempts so far; they stand
 * still from the claim on while his intent is open. The last attempt leaves him
 * ambiguous also where the policy is resend.
 */
/* clang-format off */
static const char expire_sql[] =
    "WITH gone AS ("
    "  UPDATE foliopost.instances i SET state = 'expired' FROM foliopost.leader l"
    "  WHERE i.state = 'live' AND NOT " LEASE_HOLDS("i") " AND " LEADS " RETURNING i.id),"
    " orphaned AS MATERIALIZED ("
    "  SELECT b.id, b.epoch FROM foliopost.batches b, foliopost.leader l"
    "  WHERE b.state = 'sending' AND " LEADS " AND (b.owner IN (SELECT id FROM gone) OR NOT EXISTS"
    "   (SELECT FROM foliopost.instances i WHERE i.id = b.owner AND i.state = 'live'))),"
    " held AS ("
    "  SELECT b.id, b.job_id, b.epoch, b.open_intents, j.ambiguous_policy = 'resend' AS resend,"
    "   least(j.max_attempts, " LEDGER_STR(LEDGER_MAX_UNCLEAR) ") AS max_attempts"
    "  FROM foliopost.batches b"
    "  JOIN orphaned o ON o.id = b.id AND o.epoch = b.epoch"
    "  JOIN foliopost.jobs j ON j.id = b.job_id"
    "  WHERE b.state = 'sending'"
    "  ORDER BY b.id"
    "  FOR UPDATE OF b),"
    " back AS ("
    "  UPDATE foliopost.batches b SET state = 'queued', due_at = '-infinity', redos = b.redos + 1,"
    "   open_intents = '{}', claim_token = NULL FROM held h WHERE b.id = h.id RETURNING b.id),"
    " marked AS ("
    "  INSERT INTO foliopost.deliveries AS d (job_id, user_id, batch_id, epoch, state, reason, attempts,"
    "   maybe_doubles)"
    "  SELECT h.job_id, u.user_id, h.id, h.epoch, CASE WHEN x.again THEN 'requeued' ELSE 'ambiguous' END,"
    "   '" LEDGER_EXPIRED "', 1, x.again::integer"
    "  FROM held h"
    "  JOIN back ON back.id = h.id"
    "  CROSS JOIN unnest(h.open_intents) AS u (user_id)"
    "  LEFT JOIN LATERAL (SELECT attempts FROM foliopost.deliveries"
    "   WHERE job_id = h.job_id AND user_id = u.user_id LIMIT 1) tried ON true"
    "  CROSS JOIN LATERAL"
    "   (SELECT h.resend AND coalesce(tried.attempts, 0) + 1 < h.max_attempts AS again) x"
    "  ON CONFLICT (job_id, user_id) DO UPDATE SET epoch = excluded.epoch, state = excluded.state,"
    "   reason = excluded.reason, provider = NULL, attempts = d.attempts + 1,"
    "   maybe_doubles = d.maybe_doubles + excluded.maybe_doubles, updated_at = excluded.updated_at"
    "  WHERE d.state = 'requeued' AND d.batch_id = excluded.batch_id RETURNING d.state)"
    " SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM back),"
    "  (SELECT count(*) FROM marked WHERE state = 'ambiguous'),"
    "  (SELECT count(*) FROM marked WHERE state = 'requeued')";
/* clang-format on */

int ledger_expire(struct fp_ledger *l, const char *leader, struct ledger_expired *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    if (ledger_step(l, "expire", expire_sql, &a, &rows, err) != 0)
        return -1;
    *out = (struct ledger_expired){.instances = (int)pg_i64(rows, 0, 0),
                                   .batches = (int)pg_i64(rows, 0, 1),
                                   .ambiguous = (int)pg_i64(rows, 0, 2),
                                   .requeued = (int)pg_i64(rows, 0, 3)};
    pg_rows_free(rows);
    return 0;
}

/* --- redo --------------------------------------------------------------------------- */

/* A lost message goes again within this, however often it was lost before. The waits double also while the
 * pipeline moves: copies that came sooner would bring more of who takes workers down, to who stands beside
 * him. */
#define REDO_MAX_MS "120000"
/* The newest batches, by key: enough of them to tell whether the pipeline
 * moves, few enough to read once a second. */
#define RECENT "(SELECT first_emitted_at, claimed_at FROM foliopost.batches ORDER BY id DESC LIMIT 1000)"

/*
 * Due at -infinity (released, expired, resumed) goes at once and counts
 * nothing; another must be older than $4, since it may still be on its way.
 *
 * It counts towards a split when the pipeline has shown that it works: a batch
 * that was first emitted later was claimed. First: a batch that is claimed by
 * an old copy would else seem younger than its peers in the same queue.
 *
 * The last batches of all would wait for that for ever, so they count also
 * when nothing is being sent, at most three are in flight, and each service
 * has a live process. All this holds too while the source or the bus is in
 * trouble, so it leads to a split and no further: for a single user, whom the
 * next count could make poison, only an overtaking claim (or expire) counts.
 * One who takes his workers down with nobody beside him waits for the next
 * batch of any job, or for his job's deadline.
 *
 * Single users who came through neither of their first ways go one at a time:
 * the next when the one before was claimed, or after half the first wait. Whom
 * one of them takes down with him is then no second of them, who would be
 * taken for another.
 */
#define SUSPECT(b)                                                                                           \
    "cardinality(" b ".user_ids) = 1 AND " b                                                                 \
    ".redos BETWEEN " LEDGER_STR(SUSPECT_REDOS) " AND " LEDGER_STR(LEDGER_MAX_REDOS)
#define SUSPECT_REDOS 2
#define IS_DUE(b)                                                                                            \
    b ".state = 'queued' AND " b                                                                             \
      ".redos < " LEDGER_STR(LEDGER_MAX_REDOS) " AND (" b ".due_at = '-infinity' OR (" b                     \
                                               ".due_at <= clock_timestamp()"                                \
                                               " AND " b                                                     \
                                               ".emitted_at <= clock_timestamp() - $4 * interval '1 ms'))"
/* clang-format off */
static const char redo_sql[] =
    "WITH moved AS MATERIALIZED ("
    "  SELECT max(r.first_emitted_at) AS until"
    "  FROM " RECENT " r"
    "  WHERE r.claimed_at >= r.first_emitted_at),"
    " alone AS MATERIALIZED ("
    "  SELECT count(*) <= 3 AND count(*) FILTER (WHERE b.state = 'sending') = 0"
    "   AND 3 = (SELECT count(DISTINCT i.service) FROM foliopost.instances i WHERE i.state = 'live'"
    "    AND i.service IN ('userstream', 'stats', 'mailer') AND " LEASE_HOLDS("i") ") AS yes"
    "  FROM foliopost.batches b JOIN foliopost.jobs j ON j.id = b.job_id AND j.state = 'IN_PROGRESS' AND NOT " OUTSIDE
    "  WHERE b.state IN ('queued', 'sending')),"
    " lone AS MATERIALIZED ("
    "  SELECT b.id FROM foliopost.batches b"
    "  JOIN foliopost.jobs j ON j.id = b.job_id AND j.state = 'IN_PROGRESS' AND NOT " OUTSIDE
    "  WHERE " IS_DUE("b") " AND " SUSPECT("b")
    "   AND NOT EXISTS (SELECT FROM foliopost.batches o"
    "    WHERE o.state = 'queued' AND o.id <> b.id AND " SUSPECT("o")
    "     AND o.emitted_at > clock_timestamp() - $3 / 2 * interval '1 ms')"
    "  ORDER BY b.due_at, b.id LIMIT 1),"
    " due AS ("
    "  SELECT b.id, j.traceparent, b.due_at = '-infinity' AS at_once,"
    "   b.due_at > '-infinity' AND (coalesce(b.emitted_at < moved.until, false)"
    "    OR (alone.yes AND cardinality(b.user_ids) > 1)) AS counted"
    "  FROM moved, alone, foliopost.leader l, foliopost.batches b"
    "  JOIN foliopost.jobs j ON j.id = b.job_id AND j.state = 'IN_PROGRESS' AND NOT " OUTSIDE
    "  WHERE " LEADS
    "   AND " IS_DUE("b")
    "   AND (NOT (" SUSPECT("b") ") OR b.id = (SELECT id FROM lone))"
    "  ORDER BY b.due_at, b.id"
    "  LIMIT $2"
    "  FOR UPDATE OF b SKIP LOCKED)"
    " UPDATE foliopost.batches b"
    " SET emits = b.emits + 1,"
    "  emitted_at = clock_timestamp(),"
    "  first_emitted_at = CASE WHEN due.at_once THEN clock_timestamp() ELSE b.first_emitted_at END,"
    "  due_at = clock_timestamp() + least(" REDO_MAX_MS ", $3 * 2.0 ^ least(greatest(b.emits - 1, 0), 20))"
    "   * (0.95 + 0.1 * random()) * interval '1 ms',"
    "  redos = b.redos + due.counted::integer"
    " FROM due"
    " WHERE b.id = due.id AND b.state = 'queued'"
    " RETURNING b.job_id, b.id, due.traceparent, b.emits, due.counted";
/* clang-format on */

int ledger_redo(struct fp_ledger *l, const char *leader, int base_ms, int min_age_ms, struct ledger_emit *out,
                int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, max);
    pg_arg_f64(&a, base_ms);
    pg_arg_i64(&a, min_age_ms);
    if (ledger_marks_batches(l, leader, "redo", redo_sql, &a, &rows, err) != 0)
        return -1;
    int n = read_emits(out, rows);
    for (int i = 0; i < n; i++) {
        out[i].emits = (int32_t)pg_i64(rows, i, 3);
        out[i].counted = pg_bool(rows, i, 4);
    }
    pg_rows_free(rows);
    return n;
}

/* The number of emissions is the fence: a repeated call finds another one. */
/* clang-format off */
static const char not_emitted_sql[] =
    "UPDATE foliopost.batches b"
    " SET emits = b.emits - 1,"
    "  redos = b.redos - e.counted,"
    "  due_at = '-infinity'"
    " FROM foliopost.leader l,"
    "  unnest($2::bigint[], $3::integer[], $4::integer[]) AS e (id, emits, counted)"
    " WHERE b.id = e.id AND b.emits = e.emits AND b.state = 'queued' AND " LEADS;
/* clang-format on */

int ledger_not_emitted(struct fp_ledger *l, const char *leader, const struct ledger_emit *e, int n,
                       struct fp_err *err)
{
    struct pg_args a;
    int64_t *ids = mem_array((size_t)n + 1, sizeof *ids);
    int32_t *emits = mem_array((size_t)n + 1, sizeof *emits);
    int32_t *counted = mem_array((size_t)n + 1, sizeof *counted);
    for (int i = 0; i < n; i++) {
        ids[i] = e[i].batch_id;
        emits[i] = e[i].emits;
        counted[i] = e[i].counted;
    }
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64s(&a, ids, (size_t)n);
    pg_arg_i32s(&a, emits, (size_t)n);
    pg_arg_i32s(&a, counted, (size_t)n);
    mem_free(ids);
    mem_free(emits);
    mem_free(counted);
    return ledger_count(l, "not_emitted", not_emitted_sql, &a, err) < 0 ? -1 : 0;
}

/* --- retry ---------------------------------------------------------------------------- */

/* clang-format off */
static const char retry_sql[] =
    "WITH job AS ("
    "  SELECT j.id, j.round, j.traceparent, least(100, j.batch_size) AS size"
    "  FROM foliopost.jobs j, foliopost.leader l WHERE j.id = $2 AND j.state = 'IN_PROGRESS' AND " LEADS "),"
    " picked AS ("
    "  SELECT d.user_id FROM foliopost.deliveries d"
    "  WHERE d.job_id = $2 AND d.state = 'deferred' AND d.due_at <= clock_timestamp()"
    "   AND EXISTS (SELECT FROM job)"
    "  ORDER BY d.due_at LIMIT (SELECT size FROM job) FOR UPDATE SKIP LOCKED),"
    " made AS ("
    "  INSERT INTO foliopost.batches (job_id, interval_no, round, origin, user_ids, due_at)"
    "  SELECT job.id, 0, job.round, 'retry', p.user_ids, " IN_MS("$3")
    "  FROM job, (SELECT array_agg(user_id ORDER BY user_id) AS user_ids FROM picked) p"
    "  WHERE p.user_ids IS NOT NULL RETURNING id, cardinality(user_ids) AS users),"
    " requeued AS ("
    "  UPDATE foliopost.deliveries d SET state = 'requeued', batch_id = made.id, due_at = NULL,"
    "   updated_at = clock_timestamp() FROM made, picked p"
    "  WHERE d.job_id = $2 AND d.user_id = p.user_id AND d.state = 'deferred')"
    " SELECT job.id, made.id, job.traceparent, made.users FROM job, made";
/* clang-format on */

int ledger_retry(struct fp_ledger *l, const char *leader, int64_t job_id, int due_ms, struct ledger_emit *out,
                 struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, leader);
    pg_arg_i64(&a, job_id);
    pg_arg_i64(&a, due_ms);
    if (ledger_marks_batches(l, leader, "retry", retry_sql, &a, &rows, err) != 0)
        return -1;
    int n = read_emits(out, rows);
    if (n > 0)
        out->users = (int)pg_i64(rows, 0, 3);
    pg_rows_free(rows);
    return n;
}

static const char retry_late_sql[] =
    "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8 FROM foliopost.deliveries"
    " WHERE job_id = $1 AND state = 'deferred' AND due_at <= clock_timestamp()";

int ledger_retry_late_s(struct fp_ledger *l, int64_t job_id, double *late_s, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "retry_late", retry_late_sql, &a, &rows, err) != 0)
        return -1;
    *late_s = pg_f64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* --- measures --------------------------------------------------------------------------- */

static const char in_flight_sql[] =
    "SELECT count(*) FROM foliopost.batches WHERE job_id = $1 AND state IN ('queued', 'sending')";

int ledger_in_flight(struct fp_ledger *l, int64_t job_id, int64_t *batches, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "in_flight", in_flight_sql, &a, &rows, err) != 0)
        return -1;
    *batches = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* clang-format off */
static const char most_emitted_sql[] =
    "SELECT id, emits"
    " FROM foliopost.batches"
    " WHERE job_id = $1 AND state = 'queued'"
    " ORDER BY emits DESC, id"
    " LIMIT 1";
/* clang-format on */

int ledger_most_emitted(struct fp_ledger *l, int64_t job_id, int64_t *batch_id, int32_t *emits,
                        struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, job_id);
    if (ledger_step(l, "most_emitted", most_emitted_sql, &a, &rows, err) != 0)
        return -1;
    bool any = pg_rows_count(rows) > 0;
    *batch_id = any ? pg_i64(rows, 0, 0) : 0;
    *emits = any ? (int32_t)pg_i64(rows, 0, 1) : 0;
    pg_rows_free(rows);
    return 0;
}

/* Claims to go by: many enough for a quarter of them, few enough that an outage's long
 * waits are soon past. A slow pipeline claims one in minutes; after an hour
 * without any nothing is known. */
#define CLAIMS   "32"
#define MEASURED "interval '1 hour'"
/* An outage of hours must not keep the next lost message waiting for hours. */
#define LATENCY_MAX "interval '10 minutes'"

/* From the first copy on: the later ones of a slow pipeline stand behind it. A
 * batch whose first copy was lost waited for its redo, and that is no latency:
 * in the mean it makes the next lost one wait four times as long, and so on up
 * to many minutes. So it is the lower quarter that counts: what gets through,
 * also while most is lost. Four times that still covers latencies spread evenly
 * from nothing to twice their mean. */
/* clang-format off */
static const char latency_sql[] =
    "SELECT coalesce(1000 * extract(epoch FROM percentile_cont(0.25) WITHIN GROUP (ORDER BY"
    "   least(c.claimed_at - c.first_emitted_at, " LATENCY_MAX "))), 0)::bigint"
    " FROM (SELECT r.first_emitted_at, r.claimed_at"
    "  FROM " RECENT " r"
    "  WHERE r.claimed_at >= r.first_emitted_at AND r.claimed_at > clock_timestamp() - " MEASURED
    "  ORDER BY r.claimed_at DESC"
    "  LIMIT " CLAIMS ") c";
/* clang-format on */

int ledger_latency_ms(struct fp_ledger *l, int64_t *ms, struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, "latency", latency_sql, NULL, &rows, err) != 0)
        return -1;
    *ms = pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}
