/*
 * Rows become messages: field by field, nothing computed.
 *
 * The states have the same numbers in lib/ledger and in the .proto, which the
 * assertions below hold to. Texts that people or providers wrote were cleaned
 * on their way into the ledger and are checked again when the reply is packed.
 */
#include "services/scheduler/convert.h"

#include <string.h>

#include "lib/base/clock.h"

_Static_assert((int)JOB_CANCELLED == (int)FOLIOPOST__V1__JOB_STATE__JOB_STATE_CANCELLED, "job states");
_Static_assert((int)DELIVERY_REQUEUED == (int)FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_REQUEUED,
               "delivery states");

void *convert_alloc(struct convert *c, size_t count, size_t bytes)
{
    void *p = count > SIZE_MAX / bytes ? NULL : arena_alloc(c->arena, count ? count * bytes : 1);

    if (!p)
        c->full = true;
    return p;
}

char *convert_text(struct convert *c, const char *s)
{
    char *copy = s ? arena_strdup(c->arena, s) : NULL;

    if (s && !copy)
        c->full = true;
    return copy;
}

int convert_check(const struct convert *c, struct fp_err *err)
{
    if (c->full)
        convert_too_large(err);
    return c->full ? -1 : 0;
}

void *convert_too_large(struct fp_err *err)
{
    err_set(err, FP_RESOURCE_EXHAUSTED, "the reply is too large: ask for smaller pages");
    return NULL;
}

static char *date(struct convert *c, int32_t day)
{
    char out[11];

    day_format(day, out);
    return convert_text(c, out);
}

static void copy_users(struct convert *c, const struct ledger_job *j, Foliopost__V1__JobSpec *s)
{
    if (j->n_user_ids == 0)
        return;
    s->user_ids = convert_alloc(c, j->n_user_ids, sizeof *s->user_ids);
    if (!s->user_ids)
        return;
    memcpy(s->user_ids, j->user_ids, j->n_user_ids * sizeof *s->user_ids);
    s->n_user_ids = j->n_user_ids;
}

static Foliopost__V1__JobKind kind_of(const char *name)
{
    if (strcmp(name, "weekly") == 0)
        return FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY;
    if (strcmp(name, "monthly") == 0)
        return FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY;
    return FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM;
}

static Foliopost__V1__JobSpec *convert_spec(struct convert *c, const struct ledger_job *j)
{
    Foliopost__V1__JobSpec *s = convert_alloc(c, 1, sizeof *s);

    if (!s)
        return NULL;
    foliopost__v1__job_spec__init(s);
    s->kind = kind_of(j->kind);
    s->period_start = date(c, j->period_start_day);
    s->period_end = date(c, j->period_end_day);
    copy_users(c, j, s);
    s->registered_from_us = j->registered_from_us;
    s->registered_to_us =
        j->n_user_ids > 0 ? 0 : j->audience_end_us; /* a list and a range exclude each other */
    s->template_name = convert_text(c, j->template_name);
    s->ambiguous_policy = j->resend ? FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_RESEND
                                    : FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_HOLD;
    s->canary_users = j->canary_users;
    s->canary_wait_ms = j->canary_wait_ms;
    s->approval_required = j->needs_approval;
    s->time_zone = convert_text(c, j->time_zone);
    s->send_window = convert_text(c, j->send_window);
    s->rate_per_second = j->rate_limit;
    s->share_ppm = j->share_ppm;
    s->share_seed = j->share_seed;
    s->provider = convert_text(c, j->provider);
    s->dry_run = j->dry_run;
    s->max_attempts = j->max_attempts;
    s->batch_size = j->batch_size;
    s->window_batches = j->window_batches;
    s->interval_delay_ms = j->interval_delay_ms;
    s->deadline_us = j->deadline_us;
    s->title = convert_text(c, j->title);
    s->brand = convert_text(c, j->brand);
    return s;
}

static Foliopost__V1__Counts *convert_counts(struct convert *c, const struct ledger_counts *from)
{
    Foliopost__V1__Counts *to = convert_alloc(c, 1, sizeof *to);

    if (!to)
        return NULL;
    foliopost__v1__counts__init(to);
    to->users = from->users;
    to->sent = from->sent;
    to->failed = from->failed;
    to->skipped = from->skipped;
    to->ambiguous = from->ambiguous;
    to->deferred = from->deferred;
    to->batches = from->batches;
    to->batches_done = from->batches_done;
    to->intervals = from->intervals;
    to->intervals_paged = from->intervals_paged;
    return to;
}

static Foliopost__V1__Proof *convert_proof(struct convert *c, const struct ledger_proof *from)
{
    Foliopost__V1__Proof *to = convert_alloc(c, 1, sizeof *to);

    if (!to)
        return NULL;
    foliopost__v1__proof__init(to);
    to->round = from->round;
    to->users = from->users;
    to->sent = from->sent;
    to->failed = from->failed;
    to->skipped = from->skipped;
    to->ambiguous = from->ambiguous;
    to->maybe_doubles = from->maybe_doubles;
    to->proved_us = from->proved_us;
    return to;
}

Foliopost__V1__Job *convert_job(struct convert *c, const struct ledger_job *j,
                                const struct ledger_counts *counts, const struct ledger_proof *proof)
{
    Foliopost__V1__Job *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__job__init(m);
    m->id = j->id;
    m->request_id = convert_text(c, j->request_id);
    m->spec = convert_spec(c, j);
    m->state = (Foliopost__V1__JobState)j->state;
    m->response = convert_text(c, j->response);
    m->submitted_us = j->submitted_us;
    m->started_us = j->started_us;
    m->finished_us = j->finished_us;
    m->canary_until_us = j->canary_until_us;
    m->template_hash = convert_text(c, j->template_hash);
    m->submitted_by = convert_text(c, j->submitted_by);
    m->approved_by = convert_text(c, j->approved_by);
    m->approved_us = j->approved_us;
    m->audience_end_us = j->audience_end_us;
    m->counts = counts ? convert_counts(c, counts) : NULL;
    m->proof = proof && proof->round > 0 ? convert_proof(c, proof) : NULL;
    m->round = j->round;
    m->parent_job = j->parent_job;
    m->as_of_us = j->as_of_us;
    m->listed_users = (int64_t)j->n_user_ids;
    return m;
}

/* Fifty thousand ids in each message would be copied for every client that looks. */
#define SHOWN_USERS 100

void convert_trim_list(Foliopost__V1__Job *m)
{
    if (m->spec && m->spec->n_user_ids > SHOWN_USERS)
        m->spec->n_user_ids = 0;
}

/* Of a list of users the cursor goes by ids alone: it counts when it is paged. */
static double paged_part(const struct ledger_interval *i)
{
    double whole = (double)(i->upper_us - i->lower_us), part = (double)(i->cursor_us - i->lower_us);

    if (strcmp(i->state, "paged") == 0)
        return 1;
    return whole > 0 && part > 0 ? (part < whole ? part / whole : 1) : 0;
}

Foliopost__V1__IntervalReport *convert_interval(struct convert *c, const struct ledger_interval_report *r)
{
    Foliopost__V1__IntervalReport *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__interval_report__init(m);
    m->no = r->interval.no;
    m->lower_us = r->interval.lower_us;
    m->upper_us = r->interval.upper_us;
    m->state = convert_text(c, r->interval.state);
    m->counts = convert_counts(c, &r->counts);
    m->paged_part = paged_part(&r->interval);
    return m;
}

Foliopost__V1__ReasonCount *convert_reason(struct convert *c, const struct ledger_reason_count *r)
{
    Foliopost__V1__ReasonCount *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__reason_count__init(m);
    m->state = (Foliopost__V1__DeliveryState)r->state;
    m->reason = convert_text(c, r->reason);
    m->users = r->users;
    return m;
}

Foliopost__V1__Delivery *convert_delivery(struct convert *c, const struct ledger_delivery *d)
{
    Foliopost__V1__Delivery *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__delivery__init(m);
    m->user_id = d->user_id;
    m->state = (Foliopost__V1__DeliveryState)d->state;
    m->reason = convert_text(c, d->reason);
    m->attempts = d->attempts;
    m->maybe_doubles = d->maybe_doubles;
    m->updated_us = d->updated_us;
    m->batch_id = d->batch_id;
    m->provider = convert_text(c, d->provider);
    m->provider_id = convert_text(c, d->provider_id);
    m->template_version = convert_text(c, d->template_version);
    m->content_hash = convert_text(c, d->content_hash);
    return m;
}

Foliopost__V1__UserMail *convert_user_mail(struct convert *c, const struct ledger_user_mail *from)
{
    Foliopost__V1__UserMail *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__user_mail__init(m);
    m->job_id = from->job_id;
    m->kind = kind_of(from->kind);
    m->period_start = date(c, from->period_start_day);
    m->period_end = date(c, from->period_end_day);
    m->template_name = convert_text(c, from->template_name);
    m->brand = convert_text(c, from->brand);
    m->delivery = convert_delivery(c, &from->delivery);
    return m;
}

Foliopost__V1__Instance *convert_member(struct convert *c, const struct ledger_member *from)
{
    const struct ledger_instance *i = &from->instance;
    Foliopost__V1__Instance *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__instance__init(m);
    m->id = convert_text(c, i->id);
    m->service = convert_text(c, i->service);
    m->address = convert_text(c, i->address);
    m->version = convert_text(c, i->version);
    m->note = convert_text(c, i->note);
    m->slots = i->slots;
    m->batches = from->batches;
    m->leads = from->leads;
    m->started_us = i->started_us;
    m->heard_us = i->lease_until_us - LEDGER_LEASE_MS * INT64_C(1000);
    return m;
}
