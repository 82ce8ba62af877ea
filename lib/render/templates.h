/* The compiled templates of a folder. Private to lib/render. */
#ifndef FP_RENDER_TEMPLATES_H
#define FP_RENDER_TEMPLATES_H

#include "lib/mustache/mustache.h"
#include "lib/render/render.h"

/* One mail's three templates. */
struct template_mail {
    char *name;
    const struct fp_mustache *subject, *text, *html;
};

/* NULL when there is none of that name. */
const struct template_mail *templates_find(const struct fp_templates *t, const char *name);
const struct fp_mustache_set *templates_set(const struct fp_templates *t);

#endif
