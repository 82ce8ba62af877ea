/*
 * foliopost report: the processing report of a job, counted by the scheduler
 * from the deliveries.
 */
#include <inttypes.h>

#include "cli/format.h"
#include "cli/job.h"

struct values {
    bool intervals;
};

static const struct config_setting rows[] = {
    {"intervals", CONFIG_BOOL, NULL, "true", 0, 0, NULL,
     "the table of intervals too; --no-intervals leaves it out", offsetof(struct values, intervals)},
};

static void add_count(struct table *t, int64_t n)
{
    char cell[FORMAT_CAP];
    table_add(t, format_count(n, cell));
}

static void print_figures(const Foliopost__V1__Report *r)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    printf("duration        %s\n", format_duration(r->duration_s, a));
    printf("users           %s processed, %s a minute\n", format_count(r->users_processed, a),
           format_count((int64_t)(r->users_per_minute + 0.5), b));
    printf("mails sent      %s", format_count(r->mails_sent, a));
    if (r->duration_s > 0)
        printf(", %s a second", format_count((int64_t)((double)r->mails_sent / r->duration_s + 0.5), b));
    printf("\nsuccess rate    %s\n", format_percent(r->success_rate, a));
    printf("failed          %s\n", format_count(r->failed, a));
    printf("skipped         %s\n", format_count(r->skipped, a));
    printf("ambiguous       %s (maybe doubles: %s)\n", format_count(r->ambiguous, a),
           format_count(r->maybe_doubles, b));
    printf("deferred        %s\n", format_count(r->deferred, a));
    if (r->delivered + r->bounced + r->complained + r->unsubscribed > 0) {
        printf("told later      %s delivered, %s bounced", format_count(r->delivered, a),
               format_count(r->bounced, b));
        printf(", %s complained, %s unsubscribed\n", format_count(r->complained, a),
               format_count(r->unsubscribed, b));
    }
}

static void print_proof(const Foliopost__V1__Proof *p)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    if (p == NULL || p->round == 0)
        return;
    printf("proof           at %s: all %s users of the audience have exactly one outcome\n",
           format_time(p->proved_us, a), format_count(p->users, b));
}

static void print_reasons(const Foliopost__V1__Report *r)
{
    static const char *const headings[] = {"OUTCOME", ">USERS", "REASON"};
    struct table *t = table_new(headings, 3);
    for (size_t i = 0; i < r->n_reasons; i++) {
        table_add(t, wire_enum_name(&foliopost__v1__delivery_state__descriptor, (int)r->reasons[i]->state));
        add_count(t, r->reasons[i]->users);
        table_add(t, r->reasons[i]->reason);
    }
    printf("\n");
    table_print(t, stdout);
    table_free(t);
}

static void print_intervals(const Foliopost__V1__Report *r)
{
    static const char *const headings[] = {">NO",   "REGISTERED FROM", "TO",       "STATE",     ">USERS",
                                           ">SENT", ">FAILED",         ">SKIPPED", ">AMBIGUOUS"};
    static const Foliopost__V1__Counts nothing = FOLIOPOST__V1__COUNTS__INIT;
    struct table *t = table_new(headings, 9);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < r->n_intervals; i++) {
        const Foliopost__V1__IntervalReport *interval = r->intervals[i];
        const Foliopost__V1__Counts *c = interval->counts != NULL ? interval->counts : &nothing;
        add_count(t, interval->no);
        table_add(t, format_time(interval->lower_us, cell));
        table_add(t, format_time(interval->upper_us, cell));
        table_add(t, interval->state);
        add_count(t, c->users);
        add_count(t, c->sent);
        add_count(t, c->failed);
        add_count(t, c->skipped);
        add_count(t, c->ambiguous);
    }
    printf("\n");
    table_print(t, stdout);
    table_free(t);
}

static void print_canary(const Foliopost__V1__Job *job)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    if (job->spec == NULL || job->spec->canary_users == 0)
        return;
    printf("canary          first %s users", format_count(job->spec->canary_users, a));
    if (job->canary_until_us != 0)
        printf(", the rest from %s on", format_time(job->canary_until_us, b));
    printf("\n");
}

static void print_ids(const char *what, int64_t users, const int64_t *ids, size_t n)
{
    char a[FORMAT_CAP];
    printf("  %-13s %s", what, format_count(users, a));
    for (size_t i = 0; i < n && i < 10; i++)
        printf("%s%" PRId64, i == 0 ? ": " : ", ", ids[i]);
    printf("%s\n", users > 10 ? ", ..." : "");
}

static void print_speed(const Foliopost__V1__DryRun *d)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    if (d->seconds > 0)
        printf("  it would take %s, at %s mails a second\n", format_duration(d->seconds, a),
               format_count((int64_t)(d->mails_per_s + 0.5), b));
    if (d->quota_left >= 0)
        printf("  quotas leave  %s mails today\n", format_count((int64_t)d->quota_left, a));
    if (d->deadline_us != 0)
        printf("  deadline      %s: %s\n", format_time(d->deadline_us, a),
               d->in_time ? "in time" : "NOT in time");
}

static void print_dry_run(const Foliopost__V1__DryRun *d, int64_t job_id)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    printf("dry run         nothing was sent; %s mails would be, %s of them outliers\n",
           format_count(d->would_send, a), format_count(d->outliers, b));
    if (d->would_send > 0)
        printf("  sizes         %s bytes on average, %s at most\n",
               format_count(d->size_sum_bytes / d->would_send, a), format_count(d->size_max_bytes, b));
    if (d->template_errors > 0)
        printf("  templates     fail for %s users: foliopost deliveries %" PRId64
               " --state failed --reason render\n",
               format_count(d->template_errors, a), job_id);
    print_speed(d);
    if (d->compared_job == 0) {
        printf("  compared      with nothing: no job of this kind and brand was sent before\n");
        return;
    }
    printf("  compared      with job %" PRId64 "\n", d->compared_job);
    if (d->template_errors > 0 || d->compared_template_errors > 0)
        printf("  templates     failed for %s users then\n", format_count(d->compared_template_errors, a));
    print_ids("users added", d->users_added, d->added_ids, d->n_added_ids);
    print_ids("users dropped", d->users_dropped, d->dropped_ids, d->n_dropped_ids);
}

static void print_report(const Foliopost__V1__Report *r, bool intervals)
{
    struct fp_str line;
    char a[FORMAT_CAP], b[FORMAT_CAP];
    if (r->job != NULL) {
        str_init(&line, 0);
        job_print_headline(r->job, &line);
        printf("%s\nstate           %s%s%s\n", line.data, job_state_text(r->job),
               r->job->response[0] != '\0' ? ": " : "", r->job->response);
        printf("started         %s, finished %s\n", format_time(r->job->started_us, a),
               format_time(r->job->finished_us, b));
        print_canary(r->job);
        str_fini(&line);
    }
    print_figures(r);
    if (r->dry_run != NULL)
        print_dry_run(r->dry_run, r->job != NULL ? r->job->id : 0);
    print_proof(r->job != NULL ? r->job->proof : NULL);
    if (r->n_reasons > 0)
        print_reasons(r);
    if (intervals && r->n_intervals > 0)
        print_intervals(r);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    Foliopost__V1__GetReportRequest request = FOLIOPOST__V1__GET_REPORT_REQUEST__INIT;
    struct fp_err err;
    (void)n_args;
    if (cli_job_id(args[0], &request.job_id, &err) != 0)
        return cli_fail(&err);
    const Foliopost__V1__Report *r =
        cli_call(c, "GetReport", &request.base, &foliopost__v1__report__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_report(r, ((struct values *)values)->intervals);
    return CLI_OK;
}

const struct cli_command cli_report = {
    .name = "report",
    .arguments = "JOB",
    .summary = "Prints the processing report of a job",
    .details =
        "Duration, users, outcomes by reason, and a line for each interval.\n\n"
        "  foliopost report 12\n  foliopost report 12 --no-intervals\n  foliopost report 12 --json > report.json\n",
    .rows = rows,
    .n_rows = 1,
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
