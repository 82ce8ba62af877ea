/*
 * Messages into templates, once at start: what is the same in every mail of a
 * language is literal text by the time a mail is rendered. Lines stay as they
 * are, since a message is one line, so that later errors name the right one.
 */
#include "lib/render/translate.h"

#include <string.h>

#include "lib/base/mem.h"

#define MAX_TRANSLATED_BYTES (1024 * 1024)

static void add_text(struct fp_str *out, const char *p, size_t bytes, bool html)
{
    if (!html) {
        str_add(out, p, bytes);
        return;
    }
    for (const char *end = p + bytes; p < end; p++) {
        switch (*p) {
        case '&':
            str_puts(out, "&amp;");
            break;
        case '<':
            str_puts(out, "&lt;");
            break;
        case '>':
            str_puts(out, "&gt;");
            break;
        case '"':
            str_puts(out, "&quot;");
            break;
        default:
            str_putc(out, *p);
        }
    }
}

/* Tags in a message stay tags. */
static void add_message(struct fp_str *out, const char *p, bool html)
{
    while (*p) {
        const char *open = strstr(p, "{{"), *close = open ? strstr(open, "}}") : NULL;
        if (!close) {
            add_text(out, p, strlen(p), html);
            return;
        }
        add_text(out, p, (size_t)(open - p), html);
        str_add(out, open, (size_t)(close + 2 - open));
        p = close + 2;
    }
}

static void locate(const char *text, const char *at, int *line, int *column)
{
    const char *start = text;
    *line = 1;
    for (const char *p = text; p < at; p++) {
        if (*p == '\n') {
            (*line)++;
            start = p + 1;
        }
    }
    *column = (int)(at - start) + 1;
}

/* The tag {{t.KEY}} at p: its key; false when it is another. */
static bool read_tag(const char *p, const char **key, size_t *bytes, const char **end)
{
    p += 2 + strspn(p + 2, " ");
    if (strncmp(p, "t.", 2) != 0)
        return false;
    *key = p + 2;
    *bytes = strspn(*key, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    p = *key + *bytes;
    p += strspn(p, " ");
    if (strncmp(p, "}}", 2) != 0)
        return false;
    *end = p + 2;
    return true;
}

char *translate(const struct catalogue *c, const char *file, const char *text, bool html, struct fp_err *err)
{
    struct fp_str out;
    str_init(&out, MAX_TRANSLATED_BYTES);
    for (const char *p = text; *p;) {
        const char *tag = strstr(p, "{{"), *key, *end;
        size_t bytes;
        if (!tag) {
            str_puts(&out, p);
            break;
        }
        str_add(&out, p, (size_t)(tag - p));
        if (!read_tag(tag, &key, &bytes, &end)) {
            str_add(&out, tag, 2);
            p = tag + 2;
            continue;
        }
        const struct message *m = catalogue_find(c, key, bytes);
        if (!m) {
            int line, column;
            locate(text, tag, &line, &column);
            err_set(err, FP_NOT_FOUND, "%s:%d:%d: %s.properties has no message \"%.*s\"", file, line, column,
                    catalogue_tag(c), (int)bytes, key);
            str_fini(&out);
            return NULL;
        }
        add_message(&out, m->text, html);
        p = end;
    }
    char *done = str_take(&out);
    str_fini(&out);
    return done ? done : mem_strdup("");
}
