/*
 * The batch of one: the code of userstream makes the user's message, that of
 * stats his summary (without checkpoints, which are the ledger's), that of the
 * mailer the mail. So what is seen here is what a job would send.
 *
 * Two things differ on purpose: whoever opted out can still be looked at, and
 * no remark of stats holds a statement back (its setting hold-back).
 */
#include "cli/trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "services/stats/batch.h"
#include "services/userstream/user.h"

#define ARENA_BYTES (8 << 20)
#define CACHE_BYTES (64 << 20)
#define WEEK_DAYS   7

/* --- the summary ------------------------------------------------------------------------ */

static const char *kind_of(const char *asked, const struct portfolio_period *p)
{
    if (strcmp(asked, "auto") != 0)
        return asked;
    if (day_first_of_month(p->start) == p->start && day_add_months(p->start, 1) - 1 == p->end)
        return "monthly";
    return p->end - p->start + 1 == WEEK_DAYS ? "weekly" : "custom";
}

static void fill_job(struct trial *t, const struct trial_values *v, const struct subject *who)
{
    foliopost__v1__job_context__init(&t->job);
    t->job.kind = (char *)kind_of(v->kind, &who->period);
    t->job.period_start_day = who->period.start;
    t->job.period_end_day = who->period.end;
    t->job.as_of_us = who->period.as_of_us;
    t->job.mail_date_us = clock_wall_us(); /* another Message-ID each time: readers drop copies */
    t->job.template_name = v->template_name;
    t->job.brand = (char *)"default";
}

static void still_alive(void *arg)
{
    (void)arg;
}

/* The item of a batch of one, or NULL when the source cannot be read. */
static const Foliopost__V1__SummaryItem *compute(struct trial *t, const struct subject *who,
                                                 struct fp_source *s, struct fp_err *err)
{
    Foliopost__V1__User *list[] = {&t->message};
    Foliopost__V1__UserBatch batch = FOLIOPOST__V1__USER_BATCH__INIT;
    struct batch_counts counts;
    struct batch_tools tools = {.source = s,
                                .checkpoints = checkpoints_new(&(struct checkpoint_settings){.on = false}),
                                .performance = performance_new(),
                                .cache = cache_new(1, CACHE_BYTES),
                                .policy = &who->policy,
                                .max_txs = SUBJECT_MAX_TXS,
                                .alive = still_alive};
    batch.job = &t->job;
    batch.users = list;
    batch.n_users = 1;
    t->message.skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_UNSPECIFIED; /* trial_remark() says it */
    const Foliopost__V1__SummaryBatch *out = batch_compute(&tools, &batch, t->arena, &counts, err);
    cache_free(tools.cache);
    performance_free(tools.performance);
    checkpoints_free(tools.checkpoints);
    return out != NULL ? out->items[0] : NULL;
}

static int need_summary(const Foliopost__V1__SummaryItem *item, struct fp_err *err)
{
    switch (item->outcome_case) {
    case FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_SUMMARY:
        return 0;
    case FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME_FAILURE:
        return err_set(err, FP_FAILED_PRECONDITION, "user %" PRId64 ": failed: %s: %s", item->user->id,
                       item->failure->reason, item->failure->detail);
    default:
        return err_set(err, FP_FAILED_PRECONDITION,
                       "user %" PRId64 ": skipped: nothing to report in this period", item->user->id);
    }
}

static int read_and_compute(struct trial *t, struct trial_values *v, struct fp_err *err)
{
    struct subject who;
    struct fp_source *s = subject_open(&v->subject, &who, err);
    if (s == NULL)
        return -1;
    fill_job(t, v, &who);
    int rc = subject_user(&who, s, t->job.kind, &t->user, err);
    if (rc == 0) {
        user_to_message(&t->user, false, &t->message);
        if (v->locale[0] != '\0')
            t->message.locale = v->locale;
        if (v->brand[0] != '\0')
            t->message.brand = v->brand;
        t->item = compute(t, &who, s, err);
        rc = t->item != NULL ? need_summary(t->item, err) : -1;
    }
    source_close(s);
    return rc;
}

/* --- all of it ------------------------------------------------------------------------------ */

int trial_open(struct trial *t, struct trial_values *v, struct fp_err *err)
{
    t->arena = arena_new(ARENA_BYTES);
    if (letter_open(&v->mailer, err) != 0)
        return -1;
    if (!templates_has(v->mailer.loaded, v->template_name))
        return err_set(err, FP_INVALID_ARGUMENT, "--template: there is none of the name \"%.64s\"",
                       v->template_name);
    return read_and_compute(t, v, err);
}

void trial_close(struct trial *t, struct trial_values *v)
{
    letter_close(&v->mailer);
    arena_free(t->arena);
}

void trial_remark(const struct trial *t)
{
    if (t->user.opted_out)
        fprintf(stderr, "note: this user has opted out of %s reports: a job skips him\n", t->job.kind);
    else if (t->user.address == ADDRESS_NON_ASCII_MAILBOX)
        fprintf(stderr, "note: this user's address is not ASCII before the @: a job skips him\n");
    else if (t->user.address != ADDRESS_USABLE)
        fprintf(stderr, "note: this user's address cannot be used: a job skips him\n");
}
