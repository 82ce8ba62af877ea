/*
 * The provider's rate: one row for all mailers, slices by virtual scheduling.
 *
 * GCRA (ITU-T I.371, annex A) without a burst: a slice of n mails begins where
 * the last one ended, or now, and moves that point on by n / rate. A slice
 * that would begin more than two seconds ahead is not given, so that a mailer
 * that dies with slices in its hands costs the others at most that. A slice
 * whose reply is lost goes unused.
 *
 * Who touches the row says when. A row that was touched in the future is of
 * before the database's clock was set back: what it holds ahead of that moment
 * holds ahead of now, so that mails go on and none go faster (NEXT_FREE). A
 * lowered rate that is to stay so for longer than may be counts as free to rise.
 *
 * Each step is one UPDATE with conditions on its own row, which are checked
 * anew after waiting for it; no other table is read.
 */
#include "lib/ledger/rates.h"

#include <stdio.h>

#include "lib/ledger/ledger_internal.h"

#define SET_BACK "r.touched_at > clock_timestamp()"
#define NEXT_FREE                                                                                            \
    "(r.next_free - CASE WHEN " SET_BACK " THEN r.touched_at - clock_timestamp() ELSE interval '0' END)"

/* What is of the future is of before the clock was set back, and long ago. */
#define WITHIN(t, seconds)                                                                                   \
    "coalesce(" t " > clock_timestamp() - " LEDGER_STR(seconds) " * interval '1 s'"                          \
                                                                " AND " t " <= clock_timestamp(), false)"
/* Some mailer knows what the account allows. */
#define ACCOUNT_KNOWN  WITHIN("r.account_read_at", 86400)
#define LOWER_OF(a, b) "CASE WHEN " a " > 0 AND (" b " <= 0 OR " a " < " b ") THEN " a " ELSE " b " END"

/* clang-format off */
#define CONFIGURE(limit) \
    "INSERT INTO foliopost.provider_rates AS r (provider, rate, rate_limit, configured_limit) VALUES ($1, $2, $2, $2)" \
    " ON CONFLICT (provider) DO UPDATE SET configured_limit = " limit "," \
    "  rate_limit = coalesce(r.operator_limit, " limit "), next_free = " NEXT_FREE "," \
    "  touched_at = clock_timestamp()," \
    "  rate = CASE WHEN r.rate_limit = coalesce(r.operator_limit, " limit ") THEN r.rate" \
    "   ELSE coalesce(r.operator_limit, " limit ") END"
static const char configure_sql[] = CONFIGURE("excluded.configured_limit");
#define NOT_ABOVE_READ \
    "CASE WHEN " ACCOUNT_KNOWN " THEN " LOWER_OF("r.configured_limit", "excluded.configured_limit") \
    " ELSE excluded.configured_limit END"
static const char unread_sql[] = CONFIGURE("(" NOT_ABOVE_READ ")");
/* clang-format on */

static int configure(struct fp_ledger *l, const char *name, const char *sql, const char *provider,
                     double per_second, struct fp_err *err)
{
    struct pg_args a;
    if (!(per_second >= 0)) {
        return err_set(err, FP_INVALID_ARGUMENT,
                       "rate of provider %s is %g mails a second: must be 0 or more", provider, per_second);
    }
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, per_second);
    return ledger_count(l, name, sql, &a, err) < 0 ? -1 : 0;
}

int ledger_rate_configure(struct fp_ledger *l, const char *provider, double per_second, struct fp_err *err)
{
    return configure(l, "rate_configure", configure_sql, provider, per_second, err);
}

#define TODAY "(clock_timestamp() AT TIME ZONE 'UTC')::date"

/* What a quota that rolls has counted does not end with the day, as long as the
 * account was read within its 24 hours. */
#define USED_TODAY                                                                                           \
    "(CASE WHEN r.quota_day = " TODAY " OR (r.quota_rolls AND " ACCOUNT_KNOWN                                \
    ") THEN r.quota_used ELSE 0 END)"

/* A quota is counted with slices, and without a rate there are none: an operator's
 * "no limit" ends where a mailer brings a quota. */
/* clang-format off */
#define UNLIMITED "$2 > 0 AND r.rate_limit = 0"
#define SET_QUOTA \
    "daily_quota = $2, operator_limit = CASE WHEN " UNLIMITED " THEN NULL ELSE r.operator_limit END," \
    "  rate_limit = CASE WHEN " UNLIMITED " THEN r.configured_limit ELSE r.rate_limit END," \
    "  rate = CASE WHEN " UNLIMITED " THEN r.configured_limit ELSE r.rate END"
static const char quota_sql[] =
    "UPDATE foliopost.provider_rates r SET " SET_QUOTA ", quota_day = " TODAY ","
    "  quota_used = greatest($3, CASE WHEN r.quota_rolls THEN 0 ELSE " USED_TODAY " END),"
    "  account_read_at = NULL, quota_rolls = false"
    " WHERE r.provider = $1";
/* What is taken and has yet to go is in no account's count. */
static const char account_sql[] =
    "UPDATE foliopost.provider_rates r SET " SET_QUOTA ", quota_day = " TODAY ", quota_rolls = $3::boolean,"
    "  quota_used = CASE WHEN $3::boolean THEN $4 + floor(greatest(0, r.rate * extract(epoch FROM"
    "    greatest(" NEXT_FREE ", clock_timestamp()) - clock_timestamp())))"
    "   WHEN r.quota_rolls THEN 0 ELSE " USED_TODAY " END,"
    "  account_read_at = clock_timestamp()"
    " WHERE r.provider = $1";
static const char unread_quota_sql[] =
    "UPDATE foliopost.provider_rates r SET " SET_QUOTA ", quota_rolls = false,"
    "  quota_used = CASE WHEN r.quota_rolls THEN 0 ELSE r.quota_used END"
    " WHERE r.provider = $1 AND NOT " ACCOUNT_KNOWN;
static const char return_sql[] =
    "UPDATE foliopost.provider_rates r SET quota_used = greatest(0, quota_used - $2)"
    " WHERE r.provider = $1 AND r.daily_quota > 0"
    "  AND (r.quota_day = $3::date OR (r.quota_rolls AND " ACCOUNT_KNOWN "))";
/* clang-format on */

int ledger_rate_quota(struct fp_ledger *l, const char *provider, double per_day, double used_today,
                      struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, per_day);
    pg_arg_f64(&a, used_today);
    return ledger_count(l, "rate_quota", quota_sql, &a, err) < 0 ? -1 : 0;
}

static int read_limits(struct fp_ledger *l, const char *provider, const struct ledger_limits *limits,
                       struct fp_err *err)
{
    struct pg_args a;
    if (ledger_rate_configure(l, provider, limits->per_second, err) < 0)
        return -1;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, limits->per_day);
    pg_arg_bool(&a, limits->rolls);
    pg_arg_f64(&a, limits->sent);
    return ledger_count(l, "rate_account", account_sql, &a, err) < 0 ? -1 : 0;
}

static int unread_limits(struct fp_ledger *l, const char *provider, const struct ledger_limits *limits,
                         struct fp_err *err)
{
    struct pg_args a;
    if (configure(l, "rate_unread", unread_sql, provider, limits->per_second, err) < 0)
        return -1;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, limits->per_day);
    return ledger_count(l, "rate_unread_quota", unread_quota_sql, &a, err) < 0 ? -1 : 0;
}

int ledger_rate_limits(struct fp_ledger *l, const char *provider, const struct ledger_limits *limits,
                       struct fp_err *err)
{
    if (limits->account == ACCOUNT_READ)
        return read_limits(l, provider, limits, err);
    if (limits->account == ACCOUNT_UNREAD)
        return unread_limits(l, provider, limits, err);
    if (ledger_rate_configure(l, provider, limits->per_second, err) < 0)
        return -1;
    return ledger_rate_quota(l, provider, limits->per_day, 0, err);
}

int ledger_rate_return(struct fp_ledger *l, const char *provider, int n, int32_t day, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, n);
    pg_arg_day(&a, day);
    return ledger_count_once(l, "rate_return", return_sql, &a, err) < 0 ? -1 : 0;
}

#define MAX_AHEAD "interval '2 s'"
#define BASE      "greatest(" NEXT_FREE ", clock_timestamp())"
#define SLICE     "make_interval(secs => $2::float8 / nullif(r.rate, 0))"

/* clang-format off */
static const char take_sql[] =
    "UPDATE foliopost.provider_rates r"
    " SET next_free = CASE WHEN r.rate > 0 THEN " BASE " + " SLICE " ELSE " NEXT_FREE " END,"
    "  touched_at = clock_timestamp(),"
    "  quota_day = " TODAY ", quota_used = " USED_TODAY " + $2"
    " WHERE r.provider = $1 AND (r.daily_quota = 0 OR " USED_TODAY " + $2 <= r.daily_quota) AND (r.rate = 0 OR " NEXT_FREE " <= clock_timestamp() + " MAX_AHEAD ")"
    " RETURNING r.rate, CASE WHEN r.rate > 0 THEN greatest(0,"
    "  extract(epoch FROM r.next_free - " SLICE " - clock_timestamp()) * 1000000)::bigint ELSE 0 END,"
    " r.quota_day - date '1970-01-01'";
/* clang-format on */

/* A spent quota is looked at again now and then: it may have been raised. */
#define LOOK_AGAIN "10000000"

/* clang-format off */
static const char wait_sql[] =
    "SELECT r.rate, greatest(1000,"
    "  extract(epoch FROM greatest(" NEXT_FREE " - " MAX_AHEAD ", clock_timestamp()) - clock_timestamp()) * 1000000)::bigint,"
    "  CASE WHEN r.daily_quota > 0 THEN greatest(0, floor(r.daily_quota - " USED_TODAY "))::bigint ELSE -1 END,"
    "  least(" LOOK_AGAIN ", extract(epoch FROM"
    "   ((" TODAY " + 1)::timestamp AT TIME ZONE 'UTC') - clock_timestamp()) * 1000000 + 1000)::bigint"
    " FROM foliopost.provider_rates r WHERE r.provider = $1";
/* clang-format on */

struct rate_wait {
    double rate;
    int64_t delay_us;
    int64_t left; /* of the day's quota; -1: there is none */
    int64_t tomorrow_us;
};

/* Why there was no slice. */
static int rate_wait(struct fp_ledger *l, const char *provider, struct rate_wait *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    if (ledger_step(l, "rate_wait", wait_sql, &a, &rows, err) != 0)
        return -1;
    if (pg_rows_count(rows) == 0) {
        pg_rows_free(rows);
        return err_set(err, FP_NOT_FOUND, "provider %s has no rate: it is configured at a mailer's start",
                       provider);
    }
    *out = (struct rate_wait){.rate = pg_f64(rows, 0, 0),
                              .delay_us = pg_i64(rows, 0, 1),
                              .left = pg_i64(rows, 0, 2),
                              .tomorrow_us = pg_i64(rows, 0, 3)};
    pg_rows_free(rows);
    return 0;
}

/* 1: taken; 0: not. */
static int take_slice(struct fp_ledger *l, const char *provider, int n, int *granted, int64_t *delay_us,
                      double *rate, int32_t *day, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, n);
    if (ledger_step(l, "rate_take", take_sql, &a, &rows, err) != 0)
        return -1;
    bool taken = pg_rows_count(rows) > 0;
    if (taken) {
        *granted = n;
        *rate = pg_f64(rows, 0, 0);
        *delay_us = pg_i64(rows, 0, 1);
        *day = (int32_t)pg_i64(rows, 0, 2);
    }
    pg_rows_free(rows);
    return taken;
}

int ledger_rate_take(struct fp_ledger *l, const char *provider, int n, int *granted, int64_t *delay_us,
                     double *rate, int32_t *day, struct fp_err *err)
{
    struct rate_wait wait;
    *granted = 0;
    *delay_us = 0;
    *rate = 0;
    if (n <= 0)
        return 0;
    int taken = take_slice(l, provider, n, granted, delay_us, rate, day, err);
    if (taken != 0)
        return taken < 0 ? -1 : 0;
    if (rate_wait(l, provider, &wait, err) < 0)
        return -1;
    if (wait.left > 0 && wait.left < n &&
        (taken = take_slice(l, provider, (int)wait.left, granted, delay_us, rate, day, err)) != 0)
        return taken < 0 ? -1 : 0;
    *granted = wait.left == 0 ? RATE_QUOTA_SPENT : 0;
    *delay_us = wait.left == 0 ? wait.tomorrow_us : wait.delay_us;
    *rate = wait.rate;
    return 0;
}

/* clang-format off */
#define IS_LOWERED(t) \
    "coalesce(" t "lowered_until > clock_timestamp()" \
    " AND " t "lowered_until <= clock_timestamp() + " LEDGER_STR(RATE_HOLD_MAX_S) " * interval '1 s', false)"
static const char lower_sql[] =
    "UPDATE foliopost.provider_rates SET rate = greatest(rate * $2, rate_limit / 20), lowered_at = clock_timestamp(),"
    "  lowered_until = clock_timestamp() + least($3::bigint, " LEDGER_STR(RATE_HOLD_MAX_S) ") * interval '1 s'"
    " WHERE provider = $1 AND rate > 0 AND NOT " WITHIN("lowered_at", RATE_LOWER_EVERY_S);
/* clang-format on */

int ledger_rate_lower(struct fp_ledger *l, const char *provider, double factor, int hold_s,
                      struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, factor);
    pg_arg_i64(&a, hold_s);
    return ledger_count_once(l, "rate_lower", lower_sql, &a, err);
}

/* clang-format off */
static const char raise_sql[] =
    "UPDATE foliopost.provider_rates SET rate = least(rate + $2 * rate_limit, rate_limit), raised_at = clock_timestamp()"
    " WHERE provider = $1 AND rate < rate_limit AND NOT " IS_LOWERED("")
    "  AND NOT " WITHIN("lowered_at", RATE_RAISE_EVERY_S) " AND NOT " WITHIN("raised_at", RATE_RAISE_EVERY_S);
/* clang-format on */

int ledger_rate_raise(struct fp_ledger *l, const char *provider, double part, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, part);
    return ledger_count_once(l, "rate_raise", raise_sql, &a, err);
}

/* clang-format off */
static const char fault_sql[] =
    "UPDATE foliopost.provider_rates AS r"
    " SET fault = $2, next_free = " NEXT_FREE ","
    "  fault_since = CASE WHEN $2 = '' THEN NULL WHEN fault = '' THEN clock_timestamp() ELSE fault_since END,"
    "  touched_at = clock_timestamp()"
    " WHERE r.provider = $1";
/* clang-format on */

int ledger_provider_fault(struct fp_ledger *l, const char *provider, const char *fault, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_text(&a, fault != NULL ? fault : "");
    return ledger_count(l, "provider_fault", fault_sql, &a, err) < 0 ? -1 : 0;
}

/* The row of a provider that was renamed or is not used any more would speak
 * for ever. A mailer that sends touches its row all the time, one that holds
 * its batches with each probe. The last touched one speaks in any case. */
#define IN_USE "interval '10 minutes'"

/* clang-format off */
static const char total_sql[] =
    "SELECT CASE WHEN coalesce(min(r.rate), 0) > 0 THEN sum(r.rate) ELSE 0 END, coalesce("
    "  (array_agg(r.provider || ': ' || r.fault ORDER BY r.fault_since)"
    "   FILTER (WHERE r.fault <> ''))[1], ''),"
    "  coalesce(extract(epoch FROM clock_timestamp()"
    "   - min(r.fault_since) FILTER (WHERE r.fault <> '')), 0)::bigint"
    " FROM foliopost.provider_rates r"
    " WHERE r.provider NOT LIKE '" RATE_DOMAIN "%' AND r.touched_at >= least(clock_timestamp() - " IN_USE ","
    "  (SELECT max(touched_at) FROM foliopost.provider_rates WHERE provider NOT LIKE '" RATE_DOMAIN "%'))";
/* clang-format on */

int ledger_rates_total(struct fp_ledger *l, double *per_second, char fault[256], int64_t *fault_for_s,
                       struct fp_err *err)
{
    struct fp_rows *rows;
    if (ledger_step(l, "rates_total", total_sql, NULL, &rows, err) != 0)
        return -1;
    *per_second = pg_f64(rows, 0, 0);
    ledger_text(fault, 256, rows, 0, 1);
    *fault_for_s = pg_i64(rows, 0, 2);
    pg_rows_free(rows);
    return 0;
}

/* --- operators -------------------------------------------------------------------------- */

/* clang-format off */
static const char list_sql[] =
    "SELECT r.provider, r.rate, r.rate_limit, r.configured_limit, r.operator_limit IS NOT NULL,"
    "  CASE WHEN r.rate < r.rate_limit AND " IS_LOWERED("r.") " THEN r.lowered_until END,"
    "  r.daily_quota, " USED_TODAY ", r.fault, r.touched_at"
    " FROM foliopost.provider_rates r ORDER BY starts_with(r.provider, '" RATE_DOMAIN "'), r.provider LIMIT $1";
/* clang-format on */

static void read_rate(struct ledger_rate *out, const struct fp_rows *r, int row)
{
    *out = (struct ledger_rate){.rate = pg_f64(r, row, 1),
                                .limit = pg_f64(r, row, 2),
                                .configured = pg_f64(r, row, 3),
                                .by_operator = pg_bool(r, row, 4),
                                .lowered_until_us = ledger_time(r, row, 5),
                                .daily_quota = pg_f64(r, row, 6),
                                .used_today = pg_f64(r, row, 7),
                                .touched_us = ledger_time(r, row, 9)};
    ledger_text(out->provider, sizeof out->provider, r, row, 0);
    ledger_text(out->fault, sizeof out->fault, r, row, 8);
}

int ledger_rates(struct fp_ledger *l, struct ledger_rate *out, int max, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64(&a, max);
    if (ledger_step(l, "rates", list_sql, &a, &rows, err) != 0)
        return -1;
    int n = pg_rows_count(rows);
    for (int i = 0; i < n; i++)
        read_rate(&out[i], rows, i);
    pg_rows_free(rows);
    return n;
}

/* Slices of a slow rate lie far ahead: a faster one begins within two seconds. */
/* clang-format off */
static const char set_sql[] =
    "WITH changed AS ("
    "  UPDATE foliopost.provider_rates r SET operator_limit = $2::float8, lowered_until = NULL,"
    "   rate_limit = coalesce($2::float8, r.configured_limit), rate = coalesce($2::float8, r.configured_limit),"
    "   next_free = least(r.next_free, clock_timestamp() + " MAX_AHEAD ")"
    "  WHERE r.provider = $1 AND NOT coalesce($2::float8 = 0 AND r.daily_quota > 0, false) RETURNING r.provider),"
    " noted AS (" AUDIT_INSERT
    "  SELECT " AUDIT_BY("$3") ", 'set_rate', NULL::bigint,"
    "   provider || ': ' || coalesce($2::float8 || ' mails a second', 'as configured') FROM changed)"
    " SELECT provider FROM changed";
/* clang-format on */

static int why_not_set(struct fp_ledger *l, const char *provider, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    if (ledger_step(l, "rate_quota_of",
                    "SELECT daily_quota FROM foliopost.provider_rates WHERE provider = $1", &a, &rows,
                    err) != 0)
        return -1;
    double quota = pg_rows_count(rows) > 0 ? pg_f64(rows, 0, 0) : -1;
    pg_rows_free(rows);
    if (quota < 0)
        return err_set(err, FP_NOT_FOUND, "no mailer has used a provider %s", provider);
    return err_set(err, FP_FAILED_PRECONDITION,
                   "provider %s has a daily quota of %.0f mails, which is counted with its rate: it cannot be"
                   " without one; set a high rate",
                   provider, quota);
}

int ledger_rate_set(struct fp_ledger *l, const char *provider, const double *per_second, const char *actor,
                    struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    if (per_second != NULL)
        pg_arg_f64(&a, *per_second);
    else
        pg_arg_null(&a);
    pg_arg_text(&a, actor);
    int n = ledger_count(l, "rate_set", set_sql, &a, err);
    if (n == 0)
        return why_not_set(l, provider, err);
    return n < 0 ? -1 : 0;
}

/* --- the window ----------------------------------------------------------------------------- */

int ledger_window_parse(const char *text, struct ledger_window *w)
{
    int h1, m1, h2, m2, n = 0;
    if (sscanf(text, "%2d:%2d-%2d:%2d%n", &h1, &m1, &h2, &m2, &n) != 4 || text[n] || h1 < 0 || h1 > 23 ||
        m1 < 0 || m1 > 59 || h2 < 0 || h2 > 24 || m2 < 0 || m2 > 59 || h2 * 60 + m2 > 1440 ||
        h1 * 60 + m1 == (h2 * 60 + m2) % 1440)
        return -1;
    w->from_minute = h1 * 60 + m1;
    w->to_minute = h2 * 60 + m2;
    return 0;
}

/* In the zone's own clock, so that a day of 23 or 25 hours is right too. */
/* clang-format off */
static const char window_sql[] =
    "WITH t AS (SELECT clock_timestamp() AS now, clock_timestamp() AT TIME ZONE $1 AS here),"
    " m AS (SELECT now, here, date_trunc('day', here) AS day,"
    "  (extract(hour FROM here) * 60 + extract(minute FROM here))::bigint AS minute FROM t)"
    "SELECT (CASE WHEN $2 <= $3 THEN minute >= $2 AND minute < $3 ELSE minute >= $2 OR minute < $3 END)::int,"
    "  greatest(1000, (SELECT extract(epoch FROM min(b AT TIME ZONE $1) - m.now) * 1000000"
    "   FROM unnest(ARRAY[m.day + $2 * interval '1 min', m.day + $3 * interval '1 min',"
    "    m.day + interval '1 day' + $2 * interval '1 min', m.day + interval '1 day' + $3 * interval '1 min']) b"
    "   WHERE b > m.here))::bigint FROM m";
/* clang-format on */

int ledger_window_look(struct fp_ledger *l, const struct ledger_window *w, bool *open, int64_t *for_us,
                       struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_text(&a, w->zone);
    pg_arg_i64(&a, w->from_minute);
    pg_arg_i64(&a, w->to_minute);
    if (ledger_step(l, "window", window_sql, &a, &rows, err) != 0)
        return -1;
    *open = pg_i64(rows, 0, 0) != 0;
    *for_us = pg_i64(rows, 0, 1);
    pg_rows_free(rows);
    return 0;
}
