/*
 * Amazon SES, API v2: SendEmail with the whole mail as raw content, so that it
 * is the same bytes that SMTP would carry; a call for each mail. (The bulk call
 * needs templates on their side and can refuse single mails within a reply of
 * success.)
 *
 * The call is signed by libcurl (SigV4). Credentials are a file in the form of
 * ~/.aws/credentials: key, secret and session token are replaced together, so
 * they stand together. The tags `foliopost-job` and `foliopost-user` come back
 * with every event, since SES puts a Message-ID of its own on the mail.
 *
 * SES drops what is too fast and counts recipients for its daily quota: what the
 * account allows is read at start (ses_quota()) and bounds our own limits.
 */
#include <glib.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/text.h"
#include "services/mailer/http_client.h"
#include "services/mailer/secret.h"
#include "services/mailer/transports.h"

#define SEND_PATH    "/v2/email/outbound-emails"
#define ACCOUNT_PATH "/v2/email/account"
#define KEY_BYTES    256
#define TOKEN_BYTES  4096 /* session tokens have some hundred to two thousand */

struct credentials {
    char key[KEY_BYTES], secret[KEY_BYTES], token[TOKEN_BYTES];
};

struct transport {
    struct http_client *http;
    char *send_url, *account_url, *sigv4, *configuration_set;
    struct secret file;
    struct credentials credentials;
    struct curl_slist *headers;
};

/* --- credentials -------------------------------------------------------------------- */

/* "name = value" of the line at p, when it has that name. */
static void take_value(const char *p, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    p += strspn(p, " \t");
    if (strncmp(p, name, n) != 0)
        return;
    p += n + strspn(p + n, " \t");
    if (*p != '=')
        return;
    p += 1 + strspn(p + 1, " \t");
    size_t len = strcspn(p, " \t\r\n");
    if (len < cap)
        snprintf(out, cap, "%.*s", (int)len, p);
}

/* The first profile of the file. */
static bool read_credentials(const char *text, struct credentials *c)
{
    bool begun = false;
    memset(c, 0, sizeof *c);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (*line == '[' && begun)
            break;
        begun |= *line == '[' || strchr("#;\r\n", *line) == NULL;
        take_value(line, "aws_access_key_id", c->key, sizeof c->key);
        take_value(line, "aws_secret_access_key", c->secret, sizeof c->secret);
        take_value(line, "aws_session_token", c->token, sizeof c->token);
    }
    return *c->key && *c->secret;
}

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
    struct fp_str line;
    str_init(&line, 0);
    str_printf(&line, "%s: %s", name, value);
    *list = curl_slist_append(*list, line.data);
    str_fini(&line);
}

static int refresh_credentials(struct transport *t, struct fp_err *err)
{
    bool changed;
    if (secret_refresh(&t->file, &changed, err) != 0)
        return -1;
    if (!changed)
        return 0;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    if (!read_credentials(t->file.text, &t->credentials)) {
        secret_forget(&t->file); /* to be looked at again by the next mail */
        return err_set(err, FP_FAILED_PRECONDITION,
                       "api-key-file %s: no lines aws_access_key_id = ... and aws_secret_access_key = ...",
                       t->file.path);
    }
    add_header(&t->headers, "Content-Type", "application/json");
    if (*t->credentials.token)
        add_header(&t->headers, "X-Amz-Security-Token", t->credentials.token);
    return 0;
}

/* --- life ----------------------------------------------------------------------------- */

static bool is_region(const char *region)
{
    return *region && strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(region);
}

static char *url_of(const struct transport_settings *s, const char *path)
{
    struct fp_str url;
    str_init(&url, 4096);
    if (*s->api_url)
        str_puts(&url, s->api_url);
    else
        str_printf(&url, "https://email.%s.amazonaws.com", s->ses_region);
    if (url.len && url.data[url.len - 1] == '/')
        path++;
    str_puts(&url, path);
    return str_take(&url);
}

static void ses_close(struct transport *t)
{
    if (!t)
        return;
    http_client_free(t->http);
    curl_slist_free_all(t->headers);
    secret_fini(&t->file);
    explicit_bzero(&t->credentials, sizeof t->credentials);
    mem_free(t->send_url);
    mem_free(t->account_url);
    mem_free(t->sigv4);
    mem_free(t->configuration_set);
    mem_free(t);
}

static struct transport *ses_open(const struct transport_settings *s, struct fp_err *err)
{
    const struct http_client_options o = {.ca_file = s->api_ca_file,
                                          .connect_timeout_ms = s->connect_timeout_ms,
                                          .reply_timeout_ms = s->reply_timeout_ms,
                                          .requests_per_connection = s->mails_per_connection};
    if (!is_region(s->ses_region)) {
        err_set(err, FP_INVALID_ARGUMENT, "ses-region: \"%s\" is not like eu-west-1", s->ses_region);
        return NULL;
    }
    if (*s->api_url && http_client_check_url("api-url", s->api_url, err) != 0)
        return NULL;
    struct transport *t = mem_alloc(sizeof *t);
    struct fp_str sigv4;
    str_init(&sigv4, 0);
    str_printf(&sigv4, "aws:amz:%s:ses", s->ses_region);
    t->sigv4 = str_take(&sigv4);
    t->send_url = url_of(s, SEND_PATH);
    t->account_url = url_of(s, ACCOUNT_PATH);
    t->configuration_set = mem_strdup(s->ses_configuration_set);
    t->http = http_client_new(&o);
    secret_init(&t->file, s->api_key_file, true);
    if (refresh_credentials(t, err) != 0) {
        ses_close(t);
        return NULL;
    }
    return t;
}

static int ses_check(const struct transport_settings *s, struct fp_err *err)
{
    struct transport *t = ses_open(s, err);
    ses_close(t);
    return t ? 0 : -1;
}

/* --- one mail ----------------------------------------------------------------------------- */

static json_t *tag(const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return json_pack("{s:s, s:s}", "Name", name, "Value", text);
}

static json_t *json_of(const struct transport *t, const struct transport_mail *m)
{
    json_t *json = json_pack("{s:{s:[s]}, s:{s:{s:s}}, s:[o, o]}", "Destination", "ToAddresses", m->recipient,
                             "Content", "Raw", "Data", "", "EmailTags", tag("foliopost-job", m->job_id),
                             tag("foliopost-user", m->user_id));
    if (m->token && *m->token)
        json_array_append_new(json_object_get(json, "EmailTags"),
                              json_pack("{s:s, s:s}", "Name", "foliopost-token", "Value", m->token));
    if (*t->configuration_set)
        json_object_set_new(json, "ConfigurationSetName", json_string(t->configuration_set));
    return json;
}

/* The mail goes into its place afterwards: base64 needs no escaping, and jansson
 * would look at each byte of it twice (a third of a call's CPU). A quote in any
 * other value is escaped, so the place is found only once. False: an address
 * that is not UTF-8. */
static bool body_of(const struct transport *t, const struct transport_mail *m, struct fp_str *out)
{
    static const char place[] = "\"Data\":\"";
    json_t *json = json_of(t, m);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    const char *at = text ? strstr(text, place) : NULL;
    if (at) {
        gchar *data = g_base64_encode((const guchar *)m->data, m->bytes);
        at += sizeof place - 1;
        str_add(out, text, (size_t)(at - text));
        str_puts(out, data);
        str_puts(out, at);
        g_free(data);
    }
    free(text);
    json_decref(json);
    return at && !out->overflow;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* {"MessageId": "..."}, or the kind of error in a header or in __type, and {"message": "..."}. */
static void read_reply(struct transport *t, struct http_end *end)
{
    size_t bytes;
    const char *body = http_client_body(t->http, &bytes);
    json_t *reply = json_loadb(body, bytes, 0, NULL);
    const char *id = text_of(reply, "MessageId"), *type = http_client_header(t->http, "x-amzn-ErrorType"),
               *message = text_of(reply, "message");
    end->accepted = end->result == CURLE_OK && end->status == 200 && *id;
    snprintf(end->id, sizeof end->id, "%s", id);
    snprintf(end->words, sizeof end->words, "%.100s: %s", *type ? type : text_of(reply, "__type"),
             *message ? message : text_of(reply, "Message"));
    json_decref(reply);
}

static struct http_request request_of(const struct transport *t)
{
    return (struct http_request){.headers = t->headers,
                                 .aws_sigv4 = t->sigv4,
                                 .user = t->credentials.key,
                                 .password = t->credentials.secret};
}

static void post(struct transport *t, const struct transport_mail *m, const struct fp_str *body,
                 struct transport_reply *reply)
{
    struct http_end end;
    struct http_request q = request_of(t);
    q.url = t->send_url;
    q.body = body->data;
    q.bytes = body->len;
    q.may_go = m->may_go;
    q.turn = m->turn;
    q.lease_holds = m->lease_holds;
    q.ctx = m->ctx;
    reply->untried = !http_client_do(t->http, &q, &end);
    if (reply->untried)
        return;
    if (end.stage == HTTP_REPLY)
        read_reply(t, &end);
    end.recipient = m->recipient;
    classify_http(&end, reply);
}

static void ses_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    struct fp_err err;
    struct fp_str body;
    *reply = (struct transport_reply){.verdict = VERDICT_PROVIDER_FAULT};
    if (refresh_credentials(t, &err) != 0) {
        classify_clean(reply->reason, sizeof reply->reason, err.msg, NULL);
        return;
    }
    str_init(&body, 0);
    if (body_of(t, m, &body))
        post(t, m, &body, reply);
    else
        *reply = (struct transport_reply){.verdict = VERDICT_FAILED, .reason = "the address is not UTF-8"};
    str_fini(&body);
}

/* --- what the account allows --------------------------------------------------------------- */

static double number_of(const json_t *object, const char *key)
{
    double n = json_number_value(json_object_get(object, key));
    return n > 0 ? n : 0; /* -1: no limit */
}

static int ses_quota(struct transport *t, struct transport_quota *out, struct fp_err *err)
{
    struct http_end end;
    struct transport_reply reply;
    size_t bytes;
    if (refresh_credentials(t, err) != 0)
        return -1;
    struct http_request q = request_of(t);
    q.url = t->account_url;
    (void)http_client_do(t->http, &q, &end);
    if (end.stage == HTTP_REPLY)
        read_reply(t, &end);
    if (end.result != CURLE_OK || end.status != 200) {
        classify_http(&end, &reply);
        return err_set(err, FP_UNAVAILABLE, "the account's quota cannot be read: %s", reply.reason);
    }
    const char *body = http_client_body(t->http, &bytes);
    json_t *account = json_loadb(body, bytes, 0, NULL);
    const json_t *quota = json_object_get(account, "SendQuota");
    if (!json_is_number(
            json_object_get(quota, "MaxSendRate"))) { /* of a proxy, perhaps: not to be taken for no limit */
        json_decref(account);
        return err_set(err, FP_UNAVAILABLE, "the account's quota cannot be read: the answer has none");
    }
    *out = (struct transport_quota){.per_second = number_of(quota, "MaxSendRate"),
                                    .per_day = number_of(quota, "Max24HourSend"),
                                    .sent = number_of(quota, "SentLast24Hours")};
    json_decref(account);
    return 0;
}

const struct transport_ops transport_ses = {.name = "ses",
                                            .check = ses_check,
                                            .open = ses_open,
                                            .send = ses_send,
                                            .close = ses_close,
                                            .quota = ses_quota};
