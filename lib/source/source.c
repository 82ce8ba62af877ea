/*
 * Users: paged by keyset, fetched by id, counted.
 *
 * A page is one range of the index on (created_at, id), read in its order and
 * stopped by the limit; what else belongs to a user is looked up for the rows
 * of the page alone. docs/data-contract.md shows the plan. A view of a company
 * may break promises that a table keeps: rows without an id are left out and a
 * user that comes twice is taken once, both inside the database, because a
 * page that shrinks on its way here would look like the last one.
 *
 * Every column is cast to the type that is read here, so that a view with
 * other types fails the statement and not the process. This file judges and
 * cuts text; it does not decide who gets mail.
 */
#include "lib/source/source.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/performance/input.h"

/* An RFC 5321 address is at most 254 bytes; one more shows that it was longer. */
#define EMAIL_CHARS "255"
/* As struct source_user keeps them, in bytes, so that no cell is larger than it can matter. */
#define NAME_CHARS  "101"
#define TAG_CHARS   "65"
#define BRAND_CHARS "65"
#define BRAND_BYTES (sizeof((struct source_user *)0)->brand)

struct fp_source {
    struct fp_pg *pg;
};

struct fp_source *source_open(const struct pg_options *o, struct fp_err *err)
{
    struct fp_pg *pg = pg_new(o, err);
    if (pg == NULL)
        return NULL;
    struct fp_source *s = mem_alloc(sizeof *s);
    s->pg = pg;
    return s;
}

void source_close(struct fp_source *s)
{
    if (s != NULL) {
        pg_free(s->pg);
        mem_free(s);
    }
}

int source_check_dsn(const char *dsn, struct fp_err *err)
{
    const struct pg_options o = {.dsn = dsn};
    struct fp_source *s = source_open(&o, err);
    if (s == NULL)
        return err_prefix(err, "source-dsn");
    source_close(s);
    return 0;
}

struct fp_pg *source_pg(struct fp_source *s)
{
    return s->pg;
}

/* --- one user ------------------------------------------------------------------ */

enum column {
    COL_ID,
    COL_CREATED,
    COL_EMAIL,
    COL_FIRST,
    COL_LAST,
    COL_LOCALE,
    COL_ZONE,
    COL_CURRENCY,
    COL_OUT,
    COL_BRAND,
    COL_BEHIND
};

/* The columns above of a user u, who is paged only once whatever p holds:
 * several rows of preferences count as a refusal when one of them is. A view
 * need not have a column brand, which a JSON object of the row can be asked. */
#define USER_COLUMNS                                                                                         \
    "u.id::bigint, u.created_at::timestamptz, left(u.email::text, " EMAIL_CHARS "),"                         \
    " left(u.first_name::text, " NAME_CHARS "), left(u.last_name::text, " NAME_CHARS "),"                    \
    " left(u.locale::text, " TAG_CHARS "), left(u.time_zone::text, " TAG_CHARS "),"                          \
    " left(u.base_currency::text, 4), NOT coalesce(p.enabled, true), left(p.brand, " BRAND_CHARS ")"
#define PREFERENCES_OF_U(kind)                                                                               \
    " LEFT JOIN LATERAL (SELECT bool_and(x.enabled::boolean) AS enabled,"                                    \
    " max(to_jsonb(x) ->> 'brand') AS brand FROM portfolio.preferences x"                                    \
    " WHERE x.user_id = u.id AND x.kind = " kind ") p ON true"

/* A tag is whole or useless: half a time zone is another one. */
static void read_tag(char *out, size_t cap, const char *in)
{
    if (!text_clean(out, cap, in))
        out[0] = '\0';
}

/* One that cannot be read is not the default: that would be somebody else's mail. */
static void read_brand(char out[BRAND_BYTES], const char *in)
{
    if (!text_clean(out, BRAND_BYTES, in) || (in[0] != '\0' && out[0] == '\0'))
        memcpy(out, "?", 2);
}

static void read_email(struct source_user *u, const char *in)
{
    char ascii[ADDRESS_BYTES];

    if (strlen(in) < sizeof u->email && text_is_clean(in))
        memcpy(u->email, in, strlen(in) + 1);
    if ((u->address = address_to_ascii(in, ascii)) == ADDRESS_USABLE)
        memcpy(u->email, ascii, strlen(ascii) + 1);
}

static void read_user(const struct fp_rows *r, int row, struct source_user *u)
{
    memset(u, 0, sizeof *u);
    u->id = pg_i64(r, row, COL_ID);
    u->created_us = pg_time_us(r, row, COL_CREATED);
    read_email(u, pg_text(r, row, COL_EMAIL));
    (void)text_clean(u->first_name, sizeof u->first_name, pg_text(r, row, COL_FIRST));
    (void)text_clean(u->last_name, sizeof u->last_name, pg_text(r, row, COL_LAST));
    read_tag(u->locale, sizeof u->locale, pg_text(r, row, COL_LOCALE));
    read_tag(u->time_zone, sizeof u->time_zone, pg_text(r, row, COL_ZONE));
    const char *currency = pg_text(r, row, COL_CURRENCY);
    if (perf_currency(currency) != 0)
        memcpy(u->base_currency, currency, sizeof u->base_currency);
    u->opted_out = pg_bool(r, row, COL_OUT);
    read_brand(u->brand, pg_text(r, row, COL_BRAND));
}

/* --- pages and ids ----------------------------------------------------------------- */

/* Of a share the range is read until the page is full: rows that do not belong
 * to it cost their arithmetic, and nothing is looked up for them. */
#define PAGE_SQL(share)                                                                                      \
    "SELECT " USER_COLUMNS " FROM ("                                                                         \
    "SELECT DISTINCT ON (created_at, id) id, created_at, email, first_name, last_name, locale, time_zone,"   \
    " base_currency FROM portfolio.users"                                                                    \
    " WHERE (created_at, id) > ($1, $2) AND created_at < $3 AND id IS NOT NULL" share                        \
    " ORDER BY created_at, id LIMIT $4) u" PREFERENCES_OF_U("$5") " ORDER BY u.created_at, u.id"

static const char page_sql[] = PAGE_SQL("");
static const char page_share_sql[] = PAGE_SQL(" AND " SHARE_SQL("id", "$6", "$7", "$8", "$9", "$10", "$11"));

const char *source_users_page_sql(void)
{
    return page_sql;
}

int source_users_page(struct fp_source *s, const struct source_range *r, struct source_user *out, int max,
                      struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    bool part = source_share_is_part(&r->share);
    pg_args_init(&a);
    pg_arg_time_us(&a, r->after_us);
    pg_arg_i64(&a, r->after_id);
    pg_arg_time_us(&a, r->before_us);
    pg_arg_i64(&a, max);
    pg_arg_text(&a, r->kind);
    if (part)
        source_share_args(&a, &r->share);
    int failed = pg_run(s->pg, part ? "source_users_page_share" : "source_users_page",
                        part ? page_share_sql : page_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "page of portfolio.users");
    int n = pg_rows_count(rows);
    for (int i = 0; i < n && i < max; i++)
        read_user(rows, i, &out[i]);
    pg_rows_free(rows);
    return n < max ? n : max;
}

static const char by_id_sql[] =
    "SELECT " USER_COLUMNS ", w.place FROM unnest($1::bigint[]) WITH ORDINALITY AS w(id, place)"
    " JOIN portfolio.users u ON u.id = w.id" PREFERENCES_OF_U("$2");

int source_users_by_id(struct fp_source *s, const char *kind, const int64_t *ids, size_t n,
                       struct source_user *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;
    pg_args_init(&a);
    pg_arg_i64s(&a, ids, n);
    pg_arg_text(&a, kind);
    int failed = pg_run(s->pg, "source_users_by_id", by_id_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "users by id of portfolio.users");
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i].id = ids[i];
        out[i].gone = true;
    }
    for (int row = 0; row < pg_rows_count(rows); row++)
        read_user(rows, row, &out[pg_i64(rows, row, COL_BEHIND) - 1]);
    pg_rows_free(rows);
    return 0;
}

/* --- figures about the whole ---------------------------------------------------------- */

/* One value of one row; frees the args. *null says that there is none. */
static int one_value(struct fp_source *s, const char *name, const char *sql, struct pg_args *a, bool is_time,
                     int64_t *out, bool *null, struct fp_err *err)
{
    struct fp_rows *rows;
    int failed = pg_run(s->pg, name, sql, a, &rows, err);
    pg_args_fini(a);
    if (failed)
        return err_prefix(err, "%s", name);
    *null = pg_rows_count(rows) == 0 || pg_is_null(rows, 0, 0);
    if (!*null)
        *out = is_time ? pg_time_us(rows, 0, 0) : pg_i64(rows, 0, 0);
    pg_rows_free(rows);
    return 0;
}

/* A registration at -infinity is no date to begin months with; doctor names such users. */
int source_first_user_us(struct fp_source *s, int64_t *us, struct fp_err *err)
{
    struct pg_args a;
    bool none;
    pg_args_init(&a);
    if (one_value(
            s, "source_first_user",
            "SELECT created_at::timestamptz FROM portfolio.users"
            " WHERE created_at > '-infinity' AND created_at < 'infinity' ORDER BY created_at, id LIMIT 1",
            &a, true, us, &none, err) != 0)
        return -1;
    if (none)
        *us = INT64_MAX;
    return 0;
}

/* What came later than the as_of counts neither as there nor as missing. Two lookups in the primary key of
 * prices for each instrument. What is fresh is what market.c would read, with the same words. */
/* clang-format off */
static const char fresh_sql[] =
    "SELECT count(f.day), count(a.day), count(*) FROM portfolio.instruments AS i"
    " LEFT JOIN LATERAL (SELECT day FROM portfolio.prices WHERE instrument_id = i.id AND day <= $1::date"
    "  AND day > $1::date - 100 AND (recorded_at <= $3::timestamptz OR recorded_at IS NULL)"
    "  ORDER BY day DESC LIMIT 1) AS a ON true"
    " LEFT JOIN LATERAL (SELECT day FROM portfolio.prices WHERE instrument_id = i.id AND day <= $1::date"
    "  AND day > $1::date - $2::bigint::integer AND close::numeric BETWEEN 0 AND 90000000000"
    "  AND (recorded_at <= $3::timestamptz OR recorded_at IS NULL)"
    "  ORDER BY day DESC LIMIT 1) AS f ON a.day IS NOT NULL";
/* clang-format on */

int source_prices_fresh(struct fp_source *s, int32_t day, int days, int64_t as_of_us,
                        struct source_freshness *out, struct fp_err *err)
{
    struct pg_args a;
    struct fp_rows *rows;

    pg_args_init(&a);
    pg_arg_day(&a, day);
    pg_arg_i64(&a, days);
    pg_arg_time_us(&a, as_of_us);
    int failed = pg_run(s->pg, "source_prices_fresh", fresh_sql, &a, &rows, err);
    pg_args_fini(&a);
    if (failed)
        return err_prefix(err, "freshness of the prices");
    out->fresh = pg_i64(rows, 0, 0);
    out->priced = pg_i64(rows, 0, 1);
    out->instruments = pg_i64(rows, 0, 2);
    pg_rows_free(rows);
    return 0;
}

#define COUNT_SQL "SELECT count(*) FROM portfolio.users WHERE created_at >= $1 AND created_at < $2"

int source_count_users(struct fp_source *s, int64_t from_us, int64_t to_us, const struct source_share *share,
                       int64_t *users, struct fp_err *err)
{
    struct pg_args a;
    bool none, part = source_share_is_part(share);
    *users = 0;
    pg_args_init(&a);
    pg_arg_time_us(&a, from_us);
    pg_arg_time_us(&a, to_us);
    if (part)
        source_share_args(&a, share);
    return one_value(s, part ? "source_count_share" : "source_count_users",
                     part ? COUNT_SQL " AND " SHARE_SQL("id", "$3", "$4", "$5", "$6", "$7", "$8") : COUNT_SQL,
                     &a, false, users, &none, err);
}

/* The replica's clock says nothing about what it has: an idle primary makes
 * this old, and then nothing happened since either. */
int source_replayed_us(struct fp_source *s, int64_t *us, struct fp_err *err)
{
    struct pg_args a;
    bool none;
    pg_args_init(&a);
    if (one_value(s, "source_replayed",
                  "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp()"
                  " ELSE clock_timestamp() END",
                  &a, true, us, &none, err) != 0)
        return -1;
    if (none) {
        return err_set(err, FP_UNAVAILABLE,
                       "the replica with portfolio.users has replayed no commit yet: wait, or give the "
                       "primary as source DSN");
    }
    return 0;
}
