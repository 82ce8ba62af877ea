/*
 * The table of refusals on the wire: each of its SMTP rows, at each of its
 * stages, said by a real server to the real transport. Whether the rows
 * themselves are right is classify_test.c's; here it is that the line that was
 * refused arrives as such, at its stage, as the outcome of this mail, and that
 * the next mail has the reply to itself.
 */
#define _GNU_SOURCE /* strcasestr, in classify.c */
#include "services/mailer/smtp_script.h"

#include "services/mailer/classify.c" /* its rows are private */
#include "services/mailer/transports.h"

#define N_RULES (sizeof rules / sizeof rules[0])
#define SMTP    ALL

struct wire {
    struct server *server;
    struct transport_settings settings;
    char url[64], password_file[64];
    int mails; /* numbers the replies */
    bool pipelining;
};

/* What the server does from here on. */
static void change(struct wire *w, struct script p)
{
    p.pipelining = w->pipelining;
    server_change(w->server, p);
}

static void wire_open(struct wire *w)
{
    w->server = server_start((struct script){0});
    snprintf(w->url, sizeof w->url, "smtp://127.0.0.1:%d", w->server->port);
    strcpy(w->password_file, "/tmp/smtp_rows_XXXXXX");
    int fd = mkstemp(w->password_file);
    assert_true(fd >= 0 && write(fd, "secret\n", 7) == 7);
    close(fd);
    w->settings = usual_settings();
    w->settings.smtp_url = w->url;
    w->settings.connect_timeout_ms = 10000;
    w->settings.reply_timeout_ms = 20000;
}

static void wire_close(struct wire *w)
{
    server_stop(w->server);
    unlink(w->password_file);
}

static struct transport *connection(struct wire *w, bool login)
{
    struct fp_err err;
    w->settings.smtp_user = login ? "me" : "";
    w->settings.smtp_password_file = login ? w->password_file : "";
    struct transport *t = transport_smtp.open(&w->settings, &err);
    if (!t)
        fail_msg("%s", err.msg);
    return t;
}

static struct transport_reply send_bytes(struct transport *t, const char *data, size_t bytes)
{
    struct transport_reply reply;
    const struct transport_mail mail = {.sender = "reports@here.example",
                                        .recipient = "anna@there.example",
                                        .data = data,
                                        .bytes = bytes,
                                        .job_id = 1,
                                        .user_id = 2};
    transport_smtp.send(t, &mail, &reply);
    return reply;
}

static struct transport_reply send_mail(struct transport *t)
{
    static const char data[] = "Subject: x\r\n\r\nbody\r\n";
    return send_bytes(t, data, sizeof data - 1);
}

/* The server behaves again: this mail's reply, and no other's, must come back. */
static void expect_own_reply(struct wire *w, struct transport *t, bool login, const char *after)
{
    char body[64], id[32];
    snprintf(id, sizeof id, "MAIL%d", ++w->mails);
    snprintf(body, sizeof body, "250 2.0.0 Ok: queued as %s", id);
    change(w, (struct script){.body = body, .auth = login ? "235 2.7.0 in" : NULL});
    struct transport_reply r = send_mail(t);
    if (r.verdict != VERDICT_SENT || strcmp(r.provider_id, id) != 0)
        fail_msg("the mail after \"%s\": verdict %d, id %s, %s", after, r.verdict, r.provider_id, r.reason);
}

static struct script says(enum send_stage stage, const char *line)
{
    struct script p = {0};
    switch (stage) {
    case SMTP_CONNECT:
        p.greeting = line;
        break;
    case SMTP_AUTH:
        p.auth = line;
        break;
    case SMTP_MAIL:
        p.mail = line;
        break;
    case SMTP_RCPT:
        p.rcpt = line;
        break;
    case SMTP_DATA:
        p.data = line;
        break;
    default:
        p.body = line;
        break;
    }
    return p;
}

/* --- every row ----------------------------------------------------------------------------- */

static const struct rule *deciding(enum send_stage stage, const char *line)
{
    struct refusal r;
    read_line(line, &r);
    for (size_t i = 0; i < N_RULES; i++) { /* judge(), but which row */
        const struct rule *u = &rules[i];
        if ((u->stages & AT(stage)) && r.code >= u->code_from && r.code <= u->code_to &&
            (u->subject == ANY || u->subject == r.subject) &&
            (u->detail_from == ANY || (r.detail >= u->detail_from && r.detail <= u->detail_to)) &&
            (!u->words || strcasestr(r.words, u->words)))
            return u;
    }
    return NULL;
}

static void make_line(const struct rule *u, int code, int detail, char out[200])
{
    char status[40] = "";
    if (u->subject != ANY)
        snprintf(status, sizeof status, "%d.%d.%d ", code / 100, u->subject, detail == ANY ? 0 : detail);
    snprintf(out, 200, "%d %s%s", code, status, u->words ? u->words : "as you say");
}

static void try_row(struct wire *w, const struct rule *u, enum send_stage stage, const char *line)
{
    bool login = stage == SMTP_AUTH;
    struct transport *t = connection(w, login);
    change(w, says(stage, line));
    struct transport_reply r = send_mail(t);
    int is = (int)r.verdict | (r.vague ? VAGUE : 0) | (r.suppress ? SUPPRESS : 0) | (r.account ? ACCOUNT : 0);
    if (is != u->verdict || r.at_recipient != ((AT(stage) & PAYLOAD) != 0))
        fail_msg("stage %d, \"%s\": %#x (%s), the table says %#x", (int)stage, line, (unsigned)is, r.reason,
                 (unsigned)u->verdict);
    if (r.code != atoi(line) || strncmp(r.reason, line, 3) != 0)
        fail_msg("stage %d, \"%s\": code %d, reason \"%s\"", (int)stage, line, r.code, r.reason);
    expect_own_reply(w, t, login, line);
    transport_smtp.close(t);
}

/* The ends of the row's codes and details, where an earlier row does not take them. */
static int try_stage(struct wire *w, const struct rule *u, enum send_stage stage)
{
    const int codes[] = {u->code_from < 400 ? 600 : u->code_from, u->code_to};
    const int details[] = {u->detail_from, u->detail_to};
    char line[200], last[200] = "";
    int tried = 0;
    for (int c = 0; c < 2; c++) {
        for (int d = 0; d < 2; d++) {
            make_line(u, codes[c], details[d], line);
            if (strcmp(line, last) == 0 || deciding(stage, line) != u)
                continue;
            strcpy(last, line);
            try_row(w, u, stage, line);
            tried++;
        }
    }
    return tried;
}

static void try_rows(bool pipelining)
{
    struct wire w = {.pipelining = pipelining};
    int tried = 0;
    wire_open(&w);
    for (size_t i = 0; i < N_RULES; i++) {
        int of_row = 0;
        if (!(rules[i].stages & SMTP))
            continue;
        for (int stage = SMTP_CONNECT; stage <= SMTP_BODY; stage++)
            if (rules[i].stages & AT(stage))
                of_row += try_stage(&w, &rules[i], (enum send_stage)stage);
        if (of_row == 0)
            fail_msg("row %zu (%d-%d, x.%d.%d) decides nothing: no line reaches it", i, rules[i].code_from,
                     rules[i].code_to, rules[i].subject, rules[i].detail_from);
        tried += of_row;
    }
    print_message("%d refusals\n", tried);
    wire_close(&w);
}

static void every_row_decides_on_the_wire(void **state)
{
    (void)state;
    try_rows(false);
}

static void every_row_decides_when_all_is_said_at_once(void **state)
{
    (void)state;
    try_rows(true);
}

/* --- broken off --------------------------------------------------------------------------------- */

static void break_off_everywhere(bool pipelining)
{
    struct wire w = {.pipelining = pipelining};
    wire_open(&w);
    for (int stage = SMTP_CONNECT; stage <= SMTP_BODY; stage++) {
        bool login = stage == SMTP_AUTH;
        struct transport *t = connection(&w, login);
        change(&w, says((enum send_stage)stage, HANG_UP));
        struct transport_reply r = send_mail(t);
        int is = (int)r.verdict | (r.vague ? VAGUE : 0);
        if (is != broken[stage].verdict)
            fail_msg("hung up at stage %d: %#x (%s), the table says %#x", stage, (unsigned)is, r.reason,
                     (unsigned)broken[stage].verdict);
        expect_own_reply(&w, t, login, "hanging up");
        transport_smtp.close(t);
    }
    wire_close(&w);
}

static void every_stage_can_break_off(void **state)
{
    (void)state;
    break_off_everywhere(false);
    break_off_everywhere(true);
}

/* The relay ends while the mail is on its way to it: whether its last words are
 * read or lost, the mail is not sent, and nothing of it is left for the next. */
static void a_421_in_mid_stream_is_this_mails(void **state)
{
    struct wire w = {.pipelining = true};
    size_t bytes = 4 << 20; /* more than the sockets hold */
    char *data = mem_alloc(bytes);
    (void)state;
    for (size_t i = 0; i < bytes; i++)
        data[i] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n"[i % 64];
    wire_open(&w);
    for (int i = 0; i < 5; i++) {
        struct transport *t = connection(&w, false);
        change(&w, (struct script){.mid_body = i % 2 ? HANG_UP : "421 4.3.2 shutting down"});
        struct transport_reply r = send_bytes(t, data, bytes);
        if (r.verdict != VERDICT_AMBIGUOUS && (i % 2 || r.verdict != VERDICT_THROTTLED))
            fail_msg("verdict %d: %s", r.verdict, r.reason);
        expect_own_reply(&w, t, false, "421 in mid-stream");
        transport_smtp.close(t);
    }
    wire_close(&w);
    mem_free(data);
}

/* Whoever is between can strip STARTTLS. */
static void a_login_goes_encrypted_or_nowhere(void **state)
{
    (void)state;
    static const struct {
        const char *url, *tls;
        bool good;
    } rows[] = {
        {"smtp://relay.example:587", "try", false},
        {"smtp://relay.example:587", "never", false},
        {"smtp://127.evil.example:587", "try", false},
        {"smtp://relay.example:587", "require", true},
        {"smtp://relay.example:587", "insecure-login", true},
        {"smtps://relay.example:465", "try", true},
        {"smtp://127.0.0.1:25", "never", true},
        {"smtp://localhost:25", "try", true},
        {"smtp://[::1]:25", "try", true},
    };
    struct wire w = {0};
    wire_open(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct transport_settings s = usual_settings();
        struct fp_err err;
        s.smtp_url = rows[i].url;
        s.smtp_tls = rows[i].tls;
        assert_int_equal(transport_smtp.check(&s, &err), 0); /* without a login */
        s.smtp_user = "me";
        s.smtp_password_file = w.password_file;
        if ((transport_smtp.check(&s, &err) == 0) != rows[i].good)
            fail_msg("%s, %s: %s", s.smtp_url, s.smtp_tls, rows[i].good ? err.msg : "taken");
        if (!rows[i].good)
            assert_non_null(strstr(err.msg, "smtp-tls"));
    }
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_decides_on_the_wire),
        cmocka_unit_test(every_row_decides_when_all_is_said_at_once),
        cmocka_unit_test(every_stage_can_break_off),
        cmocka_unit_test(a_421_in_mid_stream_is_this_mails),
        cmocka_unit_test(a_login_goes_encrypted_or_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
