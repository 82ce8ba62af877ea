/*
 * SHA-256 by libcrypto, which uses the processor's own instructions: own code
 * took a tenth of the work on a mail for the hash of its content.
 *
 * The algorithm is fetched once: OpenSSL 3 looks it up by name at each use else.
 */
#include "lib/render/digest.h"

#include <openssl/evp.h>
#include <pthread.h>

#include "lib/base/err.h"

static EVP_MD *sha256;

static void fetch(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256)
        fp_panic("libcrypto has no SHA256");
}

void digest_init(struct digest *d)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fetch);
    d->ctx = EVP_MD_CTX_new();
    if (!d->ctx || EVP_DigestInit_ex2(d->ctx, sha256, NULL) != 1)
        fp_panic("libcrypto does not begin a digest");
}

void digest_add(struct digest *d, const void *data, size_t bytes)
{
    if (EVP_DigestUpdate(d->ctx, data, bytes) != 1)
        fp_panic("libcrypto does not go on with a digest of %zu bytes", bytes);
}

void digest_end(struct digest *d, unsigned char out[DIGEST_BYTES])
{
    if (EVP_DigestFinal_ex(d->ctx, out, NULL) != 1)
        fp_panic("libcrypto does not end a digest");
    digest_fini(d);
}

void digest_hex(struct digest *d, char out[2 * DIGEST_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[DIGEST_BYTES];
    digest_end(d, bytes);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * DIGEST_BYTES] = '\0';
}

void digest_fini(struct digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    d->ctx = NULL;
}
