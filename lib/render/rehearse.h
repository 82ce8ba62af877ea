/* Every template tried with two statements of our own. Private to lib/render. */
#ifndef FP_RENDER_REHEARSE_H
#define FP_RENDER_REHEARSE_H

#include "lib/base/err.h"
#include "lib/render/render.h"

#define RENDER_MAX_PART_BYTES (60 * 1024) /* Gmail cuts HTML at 102 kB, and encoded it is more */

/* Renders each template in each language, with a statement of everything and
 * one of nothing. Fails with the template, the language and, where it has one,
 * the place: what cannot be rendered, or is too long. */
int rehearse(const struct fp_templates *t, struct fp_err *err) FP_MUST_CHECK;

#endif
