/*
 * Internationalised domains: IDNA2008 by libidn2, with the mapping of UTS #46.
 *
 * Non-transitional: "strasse" and "straße" are two domains, as in registries
 * and browsers today. Strict: a label that IDNA2008 disallows, or an A-label
 * that is not the one form of its U-label, makes the address unusable; such a
 * domain cannot be in the DNS of a careful registry, and a mail to it would
 * be at best the relay's guess. Homographs are not looked for: an address is
 * what its owner registered, not what a person reads.
 *
 * Converted once, where users and suppressions come in, so that everything
 * behind (envelope, header, the hash of suppressions) sees one form.
 *
 * Mailbox names stay ASCII. SMTPUTF8 has to be offered by every relay on the
 * way, neither SES nor SendGrid takes it, and whether it is offered is known
 * only after the mail is rendered and routed; so who has such an address is
 * told apart and skipped with a reason of his own.
 */
#include "lib/address/address.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/text.h"

#define MAX_IN_BYTES    1020 /* 255 characters of 4 bytes: more is no domain in any form */
#define MAX_HOST_BYTES  253  /* RFC 1035 */
#define MAX_LABEL_BYTES 63

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* Has a label that only libidn2 can judge. */
static bool has_a_label(const char *domain)
{
    for (const char *label = domain; label; label = strchr(label, '.')) {
        label += *label == '.';
        if (strncasecmp(label, "xn--", 4) == 0)
            return true;
    }
    return false;
}

/* Every A-label of the result is the form of a U-label that is allowed: the
 * mapping alone lets some through that came as "xn--". */
static bool labels_are_strict(const char *ascii)
{
    char *back = NULL, *again = NULL;
    bool good = idn2_to_unicode_8z8z(ascii, &back, IDN2_NONTRANSITIONAL) == IDN2_OK &&
                idn2_lookup_u8((const uint8_t *)back, (uint8_t **)&again, IDN2_NFC_INPUT) == IDN2_OK &&
                strcasecmp(again, ascii) == 0;
    idn2_free(back);
    idn2_free(again);
    return good;
}

/* Without IDN2_USE_STD3_ASCII_RULES, with which libidn2 2.3 leaves forbidden
 * characters out ("bü cher" became "bücher", somebody else's domain): so they
 * stay, and text_is_address() refuses them. */
static bool domain_to_ascii(const char *domain, char *out, size_t cap)
{
    char *ascii = NULL;
    bool good = idn2_to_ascii_8z(domain, &ascii, IDN2_NONTRANSITIONAL) == IDN2_OK && strlen(ascii) < cap &&
                labels_are_strict(ascii);
    if (good)
        memcpy(out, ascii, strlen(ascii) + 1);
    idn2_free(ascii);
    return good;
}

/* The form alone: what an ASCII domain's letters are is its user's to check. */
static bool any_to_ascii(const char *domain, char *out, size_t cap)
{
    if (!is_ascii(domain) || has_a_label(domain))
        return domain_to_ascii(domain, out, cap);
    return snprintf(out, cap, "%s", domain) < (int)cap;
}

static bool is_host(const char *host)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
    const char *label = host;
    for (;; label++) {
        size_t n = strspn(label, letters);
        if (n == 0 || n > MAX_LABEL_BYTES || label[0] == '-' || label[n - 1] == '-')
            return false;
        label += n;
        if (*label != '.')
            return *label == '\0' && label - host <= MAX_HOST_BYTES;
    }
}

bool address_host_to_ascii(const char *in, char *out, size_t cap)
{
    if (strlen(in) <= MAX_IN_BYTES && text_is_clean(in) && any_to_ascii(in, out, cap) && is_host(out))
        return true;
    out[0] = '\0';
    return false;
}

/* in is clean text with one @, of which the left side has n bytes. */
static bool convert(const char *in, size_t n, char out[ADDRESS_BYTES])
{
    const char *domain = in + n + 1;
    if (n >= ADDRESS_BYTES - 1)
        return false;
    memcpy(out, in, n + 1);
    return any_to_ascii(domain, out + n + 1, ADDRESS_BYTES - n - 1);
}

/* The mailbox with each non-ASCII character as a letter: is the rest an address? */
static bool usable_but_for_mailbox(const char *in, size_t n)
{
    char plain[ADDRESS_BYTES];
    size_t k = 0;
    if (!convert(in, n, plain))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)in[i] < 0x80 || ((unsigned char)in[i] & 0xc0) != 0x80)
            plain[k++] = (unsigned char)in[i] < 0x80 ? in[i] : 'x';
    memmove(plain + k, plain + n, strlen(plain + n) + 1);
    return text_is_address(plain);
}

enum address_form address_to_ascii(const char *in, char out[ADDRESS_BYTES])
{
    const char *at = strchr(in, '@');
    out[0] = '\0';
    if (!at || strlen(in) > MAX_IN_BYTES || !text_is_clean(in))
        return ADDRESS_BAD;
    size_t n = (size_t)(at - in);
    if (convert(in, n, out) && text_is_address(out))
        return ADDRESS_USABLE;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)in[i] >= 0x80)
            return usable_but_for_mailbox(in, n) ? ADDRESS_NON_ASCII_MAILBOX : ADDRESS_BAD;
    return ADDRESS_BAD;
}
