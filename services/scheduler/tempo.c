/*
 * A table by job id, each row a ring of samples a second apart. Two jobs of one
 * row take it from each other, which costs them the mean since their start
 * instead of the last seconds' rate, and nothing else.
 */
#include "services/scheduler/tempo.h"

#include <math.h>
#include <pthread.h>

#include "lib/base/clock.h"

#define ROWS        64
#define SAMPLES     16                     /* the last quarter of a minute, where somebody watches */
#define APART_US    (9 * FP_US_PER_S / 10) /* between two */
#define OLD_US      (60 * FP_US_PER_S)     /* says nothing of now */
#define MIN_SPAN_US (2 * FP_US_PER_S)      /* batches end by the hundred: less is noise */
#define ETA_UNKNOWN (-1.0)

struct sample {
    int64_t at_us, done, sent;
};

struct row {
    int64_t job_id; /* 0: empty */
    int n;
    struct sample samples[SAMPLES]; /* oldest first */
};

struct tempo {
    pthread_mutex_t lock;
    struct row rows[ROWS];
};

struct tempo *tempo_new(void)
{
    struct tempo *p = mem_alloc(sizeof *p);

    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void tempo_free(struct tempo *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static void drop_first(struct row *r)
{
    r->n--;
    for (int i = 0; i < r->n; i++)
        r->samples[i] = r->samples[i + 1];
}

/* Keeps the sample and returns the oldest that still counts. */
static struct sample take(struct tempo *p, int64_t job_id, const struct sample *now)
{
    struct row *r = &p->rows[(uint64_t)job_id % ROWS];

    pthread_mutex_lock(&p->lock);
    const struct sample *last = r->n > 0 ? &r->samples[r->n - 1] : NULL;
    /* A job that was reopened counts down, and a clock can be set back. */
    if (r->job_id != job_id ||
        (last && (now->done < last->done || now->sent < last->sent || now->at_us < last->at_us)))
        *r = (struct row){.job_id = job_id};
    while (r->n > 0 && now->at_us - r->samples[0].at_us > OLD_US)
        drop_first(r);
    if (r->n == 0 || now->at_us - r->samples[r->n - 1].at_us >= APART_US) {
        if (r->n == SAMPLES)
            drop_first(r);
        r->samples[r->n++] = *now;
    }
    struct sample oldest = r->samples[0];
    pthread_mutex_unlock(&p->lock);
    return oldest;
}

/* An interval that is being paged counts for half of one: intervals are months, so this is rough. */
static void estimate_total(const struct ledger_job *j, const Foliopost__V1__Counts *c,
                           Foliopost__V1__Progress *out)
{
    out->total_is_exact = j->n_user_ids > 0 || (c->intervals > 0 && c->intervals_paged >= c->intervals);
    if (j->n_user_ids > 0)
        out->users_total = (int64_t)j->n_user_ids;
    else if (out->total_is_exact)
        out->users_total = c->users;
    else if (c->intervals_paged > 0)
        out->users_total = (int64_t)((double)c->users * c->intervals / (c->intervals_paged + 0.5));
    if (out->users_total > 0 && out->users_total < c->users)
        out->users_total = c->users;
}

/* In tenths: a watcher is told when something changes, and the hundredths always do. */
static double per_s(int64_t n, int64_t us)
{
    return us > 0 && n > 0 ? round((double)n * 1e7 / (double)us) / 10 : 0;
}

Foliopost__V1__Progress *tempo_progress(struct tempo *p, const struct ledger_job *j,
                                        const Foliopost__V1__Counts *counts, int64_t now_us,
                                        struct convert *c)
{
    if (!p || j->state != JOB_IN_PROGRESS || !counts)
        return NULL;
    Foliopost__V1__Progress *out = convert_alloc(c, 1, sizeof *out);
    if (!out)
        return NULL;
    foliopost__v1__progress__init(out);
    const int64_t done = counts->sent + counts->failed + counts->skipped + counts->ambiguous;
    const struct sample now = {now_us, done, counts->sent};
    struct sample old = take(p, j->id, &now);
    if (now_us - old.at_us < MIN_SPAN_US)
        old = (struct sample){.at_us = j->started_us};
    out->users_per_s = per_s(done - old.done, now_us - old.at_us);
    out->mails_per_s = per_s(counts->sent - old.sent, now_us - old.at_us);
    out->intervals_behind = counts->intervals - counts->intervals_paged;
    estimate_total(j, counts, out);
    out->eta_s = ETA_UNKNOWN;
    if (out->users_total > 0 && out->users_per_s > 0)
        out->eta_s = ceil((double)(out->users_total > done ? out->users_total - done : 0) / out->users_per_s);
    return out;
}
