/* How fast a job goes: over the last seconds, since its start, and when it counts down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "services/scheduler/tempo.h"

#define START_US (1000 * FP_US_PER_S)

static struct tempo *tempo;
static struct fp_arena *arena;

static int begin(void **state)
{
    (void)state;
    tempo = tempo_new();
    arena = arena_new(1 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tempo_free(tempo);
    arena_free(arena);
    return 0;
}

/* What is said after so many seconds with so many users sent, of 10 intervals. */
static const Foliopost__V1__Progress *after(int64_t job, double seconds, int64_t sent, int paged)
{
    const struct ledger_job j = {.id = job, .state = JOB_IN_PROGRESS, .started_us = START_US};
    struct convert c = {.arena = arena};
    Foliopost__V1__Counts counts = FOLIOPOST__V1__COUNTS__INIT;
    counts.users = counts.sent = sent;
    counts.intervals = 10;
    counts.intervals_paged = paged;
    return tempo_progress(tempo, &j, &counts, START_US + (int64_t)(seconds * 1e6), &c);
}

static void who_looks_once_has_the_mean_since_the_start(void **state)
{
    (void)state;
    const Foliopost__V1__Progress *p = after(1, 100, 5000, 4);
    assert_true(p->users_per_s == 50 && p->mails_per_s == 50);
    assert_int_equal(p->users_total, 11111); /* 5000 * 10 / 4.5 */
    assert_false(p->total_is_exact);
    assert_true(p->eta_s == 123); /* 6111 / 50 */
    assert_int_equal(p->intervals_behind, 6);
}

static void who_watches_has_the_rate_of_the_last_seconds(void **state)
{
    (void)state;
    const Foliopost__V1__Progress *p = NULL;
    for (int i = 0; i <= 30; i++) /* 10 a second, after a slow start */
        p = after(1, 1000 + i, 100 + 10 * i, 10);
    assert_true(p->users_per_s == 10);
    assert_true(p->total_is_exact && p->eta_s == 0 && p->intervals_behind == 0);
    for (int i = 31; i <= 60; i++) /* it stands */
        p = after(1, 1000 + i, 400, 9);
    assert_true(p->users_per_s == 0 && p->eta_s == -1);
    p = after(1, 2000, 400, 9); /* nobody looked for long */
    assert_true(p->users_per_s == 0.2);
}

static void a_job_that_counts_down_or_another_of_its_row_begins_anew(void **state)
{
    (void)state;
    after(1, 10, 1000, 10);
    after(1, 20, 2000, 10);
    assert_true(after(1, 30, 600, 10)->users_per_s == 20); /* reopened: since the start */
    assert_true(after(65, 100, 100, 10)->users_per_s == 1);
    assert_true(after(1, 110, 1100, 10)->users_per_s == 10);
    assert_true(after(1, 50, 1100, 10)->users_per_s == 22); /* the clock was set back */
}

static void other_states_have_none(void **state)
{
    (void)state;
    const struct ledger_job j = {.id = 1, .state = JOB_PAUSED};
    const Foliopost__V1__Counts counts = FOLIOPOST__V1__COUNTS__INIT;
    struct convert c = {.arena = arena};
    assert_null(tempo_progress(tempo, &j, &counts, START_US, &c));
    assert_null(tempo_progress(NULL, &j, &counts, START_US, &c));
    const Foliopost__V1__Progress *p = after(1, 0, 0, 0);
    assert_true(p->users_per_s == 0 && p->eta_s == -1 && p->users_total == 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_looks_once_has_the_mean_since_the_start),
        TEST(who_watches_has_the_rate_of_the_last_seconds),
        TEST(a_job_that_counts_down_or_another_of_its_row_begins_anew),
        TEST(other_states_have_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
