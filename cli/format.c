/*
 * Numbers, times and tables as people read them. Widths are those of the
 * terminal (wcwidth), so that names in any script keep their columns.
 */
#define _XOPEN_SOURCE 700 /* wcwidth */
#include "cli/format.h"

#include <string.h>
#include <wchar.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

char *format_count(int64_t n, char out[FORMAT_CAP])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), o = 0;
    for (int i = 0; i < length; i++) {
        out[o++] = digits[i];
        int left = length - 1 - i;
        if (left > 0 && left % 3 == 0 && digits[i] != '-')
            out[o++] = ',';
    }
    out[o] = '\0';
    return out;
}

char *format_time(int64_t us, char out[FORMAT_CAP])
{
    if (us == 0) {
        snprintf(out, FORMAT_CAP, "-");
        return out;
    }
    time_format_rfc3339(us, out);
    out[10] = ' ';
    out[19] = '\0';
    return out;
}

char *format_duration(double seconds, char out[FORMAT_CAP])
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(out, FORMAT_CAP, "-");
        return out;
    }
    long s = (long)(seconds + 0.5);
    if (seconds < 1)
        snprintf(out, FORMAT_CAP, "%.0f ms", seconds * 1000);
    else if (seconds < 59.95)
        snprintf(out, FORMAT_CAP, "%.1f s", seconds);
    else if (s < 3600)
        snprintf(out, FORMAT_CAP, "%ldm %02lds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, FORMAT_CAP, "%ldh %02ldm", s / 3600, s % 3600 / 60);
    else
        snprintf(out, FORMAT_CAP, "%ldd %02ldh", s / 86400, s % 86400 / 3600);
    return out;
}

char *format_percent(double part, char out[FORMAT_CAP])
{
    /* 99.97 % must not read as 100 %: what is missing is what matters here. */
    double percent = part * 100;
    if (percent > 99.9 && percent < 100)
        snprintf(out, FORMAT_CAP, "%.5g %%", percent >= 99.999 ? 99.999 : percent);
    else
        snprintf(out, FORMAT_CAP, "%.1f %%", percent);
    return out;
}

/* --- text on a terminal ----------------------------------------------------------- */

/* Takes one character: its bytes, and its columns in *columns. */
static size_t take_character(const char *s, mbstate_t *state, int *columns)
{
    wchar_t c;
    size_t n = mbrtowc(&c, s, strlen(s), state);
    if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
        memset(state, 0, sizeof *state);
        *columns = 1;
        return 1;
    }
    int w = wcwidth(c);
    *columns = w < 0 ? 1 : w;
    return n;
}

int text_columns(const char *s)
{
    mbstate_t state = {0};
    int total = 0, columns;
    while (*s != '\0') {
        s += take_character(s, &state, &columns);
        total += columns;
    }
    return total;
}

#define MARKED_FROM 20 /* columns; in fewer the mark would take what little there is */

void text_print_cut(const char *s, int columns, FILE *out)
{
    static const char more[] = "...";
    mbstate_t state = {0};
    int used = 0, width;
    bool marked = columns >= MARKED_FROM && text_columns(s) > columns;
    if (marked)
        columns -= (int)sizeof more - 1;
    while (*s != '\0') {
        size_t n = take_character(s, &state, &width);
        if (used + width > columns)
            break;
        fwrite(s, 1, n, out);
        used += width;
        s += n;
    }
    if (marked)
        fputs(more, out);
}

/* --- tables -------------------------------------------------------------------------- */

struct table {
    const char *const *headings;
    int columns;
    int widths[TABLE_MAX_COLUMNS];
    char **cells;
    size_t n, room;
};

static const char *heading(const struct table *t, int column)
{
    return t->headings[column] + (t->headings[column][0] == '>');
}

struct table *table_new(const char *const *headings, int columns)
{
    struct table *t = mem_alloc(sizeof *t);
    t->headings = headings;
    t->columns = columns;
    for (int i = 0; i < columns; i++)
        t->widths[i] = text_columns(heading(t, i));
    return t;
}

void table_add(struct table *t, const char *cell)
{
    int column = (int)(t->n % (size_t)t->columns), width = text_columns(cell);
    if (t->n == t->room) {
        t->room = t->room > 0 ? 2 * t->room : 64;
        t->cells = mem_resize(t->cells, t->room, sizeof *t->cells);
    }
    t->cells[t->n++] = mem_strdup(cell);
    t->widths[column] = width > t->widths[column] ? width : t->widths[column];
}

static void print_cell(const struct table *t, int column, const char *text, FILE *out)
{
    int pad = t->widths[column] - text_columns(text);
    bool right = t->headings[column][0] == '>', last = column == t->columns - 1;
    if (right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

void table_print(const struct table *t, FILE *out)
{
    for (int i = 0; i < t->columns; i++)
        print_cell(t, i, heading(t, i), out);
    for (size_t i = 0; i < t->n; i++)
        print_cell(t, (int)(i % (size_t)t->columns), t->cells[i], out);
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->cells[i]);
    mem_free(t->cells);
    mem_free(t);
}
