/* Checks and conversions of foreign text, and ids. Nothing here allocates. */
#ifndef FP_BASE_TEXT_H
#define FP_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at s: its length in bytes and its code point; 0 when it is not
 * UTF-8, or cut off. bytes: how many may be read. */
size_t text_utf8_char(const char *s, size_t bytes, uint32_t *c);
bool text_is_utf8(const char *s, size_t bytes);
/* Valid UTF-8 without C0, DEL and C1 control characters; NUL-ended. */
bool text_is_clean(const char *s);
/* Copies at most cap - 1 bytes, whole characters only: control characters
 * become a space, bytes that are not UTF-8 become U+FFFD. Returns true when
 * nothing had to be changed or cut. */
bool text_clean(char *out, size_t cap, const char *in);
/* Usable as an SMTP envelope address: one @, local part 1-64 and all at most
 * 254 bytes of printable ASCII without space, double quotes, <, >, comma,
 * colon, semicolon, brackets and backslash, dots only between others (a
 * dot-string of RFC 5321); a domain of letters, digits, hyphens and at least
 * one dot, its last label not a number. */
bool text_is_address(const char *s);
bool text_parse_i64(const char *s, int64_t *out);   /* the whole text, no blanks */
bool text_parse_double(const char *s, double *out); /* finite, "C" locale */
bool text_is_uuid(const char *s);
/* 16 bytes as PostgreSQL prints a uuid. */
void text_uuid(const unsigned char b[16], char out[37]);
/* A random UUID, version 4, from getrandom(). */
void text_new_uuid(char out[37]);
/* Compares in a time that depends on the lengths only. */
bool text_equal_secret(const char *a, const char *b);

#endif
