/* SHA-256 (FIPS 180-4), for telling templates and mails apart. */
#ifndef FP_RENDER_DIGEST_H
#define FP_RENDER_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t bytes);
/* 64 hex digits and a NUL; d is used up. */
void digest_hex(struct digest *d, char out[65]);

uint64_t digest_u64(struct digest *d);       /* its first 64 bits; d is used up */
uint64_t digest_u64_of_hex(const char *hex); /* the same of a hash in hex */

#endif
