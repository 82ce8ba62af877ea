/* States and lists of one batch, without threads. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "services/mailer/mail.h"

#define USERS 4

static Foliopost__V1__SummaryBatch message;
static Foliopost__V1__JobContext job;
static Foliopost__V1__SummaryItem items[USERS], *item_of[USERS];
static Foliopost__V1__User users[USERS];
static struct mail_lists lists;

static struct batch *make(const int64_t *due, size_t n_due)
{
    int32_t attempts[8] = {0, 1, 2, 3};
    struct ledger_claim claim = {
        .batch_id = 5, .job_id = 9, .epoch = 2, .n_due = n_due, .due = (int64_t *)due, .attempts = attempts};
    foliopost__v1__summary_batch__init(&message);
    foliopost__v1__job_context__init(&job);
    job.job_id = 9;
    message.job = &job;
    message.items = item_of;
    message.n_items = USERS;
    for (int i = 0; i < USERS; i++) {
        foliopost__v1__summary_item__init(&items[i]);
        foliopost__v1__user__init(&users[i]);
        users[i].id = 40 - 10 * i; /* in any order */
        items[i].user = &users[i];
        item_of[i] = &items[i];
    }
    memset(&lists, 0, sizeof(lists));
    return batch_new(&claim, "owner", arena_new(1 << 20), &message);
}

static void rendered(struct mail *m)
{
    mail_move(&lists, m, MAIL_RENDERING);
    m->data = mem_strdup("data");
    m->bytes = 4;
    mail_move(&lists, m, MAIL_READY);
}

static void sending(struct mail *m)
{
    rendered(m);
    m->intent = true;
    mail_move(&lists, m, MAIL_ASKED);
    mail_move(&lists, m, MAIL_SENDING);
}

static void settled(struct mail *m)
{
    mail_move(&lists, m, MAIL_KNOWN);
    m->intent = false;
    mail_move(&lists, m, MAIL_SETTLED);
}

static void the_due_users_find_their_items(void **state)
{
    const int64_t due[] = {20, 40};
    (void)state;
    struct batch *b = make(due, 2);
    assert_int_equal(b->n_mails, 2);
    assert_int_equal(b->mails[0].item->user->id, 20);
    assert_int_equal(b->mails[1].item->user->id, 40);
    assert_int_equal(b->mails[1].attempts, 1);
    assert_int_equal(b->state, BATCH_OPEN);
    batch_free(b);
}

static void a_batch_with_nobody_due_is_complete(void **state)
{
    const int64_t due[] = {0};
    (void)state;
    struct batch *b = make(due, 0);
    assert_true(batch_at_rest(b));
    assert_true(batch_complete(b));
    batch_free(b);
}

static void a_due_user_without_an_item_closes_the_batch(void **state)
{
    const int64_t due[] = {20, 21};
    (void)state;
    struct batch *b = make(due, 2);
    assert_int_equal(b->state, BATCH_CLOSING);
    assert_true(atomic_load(&b->stopped));
    batch_close(&lists, b, b->why);
    assert_int_equal(b->count[MAIL_LEFT], 1);
    assert_true(batch_at_rest(b));
    assert_false(batch_complete(b));
    batch_free(b);
}

static void the_lists_follow_the_states(void **state)
{
    const int64_t due[] = {10, 20, 30};
    (void)state;
    struct batch *b = make(due, 3);
    for (int i = 0; i < 3; i++)
        rendered(&b->mails[i]);
    assert_int_equal(lists.ready.n, 3);
    assert_int_equal(lists.ready_bytes, 12);
    mail_move(&lists, &b->mails[1], MAIL_ASKED); /* from the middle */
    assert_int_equal(lists.ready.n, 2);
    assert_ptr_equal(lists.ready.first->next, &b->mails[2]);
    mail_move(&lists, &b->mails[1], MAIL_READY);
    assert_ptr_equal(lists.ready.last, &b->mails[1]); /* behind those that waited */
    for (int i = 0; i < 3; i++) {
        mail_move(&lists, &b->mails[i], MAIL_ASKED);
        mail_move(&lists, &b->mails[i], MAIL_SENDING);
        assert_false(batch_at_rest(b));
        settled(&b->mails[i]);
        assert_null(b->mails[i].data);
    }
    assert_int_equal(lists.ready.n + lists.known.n + lists.unsent.n + lists.ready_bytes, 0);
    assert_true(batch_complete(b));
    batch_free(b);
}

static void closing_takes_back_what_is_not_out(void **state)
{
    const int64_t due[] = {10, 20, 30, 40};
    (void)state;
    struct batch *b = make(due, 4);
    sending(&b->mails[0]);
    rendered(&b->mails[1]);
    rendered(&b->mails[2]);
    b->mails[2].intent = true; /* of a record whose answer was lost */
    batch_close(&lists, b, "paused");
    batch_close(&lists, b, "again");
    assert_string_equal(b->why, "paused");
    assert_int_equal(b->mails[1].state, MAIL_LEFT);
    assert_int_equal(b->mails[2].state, MAIL_UNSENT);
    assert_int_equal(b->mails[3].state, MAIL_LEFT);
    assert_false(batch_at_rest(b));
    settled(&b->mails[0]);
    assert_false(batch_at_rest(b)); /* the withdrawal is to be recorded */
    mail_move(&lists, &b->mails[2], MAIL_LEFT);
    assert_true(batch_at_rest(b));
    assert_false(batch_complete(b));
    batch_free(b);
}

static void a_lost_batch_leaves_the_lists_and_keeps_what_it_knows(void **state)
{
    const int64_t due[] = {10, 20, 30, 40};
    (void)state;
    struct batch *b = make(due, 4);
    sending(&b->mails[0]);
    sending(&b->mails[1]);
    sending(&b->mails[2]);
    rendered(&b->mails[3]);
    mail_move(&lists, &b->mails[0], MAIL_KNOWN);
    mail_move(&lists, &b->mails[1], MAIL_UNSENT);
    batch_lose(&lists, b);
    batch_lose(&lists, b);
    batch_close(&lists, b, "no more");
    assert_int_equal(b->state, BATCH_LOST);
    assert_int_equal(lists.ready.n + lists.known.n + lists.unsent.n + lists.ready_bytes, 0);
    assert_int_equal(b->mails[0].state, MAIL_KNOWN);
    assert_int_equal(b->mails[1].state, MAIL_UNSENT);
    assert_false(batch_at_rest(b));
    mail_move(&lists, &b->mails[2], MAIL_KNOWN);
    assert_int_equal(lists.known.n, 0);
    assert_true(batch_at_rest(b));
    assert_false(batch_complete(b));
    batch_free(b);
}

/* Of a record whose answer was lost along with the claim: the ledger may have marked it as
 * ambiguous, and only we know that it never went out. */
static void a_mail_that_may_be_open_is_known_as_unsent_when_the_batch_is_lost(void **state)
{
    const int64_t due[] = {10, 20};
    (void)state;
    struct batch *b = make(due, 2);
    rendered(&b->mails[0]);
    rendered(&b->mails[1]);
    b->mails[0].intent = true;
    batch_lose(&lists, b);
    assert_int_equal(b->mails[0].state, MAIL_UNSENT);
    assert_int_equal(b->mails[1].state, MAIL_LEFT);
    assert_int_equal(lists.ready.n + lists.unsent.n + lists.ready_bytes, 0);
    assert_true(batch_at_rest(b));
    batch_free(b);
}

/* Our own slips end the process before they send a mail: in a child. */
static bool aborts(enum mail_state from, enum mail_state to)
{
    pid_t child = fork();
    if (child == 0) {
        const int64_t due[] = {10};
        struct batch *b = make(due, 1);
        (void)!freopen("/dev/null", "w", stderr);
        (void)signal(SIGABRT, SIG_DFL);
        b->mails[0].state = from;
        b->count[from] = 1;
        mail_move(&lists, &b->mails[0], to);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

static void no_mail_is_sent_without_its_intent_or_settled_twice(void **state)
{
    (void)state;
    assert_true(aborts(MAIL_READY, MAIL_SENDING));
    assert_true(aborts(MAIL_RENDERING, MAIL_SENDING));
    assert_true(aborts(MAIL_SETTLED, MAIL_KNOWN));
    assert_true(aborts(MAIL_SETTLED, MAIL_READY));
    assert_true(aborts(MAIL_SENDING, MAIL_READY));
    assert_true(aborts(MAIL_LEFT, MAIL_READY));
    assert_false(aborts(MAIL_ASKED, MAIL_SENDING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_due_users_find_their_items),
        cmocka_unit_test(a_batch_with_nobody_due_is_complete),
        cmocka_unit_test(a_due_user_without_an_item_closes_the_batch),
        cmocka_unit_test(the_lists_follow_the_states),
        cmocka_unit_test(closing_takes_back_what_is_not_out),
        cmocka_unit_test(a_lost_batch_leaves_the_lists_and_keeps_what_it_knows),
        cmocka_unit_test(a_mail_that_may_be_open_is_known_as_unsent_when_the_batch_is_lost),
        cmocka_unit_test(no_mail_is_sent_without_its_intent_or_settled_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
