/*
 * foliopost explain: the whole statement of one user with every step, as an
 * auditor would want to read it.
 *
 * Reads the portfolio's database itself and computes with the very code of
 * stats, from the first transaction on. Prints ids, symbols and figures; no
 * names and no addresses of users.
 */
#include "cli/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/database.h"
#include "lib/base/clock.h"
#include "services/stats/fill.h"
#include "services/stats/policy.h"

#define MAX_TXS    1000000 /* of one user; this is no hot path */
#define JSON_BYTES (4 << 20)

struct values {
    char *source_dsn, *ledger_dsn;
    int64_t user;
    char *period, *as_of, *benchmarks;
    bool brief;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    ROW_SOURCE_DSN(AT(source_dsn)),
    ROW_LEDGER_DSN(AT(ledger_dsn)),
    {"user", CONFIG_INT, NULL, "0", 0, 9.2e18, NULL, "the user's id", AT(user)},
    {"period", CONFIG_STRING, NULL, "auto", 1, 32, NULL,
     "YYYY-MM, or FIRST..LAST with both days included; auto: the last full month", AT(period)},
    {"as-of", CONFIG_STRING, NULL, "now", 1, 32, NULL,
     "only what was recorded up to the end of this day (YYYY-MM-DD, UTC), as a job of that day saw it; now: all",
     AT(as_of)},
    {"benchmarks", CONFIG_STRING, NULL, "", 0, 1024, NULL, "as the setting of stats: EUR=4711,*=4713",
     AT(benchmarks)},
    {"brief", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the figures without the days", AT(brief)},
};

/* --- what is asked ----------------------------------------------------------------------- */

static int bad_period(const char *text, struct fp_err *err)
{
    return err_set(err, FP_INVALID_ARGUMENT,
                   "--period: \"%s\" is neither a month, as 2026-10, nor FIRST..LAST, as "
                   "2026-10-01..2026-10-31",
                   text);
}

static void month_of(int32_t first, struct portfolio_period *p)
{
    p->start = first;
    p->end = day_add_months(first, 1) - 1;
}

static int parse_period(const char *text, struct portfolio_period *p, struct fp_err *err)
{
    const char *dots = strstr(text, "..");
    char day[11];
    if (strcmp(text, "auto") == 0) {
        month_of(day_add_months(day_first_of_month(day_from_us(clock_wall_us())), -1), p);
        return 0;
    }
    if (dots == NULL) {
        snprintf(day, sizeof day, "%.7s-01", text);
        if (strlen(text) != 7 || !day_parse(day, &p->start))
            return bad_period(text, err);
        month_of(p->start, p);
        return 0;
    }
    snprintf(day, sizeof day, "%.*s", (int)(dots - text < 10 ? dots - text : 10), text);
    if (dots - text != 10 || !day_parse(day, &p->start) || !day_parse(dots + 2, &p->end) || p->end < p->start)
        return bad_period(text, err);
    return 0;
}

static int parse_as_of(const char *text, int64_t *us, struct fp_err *err)
{
    int32_t day;
    *us = clock_wall_us();
    if (strcmp(text, "now") == 0)
        return 0;
    if (!day_parse(text, &day))
        return err_set(err, FP_INVALID_ARGUMENT, "--as-of: \"%s\" is not a day, as 2026-11-03", text);
    *us = (day + INT64_C(1)) * FP_US_PER_DAY - 1;
    return 0;
}

static int read_ask(const struct values *v, struct life_ask *ask, struct stats_policy *policy,
                    struct fp_err *err)
{
    *ask = (struct life_ask){.user_id = v->user, .max_txs = MAX_TXS};
    if (v->user <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "--user: whose statement? As --user 4711");
    if (v->source_dsn[0] == '\0' && v->ledger_dsn[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "no database: give --source-dsn, or FOLIOPOST_SOURCE_DSN");
    if (policy_parse(policy, "none", v->benchmarks, err) != 0 ||
        parse_period(v->period, &ask->period, err) != 0)
        return -1;
    return parse_as_of(v->as_of, &ask->period.as_of_us, err);
}

static int read_user(struct fp_source *s, struct life_ask *ask, const struct stats_policy *policy,
                     struct fp_err *err)
{
    struct source_user *u = mem_alloc(sizeof *u);
    int rc = source_users_by_id(s, "monthly", &ask->user_id, 1, u, err);
    if (rc == 0 && u->gone)
        rc = err_set(err, FP_NOT_FOUND, "user %" PRId64 " is not in portfolio.users", ask->user_id);
    ask->base_currency = perf_currency(u->base_currency);
    if (rc == 0 && !ask->base_currency)
        rc = err_set(err, FP_FAILED_PRECONDITION,
                     "user %" PRId64 ": base_currency is not three letters A to Z", ask->user_id);
    ask->benchmark_id = policy_benchmark(policy, ask->base_currency);
    mem_free(u);
    return rc < 0 ? -1 : 0;
}

/* --- printing ------------------------------------------------------------------------------ */

static void print_heading(const struct life_ask *ask)
{
    char start[11], end[11], code[4], as_of[32];
    day_format(ask->period.start, start);
    day_format(ask->period.end, end);
    perf_currency_text(ask->base_currency, code);
    time_format_rfc3339(ask->period.as_of_us, as_of);
    printf("Statement of user %" PRId64 "\n", ask->user_id);
    printf("%s to %s, opened at the close of the day before; in %s; recorded up to %s\n", start, end, code,
           as_of);
    printf("Definitions: docs/statistics.md\n");
}

static int print_json(const struct life *l, const struct fp_performance *p, const struct perf_summary *s,
                      struct fp_err *err)
{
    struct fill f = {.arena = arena_new(JSON_BYTES), .instruments = l->instruments, .performance = p};
    char code[4];
    perf_currency_text(l->in.base_currency, code);
    const Foliopost__V1__PortfolioSummary *m = fill_summary(&f, code, s);
    if (m != NULL)
        cli_print_json(&m->base, false);
    arena_free(f.arena);
    return m != NULL ? 0 : err_set(err, FP_RESOURCE_EXHAUSTED, "the summary is too large");
}

static int compute(struct cli *c, const struct values *v, struct life *l, const struct life_ask *ask,
                   struct fp_err *err)
{
    struct fp_performance *p = performance_new();
    struct explain e = {.life = l, .brief = v->brief, .day = INT32_MIN};
    const struct perf_trace trace = {explain_step, &e};
    struct perf_summary *s = mem_alloc(sizeof *s);
    struct perf_fault fault;
    char code[4];
    int rc = 0;
    perf_currency_text(ask->base_currency, code);
    e.exponent = currency_exponent(code) < 0 ? 2 : currency_exponent(code);
    if (!cli_json(c)) {
        print_heading(ask);
        l->in.trace = &trace;
    }
    if (!performance_summarise(p, &l->in, s, &fault))
        rc = err_set(err, FP_FAILED_PRECONDITION, "user %" PRId64 ": %s: %s", ask->user_id, fault.reason,
                     fault.detail);
    else if (cli_json(c))
        rc = print_json(l, p, s, err);
    else
        explain_summary(&e, p, s);
    if (rc == 0 && !s->closes)
        rc = err_set(err, FP_DATA_LOSS, "the statement does not close: residual %" PRId64 "e-8",
                     s->residual_e8);
    mem_free(s);
    performance_free(p);
    return rc;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    struct stats_policy policy;
    struct life_ask ask;
    struct life life = {0};
    struct fp_err err;
    (void)args;
    (void)n_args;
    if (read_ask(v, &ask, &policy, &err) != 0)
        return cli_fail(&err);
    struct pg_options o = database_options(v->source_dsn[0] != '\0' ? v->source_dsn : v->ledger_dsn);
    struct fp_source *s = source_open(&o, &err);
    int rc =
        s == NULL || read_user(s, &ask, &policy, &err) != 0 || life_open(&life, s, &ask, &err) != 0 ? -1 : 0;
    source_close(s);
    if (rc == 0)
        rc = compute(c, v, &life, &ask, &err);
    life_close(&life);
    return rc == 0 ? CLI_OK : cli_fail(&err);
}

const struct cli_command cli_explain = {
    .name = "explain",
    .arguments = "",
    .summary = "Prints one user's statement with every step",
    .details =
        "Reads the portfolio's database and computes from the first transaction on, with the code of stats:\n"
        "transactions as they were booked, lots, prices and rates of each day, how the days were linked, and\n"
        "how the statement closes. No names and no addresses.\n\n"
        "  foliopost explain --user 4711 --period 2026-10 --source-dsn 'host=replica dbname=app'\n"
        "  foliopost explain --user 4711 --period 2026-10-01..2026-10-07 --as-of 2026-10-09 --brief\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
