/* Lines on a terminal that are drawn again in place. */
#ifndef FP_CLI_SCREEN_H
#define FP_CLI_SCREEN_H

#include <stdbool.h>

#include "lib/base/str.h"

struct screen {
    int drawn;         /* lines on the terminal now */
    int columns, rows; /* of the terminal when they were drawn */
};

bool screen_is_terminal(void);             /* stdout can be drawn on */
void screen_size(int *columns, int *rows); /* of the terminal now */
/* From now on a changed size, and coming back from the background, end a pause
 * (nanosleep), and the next picture takes them into account. */
void screen_watch_signals(void);
/* Draws the lines of the text over the ones drawn before. Each is cut to the
 * width, with "..." where something is missing, and all to the height, so that
 * nothing ever wraps or scrolls. */
void screen_draw(struct screen *s, const char *text);
/* What was drawn last stays; what follows begins on a line of its own. */
void screen_leave(struct screen *s);
/* "[#####.....]" over `columns` columns; part < 0: nothing known. */
void screen_bar(struct fp_str *out, double part, int columns);

/* Items side by side with two blanks between, as many on a line as fit: a
 * narrow terminal gets more lines, and never half a number. */
struct flow {
    struct fp_str *out;
    int columns, used;
};
struct flow screen_flow(struct fp_str *out); /* on a new line, for the terminal as it is */
void flow_add(struct flow *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
