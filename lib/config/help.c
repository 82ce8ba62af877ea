/* The table of settings as text for --help and as Markdown for the docs. */
#include "lib/config/config_internal.h"

#include <string.h>

#define INDENT     "      "
#define LINE_BYTES 79 /* of a terminal */

/* What stands for the value: --mail-rate NUMBER. */
static const char *placeholder(const struct config_setting *row)
{
    switch (row->type) {
    case CONFIG_INT:
    case CONFIG_DOUBLE:
        return "NUMBER";
    case CONFIG_DURATION_MS:
        return "DURATION";
    case CONFIG_CHOICE:
        return "CHOICE";
    case CONFIG_SECRET_FILE:
        return "FILE";
    case CONFIG_BOOL:
        return "";
    case CONFIG_STRING:
        break;
    }
    return "TEXT";
}

static void describe_default(const struct config_setting *row, char *out, size_t cap)
{
    if (!row->def)
        snprintf(out, cap, "required");
    else if (*row->def)
        snprintf(out, cap, "default %s", row->def);
    else
        snprintf(out, cap, "default none");
}

/* The words of a text in lines of at most LINE_BYTES, indented. */
static void print_wrapped(const char *text, FILE *out)
{
    size_t column = 0;

    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > 0 && column + 1 + n > LINE_BYTES) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s%.*s", column ? " " : INDENT, (int)n, text);
        column = (column ? column + 1 : strlen(INDENT)) + n;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

void config_print_row(const struct config_setting *row, FILE *out)
{
    char right[200], def[200], text[1024];
    const char *value = placeholder(row);

    config_describe(row, right, sizeof right);
    describe_default(row, def, sizeof def);
    fprintf(out, "  --%s%s%s\n", row->name, *value ? " " : "", value);
    snprintf(text, sizeof text, "%s (%s%s%s)", row->help, right, *right ? "; " : "", def);
    print_wrapped(text, out);
}

void config_print_help(const struct config_table *t, FILE *out)
{
    fprintf(out, "%s: %s\n\n", t->program, t->summary);
    fprintf(out, "Usage: %s [--NAME VALUE | --NAME=VALUE]...\n\n", t->program);
    fprintf(out, "Each setting can come from the environment too, --log-format as\n"
                 "FOLIOPOST_LOG_FORMAT; the flag wins. Durations: 250ms, 5s, 2m, 1h, 1d.\n"
                 "A switch is turned off by --no-NAME.\n\n");
    for (size_t i = 0; i < t->n_rows; i++)
        config_print_row(&t->rows[i], out);
    if (t->more && t->n_rows)
        fprintf(out, "\nCommon to all services:\n");
    for (size_t i = 0; t->more && i < t->n_more; i++)
        config_print_row(&t->more[i], out);
    fprintf(out, "\n  --help, --help=markdown, --version\n");
}

/* Text in a cell of a Markdown table: a bar would end the cell. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void print_markdown_row(const struct config_setting *row, FILE *out)
{
    char env[CONFIG_ENV_CAP], right[200];

    config_env_name(row, env);
    config_describe(row, right, sizeof right);
    fprintf(out, "| `--%s` | `%s` | ", row->name, env);
    if (!row->def)
        fprintf(out, "required");
    else if (*row->def)
        fprintf(out, "`%s`", row->def);
    fprintf(out, " | ");
    print_cell(right, out);
    fprintf(out, " | ");
    print_cell(row->help, out);
    fprintf(out, " |\n");
}

void config_print_markdown(const struct config_table *t, FILE *out)
{
    void *base;
    const struct config_setting *row;

    fprintf(out, "## %s\n\n%s\n\n", t->program, t->summary);
    fprintf(out, "| flag | variable | default | unit and bounds | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; (row = config_row(t, i, NULL, &base)); i++)
        print_markdown_row(row, out);
    fputc('\n', out);
}
