/* What compile.c makes and render.c runs. Private to lib/mustache. */
#ifndef FP_MUSTACHE_INTERNAL_H
#define FP_MUSTACHE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/mustache/mustache.h"

#define MUSTACHE_MAX_NAME_BYTES 100 /* of a name with its dots; longer is a missing "}}" */

enum op_kind { OP_TEXT, OP_VALUE, OP_RAW, OP_SECTION, OP_INVERTED, OP_PARTIAL };

/* One step of a template. Texts point into the template's own copy of its
 * source, in which names are ended by NULs and their dots replaced by NULs. */
struct op {
    enum op_kind kind;
    bool begins_line;   /* the first thing on its line: where a partial's indentation goes */
    const char *text;   /* OP_TEXT: the literal; else the name */
    uint32_t bytes;     /* of text */
    uint32_t segments;  /* of a dotted name; 0: "." */
    uint32_t end;       /* sections: index behind their last op */
    const char *indent; /* OP_PARTIAL standing alone: the blanks before it */
    uint32_t indent_bytes;
    int line, column;
    bool bound;                        /* what follows is known: mustache_set_bind() */
    unsigned number;                   /* of a name, its first part; 0: no view has it */
    const struct fp_mustache *partial; /* OP_PARTIAL; NULL: there is none */
};

struct fp_mustache {
    char *name;
    char *source;
    size_t source_bytes;
    struct fp_str encoded; /* its literal texts, when they are encoded */
    bool html;
    struct op *ops;
    uint32_t n_ops, cap_ops;
    const struct fp_mustache_set *set;
};

struct fp_mustache_set {
    struct fp_mustache **items;
    size_t count;
    void (*encode)(struct fp_str *out, const char *text, size_t bytes);
};

/* Fills ops from source. */
int mustache_compile(struct fp_mustache *t, struct fp_err *err) FP_MUST_CHECK;
/* The partial a name means: "x", else "x.mustache"; NULL: there is none. */
const struct fp_mustache *mustache_partial(const struct fp_mustache_set *s, const char *name);

#endif
