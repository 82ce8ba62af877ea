/*
 * HMAC-SHA256 (RFC 2104) by libcrypto. Its own HMAC() looks the algorithm up by name at each
 * call, which costs as much as the work itself.
 */
#ifndef FP_BASE_HMAC_H
#define FP_BASE_HMAC_H

#include <stdbool.h>
#include <stddef.h>

#define HMAC_BYTES 32

/* False when libcrypto fails. Thread-safe; keeps nothing of the key. */
bool hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes,
                 unsigned char out[HMAC_BYTES]);

#endif
