/*
 * Memory that is there or the process is not.
 *
 * Out of memory is fatal in one place, mem_need(): with Linux' overcommit a
 * NULL is rare, and a program that has paths for it has paths that were never
 * run. What foreign input can make grow is bounded by its module, and an arena
 * is such a bound: arena_alloc() is the one function here that says no.
 *
 * An arena's blocks double from 4 KiB to 64 KiB, so that a small message
 * costs one small block and a large one few. max_bytes counts what was given
 * away; a block's unused tail is on top of it.
 */
#include "lib/base/mem.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_MIN_BYTES ((size_t)4096)
#define ARENA_BLOCK_MAX_BYTES ((size_t)65536)

struct arena_block {
    struct arena_block *next;
    size_t cap_bytes;
    size_t used_bytes;
    alignas(max_align_t) unsigned char data[];
};

struct fp_arena {
    size_t max_bytes;
    size_t used_bytes;
    struct arena_block *blocks; /* the newest first */
};

static void *mem_need(void *p, size_t count, size_t bytes)
{
    if (!p) {
        fprintf(stderr, "fatal: out of memory (%zu x %zu bytes)\n", count, bytes);
        abort();
    }
    return p;
}

void *mem_alloc(size_t bytes)
{
    return mem_array(1, bytes);
}

void *mem_array(size_t count, size_t bytes)
{
    bool none = count == 0 || bytes == 0; /* calloc(0) may be NULL */

    return mem_need(none ? calloc(1, 1) : calloc(count, bytes), count, bytes);
}

void *mem_resize(void *p, size_t count, size_t bytes)
{
    if (count == 0 || bytes == 0)
        count = bytes = 1; /* realloc(p, 0) would free */
    return mem_need(reallocarray(p, count, bytes), count, bytes);
}

char *mem_strdup(const char *s)
{
    return s ? mem_need(strdup(s), 1, strlen(s) + 1) : NULL;
}

void mem_free(void *p)
{
    free(p);
}

struct fp_arena *arena_new(size_t max_bytes)
{
    struct fp_arena *a = mem_alloc(sizeof *a);

    a->max_bytes = max_bytes;
    return a;
}

static void arena_free_from(struct arena_block *b)
{
    while (b) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void arena_free(struct fp_arena *a)
{
    if (!a)
        return;
    arena_free_from(a->blocks);
    mem_free(a);
}

void arena_reset(struct fp_arena *a)
{
    struct arena_block *keep = a->blocks;

    a->used_bytes = 0;
    if (!keep)
        return;
    arena_free_from(keep->next);
    keep->next = NULL;
    keep->used_bytes = 0;
    /* One huge message must not make the arena huge for ever. */
    if (keep->cap_bytes > ARENA_BLOCK_MAX_BYTES) {
        mem_free(keep);
        a->blocks = NULL;
    }
}

static struct arena_block *arena_add_block(struct fp_arena *a, size_t need_bytes)
{
    size_t cap = a->blocks ? a->blocks->cap_bytes * 2 : ARENA_BLOCK_MIN_BYTES;

    if (cap > ARENA_BLOCK_MAX_BYTES)
        cap = ARENA_BLOCK_MAX_BYTES;
    if (cap < need_bytes)
        cap = need_bytes;
    struct arena_block *b = mem_need(malloc(sizeof *b + cap), 1, sizeof *b + cap);
    b->cap_bytes = cap;
    b->used_bytes = 0;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

void *arena_alloc(struct fp_arena *a, size_t bytes)
{
    const size_t align = alignof(max_align_t);

    if (bytes > a->max_bytes) /* also keeps the rounding below from wrapping */
        return NULL;
    size_t need = bytes ? (bytes + align - 1) / align * align : align;
    if (need > a->max_bytes - a->used_bytes)
        return NULL;
    struct arena_block *b = a->blocks;
    if (!b || need > b->cap_bytes - b->used_bytes)
        b = arena_add_block(a, need);
    void *p = b->data + b->used_bytes;
    b->used_bytes += need;
    a->used_bytes += need;
    return memset(p, 0, need);
}

char *arena_strdup(struct fp_arena *a, const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *p = arena_alloc(a, bytes);

    return p ? memcpy(p, s, bytes) : NULL;
}

size_t arena_used_bytes(const struct fp_arena *a)
{
    return a->used_bytes;
}
