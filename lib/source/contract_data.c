/*
 * What is in the tables of the data contract: keys that are null, figures that
 * cannot be, how old the newest prices are, how far a replica is behind.
 *
 * Large tables are sampled: the first rows that come, since a fault of a view
 * or of an import shows in all parts of it. A row that is broken costs its user
 * a mail and is a warning; what would make paging miss users is a failure.
 */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/source/contract_internal.h"

/* Some 10 ms to read. */
#define SAMPLE "10000"
/* A long weekend; beyond the second, statements would show old figures. */
#define STALE_DAYS    4
#define OUTDATED_DAYS 10
/* An audience ends this much before what the replica has; above it somebody should know. */
#define LAG_WARN_S 60

/* One @, the domain in ASCII or not: what could be an address, cheaply. */
#define ADDRESS_PATTERN "^[!-~]+@([A-Za-z0-9.-]|[^ -~[:cntrl:]])+[.]([A-Za-z0-9-]|[^ -~[:cntrl:]])+$"

/* sql gives how many are wrong: 0 is well. */
static const struct {
    const char *what, *well, *wrong, *sql;
    enum contract_severity severity;
    const char *remedy;
} samples[] = {
    {"portfolio.users", "no null keys", "users without id or created_at (they are never paged)",
     "SELECT (SELECT count(*) FROM (SELECT 1 FROM portfolio.users WHERE created_at IS NULL LIMIT 1000) x)"
     " + (SELECT count(*) FROM (SELECT id FROM portfolio.users LIMIT " SAMPLE ") x WHERE id IS NULL)",
     CONTRACT_FAIL,
     "ALTER TABLE portfolio.users ALTER COLUMN created_at SET NOT NULL, ALTER COLUMN id SET NOT NULL"},
    {"portfolio.users", "ids are positive and come once", "ids below 1, or that come twice",
     "SELECT count(*) FILTER (WHERE id < 1) + count(id) - count(DISTINCT id) FROM (SELECT id FROM portfolio.users LIMIT " SAMPLE
     ") x",
     CONTRACT_FAIL,
     "ALTER TABLE portfolio.users ADD PRIMARY KEY (id); for a view: a join below it gives some users twice"},
    {"portfolio.users", "created_at is a date",
     "users with created_at infinite or before 1900 (they are never paged)",
     "SELECT (SELECT count(*) FROM (SELECT 1 FROM portfolio.users WHERE created_at < timestamptz '1900-01-01 00:00+00' LIMIT 1000)"
     " x) + (SELECT count(*) FROM (SELECT 1 FROM portfolio.users WHERE created_at = 'infinity' LIMIT 1000) x)",
     CONTRACT_FAIL, "give these users their real registration time"},
    {"portfolio.users", "base_currency is a code",
     "users whose base_currency is not three capital letters (they fail)",
     "SELECT count(*) FROM (SELECT base_currency FROM portfolio.users LIMIT " SAMPLE
     ") x WHERE base_currency IS NULL OR base_currency::text !~ '^[A-Z]{3}$'",
     CONTRACT_WARN, "SELECT id, base_currency FROM portfolio.users WHERE base_currency !~ '^[A-Z]{3}$'"},
    {"portfolio.users", "addresses look like addresses",
     "users whose email cannot be one (they are skipped: bad_address)",
     "SELECT count(*) FROM (SELECT left(email::text, 400) AS email FROM portfolio.users LIMIT " SAMPLE
     ") x WHERE email IS NULL OR email !~ '" ADDRESS_PATTERN "' OR length(email) > 254",
     CONTRACT_WARN, "SELECT id FROM portfolio.users WHERE email !~ '" ADDRESS_PATTERN "'"},
    {"portfolio.preferences", "one row for each user and kind",
     "users with several rows for one kind (one refusal counts)",
     "SELECT count(*) - count(DISTINCT (user_id, kind)) FROM (SELECT user_id, kind FROM portfolio.preferences LIMIT " SAMPLE
     ") x",
     CONTRACT_WARN, "ALTER TABLE portfolio.preferences ADD PRIMARY KEY (user_id, kind)"},
    {"portfolio.preferences", "brand is a name",
     "users whose brand cannot be one: letters, digits, dot, hyphen, underscore, up to 64 (with brands they fail: unknown brand)",
     "SELECT count(*) FROM (SELECT to_jsonb(p) ->> 'brand' AS brand FROM portfolio.preferences p LIMIT " SAMPLE
     ") x WHERE brand !~ '^[A-Za-z0-9._-]{0,64}$'",
     CONTRACT_WARN,
     "SELECT user_id, brand FROM portfolio.preferences WHERE brand !~ '^[A-Za-z0-9._-]{0,64}$'"},
    {"portfolio.transactions", "complete",
     "transactions without type, amount, currency, user or day (their users fail or lack them)",
     "SELECT count(*) FROM (SELECT * FROM portfolio.transactions LIMIT " SAMPLE
     ") x WHERE user_id IS NULL OR type IS NULL OR amount IS NULL OR currency IS NULL OR trade_date IS NULL",
     CONTRACT_WARN, "ALTER TABLE portfolio.transactions ALTER COLUMN amount SET NOT NULL, and so on"},
    {"portfolio.transactions", "every instrument is there",
     "transactions on instruments that are not in portfolio.instruments",
     "SELECT count(*) FROM (SELECT DISTINCT instrument_id FROM (SELECT instrument_id FROM portfolio.transactions LIMIT " SAMPLE
     ") y WHERE instrument_id IS NOT NULL) x WHERE NOT EXISTS (SELECT 1 FROM portfolio.instruments i WHERE i.id = x.instrument_id)",
     CONTRACT_WARN, "add the instruments"},
    {"portfolio.prices", "closes are figures", "closes that are null, NaN, infinite or not above 0",
     "SELECT count(*) FROM (SELECT close::float8 AS close FROM portfolio.prices LIMIT " SAMPLE
     ") x WHERE close IS NULL OR close <= 0 OR close = 'NaN' OR close = 'Infinity'",
     CONTRACT_WARN, "SELECT instrument_id, day FROM portfolio.prices WHERE close <= 0 OR close = 'NaN'"},
    {"portfolio.instruments", "asset classes",
     "instruments without asset_class (they are allocated to \"other\")",
     "SELECT count(*) FROM (SELECT to_jsonb(i) ->> 'asset_class' AS class FROM portfolio.instruments i LIMIT " SAMPLE
     ") x WHERE coalesce(class, '') = ''",
     CONTRACT_WARN, "SELECT id, symbol FROM portfolio.instruments WHERE coalesce(asset_class, '') = ''"},
    {"portfolio.fx_rates", "rates are figures", "rates that are null, NaN, infinite or not above 0",
     "SELECT count(*) FROM (SELECT rate::float8 AS rate FROM portfolio.fx_rates LIMIT " SAMPLE
     ") x WHERE rate IS NULL OR rate <= 0 OR rate = 'NaN' OR rate = 'Infinity'",
     CONTRACT_WARN, "SELECT base, quote, day FROM portfolio.fx_rates WHERE rate <= 0 OR rate = 'NaN'"},
    {"portfolio.splits", "ratios are above 0",
     "splits whose numerator or denominator is not above 0 (who holds them fails)",
     "SELECT count(*) FROM (SELECT numerator, denominator FROM portfolio.splits LIMIT " SAMPLE
     ") x WHERE numerator IS NULL OR denominator IS NULL OR numerator <= 0 OR denominator <= 0",
     CONTRACT_WARN,
     "SELECT instrument_id, day FROM portfolio.splits WHERE numerator <= 0 OR denominator <= 0"},
};

static int check_sample(const struct contract *c, size_t i, struct fp_err *err)
{
    int64_t wrong;
    if (contract_number(c, samples[i].what, samples[i].sql, NULL, &wrong, NULL, err) != 0)
        return -1;
    if (wrong > 0) {
        contract_tell(c, samples[i].severity, samples[i].what, samples[i].remedy,
                      "%lld %s, among the first " SAMPLE, (long long)wrong, samples[i].wrong);
    } else {
        contract_tell(c, CONTRACT_OK, samples[i].what, "", "%s", samples[i].well);
    }
    return 0;
}

/* --- freshness ---------------------------------------------------------------------- */

/* sql gives the newest day, as days since 1970. */
static int check_fresh(const struct contract *c, const char *what, const char *sql, struct fp_err *err)
{
    int64_t day;
    bool none;
    char newest[11];
    if (contract_number(c, what, sql, NULL, &day, &none, err) != 0)
        return -1;
    if (none) {
        contract_tell(c, CONTRACT_WARN, what, "load them", "empty");
        return 0;
    }
    int64_t age = day_from_us(clock_wall_us()) - day;
    day_format((int32_t)day, newest);
    contract_tell(c,
                  age > OUTDATED_DAYS ? CONTRACT_FAIL
                  : age > STALE_DAYS  ? CONTRACT_WARN
                                      : CONTRACT_OK,
                  what,
                  age > STALE_DAYS
                      ? "load newer ones: jobs whose period is not covered wait with 'data not ready'"
                      : "",
                  "newest of %s, %lld days ago", newest, (long long)age);
    return 0;
}

/* Of a thousand instruments the last close, by the index; the newest of all, and how many lag behind it. */
#define LAST_CLOSES                                                                                                 \
    "(SELECT i.id, (SELECT p.day::date FROM portfolio.prices p WHERE p.instrument_id = i.id AND p.day < 'infinity'" \
    " ORDER BY p.day DESC LIMIT 1) AS day FROM (SELECT id FROM portfolio.instruments ORDER BY id LIMIT 1000) i) AS last"

static int check_prices(const struct contract *c, struct fp_err *err)
{
    int64_t without, behind;
    if (check_fresh(c, "portfolio.prices", "SELECT max(day) - date '1970-01-01' FROM " LAST_CLOSES, err) !=
            0 ||
        contract_number(c, "portfolio.prices", "SELECT count(*) FROM " LAST_CLOSES " WHERE day IS NULL", NULL,
                        &without, NULL, err) != 0 ||
        contract_number(c, "portfolio.prices",
                        "SELECT count(*) FROM (SELECT day, max(day) OVER () AS newest FROM " LAST_CLOSES
                        ") AS x WHERE day < newest - 7",
                        NULL, &behind, NULL, err) != 0)
        return -1;
    if (without + behind > 0) {
        contract_tell(
            c, CONTRACT_WARN, "portfolio.prices", "load prices of what users still hold",
            "%lld instruments without any price, %lld a week or more behind the newest, among the first 1000",
            (long long)without, (long long)behind);
    }
    return 0;
}

/* What has one side only counts as a delivery after ten days, in lib/performance/book.c. Of the first
 * users, since a table in the order of its types would have none in its first rows. */
static const char lone_transfers_sql[] =
    "SELECT count(*) FROM portfolio.transactions x WHERE user_id = ANY(ARRAY(SELECT id FROM portfolio.users"
    " ORDER BY created_at, id LIMIT 1000)::bigint[]) AND type::text IN ('transfer_in', 'transfer_out')"
    " AND instrument_id IS NOT NULL AND trade_date::date < current_date - 10 AND NOT EXISTS (SELECT 1"
    " FROM portfolio.transactions o WHERE o.user_id = x.user_id AND o.instrument_id = x.instrument_id"
    " AND o.type::text = CASE x.type::text WHEN 'transfer_in' THEN 'transfer_out' ELSE 'transfer_in' END"
    " AND o.trade_date::date BETWEEN x.trade_date::date - 10 AND x.trade_date::date + 10)";

static int check_transfers(const struct contract *c, struct fp_err *err)
{
    int64_t lone;
    if (contract_number(c, "portfolio.transactions", lone_transfers_sql, NULL, &lone, NULL, err) != 0)
        return -1;
    if (lone > 0)
        contract_tell(c, CONTRACT_WARN, "portfolio.transactions",
                      "book both sides of a transfer; what came from outside is a delivery_in",
                      "%lld transfers of shares without their other side within ten days (they count as"
                      " deliveries, at market value), of the first 1000 users",
                      (long long)lone);
    else
        contract_tell(c, CONTRACT_OK, "portfolio.transactions", "", "transfers of shares have both sides");
    return 0;
}

/* What a job would hold back as suspect_price or suspected_split, of the closes of two months: as
 * lib/performance/quality.c, in double. */
static const char suspect_closes_sql[] =
    "SELECT count(DISTINCT id) FROM (SELECT i.id, p.day, p.close, lag(p.close) OVER w AS before,"
    " lag(p.day) OVER w AS before_day FROM (SELECT id FROM portfolio.instruments ORDER BY id LIMIT 1000) i"
    " CROSS JOIN LATERAL (SELECT day::date AS day, close::float8 AS close FROM portfolio.prices"
    " WHERE instrument_id = i.id AND day > current_date - 62 AND day < 'infinity') p"
    " WINDOW w AS (PARTITION BY i.id ORDER BY p.day)) x CROSS JOIN LATERAL (SELECT greatest(close, before) / least(close, before) AS by WHERE close > 0) r"
    " WHERE before > 0 AND (close > before * 5 OR close < before / 20 OR by BETWEEN 80 AND 125"
    "  OR (round(by) BETWEEN 2 AND 50 AND abs(by - round(by)) <= 0.01 * round(by)))"
    " AND NOT EXISTS (SELECT 1 FROM portfolio.splits s WHERE s.instrument_id = x.id AND s.day > x.before_day AND s.day <= x.day)";

static int check_suspect_closes(const struct contract *c, struct fp_err *err)
{
    int64_t suspect;
    if (contract_number(c, "portfolio.prices", suspect_closes_sql, NULL, &suspect, NULL, err) != 0)
        return -1;
    if (suspect > 0)
        contract_tell(
            c, CONTRACT_WARN, "portfolio.prices",
            "correct the closes, or put the split on file, before the job; after it: docs/operations.md, \"Held back\"",
            "%lld instruments with a close in the last two months that is n or 1/n of the one before as if a split were"
            " not on file, or beyond -95 %% or +400 %% of it (who holds them is held back: suspected_split,"
            " suspect_price), among the first 1000",
            (long long)suspect);
    else
        contract_tell(c, CONTRACT_OK, "portfolio.prices", "", "no close is far from the one before");
    return 0;
}

static int check_rates(const struct contract *c, struct fp_err *err)
{
    int64_t missing;
    if (check_fresh(
            c, "portfolio.fx_rates",
            "SELECT max(day)::date - date '1970-01-01' FROM portfolio.fx_rates WHERE day < 'infinity'",
            err) != 0 ||
        contract_number(
            c, "portfolio.fx_rates",
            "SELECT count(*) FROM (SELECT DISTINCT base_currency FROM (SELECT base_currency FROM portfolio.users"
            " LIMIT " SAMPLE ") y) x WHERE NOT EXISTS (SELECT 1 FROM portfolio.fx_rates f"
            " WHERE f.base = x.base_currency OR f.quote = x.base_currency)"
            " AND EXISTS (SELECT 1 FROM portfolio.instruments i WHERE i.currency <> x.base_currency)",
            NULL, &missing, NULL, err) != 0)
        return -1;
    if (missing > 0) {
        contract_tell(c, CONTRACT_WARN, "portfolio.fx_rates",
                      "add rates for them; their users fail as soon as they hold another",
                      "%lld base currencies of users without any rate", (long long)missing);
    }
    return 0;
}

/* --- replica ---------------------------------------------------------------------------- */

/* Seconds behind; an idle primary is no lag: all that was received is replayed. */
static int check_replica(const struct contract *c, struct fp_err *err)
{
    int64_t lag_s;
    bool primary;
    if (contract_number(
            c, "replica",
            "SELECT CASE WHEN NOT pg_is_in_recovery() THEN NULL"
            " WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
            " ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::bigint, 86400) END",
            NULL, &lag_s, &primary, err) != 0)
        return -1;
    if (primary) {
        contract_tell(c, CONTRACT_OK, "server", "", "primary");
    } else {
        contract_tell(c, lag_s > LAG_WARN_S ? CONTRACT_WARN : CONTRACT_OK, "server",
                      lag_s > LAG_WARN_S
                          ? "see why replay is behind: a job's audience ends where the replica is"
                          : "",
                      "replica, %lld s behind", (long long)lag_s);
    }
    return 0;
}

int contract_check_data(const struct contract *c, struct fp_err *err)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        if (check_sample(c, i, err) != 0)
            return -1;
    if (check_transfers(c, err) != 0 || check_prices(c, err) != 0 || check_suspect_closes(c, err) != 0 ||
        check_rates(c, err) != 0 || check_replica(c, err) != 0)
        return -1;
    return 0;
}
