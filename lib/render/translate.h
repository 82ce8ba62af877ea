/* Puts a language's messages into the text of a template. Private to lib/render. */
#ifndef FP_RENDER_TRANSLATE_H
#define FP_RENDER_TRANSLATE_H

#include "lib/render/catalogue.h"

/* {{t.KEY}} becomes the message, whose own {{names}} are then names of the
 * template; html: its text is escaped. Freed by the caller; NULL: NOT_FOUND,
 * "FILE:LINE:COLUMN: de.properties has no message ...". */
char *translate(const struct catalogue *c, const char *file, const char *text, bool html, struct fp_err *err);

#endif
