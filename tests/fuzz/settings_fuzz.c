/* Values of settings, from the command line, the environment or a file. */
#include "lib/base/mem.h"
#include "lib/config/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum config_type types[] = {CONFIG_INT, CONFIG_DURATION_MS, CONFIG_DOUBLE, CONFIG_BOOL,
                                             CONFIG_STRING};
    struct bytes b = {data, data + size};
    const struct config_setting row = {.name = "fuzz",
                                       .type = types[pick(&b, 5)],
                                       .min = -1000,
                                       .max = 1000000};
    union {
        int64_t number;
        double real;
        char *text;
        bool flag;
    } value = {.number = 0};
    size_t n = (size_t)(b.end - b.at);
    char *text = mem_alloc(n + 1);
    struct fp_err err;

    memcpy(text, b.at, n);
    if (config_set(&row, &value, "a test", text, &err) == 0 && row.type == CONFIG_INT &&
        (value.number < row.min || value.number > row.max))
        BROKEN();
    if (row.type == CONFIG_STRING)
        mem_free(value.text);
    mem_free(text);
    return 0;
}
