/* foliopost retry: a completed job's failed mails once more. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/format.h"

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;
    char users[FORMAT_CAP];
    struct fp_err err;
    (void)values;
    (void)n_args;
    if (cli_job_id(args[0], &q.job_id, &err) != 0)
        return cli_fail(&err);
    const Foliopost__V1__RetryFailedResponse *r =
        cli_call(c, "RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else if (r->users == 0)
        printf("job %" PRId64 ": no mail failed, it stays as it is\n", q.job_id);
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
               "  foliopost retry 12\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
