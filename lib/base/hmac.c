#include "lib/base/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "lib/base/err.h"

static EVP_MAC_CTX *begun; /* the algorithm chosen, no key: only copied from */

static void choose(void)
{
    static char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    begun = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context has its own count */
    if (!begun || EVP_MAC_CTX_set_params(begun, params) != 1)
        fp_panic("libcrypto has no HMAC-SHA256");
}

bool hmac_sha256(const void *key, size_t key_bytes, const void *data, size_t bytes,
                 unsigned char out[HMAC_BYTES])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t n = 0;
    pthread_once(&once, choose);
    EVP_MAC_CTX *c = EVP_MAC_CTX_dup(begun);
    bool ok = c && EVP_MAC_init(c, key, key_bytes, NULL) == 1 && EVP_MAC_update(c, data, bytes) == 1 &&
              EVP_MAC_final(c, out, &n, HMAC_BYTES) == 1 && n == HMAC_BYTES;
    EVP_MAC_CTX_free(c);
    return ok;
}
