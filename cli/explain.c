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
#include "cli/subject.h"
#include "lib/base/clock.h"
#include "services/stats/fill.h"

#define JSON_BYTES (4 << 20)

struct values {
    struct subject_values subject;
    bool brief;
};

#define AT(field)         offsetof(struct values, field)
#define AT_SUBJECT(field) offsetof(struct values, subject.field)

static const struct config_setting rows[] = {
    SUBJECT_ROWS(AT_SUBJECT),
    {"brief", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "the figures without the days", AT(brief)},
};

static int read_user(struct fp_source *s, const struct subject *who, struct life_ask *ask, struct fp_err *err)
{
    struct source_user *u = mem_alloc(sizeof *u);
    int rc = subject_user(who, s, "monthly", u, err);
    *ask = (struct life_ask){.user_id = who->user_id, .period = who->period, .max_txs = SUBJECT_MAX_TXS};
    ask->base_currency = perf_currency(u->base_currency);
    if (rc == 0 && !ask->base_currency)
        rc = err_set(err, FP_FAILED_PRECONDITION,
                     "user %" PRId64 ": base_currency is not three letters A to Z", who->user_id);
    ask->benchmark_id = policy_benchmark(&who->policy, ask->base_currency);
    mem_free(u);
    return rc;
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
    bool summed = performance_summarise(p, &l->in, s, &fault);
    l->in.trace = NULL; /* it is of this call */
    if (!summed)
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
    struct subject who;
    struct life_ask ask;
    struct life life = {0};
    struct fp_err err;
    (void)args;
    (void)n_args;
    struct fp_source *s = subject_open(&v->subject, &who, &err);
    if (s == NULL)
        return cli_fail(&err);
    int rc = read_user(s, &who, &ask, &err) != 0 || life_open(&life, s, &ask, &err) != 0 ? -1 : 0;
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
