/*
 * foliopost deliveries: who got the mail and who did not, by user id.
 *
 * A page is asked for and printed at a time, so that a million users need no
 * more memory than a thousand; the columns of --all therefore have fixed
 * widths, and its JSON is a line for each user.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"

#define PAGE_ALL         1000 /* the most the scheduler gives at once */
#define PROVIDER_HEADING "PROVIDER"

struct values {
    char *state, *reason, *provider, *from, *to;
    int64_t limit, after, user, interval;
    bool all, content;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"state", CONFIG_CHOICE, NULL, "any", 0, 0, "any|sent|failed|skipped|ambiguous|deferred|requeued",
     "only users in this state", AT(state)},
    {"user", CONFIG_INT, NULL, "0", 0, 9.3e18, NULL, "only this user; 0: all", AT(user)},
    {"reason", CONFIG_STRING, NULL, "", 0, 255, NULL, "only users whose reason begins so, as 550",
     AT(reason)},
    {"provider", CONFIG_STRING, NULL, "", 0, 95, NULL, "only what this provider answered", AT(provider)},
    {"from", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only updated on this day or later (YYYY-MM-DD, UTC)",
     AT(from)},
    {"to", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only updated before this day (YYYY-MM-DD, UTC)", AT(to)},
    {"interval", CONFIG_INT, NULL, "0", 0, 2147483647, NULL, "only users of this interval; 0: of all",
     AT(interval)},
    {"limit", CONFIG_INT, "users", "100", 1, 1000, NULL, "at most so many", AT(limit)},
    {"after", CONFIG_INT, NULL, "0", 0, 9.3e18, NULL, "only users with a higher id", AT(after)},
    {"all", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "every page; with --json a line for each user", AT(all)},
    {"content", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "also the templates' version and the hash of what the mail said (docs/operations.md)", AT(content)},
};

/* Of the widest name on the first page; 0: no provider had a say, and no column tells of it. */
static int provider_width(const Foliopost__V1__ListDeliveriesResponse *r)
{
    int width = 0;
    for (size_t i = 0; i < r->n_deliveries; i++) {
        int columns = text_columns(r->deliveries[i]->provider);
        width = columns > width ? columns : width;
    }
    return width > 0 && width < (int)strlen(PROVIDER_HEADING) ? (int)strlen(PROVIDER_HEADING) : width;
}

static void print_heading(bool content, int provider)
{
    printf("%12s  %-9s  %8s  %7s  %-19s  ", "USER", "STATE", "ATTEMPTS", "DOUBLES", "UPDATED");
    if (provider > 0)
        printf("%-*s  ", provider, PROVIDER_HEADING);
    if (content)
        printf("%-8s  %-32s  ", "TEMPLATE", "CONTENT");
    printf("REASON\n");
}

static void print_page(const Foliopost__V1__ListDeliveriesResponse *r, bool content, int provider)
{
    char when[FORMAT_CAP];
    for (size_t i = 0; i < r->n_deliveries; i++) {
        const Foliopost__V1__Delivery *d = r->deliveries[i];
        printf("%12" PRId64 "  %-9s  %8d  %7d  %-19s  ", d->user_id,
               wire_enum_name(&foliopost__v1__delivery_state__descriptor, (int)d->state), d->attempts,
               d->maybe_doubles, format_time(d->updated_us, when));
        if (provider > 0)
            printf("%-*s  ", provider, d->provider);
        if (content)
            printf("%-8s  %-32s  ", d->template_version, d->content_hash);
        printf("%s\n", d->reason);
    }
}

static void print_json_lines(const Foliopost__V1__ListDeliveriesResponse *r)
{
    for (size_t i = 0; i < r->n_deliveries; i++)
        cli_print_json(&r->deliveries[i]->base, true);
}

/* *provider: the width of that column, which the first page sets (-1 before it). */
static void show_page(struct cli *c, const struct values *v, const Foliopost__V1__ListDeliveriesResponse *r,
                      int *provider)
{
    if (cli_json(c) && v->all) {
        print_json_lines(r);
    } else if (cli_json(c)) {
        cli_print_json(&r->base, false);
    } else {
        if (*provider < 0) {
            *provider = provider_width(r);
            print_heading(v->content, *provider);
        }
        print_page(r, v->content, *provider);
    }
}

/* The command for the next page, with the filters of this one. */
static void print_more(const struct values *v, const char *job, int64_t after)
{
    fprintf(stderr, "more: foliopost deliveries %s", job);
    cli_print_flag("state", v->state, "any");
    cli_print_flag("reason", v->reason, "");
    cli_print_flag("provider", v->provider, "");
    cli_print_flag("from", v->from, "any");
    cli_print_flag("to", v->to, "any");
    if (v->interval > 0)
        fprintf(stderr, " --interval %" PRId64, v->interval);
    fprintf(stderr, " --after %" PRId64 ", or --all\n", after);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    Foliopost__V1__ListDeliveriesRequest request = FOLIOPOST__V1__LIST_DELIVERIES_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0 ||
        cli_day_us("from", v->from, &request.from_us, &err) != 0 ||
        cli_day_us("to", v->to, &request.to_us, &err) != 0)
        return cli_fail(&err);
    int state = wire_enum_value(&foliopost__v1__delivery_state__descriptor, v->state);
    request.state = state > 0 ? state : 0; /* "any" is no value of the enum */
    request.page_size = v->all ? PAGE_ALL : (int32_t)v->limit;
    request.after_user_id = v->after;
    request.user_id = v->user;
    request.reason = v->reason;
    request.provider = v->provider;
    request.interval_no = (int32_t)v->interval;
    int provider = -1;
    for (;;) {
        const Foliopost__V1__ListDeliveriesResponse *r =
            cli_call(c, "ListDeliveries", &request.base, &foliopost__v1__list_deliveries_response__descriptor,
                     &err);
        if (r == NULL)
            return cli_fail(&err);
        show_page(c, v, r, &provider);
        if (r->next_after_user_id <= request.after_user_id || ferror(stdout))
            return CLI_OK; /* the end; ids only grow, whatever a server says */
        request.after_user_id = r->next_after_user_id;
        if (!v->all)
            break;
    }
    if (!cli_json(c)) {
        fflush(stdout); /* the hint comes last, also where both streams are one */
        print_more(v, args[0], request.after_user_id);
    }
    return CLI_OK;
}

const struct cli_command cli_deliveries = {
    .name = "deliveries",
    .arguments = "JOB",
    .summary = "Lists who got the mail and who did not, with the reason",
    .details =
        "  foliopost deliveries 12 --state failed\n"
        "  foliopost deliveries 12 --state failed --provider ses\n"
        "  foliopost deliveries 12 --all --json | jq -r 'select(.state==\"DELIVERY_STATE_AMBIGUOUS\").user_id'\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
