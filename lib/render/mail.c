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
#include "lib/render/digest.h"
#include "lib/render/mime.h"
#include "lib/render/render.h"
#include "lib/render/statement.h"
#include "lib/render/templates.h"

#define MAX_MAIL_BYTES  (256 * 1024)
#define MAX_FROM_BYTES  320         /* a display name and an address */
#define MAX_HOST_BYTES  253         /* RFC 1035 */
#define TEXT_COLUMNS    72          /* of the text part: what old mail readers and quoting leave of 80 */
#define FIRST_MAIL_ROOM (24 * 1024) /* what a statement takes: saves growing step by step */

struct mailbox {
    char name[MAX_FROM_BYTES], address[MAX_FROM_BYTES];
};

/* "Name <address>", "\"Name, Inc.\" <address>" or "address". */
static int parse_mailbox(const char *what, const char *text, struct mailbox *out, struct fp_err *err)
{
    const char *open = strrchr(text, '<');
    size_t n = strlen(text);
    out->name[0] = 0;
    if (n >= MAX_FROM_BYTES || !text_is_clean(text))
        return err_set(err, FP_INVALID_ARGUMENT, "%s is longer than %d bytes or holds control characters",
                       what, MAX_FROM_BYTES - 1);
    if (!open) {
        memcpy(out->address, text, n + 1);
    } else {
        snprintf(out->address, sizeof out->address, "%s", open + 1);
        size_t a = strlen(out->address);
        if (a == 0 || out->address[a - 1] != '>')
            return err_set(err, FP_INVALID_ARGUMENT, "%s \"%s\" is not like \"Name <name@example.com>\"",
                           what, text);
        out->address[a - 1] = 0;
        char *o = out->name;
        for (const char *p = text; p < open; p++)
            if (*p != '"' && *p != '\\')
                *o++ = *p;
        *o = 0;
    }
    if (!text_is_address(out->address))
        return err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is not a usable mail address", what,
                       out->address);
    return 0;
}

static bool is_host(const char *host)
{
    size_t n = strlen(host);
    if (n == 0 || n > MAX_HOST_BYTES || host[0] == '.' || host[n - 1] == '.' || strstr(host, ".."))
        return false;
    return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

int render_check_sender(const struct render_sender *s, struct fp_err *err)
{
    struct mailbox box;
    if (parse_mailbox("the sender", s->from, &box, err) != 0)
        return -1;
    if (*s->reply_to && parse_mailbox("the reply address", s->reply_to, &box, err) != 0)
        return -1;
    if (!is_host(s->message_host))
        return err_set(err, FP_INVALID_ARGUMENT, "the host of the Message-ID, \"%.100s\", is not a host name",
                       s->message_host);
    if (!text_is_clean(s->postal_address))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "the postal address holds control characters; it must be one line");
    return 0;
}

/* What is the same for each attempt at this mail, and for no other mail. */
static void identify(const struct render_sender *s, const Foliopost__V1__JobContext *job, int64_t user_id,
                     char hex[65])
{
    char text[128];
    struct digest d;
    int n = snprintf(text, sizeof text, "%lld.%lld.%lld.", (long long)job->job_id, (long long)user_id,
                     (long long)job->mail_date_us);
    digest_init(&d);
    digest_add(&d, text, (size_t)n);
    digest_add(&d, s->message_host, strlen(s->message_host));
    digest_hex(&d, hex);
}

struct mail {
    const struct fp_mustache_set *set;
    const struct template_mail *templates;
    struct mustache_value root;
    char id[65];
    struct fp_str *out, scratch;
    struct fp_err *err;
};

static int add_subject(struct mail *m)
{
    str_clear(&m->scratch);
    if (mustache_render(m->set, m->templates->subject, &m->root, &m->scratch, m->err) != 0)
        return -1;
    mime_add_text_header(m->out, "Subject", m->scratch.data);
    return 0;
}

static int add_headers(struct mail *m, const struct render_sender *s, const Foliopost__V1__JobContext *job,
                       const Foliopost__V1__User *user, const char *to_name)
{
    struct mailbox from, reply;
    char date[40];
    if (parse_mailbox("the sender", s->from, &from, m->err) != 0)
        return -1;
    time_format_rfc5322(job->mail_date_us, date);
    str_printf(m->out, "Date: %s\r\n", date);
    mime_add_address_header(m->out, "From", from.name, from.address);
    if (*s->reply_to) {
        if (parse_mailbox("the reply address", s->reply_to, &reply, m->err) != 0)
            return -1;
        mime_add_address_header(m->out, "Reply-To", reply.name, reply.address);
    }
    mime_add_address_header(m->out, "To", to_name, user->email);
    if (add_subject(m) != 0)
        return -1;
    str_printf(m->out,
               "Message-ID: <%lld.%lld.%.16s@%s>\r\n"
               "MIME-Version: 1.0\r\n"
               "Auto-Submitted: auto-generated\r\n"
               "Content-Language: en\r\n"
               "Content-Type: multipart/alternative; boundary=\"=_%.24s\"\r\n\r\n",
               (long long)job->job_id, (long long)user->id, m->id, s->message_host, m->id);
    return 0;
}

static void add_part(struct mail *m, const char *type, const struct fp_str *body)
{
    str_printf(m->out,
               "--=_%.24s\r\n"
               "Content-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               m->id, type);
    mime_add_quoted_printable(m->out, body->data, body->len);
    str_puts(m->out, "\r\n");
}

static int add_text_part(struct mail *m)
{
    struct fp_str wrapped;
    str_clear(&m->scratch);
    if (mustache_render(m->set, m->templates->text, &m->root, &m->scratch, m->err) != 0)
        return -1;
    str_init(&wrapped, MAX_MAIL_BYTES);
    str_room(&wrapped, m->scratch.len + m->scratch.len / 8);
    format_wrap(m->scratch.data, TEXT_COLUMNS, &wrapped);
    add_part(m, "text/plain", &wrapped);
    str_fini(&wrapped);
    return 0;
}

static int add_html_part(struct mail *m)
{
    str_clear(&m->scratch);
    if (mustache_render(m->set, m->templates->html, &m->root, &m->scratch, m->err) != 0)
        return -1;
    add_part(m, "text/html", &m->scratch);
    return 0;
}

static int add_mail(struct mail *m, const struct render_sender *s, const Foliopost__V1__JobContext *job,
                    const Foliopost__V1__User *user, const char *to_name)
{
    size_t start = m->out->len;
    if (add_headers(m, s, job, user, to_name) != 0 || add_text_part(m) != 0 || add_html_part(m) != 0)
        return -1;
    str_printf(m->out, "--=_%.24s--\r\n", m->id);
    if (m->out->overflow || m->out->len - start > MAX_MAIL_BYTES)
        return err_set(m->err, FP_RESOURCE_EXHAUSTED, "the mail of user %lld is larger than %d bytes",
                       (long long)user->id, MAX_MAIL_BYTES);
    return 0;
}

/* Back to what was in the buffer before. */
static void take_back(struct fp_str *out, size_t len)
{
    out->len = len;
    if (out->cap)
        out->data[len] = 0;
}

int render_mail(const struct fp_templates *t, const struct render_sender *s,
                const Foliopost__V1__JobContext *job, const Foliopost__V1__SummaryItem *item,
                struct fp_str *out, struct fp_err *err)
{
    struct statement view;
    struct mailbox from;
    struct mail m = {.set = templates_set(t), .out = out, .err = err};
    size_t len = out->len;
    if (parse_mailbox("the sender", s->from, &from, err) != 0 ||
        statement_fill(&view, s, *from.name ? from.name : from.address, job, item, err) != 0)
        return -1;
    m.templates = templates_find(t, job->template_name);
    if (!m.templates)
        return err_set(err, FP_NOT_FOUND, "there is no template \"%.100s\"", job->template_name);
    if (!text_is_address(item->user->email))
        return err_set(err, FP_INVALID_ARGUMENT, "user %lld has no usable mail address",
                       (long long)item->user->id);
    statement_root(&view, &m.root);
    identify(s, job, item->user->id, m.id);
    str_init(&m.scratch, MAX_MAIL_BYTES);
    str_room(&m.scratch, FIRST_MAIL_ROOM);
    int rc = add_mail(&m, s, job, item->user, view.name);
    if (rc != 0)
        take_back(out, len);
    str_fini(&m.scratch);
    return rc;
}
