/* Tokens of links and envelopes: none is taken that we did not make. */
#include <ctype.h>
#include <strings.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/keys.h"

/* Case does not matter, so that is no change. */
static void damage(char *text, uint8_t where, uint8_t how)
{
    char *at = &text[where % strlen(text)];

    *at = tolower((unsigned char)*at) == "abcdefghijklmnopqrstuvwxyz234567"[how % 32]
              ? '!'
              : "abcdefghijklmnopqrstuvwxyz234567"[how % 32];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_keys *keys = fuzz_keys();
    struct token_ids ids = {.purpose = TOKEN_UNSUBSCRIBE,
                            .kind = TOKEN_KIND_MONTHLY,
                            .job_id = 7,
                            .user_id = 9};
    struct token_ids back;
    char text[TOKEN_TEXT_BYTES];
    struct fp_err err;

    if (token_make(keys, &ids, text, &err) != 0 ||
        token_check(keys, TOKEN_UNSUBSCRIBE, text, strlen(text), &back, &err) != 0)
        BROKEN();
    if (size == 0)
        return 0;
    if (token_check(keys, TOKEN_UNSUBSCRIBE, (const char *)data, size, &back, &err) == 0 &&
        (size != strlen(text) || strncasecmp((const char *)data, text, size) != 0))
        BROKEN(); /* nobody else has the key */
    damage(text, data[0], data[size - 1]);
    if (token_check(keys, TOKEN_UNSUBSCRIBE, text, strlen(text), &back, &err) == 0)
        BROKEN();
    return 0;
}
