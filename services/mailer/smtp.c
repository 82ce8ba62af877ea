/*
 * SMTP by libcurl: an easy handle for each transport, its connection kept.
 *
 * Blocking on purpose: libcurl waits for the reply to the mail inside its
 * state machine, even in the multi interface, so that connections are threads
 * (measured: 128 handles in one thread 49 mails/s, 128 threads 6,028).
 *
 * What libcurl 7.88 to 8.14 make necessary here:
 * - CURLINFO_RESPONSE_CODE is that of the last reply whatsoever (the 221 of
 *   QUIT as well). The stage and the refusing line are therefore collected
 *   from the commands and replies as they pass (on_command(), on_reply()).
 * - After a time-out the connection stays in use, and the late 250 would answer
 *   the next mail's MAIL. After any transport-level error the handle is thrown
 *   away, its socket shut first so that no QUIT waits for an answer.
 * - CR and LF in an envelope address reach the wire: addresses are checked here
 *   again, whoever checked them before.
 *
 * Not here: what a refusal means (classify.c), how fast to send (pacer.c).
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/config/config.h"
#include "services/mailer/classify.h"
#include "services/mailer/curl_once.h"
#include "services/mailer/secret.h"
#include "services/mailer/transports.h"

#define MAX_IDLE_S      60 /* a connection unused for longer is likely cut on the way */
#define CLOSE_TIMEOUT_S 2  /* for the answer to QUIT when nothing more is to be sent */

struct transport {
    CURL *curl; /* NULL: none yet, or thrown away */
    char *url, *user, *ca_file;
    long use_ssl;
    int64_t connect_timeout_ms, reply_timeout_ms, mails_per_connection;

    struct secret password;
    int64_t mails_done; /* on the connection that is open */

    const struct transport_mail *mail; /* in hand */
    size_t uploaded;
    bool quitting; /* what comes now answers QUIT */
    struct smtp_end end;
};

/* --- settings ---------------------------------------------------------------------- */

/* The URL has a scheme, a host, perhaps a port, and nothing else. */
static int check_url(const char *text, struct fp_err *err)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                         CURLUPART_FRAGMENT};
    CURLU *u = curl_url();
    char *scheme = NULL, *path = NULL, *other = NULL;
    bool good = curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK;
    good = good && (strcmp(scheme, "smtp") == 0 || strcmp(scheme, "smtps") == 0) && strcmp(path, "/") == 0;
    for (size_t i = 0; good && i < sizeof unwanted / sizeof unwanted[0]; i++) {
        good = curl_url_get(u, unwanted[i], &other, 0) != CURLUE_OK;
        curl_free(other);
        other = NULL;
    }
    curl_free(scheme);
    curl_free(path);
    curl_url_cleanup(u);
    if (!good)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "smtp-url: \"%s\" is not like smtp://host:port or smtps://host:port", text);
    return 0;
}

static int read_tls(const char *name, long *use_ssl)
{
    static const struct {
        const char *name;
        long value;
    } modes[] = {{"never", CURLUSESSL_NONE}, {"try", CURLUSESSL_TRY}, {"require", CURLUSESSL_ALL}};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(modes[i].name, name) == 0) {
            *use_ssl = modes[i].value;
            return 0;
        }
    }
    return -1;
}

/* Read at every change later; a file that is not there is found at the start. */
static int check_password_file(const struct transport_settings *s, struct fp_err *err)
{
    char *password = NULL;
    if (config_secret(s->smtp_password_file, &password, err) != 0)
        return err_prefix(err, "smtp-password-file");
    mem_free(password);
    return 0;
}

static int smtp_check(const struct transport_settings *s, struct fp_err *err)
{
    long use_ssl;
    curl_once();
    if (check_url(s->smtp_url, err) != 0)
        return -1;
    if (read_tls(s->smtp_tls, &use_ssl) != 0)
        return err_set(err, FP_INVALID_ARGUMENT, "smtp-tls: \"%s\" is not never, try or require",
                       s->smtp_tls);
    if (strspn(s->helo_name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") !=
        strlen(s->helo_name))
        return err_set(err, FP_INVALID_ARGUMENT, "helo-name: \"%s\" is not a host name", s->helo_name);
    if (*s->smtp_user && !*s->smtp_password_file)
        return err_set(err, FP_INVALID_ARGUMENT, "smtp-password-file: needed for smtp-user");
    if (!text_is_clean(s->smtp_user))
        return err_set(err, FP_INVALID_ARGUMENT, "smtp-user holds control characters");
    return check_password_file(s, err);
}

/* --- life ----------------------------------------------------------------------------- */

static struct transport *smtp_open(const struct transport_settings *s, struct fp_err *err)
{
    if (smtp_check(s, err) != 0)
        return NULL;
    struct transport *t = mem_alloc(sizeof *t);
    struct fp_str url;
    str_init(&url, 4096);
    str_puts(&url, s->smtp_url);
    str_puts(&url, url.len && url.data[url.len - 1] == '/' ? "" : "/");
    str_puts(&url, s->helo_name); /* libcurl says EHLO with the path, or the host's name */
    t->url = str_take(&url);
    t->user = mem_strdup(s->smtp_user);
    secret_init(&t->password, s->smtp_password_file, false);
    t->ca_file = mem_strdup(s->smtp_ca_file);
    (void)read_tls(s->smtp_tls, &t->use_ssl);
    t->connect_timeout_ms = s->connect_timeout_ms;
    t->reply_timeout_ms = s->reply_timeout_ms;
    t->mails_per_connection = s->mails_per_connection;
    return t;
}

/* The handle and its connection go, without a word to the other side. */
static void throw_away(struct transport *t)
{
    curl_socket_t s = CURL_SOCKET_BAD;
    if (!t->curl)
        return;
    if (curl_easy_getinfo(t->curl, CURLINFO_ACTIVESOCKET, &s) == CURLE_OK && s != CURL_SOCKET_BAD)
        shutdown(s, SHUT_RDWR);
    curl_easy_cleanup(t->curl);
    t->curl = NULL;
    t->mails_done = 0;
}

static void smtp_close(struct transport *t)
{
    if (!t)
        return;
    if (t->curl) {
        curl_easy_setopt(t->curl, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)CLOSE_TIMEOUT_S);
        curl_easy_cleanup(t->curl);
    }
    mem_free(t->url);
    mem_free(t->user);
    secret_fini(&t->password);
    mem_free(t->ca_file);
    mem_free(t);
}

/* --- what passes on the wire --------------------------------------------------------- */

static bool begins(const char *data, size_t bytes, const char *with)
{
    size_t n = strlen(with);
    return bytes >= n && memcmp(data, with, n) == 0;
}

static bool next_stage(enum send_stage now, const char *command, size_t bytes, enum send_stage *next)
{
    if (begins(command, bytes, "MAIL FROM:"))
        *next = SMTP_MAIL;
    else if (now == SMTP_MAIL && begins(command, bytes, "RCPT TO:"))
        *next = SMTP_RCPT;
    else if (now == SMTP_RCPT && begins(command, bytes, "DATA"))
        *next = SMTP_DATA;
    else if (now == SMTP_CONNECT && begins(command, bytes, "AUTH "))
        *next = SMTP_AUTH;
    else
        return false;
    return true;
}

static int on_command(CURL *curl, curl_infotype type, char *data, size_t bytes, void *ctx)
{
    struct transport *t = ctx;
    (void)curl;
    if (type != CURLINFO_HEADER_OUT)
        return 0;
    if (begins(data, bytes, "QUIT")) {
        t->quitting = true;
        return 0;
    }
    next_stage(t->end.stage, data, bytes, &t->end.stage);
    t->end.refusal[0] = 0; /* whatever was refused before (EHLO, STARTTLS), libcurl went on */
    return 0;
}

static void keep_line(char *out, size_t cap, const char *line, size_t bytes)
{
    snprintf(out, cap, "%.*s", (int)(bytes < cap ? bytes : cap - 1), line);
    out[strcspn(out, "\r\n")] = 0;
}

static size_t on_reply(char *line, size_t size, size_t count, void *ctx)
{
    struct transport *t = ctx;
    size_t bytes = size * count;
    if (t->quitting || bytes == 0)
        return bytes;
    if (t->end.stage == SMTP_DATA && begins(line, bytes, "354"))
        t->end.stage = SMTP_BODY;
    else if (line[0] == '2')
        keep_line(t->end.acceptance, sizeof t->end.acceptance, line, bytes);
    else if (line[0] >= '0' && line[0] <= '9' && line[0] != '3' && !*t->end.refusal)
        keep_line(t->end.refusal, sizeof t->end.refusal, line, bytes);
    return bytes;
}

static size_t on_upload(char *buffer, size_t size, size_t count, void *ctx)
{
    struct transport *t = ctx;
    size_t left = t->mail->bytes - t->uploaded, n = size * count < left ? size * count : left;
    memcpy(buffer, t->mail->data + t->uploaded, n);
    t->uploaded += n;
    return n;
}

/* --- one mail ----------------------------------------------------------------------- */

/* What never changes from mail to mail. */
static void set_options(struct transport *t)
{
    CURL *c = t->curl;
    curl_easy_setopt(c, CURLOPT_URL, t->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* not what the environment says */
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_USE_SSL, t->use_ssl);
    if (*t->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, t->ca_file);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)t->reply_timeout_ms);
    curl_easy_setopt(c, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)((t->reply_timeout_ms + 999) / 1000));
    curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)MAX_IDLE_S);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_VERBOSE, 1L); /* what makes on_command() be called */
    curl_easy_setopt(c, CURLOPT_DEBUGFUNCTION, on_command);
    curl_easy_setopt(c, CURLOPT_DEBUGDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, on_upload);
    curl_easy_setopt(c, CURLOPT_READDATA, t);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->end.trouble);
    if (*t->user) {
        curl_easy_setopt(c, CURLOPT_USERNAME, t->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, t->password.text);
        curl_easy_setopt(c, CURLOPT_SASL_IR, 1L); /* a round trip less */
    }
}

/* Reads the password again when its file has changed; a new one means a new connection. */
static int refresh_password(struct transport *t, struct fp_err *err)
{
    bool changed = false;
    if (*t->user && secret_refresh(&t->password, &changed, err) != 0)
        return -1;
    if (changed)
        throw_away(t);
    return 0;
}

static void attempt(struct transport *t, const struct transport_mail *m)
{
    struct curl_slist recipient = {.data = (char *)m->recipient};
    bool last = t->mails_per_connection > 0 && t->mails_done + 1 >= t->mails_per_connection;
    t->end = (struct smtp_end){.stage = SMTP_CONNECT};
    t->mail = m;
    t->uploaded = 0;
    t->quitting = false;
    if (!t->curl) {
        t->curl = curl_easy_init();
        if (!t->curl)
            fp_panic("libcurl gives no handle");
        set_options(t);
    }
    curl_easy_setopt(t->curl, CURLOPT_MAIL_FROM, m->sender);
    curl_easy_setopt(t->curl, CURLOPT_MAIL_RCPT, &recipient);
    curl_easy_setopt(t->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)m->bytes);
    curl_easy_setopt(t->curl, CURLOPT_FORBID_REUSE, last ? 1L : 0L);
    t->end.result = curl_easy_perform(t->curl);
    curl_easy_setopt(t->curl, CURLOPT_MAIL_RCPT, NULL);
    t->mail = NULL;
}

/* Whether both sides still agree where they are: a whole reply to the mail. */
static bool in_step(const struct smtp_end *e)
{
    bool closing = strncmp(e->refusal, "421", 3) == 0;
    return e->result == CURLE_OK ||
           (e->result == CURLE_WEIRD_SERVER_REPLY && e->stage == SMTP_BODY && *e->refusal && !closing);
}

/* A kept connection that the relay has closed, or closes now with 421, says
 * nothing about the mail; nor does one that breaks before 354. The mail was
 * certainly not accepted: it is worth one fresh connection, if it still may go. */
static bool worth_another(const struct smtp_end *e, bool kept)
{
    if (e->result == CURLE_OK || e->result == CURLE_OPERATION_TIMEDOUT || e->stage == SMTP_BODY)
        return false;
    if (*e->refusal)
        return kept && strncmp(e->refusal, "421", 3) == 0;
    return kept || e->stage >= SMTP_MAIL;
}

static void account_for(struct transport *t, bool *kept)
{
    long connects = 0;
    curl_easy_getinfo(t->curl, CURLINFO_NUM_CONNECTS, &connects);
    *kept = connects == 0 && t->mails_done > 0;
    bool closed = t->mails_per_connection > 0 && t->mails_done + 1 >= t->mails_per_connection;
    t->mails_done = closed ? 0 : *kept ? t->mails_done + 1 : 1;
    if (!in_step(&t->end))
        throw_away(t);
}

static void smtp_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    struct fp_err err;
    bool kept;
    *reply = (struct transport_reply){.verdict = VERDICT_PROVIDER_FAULT};
    if (!text_is_address(m->sender)) {
        snprintf(reply->reason, sizeof reply->reason, "the envelope sender is not a usable address");
        return;
    }
    if (!text_is_address(m->recipient)) {
        reply->verdict = VERDICT_FAILED;
        snprintf(reply->reason, sizeof reply->reason, "the recipient is not a usable address");
        return;
    }
    if (refresh_password(t, &err) != 0) {
        classify_clean(reply->reason, sizeof reply->reason, err.msg, NULL);
        return;
    }
    attempt(t, m);
    account_for(t, &kept);
    if (worth_another(&t->end, kept)) {
        if (m->may_go && !m->may_go(m->ctx)) {
            reply->untried = true;
            return;
        }
        attempt(t, m);
        account_for(t, &kept);
    }
    t->end.recipient = m->recipient;
    classify_smtp(&t->end, reply);
}

const struct transport_ops transport_smtp = {
    .name = "smtp", .check = smtp_check, .open = smtp_open, .send = smtp_send, .close = smtp_close};
