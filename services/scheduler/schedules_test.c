/* Schedules: what JobService says of them, and what the leader makes of a due time. */
#include "lib/ledger/schedules.h"
#include "lib/metrics/metrics.h"
#include "services/scheduler/door.h"
#include "services/scheduler/timetable.h"

static struct t_scheduler leader;

static int up(void **state)
{
    if (fresh(state))
        return -1;
    t_sql("DELETE FROM foliopost.schedules");
    t_scheduler_up(&leader);
    return 0;
}

static int down(void **state)
{
    (void)state;
    t_scheduler_down(&leader);
    return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

#define SCHEDULE &foliopost__v1__schedule__descriptor
#define MS_PER_H INT64_C(3600000)

/* A monthly one, daily at 6 in Berlin; changed by the test before it is sent. */
struct wanted {
    Foliopost__V1__CreateScheduleRequest q;
    Foliopost__V1__Schedule s;
    Foliopost__V1__JobSpec spec;
};

static void want(struct wanted *w)
{
    foliopost__v1__create_schedule_request__init(&w->q);
    foliopost__v1__schedule__init(&w->s);
    foliopost__v1__job_spec__init(&w->spec);
    w->q.schedule = &w->s;
    w->s.spec = &w->spec;
    w->s.name = (char *)"daily";
    w->s.cron = (char *)"0 6 * * *";
    w->s.time_zone = (char *)"Europe/Berlin";
    w->spec.kind = MONTHLY;
}

static Foliopost__V1__Schedule *create(struct wanted *w)
{
    return called("CreateSchedule", &w->q.base, SCHEDULE);
}

static Foliopost__V1__Schedule *get_schedule(const char *name)
{
    Foliopost__V1__GetScheduleRequest q = FOLIOPOST__V1__GET_SCHEDULE_REQUEST__INIT;

    q.name = (char *)name;
    return called("GetSchedule", &q.base, SCHEDULE);
}

/* The schedule was due so long ago, on a full minute. */
static void overdue(int64_t minutes)
{
    t_sql("UPDATE foliopost.schedules SET version = version + 1,"
          " next_due = date_trunc('minute', clock_timestamp()) - %lld * interval '1 minute'",
          (long long)minutes);
}

static int64_t jobs(void)
{
    return t_sql("SELECT count(*) FROM foliopost.jobs");
}

static int64_t outcomes(const char *outcome)
{
    return t_sql("SELECT count(*) FROM foliopost.firings WHERE outcome = '%s'", outcome);
}

/* --- JobService ------------------------------------------------------------------------------ */

static void a_schedule_shows_its_next_ten_due_times(void **state)
{
    struct wanted w;

    (void)state;
    want(&w);
    Foliopost__V1__Schedule *s = create(&w);
    assert_string_equal(s->cron, "0 6 * * *");
    assert_string_equal(s->time_zone, "Europe/Berlin");
    assert_int_equal(s->catch_up_ms, 24 * MS_PER_H);
    assert_int_equal(s->overlap, FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_ALLOW);
    assert_int_equal(s->spec->kind, MONTHLY);
    assert_int_equal(s->n_next_us, 10);
    assert_int_equal(s->n_firings, 0);
    int64_t last = clock_wall_us();
    for (size_t i = 0; i < 10; i++) {
        assert_true(s->next_us[i] > last && s->next_us[i] <= last + 25 * 3600 * FP_US_PER_S);
        last = s->next_us[i];
    }
}

static void a_wrong_schedule_is_refused_by_name(void **state)
{
    static const struct {
        const char *cron, *zone, *says;
    } times[] = {
        {"0 25 * * *", "UTC", "schedule.cron: hour \"25\""},
        {"0 6 * *", "UTC", "schedule.cron: \"0 6 * *\" has 4 fields"},
        {"0 6 30 2 *", "UTC", "is never due"},
        {"0 6 * * *", "Europe/Atlantis", "schedule.time_zone: \"Europe/Atlantis\" is not a time zone"},
    };
    struct wanted w;
    int64_t user = 7;

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        want(&w);
        w.s.cron = (char *)times[i].cron;
        w.s.time_zone = (char *)times[i].zone;
        refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, times[i].says);
    }
    want(&w);
    w.s.name = (char *)"Monthly report";
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, "schedule.name");
    want(&w);
    w.s.catch_up_ms = LIMIT_CATCH_UP_MS + INT64_C(1);
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, "schedule.catch_up_ms");
    want(&w);
    w.spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM;
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT,
            "schedule.spec.kind: weekly or monthly");
    want(&w);
    w.spec.user_ids = &user;
    w.spec.n_user_ids = 1;
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, "schedule.spec.user_ids");
    want(&w);
    w.spec.deadline_us = clock_wall_us() + 1000;
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, "schedule.deadline_after_ms");
    want(&w);
    w.spec.batch_size = 100000;
    refused("CreateSchedule", &w.q.base, SCHEDULE, FP_INVALID_ARGUMENT, "spec.batch_size");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.schedules"), 0);
}

static void a_schedule_is_listed_changed_and_deleted(void **state)
{
    Foliopost__V1__ListSchedulesRequest lq = FOLIOPOST__V1__LIST_SCHEDULES_REQUEST__INIT;
    Foliopost__V1__UpdateScheduleRequest uq = FOLIOPOST__V1__UPDATE_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__DeleteScheduleRequest dq = FOLIOPOST__V1__DELETE_SCHEDULE_REQUEST__INIT;
    struct wanted w;

    (void)state;
    want(&w);
    create(&w);
    w.s.name = (char *)"another";
    create(&w);
    Foliopost__V1__ListSchedulesResponse *r =
        called("ListSchedules", &lq.base, &foliopost__v1__list_schedules_response__descriptor);
    assert_int_equal(r->n_schedules, 2);
    assert_string_equal(r->schedules[0]->name, "another");
    w.s.cron = (char *)"@monthly";
    uq.schedule = &w.s;
    Foliopost__V1__Schedule *s = called("UpdateSchedule", &uq.base, SCHEDULE);
    assert_string_equal(s->cron, "@monthly");
    assert_true(s->next_us[1] - s->next_us[0] > 27 * FP_US_PER_DAY);
    dq.name = (char *)"another";
    for (int i = 0; i < 2; i++) {
        Foliopost__V1__DeleteScheduleResponse *d =
            called("DeleteSchedule", &dq.base, &foliopost__v1__delete_schedule_response__descriptor);
        assert_int_equal(d->existed, i == 0);
    }
    refused("UpdateSchedule", &uq.base, SCHEDULE, FP_NOT_FOUND, "another");
}

static void a_schedule_is_paused_and_run_by_hand(void **state)
{
    Foliopost__V1__PauseScheduleRequest pq = FOLIOPOST__V1__PAUSE_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__ResumeScheduleRequest rq = FOLIOPOST__V1__RESUME_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__RunScheduleRequest run = FOLIOPOST__V1__RUN_SCHEDULE_REQUEST__INIT;
    struct wanted w;

    (void)state;
    want(&w);
    create(&w);
    pq.name = rq.name = run.name = (char *)"daily";
    run.request_id = (char *)"by hand";
    Foliopost__V1__Schedule *s = called("PauseSchedule", &pq.base, SCHEDULE);
    assert_true(s->paused);
    assert_int_equal(s->n_next_us, 0);
    overdue(5);
    t_tick(&leader);
    assert_int_equal(jobs(), 0);
    for (int i = 0; i < 2; i++) {
        Foliopost__V1__SubmitJobResponse *r =
            called("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor);
        assert_int_equal(r->existing, i == 1);
        assert_string_equal(r->job->request_id, "by hand");
    }
    assert_int_equal(woken, 1);
    s = called("ResumeSchedule", &rq.base, SCHEDULE);
    assert_false(s->paused);
    assert_true(s->next_us[0] > clock_wall_us()); /* what was due meanwhile is not caught up */
    t_tick(&leader);
    assert_int_equal(jobs(), 1);
}

/* --- the leader -------------------------------------------------------------------------------- */

static void a_due_time_becomes_a_job_once(void **state)
{
    struct wanted w;

    (void)state;
    want(&w);
    w.s.deadline_after_ms = 48 * MS_PER_H;
    create(&w);
    t_tick(&leader);
    assert_int_equal(jobs(), 0);
    overdue(5);
    int64_t due_us =
        t_sql("SELECT (extract(epoch FROM next_due) * 1000000)::bigint FROM foliopost.schedules");
    for (int i = 0; i < 3; i++)
        t_tick(&leader);
    assert_int_equal(jobs(), 1);
    Foliopost__V1__Schedule *s = get_schedule("daily");
    assert_int_equal(s->n_firings, 1);
    assert_int_equal(s->firings[0]->outcome, FOLIOPOST__V1__FIRING_OUTCOME__FIRING_OUTCOME_FIRED);
    assert_int_equal(s->firings[0]->due_us, due_us);
    assert_true(s->next_us[0] > clock_wall_us());
    struct ledger_job j = t_job(s->firings[0]->job_id);
    assert_int_equal(j.deadline_us, due_us + 48 * 3600 * FP_US_PER_S);
    assert_int_equal(strncmp(j.request_id, "schedule/daily/", 15), 0);
    assert_string_equal(j.kind, "monthly");
}

/* Daily at 6: two days and some were slept through. */
static void after_a_downtime_the_latest_fires_once(void **state)
{
    struct wanted w;
    struct ledger_firing f;

    (void)state;
    want(&w);
    w.s.catch_up_ms = 7 * 24 * MS_PER_H;
    w.s.cron = (char *)"*/10 * * * *";
    create(&w);
    t_sql(
        "UPDATE foliopost.schedules SET next_due = to_timestamp(floor(extract(epoch FROM clock_timestamp()) / 600)"
        " * 600 - 86400)");
    t_tick(&leader);
    assert_int_equal(jobs(), 1);
    assert_int_equal(ledger_firings(t_ledger, "daily", &f, 1, &t_err), 1);
    assert_string_equal(f.outcome, "fired");
    assert_in_range(f.missed, 143, 145);
    int64_t ago_us = clock_wall_us() - f.due_us;
    assert_true(ago_us >= 0 && ago_us < 601 * FP_US_PER_S);
}

static void what_is_older_than_the_catch_up_time_is_missed(void **state)
{
    struct wanted w;

    (void)state;
    want(&w);
    w.s.cron = (char *)"0 6 1 1 *";
    w.s.catch_up_ms = 60000;
    create(&w);
    overdue(5);
    t_tick(&leader);
    assert_int_equal(jobs(), 0);
    assert_int_equal(outcomes("missed"), 1);
    assert_true(get_schedule("daily")->next_us[0] > clock_wall_us());
    /* Told also by a process that has just begun, and that missed nothing itself. */
    struct t_scheduler next;
    metrics_reset();
    lead_resign(&leader.lead);
    t_scheduler_up(&next);
    t_tick(&next);
    assert_true(next.leader.leading);
    assert_int_equal(metrics_value("foliopost_schedules_missed", "outcome=\"missed\""), 1);
    assert_int_equal(metrics_value("foliopost_schedules_missed", "outcome=\"refused\""), 0);
    t_sql("UPDATE foliopost.firings SET at = at - interval '61 minutes'");
    next.leader.next_missed_mono_us = 0;
    t_tick(&next);
    assert_int_equal(metrics_value("foliopost_schedules_missed", "outcome=\"missed\""), 0);
    t_scheduler_down(&next);
}

static void the_same_run_twice_is_one_job_whatever_the_schedule_says_by_then(void **state)
{
    Foliopost__V1__RunScheduleRequest run = FOLIOPOST__V1__RUN_SCHEDULE_REQUEST__INIT;
    Foliopost__V1__UpdateScheduleRequest up = FOLIOPOST__V1__UPDATE_SCHEDULE_REQUEST__INIT;
    struct wanted w;

    (void)state;
    want(&w);
    w.s.deadline_after_ms = MS_PER_H; /* an absolute time in the job, another one each time */
    assert_non_null(create(&w));
    run.name = (char *)"daily";
    run.request_id = (char *)"by hand";
    Foliopost__V1__SubmitJobResponse *r =
        called("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor);
    int64_t id = r->job->id;
    clock_sleep_us(2000);
    r = called("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor);
    assert_true(r->existing);
    assert_int_equal(r->job->id, id);
    w.spec.title = (char *)"another";
    w.s.catch_up_ms = MS_PER_H;
    up.schedule = &w.s;
    assert_non_null(called("UpdateSchedule", &up.base, SCHEDULE));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'schedule_update'"
                           " AND detail = 'daily: catch_up_ms, spec.title'"),
                     1);
    r = called("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor);
    assert_int_equal(r->job->id, id);
    w.s.name = (char *)"other";
    assert_non_null(create(&w));
    run.name = (char *)"other";
    refused("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor, FP_ALREADY_EXISTS, "");
}

/* In the midst of a rollout: what it says that we do not know could be that nobody is to be mailed. */
static void what_a_newer_scheduler_took_is_left_to_one(void **state)
{
    Foliopost__V1__RunScheduleRequest run = FOLIOPOST__V1__RUN_SCHEDULE_REQUEST__INIT;
    struct wanted w;

    (void)state;
    want(&w);
    assert_non_null(create(&w));
    t_sql("UPDATE foliopost.schedules SET spec = spec || '\\xf80701'::bytea"); /* field 127 */
    overdue(5);
    t_tick(&leader);
    assert_int_equal(jobs(), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.firings"), 0);
    assert_true(get_schedule("daily")->next_us[0] < clock_wall_us()); /* it stays due */
    run.name = (char *)"daily";
    run.request_id = (char *)"by hand";
    refused("RunSchedule", &run.base, &foliopost__v1__submit_job_response__descriptor, FP_FAILED_PRECONDITION,
            "field 127 is not known to this version");
}

static void an_open_job_holds_back_the_next_when_so_told(void **state)
{
    struct wanted w;

    (void)state;
    want(&w);
    w.s.overlap = FOLIOPOST__V1__OVERLAP_POLICY__OVERLAP_POLICY_SKIP;
    create(&w);
    overdue(9);
    t_tick(&leader);
    assert_int_equal(jobs(), 1);
    t_sql("UPDATE foliopost.jobs SET state = 'PAUSED'");
    overdue(7);
    t_tick(&leader);
    assert_int_equal(outcomes("skipped"), 1);
    t_sql("UPDATE foliopost.jobs SET state = 'CANCELLED'");
    overdue(5);
    t_tick(&leader);
    assert_int_equal(outcomes("fired"), 2);
    assert_int_equal(jobs(), 2);
}

/* A deadline that was over before the job began. */
static void a_job_that_cannot_be_made_is_refused_and_said(void **state)
{
    struct wanted w;
    struct ledger_firing f;

    (void)state;
    want(&w);
    w.s.deadline_after_ms = 1000;
    create(&w);
    overdue(5);
    t_tick(&leader);
    assert_int_equal(jobs(), 0);
    assert_int_equal(ledger_firings(t_ledger, "daily", &f, 1, &t_err), 1);
    assert_string_equal(f.outcome, "refused");
    assert_non_null(strstr(f.reason, "spec.deadline_us"));
}

static void a_source_that_does_not_answer_is_waited_for(void **state)
{
    struct wanted w;

    (void)state;
    want(&w);
    create(&w);
    overdue(5);
    t_sql("ALTER SCHEMA portfolio RENAME TO gone");
    w.spec.canary_ppm = 10000; /* asks for the audience */
    Foliopost__V1__UpdateScheduleRequest uq = FOLIOPOST__V1__UPDATE_SCHEDULE_REQUEST__INIT;
    uq.schedule = &w.s;
    called("UpdateSchedule", &uq.base, SCHEDULE);
    t_tick(&leader);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.firings"), 0);
    t_sql("ALTER SCHEMA gone RENAME TO portfolio");
    leader.leader.next_fire_mono_us = 0;
    t_tick(&leader);
    assert_int_equal(jobs(), 1);
}

static void of_two_schedulers_one_fires(void **state)
{
    struct t_scheduler other;
    struct wanted w;

    (void)state;
    want(&w);
    create(&w);
    t_scheduler_up(&other);
    overdue(5);
    for (int i = 0; i < 3; i++) {
        t_tick(&leader);
        t_tick(&other);
    }
    assert_int_equal(jobs(), 1);
    assert_int_equal(outcomes("fired"), 1);
    lead_resign(&leader.lead); /* the lead goes over: nothing is done again */
    leader.unrenewed = true;
    overdue(3);
    for (int i = 0; i < 3; i++) {
        t_tick(&other);
        t_tick(&leader);
    }
    assert_int_equal(jobs(), 2);
    t_scheduler_down(&other);
}

/* --- without a database --------------------------------------------------------------------------- */

static int64_t at(int month, int day, int hour, int minute)
{
    return day_from_civil(2026, month, day) * FP_US_PER_DAY + (hour * 60 + minute) * 60 * FP_US_PER_S;
}

/* Half past midnight on the 1st in Tokyo is the 31st in UTC. */
static void the_period_goes_by_the_schedules_calendar(void **state)
{
    struct ledger_schedule s = {.name = "m", .cron = "30 0 1 * *", .spec = "\x08\x02", .spec_bytes = 2};
    const Foliopost__V1__JobSpec *spec;
    struct fp_arena *memory = arena_new(WIRE_MAX_ARENA_BYTES);
    struct ledger_job j;

    (void)state;
    snprintf(s.zone, sizeof s.zone, "Asia/Tokyo");
    assert_ok(
        timetable_job(&s, &t_set, at(10, 31, 15, 30), at(10, 31, 15, 30), "", memory, &spec, &j, &t_err));
    assert_int_equal(j.period_start_day, day_from_civil(2026, 10, 1));
    assert_int_equal(j.period_end_day, day_from_civil(2026, 10, 31));
    assert_string_equal(j.request_id, "schedule/m/2026-10-31T15:30Z");
    ledger_job_fini(&j);
    arena_free(memory);
}

static void the_due_time_to_fire_is_the_latest(void **state)
{
    struct ledger_schedule s = {.cron = "0 6 * * *", .zone = "UTC", .catch_up_ms = 72 * MS_PER_H};
    struct timetable_due d;

    (void)state;
    s.next_due_us = at(6, 10, 6, 0);
    assert_ok(timetable_due(&s, at(6, 10, 6, 0), &d, &t_err)); /* to the moment */
    assert_true(d.due_us == at(6, 10, 6, 0) && d.next_us == at(6, 11, 6, 0) && d.missed == 0 && !d.too_late);
    assert_ok(timetable_due(&s, at(6, 12, 7, 0), &d, &t_err));
    assert_true(d.due_us == at(6, 12, 6, 0) && d.next_us == at(6, 13, 6, 0) && d.missed == 2 && !d.too_late);
    assert_ok(timetable_due(&s, at(7, 20, 5, 0), &d,
                            &t_err)); /* beyond the catch-up time, but there are later ones */
    assert_true(d.due_us == at(7, 19, 6, 0) && d.next_us == at(7, 20, 6, 0) && d.missed > 0 && !d.too_late);
    s.catch_up_ms = 60000;
    assert_ok(timetable_due(&s, at(6, 10, 6, 5), &d, &t_err));
    assert_true(d.due_us == at(6, 10, 6, 0) && d.next_us == at(6, 11, 6, 0) && d.too_late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_shows_its_next_ten_due_times),
        TEST(a_wrong_schedule_is_refused_by_name),
        TEST(a_schedule_is_listed_changed_and_deleted),
        TEST(a_schedule_is_paused_and_run_by_hand),
        TEST(a_due_time_becomes_a_job_once),
        TEST(after_a_downtime_the_latest_fires_once),
        TEST(what_is_older_than_the_catch_up_time_is_missed),
        TEST(the_same_run_twice_is_one_job_whatever_the_schedule_says_by_then),
        TEST(what_a_newer_scheduler_took_is_left_to_one),
        TEST(an_open_job_holds_back_the_next_when_so_told),
        TEST(a_job_that_cannot_be_made_is_refused_and_said),
        TEST(a_source_that_does_not_answer_is_waited_for),
        TEST(of_two_schedulers_one_fires),
        TEST(the_period_goes_by_the_schedules_calendar),
        TEST(the_due_time_to_fire_is_the_latest),
    };

    return cmocka_run_group_tests(tests, door_up, door_down);
}
