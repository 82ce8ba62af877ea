/* A line is cut in place; quotes are taken off and doubled ones made single. */
#include "cli/csv.h"

#include <stdbool.h>
#include <string.h>

/* From *p to behind the field's end; NULL: a quote that does not close, or text behind it. */
static char *cut_quoted(char *p, char **field)
{
    char *to = *field = p + 1;
    for (p++; *p != '\0'; p++) {
        if (*p == '"' && p[1] != '"') {
            *to = '\0';
            return p[1] == ',' || p[1] == '\0' ? p + 1 : NULL;
        }
        if (*p == '"')
            p++;
        *to++ = *p;
    }
    return NULL;
}

static const char *cut(struct csv *c)
{
    char *p = c->text;
    for (c->n = 0;;) {
        if (c->n == CSV_MAX_FIELDS)
            return "has more than 16 fields";
        char *field = p;
        p = *p == '"' ? cut_quoted(p, &field) : p + strcspn(p, ",");
        if (p == NULL)
            return "has a quote that does not end its field";
        c->fields[c->n++] = field;
        if (*p == '\0')
            return NULL;
        *p++ = '\0';
    }
}

int csv_read(struct csv *c, const char **why)
{
    size_t n;
    do {
        if (fgets(c->text, sizeof c->text, c->file) == NULL)
            return 0;
        c->line++;
        n = strcspn(c->text, "\r\n");
        if (c->text[n] == '\0' && !feof(c->file)) {
            for (int ch = 0; ch != '\n' && ch != EOF;) /* the rest of it */
                ch = fgetc(c->file);
            *why = "is longer than 4,000 bytes, or holds a NUL";
            return -1;
        }
        c->text[n] = '\0';
    } while (n == 0);
    if (c->line == 1 && strncmp(c->text, "\xef\xbb\xbf", 3) == 0) /* a byte order mark */
        memmove(c->text, c->text + 3, n - 2);
    *why = cut(c);
    return *why == NULL ? 1 : -1;
}

void csv_write(FILE *out, const char *text, int first)
{
    bool formula = text[0] != '\0' && strchr("=+-@", text[0]) != NULL;
    if (!first)
        fputc(',', out);
    if (!formula && strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    if (formula)
        fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}
