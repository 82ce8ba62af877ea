/*
 * Whose mail, over which period, in which guise. The period is resolved as a
 * job's is, by the same code. A user whom a job would skip can be looked at all
 * the same, and the reply says why it would.
 */
#include "services/scheduler/preview.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/clock.h"
#include "lib/ledger/suppressions.h"
#include "services/scheduler/spec.h"
#include "services/userstream/user.h"

#define NO_JOB    1 /* messages demand an id; the mailer writes the mail with 0 */
#define WEEK_DAYS 7

/* --- the period ------------------------------------------------------------------------- */

static const char *kind_by_length(const struct ledger_job *j)
{
    int32_t start = j->period_start_day;

    if (day_first_of_month(start) == start && day_add_months(start, 1) - 1 == j->period_end_day)
        return "monthly";
    return j->period_end_day - start + 1 == WEEK_DAYS ? "weekly" : "custom";
}

static void without_prefix(struct fp_err *err)
{
    if (strncmp(err->msg, "spec.", 5) == 0)
        memmove(err->msg, err->msg + 5, strlen(err->msg + 5) + 1);
}

static int resolve_period(const Foliopost__V1__PreviewEmailRequest *q, const struct scheduler_settings *set,
                          struct ledger_job *j, struct fp_err *err)
{
    Foliopost__V1__SubmitJobRequest r = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    bool given = q->period_start[0] || q->period_end[0];
    bool open = q->kind == FOLIOPOST__V1__JOB_KIND__JOB_KIND_UNSPECIFIED;

    spec.kind = !open   ? q->kind
                : given ? FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM
                        : FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY;
    spec.period_start = q->period_start;
    spec.period_end = q->period_end;
    spec.time_zone = q->time_zone;
    spec.template_name = q->template_name;
    spec.brand = q->brand;
    r.request_id = (char *)"preview";
    r.spec = &spec;
    if (spec_resolve(&r, set, clock_wall_us(), j, err)) {
        without_prefix(err);
        return -1;
    }
    if (open && given)
        snprintf(j->kind, sizeof j->kind, "%s", kind_by_length(j));
    return 0;
}

static int fill_context(const Foliopost__V1__PreviewEmailRequest *q, const struct scheduler_settings *set,
                        struct preview_asked *out, struct fp_err *err)
{
    struct ledger_job j;
    int64_t now_us = clock_wall_us();
    int failed = resolve_period(q, set, &j, err);

    if (!failed) {
        snprintf(out->kind, sizeof out->kind, "%s", j.kind);
        snprintf(out->template_name, sizeof out->template_name, "%s", j.template_name);
        snprintf(out->brand, sizeof out->brand, "%s", j.brand);
        out->context.period_start_day = j.period_start_day;
        out->context.period_end_day = j.period_end_day;
    }
    ledger_job_fini(&j);
    if (failed)
        return -1;
    if (q->as_of_us > now_us)
        return err_set(err, FP_INVALID_ARGUMENT, "as_of_us: %" PRId64 " is in the future", q->as_of_us);
    out->context.job_id = NO_JOB;
    out->context.kind = out->kind;
    out->context.template_name = out->template_name;
    out->context.brand = out->brand;
    out->context.as_of_us = q->as_of_us ? q->as_of_us : now_us;
    out->context.mail_date_us = now_us; /* another Message-ID each time: readers drop copies */
    return 0;
}

/* --- the user --------------------------------------------------------------------------- */

static int note(struct fp_ledger *l, struct preview_asked *q, struct fp_err *err)
{
    struct ledger_recipient who = {.user_id = q->from_source.id};
    bool suppressed;
    const char *why = "";

    if (ledger_address_hash(l, q->from_source.email, who.address_hash, err) ||
        ledger_suppressed(l, q->kind, &who, 1, &suppressed, err))
        return -1;
    if (q->from_source.opted_out)
        why = "has opted out of this report";
    else if (suppressed)
        why = "is suppressed, or his address";
    else if (q->from_source.address == ADDRESS_NON_ASCII_MAILBOX)
        why = "has an address that is not ASCII before the @";
    else if (q->from_source.address != ADDRESS_USABLE)
        why = "has no usable address";
    if (why[0])
        snprintf(q->remark, sizeof q->remark, "a job skips this user, who %s", why);
    return 0;
}

int preview_resolve(const Foliopost__V1__PreviewEmailRequest *q, const struct scheduler_settings *set,
                    struct fp_ledger *l, struct fp_source *s, struct preview_asked *out, struct fp_err *err)
{
    memset(out, 0, sizeof *out);
    foliopost__v1__job_context__init(&out->context);
    if (fill_context(q, set, out, err))
        return -1;
    if (source_users_by_id(s, out->kind, &q->user_id, 1, &out->from_source, err) < 0)
        return err_prefix(err, "cannot look the user up in the source");
    if (out->from_source.gone)
        return err_set(err, FP_NOT_FOUND, "user_id: %" PRId64 " is not in portfolio.users", q->user_id);
    user_to_message(&out->from_source, false, &out->user);
    out->user.skip = FOLIOPOST__V1__SKIP_REASON__SKIP_REASON_UNSPECIFIED; /* the remark says it */
    if (q->locale[0])
        out->user.locale = q->locale;
    if (q->brand[0])
        out->user.brand = q->brand;
    return note(l, out, err);
}

int preview_pack(const struct preview_asked *q, const char *traceparent, struct fp_str *out,
                 struct fp_err *err)
{
    Foliopost__V1__UserBatch b = FOLIOPOST__V1__USER_BATCH__INIT;
    Foliopost__V1__User user = q->user;
    Foliopost__V1__JobContext context = q->context;
    Foliopost__V1__User *list[] = {&user};

    b.schema_version = WIRE_SCHEMA_VERSION;
    b.traceparent = (char *)traceparent;
    b.job = &context;
    b.batch_id = NO_JOB;
    b.users = list;
    b.n_users = 1;
    if (wire_check(&b.base, err))
        return err_prefix(err, "user_id: his row cannot be used");
    return wire_pack(&b.base, WIRE_MAX_MESSAGE_BYTES, out, err);
}

/* --- a test's address --------------------------------------------------------------------- */

static bool listed(const char *list, const char *domain)
{
    size_t n = strlen(domain);

    while (list[0]) {
        size_t len = strcspn(list, ",");
        const char *item = list + strspn(list, " ");
        if ((size_t)(list + len - item) == n && strncasecmp(item, domain, n) == 0)
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

int preview_recipient(const char *to, const struct scheduler_settings *set, struct fp_ledger *l,
                      char out[ADDRESS_BYTES], struct fp_err *err)
{
    struct ledger_recipient who = {.user_id = 0};
    bool suppressed;

    if (address_to_ascii(to, out) != ADDRESS_USABLE)
        return err_set(err, FP_INVALID_ARGUMENT, "to: is not one address, as me@example.com");
    if (set->test_domains && set->test_domains[0] && !listed(set->test_domains, strrchr(out, '@') + 1))
        return err_set(err, FP_PERMISSION_DENIED, "to: test mails go to %.200s alone (--test-domains)",
                       set->test_domains);
    if (ledger_address_hash(l, out, who.address_hash, err) ||
        ledger_suppressed(l, "all", &who, 1, &suppressed, err))
        return -1;
    return suppressed ? err_set(err, FP_FAILED_PRECONDITION, "to: this address is suppressed") : 0;
}
