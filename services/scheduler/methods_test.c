/* JobService as a client sees it: over a real socket, on a real PostgreSQL. */
#include "lib/ledger/rates.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/door.h"

/* --- SubmitJob ----------------------------------------------------------------------- */

static void a_submission_makes_a_job_and_wakes_the_leader(void **state)
{
    (void)state;
    Foliopost__V1__SubmitJobResponse *r = submit("once", MONTHLY, false);
    assert_non_null(r);
    assert_true(r->job->id > 0);
    assert_false(r->existing);
    assert_int_equal(r->job->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_PENDING);
    assert_int_equal(strlen(r->job->spec->period_start), 10);
    assert_int_equal(r->job->spec->batch_size, 100);
    assert_int_equal(woken, 1);
    struct ledger_job j = t_job(r->job->id);
    assert_int_equal(strlen(j.traceparent), 55);
    int64_t ago_us = clock_wall_us() - j.audience_end_us;
    assert_true(ago_us >= 0 && ago_us < 10 * FP_US_PER_S);
}

static void the_audience_ends_before_the_submission_by_the_margin(void **state)
{
    (void)state;
    t_set.audience_margin_ms = 60000;
    struct ledger_job j = t_job(submitted("margin"));
    int64_t before_us = j.submitted_us - j.audience_end_us;
    assert_true(before_us >= 60 * FP_US_PER_S && before_us < 65 * FP_US_PER_S);
}

static void the_same_request_twice_is_the_same_job(void **state)
{
    (void)state;
    int64_t first = submitted("twice");
    Foliopost__V1__SubmitJobResponse *again = submit("twice", MONTHLY, false);
    assert_non_null(again);
    assert_true(again->existing);
    assert_int_equal(again->job->id, first);
    assert_null(submit("twice", WEEKLY, false));
    assert_int_equal(t_err.code, FP_ALREADY_EXISTS);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs"), 1);
}

static Foliopost__V1__SubmitJobResponse *submit_spec(const char *id, Foliopost__V1__JobSpec *spec)
{
    Foliopost__V1__SubmitJobRequest q = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;

    spec->kind = MONTHLY;
    q.request_id = (char *)id;
    q.spec = spec;
    return call("SubmitJob", &q.base, &foliopost__v1__submit_job_response__descriptor);
}

/* Its deadline is past by now, its provider gone, and too many jobs are open for another one. */
static void a_request_that_is_known_is_answered_whatever_has_changed(void **state)
{
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;

    (void)state;
    assert_ok(ledger_rate_configure(t_ledger, "relay", 4, &t_err));
    spec.provider = (char *)"relay";
    spec.deadline_us = clock_wall_us() + 2 * FP_US_PER_S;
    Foliopost__V1__SubmitJobResponse *first = submit_spec("known", &spec);
    assert_non_null(first);
    t_sql("DELETE FROM foliopost.provider_rates");
    clock_sleep_us(2 * FP_US_PER_S);
    Foliopost__V1__SubmitJobResponse *again = submit_spec("known", &spec);
    if (!again)
        fail_msg("%s", t_err.msg);
    assert_true(again->existing);
    assert_int_equal(again->job->id, first->job->id);
    spec.deadline_us++;
    assert_null(submit_spec("known", &spec));
    assert_int_equal(t_err.code, FP_ALREADY_EXISTS);
    assert_null(submit_spec("new", &spec));
    assert_int_equal(t_err.code, FP_INVALID_ARGUMENT);
}

static void a_deadline_from_the_submission_on_is_the_same_request_later(void **state)
{
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;

    (void)state;
    spec.deadline_after_ms = 3600000;
    Foliopost__V1__SubmitJobResponse *first = submit_spec("after", &spec);
    assert_non_null(first);
    int64_t left_us = first->job->spec->deadline_us - clock_wall_us();
    assert_true(left_us > 3590 * FP_US_PER_S && left_us <= 3600 * FP_US_PER_S);
    assert_int_equal(first->job->spec->deadline_after_ms, 0);
    clock_sleep_us(2000);
    Foliopost__V1__SubmitJobResponse *again = submit_spec("after", &spec);
    assert_non_null(again);
    assert_true(again->existing);
    assert_int_equal(again->job->spec->deadline_us, first->job->spec->deadline_us);
}

static void a_long_list_is_told_as_a_number(void **state)
{
    Foliopost__V1__JobSpec spec = FOLIOPOST__V1__JOB_SPEC__INIT;
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    Foliopost__V1__WatchJobRequest w = FOLIOPOST__V1__WATCH_JOB_REQUEST__INIT;
    int64_t ids[101];

    (void)state;
    for (int i = 0; i < 101; i++)
        ids[i] = i + 1;
    spec.user_ids = ids;
    spec.n_user_ids = 100;
    assert_int_equal(get(submit_spec("short", &spec)->job->id)->spec->n_user_ids, 100);
    spec.n_user_ids = 101;
    Foliopost__V1__Job *j = submit_spec("long", &spec)->job;
    assert_int_equal(j->spec->n_user_ids, 101);
    q.job_id = w.job_id = j->id;
    q.details = w.details = true;
    assert_int_equal(get(j->id)->spec->n_user_ids, 0);
    assert_int_equal(get(j->id)->listed_users, 101);
    j = called("GetJob", &q.base, &foliopost__v1__job__descriptor);
    assert_int_equal(j->spec->n_user_ids, 101);
    j = called("WatchJob", &w.base, &foliopost__v1__job__descriptor);
    assert_int_equal(j->spec->n_user_ids, 0);
    assert_int_equal(j->listed_users, 101);
}

static void a_dry_run_plans_and_makes_nothing(void **state)
{
    (void)state;
    t_users(100, "2024-01-20", "1 day");
    Foliopost__V1__SubmitJobResponse *r = submit("dry", MONTHLY, true);
    assert_non_null(r);
    assert_int_equal(r->job->id, 0);
    assert_int_equal(r->planned_users, 100);
    assert_true(r->planned_intervals > 20);
    assert_true(r->planned_users_per_s == 0 && r->planned_seconds == 0); /* nothing is known yet */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs"), 0);
    assert_int_equal(woken, 0);
}

static void a_dry_run_says_how_long_it_would_take(void **state)
{
    (void)state;
    t_users(100, "2024-01-20", "1 day");
    assert_ok(ledger_rate_configure(t_ledger, "relay", 4, &t_err));
    Foliopost__V1__SubmitJobResponse *r = submit("dry", MONTHLY, true);
    assert_non_null(r);
    assert_true(r->planned_users_per_s == 4 && r->planned_seconds == 25);
    int64_t done = submitted("done"); /* 2,000 users in 1,000 s: slower than the relay would be */
    t_sql(
        "UPDATE foliopost.jobs SET state = 'COMPLETED', started_at = now(), finished_at = now() + interval '1000 s',"
        " proofs = '[{\"round\": 1, \"users\": 2000}]' WHERE id = %lld",
        (long long)done);
    r = submit("dry", MONTHLY, true);
    assert_non_null(r);
    assert_true(r->planned_users_per_s == 2 && r->planned_seconds == 50);
}

/* Each method: what a newer client asks for is not left out unsaid. */
static void a_field_that_is_not_known_is_refused_by_every_method(void **state)
{
    static const char newer[] = "\xf8\x7d\x01"; /* field 2015 */
    (void)state;
    for (size_t i = 0; i < methods_n; i++) {
        assert_null(wire_unpack(methods_table[i].request, newer, sizeof newer - 1, arena, &t_err));
        if (t_err.code != FP_FAILED_PRECONDITION || !strstr(t_err.msg, "field 2015 is not known"))
            fail_msg("%s: %s", methods_table[i].name, t_err.msg);
    }
}

static void wrong_requests_are_refused_by_name(void **state)
{
    Foliopost__V1__SubmitJobRequest q = FOLIOPOST__V1__SUBMIT_JOB_REQUEST__INIT;
    Foliopost__V1__GetJobRequest g = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;
    Foliopost__V1__ListJobsRequest l = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    Foliopost__V1__ListDeliveriesRequest d = FOLIOPOST__V1__LIST_DELIVERIES_REQUEST__INIT;

    (void)state;
    refused("SubmitJob", &q.base, &foliopost__v1__submit_job_response__descriptor, FP_INVALID_ARGUMENT,
            "request_id");
    refused("GetJob", &g.base, &foliopost__v1__job__descriptor, FP_INVALID_ARGUMENT, "job_id");
    g.job_id = 4711;
    refused("GetJob", &g.base, &foliopost__v1__job__descriptor, FP_NOT_FOUND, "4711");
    l.page_size = 201;
    refused("ListJobs", &l.base, &foliopost__v1__list_jobs_response__descriptor, FP_INVALID_ARGUMENT,
            "page_size: 201");
    d.job_id = 4711;
    refused("ListDeliveries", &d.base, &foliopost__v1__list_deliveries_response__descriptor, FP_NOT_FOUND,
            "4711");
    d.page_size = -1;
    refused("ListDeliveries", &d.base, &foliopost__v1__list_deliveries_response__descriptor,
            FP_INVALID_ARGUMENT, "page_size");
}

static void a_source_that_is_away_is_said(void **state)
{
    (void)state;
    t_sql("ALTER TABLE portfolio.users RENAME TO hidden");
    Foliopost__V1__SubmitJobResponse *r = submit("away", MONTHLY, true);
    t_sql("ALTER TABLE portfolio.hidden RENAME TO users");
    assert_null(r);
    assert_int_equal(t_err.code, FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "portfolio.users"));
}

static void open_jobs_have_a_maximum(void **state)
{
    (void)state;
    (void)submitted("first");
    t_sql(
        "INSERT INTO foliopost.jobs (request_id, spec_hash, kind, period_start, period_end, audience_end, max_attempts,"
        " batch_size, as_of, mail_date) SELECT 'r' || g, '', 'weekly', '2026-01-05', '2026-01-11', now(), 3, 100, now(),"
        " now() FROM generate_series(1, %d) g",
        LIMIT_OPEN_JOBS - 1);
    assert_null(submit("more", MONTHLY, false));
    assert_int_equal(t_err.code, FP_RESOURCE_EXHAUSTED);
}

/* --- pause, resume, cancel, lists -------------------------------------------------------- */

static void states_change_once_and_repeat_as_a_success(void **state)
{
    Foliopost__V1__ResumeJobRequest resume = FOLIOPOST__V1__RESUME_JOB_REQUEST__INIT;
    Foliopost__V1__CancelJobRequest cancel = FOLIOPOST__V1__CANCEL_JOB_REQUEST__INIT;

    (void)state;
    int64_t id = submitted("states");
    for (int i = 0; i < 2; i++) {
        Foliopost__V1__Job *j = pause_job(id, "looks odd");
        assert_int_equal(j->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_PAUSED);
        assert_true(waits_for(j, "looks odd"));
    }
    resume.job_id = cancel.job_id = id;
    Foliopost__V1__Job *j = called("ResumeJob", &resume.base, &foliopost__v1__job__descriptor);
    assert_int_equal(j->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_PENDING);
    j = called("CancelJob", &cancel.base, &foliopost__v1__job__descriptor);
    assert_int_equal(j->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_CANCELLED);
    assert_int_equal(j->n_waiting, 0);
    refused("ResumeJob", &resume.base, &foliopost__v1__job__descriptor, FP_FAILED_PRECONDITION, "CANCELLED");
}

static void lists_are_paged_newest_first(void **state)
{
    Foliopost__V1__ListJobsRequest q = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    char name[16];
    int64_t ids[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "list-%d", i);
        ids[i] = submitted(name);
    }
    q.page_size = 2;
    for (int seen = 0; seen < 5;) {
        Foliopost__V1__ListJobsResponse *r =
            called("ListJobs", &q.base, &foliopost__v1__list_jobs_response__descriptor);
        for (size_t i = 0; i < r->n_jobs; i++)
            assert_int_equal(r->jobs[i]->id, ids[4 - seen++]);
        assert_int_equal(r->next_before_id, seen < 5 ? ids[5 - seen] : 0);
        q.before_id = r->next_before_id;
    }
    q.before_id = 0;
    q.state = FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED;
    Foliopost__V1__ListJobsResponse *r =
        called("ListJobs", &q.base, &foliopost__v1__list_jobs_response__descriptor);
    assert_int_equal(r->n_jobs, 0);
}

static Foliopost__V1__ListJobsResponse *jobs_like(const Foliopost__V1__ListJobsRequest *q)
{
    return called("ListJobs", &q->base, &foliopost__v1__list_jobs_response__descriptor);
}

/* The ids of the jobs that the filter leaves, newest first, as one number: 3 and 1 are 31. */
#define LEFT(field, value)                                                                                   \
    ({                                                                                                       \
        Foliopost__V1__ListJobsRequest q_ = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;                          \
        q_.field = value;                                                                                    \
        places(jobs_like(&q_), first);                                                                       \
    })

static int64_t places(const Foliopost__V1__ListJobsResponse *r, int64_t first)
{
    int64_t all = 0;

    for (size_t i = 0; i < r->n_jobs; i++)
        all = 10 * all + r->jobs[i]->id - first + 1;
    return all;
}

static void lists_have_what_the_filter_leaves(void **state)
{
    Foliopost__V1__ListJobsRequest q = FOLIOPOST__V1__LIST_JOBS_REQUEST__INIT;
    const ProtobufCMessageDescriptor *reply = &foliopost__v1__list_jobs_response__descriptor;

    (void)state;
    int64_t first = submitted("filter-1");
    for (int i = 2; i <= 5; i++)
        (void)submitted((char[]){'f', (char)('0' + i), 0});
    t_sql("UPDATE foliopost.jobs SET kind = 'weekly', brand = 'acme', submitted_at = '2026-01-31 23:59:59+00'"
          " WHERE id = %lld",
          (long long)first);
    t_sql("UPDATE foliopost.jobs SET template_name = 'plain', brand = 'acme', state = 'PAUSED',"
          " submitted_at = '2026-02-01 00:00:00+00' WHERE id = %lld + 1",
          (long long)first);
    t_sql(
        "UPDATE foliopost.jobs SET parent_job = %lld, provider = 'relay', submitted_by = 'ann', state = 'CANCELLED'"
        " WHERE id = %lld + 2",
        (long long)first, (long long)first);
    t_sql("UPDATE foliopost.jobs SET dry_run = true, state = 'FAILED' WHERE id = %lld + 3", (long long)first);
    t_sql("INSERT INTO foliopost.schedules (name, cron, spec) VALUES ('nightly', '@daily', '')");
    t_sql(
        "INSERT INTO foliopost.firings (schedule, due, outcome, job_id) VALUES ('nightly', now(), 'fired', %lld + 4)",
        (long long)first);
    const int64_t february_us = INT64_C(1769904000) * FP_US_PER_S;
    assert_int_equal(LEFT(kind, WEEKLY), 1);
    assert_int_equal(LEFT(template_name, "plain"), 2);
    assert_int_equal(LEFT(brand, "acme"), 21);
    assert_int_equal(LEFT(open, true), 521);
    assert_int_equal(LEFT(state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_PAUSED), 2);
    assert_int_equal(LEFT(to_us, february_us), 1);
    assert_int_equal(LEFT(from_us, february_us), 5432);
    assert_int_equal(LEFT(parent_job, first), 3);
    assert_int_equal(LEFT(provider, "relay"), 3);
    assert_int_equal(LEFT(submitted_by, "ann"), 3);
    assert_int_equal(LEFT(schedule, "nightly"), 5);
    assert_int_equal(LEFT(without_dry_runs, true), 5321);
    assert_int_equal(LEFT(brand, "acm"), 0);
    /* Together they all must hold, and a page keeps to them. */
    q.brand = "acme";
    q.page_size = 1;
    Foliopost__V1__ListJobsResponse *r = jobs_like(&q);
    assert_int_equal(places(r, first), 2);
    q.before_id = r->next_before_id;
    r = jobs_like(&q);
    assert_int_equal(places(r, first), 1);
    assert_int_equal(r->next_before_id, 0);
    q.kind = MONTHLY;
    q.before_id = 0;
    assert_int_equal(places(jobs_like(&q), first), 2);
    q.kind = 9;
    refused("ListJobs", &q.base, reply, FP_INVALID_ARGUMENT, "kind");
    q.kind = 0;
    q.from_us = q.to_us = february_us;
    refused("ListJobs", &q.base, reply, FP_INVALID_ARGUMENT, "to_us: not after from_us");
    q.from_us = -1;
    refused("ListJobs", &q.base, reply, FP_INVALID_ARGUMENT, "from_us");
    assert_int_equal(get(first + 2)->parent_job, first);
    assert_true(get(first)->as_of_us > 0);
    t_sql("DELETE FROM foliopost.schedules");
}

/* --- why it waits, what it did -------------------------------------------------------------- */

static void a_job_says_what_it_waits_for_worst_first(void **state)
{
    char other[LEDGER_UUID];
    bool held;

    (void)state;
    int64_t id = submitted("waits");
    Foliopost__V1__Job *j = get(id);
    assert_non_null(strstr(j->waiting[0], "no stats is alive"));
    assert_true(waits_for(j, "no userstream is alive"));
    assert_false(waits_for(j, "no mailer is alive"));
    t_instance("stats", other);
    t_instance("userstream", other);
    assert_ok(ledger_instance_renew(t_ledger, other, 1, "cannot reach the source", &held, &t_err));
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 100, &t_err));
    assert_ok(ledger_provider_fault(t_ledger, "smtp", "connection refused", &t_err));
    j = get(id);
    assert_non_null(strstr(j->waiting[0], "connection refused"));
    assert_non_null(strstr(j->waiting[1], "cannot reach the source"));
    assert_false(waits_for(j, "alive"));
    t_set.max_jobs = 1;
    t_sql("UPDATE foliopost.jobs SET state = 'IN_PROGRESS' WHERE id = %lld", (long long)id);
    assert_false(waits_for(get(submitted("second")), "--max-jobs is 1")); /* it has nothing left to do */
    t_sql("INSERT INTO foliopost.intervals (job_id, no, lower_at, upper_at, cursor_at, cursor_id)"
          " VALUES (%lld, 1, '2024-01-01', '2024-02-01', '2024-01-01', 0)",
          (long long)id);
    assert_true(waits_for(get(submitted("second")), "--max-jobs is 1"));
}

static void the_report_of_a_finished_job_agrees_with_its_proof(void **state)
{
    struct t_scheduler s;
    Foliopost__V1__GetReportRequest q = FOLIOPOST__V1__GET_REPORT_REQUEST__INIT;
    Foliopost__V1__ListDeliveriesRequest d = FOLIOPOST__V1__LIST_DELIVERIES_REQUEST__INIT;

    (void)state;
    t_users(250, "2024-01-20", "6 hours");
    t_scheduler_up(&s);
    int64_t id = submitted("report");
    t_tick(&s);
    bool more;
    t_mail(t_page(&t_bus[0], &more), DELIVERY_FAILED, DELIVERY_SENT);
    t_run_until(&s, id, JOB_COMPLETED, 30);
    t_scheduler_down(&s);

    q.job_id = d.job_id = id;
    Foliopost__V1__Report *r = called("GetReport", &q.base, &foliopost__v1__report__descriptor);
    assert_int_equal(r->users_processed, 250);
    assert_int_equal(r->mails_sent, 249);
    assert_int_equal(r->failed, 1);
    assert_true(r->success_rate > 0.995 && r->success_rate < 0.997);
    assert_true(r->duration_s > 0 && r->users_per_minute > 0);
    assert_int_equal(r->job->proof->users, 250);
    assert_int_equal(r->job->proof->sent, 249);
    int64_t users = 0;
    for (size_t i = 0; i < r->n_intervals; i++)
        users += r->intervals[i]->counts->users;
    assert_int_equal(users, 250);
    assert_int_equal(r->n_reasons, 2);

    d.page_size = 100;
    int64_t seen = 0;
    do {
        Foliopost__V1__ListDeliveriesResponse *p =
            called("ListDeliveries", &d.base, &foliopost__v1__list_deliveries_response__descriptor);
        for (size_t i = 0; i < p->n_deliveries; i++)
            assert_int_equal(p->deliveries[i]->user_id, ++seen);
        d.after_user_id = p->next_after_user_id;
    } while (d.after_user_id);
    assert_int_equal(seen, 250);
    d.state = FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_FAILED;
    Foliopost__V1__ListDeliveriesResponse *p =
        called("ListDeliveries", &d.base, &foliopost__v1__list_deliveries_response__descriptor);
    assert_int_equal(p->n_deliveries, 1);
    assert_string_equal(p->deliveries[0]->reason, "said so");
}

static Foliopost__V1__GetUserHistoryResponse *history(int64_t user_id, int page, int64_t before)
{
    Foliopost__V1__GetUserHistoryRequest q = FOLIOPOST__V1__GET_USER_HISTORY_REQUEST__INIT;

    q.user_id = user_id;
    q.page_size = page;
    q.before_job_id = before;
    return called("GetUserHistory", &q.base, &foliopost__v1__get_user_history_response__descriptor);
}

static Foliopost__V1__RetryFailedResponse *retry(int64_t job_id)
{
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;

    q.job_id = job_id;
    return called("RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor);
}

static void a_users_history_goes_back_from_job_to_job(void **state)
{
    Foliopost__V1__GetUserHistoryRequest wrong = FOLIOPOST__V1__GET_USER_HISTORY_REQUEST__INIT;

    (void)state;
    int64_t first = submitted("history 1"), second = submitted("history 2"), third = submitted("history 3");
    t_sql(
        "INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, reason, content_hash)"
        " SELECT j.id, u, 1, CASE WHEN j.id = %lld THEN 'failed' ELSE 'sent' END, '', decode(repeat('ab', 16), 'hex')"
        " FROM foliopost.jobs j CROSS JOIN generate_series(1, 3) u WHERE j.id <> %lld",
        (long long)third, (long long)second);
    Foliopost__V1__GetUserHistoryResponse *h = history(2, 0, 0);
    assert_int_equal(h->n_mails, 2);
    assert_int_equal(h->mails[0]->job_id, third);
    assert_int_equal(h->mails[0]->delivery->state, FOLIOPOST__V1__DELIVERY_STATE__DELIVERY_STATE_FAILED);
    assert_int_equal(h->mails[0]->kind, MONTHLY);
    assert_int_equal(strlen(h->mails[0]->period_end), 10);
    assert_int_equal(h->mails[1]->job_id, first);
    assert_int_equal(h->mails[1]->delivery->user_id, 2);
    assert_string_equal(h->mails[1]->delivery->content_hash, "abababababababababababababababab");
    assert_int_equal(h->next_before_job_id, 0);
    h = history(2, 1, 0);
    assert_int_equal(h->n_mails, 1);
    assert_int_equal(h->next_before_job_id, third);
    h = history(2, 1, h->next_before_job_id);
    assert_int_equal(h->mails[0]->job_id, first);
    assert_int_equal(h->next_before_job_id, 0);
    assert_int_equal(history(4711, 0, 0)->n_mails, 0);
    wrong.user_id = 1;
    wrong.page_size = 201;
    refused("GetUserHistory", &wrong.base, &foliopost__v1__get_user_history_response__descriptor,
            FP_INVALID_ARGUMENT, "page_size: 201");
}

static void the_fleet_is_who_lives_and_says_what_it_has(void **state)
{
    Foliopost__V1__GetFleetRequest q = FOLIOPOST__V1__GET_FLEET_REQUEST__INIT;
    struct t_scheduler s;
    bool more;

    (void)state;
    t_users(50, "2024-01-20", "6 hours");
    t_scheduler_up(&s);
    t_sql("INSERT INTO foliopost.instances (id, service, lease_until) SELECT '%s'::uuid, 'scheduler', "
          "clock_timestamp() + interval '10 s'",
          s.owner);
    (void)submitted("fleet");
    t_tick(&s);
    (void)t_page(&t_bus[0], &more);
    t_sql(
        "UPDATE foliopost.batches SET state = 'sending', epoch = 1, owner = '%s'::uuid, claimed_at = clock_timestamp()",
        t_mailer);
    const Foliopost__V1__GetFleetResponse *r =
        called("GetFleet", &q.base, &foliopost__v1__get_fleet_response__descriptor);
    int mailers = 0, leaders = 0;
    for (size_t i = 0; i < r->n_instances; i++) {
        const Foliopost__V1__Instance *m = r->instances[i];
        mailers += strcmp(m->id, t_mailer) == 0 && m->batches == 1 && !m->leads;
        leaders += m->leads && strcmp(m->service, "scheduler") == 0;
        assert_true(m->heard_us <= clock_wall_us() + FP_US_PER_S && m->started_us > 0);
    }
    assert_int_equal(mailers, 1);
    assert_int_equal(leaders, 1);
    t_scheduler_down(&s);
}

static void failed_mails_are_tried_again_and_no_other(void **state)
{
    Foliopost__V1__RetryFailedRequest q = FOLIOPOST__V1__RETRY_FAILED_REQUEST__INIT;
    struct t_scheduler s;
    bool more;

    (void)state;
    t_users(50, "2024-01-20", "6 hours");
    t_scheduler_up(&s);
    int64_t id = q.job_id = submitted("retry");
    t_tick(&s);
    refused("RetryFailed", &q.base, &foliopost__v1__retry_failed_response__descriptor, FP_FAILED_PRECONDITION,
            "only a COMPLETED one");
    t_mail(t_page(&t_bus[0], &more), DELIVERY_FAILED, DELIVERY_SENT);
    t_run_until(&s, id, JOB_COMPLETED, 30);
    Foliopost__V1__RetryFailedResponse *r = retry(id);
    assert_int_equal(r->users, 1);
    assert_int_equal(r->job->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_IN_PROGRESS);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries WHERE state = 'sent'"), 49);
    assert_int_equal(t_sql("SELECT user_id FROM foliopost.deliveries WHERE state = 'deferred'"), 1);
    t_sql("UPDATE foliopost.deliveries SET state = 'sent', due_at = NULL WHERE state = 'deferred'");
    t_sql("UPDATE foliopost.batches SET sent = sent + deferred, deferred = 0");
    t_run_until(&s, id, JOB_COMPLETED, 30);
    assert_int_equal(retry(id)->users, 0);
    assert_int_equal(get(id)->state, FOLIOPOST__V1__JOB_STATE__JOB_STATE_COMPLETED);
    t_scheduler_down(&s);
}

static Foliopost__V1__Job *detailed(int64_t id)
{
    Foliopost__V1__GetJobRequest q = FOLIOPOST__V1__GET_JOB_REQUEST__INIT;

    q.job_id = id;
    q.details = true;
    return called("GetJob", &q.base, &foliopost__v1__job__descriptor);
}

static void details_are_intervals_and_failures_for_who_asks(void **state)
{
    struct t_scheduler s;
    bool more;

    (void)state;
    t_users(50, "2024-01-20", "6 hours");
    t_scheduler_up(&s);
    int64_t id = submitted("details");
    assert_int_equal(detailed(id)->n_intervals, 0);
    t_tick(&s);
    Foliopost__V1__Job *job = detailed(id);
    assert_true(job->n_intervals > 20);
    for (size_t i = 0; i < job->n_intervals; i++)
        assert_true(job->intervals[i]->paged_part == 0);
    t_mail(t_page(&t_bus[0], &more), DELIVERY_FAILED, DELIVERY_SENT);
    job = detailed(id);
    assert_true(job->intervals[0]->paged_part == 1);
    assert_int_equal(job->intervals[0]->counts->failed, 1);
    assert_int_equal(job->n_failures, 1);
    assert_string_equal(job->failures[0]->reason, "said so");
    assert_int_equal(job->failures[0]->users, 1);
    assert_false(job->failures_partial);
    t_sql(
        "UPDATE foliopost.intervals SET state = 'granted', cursor_at = lower_at + (upper_at - lower_at) / 4 WHERE no = 2");
    assert_true(detailed(id)->intervals[1]->paged_part == 0.25);
    job = get(id);
    assert_true(job->n_intervals == 0 && job->n_failures == 0);
    t_scheduler_down(&s);
}

/* --- suppressions ------------------------------------------------------------------------ */

static Foliopost__V1__ListSuppressionsResponse *listed(const char *address, int64_t after)
{
    Foliopost__V1__ListSuppressionsRequest q = FOLIOPOST__V1__LIST_SUPPRESSIONS_REQUEST__INIT;

    q.address = (char *)address;
    q.after_id = after;
    q.page_size = 2;
    return called("ListSuppressions", &q.base, &foliopost__v1__list_suppressions_response__descriptor);
}

static void suppressions_are_added_listed_and_removed(void **state)
{
    Foliopost__V1__SuppressRequest q = FOLIOPOST__V1__SUPPRESS_REQUEST__INIT;
    Foliopost__V1__UnsuppressRequest u = FOLIOPOST__V1__UNSUPPRESS_REQUEST__INIT;
    Foliopost__V1__Suppression e[3], *list[3] = {&e[0], &e[1], &e[2]};

    (void)state;
    for (int i = 0; i < 3; i++)
        foliopost__v1__suppression__init(&e[i]);
    e[0].user_id = 5;
    e[0].kind = WEEKLY;
    e[1].address = (char *)"Ann@Example.org";
    e[1].reason = FOLIOPOST__V1__SUPPRESSION_REASON__SUPPRESSION_REASON_COMPLAINT;
    e[2].user_id = 6;
    e[2].expires_us = clock_wall_us() + FP_US_PER_DAY;
    q.suppressions = list;
    q.n_suppressions = 3;
    for (int round = 0; round < 2; round++) {
        Foliopost__V1__SuppressResponse *r =
            called("Suppress", &q.base, &foliopost__v1__suppress_response__descriptor);
        assert_int_equal(r->added, round == 0 ? 3 : 0);
        assert_int_equal(r->known, round == 0 ? 0 : 3);
    }
    Foliopost__V1__ListSuppressionsResponse *page = listed("", 0);
    assert_int_equal(page->n_suppressions, 2);
    assert_int_equal(page->suppressions[1]->kind, WEEKLY);
    assert_int_equal(page->suppressions[1]->reason,
                     FOLIOPOST__V1__SUPPRESSION_REASON__SUPPRESSION_REASON_MANUAL);
    page = listed("", page->next_after_id);
    assert_int_equal(page->n_suppressions, 1);
    assert_int_equal(page->next_after_id, 0);
    page = listed("ann@example.org", 0);
    assert_int_equal(page->n_suppressions, 1);
    assert_string_equal(page->suppressions[0]->address, "");
    assert_int_equal(strlen(page->suppressions[0]->address_hash), 36);
    u.address = (char *)"ann@example.org";
    Foliopost__V1__UnsuppressResponse *gone =
        called("Unsuppress", &u.base, &foliopost__v1__unsuppress_response__descriptor);
    assert_int_equal(gone->removed, 1);
}

static void wrong_suppressions_are_refused_whole(void **state)
{
    Foliopost__V1__SuppressRequest q = FOLIOPOST__V1__SUPPRESS_REQUEST__INIT;
    Foliopost__V1__UnsuppressRequest u = FOLIOPOST__V1__UNSUPPRESS_REQUEST__INIT;
    Foliopost__V1__Suppression good, e, *list[2] = {&good, &e};
    const ProtobufCMessageDescriptor *reply = &foliopost__v1__suppress_response__descriptor;

    (void)state;
    foliopost__v1__suppression__init(&good);
    good.user_id = 1;
    q.suppressions = list;
    refused("Suppress", &q.base, reply, FP_INVALID_ARGUMENT, "suppressions: none");
    q.n_suppressions = 2;
#define WRONG(field, value, says)                                                                            \
    foliopost__v1__suppression__init(&e);                                                                    \
    e.field = value;                                                                                         \
    refused("Suppress", &q.base, reply, FP_INVALID_ARGUMENT, says)
    WRONG(job_id, 1, "suppressions[1]: user_id: neither");
    WRONG(address, (char *)"secret-name-at-nowhere", "suppressions[1]: address: is not");
    assert_null(strstr(t_err.msg, "secret"));
    WRONG(address_hash, (char *)"xyz", "address_hash: is not one");
    WRONG(user_id, -1, "user_id");
    WRONG(user_id, 2; e.evidence = (char *)"said ann@x.org", "holds an @");
    WRONG(user_id, 2; e.kind = 9, "kind");
    WRONG(user_id, 2; e.reason = 9, "reason");
    refused("Unsuppress", &u.base, &foliopost__v1__unsuppress_response__descriptor, FP_INVALID_ARGUMENT,
            "neither a user nor an address");
    assert_int_equal(listed("", 0)->n_suppressions, 0);
}

/* A standby that has answered every method in every way still has room for what it tells when it leads. */
static void every_answer_at_both_doors_has_its_series(void **state)
{
    const size_t others = 8; /* health, reflection, and what is no method */
    const size_t rest = 400; /* statements, most of them, and what the leader counts */
    const size_t answers = FP_UNAUTHENTICATED + 1 + 1; /* its codes, and its seconds */

    (void)state;
    assert_true(2 * (methods_n + others) * answers + rest <= METRICS_MAX_SERIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_submission_makes_a_job_and_wakes_the_leader, fresh),
        cmocka_unit_test_setup(the_audience_ends_before_the_submission_by_the_margin, fresh),
        cmocka_unit_test_setup(the_same_request_twice_is_the_same_job, fresh),
        cmocka_unit_test_setup(a_request_that_is_known_is_answered_whatever_has_changed, fresh),
        cmocka_unit_test_setup(a_deadline_from_the_submission_on_is_the_same_request_later, fresh),
        cmocka_unit_test_setup(a_long_list_is_told_as_a_number, fresh),
        cmocka_unit_test_setup(a_dry_run_plans_and_makes_nothing, fresh),
        cmocka_unit_test_setup(a_dry_run_says_how_long_it_would_take, fresh),
        cmocka_unit_test_setup(a_field_that_is_not_known_is_refused_by_every_method, fresh),
        cmocka_unit_test_setup(wrong_requests_are_refused_by_name, fresh),
        cmocka_unit_test_setup(a_source_that_is_away_is_said, fresh),
        cmocka_unit_test_setup(open_jobs_have_a_maximum, fresh),
        cmocka_unit_test_setup(states_change_once_and_repeat_as_a_success, fresh),
        cmocka_unit_test_setup(lists_are_paged_newest_first, fresh),
        cmocka_unit_test_setup(lists_have_what_the_filter_leaves, fresh),
        cmocka_unit_test_setup(a_job_says_what_it_waits_for_worst_first, fresh),
        cmocka_unit_test_setup(the_report_of_a_finished_job_agrees_with_its_proof, fresh),
        cmocka_unit_test_setup(a_users_history_goes_back_from_job_to_job, fresh),
        cmocka_unit_test_setup(failed_mails_are_tried_again_and_no_other, fresh),
        cmocka_unit_test_setup(details_are_intervals_and_failures_for_who_asks, fresh),
        cmocka_unit_test_setup(the_fleet_is_who_lives_and_says_what_it_has, fresh),
        cmocka_unit_test_setup(suppressions_are_added_listed_and_removed, fresh),
        cmocka_unit_test_setup(wrong_suppressions_are_refused_whole, fresh),
        cmocka_unit_test(every_answer_at_both_doors_has_its_series),
    };

    int failed = cmocka_run_group_tests(tests, door_up, door_down);
    _exit(failed); /* NNG 1.5 is not taken down: see lib/bus/bus.h */
}
