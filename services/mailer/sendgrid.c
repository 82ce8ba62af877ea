/*
 * SendGrid, API v3: POST /v3/mail/send, a call for each mail.
 *
 * The call wants the mail in pieces and makes the MIME itself, so the rendered
 * mail is read back by GMime: subject, parts and our own headers go over as
 * they are; what SendGrid sets itself (MIME, addresses, subject) does not.
 * custom_args come back with every event. Its rewriting of links and its
 * tracking pixels are switched off: the mail is to arrive as it was made.
 *
 * 202 means accepted. Anything else that looks like success is not known to be
 * one; the sandbox's 200 is such.
 */
#include <glib.h>
#include <gmime/gmime.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "services/mailer/http_client.h"
#include "services/mailer/secret.h"
#include "services/mailer/transports.h"

#define HOST      "https://api.sendgrid.com"
#define SEND_PATH "/v3/mail/send"

#define NOT_IN_NAMES ",;" /* it refuses mails in which a name has one of these */

struct transport {
    struct http_client *http;
    char *url;
    struct secret key;
    struct curl_slist *headers;
};

/* --- life ----------------------------------------------------------------------------- */

static int refresh_key(struct transport *t, struct fp_err *err)
{
    bool changed;
    struct fp_str line;
    if (secret_refresh(&t->key, &changed, err) != 0)
        return err_prefix(err, "api-key-file");
    if (!changed)
        return 0;
    str_init(&line, 0);
    str_printf(&line, "Authorization: Bearer %s", t->key.text ? t->key.text : "");
    curl_slist_free_all(t->headers);
    t->headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), line.data);
    explicit_bzero(line.data, line.len);
    str_fini(&line);
    return 0;
}

static void sendgrid_close(struct transport *t)
{
    if (!t)
        return;
    http_client_free(t->http);
    curl_slist_free_all(t->headers);
    secret_fini(&t->key);
    mem_free(t->url);
    mem_free(t);
}

static void gmime_start(void)
{
    g_mime_init();
}

static struct transport *sendgrid_open(const struct transport_settings *s, struct fp_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct http_client_options o = {.ca_file = s->api_ca_file,
                                          .connect_timeout_ms = s->connect_timeout_ms,
                                          .reply_timeout_ms = s->reply_timeout_ms,
                                          .requests_per_connection = s->mails_per_connection};
    const char *host = *s->api_url ? s->api_url : HOST;
    size_t n = strlen(host);
    struct fp_str url;
    if (!*s->api_key_file) {
        err_set(err, FP_INVALID_ARGUMENT, "api-key-file: the file with SendGrid's API key is needed");
        return NULL;
    }
    if (http_client_check_url("api-url", host, err) != 0)
        return NULL;
    pthread_once(&once, gmime_start);
    struct transport *t = mem_alloc(sizeof *t);
    str_init(&url, 4096);
    str_printf(&url, "%.*s%s", (int)(n - (host[n - 1] == '/')), host, SEND_PATH);
    t->url = str_take(&url);
    t->http = http_client_new(&o);
    secret_init(&t->key, s->api_key_file, false);
    if (refresh_key(t, err) != 0) {
        sendgrid_close(t);
        return NULL;
    }
    return t;
}

static int sendgrid_check(const struct transport_settings *s, struct fp_err *err)
{
    struct transport *t = sendgrid_open(s, err);
    sendgrid_close(t);
    return t ? 0 : -1;
}

/* A company's own name is not changed behind its back. */
static int sendgrid_check_sender(const char *from, const char *reply_to, struct fp_err *err)
{
    const char *const texts[] = {from, reply_to}, *const names[] = {"from", "reply-to"};
    for (size_t i = 0; i < 2; i++)
        if (texts[i][strcspn(texts[i], NOT_IN_NAMES)])
            return err_set(err, FP_INVALID_ARGUMENT,
                           "%s: \"%.200s\": SendGrid takes no comma and no semicolon in a name", names[i],
                           texts[i]);
    return 0;
}

/* --- from MIME to JSON --------------------------------------------------------------------- */

/* What SendGrid makes itself, or refuses to take. */
static bool is_theirs(const char *name)
{
    static const char *const theirs[] = {
        "From",    "To",           "Cc",   "Bcc",      "Reply-To",
        "Subject", "MIME-Version", "Date", "Received", "DKIM-Signature",
        "X-SG-ID", "X-SG-EID",
    };
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++)
        if (strcasecmp(name, theirs[i]) == 0)
            return true;
    return strncasecmp(name, "Content-", 8) == 0;
}

/* A raw value as the wire has it, unfolded: encoded words stay as they are. */
static json_t *header_value(const char *raw)
{
    struct fp_str value;
    str_init(&value, 0);
    raw += strspn(raw, " \t");
    for (const char *p = raw; *p; p++)
        if (*p != '\r' && *p != '\n')
            str_putc(&value, *p);
    json_t *json = json_string(value.data ? value.data : "");
    str_fini(&value);
    return json;
}

static json_t *headers_of(GMimeObject *message)
{
    json_t *headers = json_object();
    GMimeHeaderList *list = g_mime_object_get_header_list(message);
    for (int i = 0; i < g_mime_header_list_get_count(list); i++) {
        GMimeHeader *h = g_mime_header_list_get_header_at(list, i);
        if (!is_theirs(g_mime_header_get_name(h)))
            json_object_set_new(headers, g_mime_header_get_name(h),
                                header_value(g_mime_header_get_raw_value(h)));
    }
    return headers;
}

static json_t *named(const char *address, InternetAddress *a)
{
    const char *name = a ? internet_address_get_name(a) : NULL;
    struct fp_str plain;
    str_init(&plain, 0);
    for (const char *p = name ? name : ""; *p; p++)
        if (!strchr(NOT_IN_NAMES, *p))
            str_putc(&plain, *p);
    json_t *json = json_pack("{s:s, s:s*}", "email", address, "name", plain.len ? plain.data : NULL);
    str_fini(&plain);
    return json;
}

static json_t *mailbox(InternetAddressList *list)
{
    InternetAddress *a = list ? internet_address_list_get_address(list, 0) : NULL;
    if (!a || !INTERNET_ADDRESS_IS_MAILBOX(a))
        return NULL;
    return named(internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(a)), a);
}

/* The address of the envelope, with the name that To has. */
static json_t *recipient(GMimeMessage *message, const struct transport_mail *m)
{
    InternetAddressList *to = g_mime_message_get_to(message);
    return named(m->recipient, to ? internet_address_list_get_address(to, 0) : NULL);
}

static json_t *attachment(GMimePart *part)
{
    GMimeDataWrapper *content = g_mime_part_get_content(part);
    GMimeStream *bytes = g_mime_stream_mem_new();
    g_mime_data_wrapper_write_to_stream(content, bytes);
    GByteArray *array = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(bytes));
    gchar *base64 = g_base64_encode(array->data, array->len);
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(GMIME_OBJECT(part)));
    const char *name = g_mime_part_get_filename(part), *id = g_mime_part_get_content_id(part);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s*}", "content", base64, "type", type, "filename",
                  name ? name : "part", "disposition", id ? "inline" : "attachment", "content_id", id);
    g_free(type);
    g_free(base64);
    g_object_unref(bytes);
    return json;
}

/* Texts are JSON at once: jansson looks at each byte of 40,000 three times over. */
struct pieces {
    struct fp_str content;
    json_t *attachments;
};

static void add_part(GMimeObject *parent, GMimeObject *part, gpointer ctx)
{
    struct pieces *p = ctx;
    (void)parent;
    GMimeContentType *type = g_mime_object_get_content_type(part);
    if (GMIME_IS_MULTIPART(part))
        return;
    if (!GMIME_IS_TEXT_PART(part)) {
        if (GMIME_IS_PART(part))
            json_array_append_new(p->attachments, attachment(GMIME_PART(part)));
        return;
    }
    char *text = g_mime_text_part_get_text(GMIME_TEXT_PART(part)),
         *name = g_mime_content_type_get_mime_type(type);
    str_puts(&p->content, p->content.len ? ",{\"type\":" : "{\"type\":");
    str_json(&p->content, name);
    str_puts(&p->content, ",\"value\":");
    str_json(&p->content, text ? text : "");
    str_putc(&p->content, '}');
    g_free(name);
    g_free(text);
}

static json_t *custom_args(const struct transport_mail *m)
{
    char job[24], user[24];
    snprintf(job, sizeof job, "%" PRId64, m->job_id);
    snprintf(user, sizeof user, "%" PRId64, m->user_id);
    return json_pack("{s:s, s:s, s:s*}", "foliopost_job", job, "foliopost_user", user, "foliopost_token",
                     m->token && *m->token ? m->token : NULL);
}

static json_t *no_tracking(void)
{
    static const char *const kinds[] = {"click_tracking", "open_tracking", "subscription_tracking"};
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        json_object_set_new(json, kinds[i], json_pack("{s:b}", "enable", 0));
    return json;
}

/* All but the texts. */
static json_t *json_of(GMimeMessage *message, const struct transport_mail *m, const struct pieces *p)
{
    const char *subject = g_mime_message_get_subject(message);
    json_t *json =
        json_pack("{s:[{s:[o], s:o}], s:o, s:o*, s:s, s:o, s:o}", "personalizations", "to",
                  recipient(message, m), "custom_args", custom_args(m), "from",
                  mailbox(g_mime_message_get_from(message)), "reply_to",
                  mailbox(g_mime_message_get_reply_to(message)), "subject", subject ? subject : "", "headers",
                  headers_of(GMIME_OBJECT(message)), "tracking_settings", no_tracking());
    if (json_array_size(p->attachments) > 0)
        json_object_set(json, "attachments", p->attachments);
    return json;
}

/* NULL: the mail cannot be said in JSON. */
static char *text_of(GMimeMessage *message, const struct transport_mail *m)
{
    struct pieces p = {.attachments = json_array()};
    struct fp_str body;
    str_init(&p.content, 0);
    g_mime_message_foreach(message, add_part, &p);
    json_t *json = json_of(message, m, &p);
    char *rest = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    json_decref(p.attachments);
    str_init(&body, 0);
    if (rest) { /* an object, never an empty one, whose "{" gives way to ours */
        str_puts(&body, "{\"content\":[");
        str_add(&body, p.content.data, p.content.len);
        str_puts(&body, "],");
        str_puts(&body, rest + 1);
    }
    bool whole = rest && !body.overflow && !p.content.overflow;
    free(rest);
    str_fini(&p.content);
    if (whole)
        return str_take(&body);
    str_fini(&body);
    return NULL;
}

static char *body_of(const struct transport_mail *m)
{
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(m->data, m->bytes);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);
    char *text = message ? text_of(message, m) : NULL;
    if (message)
        g_object_unref(message);
    g_object_unref(parser);
    g_object_unref(stream);
    return text;
}

/* --- one mail --------------------------------------------------------------------------------- */

/* {"errors": [{"message": "...", "field": "..."}]}: the first is enough. */
static void read_reply(struct transport *t, struct http_end *end)
{
    size_t bytes;
    const char *body = http_client_body(t->http, &bytes);
    json_t *reply = json_loadb(body, bytes, 0, NULL);
    const json_t *first = json_array_get(json_object_get(reply, "errors"), 0);
    const char *field = json_string_value(json_object_get(first, "field")),
               *message = json_string_value(json_object_get(first, "message"));
    end->accepted = end->status == 202;
    snprintf(end->id, sizeof end->id, "%s", http_client_header(t->http, "x-message-id"));
    if (message)
        snprintf(end->words, sizeof end->words, "%.100s%s%s", field ? field : "", field ? ": " : "", message);
    json_decref(reply);
}

static void post(struct transport *t, const struct transport_mail *m, const char *body,
                 struct transport_reply *reply)
{
    struct http_end end;
    const struct http_request q = {.url = t->url,
                                   .headers = t->headers,
                                   .body = body,
                                   .bytes = strlen(body),
                                   .may_go = m->may_go,
                                   .turn = m->turn,
                                   .lease_holds = m->lease_holds,
                                   .ctx = m->ctx};
    reply->untried = !http_client_do(t->http, &q, &end);
    if (reply->untried)
        return;
    if (end.stage == HTTP_REPLY)
        read_reply(t, &end);
    end.recipient = m->recipient;
    classify_http(&end, reply);
}

static void sendgrid_send(struct transport *t, const struct transport_mail *m, struct transport_reply *reply)
{
    struct fp_err err;
    *reply = (struct transport_reply){.verdict = VERDICT_PROVIDER_FAULT};
    if (refresh_key(t, &err) != 0) {
        classify_clean(reply->reason, sizeof reply->reason, err.msg, NULL);
        return;
    }
    char *body = body_of(m);
    if (body)
        post(t, m, body, reply);
    else
        *reply =
            (struct transport_reply){.verdict = VERDICT_FAILED, .reason = "the mail cannot be said in JSON"};
    mem_free(body);
}

const struct transport_ops transport_sendgrid = {.name = "sendgrid",
                                                 .check = sendgrid_check,
                                                 .check_sender = sendgrid_check_sender,
                                                 .open = sendgrid_open,
                                                 .send = sendgrid_send,
                                                 .close = sendgrid_close};
