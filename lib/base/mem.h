/*
 * Memory: running out of it is fatal, here and nowhere else.
 *
 * mem_* never return NULL. What grows with foreign input has a declared
 * maximum that its module checks before asking. An arena gives many small
 * pieces that die together (one bus message, one batch) and has a maximum:
 * a message that unpacks to more fails cleanly.
 */
#ifndef FP_BASE_MEM_H
#define FP_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);               /* zeroed */
void *mem_array(size_t count, size_t bytes); /* zeroed; count * bytes is checked */
void *mem_resize(void *p, size_t count, size_t bytes);
char *mem_strdup(const char *s); /* NULL stays NULL */
void mem_free(void *p);          /* NULL is fine */

struct fp_arena;

/* An arena that grows by blocks up to max_bytes. */
struct fp_arena *arena_new(size_t max_bytes);
void arena_free(struct fp_arena *a);
/* Everything given so far is gone; one block is kept for the next use. */
void arena_reset(struct fp_arena *a);
/* Zeroed, aligned for any type; NULL when max_bytes would be passed. */
void *arena_alloc(struct fp_arena *a, size_t bytes);
char *arena_strdup(struct fp_arena *a, const char *s);
size_t arena_used_bytes(const struct fp_arena *a);

#endif
