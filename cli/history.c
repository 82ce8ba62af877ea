/* foliopost history: what one user got, in which job, and what became of it. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "lib/base/text.h"

struct values {
    int64_t limit, before;
};

static const struct config_setting rows[] = {
    {"limit", CONFIG_INT, "jobs", "50", 1, 200, NULL, "at most so many, newest first",
     offsetof(struct values, limit)},
    {"before", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "only jobs older than the one with this id",
     offsetof(struct values, before)},
};

static void print_mail(struct table *t, const Foliopost__V1__UserMail *m)
{
    const Foliopost__V1__Delivery *d = m->delivery;
    char cell[FORMAT_CAP], period[64];
    snprintf(cell, sizeof cell, "%" PRId64, m->job_id);
    table_add(t, cell);
    table_add(t, wire_enum_name(&foliopost__v1__job_kind__descriptor, (int)m->kind));
    snprintf(period, sizeof period, "%s..%s", m->period_start, m->period_end);
    table_add(t, period);
    table_add(t, d != NULL ? wire_enum_name(&foliopost__v1__delivery_state__descriptor, (int)d->state) : "");
    table_add(t, d != NULL ? format_time(d->updated_us, cell) : "");
    table_add(t, m->template_name);
    table_add(t, d != NULL ? d->template_version : "");
    table_add(t, d != NULL ? d->content_hash : "");
    table_add(t, d != NULL ? d->reason : "");
}

static void print_mails(const Foliopost__V1__GetUserHistoryResponse *r)
{
    static const char *const headings[] = {">JOB",     "KIND",    "PERIOD",  "STATE", "UPDATED",
                                           "TEMPLATE", "VERSION", "CONTENT", "REASON"};
    struct table *t = table_new(headings, 9);
    for (size_t i = 0; i < r->n_mails; i++)
        print_mail(t, r->mails[i]);
    table_print(t, stdout);
    table_free(t);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    Foliopost__V1__GetUserHistoryRequest q = FOLIOPOST__V1__GET_USER_HISTORY_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (!text_parse_i64(args[0], &q.user_id) || q.user_id <= 0) {
        (void)err_set(&err, FP_INVALID_ARGUMENT, "\"%s\" is not a user's id, a number above 0", args[0]);
        return cli_fail(&err);
    }
    q.page_size = (int32_t)v->limit;
    q.before_job_id = v->before;
    const Foliopost__V1__GetUserHistoryResponse *r =
        cli_call(c, "GetUserHistory", &q.base, &foliopost__v1__get_user_history_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c)) {
        cli_print_json(&r->base, false);
        return CLI_OK;
    }
    print_mails(r);
    fflush(stdout);
    if (r->next_before_job_id > 0)
        fprintf(stderr, "more: foliopost history %" PRId64 " --before %" PRId64 "\n", q.user_id,
                r->next_before_job_id);
    return CLI_OK;
}

const struct cli_command cli_history = {
    .name = "history",
    .arguments = "USER",
    .summary = "Lists what one user got, which version, with the hash of what it said",
    .details = "  foliopost history 4711\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
