/*
 * Replies of an SMTP server out of the bytes that come (RFC 5321, 4.2): one
 * line or several (at most SMTP_MAX_LINES), of any length, however they are cut up on the way.
 */
#ifndef FP_MAILER_SMTP_REPLY_H
#define FP_MAILER_SMTP_REPLY_H

#include <stddef.h>

#define SMTP_LINE_BYTES 512 /* with the NUL; what is longer is cut (RFC 5321, 4.5.3.1.5: 512 with CR LF) */

/* Of one reply. Servers say some tens at most, and no deadline is waited for by who says more. */
#define SMTP_MAX_LINES 100

struct smtp_reply {
    int code; /* of the last line; the first digit is that of all lines */
    int lines;
    char refusal[SMTP_LINE_BYTES]; /* the first line that begins neither with 2 nor with 3; "": none does */
    char last[SMTP_LINE_BYTES];
};

struct smtp_reader {
    struct smtp_reply reply;
    char line[SMTP_LINE_BYTES];
    size_t n; /* bytes of the line so far, kept ones only */
};

enum smtp_read { SMTP_READ_MORE, SMTP_READ_WHOLE, SMTP_READ_GARBAGE };

/* Takes bytes until a reply is whole, a line is none of a reply, it has too many lines,
 * or they are used up; *used says how many it took. reader->reply is the reply when it is WHOLE,
 * and begins anew with the next call. A reader begins as zeroes. */
enum smtp_read smtp_reader_take(struct smtp_reader *r, const char *bytes, size_t n, size_t *used);
#endif
