/*
 * One mail, from headers to the closing boundary.
 *
 * The same input gives the same bytes: nothing here reads a clock or a random
 * source, so that a mail sent twice after a crash is the same mail with the
 * same Message-ID and readers can drop the copy. The boundary begins with "=_",
 * which quoted-printable text cannot hold ("=" is always followed by a hex
 * digit or a line end there), so it needs no search.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/render/columns.h"
#include "lib/render/digest.h"
#include "lib/render/mailbox.h"
#include "lib/render/mime.h"
#include "lib/render/render.h"
#include "lib/render/statement.h"
#include "lib/render/templates.h"

#define MAX_MAIL_BYTES (256 * 1024)
#define TEXT_COLUMNS   72 /* of the text part: what old mail readers and quoting leave of 80 */
#define FIRST_MAIL_ROOM                                                                                      \
    (64 * 1024 - 1) /* what a statement takes, with its NUL: saves growing step by step                      \
                     */

/* What one mail is made from and into. */
struct making {
    const struct render_sender *sender;
    const struct render_extras *extras;
    const Foliopost__V1__JobContext *job;
    const Foliopost__V1__User *user;
    const char *to;
    const struct language *language;
    const struct template_mail *templates;
    struct mailbox from;
    struct statement view;
    struct mustache_value root;
    char id[65];
    struct fp_str *out, scratch;
    struct digest content;
    bool hashed; /* somebody asks for it */
    struct fp_err *err;
};

/* --- the beginning ----------------------------------------------------------------- */

/* What is the same for each attempt at this mail, and for no other mail. */
static void identify(struct making *m)
{
    char text[128];
    struct digest d;
    int n = snprintf(text, sizeof text, "%lld.%lld.%lld.", (long long)m->job->job_id, (long long)m->user->id,
                     (long long)m->job->mail_date_us);
    digest_init(&d);
    digest_add(&d, text, (size_t)n);
    digest_add(&d, m->sender->message_host, strlen(m->sender->message_host));
    digest_hex(&d, m->id);
}

static int fill_view(struct making *m, const struct fp_templates *t, const Foliopost__V1__SummaryItem *item)
{
    char tag[INTL_TAG_BYTES];
    m->language = templates_language(t, m->user->locale, tag);
    m->templates = templates_find(m->language, m->job->template_name);
    if (!m->templates)
        return err_set(m->err, FP_NOT_FOUND, "there is no template \"%.100s\"", m->job->template_name);
    const struct statement_from from = {.parts = m->templates->parts,
                                        .sender = m->sender,
                                        .sender_name = *m->from.name ? m->from.name : m->from.address,
                                        .extras = m->extras,
                                        .job = m->job,
                                        .item = item,
                                        .language = m->language,
                                        .intl = intl_of_thread(tag, m->err)};
    if (!from.intl || statement_fill(&m->view, &from, m->err) != 0)
        return -1;
    statement_root(&m->view, &m->root);
    return 0;
}

static int begin(struct making *m, const struct fp_templates *t, const Foliopost__V1__SummaryItem *item)
{
    static const struct render_extras none = {"", "", "", false};
    m->extras = m->extras ? m->extras : &none;
    if (!m->job || !item->user)
        return err_set(m->err, FP_INVALID_ARGUMENT, "no job or no user to render for");
    m->user = item->user;
    m->to = *m->extras->to ? m->extras->to : m->user->email;
    if (mailbox_parse("the sender", m->sender->from, &m->from, m->err) != 0 || fill_view(m, t, item) != 0)
        return -1;
    if (!text_is_address(m->to))
        return err_set(m->err, FP_INVALID_ARGUMENT, "no usable mail address");
    identify(m);
    return 0;
}

/* --- the parts, into scratch ---------------------------------------------------------- */

static int make_subject(struct making *m)
{
    str_clear(&m->scratch);
    return mustache_render(m->language->text, m->templates->subject, &m->root, &m->scratch, m->err);
}

static int make_text(struct making *m)
{
    struct fp_str plain;
    str_init(&plain, MAX_MAIL_BYTES);
    int rc = mustache_render(m->language->text, m->templates->text, &m->root, &plain, m->err);
    str_clear(&m->scratch);
    str_room(&m->scratch, plain.len + plain.len / 8 + 1);
    if (rc == 0 && plain.data)
        columns_wrap(plain.data, TEXT_COLUMNS, &m->scratch);
    str_fini(&plain);
    return rc;
}

/* Quoted: templates_load() says so. */
static int make_html(struct making *m)
{
    str_clear(&m->scratch);
    return mustache_render(m->language->html, m->templates->html, &m->root, &m->scratch, m->err);
}

/* --- headers ------------------------------------------------------------------------------ */

static int add_reply_to(struct making *m)
{
    struct mailbox reply;
    if (!*m->sender->reply_to)
        return 0;
    if (mailbox_parse("the reply address", m->sender->reply_to, &reply, m->err) != 0)
        return -1;
    mime_add_address_header(m->out, "Reply-To", reply.name, reply.address);
    return 0;
}

/* Nothing that could end the URI, or be read as a second one. */
static bool is_mailto(const char *uri)
{
    size_t n = strlen(uri);
    for (size_t i = 0; i < n; i++)
        if (uri[i] <= ' ' || uri[i] > '~' || strchr("<>,\"", uri[i]))
            return false;
    return n < 900 && strncmp(uri, "mailto:", 7) == 0;
}

/* RFC 8058: one HTTPS URI, never encoded and never folded within. */
static void add_unsubscribe(struct making *m)
{
    const struct render_extras *x = m->extras;
    if (!mime_is_uri(x->unsubscribe_url))
        return;
    str_printf(m->out, "List-Unsubscribe: <%s>", x->unsubscribe_url);
    if (is_mailto(x->unsubscribe_mailto))
        str_printf(m->out, ",\r\n <%s>", x->unsubscribe_mailto);
    str_puts(m->out, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
}

/* A name of a job as an atom: what is none becomes "-". */
static void atom(const char *in, char out[33])
{
    size_t n = 0;
    for (; *in && n < 32; in++)
        out[n++] =
            strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", *in) ? *in : '-';
    out[n] = 0;
}

/* What providers sort complaints by, and readers filter by. */
static void add_list(struct making *m)
{
    char kind[33], brand[33];
    atom(*m->job->kind ? m->job->kind : "custom", kind);
    atom(*m->job->brand ? m->job->brand : "default", brand);
    const struct render_sender *s = m->sender;
    str_printf(m->out, "List-Id: <%s.statements.%s>\r\n", kind,
               s->list_host && *s->list_host ? s->list_host : s->message_host);
    str_printf(m->out, "Feedback-ID: %lld:%s:%s:%s\r\n", (long long)m->job->job_id, kind, brand,
               s->feedback_sender && *s->feedback_sender ? s->feedback_sender : "foliopost");
}

/* As a reader sees it: the template's last line end is none of the subject's. */
static void hash_subject(struct making *m)
{
    size_t n = m->scratch.len;
    while (n > 0 && (m->scratch.data[n - 1] == '\n' || m->scratch.data[n - 1] == '\r'))
        n--;
    if (m->hashed && n)
        digest_add(&m->content, m->scratch.data, n);
    if (m->hashed)
        digest_add(&m->content, "\n", 1);
}

static void hash_text(struct making *m)
{
    if (m->hashed && m->scratch.len)
        digest_add(&m->content, m->scratch.data, m->scratch.len);
}

static int add_subject(struct making *m)
{
    if (make_subject(m) != 0)
        return -1;
    hash_subject(m);
    mime_add_text_header(m->out, "Subject", m->scratch.data ? m->scratch.data : "");
    return 0;
}

static int add_headers(struct making *m)
{
    char date[40];
    time_format_rfc5322(m->job->mail_date_us, date);
    str_printf(m->out, "Date: %s\r\n", date);
    mime_add_address_header(m->out, "From", m->from.name, m->from.address);
    if (add_reply_to(m) != 0)
        return -1;
    mime_add_address_header(m->out, "To", m->view.name, m->to);
    if (add_subject(m) != 0)
        return -1;
    str_printf(m->out, "Message-ID: <%lld.%lld.%.16s@%s>\r\n", (long long)m->job->job_id,
               (long long)m->user->id, m->id, m->sender->message_host);
    add_unsubscribe(m);
    add_list(m);
    str_printf(m->out,
               "Auto-Submitted: auto-generated\r\n"
               "Content-Language: %s\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/alternative; boundary=\"=_%.24s\"\r\n\r\n",
               m->view.lang, m->id);
    return 0;
}

/* --- all together ---------------------------------------------------------------------------- */

static void add_part(struct making *m, const char *type, const struct fp_str *quoted)
{
    str_printf(m->out,
               "--=_%.24s\r\n"
               "Content-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               m->id, type);
    mime_add_quoted(m->out, quoted->data, quoted->len);
    str_puts(m->out, "\r\n");
}

static void add_text_part(struct making *m)
{
    struct fp_str quoted;
    str_init(&quoted, MAX_MAIL_BYTES);
    str_room(&quoted, m->scratch.len + m->scratch.len / 8 + 1);
    mime_quote(&quoted, m->scratch.data, m->scratch.len);
    add_part(m, "text/plain", &quoted);
    m->out->overflow = m->out->overflow || quoted.overflow;
    str_fini(&quoted);
}

static int add_mail(struct making *m)
{
    size_t start = m->out->len;
    str_room(m->out, FIRST_MAIL_ROOM);
    if (add_headers(m) != 0 || make_text(m) != 0)
        return -1;
    hash_text(m);
    add_text_part(m);
    if (make_html(m) != 0)
        return -1;
    add_part(m, "text/html", &m->scratch);
    str_printf(m->out, "--=_%.24s--\r\n", m->id);
    if (m->out->overflow || m->out->len - start > MAX_MAIL_BYTES)
        return err_set(m->err, FP_RESOURCE_EXHAUSTED, "larger than %d bytes", MAX_MAIL_BYTES);
    return 0;
}

/* Back to what was in the buffer before. */
static void take_back(struct fp_str *out, size_t len)
{
    out->len = len;
    if (out->cap)
        out->data[len] = 0;
}

static void tell(struct making *m, const struct fp_templates *t, struct render_info *info)
{
    unsigned char hash[DIGEST_BYTES];
    digest_end(&m->content, hash);
    memcpy(info->content, hash, sizeof info->content);
    templates_version(t, info->template_version);
}

int render_mail(const struct fp_templates *t, const struct render_sender *s,
                const struct render_extras *extras, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, struct fp_str *out, struct render_info *info,
                struct fp_err *err)
{
    struct making m; /* the view is large and filled in whole: not zeroed */
    m.sender = s;
    m.extras = extras;
    m.job = job;
    m.out = out;
    m.err = err;
    m.hashed = info != NULL;
    size_t len = out->len;
    if (begin(&m, t, item) != 0)
        return -1;
    str_init(&m.scratch, MAX_MAIL_BYTES);
    str_room(&m.scratch, FIRST_MAIL_ROOM);
    if (m.hashed)
        digest_init(&m.content);
    int rc = add_mail(&m);
    if (rc != 0)
        take_back(out, len);
    if (info)
        tell(&m, t, info);
    str_fini(&m.scratch);
    return rc;
}

int render_part(const struct fp_templates *t, const struct render_sender *s,
                const struct render_extras *extras, const Foliopost__V1__JobContext *job,
                const Foliopost__V1__SummaryItem *item, enum render_part part, struct fp_str *out,
                struct fp_err *err)
{
    struct making m;
    m.sender = s;
    m.extras = extras;
    m.job = job;
    m.out = out;
    m.err = err;
    if (begin(&m, t, item) != 0)
        return -1;
    str_init(&m.scratch, MAX_MAIL_BYTES);
    int rc = part == RENDER_SUBJECT ? make_subject(&m) : part == RENDER_TEXT ? make_text(&m) : make_html(&m);
    if (rc == 0 && part == RENDER_HTML)
        mime_unquote(&m.scratch);
    if (rc == 0 && m.scratch.len)
        str_add(out, m.scratch.data, m.scratch.len);
    str_fini(&m.scratch);
    return rc;
}
