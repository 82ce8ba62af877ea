/* foliopost audit: who did what, when and from where. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "lib/base/clock.h"

struct values {
    char *actor, *action, *from, *to;
    int64_t job, limit, before;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"actor", CONFIG_STRING, NULL, "", 0, 128, NULL, "only what this one did", AT(actor)},
    {"action", CONFIG_STRING, NULL, "", 0, 32, NULL, "only this: submit, pause, set_rate, ...", AT(action)},
    {"job", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "only what was done to this job", AT(job)},
    {"from", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only from this day on (YYYY-MM-DD, UTC)", AT(from)},
    {"to", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only before this day (YYYY-MM-DD, UTC)", AT(to)},
    {"limit", CONFIG_INT, "lines", "100", 1, 1000, NULL, "at most so many, newest first", AT(limit)},
    {"before", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "only lines with a lower id", AT(before)},
};

static void print_entries(const Foliopost__V1__ListAuditResponse *r)
{
    static const char *const headings[] = {">ID", "AT", "ACTOR", "FROM", "ACTION", ">JOB", "DETAIL"};
    struct table *t = table_new(headings, 7);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < r->n_entries; i++) {
        const Foliopost__V1__AuditEntry *e = r->entries[i];
        snprintf(cell, sizeof cell, "%" PRId64, e->id);
        table_add(t, cell);
        table_add(t, format_time(e->at_us, cell));
        table_add(t, e->actor);
        table_add(t, e->peer);
        table_add(t, e->action);
        snprintf(cell, sizeof cell, "%" PRId64, e->job_id);
        table_add(t, e->job_id > 0 ? cell : "");
        table_add(t, e->detail);
    }
    table_print(t, stdout);
    table_free(t);
}

/* The next page of the same list. */
static void print_more(struct cli *c, const struct values *v, int64_t before)
{
    char number[24];
    fprintf(stderr, "more: foliopost audit%s --before %" PRId64, cli_rpc_flag(c), before);
    snprintf(number, sizeof number, "%" PRId64, v->job);
    cli_print_flag("actor", v->actor, "");
    cli_print_flag("action", v->action, "");
    cli_print_flag("job", number, "0");
    cli_print_flag("from", v->from, "any");
    cli_print_flag("to", v->to, "any");
    snprintf(number, sizeof number, "%" PRId64, v->limit);
    cli_print_flag("limit", number, "100");
    fputc('\n', stderr);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    Foliopost__V1__ListAuditRequest q = FOLIOPOST__V1__LIST_AUDIT_REQUEST__INIT;
    struct fp_err err;
    (void)args;
    (void)n_args;
    if (cli_day_us("from", v->from, &q.from_us, &err) != 0 || cli_day_us("to", v->to, &q.to_us, &err) != 0)
        return cli_fail(&err);
    q.actor = v->actor;
    q.action = v->action;
    q.job_id = v->job;
    q.page_size = (int32_t)v->limit;
    q.before_id = v->before;
    const Foliopost__V1__ListAuditResponse *r =
        cli_call(c, "ListAudit", &q.base, &foliopost__v1__list_audit_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c)) {
        cli_print_json(&r->base, false);
        return CLI_OK;
    }
    print_entries(r);
    fflush(stdout);
    if (r->next_before_id > 0)
        print_more(c, v, r->next_before_id);
    return CLI_OK;
}

const struct cli_command cli_audit = {
    .name = "audit",
    .arguments = "",
    .summary = "Lists what operators and guards did: who, when, what, from where",
    .details = "  foliopost audit --job 12\n  foliopost audit --action set_rate --from 2026-11-01\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .run = run,
};
