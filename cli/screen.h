/* Lines on a terminal that are drawn again in place. */
#ifndef FP_CLI_SCREEN_H
#define FP_CLI_SCREEN_H

#include <stdbool.h>

#include "lib/base/str.h"

struct screen {
    int drawn; /* lines on the terminal now */
};

bool screen_is_terminal(void);             /* stdout can be drawn on */
void screen_size(int *columns, int *rows); /* of the terminal now */
/* Draws the lines of the text over the ones drawn before. Each is cut to the
 * width and all to the height, so that nothing ever scrolls. */
void screen_draw(struct screen *s, const char *text);
/* "[#####.....]" over `columns` columns; part < 0: nothing known. */
void screen_bar(struct fp_str *out, double part, int columns);

#endif
