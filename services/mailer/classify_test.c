/* The table of replies, row by row: what each means at which stage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/text.h"
#include "services/mailer/classify.h"

static struct transport_reply refuse(enum send_stage stage, const char *line)
{
    struct smtp_end e = {.stage = stage,
                         .result = stage == SMTP_BODY ? CURLE_WEIRD_SERVER_REPLY : CURLE_SEND_ERROR};
    struct transport_reply reply;
    snprintf(e.refusal, sizeof e.refusal, "%s", line);
    classify_smtp(&e, &reply);
    return reply;
}

static struct transport_reply break_at(enum send_stage stage, CURLcode result, const char *trouble)
{
    struct smtp_end e = {.stage = stage, .result = result};
    struct transport_reply reply;
    snprintf(e.trouble, sizeof e.trouble, "%s", trouble);
    classify_smtp(&e, &reply);
    return reply;
}

static const struct {
    enum send_stage stage;
    const char *line;
    enum verdict verdict;
} refusals[] = {
    /* throttling, anywhere */
    {SMTP_CONNECT, "421 4.3.2 too many connections", VERDICT_THROTTLED},
    {SMTP_MAIL, "421 4.7.0 try again later", VERDICT_THROTTLED},
    {SMTP_RCPT, "421 4.7.28 unusual rate", VERDICT_THROTTLED},
    {SMTP_BODY, "421 closing", VERDICT_THROTTLED},
    {SMTP_BODY, "454 Throttling failure: Daily message quota exceeded", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "450 4.7.28 rate limited", VERDICT_THROTTLED},
    {SMTP_BODY, "550 5.7.28 unusual rate of mail", VERDICT_THROTTLED},
    {SMTP_MAIL, "451 try again", VERDICT_THROTTLED},
    /* the relay and our settings */
    {SMTP_CONNECT, "554 no service", VERDICT_PROVIDER_FAULT},
    {SMTP_CONNECT, "454 4.7.0 TLS not available", VERDICT_PROVIDER_FAULT},
    {SMTP_AUTH, "535 5.7.8 wrong password", VERDICT_PROVIDER_FAULT},
    {SMTP_AUTH, "454 4.7.0 temporary authentication failure", VERDICT_PROVIDER_FAULT},
    {SMTP_MAIL, "530 5.7.0 authentication required", VERDICT_PROVIDER_FAULT},
    {SMTP_MAIL, "530 must issue STARTTLS first", VERDICT_PROVIDER_FAULT},
    {SMTP_MAIL, "452 4.3.1 insufficient storage", VERDICT_PROVIDER_FAULT},
    {SMTP_MAIL, "553 5.1.8 sender domain unknown", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "503 5.5.1 need MAIL", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "452 4.3.1 disk full", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "452 4.3.1 disk full", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "451 4.3.0 lookup failure", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "451 4.3.5 configuration error", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "454 4.7.1 relay access denied", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "454 too fast", VERDICT_THROTTLED},
    /* sender policy */
    {SMTP_MAIL, "550 5.7.1 sender refused", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "554 5.7.1 relay access denied", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "450 4.7.26 not authenticated", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "550-5.7.26 unauthenticated mail", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "421 4.7.30 DKIM", VERDICT_THROTTLED},
    {SMTP_BODY, "451 4.7.40 no DMARC policy", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "550 5.7.515 Access denied", VERDICT_PROVIDER_FAULT},
    {SMTP_RCPT, "451 4.1.8 sender domain not found", VERDICT_PROVIDER_FAULT},
    /* this user, for now */
    {SMTP_RCPT, "450 4.2.1 receiving too fast", VERDICT_DEFERRED},
    {SMTP_RCPT, "451 4.7.1 greylisted", VERDICT_DEFERRED},
    {SMTP_RCPT, "450 later", VERDICT_DEFERRED},
    {SMTP_RCPT, "452 4.2.2 over quota", VERDICT_DEFERRED},
    {SMTP_RCPT, "552 5.2.2 over quota", VERDICT_DEFERRED},
    {SMTP_RCPT, "550 5.2.2 over quota", VERDICT_DEFERRED},
    {SMTP_RCPT, "552 over quota", VERDICT_DEFERRED},
    {SMTP_BODY, "552 over quota", VERDICT_DEFERRED},
    {SMTP_DATA, "451 4.3.0 later", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "451 4.3.0 later", VERDICT_PROVIDER_FAULT},
    {SMTP_DATA, "451 later", VERDICT_DEFERRED},
    /* this user, for good */
    {SMTP_RCPT, "550 5.1.1 no such user", VERDICT_FAILED},
    {SMTP_RCPT, "550 5.1.10 null MX", VERDICT_FAILED},
    {SMTP_RCPT, "550 5.2.1 mailbox disabled", VERDICT_FAILED},
    {SMTP_RCPT, "550 no such user", VERDICT_FAILED},
    {SMTP_RCPT, "550 5.7.17 mailbox has a new owner", VERDICT_FAILED},
    {SMTP_RCPT, "501 5.1.3 bad address", VERDICT_FAILED},
    {SMTP_DATA, "554 no valid recipients", VERDICT_FAILED},
    {SMTP_BODY, "552 5.3.4 too large", VERDICT_FAILED},
    {SMTP_MAIL, "552 5.3.4 too large", VERDICT_FAILED},
    {SMTP_MAIL, "552 too large", VERDICT_FAILED},
    {SMTP_BODY, "552 5.2.3 too large for the mailbox", VERDICT_FAILED},
    {SMTP_BODY, "554 5.6.0 refused", VERDICT_FAILED},
    /* the class of the code wins over that of the status */
    {SMTP_RCPT, "450 5.1.1 no such user", VERDICT_DEFERRED},
    {SMTP_RCPT, "550 4.7.28 later", VERDICT_FAILED},
    /* statuses that are none */
    {SMTP_RCPT, "550 5.7 half a status", VERDICT_FAILED},
    {SMTP_RCPT, "550 5.7.1x not one", VERDICT_FAILED},
    {SMTP_RCPT, "550 5.7.1234 not one", VERDICT_FAILED},
    {SMTP_RCPT, "550", VERDICT_FAILED},
    /* no class at all */
    {SMTP_BODY, "354 once more", VERDICT_AMBIGUOUS},
    {SMTP_BODY, "999 what", VERDICT_AMBIGUOUS},
    {SMTP_RCPT, "999 what", VERDICT_PROVIDER_FAULT},
    {SMTP_BODY, "1", VERDICT_AMBIGUOUS},
};

static void replies_mean_what_the_notes_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct transport_reply r = refuse(refusals[i].stage, refusals[i].line);
        if (r.verdict != refusals[i].verdict)
            fail_msg("stage %d, \"%s\": verdict %d, expected %d", refusals[i].stage, refusals[i].line,
                     r.verdict, refusals[i].verdict);
    }
}

/* Only who names the mailbox shows that the provider itself is well. */
static void a_refusal_without_the_mailbox_named_is_vague(void **state)
{
    (void)state;
    static const struct {
        enum send_stage stage;
        const char *line;
        bool vague;
    } rows[] = {
        {SMTP_RCPT, "550 5.1.1 no such user", false},
        {SMTP_BODY, "550 5.1.1 no such user", false},
        {SMTP_RCPT, "553 5.1.3 bad address", false},
        {SMTP_RCPT, "551 5.1.6 moved", false},
        {SMTP_RCPT, "550 5.2.1 disabled", false},
        {SMTP_RCPT, "450 4.2.0 greylisted", false},
        {SMTP_RCPT, "452 4.2.2 over quota", false},
        {SMTP_RCPT, "550 5.7.17 mailbox has a new owner", false},
        {SMTP_RCPT, "550 Relaying denied", true},
        {SMTP_RCPT, "550 Invalid HELO name", true},
        {SMTP_RCPT, "450 4.7.1 Client host rejected", true},
        {SMTP_RCPT, "450 4.1.2 Domain not found", true},
        {SMTP_RCPT, "450 5.1.1 no such user", true},
        {SMTP_BODY, "554 5.6.0 refused", true},
        {SMTP_DATA, "554 no valid recipients", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_reply r = refuse(rows[i].stage, rows[i].line);
        if (r.vague != rows[i].vague || !r.at_recipient)
            fail_msg("stage %d, \"%s\": vague %d", rows[i].stage, rows[i].line, r.vague);
    }
    assert_true(break_at(SMTP_RCPT, CURLE_RECV_ERROR, "").vague);
    assert_true(break_at(SMTP_DATA, CURLE_OPERATION_TIMEDOUT, "").vague);
    assert_false(break_at(SMTP_MAIL, CURLE_RECV_ERROR, "").at_recipient);
}

/* Key, quota, standing: whose mail meets that alone has no part in it. */
static void what_is_about_our_account_is_said(void **state)
{
    (void)state;
    static const struct {
        enum send_stage stage;
        const char *line;
        bool account;
    } smtp[] = {
        {SMTP_BODY, "454 Throttling failure: Daily message quota exceeded", true},
        {SMTP_RCPT, "530 5.7.0 authentication required", true},
        {SMTP_AUTH, "535 5.7.8 wrong password", true},
        {SMTP_RCPT, "554 5.7.1 relay access denied", false},
        {SMTP_BODY, "550 5.7.26 unauthenticated", false},
        {SMTP_RCPT, "550 5.1.1 no such user", false},
    };
    for (size_t i = 0; i < sizeof smtp / sizeof smtp[0]; i++)
        if (refuse(smtp[i].stage, smtp[i].line).account != smtp[i].account)
            fail_msg("%s", smtp[i].line);
    static const struct {
        int status;
        const char *words;
        bool account;
    } http[] = {
        {401, "authorization required", true},
        {401, "Maximum credits exceeded", true},
        {403, "", true},
        {403, "SignatureDoesNotMatch: x", true},
        {403, "from: The from address does not match a verified Sender Identity.", false},
        {429, "TooManyRequestsException: Daily message quota exceeded.", true},
        {400, "AccountSuspendedException: ", true},
        {404, "NotFoundException: Configuration set", true},
        {400, "MessageRejected: Email address is not verified.", false},
        {400, "BadRequestException: Illegal address", false},
        {429, "too many requests", false},
    };
    for (size_t i = 0; i < sizeof http / sizeof http[0]; i++) {
        struct http_end e = {.stage = HTTP_REPLY, .result = CURLE_OK, .status = http[i].status};
        struct transport_reply r;
        snprintf(e.words, sizeof e.words, "%s", http[i].words);
        classify_http(&e, &r);
        if (r.account != http[i].account || (r.account && r.verdict != VERDICT_PROVIDER_FAULT))
            fail_msg("%d %s: account %d, verdict %d", e.status, e.words, r.account, r.verdict);
    }
}

static void a_broken_connection_is_ambiguous_only_after_354(void **state)
{
    (void)state;
    static const CURLcode codes[] = {CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_OPERATION_TIMEDOUT,
                                     CURLE_GOT_NOTHING, CURLE_WEIRD_SERVER_REPLY};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        assert_int_equal(break_at(SMTP_CONNECT, codes[i], "").verdict, VERDICT_PROVIDER_FAULT);
        assert_int_equal(break_at(SMTP_AUTH, codes[i], "").verdict, VERDICT_PROVIDER_FAULT);
        assert_int_equal(break_at(SMTP_MAIL, codes[i], "").verdict, VERDICT_PROVIDER_FAULT);
        assert_int_equal(break_at(SMTP_RCPT, codes[i], "").verdict, VERDICT_DEFERRED);
        assert_int_equal(break_at(SMTP_DATA, codes[i], "").verdict, VERDICT_DEFERRED);
        assert_int_equal(break_at(SMTP_BODY, codes[i], "").verdict, VERDICT_AMBIGUOUS);
    }
}

static void only_curle_ok_is_sent(void **state)
{
    (void)state;
    struct transport_reply reply;
    struct smtp_end e = {.stage = SMTP_BODY,
                         .result = CURLE_RECV_ERROR,
                         .acceptance = "250 2.0.0 Ok: queued as X"};
    classify_smtp(&e, &reply);
    assert_int_equal(reply.verdict, VERDICT_AMBIGUOUS);
    e.result = CURLE_OK;
    classify_smtp(&e, &reply);
    assert_int_equal(reply.verdict, VERDICT_SENT);
}

/* A refusal after 354 that breaks off may have gone on otherwise. */
static void half_a_refusal_of_the_mail_is_ambiguous(void **state)
{
    (void)state;
    struct transport_reply reply;
    struct smtp_end e = {.stage = SMTP_BODY, .result = CURLE_RECV_ERROR, .refusal = "451-4.3.0 one of two"};
    classify_smtp(&e, &reply);
    assert_int_equal(reply.verdict, VERDICT_AMBIGUOUS);
}

static void the_providers_name_for_a_mail_is_found(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"250 2.0.0 Ok: queued as 4Bx1Yz", "4Bx1Yz"},
        {"250 Ok 0102018f-2b", "0102018f-2b"},
        {"250 OK: 17", "17"},
        {"250 2.6.0 <a@b.example> Queued mail for delivery", "<[address]> Queued mail for delivery"},
        {"250", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct transport_reply reply;
        struct smtp_end e = {.stage = SMTP_BODY, .result = CURLE_OK};
        snprintf(e.acceptance, sizeof e.acceptance, "%s", lines[i][0]);
        classify_smtp(&e, &reply);
        assert_string_equal(reply.provider_id, lines[i][1]);
    }
}

static void reasons_carry_no_addresses_and_no_control_characters(void **state)
{
    (void)state;
    assert_string_equal(refuse(SMTP_RCPT, "550 5.1.1 <a.b+c@there.example>: unknown; to=x@y").reason,
                        "550 5.1.1 <[address]>: unknown; [address]");
    assert_string_equal(refuse(SMTP_RCPT, "550 5.1.1 \x1b[31mred\ttab\x7f").reason, "550 5.1.1  [31mred tab");
    assert_string_equal(break_at(SMTP_BODY, CURLE_RECV_ERROR, "").reason,
                        "no answer to the mail: Failure when receiving data from the peer");
    assert_string_equal(break_at(SMTP_CONNECT, CURLE_COULDNT_CONNECT, "to a@b failed").reason,
                        "no connection: to [address] failed");
}

/* What names a person without an "@": the local part, and what is quoted. */
static void reasons_carry_no_local_parts(void **state)
{
    (void)state;
    static const struct {
        const char *recipient, *line, *clean;
    } rows[] = {
        {"john.doe@x.example", "550 5.1.1 user John.Doe not here", "550 5.1.1 user [address] not here"},
        {"john.doe@x.example", "550 5.1.1 john.doe: unknown", "550 5.1.1 [address]: unknown"},
        {"jd+news@x.example", "550 5.1.1 no jd+news, no JD", "550 5.1.1 no [address], no [address]"},
        {"jo@x.example", "550 5.1.1 jo is no job", "550 5.1.1 [address] is no job"},
        {"x@x.example", "550 5.1.1 \"john doe\" can't be found", "550 5.1.1 [quoted] can't be found"},
        {"x@x.example", "550 5.1.1 'john doe' isn't here", "550 5.1.1 [quoted] isn't here"},
        {"@", "550 5.1.1 gone", "550 5.1.1 gone"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_reply reply;
        struct smtp_end e = {.stage = SMTP_RCPT, .result = CURLE_SEND_ERROR, .recipient = rows[i].recipient};
        snprintf(e.refusal, sizeof e.refusal, "%s", rows[i].line);
        classify_smtp(&e, &reply);
        assert_string_equal(reply.reason, rows[i].clean);
    }
}

/* Whatever length and bytes: the reason is short, clean UTF-8. */
static void hostile_replies_stay_in_bounds(void **state)
{
    (void)state;
    char line[512];
    for (int seed = 1; seed < 2000; seed++) {
        unsigned x = (unsigned)seed * 2654435761u;
        size_t n = (size_t)snprintf(line, sizeof line, "550 5.%d.1 ", seed % 10);
        size_t end = n + x % (sizeof line - n - 1);
        for (; n < end; n++) {
            x = x * 1664525u + 1013904223u;
            char c = (char)(x >> 24);
            line[n] = c == 0 ? '@' : seed % 3 ? c : (char)(c & 1 ? '@' : 0xc3);
        }
        line[n] = 0;
        struct transport_reply r = refuse(SMTP_RCPT, line);
        assert_true(strlen(r.reason) < sizeof r.reason);
        assert_true(text_is_clean(r.reason));
        assert_null(strchr(r.reason, '@'));
    }
}

/* Who has no mailbox there is not mailed again; who may have one is. */
static void only_a_mailbox_that_is_not_there_is_suppressed(void **state)
{
    (void)state;
    static const struct {
        enum send_stage stage;
        const char *line;
        bool suppress;
    } rows[] = {
        {SMTP_RCPT, "550 5.1.1 no such user", true},
        {SMTP_BODY, "550 5.1.1 no such user", true},
        {SMTP_RCPT, "553 5.1.3 no address", true},
        {SMTP_RCPT, "551 5.1.6 moved", true},
        {SMTP_RCPT, "556 5.1.10 null MX", true},
        {SMTP_RCPT, "550 5.2.1 disabled", true},
        {SMTP_RCPT, "550 5.7.17 mailbox has a new owner", true},
        {SMTP_RCPT, "550 5.1.2 no such domain", false},
        {SMTP_RCPT, "550 5.1.0 unknown", false},
        {SMTP_RCPT, "550 no such user", false},
        {SMTP_RCPT, "450 4.1.1 no such user", false},
        {SMTP_RCPT, "450 5.1.1 no such user", false},
        {SMTP_RCPT, "552 5.2.2 over quota", false},
        {SMTP_BODY, "554 5.6.0 refused", false},
        {SMTP_BODY, "550 5.7.26 unauthenticated", false},
        {SMTP_MAIL, "550 5.1.1 the sender", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_reply r = refuse(rows[i].stage, rows[i].line);
        if (r.suppress != rows[i].suppress || (r.suppress && r.verdict != VERDICT_FAILED))
            fail_msg("stage %d, \"%s\": suppress %d, verdict %d", rows[i].stage, rows[i].line, r.suppress,
                     r.verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_mean_what_the_notes_say),
        cmocka_unit_test(a_refusal_without_the_mailbox_named_is_vague),
        cmocka_unit_test(only_a_mailbox_that_is_not_there_is_suppressed),
        cmocka_unit_test(what_is_about_our_account_is_said),
        cmocka_unit_test(a_broken_connection_is_ambiguous_only_after_354),
        cmocka_unit_test(only_curle_ok_is_sent),
        cmocka_unit_test(half_a_refusal_of_the_mail_is_ambiguous),
        cmocka_unit_test(the_providers_name_for_a_mail_is_found),
        cmocka_unit_test(reasons_carry_no_addresses_and_no_control_characters),
        cmocka_unit_test(reasons_carry_no_local_parts),
        cmocka_unit_test(hostile_replies_stay_in_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
