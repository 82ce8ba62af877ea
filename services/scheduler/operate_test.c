/* What operators do by JobService, as a client sees it: over a real socket, on a real PostgreSQL. */
#include "lib/ledger/rates.h"
#include "services/scheduler/door.h"

static int64_t resolved(int64_t id, Foliopost__V1__AmbiguousResolution how,
                        Foliopost__V1__DeliveryFilter *filter)
{
    Foliopost__V1__ResolveAmbiguousRequest q = FOLIOPOST__V1__RESOLVE_AMBIGUOUS_REQUEST__INIT;

    q.job_id = id;
    q.resolution = how;
    q.filter = filter;
    Foliopost__V1__ResolveAmbiguousResponse *r =
        called("ResolveAmbiguous", &q.base, &foliopost__v1__resolve_ambiguous_response__descriptor);
    return r->users;
}

static int64_t retried(int64_t id, Foliopost__V1__DeliveryFilter *filter)
{
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;

    q.job_id = id;
    q.filter = filter;
    Foliopost__V1__RetryFailedResponse *r =
        called("RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor);
    return r->users;
}

static void who_is_ambiguous_is_decided_about_by_filter(void **state)
{
    Foliopost__V1__DeliveryFilter f = FOLIOPOST__V1__DELIVERY_FILTER__INIT;
    struct t_scheduler s;
    bool more;

    (void)state;
    t_users(50, "2024-01-20", "6 hours");
    t_sql("UPDATE portfolio.users SET email = 'x@Example.ORG' WHERE id = 3");
    t_scheduler_up(&s);
    int64_t id = submitted("resolve");
    t_tick(&s);
    t_mail(t_page(&t_bus[0], &more), DELIVERY_SENT, DELIVERY_SENT);
    t_sql(
        "UPDATE foliopost.deliveries SET state = 'ambiguous', reason = 'lost' WHERE user_id BETWEEN 1 AND 4");
    t_sql("UPDATE foliopost.deliveries SET state = 'failed', reason = '550 no' WHERE user_id IN (5, 6)");
    t_sql("UPDATE foliopost.batches SET sent = 44, ambiguous = 4, failed = 2");
    t_run_until(&s, id, JOB_COMPLETED, 30);
    f.domain = "example.net";
    assert_int_equal(resolved(id, FOLIOPOST__V1__AMBIGUOUS_RESOLUTION__AMBIGUOUS_RESOLUTION_ACCEPT, &f), 0);
    assert_int_equal(retried(id, &f), 0);
    f.domain = "example.org";
    assert_int_equal(resolved(id, FOLIOPOST__V1__AMBIGUOUS_RESOLUTION__AMBIGUOUS_RESOLUTION_ACCEPT, &f), 1);
    assert_int_equal(t_sql("SELECT user_id FROM foliopost.deliveries WHERE reason LIKE 'accepted%%'"), 3);
    t_run_until(&s, id, JOB_COMPLETED, 30);
    f.domain = "";
    int64_t one = 1;
    f.user_ids = &one;
    f.n_user_ids = 1;
    assert_int_equal(resolved(id, FOLIOPOST__V1__AMBIGUOUS_RESOLUTION__AMBIGUOUS_RESOLUTION_RESEND, &f), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE"
                           " (action = 'accept' AND detail = 'ambiguous, domain example.org: 1 users')"
                           " OR (action = 'reopen' AND detail = 'ambiguous, user 1: 1 users')"),
                     2);
    assert_int_equal(t_sql("SELECT maybe_doubles FROM foliopost.deliveries WHERE user_id = 1"), 1);
    t_sql("UPDATE foliopost.deliveries SET state = 'sent', due_at = NULL WHERE state = 'deferred'");
    t_sql("UPDATE foliopost.batches SET sent = sent + deferred, deferred = 0");
    t_run_until(&s, id, JOB_COMPLETED, 30);
    assert_int_equal(retried(id, &f), 0); /* he was sent his mail */
    f.n_user_ids = 0;
    f.reason = "55";
    f.provider = "relay";
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;
    q.job_id = id;
    q.filter = &f;
    refused("RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor, FP_NOT_FOUND,
            "filter.provider: no mailer ever had a provider \"relay\"; those known: none");
    int16_t relay;
    assert_ok(ledger_provider_number(t_ledger, "relay", &relay, &t_err));
    assert_int_equal(retried(id, &f), 0);
    t_sql("UPDATE foliopost.deliveries SET provider = %d WHERE user_id = 6", relay);
    assert_int_equal(retried(id, &f), 1);
    assert_int_equal(t_sql("SELECT user_id FROM foliopost.deliveries WHERE state = 'deferred'"), 6);
    t_scheduler_down(&s);
}

static void deliveries_are_listed_by_user_time_reason_and_interval(void **state)
{
    struct t_scheduler s;
    bool more;

    (void)state;
    t_users(50, "2024-01-20", "6 hours");
    t_scheduler_up(&s);
    int64_t id = submitted("listed");
    t_tick(&s);
    t_mail(t_page(&t_bus[0], &more), DELIVERY_FAILED, DELIVERY_SENT);
    const int64_t tomorrow = clock_wall_us() + FP_US_PER_DAY;
    const struct {
        int64_t user, from, to;
        const char *reason;
        int32_t interval;
        const char *provider;
        size_t n;
    } cases[] = {
        {0, 1, 0, "", 0, "", 48},        {7, 0, 0, "", 0, "", 1},        {0, tomorrow, 0, "", 0, "", 0},
        {0, 0, tomorrow, "", 0, "", 48}, {0, 0, 0, "no such", 0, "", 0}, {0, 0, 0, "", 1, "", 48},
        {0, 0, 0, "", 99, "", 0},        {99, 0, 0, "", 1, "", 0},       {0, 0, 0, "", 0, "relay", 3},
        {3, 0, 0, "", 1, "relay", 1},    {4, 0, 0, "", 1, "relay", 0},
    };
    int16_t relay;
    assert_ok(ledger_provider_number(t_ledger, "relay", &relay, &t_err));
    t_sql("UPDATE foliopost.deliveries SET provider = %d WHERE user_id <= 3", relay);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Foliopost__V1__ListDeliveriesRequest q = FOLIOPOST__V1__LIST_DELIVERIES_REQUEST__INIT;
        q.job_id = id;
        q.user_id = cases[i].user;
        q.from_us = cases[i].from;
        q.to_us = cases[i].to;
        q.reason = (char *)cases[i].reason;
        q.interval_no = cases[i].interval;
        q.provider = (char *)cases[i].provider;
        Foliopost__V1__ListDeliveriesResponse *r =
            called("ListDeliveries", &q.base, &foliopost__v1__list_deliveries_response__descriptor);
        assert_int_equal(r->n_deliveries, cases[i].n);
        for (size_t k = 0; k < r->n_deliveries; k++)
            assert_string_equal(r->deliveries[k]->provider, r->deliveries[k]->user_id <= 3 ? "relay" : "");
    }
    t_scheduler_down(&s);
}

static Foliopost__V1__SubmitJobResponse *resend(const char *id, int64_t job, int64_t user)
{
    Foliopost__V1__ResendRequest q = FOLIOPOST__V1__RESEND_REQUEST__INIT;

    q.request_id = (char *)id;
    q.job_id = job;
    q.user_id = user;
    return call("Resend", &q.base, &foliopost__v1__submit_job_response__descriptor);
}

static void not_resent(int64_t job, int64_t user, enum fp_code code, const char *says)
{
    assert_null(resend("no", job, user));
    assert_int_equal(t_err.code, code);
    if (!strstr(t_err.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", t_err.msg, says);
}

static int64_t finished_job(struct t_scheduler *s)
{
    bool more;

    t_users(40, "2024-01-20", "6 hours");
    t_scheduler_up(s);
    int64_t id = submitted("finished");
    t_tick(s);
    t_mail(t_page(&t_bus[0], &more), DELIVERY_FAILED, DELIVERY_SENT);
    t_run_until(s, id, JOB_COMPLETED, 30);
    return id;
}

static void an_old_report_is_sent_again_as_it_was(void **state)
{
    struct t_scheduler s;

    (void)state;
    int64_t id = finished_job(&s);
    t_sql("UPDATE foliopost.jobs SET as_of = '2026-01-02 03:04:05+00', deadline = '2026-01-03'");
    Foliopost__V1__SubmitJobResponse *r = resend("again", id, 7);
    if (!r)
        fail_msg("Resend: %s", t_err.msg);
    assert_int_equal(r->job->spec->n_user_ids, 1);
    assert_int_equal(r->job->spec->user_ids[0], 7);
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.jobs c JOIN foliopost.jobs p ON p.id = c.parent_job"
                         " WHERE c.as_of = p.as_of AND c.mail_date > p.mail_date AND c.deadline IS NULL"
                         " AND c.period_start = p.period_start AND c.user_ids = '{7}'"),
                     1);
    int64_t child = r->job->id;
    r = resend("again", id, 7);
    assert_true(r && r->existing && r->job->id == child);
    assert_null(resend("again", id, 8));
    assert_int_equal(t_err.code, FP_ALREADY_EXISTS);
    not_resent(id, 1, FP_FAILED_PRECONDITION, "is failed, not sent");
    not_resent(id, 99, FP_NOT_FOUND, "has no such user");
    not_resent(999999, 7, FP_NOT_FOUND, "no job");
    t_sql("INSERT INTO foliopost.suppressions (user_id, reason) VALUES (9, 'manual')");
    not_resent(id, 9, FP_FAILED_PRECONDITION, "suppressed");
    t_sql("DELETE FROM portfolio.users WHERE id = 10");
    not_resent(id, 10, FP_FAILED_PRECONDITION, "not in portfolio.users any more");
    t_scheduler_down(&s);
}

static void a_user_is_erased_once_he_is_gone_from_the_source(void **state)
{
    Foliopost__V1__EraseUserRequest q = FOLIOPOST__V1__ERASE_USER_REQUEST__INIT;
    const ProtobufCMessageDescriptor *d = &foliopost__v1__erase_user_response__descriptor;
    struct t_scheduler s;

    (void)state;
    int64_t id = finished_job(&s);
    q.user_id = 12;
    refused("EraseUser", &q.base, d, FP_FAILED_PRECONDITION, "delete him there first");
    t_sql("DELETE FROM portfolio.users WHERE id = 12");
    q.address = "nonsense";
    refused("EraseUser", &q.base, d, FP_INVALID_ARGUMENT, "address:");
    q.address = "u12@☃.example";
    refused("EraseUser", &q.base, d, FP_INVALID_ARGUMENT, "address:");
    q.address = "u12@bücher.example"; /* hashed as suppressions hold it */
    Foliopost__V1__EraseUserResponse *r = called("EraseUser", &q.base, d);
    assert_false(r->existing);
    assert_int_equal(r->deliveries, 1);
    r = called("EraseUser", &q.base, d);
    assert_true(r->existing && r->deliveries == 0);
    not_resent(id, 12, FP_FAILED_PRECONDITION, "was erased");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries WHERE user_id = 12"), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries"), 40);
    t_scheduler_down(&s);
}

static Foliopost__V1__ProviderRate *set_rate(const char *provider, double per_second, bool reset)
{
    Foliopost__V1__SetRateRequest q = FOLIOPOST__V1__SET_RATE_REQUEST__INIT;

    q.provider = (char *)provider;
    q.per_second = per_second;
    q.reset = reset;
    return call("SetRate", &q.base, &foliopost__v1__provider_rate__descriptor);
}

static void a_rate_that_an_operator_set_outlives_a_mailers_start(void **state)
{
    Foliopost__V1__ListRatesRequest q = FOLIOPOST__V1__LIST_RATES_REQUEST__INIT;

    (void)state;
    assert_null(set_rate("", 50, false));
    assert_int_equal(t_err.code, FP_NOT_FOUND);
    assert_ok(ledger_rate_configure(t_ledger, "relay", 100, &t_err));
    assert_ok(ledger_rate_configure(t_ledger, "domain:example.com", 5, &t_err));
    t_sql("UPDATE foliopost.provider_rates SET next_free = clock_timestamp() + interval '1 hour'");
    Foliopost__V1__ProviderRate *r = set_rate("", 50, false); /* a domain is no provider */
    assert_non_null(r);
    assert_string_equal(r->provider, "relay");
    assert_true(r->by_operator && r->per_second == 50 && r->limit_per_second == 50);
    assert_int_equal(
        t_sql(
            "SELECT count(*) FROM foliopost.provider_rates WHERE next_free > clock_timestamp() + interval '3 s'"),
        1);
    assert_ok(ledger_rate_configure(t_ledger, "relay", 200, &t_err));
    Foliopost__V1__ListRatesResponse *all =
        called("ListRates", &q.base, &foliopost__v1__list_rates_response__descriptor);
    assert_int_equal(all->n_rates, 2);
    assert_true(all->rates[0]->per_second == 50 && all->rates[0]->configured_per_second == 200);
    r = set_rate("relay", 0, true);
    assert_true(r && !r->by_operator && r->per_second == 200);
    r = set_rate("domain:example.com", 0, false);
    assert_true(r && r->by_operator && r->per_second == 0 && r->configured_per_second == 5);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'set_rate'"), 3);
}

/* Without a limit there are no slices to count. */
static void a_daily_quota_needs_a_rate(void **state)
{
    (void)state;
    assert_ok(ledger_rate_configure(t_ledger, "relay", 100, &t_err));
    assert_non_null(set_rate("relay", 0, false));
    assert_ok(ledger_rate_configure(t_ledger, "relay", 100, &t_err)); /* a mailer starts, with a quota */
    assert_ok(ledger_rate_quota(t_ledger, "relay", 1000, 0, &t_err));
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.provider_rates WHERE rate = 100 AND rate_limit = 100"
                         " AND operator_limit IS NULL"),
                     1);
    assert_null(set_rate("relay", 0, false));
    assert_int_equal(t_err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "daily quota of 1000 mails"));
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 100);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'set_rate'"), 1);
    assert_non_null(set_rate("relay", 50, false));
    assert_non_null(set_rate("relay", 0, true));
}

static void wrong_rates_are_refused_and_leave_no_line(void **state)
{
    (void)state;
    assert_ok(ledger_rate_configure(t_ledger, "a", 100, &t_err));
    assert_ok(ledger_rate_configure(t_ledger, "b", 100, &t_err));
    const struct {
        const char *provider;
        double per_second;
        bool reset;
        enum fp_code code;
    } wrong[] = {
        {"", 1, false, FP_INVALID_ARGUMENT},   {"c", 1, false, FP_NOT_FOUND},
        {"a", -1, false, FP_INVALID_ARGUMENT}, {"a", 2e6, false, FP_INVALID_ARGUMENT},
        {"a", 1, true, FP_INVALID_ARGUMENT},   {"a", strtod("nan", NULL), false, FP_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(set_rate(wrong[i].provider, wrong[i].per_second, wrong[i].reset));
        assert_int_equal(t_err.code, wrong[i].code);
    }
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit"), 0);
}

static void the_audit_says_who_did_what_and_from_where(void **state)
{
    Foliopost__V1__PauseJobRequest p = FOLIOPOST__V1__PAUSE_JOB_REQUEST__INIT;
    Foliopost__V1__ListAuditRequest q = FOLIOPOST__V1__LIST_AUDIT_REQUEST__INIT;
    const ProtobufCMessageDescriptor *d = &foliopost__v1__list_audit_response__descriptor;

    (void)state;
    int64_t other = submitted("other");
    q.job_id = p.job_id = submitted("audited");
    p.reason = "a look at it";
    for (int i = 0; i < 2; i++) /* the second changes nothing */
        called("PauseJob", &p.base, &foliopost__v1__job__descriptor);
    Foliopost__V1__ListAuditResponse *r = called("ListAudit", &q.base, d);
    assert_int_equal(r->n_entries, 2);
    assert_string_equal(r->entries[0]->action, "pause");
    assert_string_equal(r->entries[0]->actor, "rpc");
    assert_string_equal(r->entries[0]->detail, "a look at it");
    assert_int_equal(strncmp(r->entries[0]->peer, "127.0.0.1:", 10), 0);
    assert_string_equal(r->entries[1]->action, "submit");
    q.job_id = 0;
    q.action = "submit";
    q.page_size = 1;
    r = called("ListAudit", &q.base, d);
    assert_int_equal(r->n_entries, 1);
    q.before_id = r->next_before_id;
    r = called("ListAudit", &q.base, d);
    assert_int_equal(r->entries[0]->job_id, other);
    assert_int_equal(r->next_before_id, 0);
    q.actor = "nobody";
    assert_int_equal(((Foliopost__V1__ListAuditResponse *)called("ListAudit", &q.base, d))->n_entries, 0);
    q.actor = "";
    q.from_us = clock_wall_us() + FP_US_PER_DAY;
    assert_int_equal(((Foliopost__V1__ListAuditResponse *)called("ListAudit", &q.base, d))->n_entries, 0);
}

static void a_list_of_50000_users_fits_both_ways(void **state)
{
    static int64_t ids[WIRE_MAX_JOB_USERS];
    Foliopost__V1__SubmitJobRequest q = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;

    (void)state;
    for (int i = 0; i < WIRE_MAX_JOB_USERS; i++)
        ids[i] = INT64_MAX - i; /* nine bytes each on the wire */
    spec.kind = WEEKLY;
    spec.user_ids = ids;
    spec.n_user_ids = WIRE_MAX_JOB_USERS;
    q.request_id = (char *)"long";
    q.spec = &spec;
    Foliopost__V1__SubmitJobResponse *r =
        called("SubmitJob", &q.base, &foliopost__v1__submit_job_response__descriptor);
    assert_int_equal(r->job->spec->n_user_ids, WIRE_MAX_JOB_USERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_is_ambiguous_is_decided_about_by_filter, fresh),
        cmocka_unit_test_setup(deliveries_are_listed_by_user_time_reason_and_interval, fresh),
        cmocka_unit_test_setup(an_old_report_is_sent_again_as_it_was, fresh),
        cmocka_unit_test_setup(a_user_is_erased_once_he_is_gone_from_the_source, fresh),
        cmocka_unit_test_setup(a_rate_that_an_operator_set_outlives_a_mailers_start, fresh),
        cmocka_unit_test_setup(a_daily_quota_needs_a_rate, fresh),
        cmocka_unit_test_setup(wrong_rates_are_refused_and_leave_no_line, fresh),
        cmocka_unit_test_setup(the_audit_says_who_did_what_and_from_where, fresh),
        cmocka_unit_test_setup(a_list_of_50000_users_fits_both_ways, fresh),
    };

    int failed = cmocka_run_group_tests(tests, door_up, door_down);
    _exit(failed); /* NNG 1.5 is not taken down: see lib/bus/bus.h */
}
