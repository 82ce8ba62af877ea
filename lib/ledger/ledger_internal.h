/* What the files of lib/ledger share; nobody else includes it. */
#ifndef FP_LEDGER_INTERNAL_H
#define FP_LEDGER_INTERNAL_H

#include "lib/ledger/batches.h"
#include "lib/ledger/intervals.h"

#define LEDGER_STR_(x) #x
#define LEDGER_STR(x)  LEDGER_STR_(x)

/* A lease, in SQL. One that ends later than twice its length from now was
 * written by a clock that was wrong then or is now, and counts as over. */
#define LEASE_LENGTH "(" LEDGER_STR(LEDGER_LEASE_MS) " * interval '1 ms')"
#define LEASE_HOLDS(t)                                                                                       \
    "(" t ".lease_until > clock_timestamp() AND " t ".lease_until < clock_timestamp() + 2 * " LEASE_LENGTH ")"
/* The row l of leader is mine and its lease holds; $1 is my UUID. */
#define LEADS "(l.owner = $1::uuid AND " LEASE_HOLDS("l") ")"
/* The same for one statement that may run longer than what is left of the lease:
 * it held when the statement began, by the row of its snapshot. */
#define LED                                                                                                  \
    "(l.owner = $1::uuid AND l.lease_until > statement_timestamp()"                                          \
    " AND l.lease_until < statement_timestamp() + 2 * " LEASE_LENGTH ")"
/* The row i of instances is mine and its lease holds; $1 is my UUID. */
#define LIVES "(i.id = $1::uuid AND i.state = 'live' AND " LEASE_HOLDS("i") ")"
/* The job j is outside its hours, by one time for all of a statement. Most have none. */
#define OUTSIDE                                                                                              \
    "(j.send_window <> '' AND NOT j.dry_run"                                                                 \
    " AND foliopost.outside_hours(j.send_window, j.time_zone, statement_timestamp()))"
/* $n milliseconds from now. */
#define IN_MS(n) "clock_timestamp() + " n "::bigint * interval '1 ms'"

/* The reason expire writes, by which late truth knows its rows. */
#define LEDGER_EXPIRED "lease over while sending"

/* An upsert of suppressions: SUPPRESSION_INSERT, a SELECT of its columns (one row
 * for each subject), SUPPRESSION_MERGE. What changes nothing writes nothing. */
/* clang-format off */
#define SUPPRESSION_RANK(r) "array_position(ARRAY['hard_bounce', 'manual', 'unsubscribe', 'complaint'], " r ")"
#define SUPPRESSION_INSERT \
    " INSERT INTO foliopost.suppressions AS s (user_id, address_hash, scope, reason, source, evidence," \
    "  job_id, first_seen, expires_at)"
#define SUPPRESSION_OVER "coalesce(s.expires_at <= clock_timestamp(), false)"
#define SUPPRESSION_WINS \
    "(" SUPPRESSION_OVER " OR " SUPPRESSION_RANK("excluded.reason") " > " SUPPRESSION_RANK("s.reason") ")"
#define SUPPRESSION_TAKE(c) c " = CASE WHEN " SUPPRESSION_WINS " THEN excluded." c " ELSE s." c " END"
#define SUPPRESSION_MERGE \
    " ON CONFLICT (coalesce(user_id, 0)," \
    "  coalesce(address_hash, '00000000-0000-0000-0000-000000000000'::uuid), scope) DO UPDATE SET " \
    SUPPRESSION_TAKE("reason") ", " SUPPRESSION_TAKE("source") ", " SUPPRESSION_TAKE("evidence") ", " \
    SUPPRESSION_TAKE("job_id") "," \
    " first_seen = CASE WHEN " SUPPRESSION_OVER " THEN excluded.first_seen" \
    "  ELSE least(s.first_seen, excluded.first_seen) END," \
    " expires_at = CASE WHEN " SUPPRESSION_OVER " THEN excluded.expires_at" \
    "  WHEN s.expires_at IS NULL OR excluded.expires_at IS NULL THEN NULL" \
    "  ELSE greatest(s.expires_at, excluded.expires_at) END" \
    " WHERE " SUPPRESSION_WINS " OR (s.expires_at IS NOT NULL" \
    "  AND coalesce(excluded.expires_at > s.expires_at, true))"
/* clang-format on */

/* A line of the audit, in the statement of what it tells: " noted AS (" AUDIT_INSERT
 * " SELECT " AUDIT_BY("$3") ", 'pause', j.id, 'why' FROM ...)". The parameter is an actor (ledger.h). */
#define AUDIT_INSERT  " INSERT INTO foliopost.audit (actor, peer, action, job_id, detail)"
#define ACTOR_NAME(n) "split_part(" n ", chr(10), 1)"
#define AUDIT_BY(n)   ACTOR_NAME(n) ", split_part(" n ", chr(10), 2)"

/* The insert of a job by $1 to $34 (ledger_job_args()), but for what follows its
 * SELECT; $24 is the actor, `by` the submitter's name. Times of null become the database's.
 * restored: null, or to when the ledger was while this job may have been there already (recover.h).
 * A column more is a parameter more, at the end; the numbers of those behind them follow it here. */
#define JOB_N_ARGS   34
#define BEHIND_JOB_1 "$35"
#define BEHIND_JOB_2 "$36"
#define BEHIND_JOB_3 "$37"
#define BEHIND_JOB_4 "$38"
#define BEHIND_JOB_5 "$39"
#define BEHIND_JOB_6 "$40"
/* clang-format off */
#define JOB_INSERT(by, restored) \
    "INSERT INTO foliopost.jobs (request_id, spec_hash, parent_job, kind, title, brand, template_name," \
    "  template_hash, period_start, period_end, user_ids, registered_from, audience_end," \
    "  ambiguous_policy, max_attempts, batch_size, window_batches, interval_delay_ms, deadline, as_of," \
    "  mail_date, traceparent, canary_users, canary_wait_ms, needs_approval, time_zone, send_window," \
    "  rate_limit, share_ppm, share_seed, provider, dry_run, submitted_by, restored_to, state, response)" \
    " SELECT $1, $2, $3::bigint, $4, $5, $6, $7, $8, $9::date, $10::date, $11::bigint[]," \
    "  $12::timestamptz, least($13::timestamptz, clock_timestamp() - $14 * interval '1 ms'), $15," \
    "  $16::integer, $17::integer, $18::integer, $19::integer, $20::timestamptz," \
    "  coalesce($21::timestamptz, clock_timestamp()), coalesce($22::timestamptz, clock_timestamp()), $23," \
    "  $25::bigint, $26::bigint, $27::boolean, $28, $29, $30::float8, $31::integer, $32::bigint, $33," \
    "  $34::boolean, " by ", " restored ", CASE WHEN " restored " IS NULL THEN 'PENDING' ELSE 'PAUSED' END," \
    "  coalesce(foliopost.restored_text(" restored "), '')"
/* clang-format on */

struct fp_ledger {
    struct fp_pg *pg;
    char salt[129]; /* of the hashes of addresses, in hex; "": not read yet */
    bool in_doubt;  /* a try of the last step got no answer: it may be carried out yet */
    struct ledger_unsent {
        char leader[LEDGER_UUID];
        int64_t job_id; /* of a grant; 0: batches */
        int32_t interval_no;
        int64_t since_us; /* CLOCK_MONOTONIC; 0: nothing is in doubt */
    } unsent;             /* the last step that marked what is to be sent, when its reply was lost */
};

/* Runs one step. A step whose connection broke, or that lost a deadlock, is
 * run once more: every step is safe to repeat. The arguments are finished. */
int ledger_step(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                struct fp_rows **rows, struct fp_err *err) FP_MUST_CHECK;
/* The same with something to do before the second try, which is given up when that fails. */
int ledger_step_after(struct fp_ledger *l, int (*between)(struct fp_ledger *, struct fp_err *),
                      const char *name, const char *sql, struct pg_args *a, struct fp_rows **rows,
                      struct fp_err *err) FP_MUST_CHECK;
/* unsent.c: a step of the leader that marks as sent what it returns: batches, or an interval's grant. When
 * its reply is lost, what it marked is due at once, before the second try or the next such step. */
int ledger_marks_batches(struct fp_ledger *l, const char *leader, const char *name, const char *sql,
                         struct pg_args *a, struct fp_rows **rows, struct fp_err *err) FP_MUST_CHECK;
int ledger_marks_grant(struct fp_ledger *l, const char *leader, int64_t job_id, int32_t interval_no,
                       const char *name, const char *sql, struct pg_args *a, struct fp_rows **rows,
                       struct fp_err *err) FP_MUST_CHECK;
/* The same for a step of which only the number of rows matters: that number, -1 on error. */
int ledger_count(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                 struct fp_err *err) FP_MUST_CHECK;
/* For one that is not safe to repeat: an answer that is lost is an error. */
int ledger_count_once(struct fp_ledger *l, const char *name, const char *sql, struct pg_args *a,
                      struct fp_err *err) FP_MUST_CHECK;
struct ledger_record;
/* sabotage.c: the statement as it is, but for test builds that were told to take a protection out. */
#ifdef FP_TEST_HOOKS
const char *ledger_sabotaged(const char *name, const char *sql);
/* Says yes to a record and writes nothing, when told to: what then is faster is the ledger's share. */
bool ledger_keeps_none(struct ledger_record *r);
/* Test programs: so many times a step that ledger_lose_step names is carried out, its connection is lost
 * before its reply. */
extern const char *ledger_lose_step;
extern int ledger_lose_times;
bool ledger_loses_reply(struct fp_ledger *l, const char *name);
#else
#define ledger_sabotaged(name, sql) (sql)
#define ledger_keeps_none(r)        false
#define ledger_loses_reply(l, name) false
#endif
/* jobs.c: begins the parameters of a statement with JOB_INSERT. */
struct ledger_job;
void ledger_job_args(struct pg_args *a, const struct ledger_job *j, int margin_ms, const char *actor);
/* batches.c: a statement of $1 owner, $2 batch and $3 epoch; the rows it changed, -1 on error. */
int ledger_fenced(struct fp_ledger *l, const char *name, const char *sql, const char *owner, int64_t batch_id,
                  int32_t epoch, struct fp_err *err) FP_MUST_CHECK;
/* deliveries.c: a filter as the parameters $4 to $9 behind three others, and what it says of a row d. */
struct ledger_delivery_filter;
void ledger_arg_filter(struct pg_args *a, const struct ledger_delivery_filter *f);
/* clang-format off */
#define FILTERED \
    "($4::text IS NULL OR starts_with(d.reason, $4)) AND ($5::bigint[] IS NULL OR d.user_id = ANY ($5))" \
    " AND ($6::timestamptz IS NULL OR d.updated_at >= $6) AND ($7::timestamptz IS NULL OR d.updated_at < $7)" \
    " AND ($8::bigint IS NULL OR EXISTS (SELECT FROM foliopost.batches b" \
    "  WHERE b.id = d.batch_id AND b.interval_no = $8))" \
    " AND ($9::bigint IS NULL OR d.provider = $9)"
/* clang-format on */
/* After a statement that put n batches back in the queue. Zero may be a reply lost
 * after the commit: done all the same when it is queued and nobody had it since. */
int ledger_put_back(struct fp_ledger *l, int n, const char *owner, int64_t batch_id, int32_t epoch,
                    bool *done, struct fp_err *err) FP_MUST_CHECK;
/* A text cell into an array, cut at a whole character, freed of control characters. */
void ledger_text(char *out, size_t cap, const struct fp_rows *r, int row, int col);
/* A time that is 0 when null, as the headers have it. */
int64_t ledger_time(const struct fp_rows *r, int row, int col);
/* A parameter that is null when 0, or when empty. */
void ledger_arg_id(struct pg_args *a, int64_t v);
void ledger_arg_time(struct pg_args *a, int64_t us);
void ledger_arg_name(struct pg_args *a, const char *s);

#endif
