/*
 * Names and addresses out of a company's database: an address that is called usable
 * can stand in an envelope, and is its own ASCII form; text that was cleaned is clean.
 */
#include <string.h>

#include "lib/address/address.h"
#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "tests/fuzz/fuzz.h"

static void check_address(const char *text)
{
    char ascii[ADDRESS_BYTES], again[ADDRESS_BYTES];

    if (address_to_ascii(text, ascii) != ADDRESS_USABLE) {
        if (ascii[0] != '\0')
            BROKEN();
        return;
    }
    if (!text_is_address(ascii) || strpbrk(ascii, "\r\n<> ") != NULL)
        BROKEN();
    if (address_to_ascii(ascii, again) != ADDRESS_USABLE || strcmp(ascii, again) != 0)
        BROKEN();
}

static void check_host(const char *text, size_t cap)
{
    char host[254], again[254];

    if (!address_host_to_ascii(text, host, cap < sizeof host ? cap : sizeof host))
        return;
    if (strlen(host) >= cap || !address_host_to_ascii(host, again, sizeof again) || strcmp(host, again) != 0)
        BROKEN();
}

/* Whatever the room: whole characters, NUL-ended. */
static void check_clean(const char *text, size_t cap)
{
    char out[64], twice[64];

    bool as_it_was = text_clean(out, cap, text);
    if (strlen(out) >= cap || !text_is_clean(out) || (as_it_was && strcmp(out, text) != 0))
        BROKEN();
    if (!text_clean(twice, sizeof twice, out) || strcmp(out, twice) != 0)
        BROKEN();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, data + size};
    size_t cap = 1 + (size_t)pick(&b, 64), n = (size_t)(b.end - b.at);
    char *text = mem_alloc(n + 1);

    memcpy(text, b.at, n);
    text[n] = '\0';
    check_address(text);
    check_host(text, cap);
    check_clean(text, cap);
    mem_free(text);
    return 0;
}
