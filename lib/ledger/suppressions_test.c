/* Suppressions and events: whom a row concerns, what a repeat changes, what an
 * outcome and an event suppress. */
#include "lib/ledger/testing.h"

#define ANN   "Ann.Example+tag@Example.ORG"
#define HOURS (3600 * FP_US_PER_S)

static struct ledger_recipient who(int64_t user_id, const char *address)
{
    struct ledger_recipient r = {.user_id = user_id};
    assert_ok(ledger_address_hash(t_ledger, address, r.address_hash, &t_err));
    return r;
}

static bool is_suppressed(const char *kind, int64_t user_id, const char *address)
{
    struct ledger_recipient r = who(user_id, address);
    bool hit;
    assert_ok(ledger_suppressed(t_ledger, kind, &r, 1, &hit, &t_err));
    return hit;
}

static int64_t add(int64_t user_id, const char *address, const char *scope, enum suppression_reason reason,
                   int64_t expires_us)
{
    struct ledger_suppression s = {.user_id = user_id, .reason = reason, .expires_us = expires_us};
    int64_t added;
    assert_ok(ledger_address_hash(t_ledger, address, s.address_hash, &t_err));
    snprintf(s.scope, sizeof s.scope, "%s", scope);
    assert_ok(ledger_suppress(t_ledger, &s, 1, "tester", &added, &t_err));
    return added;
}

static int64_t rows(const char *where)
{
    return t_sql("SELECT count(*) FROM foliopost.suppressions WHERE %s", where);
}

/* --- addresses --------------------------------------------------------------------- */

static void an_address_has_one_pseudonym(void **state)
{
    (void)state;
    struct ledger_recipient a = who(1, ANN), b = who(1, "ann.example+tag@example.org"),
                            c = who(1, "annexample+tag@example.org"), none = who(1, "");
    assert_string_equal(a.address_hash, b.address_hash);
    assert_string_not_equal(a.address_hash, c.address_hash); /* dots are letters elsewhere */
    assert_string_equal(none.address_hash, "");
    struct fp_ledger *other = t_open(); /* the salt is the ledger's, not the process's */
    char hash[LEDGER_HASH_BYTES];
    assert_ok(ledger_address_hash(other, ANN, hash, &t_err));
    assert_string_equal(hash, a.address_hash);
    ledger_close(other);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.address_salt WHERE length(salt) = 32"), 1);
}

/* --- whom a row concerns -------------------------------------------------------------- */

static void a_row_concerns_its_user_and_its_address(void **state)
{
    (void)state;
    assert_int_equal(add(5, ANN, "", SUPPRESSION_UNSUBSCRIBE, 0), 1);
    assert_true(is_suppressed("weekly", 5, ANN));
    assert_true(is_suppressed("weekly", 5, "new@example.org")); /* the user, elsewhere */
    assert_true(is_suppressed("weekly", 6, ANN));               /* the address, registered again */
    assert_true(is_suppressed("weekly", 5, ""));
    assert_false(is_suppressed("weekly", 6, "new@example.org"));
    assert_false(is_suppressed("weekly", 6, ""));
}

static void a_hard_bounce_is_the_addresss_not_the_users(void **state)
{
    (void)state;
    add(5, ANN, "", SUPPRESSION_HARD_BOUNCE, 0);
    assert_true(is_suppressed("weekly", 5, ANN));
    assert_true(is_suppressed("weekly", 6, ANN));
    assert_false(is_suppressed("weekly", 5, "mended@example.org"));
    add(7, "", "", SUPPRESSION_HARD_BOUNCE, 0); /* nobody knows where it went */
    assert_true(is_suppressed("weekly", 7, "any@example.org"));
}

static void a_scope_is_a_kind_of_mail(void **state)
{
    (void)state;
    add(5, "", "weekly", SUPPRESSION_UNSUBSCRIBE, 0);
    assert_true(is_suppressed("weekly", 5, ANN));
    assert_false(is_suppressed("monthly", 5, ANN));
    add(5, "", "all", SUPPRESSION_UNSUBSCRIBE, 0);
    assert_true(is_suppressed("monthly", 5, ANN));
}

static void an_expired_row_suppresses_nobody_and_begins_anew(void **state)
{
    (void)state;
    add(5, "", "", SUPPRESSION_COMPLAINT, clock_wall_us() - 1000);
    assert_false(is_suppressed("weekly", 5, ""));
    assert_int_equal(add(5, "", "", SUPPRESSION_HARD_BOUNCE, clock_wall_us() + HOURS), 0);
    assert_true(is_suppressed("weekly", 5, ""));
    assert_int_equal(rows("reason = 'hard_bounce' AND expires_at > now()"), 1);
}

static void many_are_asked_for_at_once(void **state)
{
    struct ledger_recipient all[200];
    bool hit[200];
    (void)state;
    add(50, "", "", SUPPRESSION_MANUAL, 0);
    add(0, "user150@example.org", "", SUPPRESSION_MANUAL, 0);
    for (int i = 0; i < 200; i++) {
        char address[64];
        snprintf(address, sizeof address, "user%d@example.org", i);
        all[i] = who(i, address);
    }
    assert_ok(ledger_suppressed(t_ledger, "weekly", all, 200, hit, &t_err));
    for (int i = 0; i < 200; i++)
        assert_int_equal(hit[i], i == 50 || i == 150);
    assert_ok(ledger_suppressed(t_ledger, "weekly", all, 0, hit, &t_err));
}

/* --- repeats ------------------------------------------------------------------------------ */

static void the_stronger_reason_and_the_later_expiry_win(void **state)
{
    int64_t soon = clock_wall_us() + HOURS, later = soon + HOURS;
    (void)state;
    assert_int_equal(add(5, ANN, "", SUPPRESSION_MANUAL, soon), 1);
    int64_t seen =
        t_sql("SELECT (extract(epoch FROM first_seen) * 1000000)::bigint FROM foliopost.suppressions");
    assert_int_equal(add(5, ANN, "", SUPPRESSION_HARD_BOUNCE, later), 0);
    assert_int_equal(rows("reason = 'manual'"), 1);
    assert_int_equal(
        t_sql("SELECT count(*) FROM foliopost.suppressions WHERE expires_at > to_timestamp(%lld)",
              (long long)(soon / FP_US_PER_S + 60)),
        1);
    assert_int_equal(add(5, ANN, "", SUPPRESSION_COMPLAINT, 0), 0);
    assert_int_equal(rows("reason = 'complaint' AND expires_at IS NULL"), 1);
    assert_int_equal(add(5, ANN, "", SUPPRESSION_UNSUBSCRIBE, soon), 0);
    assert_int_equal(rows("reason = 'complaint' AND expires_at IS NULL"), 1);
    assert_int_equal(
        t_sql("SELECT (extract(epoch FROM first_seen) * 1000000)::bigint FROM foliopost.suppressions"), seen);
}

static void one_call_may_name_a_subject_twice(void **state)
{
    struct ledger_suppression s[3] = {{.user_id = 5, .reason = SUPPRESSION_HARD_BOUNCE},
                                      {.user_id = 5, .reason = SUPPRESSION_COMPLAINT},
                                      {.user_id = 6, .reason = SUPPRESSION_MANUAL, .first_seen_us = 1000000}};
    int64_t added;
    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_ok(ledger_suppress(t_ledger, s, 3, "tester", &added, &t_err));
        assert_int_equal(added, round == 0 ? 2 : 0);
    }
    assert_int_equal(rows("user_id = 5 AND reason = 'complaint'"), 1);
    assert_int_equal(rows("user_id = 6 AND first_seen = 'epoch'::timestamptz + interval '1 s'"), 1);
    assert_ok(ledger_suppress(t_ledger, s, 0, "tester", &added, &t_err));
}

static void what_is_taken_away_is_counted_and_audited(void **state)
{
    int64_t removed;
    (void)state;
    add(5, ANN, "weekly", SUPPRESSION_UNSUBSCRIBE, 0);
    add(5, ANN, "all", SUPPRESSION_UNSUBSCRIBE, 0);
    assert_ok(ledger_unsuppress(t_ledger, 5, "", "weekly", "tester", &removed, &t_err));
    assert_int_equal(removed, 1);
    assert_ok(ledger_unsuppress(t_ledger, 0, who(0, ANN).address_hash, "", "tester", &removed, &t_err));
    assert_int_equal(removed, 1);
    assert_ok(ledger_unsuppress(t_ledger, 5, "", "", "tester", &removed, &t_err));
    assert_int_equal(removed, 0);
    assert_false(is_suppressed("weekly", 5, ANN));
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'unsuppress'"), 2);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'unsuppress'"
                           " AND detail = 'user 5, weekly mail, 1 entries'"),
                     1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'suppress'"
                           " AND detail = '1 entries: user 5 (weekly, unsubscribe)'"),
                     1);
    add(0, ANN, "all", SUPPRESSION_COMPLAINT, 0);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.audit WHERE action = 'suppress'"
                           " AND detail = '1 entries: address %s (all, complaint)'",
                           who(0, ANN).address_hash),
                     1);
}

static void lists_are_paged_and_filtered(void **state)
{
    struct ledger_suppression out[10];
    struct ledger_suppression_filter any = {0}, bounces = {.reason = SUPPRESSION_HARD_BOUNCE},
                                     expired = {.expired_too = true}, one = {.user_id = 3};
    (void)state;
    for (int i = 1; i <= 5; i++)
        add(i, "", "", i % 2 ? SUPPRESSION_HARD_BOUNCE : SUPPRESSION_MANUAL, 0);
    add(6, "", "monthly", SUPPRESSION_MANUAL, 1000);
    assert_int_equal(ledger_suppressions(t_ledger, &any, 0, out, 3, &t_err), 3);
    assert_int_equal(ledger_suppressions(t_ledger, &any, out[2].id, out, 10, &t_err), 2);
    assert_int_equal(out[1].user_id, 5);
    assert_string_equal(out[1].scope, "all");
    assert_int_equal(ledger_suppressions(t_ledger, &bounces, 0, out, 10, &t_err), 3);
    assert_int_equal(ledger_suppressions(t_ledger, &expired, 0, out, 10, &t_err), 6);
    assert_int_equal(out[5].expires_us, 1000);
    assert_int_equal(ledger_suppressions(t_ledger, &one, 0, out, 10, &t_err), 1);
    assert_int_equal(out[0].reason, SUPPRESSION_HARD_BOUNCE);
}

/* --- outcomes ------------------------------------------------------------------------------- */

static void fill_refusal(struct ledger_outcome *o, int64_t batch, int64_t user, const char *hash)
{
    *o = (struct ledger_outcome){.batch_id = batch,
                                 .user_id = user,
                                 .state = DELIVERY_FAILED,
                                 .reason = "550 5.1.1 no such user",
                                 .attempted = true,
                                 .address_hash = hash,
                                 .suppress = true};
}

static bool record(const char *owner, int64_t batch, int32_t epoch, const struct ledger_outcome *o, size_t n)
{
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_record r = {.owner = owner, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = n};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    return held.held;
}

static void a_mailbox_that_is_not_there_is_suppressed_with_its_outcome(void **state)
{
    int64_t job = t_started(false), batch = t_paged(job, 1, 3, true);
    int32_t epoch = t_claimed(batch);
    struct ledger_recipient ann = who(1, ANN), bob = who(2, "bob@example.org");
    struct ledger_outcome o[3];
    (void)state;
    fill_refusal(&o[0], batch, 1, ann.address_hash);
    fill_refusal(&o[1], batch, 9, ""); /* not of this batch */
    o[2] = (struct ledger_outcome){.batch_id = batch,
                                   .user_id = 2,
                                   .state = DELIVERY_SENT,
                                   .attempted = true,
                                   .address_hash = bob.address_hash};
    for (int round = 0; round < 2; round++) { /* a reply can be lost */
        assert_true(record(t_mailer, batch, epoch, o, 3));
        assert_int_equal(rows("true"), 1);
        assert_int_equal(
            rows("user_id = 1 AND reason = 'hard_bounce' AND evidence = '550 5.1.1 no such user'"), 1);
        assert_int_equal(t_sql("SELECT count(*) FROM foliopost.delivery_events WHERE event = 'bounced'"), 1);
        assert_int_equal(t_count(job, "state = 'failed' AND attempts = 1 AND address_hash IS NOT NULL"), 1);
    }
    assert_true(is_suppressed("weekly", 1, ANN));
    assert_false(is_suppressed("weekly", 2, "bob@example.org"));
    /* by somebody whose claim is over: nothing */
    fill_refusal(&o[0], batch, 3, bob.address_hash);
    assert_false(record(t_mailer, batch, epoch + 1, o, 1));
    assert_int_equal(rows("true"), 1);
}

static void two_jobs_may_meet_the_same_dead_mailbox(void **state)
{
    int64_t batches[2];
    struct ledger_held held[2];
    struct ledger_outcome o[2];
    struct ledger_recipient ann = who(1, ANN);
    (void)state;
    for (int i = 0; i < 2; i++) {
        batches[i] = t_paged(t_started(false), 1, 1, true);
        held[i] = (struct ledger_held){.batch_id = batches[i], .epoch = t_claimed(batches[i])};
        fill_refusal(&o[i], batches[i], 1, ann.address_hash);
    }
    struct ledger_record r = {.owner = t_mailer, .held = held, .n_held = 2, .outcomes = o, .n_outcomes = 2};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held[0].held && held[1].held);
    assert_int_equal(rows("true"), 1);
    assert_int_equal(t_sql("SELECT count(*) FROM foliopost.delivery_events"), 2);
}

/* --- events ---------------------------------------------------------------------------------- */

static struct ledger_event event_of(int64_t job, int64_t user, enum delivery_event event, const char *key)
{
    struct ledger_event e = {
        .job_id = job, .user_id = user, .event = event, .provider = "ses", .occurred_us = clock_wall_us()};
    snprintf(e.key, sizeof e.key, "%s", key);
    return e;
}

static void an_event_is_stored_once_and_suppresses(void **state)
{
    int64_t job = t_started(false), batch = t_paged(job, 1, 2, true), stored;
    struct ledger_recipient ann = who(1, ANN);
    struct ledger_outcome o = {.batch_id = batch,
                               .user_id = 1,
                               .state = DELIVERY_SENT,
                               .attempted = true,
                               .address_hash = ann.address_hash};
    struct ledger_event e[4] = {event_of(job, 1, EVENT_DELIVERED, "a"),
                                event_of(job, 1, EVENT_COMPLAINED, "b"),
                                event_of(job, 1, EVENT_UNSUBSCRIBED, ""),
                                event_of(job, 2, EVENT_BOUNCED, "c")};
    struct ledger_event_counts n;
    (void)state;
    assert_true(record(t_mailer, batch, t_claimed(batch), &o, 1));
    e[1].suppress = SUPPRESSION_COMPLAINT;
    e[2].suppress = SUPPRESSION_UNSUBSCRIBE;
    e[3].suppress = SUPPRESSION_HARD_BOUNCE; /* nothing is known of where it went */
    for (int round = 0; round < 2; round++) {
        assert_ok(ledger_events(t_ledger, e, 4, &stored, &t_err));
        assert_int_equal(stored, round == 0 ? 4 : 0);
        assert_int_equal(rows("user_id = 1 AND reason = 'complaint' AND address_hash IS NOT NULL"), 1);
        assert_int_equal(rows("user_id = 2 AND reason = 'hard_bounce' AND address_hash IS NULL"), 1);
        assert_int_equal(rows("true"), 2);
    }
    assert_true(is_suppressed("monthly", 77, ANN));
    e[3] = event_of(job, 2, EVENT_BOUNCED, "another report of it");
    assert_ok(ledger_events(t_ledger, &e[3], 1, &stored, &t_err));
    assert_int_equal(stored, 1);
    assert_ok(ledger_event_counts(t_ledger, job, &n, &t_err));
    assert_int_equal(n.delivered, 1);
    assert_int_equal(n.bounced, 1);
    assert_int_equal(n.complained, 1);
    assert_int_equal(n.unsubscribed, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, t_clean)
    const struct CMUnitTest tests[] = {
        TEST(an_address_has_one_pseudonym),
        TEST(a_row_concerns_its_user_and_its_address),
        TEST(a_hard_bounce_is_the_addresss_not_the_users),
        TEST(a_scope_is_a_kind_of_mail),
        TEST(an_expired_row_suppresses_nobody_and_begins_anew),
        TEST(many_are_asked_for_at_once),
        TEST(the_stronger_reason_and_the_later_expiry_win),
        TEST(one_call_may_name_a_subject_twice),
        TEST(what_is_taken_away_is_counted_and_audited),
        TEST(lists_are_paged_and_filtered),
        TEST(a_mailbox_that_is_not_there_is_suppressed_with_its_outcome),
        TEST(two_jobs_may_meet_the_same_dead_mailbox),
        TEST(an_event_is_stored_once_and_suppresses),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
