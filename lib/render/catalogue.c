/*
 * Catalogues: reading, finding, and what the code needs of them.
 *
 * A message is checked where it is read, with its file and line: a missing or
 * a wrong one stops the start and not the first mail in that language.
 */
#define _GNU_SOURCE /* strchrnul */
#include "lib/render/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"

#define MAX_MESSAGES      2000
#define MAX_MESSAGE_BYTES 1000 /* some lines of a mail */
#define MAX_KEY_BYTES     64

struct catalogue {
    char *tag;
    struct message *items; /* by key */
    size_t n;
};

struct catalogue *catalogue_new(const char *tag)
{
    struct catalogue *c = mem_alloc(sizeof *c);
    c->tag = mem_strdup(tag);
    return c;
}

static void message_fini(struct message *m)
{
    mem_free(m->key);
    mem_free(m->text);
    mem_free(m->file);
}

void catalogue_free(struct catalogue *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        message_fini(&c->items[i]);
    mem_free(c->items);
    mem_free(c->tag);
    mem_free(c);
}

const char *catalogue_tag(const struct catalogue *c)
{
    return c->tag;
}

/* --- reading -------------------------------------------------------------------------- */

/* Where the key stands, or would. */
static size_t place_of(const struct catalogue *c, const char *key, size_t bytes, bool *found)
{
    size_t low = 0, high = c->n;
    *found = false;
    while (low < high && !*found) {
        size_t mid = (low + high) / 2;
        int order = strncmp(key, c->items[mid].key, bytes);
        if (order == 0 && c->items[mid].key[bytes])
            order = -1;
        if (order == 0) {
            *found = true;
            low = mid;
        } else if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

static int put(struct catalogue *c, const struct message *m, struct fp_err *err)
{
    bool found;
    size_t at = place_of(c, m->key, strlen(m->key), &found);
    if (found && strcmp(c->items[at].file, m->file) == 0)
        return err_set(err, FP_ALREADY_EXISTS, "%s:%d: \"%s\" stands in line %d already", m->file, m->line,
                       m->key, c->items[at].line);
    if (found) {
        message_fini(&c->items[at]);
    } else {
        if (c->n == MAX_MESSAGES)
            return err_set(err, FP_RESOURCE_EXHAUSTED, "%s:%d: more than %d messages", m->file, m->line,
                           MAX_MESSAGES);
        c->items = mem_resize(c->items, c->n + 1, sizeof c->items[0]);
        memmove(c->items + at + 1, c->items + at, (c->n - at) * sizeof c->items[0]);
        c->n++;
    }
    c->items[at] = (struct message){mem_strdup(m->key), mem_strdup(m->text), mem_strdup(m->file), m->line};
    return 0;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1]))
        s[--n] = 0;
    return s;
}

static int add_line(struct catalogue *c, const char *file, int line, char *text, struct fp_err *err)
{
    text = trim(text);
    if (!*text || *text == '#')
        return 0;
    char *equals = strchr(text, '=');
    if (!equals)
        return err_set(err, FP_INVALID_ARGUMENT, "%s:%d: not like \"key = message\"", file, line);
    *equals = 0;
    struct message m = {trim(text), trim(equals + 1), (char *)file, line};
    size_t n = strlen(m.key);
    if (n == 0 || n > MAX_KEY_BYTES || strspn(m.key, "abcdefghijklmnopqrstuvwxyz0123456789_.") != n)
        return err_set(err, FP_INVALID_ARGUMENT, "%s:%d: \"%.80s\" is no key: a-z, 0-9, \"_\" and \".\"",
                       file, line, m.key);
    if (!text_is_clean(m.text) || strlen(m.text) > MAX_MESSAGE_BYTES)
        return err_set(err, FP_INVALID_ARGUMENT,
                       "%s:%d: \"%s\" is longer than %d bytes, not UTF-8, or holds control characters", file,
                       line, m.key, MAX_MESSAGE_BYTES);
    return put(c, &m, err);
}

int catalogue_add(struct catalogue *c, const char *file, const char *text, struct fp_err *err)
{
    char *copy = mem_strdup(text);
    int line = 1, rc = 0;
    for (char *p = copy; *p && rc == 0; line++) {
        char *end = strchrnul(p, '\n');
        char *next = *end ? end + 1 : end;
        *end = 0;
        rc = add_line(c, file, line, p, err);
        p = next;
    }
    mem_free(copy);
    return rc;
}

const struct message *catalogue_find(const struct catalogue *c, const char *key, size_t key_bytes)
{
    bool found;
    size_t at = place_of(c, key, key_bytes, &found);
    return found ? &c->items[at] : NULL;
}

/* --- what the code needs ---------------------------------------------------------------- */

static const struct need {
    const char *key, *values;
} word_needs[] =
    {
#define X(name, key, values) {key, values},
        WORDS(X)},
  plural_needs[] = {PLURALS(X)
#undef X
};

/* Whether `values`, blanks between, has this name. */
static bool offers(const char *values, const char *name, size_t bytes)
{
    while (*values) {
        size_t n = strcspn(values, " ");
        if (n == bytes && memcmp(values, name, n) == 0)
            return true;
        values += n + strspn(values + n, " ");
    }
    return false;
}

static int check_message(const struct message *m, const char *values, struct fp_err *err)
{
    for (const char *p = m->text; (p = strstr(p, "{{"));) {
        const char *end = strstr(p, "}}");
        if (!end)
            return err_set(err, FP_INVALID_ARGUMENT, "%s:%d: \"%s\": a \"}}\" is missing", m->file, m->line,
                           m->key);
        p += 2;
        if (!offers(values, p, (size_t)(end - p)))
            return err_set(err, FP_INVALID_ARGUMENT, "%s:%d: \"%s\" has no value \"%.*s\"; it has: %s",
                           m->file, m->line, m->key, (int)(end - p < 60 ? end - p : 60), p,
                           *values ? values : "none");
        p = end;
    }
    return 0;
}

static int need(const struct catalogue *c, const char *key, const char *values, const char **out,
                struct fp_err *err)
{
    const struct message *m = catalogue_find(c, key, strlen(key));
    if (!m)
        return err_set(err, FP_NOT_FOUND, "%s.properties: the message \"%s\" is missing", c->tag, key);
    *out = m->text;
    return check_message(m, values, err);
}

int catalogue_words(const struct catalogue *c, struct words *out, struct fp_err *err)
{
    *out = (struct words){0};
    for (int i = 0; i < WORD_COUNT; i++)
        if (need(c, word_needs[i].key, word_needs[i].values, &out->word[i], err) != 0)
            return -1;
    unsigned categories = intl_plural_set(c->tag);
    for (int i = 0; i < PLURAL_COUNT; i++) {
        for (int k = 0; k < INTL_PLURALS; k++) {
            char key[MAX_KEY_BYTES];
            snprintf(key, sizeof key, "%s.%s", plural_needs[i].key, intl_plural_names[k]);
            if (categories >> k & 1 && need(c, key, plural_needs[i].values, &out->plural[i][k], err) != 0)
                return -1;
        }
    }
    return 0;
}

/* --- filling in ------------------------------------------------------------------------------ */

static const char *value_of(const struct word_value *values, const char *name, size_t bytes)
{
    for (; values && values->name; values++)
        if (strlen(values->name) == bytes && memcmp(values->name, name, bytes) == 0)
            return values->text;
    return "";
}

/* Appends as much as there is room for, whole characters. */
static size_t append(char *out, size_t at, size_t cap, const char *text, size_t bytes)
{
    size_t room = cap - 1 - at;
    if (bytes > room)
        for (bytes = room; bytes > 0 && (text[bytes] & 0xc0) == 0x80;)
            bytes--;
    memcpy(out + at, text, bytes);
    return at + bytes;
}

void words_fill(char *out, size_t cap, const char *message, const struct word_value *values)
{
    size_t at = 0;
    for (const char *p = message; *p;) {
        const char *open = strstr(p, "{{"), *close = open ? strstr(open, "}}") : NULL;
        if (!close) {
            at = append(out, at, cap, p, strlen(p));
            break;
        }
        const char *text = value_of(values, open + 2, (size_t)(close - open - 2));
        at = append(out, at, cap, p, (size_t)(open - p));
        at = append(out, at, cap, text, strlen(text));
        p = close + 2;
    }
    out[at] = 0;
}
