/* Claims, pages, records and sweeps that meet. */
#include "lib/ledger/testing_race.h"

/* --- claims --------------------------------------------------------------------- */

static void step_claim(struct fp_ledger *l, struct other *o)
{
    char token[37];
    text_new_uuid(token);
    o->rc = ledger_claim(l, o->owner, o->batch, token, &o->claim, &o->err);
}

static void claim_fini(struct ledger_claim *c)
{
    mem_free(c->due);
    mem_free(c->attempts);
}

static void of_two_claims_one_wins(void **state)
{
    (void)state;
    char mailer2[37];
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    t_instance("mailer", mailer2);
    struct other a = {.step = step_claim, .owner = t_mailer, .batch = batch},
                 b = {.step = step_claim, .owner = mailer2, .batch = batch};
    begin();
    t_sql_on(first, "SELECT 1 FROM foliopost.batches FOR UPDATE");
    start(&a, 1);
    start(&b, 2);
    commit();
    join(&a);
    join(&b);
    assert_int_equal(a.claim.won + b.claim.won, 1);
    assert_int_equal(a.claim.n_due + b.claim.n_due, 5);
    assert_int_equal(t_batch(batch, "epoch"), 1);
    claim_fini(&a.claim);
    claim_fini(&b.claim);
}

/* Claim, record and release of the first commit while the second waits with an
 * older snapshot of deliveries: users 1 and 2 must not be due again. */
static void a_claim_that_waited_sees_what_was_recorded(void **state)
{
    (void)state;
    char mailer2[37], token[37];
    struct ledger_claim c;
    bool done;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    t_instance("mailer", mailer2);
    text_new_uuid(token);
    begin();
    assert_ok(ledger_claim(first, t_mailer, batch, token, &c, &t_err));
    claim_fini(&c);
    struct other b = {.step = step_claim, .owner = mailer2, .batch = batch};
    start(&b, 1);
    struct ledger_held held = {.batch_id = batch, .epoch = c.epoch};
    struct ledger_outcome o[2] = {{.batch_id = batch, .user_id = 1, .state = DELIVERY_SENT},
                                  {.batch_id = batch, .user_id = 2, .state = DELIVERY_SENT}};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = 2};
    assert_ok(ledger_record(first, &r, &t_err));
    assert_ok(ledger_release(first, t_mailer, batch, c.epoch, &done, &t_err));
    assert_true(done);
    commit();
    join(&b);
    assert_true(b.claim.won);
    assert_int_equal(b.claim.epoch, 2);
    assert_int_equal(b.claim.n_due, 3);
    assert_int_equal(b.claim.due[0], 3);
    claim_fini(&b.claim);
}

static void a_claim_that_waited_for_the_winner_loses(void **state)
{
    (void)state;
    char mailer2[37], token[37];
    struct ledger_claim c;
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    t_instance("mailer", mailer2);
    text_new_uuid(token);
    begin();
    assert_ok(ledger_claim(first, t_mailer, batch, token, &c, &t_err));
    claim_fini(&c);
    struct other b = {.step = step_claim, .owner = mailer2, .batch = batch};
    start(&b, 1);
    commit();
    join(&b);
    assert_false(b.claim.won);
}

/* --- late truth ------------------------------------------------------------------- */

static void step_late(struct fp_ledger *l, struct other *o)
{
    struct ledger_outcome sent = {
        .batch_id = o->batch, .user_id = 1, .state = DELIVERY_SENT, .reason = "", .attempted = true};
    o->result = o->rc = ledger_late_truth(l, o->batch, o->epoch, &sent, 1, &o->err);
}

/* User 1 was being mailed, and is requeued. */
static int64_t requeued(char other[37], int32_t *epoch)
{
    struct ledger_expired e;
    int64_t batch = t_paged(t_started(true), 1, 5, false);
    *epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, *epoch, DELIVERY_SENT, 1, 0, 1, 1));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    assert_int_equal(e.requeued, 1);
    t_instance("mailer", other);
    return batch;
}

static void a_claim_that_waited_for_a_late_truth_goes_by_it(void **state)
{
    (void)state;
    char mailer2[37];
    struct other now = {0}, b = {.step = step_claim, .owner = mailer2};
    b.batch = now.batch = requeued(mailer2, &now.epoch);
    begin();
    step_late(first, &now);
    assert_int_equal(now.result, 1);
    start(&b, 1);
    commit();
    join(&b);
    assert_true(b.claim.won);
    assert_int_equal(b.claim.n_due, 4);
    claim_fini(&b.claim);
}

static void a_late_truth_that_waited_for_a_claim_comes_too_late(void **state)
{
    (void)state;
    char mailer2[37];
    struct other late = {.step = step_late}, b = {.owner = mailer2};
    b.batch = late.batch = requeued(mailer2, &late.epoch);
    begin();
    step_claim(first, &b);
    assert_int_equal(b.claim.n_due, 5);
    claim_fini(&b.claim);
    start(&late, 1);
    commit();
    join(&late);
    assert_int_equal(late.result, 0);
}

/* --- pages ------------------------------------------------------------------------ */

static void step_page(struct fp_ledger *l, struct other *o)
{
    struct ledger_paged out;
    o->rc = ledger_page(l, o->page, &out, &o->err);
    o->result = out.moved ? out.batch_id : 0;
}

static void of_two_pagers_one_moves_the_cursor(void **state)
{
    (void)state;
    int64_t job = t_started(false), ids[] = {1, 2, 3, 4};
    bool granted;
    int32_t grant_no;
    assert_ok(ledger_grant(t_ledger, t_leader, job, 1, 5, 60000, &granted, &grant_no, &t_err));
    struct ledger_page p = {.job_id = job,
                            .interval_no = 1,
                            .grant_no = grant_no,
                            .from_us = T_DAY,
                            .from_id = INT64_MIN,
                            .to_us = 2 * T_DAY,
                            .to_id = 3,
                            .user_ids = ids,
                            .n_users = 3},
                       q = p;
    q.n_users = 4;
    q.to_id = 4;
    struct other a = {.step = step_page, .page = &p}, b = {.step = step_page, .page = &q},
                 same = {.step = step_page, .page = &p};
    begin();
    t_sql_on(first, "SELECT 1 FROM foliopost.intervals FOR UPDATE");
    start(&a, 1);
    start(&b, 2);
    start(&same, 3);
    commit();
    join(&a);
    join(&b);
    join(&same);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.batches"), 1);
    assert_int_equal(a.result, same.result); /* the same page: both may go on with its batch */
    assert_true((a.result == 0) != (b.result == 0));
}

/* --- expire and record ------------------------------------------------------------- */

static void step_record(struct fp_ledger *l, struct other *o)
{
    struct ledger_held held = {.batch_id = o->batch, .epoch = o->epoch};
    struct ledger_outcome out = {.batch_id = o->batch, .user_id = 1, .state = DELIVERY_SENT};
    struct ledger_intent in = {.batch_id = o->batch, .user_id = 3};
    struct ledger_record r = {.owner = o->owner,
                              .held = &held,
                              .n_held = 1,
                              .outcomes = &out,
                              .n_outcomes = 1,
                              .intents = &in,
                              .n_intents = 1};
    o->rc = ledger_record(l, &r, &o->err);
    o->result = held.held;
}

static void step_expire(struct fp_ledger *l, struct other *o)
{
    struct ledger_expired e;
    o->rc = ledger_expire(l, t_leader, &e, &o->err);
    o->result = e.ambiguous;
}

/* Users 1 and 2 are open. */
static int64_t claimed_with_intents(int32_t *epoch)
{
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    *epoch = t_claimed(batch);
    assert_true(t_record(t_mailer, batch, *epoch, DELIVERY_SENT, 1, 0, 1, 2));
    return batch;
}

static void a_record_that_waited_for_expire_changes_nothing(void **state)
{
    (void)state;
    struct ledger_expired e;
    int32_t epoch;
    int64_t batch = claimed_with_intents(&epoch);
    /* The lease is over for the leader, and not yet in the record's snapshot. */
    t_sql("UPDATE foliopost.instances SET lease_until = clock_timestamp() + interval '300 ms'");
    struct other r = {.step = step_record, .owner = t_mailer, .batch = batch, .epoch = epoch};
    begin();
    t_sql_on(first, "UPDATE foliopost.instances SET lease_until = clock_timestamp() - interval '1 s'");
    assert_ok(ledger_expire(first, t_leader, &e, &t_err));
    assert_int_equal(e.ambiguous, 2);
    start(&r, 1);
    commit();
    join(&r);
    assert_false(r.result);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries WHERE state <> 'ambiguous'"), 0);
    assert_int_equal(t_batch(batch, "cardinality(open_intents)"), 0);
}

static void an_expire_that_waited_for_a_record_takes_its_intents(void **state)
{
    (void)state;
    int32_t epoch;
    int64_t batch = claimed_with_intents(&epoch);
    struct other x = {.step = step_expire};
    struct other r = {.owner = t_mailer, .batch = batch, .epoch = epoch};
    begin();
    step_record(first, &r); /* settles 1, opens 3 */
    assert_int_equal(r.rc, 0);
    assert_true(r.result);
    t_lease_over(t_mailer);
    start(&x, 1);
    commit();
    join(&x);
    assert_int_equal(x.result, 2);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.deliveries WHERE state = 'sent' AND user_id = 1"),
                     1);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.deliveries WHERE state = 'ambiguous' AND user_id IN (2, 3)"),
        2);
    assert_int_equal(t_batch(batch, "(state = 'queued')::integer"), 1);
}

static void an_instance_renewed_in_time_is_not_expired(void **state)
{
    (void)state;
    bool held;
    int32_t epoch;
    int64_t batch = claimed_with_intents(&epoch);
    struct other x = {.step = step_expire};
    t_lease_over(t_mailer);
    begin();
    assert_ok(ledger_instance_renew(first, t_mailer, 1, "", &held, &t_err));
    start(&x, 1);
    commit();
    join(&x);
    assert_int_equal(x.result, 0);
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
    assert_true(t_record(t_mailer, batch, epoch, DELIVERY_SENT, 1, 2, 0, 0));
}

/* A claim that commits while its instance is swept escapes that sweep, not the next. */
static void a_claim_behind_the_sweep_is_found_by_the_next(void **state)
{
    (void)state;
    struct ledger_claim c;
    struct ledger_expired e;
    char token[37];
    text_new_uuid(token);
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    begin();
    assert_ok(ledger_claim(first, t_mailer, batch, token, &c, &t_err));
    claim_fini(&c);
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    assert_int_equal(e.instances, 1);
    assert_int_equal(e.batches, 0);
    commit();
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    assert_int_equal(e.batches, 1);
    assert_int_equal(t_batch(batch, "(state = 'queued')::integer"), 1);
}

/* The old leader's sweep and a new claim commit while the new leader's sweep
 * waits: what it saw as an orphan is somebody's by now. */
static void an_expire_that_waited_leaves_a_newer_claim(void **state)
{
    (void)state;
    struct ledger_expired e;
    struct ledger_claim c;
    char mailer2[37], token[37];
    int32_t epoch;
    int64_t batch = claimed_with_intents(&epoch);
    t_instance("mailer", mailer2);
    text_new_uuid(token);
    assert_ok(ledger_instance_end(t_ledger, t_mailer, &t_err)); /* in a hurry */
    struct other x = {.step = step_expire};
    begin();
    assert_ok(ledger_expire(first, t_leader, &e, &t_err));
    assert_int_equal(e.batches, 1);
    assert_ok(ledger_claim(first, mailer2, batch, token, &c, &t_err));
    assert_true(c.won);
    claim_fini(&c);
    start(&x, 1);
    commit();
    join(&x);
    assert_int_equal(x.result, 0);
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
    assert_true(t_record(mailer2, batch, epoch + 1, DELIVERY_SENT, 3, 3, 0, 0));
}

/* --- the sweep's other steps ------------------------------------------------------------ */

static void two_retries_share_who_is_due(void **state)
{
    (void)state;
    struct ledger_emit e1, e2;
    int64_t job = t_started(false), batch = t_paged(job, 1, 150, false);
    assert_true(t_record(t_mailer, batch, t_claimed(batch), DELIVERY_DEFERRED, 1, 150, 0, 0));
    begin();
    assert_int_equal(ledger_retry(first, t_leader, job, 1000, &e1, &t_err), 1);
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e2, &t_err), 1); /* does not wait */
    commit();
    assert_int_equal(t_sql("SELECT count(DISTINCT u) FROM foliopost.batches, unnest(user_ids) u"
                           " WHERE origin = 'retry'"),
                     150);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.batches b, unnest(b.user_ids) u JOIN foliopost.deliveries d"
              " ON d.user_id = u WHERE b.origin = 'retry' AND d.batch_id = b.id"),
        150);
}

static void redo_does_not_wait_for_a_claim(void **state)
{
    (void)state;
    struct ledger_claim c;
    struct ledger_emit e[2];
    char token[37];
    text_new_uuid(token);
    int64_t job = t_started(false), batch = t_paged(job, 1, 5, false);
    t_sql("UPDATE foliopost.batches SET due_at = '-infinity'");
    begin();
    assert_ok(ledger_claim(first, t_mailer, batch, token, &c, &t_err));
    claim_fini(&c);
    assert_int_equal(ledger_redo(t_ledger, t_leader, 1000, 0, e, 2, &t_err), 0);
    commit();
}

static void step_split(struct fp_ledger *l, struct other *o)
{
    struct ledger_emit e[64];
    o->rc = ledger_split(l, t_leader, 1000, e, 64, &o->err);
    o->result = o->rc;
}

static void a_split_that_waited_for_a_claim_does_nothing(void **state)
{
    (void)state;
    struct ledger_claim c;
    bool done;
    char token[37];
    text_new_uuid(token);
    int64_t job = t_started(true), batch = t_paged(job, 1, 5, false);
    t_sql("UPDATE foliopost.batches SET redos = 5");
    struct other s = {.step = step_split};
    begin();
    assert_ok(ledger_claim(first, t_mailer, batch, token, &c, &t_err));
    claim_fini(&c);
    start(&s, 1);
    assert_ok(ledger_release(first, t_mailer, batch, c.epoch, &done, &t_err)); /* queued again, but touched */
    commit();
    join(&s);
    assert_int_equal(s.result, 0);
    assert_int_equal(t_batch(batch, "(state = 'queued')::integer"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RACE(of_two_claims_one_wins),
        RACE(a_claim_that_waited_for_a_late_truth_goes_by_it),
        RACE(a_late_truth_that_waited_for_a_claim_comes_too_late),
        RACE(a_claim_that_waited_sees_what_was_recorded),
        RACE(a_claim_that_waited_for_the_winner_loses),
        RACE(of_two_pagers_one_moves_the_cursor),
        RACE(a_record_that_waited_for_expire_changes_nothing),
        RACE(an_expire_that_waited_for_a_record_takes_its_intents),
        RACE(an_instance_renewed_in_time_is_not_expired),
        RACE(a_claim_behind_the_sweep_is_found_by_the_next),
        RACE(an_expire_that_waited_leaves_a_newer_claim),
        RACE(two_retries_share_who_is_due),
        RACE(redo_does_not_wait_for_a_claim),
        RACE(a_split_that_waited_for_a_claim_does_nothing),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
