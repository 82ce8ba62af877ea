/* Schema, instances, leader, rates, the error log, lists of deliveries, lost connections. */
#include "lib/ledger/testing.h"

#include <math.h>

/* --- migrate -------------------------------------------------------------------- */

static void the_schema_is_made_once_and_checked(void **state)
{
    (void)state;
    int applied;
    t_sql("DROP SCHEMA foliopost CASCADE");
    assert_code(ledger_check_schema(t_ledger, &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "missing in database ledger_test_"));
    assert_non_null(strstr(t_err.msg, "run `foliopost migrate"));
    assert_ok(ledger_migrate(t_ledger, &applied, &t_err));
    assert_int_equal(applied, LEDGER_SCHEMA_VERSION); /* a file for each */
    assert_ok(ledger_migrate(t_ledger, &applied, &t_err));
    assert_int_equal(applied, 0);
    assert_ok(ledger_check_schema(t_ledger, &t_err));
    t_sql("UPDATE foliopost.schema_version SET version = 99 WHERE version = %d", LEDGER_SCHEMA_VERSION);
    assert_code(ledger_check_schema(t_ledger, &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "newer"));
    t_sql("UPDATE foliopost.schema_version SET version = %d WHERE version = 99", LEDGER_SCHEMA_VERSION);
}

static void a_migration_that_fails_leaves_nothing(void **state)
{
    (void)state;
    int applied;
    t_sql("UPDATE foliopost.schema_version SET version = version - 1000"); /* the files' objects are there
                                                                              already */
    struct fp_err err;
    assert_int_equal(ledger_migrate(t_ledger, &applied, &err), -1);
    assert_non_null(strstr(err.msg, "migration 0001_ledger.sql"));
    assert_int_equal(t_sql("SELECT max(version) FROM foliopost.schema_version"),
                     LEDGER_SCHEMA_VERSION - 1000); /* all or nothing */
    t_sql("UPDATE foliopost.schema_version SET version = version + 1000");
}

/* --- instances, leader ------------------------------------------------------------- */

static void a_lease_is_renewed_until_it_is_swept(void **state)
{
    (void)state;
    bool held;
    struct ledger_instance i = {.service = "stats", .version = "1", .address = "10.0.0.1:7", .slots = 3},
                           out[4];
    text_new_uuid(i.id);
    for (int n = 0; n < 2; n++)
        assert_ok(ledger_instance_start(t_ledger, &i, &t_err));
    assert_int_equal(ledger_instances_live(t_ledger, out, 4, &t_err), 2);
    assert_string_equal(out[1].id, i.id);
    assert_string_equal(out[1].address, "10.0.0.1:7");
    assert_int_equal(out[1].slots, 3);
    int64_t left_us = out[1].lease_until_us - clock_wall_us();
    assert_in_range(left_us, 8 * FP_US_PER_S, 10 * FP_US_PER_S);
    t_lease_over(i.id);
    assert_int_equal(ledger_instances_live(t_ledger, out, 4, &t_err), 1);
    assert_ok(ledger_instance_renew(t_ledger, i.id, 5, "slow", &held, &t_err)); /* as after an outage */
    assert_true(held);
    assert_int_equal(ledger_instances_live(t_ledger, out, 4, &t_err), 2);
    assert_int_equal(out[1].slots, 5);
    assert_string_equal(out[1].note, "slow");
    assert_ok(ledger_instance_end(t_ledger, i.id, &t_err));
    assert_ok(ledger_instance_end(t_ledger, i.id, &t_err));
    assert_ok(ledger_instance_renew(t_ledger, i.id, 5, "", &held, &t_err));
    assert_false(held);
    assert_code(ledger_instance_start(t_ledger, &i, &t_err), FP_FAILED_PRECONDITION);
}

static void one_leads_until_his_lease_is_over(void **state)
{
    (void)state;
    char other[37];
    bool leading;
    int64_t term, term2;
    text_new_uuid(other);
    assert_ok(ledger_lead(t_ledger, t_leader, &leading, &term, &t_err));
    assert_true(leading);
    assert_ok(ledger_lead(t_ledger, other, &leading, &term2, &t_err));
    assert_false(leading);
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp()");
    assert_ok(ledger_lead(t_ledger, other, &leading, &term2, &t_err));
    assert_true(leading);
    assert_int_equal(term2, term + 1);
    assert_ok(ledger_lead(t_ledger, t_leader, &leading, &term, &t_err));
    assert_false(leading);
    assert_ok(ledger_lead_end(t_ledger, t_leader, &t_err)); /* not mine: nothing */
    assert_ok(ledger_lead_end(t_ledger, other, &t_err));
    assert_ok(ledger_lead(t_ledger, t_leader, &leading, &term, &t_err));
    assert_true(leading);
    assert_int_equal(term, term2 + 1);
}

/* --- rates ---------------------------------------------------------------------------- */

static void slices_add_up_and_are_capped(void **state)
{
    (void)state;
    int granted;
    int64_t delay_us, total = 0, end_us = 0;
    double rate;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 1000, &t_err));
    int64_t start_us = clock_mono_us();
    for (;;) {
        assert_ok(ledger_rate_take(t_ledger, "smtp", 100, &granted, &delay_us, &rate, &t_day, &t_err));
        assert_true(fabs(rate - 1000) < 0.001);
        if (granted == 0)
            break;
        int64_t begin_us = clock_mono_us() - start_us + delay_us; /* slices of 0.1 s, one behind the other */
        assert_in_range(begin_us + 30000, end_us, end_us + 90000);
        total += granted;
        end_us = total * 1000;
    }
    assert_in_range(total, 2000, 2300); /* two seconds ahead, and one slice */
    assert_in_range(delay_us, 1000, 110000);
    clock_sleep_us(delay_us + 5000);
    assert_ok(ledger_rate_take(t_ledger, "smtp", 100, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 100);
    assert_in_range(delay_us, 1900000, 2000000);
    assert_code(ledger_rate_take(t_ledger, "nobody", 1, &granted, &delay_us, &rate, &t_day, &t_err),
                FP_NOT_FOUND);
    assert_code(ledger_rate_configure(t_ledger, "smtp", -1, &t_err), FP_INVALID_ARGUMENT);
}

/* The row as an hour's step back leaves it. */
static void set_the_clock_back(void)
{
    t_sql("UPDATE foliopost.provider_rates SET next_free = next_free + interval '1 h',"
          " touched_at = touched_at + interval '1 h'");
}

static void a_clock_that_is_set_back_stops_nothing_and_makes_nothing_faster(void **state)
{
    (void)state;
    int granted;
    int64_t delay_us;
    double rate;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 10, &t_err));
    for (int touched = 0; touched < 3; touched++) {
        assert_ok(ledger_rate_take(t_ledger, "smtp", 10, &granted, &delay_us, &rate, &t_day, &t_err));
        set_the_clock_back();
        if (touched == 1) /* by a mailer that starts, or by a probe, before the next slice */
            assert_ok(ledger_rate_configure(t_ledger, "smtp", 10, &t_err));
        if (touched == 2)
            assert_ok(ledger_provider_fault(t_ledger, "smtp", "", &t_err));
        assert_ok(ledger_rate_take(t_ledger, "smtp", 5, &granted, &delay_us, &rate, &t_day, &t_err));
        assert_int_equal(granted, 5);
        /* behind the second before; it ran on since the row was touched */
        assert_in_range(delay_us, touched == 0 ? 900000 : 0, 1001000);
        t_sql("UPDATE foliopost.provider_rates SET next_free = clock_timestamp()");
    }
    assert_ok(ledger_rate_take(t_ledger, "smtp", 30, &granted, &delay_us, &rate, &t_day, &t_err));
    set_the_clock_back();
    assert_ok(ledger_rate_take(t_ledger, "smtp", 1, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 0); /* three seconds ahead still */
    assert_in_range(delay_us, 900000, 1001000);
}

static void a_rate_lowered_before_the_step_rises_again(void **state)
{
    (void)state;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 100, &t_err));
    assert_ok(ledger_rate_lower(t_ledger, "smtp", 0.5, 30, &t_err));
    assert_ok(ledger_rate_raise(t_ledger, "smtp", 0.1, &t_err));
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 50); /* held */
    t_sql("UPDATE foliopost.provider_rates SET lowered_until = lowered_until + interval '6 h',"
          " lowered_at = lowered_at + interval '6 h'");
    assert_ok(ledger_rate_raise(t_ledger, "smtp", 0.1, &t_err));
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 60);
}

static void an_unused_rate_is_not_saved_up(void **state)
{
    (void)state;
    int granted;
    int64_t delay_us;
    double rate;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 10, &t_err));
    t_sql("UPDATE foliopost.provider_rates SET next_free = clock_timestamp() - interval '1 h'");
    assert_ok(ledger_rate_take(t_ledger, "smtp", 10, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(delay_us, 0);
    assert_ok(ledger_rate_take(t_ledger, "smtp", 10, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_in_range(delay_us, 900000, 1000000);
}

static void no_limit_is_a_rate_of_nothing(void **state)
{
    (void)state;
    int granted;
    int64_t delay_us, fault_s;
    double rate = 1;
    char fault[256];
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(rate < 0.001); /* there is none */
    assert_ok(ledger_rate_configure(t_ledger, "null", 0, &t_err));
    assert_ok(ledger_rate_take(t_ledger, "null", 500, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 500);
    assert_int_equal(delay_us, 0);
    assert_true(rate < 0.001);
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 10, &t_err));
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(rate < 0.001);
}

/* As if the last lowering and the last raise were so long ago. */
static void moved_s_ago(int seconds)
{
    t_sql("UPDATE foliopost.provider_rates SET lowered_at = clock_timestamp() - %d * interval '1 s',"
          " raised_at = clock_timestamp() - %d * interval '1 s'",
          seconds, seconds);
}

static void throttling_lowers_the_rate_for_a_while(void **state)
{
    (void)state;
    double rate;
    char fault[256];
    int64_t fault_s;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 100, &t_err));
    for (int i = 0; i < 10; i++) {
        assert_ok(ledger_rate_lower(t_ledger, "smtp", 0.5, 60, &t_err));
        moved_s_ago(2);
    }
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(fabs(rate - 5) < 0.001); /* a twentieth */
    assert_ok(ledger_rate_raise(t_ledger, "smtp", 0.1, &t_err));
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 100, &t_err)); /* another mailer starts */
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(fabs(rate - 5) < 0.001);
    t_sql("UPDATE foliopost.provider_rates SET lowered_until = clock_timestamp()");
    for (int i = 0; i < 20; i++) {
        moved_s_ago(5);
        assert_ok(ledger_rate_raise(t_ledger, "smtp", 0.1, &t_err));
    }
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(fabs(rate - 100) < 0.001);
}

static void a_provider_that_nobody_uses_speaks_no_more(void **state)
{
    (void)state;
    double rate;
    char fault[256];
    int64_t fault_s;
    assert_ok(ledger_rate_configure(t_ledger, "old", 100, &t_err));
    assert_ok(ledger_provider_fault(t_ledger, "old", "relay down", &t_err));
    t_sql("UPDATE foliopost.provider_rates SET touched_at = touched_at - interval '11 min'");
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_string_equal(fault, "old: relay down"); /* the only one, however long it stands */
    assert_ok(ledger_rate_configure(t_ledger, "new", 50, &t_err));
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(rate == 50);
    assert_string_equal(fault, "");
    assert_ok(ledger_provider_fault(t_ledger, "old", "relay down", &t_err)); /* a probe */
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_true(rate == 150);
    assert_string_equal(fault, "old: relay down");
}

static void a_daily_quota_counts_the_mails_of_a_day(void **state)
{
    (void)state;
    int granted;
    int64_t delay_us;
    double rate;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 1e5, &t_err));
    assert_ok(ledger_rate_quota(t_ledger, "smtp", 100, 30, &t_err));
    assert_ok(ledger_rate_take(t_ledger, "smtp", 60, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 60);
    assert_ok(ledger_rate_take(t_ledger, "smtp", 60, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 10); /* what is left */
    assert_ok(ledger_rate_take(t_ledger, "smtp", 1, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, RATE_QUOTA_SPENT);
    assert_in_range(delay_us, 1000, 10000000);
    assert_ok(ledger_rate_quota(t_ledger, "smtp", 100, 0, &t_err)); /* another mailer starts */
    assert_ok(ledger_rate_take(t_ledger, "smtp", 1, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, RATE_QUOTA_SPENT);
    assert_ok(ledger_rate_return(t_ledger, "smtp", 5, t_day, &t_err));
    assert_ok(ledger_rate_take(t_ledger, "smtp", 9, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 5);
    t_sql("UPDATE foliopost.provider_rates SET quota_day = quota_day - 1");
    assert_ok(ledger_rate_take(t_ledger, "smtp", 100, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 100);
    assert_ok(ledger_rate_quota(t_ledger, "smtp", 0, 0, &t_err));
    assert_ok(ledger_rate_take(t_ledger, "smtp", 500, &granted, &delay_us, &rate, &t_day, &t_err));
    assert_int_equal(granted, 500);
}

static void a_window_is_open_in_its_own_zone(void **state)
{
    (void)state;
    bool open;
    int64_t for_us;
    int now = (int)t_sql("SELECT (extract(hour FROM t) * 60 + extract(minute FROM t))::bigint"
                         " FROM (SELECT clock_timestamp() AT TIME ZONE 'America/New_York' AS t) x");
    struct ledger_window w = {"America/New_York", (now + 1435) % 1440, (now + 5) % 1440};
    assert_ok(ledger_window_look(t_ledger, &w, &open, &for_us, &t_err));
    assert_true(open);
    assert_in_range(for_us, 230000000, 300000000);
    w = (struct ledger_window){"America/New_York", (now + 5) % 1440, (now + 1435) % 1440};
    assert_ok(ledger_window_look(t_ledger, &w, &open, &for_us, &t_err));
    assert_false(open);
    assert_in_range(for_us, 230000000, 300000000);
    w.zone = "Europe/Nowhere";
    assert_code(ledger_window_look(t_ledger, &w, &open, &for_us, &t_err), FP_INVALID_ARGUMENT);
}

static void a_fault_stands_with_its_age(void **state)
{
    (void)state;
    double rate;
    char fault[256];
    int64_t fault_s;
    assert_ok(ledger_rate_configure(t_ledger, "smtp", 100, &t_err));
    assert_ok(ledger_provider_fault(t_ledger, "smtp", "relay down", &t_err));
    t_sql("UPDATE foliopost.provider_rates SET fault_since = fault_since - interval '90 s'");
    assert_ok(ledger_provider_fault(t_ledger, "smtp", "relay refuses", &t_err)); /* keeps its age */
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_string_equal(fault, "smtp: relay refuses");
    assert_in_range(fault_s, 90, 95);
    assert_ok(ledger_provider_fault(t_ledger, "smtp", "", &t_err));
    assert_ok(ledger_rates_total(t_ledger, &rate, fault, &fault_s, &t_err));
    assert_string_equal(fault, "");
    assert_int_equal(fault_s, 0);
}

/* --- the error log, lists ---------------------------------------------------------------------- */

static void the_error_log_is_written(void **state)
{
    (void)state;
    assert_ok(ledger_error(t_ledger, "mailer", "", 0, 7, "UNAVAILABLE", "gone", &t_err));
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.error_log WHERE instance IS NULL AND batch_id = 7"),
                     1);
}

static void deliveries_are_listed_and_counted(void **state)
{
    (void)state;
    struct ledger_delivery d[10];
    struct ledger_reason_count r[8];
    int64_t job = t_started(false);
    t_sql(
        "INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, reason, maybe_doubles)"
        " SELECT %lld, n, 1, CASE WHEN n <= 20 THEN 'sent' ELSE 'failed' END,"
        " CASE WHEN n <= 20 THEN '' ELSE 'reason ' || n / 5 END, (n = 3)::integer FROM generate_series(1, 40) n",
        (long long)job);
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_UNKNOWN, 35, d, 10, &t_err), 5);
    assert_int_equal(d[0].user_id, 36);
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_SENT, 15, d, 10, &t_err), 5);
    assert_int_equal(d[4].user_id, 20);
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_FAILED, 0, d, 3, &t_err), 3);
    assert_int_equal(d[0].user_id, 21);
    assert_string_equal(d[0].reason, "reason 4");
    assert_int_equal(ledger_reason_counts(t_ledger, job, r, 8, &t_err), 3);
    assert_int_equal(r[0].state, DELIVERY_SENT);
    assert_int_equal(r[0].users, 20);
    assert_int_equal(r[0].maybe_doubles, 1);
    assert_string_equal(r[1].reason, "(other)"); /* of failed: all but the largest */
    assert_int_equal(r[1].users, 15);
    assert_int_equal(r[2].users, 5);
}

static void failures_are_counted_by_class(void **state)
{
    (void)state;
    static const char *const reasons[] = {"550 5.1.1 <[address]>: no such user",
                                          "550 5.1.1 unknown",
                                          "550 no such user",
                                          "retries exhausted: 451 4.7.1 later",
                                          "HTTP 400 bad",
                                          "stats: unknown_currency",
                                          "5500 is no reply",
                                          "poison"};
    static const char *const classes[] = {"550 5.1.1",
                                          "550",
                                          "5500 is no reply",
                                          "HTTP 400",
                                          "poison",
                                          "retries exhausted: 451 4.7.1",
                                          "stats: unknown_currency"};
    struct ledger_reason_count r[8];
    bool partial;
    int64_t job = t_started(false);
    for (int i = 0; i < 8; i++)
        t_sql("INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, reason)"
              " VALUES (%lld, %d, 1, 'failed', '%s')",
              (long long)job, i + 1, reasons[i]);
    t_sql("INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, reason)"
          " SELECT %lld, 100 + n, 1, s, '451 4.7.1 later' FROM generate_series(1, 3) n,"
          " unnest(ARRAY['deferred', 'sent', 'skipped', 'requeued']) s ON CONFLICT DO NOTHING",
          (long long)job);
    assert_int_equal(ledger_failure_counts(t_ledger, job, r, 8, &partial, &t_err), 8);
    assert_false(partial);
    assert_int_equal(r[0].state, DELIVERY_DEFERRED);
    assert_int_equal(r[0].users, 3);
    assert_string_equal(r[0].reason, "451 4.7.1");
    assert_int_equal(r[1].users, 2);
    for (int i = 0; i < 7; i++)
        assert_string_equal(r[i + 1].reason, classes[i]);
    /* And each class, as a filter, finds its own. */
    struct ledger_delivery d[8];
    struct ledger_delivery_filter f = {.reason = "550 5.1.1"};
    assert_int_equal(ledger_deliveries_where(t_ledger, job, DELIVERY_FAILED, &f, 0, d, 8, &t_err), 2);
    t_sql("INSERT INTO foliopost.deliveries (job_id, user_id, batch_id, state, reason)"
          " SELECT %lld, 1000 + n, 1, 'failed', 'poison' FROM generate_series(1, %d) n",
          (long long)job, LEDGER_FAILURES_READ);
    assert_true(ledger_failure_counts(t_ledger, job, r, 8, &partial, &t_err) > 0);
    assert_true(partial);
}

/* --- connections ---------------------------------------------------------------------------- */

static void a_step_survives_a_lost_connection_once(void **state)
{
    (void)state;
    bool held;
    struct fp_ledger *killer = t_open();
    int64_t pid = t_sql("SELECT pg_backend_pid()");
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%lld)::integer", (long long)pid);
    assert_int_equal(t_sql_on(killer, sql), 1);
    assert_ok(ledger_instance_renew(t_ledger, t_mailer, 1, "", &held, &t_err));
    assert_true(held);
    ledger_close(killer);
    ledger_close(NULL);
}

static void no_server_is_unavailable_and_named(void **state)
{
    (void)state;
    bool held;
    struct pg_options o = {.dsn = "host=127.0.0.1 port=1 user=ann password=secret dbname=db"};
    struct fp_ledger *l = ledger_open(&o, &t_err);
    assert_non_null(l);
    assert_code(ledger_instance_renew(l, t_mailer, 1, "", &held, &t_err), FP_UNAVAILABLE);
    assert_non_null(strstr(t_err.msg, "127.0.0.1"));
    assert_null(strstr(t_err.msg, "secret"));
    ledger_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_is_made_once_and_checked),
        cmocka_unit_test(a_migration_that_fails_leaves_nothing),
        cmocka_unit_test_setup(a_lease_is_renewed_until_it_is_swept, t_clean),
        cmocka_unit_test_setup(one_leads_until_his_lease_is_over, t_clean),
        cmocka_unit_test_setup(slices_add_up_and_are_capped, t_clean),
        cmocka_unit_test_setup(a_clock_that_is_set_back_stops_nothing_and_makes_nothing_faster, t_clean),
        cmocka_unit_test_setup(a_rate_lowered_before_the_step_rises_again, t_clean),
        cmocka_unit_test_setup(an_unused_rate_is_not_saved_up, t_clean),
        cmocka_unit_test_setup(no_limit_is_a_rate_of_nothing, t_clean),
        cmocka_unit_test_setup(throttling_lowers_the_rate_for_a_while, t_clean),
        cmocka_unit_test_setup(a_fault_stands_with_its_age, t_clean),
        cmocka_unit_test_setup(a_daily_quota_counts_the_mails_of_a_day, t_clean),
        cmocka_unit_test_setup(a_window_is_open_in_its_own_zone, t_clean),
        cmocka_unit_test_setup(a_provider_that_nobody_uses_speaks_no_more, t_clean),
        cmocka_unit_test_setup(the_error_log_is_written, t_clean),
        cmocka_unit_test_setup(deliveries_are_listed_and_counted, t_clean),
        cmocka_unit_test_setup(failures_are_counted_by_class, t_clean),
        cmocka_unit_test_setup(a_step_survives_a_lost_connection_once, t_clean),
        cmocka_unit_test_setup(no_server_is_unavailable_and_named, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
