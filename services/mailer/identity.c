/*
 * The brand's addresses from its settings; see identity.h.
 *
 * A mailbox name stays ASCII (lib/address says why): From and the envelope go
 * to every recipient's relay, and not all of them offer SMTPUTF8.
 */
#include "services/mailer/identity.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "services/mailer/settings.h"

#define BOUNCE_LOCAL       "bounce"
#define BOUNCE_DOMAIN_MOST 190 /* with "bounce+TOKEN@" before it an address still */
#define SENDER_LETTERS     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* --- addresses and hosts ------------------------------------------------------------- */

static int to_address(const char *setting, const char *text, char out[ADDRESS_BYTES], struct fp_err *err)
{
    enum address_form form = address_to_ascii(text, out);
    if (form == ADDRESS_NON_ASCII_MAILBOX)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "%s: \"%s\": before the @ only ASCII reaches every mailbox; the domain may be of any "
                       "script",
                       setting, text);
    return form == ADDRESS_USABLE
               ? 0
               : err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is no usable address", setting, text);
}

static int to_host(const char *setting, const char *text, char out[IDENTITY_HOST_BYTES], struct fp_err *err)
{
    out[0] = '\0';
    if (text[0] == '\0' || address_host_to_ascii(text, out, IDENTITY_HOST_BYTES))
        return 0;
    return err_set(err, FP_INVALID_ARGUMENT, "%s: \"%s\" is no domain", setting, text);
}

/* "Name <address>" or "address": all as it is but the address's domain. */
static int to_mailbox(const char *setting, const char *text, char out[IDENTITY_MAILBOX_BYTES],
                      char address[ADDRESS_BYTES], struct fp_err *err)
{
    const char *open = strrchr(text, '<');
    const char *start = open ? open + 1 : text;
    size_t before = (size_t)(start - text), len = strcspn(start, ">");
    char given[IDENTITY_MAILBOX_BYTES];
    if (before + len >= sizeof given - ADDRESS_BYTES)
        return err_set(err, FP_INVALID_ARGUMENT, "%s: longer than %d bytes", setting,
                       IDENTITY_MAILBOX_BYTES - ADDRESS_BYTES);
    (void)snprintf(given, sizeof given, "%.*s", (int)len, start);
    if (to_address(setting, given, address, err) != 0)
        return -1;
    (void)snprintf(out, IDENTITY_MAILBOX_BYTES, "%.*s%s%.100s", (int)before, text, address, start + len);
    return 0;
}

/* --- the sender ------------------------------------------------------------------------ */

static int fill_sender(struct identity *i, const struct mailer_settings *s, struct fp_err *err)
{
    char reply[ADDRESS_BYTES];
    i->reply_to[0] = '\0';
    if (to_mailbox("from", s->from, i->from, i->from_address, err) != 0 ||
        (s->reply_to[0] && to_mailbox("reply-to", s->reply_to, i->reply_to, reply, err) != 0) ||
        to_host("list-host", s->list_host, i->list_host, err) != 0 ||
        to_host("message-host", s->message_host[0] ? s->message_host : strchr(i->from_address, '@') + 1,
                i->message_host, err) != 0)
        return -1;
    if (strspn(s->feedback_sender, SENDER_LETTERS) != strlen(s->feedback_sender))
        return err_set(err, FP_INVALID_ARGUMENT, "feedback-sender: \"%s\": letters, digits, - _ .",
                       s->feedback_sender);
    return 0;
}

/* --- the link -------------------------------------------------------------------------- */

static int wrong_url(const char *url, struct fp_err *err)
{
    return err_set(err, FP_INVALID_ARGUMENT,
                   "unsubscribe-url: \"%s\" is not like https://unsubscribe.example.com (mailbox providers "
                   "ask for https)",
                   url);
}

/* https://HOST and, as they are, a port and a path. */
static int fill_url(struct identity *i, const char *url, struct fp_err *err)
{
    char host[IDENTITY_URL_BYTES], ascii[IDENTITY_HOST_BYTES];
    size_t n = strlen(url);
    i->url[0] = '\0';
    if (n == 0)
        return 0;
    if (strncmp(url, "https://", 8) != 0 || n < 12 || n >= sizeof host || url[n - 1] == '/' ||
        strcspn(url, " <>,\"") != n || !text_is_clean(url))
        return wrong_url(url, err);
    size_t len = strcspn(url + 8, ":/?#");
    (void)snprintf(host, sizeof host, "%.*s", (int)len, url + 8);
    if (!address_host_to_ascii(host, ascii, sizeof ascii))
        return wrong_url(url, err);
    int bytes = snprintf(i->url, sizeof i->url, "https://%s%s", ascii, url + 8 + len);
    for (const char *p = i->url; *p; p++)
        if ((unsigned char)*p >= 0x80) /* a path that is to be %-encoded */
            return wrong_url(url, err);
    return bytes < (int)sizeof i->url ? 0 : wrong_url(url, err);
}

static int fill_link(struct identity *i, const struct mailer_settings *s, struct fp_err *err)
{
    const char *mailto = s->unsubscribe_mailto;
    i->mailto[0] = '\0';
    if (mailto[0] && strcspn(mailto, "?&%") != strlen(mailto))
        return err_set(err, FP_INVALID_ARGUMENT, "unsubscribe-mailto: \"%s\" is no usable address", mailto);
    if (mailto[0] && to_address("unsubscribe-mailto", mailto, i->mailto, err) != 0)
        return -1;
    if (mailto[0] && !s->unsubscribe_url[0])
        return err_set(err, FP_INVALID_ARGUMENT, "unsubscribe-mailto needs unsubscribe-url");
    return fill_url(i, s->unsubscribe_url, err);
}

/* --- the envelope ------------------------------------------------------------------------ */

/* Commands that only show a mail have neither setting. */
static int fill_envelope(struct identity *i, const struct mailer_settings *s, struct fp_err *err)
{
    const char *domain = s->bounce_domain ? s->bounce_domain : "",
               *address = s->bounce_address ? s->bounce_address : "";
    if (to_host("bounce-domain", domain, i->bounce_domain, err) != 0)
        return -1;
    if (strlen(i->bounce_domain) > BOUNCE_DOMAIN_MOST)
        return err_set(err, FP_INVALID_ARGUMENT, "bounce-domain: \"%s\" is longer than %d characters",
                       i->bounce_domain, BOUNCE_DOMAIN_MOST);
    if (domain[0]) {
        char local[sizeof BOUNCE_LOCAL + 1 + IDENTITY_HOST_BYTES];
        (void)snprintf(local, sizeof local, BOUNCE_LOCAL "@%s", i->bounce_domain);
        return to_address("bounce-domain", local, i->bounce, err);
    }
    return to_address("bounce-address", address[0] ? address : i->from_address, i->bounce, err);
}

int identity_fill(struct identity *out, const struct mailer_settings *s, struct fp_err *err)
{
    return fill_sender(out, s, err) < 0 || fill_link(out, s, err) < 0 || fill_envelope(out, s, err) < 0 ? -1
                                                                                                        : 0;
}
