/*
 * foliopost top: what goes on now, on one screen: open jobs with their rates,
 * providers, and what each process has in hand.
 *
 * Three calls for a picture, once a second by default. A job's rate is counted
 * between two pictures, by the clock here; so `--once`, which is for scripts, has none.
 * Drawn in place like watch (screen.c): no terminal mode is changed, and what was
 * shown last stays when Ctrl-C ends it.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/format.h"
#include "cli/job.h"
#include "cli/screen.h"
#include "lib/base/clock.h"

#define MAX_JOBS  200 /* one page of ListJobs; not many more can be open */
#define CALL_MS   3000
#define MAX_TITLE 24 /* bytes; the line is cut to the terminal anyway */
#define WIDE      72 /* columns, from which on every column of the tables fits */

struct values {
    bool once;
    int64_t every_ms;
};

#define AT(field) offsetof(struct values, field)

static const struct config_setting rows[] = {
    {"once", CONFIG_BOOL, NULL, "false", 0, 0, NULL, "print it once, and end: for scripts", AT(once)},
    {"every", CONFIG_DURATION_MS, "s", "1s", 200, 60000, NULL, "between two pictures", AT(every_ms)},
};

/* A job as it was in the picture before. */
struct seen {
    int64_t id, users, at_us;
};

struct top {
    struct cli *cli;
    struct screen screen;
    struct seen seen[MAX_JOBS];
    int n_seen;
    struct fp_str text, last;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

static void catch_interrupt(void)
{
    struct sigaction a = {.sa_handler = on_interrupt}; /* no SA_RESTART: a pause ends at once */
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

/* --- jobs ---------------------------------------------------------------------------------- */

static int64_t finished(const Foliopost__V1__Job *j)
{
    return j->counts != NULL ? j->counts->sent + j->counts->failed + j->counts->skipped + j->counts->ambiguous
                             : 0;
}

static const struct seen *find(const struct top *t, int64_t id)
{
    for (int i = 0; i < t->n_seen; i++)
        if (t->seen[i].id == id)
            return &t->seen[i];
    return NULL;
}

static double rate_of(const struct top *t, const Foliopost__V1__Job *j, int64_t now_us)
{
    const struct seen *s = find(t, j->id);
    if (s == NULL || now_us <= s->at_us)
        return -1;
    return (double)(finished(j) - s->users) * 1e6 / (double)(now_us - s->at_us);
}

/* On a narrow terminal tables have fewer columns, and none is cut in the middle. In a pipe all. */
static bool is_wide(void)
{
    int columns, height;
    screen_size(&columns, &height);
    return columns >= WIDE;
}

static void add_narrow_job(struct top *t, const Foliopost__V1__Job *j, double per_s)
{
    char a[FORMAT_CAP], r[FORMAT_CAP];
    str_printf(&t->text, "%5" PRId64 " %-11s %10s %8s\n", j->id, job_state_text(j),
               format_count(finished(j), a), per_s < 0 ? "-" : format_count((int64_t)(per_s + 0.5), r));
}

static void add_wide_job(struct top *t, const Foliopost__V1__Job *j, double per_s)
{
    const Foliopost__V1__Counts *c = j->counts;
    char a[FORMAT_CAP], b[FORMAT_CAP], d[FORMAT_CAP], r[FORMAT_CAP];
    const char *kind =
        j->spec != NULL ? wire_enum_name(&foliopost__v1__job_kind__descriptor, (int)j->spec->kind) : "";
    str_printf(&t->text, "%5" PRId64 " %-7s %-11s %10s %10s %8s %8s  %.*s\n", j->id, kind, job_state_text(j),
               format_count(c != NULL ? c->users : 0, a), format_count(finished(j), b),
               c != NULL ? format_count(c->failed + c->ambiguous, d) : "-",
               per_s < 0 ? "-" : format_count((int64_t)(per_s + 0.5), r), MAX_TITLE,
               j->spec != NULL ? j->spec->title : "");
}

static void add_job(struct top *t, const Foliopost__V1__Job *j, double per_s)
{
    (is_wide() ? add_wide_job : add_narrow_job)(t, j, per_s);
    if (j->n_waiting > 0)
        str_printf(&t->text, "      waiting: %s\n", j->waiting[0]);
    else if (j->response[0] != '\0')
        str_printf(&t->text, "      %s\n", j->response);
}

/* The open jobs of one state behind the *n that are there. */
static int add_state(struct top *t, Foliopost__V1__JobState state, struct seen *now, int *n,
                     struct fp_err *err)
{
    Foliopost__V1__ListJobsRequest q = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    int64_t now_us = clock_mono_us();
    q.state = state;
    q.page_size = MAX_JOBS;
    const Foliopost__V1__ListJobsResponse *r =
        cli_call_within(t->cli, CALL_MS, "ListJobs", &q.base, &foliopost__v1__list_jobs_response__descriptor,
                        err);
    if (r == NULL)
        return -1;
    for (size_t i = 0; i < r->n_jobs && *n < MAX_JOBS; i++) {
        const Foliopost__V1__Job *j = r->jobs[i];
        add_job(t, j, rate_of(t, j, now_us));
        now[(*n)++] = (struct seen){.id = j->id, .users = finished(j), .at_us = now_us};
    }
    return 0;
}

static int add_jobs(struct top *t, struct fp_err *err)
{
    static const Foliopost__V1__JobState states[] = {FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS,
                                                     FOLIOPOST__V1__JOB_STATE__JOB_STATE_PAUSED,
                                                     FOLIOPOST__V1__JOB_STATE__JOB_STATE_PENDING};
    struct seen now[MAX_JOBS];
    int n = 0;
    if (is_wide())
        str_printf(&t->text, "%5s %-7s %-11s %10s %10s %8s %8s  %s\n", "JOB", "KIND", "STATE", "USERS",
                   "DONE", "FAILED", "USERS/S", "TITLE");
    else
        str_printf(&t->text, "%5s %-11s %10s %8s\n", "JOB", "STATE", "DONE", "USERS/S");
    for (int i = 0; i < 3; i++)
        if (add_state(t, states[i], now, &n, err) != 0)
            return -1;
    if (n == 0)
        str_puts(&t->text, "      no job is open\n");
    memcpy(t->seen, now, (size_t)n * sizeof now[0]);
    t->n_seen = n;
    return 0;
}

/* --- providers and processes -------------------------------------------------------------------- */

static const char *per_second(double rate, char out[FORMAT_CAP])
{
    if (rate > 0)
        snprintf(out, FORMAT_CAP, "%g/s", rate);
    else
        snprintf(out, FORMAT_CAP, "no limit");
    return out;
}

static int add_rates(struct top *t, struct fp_err *err)
{
    Foliopost__V1__ListRatesRequest q = FOLIOPOST__V1__LIST_RATES_REQUEST__INIT;
    char a[FORMAT_CAP], b[FORMAT_CAP];
    const Foliopost__V1__ListRatesResponse *r =
        cli_call_within(t->cli, CALL_MS, "ListRates", &q.base,
                        &foliopost__v1__list_rates_response__descriptor, err);
    if (r == NULL)
        return -1;
    const int name = is_wide() ? 24 : 14;
    str_printf(&t->text, "\n%-*s %10s %10s  %s\n", name, "PROVIDER", "RATE", "LIMIT", "FAULT");
    for (size_t i = 0; i < r->n_rates; i++)
        str_printf(&t->text, "%-*s %10s %10s  %s%s\n", name, r->rates[i]->provider,
                   per_second(r->rates[i]->per_second, a), per_second(r->rates[i]->limit_per_second, b),
                   r->rates[i]->lowered_until_us > 0 && r->rates[i]->fault[0] == '\0' ? "lowered" : "",
                   r->rates[i]->fault);
    return 0;
}

static int add_fleet(struct top *t, struct fp_err *err)
{
    Foliopost__V1__GetFleetRequest q = FOLIOPOST__V1__GET_FLEET_REQUEST__INIT;
    const Foliopost__V1__GetFleetResponse *r =
        cli_call_within(t->cli, CALL_MS, "GetFleet", &q.base, &foliopost__v1__get_fleet_response__descriptor,
                        err);
    if (r == NULL)
        return -1;
    const int wide = is_wide() ? 22 : 18;
    str_printf(&t->text, "\n%-*s %8s %6s  %s\n", wide, "PROCESS", "BATCHES", "SLOTS", "NOTE");
    for (size_t i = 0; i < r->n_instances; i++) {
        const Foliopost__V1__Instance *m = r->instances[i];
        char name[FORMAT_CAP];
        snprintf(name, sizeof name, "%s%s", m->service, m->leads ? " (leads)" : "");
        str_printf(&t->text, "%-*s %8" PRId64 " %6d  %s\n", wide, name, m->batches, m->slots,
                   m->note[0] != '\0' ? m->note : m->address);
    }
    return 0;
}

/* --- the loop -------------------------------------------------------------------------------------- */

static int picture(struct top *t, struct fp_err *err)
{
    char now[FORMAT_CAP];
    str_clear(&t->text);
    str_printf(&t->text, "foliopost top  %s UTC\n\n", format_time(clock_wall_us(), now));
    return add_jobs(t, err) != 0 || add_rates(t, err) != 0 || add_fleet(t, err) != 0 ? -1 : 0;
}

static bool is_passing(const struct fp_err *err)
{
    return err->code == FP_UNAVAILABLE || err->code == FP_DEADLINE_EXCEEDED;
}

/* The last picture, with the reason why there is no newer one above it. */
static void show_lost(struct top *t, const struct fp_err *err)
{
    str_clear(&t->text);
    str_printf(&t->text, "no answer, trying again: %s\n%s", err->msg,
               t->last.data != NULL ? t->last.data : "");
    screen_draw(&t->screen, t->text.data);
}

static void rest(int64_t ms)
{
    struct timespec for_so_long = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&for_so_long, NULL); /* ended by a signal */
}

static enum cli_exit live(struct top *t, int64_t every_ms)
{
    struct fp_err err;
    enum cli_exit code = CLI_OK;
    for (bool first = true; !interrupted; rest(every_ms)) {
        if (picture(t, &err) == 0) {
            str_clear(&t->last);
            str_add(&t->last, t->text.data, t->text.len);
            screen_draw(&t->screen, t->text.data);
        } else if (interrupted) {
            break;
        } else if (first || !is_passing(&err)) {
            screen_leave(&t->screen);
            code = cli_fail(&err);
            break;
        } else {
            show_lost(t, &err);
        }
        first = false;
    }
    screen_leave(&t->screen);
    return interrupted ? CLI_INTERRUPTED : code;
}

static enum cli_exit once(struct top *t)
{
    struct fp_err err;
    if (picture(t, &err) != 0)
        return cli_fail(&err);
    fputs(t->text.data, stdout);
    return CLI_OK;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    const struct values *v = values;
    struct top *t = mem_alloc(sizeof *t);
    (void)args;
    (void)n_args;
    t->cli = c;
    str_init(&t->text, 0);
    str_init(&t->last, 0);
    catch_interrupt();
    screen_watch_signals();
    enum cli_exit code = v->once || !screen_is_terminal() ? once(t) : live(t, v->every_ms);
    str_fini(&t->text);
    str_fini(&t->last);
    mem_free(t);
    return code;
}

const struct cli_command cli_top = {
    .name = "top",
    .arguments = "",
    .summary = "Shows open jobs, rates and processes, live",
    .details = "On a terminal a picture that is drawn again every second, until Ctrl-C; elsewhere, and\n"
               "with --once, one picture. For programs: jobs, rates and fleet with --json.\n\n"
               "  foliopost top\n  foliopost top --once\n",
    .rows = rows,
    .n_rows = sizeof rows / sizeof rows[0],
    .values_bytes = sizeof(struct values),
    .no_json = "foliopost jobs --json, foliopost rates --json, foliopost fleet --json",
    .run = run,
};
