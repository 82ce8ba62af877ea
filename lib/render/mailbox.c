/* The sender: parsed and checked at start, so that nothing wrong is in a million headers. */
#include "lib/render/mailbox.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/render/render.h"

#define MAX_HOST_BYTES 253 /* RFC 1035 */

int mailbox_parse(const char *what, const char *text, struct mailbox *out, struct fp_err *err)
{
    const char *open = strrchr(text, '<');
    size_t n = strlen(text);
    out->name[0] = 0;
    if (n >= MAILBOX_BYTES || !text_is_clean(text))
        return err_set(err, FP_INVALID_ARGUMENT, "%s is longer than %d bytes or holds control characters",
                       what, MAILBOX_BYTES - 1);
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
    if (mailbox_parse("the sender", s->from, &box, err) != 0)
        return -1;
    if (*s->reply_to && mailbox_parse("the reply address", s->reply_to, &box, err) != 0)
        return -1;
    if (!is_host(s->message_host))
        return err_set(err, FP_INVALID_ARGUMENT, "the host of the Message-ID, \"%.100s\", is not a host name",
                       s->message_host);
    if (!text_is_clean(s->postal_address))
        return err_set(err, FP_INVALID_ARGUMENT,
                       "the postal address holds control characters; it must be one line");
    return 0;
}
