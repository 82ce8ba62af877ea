/* Previews: taken once, passed on by whoever has it, collected once, and never kept. */
#include "lib/ledger/testing.h"

#include "lib/base/mem.h"
#include "lib/ledger/previews.h"

static char t_stats[37];

static int clean(void **state)
{
    (void)state;
    t_sql("DELETE FROM foliopost.previews");
    t_sql("DELETE FROM foliopost.audit");
    text_new_uuid(t_stats);
    text_new_uuid(t_mailer);
    return 0;
}
#define TEST(name) cmocka_unit_test_setup(name, clean)

static int ask(struct ledger_preview_ask *a, const char *to)
{
    *a = (struct ledger_preview_ask){.send_to = to,
                                     .provider = "",
                                     .users = "users",
                                     .bytes = 5,
                                     .keep_ms = 20000,
                                     .actor = "ann\n10.0.0.1:1",
                                     .detail = "user 7"};
    text_new_uuid(a->id);
    return ledger_preview_ask(t_ledger, a, &t_err);
}

static int take(enum preview_step step, const char *owner, struct ledger_preview *p)
{
    int n = ledger_preview_take(t_ledger, step, owner, p, &t_err);
    assert_true(n >= 0);
    return n;
}

/* The bus asks again when an answer was lost: also when the first one was collected, and the row is gone. */
static void a_test_that_was_mailed_is_not_asked_for_again(void **state)
{
    char detail[128];
    struct ledger_preview_ask a;
    (void)state;
    assert_ok(ask(&a, "other@example.com"));
    text_new_uuid(a.id);
    snprintf(detail, sizeof detail, "user 7 to somebody at example.com, call %s", a.id);
    a.detail = detail;
    assert_ok(ledger_preview_ask(t_ledger, &a, &t_err));
    t_sql("DELETE FROM foliopost.previews");
    assert_code(ledger_preview_ask(t_ledger, &a, &t_err), FP_ALREADY_EXISTS);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
    assert_ok(ask(&a, "other@example.com"));
}

static void it_goes_from_hand_to_hand_and_is_gone(void **state)
{
    struct ledger_preview_ask a;
    struct ledger_preview p;
    struct ledger_answer got;
    (void)state;
    assert_ok(ask(&a, "me@example.com"));
    assert_ok(ledger_preview_ask(t_ledger, &a, &t_err)); /* the same again is one */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'send_test'"
                           " AND actor = 'ann' AND peer = '10.0.0.1:1' AND detail = 'user 7'"),
                     1);
    assert_int_equal(take(PREVIEW_WRITE, t_mailer, &p), 0);
    assert_int_equal(take(PREVIEW_COMPUTE, t_stats, &p), 1);
    assert_string_equal(p.id, a.id);
    assert_memory_equal(p.data, "users", 5);
    ledger_preview_fini(&p);
    assert_int_equal(take(PREVIEW_COMPUTE, t_stats, &p), 0);                   /* once */
    assert_ok(ledger_preview_pass(t_ledger, a.id, t_mailer, "no", 2, &t_err)); /* not his */
    assert_int_equal(take(PREVIEW_WRITE, t_mailer, &p), 0);
    assert_ok(ledger_preview_pass(t_ledger, a.id, t_stats, "summary", 7, &t_err));
    assert_ok(ledger_preview_collect(t_ledger, a.id, false, &got, &t_err));
    assert_string_equal(got.state, "computed");
    assert_null(got.data);
    assert_int_equal(take(PREVIEW_WRITE, t_mailer, &p), 1);
    assert_memory_equal(p.data, "summary", 7);
    assert_string_equal(p.send_to, "me@example.com");
    ledger_preview_fini(&p);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews WHERE users IS NOT NULL"), 0);
    assert_ok(ledger_preview_answer(t_ledger, a.id, t_mailer, "answer", 6, &t_err));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews WHERE summary IS NOT NULL"), 0);
    assert_ok(ledger_preview_collect(t_ledger, a.id, false, &got, &t_err));
    assert_memory_equal(got.data, "answer", 6);
    mem_free(got.data);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
    assert_ok(ledger_preview_collect(t_ledger, a.id, false, &got, &t_err));
    assert_string_equal(got.state, "");
    assert_ok(ledger_preview_answer(t_ledger, a.id, t_mailer, "late", 4, &t_err)); /* nobody waits any more */
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
}

static void nobody_works_on_what_has_expired_and_nothing_stays(void **state)
{
    struct ledger_preview_ask a;
    struct ledger_preview p;
    struct ledger_answer got;
    (void)state;
    assert_ok(ask(&a, ""));
    t_sql("UPDATE foliopost.previews SET expires_at = clock_timestamp() - interval '1 s'");
    assert_int_equal(take(PREVIEW_COMPUTE, t_stats, &p), 0);
    assert_ok(ledger_previews_expire(t_ledger, &t_err));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
    assert_ok(ask(&a, ""));
    t_sql("UPDATE foliopost.previews SET expires_at = clock_timestamp() + interval '1 day'"); /* the clock was
                                                                                                 set back */
    assert_ok(ledger_previews_expire(t_ledger, &t_err));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
    assert_ok(ask(&a, ""));
    assert_ok(ledger_preview_collect(t_ledger, a.id, true, &got, &t_err)); /* who waited gives up */
    assert_string_equal(got.state, "asked");
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.previews"), 0);
}

static void there_are_limits_and_they_pass(void **state)
{
    struct ledger_preview_ask a;
    (void)state;
    for (int i = 0; i < LEDGER_PREVIEWS_OPEN; i++)
        assert_ok(ask(&a, ""));
    assert_code(ask(&a, ""), FP_RESOURCE_EXHAUSTED);
    t_sql("DELETE FROM foliopost.previews");
    t_sql("INSERT INTO foliopost.audit (actor, action) SELECT 'x', 'send_test' FROM generate_series(1, %d)",
          LEDGER_TESTS_A_MINUTE);
    assert_code(ask(&a, "me@example.com"), FP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(t_err.msg, "test mails"));
    assert_ok(ask(&a, ""));
    t_sql("UPDATE foliopost.audit SET at = at - interval '61 s'");
    assert_ok(ask(&a, "me@example.com"));
}

/* Else copies of people's figures are in replicas and backups. */
static void the_table_is_in_no_wal(void **state)
{
    (void)state;
    assert_int_equal(
        t_sql(
            "SELECT count(*) FROM pg_class WHERE oid = 'foliopost.previews'::regclass AND relpersistence = 'u'"),
        1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_goes_from_hand_to_hand_and_is_gone),
        TEST(a_test_that_was_mailed_is_not_asked_for_again),
        TEST(nobody_works_on_what_has_expired_and_nothing_stays),
        TEST(there_are_limits_and_they_pass),
        TEST(the_table_is_in_no_wal),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
