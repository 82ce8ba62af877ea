/*
 * The specification's own 136 core cases (tests/mustache/, from
 * https://github.com/mustache/spec), read by a JSON reader just large enough
 * for them: its nodes are the view that is rendered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/mustache/mustache.h"

/* --- JSON ---------------------------------------------------------------------- */

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    char *key;  /* in an object */
    char *text; /* strings, and numbers as they are printed */
    struct json *first, *next;
    size_t count;
};

static struct json *read_value(struct fp_arena *a, const char **p);

static void skip_blanks(const char **p)
{
    *p += strspn(*p, " \t\r\n,:");
}

static void put_utf8(char **out, unsigned c)
{
    if (c < 0x80) {
        *(*out)++ = (char)c;
    } else if (c < 0x800) {
        *(*out)++ = (char)(0xc0 | c >> 6);
        *(*out)++ = (char)(0x80 | (c & 0x3f));
    } else {
        *(*out)++ = (char)(0xe0 | c >> 12);
        *(*out)++ = (char)(0x80 | (c >> 6 & 0x3f));
        *(*out)++ = (char)(0x80 | (c & 0x3f));
    }
}

static char *read_string(struct fp_arena *a, const char **p)
{
    const char *s = *p + 1, *end = s;
    while (*end && *end != '"')
        end += *end == '\\' && end[1] ? 2 : 1;
    char *text = arena_alloc(a, (size_t)(end - s) + 1), *out = text;
    for (; *s != '"'; s++) {
        assert_true(*s);
        if (*s != '\\') {
            *out++ = *s;
            continue;
        }
        const char *from = "nrtbf\"\\/", *to = "\n\r\t\b\f\"\\/";
        const char *hit = strchr(from, *++s);
        if (hit) {
            *out++ = to[hit - from];
        } else {
            assert_int_equal(*s, 'u');
            char hex[5] = {s[1], s[2], s[3], s[4], 0};
            put_utf8(&out, (unsigned)strtoul(hex, NULL, 16));
            s += 4;
        }
    }
    *p = s + 1;
    return text;
}

static void read_members(struct fp_arena *a, const char **p, struct json *parent, char end)
{
    struct json **tail = &parent->first;
    for ((*p)++, skip_blanks(p); **p != end; skip_blanks(p)) {
        char *key = NULL;
        if (end == '}') {
            key = read_string(a, p);
            skip_blanks(p);
        }
        *tail = read_value(a, p);
        (*tail)->key = key;
        tail = &(*tail)->next;
        parent->count++;
    }
    (*p)++;
}

static void read_number(struct fp_arena *a, const char **p, struct json *v)
{
    char *end, text[64];
    snprintf(text, sizeof text, "%.15g", strtod(*p, &end));
    assert_true(end > *p);
    *p = end;
    v->kind = JSON_TEXT;
    v->text = arena_strdup(a, text);
}

static struct json *read_value(struct fp_arena *a, const char **p)
{
    struct json *v = arena_alloc(a, sizeof *v);
    skip_blanks(p);
    if (**p == '"') {
        v->kind = JSON_TEXT;
        v->text = read_string(a, p);
    } else if (**p == '{' || **p == '[') {
        v->kind = **p == '{' ? JSON_OBJECT : JSON_ARRAY;
        read_members(a, p, v, **p == '{' ? '}' : ']');
    } else if (strncmp(*p, "null", 4) == 0) {
        *p += 4;
    } else if (strncmp(*p, "true", 4) == 0) {
        v->kind = JSON_TRUE;
        *p += 4;
    } else if (strncmp(*p, "false", 5) == 0) {
        v->kind = JSON_FALSE;
        *p += 5;
    } else {
        read_number(a, p, v);
    }
    return v;
}

static const struct json *json_get(const struct json *object, const char *key)
{
    for (const struct json *v = object->first; v; v = v->next)
        if (strcmp(v->key, key) == 0)
            return v;
    return NULL;
}

/* --- JSON as a view ------------------------------------------------------------- */

static const struct mustache_view json_view;

static void to_value(const struct json *v, struct mustache_value *out)
{
    static const enum mustache_kind kinds[] = {MUSTACHE_NULL, MUSTACHE_FALSE, MUSTACHE_TRUE,
                                               MUSTACHE_TEXT, MUSTACHE_LIST,  MUSTACHE_OBJECT};
    *out = (struct mustache_value){
        .kind = kinds[v->kind], .text = v->text, .ptr = v, .view = &json_view, .count = v->count};
}

static bool view_get(const void *object, const char *name, struct mustache_value *out)
{
    const struct json *v = json_get(object, name);
    if (v)
        to_value(v, out);
    return v != NULL;
}

static void view_item(const void *list, size_t index, struct mustache_value *out)
{
    const struct json *v = ((const struct json *)list)->first;
    while (index--)
        v = v->next;
    to_value(v, out);
}

static const struct mustache_view json_view = {view_get, view_item, NULL};

/* --- the cases ---------------------------------------------------------------------- */

static bool run_case(const struct json *test)
{
    struct fp_mustache_set *set = mustache_set_new();
    struct fp_err err = {0};
    struct fp_str out;
    struct mustache_value root;
    str_init(&out, 0);
    const struct json *partials = json_get(test, "partials");
    for (const struct json *p = partials ? partials->first : NULL; p; p = p->next)
        assert_int_equal(mustache_set_add(set, p->key, p->text, true, &err), 0);
    assert_int_equal(mustache_set_add(set, "", json_get(test, "template")->text, true, &err), 0);
    to_value(json_get(test, "data"), &root);
    int rc = mustache_render(set, mustache_set_get(set, ""), &root, &out, &err);
    const char *expected = json_get(test, "expected")->text;
    bool good = rc == 0 && strcmp(out.data ? out.data : "", expected) == 0;
    if (!good)
        print_error("%s: expected \"%s\", got \"%s\" %s\n", json_get(test, "name")->text, expected,
                    out.data ? out.data : "", rc ? err.msg : "");
    str_fini(&out);
    mustache_set_free(set);
    return good;
}

static void run_file(const char *name, int expected_cases)
{
    char path[100];
    snprintf(path, sizeof path, "tests/mustache/%s.json", name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is not there: run from the project's root", path);
    char *text = mem_alloc(65536);
    assert_in_range(fread(text, 1, 65535, f), 1, 65534);
    fclose(f);
    struct fp_arena *arena = arena_new(64 << 20);
    const char *p = text;
    struct json *file = read_value(arena, &p);
    int cases = 0, bad = 0;
    for (const struct json *t = json_get(file, "tests")->first; t; t = t->next, cases++)
        bad += run_case(t) ? 0 : 1;
    arena_free(arena);
    mem_free(text);
    assert_int_equal(bad, 0);
    assert_int_equal(cases, expected_cases);
}

static void spec_interpolation(void **state)
{
    (void)state;
    run_file("interpolation", 42);
}

static void spec_sections(void **state)
{
    (void)state;
    run_file("sections", 34);
}

static void spec_inverted(void **state)
{
    (void)state;
    run_file("inverted", 22);
}

static void spec_comments(void **state)
{
    (void)state;
    run_file("comments", 12);
}

static void spec_delimiters(void **state)
{
    (void)state;
    run_file("delimiters", 14);
}

static void spec_partials(void **state)
{
    (void)state;
    run_file("partials", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spec_interpolation), cmocka_unit_test(spec_sections),
        cmocka_unit_test(spec_inverted),      cmocka_unit_test(spec_comments),
        cmocka_unit_test(spec_delimiters),    cmocka_unit_test(spec_partials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
