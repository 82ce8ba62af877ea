/* grant and page: the cursor moves once for each page, whoever asks how often. */
#include "lib/ledger/testing.h"

static int64_t job;
static int64_t ids[] = {11, 12, 13};

static int setup(void **state)
{
    if (t_clean(state) != 0)
        return -1;
    job = t_started(false);
    return 0;
}

static bool grant(int pages, int due_ms, int32_t *no)
{
    bool granted;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, pages, due_ms, &granted, no, &t_err));
    return granted;
}

static struct ledger_page next_page(int32_t grant_no, size_t n, bool last)
{
    struct ledger_interval v;
    assert_ok(ledger_interval_get(t_ledger, job, 1, &v, &t_err));
    struct ledger_page p = {.job_id = job,
                            .interval_no = 1,
                            .grant_no = grant_no,
                            .from_us = v.cursor_us,
                            .from_id = v.cursor_id,
                            .to_us = v.cursor_us + 1,
                            .to_id = ids[n > 0 ? n - 1 : 0],
                            .user_ids = ids,
                            .n_users = n,
                            .last = last,
                            .due_ms = 30000};
    return p;
}

static struct ledger_paged page(const struct ledger_page *p)
{
    struct ledger_paged out;
    assert_ok(ledger_page(t_ledger, p, &out, &t_err));
    return out;
}

static void a_grant_is_given_once_until_it_is_overdue(void **state)
{
    (void)state;
    int32_t no;
    int64_t pages;
    assert_true(grant(4, 60000, &no));
    assert_int_equal(no, 1);
    assert_false(grant(4, 60000, &no));
    assert_ok(ledger_granted_pages(t_ledger, job, &pages, &t_err));
    assert_int_equal(pages, 4);
    t_sql("UPDATE foliopost.intervals SET due_at = clock_timestamp()");
    assert_ok(ledger_granted_pages(t_ledger, job, &pages, &t_err));
    assert_int_equal(pages, 0);
    assert_true(grant(2, 60000, &no));
    assert_int_equal(no, 2);
    bool granted;
    assert_code(ledger_grant(t_ledger, t_leader, job, 1, 0, 1, &granted, &no, &t_err), FP_INVALID_ARGUMENT);
}

static void a_grant_handed_back_is_given_again_at_once(void **state)
{
    (void)state;
    int32_t no;
    int64_t pages;
    assert_true(grant(4, 60000, &no));
    struct ledger_page p = next_page(no, 3, false);
    assert_int_equal(page(&p).pages_left, 3);
    assert_ok(ledger_grant_back(t_ledger, job, 1, no + 1, &t_err)); /* not this one */
    assert_false(grant(4, 60000, &no));
    assert_ok(ledger_grant_back(t_ledger, job, 1, 1, &t_err));
    assert_ok(ledger_grant_back(t_ledger, job, 1, 1, &t_err)); /* twice: as once */
    assert_ok(ledger_granted_pages(t_ledger, job, &pages, &t_err));
    assert_int_equal(pages, 0);
    assert_true(grant(1, 60000, &no));
    assert_int_equal(no, 2);
    assert_int_equal(t_sql("SELECT due_ms FROM foliopost.intervals"),
                     60000); /* not taken for a slow source */
    p = next_page(no, 3, false);
    assert_int_equal(page(&p).pages_left, 0);
    assert_ok(ledger_grant_back(t_ledger, job, 1, 2, &t_err)); /* used up: ready, and not due */
    assert_int_equal(t_sql(
                         "SELECT count(*) FROM foliopost.intervals WHERE state = 'ready' AND due_ms = 60000"),
                     1);
}

static void a_grant_needs_the_lead_and_a_running_job(void **state)
{
    (void)state;
    int32_t no;
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_false(grant(1, 1000, &no));
    assert_ok(ledger_job_resume(t_ledger, job, "tester", &t_err));
    t_lead_lost();
    assert_false(grant(1, 1000, &no));
}

static void a_page_inserts_its_batch_and_moves_the_cursor(void **state)
{
    (void)state;
    int32_t no;
    grant(2, 60000, &no);
    struct ledger_page p = next_page(no, 3, false);
    struct ledger_paged out = page(&p), again = page(&p); /* the second as after a lost reply */
    assert_true(out.moved && again.moved);
    assert_int_equal(out.batch_id, again.batch_id);
    assert_int_equal(out.pages_left, 1);
    assert_false(out.ended);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 1);
    assert_int_equal(t_batch(out.batch_id,
                             "(user_ids = '{11,12,13}' AND state = 'queued' AND origin = 'page' AND"
                             " due_at > clock_timestamp() + interval '25 s')::integer"),
                     1);
    p = next_page(no, 2, false);
    out = page(&p);
    assert_true(out.moved);
    assert_int_equal(out.pages_left, 0);
    struct ledger_interval v;
    assert_ok(ledger_interval_get(t_ledger, job, 1, &v, &t_err));
    assert_string_equal(v.state, "ready"); /* the grant is used up */
    p = next_page(no, 1, false);
    assert_false(page(&p).moved);
}

static void a_short_page_ends_the_interval(void **state)
{
    (void)state;
    int32_t no;
    grant(5, 60000, &no);
    struct ledger_page p = next_page(no, 2, true);
    for (int i = 0; i < 2; i++) {
        struct ledger_paged out = page(&p);
        assert_true(out.moved && out.ended);
        assert_int_not_equal(out.batch_id, 0);
    }
    assert_false(grant(1, 1000, &no));
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.intervals WHERE state = 'paged' AND paged_at IS NOT NULL"), 1);
}

static void an_empty_page_ends_the_interval_without_a_batch(void **state)
{
    (void)state;
    int32_t no;
    grant(5, 60000, &no);
    struct ledger_page p = next_page(no, 0, true);
    for (int i = 0; i < 2; i++) {
        struct ledger_paged out = page(&p);
        assert_true(out.moved && out.ended);
        assert_int_equal(out.batch_id, 0);
    }
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 0);
}

static void a_stale_pager_changes_nothing(void **state)
{
    (void)state;
    int32_t no, newer;
    grant(5, 0, &no);
    struct ledger_page old = next_page(no, 3, false);
    assert_true(grant(5, 60000, &newer)); /* overdue at once */
    struct ledger_page p = next_page(newer, 2, false);
    assert_true(page(&p).moved);
    assert_false(page(&old).moved); /* the cursor is not where it read from */
    old.grant_no = newer;
    assert_false(page(&old).moved);
    old = next_page(newer + 1, 3, false); /* never granted */
    assert_false(page(&old).moved);
    old = next_page(newer, 3, false);
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    assert_false(page(&old).moved);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 1);
}

/* A source that needs longer for a page than a grant lasts. */
static void a_page_of_an_overdue_grant_counts_against_the_new_one(void **state)
{
    (void)state;
    int32_t no, newer;
    int64_t pages;
    grant(2, 1000, &no);
    struct ledger_page slow = next_page(no, 3, false);
    t_sql("UPDATE foliopost.intervals SET due_at = clock_timestamp()");
    assert_true(grant(2, 1000, &newer));
    struct ledger_page second = next_page(newer, 2, false);
    struct ledger_paged out = page(&slow);
    assert_true(out.moved);
    assert_int_equal(out.pages_left, 0); /* the rest is another's */
    assert_false(page(&second).moved);
    t_sql("UPDATE foliopost.intervals SET due_at = clock_timestamp() + interval '1 min'");
    assert_ok(ledger_granted_pages(t_ledger, job, &pages, &t_err));
    assert_int_equal(pages, 1);
    second = next_page(newer, 2, false);
    assert_true(page(&second).moved);
    assert_int_equal(t_sql("SELECT sum(cardinality(user_ids)) FROM foliopost.batches"), 5);
}

static int64_t due_in_ms(void)
{
    return t_sql("SELECT (1000 * extract(epoch FROM due_at - clock_timestamp()))::bigint"
                 " FROM foliopost.intervals");
}

static void a_page_puts_the_grants_end_off_and_an_overdue_one_is_doubled(void **state)
{
    (void)state;
    static const int doubled_ms[] = {20000, 40000, 80000, 80000};
    int32_t no;
    grant(2, 10000, &no);
    t_sql("UPDATE foliopost.intervals SET due_at = clock_timestamp() + interval '1 s'");
    struct ledger_page p = next_page(no, 3, false);
    assert_true(page(&p).moved);
    assert_in_range(due_in_ms(), 9000, 10000);
    for (int i = 0; i < 4; i++) {
        t_sql("UPDATE foliopost.intervals SET due_at = clock_timestamp()");
        assert_true(grant(1, 10000, &no));
        assert_in_range(due_in_ms(), doubled_ms[i] - 1000, doubled_ms[i]);
    }
    p = next_page(no, 2, false);
    assert_true(page(&p).moved); /* ready again */
    assert_true(grant(1, 10000, &no));
    assert_in_range(due_in_ms(), 71000, 72000);
}

/* Two pagers read one range differently: the one that was first has the page. */
static void another_page_to_the_same_cursor_is_not_ours(void **state)
{
    (void)state;
    int64_t fewer[] = {12, 13};
    int32_t no;
    grant(5, 60000, &no);
    struct ledger_page p = next_page(no, 3, false), q = p;
    q.user_ids = fewer;
    q.n_users = 2;
    assert_true(page(&p).moved);
    assert_false(page(&q).moved);
}

static void the_report_counts_each_interval(void **state)
{
    (void)state;
    struct ledger_interval_report r[2];
    t_sent(t_paged(job, 1, 10, false), 1, 10);
    t_paged(job, 11, 5, true);
    assert_int_equal(ledger_interval_reports(t_ledger, job, r, 2, &t_err), 1);
    assert_int_equal(r[0].counts.users, 15);
    assert_int_equal(r[0].counts.sent, 10);
    assert_int_equal(r[0].counts.batches, 2);
    assert_int_equal(r[0].counts.batches_open, 1);
    assert_string_equal(r[0].interval.state, "paged");
    struct ledger_interval v;
    assert_code(ledger_interval_get(t_ledger, job, 2, &v, &t_err), FP_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_grant_is_given_once_until_it_is_overdue, setup),
        cmocka_unit_test_setup(a_grant_handed_back_is_given_again_at_once, setup),
        cmocka_unit_test_setup(a_grant_needs_the_lead_and_a_running_job, setup),
        cmocka_unit_test_setup(a_page_inserts_its_batch_and_moves_the_cursor, setup),
        cmocka_unit_test_setup(a_short_page_ends_the_interval, setup),
        cmocka_unit_test_setup(an_empty_page_ends_the_interval_without_a_batch, setup),
        cmocka_unit_test_setup(a_stale_pager_changes_nothing, setup),
        cmocka_unit_test_setup(a_page_of_an_overdue_grant_counts_against_the_new_one, setup),
        cmocka_unit_test_setup(a_page_puts_the_grants_end_off_and_an_overdue_one_is_doubled, setup),
        cmocka_unit_test_setup(another_page_to_the_same_cursor_is_not_ours, setup),
        cmocka_unit_test_setup(the_report_counts_each_interval, setup),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
