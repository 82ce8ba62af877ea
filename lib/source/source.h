/*
 * The data contract's side: every SQL statement on schema portfolio, which is
 * only read. The database may be another one, or a replica, than the ledger's.
 * What comes from it is hostile until checked here: text is cleaned, addresses
 * are judged, numbers are bounded.
 *
 * source.h: users, for paging. portfolio.h: transactions and market data, for
 * stats. contract.h: the check of a database against the contract, for doctor.
 */
#ifndef FP_SOURCE_SOURCE_H
#define FP_SOURCE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address/address.h"
#include "lib/base/err.h"
#include "lib/pg/pg.h"
#include "lib/source/share.h"

struct fp_source; /* one connection, one thread */

/* Connects nothing yet. */
struct fp_source *source_open(const struct pg_options *o, struct fp_err *err) FP_MUST_CHECK;
void source_close(struct fp_source *s);
/* The form of the setting source-dsn; "" is fine. Opens nothing. */
int source_check_dsn(const char *dsn, struct fp_err *err) FP_MUST_CHECK;
struct fp_pg *source_pg(struct fp_source *s);

struct source_user {
    int64_t id;
    int64_t created_us;
    char email[255];                      /* "" when it had control characters or was too long */
    char first_name[101], last_name[101]; /* clean text, cut at whole characters */
    char locale[36], time_zone[65], base_currency[4];
    char brand[65]; /* "": the job's; "?" when it cannot be a name */
    bool opted_out;
    enum address_form address; /* email is usable only as ADDRESS_USABLE; its domain is ASCII then */
    bool gone;                 /* asked for by id and not there */
};

struct source_range {
    const char *kind;           /* for preferences */
    int64_t after_us, after_id; /* the cursor; of the first page the lower bound and INT64_MIN */
    int64_t before_us;
    struct source_share share;
};
/* The next users by (created_at, id) behind the cursor, of the share, and before
 * `before_us`: one index range, in its order, stopped by the limit.
 * Returns how many, -1 on error. */
int source_users_page(struct fp_source *s, const struct source_range *r, struct source_user *out, int max,
                      struct fp_err *err) FP_MUST_CHECK;
/* Its statement ($1 to $5: after time, after id, before time, max, kind), for EXPLAIN in contract.c. */
const char *source_users_page_sql(void);
/* The users with these ids, in the order of ids; those that are not there are `gone`. */
int source_users_by_id(struct fp_source *s, const char *kind, const int64_t *ids, size_t n,
                       struct source_user *out, struct fp_err *err) FP_MUST_CHECK;
/* Registration of the first user; INT64_MAX when there is none. */
int source_first_user_us(struct fp_source *s, int64_t *us, struct fp_err *err) FP_MUST_CHECK;
/* How many users of the share (NULL: all) registered in [from, to). For plans, not for proofs. */
int source_count_users(struct fp_source *s, int64_t from_us, int64_t to_us, const struct source_share *share,
                       int64_t *users, struct fp_err *err) FP_MUST_CHECK;
struct source_freshness {
    int64_t fresh;  /* of the priced: with a close of the last `days` days */
    int64_t priced; /* instruments with a close in the hundred days up to `day`; here and above: recorded up
                       to as_of, or without a time */
    int64_t instruments; /* all */
};
/* How much of a period's prices is there, for a job whose figures are as of then. */
int source_prices_fresh(struct fp_source *s, int32_t day, int days, int64_t as_of_us,
                        struct source_freshness *out, struct fp_err *err) FP_MUST_CHECK;
/* What this database has replayed up to: now on a primary, the last replayed
 * commit's time on a replica. Bounds a job's audience (P1). */
int source_replayed_us(struct fp_source *s, int64_t *us, struct fp_err *err) FP_MUST_CHECK;

#endif
