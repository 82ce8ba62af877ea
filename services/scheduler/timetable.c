/*
 * Schedules: their checks, their due times, and the job that one makes.
 *
 * What is wrong with a specification is found when the schedule is created, by
 * resolving it as if it were due now; at its due time only what has changed since,
 * such as a limit, can be wrong.
 */
#include "services/scheduler/timetable.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/spec.h"

#define DEFAULT_CATCH_UP_MS 86400000 /* whoever is down for a day sees to it by hand */
#define DEFAULT_ZONE        "UTC"

/* --- when ---------------------------------------------------------------------------------- */

/* Expression and zone, opened together. */
struct clockwork {
    struct cron cron;
    struct cron_zone *zone;
};

static int wind(const struct ledger_schedule *s, struct clockwork *w, struct fp_err *err)
{
    if (cron_parse(s->cron, &w->cron, err))
        return err_prefix(err, "schedule.cron");
    w->zone = cron_zone_open(s->zone, err);
    return w->zone ? 0 : err_prefix(err, "schedule.time_zone");
}

int timetable_next(const struct ledger_schedule *s, int64_t now_us, int64_t *next_us, struct fp_err *err)
{
    struct clockwork w;

    if (wind(s, &w, err))
        return -1;
    int failed = cron_next(&w.cron, w.zone, now_us, next_us, err);
    cron_zone_close(w.zone);
    return failed;
}

/* Through the due times from *at on, up to now. */
static int run_through(struct clockwork *w, int64_t now_us, int64_t at_us, struct timetable_due *out,
                       struct fp_err *err)
{
    while (at_us <= now_us) {
        out->missed += out->due_us != 0;
        out->due_us = at_us;
        if (cron_next(&w->cron, w->zone, at_us, &at_us, err))
            return -1;
    }
    out->next_us = at_us;
    return 0;
}

/* Too long ago to go through one after the other: from where the catch-up time
 * begins, and the one that was waited for stands for all before. What a restore may
 * have taken away is never too long ago: nobody else would see to it. */
static int due(struct clockwork *w, const struct ledger_schedule *s, int64_t now_us,
               struct timetable_due *out, struct fp_err *err)
{
    int64_t from_us = now_us - s->catch_up_ms * 1000, at_us = s->next_due_us;

    memset(out, 0, sizeof *out);
    if (at_us >= from_us || at_us <= s->restored_until_us)
        return run_through(w, now_us, at_us, out, err);
    out->due_us = at_us;
    if (cron_next(&w->cron, w->zone, from_us - 1, &at_us, err))
        return -1;
    out->too_late = at_us > now_us;
    return run_through(w, now_us, at_us, out, err);
}

int timetable_due(const struct ledger_schedule *s, int64_t now_us, struct timetable_due *out,
                  struct fp_err *err)
{
    struct clockwork w;

    if (wind(s, &w, err))
        return -1;
    int failed = due(&w, s, now_us, out, err);
    cron_zone_close(w.zone);
    return failed;
}

/* --- the job of a due time ------------------------------------------------------------------- */

static int local_day(const struct ledger_schedule *s, int64_t at_us, int32_t *day, struct fp_err *err)
{
    struct cron_zone *z = cron_zone_open(s->zone, err);
    int failed = z ? cron_local_day(z, at_us, day, err) : -1;

    cron_zone_close(z);
    return failed;
}

/* "schedule/monthly/2026-12-01T05:00Z": the second key by which a due time fires once. */
static void make_request_id(const struct ledger_schedule *s, int64_t due_us, char *out, size_t cap)
{
    char at[32];

    time_format_rfc3339(due_us, at);
    snprintf(out, cap, "schedule/%s/%.16sZ", s->name, at);
}

int timetable_job(const struct ledger_schedule *s, const struct scheduler_settings *set, int64_t due_us,
                  int64_t now_us, const char *request_id, struct fp_arena *arena,
                  const Foliopost__V1__JobSpec **spec, struct ledger_job *out, struct fp_err *err)
{
    Foliopost__V1__SubmitJobRequest q = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    char id[129];
    int32_t today;

    memset(out, 0, sizeof *out);
    q.spec = wire_unpack(&foliopost__v1__job_spec__descriptor, s->spec, s->spec_bytes, arena, err);
    *spec = q.spec;
    /* a newer scheduler has taken it: not to be made without what we do not know */
    if (!q.spec || wire_check_request(&q.spec->base, err) || local_day(s, due_us, &today, err))
        return -1;
    if (!q.spec->time_zone[0]) /* the hours are the schedule's too */
        q.spec->time_zone = (char *)s->zone;
    if (s->deadline_after_ms > 0)
        q.spec->deadline_us = due_us + s->deadline_after_ms * 1000;
    snprintf(id, sizeof id, "%s", request_id);
    if (!id[0])
        make_request_id(s, due_us, id, sizeof id);
    q.request_id = id;
    return spec_resolve_on(&q, set, today, now_us, out, err);
}

/* --- checks ------------------------------------------------------------------------------------ */

static int check_name(const char *name, struct fp_err *err)
{
    size_t len = strlen(name);

    if (len == 0 || len >= LEDGER_SCHEDULE_NAME)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.name: must be given, 1 to %d bytes",
                       LEDGER_SCHEDULE_NAME - 1);
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-")])
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.name: only a-z, 0-9, dot, _ and - are allowed");
    return 0;
}

/* What would be the same for every due time. */
static int check_spec(const Foliopost__V1__JobSpec *s, struct fp_err *err)
{
    if (!s)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.spec: must be given");
    if (s->kind == FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "schedule.spec.kind: weekly or monthly: the period follows from the due time");
    if (s->period_start[0] || s->period_end[0])
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.spec.%s: the period follows from the due time",
                       s->period_start[0] ? "period_start" : "period_end");
    if (s->n_user_ids > 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "schedule.spec.user_ids: a schedule reports to whoever is registered in its range");
    if (s->deadline_us != 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "schedule.spec.deadline_us: give schedule.deadline_after_ms instead");
    if (s->deadline_after_ms != 0)
        return err_set(
            err, FP_INVALID_ARGUMENT,
            "schedule.spec.deadline_after_ms: give schedule.deadline_after_ms, from the due time on");
    if (s->time_zone[0])
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.spec.time_zone: give schedule.time_zone instead");
    return 0;
}

static int check_numbers(const Foliopost__V1__Schedule *m, struct ledger_schedule *out, struct fp_err *err)
{
    if (m->overlap < FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_UNSPECIFIED ||
        m->overlap > FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_SKIP)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.overlap: %d is not allow (1) or skip (2)",
                       (int)m->overlap);
    if (m->catch_up_ms < 0 || m->catch_up_ms > LIMIT_CATCH_UP_MS)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule.catch_up_ms: %" PRId64 " is not 0 (a day) to %d",
                       m->catch_up_ms, LIMIT_CATCH_UP_MS);
    if (m->deadline_after_ms < 0 || m->deadline_after_ms > LIMIT_DEADLINE_DAYS * INT64_C(86400000))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "schedule.deadline_after_ms: %" PRId64 " is not 0 (none) to %d days",
                       m->deadline_after_ms, LIMIT_DEADLINE_DAYS);
    out->skip_overlap = m->overlap == FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_SKIP;
    out->catch_up_ms = m->catch_up_ms ? m->catch_up_ms : DEFAULT_CATCH_UP_MS;
    out->deadline_after_ms = m->deadline_after_ms;
    return 0;
}

static int check_time(const Foliopost__V1__Schedule *m, int64_t now_us, struct ledger_schedule *out,
                      struct fp_err *err)
{
    if (strlen(m->cron) >= sizeof out->cron || strlen(m->time_zone) >= sizeof out->zone)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule: cron or time_zone is too long");
    snprintf(out->cron, sizeof out->cron, "%s", m->cron);
    snprintf(out->zone, sizeof out->zone, "%s", m->time_zone[0] ? m->time_zone : DEFAULT_ZONE);
    return timetable_next(out, now_us, &out->next_due_us, err);
}

static int keep_spec(const Foliopost__V1__JobSpec *spec, struct ledger_schedule *out, struct fp_err *err)
{
    struct fp_str packed;

    str_init(&packed, 0);
    int failed = wire_pack(&spec->base, sizeof out->spec, &packed, err);
    if (!failed) {
        memcpy(out->spec, packed.data, packed.len);
        out->spec_bytes = packed.len;
    }
    str_fini(&packed);
    return failed;
}

/* The rest of the specification, as it would be judged if it were due now. */
static int try_it(const struct ledger_schedule *s, const struct scheduler_settings *set, int64_t now_us,
                  struct fp_err *err)
{
    const Foliopost__V1__JobSpec *spec;
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    struct ledger_job j;
    int failed = timetable_job(s, set, now_us, now_us, "", arena, &spec, &j, err);

    ledger_job_fini(&j);
    arena_free(arena);
    return failed;
}

int timetable_check(const Foliopost__V1__Schedule *m, const struct scheduler_settings *set, int64_t now_us,
                    struct ledger_schedule *out, struct fp_err *err)
{
    memset(out, 0, sizeof *out);
    if (!m)
        return err_set(err, FP_INVALID_ARGUMENT, "schedule: must be given");
    if (check_name(m->name, err) || check_time(m, now_us, out, err) || check_numbers(m, out, err) ||
        check_spec(m->spec, err) || keep_spec(m->spec, out, err))
        return -1;
    snprintf(out->name, sizeof out->name, "%s", m->name);
    out->paused = m->paused;
    return try_it(out, set, now_us, err);
}

/* --- what an update changes ------------------------------------------------------------------------ */

/* Of the types that a JobSpec has; lists are not in a schedule's. */
static bool same_field(const Foliopost__V1__JobSpec *a, const Foliopost__V1__JobSpec *b,
                       const ProtobufCFieldDescriptor *f)
{
    const char *p = (const char *)a + f->offset, *q = (const char *)b + f->offset;

    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
        return strcmp(*(char *const *)p, *(char *const *)q) == 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return memcmp(p, q, sizeof(double)) == 0;
    case PROTOBUF_C_TYPE_INT64:
        return f->label == PROTOBUF_C_LABEL_REPEATED || *(const int64_t *)p == *(const int64_t *)q;
    default: /* int32, bool, enum */
        return *(const int32_t *)p == *(const int32_t *)q;
    }
}

static void add_change(struct fp_str *out, bool same, const char *prefix, const char *name)
{
    if (!same)
        str_printf(out, "%s%s%s", out->len > 0 ? ", " : ": ", prefix, name);
}

void timetable_changes(const struct ledger_schedule *before, const struct ledger_schedule *after,
                       struct fp_arena *arena, struct fp_str *out)
{
    const ProtobufCMessageDescriptor *d = &foliopost__v1__job_spec__descriptor;
    const Foliopost__V1__JobSpec *a = wire_unpack(d, before->spec, before->spec_bytes, arena, NULL),
                                 *b = wire_unpack(d, after->spec, after->spec_bytes, arena, NULL);

    add_change(out, strcmp(before->cron, after->cron) == 0, "", "cron");
    add_change(out, strcmp(before->zone, after->zone) == 0, "", "time_zone");
    add_change(out, before->skip_overlap == after->skip_overlap, "", "overlap");
    add_change(out, before->catch_up_ms == after->catch_up_ms, "", "catch_up_ms");
    add_change(out, before->deadline_after_ms == after->deadline_after_ms, "", "deadline_after_ms");
    for (unsigned i = 0; i < d->n_fields && a && b; i++)
        add_change(out, same_field(a, b, &d->fields[i]), "spec.", d->fields[i].name);
}

/* --- replies ------------------------------------------------------------------------------------- */

static Foliopost__V1__Firing *convert_firing(struct convert *c, const struct ledger_firing *f)
{
    Foliopost__V1__Firing *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__firing__init(m);
    m->due_us = f->due_us;
    m->at_us = f->at_us;
    m->outcome =
        (Foliopost__V1__FiringOutcome)wire_enum_value(&foliopost__v1__firing_outcome__descriptor, f->outcome);
    m->job_id = f->job_id;
    m->missed = f->missed;
    m->reason = convert_text(c, f->reason);
    return m;
}

/* What is overdue is shown as the first. */
static void add_next(struct convert *c, const struct ledger_schedule *s, Foliopost__V1__Schedule *m)
{
    struct clockwork w;
    int64_t at_us = s->next_due_us;

    if (s->paused || wind(s, &w, NULL))
        return;
    m->next_us = convert_alloc(c, TIMETABLE_SHOWN, sizeof *m->next_us);
    while (m->next_us && m->n_next_us < TIMETABLE_SHOWN) {
        m->next_us[m->n_next_us++] = at_us;
        if (cron_next(&w.cron, w.zone, at_us, &at_us, NULL))
            break;
    }
    cron_zone_close(w.zone);
}

Foliopost__V1__Schedule *timetable_convert(struct convert *c, const struct ledger_schedule *s,
                                           const struct ledger_firing *firings, int n_firings)
{
    Foliopost__V1__Schedule *m = convert_alloc(c, 1, sizeof *m);

    if (!m)
        return NULL;
    foliopost__v1__schedule__init(m);
    m->name = convert_text(c, s->name);
    m->cron = convert_text(c, s->cron);
    m->time_zone = convert_text(c, s->zone);
    m->spec = wire_unpack(&foliopost__v1__job_spec__descriptor, s->spec, s->spec_bytes, c->arena, NULL);
    m->overlap = s->skip_overlap ? FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_SKIP
                                 : FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_ALLOW;
    m->catch_up_ms = s->catch_up_ms;
    m->deadline_after_ms = s->deadline_after_ms;
    m->paused = s->paused;
    m->created_us = s->created_us;
    m->updated_us = s->updated_us;
    add_next(c, s, m);
    m->firings = n_firings > 0 ? convert_alloc(c, (size_t)n_firings, sizeof *m->firings) : NULL;
    for (int i = 0; i < n_firings && m->firings; i++)
        if ((m->firings[i] = convert_firing(c, &firings[i])))
            m->n_firings++;
    return m;
}
