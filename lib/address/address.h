/* Addresses as SMTP can carry them: the domain in its ASCII form. */
#ifndef FP_ADDRESS_ADDRESS_H
#define FP_ADDRESS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"

#define ADDRESS_BYTES 255 /* 254 (RFC 5321, erratum 1690) and the NUL */

enum address_form {
    ADDRESS_USABLE,
    ADDRESS_BAD,              /* no address, or no domain that can be */
    ADDRESS_NON_ASCII_MAILBOX /* needs SMTPUTF8 before the @ (RFC 6531), which we do not use */
};

/* The address with its domain as A-labels ("user@xn--bcher-kva.example"), so
 * that text_is_address() holds; already ASCII: as it is, but its "xn--" labels
 * are checked. `in`: anything, NUL-ended. out: "" when not usable. Any thread. */
enum address_form address_to_ascii(const char *in, char out[ADDRESS_BYTES]) FP_MUST_CHECK;

/* A host name alone, likewise: labels of letters, digits and hyphens, 253 bytes
 * at most and less than cap; one label is enough, no dot at the end. */
bool address_host_to_ascii(const char *in, char *out, size_t cap) FP_MUST_CHECK;

#endif
