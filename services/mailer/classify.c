/*
 * From (stage, reply code or HTTP status, enhanced status, words, CURLcode) to
 * a verdict, by a table.
 *
 * The three questions behind each row: may the mail have been accepted? Is it
 * about this user or about everybody? Is it for now or for good? What hits
 * everybody (relay down, authentication, sender policy) must never be charged
 * to a user; what may have been accepted must never be called unsent. A refusal
 * that does not name the mailbox is VAGUE: one is taken for the user's own,
 * some in a row for the provider's (hold.c). One that says that the mailbox is
 * not there SUPPRESSes: it is not mailed again. What is about our ACCOUNT there
 * (key, quota, suspension) is never a user's, even when his mail alone meets it.
 *
 * Sources: RFC 5321 (codes), RFC 3463 and the IANA registry of enhanced status
 * codes, RFC 6647 (greylisting), the published replies of the large mailbox
 * providers for missing authentication (5.7.23 to 5.7.40, 5.7.515), the API
 * references of SES v2 (SendEmail, common errors) and SendGrid v3. The class
 * of the reply code wins where the enhanced status says otherwise.
 */
#define _GNU_SOURCE /* strcasestr */
#include "services/mailer/classify.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/text.h"

#define AT(stage) (1u << (stage))
#define SETUP     (AT(SMTP_CONNECT) | AT(SMTP_AUTH))
#define PAYLOAD   (AT(SMTP_RCPT) | AT(SMTP_DATA) | AT(SMTP_BODY))
#define ALL       (SETUP | AT(SMTP_MAIL) | PAYLOAD)
#define HTTP      AT(HTTP_REPLY)
#define ANY       (-1)

/* A refusal: "550 5.1.1 text". subject and detail are ANY without a status. */
struct refusal {
    int code, subject, detail;
    const char *words;
};

struct rule {
    unsigned stages;
    int code_from, code_to;
    int subject, detail_from, detail_to; /* ANY: whatever it is */
    int verdict;                         /* perhaps with VAGUE, SUPPRESS or ACCOUNT */
    const char *words;                   /* in the reply, whatever its letters' case; NULL: any */
};

#define VAGUE    0x100
#define SUPPRESS 0x200
#define ACCOUNT  0x400
#define GONE     (VERDICT_FAILED | SUPPRESS)
#define OURS     (VERDICT_PROVIDER_FAULT | ACCOUNT)

/* The first row that fits decides. */
static const struct rule rules[] = {
    /* The account's own limit for a day: it stands until tomorrow. */
    {ALL, 454, 454, ANY, ANY, ANY, OURS, "daily message quota exceeded"},
    /* Too fast: slow down, charge nobody. */
    {ALL, 421, 421, ANY, ANY, ANY, VERDICT_THROTTLED, NULL},
    /* Postfix's defer_unauth_destination: it does not relay for us, now. */
    {AT(SMTP_RCPT), 454, 454, 7, 0, 1, VERDICT_PROVIDER_FAULT, NULL},
    {AT(SMTP_MAIL) | PAYLOAD, 454, 454, ANY, ANY, ANY, VERDICT_THROTTLED, NULL},
    {ALL, 400, 599, 7, 28, 28, VERDICT_THROTTLED, NULL},

    /* Before any mail, and in need of authentication: our settings or the relay. */
    {SETUP, 400, 599, ANY, ANY, ANY, OURS, NULL},
    {ALL, 530, 538, ANY, ANY, ANY, OURS, NULL},

    /* The recipient's mailbox or domain has changed hands (RFC 7293). */
    {ALL, 500, 599, 7, 17, 18, GONE, NULL},
    /* Sender policy: SPF, DKIM, DMARC, TLS, PTR, reputation. Also as 4xx. */
    {ALL, 500, 599, 7, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},
    {ALL, 400, 499, 7, 20, 27, VERDICT_PROVIDER_FAULT, NULL},
    {ALL, 400, 499, 7, 29, 40, VERDICT_PROVIDER_FAULT, NULL},
    {ALL, 400, 499, 7, 515, 515, VERDICT_PROVIDER_FAULT, NULL},
    {ALL, 400, 599, 1, 7, 8, VERDICT_PROVIDER_FAULT, NULL}, /* the sender's address */

    /* A full mailbox empties again; 552 is its code without a status, as
     * Postfix reads it too. A mail too large for it stays too large. */
    {ALL, 400, 599, 2, 2, 2, VERDICT_DEFERRED, NULL},
    {PAYLOAD, 500, 599, 2, 3, 3, VERDICT_FAILED, NULL},
    {AT(SMTP_MAIL) | PAYLOAD, 500, 599, 3, 4, 4, VERDICT_FAILED | VAGUE, NULL},
    /* The mail system itself: disk, resolver, tables, a filter that is away. */
    {ALL, 400, 599, 3, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},
    {AT(SMTP_MAIL), 552, 552, ANY, ANY, ANY, VERDICT_FAILED | VAGUE, NULL}, /* of MAIL's SIZE=: this mail */
    {PAYLOAD, 552, 552, ANY, ANY, ANY, VERDICT_DEFERRED | VAGUE, NULL},

    /* It does not understand us: not what a recipient can be blamed for. */
    {ALL, 500, 500, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},
    {ALL, 502, 503, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},

    /* At MAIL no recipient was named yet. */
    {AT(SMTP_MAIL), 400, 499, ANY, ANY, ANY, VERDICT_THROTTLED, NULL},
    {AT(SMTP_MAIL), 500, 599, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},

    /* These name the mailbox. 4.1.x does not: a relay whose resolver is away
     * says that of everybody. */
    {PAYLOAD, 400, 499, 2, ANY, ANY, VERDICT_DEFERRED, NULL},
    {PAYLOAD, 500, 599, 1, 1, 1, GONE, NULL},   /* no such mailbox */
    {PAYLOAD, 500, 599, 1, 3, 3, GONE, NULL},   /* no address at all */
    {PAYLOAD, 500, 599, 1, 6, 6, GONE, NULL},   /* moved */
    {PAYLOAD, 500, 599, 1, 10, 10, GONE, NULL}, /* the domain says that it takes no mail (RFC 7505) */
    {PAYLOAD, 500, 599, 2, 1, 1, GONE, NULL},   /* disabled */
    /* Not 5.1.2: a resolver that errs says "no such domain" of many. */
    {PAYLOAD, 500, 599, 1, ANY, ANY, VERDICT_FAILED, NULL},
    {PAYLOAD, 500, 599, 2, ANY, ANY, VERDICT_FAILED, NULL},
    {PAYLOAD, 400, 499, ANY, ANY, ANY, VERDICT_DEFERRED | VAGUE, NULL},
    {PAYLOAD, 500, 599, ANY, ANY, ANY, VERDICT_FAILED | VAGUE, NULL},

    /* No such class of replies: only after 354 can it have meant "accepted". */
    {AT(SMTP_BODY), 0, 999, ANY, ANY, ANY, VERDICT_AMBIGUOUS, NULL},
    {ALL, 0, 999, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},

    /* --- HTTP: the account ---------------------------------------------------------- */
    {HTTP, 400, 499, ANY, ANY, ANY, OURS, "quota exceeded"},
    {HTTP, 400, 499, ANY, ANY, ANY, OURS, "credits exceeded"},
    {HTTP, 400, 499, ANY, ANY, ANY, OURS, "Suspended"},
    {HTTP, 400, 499, ANY, ANY, ANY, OURS, "Paused"},
    {HTTP, 429, 429, ANY, ANY, ANY, VERDICT_THROTTLED, NULL},
    {HTTP, 400, 499, ANY, ANY, ANY, VERDICT_THROTTLED, "Throttling"},
    {HTTP, 400, 499, ANY, ANY, ANY, VERDICT_THROTTLED, "TooManyRequests"},
    {HTTP, 400, 499, ANY, ANY, ANY, VERDICT_THROTTLED, "rate exceeded"},
    /* A 503 is as much a gateway's that got no answer for what it had passed on: only
     * with the provider's own name for it is it known that the mail was not taken. */
    {HTTP, 503, 503, ANY, ANY, ANY, VERDICT_THROTTLED, "Throttling:"},
    {HTTP, 503, 503, ANY, ANY, ANY, VERDICT_THROTTLED, "ThrottlingException"},
    {HTTP, 503, 503, ANY, ANY, ANY, VERDICT_THROTTLED, "TooManyRequestsException"},
    {HTTP, 400, 400, ANY, ANY, ANY, OURS, "LimitExceeded"},
    {HTTP, 400, 400, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, "NotVerified"},
    {HTTP, 400, 400, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, "not verified"}, /* the sender, to SES */
    {HTTP, 400, 400, ANY, ANY, ANY, OURS, "Signature"},
    {HTTP, 400, 400, ANY, ANY, ANY, OURS, "Token"},
    /* The sender is a brand's: its mails meet it, and others need not. */
    {HTTP, 403, 403, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, "verified Sender"},

    /* --- the mail: SendGrid names the field, SES speaks of the whole ------------------- */
    {HTTP, 400, 400, ANY, ANY, ANY, VERDICT_FAILED, "personalizations.0.to"},
    {HTTP, 400, 400, ANY, ANY, ANY, VERDICT_FAILED | VAGUE, NULL},
    {HTTP, 413, 413, ANY, ANY, ANY, VERDICT_FAILED | VAGUE, NULL},
    {HTTP, 422, 422, ANY, ANY, ANY, VERDICT_FAILED | VAGUE, NULL},

    /* Redirected, not allowed, not found: our settings. */
    {HTTP, 300, 399, ANY, ANY, ANY, OURS, NULL},
    {HTTP, 401, 407, ANY, ANY, ANY, OURS, NULL},
    {HTTP, 300, 499, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT, NULL},
    /* Behind a gateway, or half way through, the mail may have been taken; and
     * so may one whose reply says so, but not in the provider's form. */
    {HTTP, 0, 999, ANY, ANY, ANY, VERDICT_AMBIGUOUS, NULL},
};

/* No complete reply: the connection broke, or the time was over. */
static const struct {
    int verdict;
    const char *what;
} broken[] = {
    [SMTP_CONNECT] = {VERDICT_PROVIDER_FAULT, "no connection"},
    [SMTP_AUTH] = {VERDICT_PROVIDER_FAULT, "no answer to authentication"},
    [SMTP_MAIL] = {VERDICT_PROVIDER_FAULT, "no answer to MAIL"},
    [SMTP_RCPT] = {VERDICT_DEFERRED | VAGUE,
                   "no answer to RCPT"}, /* may be about this recipient: looked up, verified */
    [SMTP_DATA] = {VERDICT_DEFERRED | VAGUE, "no answer to DATA"},
    [SMTP_BODY] = {VERDICT_AMBIGUOUS, "no answer to the mail"},
    [HTTP_CONNECT] = {VERDICT_PROVIDER_FAULT, "no connection"},
    [HTTP_REQUEST] = {VERDICT_PROVIDER_FAULT, "the request was cut off"},
    [HTTP_WAIT] = {VERDICT_AMBIGUOUS, "no answer to the mail"},
    [HTTP_REPLY] = {VERDICT_AMBIGUOUS, "half an answer to the mail"},
};

/* --- reading a reply line ------------------------------------------------------------ */

static const char *skip_number(const char *p, int max_digits, int *out)
{
    int n = 0;
    for (*out = 0; n < max_digits && isdigit((unsigned char)*p); n++, p++)
        *out = *out * 10 + (*p - '0');
    return n ? p : NULL;
}

/* The text behind " 5.1.1 ", or NULL when there is no such status. */
static const char *read_status(const char *p, struct refusal *r)
{
    int class, subject, detail;
    if (!(p = skip_number(p, 1, &class)) || *p++ != '.' || !(p = skip_number(p, 3, &subject)) ||
        *p++ != '.' || !(p = skip_number(p, 3, &detail)) || (*p && !isspace((unsigned char)*p)))
        return NULL;
    if (class != r->code / 100)
        return NULL;
    r->subject = subject;
    r->detail = detail;
    return p + strspn(p, " ");
}

/* Splits a line; returns its text. */
static const char *read_line(const char *line, struct refusal *r)
{
    *r = (struct refusal){.subject = ANY, .detail = ANY, .words = line};
    const char *p = skip_number(line, 3, &r->code);
    if (!p)
        return line;
    if (*p == ' ' || *p == '-')
        p++;
    const char *text = read_status(p, r);
    return text ? text : p;
}

static int judge(enum send_stage stage, const struct refusal *r)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *u = &rules[i];
        if (!(u->stages & AT(stage)) || r->code < u->code_from || r->code > u->code_to)
            continue;
        if (u->subject != ANY && u->subject != r->subject)
            continue;
        if (u->words && !strcasestr(r->words, u->words))
            continue;
        if (u->detail_from == ANY || (r->detail >= u->detail_from && r->detail <= u->detail_to))
            return u->verdict;
    }
    return VERDICT_AMBIGUOUS; /* not reached: the last row takes everything */
}

/* --- texts ------------------------------------------------------------------------------ */

static bool ends_word(char c)
{
    return c == 0 || strchr(" \t<>()[],;:\"'", c) != NULL;
}

static void set_verdict(struct transport_reply *reply, int verdict, enum send_stage stage)
{
    reply->verdict = (enum verdict)(verdict & ~(VAGUE | SUPPRESS | ACCOUNT));
    reply->vague = (verdict & VAGUE) != 0;
    reply->suppress = (verdict & SUPPRESS) != 0;
    reply->account = (verdict & ACCOUNT) != 0;
    reply->at_recipient = AT(stage) & (PAYLOAD | AT(HTTP_WAIT) | HTTP);
}

/* Replaces each word that holds an "@". */
static void mask_addresses(char *out, size_t cap, const char *in)
{
    static const char mask[] = "[address]";
    size_t n = 0;
    while (*in && n + 1 < cap) {
        size_t word = 0;
        while (!ends_word(in[word]))
            word++;
        if (word == 0) {
            out[n++] = *in++;
            continue;
        }
        bool address = memchr(in, '@', word) != NULL;
        n += (size_t)snprintf(out + n, cap - n, "%.*s", address ? (int)sizeof mask : (int)word,
                              address ? mask : in);
        in += word;
    }
    out[n < cap ? n : cap - 1] = 0;
}

/* What stands alone between quotes; an apostrophe within a word is none. */
static size_t quoted_bytes(const char *text, const char *at)
{
    bool opens =
        *at == '"' || ((*at == '\'' || *at == '`') && (at == text || !isalnum((unsigned char)at[-1])));
    if (!opens)
        return 0;
    const char closing = *at == '"' ? '"' : '\'';
    for (const char *p = at + 1; *p; p++)
        if (*p == closing && (closing == '"' || !isalnum((unsigned char)p[1])))
            return (size_t)(p + 1 - at);
    return 0;
}

/* The local part, alone or before its "+tag", as a word of its own. */
static size_t local_part_bytes(const char *text, const char *at, const char *recipient)
{
    size_t whole = strcspn(recipient, "@"), base = strcspn(recipient, "+@");
    if (at > text && isalnum((unsigned char)at[-1]))
        return 0;
    if (whole > 0 && strncasecmp(at, recipient, whole) == 0 && !isalnum((unsigned char)at[whole]))
        return whole;
    if (base > 0 && strncasecmp(at, recipient, base) == 0 && !isalnum((unsigned char)at[base]))
        return base;
    return 0;
}

static void mask_names(char *out, size_t cap, const char *in, const char *recipient)
{
    size_t n = 0;
    for (const char *p = in; *p && n + 1 < cap;) {
        size_t quoted = quoted_bytes(in, p), local = local_part_bytes(in, p, recipient);
        if (quoted || local) {
            n += (size_t)snprintf(out + n, cap - n, "%s", quoted ? "[quoted]" : "[address]");
            p += quoted ? quoted : local;
        } else {
            out[n++] = *p++;
        }
    }
    out[n < cap ? n : cap - 1] = 0;
}

void classify_clean(char *out, size_t cap, const char *text, const char *recipient)
{
    char masked[1024], clean[1024];
    text_clean(clean, sizeof clean, text);
    mask_addresses(masked, sizeof masked, clean);
    mask_names(clean, sizeof clean, masked, recipient ? recipient : "");
    text_clean(out, cap, clean); /* once more: cut at a whole character */
    size_t n = strlen(out);
    while (n > 0 && out[n - 1] == ' ')
        out[--n] = 0;
}

/* "250 2.0.0 Ok: queued as 4Bx1" -> "4Bx1"; "250 Ok 0100-abc" -> "0100-abc". */
static void provider_id(const char *line, const char *recipient, struct transport_reply *reply)
{
    static const char queued[] = "queued as ";
    struct refusal ignored;
    const char *text = read_line(line, &ignored);
    const char *at = strstr(text, queued);
    if (at)
        text = at + sizeof queued - 1;
    else if (strncasecmp(text, "ok", 2) == 0)
        text += 2 + strspn(text + 2, ": ");
    classify_clean(reply->provider_id, sizeof reply->provider_id, text, recipient);
}

static void refused(const struct smtp_end *e, struct transport_reply *reply)
{
    struct refusal r;
    read_line(e->refusal, &r);
    reply->code = r.code;
    set_verdict(reply, judge(e->stage, &r), e->stage);
    classify_clean(reply->reason, sizeof reply->reason, e->refusal, e->recipient);
}

void classify_smtp(const struct smtp_end *e, struct transport_reply *reply)
{
    *reply = (struct transport_reply){.verdict = VERDICT_SENT};
    if (e->result == CURLE_OK) {
        reply->code = 250;
        provider_id(e->acceptance, e->recipient, reply);
        return;
    }
    /* After 354 a refusal counts only as a whole reply: what broke off may have gone on otherwise. */
    if (*e->refusal && (e->stage != SMTP_BODY || e->result == CURLE_WEIRD_SERVER_REPLY)) {
        refused(e, reply);
        return;
    }
    char reason[CURL_ERROR_SIZE + 64];
    snprintf(reason, sizeof reason, "%s: %s", broken[e->stage].what,
             *e->trouble ? e->trouble : curl_easy_strerror(e->result));
    set_verdict(reply, broken[e->stage].verdict, e->stage);
    reply->code = e->stage == SMTP_BODY ? 354 : 0;
    classify_clean(reply->reason, sizeof reply->reason, reason, e->recipient);
}

void classify_http(const struct http_end *e, struct transport_reply *reply)
{
    char reason[sizeof e->words + 32];
    *reply = (struct transport_reply){.verdict = VERDICT_SENT, .code = e->status};
    if (e->accepted) {
        classify_clean(reply->provider_id, sizeof reply->provider_id, e->id, e->recipient);
        return;
    }
    if (e->stage != HTTP_REPLY || (e->result != CURLE_OK && e->status < 300)) {
        set_verdict(reply, broken[e->stage].verdict, e->stage);
        snprintf(reason, sizeof reason, "%s: %s", broken[e->stage].what,
                 *e->trouble ? e->trouble : curl_easy_strerror(e->result));
    } else {
        const struct refusal r = {.code = e->status, .subject = ANY, .detail = ANY, .words = e->words};
        set_verdict(reply, judge(HTTP_REPLY, &r), HTTP_REPLY);
        reply->retry_after_ms = e->retry_after_ms;
        snprintf(reason, sizeof reason, "HTTP %d%s%s", e->status, *e->words ? " " : "", e->words);
    }
    classify_clean(reply->reason, sizeof reply->reason, reason, e->recipient);
}
