/*
 * SMTP: which connection a mail takes, and when a second one is worth it. What is
 * said on it is smtp_dialogue.c's.
 *
 * Blocking on purpose, a thread for each connection: a mail's way is straight-line
 * code, and libcurl's multi interface would wait for the reply to a mail all the same
 * (measured: 128 handles in one thread 49 mails/s, 128 threads 6,028).
 *
 * Addresses are checked here again, whoever checked them before: CR and LF in one
 * would reach the wire.
 *
 * Not here: what a refusal means (classify.c), how fast to send (pacer.c).
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/config/config.h"
#include "services/mailer/classify.h"
#include "services/mailer/curl_once.h"
#include "services/mailer/secret.h"
#include "services/mailer/smtp_dialogue.h"
#include "services/mailer/transports.h"

#define MAX_IDLE_US (60 * FP_US_PER_S) /* a connection unused for longer is likely cut on the way */

struct transport {
    char *url, *user, *ca_file;
    long use_ssl;
    int64_t connect_timeout_ms, reply_timeout_ms, mails_per_connection;
    struct secret password;

    struct smtp_dialogue *dialogue; /* NULL: none yet, or closed */
    int64_t mails_done, used_us;    /* on it */
    struct smtp_end end;            /* of the last try */
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
    } modes[] = {{"never", CURLUSESSL_NONE},
                 {"try", CURLUSESSL_TRY},
                 {"require", CURLUSESSL_ALL},
                 {"insecure-login", CURLUSESSL_TRY}};
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

/* 127.0.0.0/8 in digits: "127.evil.example" is a name. */
static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host);
}

/* "smtp://HOST", to another machine than this. */
static bool leaves_in_clear(const char *url)
{
    char *scheme = NULL, *host = NULL;
    CURLU *u = curl_url();
    bool leaves = curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
                  curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
                  curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK;
    if (!leaves)
        leaves = strcmp(scheme, "smtps") != 0 && strcmp(host, "localhost") != 0 && !is_loopback(host) &&
                 strcmp(host, "[::1]") != 0;
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return leaves;
}

/* Whoever is between can strip STARTTLS from the relay's answer, and read the password. */
static int check_login(const struct transport_settings *s, struct fp_err *err)
{
    bool lax = strcmp(s->smtp_tls, "never") == 0 || strcmp(s->smtp_tls, "try") == 0;
    if (!*s->smtp_user || !lax || !leaves_in_clear(s->smtp_url))
        return 0;
    return err_set(
        err, FP_INVALID_ARGUMENT,
        "smtp-tls: with %s the password of smtp-user could go to %s in clear: require, or smtps://; "
        "insecure-login to allow it",
        s->smtp_tls, s->smtp_url);
}

static int smtp_check(const struct transport_settings *s, struct fp_err *err)
{
    long use_ssl;
    curl_once();
    if (check_url(s->smtp_url, err) != 0)
        return -1;
    if (read_tls(s->smtp_tls, &use_ssl) != 0)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "smtp-tls: \"%s\" is not never, try, require or insecure-login", s->smtp_tls);
    if (strspn(s->helo_name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") !=
        strlen(s->helo_name))
        return err_set(err, FP_INVALID_ARGUMENT, "helo-name: \"%s\" is not a host name", s->helo_name);
    if (*s->smtp_user && !*s->smtp_password_file)
        return err_set(err, FP_INVALID_ARGUMENT, "smtp-password-file: needed for smtp-user");
    if (check_login(s, err) != 0)
        return -1;
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

static void close_connection(struct transport *t)
{
    smtp_dialogue_close(t->dialogue);
    t->dialogue = NULL;
    t->mails_done = 0;
}

static void smtp_close(struct transport *t)
{
    if (!t)
        return;
    close_connection(t);
    mem_free(t->url);
    mem_free(t->user);
    secret_fini(&t->password);
    mem_free(t->ca_file);
    mem_free(t);
}

/* --- one mail ----------------------------------------------------------------------- */

/* Reads the password again when its file has changed; a new one means a new connection. */
static int refresh_password(struct transport *t, struct fp_err *err)
{
    bool changed = false;
    if (*t->user && secret_refresh(&t->password, &changed, err) != 0)
        return -1;
    if (changed)
        close_connection(t);
    return 0;
}

static void connect_anew(struct transport *t, int64_t deadline_us)
{
    const struct smtp_dialogue_options o = {.url = t->url,
                                            .ca_file = t->ca_file,
                                            .user = t->user,
                                            .password = t->password.text,
                                            .use_ssl = t->use_ssl,
                                            .connect_timeout_ms = t->connect_timeout_ms};
    t->dialogue = smtp_dialogue_open(&o, deadline_us, &t->end);
}

/* However long it was waited for, that is no part of the mail's own time. */
static bool its_turn(const struct transport_mail *m, int64_t *deadline_us)
{
    int64_t asked_us = clock_mono_us();
    bool turn = !m->turn || m->turn(m->ctx);
    *deadline_us += clock_mono_us() - asked_us;
    return turn;
}

/* Returns whether it went over a connection that had carried mails before. The second
 * try says one command at a time: when all are out at once, a server that hangs up at
 * the recipient may take its answer to MAIL along, and that looks like its own fault. */
static bool attempt(struct transport *t, const struct transport_mail *m, bool second)
{
    int64_t now_us = clock_mono_us(), deadline_us = now_us + t->reply_timeout_ms * 1000;
    if (t->dialogue && now_us > t->used_us + MAX_IDLE_US)
        close_connection(t);
    bool kept = t->dialogue != NULL;
    if (!kept)
        connect_anew(t, deadline_us);
    if (!t->dialogue)
        return false;
    if (!its_turn(m, &deadline_us)) {
        t->end = (struct smtp_end){.result = CURLE_ABORTED_BY_CALLBACK};
        t->used_us = clock_mono_us();
        return kept;
    }
    smtp_dialogue_mail(t->dialogue, m, second, deadline_us, &t->end);
    t->used_us = clock_mono_us();
    t->mails_done++;
    if (!smtp_dialogue_in_step(t->dialogue) ||
        (t->mails_per_connection > 0 && t->mails_done >= t->mails_per_connection))
        close_connection(t);
    return kept;
}

/* A kept connection that the relay has closed, or closes now with 421, says
 * nothing about the mail; nor does one that breaks before 354. The mail was
 * certainly not accepted: it is worth one fresh connection, if it still may go. */
static bool worth_another(const struct smtp_end *e, bool kept)
{
    if (e->result == CURLE_OK || e->result == CURLE_OPERATION_TIMEDOUT ||
        e->result == CURLE_ABORTED_BY_CALLBACK || e->stage == SMTP_BODY)
        return false;
    if (*e->refusal)
        return kept && strncmp(e->refusal, "421", 3) == 0;
    return kept || e->stage >= SMTP_MAIL;
}

static void smtp_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    struct fp_err err;
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
    bool kept = attempt(t, m, false);
    if (worth_another(&t->end, kept)) {
        if (m->may_go && !m->may_go(m->ctx)) {
            reply->untried = true;
            return;
        }
        attempt(t, m, true);
    }
    if (t->end.result == CURLE_ABORTED_BY_CALLBACK) {
        reply->untried = true;
        return;
    }
    t->end.recipient = m->recipient;
    classify_smtp(&t->end, reply);
}

const struct transport_ops transport_smtp = {
    .name = "smtp", .check = smtp_check, .open = smtp_open, .send = smtp_send, .close = smtp_close};
