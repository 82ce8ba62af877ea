/* Parting with a batch, step by step, over a real PostgreSQL and without the
 * desk's threads: when it is forgotten, and when it must not be. */
#include "services/mailer/desk_internal.h"
#include "services/mailer/testing.h"

static struct desk d;
static struct f_batch message;

static int up(void **state)
{
    if (f_clean(state) != 0)
        return -1;
    d = (struct desk){.o = f_options(), .ledger = t_ledger, .inbox = inbox_new(4)};
    memcpy(d.owner, t_mailer, sizeof(d.owner));
    f_set_lease(t_mailer, true);
    return 0;
}

static int down(void **state)
{
    (void)state;
    inbox_free(d.inbox);
    return 0;
}

/* One user's batch, claimed and with the desk; `all`: his mail is recorded as sent. */
static struct batch *settled(int64_t job, bool all)
{
    struct ledger_claim c;
    char token[37];
    struct fp_str packed;
    struct fp_arena *arena = arena_new(WIRE_MAX_ARENA_BYTES);
    int64_t id = t_paged(job, 1, 1, false);
    text_new_uuid(token);
    assert_ok(ledger_claim(t_ledger, t_mailer, id, token, &c, &t_err));
    assert_true(c.won);
    f_fill(&message, job, id, 1, 1);
    str_init(&packed, 0);
    assert_ok(wire_pack(&message.message.base, WIRE_MAX_MESSAGE_BYTES, &packed, &t_err));
    struct batch *b = batch_new(&c, t_mailer, arena,
                                wire_unpack(&foliopost__v1__summary_batch__descriptor, packed.data,
                                            packed.len, arena, &t_err));
    str_fini(&packed);
    mem_free(c.due);
    mem_free(c.attempts);
    if (all) {
        assert_true(t_record(t_mailer, id, b->epoch, DELIVERY_SENT, 1, 1, 0, 0));
        mail_move(&d.lists, &b->mails[0], MAIL_KNOWN);
        mail_move(&d.lists, &b->mails[0], MAIL_SETTLED);
    } else {
        batch_close(&d.lists, b, "a test");
    }
    assert_true(inbox_take_slot(d.inbox, 0));
    d.batches = b;
    d.n_batches = 1;
    return b;
}

static void renew(void)
{
    bool held;
    assert_ok(ledger_instance_renew(t_ledger, t_mailer, 4, "", &held, &t_err));
    assert_true(held);
}

/* The lease lapses in the ledger, unswept, and is renewed a moment later. */
static void a_batch_outlives_a_lease_that_lapsed(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        int64_t id = settled(t_started(false), all)->id;
        t_lease_over(t_mailer);
        desk_settle(&d);
        assert_int_equal(d.n_batches, 1);
        renew();
        desk_settle(&d);
        assert_int_equal(d.n_batches, 0);
        assert_int_equal(t_batch(id, all ? "(state = 'done')::integer" : "(state = 'queued')::integer"), 1);
    }
}

static void without_the_local_lease_nothing_is_settled(void **state)
{
    (void)state;
    int64_t id = settled(t_started(false), true)->id;
    f_set_lease(t_mailer, false);
    desk_settle(&d);
    assert_int_equal(d.n_batches, 1);
    assert_int_equal(t_batch(id, "(state = 'sending')::integer"), 1);
    f_set_lease(t_mailer, true);
    desk_settle(&d);
    assert_int_equal(d.n_batches, 0);
}

static void a_batch_of_another_is_forgotten(void **state)
{
    (void)state;
    int64_t id = settled(t_started(false), true)->id;
    t_sql("UPDATE foliopost.batches SET epoch = epoch + 1, owner = gen_random_uuid() WHERE id = %lld",
          (long long)id);
    desk_settle(&d);
    assert_int_equal(d.n_batches, 0);
    assert_int_equal(t_batch(id, "(state = 'sending')::integer"), 1);
}

/* A record whose client had given up commits after all, and opens an intent. */
static void an_intent_that_came_late_does_not_keep_the_batch(void **state)
{
    (void)state;
    int64_t job = t_started(false);
    struct batch *b = settled(job, false);
    int64_t id = b->id;
    assert_true(t_record(t_mailer, id, b->epoch, DELIVERY_SENT, 0, 0, 1, 1));
    for (int i = 0; i < 10 && d.n_batches; i++)
        desk_settle(&d);
    assert_int_equal(d.n_batches, 0);
    assert_int_equal(t_batch(id, "(state = 'queued' AND open_intents = '{}')::integer"), 1);
    assert_int_equal(t_count(job, "state = 'ambiguous'"), 1);
}

static void look(void)
{
    d.strays.looked_us = 0;
    desk_check_strays(&d);
}

static void a_claim_that_nobody_knows_goes_back(void **state)
{
    (void)state;
    int64_t job = t_started(false), lost = t_paged(job, 11, 2, false);
    struct batch *b = settled(job, true);
    (void)t_claimed(lost);
    look();
    assert_int_equal(t_batch(lost, "(state = 'sending')::integer"), 1); /* may be on its way */
    desk_check_strays(&d);                                              /* too soon for a second look */
    assert_int_equal(t_batch(lost, "(state = 'sending')::integer"), 1);
    look();
    assert_int_equal(t_batch(lost, "(state = 'queued')::integer"), 1);
    assert_int_equal(t_batch(b->id, "(state = 'sending')::integer"), 1);
    desk_settle(&d);
}

static void a_claim_that_the_intake_has_in_hand_stays(void **state)
{
    (void)state;
    int64_t batch = t_paged(t_started(false), 1, 2, false);
    (void)t_claimed(batch);
    atomic_store(&d.claiming, batch);
    for (int i = 0; i < 3; i++)
        look();
    assert_int_equal(t_batch(batch, "(state = 'sending')::integer"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_batch_outlives_a_lease_that_lapsed, up, down),
        cmocka_unit_test_setup_teardown(without_the_local_lease_nothing_is_settled, up, down),
        cmocka_unit_test_setup_teardown(a_batch_of_another_is_forgotten, up, down),
        cmocka_unit_test_setup_teardown(an_intent_that_came_late_does_not_keep_the_batch, up, down),
        cmocka_unit_test_setup_teardown(a_claim_that_nobody_knows_goes_back, up, down),
        cmocka_unit_test_setup_teardown(a_claim_that_the_intake_has_in_hand_stays, up, down),
    };
    return cmocka_run_group_tests(tests, t_ledger_up, t_database_down);
}
