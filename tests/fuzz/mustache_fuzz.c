/* Templates of a company: compiled or refused with the place, rendered within bounds. */
#include "lib/base/mem.h"
#include "lib/mustache/mustache.h"
#include "tests/fuzz/fuzz.h"

#define MAX_OUT 10000

static bool get(const void *object, const char *name, struct mustache_value *out);
static void item(const void *list, size_t index, struct mustache_value *out);
static const struct mustache_view view = {get, item, NULL};

/* Every name is something: by its first letter. */
static bool get(const void *object, const char *name, struct mustache_value *out)
{
    *out = (struct mustache_value){.kind = MUSTACHE_TEXT, .text = "<a & \"b\">"};
    if (name[0] == 'l')
        *out = (struct mustache_value){.kind = MUSTACHE_LIST, .ptr = object, .view = &view, .count = 3};
    if (name[0] == 'o')
        *out = (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = object, .view = &view};
    if (name[0] == 'f')
        *out = (struct mustache_value){.kind = MUSTACHE_FALSE};
    return name[0] != 'n';
}

static void item(const void *list, size_t index, struct mustache_value *out)
{
    *out = index ? (struct mustache_value){.kind = MUSTACHE_OBJECT, .ptr = list, .view = &view}
                 : (struct mustache_value){.kind = MUSTACHE_TEXT, .text = "item"};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fp_mustache_set *set = mustache_set_new();
    const struct mustache_value root = {.kind = MUSTACHE_OBJECT, .ptr = set, .view = &view};
    char *text = mem_alloc(size + 1);
    struct fp_str out;
    struct fp_err err;

    memcpy(text, data, size);
    str_init(&out, MAX_OUT);
    if (mustache_set_add(set, "t", text, size % 2, &err) == 0 &&
        mustache_render(set, mustache_set_get(set, "t"), &root, &out, &err) == 0 && out.len > MAX_OUT)
        BROKEN();
    str_fini(&out);
    mem_free(text);
    mustache_set_free(set);
    return 0;
}
