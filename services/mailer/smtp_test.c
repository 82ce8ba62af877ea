/*
 * The SMTP transport against a server that misbehaves on cue: each test says
 * what the server answers to which command, and looks at the verdict, at the
 * number of connections and at what the server was sent.
 */
#include "services/mailer/smtp_script.h"

#include "services/mailer/transports.h"

/* --- a client ------------------------------------------------------------------------------- */

struct client {
    struct server *server;
    struct transport *transport;
    struct transport_settings settings;
    struct transport_reply reply;
    bool (*may_go)(void *ctx), (*turn)(void *ctx), (*lease_holds)(void *ctx);
};

static void client_open(struct client *c)
{
    struct fp_err err;
    char url[64];
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", c->server->port);
    c->settings.smtp_url = url;
    c->transport = transport_smtp.open(&c->settings, &err);
    if (!c->transport)
        fail_msg("%s", err.msg);
    c->settings.smtp_url = NULL; /* ours no longer */
}

static struct client client_with(struct script script)
{
    struct client c = {.server = server_start(script), .settings = usual_settings()};
    return c;
}

static struct client client_of(struct script script)
{
    struct client c = client_with(script);
    client_open(&c);
    return c;
}

static void client_close(struct client *c)
{
    transport_smtp.close(c->transport);
    server_stop(c->server);
}

static const char usual[] = "Subject: x\r\n\r\n.one\r\n..two\r\n.\r\nthree\r\n";

static enum verdict post_text(struct client *c, const char *recipient, const char *text)
{
    const struct transport_mail mail = {.sender = "reports@here.example",
                                        .recipient = recipient,
                                        .data = text,
                                        .bytes = strlen(text),
                                        .job_id = 1,
                                        .user_id = 2,
                                        .may_go = c->may_go,
                                        .turn = c->turn,
                                        .lease_holds = c->lease_holds};
    transport_smtp.send(c->transport, &mail, &c->reply);
    return c->reply.verdict;
}

static enum verdict post_to(struct client *c, const char *recipient)
{
    return post_text(c, recipient, usual);
}

static enum verdict post(struct client *c)
{
    return post_to(c, "anna@there.example");
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* One mail to a server with this script. */
static struct transport_reply reply_of(struct script script)
{
    struct client c = client_of(script);
    post(&c);
    client_close(&c);
    return c.reply;
}

#define assert_verdict(is, expected)                                                                         \
    do {                                                                                                     \
        if ((is).verdict != (expected))                                                                      \
            fail_msg("verdict %d (%s), expected %s", (is).verdict, (is).reason, #expected);                  \
    } while (0)

/* --- the good way ------------------------------------------------------------------------------ */

static void a_mail_is_sent_and_its_queue_id_kept(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    post(&c);
    assert_verdict(c.reply, VERDICT_SENT);
    assert_string_equal(c.reply.provider_id, "4Bx1");
    assert_string_equal(c.reply.reason, "");
    assert_true(log_holds(c.server, "EHLO mailer.example\r\nMAIL FROM:<reports@here.example>\r\n"
                                    "RCPT TO:<anna@there.example>\r\nDATA\r\n"));
    client_close(&c);
}

static void expect_body(struct server *s, const char *expected)
{
    pthread_mutex_lock(&s->lock);
    assert_string_equal(s->last_body.data ? s->last_body.data : "", expected);
    pthread_mutex_unlock(&s->lock);
}

static void lines_that_begin_with_a_dot_arrive_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {usual, ".\r\n", "..\r\n.\r\n.\r\n", "\r\n.\r\n", "x: y\r\n\r\n.\r\n"};
    struct client c = client_of((struct script){0});
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(post_text(&c, "anna@there.example", texts[i]), VERDICT_SENT);
        expect_body(c.server, texts[i]);
    }
    client_close(&c);
}

static void a_mail_without_a_last_line_end_gets_one(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    assert_int_equal(post_text(&c, "anna@there.example", "x: y\r\n\r\n."), VERDICT_SENT);
    expect_body(c.server, "x: y\r\n\r\n.\r\n");
    assert_int_equal(post_text(&c, "anna@there.example", "."), VERDICT_SENT);
    expect_body(c.server, ".\r\n");
    client_close(&c);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    for (int i = 0; i < 20; i++)
        assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(connections_of(c.server), 1);
    client_close(&c);
}

static void a_connection_carries_no_more_than_its_mails(void **state)
{
    (void)state;
    struct client c = client_with((struct script){0});
    c.settings.mails_per_connection = 3;
    client_open(&c);
    for (int i = 0; i < 10; i++)
        assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(connections_of(c.server), 4);
    client_close(&c);
}

static void replies_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct client c =
        client_of((struct script){.byte_by_byte = true, .ehlo = "250-here\r\n250-SIZE 9\r\n250 HELP"});
    for (int i = 0; i < 3; i++)
        assert_int_equal(post(&c), VERDICT_SENT);
    assert_string_equal(c.reply.provider_id, "4Bx1");
    client_close(&c);
}

/* --- the three commands at once ------------------------------------------------------------------- */

static void what_the_server_offers_is_used(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.pipelining = true, .patient = true});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(post(&c), VERDICT_SENT);
        assert_string_equal(c.reply.provider_id, "4Bx1");
    }
    assert_int_equal(connections_of(c.server), 1);
    assert_int_equal(mails_of(c.server), 5);
    client_close(&c);

    c = client_with((struct script){.patient = true}); /* does not offer it, and waits */
    c.settings.reply_timeout_ms = 300;
    client_open(&c);
    assert_int_equal(post(&c), VERDICT_PROVIDER_FAULT);
    assert_string_equal(c.reply.reason, "no answer to MAIL: the time is over");
    client_close(&c);
}

/* The server has said what it thinks of the recipient; nobody need log in again for that. */
static void a_refused_recipient_keeps_the_connection(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        struct script refuses = {.rcpt = "550 5.1.1 no such user", .pipelining = pipelining};
        struct client c = client_of(refuses);
        for (int i = 0; i < 3; i++) {
            server_change(c.server, refuses);
            assert_int_equal(post(&c), VERDICT_FAILED);
            assert_int_equal(c.reply.code, 550);
            server_change(c.server, (struct script){.pipelining = pipelining});
            assert_int_equal(post(&c), VERDICT_SENT);
        }
        assert_int_equal(connections_of(c.server), 1);
        assert_int_equal(mails_of(c.server), 3);
        client_close(&c);
    }
}

/* Ending the mail that it waits for would be an empty mail to nobody, or to somebody. */
static void a_server_that_waits_for_nobodys_mail_is_left(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.rcpt = "450 4.2.0 later", .pipelining = true, .deaf = true});
    int64_t start = clock_mono_us();
    assert_int_equal(post(&c), VERDICT_DEFERRED);
    assert_in_range(clock_mono_us() - start, 0, 2500000); /* at once, not when the time is over */
    assert_int_equal(c.reply.code, 450);
    server_change(c.server, (struct script){.pipelining = true});
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(connections_of(c.server), 2);
    assert_int_equal(mails_of(c.server), 1);
    client_close(&c);
}

/* All is out at once, and the answer to MAIL goes down with the connection: whose fault it
 * is shows when the second try says one command at a time. */
static void a_recipient_at_whom_the_server_hangs_up_is_not_the_relays_fault(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.pipelining = true, .buffers = true, .rcpt = HANG_UP});
    assert_int_equal(post(&c), VERDICT_DEFERRED);
    assert_true(c.reply.at_recipient);
    assert_true(c.reply.vague);
    assert_string_equal(c.reply.reason, "no answer to RCPT: the connection is lost");
    assert_int_equal(connections_of(c.server), 2);
    server_change(c.server, (struct script){.pipelining = true, .buffers = true});
    assert_int_equal(post(&c), VERDICT_SENT);
    client_close(&c);
}

/* --- the lease, before the mail itself ----------------------------------------------------------------- */

/* Connecting and the answers to MAIL, RCPT and DATA can take longer than a lease. */
static void no_mail_goes_out_when_the_lease_ended_meanwhile(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        struct client c = client_of((struct script){.pipelining = pipelining});
        assert_int_equal(post(&c), VERDICT_SENT);
        c.lease_holds = never;
        post(&c);
        assert_true(c.reply.untried);
        assert_int_equal(mails_of(c.server), 1);
        assert_int_equal(connections_of(c.server), 1);
        c.lease_holds = NULL;
        assert_int_equal(post(&c), VERDICT_SENT);
        assert_false(c.reply.untried);
        assert_int_equal(connections_of(c.server), 2); /* the first still waits for a mail */
        assert_int_equal(mails_of(c.server), 2);
        client_close(&c);
    }
}

/* --- the rate's turn, before anything of the mail ------------------------------------------------------- */

static void without_a_turn_nothing_is_said_and_the_connection_is_kept(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    c.turn = never;
    for (int i = 0; i < 2; i++) {
        post(&c);
        assert_true(c.reply.untried);
    }
    assert_false(log_holds(c.server, "MAIL"));
    c.turn = NULL;
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(connections_of(c.server), 1);
    assert_int_equal(mails_of(c.server), 1);
    client_close(&c);
}

static bool after_most_of_a_second(void *ctx)
{
    (void)ctx;
    clock_sleep_us(900 * INT64_C(1000));
    return true;
}

static void waiting_for_a_turn_is_no_part_of_a_mails_time(void **state)
{
    (void)state;
    struct client c = client_with((struct script){.body_delay_ms = 500});
    c.settings.reply_timeout_ms = 1000;
    client_open(&c);
    c.turn = after_most_of_a_second;
    assert_int_equal(post(&c), VERDICT_SENT);
    client_close(&c);
}

/* --- replies that nobody asked for ------------------------------------------------------------------ */

static void a_reply_too_many_answers_no_other_mail(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        struct script babbles = {.unasked = "250 2.0.0 Ok: queued as STRAY", .pipelining = pipelining};
        struct client c = client_of(babbles);
        for (int i = 1; i <= 4; i++) {
            char body[64], id[16];
            snprintf(id, sizeof id, "OWN%d", i);
            snprintf(body, sizeof body, "250 2.0.0 Ok: queued as %s", id);
            babbles.body = body;
            server_change(c.server, babbles);
            assert_int_equal(post(&c), VERDICT_SENT);
            assert_string_equal(c.reply.provider_id, id);
            assert_int_equal(mails_of(c.server), i);
            clock_sleep_us(20000); /* the one too many has come */
        }
        client_close(&c);
    }
}

/* What is over is not tried once more: that would need another look at the lease, and a second connection. */
static void the_next_mail_does_not_find_out_that_a_connection_is_spent(void **state)
{
    (void)state;
    static const char *const ends[] = {"250 2.0.0 Ok: queued as A\r\n250 2.0.0 Ok: queued as STRAY",
                                       "421 4.3.2 going down", "999 what?", HANG_UP};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct client c = client_of((struct script){.body = ends[i]});
        c.may_go = never;
        post(&c);
        server_change(c.server, (struct script){0});
        assert_int_equal(post(&c), VERDICT_SENT);
        assert_string_equal(c.reply.provider_id, "4Bx1");
        assert_int_equal(connections_of(c.server), i == 2 ? 1 : 2);
        client_close(&c);
    }
}

/* One of the two answers something else, and nobody can know which. */
static void a_refusal_with_an_acceptance_behind_it_is_ambiguous(void **state)
{
    (void)state;
    assert_verdict(reply_of((struct script){.body = "451 4.3.0 later\r\n250 2.0.0 Ok: queued as 4Bx1"}),
                   VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "550 5.7.1 no\r\n250 2.0.0 Ok: queued as 4Bx1"}),
                   VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "451-4.3.0 later\r\n250 2.0.0 Ok: queued as 4Bx1"}),
                   VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "250-2.0.0 Ok: queued as 4Bx1\r\n451 4.3.0 later"}),
                   VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "554 5.6.0 bad content\r\n221 2.0.0 Bye"}),
                   VERDICT_FAILED);
    assert_verdict(reply_of((struct script){.body = "554 5.6.0 bad content\r\n421 4.7.0 too many errors"}),
                   VERDICT_FAILED);
}

static void an_answer_before_the_mail_accepts_nothing(void **state)
{
    (void)state;
    for (int pipelining = 0; pipelining < 2; pipelining++) {
        struct client c = client_of(
            (struct script){.data = "354 go on\r\n250 2.0.0 Ok: queued as EARLY", .pipelining = pipelining});
        assert_int_not_equal(post(&c), VERDICT_SENT);
        server_change(c.server, (struct script){.pipelining = pipelining});
        assert_int_equal(post(&c), VERDICT_SENT);
        assert_string_equal(c.reply.provider_id, "4Bx1");
        client_close(&c);
    }
}

static void a_reply_of_another_kind_is_no_answer(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.data = "250 2.0.0 Ok"});
    assert_int_equal(post(&c), VERDICT_DEFERRED);
    assert_int_equal(connections_of(c.server), 2); /* once more, but not where it was said */
    client_close(&c);
    assert_verdict(reply_of((struct script){.mail = "354 go on"}), VERDICT_PROVIDER_FAULT);
    assert_verdict(reply_of((struct script){.rcpt = "354 go on", .pipelining = true}), VERDICT_DEFERRED);
    assert_verdict(reply_of((struct script){.body = "354 go on"}), VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "251 2.0.0 Ok"}), VERDICT_AMBIGUOUS);
}

/* --- refusals ------------------------------------------------------------------------------------- */

static void an_unknown_recipient_fails_and_the_next_mail_goes_out(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.rcpt = "550 5.1.1 <anna@there.example>: no such user"});
    post(&c);
    assert_verdict(c.reply, VERDICT_FAILED);
    assert_int_equal(c.reply.code, 550);
    assert_string_equal(c.reply.reason, "550 5.1.1 <[address]>: no such user");
    server_change(c.server, (struct script){0});
    assert_int_equal(post(&c), VERDICT_SENT);
    client_close(&c);
}

static void refusals_at_rcpt(void **state)
{
    (void)state;
    assert_verdict(reply_of((struct script){.rcpt = "450 4.2.0 greylisted"}), VERDICT_DEFERRED);
    assert_verdict(reply_of((struct script){.rcpt = "452 4.2.2 mailbox full"}), VERDICT_DEFERRED);
    assert_verdict(reply_of((struct script){.rcpt = "552 5.2.2 mailbox full"}), VERDICT_DEFERRED);
    assert_verdict(reply_of((struct script){.rcpt = "550-5.1.1 gone\r\n550 5.1.1 for good"}), VERDICT_FAILED);
    assert_verdict(reply_of((struct script){.rcpt = "550 5.7.26 unauthenticated"}), VERDICT_PROVIDER_FAULT);
}

static void throttling_at_mail(void **state)
{
    (void)state;
    struct transport_reply r = reply_of((struct script){.mail = "421 4.7.0 slow down"});
    assert_verdict(r, VERDICT_THROTTLED);
    assert_int_equal(r.code, 421);
}

static void refusals_of_the_mail_itself(void **state)
{
    (void)state;
    assert_verdict(reply_of((struct script){.body = "554 5.6.0 bad content"}), VERDICT_FAILED);
    assert_verdict(reply_of((struct script){.body = "451 4.2.0 later"}), VERDICT_DEFERRED);
    assert_verdict(reply_of(
                       (struct script){.body = "454 Throttling failure: Maximum sending rate exceeded."}),
                   VERDICT_THROTTLED);
    assert_verdict(reply_of((struct script){.body = "421 4.3.2 going down"}), VERDICT_THROTTLED);
}

static void a_refused_mail_keeps_the_connection(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.body = "554 5.6.0 bad content"});
    assert_int_equal(post(&c), VERDICT_FAILED);
    assert_int_equal(post(&c), VERDICT_FAILED);
    assert_int_equal(connections_of(c.server), 1);
    client_close(&c);
}

static void a_relay_that_greets_with_a_refusal_is_at_fault(void **state)
{
    (void)state;
    assert_verdict(reply_of((struct script){.greeting = "554 5.7.1 no service"}), VERDICT_PROVIDER_FAULT);
    assert_verdict(reply_of((struct script){.greeting = "421 4.3.2 too many connections"}),
                   VERDICT_THROTTLED);
}

/* --- authentication ----------------------------------------------------------------------------- */

static void write_password(const char *path, const char *password)
{
    char tmp[100];
    snprintf(tmp, sizeof tmp, "%s.new", path);
    FILE *f = fopen(tmp, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", password);
    fclose(f);
    assert_int_equal(rename(tmp, path), 0);
}

static void a_refused_login_is_the_relays_fault_and_a_new_password_is_taken_up(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/smtp_test.%d.password", (int)getpid());
    write_password(path, "old");
    struct client c = client_with((struct script){.auth = "535 5.7.8 wrong password"});
    c.settings.smtp_user = "me";
    c.settings.smtp_password_file = path;
    client_open(&c);
    post(&c);
    assert_verdict(c.reply, VERDICT_PROVIDER_FAULT);
    assert_int_equal(c.reply.code, 535);
    assert_true(log_holds(c.server, "AUTH PLAIN AG1lAG9sZA==\r\n")); /* \0me\0old */

    write_password(path, "new");
    server_change(c.server, (struct script){.auth = "235 2.7.0 welcome"});
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_true(log_holds(c.server, "AUTH PLAIN AG1lAG5ldw==\r\n")); /* \0me\0new */

    unlink(path);
    post(&c);
    assert_verdict(c.reply, VERDICT_PROVIDER_FAULT);
    client_close(&c);
}

static void tls_that_is_required_is_not_done_without(void **state)
{
    (void)state;
    struct client c = client_with((struct script){0});
    c.settings.smtp_tls = "require";
    client_open(&c);
    post(&c);
    assert_verdict(c.reply, VERDICT_PROVIDER_FAULT);
    assert_false(log_holds(c.server, "MAIL"));
    client_close(&c);
}

/* --- broken connections --------------------------------------------------------------------------- */

static void a_connection_lost_after_the_mail_is_ambiguous(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.body = HANG_UP});
    post(&c);
    assert_verdict(c.reply, VERDICT_AMBIGUOUS);
    assert_int_equal(c.reply.code, 354);
    assert_int_equal(mails_of(c.server), 1);
    client_close(&c);
}

/* libcurl would read the late 250 as the answer to the next mail's MAIL. */
static void a_late_reply_answers_no_other_mail(void **state)
{
    (void)state;
    struct client c = client_with((struct script){.body_delay_ms = 600});
    c.settings.reply_timeout_ms = 300;
    client_open(&c);
    int64_t start = clock_mono_us();
    post(&c);
    assert_verdict(c.reply, VERDICT_AMBIGUOUS);
    assert_in_range(clock_mono_us() - start, 200000, 550000);
    server_change(c.server, (struct script){.body = "250 2.0.0 Ok: queued as SECOND"});
    clock_sleep_us(500000); /* the late 250 has come by now */
    c.may_go = never;       /* nor is the old connection tried again */
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_string_equal(c.reply.provider_id, "SECOND");
    assert_int_equal(connections_of(c.server), 2);
    assert_int_equal(mails_of(c.server), 2);
    client_close(&c);
}

static void a_connection_closed_between_mails_costs_nothing(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.hang_up_after_mail = true});
    for (int i = 0; i < 5; i++)
        assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(mails_of(c.server), 5);
    assert_int_equal(connections_of(c.server), 5);
    client_close(&c);
}

/* The lease may have ended while the first connection broke. */
static void a_second_connection_is_asked_for(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.rcpt = HANG_UP});
    c.may_go = never;
    post(&c);
    assert_true(c.reply.untried);
    assert_int_equal(connections_of(c.server), 1);
    c.may_go = NULL;
    assert_int_equal(post(&c), VERDICT_DEFERRED);
    assert_false(c.reply.untried);
    assert_int_equal(connections_of(c.server), 3);
    client_close(&c);
}

static void the_relays_own_limit_of_mails_costs_nothing(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.mails_per_connection = 4});
    for (int i = 0; i < 12; i++)
        assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(mails_of(c.server), 12);
    assert_int_equal(connections_of(c.server), 3);
    client_close(&c);
}

static void losses_before_the_mail_are_tried_once_more(void **state)
{
    (void)state;
    struct client c = client_of((struct script){.rcpt = HANG_UP});
    post(&c);
    assert_verdict(c.reply, VERDICT_DEFERRED);
    assert_int_equal(connections_of(c.server), 2);
    assert_int_equal(mails_of(c.server), 0);
    client_close(&c);
    assert_verdict(reply_of((struct script){.mail = HANG_UP}), VERDICT_PROVIDER_FAULT);
    assert_verdict(reply_of((struct script){.greeting = HANG_UP}), VERDICT_PROVIDER_FAULT);
}

static void a_relay_that_is_down_is_at_fault(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    server_stop(c.server);
    post(&c);
    assert_verdict(c.reply, VERDICT_PROVIDER_FAULT);
    assert_int_equal(c.reply.code, 0);
    assert_memory_equal(c.reply.reason, "no connection: ", 15);
    transport_smtp.close(c.transport);
}

static void garbage_is_never_taken_for_acceptance(void **state)
{
    (void)state;
    struct client c = client_with((struct script){.greeting = "SSH-2.0-OpenSSH_9.2"});
    c.settings.reply_timeout_ms = 300;
    client_open(&c);
    post(&c);
    assert_verdict(c.reply, VERDICT_PROVIDER_FAULT);
    client_close(&c);
    assert_verdict(reply_of((struct script){.body = "999 what?"}), VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.body = "354 still going on"}), VERDICT_AMBIGUOUS);
    assert_verdict(reply_of((struct script){.data = "250 Ok"}), VERDICT_DEFERRED);
}

static void a_reply_cut_in_half_is_ambiguous(void **state)
{
    (void)state;
    struct client c =
        client_with((struct script){.body = "451-4.3.0 one of two lines", .hang_up_after_mail = true});
    client_open(&c);
    post(&c);
    assert_verdict(c.reply, VERDICT_AMBIGUOUS);
    client_close(&c);
}

/* --- what is checked before the wire --------------------------------------------------------------- */

/* Ten megabytes of a reply are read past, and the next mail has its own. */
static void a_reply_of_10_mb_is_read_past(void **state)
{
    (void)state;
    struct client c = client_with((struct script){.flood_mb = 10, .body = "554 5.6.0 bad content"});
    c.settings.reply_timeout_ms = 30000;
    client_open(&c);
    assert_int_not_equal(post(&c), VERDICT_SENT);
    server_change(c.server, (struct script){0});
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_string_equal(c.reply.provider_id, "4Bx1");
    client_close(&c);
}

/* A byte now and then keeps no connection for longer than a mail may take. */
static void a_reply_byte_by_byte_past_its_time_is_ambiguous(void **state)
{
    (void)state;
    struct client c = client_with((struct script){0});
    c.settings.reply_timeout_ms = 1000;
    client_open(&c);
    assert_int_equal(post(&c), VERDICT_SENT);
    server_change(c.server, (struct script){.body_delay_ms = 600, .byte_ms = 100});
    assert_int_not_equal(post(&c), VERDICT_SENT);
    server_change(c.server, (struct script){0});
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_int_equal(connections_of(c.server), 2);
    client_close(&c);
}

static void an_address_with_a_line_break_never_reaches_the_wire(void **state)
{
    (void)state;
    struct client c = client_of((struct script){0});
    assert_int_equal(post_to(&c, "x@there.example>\r\nRSET\r\n<z@there.example"), VERDICT_FAILED);
    assert_int_equal(post_to(&c, "x@there.example> SIZE=1"), VERDICT_FAILED);
    assert_int_equal(post_to(&c, ""), VERDICT_FAILED);
    assert_int_equal(connections_of(c.server), 0);
    client_close(&c);
}

static void expect_wrong(struct transport_settings s, const char *setting)
{
    struct fp_err err;
    assert_int_equal(transport_smtp.check(&s, &err), -1);
    assert_int_equal(err.code, FP_INVALID_ARGUMENT);
    assert_non_null(strstr(err.msg, setting));
    assert_null(transport_smtp.open(&s, &err));
}

static void wrong_settings_are_named(void **state)
{
    (void)state;
    static const char *const urls[] = {"",
                                       "localhost",
                                       "http://a.example",
                                       "smtp://a.example/path",
                                       "smtp://u:p@a.example:25",
                                       "smtp://a.example:99999",
                                       "smtp://"};
    struct transport_settings s = usual_settings();
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        s.smtp_url = urls[i];
        expect_wrong(s, "smtp-url");
    }
    s.smtp_url = "smtp://a.example:25";
    s.smtp_tls = "maybe";
    expect_wrong(s, "smtp-tls");
    s.smtp_tls = "try";
    s.helo_name = "a\r\nb";
    expect_wrong(s, "helo-name");
    s.helo_name = "a.example";
    s.smtp_user = "me";
    expect_wrong(s, "smtp-password-file");
}

static void transports_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(transport_by_name("smtp"), &transport_smtp);
    assert_ptr_equal(transport_by_name("maildir"), &transport_maildir);
    assert_ptr_equal(transport_by_name("null"), &transport_null);
    assert_null(transport_by_name("pigeon"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_is_sent_and_its_queue_id_kept),
        cmocka_unit_test(lines_that_begin_with_a_dot_arrive_whole),
        cmocka_unit_test(a_mail_without_a_last_line_end_gets_one),
        cmocka_unit_test(a_connection_is_kept),
        cmocka_unit_test(a_connection_carries_no_more_than_its_mails),
        cmocka_unit_test(replies_may_come_byte_by_byte),
        cmocka_unit_test(what_the_server_offers_is_used),
        cmocka_unit_test(a_refused_recipient_keeps_the_connection),
        cmocka_unit_test(a_server_that_waits_for_nobodys_mail_is_left),
        cmocka_unit_test(a_recipient_at_whom_the_server_hangs_up_is_not_the_relays_fault),
        cmocka_unit_test(no_mail_goes_out_when_the_lease_ended_meanwhile),
        cmocka_unit_test(without_a_turn_nothing_is_said_and_the_connection_is_kept),
        cmocka_unit_test(waiting_for_a_turn_is_no_part_of_a_mails_time),
        cmocka_unit_test(a_reply_too_many_answers_no_other_mail),
        cmocka_unit_test(a_refusal_with_an_acceptance_behind_it_is_ambiguous),
        cmocka_unit_test(the_next_mail_does_not_find_out_that_a_connection_is_spent),
        cmocka_unit_test(an_answer_before_the_mail_accepts_nothing),
        cmocka_unit_test(a_reply_of_another_kind_is_no_answer),
        cmocka_unit_test(an_unknown_recipient_fails_and_the_next_mail_goes_out),
        cmocka_unit_test(refusals_at_rcpt),
        cmocka_unit_test(throttling_at_mail),
        cmocka_unit_test(refusals_of_the_mail_itself),
        cmocka_unit_test(a_refused_mail_keeps_the_connection),
        cmocka_unit_test(a_relay_that_greets_with_a_refusal_is_at_fault),
        cmocka_unit_test(a_refused_login_is_the_relays_fault_and_a_new_password_is_taken_up),
        cmocka_unit_test(tls_that_is_required_is_not_done_without),
        cmocka_unit_test(a_connection_lost_after_the_mail_is_ambiguous),
        cmocka_unit_test(a_late_reply_answers_no_other_mail),
        cmocka_unit_test(a_connection_closed_between_mails_costs_nothing),
        cmocka_unit_test(a_second_connection_is_asked_for),
        cmocka_unit_test(the_relays_own_limit_of_mails_costs_nothing),
        cmocka_unit_test(losses_before_the_mail_are_tried_once_more),
        cmocka_unit_test(a_relay_that_is_down_is_at_fault),
        cmocka_unit_test(garbage_is_never_taken_for_acceptance),
        cmocka_unit_test(a_reply_cut_in_half_is_ambiguous),
        cmocka_unit_test(a_reply_of_10_mb_is_read_past),
        cmocka_unit_test(a_reply_byte_by_byte_past_its_time_is_ambiguous),
        cmocka_unit_test(an_address_with_a_line_break_never_reaches_the_wire),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(transports_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
