/* The sender's own addresses, from settings. Private to lib/render. */
#ifndef FP_RENDER_MAILBOX_H
#define FP_RENDER_MAILBOX_H

#include "lib/base/err.h"

#define MAILBOX_BYTES 320 /* a display name and an address */

struct mailbox {
    char name[MAILBOX_BYTES], address[MAILBOX_BYTES];
};

/* "Name <address>", "\"Name, Inc.\" <address>" or "address". `what`: for the error. */
int mailbox_parse(const char *what, const char *text, struct mailbox *out, struct fp_err *err) FP_MUST_CHECK;

#endif
