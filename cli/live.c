/*
 * The picture of a job: what it is, how far, how fast, what it waits for; then
 * how far each interval is, whose mails failed and why, and who works.
 *
 * An interval's users are known when it has been paged to its end. Before, they
 * are estimated from how far into its range of dates the pages are, which is
 * good within a month. Every line is made of items that a narrow terminal puts
 * below each other; screen.c cuts what is too long even so.
 */
#include "cli/live.h"

#include <inttypes.h>
#include <string.h>

#include "cli/format.h"
#include "lib/base/clock.h"

#define BAR_MIN     10
#define BAR_MAX     50
#define WIDE        60 /* columns, from which on there is room for more than a bar */
#define MAX_AT_WORK 5  /* intervals that have a line of their own */
#define MAX_CLASSES 5

void live_init(struct live *v)
{
    str_init(&v->intervals, 0);
    str_init(&v->failures, 0);
    str_init(&v->fleet, 0);
}

void live_fini(struct live *v)
{
    str_fini(&v->intervals);
    str_fini(&v->failures);
    str_fini(&v->fleet);
}

static int width(void)
{
    int columns, rows;
    screen_size(&columns, &rows);
    return columns;
}

static int bar_columns(int for_others)
{
    int room = width() - for_others;
    return room < BAR_MIN ? BAR_MIN : room > BAR_MAX ? BAR_MAX : room;
}

/* --- intervals --------------------------------------------------------------------------- */

enum stage { TO_COME, AT_WORK, DONE };

static enum stage stage_of(const Foliopost__V1__IntervalReport *r)
{
    const Foliopost__V1__Counts *c = r->counts;
    if (strcmp(r->state, "paged") == 0 && (c == NULL || c->batches_done >= c->batches))
        return DONE;
    return strcmp(r->state, "ready") != 0 || (c != NULL && c->batches > 0) ? AT_WORK : TO_COME;
}

/* One column for each interval, or for some neighbours: "#" when all of them are
 * done, "." when none has begun. */
static void add_strip(struct fp_str *out, const Foliopost__V1__Job *job, size_t cells)
{
    size_t n = job->n_intervals;
    cells = cells < n ? cells : n;
    str_putc(out, '[');
    for (size_t i = 0; i < cells; i++) {
        size_t done = 0, begun = 0, first = i * n / cells, behind = (i + 1) * n / cells;
        for (size_t k = first; k < behind; k++) {
            enum stage s = stage_of(job->intervals[k]);
            done += s == DONE;
            begun += s != TO_COME;
        }
        str_putc(out, done == behind - first ? '#' : begun > 0 ? '+' : '.');
    }
    str_putc(out, ']');
}

static double part_of(const Foliopost__V1__IntervalReport *r)
{
    const Foliopost__V1__Counts *c = r->counts;
    if (c == NULL || c->users == 0 || r->paged_part <= 0)
        return c != NULL && c->users == 0 ? 0 : -1;
    double total = (double)c->users / r->paged_part;
    double part = (double)(c->sent + c->failed + c->skipped + c->ambiguous) / total;
    return part < 1 ? part : 1;
}

static void add_interval(struct fp_str *out, const Foliopost__V1__IntervalReport *r)
{
    char day[11], a[FORMAT_CAP];
    double part = part_of(r);
    day_format(day_from_us(r->lower_us), day);
    str_printf(out, "\n  %.7s ", day);
    screen_bar(out, part, width() < WIDE ? BAR_MIN : 2 * BAR_MIN);
    str_printf(out, " %7s", part < 0 ? "" : format_percent(part, a));
    if (width() < WIDE || r->counts == NULL)
        return;
    str_printf(out, "  %s%s users", strcmp(r->state, "paged") == 0 ? "" : "so far ",
               format_count(r->counts->users, a));
    if (r->counts->failed > 0)
        str_printf(out, "  %s failed", format_count(r->counts->failed, a));
}

static void take_intervals(struct fp_str *out, const Foliopost__V1__Job *job)
{
    int n[3] = {0}, shown = 0;
    struct flow f = screen_flow(out);
    struct fp_str strip;
    if (job->n_intervals < 2) /* its bar is the job's */
        return;
    for (size_t i = 0; i < job->n_intervals; i++)
        n[stage_of(job->intervals[i])]++;
    str_init(&strip, 0);
    add_strip(&strip, job, (size_t)bar_columns(46));
    flow_add(&f, "intervals %s", strip.data);
    str_fini(&strip);
    flow_add(&f, "%d of %zu done", n[DONE], job->n_intervals);
    if (n[AT_WORK] > 0)
        flow_add(&f, "%d at work", n[AT_WORK]);
    for (size_t i = 0; i < job->n_intervals && shown < MAX_AT_WORK; i++)
        if (stage_of(job->intervals[i]) == AT_WORK) {
            add_interval(out, job->intervals[i]);
            shown++;
        }
    if (n[AT_WORK] > shown)
        str_printf(out, "\n  and %d more", n[AT_WORK] - shown);
}

/* --- failures ---------------------------------------------------------------------------- */

static const char *state_text(Foliopost__V1__DeliveryState s)
{
    switch (s) {
    case FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_FAILED:
        return "failed";
    case FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_AMBIGUOUS:
        return "ambiguous";
    default:
        return "deferred";
    }
}

static void take_failures(struct fp_str *out, const Foliopost__V1__Job *job)
{
    char a[FORMAT_CAP];
    for (size_t i = 0; i < job->n_failures && i < MAX_CLASSES; i++) {
        const Foliopost__V1__ReasonCount *r = job->failures[i];
        str_printf(out, "%s%8s %-9s %s", i > 0 ? "\n" : "", format_count(r->users, a), state_text(r->state),
                   r->reason);
    }
    if (job->n_failures > MAX_CLASSES)
        str_printf(out, "\n         and others: foliopost report %" PRId64, job->id);
    if (job->failures_partial)
        str_puts(out, "\n         of the first 20,000 of each");
}

void live_take_details(struct live *v, const Foliopost__V1__Job *job)
{
    str_clear(&v->intervals);
    str_clear(&v->failures);
    take_intervals(&v->intervals, job);
    take_failures(&v->failures, job);
}

/* --- the fleet ----------------------------------------------------------------------------- */

struct team {
    int processes, slots, standing;
    int64_t batches;
    const char *note; /* of the first that stands */
};

static struct team team_of(const Foliopost__V1__GetFleetResponse *r, const char *service)
{
    struct team t = {.note = ""};
    for (size_t i = 0; i < r->n_instances; i++) {
        const Foliopost__V1__Instance *m = r->instances[i];
        if (strcmp(m->service, service) != 0)
            continue;
        t.processes++;
        t.slots += m->slots;
        t.batches += m->batches;
        if (m->note[0] == '\0')
            continue;
        t.standing++;
        t.note = t.note[0] != '\0' ? t.note : m->note;
    }
    return t;
}

void live_take_fleet(struct live *v, const Foliopost__V1__GetFleetResponse *r)
{
    static const char *const services[] = {"scheduler", "userstream", "stats", "mailer"};
    struct flow f = screen_flow(&v->fleet);
    char a[FORMAT_CAP];
    str_clear(&v->fleet);
    for (size_t i = 0; i < 4; i++) {
        struct team t = team_of(r, services[i]);
        char busy[FORMAT_CAP + 32] = "";
        if (t.slots > 0)
            snprintf(busy, sizeof busy, " (%s of %d slots)", format_count(t.batches, a), t.slots);
        flow_add(&f, "%s%d %s%s", i == 0 ? "fleet " : "", t.processes, services[i], busy);
    }
    for (size_t i = 0; i < 4; i++) {
        struct team t = team_of(r, services[i]);
        if (t.standing > 0)
            str_printf(&v->fleet, "\n  %d %s: %s", t.standing, services[i], t.note);
    }
}

/* --- the job ----------------------------------------------------------------------------------- */

bool live_moves(const Foliopost__V1__Job *job)
{
    return !job_is_over(job) && job->state != FOLIOPOST__V1__JOB_STATE__JOB_STATE_PAUSED;
}

/* Why it is paused stands in `waiting` already. */
bool live_tells_response(const Foliopost__V1__Job *job)
{
    return job->response[0] != '\0' && job->n_waiting == 0;
}

void live_add_rates(struct flow *f, const struct progress_view *p)
{
    char a[FORMAT_CAP];
    flow_add(f, "%s mails/s", format_count((int64_t)(p->mails_per_s + 0.5), a));
    flow_add(f, "%s users/min", format_count((int64_t)(p->users_per_s * 60 + 0.5), a));
    flow_add(f, "ETA %s", format_duration(p->eta_s, a));
    if (p->intervals_behind > 0)
        flow_add(f, "%d interval%s behind", p->intervals_behind, p->intervals_behind == 1 ? "" : "s");
}

static void add_head(const Foliopost__V1__Job *job, struct fp_str *out)
{
    char a[FORMAT_CAP];
    int64_t end_us = job->finished_us > 0 ? job->finished_us : clock_wall_us();
    job_print_headline(job, out);
    str_printf(out, "\n%s", job_is_unapproved(job) ? "PENDING (approval)" : job_state_text(job));
    if (job->started_us > 0)
        str_printf(out, "  %s %s", job_is_over(job) ? "after" : "for",
                   format_duration((double)(end_us - job->started_us) / 1e6, a));
    if (live_tells_response(job))
        str_printf(out, "  %s", job->response);
    str_putc(out, '\n');
}

static void add_bar(const struct progress_view *p, struct fp_str *out)
{
    char a[FORMAT_CAP], b[FORMAT_CAP];
    struct flow f = screen_flow(out);
    struct fp_str bar;
    str_init(&bar, 0);
    screen_bar(&bar, p->part, bar_columns(48));
    flow_add(&f, "%s", bar.data);
    str_fini(&bar);
    if (p->total > 0) {
        flow_add(&f, "%s", format_percent(p->part, a));
        flow_add(&f, "%s of %s%s users", format_count(p->done, a), p->total_is_exact ? "" : "about ",
                 format_count(p->total, b));
    } else {
        flow_add(&f, "%s users", format_count(p->done, a));
    }
    str_putc(out, '\n');
}

static void add_counts(const Foliopost__V1__Counts *c, struct fp_str *out)
{
    char a[FORMAT_CAP];
    struct flow f = screen_flow(out);
    flow_add(&f, "sent %s", format_count(c->sent, a));
    flow_add(&f, "failed %s", format_count(c->failed, a));
    flow_add(&f, "skipped %s", format_count(c->skipped, a));
    flow_add(&f, "ambiguous %s", format_count(c->ambiguous, a));
    flow_add(&f, "deferred %s", format_count(c->deferred, a));
}

static void add_part(struct fp_str *out, const struct fp_str *part)
{
    if (part->len > 0)
        str_printf(out, "\n%s", part->data);
}

void live_picture(const struct live *v, const Foliopost__V1__Job *job, const struct progress_view *p,
                  struct fp_str *out)
{
    str_clear(out);
    add_head(job, out);
    add_bar(p, out);
    if (job->counts != NULL)
        add_counts(job->counts, out);
    if (live_moves(job)) {
        str_putc(out, '\n');
        struct flow f = screen_flow(out);
        live_add_rates(&f, p);
    }
    for (size_t i = 0; i < job->n_waiting; i++)
        str_printf(out, "\nwaiting: %s", job->waiting[i]);
    add_part(out, &v->intervals);
    add_part(out, &v->failures);
    if (!job_is_over(job))
        add_part(out, &v->fleet);
}
