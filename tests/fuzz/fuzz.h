/*
 * For the fuzz targets: numbers taken from the input's bytes, zeros behind its
 * end. Each target is one file; script/fuzz runs them.
 */
#ifndef FP_TESTS_FUZZ_H
#define FP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *at, *end;
};

static inline uint8_t byte_of(struct bytes *b)
{
    return b->at < b->end ? *b->at++ : 0;
}

/* The width comes first, so that small numbers are as likely as large ones. */
static inline int64_t number_of(struct bytes *b)
{
    uint8_t head = byte_of(b);
    uint64_t v = 0;

    for (int i = head & 7; i >= 0; i--)
        v = v << 8 | byte_of(b);
    return head & 0x80 ? (int64_t)-v : (int64_t)v;
}

static inline int pick(struct bytes *b, int n)
{
    return byte_of(b) % n;
}

/* A promise is broken: ends the process so that libFuzzer keeps the input. */
#define BROKEN() __builtin_trap()

#endif
