/*
 * The command line against a server of the test's own: what arrives there,
 * what is printed, and with which exit code it ends.
 *
 * NNG must not be forked, so each command is this program started again with
 * the role `cli` (main() below hands it to cli_main).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/base/clock.h"
#include "lib/log/log.h"

/* --- the server ------------------------------------------------------------------------- */

static char seen[4096];      /* the last request as JSON */
static atomic_int get_calls; /* GetJob: in progress at first, then as `ending` says */
static int ending = FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED;
static enum fp_code refuse;
static bool forgets, there_already; /* as a scheduler of before most fields; the request id is known */
static char stopped[256];           /* what was done to job 12 */

static void note(const ProtobufCMessage *m)
{
    struct fp_str s;
    str_init(&s, 0);
    wire_print_json(m, false, &s);
    snprintf(seen, sizeof seen, "%s", s.data);
    str_fini(&s);
}

static Foliopost__V1__Job *new_job(struct rpc_call *call, int64_t id)
{
    Foliopost__V1__Job *job = arena_alloc(call->arena, sizeof *job);
    Foliopost__V1__JobSpec *spec = arena_alloc(call->arena, sizeof *spec);
    Foliopost__V1__Counts *counts = arena_alloc(call->arena, sizeof *counts);
    foliopost__v1__job__init(job);
    foliopost__v1__job_spec__init(spec);
    foliopost__v1__counts__init(counts);
    spec->kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY;
    spec->period_start = "2026-10-05";
    spec->period_end = "2026-10-11";
    spec->title = "a title";
    counts->users = 12345;
    counts->sent = 12000;
    job->id = id;
    job->spec = spec;
    job->counts = counts;
    job->state = FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS;
    job->request_id = "the-id";
    return job;
}

static ProtobufCMessage *on_submit(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    note(m);
    if (refuse != FP_OK) {
        err_set(err, refuse, "spec.period_end: before period_start");
        return NULL;
    }
    Foliopost__V1__SubmitJobResponse *r = arena_alloc(call->arena, sizeof *r);
    foliopost__v1__submit_job_response__init(r);
    const Foliopost__V1__SubmitJobRequest *q = (const void *)m;
    r->job = new_job(call, q->dry_run && !forgets ? 0 : 12);
    r->existing = there_already;
    if (forgets)
        return &r->base;
    const Foliopost__V1__JobSpec shown = *r->job->spec;
    *r->job->spec = *q->spec;
    r->job->spec->kind = shown.kind;
    r->job->spec->period_start = shown.period_start;
    r->job->spec->period_end = shown.period_end;
    return &r->base;
}

static ProtobufCMessage *on_cancel(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    const Foliopost__V1__CancelJobRequest *q = (const void *)m;
    (void)err;
    snprintf(stopped, sizeof stopped, "cancelled %d: %s", (int)q->job_id, q->reason);
    return &new_job(call, q->job_id)->base;
}

static ProtobufCMessage *on_pause(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    const Foliopost__V1__PauseJobRequest *q = (const void *)m;
    (void)err;
    snprintf(stopped, sizeof stopped, "paused %d: %s", (int)q->job_id, q->reason);
    return &new_job(call, q->job_id)->base;
}

static ProtobufCMessage *on_get(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    int64_t id = ((const Foliopost__V1__GetJobRequest *)m)->job_id;
    if (id == 404) {
        err_set(err, FP_NOT_FOUND, "no job 404");
        return NULL;
    }
    Foliopost__V1__Job *job = new_job(call, id);
    if (atomic_fetch_add(&get_calls, 1) > 0)
        job->state = ending;
    return &job->base;
}

static ProtobufCMessage *on_deliveries(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    const Foliopost__V1__ListDeliveriesRequest *q = (const void *)m;
    Foliopost__V1__ListDeliveriesResponse *r = arena_alloc(call->arena, sizeof *r);
    Foliopost__V1__Delivery *d = arena_alloc(call->arena, sizeof *d);
    (void)err;
    note(m);
    foliopost__v1__list_deliveries_response__init(r);
    foliopost__v1__delivery__init(d);
    d->user_id = q->after_user_id + 1;
    d->state = FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_FAILED;
    d->reason = "550 no such user";
    r->deliveries = arena_alloc(call->arena, sizeof *r->deliveries);
    r->deliveries[0] = d;
    r->n_deliveries = 1;
    r->next_after_user_id = d->user_id < 3 ? d->user_id : 0;
    return &r->base;
}

static ProtobufCMessage *on_list(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    Foliopost__V1__ListJobsResponse *r = arena_alloc(call->arena, sizeof *r);
    (void)err;
    note(m);
    foliopost__v1__list_jobs_response__init(r);
    r->jobs = arena_alloc(call->arena, sizeof *r->jobs);
    r->jobs[0] = new_job(call, 12);
    r->n_jobs = 1;
    r->next_before_id = 12;
    return &r->base;
}

static ProtobufCMessage *on_history(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    Foliopost__V1__GetUserHistoryResponse *r = arena_alloc(call->arena, sizeof *r);
    Foliopost__V1__UserMail *mail = arena_alloc(call->arena, sizeof *mail);
    (void)err;
    note(m);
    foliopost__v1__get_user_history_response__init(r);
    foliopost__v1__user_mail__init(mail);
    mail->job_id = 12;
    mail->period_start = "2026-10-01";
    r->mails = arena_alloc(call->arena, sizeof *r->mails);
    r->mails[0] = mail; /* without a delivery: a server of another version */
    r->n_mails = 1;
    r->next_before_job_id = 12;
    return &r->base;
}

static ProtobufCMessage *on_retry(struct rpc_call *call, const ProtobufCMessage *m, struct fp_err *err)
{
    Foliopost__V1__RetryFailedResponse *r = arena_alloc(call->arena, sizeof *r);
    (void)err;
    note(m);
    foliopost__v1__retry_failed_response__init(r);
    r->users = ((const Foliopost__V1__RetryFailedRequest *)m)->job_id == 12 ? 1234 : 0;
    return &r->base;
}

static const struct rpc_method methods[] = {
    {"ListJobs", &foliopost__v1__list_jobs_request__descriptor,
     &foliopost__v1__list_jobs_response__descriptor, RPC_ANYBODY, on_list, 0},
    {"GetUserHistory", &foliopost__v1__get_user_history_request__descriptor,
     &foliopost__v1__get_user_history_response__descriptor, RPC_ANYBODY, on_history, 0},
    {"RetryFailed", &foliopost__v1__retry_failed_request__descriptor,
     &foliopost__v1__retry_failed_response__descriptor, RPC_ANYBODY, on_retry, 0},
    {"SubmitJob", &foliopost__v1__submit_job_request__descriptor,
     &foliopost__v1__submit_job_response__descriptor, RPC_ANYBODY, on_submit, 0},
    {"CancelJob", &foliopost__v1__cancel_job_request__descriptor, &foliopost__v1__job__descriptor,
     RPC_ANYBODY, on_cancel, 0},
    {"PauseJob", &foliopost__v1__pause_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     on_pause, 0},
    {"GetJob", &foliopost__v1__get_job_request__descriptor, &foliopost__v1__job__descriptor, RPC_ANYBODY,
     on_get, 0},
    {"ListDeliveries", &foliopost__v1__list_deliveries_request__descriptor,
     &foliopost__v1__list_deliveries_response__descriptor, RPC_ANYBODY, on_deliveries, 0},
};

static char rpc_url[64];

static int start_server(void **state)
{
    struct fp_err err;
    struct rpc_server_options o = {.listen_url = "tcp://127.0.0.1:0",
                                   .token_file = "",
                                   .threads = 2,
                                   .max_deadline_ms = 5000,
                                   .methods = methods,
                                   .n_methods = sizeof methods / sizeof methods[0]};
    struct fp_rpc_server *s = rpc_server_start(&o, &err);
    *state = s;
    if (s == NULL)
        return -1;
    snprintf(rpc_url, sizeof rpc_url, "tcp://127.0.0.1:%d", rpc_server_port(s));
    return 0;
}

static int stop_server(void **state)
{
    rpc_server_stop(*state);
    return 0;
}

/* --- running commands ---------------------------------------------------------------------- */

static char output[65536]; /* stdout and stderr of the last command */

/* `arguments` is the rest of a bash command line, with redirections and all. */
static int run(const char *arguments)
{
    char self[64], script[4096];
    snprintf(self, sizeof self, "/proc/%d/exe", (int)getpid());
    snprintf(script, sizeof script, "\"$SELF\" cli %s", arguments);
    setenv("SELF", self, 1);
    setenv("SCRIPT", script, 1);
    setenv("FOLIOPOST_RPC", rpc_url, 1);
    FILE *f = popen("bash -c \"$SCRIPT\" 2>&1", "re");
    assert_non_null(f);
    size_t n = fread(output, 1, sizeof output - 1, f);
    output[n] = '\0';
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void flags_become_a_specification(void **state)
{
    (void)state;
    refuse = FP_OK;
    assert_int_equal(
        run("submit custom --period 2026-01-01..2026-06-30 --user-ids 3,1,2 --policy resend --max-attempts 4 "
            "--batch-size 50 --title 'half a year' --interval-delay 2s --request-id r1 --dry-run"),
        CLI_OK);
    assert_contains(seen, "\"request_id\":\"r1\"");
    assert_contains(
        seen,
        "\"kind\":\"JOB_KIND_CUSTOM\",\"period_start\":\"2026-01-01\",\"period_end\":\"2026-06-30\",\"user_ids\":[3,1,2]");
    assert_contains(seen,
                    "\"ambiguous_policy\":\"AMBIGUOUS_POLICY_RESEND\",\"max_attempts\":4,\"batch_size\":50");
    assert_contains(seen, "\"interval_delay_ms\":2000,\"deadline_us\":0,\"title\":\"half a year\"");
    assert_contains(seen, "\"dry_run\":true");
    assert_int_equal(run("submit weekly --registered-from 1970-01-02 --registered-to 1970-01-03"), CLI_OK);
    assert_contains(seen,
                    "\"user_ids\":[],\"registered_from_us\":86400000000,\"registered_to_us\":172800000000");
    assert_contains(output, "job 12 submitted: weekly 2026-10-05..2026-10-11, request id the-id");
    assert_null(strstr(seen, "\"request_id\":\"new\""));
}

static void what_an_older_scheduler_leaves_out_is_told_and_stopped(void **state)
{
    (void)state;
    refuse = FP_OK;
    forgets = true;
    stopped[0] = '\0';
    assert_int_equal(run("submit weekly --rehearse --provider relay --share 5%"), CLI_FAILED);
    assert_contains(output, "share_ppm, provider, dry_run: submit again after the rollout");
    assert_contains(output, "Job 12 was cancelled at once");
    assert_null(strstr(output, "submitted"));
    assert_contains(stopped, "cancelled 12: the scheduler did not understand");
    there_already = true;
    assert_int_equal(run("submit weekly --approval --json"), CLI_FAILED);
    assert_contains(output, "approval_required: submit again");
    assert_contains(stopped, "paused 12");
    there_already = false;
    assert_int_equal(run("submit weekly --dry-run"), CLI_FAILED);
    assert_contains(stopped, "cancelled 12");
    forgets = false;
    assert_int_equal(run("submit weekly --rehearse --provider relay --share 5% --canary 1% --approval"),
                     CLI_OK);
}

static void a_deadline_is_counted_from_the_submission(void **state)
{
    char first[sizeof seen];
    (void)state;
    refuse = FP_OK;
    assert_int_equal(run("submit monthly --deadline 8h --request-id monthly-{period}"), CLI_OK);
    snprintf(first, sizeof first, "%s", seen);
    assert_contains(first, "\"deadline_after_ms\":28800000");
    assert_int_equal(run("submit monthly --deadline 8h --request-id monthly-{period}"), CLI_OK);
    assert_string_equal(seen, first);
}

static void what_an_action_would_ignore_is_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"suppressions remove --user 7 --reason hard_bounce", "suppressions remove does not take --reason"},
        {"suppressions import - --kind weekly </dev/null", "suppressions import does not take --kind"},
        {"suppressions list --evidence x", "does not take --evidence"},
        {"schedule update daily --paused", "schedule update does not take --paused"},
        {"schedule create daily --cron '0 6 1 * *' --kind monthly --no-rate", "does not take --no-rate"},
        {"schedule list --rate 5", "schedule list does not take --rate"},
        {"schedule pause daily --request-id x", "does not take --request-id"},
        {"identities revoke ann --roles viewer", "identities revoke does not take --roles"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(run(wrong[i][0]), CLI_USAGE);
        assert_contains(output, wrong[i][1]);
    }
    assert_int_equal(run("suppressions remove --user 7 --kind weekly"),
                     CLI_FAILED); /* it went as far as the call */
    assert_null(strstr(output, "does not take"));
    assert_int_equal(run("schedule run daily --request-id x"), CLI_FAILED);
    assert_null(strstr(output, "does not take"));
}

static void who_gets_no_answer_is_told_how_to_ask_again(void **state)
{
    static const char *const commands[] = {"resend 12 7", "schedule run daily", "submit weekly"};
    char line[160];
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        snprintf(line, sizeof line, "%s --request-id mine --rpc tcp://127.0.0.1:1 --timeout 1s", commands[i]);
        assert_int_equal(run(line), CLI_UNAVAILABLE);
        assert_contains(output,
                        "To try again without a second job, should it have been taken: --request-id mine");
    }
}

static void a_request_id_can_name_the_period(void **state)
{
    int32_t first, last;
    char start[11], end[11], wanted[120];
    (void)state;
    refuse = FP_OK;
    day_last_month(day_from_us(clock_wall_us()), &first,
                   &last); /* false once, at the month's last midnight */
    day_format(first, start);
    day_format(last, end);
    snprintf(wanted, sizeof wanted, "\"request_id\":\"a-%s..%s-b\"", start, end);
    assert_int_equal(run("submit monthly --request-id a-{period}-b"), CLI_OK);
    assert_contains(seen, wanted);
    snprintf(wanted, sizeof wanted, "\"period_start\":\"%s\",\"period_end\":\"%s\"", start, end);
    assert_contains(seen, wanted);
    assert_int_equal(run("submit custom --period 2026-01-01..2026-06-30 --request-id {period}"), CLI_OK);
    assert_contains(seen, "\"request_id\":\"2026-01-01..2026-06-30\"");
    assert_int_equal(run("submit custom --request-id {period}"), CLI_USAGE);
    assert_contains(output, "needs --period");
    assert_int_equal(run("submit monthly --request-id a-{Period}"), CLI_USAGE);
    assert_int_equal(run("submit monthly --request-id {period}-{period}"), CLI_USAGE);
    assert_contains(output, "nothing else");
}

static void lists_of_users_come_from_files_too(void **state)
{
    (void)state;
    refuse = FP_OK;
    assert_int_equal(run("submit weekly --user-ids @- <<< $'7\\n8, 9\\t10'"), CLI_OK);
    assert_contains(seen, "\"user_ids\":[7,8,9,10]");
    assert_int_equal(run("submit weekly --user-ids @/no/such/file"), CLI_USAGE);
    assert_contains(output, "/no/such/file");
    assert_int_equal(run("submit weekly --user-ids 1,2,x3"), CLI_USAGE);
    assert_contains(output, "\"x3\" (number 3 of the list)");
}

static void an_empty_value_is_never_taken_for_everybody(void **state)
{
    (void)state;
    seen[0] = '\0';
    assert_int_equal(run("submit weekly --user-ids ''"), CLI_USAGE);
    assert_int_equal(run("submit weekly --user-ids @/dev/null"), CLI_USAGE);
    assert_int_equal(run("submit weekly --user-ids ,"), CLI_USAGE);
    assert_int_equal(run("submit weekly --registered-from ''"), CLI_USAGE);
    assert_int_equal(run("submit weekly --registered-to=2026-02-30"), CLI_USAGE);
    assert_int_equal(run("submit weekly --period ''"), CLI_USAGE);
    assert_int_equal(run("submit weekly --period 2026-01-01"), CLI_USAGE);
    assert_int_equal(run("submit weekly --batch-size 4294967396"), CLI_USAGE); /* 100 when cut to 32 bits */
    assert_string_equal(seen, "");
}

static void errors_have_codes_and_exit_codes(void **state)
{
    (void)state;
    refuse = FP_INVALID_ARGUMENT;
    assert_int_equal(run("submit weekly"), CLI_USAGE);
    assert_string_equal(output, "foliopost: INVALID_ARGUMENT: spec.period_end: before period_start\n");
    refuse = FP_ALREADY_EXISTS;
    assert_int_equal(run("submit weekly"), CLI_FAILED);
    refuse = FP_OK;
    assert_int_equal(run("status 404"), CLI_NOT_FOUND);
    assert_string_equal(output, "foliopost: NOT_FOUND: no job 404\n");
    assert_int_equal(run("status 12x"), CLI_USAGE);
    assert_int_equal(run("status"), CLI_USAGE);
    assert_int_equal(run("status 1 2"), CLI_USAGE);
    assert_int_equal(run("frobnicate"), CLI_USAGE);
    assert_int_equal(run("status 1 -x"), CLI_USAGE);
    assert_int_equal(run("status 1 --rpc tcp://127.0.0.1:1 --timeout 100ms"), CLI_UNAVAILABLE);
    assert_contains(output, "nobody answers at tcp://127.0.0.1:1");
    assert_int_equal(run("status 1 --rpc ipc:///x"), CLI_USAGE);
    assert_int_equal(run("status 1 --token-file /no/such/token"), CLI_FAILED);
    assert_contains(output, "/no/such/token");
    assert_int_equal(run(""), CLI_USAGE);
    assert_int_equal(run("status 1 > /dev/full"), CLI_FAILED);
}

static void settings_stand_anywhere(void **state)
{
    (void)state;
    static const char *const forms[] = {"--json status 12", "status --json 12", "status 12 --json",
                                        "status --json=true -- 12"};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run(forms[i]), CLI_OK);
        assert_contains(output, "{\n  \"id\": 12,\n  \"request_id\": \"the-id\",");
    }
}

static void a_watch_ends_with_the_job_and_says_how(void **state)
{
    (void)state;
    atomic_store(&get_calls, 0);
    ending = FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED;
    assert_int_equal(run("watch 12"), CLI_OK);
    assert_contains(output, "job 12 IN_PROGRESS");
    assert_contains(output, "job 12 COMPLETED; sent 12,000");
    atomic_store(&get_calls, 0);
    ending = FOLIOPOST__V1__JOB_STATE__JOB_STATE_CANCELLED;
    assert_int_equal(run("submit weekly --watch"), CLI_JOB_FAILED);
    assert_contains(output, "job 12 CANCELLED");
    assert_int_equal(run("watch 404"), CLI_NOT_FOUND);
}

static void interrupting_a_watch_leaves_the_job_alone(void **state)
{
    (void)state;
    atomic_store(&get_calls, 0);
    ending = FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS;
    assert_int_equal(run("watch 12 & p=$!; sleep 1.5; kill -TERM $p; wait $p"), CLI_INTERRUPTED);
    assert_contains(output, "The job goes on. To watch it again: foliopost watch 12 --rpc tcp://127.0.0.1:");
}

static void jobs_are_filtered_and_the_next_page_keeps_to_it(void **state)
{
    (void)state;
    assert_int_equal(run("jobs"), CLI_OK);
    assert_contains(seen,
                    "{\"state\":\"JOB_STATE_UNSPECIFIED\",\"page_size\":20,\"before_id\":0,\"open\":false,"
                    "\"kind\":\"JOB_KIND_UNSPECIFIED\",\"template_name\":\"\",\"brand\":\"\",\"from_us\":0,"
                    "\"to_us\":0,\"parent_job\":0,\"provider\":\"\",\"submitted_by\":\"\",\"schedule\":\"\","
                    "\"without_dry_runs\":false}");
    assert_contains(output, "more: foliopost jobs --before 12\n");
    assert_int_equal(
        run("jobs --state open --kind monthly --template plain --brand acme --provider relay"
            " --submitted-by 'CN=reports, O=x' --schedule nightly --from 1970-01-02 --to 1970-01-03"
            " --parent 7 --no-dry-runs --limit 1"),
        CLI_OK);
    assert_contains(
        seen, "{\"state\":\"JOB_STATE_UNSPECIFIED\",\"page_size\":1,\"before_id\":0,\"open\":true,"
              "\"kind\":\"JOB_KIND_MONTHLY\",\"template_name\":\"plain\",\"brand\":\"acme\","
              "\"from_us\":86400000000,\"to_us\":172800000000,\"parent_job\":7,\"provider\":\"relay\","
              "\"submitted_by\":\"CN=reports, O=x\",\"schedule\":\"nightly\",\"without_dry_runs\":true}");
    assert_contains(output, "more: foliopost jobs --state open --kind monthly --template plain --brand acme"
                            " --provider relay --submitted-by 'CN=reports, O=x' --schedule nightly"
                            " --from 1970-01-02 --to 1970-01-03 --parent 7 --no-dry-runs --before 12\n");
    assert_int_equal(run("jobs --state paused"), CLI_OK);
    assert_contains(seen, "{\"state\":\"JOB_STATE_PAUSED\"");
    assert_int_equal(run("jobs --from yesterday"), CLI_USAGE);
    assert_contains(output, "--from: \"yesterday\" is not a day, as 2026-10-01");
}

static void all_pages_of_deliveries_are_followed(void **state)
{
    (void)state;
    assert_int_equal(run("deliveries 12 --state failed --limit 1"), CLI_OK);
    assert_contains(seen, "\"state\":\"DELIVERY_STATE_FAILED\",\"page_size\":1,\"after_user_id\":0");
    assert_contains(output, "550 no such user");
    assert_contains(output, "more: foliopost deliveries 12 --state failed --after 1");
    assert_int_equal(run("deliveries 12 --reason '550 5' --provider ses --interval 3 --limit 1"), CLI_OK);
    assert_contains(output, "deliveries 12 --reason '550 5' --provider ses --interval 3 --after 1, or --all");
    assert_int_equal(run("deliveries 12 --all --json"), CLI_OK);
    assert_contains(output, "{\"user_id\":1,");
    assert_contains(output, "\n{\"user_id\":3,");
    assert_null(strstr(output, "{\"user_id\":4,"));
}

static void a_history_is_listed_and_a_retry_says_how_many(void **state)
{
    (void)state;
    assert_int_equal(run("history 7 --limit 1"), CLI_OK);
    assert_contains(seen, "\"user_id\":7,\"page_size\":1");
    assert_contains(output, "2026-10-01");
    assert_contains(output, "more: foliopost history 7 --before 12");
    assert_int_equal(run("history anna"), CLI_USAGE);
    assert_contains(output, "\"anna\" is not a user's id");
    assert_int_equal(run("retry 12"), CLI_OK);
    assert_contains(output, "users are tried again: foliopost watch 12");
    assert_int_equal(run("retry 12 --reason 4 --domain gmail.com --user 7 --provider ses"), CLI_OK);
    assert_contains(
        seen, "\"filter\":{\"reason\":\"4\",\"interval_no\":0,\"domain\":\"gmail.com\",\"user_ids\":[7],"
              "\"provider\":\"ses\"}");
    assert_int_equal(run("deliveries 12 --provider ses"), CLI_OK);
    assert_contains(seen, "\"provider\":\"ses\"");
    assert_int_equal(run("deliveries 12 --user 7 --from 1970-01-02"), CLI_OK);
    assert_contains(seen, "\"user_id\":7,\"from_us\":86400000000");
    assert_int_equal(run("retry 13"), CLI_OK);
    assert_contains(output, "it stays as it is");
}

static void help_names_every_setting_and_completion_is_valid(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), CLI_OK);
    assert_contains(output, "Exit codes:");
    assert_int_equal(run("help submit"), CLI_OK);
    assert_contains(output, "--interval-delay DURATION");
    assert_int_equal(run("submit --help"), CLI_OK);
    assert_contains(output, "foliopost submit monthly --watch");
    assert_int_equal(run("deliveries --help"), CLI_OK);
    assert_contains(output, "(users, 1 to 1000; default 100)");
    assert_int_equal(run("--version"), CLI_OK);
    assert_int_equal(
        run("completion zsh | { if command -v zsh >/dev/null; then zsh -n; else cat >/dev/null; fi; }"),
        CLI_OK);
    assert_int_equal(run("completion fish"), CLI_USAGE);
    assert_int_equal(run("completion zsh"), CLI_OK);
    assert_contains(output, "#compdef foliopost");
    assert_contains(output, "submit:--policy) compadd -- hold resend; return;;");
    assert_int_equal(
        run("completion bash | bash -c 'eval \"$(cat)\"; COMP_WORDS=(foliopost submit --policy re); "
            "COMP_CWORD=3; _foliopost; echo \"${COMPREPLY[*]}\"; COMP_WORDS=(foliopost sub); COMP_CWORD=1; "
            "_foliopost; echo \"${COMPREPLY[*]}\"'"),
        0);
    assert_string_equal(output, "resend\nsubmit\n");
}

static void the_manual_has_every_command_and_no_line_that_roff_would_obey(void **state)
{
    (void)state;
    assert_int_equal(run("man"), CLI_OK);
    assert_contains(output, ".SS \"submit weekly|monthly|custom\"");
    assert_contains(output, "\\-\\-interval\\-delay");
    assert_contains(output, "130  watching");
    assert_int_equal(run("man | grep '^[.]' | grep -cvE '^[.](TH|SH|SS|PP|nf|fi|B|I)( |$)'"), 1);
    assert_string_equal(output, "0\n");
}

int main(int argc, char **argv)
{
    static const struct cli_command *const commands[] = {&cli_submit,     &cli_jobs,         &cli_status,
                                                         &cli_watch_job,  &cli_deliveries,   &cli_history,
                                                         &cli_retry,      &cli_completion,   &cli_man,
                                                         &cli_help,       &cli_suppressions, &cli_schedule,
                                                         &cli_identities, &cli_resend,       NULL};
    if (argc > 1 && strcmp(argv[1], "cli") == 0)
        return cli_main(commands, argc - 1, argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_become_a_specification),
        cmocka_unit_test(what_an_older_scheduler_leaves_out_is_told_and_stopped),
        cmocka_unit_test(a_deadline_is_counted_from_the_submission),
        cmocka_unit_test(what_an_action_would_ignore_is_refused),
        cmocka_unit_test(who_gets_no_answer_is_told_how_to_ask_again),
        cmocka_unit_test(a_request_id_can_name_the_period),
        cmocka_unit_test(lists_of_users_come_from_files_too),
        cmocka_unit_test(an_empty_value_is_never_taken_for_everybody),
        cmocka_unit_test(errors_have_codes_and_exit_codes),
        cmocka_unit_test(settings_stand_anywhere),
        cmocka_unit_test(a_watch_ends_with_the_job_and_says_how),
        cmocka_unit_test(interrupting_a_watch_leaves_the_job_alone),
        cmocka_unit_test(jobs_are_filtered_and_the_next_page_keeps_to_it),
        cmocka_unit_test(all_pages_of_deliveries_are_followed),
        cmocka_unit_test(a_history_is_listed_and_a_retry_says_how_many),
        cmocka_unit_test(help_names_every_setting_and_completion_is_valid),
        cmocka_unit_test(the_manual_has_every_command_and_no_line_that_roff_would_obey),
    };
    log_init("cli_test", false, LOG_ERROR_LEVEL);
    int failed = cmocka_run_group_tests(tests, start_server, stop_server);
    fflush(stdout);
    fflush(stderr);
    _exit(failed == 0 ? 0 : 1);
}
