/*
 * A small JSON reader for tests: trusted files, a tree of nodes from an arena.
 * Numbers keep their text, so that a test can read them as fixed point.
 */
#ifndef FP_TESTS_JSON_H
#define FP_TESTS_JSON_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

struct json {   /* an object's or array's members are a list */
    char kind;  /* { [ " 0 (number) t f n */
    char *key;  /* in an object */
    char *text; /* of a string or number */
    struct json *first, *next;
};

struct json_reader {
    const char *at;
    struct fp_arena *arena;
};

static inline void json_blank(struct json_reader *r)
{
    while (isspace((unsigned char)*r->at))
        r->at++;
}

/* Escapes are kept as they are, but for \" and \\: enough for names and notes. */
static inline char *json_string(struct json_reader *r)
{
    const char *end = r->at + 1;
    char *out, *to;

    while (*end != '"') {
        if (!*end)
            fp_panic("unended string");
        end += *end == '\\' ? 2 : 1;
    }
    out = to = arena_alloc(r->arena, (size_t)(end - r->at));
    for (const char *p = r->at + 1; p < end; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        *to++ = *p;
    }
    r->at = end + 1;
    return out;
}

static inline struct json *json_value(struct json_reader *r);

static inline void json_members(struct json_reader *r, struct json *parent, char close)
{
    struct json **tail = &parent->first;

    for (r->at++, json_blank(r); *r->at != close; json_blank(r)) {
        char *key = NULL;

        if (close == '}') {
            key = json_string(r);
            json_blank(r);
            r->at++; /* the colon */
        }
        *tail = json_value(r);
        (*tail)->key = key;
        tail = &(*tail)->next;
        json_blank(r);
        if (*r->at == ',')
            r->at++;
        json_blank(r);
    }
    r->at++;
}

static inline struct json *json_value(struct json_reader *r)
{
    struct json *v = arena_alloc(r->arena, sizeof *v);
    size_t n;

    json_blank(r);
    v->kind = *r->at;
    if (*r->at == '{' || *r->at == '[') {
        json_members(r, v, *r->at == '{' ? '}' : ']');
    } else if (*r->at == '"') {
        v->text = json_string(r);
    } else {
        n = strcspn(r->at, ",]} \n\t\r");
        v->text = arena_alloc(r->arena, n + 1);
        memcpy(v->text, r->at, n);
        if (isdigit((unsigned char)*v->text) || *v->text == '-')
            v->kind = '0';
        r->at += n;
    }
    return v;
}

static inline struct json *json_file(struct fp_arena *arena, const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = arena_alloc(arena, 1 << 20);
    struct json_reader r = {text, arena};
    size_t n;

    if (!f)
        fp_panic("%s: cannot be opened; run the test in the root of the project", path);
    n = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    text[n] = 0;
    return json_value(&r);
}

static inline struct json *json_get(const struct json *o, const char *key)
{
    struct json *m = o ? o->first : NULL;

    while (m && !(m->key && strcmp(m->key, key) == 0))
        m = m->next;
    return m && m->kind == 'n' ? NULL : m;
}

static inline const char *json_text(const struct json *o, const char *key, const char *otherwise)
{
    const struct json *m = json_get(o, key);

    return m ? m->text : otherwise;
}

static inline double json_number(const struct json *o, const char *key, double otherwise)
{
    const char *text = json_text(o, key, NULL);

    return text ? strtod(text, NULL) : otherwise;
}

#endif
