/* RFC 4231's cases, and many threads at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/hmac.h"

static void hex(const unsigned char *b, char out[2 * HMAC_BYTES + 1])
{
    for (int i = 0; i < HMAC_BYTES; i++)
        (void)snprintf(out + (size_t)2 * i, 3, "%02x", b[i]);
}

static void published_cases(void **state)
{
    unsigned char twenty_0b[20], long_key[131], mac[HMAC_BYTES];
    char text[2 * HMAC_BYTES + 1];
    static const char larger[] = "Test Using Larger Than Block-Size Key - Hash Key First";
    (void)state;
    memset(twenty_0b, 0x0b, sizeof twenty_0b);
    memset(long_key, 0xaa, sizeof long_key);
    assert_true(hmac_sha256(twenty_0b, sizeof twenty_0b, "Hi There", 8, mac));
    hex(mac, text);
    assert_string_equal(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_true(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac));
    hex(mac, text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(hmac_sha256(long_key, sizeof long_key, larger, strlen(larger), mac));
    hex(mac, text);
    assert_string_equal(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

struct hasher {
    unsigned char key;
    bool same;
};

static void *many(void *arg)
{
    struct hasher *h = arg;
    unsigned char first[HMAC_BYTES], mac[HMAC_BYTES];
    h->same = hmac_sha256(&h->key, 1, "data", 4, first);
    for (int i = 0; i < 2000; i++)
        h->same = h->same && hmac_sha256(&h->key, 1, "data", 4, mac) && memcmp(mac, first, HMAC_BYTES) == 0;
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    pthread_t threads[4];
    struct hasher hashers[4] = {{.key = 1}, {.key = 2}, {.key = 3}, {.key = 4}};
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, &hashers[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        assert_true(hashers[i].same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_cases),
        cmocka_unit_test(threads_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
