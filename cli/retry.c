/* foliopost retry, foliopost resolve: a completed job's failed or ambiguous mails decided anew. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"

struct values {
    char *reason, *domain, *provider;
    int64_t interval, user;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"reason", CONFIG_STRING, NULL, "", 0, 255, NULL, "only users whose reason begins so, as 550",
     AT(reason)},
    {"domain", CONFIG_STRING, NULL, "", 0, 253, NULL, "only users with an address there now", AT(domain)},
    {"provider", CONFIG_STRING, NULL, "", 0, 95, NULL, "only users of whom this provider said so",
     AT(provider)},
    {"interval", CONFIG_INT, NULL, "0", 0, 2147483647, NULL,
     "only users of this interval (foliopost report --intervals); 0: of all", AT(interval)},
    {"user", CONFIG_INT, NULL, "0", 0, 9.3e18, NULL, "only this user; 0: all", AT(user)},
};

/* False: no filter is given, and the field stays unset. */
static bool fill_filter(struct values *v, Foliopost__V1__DeliveryFilter *f)
{
    foliopost__v1__delivery_filter__init(f);
    f->reason = v->reason;
    f->domain = v->domain;
    f->provider = v->provider;
    f->interval_no = (int32_t)v->interval;
    f->user_ids = &v->user;
    f->n_user_ids = v->user > 0;
    return v->reason[0] != '\0' || v->domain[0] != '\0' || v->provider[0] != '\0' || v->interval > 0 ||
           v->user > 0;
}

/* The same was asked for before, and the answer got lost. */
static bool is_running(const Foliopost__V1__Job *job)
{
    return job != NULL && job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS;
}

static enum cli_exit run_retry(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;
    Foliopost__V1__DeliveryFilter filter;
    char users[FORMAT_CAP];
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &q.job_id, &err) != 0)
        return cli_fail(&err);
    if (fill_filter(values, &filter))
        q.filter = &filter;
    const Foliopost__V1__RetryFailedResponse *r =
        cli_call(c, "RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else if (r->users == 0)
        printf("job %" PRId64 ": no mail%s %s, it %s\n", q.job_id, q.filter ? " of these" : "",
               is_running(r->job) ? "is failed now" : "failed",
               is_running(r->job) ? "is in another round already" : "stays as it is");
    else
        printf("job %" PRId64 ": %s users are tried again: foliopost watch %" PRId64 "%s\n", q.job_id,
               format_count(r->users, users), q.job_id, cli_rpc_flag(c));
    return CLI_OK;
}

const struct cli_command cli_retry = {
    .name = "retry",
    .arguments = "JOB",
    .summary = "Tries a completed job's failed mails once more; who was sent his mail is left alone",
    .details = "  foliopost deliveries 12 --state failed\n"
               "  foliopost retry 12\n"
               "  foliopost retry 12 --reason 4 --domain gmail.com\n"
               "  foliopost retry 12 --provider relay      what this provider refused\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run_retry,
};

static int read_resolution(const char *text, Foliopost__V1__AmbiguousResolution *out, struct fp_err *err)
{
    int value = wire_enum_value(&foliopost__v1__ambiguous_resolution__descriptor, text);
    if (value <= 0)
        return err_set(err, FP_INVALID_ARGUMENT, "say resend or accept, not \"%s\"", text);
    *out = (Foliopost__V1__AmbiguousResolution)value;
    return 0;
}

static enum cli_exit run_resolve(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__ResolveAmbiguousRequest q = FOLIOPOST__V1__RESOLVE_AMBIGUOUS_REQUEST__INIT;
    Foliopost__V1__DeliveryFilter filter;
    char users[FORMAT_CAP];
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &q.job_id, &err) != 0 || read_resolution(args[1], &q.resolution, &err) != 0)
        return cli_fail(&err);
    if (fill_filter(values, &filter))
        q.filter = &filter;
    const Foliopost__V1__ResolveAmbiguousResponse *r =
        cli_call(c, "ResolveAmbiguous", &q.base, &foliopost__v1__resolve_ambiguous_response__descriptor,
                 &err);
    if (r == NULL)
        return cli_fail(&err);
    bool resend = q.resolution == FOLIOPOST__V1__AMBIGUOUS_RESOLUTION__AMBIGUOUS_RESOLUTION_RESEND;
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else if (r->users == 0)
        printf("job %" PRId64 ": nobody%s is ambiguous, it %s\n", q.job_id, q.filter ? " of these" : "",
               is_running(r->job) ? "is in another round already" : "stays as it is");
    else
        printf("job %" PRId64 ": %s users are %s: foliopost watch %" PRId64 "%s\n", q.job_id,
               format_count(r->users, users), resend ? "mailed again" : "taken as sent", q.job_id,
               cli_rpc_flag(c));
    return CLI_OK;
}

const struct cli_command cli_resolve = {
    .name = "resolve",
    .arguments = "JOB resend|accept",
    .summary = "Decides about users of whom nobody can know whether their mail was accepted",
    .details = "  foliopost deliveries 12 --state ambiguous\n"
               "  foliopost resolve 12 accept          they got it: sent, without another mail\n"
               "  foliopost resolve 12 resend --user 4711\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 2,
    .max_args = 2,
    .run = run_resolve,
};
