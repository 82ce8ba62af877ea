/*
 * Drawing in place with the four control sequences that every terminal has
 * known since the VT100: carriage return, cursor up, clear to the end of the
 * line, clear below. No library, no alternative screen: what was drawn last
 * stays on the terminal.
 */
#include "cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/format.h"

bool screen_is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

void screen_size(int *columns, int *rows)
{
    struct winsize w;
    *columns = 80;
    *rows = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
        *columns = w.ws_col;
        *rows = w.ws_row;
    }
}

void screen_draw(struct screen *s, const char *text)
{
    int columns, rows, lines = 0;
    screen_size(&columns, &rows);
    /* The terminal may have become smaller since: going up stops at its top. */
    if (s->drawn > 1)
        printf("\033[%dA", s->drawn - 1);
    for (const char *at = text; *at != '\0' && lines < rows - 1;) {
        char line[1024];
        size_t bytes = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(bytes < sizeof line ? bytes : sizeof line - 1), at);
        fputs(lines > 0 ? "\n\r" : "\r", stdout);
        text_print_cut(line, columns - 1, stdout); /* the last column would wrap */
        fputs("\033[K", stdout);
        lines++;
        at += bytes + (at[bytes] == '\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
    s->drawn = lines;
}

void screen_bar(struct fp_str *out, double part, int columns)
{
    int full = part < 0 ? 0 : (int)(part * columns);
    str_putc(out, '[');
    for (int i = 0; i < columns; i++)
        str_putc(out, i < full ? '#' : part < 0 ? ' ' : '.');
    str_putc(out, ']');
}
