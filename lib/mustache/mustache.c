/*
 * Sets of templates: adding, finding, checking.
 *
 * A set is built once at start and read-only afterwards, so that any thread
 * may render from it without a lock. Templates are few (a mail has three and
 * some partials): they are found by a walk over an array.
 */
#include "lib/mustache/mustache.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/text.h"
#include "lib/mustache/internal.h"

#define MAX_TEMPLATES 256   /* in a set: far above any folder of templates */
#define MAX_USES      65536 /* reported by mustache_names(): partials within partials grow fast */

struct fp_mustache_set *mustache_set_new(void)
{
    return mem_alloc(sizeof(struct fp_mustache_set));
}

static void template_free(struct fp_mustache *t)
{
    mem_free(t->name);
    mem_free(t->source);
    str_fini(&t->encoded);
    mem_free(t->ops);
    mem_free(t);
}

void mustache_set_free(struct fp_mustache_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        template_free(s->items[i]);
    mem_free(s->items);
    mem_free(s);
}

static int check_source(const struct fp_mustache_set *s, const char *name, const char *text,
                        struct fp_err *err)
{
    if (s->count == MAX_TEMPLATES)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: more than %d templates", name, MAX_TEMPLATES);
    if (mustache_set_get(s, name))
        return err_set(err, FP_ALREADY_EXISTS, "%s: there is a template of that name already", name);
    size_t bytes = strlen(text);
    if (bytes > MUSTACHE_MAX_TEMPLATE_BYTES)
        return err_set(err, FP_RESOURCE_EXHAUSTED, "%s: %zu bytes; a template may have %d", name, bytes,
                       MUSTACHE_MAX_TEMPLATE_BYTES);
    if (!text_is_utf8(text, bytes))
        return err_set(err, FP_INVALID_ARGUMENT, "%s: not UTF-8", name);
    return 0;
}

int mustache_set_add(struct fp_mustache_set *s, const char *name, const char *text, bool html,
                     struct fp_err *err)
{
    if (check_source(s, name, text, err) != 0)
        return -1;
    struct fp_mustache *t = mem_alloc(sizeof *t);
    t->name = mem_strdup(name);
    t->source = mem_strdup(text);
    t->source_bytes = strlen(text);
    t->html = html;
    t->set = s;
    if (mustache_compile(t, err) != 0) {
        template_free(t);
        return -1;
    }
    s->items = mem_resize(s->items, s->count + 1, sizeof s->items[0]);
    s->items[s->count++] = t;
    return 0;
}

const struct fp_mustache *mustache_set_get(const struct fp_mustache_set *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i]->name, name) == 0)
            return s->items[i];
    return NULL;
}

const struct fp_mustache *mustache_partial(const struct fp_mustache_set *s, const char *name)
{
    const struct fp_mustache *t = mustache_set_get(s, name);
    if (t)
        return t;
    char file[MUSTACHE_MAX_NAME_BYTES + sizeof ".mustache"];
    snprintf(file, sizeof file, "%s.mustache", name);
    return mustache_set_get(s, file);
}

int mustache_check_partials(const struct fp_mustache_set *s, struct fp_err *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct fp_mustache *t = s->items[i];
        for (uint32_t k = 0; k < t->n_ops; k++) {
            const struct op *op = &t->ops[k];
            if (op->kind == OP_PARTIAL && !mustache_partial(s, op->text))
                return err_set(err, FP_NOT_FOUND, "%s:%d:%d: there is no partial \"%s\"", t->name, op->line,
                               op->column, op->text);
        }
    }
    return 0;
}

/* --- how deep it goes ----------------------------------------------------------- */

/* Each template is measured once, whoever includes it how often. */
struct measure {
    const struct fp_mustache_set *set;
    bool open[MAX_TEMPLATES];
    int levels[MAX_TEMPLATES]; /* below its own, and 1; 0: not known yet */
    struct fp_err *err;
};

static int measure_template(struct measure *m, const struct fp_mustache *t);

static size_t index_of(const struct fp_mustache_set *s, const struct fp_mustache *t)
{
    size_t i = 0;
    while (i < s->count && s->items[i] != t)
        i++;
    return i;
}

/* The levels of sections and partials from op `from` to `to`; -1: an error. */
static int measure_ops(struct measure *m, const struct fp_mustache *t, uint32_t from, uint32_t to)
{
    int deepest = 0;
    for (uint32_t i = from; i < to; i++) {
        const struct op *op = &t->ops[i];
        const struct fp_mustache *partial =
            op->kind == OP_PARTIAL ? mustache_partial(m->set, op->text) : NULL;
        int levels = 0;
        if (partial && m->open[index_of(m->set, partial)])
            return err_set(m->err, FP_INVALID_ARGUMENT,
                           "%s:%d:%d: the partial \"%s\" includes itself without end", t->name, op->line,
                           op->column, op->text);
        if (partial) {
            levels = measure_template(m, partial);
        } else if (op->kind == OP_SECTION || op->kind == OP_INVERTED) {
            levels = measure_ops(m, t, i + 1, op->end);
            levels += levels >= 0;
            i = op->end - 1;
        }
        if (levels < 0)
            return -1;
        if (levels > MUSTACHE_MAX_DEPTH)
            return err_set(m->err, FP_RESOURCE_EXHAUSTED,
                           "%s:%d:%d: sections and partials are nested deeper than %d", t->name, op->line,
                           op->column, MUSTACHE_MAX_DEPTH);
        deepest = levels > deepest ? levels : deepest;
    }
    return deepest;
}

static int measure_template(struct measure *m, const struct fp_mustache *t)
{
    size_t at = index_of(m->set, t);
    if (m->levels[at])
        return m->levels[at];
    m->open[at] = true;
    int levels = measure_ops(m, t, 0, t->n_ops);
    m->open[at] = false;
    return levels < 0 ? -1 : (m->levels[at] = levels + 1);
}

int mustache_check_nesting(const struct fp_mustache_set *s, struct fp_err *err)
{
    struct measure m = {.set = s, .err = err};
    for (size_t i = 0; i < s->count; i++)
        if (measure_template(&m, s->items[i]) < 0)
            return -1;
    return 0;
}

static void bind_op(const struct fp_mustache_set *s, const struct mustache_bind *how, struct op *op)
{
    if (op->kind == OP_PARTIAL)
        op->partial = mustache_partial(s, op->text);
    else if (op->kind != OP_TEXT && op->segments > 0)
        op->number = how->number(op->text);
    op->bound = true;
}

/* Twice: where texts lie is known when all are there. */
static void encode_texts(struct fp_mustache *t, const struct mustache_bind *how)
{
    size_t at = 0;
    for (uint32_t k = 0; k < t->n_ops; k++)
        if (t->ops[k].kind == OP_TEXT) {
            size_t before = t->encoded.len;
            how->encode(&t->encoded, t->ops[k].text, t->ops[k].bytes);
            t->ops[k].bytes = (uint32_t)(t->encoded.len - before);
        }
    for (uint32_t k = 0; k < t->n_ops; k++)
        if (t->ops[k].kind == OP_TEXT) {
            t->ops[k].text = t->encoded.data + at;
            at += t->ops[k].bytes;
        }
}

void mustache_set_bind(struct fp_mustache_set *s, const struct mustache_bind *how)
{
    s->encode = how->encode;
    for (size_t i = 0; i < s->count; i++) {
        struct fp_mustache *t = s->items[i];
        for (uint32_t k = 0; k < t->n_ops; k++)
            bind_op(s, how, &t->ops[k]);
        if (how->encode)
            encode_texts(t, how);
    }
}

/* --- the names a template uses ------------------------------------------------ */

struct walk {
    void (*each)(void *ctx, const struct mustache_use *use);
    void *ctx;
    char names[MUSTACHE_MAX_DEPTH][MUSTACHE_MAX_NAME_BYTES + 1];
    const char *inside[MUSTACHE_MAX_DEPTH];
    int depth;
    const struct fp_mustache *open[MUSTACHE_MAX_DEPTH]; /* partials being walked: recursion is legal */
    int n_open;
    long uses;
    bool cut;
};

/* The name with its dots again. */
static void join_name(const struct op *op, char out[MUSTACHE_MAX_NAME_BYTES + 1])
{
    if (op->segments == 0) {
        memcpy(out, ".", sizeof ".");
        return;
    }
    memcpy(out, op->text, op->bytes);
    out[op->bytes] = 0;
    for (uint32_t i = 0; i < op->bytes; i++)
        if (out[i] == 0)
            out[i] = '.';
}

static void report(struct walk *w, const struct fp_mustache *t, const struct op *op)
{
    char name[MUSTACHE_MAX_NAME_BYTES + 1];
    join_name(op, name);
    struct mustache_use use = {.template_name = t->name,
                               .line = op->line,
                               .column = op->column,
                               .name = name,
                               .inside = w->inside,
                               .depth = w->depth};
    if (op->segments > 0)
        w->each(w->ctx, &use);
}

static void walk_ops(struct walk *w, const struct fp_mustache *t, uint32_t from, uint32_t to);

static void walk_section(struct walk *w, const struct fp_mustache *t, uint32_t at)
{
    const struct op *op = &t->ops[at];
    bool counted = op->kind == OP_SECTION && w->depth < MUSTACHE_MAX_DEPTH;
    if (counted) {
        join_name(op, w->names[w->depth]);
        w->inside[w->depth] = w->names[w->depth];
        w->depth++;
    }
    walk_ops(w, t, at + 1, op->end);
    w->depth -= counted ? 1 : 0;
}

static void walk_template(struct walk *w, const struct fp_mustache *t)
{
    for (int i = 0; i < w->n_open; i++)
        if (w->open[i] == t)
            return;
    if (w->n_open == MUSTACHE_MAX_DEPTH) {
        w->cut = true;
        return;
    }
    w->open[w->n_open++] = t;
    walk_ops(w, t, 0, t->n_ops);
    w->n_open--;
}

static void walk_ops(struct walk *w, const struct fp_mustache *t, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        const struct op *op = &t->ops[i];
        if (++w->uses >= MAX_USES) {
            w->cut = true;
            return;
        }
        if (op->kind == OP_TEXT)
            continue;
        if (op->kind == OP_PARTIAL) {
            const struct fp_mustache *partial = mustache_partial(t->set, op->text);
            if (partial)
                walk_template(w, partial);
            continue;
        }
        report(w, t, op);
        if (op->kind == OP_SECTION || op->kind == OP_INVERTED) {
            walk_section(w, t, i);
            i = op->end - 1;
        }
    }
}

bool mustache_names(const struct fp_mustache *t, void (*each)(void *ctx, const struct mustache_use *use),
                    void *ctx)
{
    struct walk *w = mem_alloc(sizeof *w);
    w->each = each;
    w->ctx = ctx;
    walk_template(w, t);
    bool whole = !w->cut;
    mem_free(w);
    return whole;
}
