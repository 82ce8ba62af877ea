/*
 * Rendering: runs the ops of a template over a stack of values.
 *
 * Nothing is allocated but the output's own growth. A name is looked up from
 * the innermost value outwards; the later parts of a dotted name only in what
 * the part before them gave. Depth, output and steps are bounded, so that a
 * partial that includes itself ends with an error and not with the process.
 */
#include <string.h>

#include "lib/mustache/internal.h"

#define MAX_STEPS 1000000 /* ops run for one mail: a statement takes some hundred */

/* Blanks put before each line of a partial: its own after its includer's. */
struct indent {
    const struct indent *outer;
    const char *text;
    uint32_t bytes;
};

struct run {
    const struct fp_mustache_set *set;
    struct mustache_value stack[MUSTACHE_MAX_DEPTH + 1];
    int top;   /* of the stack */
    int level; /* sections and partials being rendered */
    bool html;
    long steps;
    struct fp_str *out;
    struct fp_err *err;
};

static const char *const escapes[256] = {
    ['&'] = "&amp;", ['"'] = "&quot;", ['<'] = "&lt;", ['>'] = "&gt;", ['\''] = "&#39;",
};

static void add_value(struct run *r, const char *text, size_t bytes)
{
    if (r->set->encode)
        r->set->encode(r->out, text, bytes);
    else
        str_add(r->out, text, bytes);
}

static void add_escaped(struct run *r, const char *text)
{
    const char *from = text;
    for (; *text; text++) {
        const char *escape = escapes[(unsigned char)*text];
        if (!escape)
            continue;
        add_value(r, from, (size_t)(text - from));
        str_puts(r->out, escape); /* nothing to be encoded in it */
        from = text + 1;
    }
    add_value(r, from, (size_t)(text - from));
}

static void add_indent(struct run *r, const struct indent *indent)
{
    if (!indent)
        return;
    add_indent(r, indent->outer);
    str_add(r->out, indent->text, indent->bytes);
}

/* A literal of an indented partial: blanks go before each of its lines. */
static void add_lines(struct run *r, const struct op *op, const struct indent *indent)
{
    const char *p = op->text, *end = op->text + op->bytes;
    bool begins = op->begins_line;
    while (p < end) {
        if (begins)
            add_indent(r, indent);
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl + 1 : end;
        str_add(r->out, p, (size_t)(stop - p));
        p = stop;
        begins = true;
    }
}

static bool member(const struct mustache_value *of, const char *name, struct mustache_value *out)
{
    *out = (struct mustache_value){0};
    return of->kind == MUSTACHE_OBJECT && of->view->get(of->ptr, name, out);
}

/* The first part of a name. Asked for some thousand times for a mail. */
static bool first_member(const struct mustache_value *of, const struct op *op, struct mustache_value *out)
{
    if (of->kind != MUSTACHE_OBJECT)
        return false;
    if (op->bound && of->view->get_numbered)
        return op->number != 0 && of->view->get_numbered(of->ptr, op->number, out);
    return member(of, op->text, out);
}

static void look_up(const struct run *r, const struct op *op, struct mustache_value *out)
{
    if (op->segments == 0) {
        *out = r->stack[r->top];
        return;
    }
    bool found = false;
    for (int i = r->top; i >= 0 && !found; i--)
        found = first_member(&r->stack[i], op, out);
    const char *name = op->text;
    for (uint32_t i = 1; found && i < op->segments; i++) {
        struct mustache_value of = *out;
        name += strlen(name) + 1;
        found = member(&of, name, out);
    }
    if (!found)
        *out = (struct mustache_value){0};
}

static const char *text_of(const struct mustache_value *v)
{
    switch (v->kind) {
    case MUSTACHE_TEXT:
        return v->text ? v->text : "";
    case MUSTACHE_TRUE:
        return "true";
    case MUSTACHE_FALSE:
        return "false";
    default:
        return "";
    }
}

static bool is_truthy(const struct mustache_value *v)
{
    switch (v->kind) {
    case MUSTACHE_NULL:
    case MUSTACHE_FALSE:
        return false;
    case MUSTACHE_TEXT:
        return v->text && *v->text;
    case MUSTACHE_LIST:
        return v->count > 0;
    default:
        return true;
    }
}

static int run_ops(struct run *r, const struct fp_mustache *t, uint32_t from, uint32_t to,
                   const struct indent *indent);

static int enter(struct run *r, const struct fp_mustache *t, const struct op *op)
{
    if (++r->level > MUSTACHE_MAX_DEPTH)
        return err_set(r->err, FP_RESOURCE_EXHAUSTED,
                       "%s:%d:%d: sections and partials are nested deeper than %d", t->name, op->line,
                       op->column, MUSTACHE_MAX_DEPTH);
    return 0;
}

/* The section's ops with a value on top of the stack. */
static int run_with(struct run *r, const struct fp_mustache *t, uint32_t at, const struct mustache_value *v,
                    const struct indent *indent)
{
    r->stack[++r->top] = *v;
    int rc = run_ops(r, t, at + 1, t->ops[at].end, indent);
    r->top--;
    return rc;
}

static int run_section(struct run *r, const struct fp_mustache *t, uint32_t at,
                       const struct mustache_value *v, const struct indent *indent)
{
    if (enter(r, t, &t->ops[at]) != 0)
        return -1;
    int rc = 0;
    if (v->kind != MUSTACHE_LIST)
        rc = run_with(r, t, at, v, indent);
    for (size_t i = 0; v->kind == MUSTACHE_LIST && i < v->count && rc == 0; i++) {
        struct mustache_value item = {0};
        v->view->item(v->ptr, i, &item);
        rc = run_with(r, t, at, &item, indent);
    }
    r->level--;
    return rc;
}

static int run_inverted(struct run *r, const struct fp_mustache *t, uint32_t at, const struct indent *indent)
{
    if (enter(r, t, &t->ops[at]) != 0)
        return -1;
    int rc = run_ops(r, t, at + 1, t->ops[at].end, indent);
    r->level--;
    return rc;
}

/* A partial that stands alone on its line carries that line's blanks, and
 * those of the lines around it, to all of its own lines. */
static int run_partial(struct run *r, const struct fp_mustache *t, const struct op *op,
                       const struct indent *outer)
{
    const struct fp_mustache *partial = op->bound ? op->partial : mustache_partial(r->set, op->text);
    if (!partial)
        return 0;
    if (enter(r, t, op) != 0)
        return -1;
    struct indent own = {.outer = outer, .text = op->indent, .bytes = op->indent_bytes};
    const struct indent *indent = own.bytes ? &own : op->indent ? outer : NULL;
    int rc = run_ops(r, partial, 0, partial->n_ops, indent);
    r->level--;
    return rc;
}

static int run_op(struct run *r, const struct fp_mustache *t, uint32_t at, const struct indent *indent)
{
    const struct op *op = &t->ops[at];
    struct mustache_value v;
    if (op->kind == OP_TEXT) {
        if (indent)
            add_lines(r, op, indent);
        else
            str_add(r->out, op->text, op->bytes);
        return 0;
    }
    if (op->begins_line)
        add_indent(r, indent);
    if (op->kind == OP_PARTIAL)
        return run_partial(r, t, op, indent);
    look_up(r, op, &v);
    switch (op->kind) {
    case OP_SECTION:
        return is_truthy(&v) ? run_section(r, t, at, &v, indent) : 0;
    case OP_INVERTED:
        return is_truthy(&v) ? 0 : run_inverted(r, t, at, indent);
    default:
        if (r->html && op->kind == OP_VALUE)
            add_escaped(r, text_of(&v));
        else
            add_value(r, text_of(&v), strlen(text_of(&v)));
        return 0;
    }
}

static int run_ops(struct run *r, const struct fp_mustache *t, uint32_t from, uint32_t to,
                   const struct indent *indent)
{
    for (uint32_t i = from; i < to; i++) {
        const struct op *op = &t->ops[i];
        if (++r->steps > MAX_STEPS || r->out->overflow)
            return err_set(r->err, FP_RESOURCE_EXHAUSTED, "%s: what it renders to is too large", t->name);
        if (run_op(r, t, i, indent) != 0)
            return -1;
        if (op->kind == OP_SECTION || op->kind == OP_INVERTED)
            i = op->end - 1;
    }
    return 0;
}

int mustache_render(const struct fp_mustache_set *s, const struct fp_mustache *t,
                    const struct mustache_value *root, struct fp_str *out, struct fp_err *err)
{
    struct run r;
    r.set = s;
    r.stack[0] = *root;
    r.top = r.level = 0;
    r.html = t->html;
    r.steps = 0;
    r.out = out;
    r.err = err;
    if (run_ops(&r, t, 0, t->n_ops, NULL) != 0)
        return -1;
    if (out->overflow)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: what it renders to is too large", t->name);
    return 0;
}
