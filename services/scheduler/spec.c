/*
 * Checks of a submitted specification, one field after the other.
 *
 * Everything has bounds, since everything ends up in a row, an array or a
 * loop. Wire has checked lengths of the message and that texts are clean UTF-8
 * before; here is what the fields mean. Defaults are filled in once, here, so
 * that a job keeps what it was submitted with when a setting changes.
 */
#include "services/scheduler/spec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/cron/cron.h"
#include "lib/ledger/rates.h"
#include "lib/source/share.h"
#include "services/scheduler/limits.h"
#include "services/scheduler/plan.h"

#define SPEC_TODAY INT32_MIN /* by now and the zone */

static const char *text_of(const char *s)
{
    return s ? s : "";
}

/* 0 takes the default; else lo..hi. */
static int number(const char *field, int64_t value, int64_t hi, int64_t def, int *out, struct fp_err *err)
{
    if (value < 0 || value > hi)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "%s: %" PRId64 " is not 0 (the scheduler's setting) to %" PRId64, field, value, hi);
    *out = (int)(value ? value : def);
    return 0;
}

static int text(const char *field, const char *value, size_t min, char *out, size_t cap, struct fp_err *err)
{
    size_t len = strlen(value);

    if (len < min)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: must be given, %zu to %zu bytes", field, min, cap - 1);
    if (len >= cap)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: %zu bytes are more than %zu", field, len, cap - 1);
    memcpy(out, value, len + 1);
    return 0;
}

/* Names of templates and brands become file names. */
static int name(const char *field, const char *value, const char *def, char *out, size_t cap,
                struct fp_err *err)
{
    if (!value[0])
        value = def;
    if (value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
        return err_set(err, FP_INVALID_ARGUMENT, "%s: only a-z, 0-9, _ and - are allowed", field);
    return text(field, value, 1, out, cap, err);
}

/* --- period ------------------------------------------------------------------------- */

static int given_day(const char *field, const char *value, const char *other, int32_t *day,
                     struct fp_err *err)
{
    if (!value[0])
        return err_set(err, FP_INVALID_ARGUMENT, "%s: must be given, since %s is", field, other);
    if (!day_parse(value, day))
        return err_set(err, FP_INVALID_ARGUMENT, "%s: %.40s is not a date (YYYY-MM-DD)", field, value);
    return 0;
}

static int given_period(const Foliopost__V1__JobSpec *s, int32_t today, struct ledger_job *out,
                        struct fp_err *err)
{
    static const char first[] = "spec.period_start", last[] = "spec.period_end";

    if (given_day(first, text_of(s->period_start), last, &out->period_start_day, err) ||
        given_day(last, text_of(s->period_end), first, &out->period_end_day, err))
        return -1;
    if (out->period_end_day < out->period_start_day)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.period_end: %s is before spec.period_start %s",
                       s->period_end, s->period_start);
    if (out->period_end_day - out->period_start_day >= LIMIT_PERIOD_DAYS)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.period_end: %s to %s is more than %d days",
                       s->period_start, s->period_end, LIMIT_PERIOD_DAYS);
    if (out->period_end_day >= today)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.period_end: %s has not ended yet in %s", s->period_end,
                       out->time_zone);
    return 0;
}

/* The job's day, when it was not given by a schedule. */
static int zone(const Foliopost__V1__JobSpec *s, int64_t now_us, struct ledger_job *out, int32_t *today,
                struct fp_err *err)
{
    struct cron_zone *z;

    if (text("spec.time_zone", text_of(s->time_zone)[0] ? s->time_zone : "UTC", 1, out->time_zone,
             sizeof out->time_zone, err))
        return -1;
    if (!(z = cron_zone_open(out->time_zone, err)))
        return err_prefix(err, "spec.time_zone");
    int failed = *today == SPEC_TODAY ? cron_local_day(z, now_us, today, err) : 0;
    cron_zone_close(z);
    return failed;
}

static int period(const Foliopost__V1__JobSpec *s, int32_t today, struct ledger_job *out, struct fp_err *err)
{
    bool given = text_of(s->period_start)[0] || text_of(s->period_end)[0];

    switch (s->kind) {
    case FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY:
        day_last_week(today, &out->period_start_day, &out->period_end_day);
        memcpy(out->kind, "weekly", sizeof "weekly");
        break;
    case FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY:
        day_last_month(today, &out->period_start_day, &out->period_end_day);
        memcpy(out->kind, "monthly", sizeof "monthly");
        break;
    case FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM:
        if (!given)
            return err_set(
                err, FP_INVALID_ARGUMENT,
                "spec.period_start: a custom job needs its period (YYYY-MM-DD), first and last day");
        memcpy(out->kind, "custom", sizeof "custom");
        break;
    default:
        return err_set(err, FP_INVALID_ARGUMENT, "spec.kind: %d is not weekly (1), monthly (2) or custom (3)",
                       (int)s->kind);
    }
    return given ? given_period(s, today, out, err) : 0;
}

/* --- audience ------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Each once, in order; NULL: no list. */
static int64_t *sorted_users(const Foliopost__V1__JobSpec *s, size_t *n)
{
    *n = 0;
    if (s->n_user_ids == 0)
        return NULL;
    int64_t *ids = mem_array(s->n_user_ids, sizeof *ids);
    memcpy(ids, s->user_ids, s->n_user_ids * sizeof *ids);
    qsort(ids, s->n_user_ids, sizeof *ids, by_value);
    for (size_t i = 0; i < s->n_user_ids; i++)
        if (i == 0 || ids[i] != ids[*n - 1])
            ids[(*n)++] = ids[i];
    return ids;
}

static int user_list(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    if (s->n_user_ids > WIRE_MAX_JOB_USERS)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.user_ids: %zu are more than %d; submit several jobs",
                       s->n_user_ids, WIRE_MAX_JOB_USERS);
    out->user_ids = sorted_users(s, &out->n_user_ids);
    if (out->n_user_ids > 0 && out->user_ids[0] <= 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.user_ids: %" PRId64 " is not a user id, which is above 0", out->user_ids[0]);
    return 0;
}

static int share(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    if (s->share_ppm < 0 || s->share_ppm > SHARE_ALL_PPM)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.share_ppm: %" PRId32 " is not 0 (all) to %d (all)",
                       s->share_ppm, SHARE_ALL_PPM);
    if (s->share_ppm > 0 && s->n_user_ids > 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.share_ppm: a list names its users: give it or a share, not both");
    if (s->share_seed < 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.share_seed: %" PRId64 " is below 0", s->share_seed);
    if (s->share_seed > 0 && s->share_ppm == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.share_seed: there is no share_ppm that it is for");
    out->share_ppm = s->share_ppm;
    out->share_seed = s->share_seed;
    return 0;
}

static int audience(const Foliopost__V1__JobSpec *s, int64_t now_us, struct ledger_job *out,
                    struct fp_err *err)
{
    if (s->registered_from_us < 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.registered_from_us: %" PRId64 " is before 1970",
                       s->registered_from_us);
    if (s->registered_to_us < 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.registered_to_us: %" PRId64 " is before 1970",
                       s->registered_to_us);
    if (s->n_user_ids > 0 && (s->registered_from_us || s->registered_to_us))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.user_ids: give a list or a range of registration, not both");

    out->registered_from_us = s->registered_from_us;
    out->audience_end_us = now_us;
    if (s->registered_to_us > 0 && s->registered_to_us < now_us)
        out->audience_end_us = s->registered_to_us;
    if (out->registered_from_us >= out->audience_end_us) {
        char from[32], end[32];
        time_format_rfc3339(out->registered_from_us, from);
        time_format_rfc3339(out->audience_end_us, end);
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.registered_from_us: %s is not before the audience's end, %s", from, end);
    }
    return user_list(s, out, err) || share(s, out, err) ? -1 : 0;
}

/* --- the rest --------------------------------------------------------------------------- */

static int policy(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    if (s->ambiguous_policy < FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_UNSPECIFIED ||
        s->ambiguous_policy > FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_RESEND)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.ambiguous_policy: %d is not hold (1) or resend (2)",
                       (int)s->ambiguous_policy);
    out->resend = s->ambiguous_policy == FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_RESEND;
    return 0;
}

static int deadline(const Foliopost__V1__JobSpec *s, int64_t now_us, struct ledger_job *out,
                    struct fp_err *err)
{
    if (s->deadline_after_ms < 0 || s->deadline_after_ms > LIMIT_DEADLINE_DAYS * INT64_C(86400000))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.deadline_after_ms: %" PRId64 " is not 0 (none) to %d days", s->deadline_after_ms,
                       LIMIT_DEADLINE_DAYS);
    if (s->deadline_after_ms > 0 && s->deadline_us != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.deadline_after_ms: give it or deadline_us, not both");
    if (s->deadline_us != 0 && s->deadline_us <= now_us)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.deadline_us: %" PRId64 " is not in the future",
                       s->deadline_us);
    if (s->deadline_us > now_us + LIMIT_DEADLINE_DAYS * FP_US_PER_DAY)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.deadline_us: %" PRId64 " is more than %d days away",
                       s->deadline_us, LIMIT_DEADLINE_DAYS);
    out->deadline_us = s->deadline_after_ms > 0 ? now_us + s->deadline_after_ms * 1000 : s->deadline_us;
    return 0;
}

static int sizes(const Foliopost__V1__JobSpec *s, const struct scheduler_settings *set,
                 struct ledger_job *out, struct fp_err *err)
{
    if (number("spec.batch_size", s->batch_size, LIMIT_BATCH_SIZE, set->batch_size, &out->batch_size, err) ||
        number("spec.max_attempts", s->max_attempts, LIMIT_ATTEMPTS, set->max_attempts, &out->max_attempts,
               err) ||
        number("spec.window_batches", s->window_batches, LIMIT_WINDOW_BATCHES, set->window_batches,
               &out->window_batches, err))
        return -1;
    return number("spec.interval_delay_ms", s->interval_delay_ms, LIMIT_INTERVAL_DELAY_MS,
                  set->interval_delay_ms, &out->interval_delay_ms, err);
}

/* A share becomes a number of users where the audience can be counted (methods.c). */
static int canary(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    if (s->canary_users < 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.canary_users: %" PRId64 " is below 0",
                       s->canary_users);
    if (s->canary_ppm < 0 || s->canary_ppm > 1000000)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.canary_ppm: %" PRId32 " is not 0 to 1000000",
                       s->canary_ppm);
    if (s->canary_users > 0 && s->canary_ppm > 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.canary_ppm: give it or canary_users, not both");
    if (s->canary_wait_ms < 0 || s->canary_wait_ms > LIMIT_CANARY_WAIT_MS)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.canary_wait_ms: %" PRId64 " is not 0 to %d",
                       s->canary_wait_ms, LIMIT_CANARY_WAIT_MS);
    if (s->canary_wait_ms > 0 && s->canary_users == 0 && s->canary_ppm == 0)
        return err_set(err, FP_INVALID_ARGUMENT, "spec.canary_wait_ms: there is no canary to wait for");
    out->canary_users = s->canary_users;
    out->canary_wait_ms = s->canary_wait_ms;
    return 0;
}

/* A quarter of a second's worth at most in one batch, so that a slow job is slow in each second, and
 * pages that are short leave the second's others room. */
#define RATE_PARTS 4
static int pace(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    struct ledger_window w;

    if (!(s->rate_per_second >= 0 && s->rate_per_second <= LIMIT_RATE))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.rate_per_second: %g is not 0 (none of its own) to %g users a second",
                       s->rate_per_second, LIMIT_RATE);
    if (text_of(s->send_window)[0] &&
        (strlen(s->send_window) >= sizeof out->send_window || ledger_window_parse(s->send_window, &w)))
        return err_set(err, FP_INVALID_ARGUMENT, "spec.send_window: \"%.40s\" is not like 08:00-20:00",
                       s->send_window);
    memcpy(out->send_window, text_of(s->send_window), strlen(text_of(s->send_window)) + 1);
    out->rate_limit = s->rate_per_second;
    if (s->rate_per_second > 0 && s->rate_per_second / RATE_PARTS < out->batch_size)
        out->batch_size = s->rate_per_second < RATE_PARTS ? 1 : (int)(s->rate_per_second / RATE_PARTS);
    return 0;
}

/* As the mailers' files may name one; whether there is such a one: named.c. */
static int provider(const Foliopost__V1__JobSpec *s, struct ledger_job *out, struct fp_err *err)
{
    const char *name = text_of(s->provider);

    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")])
        return err_set(err, FP_INVALID_ARGUMENT,
                       "spec.provider: only letters, digits, dot, _ and - are allowed");
    return text("spec.provider", name, 0, out->provider, sizeof out->provider, err);
}

void spec_hash(const void *data, size_t bytes, char out[33])
{
    /* Offset basis and prime of FNV-1a, 128 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
    __extension__ typedef unsigned __int128 u128;
    u128 h = ((u128)UINT64_C(0x6c62272e07bb0142) << 64) | UINT64_C(0x62b821756295c58d);
    const u128 prime = ((u128)1 << 88) | 0x13b;
    const unsigned char *p = data;

    for (size_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * prime;
    for (int i = 31; i >= 0; i--, h >>= 4)
        out[i] = "0123456789abcdef"[(unsigned)(h & 15)];
    out[32] = '\0';
}

int spec_request_hash(const Foliopost__V1__JobSpec *s, char out[33], struct fp_err *err)
{
    Foliopost__V1__JobSpec canonical = *s;
    struct fp_str packed;

    canonical.base.n_unknown_fields = 0;
    canonical.base.unknown_fields = NULL;
    canonical.user_ids = sorted_users(s, &canonical.n_user_ids);
    str_init(&packed, WIRE_MAX_RPC_BYTES);
    int failed = wire_pack(&canonical.base, WIRE_MAX_RPC_BYTES, &packed, err);
    if (!failed)
        spec_hash(packed.data, packed.len, out);
    str_fini(&packed);
    mem_free(canonical.user_ids);
    return failed;
}

int spec_resolve(const Foliopost__V1__SubmitJobRequest *request, const struct scheduler_settings *set,
                 int64_t now_us, struct ledger_job *out, struct fp_err *err)
{
    return spec_resolve_on(request, set, SPEC_TODAY, now_us, out, err);
}

int spec_resolve_on(const Foliopost__V1__SubmitJobRequest *request, const struct scheduler_settings *set,
                    int32_t today, int64_t now_us, struct ledger_job *out, struct fp_err *err)
{
    const Foliopost__V1__JobSpec *s = request->spec;

    memset(out, 0, sizeof *out);
    out->round = 1;
    if (text("request_id", text_of(request->request_id), 1, out->request_id, sizeof out->request_id, err))
        return -1;
    if (!s)
        return err_set(err, FP_INVALID_ARGUMENT, "spec: must be given");
    if (zone(s, now_us, out, &today, err) || period(s, today, out, err) || audience(s, now_us, out, err) ||
        sizes(s, set, out, err) || policy(s, out, err) || deadline(s, now_us, out, err) ||
        canary(s, out, err) || pace(s, out, err))
        return -1;
    if (name("spec.template_name", text_of(s->template_name), "statement", out->template_name,
             sizeof out->template_name, err) ||
        name("spec.brand", text_of(s->brand), "default", out->brand, sizeof out->brand, err) ||
        provider(s, out, err) || text("spec.title", text_of(s->title), 0, out->title, sizeof out->title, err))
        return -1;
    out->dry_run = s->dry_run;
    out->needs_approval = !s->dry_run && (s->approval_required || set->approval_required);
    return spec_request_hash(s, out->spec_hash, err);
}
