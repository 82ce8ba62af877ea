/*
 * What each message demands beyond what all have in common (check.c): one row
 * for each, to be changed here and nowhere else.
 *
 * These are the rules of form, which a sender can always keep. What depends on
 * the job, on settings or on the database is judged where that is known: a
 * period by the scheduler, an address by lib/source, a claim by the ledger.
 * A user's broken data must fail that user and not his batch, so a User's
 * currency and address are only bounded here.
 */
#include "lib/wire/check.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/clock.h"

#define US_MAX ((FP_DAY_MAX + INT64_C(1)) * FP_US_PER_DAY)

/* clang-format off */
#define MSG(name) (&foliopost__v1__##name##__descriptor)
#define ID(name)  {name, 1, INT64_MAX, 0}
#define VERSION   {"schema_version", WIRE_SCHEMA_VERSION, WIRE_SCHEMA_VERSION, 0}
#define TRACE     {"traceparent", 0, 63, 0} /* the ledger's width; what it says only matters to tracing */
#define NAMES     {"template_name", 0, 64, 0}, {"brand", 0, 64, 0}
/* clang-format on */

/* Template and brand name files: nothing that could lead out of their folder. */
static int check_file_name(const char *s, const char *field, const struct wire_at *at, struct fp_err *err)
{
    struct wire_at here = {.up = at, .field = field, .index = -1};
    if (s[0] == '.')
        return wire_fail(&here, err, "must not begin with a dot");
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("._-", *s) == NULL)
            return wire_fail(&here, err, "only letters, digits, dot, hyphen and underscore are allowed");
    return 0;
}

static int check_spec(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__JobSpec *s = (const void *)m;
    if (check_file_name(s->template_name, "template_name", at, err) != 0)
        return -1;
    return check_file_name(s->brand, "brand", at, err);
}

static int check_preview(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__PreviewEmailRequest *q = (const void *)m;
    if (check_file_name(q->template_name, "template_name", at, err) != 0)
        return -1;
    return check_file_name(q->brand, "brand", at, err);
}

static int check_context(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__JobContext *c = (const void *)m;
    struct wire_at here = {.up = at, .field = "kind", .index = -1};
    if (strcmp(c->kind, "weekly") != 0 && strcmp(c->kind, "monthly") != 0 && strcmp(c->kind, "custom") != 0)
        return wire_fail(&here, err, "must be weekly, monthly or custom");
    here.field = "period_end_day";
    if (c->period_end_day < c->period_start_day)
        return wire_fail(&here, err, "before period_start_day");
    if (check_file_name(c->template_name, "template_name", at, err) != 0)
        return -1;
    return check_file_name(c->brand, "brand", at, err);
}

static int check_work(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    struct wire_at here = {.up = at, .field = "work", .index = -1};
    if (((const Foliopost__V1__Work *)m)->work_case == FOLIOPOST__V1__WORK__WORK__NOT_SET)
        return wire_fail(&here, err, "neither grant nor batch is set");
    return 0;
}

/* A user twice in a batch would be mailed once and break the ledger's upsert. */
static int check_batch(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__UserBatch *b = (const void *)m;
    struct wire_at here = {.up = at, .field = "users", .index = -1};
    if (b->n_users == 0)
        return wire_fail(&here, err, "empty");
    for (size_t i = 1; i < b->n_users; i++) {
        for (size_t k = 0; k < i; k++) {
            here.index = (long)i;
            if (b->users[i]->id == b->users[k]->id)
                return wire_fail(&here, err, "the same user as users[%zu]", k);
        }
    }
    return 0;
}

static int check_summaries(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__SummaryBatch *b = (const void *)m;
    struct wire_at here = {.up = at, .field = "items", .index = -1};
    if (b->n_items == 0)
        return wire_fail(&here, err, "empty");
    for (size_t i = 1; i < b->n_items; i++) {
        for (size_t k = 0; k < i; k++) {
            here.index = (long)i;
            if (b->items[i]->user->id == b->items[k]->user->id)
                return wire_fail(&here, err, "the same user as items[%zu]", k);
        }
    }
    return 0;
}

static int check_item(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__SummaryItem *item = (const void *)m;
    struct wire_at here = {.up = at, .field = "outcome", .index = -1};
    if (item->outcome_case == FOLIOPOST__V1__SUMMARY_ITEM__OUTCOME__NOT_SET)
        return wire_fail(&here, err, "none of summary, failure and skip is set");
    return 0;
}

static int check_summary(const ProtobufCMessage *m, const struct wire_at *at, struct fp_err *err)
{
    const Foliopost__V1__PortfolioSummary *s = (const void *)m;
    const char *c = s->currency;
    struct wire_at here = {.up = at, .field = "currency", .index = -1};
    for (int i = 0; i < 3; i++)
        if (c[i] < 'A' || c[i] > 'Z')
            return wire_fail(&here, err, "must be three capital letters");
    if (s->n_chart_value_minor == s->n_chart_contributed_minor)
        return 0;
    here.field = "chart_contributed_minor";
    return wire_fail(&here, err, "not as many points as chart_value_minor");
}

static const struct wire_rules table[] = {
    /* the pipelines */
    {MSG(work),
     WIRE_WORK,
     {VERSION, TRACE, ID("job_id"), {"grant", 1, 1, 0}, {"batch", 1, 1, 0}},
     check_work},
    {MSG(grant), WIRE_ANY, {ID("interval_no"), ID("grant_no"), {"pages", 1, 10000, 0}}, NULL},
    {MSG(batch_ref), WIRE_ANY, {ID("batch_id")}, NULL},
    {MSG(job_context),
     WIRE_ANY,
     {ID("job_id"),
      {"period_start_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"period_end_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"as_of_us", 0, US_MAX, 0},
      {"mail_date_us", 0, US_MAX, 0},
      {"provider", 0, 64, 0},
      {"round", 0, INT32_MAX, 0},
      NAMES},
     check_context},
    {MSG(user),
     WIRE_ANY,
     {ID("id"),
      {"email", 0, 254, 0},
      {"first_name", 0, 400, 0},
      {"last_name", 0, 400, 0},
      {"locale", 0, 64, 0},
      {"time_zone", 0, 64, 0},
      {"base_currency", 0, 8, 0},
      {"brand", 0, 64, 0}},
     NULL},
    {MSG(user_batch),
     WIRE_WORK,
     {VERSION, TRACE, {"job", 1, 1, 0}, ID("batch_id"), {"users", 1, 1, WIRE_MAX_USERS}},
     check_batch},
    {MSG(summary_failure), WIRE_ANY, {{"reason", 1, 64, 0}, {"detail", 0, 512, 0}}, NULL},
    {MSG(summary_item),
     WIRE_ANY,
     {{"user", 1, 1, 0}, {"summary", 1, 1, 0}, {"failure", 1, 1, 0}, {"skip", 1, INT64_MAX, 0}},
     check_item},
    {MSG(summary_batch),
     WIRE_WORK,
     {VERSION, TRACE, {"job", 1, 1, 0}, ID("batch_id"), {"items", 1, 1, WIRE_MAX_USERS}},
     check_summaries},
    {MSG(portfolio_summary),
     WIRE_ANY,
     {{"currency", 3, 3, 0},
      {"exponent", 0, 4, 0},
      {"since_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"prices_as_of_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"holdings", 0, INT64_MAX, 0},
      {"top", 0, 0, 10},
      {"bottom", 0, 0, 10},
      {"spans", 0, 0, 3},
      {"by_class", 0, 0, 20},
      {"by_currency", 0, 0, 20},
      {"events", 0, 0, 20},
      {"benchmark_name", 0, 400, 0},
      {"chart_step_days", 0, 36600, 0},
      {"chart_value_minor", INT64_MIN, INT64_MAX, 64},
      {"chart_contributed_minor", INT64_MIN, INT64_MAX, 64}},
     check_summary},
    {MSG(span),
     WIRE_ANY,
     {{"since_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"drawdown_peak_day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"drawdown_trough_day", FP_DAY_MIN, FP_DAY_MAX, 0}},
     NULL},
    {MSG(allocation), WIRE_ANY, {{"label", 1, 64, 0}, {"percent_e2", 0, 10000, 0}}, NULL},
    {MSG(event),
     WIRE_ANY,
     {{"day", FP_DAY_MIN, FP_DAY_MAX, 0},
      {"symbol", 0, 64, 0},
      {"name", 0, 400, 0},
      {"numerator", 0, INT64_MAX, 0},
      {"denominator", 0, INT64_MAX, 0}},
     NULL},
    {MSG(mover), WIRE_ANY, {{"symbol", 0, 64, 0}, {"name", 0, 400, 0}}, NULL},
    /* requests */
    {MSG(job_spec),
     WIRE_ANY,
     {{"period_start", 0, 10, 0},
      {"period_end", 0, 10, 0},
      {"user_ids", 1, INT64_MAX, WIRE_MAX_JOB_USERS},
      {"title", 0, 200, 0},
      {"time_zone", 0, 63, 0},
      {"send_window", 0, 11, 0},
      {"provider", 0, 64, 0},
      {"deadline_after_ms", 0, INT64_MAX, 0},
      NAMES},
     check_spec},
    {MSG(submit_job_request), WIRE_REQUEST, {{"request_id", 1, 128, 0}, {"spec", 1, 1, 0}}, NULL},
    {MSG(get_job_request), WIRE_REQUEST, {ID("job_id")}, NULL},
    {MSG(watch_job_request), WIRE_REQUEST, {ID("job_id")}, NULL},
    {MSG(pause_job_request), WIRE_REQUEST, {ID("job_id"), {"reason", 0, 400, 0}}, NULL},
    {MSG(resume_job_request), WIRE_REQUEST, {ID("job_id")}, NULL},
    {MSG(cancel_job_request), WIRE_REQUEST, {ID("job_id"), {"reason", 0, 400, 0}}, NULL},
    {MSG(approve_job_request), WIRE_REQUEST, {ID("job_id"), {"reason", 0, 400, 0}}, NULL},
    {MSG(list_jobs_request),
     WIRE_REQUEST,
     {{"page_size", 0, 200, 0},
      {"before_id", 0, INT64_MAX, 0},
      {"from_us", 0, US_MAX, 0},
      {"to_us", 0, US_MAX, 0},
      {"parent_job", 0, INT64_MAX, 0},
      {"provider", 0, 64, 0},
      {"submitted_by", 0, 128, 0},
      {"schedule", 0, 64, 0},
      NAMES},
     NULL},
    {MSG(get_report_request), WIRE_REQUEST, {ID("job_id")}, NULL},
    {MSG(list_deliveries_request),
     WIRE_REQUEST,
     {ID("job_id"),
      {"page_size", 0, 1000, 0},
      {"after_user_id", 0, INT64_MAX, 0},
      {"user_id", 0, INT64_MAX, 0},
      {"from_us", 0, US_MAX, 0},
      {"to_us", 0, US_MAX, 0},
      {"reason", 0, 255, 0},
      {"interval_no", 0, INT32_MAX, 0},
      {"provider", 0, 95, 0}},
     NULL},
    {MSG(get_user_history_request),
     WIRE_REQUEST,
     {ID("user_id"), {"page_size", 0, 200, 0}, {"before_job_id", 0, INT64_MAX, 0}},
     NULL},
    {MSG(retry_failed_request), WIRE_REQUEST, {ID("job_id")}, NULL},
    {MSG(resolve_ambiguous_request), WIRE_REQUEST, {ID("job_id"), {"resolution", 1, 2, 0}}, NULL},
    {MSG(delivery_filter),
     WIRE_ANY,
     {{"reason", 0, 255, 0},
      {"interval_no", 0, INT32_MAX, 0},
      {"domain", 0, 253, 0},
      {"user_ids", 1, INT64_MAX, WIRE_MAX_JOB_USERS},
      {"provider", 0, 95, 0}},
     NULL},
    {MSG(suppression),
     WIRE_ANY,
     {{"id", 0, INT64_MAX, 0},
      {"user_id", 0, INT64_MAX, 0},
      {"address", 0, 254, 0},
      {"address_hash", 0, 36, 0},
      {"source", 0, 31, 0},
      {"evidence", 0, 255, 0},
      {"job_id", 0, INT64_MAX, 0},
      {"first_seen_us", 0, US_MAX, 0},
      {"expires_us", 0, US_MAX, 0}},
     NULL},
    {MSG(suppress_request), WIRE_REQUEST, {{"suppressions", 1, 1, 1000}}, NULL},
    {MSG(unsuppress_request),
     WIRE_REQUEST,
     {{"user_id", 0, INT64_MAX, 0}, {"address", 0, 254, 0}, {"address_hash", 0, 36, 0}},
     NULL},
    {MSG(list_suppressions_request),
     WIRE_REQUEST,
     {{"user_id", 0, INT64_MAX, 0},
      {"address", 0, 254, 0},
      {"address_hash", 0, 36, 0},
      {"page_size", 0, 1000, 0},
      {"after_id", 0, INT64_MAX, 0}},
     NULL},
    {MSG(erase_user_request), WIRE_REQUEST, {ID("user_id"), {"address", 0, 254, 0}}, NULL},
    {MSG(resend_request), WIRE_REQUEST, {ID("job_id"), ID("user_id"), {"request_id", 1, 128, 0}}, NULL},
    {MSG(preview_email_request),
     WIRE_REQUEST,
     {ID("user_id"),
      {"period_start", 0, 10, 0},
      {"period_end", 0, 10, 0},
      {"time_zone", 0, 63, 0},
      {"as_of_us", 0, US_MAX, 0},
      {"locale", 0, 35, 0},
      NAMES},
     check_preview},
    {MSG(send_test_request),
     WIRE_REQUEST,
     {{"mail", 1, 1, 0}, {"to", 3, 254, 0}, {"provider", 0, 95, 0}},
     NULL},
    {MSG(set_rate_request), WIRE_REQUEST, {{"provider", 0, 95, 0}, {"job_id", 0, INT64_MAX, 0}}, NULL},
    {MSG(list_audit_request),
     WIRE_REQUEST,
     {{"actor", 0, 128, 0},
      {"action", 0, 32, 0},
      {"job_id", 0, INT64_MAX, 0},
      {"from_us", 0, US_MAX, 0},
      {"to_us", 0, US_MAX, 0},
      {"page_size", 0, 1000, 0},
      {"before_id", 0, INT64_MAX, 0}},
     NULL},
    {MSG(schedule),
     WIRE_ANY,
     {{"name", 1, 64, 0},
      {"cron", 1, 127, 0},
      {"time_zone", 0, 63, 0},
      {"spec", 1, 1, 0},
      {"catch_up_ms", 0, INT64_MAX, 0},
      {"deadline_after_ms", 0, INT64_MAX, 0},
      {"next_us", 0, US_MAX, 10},
      {"firings", 0, 0, 10}},
     NULL},
    {MSG(create_schedule_request), WIRE_REQUEST, {{"schedule", 1, 1, 0}}, NULL},
    {MSG(update_schedule_request), WIRE_REQUEST, {{"schedule", 1, 1, 0}}, NULL},
    {MSG(get_schedule_request), WIRE_REQUEST, {{"name", 1, 64, 0}}, NULL},
    {MSG(pause_schedule_request), WIRE_REQUEST, {{"name", 1, 64, 0}}, NULL},
    {MSG(resume_schedule_request), WIRE_REQUEST, {{"name", 1, 64, 0}}, NULL},
    {MSG(delete_schedule_request), WIRE_REQUEST, {{"name", 1, 64, 0}}, NULL},
    {MSG(run_schedule_request), WIRE_REQUEST, {{"name", 1, 64, 0}, {"request_id", 1, 128, 0}}, NULL},
    {MSG(add_identity_request),
     WIRE_REQUEST,
     {{"name", 1, 64, 0}, {"roles", 1, 4, 4}, {"subject", 0, 255, 0}, {"expires_us", 0, US_MAX, 0}},
     NULL},
    {MSG(revoke_identity_request), WIRE_REQUEST, {{"name", 1, 64, 0}}, NULL},
    {MSG(get_fleet_request), WIRE_REQUEST, {{0}}, NULL},
    {MSG(list_rates_request), WIRE_REQUEST, {{0}}, NULL},
    {MSG(list_schedules_request), WIRE_REQUEST, {{0}}, NULL},
    {MSG(list_identities_request), WIRE_REQUEST, {{0}}, NULL},
    /* replies */
    {MSG(list_schedules_response), WIRE_ANY, {{"schedules", 0, 0, 200}}, NULL},
    {MSG(identity), WIRE_ANY, {{"roles", 0, INT32_MAX, 64}}, NULL},
    {MSG(list_identities_response), WIRE_ANY, {{"identities", 0, 0, 1000}}, NULL},
    {MSG(list_rates_response), WIRE_ANY, {{"rates", 0, 0, 1000}}, NULL},
    {MSG(list_audit_response), WIRE_ANY, {{"entries", 0, 0, 1000}}, NULL},
    {MSG(list_suppressions_response), WIRE_ANY, {{"suppressions", 0, 0, 1000}}, NULL},
    {MSG(list_jobs_response), WIRE_ANY, {{"jobs", 0, 0, 1000}}, NULL},
    {MSG(list_deliveries_response), WIRE_ANY, {{"deliveries", 0, 0, 1000}}, NULL},
    {MSG(get_user_history_response), WIRE_ANY, {{"mails", 0, 0, 200}}, NULL},
    {MSG(get_fleet_response), WIRE_ANY, {{"instances", 0, 0, 1000}}, NULL},
    {MSG(dry_run),
     WIRE_ANY,
     {{"added_ids", INT64_MIN, INT64_MAX, 100}, {"dropped_ids", INT64_MIN, INT64_MAX, 100}},
     NULL},
    {MSG(report), WIRE_ANY, {{"intervals", 0, 0, WIRE_MAX_INTERVALS}, {"reasons", 0, 0, 1000}}, NULL},
    {MSG(job),
     WIRE_ANY,
     {{"waiting", 0, WIRE_DEFAULT_STRING, 32},
      {"intervals", 0, 0, WIRE_MAX_INTERVALS},
      {"failures", 0, 0, 100}},
     NULL},
    /* the envelope */
    {MSG(rpc_request),
     WIRE_WORK,
     {VERSION, {"method", 1, 64, 0}, {"request_id", 0, 128, 0}, {"deadline_ms", 0, INT64_MAX, 0}, TRACE},
     NULL},
    {MSG(rpc_reply), WIRE_ANY, {VERSION, {"request_id", 0, 128, 0}}, NULL},
};

const struct wire_rules *wire_rules(size_t *n)
{
    *n = sizeof table / sizeof table[0];
    return table;
}
