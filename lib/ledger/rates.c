/*
 * The provider's rate: one row for all mailers, slices by virtual scheduling.
 *
 * GCRA (ITU-T I.371, annex A) without a burst: a slice of n mails begins where
 * the last one ended, or now, and moves that point on by n / rate. A slice
 * that would begin more than two seconds ahead is not given, so that a mailer
 * that dies with slices in its hands costs the others at most that. A slice
 * whose reply is lost goes unused.
 *
 * Each step is one UPDATE with conditions on its own row, which are checked
 * anew after waiting for it; no other table is read.
 */
#include "lib/ledger/rates.h"

#include "lib/ledger/ledger_internal.h"

/* clang-format off */
static const char configure_sql[] =
    "INSERT INTO foliopost.provider_rates AS r (provider, rate, rate_limit) VALUES ($1, $2, $2)"
    " ON CONFLICT (provider) DO UPDATE SET rate_limit = excluded.rate_limit,"
    "  touched_at = clock_timestamp(),"
    "  rate = CASE WHEN r.rate_limit = excluded.rate_limit THEN r.rate ELSE excluded.rate END";
/* clang-format on */

int ledger_rate_configure(struct fp_ledger *l, const char *provider, double per_second, struct fp_err *err)
{
    struct pg_args a;
    if (!(per_second >= 0)) {
        return err_set(err, FP_INVALID_ARGUMENT,
                       "rate of provider %s is %g mails a second: must be 0 or more", provider, per_second);
    }
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, per_second);
    return ledger_count(l, "rate_configure", configure_sql, &a, err) < 0 ? -1 : 0;
}

#define MAX_AHEAD "interval '2 s'"
#define BASE      "greatest(r.next_free, clock_timestamp())"
#define SLICE     "make_interval(secs => $2::float8 / nullif(r.rate, 0))"

/* clang-format off */
static const char take_sql[] =
    "UPDATE foliopost.provider_rates r"
    " SET next_free = CASE WHEN r.rate > 0 THEN " BASE " + " SLICE " ELSE r.next_free END,"
    "  touched_at = clock_timestamp()"
    " WHERE r.provider = $1 AND (r.rate = 0 OR r.next_free <= clock_timestamp() + " MAX_AHEAD ")"
    " RETURNING r.rate, CASE WHEN r.rate > 0 THEN greatest(0,"
    "  extract(epoch FROM r.next_free - " SLICE " - clock_timestamp()) * 1000000)::bigint ELSE 0 END";
/* clang-format on */

/* clang-format off */
static const char wait_sql[] =
    "SELECT r.rate, greatest(1000,"
    "  extract(epoch FROM r.next_free - " MAX_AHEAD " - clock_timestamp()) * 1000000)::bigint"
    " FROM foliopost.provider_rates r WHERE r.provider = $1";
/* clang-format on */

/* Too far ahead: how long until it is not. */
static int rate_wait(struct fp_ledger *l, const char *provider, int64_t *delay_us, double *rate,
                     struct fp_err *err)
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
    *rate = pg_f64(rows, 0, 0);
    *delay_us = pg_i64(rows, 0, 1);
    pg_rows_free(rows);
    return 0;
}

int ledger_rate_take(struct fp_ledger *l, const char *provider, int n, int *granted, int64_t *delay_us,
                     double *rate, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    *granted = 0;
    *delay_us = 0;
    *rate = 0;
    if (n <= 0)
        return 0;
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
    }
    pg_rows_free(rows);
    return taken ? 0 : rate_wait(l, provider, delay_us, rate, err);
}

static const char lower_sql[] =
    "UPDATE foliopost.provider_rates SET rate = greatest(rate * $2, rate_limit / 20),"
    "  lowered_until = clock_timestamp() + $3 * interval '1 s' WHERE provider = $1 AND rate > 0";

int ledger_rate_lower(struct fp_ledger *l, const char *provider, double factor, int hold_s,
                      struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, factor);
    pg_arg_i64(&a, hold_s);
    return ledger_count(l, "rate_lower", lower_sql, &a, err) < 0 ? -1 : 0;
}

/* clang-format off */
static const char raise_sql[] =
    "UPDATE foliopost.provider_rates SET rate = least(rate + $2 * rate_limit, rate_limit)"
    " WHERE provider = $1 AND rate < rate_limit"
    "  AND coalesce(lowered_until, '-infinity') <= clock_timestamp()";
/* clang-format on */

int ledger_rate_raise(struct fp_ledger *l, const char *provider, double part, struct fp_err *err)
{
    struct pg_args a;
    pg_args_init(&a);
    pg_arg_text(&a, provider);
    pg_arg_f64(&a, part);
    return ledger_count(l, "rate_raise", raise_sql, &a, err) < 0 ? -1 : 0;
}

/* clang-format off */
static const char fault_sql[] =
    "UPDATE foliopost.provider_rates"
    " SET fault = $2,"
    "  fault_since = CASE WHEN $2 = '' THEN NULL WHEN fault = '' THEN clock_timestamp() ELSE fault_since END,"
    "  touched_at = clock_timestamp()"
    " WHERE provider = $1";
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
    " WHERE r.touched_at >= least(clock_timestamp() - " IN_USE ","
    "  (SELECT max(touched_at) FROM foliopost.provider_rates))";
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
