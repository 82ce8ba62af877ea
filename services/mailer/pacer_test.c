/* Pacers over a real ledger: two mailers share one rate. */
#include <pthread.h>

#include "lib/ledger/testing.h"
#include "lib/metrics/metrics.h"
#include "services/mailer/pacer.h"

#define RATE    300.0
#define SECONDS 4
#define MOST    (2 * (int)RATE * SECONDS)

struct mailer {
    struct pacer *pacer;
    pthread_t thread;
    int64_t end_us;
    int64_t times_us[MOST];
    int n;
};

static void nothing(void *ctx)
{
    (void)ctx;
}

static struct pacer *start(double rate)
{
    const struct pacer_options o = {.ledger = {.dsn = t_dsn, .application = "pacer_test", .prepare = true},
                                    .channels = {{.name = "default", .limits.per_second = rate}},
                                    .n_channels = 1,
                                    .changed = nothing};
    struct pacer *p = pacer_start(&o, &t_err);
    if (!p)
        fail_msg("%s", t_err.msg);
    return p;
}

/* A desk with always more to send. */
static void *send_all(void *arg)
{
    struct mailer *m = arg;
    int64_t next_us;
    while (clock_mono_us() < m->end_us) {
        size_t n = pacer_offer(m->pacer, 0, 500, 64, &next_us);
        pacer_use(m->pacer, 0, n);
        for (size_t i = 0; i < n && m->n < MOST; i++)
            m->times_us[m->n++] = clock_mono_us();
        clock_sleep_us(2000);
    }
    return NULL;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int most_in_a_second(const int64_t *times_us, int n)
{
    int most = 0;
    for (int i = 0, j = 0; j < n; j++) {
        while (times_us[j] - times_us[i] >= FP_US_PER_S)
            i++;
        most = j - i + 1 > most ? j - i + 1 : most;
    }
    return most;
}

static void two_mailers_share_one_rate(void **state)
{
    static struct mailer m[2];
    static int64_t all[2 * MOST];
    int n = 0;
    (void)state;
    int64_t start_us = clock_mono_us();
    for (int i = 0; i < 2; i++) {
        m[i].pacer = start(RATE);
        m[i].end_us = start_us + SECONDS * FP_US_PER_S;
        assert_int_equal(pthread_create(&m[i].thread, NULL, send_all, &m[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(m[i].thread, NULL);
        pacer_stop(m[i].pacer);
        memcpy(all + n, m[i].times_us, (size_t)m[i].n * sizeof(*all));
        n += m[i].n;
    }
    qsort(all, (size_t)n, sizeof(*all), by_time);
    print_message("%d and %d mails in %d s at %.0f/s, most in a second %d\n", m[0].n, m[1].n, SECONDS, RATE,
                  most_in_a_second(all, n));
    assert_true(n >= (int)(RATE * (SECONDS - 0.1) * 0.98));
    assert_true(most_in_a_second(all, n) <= (int)(RATE * 1.1));
    assert_true(m[0].n > n / 4 && m[1].n > n / 4);
}

static bool offered(struct pacer *p, size_t waiting, int seconds)
{
    int64_t next_us, end_us = clock_mono_us() + seconds * FP_US_PER_S;
    while (clock_mono_us() < end_us) {
        if (pacer_offer(p, 0, waiting, waiting, &next_us) > 0)
            return true;
        clock_sleep_us(2000);
    }
    return false;
}

static void without_a_ledger_there_are_no_slices_and_with_it_they_come_again(void **state)
{
    (void)state;
    struct pacer *p = start(50);
    assert_true(offered(p, 10, 2));
    t_sql("ALTER TABLE foliopost.provider_rates RENAME TO hidden");
    clock_sleep_us(500 * 1000);
    assert_false(offered(p, 10, 1));
    t_sql("ALTER TABLE foliopost.hidden RENAME TO provider_rates");
    assert_true(offered(p, 10, 3));
    pacer_stop(p);
}

static void what_is_to_be_told_is_told(void **state)
{
    (void)state;
    struct pacer *p = start(100);
    pacer_throttled(p, 0);
    pacer_fault(p, 0, "connection refused");
    int64_t end_us = clock_mono_us() + 3 * FP_US_PER_S;
    while (
        t_sql(
            "SELECT count(*) FROM foliopost.provider_rates WHERE rate = 60 AND fault = 'connection refused'") !=
            1 &&
        clock_mono_us() < end_us)
        clock_sleep_us(10000);
    assert_int_equal(t_sql("SELECT rate::bigint FROM foliopost.provider_rates"), 60);
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.provider_rates WHERE fault = 'connection refused'"),
                     1);
    pacer_stop(p);
}

static void an_account_that_was_read_again_is_told(void **state)
{
    const struct ledger_limits read = {
        .per_second = 14, .per_day = 50000, .account = ACCOUNT_READ, .rolls = true, .sent = 4711};
    (void)state;
    struct pacer *p = start(100);
    pacer_limits(p, 0, &read);
    int64_t end_us = clock_mono_us() + 3 * FP_US_PER_S;
    while (t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE rate = 14 AND daily_quota = 50000"
                 " AND quota_used = 4711") != 1 &&
           clock_mono_us() < end_us)
        clock_sleep_us(10000);
    assert_true(clock_mono_us() < end_us);
    pacer_stop(p);
}

static void a_mailer_that_waits_for_nothing_takes_nothing(void **state)
{
    int64_t next_us;
    (void)state;
    struct pacer *p = start(100);
    (void)pacer_offer(p, 0, 0, 0, &next_us);
    assert_int_equal(next_us, INT64_MAX);
    clock_sleep_us(300 * 1000);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.provider_rates WHERE next_free = '-infinity'"), 1);
    pacer_stop(p);
    pacer_stop(NULL);
}

/* The mailer uses nothing of what it takes. Yesterday's trigger makes the rows' day of
 * its slices the day before; then it is midnight, and another mailer takes fifty. */
static void slices_of_yesterday_give_nothing_back_to_today(void **state)
{
    const struct pacer_options o = {.ledger = {.dsn = t_dsn, .application = "pacer_test", .prepare = true},
                                    .channels = {{"default", {.per_second = 100, .per_day = 100000}}},
                                    .n_channels = 1,
                                    .changed = nothing};
    (void)state;
    t_sql(
        "CREATE FUNCTION foliopost.yesterday() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN NEW.quota_day := (clock_timestamp() AT TIME ZONE 'UTC')::date - 1; RETURN NEW; END $$");
    t_sql("CREATE TRIGGER yesterday BEFORE UPDATE ON foliopost.provider_rates FOR EACH ROW"
          " EXECUTE FUNCTION foliopost.yesterday()");
    struct pacer *p = pacer_start(&o, &t_err);
    assert_non_null(p);
    int64_t next_us, end_us = clock_mono_us() + FP_US_PER_S;
    while (clock_mono_us() < end_us) {
        (void)pacer_offer(p, 0, 500, 64, &next_us);
        clock_sleep_us(2000);
    }
    t_sql("DROP FUNCTION foliopost.yesterday CASCADE");
    t_sql(
        "UPDATE foliopost.provider_rates SET quota_used = 50, quota_day = (clock_timestamp() AT TIME ZONE 'UTC')::date");
    int64_t least = 50;
    for (end_us = clock_mono_us() + FP_US_PER_S; clock_mono_us() < end_us;) {
        (void)pacer_offer(p, 0, 500, 64, &next_us);
        int64_t used = t_sql("SELECT quota_used::bigint FROM foliopost.provider_rates");
        least = used < least ? used : least;
        clock_sleep_us(2000);
    }
    pacer_stop(p);
    assert_int_equal(least, 50);
}

/* A statement takes longer than a slice: the first channel always wants its next one by then. */
static void a_slow_ledger_is_slow_for_all_channels_alike(void **state)
{
    const struct pacer_options o = {.ledger = {.dsn = t_dsn, .application = "pacer_test", .prepare = true},
                                    .channels = {{"first", {.per_second = 100}},
                                                 {"second", {.per_second = 100}}},
                                    .n_channels = 2,
                                    .changed = nothing};
    size_t went[2] = {0};
    int64_t next_us;
    (void)state;
    t_sql("CREATE FUNCTION foliopost.slowly() RETURNS trigger LANGUAGE plpgsql"
          " AS $$ BEGIN PERFORM pg_sleep(0.15); RETURN NEW; END $$");
    t_sql("CREATE TRIGGER slowly BEFORE UPDATE ON foliopost.provider_rates FOR EACH ROW"
          " EXECUTE FUNCTION foliopost.slowly()");
    struct pacer *p = pacer_start(&o, &t_err);
    assert_non_null(p);
    int64_t end_us = clock_mono_us() + 4 * FP_US_PER_S;
    while (clock_mono_us() < end_us) {
        for (int c = 0; c < 2; c++) {
            size_t n = pacer_offer(p, c, 500, 64, &next_us);
            (void)pacer_use(p, c, n);
            went[c] += n;
        }
        clock_sleep_us(2000);
    }
    pacer_stop(p);
    t_sql("DROP FUNCTION foliopost.slowly CASCADE");
    print_message("a statement of 150 ms: %zu through the first, %zu through the second\n", went[0], went[1]);
    assert_true(went[1] >= went[0] / 2 && went[0] >= went[1] / 2 && went[1] > 20);
}

/* The answer waits for a lock on the row: its slice was for a time that is over. */
static void the_slice_of_a_late_answer_is_void(void **state)
{
    (void)state;
    struct mailer m = {.pacer = start(RATE), .end_us = clock_mono_us() + 2 * FP_US_PER_S};
    assert_int_equal(pthread_create(&m.thread, NULL, send_all, &m), 0);
    clock_sleep_us(500 * 1000);
    double before = metrics_value("foliopost_rate_unused_total", "");
    t_sql("DO $$ BEGIN PERFORM 1 FROM foliopost.provider_rates FOR UPDATE; PERFORM pg_sleep(0.6); END $$");
    pthread_join(m.thread, NULL);
    assert_true(metrics_value("foliopost_rate_unused_total", "") - before >= 10);
    assert_true(m.n > 300);
    pacer_stop(m.pacer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(two_mailers_share_one_rate, t_clean),
        cmocka_unit_test_setup(without_a_ledger_there_are_no_slices_and_with_it_they_come_again, t_clean),
        cmocka_unit_test_setup(what_is_to_be_told_is_told, t_clean),
        cmocka_unit_test_setup(an_account_that_was_read_again_is_told, t_clean),
        cmocka_unit_test_setup(a_mailer_that_waits_for_nothing_takes_nothing, t_clean),
        cmocka_unit_test_setup(slices_of_yesterday_give_nothing_back_to_today, t_clean),
        cmocka_unit_test_setup(a_slow_ledger_is_slow_for_all_channels_alike, t_clean),
        cmocka_unit_test_setup(the_slice_of_a_late_answer_is_void, t_clean),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
