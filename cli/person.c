/* foliopost erase, foliopost resend: what is done for one user who asks for it. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "lib/base/text.h"

static int read_user(const char *text, int64_t *id, struct fp_err *err)
{
    if (text_parse_i64(text, id) && *id > 0)
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not a user's id, a number above 0", text);
}

struct erase_values {
    char *address;
    bool yes;
};

static const struct config_setting erase_rows[] = {
    {"address", CONFIG_STRING, NULL, "", 0, 254, NULL,
     "his last address, so that his suppressions stay with it; hashed, and kept nowhere",
     offsetof(struct erase_values, address)},
    {"yes", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "really: it cannot be undone",
     offsetof(struct erase_values, yes)},
};

static void print_erased(const Foliopost__V1__EraseUserResponse *r)
{
    printf("%s: %" PRId64 " deliveries and %" PRId64 " events under a pseudonym, %" PRId64
           " checkpoints deleted, %" PRId64 " suppressions kept by hash\n",
           r->existing ? "was erased before" : "erased", r->deliveries, r->events, r->checkpoints,
           r->suppressions);
}

static enum cli_exit run_erase(struct cli *c, void *values, char **args, int n_args)
{
    const struct erase_values *v = values;
    Foliopost__V1__EraseUserRequest q = FOLIOPOST__V1__ERASE_USER_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (read_user(args[0], &q.user_id, &err) != 0)
        return cli_fail(&err);
    if (!v->yes) {
        (void)err_set(&err, FP_INVALID_ARGUMENT, "this cannot be undone: say --yes");
        return cli_fail(&err);
    }
    q.address = v->address;
    const Foliopost__V1__EraseUserResponse *r =
        cli_call(c, "EraseUser", &q.base, &foliopost__v1__erase_user_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_erased(r);
    return CLI_OK;
}

const struct cli_command cli_erase = {
    .name = "erase",
    .arguments = "USER",
    .summary = "Takes a user who was deleted in the source out of the ledger; his suppressions stay by hash",
    .details = "  foliopost erase 4711 --address ann@example.com --yes\n",
    .rows = erase_rows,
    .n_rows = sizeof erase_rows / sizeof erase_rows[0],
    .values_bytes = sizeof(struct erase_values),
    .min_args = 1,
    .max_args = 1,
    .run = run_erase,
};

struct resend_values {
    char *request_id;
};

static const struct config_setting resend_rows[] = {
    {"request-id", CONFIG_STRING, NULL, "new", 1, 128, NULL,
     "the same id twice makes one job; new: a UUID made now, and told",
     offsetof(struct resend_values, request_id)},
};

static enum cli_exit run_resend(struct cli *c, void *values, char **args, int n_args)
{
    const struct resend_values *v = values;
    Foliopost__V1__ResendRequest q = FOLIOPOST__V1__RESEND_REQUEST__INIT;
    char made[37];
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &q.job_id, &err) != 0 || read_user(args[1], &q.user_id, &err) != 0)
        return cli_fail(&err);
    text_new_uuid(made);
    q.request_id = strcmp(v->request_id, "new") == 0 ? made : v->request_id;
    const Foliopost__V1__SubmitJobResponse *r =
        cli_call(c, "Resend", &q.base, &foliopost__v1__submit_job_response__descriptor, &err);
    if (r == NULL)
        return job_submit_failed(&err, q.request_id);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        printf("job %" PRId64 " (request id %s%s): foliopost watch %" PRId64 "%s\n", r->job->id, q.request_id,
               r->existing ? ", known already" : "", r->job->id, cli_rpc_flag(c));
    return CLI_OK;
}

const struct cli_command cli_resend = {
    .name = "resend",
    .arguments = "JOB USER",
    .summary = "Sends one user's old report again, with the figures as they were known then",
    .details = "  foliopost history 4711\n  foliopost resend 12 4711\n",
    .rows = resend_rows,
    .n_rows = sizeof resend_rows / sizeof resend_rows[0],
    .values_bytes = sizeof(struct resend_values),
    .min_args = 2,
    .max_args = 2,
    .run = run_resend,
};
