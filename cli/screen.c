/*
 * Drawing in place with the four control sequences that every terminal has
 * known since the VT100: carriage return, cursor up, clear to the end of the
 * line, clear below. No library, no alternative screen: what was drawn last
 * stays on the terminal. No mode is changed and the cursor stays visible, so
 * there is nothing to restore, however the program ends.
 *
 * A terminal whose size has changed may or may not have broken the old lines
 * anew, and nobody says which: the picture then begins at the top of a cleared
 * screen. After a stop (Ctrl-Z, fg) others have written below it: it is drawn
 * anew where the cursor is.
 */
#include "cli/screen.h"

#include <signal.h>
#include <stdarg.h>
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

static volatile sig_atomic_t continued;

static void on_signal(int signal_number)
{
    if (signal_number == SIGCONT)
        continued = 1;
}

void screen_watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a pause ends at once */
    sigemptyset(&action.sa_mask);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGCONT, &action, NULL);
}

/* The cursor to the beginning of the first line of the picture. */
static void go_to_top(struct screen *s, int columns, int rows)
{
    if (continued) {
        continued = 0;
        s->drawn = 0;
    }
    if (s->drawn > 0 && (columns != s->columns || rows != s->rows))
        fputs("\033[H\033[J", stdout);
    else if (s->drawn > 1)
        printf("\033[%dA", s->drawn - 1);
    s->columns = columns;
    s->rows = rows;
}

void screen_draw(struct screen *s, const char *text)
{
    int columns, rows, lines = 0;
    screen_size(&columns, &rows);
    go_to_top(s, columns, rows);
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

void screen_leave(struct screen *s)
{
    if (s->drawn > 0)
        putchar('\n');
    s->drawn = 0;
    fflush(stdout);
}

void screen_bar(struct fp_str *out, double part, int columns)
{
    int full = part < 0 ? 0 : (int)(part * columns);
    str_putc(out, '[');
    for (int i = 0; i < columns; i++)
        str_putc(out, i < full ? '#' : part < 0 ? ' ' : '.');
    str_putc(out, ']');
}

struct flow screen_flow(struct fp_str *out)
{
    int columns, rows;
    screen_size(&columns, &rows);
    return (struct flow){.out = out, .columns = columns - 1};
}

void flow_add(struct flow *f, const char *fmt, ...)
{
    char item[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(item, sizeof item, fmt, ap);
    va_end(ap);
    int width = text_columns(item);
    if (f->used > 0) {
        bool fits = f->used + 2 + width <= f->columns;
        str_puts(f->out, fits ? "  " : "\n");
        f->used = fits ? f->used + 2 : 0;
    }
    str_puts(f->out, item);
    f->used += width;
}
