/*
 * A growing byte buffer with a maximum. Appending never fails at once: past
 * the maximum the buffer only remembers that it overflowed, and the caller
 * checks once at the end. The text is always ended by a NUL.
 */
#ifndef FP_BASE_STR_H
#define FP_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fp_str {
    char *data;
    size_t len;
    size_t cap;
    size_t max_bytes; /* 0: 16 MiB */
    bool overflow;
};

void str_init(struct fp_str *s, size_t max_bytes);
void str_fini(struct fp_str *s);
void str_clear(struct fp_str *s); /* keeps the memory */
void str_add(struct fp_str *s, const void *data, size_t bytes);
void str_puts(struct fp_str *s, const char *text);
void str_putc(struct fp_str *s, char c);
void str_printf(struct fp_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for `bytes` more at the end, to be filled by the caller and counted
 * with str_grew(); NULL on overflow. */
char *str_room(struct fp_str *s, size_t bytes);
void str_grew(struct fp_str *s, size_t bytes);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void str_json(struct fp_str *s, const char *text);
/* The text, to be freed by mem_free(); the buffer is empty afterwards. */
char *str_take(struct fp_str *s);

#endif
