/*
 * From (stage, reply code, enhanced status, CURLcode) to a verdict, by a table.
 *
 * The three questions behind each row: may the mail have been accepted? Is it
 * about this user or about everybody? Is it for now or for good? What hits
 * everybody (relay down, authentication, sender policy) must never be charged
 * to a user; what may have been accepted must never be called unsent.
 *
 * Sources: RFC 5321 (codes), RFC 3463 and the IANA registry of enhanced status
 * codes, RFC 6647 (greylisting), the published replies of the large mailbox
 * providers for missing authentication (5.7.23 to 5.7.40, 5.7.515). The class
 * of the reply code wins where the enhanced status says otherwise.
 */
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
#define ANY       (-1)

/* A refusal: "550 5.1.1 text". subject and detail are ANY without a status. */
struct refusal {
    int code, subject, detail;
};

struct rule {
    unsigned stages;
    int code_from, code_to;
    int subject, detail_from, detail_to; /* ANY: whatever it is */
    enum verdict verdict;
};

/* The first row that fits decides. */
static const struct rule rules[] = {
    /* Too fast: slow down, charge nobody. */
    {ALL, 421, 421, ANY, ANY, ANY, VERDICT_THROTTLED},
    {AT(SMTP_MAIL) | PAYLOAD, 454, 454, ANY, ANY, ANY, VERDICT_THROTTLED},
    {ALL, 400, 599, 7, 28, 28, VERDICT_THROTTLED},

    /* Before any mail, and in need of authentication: our settings or the relay. */
    {SETUP, 400, 599, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},
    {ALL, 530, 538, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},

    /* The recipient's mailbox or domain has changed hands (RFC 7293). */
    {ALL, 500, 599, 7, 17, 18, VERDICT_FAILED},
    /* Sender policy: SPF, DKIM, DMARC, TLS, PTR, reputation. Also as 4xx. */
    {ALL, 500, 599, 7, ANY, ANY, VERDICT_PROVIDER_FAULT},
    {ALL, 400, 499, 7, 20, 27, VERDICT_PROVIDER_FAULT},
    {ALL, 400, 499, 7, 29, 40, VERDICT_PROVIDER_FAULT},
    {ALL, 400, 499, 7, 515, 515, VERDICT_PROVIDER_FAULT},
    {ALL, 400, 599, 1, 7, 8, VERDICT_PROVIDER_FAULT}, /* the sender's address */

    /* A full mailbox empties again; 552 is its code without a status, as
     * Postfix reads it too. A mail too large for it stays too large. */
    {ALL, 400, 599, 2, 2, 2, VERDICT_DEFERRED},
    {PAYLOAD, 500, 599, 2, 3, 3, VERDICT_FAILED},
    {AT(SMTP_MAIL) | PAYLOAD, 500, 599, 3, 4, 4, VERDICT_FAILED},
    {AT(SMTP_MAIL), 552, 552, ANY, ANY, ANY, VERDICT_FAILED}, /* of MAIL's SIZE=: this mail */
    {PAYLOAD, 552, 552, ANY, ANY, ANY, VERDICT_DEFERRED},

    /* The relay's own disk is full, or it takes no mail now. */
    {AT(SMTP_MAIL) | AT(SMTP_DATA) | AT(SMTP_BODY), 400, 499, 3, 1, 2, VERDICT_PROVIDER_FAULT},
    /* It does not understand us: not what a recipient can be blamed for. */
    {ALL, 500, 500, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},
    {ALL, 502, 503, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},

    /* At MAIL no recipient was named yet. */
    {AT(SMTP_MAIL), 400, 499, ANY, ANY, ANY, VERDICT_THROTTLED},
    {AT(SMTP_MAIL), 500, 599, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},

    {PAYLOAD, 400, 499, ANY, ANY, ANY, VERDICT_DEFERRED},
    {PAYLOAD, 500, 599, ANY, ANY, ANY, VERDICT_FAILED},

    /* No such class of replies: only after 354 can it have meant "accepted". */
    {AT(SMTP_BODY), 0, 999, ANY, ANY, ANY, VERDICT_AMBIGUOUS},
    {ALL, 0, 999, ANY, ANY, ANY, VERDICT_PROVIDER_FAULT},
};

/* No complete reply: the connection broke, or the time was over. */
static const struct {
    enum verdict verdict;
    const char *what;
} broken[] = {
    [SMTP_CONNECT] = {VERDICT_PROVIDER_FAULT, "no connection"},
    [SMTP_AUTH] = {VERDICT_PROVIDER_FAULT, "no answer to authentication"},
    [SMTP_MAIL] = {VERDICT_PROVIDER_FAULT, "no answer to MAIL"},
    [SMTP_RCPT] = {VERDICT_DEFERRED,
                   "no answer to RCPT"}, /* may be about this recipient: looked up, verified */
    [SMTP_DATA] = {VERDICT_DEFERRED, "no answer to DATA"},
    [SMTP_BODY] = {VERDICT_AMBIGUOUS, "no answer to the mail"},
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
    *r = (struct refusal){.subject = ANY, .detail = ANY};
    const char *p = skip_number(line, 3, &r->code);
    if (!p)
        return line;
    if (*p == ' ' || *p == '-')
        p++;
    const char *text = read_status(p, r);
    return text ? text : p;
}

static enum verdict judge(enum smtp_stage stage, const struct refusal *r)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *u = &rules[i];
        if (!(u->stages & AT(stage)) || r->code < u->code_from || r->code > u->code_to)
            continue;
        if (u->subject != ANY && u->subject != r->subject)
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

void classify_clean(char *out, size_t cap, const char *text)
{
    char masked[1024], clean[1024];
    text_clean(clean, sizeof clean, text);
    mask_addresses(masked, sizeof masked, clean);
    text_clean(out, cap, masked); /* once more: cut at a whole character */
    size_t n = strlen(out);
    while (n > 0 && out[n - 1] == ' ')
        out[--n] = 0;
}

/* "250 2.0.0 Ok: queued as 4Bx1" -> "4Bx1"; "250 Ok 0100-abc" -> "0100-abc". */
static void provider_id(const char *line, struct transport_reply *reply)
{
    static const char queued[] = "queued as ";
    struct refusal ignored;
    const char *text = read_line(line, &ignored);
    const char *at = strstr(text, queued);
    if (at)
        text = at + sizeof queued - 1;
    else if (strncasecmp(text, "ok", 2) == 0)
        text += 2 + strspn(text + 2, ": ");
    classify_clean(reply->provider_id, sizeof reply->provider_id, text);
}

static void refused(const struct smtp_end *e, struct transport_reply *reply)
{
    struct refusal r;
    read_line(e->refusal, &r);
    reply->code = r.code;
    reply->verdict = judge(e->stage, &r);
    classify_clean(reply->reason, sizeof reply->reason, e->refusal);
}

void classify_smtp(const struct smtp_end *e, struct transport_reply *reply)
{
    *reply = (struct transport_reply){.verdict = VERDICT_SENT};
    if (e->result == CURLE_OK) {
        reply->code = 250;
        provider_id(e->acceptance, reply);
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
    reply->verdict = broken[e->stage].verdict;
    reply->code = e->stage == SMTP_BODY ? 354 : 0;
    classify_clean(reply->reason, sizeof reply->reason, reason);
}
