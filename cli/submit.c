/*
 * foliopost submit: from flags to a JobSpec.
 *
 * Only the form is judged here (dates, lists); whether a job can be made of it
 * is the scheduler's to say, so that every client gets the same answers. The
 * request id is made here when none is given, and told, because a submission
 * whose answer got lost is repeated safely with the same id.
 *
 * The defaults are words (all, any, auto, new) and an empty value is refused:
 * --user-ids "$IDS" with nothing in $IDS must not mail everybody.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/echo.h"
#include "cli/format.h"
#include "cli/job.h"
#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/cron/cron.h"

struct values {
    char *period, *user_ids, *registered_from, *registered_to;
    char *request_id, *policy, *title, *template_name, *brand;
    int64_t max_attempts, batch_size, window, deadline_ms, interval_delay_ms;
    char *canary;
    int64_t canary_wait_ms;
    char *time_zone, *send_window;
    double rate;
    char *share;
    int64_t share_seed;
    char *provider;
    bool approval, dry_run, rehearse, watch;
};

/* What the request's texts point into. */
struct request_words {
    char id[160]; /* a setting of 128, and a period in the place of its mark */
    char start[11], end[11];
};

#define PERIOD_MARK "{period}"

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"period", CONFIG_STRING, NULL, "auto", 1, 32, NULL,
     "the days reported on, FIRST..LAST, both included; auto: the last full week or month", AT(period)},
    {"user-ids", CONFIG_STRING, NULL, "all", 1, 2097152, NULL,
     "only these users: 1,2,3 or @FILE (@- for stdin), separated by commas or white space", AT(user_ids)},
    {"registered-from", CONFIG_STRING, NULL, "any", 1, 10, NULL,
     "only users registered on this day or later (YYYY-MM-DD, UTC)", AT(registered_from)},
    {"registered-to", CONFIG_STRING, NULL, "any", 1, 10, NULL,
     "only users registered before this day (YYYY-MM-DD, UTC)", AT(registered_to)},
    {"share", CONFIG_STRING, NULL, "all", 1, 16, NULL,
     "only such a share of them, as 5%: the same users whenever share and seed are the same", AT(share)},
    {"share-seed", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "of the share: another number gives other users",
     AT(share_seed)},
    {"request-id", CONFIG_STRING, NULL, "new", 1, 128, NULL,
     "the same id twice makes one job; {period} in it becomes FIRST..LAST; new: a UUID made now, and told",
     AT(request_id)},
    {"policy", CONFIG_CHOICE, NULL, "hold", 0, 0, "hold|resend",
     "what to do when nobody can know whether a mail was accepted", AT(policy)},
    {"max-attempts", CONFIG_INT, NULL, "0", 0, 0, NULL,
     "attempts at a mail refused for the moment; 0: the scheduler's setting", AT(max_attempts)},
    {"batch-size", CONFIG_INT, "users", "0", 0, 0, NULL, "users in one batch; 0: the scheduler's setting",
     AT(batch_size)},
    {"window", CONFIG_INT, "batches", "0", 0, 0, NULL, "batches in flight; 0: by rate and mailers",
     AT(window)},
    {"title", CONFIG_STRING, NULL, "", 0, 200, NULL, "for people; shown in lists", AT(title)},
    {"template", CONFIG_STRING, NULL, "", 0, 64, NULL, "name of the mail's template", AT(template_name)},
    {"brand", CONFIG_STRING, NULL, "", 0, 64, NULL, "name of the brand", AT(brand)},
    {"provider", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "all its mails through this one, as foliopost rates names it; empty: by the mailers' weights",
     AT(provider)},
    {"deadline", CONFIG_DURATION_MS, "s", "0", 0, 0, NULL,
     "the job fails when it is not complete after this time; 0: none", AT(deadline_ms)},
    {"interval-delay", CONFIG_DURATION_MS, "ms", "0", 0, 0, NULL, "pause between the starts of two intervals",
     AT(interval_delay_ms)},
    {"canary", CONFIG_STRING, NULL, "", 0, 16, NULL,
     "so many of the first users (500), or such a share (1%), then wait and watch", AT(canary)},
    {"canary-wait", CONFIG_DURATION_MS, "m", "30m", 0, 604800e3, NULL, "between the canary and the rest",
     AT(canary_wait_ms)},
    {"time-zone", CONFIG_STRING, NULL, "UTC", 1, 63, NULL,
     "of the job's days and of its hours, as Europe/Berlin", AT(time_zone)},
    {"send-window", CONFIG_STRING, NULL, "", 0, 11, NULL,
     "hours in which users are begun with, as 08:00-20:00; empty: always", AT(send_window)},
    {"rate", CONFIG_DOUBLE, "users/s", "0", 0, 1e6, NULL,
     "the job's own rate, beneath the providers'; 0: none of its own", AT(rate)},
    {"approval", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "it waits until somebody else approves it (foliopost approve)", AT(approval)},
    {"dry-run", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "check, plan and count; make no job", AT(dry_run)},
    {"rehearse", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "a job that does everything but send, for the whole audience; foliopost report says what would go out",
     AT(rehearse)},
    {"watch", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "follow the job until it ends, as foliopost watch does",
     AT(watch)},
};

/* "2026-10-01..2026-10-31" into two texts; the scheduler reads the days. */
static int set_period(const char *text, char start[11], char end[11], Foliopost__V1__JobSpec *spec,
                      struct fp_err *err)
{
    const char *dots = strstr(text, "..");
    if (strcmp(text, "auto") == 0)
        return 0;
    if (dots == NULL || dots - text > 10 || strlen(dots + 2) > 10)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "--period: \"%s\" is not FIRST..LAST, as 2026-10-01..2026-10-31", text);
    snprintf(start, 11, "%.*s", (int)(dots - text), text);
    snprintf(end, 11, "%s", dots + 2);
    spec->period_start = start;
    spec->period_end = end;
    return 0;
}

/* --- the request id ------------------------------------------------------------------- */

/* What the scheduler would take for auto, said here: a request id that names
 * the period must not be repeated with another one after midnight. */
static int resolve_period(Foliopost__V1__JobSpec *spec, char start[11], char end[11], struct fp_err *err)
{
    int32_t first, last, today;
    if (spec->period_start[0] != '\0')
        return 0;
    struct cron_zone *z = cron_zone_open(spec->time_zone[0] != '\0' ? spec->time_zone : "UTC", err);
    int failed = z == NULL ? err_prefix(err, "--time-zone") : cron_local_day(z, clock_wall_us(), &today, err);
    cron_zone_close(z);
    if (failed)
        return -1;
    if (spec->kind == FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY)
        day_last_week(today, &first, &last);
    else if (spec->kind == FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY)
        day_last_month(today, &first, &last);
    else
        return err_set(err, FP_INVALID_ARGUMENT, "--request-id: {period} of a custom job needs --period");
    day_format(first, start);
    day_format(last, end);
    spec->period_start = start;
    spec->period_end = end;
    return 0;
}

/* "monthly-{period}" becomes "monthly-2026-10-01..2026-10-31": whoever submits
 * by the calendar says the same id whenever he says it again. */
static int set_request_id(Foliopost__V1__SubmitJobRequest *request, const char *text, struct request_words *w,
                          struct fp_err *err)
{
    const char *mark = strstr(text, PERIOD_MARK);
    if (strcmp(text, "new") == 0) {
        text_new_uuid(w->id);
    } else if (mark == NULL) {
        snprintf(w->id, sizeof w->id, "%s", text);
    } else {
        if (resolve_period(request->spec, w->start, w->end, err) != 0)
            return -1;
        snprintf(w->id, sizeof w->id, "%.*s%s..%s%s", (int)(mark - text), text, w->start, w->end,
                 mark + strlen(PERIOD_MARK));
    }
    if (strpbrk(w->id, "{}") !=
        NULL) /* taken as it stands it would never change, and cron submit once and no more */
        return err_set(err, FP_INVALID_ARGUMENT,
                       "--request-id: braces mark " PERIOD_MARK ", once, and nothing else");
    request->request_id = w->id;
    return 0;
}

/* --- the list of users --------------------------------------------------------------- */

/* The text of @FILE, or of the flag itself. */
static int read_list(const char *flag, struct fp_str *out, struct fp_err *err)
{
    if (flag[0] != '@') {
        str_puts(out, flag);
        return 0;
    }
    const char *path = flag + 1;
    if (path[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--user-ids: @ needs a file's name, or - for stdin");
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (f == NULL)
        return err_set(err, FP_INVALID_ARGUMENT, "--user-ids: cannot read %s: %s", path, strerror(errno));
    char block[8192];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        str_add(out, block, n);
    int failed = ferror(f) != 0 ? errno : 0;
    if (f != stdin)
        fclose(f);
    if (failed)
        return err_set(err, FP_INVALID_ARGUMENT, "--user-ids: cannot read %s: %s", path, strerror(failed));
    if (out->overflow)
        return err_set(err, FP_INVALID_ARGUMENT, "--user-ids: %s is longer than %zu bytes", path,
                       out->max_bytes);
    return 0;
}

static int parse_list(char *text, Foliopost__V1__JobSpec *spec, struct fp_err *err)
{
    char *rest = NULL, shown[40];
    spec->user_ids = mem_array(WIRE_MAX_JOB_USERS, sizeof *spec->user_ids);
    for (char *word = strtok_r(text, ", \t\r\n", &rest); word != NULL;
         word = strtok_r(NULL, ", \t\r\n", &rest)) {
        if (spec->n_user_ids == WIRE_MAX_JOB_USERS)
            return err_set(err, FP_INVALID_ARGUMENT,
                           "--user-ids: more than %d users; make several jobs, or give a range",
                           WIRE_MAX_JOB_USERS);
        if (!text_parse_i64(word, &spec->user_ids[spec->n_user_ids])) {
            text_clean(shown, sizeof shown, word);
            return err_set(err, FP_INVALID_ARGUMENT,
                           "--user-ids: \"%s\" (number %zu of the list) is not an id", shown,
                           spec->n_user_ids + 1);
        }
        spec->n_user_ids++;
    }
    if (spec->n_user_ids == 0) /* an empty list would mean everybody */
        return err_set(err, FP_INVALID_ARGUMENT, "--user-ids: no id in the list");
    return 0;
}

static int set_users(const char *flag, Foliopost__V1__JobSpec *spec, struct fp_err *err)
{
    struct fp_str text;
    if (strcmp(flag, "all") == 0)
        return 0;
    str_init(&text, 2 * 1024 * 1024); /* 50,000 ids of 20 digits, and blanks */
    int rc = read_list(flag, &text, err);
    if (rc == 0 && text.len == 0)
        rc = err_set(err, FP_INVALID_ARGUMENT, "--user-ids: no id in the list");
    if (rc == 0)
        rc = parse_list(text.data, spec, err);
    str_fini(&text);
    return rc;
}

/* --- the call ---------------------------------------------------------------------------- */

static void fill_plain(Foliopost__V1__JobSpec *spec, const struct values *v)
{
    spec->template_name = v->template_name;
    spec->brand = v->brand;
    spec->provider = v->provider;
    spec->title = v->title;
    spec->approval_required = v->approval;
    spec->dry_run = v->rehearse;
    if (strcmp(v->time_zone, "UTC") != 0) /* the same request as one of before there were zones */
        spec->time_zone = v->time_zone;
    spec->send_window = v->send_window;
    spec->rate_per_second = v->rate;
    spec->ambiguous_policy = wire_enum_value(&foliopost__v1__ambiguous_policy__descriptor, v->policy);
    spec->max_attempts = (int32_t)v->max_attempts;
    spec->batch_size = (int32_t)v->batch_size;
    spec->window_batches = (int32_t)v->window;
    spec->interval_delay_ms = (int32_t)v->interval_delay_ms;
    spec->deadline_after_ms = v->deadline_ms; /* the same request whenever it is said again */
}

/* "500" users, or "1%", "0.5%". */
static int set_canary(Foliopost__V1__JobSpec *spec, const struct values *v, struct fp_err *err)
{
    if (v->canary[0] == '\0')
        return 0;
    spec->canary_wait_ms = v->canary_wait_ms;
    if (cli_percent_ppm(v->canary, &spec->canary_ppm) ||
        (text_parse_i64(v->canary, &spec->canary_users) && spec->canary_users > 0))
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT, "--canary: \"%s\" is neither users (500) nor a share (1%%)",
                   v->canary);
}

/* The numbers of the .proto have 32 bits; what does not fit must not wrap. */
static int check_sizes(const struct values *v, struct fp_err *err)
{
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {{"max-attempts", v->max_attempts},
                 {"batch-size", v->batch_size},
                 {"window", v->window},
                 {"interval-delay", v->interval_delay_ms}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < INT32_MIN || sizes[i].value > INT32_MAX)
            return err_set(err, FP_INVALID_ARGUMENT, "--%s: %" PRId64 " is out of range", sizes[i].name,
                           sizes[i].value);
    }
    return 0;
}

static int fill_spec(Foliopost__V1__JobSpec *spec, const char *kind, const struct values *v, char start[11],
                     char end[11], struct fp_err *err)
{
    int value = wire_enum_value(&foliopost__v1__job_kind__descriptor, kind);
    char shown[40];
    if (value <= 0) {
        text_clean(shown, sizeof shown, kind);
        return err_set(err, FP_INVALID_ARGUMENT, "\"%s\" is not a kind of job: weekly, monthly or custom",
                       shown);
    }
    spec->kind = value;
    if (check_sizes(v, err) != 0 || set_canary(spec, v, err) != 0 ||
        job_set_share(spec, v->share, v->share_seed, err) != 0 ||
        set_period(v->period, start, end, spec, err) != 0 ||
        cli_day_us("registered-from", v->registered_from, &spec->registered_from_us, err) != 0 ||
        cli_day_us("registered-to", v->registered_to, &spec->registered_to_us, err) != 0 ||
        set_users(v->user_ids, spec, err) != 0)
        return -1;
    fill_plain(spec, v);
    return 0;
}

static void print_plan(const Foliopost__V1__SubmitJobResponse *r)
{
    char users[FORMAT_CAP], end[FORMAT_CAP];
    const Foliopost__V1__Job *job = r->job;
    printf("would report on %s..%s to %s users in %d intervals, registered before %s UTC; no job was made\n",
           job != NULL && job->spec != NULL ? job->spec->period_start : "?",
           job != NULL && job->spec != NULL ? job->spec->period_end : "?",
           format_count(r->planned_users, users), r->planned_intervals,
           format_time(job != NULL ? job->audience_end_us : 0, end));
    if (job != NULL && job->spec != NULL)
        job_print_spec(job->spec);
    if (r->planned_seconds > 0)
        printf("about %s, at %s users a second\n", format_duration(r->planned_seconds, end),
               format_count((int64_t)(r->planned_users_per_s + 0.5), users));
}

static void print_submitted(const Foliopost__V1__SubmitJobResponse *r)
{
    const Foliopost__V1__Job *job = r->job;
    const char *kind =
        job->spec != NULL ? wire_enum_name(&foliopost__v1__job_kind__descriptor, job->spec->kind) : "";
    printf("job %" PRId64 " %s: %s %s..%s, request id %s\n", job->id,
           r->existing ? "is there already" : "submitted", kind,
           job->spec != NULL ? job->spec->period_start : "", job->spec != NULL ? job->spec->period_end : "",
           job->request_id);
    if (job_is_unapproved(job))
        printf("It waits until somebody else approves it: foliopost approve %" PRId64 "\n", job->id);
}

/* --- a scheduler that did not understand ------------------------------------------------------ */

/* Nobody is to get what was not asked for: the job is cancelled, and one that was there before only
 * paused, since it may be somebody's who meant it so. */
static enum cli_exit stop_job(struct cli *c, int64_t id, bool existing)
{
    static const char reason[] = "the scheduler did not understand all of the submission";
    Foliopost__V1__CancelJobRequest cancel = FOLIOPOST__V1__CANCEL_JOB_REQUEST__INIT;
    Foliopost__V1__PauseJobRequest pause = FOLIOPOST__V1__PAUSE_JOB_REQUEST__INIT;
    struct fp_err err;
    cancel.job_id = pause.job_id = id;
    cancel.reason = pause.reason = (char *)reason;
    const void *done = cli_call(c, existing ? "PauseJob" : "CancelJob", existing ? &pause.base : &cancel.base,
                                &foliopost__v1__job__descriptor, &err);
    if (done != NULL) {
        fprintf(stderr,
                existing ? "Job %" PRId64 " was there already, and is paused now: look at it\n"
                         : "Job %" PRId64 " was cancelled at once\n",
                id);
        return CLI_FAILED;
    }
    cli_fail(&err);
    fprintf(stderr, "Job %" PRId64 " was NOT stopped: foliopost cancel %" PRId64 "\n", id, id);
    return CLI_FAILED;
}

/* CLI_OK: the job is what was asked for. */
static enum cli_exit check_understood(struct cli *c, const Foliopost__V1__SubmitJobRequest *request,
                                      const Foliopost__V1__SubmitJobResponse *r)
{
    int64_t id = r->job != NULL ? r->job->id : 0;
    struct fp_str missing;
    struct fp_err err;
    enum cli_exit code = CLI_OK;
    str_init(&missing, 4096);
    echo_missing(request->spec, r->job, &missing);
    if (request->dry_run && id > 0)
        str_puts(&missing, missing.len > 0 ? ", dry_run of the request" : "dry_run of the request");
    if (missing.len > 0) {
        err_set(&err, FP_FAILED_PRECONDITION,
                "the scheduler is of an older version and does not know %s: submit again after the rollout",
                missing.data);
        code = cli_fail(&err);
        if (id > 0 && !job_is_over(r->job))
            code = stop_job(c, id, r->existing);
    }
    str_fini(&missing);
    return code;
}

static enum cli_exit submit(struct cli *c, const Foliopost__V1__SubmitJobRequest *request,
                            const struct values *v)
{
    struct fp_err err;
    const Foliopost__V1__SubmitJobResponse *r =
        cli_call(c, "SubmitJob", &request->base, &foliopost__v1__submit_job_response__descriptor, &err);
    if (r == NULL)
        return job_submit_failed(&err, request->request_id);
    enum cli_exit code = check_understood(c, request, r);
    if (code != CLI_OK)
        return code;
    int64_t id = r->job != NULL ? r->job->id : 0;
    if (cli_json(c))
        cli_print_json(&r->base, v->watch && !v->dry_run);
    else if (v->dry_run)
        print_plan(r);
    else if (r->job != NULL)
        print_submitted(r);
    fflush(stdout);
    return v->watch && id > 0 ? cli_watch(c, id) : CLI_OK;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    struct values *v = values;
    struct fp_err err;
    struct request_words words;
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    Foliopost__V1__SubmitJobRequest request = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    (void)n_args;
    request.spec = &spec;
    request.dry_run = v->dry_run;
    bool good = fill_spec(&spec, args[0], v, words.start, words.end, &err) == 0 &&
                set_request_id(&request, v->request_id, &words, &err) == 0;
    enum cli_exit code = good ? submit(c, &request, v) : cli_fail(&err);
    mem_free(spec.user_ids);
    return code;
}

const struct cli_command cli_submit = {
    .name = "submit",
    .arguments = "weekly|monthly|custom",
    .summary = "Submits a report job",
    .details =
        "  foliopost submit monthly --watch               last month's report to everybody\n"
        "  foliopost submit weekly --dry-run              who would get last week's report\n"
        "  foliopost submit monthly --rehearse --watch    all but the send; then foliopost report JOB\n"
        "  foliopost submit custom --period 2026-01-01..2026-06-30 --user-ids @ids.txt\n"
        "  foliopost submit monthly --registered-from 2025-01-01 --request-id october-2026\n"
        "  foliopost submit monthly --share 5% --share-seed 7     one in twenty, another one by another seed\n"
        "  foliopost submit monthly --request-id monthly-{period}   from cron: once, however often it runs\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
