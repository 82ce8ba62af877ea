/* record and late truth: sets of intents, the fence, the upsert. */
#include "lib/ledger/testing.h"

static int64_t job, batch;
static int32_t epoch;

static int setup(void **state)
{
    if (t_clean(state) != 0)
        return -1;
    job = t_started(false);
    batch = t_paged(job, 1, 10, false);
    epoch = t_claimed(batch);
    return 0;
}

static bool record(enum delivery_state s, int64_t first, int n, int64_t intent, int n_intents)
{
    return t_record(t_mailer, batch, epoch, s, first, n, intent, n_intents);
}

static int64_t open_sum(void)
{
    return t_sql("SELECT coalesce(sum(x), 0) * 100 + count(x) FROM foliopost.batches, unnest(open_intents) x"
                 " WHERE id = %lld",
                 (long long)batch);
}

static void open_intents_lose_the_settled_and_gain_the_new(void **state)
{
    (void)state;
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 3));
    assert_int_equal(open_sum(), 603); /* 1 2 3 */
    assert_true(record(DELIVERY_SENT, 2, 1, 4, 1));
    assert_int_equal(open_sum(), 803);              /* 1 3 4 */
    assert_true(record(DELIVERY_SENT, 2, 1, 4, 1)); /* as after a lost reply */
    assert_int_equal(open_sum(), 803);
    assert_int_equal(t_count(job, "state = 'sent' AND attempts = 1"), 1);
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_intent w[] = {{batch, 1}, {batch, 4}};
    struct ledger_record r = {
        .owner = t_mailer, .held = &held, .n_held = 1, .withdrawn = w, .n_withdrawn = 2};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    assert_int_equal(open_sum(), 301);
    assert_int_equal(t_count(job, "true"), 1);
}

/* A server process that was held up carries out a try that the mailer has long repeated.
 * The mailer hands back the batch after that; under the next claim it changes nothing. */
static void a_record_carried_out_late_takes_nothing_from_the_next_claim(void **state)
{
    (void)state;
    bool done;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_intent w[] = {{batch, 1}, {batch, 2}};
    struct ledger_record r = {
        .owner = t_mailer, .held = &held, .n_held = 1, .withdrawn = w, .n_withdrawn = 2};
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 2));
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_false(r.in_doubt);
    assert_ok(ledger_release(t_ledger, t_mailer, batch, epoch, &done, &t_err));
    assert_true(done);
    epoch = t_claimed(batch);
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 2));
    assert_ok(ledger_record(t_ledger, &r, &t_err)); /* late */
    assert_false(held.held);
    assert_int_equal(open_sum(), 302);
}

/* The server may have carried it out, or may do so yet. */
static void a_record_whose_connection_broke_says_so(void **state)
{
    (void)state;
    struct fp_ledger *killer = t_open();
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1};
    char sql[64];
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%lld)::integer",
             (long long)t_sql("SELECT pg_backend_pid()"));
    assert_int_equal(t_sql_on(killer, sql), 1);
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    assert_true(r.in_doubt);
    ledger_close(killer);
}

static void an_outcome_is_written_once(void **state)
{
    (void)state;
    assert_true(record(DELIVERY_SENT, 1, 2, 0, 0));
    assert_true(record(DELIVERY_FAILED, 1, 3, 0, 0)); /* 1 and 2 are settled already */
    assert_int_equal(t_count(job, "state = 'sent'"), 2);
    assert_int_equal(t_count(job, "state = 'failed' AND user_id = 3"), 1);
    assert_int_equal(t_count(job, "epoch = 1 AND reason = '250 ok'"), 3);
}

static void users_of_another_batch_are_left_out(void **state)
{
    (void)state;
    assert_true(record(DELIVERY_SENT, 9, 4, 10, 5)); /* 11 and 12 are not in it, nor intents 11 to 14 */
    assert_int_equal(t_count(job, "true"), 2);
    assert_int_equal(open_sum(), 1001);
}

static void one_user_twice_in_a_record_counts_once(void **state)
{
    (void)state;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o[2] = {{.batch_id = batch, .user_id = 1, .state = DELIVERY_SENT},
                                  {.batch_id = batch, .user_id = 1, .state = DELIVERY_SENT}};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = 2};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    assert_int_equal(t_count(job, "attempts = 0"), 1);
}

static void a_stale_worker_changes_nothing(void **state)
{
    (void)state;
    char other[37];
    t_instance("mailer", other);
    assert_false(t_record(t_mailer, batch, epoch + 1, DELIVERY_SENT, 1, 1, 2, 1));
    assert_false(t_record(t_mailer, batch, epoch - 1, DELIVERY_SENT, 1, 1, 2, 1));
    assert_false(t_record(other, batch, epoch, DELIVERY_SENT, 1, 1, 2, 1));
    t_lease_over(t_mailer);
    assert_false(record(DELIVERY_SENT, 1, 1, 2, 1));
    assert_int_equal(t_count(job, "true") + open_sum(), 0);
}

static void a_paused_job_opens_no_intent_but_takes_outcomes(void **state)
{
    (void)state;
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 2));
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o = {.batch_id = batch, .user_id = 1, .state = DELIVERY_SENT};
    struct ledger_intent n = {batch, 3};
    struct ledger_record r = {.owner = t_mailer,
                              .held = &held,
                              .n_held = 1,
                              .outcomes = &o,
                              .n_outcomes = 1,
                              .intents = &n,
                              .n_intents = 1};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    assert_int_equal(held.job_state, JOB_PAUSED);
    assert_int_equal(open_sum(), 201);
    assert_int_equal(t_count(job, "state = 'sent'"), 1);
}

static void several_batches_are_answered_each(void **state)
{
    (void)state;
    int64_t second = t_paged(job, 11, 5, false), third = t_paged(job, 16, 5, false);
    int32_t epoch2 = t_claimed(second);
    struct ledger_held held[3] = {{.batch_id = third, .epoch = 1},
                                  {.batch_id = batch, .epoch = epoch},
                                  {.batch_id = second, .epoch = epoch2}};
    struct ledger_outcome o[3] = {{.batch_id = batch, .user_id = 1, .state = DELIVERY_SENT},
                                  {.batch_id = second, .user_id = 11, .state = DELIVERY_SENT},
                                  {.batch_id = third, .user_id = 16, .state = DELIVERY_SENT}};
    struct ledger_record r = {.owner = t_mailer, .held = held, .n_held = 3, .outcomes = o, .n_outcomes = 3};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_false(held[0].held); /* never claimed */
    assert_int_equal(held[0].job_state, JOB_IN_PROGRESS);
    assert_true(held[1].held && held[2].held);
    assert_int_equal(t_count(job, "user_id IN (1, 11)"), 2);
    assert_int_equal(t_count(job, "true"), 2);
}

/* What changes when the row is written or locked. */
static int64_t version_of(int64_t id)
{
    return t_batch(id, "xmin::text::bigint * 4294967296 + xmax::text::bigint");
}

/* Asked beside a claim that a record has something for. */
static struct ledger_held beside(const char *owner, int64_t id, int32_t of_epoch)
{
    static int64_t user = 1;
    struct ledger_held held[2] = {{.batch_id = id, .epoch = of_epoch}, {.batch_id = batch, .epoch = epoch}};
    struct ledger_outcome o = {.batch_id = batch, .user_id = user++ % 10 + 1, .state = DELIVERY_SENT};
    struct ledger_record r = {.owner = owner, .held = held, .n_held = 2, .outcomes = &o, .n_outcomes = 1};
    int64_t before = version_of(id);
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_int_equal(version_of(id), before);
    return held[0];
}

static void a_claim_that_nothing_is_for_is_read_and_not_written(void **state)
{
    (void)state;
    char other[37];
    int64_t second = t_paged(job, 11, 5, false), unclaimed = t_paged(job, 16, 5, false);
    int32_t epoch2 = t_claimed(second);
    t_instance("mailer", other);
    assert_true(beside(t_mailer, second, epoch2).held);
    assert_int_equal(t_count(job, "true"), 1);
    assert_false(beside(t_mailer, second, epoch2 + 1).held);
    assert_false(beside(t_mailer, second, epoch2 - 1).held);
    assert_false(beside(other, second, epoch2).held);
    assert_false(beside(t_mailer, unclaimed, 0).held);
    assert_false(beside(t_mailer, unclaimed + 1000, 1).held);
    assert_ok(ledger_job_pause(t_ledger, job, "", "tester", &t_err));
    struct ledger_held paused = beside(t_mailer, second, epoch2);
    assert_true(paused.held);
    assert_int_equal(paused.job_state, JOB_PAUSED);
    t_lease_over(t_mailer);
    assert_false(beside(t_mailer, second, epoch2).held);
}

static void hostile_reasons_are_cleaned_and_cut(void **state)
{
    (void)state;
    char reason[5000];
    memset(reason, 'x', sizeof reason - 1);
    memcpy(reason, "550 \xff\xfe\r\n'; DROP TABLE", 22);
    reason[sizeof reason - 1] = '\0';
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o = {.batch_id = batch,
                               .user_id = 1,
                               .state = DELIVERY_FAILED,
                               .reason = reason,
                               .provider_id = "{\"a\",NULL}"};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = &o, .n_outcomes = 1};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_true(held.held);
    struct ledger_delivery d;
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_FAILED, 0, &d, 1, &t_err), 1);
    assert_non_null(strstr(d.reason, "'; DROP TABLE"));
    assert_string_equal(d.provider_id, "{\"a\",NULL}");
    assert_true(text_is_clean(d.reason));
}

static void a_deferred_user_is_due_later(void **state)
{
    (void)state;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o = {.batch_id = batch,
                               .user_id = 1,
                               .state = DELIVERY_DEFERRED,
                               .attempted = true,
                               .maybe_double = true,
                               .retry_in_ms = 60000};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = &o, .n_outcomes = 1};
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_int_equal(t_count(job, "state = 'deferred' AND attempts = 1 AND maybe_doubles = 1 AND"
                                  " due_at BETWEEN clock_timestamp() + interval '55 s'"
                                  " AND clock_timestamp() + interval '60 s'"),
                     1);
}

/* --- what the mail said ----------------------------------------------------------- */

static const unsigned char version[LEDGER_VERSION_BYTES] = {0xa1, 0, 0, 0xff};
static const unsigned char content[LEDGER_CONTENT_BYTES] = {0, 1, 2, 0xfe};

static void what_a_mail_said_is_kept_with_it(void **state)
{
    (void)state;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o[2] = {{.batch_id = batch,
                                   .user_id = 1,
                                   .state = DELIVERY_SENT,
                                   .template_version = version,
                                   .content_hash = content},
                                  {.batch_id = batch, .user_id = 2, .state = DELIVERY_SKIPPED}};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = 2};
    struct ledger_delivery d[2];
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_UNKNOWN, 0, d, 2, &t_err), 2);
    assert_string_equal(d[0].template_version, "a10000ff");
    assert_string_equal(d[0].content_hash, "000102fe000000000000000000000000");
    assert_string_equal(d[1].template_version, "");
    assert_string_equal(d[1].content_hash, "");
    assert_int_equal(t_count(job, "content_hash IS NULL"), 1);
}

static void the_first_templates_of_a_job_are_noted(void **state)
{
    (void)state;
    char first[65];
    assert_ok(ledger_job_note_templates(t_ledger, job, "aaaa", first, &t_err));
    assert_string_equal(first, "");
    assert_ok(ledger_job_note_templates(t_ledger, job, "bbbb", first, &t_err));
    assert_string_equal(first, "aaaa");
    assert_ok(ledger_job_note_templates(t_ledger, job + 99, "bbbb", first, &t_err));
    assert_string_equal(first, "");
}

/* --- whose answer it is ------------------------------------------------------------ */

static int64_t provider_of(int64_t user)
{
    return t_sql("SELECT coalesce(provider, 0) FROM foliopost.deliveries WHERE user_id = %lld",
                 (long long)user);
}

static void a_provider_has_one_number_for_good(void **state)
{
    (void)state;
    int16_t a, b, again;
    assert_ok(ledger_provider_number(t_ledger, "relay", &a, &t_err));
    assert_ok(ledger_provider_number(t_ledger, "ses", &b, &t_err));
    assert_ok(ledger_provider_number(t_ledger, "relay", &again, &t_err));
    assert_true(a > 0 && b > 0 && a != b && again == a);
    assert_ok(ledger_provider_find(t_ledger, "ses", &again, &t_err));
    assert_int_equal(again, b);
    assert_code(ledger_provider_find(t_ledger, "sess", &again, &t_err), FP_NOT_FOUND);
    assert_non_null(strstr(t_err.msg, "\"sess\"; those known: relay, ses"));
}

static void an_outcome_names_the_provider_that_it_comes_from(void **state)
{
    (void)state;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    const struct ledger_outcome o[] = {
        {.batch_id = batch, .user_id = 1, .state = DELIVERY_FAILED, .provider_no = 2, .attempted = true},
        {.batch_id = batch, .user_id = 2, .state = DELIVERY_SENT, .provider_no = 1, .attempted = true},
        {.batch_id = batch, .user_id = 3, .state = DELIVERY_SKIPPED}};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = 3};
    struct ledger_delivery d[5];
    int16_t relay, ses;
    assert_ok(ledger_provider_number(t_ledger, "relay", &relay, &t_err));
    assert_ok(ledger_provider_number(t_ledger, "ses", &ses, &t_err));
    assert_true(relay == 1 && ses == 2);
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_int_equal(ledger_deliveries(t_ledger, job, DELIVERY_UNKNOWN, 0, d, 5, &t_err), 3);
    assert_string_equal(d[0].provider, "ses");
    assert_string_equal(d[1].provider, "relay");
    assert_string_equal(d[2].provider, "");
    const struct ledger_delivery_filter f = {.provider_no = ses};
    assert_int_equal(ledger_deliveries_where(t_ledger, job, DELIVERY_UNKNOWN, &f, 0, d, 5, &t_err), 1);
    assert_int_equal(d[0].user_id, 1);
    assert_int_equal(ledger_deliveries_where(t_ledger, job, DELIVERY_SENT, &f, 0, d, 5, &t_err), 0);
}

/* What is said last counts: another provider, or nobody. */
static void the_next_try_names_its_own_provider(void **state)
{
    (void)state;
    struct ledger_held held = {.batch_id = batch, .epoch = epoch};
    struct ledger_outcome o[] = {
        {.batch_id = batch, .user_id = 1, .state = DELIVERY_DEFERRED, .provider_no = 2},
        {.batch_id = batch, .user_id = 2, .state = DELIVERY_DEFERRED, .provider_no = 2},
        {.batch_id = batch, .user_id = 3, .state = DELIVERY_DEFERRED, .provider_no = 2}};
    struct ledger_record r = {.owner = t_mailer, .held = &held, .n_held = 1, .outcomes = o, .n_outcomes = 3};
    struct ledger_emit e;
    struct ledger_expired expired;
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    t_sql("UPDATE foliopost.deliveries SET due_at = clock_timestamp()");
    assert_int_equal(ledger_retry(t_ledger, t_leader, job, 1000, &e, &t_err), 1);
    assert_int_equal(provider_of(1), 2); /* still the last word */
    held = (struct ledger_held){.batch_id = e.batch_id, .epoch = t_claimed(e.batch_id)};
    for (int i = 0; i < 3; i++)
        o[i].batch_id = e.batch_id;
    o[0].state = DELIVERY_FAILED;
    o[0].provider_no = 1;
    o[1].state = DELIVERY_SKIPPED;
    o[1].provider_no = 0;
    const struct ledger_intent open = {e.batch_id, 3};
    r.n_outcomes = 2;
    r.intents = &open;
    r.n_intents = 1;
    assert_ok(ledger_record(t_ledger, &r, &t_err));
    assert_int_equal(provider_of(1) * 10 + provider_of(2), 10);
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &expired, &t_err));
    assert_int_equal(expired.ambiguous, 1);
    assert_int_equal(provider_of(3), 0); /* nobody knows which of them had it */
}

/* --- late truth ----------------------------------------------------------------- */

static int late(int32_t its_epoch, enum delivery_state s, int64_t user)
{
    struct ledger_outcome o = {
        .batch_id = batch, .user_id = user, .state = s, .reason = "late", .retry_in_ms = 1};
    o.attempted = s != DELIVERY_DEFERRED;
    o.content_hash = o.attempted ? content : NULL;
    o.provider_no = o.attempted ? 7 : 0;
    int n = ledger_late_truth(t_ledger, batch, its_epoch, &o, 1, &t_err);
    assert_true(n >= 0);
    return n;
}

/* Users 1 to 3 are open when the lease ends. */
static void expire(void)
{
    struct ledger_expired e;
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 3));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    assert_int_equal(e.ambiguous, 3);
}

static void late_truth_changes_what_expire_marked(void **state)
{
    (void)state;
    expire();
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 1);
    assert_int_equal(t_count(job, "content_hash IS NOT NULL AND provider = 7 AND user_id = 1"), 1);
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 0);   /* repeated */
    assert_int_equal(late(epoch, DELIVERY_FAILED, 1), 0); /* the first truth stays */
    assert_int_equal(late(epoch + 1, DELIVERY_SENT, 2), 0);
    assert_int_equal(late(epoch, DELIVERY_SENT, 4), 0); /* never open */
    assert_int_equal(late(epoch, DELIVERY_DEFERRED, 2), 1);
    assert_int_equal(t_count(job, "state = 'deferred' AND user_id = 2 AND due_at IS NOT NULL"), 1);
    assert_int_equal(t_sql("SELECT revived FROM foliopost.jobs WHERE id = %lld", (long long)job), 1);
}

/* The batch's next owner cannot say what became of the first one's mails. */
static void late_truth_is_of_the_claim_that_was_cut_off(void **state)
{
    (void)state;
    expire();
    char other[37];
    t_instance("mailer", other);
    int32_t epoch2 = t_claimed_by(other, batch, NULL);
    assert_int_equal(epoch2, epoch + 1);
    assert_int_equal(late(epoch2, DELIVERY_SENT, 1), 0);
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 1);
}

static void late_truth_leaves_what_the_mailer_called_ambiguous(void **state)
{
    (void)state;
    assert_true(record(DELIVERY_AMBIGUOUS, 1, 1, 0, 0));
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 0);
}

static void late_truth_moves_the_counters_of_a_finished_batch(void **state)
{
    (void)state;
    bool done;
    expire();
    char other[37];
    t_instance("mailer", other);
    int32_t epoch2 = t_claimed_by(other, batch, NULL);
    assert_true(t_record(other, batch, epoch2, DELIVERY_SENT, 4, 7, 0, 0));
    assert_ok(ledger_finish(t_ledger, other, batch, epoch2, &done, &t_err));
    assert_true(done);
    assert_int_equal(t_batch(batch, "sent * 10 + ambiguous"), 73);
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 1);
    assert_int_equal(t_batch(batch, "sent * 10 + ambiguous"), 82);
}

static void late_truth_defers_nobody_of_a_job_that_is_over(void **state)
{
    (void)state;
    expire();
    assert_ok(ledger_job_cancel(t_ledger, job, "", "tester", &t_err));
    assert_int_equal(late(epoch, DELIVERY_DEFERRED, 1), 0);
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 1);
}

static void late_truth_gives_back_the_attempt_that_was_none(void **state)
{
    (void)state;
    expire();
    assert_int_equal(t_count(job, "attempts = 1 AND user_id IN (1, 2)"), 2);
    assert_int_equal(late(epoch, DELIVERY_DEFERRED, 1), 1);
    assert_int_equal(late(epoch, DELIVERY_FAILED, 2), 1);
    assert_int_equal(t_count(job, "attempts = 0 AND user_id = 1"), 1);
    assert_int_equal(t_count(job, "attempts = 1 AND user_id = 2"), 1);
}

static void late_truth_keeps_a_requeued_user_from_being_mailed_again(void **state)
{
    (void)state;
    struct ledger_expired e;
    char other[37];
    size_t due;
    job = t_started(true);
    batch = t_paged(job, 1, 4, false);
    epoch = t_claimed(batch);
    assert_true(record(DELIVERY_SENT, 1, 0, 1, 3));
    t_lease_over(t_mailer);
    assert_ok(ledger_expire(t_ledger, t_leader, &e, &t_err));
    assert_int_equal(e.requeued, 3);
    assert_int_equal(late(epoch, DELIVERY_SENT, 1), 1);
    assert_int_equal(late(epoch, DELIVERY_DEFERRED, 2), 1);
    assert_int_equal(t_count(job, "state = 'sent' AND user_id = 1 AND maybe_doubles = 1"), 1);
    assert_int_equal(t_count(job, "state = 'deferred' AND user_id = 2 AND attempts = 0"), 1);
    t_instance("mailer", other);
    assert_int_equal(t_claimed_by(other, batch, &due), epoch + 1);
    assert_int_equal(due, 2);                           /* users 3 and 4 */
    assert_int_equal(late(epoch, DELIVERY_SENT, 3), 0); /* his next mail is on its way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(open_intents_lose_the_settled_and_gain_the_new, setup),
        cmocka_unit_test_setup(a_record_carried_out_late_takes_nothing_from_the_next_claim, setup),
        cmocka_unit_test_setup(a_record_whose_connection_broke_says_so, setup),
        cmocka_unit_test_setup(an_outcome_is_written_once, setup),
        cmocka_unit_test_setup(users_of_another_batch_are_left_out, setup),
        cmocka_unit_test_setup(one_user_twice_in_a_record_counts_once, setup),
        cmocka_unit_test_setup(a_stale_worker_changes_nothing, setup),
        cmocka_unit_test_setup(a_paused_job_opens_no_intent_but_takes_outcomes, setup),
        cmocka_unit_test_setup(several_batches_are_answered_each, setup),
        cmocka_unit_test_setup(a_claim_that_nothing_is_for_is_read_and_not_written, setup),
        cmocka_unit_test_setup(hostile_reasons_are_cleaned_and_cut, setup),
        cmocka_unit_test_setup(a_deferred_user_is_due_later, setup),
        cmocka_unit_test_setup(what_a_mail_said_is_kept_with_it, setup),
        cmocka_unit_test_setup(the_first_templates_of_a_job_are_noted, setup),
        cmocka_unit_test_setup(a_provider_has_one_number_for_good, setup),
        cmocka_unit_test_setup(an_outcome_names_the_provider_that_it_comes_from, setup),
        cmocka_unit_test_setup(the_next_try_names_its_own_provider, setup),
        cmocka_unit_test_setup(late_truth_changes_what_expire_marked, setup),
        cmocka_unit_test_setup(late_truth_is_of_the_claim_that_was_cut_off, setup),
        cmocka_unit_test_setup(late_truth_leaves_what_the_mailer_called_ambiguous, setup),
        cmocka_unit_test_setup(late_truth_moves_the_counters_of_a_finished_batch, setup),
        cmocka_unit_test_setup(late_truth_defers_nobody_of_a_job_that_is_over, setup),
        cmocka_unit_test_setup(late_truth_gives_back_the_attempt_that_was_none, setup),
        cmocka_unit_test_setup(late_truth_keeps_a_requeued_user_from_being_mailed_again, setup),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
