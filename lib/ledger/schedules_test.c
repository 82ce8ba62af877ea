/* Schedules: each due time fires once, whoever else tries, and however late. */
#include "lib/ledger/testing_race.h"

#include "lib/ledger/schedules.h"

#define DUE  (20000 * FP_US_PER_DAY)
#define NEXT (20001 * FP_US_PER_DAY)
#define MAX  3

static int clean(void **state)
{
    t_sql("DELETE FROM foliopost.schedules");
    return setup(state);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, clean, teardown)

static struct ledger_schedule schedule(const char *name)
{
    struct ledger_schedule s = {.cron = "0 6 1 * *",
                                .zone = "Europe/Berlin",
                                .spec = "\x08\x02",
                                .spec_bytes = 2,
                                .catch_up_ms = 86400000,
                                .next_due_us = DUE};
    snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

static struct ledger_schedule created(const char *name)
{
    struct ledger_schedule s = schedule(name);
    bool existing;
    assert_ok(ledger_schedule_create(t_ledger, &s, MAX, "tester", &existing, &t_err));
    assert_false(existing);
    assert_ok(ledger_schedule_get(t_ledger, name, &s, &t_err));
    return s;
}

static struct ledger_job job_of(const struct ledger_schedule *s, int64_t due_us)
{
    struct ledger_job j = t_spec();
    snprintf(j.request_id, sizeof j.request_id, "schedule/%s/%lld", s->name, (long long)due_us);
    return j;
}

/* The job's id, 0 when it was not for us to fire. */
static int64_t fire_on(struct fp_ledger *l, const char *leader, const struct ledger_schedule *s)
{
    struct ledger_firing f = {.due_us = DUE, .missed = 2};
    struct ledger_job j = job_of(s, DUE);
    int64_t id;
    assert_ok(ledger_schedule_fire(l, leader, s, &f, NEXT, &j, 1000, &id, &t_err));
    return id;
}

static int64_t jobs(void)
{
    return t_sql("SELECT count(*) FROM foliopost.jobs");
}

/* --- what operators do ------------------------------------------------------------------- */

static void a_schedule_is_kept_as_it_was_given(void **state)
{
    struct ledger_schedule all[MAX], s = schedule("monthly");
    bool existing;

    (void)state;
    s.skip_overlap = true;
    s.deadline_after_ms = 5000;
    assert_ok(ledger_schedule_create(t_ledger, &s, MAX, "tester\n10.0.0.1", &existing, &t_err));
    assert_int_equal(ledger_schedules(t_ledger, all, MAX, &t_err), 1);
    assert_string_equal(all[0].name, "monthly");
    assert_string_equal(all[0].cron, "0 6 1 * *");
    assert_string_equal(all[0].zone, "Europe/Berlin");
    assert_int_equal(all[0].spec_bytes, 2);
    assert_memory_equal(all[0].spec, "\x08\x02", 2);
    assert_true(all[0].skip_overlap);
    assert_false(all[0].paused);
    assert_false(all[0].busy);
    assert_int_equal(all[0].catch_up_ms, 86400000);
    assert_int_equal(all[0].deadline_after_ms, 5000);
    assert_int_equal(all[0].next_due_us, DUE);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'schedule_create'"
                           " AND actor = 'tester' AND peer = '10.0.0.1' AND detail = 'monthly'"),
                     1);
}

static void the_same_schedule_twice_is_one_and_another_is_refused(void **state)
{
    struct ledger_schedule s = schedule("a");
    bool existing;

    (void)state;
    created("a");
    assert_ok(ledger_schedule_create(t_ledger, &s, MAX, "tester", &existing, &t_err));
    assert_true(existing);
    snprintf(s.cron, sizeof s.cron, "@daily");
    assert_code(ledger_schedule_create(t_ledger, &s, MAX, "tester", &existing, &t_err), FP_ALREADY_EXISTS);
    created("b");
    created("c");
    s = schedule("d");
    assert_code(ledger_schedule_create(t_ledger, &s, MAX, "tester", &existing, &t_err),
                FP_RESOURCE_EXHAUSTED);
}

static void an_update_keeps_the_due_time_unless_it_changes_when(void **state)
{
    struct ledger_schedule s = created("a"), new = s;

    (void)state;
    new.next_due_us = NEXT;
    new.catch_up_ms = 1;
    assert_ok(ledger_schedule_update(t_ledger, &new, ": cron", "tester", &t_err));
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.catch_up_ms, 1);
    assert_int_equal(s.next_due_us, DUE);
    snprintf(new.zone, sizeof new.zone, "UTC");
    assert_ok(ledger_schedule_update(t_ledger, &new, ": cron", "tester", &t_err));
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.next_due_us, NEXT);
    snprintf(new.name, sizeof new.name, "nobody");
    assert_code(ledger_schedule_update(t_ledger, &new, ": cron", "tester", &t_err), FP_NOT_FOUND);
}

static void a_paused_schedule_is_not_due(void **state)
{
    struct ledger_schedule s = created("a"), due[MAX];
    int64_t now_us;
    bool existed;

    (void)state;
    assert_int_equal(ledger_schedules_due(t_ledger, due, MAX, &now_us, &t_err), 1);
    assert_true(now_us > DUE);
    for (int i = 0; i < 2; i++) /* twice is a success */
        assert_ok(ledger_schedule_pause(t_ledger, "a", "tester", &t_err));
    assert_int_equal(ledger_schedules_due(t_ledger, due, MAX, &now_us, &t_err), 0);
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0);
    for (int i = 0; i < 2; i++)
        assert_ok(ledger_schedule_resume(t_ledger, "a", NEXT + i, "tester", &t_err));
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.next_due_us, NEXT);
    assert_code(ledger_schedule_pause(t_ledger, "b", "tester", &t_err), FP_NOT_FOUND);
    assert_code(ledger_schedule_resume(t_ledger, "b", NEXT, "tester", &t_err), FP_NOT_FOUND);
    assert_ok(ledger_schedule_delete(t_ledger, "a", "tester", &existed, &t_err));
    assert_true(existed);
    assert_ok(ledger_schedule_delete(t_ledger, "a", "tester", &existed, &t_err));
    assert_false(existed);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit"), 4); /* once each */
}

/* --- firing --------------------------------------------------------------------------------- */

static void a_due_time_fires_once(void **state)
{
    struct ledger_schedule s = created("a");
    struct ledger_firing f[2];

    (void)state;
    int64_t id = fire_on(t_ledger, t_leader, &s);
    assert_true(id > 0);
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0); /* as after a lost reply */
    assert_int_equal(jobs(), 1);
    assert_int_equal(ledger_firings(t_ledger, "a", f, 2, &t_err), 1);
    assert_string_equal(f[0].outcome, "fired");
    assert_int_equal(f[0].due_us, DUE);
    assert_int_equal(f[0].job_id, id);
    assert_int_equal(f[0].missed, 2);
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.next_due_us, NEXT);
    assert_true(s.busy);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.audit WHERE actor = 'schedule a' AND action = 'submit'"), 1);
    assert_ok(ledger_job_cancel(t_ledger, id, "", "tester", &t_err));
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_false(s.busy);
}

static void a_clock_set_back_fires_nothing_twice(void **state)
{
    struct ledger_schedule s = created("a");

    (void)state;
    assert_true(fire_on(t_ledger, t_leader, &s) > 0);
    t_sql("UPDATE foliopost.schedules SET next_due = timestamptz 'epoch' + interval '20000 days'");
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0);
    assert_int_equal(jobs(), 1);
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.next_due_us, NEXT); /* and goes on */
}

static void a_schedule_made_again_fires_nothing_twice(void **state)
{
    struct ledger_schedule s = created("a");
    struct ledger_firing f;
    bool existed;

    (void)state;
    assert_true(fire_on(t_ledger, t_leader, &s) > 0);
    assert_ok(ledger_schedule_delete(t_ledger, "a", "tester", &existed, &t_err));
    s = created("a");
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0);
    assert_int_equal(jobs(), 1);
    assert_int_equal(ledger_firings(t_ledger, "a", &f, 1, &t_err), 1);
    assert_string_equal(f.outcome, "refused");
}

static void who_does_not_lead_fires_nothing(void **state)
{
    struct ledger_schedule s = created("a");
    struct ledger_firing f = {.due_us = DUE, .outcome = "missed"};

    (void)state;
    t_lead_lost();
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0);
    assert_ok(ledger_schedule_pass(t_ledger, t_leader, &s, &f, NEXT, &t_err));
    assert_int_equal(jobs(), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.firings"), 0);
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_int_equal(s.next_due_us, DUE);
}

static void a_due_time_may_pass_without_a_job(void **state)
{
    struct ledger_schedule s = created("a");
    struct ledger_firing f = {.due_us = DUE, .outcome = "skipped", .reason = "job 7 is open", .missed = 3};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_ok(ledger_schedule_pass(t_ledger, t_leader, &s, &f, NEXT, &t_err));
    assert_int_equal(fire_on(t_ledger, t_leader, &s), 0);
    memset(&f, 0, sizeof f);
    assert_int_equal(ledger_firings(t_ledger, "a", &f, 1, &t_err), 1);
    assert_string_equal(f.outcome, "skipped");
    assert_string_equal(f.reason, "job 7 is open");
    assert_int_equal(f.missed, 3);
    assert_int_equal(jobs(), 0);
}

static void old_firings_go(void **state)
{
    struct ledger_schedule s = created("a");

    (void)state;
    t_sql("INSERT INTO foliopost.firings (schedule, due, outcome) VALUES"
          " ('a', timestamptz 'epoch' + interval '19599 days', 'fired'),"
          " ('a', timestamptz 'epoch' + interval '19601 days', 'fired')");
    assert_true(fire_on(t_ledger, t_leader, &s) > 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.firings"), 2);
}

/* --- two at once ------------------------------------------------------------------------------ */

static struct ledger_schedule race;

static void step_fire(struct fp_ledger *l, struct other *o)
{
    struct ledger_firing f = {.due_us = DUE};
    struct ledger_job j = job_of(&race, DUE);
    o->rc = ledger_schedule_fire(l, o->owner, &race, &f, NEXT, &j, 1000, &o->result, &o->err);
}

static void step_pause(struct fp_ledger *l, struct other *o)
{
    o->rc = ledger_schedule_pause(l, "a", "tester", &o->err);
}

/* The lead went over while the old leader's statement was under way: both saw
 * the schedule due, both may have held the lead when they looked. */
static void of_two_that_fire_at_once_one_does(void **state)
{
    (void)state;
    race = created("a");
    struct other b = {.step = step_fire, .owner = t_leader};
    begin();
    assert_true(fire_on(first, t_leader, &race) > 0);
    start(&b, 1);
    commit();
    join(&b);
    assert_int_equal(b.result, 0);
    assert_int_equal(jobs(), 1);
}

static void a_firing_taken_back_is_fired_by_the_other(void **state)
{
    (void)state;
    race = created("a");
    struct other b = {.step = step_fire, .owner = t_leader};
    begin();
    assert_true(fire_on(first, t_leader, &race) > 0);
    start(&b, 1);
    t_sql_on(first, "ROLLBACK"); /* the process died before its commit */
    join(&b);
    assert_true(b.result > 0);
    assert_int_equal(jobs(), 1);
}

static void a_pause_waits_for_the_firing_and_ends_it(void **state)
{
    struct ledger_schedule s;

    (void)state;
    race = created("a");
    struct other b = {.step = step_pause};
    begin();
    assert_true(fire_on(first, t_leader, &race) > 0);
    start(&b, 1);
    commit();
    join(&b);
    assert_ok(ledger_schedule_get(t_ledger, "a", &s, &t_err));
    assert_true(s.paused);
    assert_int_equal(s.next_due_us, NEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_is_kept_as_it_was_given),
        TEST(the_same_schedule_twice_is_one_and_another_is_refused),
        TEST(an_update_keeps_the_due_time_unless_it_changes_when),
        TEST(a_paused_schedule_is_not_due),
        TEST(a_due_time_fires_once),
        TEST(a_clock_set_back_fires_nothing_twice),
        TEST(a_schedule_made_again_fires_nothing_twice),
        TEST(who_does_not_lead_fires_nothing),
        TEST(a_due_time_may_pass_without_a_job),
        TEST(old_firings_go),
        TEST(of_two_that_fire_at_once_one_does),
        TEST(a_firing_taken_back_is_fired_by_the_other),
        TEST(a_pause_waits_for_the_firing_and_ends_it),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
