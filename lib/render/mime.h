/*
 * The parts of a MIME message: headers and quoted-printable bodies, CRLF
 * lines, seven bits. No value can break out of its header: control characters
 * become blanks here, whatever was checked before.
 */
#ifndef FP_RENDER_MIME_H
#define FP_RENDER_MIME_H

#include <stdbool.h>

#include "lib/base/str.h"

#define MIME_MAX_HEADER_BYTES 512 /* of a value; the rest is cut at a whole character */

/* "NAME: VALUE", unstructured text: folded at 78 columns, as RFC 2047 encoded
 * words when it is not plain ASCII. Runs of blanks become one. */
void mime_add_text_header(struct fp_str *out, const char *name, const char *value);
/* "NAME: DISPLAY NAME <ADDRESS>"; display_name may be "". The address has been
 * checked by text_is_address(). */
void mime_add_address_header(struct fp_str *out, const char *name, const char *display_name,
                             const char *address);
/* An https URI that may stand in a header as it is: printable ASCII without
 * <, > and blanks, so short that its line stays under 998. */
bool mime_is_uri(const char *uri);
/* Quoted-printable, RFC 2045 section 6.7, in two steps. First: "=XX" for what is not
 * literal; "\n" and CRLF in text are line ends, and become "\n". */
void mime_quote(struct fp_str *out, const char *text, size_t bytes);
/* Then, of all that was quoted: lines of at most 76 columns, ended by CRLF. */
void mime_add_quoted(struct fp_str *out, const char *quoted, size_t bytes);
/* Takes the first step back, in place. */
void mime_unquote(struct fp_str *quoted);

#endif
