/* What a client may ask for: each wrong field is named, each default filled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/clock.h"
#include "services/scheduler/report.h"
#include "services/scheduler/spec.h"

/* Wednesday, 2026-11-04, noon. */
static volatile double zero; /* a compiler must not know it */
#define NOW (INT64_C(20761) * FP_US_PER_DAY + 12 * 3600 * FP_US_PER_S)

static const struct scheduler_settings set = {
    .batch_size = 100, .max_attempts = 3, .window_batches = 7, .interval_delay_ms = 20, .range_start = ""};

static Foliopost__V1__JobSpec spec;
static Foliopost__V1__SubmitJobRequest request;
static int64_t ids[WIRE_MAX_JOB_USERS + 1];
static char long_text[1000];

static int fresh(void **state)
{
    (void)state;
    foliopost__v1__job_spec__init(&spec);
    foliopost__v1__submit_job_request__init(&request);
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_MONTHLY;
    request.request_id = (char *)"r-1";
    request.spec = &spec;
    memset(long_text, 'a', sizeof long_text - 1);
    for (int i = 0; i <= WIRE_MAX_JOB_USERS; i++)
        ids[i] = i + 1;
    return 0;
}

static void refused(const char *field)
{
    struct ledger_job j;
    struct fp_err err;

    assert_int_equal(spec_resolve(&request, &set, NOW, &j, &err), -1);
    ledger_job_fini(&j);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    if (strncmp(err.msg, field, strlen(field)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", err.msg, field);
    fresh(NULL);
}

static struct ledger_job resolved(void)
{
    struct ledger_job j;
    struct fp_err err = {.msg = ""};

    if (spec_resolve(&request, &set, NOW, &j, &err))
        fail_msg("refused: %s", err.msg);
    return j;
}

static void give_period(const char *start, const char *end)
{
    spec.period_start = (char *)start;
    spec.period_end = (char *)end;
}

static void wrong_deadlines_are_named(void **state)
{
    (void)state;
    spec.deadline_us = NOW;
    refused("spec.deadline_us: ");
    spec.deadline_us = -1;
    refused("spec.deadline_us: ");
    spec.deadline_us = INT64_MAX;
    refused("spec.deadline_us: ");
    spec.deadline_after_ms = -1;
    refused("spec.deadline_after_ms: -1");
    spec.deadline_after_ms = INT64_MAX;
    refused("spec.deadline_after_ms: ");
    spec.deadline_after_ms = 1000;
    spec.deadline_us = NOW + FP_US_PER_DAY;
    refused("spec.deadline_after_ms: ");
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    request.request_id = (char *)"";
    refused("request_id: ");
    request.request_id = long_text;
    refused("request_id: ");
    request.request_id = NULL;
    refused("request_id: ");
    request.spec = NULL;
    refused("spec: ");
    spec.kind = 0;
    refused("spec.kind: ");
    spec.kind = 99;
    refused("spec.kind: 99");
    spec.batch_size = 201;
    refused("spec.batch_size: 201");
    spec.batch_size = -1;
    refused("spec.batch_size: -1");
    spec.max_attempts = 101;
    refused("spec.max_attempts: 101");
    spec.window_batches = 10001;
    refused("spec.window_batches: ");
    spec.interval_delay_ms = -5;
    refused("spec.interval_delay_ms: -5");
    spec.ambiguous_policy = 3;
    refused("spec.ambiguous_policy: 3");
    spec.ambiguous_policy = -1;
    refused("spec.ambiguous_policy: -1");
    spec.title = long_text;
    refused("spec.title: ");
    spec.template_name = (char *)"../etc/passwd";
    refused("spec.template_name: ");
    spec.template_name = (char *)"Statement";
    refused("spec.template_name: ");
    spec.template_name = long_text;
    refused("spec.template_name: ");
    spec.brand = (char *)"a b";
    refused("spec.brand: ");
    spec.time_zone = (char *)"Europe/Atlantis";
    refused("spec.time_zone: ");
    spec.time_zone = long_text;
    refused("spec.time_zone: ");
    spec.send_window = (char *)"8-20";
    refused("spec.send_window: ");
    spec.send_window = (char *)"08:00-08:00";
    refused("spec.send_window: ");
    spec.share_ppm = -1;
    refused("spec.share_ppm: -1");
    spec.share_ppm = 1000001;
    refused("spec.share_ppm: 1000001");
    spec.share_seed = 1;
    refused("spec.share_seed: there is no share_ppm");
    spec.share_ppm = 5;
    spec.share_seed = -1;
    refused("spec.share_seed: -1");
    spec.share_ppm = 5;
    spec.user_ids = (int64_t[]){1};
    spec.n_user_ids = 1;
    refused("spec.share_ppm: a list names its users");
    spec.provider = (char *)"two words";
    refused("spec.provider: only letters");
    spec.provider = long_text;
    refused("spec.provider: ");
    spec.rate_per_second = -1;
    refused("spec.rate_per_second: -1");
    spec.rate_per_second = 1e7;
    refused("spec.rate_per_second: ");
    spec.rate_per_second = 0.0 / zero;
    refused("spec.rate_per_second: ");
}

/* On 2026-11-04 at 12:00 UTC it is the next day at Kiritimati (+14), and there a Thursday. */
static void today_is_that_of_the_jobs_zone(void **state)
{
    (void)state;
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM;
    give_period("2026-11-01", "2026-11-04");
    refused("spec.period_end: 2026-11-04 has not ended yet in UTC");
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM;
    give_period("2026-11-01", "2026-11-04");
    spec.time_zone = (char *)"Pacific/Kiritimati";
    struct ledger_job j = resolved();
    assert_string_equal(j.time_zone, "Pacific/Kiritimati");
    ledger_job_fini(&j);
    give_period("", "");
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_WEEKLY;
    j = resolved();
    assert_int_equal(j.period_end_day, 20758); /* Sunday, 1 November */
    ledger_job_fini(&j);
}

static void a_slow_job_has_small_batches(void **state)
{
    (void)state;
    spec.rate_per_second = 30.5;
    spec.send_window = (char *)"22:00-06:00";
    struct ledger_job j = resolved();
    assert_int_equal(j.batch_size, 7);
    assert_true(j.rate_limit == 30.5);
    assert_string_equal(j.send_window, "22:00-06:00");
    assert_string_equal(j.time_zone, "UTC");
    ledger_job_fini(&j);
    spec.rate_per_second = 0.1;
    j = resolved();
    assert_int_equal(j.batch_size, 1);
    ledger_job_fini(&j);
}

static void wrong_periods_are_named(void **state)
{
    (void)state;
    spec.kind = FOLIOPOST__V1__JOB_KIND__JOB_KIND_CUSTOM;
    refused("spec.period_start: ");
    give_period("2026-10-01", "2026-02-30");
    refused("spec.period_end: 2026-02-30 is not a date (YYYY-MM-DD)");
    give_period("2026-10-01", "");
    refused("spec.period_end: ");
    give_period("", "2026-10-01");
    refused("spec.period_start: ");
    give_period("2026-10-02", "2026-10-01");
    refused("spec.period_end: 2026-10-01 is before");
    give_period("2026-10-01", "2026-11-04"); /* today */
    refused("spec.period_end: 2026-11-04 has not ended");
    give_period("2026-10-01", "2099-01-01");
    refused("spec.period_end: ");
    give_period("2025-01-01", "2026-02-05"); /* 401 days */
    refused("spec.period_end: 2025-01-01 to 2026-02-05 is more than 400 days");
    give_period(long_text, long_text);
    refused("spec.period_start: aaa");
}

static void wrong_audiences_are_named(void **state)
{
    (void)state;
    spec.registered_from_us = -1;
    refused("spec.registered_from_us: ");
    spec.registered_from_us = NOW;
    refused("spec.registered_from_us: ");
    spec.registered_to_us = -7;
    refused("spec.registered_to_us: ");
    spec.registered_from_us = 50;
    spec.registered_to_us = 50;
    refused("spec.registered_from_us: ");
    spec.user_ids = ids;
    spec.n_user_ids = 3;
    ids[1] = 0;
    refused("spec.user_ids: 0");
    spec.user_ids = ids;
    spec.n_user_ids = 3;
    ids[2] = INT64_MIN;
    refused("spec.user_ids: ");
    spec.user_ids = ids;
    spec.n_user_ids = WIRE_MAX_JOB_USERS + 1;
    refused("spec.user_ids: 50001");
    spec.user_ids = ids;
    spec.n_user_ids = 1;
    spec.registered_from_us = 5;
    refused("spec.user_ids: ");
}

static void defaults_are_filled_in(void **state)
{
    struct ledger_job j = resolved();
    char day[11];

    (void)state;
    assert_string_equal(j.kind, "monthly");
    day_format(j.period_start_day, day);
    assert_string_equal(day, "2026-10-01");
    day_format(j.period_end_day, day);
    assert_string_equal(day, "2026-10-31");
    assert_int_equal(j.batch_size, 100);
    assert_int_equal(j.max_attempts, 3);
    assert_int_equal(j.window_batches, 7);
    assert_int_equal(j.interval_delay_ms, 20);
    assert_string_equal(j.template_name, "statement");
    assert_string_equal(j.brand, "default");
    assert_false(j.resend);
    assert_int_equal(j.audience_end_us, NOW);
    assert_int_equal(j.registered_from_us, 0);
    assert_null(j.user_ids);
    assert_int_equal(strlen(j.spec_hash), 32);
    ledger_job_fini(&j);
}

static void what_the_client_gives_is_kept(void **state)
{
    (void)state;
    give_period("2025-01-01", "2026-02-04"); /* 400 days */
    spec.batch_size = 200;
    spec.max_attempts = 100;
    spec.registered_from_us = 10;
    spec.registered_to_us = NOW + 5; /* the future is cut */
    spec.ambiguous_policy = FOLIOPOST__V1__AMBIGUOUS_POLICY__AMBIGUOUS_POLICY_RESEND;
    spec.deadline_us = NOW + 1;
    spec.brand = (char *)"blue-2_x";
    struct ledger_job j = resolved();
    assert_int_equal(j.period_end_day - j.period_start_day, 399);
    assert_int_equal(j.batch_size, 200);
    assert_int_equal(j.max_attempts, 100);
    assert_int_equal(j.registered_from_us, 10);
    assert_int_equal(j.audience_end_us, NOW);
    assert_int_equal(j.deadline_us, NOW + 1);
    assert_true(j.resend);
    assert_string_equal(j.brand, "blue-2_x");
    ledger_job_fini(&j);
}

static void a_list_is_sorted_and_names_everybody_once(void **state)
{
    int64_t given[] = {9, 3, 9, 1, 3, 3};

    (void)state;
    spec.user_ids = given;
    spec.n_user_ids = 6;
    struct ledger_job j = resolved();
    assert_int_equal(j.n_user_ids, 3);
    assert_int_equal(j.user_ids[0], 1);
    assert_int_equal(j.user_ids[1], 3);
    assert_int_equal(j.user_ids[2], 9);
    assert_int_equal(given[0], 9); /* the request is not touched */
    ledger_job_fini(&j);
    spec.user_ids = ids;
    spec.n_user_ids = WIRE_MAX_JOB_USERS;
    j = resolved();
    assert_int_equal(j.n_user_ids, WIRE_MAX_JOB_USERS);
    ledger_job_fini(&j);
}

static void the_hash_tells_requests_apart(void **state)
{
    int64_t some[] = {1, 2, 3}, mixed[] = {3, 1, 2, 2}, others[] = {1, 2, 4};
    char first[65];

    (void)state;
    spec.user_ids = some;
    spec.n_user_ids = 3;
    struct ledger_job j = resolved();
    memcpy(first, j.spec_hash, sizeof first);
    ledger_job_fini(&j);
    spec.user_ids = mixed;
    spec.n_user_ids = 4;
    j = resolved();
    assert_string_equal(j.spec_hash, first);
    ledger_job_fini(&j);
    spec.user_ids = others;
    spec.n_user_ids = 3;
    j = resolved();
    assert_string_not_equal(j.spec_hash, first);
    ledger_job_fini(&j);
}

/* Test vectors: http://www.isthe.com/chongo/tech/comp/fnv/ and draft-eastlake-fnv. */
static void the_hash_is_fnv_1a_of_128_bits(void **state)
{
    char out[33];

    (void)state;
    spec_hash("", 0, out);
    assert_string_equal(out, "6c62272e07bb014262b821756295c58d");
    spec_hash("a", 1, out);
    assert_string_equal(out, "d228cb696f1a8caf78912b704e4a8964");
    spec_hash("foobar", 6, out);
    assert_string_equal(out, "343e1662793c64bf6f0d3597ba446f18");
}

static void figures_of_a_report_are_computed_from_its_totals(void **state)
{
    Foliopost__V1__Report r = FOLIOPOST__V1__REPORT__INIT;
    struct ledger_job j = {.started_us = NOW, .finished_us = NOW + 120 * FP_US_PER_S};

    (void)state;
    r.mails_sent = 90;
    r.failed = 6;
    r.ambiguous = 4;
    r.skipped = 20;
    report_figures(&r, &j, NOW + 999 * FP_US_PER_S);
    assert_int_equal(r.users_processed, 120);
    assert_true(r.duration_s == 120);
    assert_true(r.users_per_minute == 60);
    assert_true(r.success_rate == 0.9);
    j = (struct ledger_job){0}; /* not started: nothing is divided by nothing */
    foliopost__v1__report__init(&r);
    report_figures(&r, &j, NOW);
    assert_true(r.duration_s == 0 && r.users_per_minute == 0 && r.success_rate == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(wrong_deadlines_are_named, fresh),
        cmocka_unit_test_setup(wrong_fields_are_named, fresh),
        cmocka_unit_test_setup(wrong_periods_are_named, fresh),
        cmocka_unit_test_setup(today_is_that_of_the_jobs_zone, fresh),
        cmocka_unit_test_setup(a_slow_job_has_small_batches, fresh),
        cmocka_unit_test_setup(wrong_audiences_are_named, fresh),
        cmocka_unit_test_setup(defaults_are_filled_in, fresh),
        cmocka_unit_test_setup(what_the_client_gives_is_kept, fresh),
        cmocka_unit_test_setup(a_list_is_sorted_and_names_everybody_once, fresh),
        cmocka_unit_test_setup(the_hash_tells_requests_apart, fresh),
        cmocka_unit_test(the_hash_is_fnv_1a_of_128_bits),
        cmocka_unit_test(figures_of_a_report_are_computed_from_its_totals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
