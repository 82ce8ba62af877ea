/*
 * foliopost schedule: jobs by the calendar.
 *
 * An empty setting is the scheduler's default for a new schedule; in an update
 * it leaves what is there, which is read first.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/format.h"
#include "cli/job.h"
#include "lib/base/clock.h"
#include "lib/base/text.h"

struct values {
    char *cron, *time_zone, *kind, *title, *template_name, *brand, *policy, *registered_from, *overlap,
        *approval;
    char *request_id;
    char *send_window;
    double rate;
    char *share;
    int64_t share_seed;
    char *provider;
    int64_t catch_up_ms, deadline_ms;
    bool paused;
    bool no_rate, no_send_window, no_share, no_provider, no_deadline;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"cron", CONFIG_STRING, NULL, "", 0, 127, NULL,
     "when: minute hour day month weekday, L for the month's last day, or @monthly, @weekly, @daily",
     AT(cron)},
    {"time-zone", CONFIG_STRING, NULL, "", 0, 63, NULL, "of the expression, as Europe/Berlin; empty: UTC",
     AT(time_zone)},
    {"kind", CONFIG_STRING, NULL, "", 0, 7, NULL, "weekly or monthly: the last full week or month before",
     AT(kind)},
    {"title", CONFIG_STRING, NULL, "", 0, 200, NULL, "for people; shown in lists", AT(title)},
    {"template", CONFIG_STRING, NULL, "", 0, 64, NULL, "name of the mail's template", AT(template_name)},
    {"brand", CONFIG_STRING, NULL, "", 0, 64, NULL, "name of the brand", AT(brand)},
    {"provider", CONFIG_STRING, NULL, "", 0, 64, NULL,
     "all its jobs' mails through this one, as foliopost rates names it", AT(provider)},
    {"policy", CONFIG_STRING, NULL, "", 0, 6, NULL,
     "hold or resend: what to do when nobody can know whether a mail was accepted", AT(policy)},
    {"registered-from", CONFIG_STRING, NULL, "any", 1, 10, NULL,
     "only users registered on this day or later (YYYY-MM-DD, UTC)", AT(registered_from)},
    {"share", CONFIG_STRING, NULL, "all", 1, 16, NULL, "only such a share of them, as 5%", AT(share)},
    {"share-seed", CONFIG_INT, NULL, "0", 0, 9e15, NULL, "of the share: another number gives other users",
     AT(share_seed)},
    {"overlap", CONFIG_STRING, NULL, "", 0, 5, NULL,
     "allow or skip: when the job of an earlier due time is still open", AT(overlap)},
    {"approval", CONFIG_STRING, NULL, "", 0, 3, NULL,
     "yes or no: whether its jobs wait until somebody else approves them", AT(approval)},
    {"send-window", CONFIG_STRING, NULL, "", 0, 11, NULL,
     "hours in which its jobs begin with users, as 08:00-20:00", AT(send_window)},
    {"rate", CONFIG_DOUBLE, "users/s", "0", 0, 1e6, NULL, "of its jobs, beneath the providers'", AT(rate)},
    {"no-rate", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "update: its jobs have no rate of their own any more",
     AT(no_rate)},
    {"no-send-window", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "update: its jobs send at all hours again",
     AT(no_send_window)},
    {"no-share", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "update: its jobs go to all again", AT(no_share)},
    {"no-provider", CONFIG_BOOL, NULL, "false", 0, 0, NULL,
     "update: its jobs' mails go by the mailers' weights again", AT(no_provider)},
    {"no-deadline", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "update: its jobs have no deadline any more",
     AT(no_deadline)},
    {"catch-up", CONFIG_DURATION_MS, "h", "0", 0, 604800e3, NULL,
     "after a downtime the latest due time fires unless it is older; 0: a day", AT(catch_up_ms)},
    {"deadline", CONFIG_DURATION_MS, "h", "0", 0, 0, NULL,
     "a job fails when it is not complete so long after its due time; 0: none", AT(deadline_ms)},
    {"paused", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "create: it begins paused", AT(paused)},
    {"request-id", CONFIG_STRING, NULL, "new", 1, 128, NULL,
     "run: the same id twice makes one job; new: a UUID made now", AT(request_id)},
};

/* What each takes; bits of the actions below, in the order of the rows. */
enum { LIST = 1, SHOW = 2, CREATE = 4, UPDATE = 8, STEP = 16, RUN = 32 };
static const unsigned takes[] = {
    CREATE | UPDATE, /* cron */
    CREATE | UPDATE, /* time-zone */
    CREATE | UPDATE, /* kind */
    CREATE | UPDATE, /* title */
    CREATE | UPDATE, /* template */
    CREATE | UPDATE, /* brand */
    CREATE | UPDATE, /* provider */
    CREATE | UPDATE, /* policy */
    CREATE | UPDATE, /* registered-from */
    CREATE | UPDATE, /* share */
    CREATE | UPDATE, /* share-seed */
    CREATE | UPDATE, /* overlap */
    CREATE | UPDATE, /* approval */
    CREATE | UPDATE, /* send-window */
    CREATE | UPDATE, /* rate */
    UPDATE,          /* no-rate */
    UPDATE,          /* no-send-window */
    UPDATE,          /* no-share */
    UPDATE,          /* no-provider */
    UPDATE,          /* no-deadline */
    CREATE | UPDATE, /* catch-up */
    CREATE | UPDATE, /* deadline */
    CREATE,          /* paused */
    RUN,             /* request-id */
};
_Static_assert(sizeof takes / sizeof takes[0] == sizeof rows / sizeof rows[0], "one for each setting");

/* --- for people -------------------------------------------------------------------------- */

static const char *kind_of(const Foliopost__V1__Schedule *s)
{
    return s->spec != NULL ? wire_enum_name(&foliopost__v1__job_kind__descriptor, s->spec->kind) : "";
}

static const char *next_of(const Foliopost__V1__Schedule *s, char out[FORMAT_CAP])
{
    if (s->paused)
        snprintf(out, FORMAT_CAP, "paused");
    else
        format_time(s->n_next_us > 0 ? s->next_us[0] : 0, out);
    return out;
}

static const char *outcome_of(const Foliopost__V1__Firing *f, char out[FORMAT_CAP])
{
    if (f->job_id > 0)
        snprintf(out, FORMAT_CAP, "job %" PRId64, f->job_id);
    else
        snprintf(out, FORMAT_CAP, "%s",
                 wire_enum_name(&foliopost__v1__firing_outcome__descriptor, (int)f->outcome));
    return out;
}

static void print_list(const Foliopost__V1__ListSchedulesResponse *r)
{
    static const char *const headings[] = {"NAME",       "KIND",       "CRON",  "TIME ZONE",
                                           "NEXT (UTC)", "LAST (UTC)", "BECAME"};
    struct table *t = table_new(headings, 7);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < r->n_schedules; i++) {
        const Foliopost__V1__Schedule *s = r->schedules[i];
        const Foliopost__V1__Firing *last = s->n_firings > 0 ? s->firings[0] : NULL;
        table_add(t, s->name);
        table_add(t, kind_of(s));
        table_add(t, s->cron);
        table_add(t, s->time_zone);
        table_add(t, next_of(s, cell));
        table_add(t, format_time(last != NULL ? last->due_us : 0, cell));
        table_add(t, last != NULL ? outcome_of(last, cell) : "");
    }
    table_print(t, stdout);
    table_free(t);
}

static void print_firings(const Foliopost__V1__Schedule *s)
{
    static const char *const headings[] = {"DUE (UTC)", "SEEN TO", "BECAME", ">STANDS FOR EARLIER", "REASON"};
    struct table *t = table_new(headings, 5);
    char cell[FORMAT_CAP];
    for (size_t i = 0; i < s->n_firings; i++) {
        const Foliopost__V1__Firing *f = s->firings[i];
        table_add(t, format_time(f->due_us, cell));
        table_add(t, format_time(f->at_us, cell));
        table_add(t, outcome_of(f, cell));
        table_add(t, format_count(f->missed, cell));
        table_add(t, f->reason);
    }
    table_print(t, stdout);
    table_free(t);
}

static void print_one(const Foliopost__V1__Schedule *s)
{
    char a[FORMAT_CAP];
    printf("schedule    %s%s\n", s->name, s->paused ? ", paused" : "");
    printf("when        %s in %s\n", s->cron, s->time_zone);
    printf("job         %s%s%s\n", kind_of(s), s->spec != NULL && s->spec->title[0] != '\0' ? ", " : "",
           s->spec != NULL ? s->spec->title : "");
    if (s->spec != NULL)
        job_print_spec(s->spec);
    if (s->spec != NULL && s->spec->approval_required)
        printf("approval    its jobs wait until somebody else approves them\n");
    printf("overlap     %s\n", wire_enum_name(&foliopost__v1__overlap_policy__descriptor, (int)s->overlap));
    printf("catch-up    %s\n", format_duration((double)s->catch_up_ms / 1e3, a));
    if (s->deadline_after_ms > 0)
        printf("deadline    %s after it is due\n", format_duration((double)s->deadline_after_ms / 1e3, a));
    for (size_t i = 0; i < s->n_next_us; i++)
        printf("%-11s %s UTC\n", i == 0 ? "next" : "", format_time(s->next_us[i], a));
    if (s->n_firings == 0)
        return;
    putchar('\n');
    print_firings(s);
}

static enum cli_exit show(struct cli *c, const Foliopost__V1__Schedule *s, const struct fp_err *err)
{
    if (s == NULL)
        return cli_fail(err);
    if (cli_json(c))
        cli_print_json(&s->base, false);
    else
        print_one(s);
    return CLI_OK;
}

/* --- what is done --------------------------------------------------------------------------- */

#define CALL(c, method, q, err) cli_call(c, method, &(q).base, &foliopost__v1__schedule__descriptor, err)

static int set_enum(const char *flag, const char *text, const ProtobufCEnumDescriptor *d, int *out,
                    struct fp_err *err)
{
    int value = wire_enum_value(d, text);
    if (value <= 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "--%s: \"%s\" is none of those that are there; see foliopost schedule --help", flag,
                       text);
    *out = value;
    return 0;
}

static void set_text(char **out, char *value)
{
    if (value[0] != '\0')
        *out = value;
}

static int set_enums(const struct values *v, Foliopost__V1__Schedule *s, struct fp_err *err)
{
    int kind = (int)s->spec->kind, policy = (int)s->spec->ambiguous_policy, overlap = (int)s->overlap;
    if ((v->kind[0] != '\0' &&
         set_enum("kind", v->kind, &foliopost__v1__job_kind__descriptor, &kind, err) != 0) ||
        (v->policy[0] != '\0' &&
         set_enum("policy", v->policy, &foliopost__v1__ambiguous_policy__descriptor, &policy, err) != 0) ||
        (v->overlap[0] != '\0' &&
         set_enum("overlap", v->overlap, &foliopost__v1__overlap_policy__descriptor, &overlap, err) != 0))
        return -1;
    s->spec->kind = (Foliopost__V1__JobKind)kind;
    s->spec->ambiguous_policy = (Foliopost__V1__AmbiguousPolicy)policy;
    s->overlap = (Foliopost__V1__OverlapPolicy)overlap;
    return 0;
}

static int set_approval(const struct values *v, Foliopost__V1__JobSpec *spec, struct fp_err *err)
{
    bool yes = strcmp(v->approval, "yes") == 0;
    if (v->approval[0] == '\0')
        return 0;
    if (!yes && strcmp(v->approval, "no") != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "--approval: \"%s\" is not yes or no", v->approval);
    spec->approval_required = yes;
    return 0;
}

/* What update takes away, before what is given is filled in; both of one thing is a mistake. */
static int take_away(const struct values *v, Foliopost__V1__Schedule *s, struct fp_err *err)
{
    const struct {
        const char *name;
        bool gone, given;
    } all[] = {{"rate", v->no_rate, v->rate > 0},
               {"send-window", v->no_send_window, v->send_window[0] != '\0'},
               {"share", v->no_share, strcmp(v->share, "all") != 0 || v->share_seed > 0},
               {"provider", v->no_provider, v->provider[0] != '\0'},
               {"deadline", v->no_deadline, v->deadline_ms > 0}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].gone && all[i].given)
            return err_set(err, FP_INVALID_ARGUMENT, "--no-%s: give it or --%s, not both", all[i].name,
                           all[i].name);
    if (v->no_rate)
        s->spec->rate_per_second = 0;
    if (v->no_send_window)
        s->spec->send_window = (char *)"";
    if (v->no_share) {
        s->spec->share_ppm = 0;
        s->spec->share_seed = 0;
    }
    if (v->no_provider)
        s->spec->provider = (char *)"";
    if (v->no_deadline)
        s->deadline_after_ms = 0;
    return 0;
}

/* What is given takes the place of what is there. */
static int fill(const struct values *v, char *name, Foliopost__V1__Schedule *s, struct fp_err *err)
{
    s->name = name;
    if (take_away(v, s, err) != 0)
        return -1;
    set_text(&s->cron, v->cron);
    set_text(&s->time_zone, v->time_zone);
    set_text(&s->spec->title, v->title);
    set_text(&s->spec->template_name, v->template_name);
    set_text(&s->spec->brand, v->brand);
    set_text(&s->spec->provider, v->provider);
    set_text(&s->spec->send_window, v->send_window);
    if (v->rate > 0)
        s->spec->rate_per_second = v->rate;
    if (job_set_share(s->spec, v->share, v->share_seed, err) != 0)
        return -1;
    if (v->catch_up_ms > 0)
        s->catch_up_ms = v->catch_up_ms;
    if (v->deadline_ms > 0)
        s->deadline_after_ms = v->deadline_ms;
    s->paused = v->paused;
    if (set_approval(v, s->spec, err) != 0)
        return -1;
    if (s->cron[0] == '\0')
        return err_set(err, FP_INVALID_ARGUMENT, "--cron: must be given, as \"0 6 1 * *\"");
    if (cli_day_us("registered-from", v->registered_from, &s->spec->registered_from_us, err) != 0)
        return -1;
    return set_enums(v, s, err);
}

static enum cli_exit create(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    Foliopost__V1__Schedule s = FOLIOPOST__V1__SCHEDULE__INIT;
    Foliopost__V1__CreateScheduleRequest q = FOLIOPOST__V1__CREATE_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    s.spec = &spec;
    q.schedule = &s;
    if (fill(v, name, &s, &err) != 0)
        return cli_fail(&err);
    if (v->kind[0] == '\0') {
        err_set(&err, FP_INVALID_ARGUMENT, "--kind: must be given, weekly or monthly");
        return cli_fail(&err);
    }
    return show(c, CALL(c, "CreateSchedule", q, &err), &err);
}

/* A copy that outlives the next call; NULL when it cannot be had. */
static Foliopost__V1__Schedule *keep(const Foliopost__V1__Schedule *s, struct fp_arena *memory,
                                     struct fp_err *err)
{
    struct fp_str packed;
    Foliopost__V1__Schedule *copy = NULL;
    str_init(&packed, 0);
    if (wire_pack(&s->base, WIRE_MAX_RPC_BYTES, &packed, err) == 0)
        copy = wire_unpack(&foliopost__v1__schedule__descriptor, packed.data, packed.len, memory, err);
    str_fini(&packed);
    if (copy != NULL) /* what only replies have */
        copy->n_next_us = copy->n_firings = 0;
    return copy;
}

static enum cli_exit update(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__GetScheduleRequest gq = FOLIOPOST__V1__GET_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__UpdateScheduleRequest uq = FOLIOPOST__V1__UPDATE_SCHEDULE_REQUEST__INIT;
    struct fp_arena *memory = arena_new(WIRE_MAX_ARENA_BYTES);
    struct fp_err err;
    enum cli_exit code;
    gq.name = name;
    const Foliopost__V1__Schedule *there = CALL(c, "GetSchedule", gq, &err);
    uq.schedule = there != NULL ? keep(there, memory, &err) : NULL;
    if (uq.schedule == NULL || uq.schedule->spec == NULL || fill(v, name, uq.schedule, &err) != 0)
        code = cli_fail(&err);
    else
        code = show(c, CALL(c, "UpdateSchedule", uq, &err), &err);
    arena_free(memory);
    return code;
}

static enum cli_exit get(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__GetScheduleRequest q = FOLIOPOST__V1__GET_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    (void)v;
    q.name = name;
    return show(c, CALL(c, "GetSchedule", q, &err), &err);
}

static enum cli_exit pause_it(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__PauseScheduleRequest q = FOLIOPOST__V1__PAUSE_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    (void)v;
    q.name = name;
    return show(c, CALL(c, "PauseSchedule", q, &err), &err);
}

static enum cli_exit resume(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__ResumeScheduleRequest q = FOLIOPOST__V1__RESUME_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    (void)v;
    q.name = name;
    return show(c, CALL(c, "ResumeSchedule", q, &err), &err);
}

static enum cli_exit delete_it(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__DeleteScheduleRequest q = FOLIOPOST__V1__DELETE_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    (void)v;
    q.name = name;
    const Foliopost__V1__DeleteScheduleResponse *r =
        cli_call(c, "DeleteSchedule", &q.base, &foliopost__v1__delete_schedule_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        printf("schedule %s %s; its jobs stay\n", name, r->existed ? "is deleted" : "was not there");
    return CLI_OK;
}

static enum cli_exit run_now(struct cli *c, const struct values *v, char *name)
{
    Foliopost__V1__RunScheduleRequest q = FOLIOPOST__V1__RUN_SCHEDULE_REQUEST__INIT;
    struct fp_err err;
    char id[37];
    q.name = name;
    text_new_uuid(id);
    q.request_id = strcmp(v->request_id, "new") == 0 ? id : v->request_id;
    const Foliopost__V1__SubmitJobResponse *r =
        cli_call(c, "RunSchedule", &q.base, &foliopost__v1__submit_job_response__descriptor, &err);
    if (r == NULL)
        return job_submit_failed(&err, q.request_id);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else if (r->job != NULL)
        printf("job %" PRId64 " %s, request id %s: foliopost watch %" PRId64 "%s\n", r->job->id,
               r->existing ? "is there already" : "submitted", r->job->request_id, r->job->id,
               cli_rpc_flag(c));
    return CLI_OK;
}

static enum cli_exit list(struct cli *c)
{
    Foliopost__V1__ListSchedulesRequest q = FOLIOPOST__V1__LIST_SCHEDULES_REQUEST__INIT;
    struct fp_err err;
    const Foliopost__V1__ListSchedulesResponse *r =
        cli_call(c, "ListSchedules", &q.base, &foliopost__v1__list_schedules_response__descriptor, &err);
    if (r == NULL)
        return cli_fail(&err);
    if (cli_json(c))
        cli_print_json(&r->base, false);
    else
        print_list(r);
    return CLI_OK;
}

static const struct {
    const char *name;
    unsigned bit;
    enum cli_exit (*run)(struct cli *c, const struct values *v, char *name);
} actions[] = {{"show", SHOW, get},       {"create", CREATE, create}, {"update", UPDATE, update},
               {"pause", STEP, pause_it}, {"resume", STEP, resume},   {"delete", STEP, delete_it},
               {"run", RUN, run_now}};

static int check_flags(const void *values, const char *action, unsigned bit, struct fp_err *err)
{
    char what[40];
    snprintf(what, sizeof what, "schedule %s", action);
    return flags_check(rows, sizeof rows / sizeof rows[0], takes, values, bit, what, err);
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    struct fp_err err;
    if (strcmp(args[0], "list") == 0)
        return check_flags(values, "list", LIST, &err) != 0 ? cli_fail(&err) : list(c);
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(args[0], actions[i].name) == 0 && n_args == 2)
            return check_flags(values, args[0], actions[i].bit, &err) != 0
                       ? cli_fail(&err)
                       : actions[i].run(c, values, args[1]);
    err_set(&err, FP_INVALID_ARGUMENT,
            "%.40s: use list, or show, create, update, pause, resume, delete or run with a schedule's name",
            args[0]);
    return cli_fail(&err);
}

const struct cli_command cli_schedule = {
    .name = "schedule",
    .arguments = "list|show|create|update|pause|resume|delete|run [NAME]",
    .summary = "Jobs by the calendar: each due time makes one job",
    .details =
        "  foliopost schedule create monthly --kind monthly --cron '0 6 1 * *' --time-zone Europe/Berlin\n"
        "  foliopost schedule list\n"
        "  foliopost schedule show monthly         its next ten due times, and what became of the last\n"
        "  foliopost schedule update monthly --overlap skip    what is not given stays\n"
        "  foliopost schedule update monthly --no-rate --no-send-window\n"
        "  foliopost schedule run monthly          now, beside its due times\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
