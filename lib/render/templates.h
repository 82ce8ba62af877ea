/* The compiled templates of a folder, for each language. Private to lib/render. */
#ifndef FP_RENDER_TEMPLATES_H
#define FP_RENDER_TEMPLATES_H

#include "lib/mustache/mustache.h"
#include "lib/render/catalogue.h"
#include "lib/render/render.h"

/* One mail's three templates. */
struct template_mail {
    const char *name;
    const struct fp_mustache *subject, *text, *html;
    unsigned parts; /* of a statement, that they show */
};

struct language {
    struct catalogue *messages;
    struct words words;
    bool right_to_left;
    struct fp_mustache_set *html, *text; /* two, because partials of both escape messages or not */
    struct template_mail *mails;
    size_t n_mails;
};

/* The language for a user's locale: de-AT, de, the default one. `tag`: how to
 * write figures and dates, "de-AT". */
const struct language *templates_language(const struct fp_templates *t, const char *locale,
                                          char tag[INTL_TAG_BYTES]);
/* NULL when there is none of that name. */
const struct template_mail *templates_find(const struct language *l, const char *name);

#endif
