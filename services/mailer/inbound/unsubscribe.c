/*
 * The unsubscribe link: /u/TOKEN.
 *
 * POST with List-Unsubscribe=One-Click is what a mail program sends when its
 * own button is pressed (RFC 8058), and what the button on our page sends. No
 * cookie, no redirect, and the second time is as good as the first. GET only
 * shows the page, because scanners follow every link of a mail. The page says what
 * ends, as unsubscribe-scope has it, and names nobody: who has the link need not be
 * the recipient.
 */
#define _GNU_SOURCE /* memmem */
#include "services/mailer/inbound/inbound.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"

#define HEAD                                                                                                  \
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"                                       \
    "<meta name=\"viewport\" content=\"width=device-width\"><title>%s</title><style>"                         \
    "body{font:1.1em/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em;color:#111;background:#fff}" \
    "button{font:inherit;padding:.6em 1.2em;color:#fff;background:#14532d;border:0;border-radius:.3em}"       \
    "button:focus{outline:3px solid #f59e0b}</style></head><body><main><h1>%s</h1>\n"
#define FOOT "</main></body></html>\n"

static void begin_page(struct answer *a, unsigned status, const char *what, const char *title)
{
    answer_text(a, status, what, "");
    a->type = "text/html; charset=utf-8";
    str_printf(&a->body, HEAD, title, title);
}

/* What a click on this link ends; NULL: all mail. */
static const char *kind_of(const struct request *q, const struct token_ids *ids)
{
    bool kind = strcmp(q->set->unsubscribe_scope, "kind") == 0 && ids->kind != TOKEN_KIND_NONE;
    return kind ? token_kind_name(ids->kind) : NULL;
}

/* "Your weekly report is", "No report is": the words of both pages. */
static void add_what(struct answer *a, const char *before, const char *kind, const char *after)
{
    struct fp_str *b = &a->body;
    str_puts(b, before);
    if (kind && strcmp(kind, "custom") != 0)
        str_printf(b, "your %s report is not mailed to you any more. Reports of other kinds are not changed",
                   kind);
    else if (kind)
        str_puts(b,
                 "this kind of report is not mailed to you any more. Reports of other kinds are not changed");
    else
        str_puts(b, "no report is mailed to you any more, of whatever kind");
    str_puts(b, after);
}

static void ask(struct answer *a, const char *kind)
{
    begin_page(a, 200, "page", "Unsubscribe?");
    add_what(a, "<p>Press the button, and ", kind, ".</p>\n");
    str_puts(&a->body,
             "<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\">"
             "<button type=\"submit\">Unsubscribe</button></form>\n" FOOT);
}

static void confirm(struct answer *a, const char *kind)
{
    begin_page(a, 200, "unsubscribed", "You are unsubscribed");
    add_what(a, "<p>From now on ", kind,
             ".</p>\n<p>A mail that is on its way right now may still arrive.</p>\n");
    str_puts(&a->body, FOOT);
}

static void refuse(struct answer *a, const struct fp_err *err)
{
    bool forged = err->code == FP_PERMISSION_DENIED || err->code == FP_NOT_FOUND;
    begin_page(a, forged ? 403 : 404, forged ? "forged" : "bad", "This link does not work");
    str_puts(&a->body,
             "<p>It is damaged, or too old. Please use the link in a newer mail, or write to us.</p>\n" FOOT);
}

/* Form-encoded, or as multipart/form-data. */
static bool is_one_click(const struct request *q)
{
    static const char form[] = "List-Unsubscribe=One-Click", part[] = "name=\"List-Unsubscribe\"",
                      value[] = "One-Click";
    if (memmem(q->body, q->bytes, form, sizeof form - 1))
        return true;
    return memmem(q->body, q->bytes, part, sizeof part - 1) &&
           memmem(q->body, q->bytes, value, sizeof value - 1);
}

static struct ledger_event event_of(const struct token_ids *ids, const char *kind)
{
    struct ledger_event e = {.job_id = ids->job_id,
                             .user_id = ids->user_id,
                             .event = EVENT_UNSUBSCRIBED,
                             .provider = "one-click",
                             .occurred_us = clock_wall_us(),
                             .suppress = SUPPRESSION_UNSUBSCRIBE};
    snprintf(e.scope, sizeof e.scope, "%s", kind ? kind : "all");
    return e;
}

void unsubscribe_answer(const struct request *q, struct answer *a)
{
    struct fp_err err;
    struct token_ids ids;
    if (token_check(q->keys, TOKEN_UNSUBSCRIBE, q->path, strlen(q->path), &ids, &err) < 0) {
        refuse(a, &err);
    } else if (!q->is_post) {
        ask(a, kind_of(q, &ids));
    } else if (!is_one_click(q)) {
        answer_text(a, 400, "bad", "the body must be List-Unsubscribe=One-Click\n");
    } else {
        const struct ledger_event e = event_of(&ids, kind_of(q, &ids));
        if (inbound_store(q->in, &e, 1, &err) < 0)
            answer_unstored(a, "unsubscribe", &err);
        else
            confirm(a, kind_of(q, &ids));
    }
}
