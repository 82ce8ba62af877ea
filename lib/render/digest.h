/* SHA-256, for telling templates and mails apart. Private to lib/render. */
#ifndef FP_RENDER_DIGEST_H
#define FP_RENDER_DIGEST_H

#include <stddef.h>

#define DIGEST_BYTES 32

struct digest {
    void *ctx; /* libcrypto's */
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t bytes);
/* Both end it: d is to be begun anew. */
void digest_end(struct digest *d, unsigned char out[DIGEST_BYTES]);
void digest_hex(struct digest *d, char out[2 * DIGEST_BYTES + 1]);
void digest_fini(struct digest *d); /* one that was not ended; else a no-op */

#endif
