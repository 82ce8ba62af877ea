/*
 * foliopost jobs, status, pause, resume, cancel, approve: one job or a page of them,
 * as a message or as a few lines for people.
 */
#include "cli/job.h"

#include <inttypes.h>
#include <string.h>

#include "cli/format.h"

#define JOB_MESSAGE (&foliopost__v1__job__descriptor)

struct list_values {
    char *state, *kind, *template, *brand, *provider, *by, *schedule, *from, *to;
    int64_t parent, limit, before;
    bool dry_runs;
};

struct reason_values {
    char *reason;
};

#define LIST_AT(field) offsetof(struct list_values, field)

static const struct config_setting list_rows[] = {
    {"state", CONFIG_CHOICE, NULL, "all", 0, 0,
     "all|open|pending|in_progress|paused|completed|failed|cancelled",
     "only jobs in this state; open: pending, in progress and paused", LIST_AT(state)},
    {"kind", CONFIG_CHOICE, NULL, "any", 0, 0, "any|weekly|monthly|custom", "only jobs of this kind",
     LIST_AT(kind)},
    {"template", CONFIG_STRING, NULL, "", 0, 64, NULL, "only jobs with this template", LIST_AT(template)},
    {"brand", CONFIG_STRING, NULL, "", 0, 64, NULL, "only jobs of this brand", LIST_AT(brand)},
    {"provider", CONFIG_STRING, NULL, "", 0, 64, NULL, "only jobs that name this provider",
     LIST_AT(provider)},
    {"submitted-by", CONFIG_STRING, NULL, "", 0, 128, NULL, "only jobs that this identity submitted",
     LIST_AT(by)},
    {"schedule", CONFIG_STRING, NULL, "", 0, 64, NULL, "only jobs that this schedule's due times made",
     LIST_AT(schedule)},
    {"from", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only submitted on this day or later (YYYY-MM-DD, UTC)",
     LIST_AT(from)},
    {"to", CONFIG_STRING, NULL, "any", 1, 10, NULL, "only submitted before this day (YYYY-MM-DD, UTC)",
     LIST_AT(to)},
    {"parent", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "only what foliopost resend made of this job; 0: any",
     LIST_AT(parent)},
    {"dry-runs", CONFIG_BOOL, NULL, "true", 0, 0, NULL, "dry runs too; --no-dry-runs leaves them out",
     LIST_AT(dry_runs)},
    {"limit", CONFIG_INT, "jobs", "20", 1, 200, NULL, "at most so many, newest first", LIST_AT(limit)},
    {"before", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "only jobs older than the one with this id",
     LIST_AT(before)},
};

static const struct config_setting reason_rows[] = {
    {"reason", CONFIG_STRING, NULL, "", 0, 200, NULL, "kept with the job, for people",
     offsetof(struct reason_values, reason)},
};

const char *job_state_text(const Foliopost__V1__Job *job)
{
    static const char *const names[] = {"?",         "PENDING", "IN_PROGRESS", "PAUSED",
                                        "COMPLETED", "FAILED",  "CANCELLED"};
    return job->state > 0 && job->state <= FOLIOPOST__V1__JOB_STATE__JOB_STATE_CANCELLED ? names[job->state]
                                                                                         : names[0];
}

bool job_is_unapproved(const Foliopost__V1__Job *job)
{
    return job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_PENDING && job->spec != NULL &&
           job->spec->approval_required && job->approved_us == 0;
}

bool job_is_over(const Foliopost__V1__Job *job)
{
    return job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED ||
           job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_FAILED ||
           job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_CANCELLED;
}

void job_print_headline(const Foliopost__V1__Job *job, struct fp_str *out)
{
    const Foliopost__V1__JobSpec *s = job->spec;
    str_printf(out, "job %" PRId64, job->id);
    if (s != NULL)
        str_printf(out, "  %s %s..%s", wire_enum_name(&foliopost__v1__job_kind__descriptor, s->kind),
                   s->period_start, s->period_end);
    if (s != NULL && s->dry_run)
        str_puts(out, "  (dry run)");
    if (job->parent_job > 0)
        str_printf(out, "  (again, of job %" PRId64 ")", job->parent_job);
    if (s != NULL && s->title[0] != '\0')
        str_printf(out, "  %s", s->title);
}

void job_print_counts(const Foliopost__V1__Counts *c, struct fp_str *out)
{
    char n[5][FORMAT_CAP];
    str_printf(out, "sent %s  failed %s  skipped %s  ambiguous %s  deferred %s", format_count(c->sent, n[0]),
               format_count(c->failed, n[1]), format_count(c->skipped, n[2]),
               format_count(c->ambiguous, n[3]), format_count(c->deferred, n[4]));
}

void job_print_spec(const Foliopost__V1__JobSpec *s)
{
    if (s->dry_run)
        printf("dry run     nothing is sent; foliopost report says what would be\n");
    if (s->share_ppm > 0)
        printf("share       %.10g %% of them, seed %" PRId64 "\n", s->share_ppm / 1e4, s->share_seed);
    if (s->provider[0] != '\0')
        printf("provider    %s alone\n", s->provider);
    if (s->rate_per_second > 0)
        printf("rate        %.10g users a second\n", s->rate_per_second);
    if (s->send_window[0] != '\0')
        printf("hours       %s %s\n", s->send_window, s->time_zone);
}

enum cli_exit job_submit_failed(const struct fp_err *err, const char *request_id)
{
    enum cli_exit code = cli_fail(err);
    if (code == CLI_UNAVAILABLE)
        fprintf(stderr, "To try again without a second job, should it have been taken: --request-id %s\n",
                request_id);
    return code;
}

int job_set_share(Foliopost__V1__JobSpec *spec, const char *share, int64_t seed, struct fp_err *err)
{
    if (strcmp(share, "all") != 0 && !cli_percent_ppm(share, &spec->share_ppm))
        return err_set(err, FP_INVALID_ARGUMENT, "--share: \"%s\" is not a share, as 5%% or 0.5%%", share);
    if (seed > 0)
        spec->share_seed = seed;
    return 0;
}

/* --- status ------------------------------------------------------------------------- */

static void print_progress(const Foliopost__V1__Counts *c)
{
    char a[FORMAT_CAP], b[FORMAT_CAP], d[FORMAT_CAP];
    struct fp_str line;
    str_init(&line, 0);
    job_print_counts(c, &line);
    printf("users       %s in %s batches, %s done; %d of %d intervals paged\n", format_count(c->users, a),
           format_count(c->batches, b), format_count(c->batches_done, d), c->intervals_paged, c->intervals);
    printf("outcomes    %s\n", line.data);
    str_fini(&line);
}

static void print_proof(const Foliopost__V1__Proof *p)
{
    char n[FORMAT_CAP], sent[FORMAT_CAP], doubles[FORMAT_CAP], when[FORMAT_CAP];
    printf("proof       round %d at %s: %s users, each with one outcome; %s sent, maybe doubles %s\n",
           p->round, format_time(p->proved_us, when), format_count(p->users, n), format_count(p->sent, sent),
           format_count(p->maybe_doubles, doubles));
}

static void print_job(const Foliopost__V1__Job *job)
{
    char a[FORMAT_CAP], b[FORMAT_CAP], d[FORMAT_CAP];
    struct fp_str line;
    str_init(&line, 0);
    job_print_headline(job, &line);
    printf("%s\nstate       %s%s%s\n", line.data, job_state_text(job), job->response[0] != '\0' ? ": " : "",
           job->response);
    str_fini(&line);
    printf("request id  %s\n", job->request_id);
    if (job->submitted_by[0] != '\0')
        printf("submitted   by %s\n", job->submitted_by);
    if (job->approved_us > 0)
        printf("approved    by %s at %s\n", job->approved_by, format_time(job->approved_us, a));
    printf("times       submitted %s, started %s, finished %s\n", format_time(job->submitted_us, a),
           format_time(job->started_us, b), format_time(job->finished_us, d));
    printf("audience    registered before %s\n", format_time(job->audience_end_us, a));
    if (job->spec != NULL)
        job_print_spec(job->spec);
    if (job->template_hash[0] != '\0')
        printf("templates   %.8s\n", job->template_hash);
    if (job->counts != NULL)
        print_progress(job->counts);
    if (job->proof != NULL && job->proof->round > 0)
        print_proof(job->proof);
    for (size_t i = 0; i < job->n_waiting; i++)
        printf("waiting     %s\n", job->waiting[i]);
}

/* Calls a method that answers with a Job, and shows it. */
static enum cli_exit show(struct cli *c, const char *method, const ProtobufCMessage *request)
{
    struct fp_err err;
    const Foliopost__V1__Job *job = cli_call(c, method, request, JOB_MESSAGE, &err);
    if (job == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&job->base, false);
    else
        print_job(job);
    return CLI_OK;
}

static enum cli_exit run_status(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__GetJobRequest request = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    struct fp_err err;
    (void)values;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    return show(c, "GetJob", &request.base);
}

static enum cli_exit run_pause(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__PauseJobRequest request = FOLIOPOST__V1__PAUSE_JOB_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    request.reason = ((struct reason_values *)values)->reason;
    return show(c, "PauseJob", &request.base);
}

static enum cli_exit run_resume(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__ResumeJobRequest request = FOLIOPOST__V1__RESUME_JOB_REQUEST__INIT;
    struct fp_err err;
    (void)values;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    return show(c, "ResumeJob", &request.base);
}

static enum cli_exit run_cancel(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__CancelJobRequest request = FOLIOPOST__V1__CANCEL_JOB_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    request.reason = ((struct reason_values *)values)->reason;
    return show(c, "CancelJob", &request.base);
}

static enum cli_exit run_approve(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__ApproveJobRequest request = FOLIOPOST__V1__APPROVE_JOB_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    request.reason = ((struct reason_values *)values)->reason;
    return show(c, "ApproveJob", &request.base);
}

/* --- jobs --------------------------------------------------------------------------- */

static void print_jobs(const Foliopost__V1__ListJobsResponse *r)
{
    static const char *const headings[] = {">JOB",   "STATE", "KIND",      "PERIOD",
                                           ">USERS", ">SENT", "SUBMITTED", "TITLE"};
    struct table *t = table_new(headings, 8);
    char cell[FORMAT_CAP], period[64];
    for (size_t i = 0; i < r->n_jobs; i++) {
        const Foliopost__V1__Job *job = r->jobs[i];
        const Foliopost__V1__JobSpec *s = job->spec;
        snprintf(cell, sizeof cell, "%" PRId64, job->id);
        table_add(t, cell);
        table_add(t, job_is_unapproved(job) ? "PENDING (approval)" : job_state_text(job));
        table_add(t, s != NULL ? wire_enum_name(&foliopost__v1__job_kind__descriptor, s->kind) : "");
        snprintf(period, sizeof period, "%s..%s", s != NULL ? s->period_start : "",
                 s != NULL ? s->period_end : "");
        table_add(t, period);
        table_add(t, job->counts != NULL ? format_count(job->counts->users, cell) : "-");
        table_add(t, job->counts != NULL ? format_count(job->counts->sent, cell) : "-");
        table_add(t, format_time(job->submitted_us, cell));
        table_add(t, s != NULL ? s->title : "");
    }
    table_print(t, stdout);
    table_free(t);
}

/* The command for the next page, with the filters of this one. */
static void print_more(const struct list_values *v, int64_t before)
{
    fflush(stdout); /* the hint comes last, also where both streams are one */
    fprintf(stderr, "more: foliopost jobs");
    cli_print_flag("state", v->state, "all");
    cli_print_flag("kind", v->kind, "any");
    cli_print_flag("template", v->template, "");
    cli_print_flag("brand", v->brand, "");
    cli_print_flag("provider", v->provider, "");
    cli_print_flag("submitted-by", v->by, "");
    cli_print_flag("schedule", v->schedule, "");
    cli_print_flag("from", v->from, "any");
    cli_print_flag("to", v->to, "any");
    if (v->parent > 0)
        fprintf(stderr, " --parent %" PRId64, v->parent);
    fprintf(stderr, "%s --before %" PRId64 "\n", v->dry_runs ? "" : " --no-dry-runs", before);
}

static int take_filter(const struct list_values *v, Foliopost__V1__ListJobsRequest *q, struct fp_err *err)
{
    int state = wire_enum_value(&foliopost__v1__job_state__descriptor, v->state);
    int kind = wire_enum_value(&foliopost__v1__job_kind__descriptor, v->kind);
    q->state = state > 0 ? state : 0; /* "all", "open" and "any" are no values of the enums */
    q->open = strcmp(v->state, "open") == 0;
    q->kind = kind > 0 ? kind : 0;
    q->template_name = v->template;
    q->brand = v->brand;
    q->provider = v->provider;
    q->submitted_by = v->by;
    q->schedule = v->schedule;
    q->parent_job = v->parent;
    q->without_dry_runs = !v->dry_runs;
    q->page_size = (int32_t)v->limit;
    q->before_id = v->before;
    if (cli_day_us("from", v->from, &q->from_us, err) != 0)
        return -1;
    return cli_day_us("to", v->to, &q->to_us, err);
}

static enum cli_exit run_jobs(struct cli *c, void *values, char **args, int n_args)
{
    const struct list_values *v = values;
    Foliopost__V1__ListJobsRequest request = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    struct fp_err err;
    (void)args;
    (void)n_args;
    if (take_filter(v, &request, &err) != 0)
        return cli_fail(&err);
    const Foliopost__V1__ListJobsResponse *r =
        cli_call(c, "ListJobs", &request.base, &foliopost__v1__list_jobs_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_jobs(r);
    if (!cli_json(c) && r->next_before_id > 0)
        print_more(v, r->next_before_id);
    return CLI_OK;
}

const struct cli_command cli_jobs = {
    .name = "jobs",
    .arguments = "",
    .summary = "Lists jobs, newest first",
    .details = "  foliopost jobs\n  foliopost jobs --state open\n"
               "  foliopost jobs --kind monthly --brand acme --from 2026-01-01 --no-dry-runs\n"
               "  foliopost jobs --json | jq '.jobs[].id'\n",
    .rows = list_rows,
    .n_rows = sizeof list_rows / sizeof list_rows[0],
    .values_bytes = sizeof(struct list_values),
    .run = run_jobs,
};

const struct cli_command cli_status = {
    .name = "status",
    .arguments = "JOB",
    .summary = "Shows a job: state, counts, what it waits for",
    .details = "  foliopost status 12\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_status,
};

const struct cli_command cli_pause = {
    .name = "pause",
    .arguments = "JOB",
    .summary = "Pauses a job: no new mail goes out",
    .details =
        "What the mailers have begun is recorded; nothing is lost.\n\n  foliopost pause 12 --reason 'wrong template'\n",
    .rows = reason_rows,
    .n_rows = 1,
    .values_bytes = sizeof(struct reason_values),
    .min_args = 1,
    .max_args = 1,
    .run = run_pause,
};

const struct cli_command cli_resume = {
    .name = "resume",
    .arguments = "JOB",
    .summary = "Lets a paused job go on where it stood",
    .details = "  foliopost resume 12\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_resume,
};

const struct cli_command cli_cancel = {
    .name = "cancel",
    .arguments = "JOB",
    .summary = "Ends a job for good; mails already sent stay sent",
    .details = "  foliopost cancel 12 --reason 'wrong period'\n",
    .rows = reason_rows,
    .n_rows = 1,
    .values_bytes = sizeof(struct reason_values),
    .min_args = 1,
    .max_args = 1,
    .run = run_cancel,
};

const struct cli_command cli_approve = {
    .name = "approve",
    .arguments = "JOB",
    .summary = "Lets a job begin that somebody else submitted",
    .details = "Needs the role approver or admin. Who would rather not: foliopost cancel.\n\n"
               "  foliopost jobs --state pending\n  foliopost approve 12 --reason 'figures looked at'\n",
    .rows = reason_rows,
    .n_rows = 1,
    .values_bytes = sizeof(struct reason_values),
    .min_args = 1,
    .max_args = 1,
    .run = run_approve,
};
