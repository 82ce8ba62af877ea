/*
 * foliopost watch: polls GetJob until the job is over.
 *
 * On a terminal a picture (live.c) is drawn again in place; elsewhere a line is
 * printed every few seconds and at each change of state, without any control
 * sequence. Intervals, failures and the fleet are asked for with every fourth
 * poll: they cost the ledger more than the counts. A scheduler that goes
 * away is waited for, with a note: the job's state is in the ledger, and the
 * watch is worth nothing if it ends with the first restart. Only the first
 * call fails at once.
 *
 * Ctrl-C ends the watching and never the job.
 */
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cli/format.h"
#include "cli/live.h"
#include "lib/base/clock.h"

#define POLL_MS       500
#define CALL_MS       2000 /* so that Ctrl-C and a lost scheduler show soon */
#define LINE_EVERY_US (5 * FP_US_PER_S)
#define DETAILS_EVERY 4 /* polls */

struct watch {
    struct cli *cli;
    int64_t job_id;
    bool draw; /* in place, on a terminal */
    struct screen screen;
    struct live live;
    unsigned polls;
    struct progress progress;
    int64_t lost_us;    /* since when the scheduler does not answer; 0: it does */
    struct fp_str last; /* what was drawn last, without the note */
    int64_t said_us;    /* plain: the last line */
    int said_state;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* Without SA_RESTART, so that the pause between polls ends at once; the second
 * Ctrl-C ends the program in the ordinary way. */
static void catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* --- what is shown -------------------------------------------------------------------- */

static void plain_line(struct watch *w, const Foliopost__V1__Job *job, const struct progress_view *v)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    struct fp_str line;
    int64_t now_us = clock_mono_us();
    if ((int)job->state == w->said_state && now_us - w->said_us < LINE_EVERY_US)
        return;
    w->said_us = now_us;
    w->said_state = (int)job->state;
    str_init(&line, 0);
    str_printf(&line, "%s job %" PRId64 " %s", format_time(clock_wall_us(), a), job->id, job_state_text(job));
    if (v->total > 0)
        str_printf(&line, " %s of %s%s users", format_percent(v->part, a), v->total_is_exact ? "" : "about ",
                   format_count(v->total, b));
    if (job->counts != NULL) {
        str_puts(&line, "; ");
        job_print_counts(job->counts, &line);
    }
    if (live_moves(job)) {
        struct flow f = {.out = &line, .columns = INT_MAX};
        str_puts(&line, "; ");
        live_add_rates(&f, v);
    }
    if (live_tells_response(job))
        str_printf(&line, "; %s", job->response);
    for (size_t i = 0; i < job->n_waiting; i++)
        str_printf(&line, "; waiting: %s", job->waiting[i]);
    printf("%s\n", line.data);
    fflush(stdout);
    str_fini(&line);
}

static void show_job(struct watch *w, const Foliopost__V1__Job *job)
{
    struct progress_view view;
    progress_add(&w->progress, job, clock_mono_us(), &view);
    if (cli_json(w->cli)) {
        cli_print_json(&job->base, true);
        fflush(stdout);
    } else if (w->draw) {
        live_picture(&w->live, job, &view, &w->last);
        screen_draw(&w->screen, w->last.data);
    } else {
        plain_line(w, job, &view);
    }
}

/* The scheduler does not answer: said under the last picture, or once. */
static void show_lost(struct watch *w, const struct fp_err *err)
{
    char a[FORMAT_CAP];
    bool first = w->lost_us == 0;
    if (first)
        w->lost_us = clock_mono_us();
    if (!w->draw && first)
        fprintf(stderr, "foliopost: %s; the job goes on, trying again\n", err->msg);
    if (!w->draw)
        return;
    struct fp_str text;
    str_init(&text, 0);
    str_printf(&text, "%s\nthe scheduler has not answered for %s: %s",
               w->last.data != NULL ? w->last.data : "",
               format_duration((double)(clock_mono_us() - w->lost_us) / 1e6, a), err->msg);
    screen_draw(&w->screen, text.data);
    str_fini(&text);
}

static void show_found(struct watch *w)
{
    if (w->lost_us != 0 && !w->draw)
        fprintf(stderr, "foliopost: the scheduler answers again\n");
    w->lost_us = 0;
}

/* --- the loop ---------------------------------------------------------------------------- */

static void pause_between_polls(void)
{
    struct timespec t = {.tv_nsec = POLL_MS * 1000000L};
    nanosleep(&t, NULL); /* ended by a signal */
}

static bool is_passing(const struct fp_err *err)
{
    return err->code == FP_UNAVAILABLE || err->code == FP_DEADLINE_EXCEEDED;
}

/* The fleet is an extra: who may not see it, or asks in a bad moment, has a picture without it. */
static void get_fleet(struct watch *w)
{
    Foliopost__V1__GetFleetRequest request = FOLIOPOST__V1__GET_FLEET_REQUEST__INIT;
    struct fp_err err;
    const Foliopost__V1__GetFleetResponse *fleet =
        cli_call_within(w->cli, CALL_MS, "GetFleet", &request.base,
                        &foliopost__v1__get_fleet_response__descriptor, &err);
    if (fleet != NULL)
        live_take_fleet(&w->live, fleet);
}

/* Parts that are older were made for the old width. */
static bool is_resized(const struct watch *w)
{
    int columns, rows;
    screen_size(&columns, &rows);
    return columns != w->screen.columns;
}

/* The first call has the time that the person gave. */
static const Foliopost__V1__Job *get_job(struct watch *w, bool first, struct fp_err *err)
{
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    const ProtobufCMessageDescriptor *reply = &foliopost__v1__job__descriptor;
    q.job_id = w->job_id;
    const bool resized = w->draw && is_resized(w);
    q.details = w->draw && (w->polls % DETAILS_EVERY == 0 || resized);
    if (w->draw && !first && w->lost_us == 0 && (w->polls % DETAILS_EVERY == 1 || resized))
        get_fleet(w);
    w->polls++;
    const Foliopost__V1__Job *job = first ? cli_call(w->cli, "GetJob", &q.base, reply, err)
                                          : cli_call_within(w->cli, CALL_MS, "GetJob", &q.base, reply, err);
    if (job != NULL && q.details)
        live_take_details(&w->live, job);
    return job;
}

static enum cli_exit follow(struct watch *w)
{
    struct fp_err err;
    for (bool first = true; !interrupted; pause_between_polls()) {
        const Foliopost__V1__Job *job = get_job(w, first, &err);
        if (job == NULL && (first || !is_passing(&err))) {
            screen_leave(&w->screen);
            return cli_fail(&err);
        }
        first = false;
        if (job == NULL) {
            show_lost(w, &err);
            continue;
        }
        show_found(w);
        show_job(w, job);
        if (ferror(stdout)) /* nobody reads any more, as behind `| head`: NNG ignores SIGPIPE */
            return CLI_FAILED;
        if (job_is_over(job)) {
            screen_leave(&w->screen);
            return job->state == FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED ? CLI_OK : CLI_JOB_FAILED;
        }
    }
    return CLI_INTERRUPTED;
}

enum cli_exit cli_watch(struct cli *c, int64_t job_id)
{
    struct watch w = {.cli = c,
                      .job_id = job_id,
                      .draw = screen_is_terminal() && !cli_json(c),
                      .said_state = -1};
    str_init(&w.last, 0);
    live_init(&w.live);
    catch_interrupt();
    if (w.draw)
        screen_watch_signals();
    enum cli_exit code = follow(&w);
    live_fini(&w.live);
    str_fini(&w.last);
    if (code == CLI_INTERRUPTED) {
        screen_leave(&w.screen);
        fprintf(stderr,
                "The job goes on. To watch it again: foliopost watch %" PRId64
                "%s\nTo stop it: foliopost pause %" PRId64 "%s\n",
                job_id, cli_rpc_flag(c), job_id, cli_rpc_flag(c));
    }
    return code;
}

static enum cli_exit run(struct cli *c, void *values, char **args, int n_args)
{
    struct fp_err err;
    int64_t id;
    (void)values;
    (void)n_args;
    return cli_job_id(args[0], &id, &err) == 0 ? cli_watch(c, id) : cli_fail(&err);
}

const struct cli_command cli_watch_job = {
    .name = "watch",
    .arguments = "JOB",
    .summary = "Follows a job until it ends",
    .details =
        "On a terminal a live display: progress, rate, time to the end, what the job waits for,\n"
        "its intervals, failures by class, the fleet. Elsewhere a line every five seconds; with --json\n"
        "the job as one line of JSON at each poll. Ctrl-C ends the watching, not the job.\n"
        "The exit code is 0 for COMPLETED, 3 for FAILED and CANCELLED.\n\n"
        "  foliopost watch 12\n  foliopost watch 12 >> progress.log\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
