/* Turns of the rate over a real PostgreSQL and connections that take their time. */
#include "services/mailer/testing.h"

#include "services/mailer/desk_internal.h"
#include "services/mailer/rate.h"
#include "services/mailer/smtp_script.h"

#define RATE        250
#define MAILS       1500
#define CONNECTIONS 48

static struct server *relay;
static char url[64];

static struct desk_options options(const struct script *script, double rate)
{
    struct desk_options o = f_options();
    relay = server_start(*script);
    (void)snprintf(url, sizeof(url), "smtp://127.0.0.1:%d", relay->port);
    o.providers[0].transport = transport_by_name("smtp");
    o.providers[0].transport_settings = usual_settings();
    o.providers[0].transport_settings.smtp_url = url;
    o.providers[0].connections = CONNECTIONS;
    o.providers[0].limits.per_second = rate;
    return o;
}

/* Of those that came from from_us on. */
static int most_in_a_second(int64_t from_us)
{
    int most = 0;
    for (int i = 0, j = 0; j < relay->mails; j++) {
        while (i < j && (relay->came_us[i] < from_us || relay->came_us[j] - relay->came_us[i] >= FP_US_PER_S))
            i++;
        most = j - i + 1 > most ? j - i + 1 : most;
    }
    return most;
}

static double per_second(int64_t from_us)
{
    int first = 0;
    while (relay->came_us[first] < from_us)
        first++;
    int64_t took_us = relay->came_us[relay->mails - 1] - relay->came_us[first];
    return (relay->mails - 1 - first) * 1e6 / (double)took_us;
}

/* All connections are made in the same moment, and greeted in the same moment. */
static void who_waited_for_his_connection_waits_for_his_turn(void **state)
{
    (void)state;
    const struct script slow = {.greeting_ms = 700};
    struct desk_options o = options(&slow, RATE);
    int64_t job = t_started(false);
    f_start(&o);
    for (int i = 0; i < MAILS / 100; i++)
        (void)f_batch(job, 1 + 100 * i, 100);
    f_await(f_idle(), 20);
    f_stop();
    int most = most_in_a_second(0);
    double used = per_second(relay->came_us[0] + FP_US_PER_S / 2);
    print_message("%d mails at %d/s, %d greeted late: most in a second %d, then %.1f a second\n",
                  relay->mails, RATE, CONNECTIONS, most, used);
    assert_int_equal(relay->mails, MAILS);
    assert_int_equal(t_count(job, "state = 'sent' AND attempts = 1"), MAILS);
    assert_true(most <= RATE + RATE / 10);
    assert_true(used >= 0.9 * RATE); /* test_rate.py measures it; here the machine may have a hiccup */
    server_stop(relay);
}

/* The test takes longer than the lease of its mailer. */
static bool renewed(void)
{
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '10 s' WHERE id = '%s'",
          t_mailer);
    t_sql("UPDATE foliopost.leader SET lease_until = clock_timestamp() + interval '10 s'");
    clock_sleep_us(50000);
    return true;
}

/* Now and then a statement that opens intents takes 0.9 s, while slices come all the time: what
 * it had opened must not go on top of what is good when it ends. */
static void after_a_statement_that_stalled_no_second_has_more_than_a_slice_too_many(void **state)
{
    (void)state;
    const struct script usual = {0};
    struct desk_options o = options(&usual, RATE);
    t_sql("CREATE SEQUENCE foliopost.opened");
    t_sql("CREATE FUNCTION foliopost.stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
          " IF nextval('foliopost.opened') %% 60 = 0 THEN PERFORM pg_sleep(0.9); END IF; RETURN NEW; END $$");
    t_sql("CREATE TRIGGER stall BEFORE UPDATE ON foliopost.batches FOR EACH ROW"
          " WHEN (cardinality(NEW.open_intents) > cardinality(OLD.open_intents)) EXECUTE FUNCTION "
          "foliopost.stall()");
    int64_t job = t_started(false);
    f_start(&o);
    for (int i = 0; i < MAILS / 100 && renewed(); i++)
        (void)f_batch(job, 1 + 100 * i, 100);
    f_await(renewed() && f_idle(), 60);
    f_stop();
    t_sql("DROP FUNCTION foliopost.stall CASCADE");
    t_sql("DROP SEQUENCE foliopost.opened");
    int most = most_in_a_second(0);
    double missed = metrics_value("foliopost_turns_missed_total", "");
    print_message("%d mails at %d/s, statements that stall: most in a second %d, %.0f turns missed\n",
                  relay->mails, RATE, most, missed);
    assert_int_equal(relay->mails, MAILS);
    assert_int_equal(t_count(job, "state = 'sent' AND attempts = 1"), MAILS);
    assert_true(most <= RATE + RATE / 10);
    assert_true(missed >= 1); /* theirs whom the statements held up */
    server_stop(relay);
}

/* The same delay for all is no reason to lose it. */
static void a_turn_outlasts_a_statement_by_half_a_slice_at_most(void **state)
{
    struct mail m = {.turn_until_us = 5 * FP_US_PER_S};
    (void)state;
    desk_keep_turn(&m, RATE_SLICE_US / 4);
    assert_int_equal(m.turn_until_us, 5 * FP_US_PER_S + RATE_SLICE_US / 4);
    desk_keep_turn(&m, 900000);
    assert_int_equal(m.turn_until_us, 5 * FP_US_PER_S + RATE_SLICE_US * 3 / 4);
    m.turn_until_us = INT64_MAX; /* there is no limit */
    desk_keep_turn(&m, 900000);
    assert_true(m.turn_until_us == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_waited_for_his_connection_waits_for_his_turn, f_clean),
        cmocka_unit_test_setup(after_a_statement_that_stalled_no_second_has_more_than_a_slice_too_many,
                               f_clean),
        cmocka_unit_test(a_turn_outlasts_a_statement_by_half_a_slice_at_most),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
