/* Erasing: nothing of the user stays, the numbers of past jobs do. */
#include "lib/ledger/testing.h"

#include "lib/ledger/erase.h"
#include "lib/ledger/suppressions.h"

#define USER 987654321

static int64_t job, batch;
static struct ledger_erased erased;

static int setup(void **state)
{
    if (t_clean(state) != 0)
        return -1;
    t_sql("TRUNCATE foliopost.erased, foliopost.checkpoints, foliopost.error_log");
    job = t_started(false);
    batch = t_paged(job, USER - 2, 5, true);
    t_sent(batch, USER - 2, 5);
    return 0;
}

static void complete(void)
{
    struct ledger_proof proof;
    bool done;
    assert_ok(ledger_job_complete(t_ledger, t_leader, job, &done, &proof, &t_err));
    assert_true(done);
    assert_int_equal(proof.users, 5);
}

static void erase(const char *hash)
{
    assert_ok(ledger_erase_user(t_ledger, USER, hash, "ann\n10.0.0.7:1", &erased, &t_err));
}

static bool is_suppressed(int64_t user, const char *hash)
{
    struct ledger_recipient who = {.user_id = user};
    bool out;
    snprintf(who.address_hash, sizeof who.address_hash, "%s", hash);
    assert_ok(ledger_suppressed(t_ledger, "monthly", &who, 1, &out, &t_err));
    return out;
}

/* Rows of any table that show the id as a word of their text. */
static int64_t rows_with_the_id(void)
{
    static const char *const tables[] = {"jobs",       "intervals",       "batches",
                                         "deliveries", "delivery_events", "audit",
                                         "error_log",  "suppressions",    "checkpoints",
                                         "erased",     "provider_rates",  "recovered_mails"};
    int64_t n = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        n += t_sql("SELECT count(*) FROM foliopost.%s t WHERE t::text ~ '\\m%d\\M'", tables[i], USER);
    return n;
}

static void an_open_job_keeps_its_users(void **state)
{
    (void)state;
    assert_code(ledger_erase_user(t_ledger, USER, "", "ann", &erased, &t_err), FP_FAILED_PRECONDITION);
    assert_int_equal(t_count(job, "user_id = 987654321"), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.erased"), 0);
}

/* His mailer dies, the job is cancelled: what expire writes of him comes before the erasure, not behind. */
static void a_batch_of_a_cancelled_job_that_is_being_sent_is_waited_for(void **state)
{
    struct ledger_expired expired;
    (void)state;
    t_sql("UPDATE foliopost.batches SET state = 'sending', epoch = epoch + 1, owner = '%s',"
          " open_intents = ARRAY[%d]::bigint[] WHERE %d = ANY (user_ids)",
          t_mailer, USER, USER);
    t_sql("DELETE FROM foliopost.deliveries WHERE user_id = %d", USER);
    assert_ok(ledger_job_cancel(t_ledger, job, "", "ann", &t_err));
    assert_code(ledger_erase_user(t_ledger, USER, "", "ann", &erased, &t_err), FP_FAILED_PRECONDITION);
    assert_non_null(strstr(t_err.msg, "call again in half a minute"));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &expired, &t_err));
    assert_int_equal(expired.ambiguous, 1);
    erase("");
    assert_int_equal(erased.deliveries, 1);
    assert_int_equal(rows_with_the_id(), 0);
}

static void nothing_of_the_user_stays_and_the_numbers_do(void **state)
{
    char hash[LEDGER_HASH_BYTES];
    bool known;
    (void)state;
    complete();
    assert_ok(ledger_address_hash(t_ledger, "ann@example.com", hash, &t_err));
    t_sql(
        "UPDATE foliopost.deliveries SET address_hash = '%s', provider_id = 'x', content_hash = '\\x00' WHERE user_id = %d",
        hash, USER);
    t_sql("UPDATE foliopost.jobs SET user_ids = ARRAY[1, %d, 1987654321], response = 'user %d is poison'",
          USER, USER);
    t_sql("UPDATE foliopost.intervals SET cursor_id = %d", USER);
    t_sql("INSERT INTO foliopost.checkpoints VALUES (%d, '2026-01-31', '', '')", USER);
    t_sql("INSERT INTO foliopost.recovered_mails VALUES (1, %d)", USER);
    t_sql(
        "INSERT INTO foliopost.delivery_events (job_id, user_id, event, occurred_at) VALUES (%lld, %d, 'delivered', now())",
        (long long)job, USER);
    t_sql(
        "INSERT INTO foliopost.audit (actor, action, detail) VALUES ('x', 'unsuppress', 'user %d, 1 entries')",
        USER);
    t_sql(
        "INSERT INTO foliopost.error_log (service, code, message) VALUES ('stats', 'x', 'user_id=%d is broken')",
        USER);
    t_sql("INSERT INTO foliopost.suppressions (user_id, reason) VALUES (%d, 'unsubscribe')", USER);
    assert_true(rows_with_the_id() >= 10);
    erase("");
    assert_false(erased.existing);
    assert_int_equal(erased.deliveries * 1000 + erased.events * 100 + erased.checkpoints * 10 +
                         erased.suppressions,
                     1111);
    assert_int_equal(rows_with_the_id(), 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.jobs WHERE response ~ '^user 4[0-9]{18} is poison'"
                           " OR response ~ '^user [5-9][0-9]{18} is poison'"),
                     1);
    assert_int_equal(t_sql("SELECT user_ids[1] FROM foliopost.jobs"), 1);
    assert_int_equal(t_count(job, "state = 'sent'"), 5);
    assert_int_equal(
        t_count(job, "user_id >= 4611686018427387904 AND address_hash IS NULL AND content_hash IS NULL"), 1);
    assert_true(is_suppressed(5, hash)); /* who registers the address again */
    assert_false(is_suppressed(USER, ""));
    assert_ok(ledger_is_erased(t_ledger, USER, &known, &t_err));
    assert_true(known);
    assert_ok(ledger_is_erased(t_ledger, USER + 1, &known, &t_err));
    assert_false(known);
}

static void erasing_again_changes_nothing(void **state)
{
    (void)state;
    complete();
    erase("");
    int64_t id = t_sql("SELECT max(user_id) FROM foliopost.deliveries");
    erase("");
    assert_true(erased.existing);
    assert_int_equal(erased.deliveries, 0);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'erase' AND peer = '10.0.0.7:1'"), 1);
    assert_int_equal(t_sql("SELECT max(user_id) FROM foliopost.deliveries"), id);
}

static void a_late_report_does_not_bring_the_id_back(void **state)
{
    (void)state;
    struct ledger_event e = {.job_id = job,
                             .user_id = USER,
                             .event = EVENT_UNSUBSCRIBED,
                             .key = "k",
                             .provider = "one-click",
                             .detail = "",
                             .suppress = SUPPRESSION_UNSUBSCRIBE,
                             .occurred_us = clock_wall_us()};
    int64_t kept;
    complete();
    erase("");
    assert_ok(ledger_events(t_ledger, &e, 1, &kept, &t_err));
    assert_int_equal(kept, 0);
    e.user_id = USER + 1;
    assert_ok(ledger_events(t_ledger, &e, 1, &kept, &t_err));
    assert_int_equal(kept, 1);
    assert_int_equal(rows_with_the_id(), 0);
}

static void suppressions_without_an_address_take_the_one_that_is_given(void **state)
{
    char hash[LEDGER_HASH_BYTES];
    (void)state;
    complete();
    assert_ok(ledger_address_hash(t_ledger, "Ann@Example.com", hash, &t_err));
    t_sql(
        "INSERT INTO foliopost.suppressions (user_id, reason, scope) VALUES (%d, 'manual', 'weekly'), (%d, 'complaint', 'all')",
        USER, USER);
    erase(hash);
    assert_int_equal(erased.suppressions, 2);
    assert_true(is_suppressed(5, hash));
    t_sql("INSERT INTO foliopost.suppressions (user_id, reason) VALUES (%d, 'manual')", USER + 1);
    assert_ok(
        ledger_erase_user(t_ledger, USER + 1, "", "ann", &erased, &t_err)); /* nothing is known of him */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.suppressions WHERE user_id > 4611686018427387903"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_open_job_keeps_its_users, setup),
        cmocka_unit_test_setup(a_batch_of_a_cancelled_job_that_is_being_sent_is_waited_for, setup),
        cmocka_unit_test_setup(nothing_of_the_user_stays_and_the_numbers_do, setup),
        cmocka_unit_test_setup(erasing_again_changes_nothing, setup),
        cmocka_unit_test_setup(a_late_report_does_not_bring_the_id_back, setup),
        cmocka_unit_test_setup(suppressions_without_an_address_take_the_one_that_is_given, setup),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
