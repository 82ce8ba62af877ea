/*
 * Progress of a job: what the scheduler says of it, or, of an older scheduler
 * or at another state, what its counts tell.
 *
 * The number of users is known for certain only when the last interval has
 * been paged to its end. Before, it is estimated from the intervals that have
 * been: intervals are calendar months, so this is rough where registrations
 * grew or shrank, and is shown as "about". Rates are those of the last
 * seconds, because what counts is whether it moves now.
 */
#include "cli/progress.h"

static void estimate_total(const Foliopost__V1__Job *job, struct progress_view *out)
{
    const Foliopost__V1__Counts *c = job->counts;
    int64_t listed =
        job->listed_users > 0 || job->spec == NULL ? job->listed_users : (int64_t)job->spec->n_user_ids;
    if (listed > 0) {
        out->total = listed;
        out->total_is_exact = true;
    } else if (c->intervals > 0 && c->intervals_paged >= c->intervals) {
        out->total = c->users;
        out->total_is_exact = true;
    } else if (c->intervals_paged > 0) {
        /* The one that is being paged now is taken for half of an interval. */
        out->total = (int64_t)((double)c->users * c->intervals / (c->intervals_paged + 0.5));
        out->total = out->total > c->users ? out->total : c->users;
    }
}

static const struct progress_sample *oldest(const struct progress *p)
{
    return &p->samples[p->n < PROGRESS_SAMPLES ? 0 : p->next];
}

static void measure_rate(const struct progress *p, const struct progress_sample *now,
                         struct progress_view *out)
{
    const struct progress_sample *old = oldest(p);
    double seconds = (double)(now->at_us - old->at_us) / 1e6;
    /* A job that was reopened counts down for a moment: no rate is negative. */
    if (seconds > 0 && now->done >= old->done && now->sent >= old->sent) {
        out->users_per_s = (double)(now->done - old->done) / seconds;
        out->mails_per_s = (double)(now->sent - old->sent) / seconds;
    }
}

static void take_progress(const Foliopost__V1__Progress *from, struct progress_view *out)
{
    out->total = from->users_total;
    out->total_is_exact = from->total_is_exact;
    out->users_per_s = from->users_per_s;
    out->mails_per_s = from->mails_per_s;
    out->eta_s = from->eta_s;
    out->intervals_behind = from->intervals_behind;
    if (out->total > 0)
        out->part = out->done < out->total ? (double)out->done / (double)out->total : 1;
}

void progress_add(struct progress *p, const Foliopost__V1__Job *job, int64_t now_us,
                  struct progress_view *out)
{
    static const Foliopost__V1__Counts nothing = FOLIOPOST__V1__COUNTS__INIT;
    const Foliopost__V1__Counts *c = job->counts != NULL ? job->counts : &nothing;
    *out = (struct progress_view){.part = -1, .eta_s = -1};
    out->done = c->sent + c->failed + c->skipped + c->ambiguous;
    if (job->progress != NULL) {
        take_progress(job->progress, out);
        return;
    }
    if (job->counts != NULL)
        estimate_total(job, out);
    if (out->total > 0) {
        out->part = (double)out->done / (double)out->total;
        out->part = out->part > 1 ? 1 : out->part;
    }
    struct progress_sample now = {now_us, out->done, c->sent};
    p->samples[p->next] = now;
    p->next = (p->next + 1) % PROGRESS_SAMPLES;
    p->n += p->n < PROGRESS_SAMPLES;
    measure_rate(p, &now, out);
    if (out->total > 0 && out->users_per_s > 0)
        out->eta_s = (double)(out->total - out->done > 0 ? out->total - out->done : 0) / out->users_per_s;
}
