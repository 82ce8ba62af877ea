/*
 * The transports ses and sendgrid against a server that misbehaves on cue:
 * each test says what the server answers, and looks at the verdict, at the
 * connections and at what the server was sent. Signatures are checked by
 * another implementation in tests/scenarios/test_providers.py.
 */
#include "services/mailer/http_script.h"

#include <jansson.h>

#include "services/mailer/transports.h"

static const char credentials[] = "# rotated\n[default]\naws_access_key_id = AKIAKEY\n"
                                  "aws_secret_access_key=s/ecret+1\naws_session_token = tok/en==\n"
                                  "[other]\naws_access_key_id = NOT\n";
static const char mime[] =
    "From: =?UTF-8?B?RsO2bGlv?= <reports@here.example>\r\n"
    "Reply-To: help@here.example\r\n"
    "To: \"King, Jr.; Anna\" <anna@there.example>\r\n"
    "Subject: =?UTF-8?B?w4RubmE=?=\r\n"
    "Message-ID: <1.2.x@here.example>\r\n"
    "List-Unsubscribe: <https://u.here.example/u/1.2>,\r\n <mailto:u@here.example>\r\n"
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n"
    "--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A4 text\r\n"
    "--=_b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>html</p>\r\n--=_b--\r\n";

/* --- a client ------------------------------------------------------------------------------- */

struct client {
    const struct transport_ops *ops;
    struct server *server;
    struct transport *transport;
    struct transport_settings settings;
    struct transport_reply reply;
    char key_file[64], url[64];
    bool (*may_go)(void *ctx), (*turn)(void *ctx), (*lease_holds)(void *ctx);
};

static void write_key(struct client *c, const char *text)
{
    char tmp[100];
    snprintf(tmp, sizeof tmp, "%s.new", c->key_file);
    FILE *f = fopen(tmp, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(tmp, c->key_file), 0);
}

static void client_open(struct client *c)
{
    struct fp_err err;
    c->transport = c->ops->open(&c->settings, &err);
    if (!c->transport)
        fail_msg("%s", err.msg);
}

static void client_prepare(struct client *c, const struct transport_ops *ops, struct script script)
{
    static int n;
    memset(c, 0, sizeof *c);
    c->ops = ops;
    c->server = server_start(script);
    snprintf(c->key_file, sizeof c->key_file, "/tmp/foliopost-key-%d-%d", (int)getpid(), n++);
    snprintf(c->url, sizeof c->url, "http://127.0.0.1:%d", c->server->port);
    write_key(c, ops == &transport_ses ? credentials : "SG.key\n");
    c->settings = (struct transport_settings){.api_url = c->url,
                                              .api_key_file = c->key_file,
                                              .api_ca_file = "",
                                              .ses_region = "eu-west-1",
                                              .ses_configuration_set = "reports",
                                              .connect_timeout_ms = 2000,
                                              .reply_timeout_ms = 1000,
                                              .mails_per_connection = 100};
}

static void client_close(struct client *c)
{
    c->ops->close(c->transport);
    server_stop(c->server);
    unlink(c->key_file);
}

static enum verdict post(struct client *c)
{
    const struct transport_mail mail = {.sender = "bounces@here.example",
                                        .recipient = "anna@there.example",
                                        .data = mime,
                                        .bytes = sizeof mime - 1,
                                        .job_id = 1,
                                        .user_id = 2,
                                        .token = "atoken",
                                        .may_go = c->may_go,
                                        .turn = c->turn,
                                        .lease_holds = c->lease_holds};
    c->ops->send(c->transport, &mail, &c->reply);
    return c->reply.verdict;
}

/* One mail to a server with this script. */
static struct transport_reply reply_of(const struct transport_ops *ops, struct script script)
{
    struct client c;
    client_prepare(&c, ops, script);
    client_open(&c);
    post(&c);
    client_close(&c);
    return c.reply;
}

static const struct script ses_good = {.status = 200, .body = "{\"MessageId\":\"0102-ab\"}"};
static const struct script sendgrid_good = {.status = 202, .headers = "X-Message-Id: sg1\r\n"};

static const struct script *good(const struct transport_ops *ops)
{
    return ops == &transport_ses ? &ses_good : &sendgrid_good;
}

static const struct transport_ops *const both[] = {&transport_ses, &transport_sendgrid};

static bool last_holds(struct server *s, const char *text)
{
    pthread_mutex_lock(&s->lock);
    bool holds = strstr(s->last.data, text) != NULL;
    pthread_mutex_unlock(&s->lock);
    return holds;
}

static json_t *last_body(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    const char *body = strstr(s->last.data, "\r\n\r\n");
    json_t *json = json_loads(body ? body + 4 : "", 0, NULL);
    pthread_mutex_unlock(&s->lock);
    assert_non_null(json);
    return json;
}

/* --- the good way ------------------------------------------------------------------------------ */

static void a_mail_is_sent_and_its_id_kept(void **state)
{
    (void)state;
    struct transport_reply r = reply_of(&transport_ses, ses_good);
    assert_int_equal(r.verdict, VERDICT_SENT);
    assert_string_equal(r.provider_id, "0102-ab");
    r = reply_of(&transport_sendgrid, sendgrid_good);
    assert_int_equal(r.verdict, VERDICT_SENT);
    assert_string_equal(r.provider_id, "sg1");
}

static void a_connection_is_kept_for_its_mails_and_no_longer(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        client_prepare(&c, both[i], *good(both[i]));
        c.settings.mails_per_connection = 4;
        client_open(&c);
        for (int n = 0; n < 10; n++)
            assert_int_equal(post(&c), VERDICT_SENT);
        assert_int_equal(connections_of(c.server), 3);
        client_close(&c);
    }
}

static void ses_is_told_the_raw_mail_and_whose_it_is(void **state)
{
    (void)state;
    struct client c;
    const char *to, *set, *data, *tag_name, *tag_value;
    client_prepare(&c, &transport_ses, ses_good);
    client_open(&c);
    post(&c);
    assert_true(last_holds(c.server, "POST /v2/email/outbound-emails HTTP/1.1\r\n"));
    assert_true(last_holds(c.server, "AWS4-HMAC-SHA256 Credential=AKIAKEY/"));
    assert_true(last_holds(c.server, "/eu-west-1/ses/aws4_request"));
    assert_true(last_holds(c.server, "X-Amz-Security-Token: tok/en==\r\n"));
    assert_false(last_holds(c.server, "s/ecret+1"));
    json_t *body = last_body(c.server);
    const char *token;
    assert_int_equal(json_unpack(body, "{s:{s:[s]}, s:s, s:{s:{s:s}}, s:[o, {s:s, s:s}, {s:s}]}",
                                 "Destination", "ToAddresses", &to, "ConfigurationSetName", &set, "Content",
                                 "Raw", "Data", &data, "EmailTags", &(json_t *){NULL}, "Name", &tag_name,
                                 "Value", &tag_value, "Value", &token),
                     0);
    assert_string_equal(token, "atoken");
    assert_string_equal(to, "anna@there.example");
    assert_string_equal(set, "reports");
    assert_string_equal(tag_name, "foliopost-user");
    assert_string_equal(tag_value, "2");
    assert_memory_equal(data, "RnJvbTogPT9VVEYtOD9C", 20); /* From: =?UTF-8?B */
    json_decref(body);
    client_close(&c);
}

static void sendgrid_is_told_the_pieces(void **state)
{
    (void)state;
    struct client c;
    client_prepare(&c, &transport_sendgrid, sendgrid_good);
    client_open(&c);
    post(&c);
    assert_true(last_holds(c.server, "POST /v3/mail/send HTTP/1.1\r\n"));
    assert_true(last_holds(c.server, "Authorization: Bearer SG.key\r\n"));
    json_t *body = last_body(c.server);
    const char *to, *to_name, *user, *token, *name, *from, *reply_to, *subject, *text, *html, *unsubscribe,
        *id;
    assert_int_equal(
        json_unpack(
            body,
            "{s:[{s:[{s:s, s:s}], s:{s:s, s:s}}], s:{s:s, s:s}, s:{s:s}, s:s, s:[{s:s}, {s:s}], s:{s:s, s:s}}",
            "personalizations", "to", "email", &to, "name", &to_name, "custom_args", "foliopost_user", &user,
            "foliopost_token", &token, "from", "name", &name, "email", &from, "reply_to", "email", &reply_to,
            "subject", &subject, "content", "value", &text, "value", &html, "headers", "List-Unsubscribe",
            &unsubscribe, "Message-ID", &id),
        0);
    assert_string_equal(to, "anna@there.example");
    assert_string_equal(to_name, "King Jr. Anna"); /* it would refuse the mail for the others */
    assert_string_equal(user, "2");
    assert_string_equal(token, "atoken");
    assert_string_equal(name, "F\xc3\xb6lio");
    assert_string_equal(from, "reports@here.example");
    assert_string_equal(reply_to, "help@here.example");
    assert_string_equal(subject, "\xc3\x84nna");
    assert_string_equal(text, "\xc3\xa4 text");
    assert_string_equal(html, "<p>html</p>");
    assert_string_equal(unsubscribe, "<https://u.here.example/u/1.2>, <mailto:u@here.example>");
    assert_string_equal(id, "<1.2.x@here.example>");
    assert_null(json_object_get(json_object_get(body, "headers"), "Subject"));
    assert_null(json_object_get(json_object_get(body, "headers"), "Content-Type"));
    json_decref(body);
    client_close(&c);
}

static void a_sender_that_sendgrid_would_refuse_is_found_at_start(void **state)
{
    struct fp_err err;
    (void)state;
    assert_int_equal(transport_sendgrid.check_sender("Acme Inc. <a@acme.example>", "", &err), 0);
    assert_int_equal(transport_sendgrid.check_sender("\"Acme, Inc.\" <a@acme.example>", "", &err), -1);
    assert_non_null(strstr(err.msg, "from: "));
    assert_int_equal(transport_sendgrid.check_sender("a@acme.example", "A; B <a@acme.example>", &err), -1);
    assert_non_null(strstr(err.msg, "reply-to: "));
}

static void a_new_key_is_taken_up(void **state)
{
    (void)state;
    struct client c;
    client_prepare(&c, &transport_sendgrid, sendgrid_good);
    client_open(&c);
    post(&c);
    write_key(&c, "SG.other\n");
    post(&c);
    assert_true(last_holds(c.server, "Authorization: Bearer SG.other\r\n"));
    client_close(&c);

    client_prepare(&c, &transport_ses, ses_good);
    client_open(&c);
    write_key(&c, "nothing of use\n");
    assert_int_equal(post(&c), VERDICT_PROVIDER_FAULT);
    assert_non_null(strstr(c.reply.reason, "no lines aws_access_key_id"));
    write_key(&c, "aws_access_key_id=NEWKEY\naws_secret_access_key=x\n");
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_true(last_holds(c.server, "Credential=NEWKEY/"));
    assert_false(last_holds(c.server, "X-Amz-Security-Token"));
    client_close(&c);
}

/* --- every row ----------------------------------------------------------------------------------- */

struct row {
    int status;
    const char *headers, *body;
    enum verdict verdict;
};

static void check_rows(const struct transport_ops *ops, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct transport_reply r = reply_of(ops, (struct script){.status = rows[i].status,
                                                                 .headers = rows[i].headers,
                                                                 .body = rows[i].body});
        if (r.verdict != rows[i].verdict)
            fail_msg("%s, %d %s %s: verdict %d (%s), expected %d", ops->name, rows[i].status,
                     rows[i].headers ? rows[i].headers : "", rows[i].body, r.verdict, r.reason,
                     rows[i].verdict);
        assert_int_equal(r.code, rows[i].status);
        assert_false(r.suppress);
    }
}

#define TYPE(name) "x-amzn-ErrorType: " name "\r\n"

static void replies_of_ses_mean_what_the_table_says(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {200, NULL, "{}", VERDICT_AMBIGUOUS},
        {200, NULL, "<html>", VERDICT_AMBIGUOUS},
        {204, NULL, "", VERDICT_AMBIGUOUS},
        {302, "Location: https://elsewhere/\r\n", "", VERDICT_PROVIDER_FAULT},
        {400, TYPE("MessageRejected"), "{\"message\":\"Email address is not verified.\"}",
         VERDICT_PROVIDER_FAULT},
        {400, TYPE("MessageRejected"), "{\"message\":\"virus\"}", VERDICT_FAILED},
        {400, TYPE("BadRequestException"), "{\"message\":\"Illegal address\"}", VERDICT_FAILED},
        {400, TYPE("MailFromDomainNotVerifiedException"), "{}", VERDICT_PROVIDER_FAULT},
        {400, TYPE("AccountSuspendedException"), "{}", VERDICT_PROVIDER_FAULT},
        {400, TYPE("SendingPausedException"), "{}", VERDICT_PROVIDER_FAULT},
        {400, TYPE("LimitExceededException"), "{}", VERDICT_PROVIDER_FAULT},
        {400, NULL, "{\"__type\":\"ThrottlingException\"}", VERDICT_THROTTLED},
        {400, TYPE("IncompleteSignature"), "{}", VERDICT_PROVIDER_FAULT},
        {403, TYPE("SignatureDoesNotMatch"), "{}", VERDICT_PROVIDER_FAULT},
        {403, TYPE("ExpiredTokenException"), "{}", VERDICT_PROVIDER_FAULT},
        {404, TYPE("NotFoundException"), "{}", VERDICT_PROVIDER_FAULT},
        {413, NULL, "", VERDICT_FAILED},
        {429, TYPE("TooManyRequestsException"), "{\"message\":\"Maximum sending rate exceeded.\"}",
         VERDICT_THROTTLED},
        {429, TYPE("TooManyRequestsException"), "{\"message\":\"Daily message quota exceeded.\"}",
         VERDICT_PROVIDER_FAULT},
        {500, TYPE("InternalFailure"), "{}", VERDICT_AMBIGUOUS},
        {502, NULL, "", VERDICT_AMBIGUOUS},
        {503, NULL, "", VERDICT_AMBIGUOUS},
        {503, NULL, "<html>503 Service Temporarily Unavailable: Throttling</html>", VERDICT_AMBIGUOUS},
        {503, NULL, "{\"message\":\"Service Unavailable\"}", VERDICT_AMBIGUOUS},
        {503, NULL, "{\"message\":\"Throttling, maybe\"}", VERDICT_AMBIGUOUS},
        {503, TYPE("ServiceUnavailable"), "{\"message\":\"try later\"}", VERDICT_AMBIGUOUS},
        {503, TYPE("ThrottlingException"), "{\"message\":\"Rate exceeded\"}", VERDICT_THROTTLED},
        {503, TYPE("Throttling"), "{\"message\":\"Rate exceeded\"}", VERDICT_THROTTLED},
        {503, NULL, "{\"__type\":\"com.amazonaws.sesv2#TooManyRequestsException\"}", VERDICT_THROTTLED},
        {504, NULL, "", VERDICT_AMBIGUOUS},
        {599, NULL, "", VERDICT_AMBIGUOUS},
    };
    check_rows(&transport_ses, rows, sizeof rows / sizeof rows[0]);
}

static void replies_of_sendgrid_mean_what_the_table_says(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {200, NULL, "", VERDICT_AMBIGUOUS},
        {400, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":\"personalizations.0.to.0.email\"}]}",
         VERDICT_FAILED},
        {400, NULL, "{\"errors\":[{\"message\":\"no\",\"field\":null}]}", VERDICT_FAILED},
        {400, NULL, "[[[[", VERDICT_FAILED},
        {401, NULL, "{\"errors\":[{\"message\":\"authorization required\"}]}", VERDICT_PROVIDER_FAULT},
        {401, NULL, "{\"errors\":[{\"message\":\"Maximum credits exceeded\"}]}", VERDICT_PROVIDER_FAULT},
        {403, NULL, "", VERDICT_PROVIDER_FAULT},
        {405, NULL, "", VERDICT_PROVIDER_FAULT},
        {413, NULL, "", VERDICT_FAILED},
        {422, NULL, "", VERDICT_FAILED},
        {429, NULL, "{\"errors\":[{\"message\":\"too many requests\"}]}", VERDICT_THROTTLED},
        {500, NULL, "", VERDICT_AMBIGUOUS},
        {503, NULL, "", VERDICT_AMBIGUOUS},
        {503, NULL, "{\"errors\":[{\"message\":\"service unavailable\"}]}", VERDICT_AMBIGUOUS},
    };
    check_rows(&transport_sendgrid, rows, sizeof rows / sizeof rows[0]);
}

/* As seconds or as a date, and only what is worth believing. */
static void a_provider_says_when_to_come_again(void **state)
{
    (void)state;
    struct transport_reply r =
        reply_of(&transport_sendgrid, (struct script){.status = 429, .headers = "Retry-After: 17\r\n"});
    assert_int_equal(r.verdict, VERDICT_THROTTLED);
    assert_int_equal(r.retry_after_ms, 17000);
    r = reply_of(&transport_ses,
                 (struct script){.status = 503, .headers = "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n"});
    assert_int_equal(r.verdict, VERDICT_AMBIGUOUS);
    assert_int_equal(r.retry_after_ms, 86400000);
    r = reply_of(&transport_ses, (struct script){.status = 503, .headers = "Retry-After: -5\r\n"});
    assert_int_equal(r.retry_after_ms, 0);
    r = reply_of(&transport_ses, (struct script){.status = 503, .headers = "Retry-After: soon\r\n"});
    assert_int_equal(r.retry_after_ms, 0);
    r = reply_of(&transport_ses, (struct script){.status = 503});
    assert_int_equal(r.retry_after_ms, 0);
}

static void reasons_carry_no_addresses(void **state)
{
    (void)state;
    struct transport_reply r =
        reply_of(&transport_ses,
                 (struct script){.status = 400,
                                 .headers = TYPE("BadRequestException"),
                                 .body = "{\"message\":\"Illegal address anna@there.example\\u0007\"}"});
    assert_string_equal(r.reason, "HTTP 400 BadRequestException: Illegal address [address]");
}

/* --- it misbehaves ------------------------------------------------------------------------------- */

static void broken(const struct transport_ops *ops, struct script script, enum verdict expected,
                   const char *what)
{
    struct client c;
    client_prepare(&c, ops, script);
    if (script.padding)
        c.settings.reply_timeout_ms = 20000; /* its length is what is tested */
    client_open(&c);
    if (post(&c) != expected)
        fail_msg("%s, %s: verdict %d (%s), expected %d", ops->name, what, c.reply.verdict, c.reply.reason,
                 expected);
    /* Whatever it was: the next mail has a connection and a reply of its own. */
    int before = connections_of(c.server);
    server_change(c.server, *good(ops));
    assert_int_equal(post(&c), VERDICT_SENT);
    assert_string_equal(c.reply.provider_id, ops == &transport_ses ? "0102-ab" : "sg1");
    assert_int_equal(connections_of(c.server), before + 1);
    client_close(&c);
}

static void what_breaks_after_the_request_is_ambiguous(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct transport_ops *ops = both[i];
        struct script late = *good(ops), slow = *good(ops);
        late.delay_ms = 1500;
        slow.byte_ms = 100;
        broken(ops, (struct script){0}, VERDICT_AMBIGUOUS, "closed without a reply");
        broken(ops, (struct script){.raw = "\x01\x02garbage\r\n\r\n"}, VERDICT_AMBIGUOUS, "garbage");
        broken(ops, (struct script){.raw = "HTTP/1.1 200 OK\r\nX-Mess"}, VERDICT_AMBIGUOUS,
               "half the headers");
        broken(ops, late, VERDICT_AMBIGUOUS, "late");
        broken(ops, slow, VERDICT_AMBIGUOUS, "byte by byte");
    }
    broken(&transport_ses, (struct script){.status = 200, .body = "{\"MessageId\":\"x\"}", .claims = 9},
           VERDICT_AMBIGUOUS, "half a reply of success");
}

static void a_reply_of_10_mb_is_not_read_to_its_end(void **state)
{
    (void)state;
    broken(&transport_ses, (struct script){.status = 200, .body = "{", .padding = 10 << 20},
           VERDICT_AMBIGUOUS, "10 MB of success");
    broken(&transport_ses, (struct script){.status = 400, .padding = 10 << 20}, VERDICT_FAILED,
           "10 MB of refusal");
    broken(&transport_sendgrid, (struct script){.status = 429, .padding = 10 << 20}, VERDICT_THROTTLED,
           "10 MB of throttling");
}

static void a_request_that_was_not_read_is_not_ambiguous(void **state)
{
    (void)state;
    struct client c;
    client_prepare(&c, &transport_ses, ses_good);
    client_open(&c);
    shutdown(c.server->listener, SHUT_RDWR);
    assert_int_equal(post(&c), VERDICT_PROVIDER_FAULT);
    assert_int_equal(c.reply.code, 0);
    assert_false(c.reply.at_recipient);
    client_close(&c);
}

/* libcurl would send the request once more by itself. */
static void a_kept_connection_that_ends_without_a_reply_is_ambiguous_and_nothing_is_sent_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        struct script script = *good(both[i]);
        script.requests_before_hang_up = 1;
        client_prepare(&c, both[i], script);
        client_open(&c);
        assert_int_equal(post(&c), VERDICT_SENT);
        assert_int_equal(post(&c), VERDICT_AMBIGUOUS);
        assert_int_equal(requests_of(c.server), 2);
        assert_int_equal(post(&c), VERDICT_SENT);
        client_close(&c);
    }
}

static void a_wrong_setting_is_named(void **state)
{
    (void)state;
    struct fp_err err;
    struct client c;
    client_prepare(&c, &transport_ses, ses_good);
    static const char *const urls[] = {"http://api.example", "https://u@api.example", "https://api.example/x",
                                       "ftp://127.0.0.1",    "https://api.example?x", ""};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        c.settings.api_url = urls[i];
        if (!*urls[i])
            continue; /* the provider's own */
        assert_int_equal(transport_ses.check(&c.settings, &err), -1);
        assert_non_null(strstr(err.msg, "api-url"));
        assert_int_equal(transport_sendgrid.check(&c.settings, &err), -1);
    }
    c.settings.api_url = c.url;
    c.settings.ses_region = "eu west";
    assert_int_equal(transport_ses.check(&c.settings, &err), -1);
    assert_non_null(strstr(err.msg, "ses-region"));
    c.settings.ses_region = "eu-west-1";
    c.settings.api_key_file = "/nowhere";
    assert_int_equal(transport_ses.check(&c.settings, &err), -1);
    assert_int_equal(transport_sendgrid.check(&c.settings, &err), -1);
    server_stop(c.server);
    unlink(c.key_file);
}

static void the_accounts_quota_is_read(void **state)
{
    (void)state;
    struct fp_err err;
    struct client c;
    struct transport_quota q;
    client_prepare(&c, &transport_ses,
                   (struct script){.status = 200,
                                   .body = "{\"SendQuota\":{\"Max24HourSend\":50000.0,\"MaxSendRate\":14.0,"
                                           "\"SentLast24Hours\":12.0}}"});
    client_open(&c);
    assert_int_equal(transport_ses.quota(c.transport, &q, &err), 0);
    assert_true(last_holds(c.server, "GET /v2/email/account HTTP/1.1\r\n"));
    assert_true(q.per_second == 14 && q.per_day == 50000 && q.sent == 12);
    server_change(c.server, (struct script){.status = 403, .headers = TYPE("AccessDeniedException")});
    assert_int_equal(transport_ses.quota(c.transport, &q, &err), -1);
    assert_non_null(strstr(err.msg, "AccessDenied"));
    server_change(c.server,
                  (struct script){.status = 200, .body = "{\"ok\":true}"}); /* no account's answer */
    assert_int_equal(transport_ses.quota(c.transport, &q, &err), -1);
    client_close(&c);
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* Connecting can take longer than a lease. */
static void nothing_is_asked_for_when_the_lease_ended_meanwhile(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        client_prepare(&c, both[i], *good(both[i]));
        client_open(&c);
        c.lease_holds = never;
        post(&c);
        assert_true(c.reply.untried);
        assert_int_equal(requests_of(c.server), 0);
        c.lease_holds = NULL;
        assert_int_equal(post(&c), VERDICT_SENT);
        c.lease_holds = never;
        post(&c); /* over the connection that was kept */
        assert_true(c.reply.untried);
        assert_int_equal(requests_of(c.server), 1);
        client_close(&c);
    }
}

static bool after_most_of_a_second(void *ctx)
{
    (void)ctx;
    clock_sleep_us(900 * INT64_C(1000));
    return true;
}

static void nothing_is_asked_for_without_a_turn_and_waiting_for_it_is_no_part_of_a_mails_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct client c;
        struct script slow = *good(both[i]);
        slow.delay_ms = 500;
        client_prepare(&c, both[i], slow);
        client_open(&c);
        c.turn = never;
        post(&c);
        assert_true(c.reply.untried);
        assert_int_equal(requests_of(c.server), 0);
        c.turn = after_most_of_a_second; /* the time for a reply is 1 s */
        assert_int_equal(post(&c), VERDICT_SENT);
        client_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mail_is_sent_and_its_id_kept),
        cmocka_unit_test(a_connection_is_kept_for_its_mails_and_no_longer),
        cmocka_unit_test(ses_is_told_the_raw_mail_and_whose_it_is),
        cmocka_unit_test(sendgrid_is_told_the_pieces),
        cmocka_unit_test(a_sender_that_sendgrid_would_refuse_is_found_at_start),
        cmocka_unit_test(a_new_key_is_taken_up),
        cmocka_unit_test(replies_of_ses_mean_what_the_table_says),
        cmocka_unit_test(replies_of_sendgrid_mean_what_the_table_says),
        cmocka_unit_test(a_provider_says_when_to_come_again),
        cmocka_unit_test(reasons_carry_no_addresses),
        cmocka_unit_test(what_breaks_after_the_request_is_ambiguous),
        cmocka_unit_test(a_reply_of_10_mb_is_not_read_to_its_end),
        cmocka_unit_test(a_request_that_was_not_read_is_not_ambiguous),
        cmocka_unit_test(a_kept_connection_that_ends_without_a_reply_is_ambiguous_and_nothing_is_sent_again),
        cmocka_unit_test(nothing_is_asked_for_when_the_lease_ended_meanwhile),
        cmocka_unit_test(nothing_is_asked_for_without_a_turn_and_waiting_for_it_is_no_part_of_a_mails_time),
        cmocka_unit_test(a_wrong_setting_is_named),
        cmocka_unit_test(the_accounts_quota_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
