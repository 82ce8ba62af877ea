/*
 * The compiler: from a template's text to a flat array of ops.
 *
 * One pass from left to right. Literal text and names are not copied out: ops
 * point into the template's own copy of its source. A section is one op that
 * knows where it ends, so that rendering is a loop and not a walk over a tree.
 *
 * The difficult part of Mustache is white space: a tag that stands alone on
 * its line (sections, comments, delimiters, partials) takes its whole line
 * with it. `standalone()` decides that by looking at the line around the tag.
 *
 * Not here: lambdas, inheritance and dynamic names, the optional parts of the
 * specification (https://github.com/mustache/spec).
 */
#define _GNU_SOURCE /* memmem */
#include "lib/mustache/internal.h"

#include <string.h>

#include "lib/base/mem.h"

#define MAX_DELIMITER_BYTES 8 /* "<%", "{{": nobody needs more */

struct delimiter {
    char text[MAX_DELIMITER_BYTES + 1];
    size_t bytes;
};

struct compiler {
    struct fp_mustache *t;
    const char *src;
    size_t len, pos;
    struct delimiter open, close;
    uint32_t sections[MUSTACHE_MAX_DEPTH]; /* the ops of the open ones */
    int depth;
    size_t line_start; /* of the line that `line` counts */
    int line;
    struct fp_err *err;
};

/* What stands between the delimiters. */
struct tag {
    size_t start, end; /* with the delimiters */
    char sigil;        /* # ^ / ! = > & {, or 0 */
    const char *name;  /* blanks around it taken off */
    size_t name_bytes;
    int line, column;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
    return is_blank(c) || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static int fail(struct compiler *c, const struct tag *tag, const char *what)
{
    return err_set(c->err, FP_INVALID_ARGUMENT, "%s:%d:%d: %s", c->t->name, tag->line, tag->column, what);
}

static int fail_name(struct compiler *c, const struct tag *tag, const char *what)
{
    int n = tag->name_bytes > 60 ? 60 : (int)tag->name_bytes;
    return err_set(c->err, FP_INVALID_ARGUMENT, "%s:%d:%d: %s \"%.*s\"", c->t->name, tag->line, tag->column,
                   what, n, tag->name);
}

static struct op *add_op(struct compiler *c, enum op_kind kind, size_t at, size_t bytes)
{
    struct fp_mustache *t = c->t;
    if (t->n_ops == t->cap_ops) {
        t->cap_ops = t->cap_ops ? t->cap_ops * 2 : 32;
        t->ops = mem_resize(t->ops, t->cap_ops, sizeof t->ops[0]);
    }
    struct op *op = &t->ops[t->n_ops++];
    *op = (struct op){.kind = kind, .text = c->src + at, .bytes = (uint32_t)bytes};
    return op;
}

static bool begins_line(const struct compiler *c, size_t at)
{
    return at == 0 || c->src[at - 1] == '\n';
}

static void add_text(struct compiler *c, size_t from, size_t to)
{
    if (to > from)
        add_op(c, OP_TEXT, from, to - from)->begins_line = begins_line(c, from);
}

/* Counts lines up to `at`, which only grows. */
static void locate(struct compiler *c, size_t at, struct tag *tag)
{
    const char *nl;
    while ((nl = memchr(c->src + c->line_start, '\n', at - c->line_start))) {
        c->line_start = (size_t)(nl - c->src) + 1;
        c->line++;
    }
    tag->line = c->line;
    tag->column = (int)(at - c->line_start) + 1;
}

static const char *find(const char *hay, size_t hay_bytes, const char *needle, size_t needle_bytes)
{
    return memmem(hay, hay_bytes, needle, needle_bytes);
}

/* Reads the tag that opens at `start`. */
static int read_tag(struct compiler *c, size_t start, struct tag *tag)
{
    locate(c, start, tag);
    tag->start = start;
    size_t p = start + c->open.bytes;
    tag->sigil = p < c->len && strchr("#^/!=>&{", c->src[p]) ? c->src[p] : 0;
    p += tag->sigil ? 1 : 0;

    char closing[MAX_DELIMITER_BYTES + 2] = "";
    if (tag->sigil == '{' || tag->sigil == '=')
        closing[0] = tag->sigil == '{' ? '}' : '=';
    memcpy(closing + strlen(closing), c->close.text, c->close.bytes + 1);
    size_t closing_bytes = strlen(closing);
    const char *end = find(c->src + p, c->len - p, closing, closing_bytes);
    if (!end)
        return err_set(c->err, FP_INVALID_ARGUMENT, "%s:%d:%d: the tag has no closing \"%s\"", c->t->name,
                       tag->line, tag->column, closing);
    tag->end = (size_t)(end - c->src) + closing_bytes;

    const char *name = c->src + p;
    while (name < end && is_space(*name))
        name++;
    while (end > name && is_space(end[-1]))
        end--;
    tag->name = name;
    tag->name_bytes = (size_t)(end - name);
    return 0;
}

static int check_name(struct compiler *c, const struct tag *tag)
{
    if (tag->name_bytes == 0)
        return fail(c, tag, "a tag without a name");
    if (tag->name_bytes > MUSTACHE_MAX_NAME_BYTES)
        return fail_name(c, tag, "the name is too long:");
    for (size_t i = 0; i < tag->name_bytes; i++) {
        unsigned char ch = (unsigned char)tag->name[i];
        if (ch <= ' ' || ch == 0x7f)
            return fail_name(c, tag, "a blank inside the name");
    }
    bool is_dot = tag->name_bytes == 1 && tag->name[0] == '.';
    if (tag->sigil == '>' || is_dot)
        return 0;
    if (tag->name[0] == '.' || tag->name[tag->name_bytes - 1] == '.' ||
        find(tag->name, tag->name_bytes, "..", 2))
        return fail_name(c, tag, "a dot in the wrong place of");
    return 0;
}

/* Whether nothing but blanks stands around the tag on its line. If so, *from
 * is the start of the line and *to the start of the next. */
static bool standalone(const struct compiler *c, const struct tag *tag, size_t *from, size_t *to)
{
    size_t a = tag->start;
    while (a > 0 && is_blank(c->src[a - 1]))
        a--;
    if (!begins_line(c, a))
        return false;
    size_t b = tag->end;
    while (b < c->len && is_blank(c->src[b]))
        b++;
    if (b < c->len) {
        if (c->src[b] == '\r' && b + 1 < c->len && c->src[b + 1] == '\n')
            b++;
        if (c->src[b] != '\n')
            return false;
        b++;
    }
    *from = a;
    *to = b;
    return true;
}

static int set_delimiter(struct compiler *c, const struct tag *tag, struct delimiter *d, const char *text,
                         size_t bytes)
{
    if (bytes == 0 || bytes > MAX_DELIMITER_BYTES || memchr(text, '=', bytes) || memchr(text, 0, bytes))
        return fail(c, tag, "delimiters are written {{=<% %>=}}: two words of 1 to 8 characters without =");
    memcpy(d->text, text, bytes);
    d->text[bytes] = 0;
    d->bytes = bytes;
    return 0;
}

static int change_delimiters(struct compiler *c, const struct tag *tag)
{
    const char *a = tag->name, *end = tag->name + tag->name_bytes, *a_end = a, *b;
    while (a_end < end && !is_space(*a_end))
        a_end++;
    for (b = a_end; b < end && is_space(*b); b++)
        ;
    for (const char *p = b; p < end; p++)
        if (is_space(*p))
            return fail(c, tag, "more than two delimiters");
    if (set_delimiter(c, tag, &c->open, a, (size_t)(a_end - a)) != 0)
        return -1;
    return set_delimiter(c, tag, &c->close, b, (size_t)(end - b));
}

static int close_section(struct compiler *c, const struct tag *tag)
{
    if (c->depth == 0)
        return fail_name(c, tag, "no section is open to be closed by");
    struct op *op = &c->t->ops[c->sections[c->depth - 1]];
    if (op->bytes != tag->name_bytes || memcmp(op->text, tag->name, op->bytes) != 0)
        return err_set(c->err, FP_INVALID_ARGUMENT,
                       "%s:%d:%d: \"%.*s\" closes the section \"%.*s\" of line %d", c->t->name, tag->line,
                       tag->column, (int)tag->name_bytes, tag->name, (int)op->bytes, op->text, op->line);
    op->end = c->t->n_ops;
    c->depth--;
    return 0;
}

static enum op_kind kind_of(char sigil)
{
    switch (sigil) {
    case '#':
        return OP_SECTION;
    case '^':
        return OP_INVERTED;
    case '>':
        return OP_PARTIAL;
    case '&':
    case '{':
        return OP_RAW;
    default:
        return OP_VALUE;
    }
}

/* Adds the op of a tag that has a name; line_from is the start of the line
 * when the tag stands alone on it. */
static int add_tag(struct compiler *c, const struct tag *tag, bool alone, size_t line_from)
{
    if (check_name(c, tag) != 0)
        return -1;
    if (tag->sigil == '/')
        return close_section(c, tag);
    struct op *op = add_op(c, kind_of(tag->sigil), (size_t)(tag->name - c->src), tag->name_bytes);
    op->line = tag->line;
    op->column = tag->column;
    op->begins_line = !alone && begins_line(c, tag->start);
    if (op->kind == OP_PARTIAL && alone) {
        op->indent = c->src + line_from;
        op->indent_bytes = (uint32_t)(tag->start - line_from);
    }
    if (op->kind != OP_SECTION && op->kind != OP_INVERTED)
        return 0;
    if (c->depth == MUSTACHE_MAX_DEPTH)
        return fail(c, tag, "sections are nested too deep");
    c->sections[c->depth++] = c->t->n_ops - 1;
    return 0;
}

/* One tag and the text before it. */
static int compile_tag(struct compiler *c, const struct tag *tag)
{
    bool takes_line = tag->sigil != 0 && tag->sigil != '&' && tag->sigil != '{';
    size_t from = tag->start, to = tag->end;
    bool alone = takes_line && standalone(c, tag, &from, &to);
    add_text(c, c->pos, from);
    c->pos = to;
    if (tag->sigil == '!')
        return 0;
    if (tag->sigil == '=')
        return change_delimiters(c, tag);
    return add_tag(c, tag, alone, from);
}

/* Ends each name by a NUL and cuts it at its dots. Only now, because until
 * here the source was still being read. */
static void seal_names(struct fp_mustache *t)
{
    for (uint32_t i = 0; i < t->n_ops; i++) {
        struct op *op = &t->ops[i];
        if (op->kind == OP_TEXT)
            continue;
        char *name = t->source + (op->text - t->source);
        name[op->bytes] = 0;
        if (op->kind == OP_PARTIAL || strcmp(name, ".") == 0)
            continue;
        op->segments = 1;
        for (char *p = name; (p = strchr(p, '.')); p++) {
            *p = 0;
            op->segments++;
        }
    }
}

int mustache_compile(struct fp_mustache *t, struct fp_err *err)
{
    struct compiler c = {.t = t, .src = t->source, .len = t->source_bytes, .line = 1, .err = err};
    c.open = (struct delimiter){"{{", 2};
    c.close = (struct delimiter){"}}", 2};
    const char *at;
    while ((at = find(c.src + c.pos, c.len - c.pos, c.open.text, c.open.bytes))) {
        struct tag tag = {0};
        if (read_tag(&c, (size_t)(at - c.src), &tag) != 0 || compile_tag(&c, &tag) != 0)
            return -1;
    }
    if (c.depth > 0) {
        const struct op *op = &t->ops[c.sections[c.depth - 1]];
        return err_set(err, FP_INVALID_ARGUMENT, "%s:%d:%d: the section \"%.*s\" is never closed", t->name,
                       op->line, op->column, (int)op->bytes, op->text);
    }
    add_text(&c, c.pos, c.len);
    seal_names(t);
    return 0;
}
