/*
 * Logic-less Mustache (spec 1.4, core): compiled once, rendered many.
 *
 * Bounded: depth of sections and partials, size of a template and of what is
 * rendered. Values are asked for by name through a view, so that a mail's data
 * need not be copied into trees. HTML escaping by default ({{x}}), raw with
 * {{{x}}} and {{&x}}; a template compiled as plain text escapes nothing. A
 * partial escapes as the template that is being rendered does, so that one
 * partial serves both. {{> x}} finds "x", else "x.mustache"; a missing one
 * renders as nothing, as the specification says (mustache_check_partials()
 * finds it at start).
 */
#ifndef FP_MUSTACHE_MUSTACHE_H
#define FP_MUSTACHE_MUSTACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

#define MUSTACHE_MAX_DEPTH          64
#define MUSTACHE_MAX_TEMPLATE_BYTES (256 * 1024)

struct fp_mustache;     /* one compiled template; read-only afterwards, any thread may render it */
struct fp_mustache_set; /* templates by name: the partials of one another */

/* A value of a view. */
enum mustache_kind {
    MUSTACHE_NULL,
    MUSTACHE_FALSE,
    MUSTACHE_TRUE,
    MUSTACHE_TEXT,
    MUSTACHE_OBJECT,
    MUSTACHE_LIST
};
struct mustache_value {
    enum mustache_kind kind;
    const char *text; /* TEXT; "" is falsey */
    const void *ptr;  /* OBJECT, LIST: the view's own */
    const struct mustache_view *view;
    size_t count; /* LIST */
};
struct mustache_view {
    /* The member of an object; false when it has none of that name (a NULL one is found). */
    bool (*get)(const void *object, const char *name, struct mustache_value *out);
    /* The item of a list. */
    void (*item)(const void *list, size_t index, struct mustache_value *out);
    /* As get, by the name's number (mustache_set_bind()); NULL: this view is asked by name. */
    bool (*get_numbered)(const void *object, unsigned number, struct mustache_value *out);
};

struct fp_mustache_set *mustache_set_new(void);
void mustache_set_free(struct fp_mustache_set *s);
/* Compiles text under a name. name is in errors: "statement.html:12:5: ...". html: escape by default. */
int mustache_set_add(struct fp_mustache_set *s, const char *name, const char *text, bool html,
                     struct fp_err *err) FP_MUST_CHECK;
/* NULL when there is none of that name. */
const struct fp_mustache *mustache_set_get(const struct fp_mustache_set *s, const char *name);
/* Appends to out; RESOURCE_EXHAUSTED past its maximum or the depth. */
int mustache_render(const struct fp_mustache_set *s, const struct fp_mustache *t,
                    const struct mustache_value *root, struct fp_str *out, struct fp_err *err) FP_MUST_CHECK;
/* Fails with file, line and column when a template of the set includes a
 * partial that is not there. */
int mustache_check_partials(const struct fp_mustache_set *s, struct fp_err *err) FP_MUST_CHECK;
/* Fails, likewise, when a partial includes itself, if by others, or what is
 * nested goes deeper than is rendered. The specification allows the first where
 * a section over nested data ends it: only for views without such data. */
int mustache_check_nesting(const struct fp_mustache_set *s, struct fp_err *err) FP_MUST_CHECK;

/* To be called once, after the last template: finds partials and the numbers of
 * names now, instead of at each rendering. */
struct mustache_bind {
    unsigned (*number)(const char *name); /* of a name; 0: no view has it */
    /* NULL, or how all that is rendered is encoded: text is, now, and values each time. Must leave "\n". */
    void (*encode)(struct fp_str *out, const char *text, size_t bytes);
};
void mustache_set_bind(struct fp_mustache_set *s, const struct mustache_bind *how);

/* A name as a template uses it. */
struct mustache_use {
    const char *template_name; /* the file it stands in */
    int line, column;
    const char *name;          /* with its dots: "a.b" */
    const char *const *inside; /* names of the sections around it, outermost first */
    int depth;                 /* how many; an inverted section is not counted */
};
/* Calls back for every name used in the template and its partials, so that a
 * template that asks for what no view offers is found at start. {{.}} is not
 * a name. False when there are so many that not all were called back for. */
bool mustache_names(const struct fp_mustache *t, void (*each)(void *ctx, const struct mustache_use *use),
                    void *ctx);

#endif
