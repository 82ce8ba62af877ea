/* Whose statement a command is about, for explain, preview and send-test: their
 * common settings, and what these mean. */
#ifndef FP_CLI_SUBJECT_H
#define FP_CLI_SUBJECT_H

#include "cli/database.h"
#include "lib/config/config.h"
#include "lib/source/portfolio.h"
#include "services/stats/policy.h"

#define SUBJECT_MAX_TXS 1000000 /* of one user; this is no hot path */

struct subject_values {
    char *source_dsn, *ledger_dsn;
    int64_t user;
    char *period, *as_of, *benchmarks;
};

/* clang-format off */
/* AT(field): where the field of struct subject_values lies in the command's values. */
#define SUBJECT_ROWS(AT)                                                                                     \
    ROW_SOURCE_DSN(AT(source_dsn)),                                                                          \
    ROW_LEDGER_DSN(AT(ledger_dsn)),                                                                          \
    {"user", CONFIG_INT, NULL, "0", 0, 9.2e18, NULL, "the user's id", AT(user)},                             \
    {"period", CONFIG_STRING, NULL, "auto", 1, 32, NULL,                                                     \
     "YYYY-MM, or FIRST..LAST with both days included; auto: the last full month", AT(period)},              \
    {"as-of", CONFIG_STRING, NULL, "now", 1, 32, NULL,                                                       \
     "only what was recorded up to the end of this day (YYYY-MM-DD, UTC), as a job of that day saw it; now: all", \
     AT(as_of)},                                                                                             \
    {"benchmarks", CONFIG_STRING, NULL, "", 0, 1024, NULL, "as the setting of stats: EUR=4711,*=4713",       \
     AT(benchmarks)}
/* clang-format on */

struct subject {
    int64_t user_id;
    struct portfolio_period period;
    struct stats_policy policy; /* the benchmarks; holds nothing back: a person wants to look */
};

/* --period and --as-of alone. */
int subject_days(const struct subject_values *v, struct portfolio_period *out,
                 struct fp_err *err) FP_MUST_CHECK;
/* Reads the settings and opens the source, which connects at its first query. */
struct fp_source *subject_open(const struct subject_values *v, struct subject *who,
                               struct fp_err *err) FP_MUST_CHECK;
/* kind: whose preferences. NOT_FOUND when there is no such user. */
int subject_user(const struct subject *who, struct fp_source *s, const char *kind, struct source_user *out,
                 struct fp_err *err) FP_MUST_CHECK;

#endif
