/* The leader's turns against a real PostgreSQL, with a bus in memory. */
#include "services/scheduler/testing.h"

#include "lib/metrics/metrics.h"

static void a_job_is_run_to_its_proof(void **state)
{
    struct t_scheduler s;
    struct ledger_proof p;
    struct ledger_counts c;

    (void)state;
    t_users(250, "2024-01-20", "6 hours"); /* 63 days: parts of January and March, all of February */
    t_scheduler_up(&s);
    struct ledger_job spec = t_spec();
    int64_t job = t_submit(&spec);
    t_run_until(&s, job, JOB_COMPLETED, 20);
    assert_ok(ledger_job_proof(t_ledger, job, &p, &t_err));
    assert_int_equal(p.users, 250);
    assert_int_equal(p.sent, 250);
    assert_ok(ledger_job_counts(t_ledger, job, &c, &t_err));
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.intervals WHERE job_id = %lld AND lower_at < '2024-04-01'",
              (long long)job),
        3);
    assert_int_equal(c.users, 250);
    t_scheduler_down(&s);
}

static void a_list_of_users_is_one_interval(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int64_t ids[250];
    struct ledger_proof p;

    (void)state;
    for (int i = 0; i < 250; i++)
        ids[i] = 1000 + i;
    spec.user_ids = ids;
    spec.n_user_ids = 250;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_run_until(&s, job, JOB_COMPLETED, 20);
    assert_ok(ledger_job_proof(t_ledger, job, &p, &t_err));
    assert_int_equal(p.sent, 250);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE job_id = %lld", (long long)job),
                     1);
    t_scheduler_down(&s);
}

static void a_job_for_nobody_completes(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec); /* no users at all */
    t_run_until(&s, job, JOB_COMPLETED, 5);
    t_users(10, "2024-01-20", "1 day");
    spec = t_spec();
    spec.registered_from_us = INT64_C(1577836800000000); /* 2020: users come after its end */
    spec.audience_end_us = INT64_C(1585699200000000);
    job = t_submit(&spec);
    t_run_until(&s, job, JOB_COMPLETED, 10);
    t_scheduler_down(&s);
}

static void the_range_start_setting_bounds_the_audience(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    struct ledger_proof p;

    (void)state;
    t_users(100, "2024-01-01", "1 day");
    t_set.range_start = (char *)"2024-02-10"; /* the 41st user */
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_run_until(&s, job, JOB_COMPLETED, 20);
    assert_ok(ledger_job_proof(t_ledger, job, &p, &t_err));
    assert_int_equal(p.users, 60);
    t_scheduler_down(&s);
}

static void a_job_that_cannot_be_planned_fails_and_says_why(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(1, "1700-01-01", "1 day");
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_FAILED);
    assert_non_null(strstr(t_job(job).response, "range-start"));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.error_log WHERE job_id = %lld", (long long)job),
                     1);
    t_scheduler_down(&s);
}

static void a_source_that_fails_is_waited_for(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 day");
    t_scheduler_up(&s);
    t_sql("ALTER TABLE portfolio.users RENAME TO hidden");
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_PENDING);
    t_tick(&s);
    assert_non_null(strstr(t_job(job).waiting, "portfolio.users"));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.error_log"), 1); /* once, not each second */
    t_sql("ALTER TABLE portfolio.hidden RENAME TO users");
    s.leader.tracks[0].next_try_mono_us = s.leader.next_plan_mono_us = 0;
    t_run_until(&s, job, JOB_COMPLETED, 30);
    assert_string_equal(t_job(job).waiting, "");
    t_scheduler_down(&s);
}

/* Each question to a source that is silent costs the loop seconds. */
static void a_source_that_fails_is_asked_once_for_all_jobs(void **state)
{
    struct t_scheduler s;
    struct ledger_job list = t_spec();
    int64_t ids[] = {1, 2}, job[3];

    (void)state;
    t_users(10, "2024-01-01", "1 day");
    t_set.max_jobs = 5;
    t_scheduler_up(&s);
    t_sql("CREATE SEQUENCE portfolio.questions");
    t_sql("ALTER TABLE portfolio.users RENAME TO hidden");
    t_sql("CREATE FUNCTION portfolio.fail() RETURNS boolean LANGUAGE plpgsql AS"
          " $$ BEGIN PERFORM nextval('portfolio.questions'); RAISE 'it is silent'; END $$");
    t_sql("CREATE VIEW portfolio.users AS SELECT * FROM portfolio.hidden WHERE portfolio.fail()");
    for (int i = 0; i < 3; i++) {
        struct ledger_job spec = t_spec();
        job[i] = t_submit(&spec);
    }
    list.user_ids = ids;
    list.n_user_ids = 2;
    int64_t list_job = t_submit(&list);
    t_tick(&s);
    t_tick(&s);
    int64_t asked = t_sql("SELECT last_value FROM portfolio.questions");
    t_sql("DROP VIEW portfolio.users");
    t_sql("DROP FUNCTION portfolio.fail");
    t_sql("DROP SEQUENCE portfolio.questions");
    t_sql("ALTER TABLE portfolio.hidden RENAME TO users");
    assert_int_equal(asked, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t_job(job[i]).state, JOB_PENDING);
        assert_non_null(strstr(t_job(job[i]).waiting, "it is silent"));
    }
    assert_int_equal(t_job(list_job).state, JOB_IN_PROGRESS); /* its plan needs no source */
    t_scheduler_down(&s);
}

/* --- windows and grants ----------------------------------------------------------------- */

static void grants_stop_at_the_window(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int pages;

    (void)state;
    t_users(1000, "2024-03-01", "1 minute");
    spec.batch_size = 10;
    spec.window_batches = 7;
    t_set.grant_pages = 5;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages),
                     2); /* to the first month, and to the next: the rest of the window */
    assert_int_equal(pages, 7);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 2); /* nothing was paged: nothing more */
    int most = 0;
    for (int i = 0; i < 300 && t_job(job).state != JOB_COMPLETED; i++) {
        struct t_work w[64];
        int n = t_n_work;
        assert_true(n <= 64);
        memcpy(w, t_bus, (size_t)n * sizeof *w);
        t_n_work = 0;
        for (int k = 0; k < n; k++)
            for (bool more = w[k].batch_id == 0; more;)
                (void)t_page(&w[k], &more);
        int open = (int)t_sql("SELECT count(*) FROM foliopost.batches WHERE state = 'queued'");
        most = open > most ? open : most;
        int64_t oldest = t_sql("SELECT min(id) FROM foliopost.batches WHERE state = 'queued'");
        if (oldest > 0)
            t_mail(oldest, DELIVERY_SENT, DELIVERY_SENT);
        t_tick(&s);
    }
    assert_int_equal(t_job(job).state, JOB_COMPLETED);
    assert_int_equal(most, 7);
    t_scheduler_down(&s);
}

static void jobs_that_name_a_provider_leave_slots_to_others(void **state)
{
    struct t_scheduler s;
    int pages, other_pages;

    (void)state;
    t_users(2000, "2024-01-01", "1 minute");
    t_sql("UPDATE foliopost.instances SET slots = 4 WHERE service = 'mailer'");
    t_set.max_jobs = 4;
    t_scheduler_up(&s);
    int64_t jobs[3];
    for (int i = 0; i < 3; i++) {
        struct ledger_job spec = t_spec();
        spec.batch_size = 10;
        (void)snprintf(spec.provider, sizeof spec.provider, "%s", i < 2 ? "slow" : "slow too");
        jobs[i] = t_submit(&spec);
    }
    for (int i = 0; i < 3; i++)
        t_tick(&s);
    (void)t_grants(jobs[0], &pages);
    (void)t_grants(jobs[1], &other_pages);
    assert_int_equal(pages + other_pages, 2);
    (void)t_grants(jobs[2], &other_pages);
    assert_int_equal(pages + other_pages <= 3, 1);
    struct ledger_job free = t_spec();
    int64_t job = t_submit(&free);
    t_tick(&s);
    (void)t_grants(job, &pages);
    assert_in_range(pages, 5, 1000);
    t_scheduler_down(&s);
}

static void a_small_job_beside_a_big_one_is_granted_at_once(void **state)
{
    struct t_scheduler s;
    struct ledger_job big = t_spec(), small = t_spec();
    int64_t ids[] = {3, 5, 9};
    int pages;

    (void)state;
    t_users(2000, "2024-01-01", "10 minutes");
    big.batch_size = 1;
    big.window_batches = 20;
    small.user_ids = ids;
    small.n_user_ids = 3;
    t_scheduler_up(&s);
    int64_t big_job = t_submit(&big);
    for (int i = 0; i < 3; i++) {
        t_tick(&s);
        assert_true(t_grants(big_job, &pages) > 0);
        t_pump();
    }
    t_tick(&s);
    int64_t small_job = t_submit(&small);
    t_tick(&s);
    assert_int_equal(t_grants(small_job, &pages), 1);
    t_run_until(&s, small_job, JOB_COMPLETED, 3);
    assert_int_equal(t_job(big_job).state, JOB_IN_PROGRESS);
    t_scheduler_down(&s);
}

static void no_more_jobs_run_than_may(void **state)
{
    struct t_scheduler s;
    int64_t job[4];

    (void)state;
    t_users(50, "2024-01-01", "1 day");
    t_set.max_jobs = 2;
    t_scheduler_up(&s);
    for (int i = 0; i < 4; i++) {
        struct ledger_job spec = t_spec();
        job[i] = t_submit(&spec);
    }
    t_tick(&s);
    assert_int_equal(t_job(job[1]).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(job[2]).state, JOB_PENDING);
    t_n_work = 0; /* stays so while nothing is done */
    t_tick(&s);
    assert_int_equal(t_job(job[2]).state, JOB_PENDING);
    assert_ok(ledger_job_cancel(t_ledger, job[0], "", "tester", &t_err));
    t_tick(&s);
    assert_int_equal(t_job(job[2]).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(job[3]).state, JOB_PENDING);
    t_scheduler_down(&s);
}

/* Some hours for one user's greylisting are no turn. */
static void a_job_that_waits_for_its_last_users_holds_up_no_other(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec(), other = t_spec();
    bool more;

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    spec.audience_end_us = INT64_C(1706745600000000);
    t_set.max_jobs = 1;
    t_scheduler_up(&s);
    int64_t first = t_submit(&spec), second = t_submit(&other);
    t_tick(&s);
    assert_int_equal(t_job(first).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(second).state, JOB_PENDING);
    t_mail(t_page(&t_bus[0], &more), DELIVERY_DEFERRED, DELIVERY_SENT);
    t_sql(
        "UPDATE foliopost.deliveries SET due_at = clock_timestamp() + interval '1 hour' WHERE state = 'deferred'");
    for (int i = 0; i < 5 && t_job(second).state == JOB_PENDING; i++)
        t_tick(&s);
    assert_int_equal(t_job(first).state, JOB_IN_PROGRESS);
    assert_int_equal(t_job(second).state, JOB_IN_PROGRESS);
    t_scheduler_down(&s);
}

static void the_delay_between_intervals_is_kept(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int pages;

    (void)state;
    t_users(90, "2024-01-01", "1 day");
    spec.audience_end_us = INT64_C(1711929600000000); /* 2024-04-01 */
    spec.interval_delay_ms = 2000; /* what comes before its end must fit, on a busy machine too */
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 1);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 1);
    t_pump();
    t_tick(&s);
    assert_non_null(strstr(t_job(job).waiting, "delay"));
    clock_sleep_us(2010000);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 1);
    assert_int_equal(t_bus[0].interval_no, 2);
    t_scheduler_down(&s);
}

static void without_a_userstream_nothing_is_granted_and_the_job_says_so(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 day");
    t_scheduler_up(&s);
    s.peers = 0;
    int64_t job = t_submit(&spec);
    t_tick(&s);
    t_tick(&s);
    assert_int_equal(t_n_work, 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state <> 'ready'"), 0);
    assert_non_null(strstr(t_job(job).waiting, "userstream"));
    s.peers = 1;
    t_run_until(&s, job, JOB_COMPLETED, 30);
    t_scheduler_down(&s);
}

/* Whom a full window of new pages would keep waiting. */
static void retries_get_their_share_of_a_full_window(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int64_t batch[3];
    bool more;

    (void)state;
    t_users(1000, "2024-01-01", "1 minute");
    spec.batch_size = 10;
    spec.window_batches = 3;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    for (int i = 0; i < 3; i++)
        batch[i] = t_page(&t_bus[0], &more);
    t_mail(batch[0], DELIVERY_DEFERRED, DELIVERY_SENT);
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp() WHERE state = 'deferred'");
    t_n_work = 0;
    assert_ok(grant_jobs(&s.leader, &t_err)); /* the turns between two sweeps */
    assert_true(t_bus[0].pages == 1);
    t_n_work = 0;
    s.leader.tracks[0].next_reserve_mono_us = 0; /* nobody was due at first */
    t_tick(&s);                                  /* the sweep finds the window full */
    assert_int_equal(t_n_work, 0);
    t_mail(batch[1], DELIVERY_SENT, DELIVERY_SENT);
    assert_ok(grant_jobs(&s.leader, &t_err));
    assert_int_equal(t_n_work, 0); /* the place is kept */
    t_tick(&s);
    assert_int_equal(t_n_work, 1);
    assert_true(t_bus[0].batch_id > 0);
    t_mail(t_bus[0].batch_id, DELIVERY_SENT, DELIVERY_SENT);
    t_n_work = 0;
    assert_ok(grant_jobs(&s.leader, &t_err)); /* and now it is the turn of the pages */
    assert_int_equal(t_n_work, 1);
    assert_int_equal(t_bus[0].pages, 1);
    assert_int_equal(t_bus[0].job_id, job);
    t_scheduler_down(&s);
}

/* --- what is lost comes again ---------------------------------------------------------------- */

/* The oldest of all live ones decides; who is gone, or of another kind, does not. */
static void a_job_that_an_older_program_would_spoil_waits_for_the_end_of_the_rollout(void **state)
{
    static const char *const kinds[] = {"mailer", "userstream"};
    char old[LEDGER_UUID];
    struct t_scheduler s;
    int pages;

    (void)state;
    t_users(100, "2024-01-01", "1 minute");
    for (int k = 0; k < 2; k++) {
        struct ledger_job spec = t_spec(), plain = t_spec();
        t_instance("stats", old);
        t_sql("UPDATE foliopost.instances SET schema_version = 0 WHERE id = '%s'", old);
        t_instance(kinds[k], old);
        t_instance(kinds[k], (char[LEDGER_UUID]){0});
        t_sql("UPDATE foliopost.instances SET schema_version = 13, version = '0.9', address = 'pod-7'"
              " WHERE id = '%s'",
              old);
        if (k == 0)
            spec.dry_run = true;
        else
            spec.share_ppm = 500000;
        t_set.max_jobs = 4;
        t_scheduler_up(&s);
        int64_t job = t_submit(&spec), other = t_submit(&plain);
        t_tick(&s);
        assert_true(t_grants(other, &pages) > 0);
        assert_int_equal(t_grants(job, &pages), 0);
        t_tick(&s);
        assert_int_equal(t_grants(job, &pages), 0);
        assert_non_null(strstr(t_job(job).waiting, "end of the rollout"));
        assert_non_null(strstr(t_job(job).waiting,
                               k == 0 ? "mailer pod-7 (version 0.9)" : "userstream pod-7 (version 0.9)"));
        assert_ok(ledger_instance_end(t_ledger, old, &t_err));
        t_tick(&s);
        assert_true(t_grants(job, &pages) > 0);
        t_tick(&s);
        assert_string_equal(t_job(job).waiting, "");
        t_scheduler_down(&s);
    }
}

static void a_lost_grant_comes_again(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    int pages;

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    spec.audience_end_us = INT64_C(1706745600000000); /* 2024-02-01: one interval */
    t_set.grant_due_ms = 1500;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 1);
    struct t_work lost = t_bus[0];
    t_n_work = 0;
    t_tick(&s);
    assert_int_equal(t_n_work, 0); /* not yet due */
    clock_sleep_us(1600000);
    t_tick(&s);
    assert_int_equal(t_grants(job, &pages), 1);
    assert_int_equal(t_bus[0].grant_no, lost.grant_no + 1);
    bool more;
    assert_int_equal(t_page(&lost, &more), 0); /* the old one turns up late: it is void */
    t_run_until(&s, job, JOB_COMPLETED, 5);
    t_scheduler_down(&s);
}

static void a_pipe_that_takes_nothing_does_not_hold_the_loop(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(1000, "2020-01-01", "1 day");
    t_set.grant_due_ms = 50;
    t_scheduler_up(&s);
    s.deaf = true;
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'granted'"),
                     1); /* and no more */
    s.deaf = false;
    clock_sleep_us(60000);
    t_run_until(&s, job, JOB_COMPLETED, 60);
    t_scheduler_down(&s);
}

static void a_lost_batch_comes_again(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    spec.audience_end_us = INT64_C(1706745600000000); /* one interval */
    t_set.redo_after_ms = 100;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    bool more;
    int64_t batch = t_page(&t_bus[0], &more); /* paged, and lost on its way to stats */
    assert_true(batch > 0);
    t_n_work = 0;
    clock_sleep_us(110000);
    t_tick(&s);
    bool again = false;
    for (int i = 0; i < t_n_work; i++)
        again = again || t_bus[i].batch_id == batch;
    assert_true(again);
    t_run_until(&s, job, JOB_COMPLETED, 20);
    t_scheduler_down(&s);
}

static void a_batch_that_no_userstream_took_is_not_counted(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    bool more = true;

    (void)state;
    t_users(50, "2024-01-01", "1 hour");
    spec.audience_end_us = INT64_C(1706745600000000); /* one interval */
    spec.batch_size = 10;
    t_set.redo_after_ms = 50;
    t_scheduler_up(&s);
    (void)t_submit(&spec);
    t_tick(&s);
    while (more)
        (void)t_page(&t_bus[0], &more);
    int64_t emits = t_sql("SELECT sum(emits) FROM foliopost.batches");
    clock_sleep_us(60000);
    s.deaf = true;
    int64_t before = (int64_t)metrics_value("foliopost_work_dropped_total", "kind=\"batch\"");
    for (int i = 0; i < 3; i++)
        t_tick(&s);
    assert_int_equal(metrics_value("foliopost_work_dropped_total", "kind=\"batch\"") - before, 3);
    assert_int_equal(t_sql("SELECT sum(emits) FROM foliopost.batches"), emits);
    assert_int_equal(t_sql("SELECT sum(redos) FROM foliopost.batches"), 0);
    s.deaf = false;
    t_n_work = 0;
    t_tick(&s);
    assert_int_equal(t_n_work, 5); /* still due */
    t_scheduler_down(&s);
}

static void who_was_refused_for_now_is_tried_again(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();
    struct ledger_proof p;

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    spec.audience_end_us = INT64_C(1706745600000000);
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    bool more;
    t_mail(t_page(&t_bus[0], &more), DELIVERY_DEFERRED, DELIVERY_SENT);
    t_n_work = 0;
    t_sql(
        "UPDATE foliopost.deliveries SET due_at = clock_timestamp() + interval '1 hour' WHERE state = 'deferred'");
    for (int i = 0; i < 3; i++)
        t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS); /* everything is paged and done, but not everybody */
    assert_int_equal(t_n_work, 0);
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp() WHERE state = 'deferred'");
    t_tick(&s);
    assert_int_equal(t_n_work, 1);
    assert_true(t_bus[0].batch_id > 0);
    s.leader.tracks[0].next_try_mono_us = 0;
    t_run_until(&s, job, JOB_COMPLETED, 300);
    assert_ok(ledger_job_proof(t_ledger, job, &p, &t_err));
    assert_int_equal(p.sent, 10);
    t_scheduler_down(&s);
}

/* --- states ------------------------------------------------------------------------------------ */

static void a_paused_job_gets_nothing_and_goes_on_after_resume(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(500, "2024-01-01", "1 hour");
    spec.batch_size = 10;
    spec.window_batches = 4;
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    t_pump();
    assert_ok(ledger_job_pause(t_ledger, job, "wait", "tester", &t_err));
    t_tick(&s);
    t_tick(&s);
    assert_int_equal(t_n_work, 0);
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    t_run_until(&s, job, JOB_COMPLETED, 100);
    t_scheduler_down(&s);
}

static void a_job_past_its_deadline_fails(void **state)
{
    struct t_scheduler s;
    struct ledger_job spec = t_spec();

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    spec.deadline_us = clock_wall_us() + 2 * FP_US_PER_S; /* a busy machine gets as far as the sleep */
    t_scheduler_up(&s);
    int64_t job = t_submit(&spec);
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_IN_PROGRESS);
    clock_sleep_us(spec.deadline_us + 50000 - clock_wall_us());
    t_tick(&s);
    assert_int_equal(t_job(job).state, JOB_FAILED);
    assert_non_null(strstr(t_job(job).response, "deadline"));
    t_scheduler_down(&s);
}

static void tracks_follow_their_jobs(void **state)
{
    struct t_scheduler s;
    int64_t job[3];

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    t_scheduler_up(&s);
    for (int i = 0; i < 3; i++) {
        struct ledger_job spec = t_spec();
        job[i] = t_submit(&spec);
    }
    (void)lead_turn(&s.lead);
    assert_true(leader_holds(&s.leader));
    assert_ok(leader_load_jobs(&s.leader, &t_err));
    for (int i = 0; i < 3; i++)
        s.leader.tracks[i].window = 100 + i;
    assert_ok(ledger_job_cancel(t_ledger, job[1], "", "tester", &t_err));
    struct ledger_job spec = t_spec();
    int64_t last = t_submit(&spec);
    assert_ok(leader_load_jobs(&s.leader, &t_err));
    assert_int_equal(s.leader.n_jobs, 3);
    assert_int_equal(s.leader.tracks[0].window, 100);
    assert_int_equal(s.leader.tracks[1].job_id, job[2]);
    assert_int_equal(s.leader.tracks[1].window, 102);
    assert_int_equal(s.leader.tracks[2].job_id, last);
    assert_int_equal(s.leader.tracks[2].window, 0);
    t_scheduler_down(&s);
}

/* It comes back in front of the others, which go on as they were. */
static void a_reopened_job_takes_no_others_track(void **state)
{
    struct t_scheduler s;
    int64_t job[3];

    (void)state;
    t_users(10, "2024-01-01", "1 hour");
    t_scheduler_up(&s);
    for (int i = 0; i < 3; i++) {
        struct ledger_job spec = t_spec();
        job[i] = t_submit(&spec);
    }
    (void)lead_turn(&s.lead);
    assert_true(leader_holds(&s.leader));
    t_sql("UPDATE foliopost.jobs SET state = 'COMPLETED' WHERE id = %lld", (long long)job[0]);
    assert_ok(leader_load_jobs(&s.leader, &t_err));
    assert_int_equal(s.leader.n_jobs, 2);
    for (int i = 0; i < 2; i++)
        s.leader.tracks[i].window = 101 + i;
    t_sql("UPDATE foliopost.jobs SET state = 'IN_PROGRESS' WHERE id = %lld", (long long)job[0]);
    assert_ok(leader_load_jobs(&s.leader, &t_err));
    assert_int_equal(s.leader.n_jobs, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s.leader.tracks[i].job_id, job[i]);
        assert_int_equal(s.leader.tracks[i].window, i == 0 ? 0 : 100 + i);
    }
    t_scheduler_down(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_is_run_to_its_proof, t_clean),
        cmocka_unit_test_setup(a_list_of_users_is_one_interval, t_clean),
        cmocka_unit_test_setup(a_job_for_nobody_completes, t_clean),
        cmocka_unit_test_setup(the_range_start_setting_bounds_the_audience, t_clean),
        cmocka_unit_test_setup(a_job_that_cannot_be_planned_fails_and_says_why, t_clean),
        cmocka_unit_test_setup(a_source_that_fails_is_waited_for, t_clean),
        cmocka_unit_test_setup(a_source_that_fails_is_asked_once_for_all_jobs, t_clean),
        cmocka_unit_test_setup(grants_stop_at_the_window, t_clean),
        cmocka_unit_test_setup(jobs_that_name_a_provider_leave_slots_to_others, t_clean),
        cmocka_unit_test_setup(a_small_job_beside_a_big_one_is_granted_at_once, t_clean),
        cmocka_unit_test_setup(no_more_jobs_run_than_may, t_clean),
        cmocka_unit_test_setup(a_job_that_waits_for_its_last_users_holds_up_no_other, t_clean),
        cmocka_unit_test_setup(the_delay_between_intervals_is_kept, t_clean),
        cmocka_unit_test_setup(without_a_userstream_nothing_is_granted_and_the_job_says_so, t_clean),
        cmocka_unit_test_setup(retries_get_their_share_of_a_full_window, t_clean),
        cmocka_unit_test_setup(a_job_that_an_older_program_would_spoil_waits_for_the_end_of_the_rollout,
                               t_clean),
        cmocka_unit_test_setup(a_lost_grant_comes_again, t_clean),
        cmocka_unit_test_setup(a_pipe_that_takes_nothing_does_not_hold_the_loop, t_clean),
        cmocka_unit_test_setup(a_lost_batch_comes_again, t_clean),
        cmocka_unit_test_setup(a_batch_that_no_userstream_took_is_not_counted, t_clean),
        cmocka_unit_test_setup(who_was_refused_for_now_is_tried_again, t_clean),
        cmocka_unit_test_setup(a_paused_job_gets_nothing_and_goes_on_after_resume, t_clean),
        cmocka_unit_test_setup(a_job_past_its_deadline_fails, t_clean),
        cmocka_unit_test_setup(tracks_follow_their_jobs, t_clean),
        cmocka_unit_test_setup(a_reopened_job_takes_no_others_track, t_clean),
    };

    return cmocka_run_group_tests(tests, t_up, t_down);
}
