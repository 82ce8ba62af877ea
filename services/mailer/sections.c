/* Files of sections; see sections.h. */
#include "services/mailer/sections.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

#define LINE_BYTES 4096

/* --- a section's own texts -------------------------------------------------------------- */

static bool is_key(const struct sections_of *of, const char *name)
{
    for (const char *const *key = of->keys; *key; key++)
        if (strcmp(name, *key) == 0)
            return true;
    return false;
}

static bool is_own_text(const struct sections_of *of, const struct config_setting *row)
{
    return is_key(of, row->name) &&
           (row->type == CONFIG_STRING || row->type == CONFIG_CHOICE || row->type == CONFIG_SECRET_FILE);
}

static char **text_at(struct mailer_settings *s, const struct config_setting *row)
{
    return (char **)((char *)s + row->offset);
}

/* A command has some of the rows only: the others are NULL there. */
static void copy_texts(const struct sections_of *of, struct mailer_settings *s)
{
    for (size_t i = 0; i < mailer_settings_n_rows; i++) {
        char **text = text_at(s, &mailer_settings_rows[i]);
        if (is_own_text(of, &mailer_settings_rows[i]) && *text)
            *text = mem_strdup(*text);
    }
}

static void free_texts(const struct sections_of *of, struct mailer_settings *s)
{
    for (size_t i = 0; i < mailer_settings_n_rows; i++)
        if (is_own_text(of, &mailer_settings_rows[i]))
            mem_free(*text_at(s, &mailer_settings_rows[i]));
}

/* --- life ------------------------------------------------------------------------------- */

struct sections *sections_new(const struct sections_of *of)
{
    struct sections *s = mem_alloc(sizeof *s);
    s->of = of;
    s->list = mem_array((size_t)of->max, sizeof(struct section *));
    s->more = mem_array((size_t)of->max * of->n_more + 1, sizeof(char *));
    return s;
}

void sections_free(struct sections *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n; i++) {
        free_texts(s->of, &s->list[i]->settings);
        mem_free(s->list[i]);
    }
    for (size_t i = 0; i < (size_t)s->n * s->of->n_more; i++)
        mem_free(s->more[i]);
    mem_free(s->list);
    mem_free(s->more);
    mem_free(s);
}

struct section *sections_add(struct sections *s, const struct mailer_settings *base, const char *name,
                             struct fp_err *err)
{
    if (s->n == s->of->max) {
        err_set(err, FP_INVALID_ARGUMENT, "more than %d %ss", s->of->max, s->of->what);
        return NULL;
    }
    for (int i = 0; i < s->n; i++) {
        if (strcmp(s->list[i]->name, name) == 0) {
            err_set(err, FP_INVALID_ARGUMENT, "%s %s stands there twice", s->of->what, name);
            return NULL;
        }
    }
    struct section *new = mem_alloc(sizeof *new);
    snprintf(new->name, sizeof new->name, "%s", name);
    new->settings = *base;
    copy_texts(s->of, &new->settings);
    s->list[s->n++] = new;
    return new;
}

/* --- the file ----------------------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < SECTION_NAME_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* Into the last section's places. */
static int set_more(struct sections *s, size_t key, const char *value, struct fp_err *err)
{
    const struct config_setting row = {.name = s->of->more[key].name,
                                       .type = CONFIG_STRING,
                                       .min = s->of->more[key].min,
                                       .max = s->of->more[key].max};
    return config_set(&row, &s->more[(size_t)(s->n - 1) * s->of->n_more + key], row.name, value, err);
}

static int set_key(struct sections *s, char *line, struct fp_err *err)
{
    char *value = strchr(line, '=');
    if (!value)
        return err_set(err, FP_INVALID_ARGUMENT, "\"%.40s\" is neither [name] nor key = value", line);
    *value++ = '\0';
    const char *key = trim(line);
    for (size_t i = 0; i < s->of->n_more; i++)
        if (strcmp(s->of->more[i].name, key) == 0)
            return set_more(s, i, trim(value), err);
    for (size_t i = 0; i < mailer_settings_n_rows; i++)
        if (strcmp(mailer_settings_rows[i].name, key) == 0 && is_key(s->of, key))
            return config_set(&mailer_settings_rows[i], &s->list[s->n - 1]->settings, key, trim(value), err);
    return err_set(err, FP_INVALID_ARGUMENT, "a %s has no setting \"%.40s\"", s->of->what, key);
}

static int read_line(struct sections *s, const struct mailer_settings *base, char *line, struct fp_err *err)
{
    line = trim(line);
    size_t n = strlen(line);
    if (*line == '\0' || *line == '#')
        return 0;
    if (*line != '[')
        return s->n > 0 ? set_key(s, line, err)
                        : err_set(err, FP_INVALID_ARGUMENT, "a [name] has to come before \"%.40s\"", line);
    line[n - 1] = line[n - 1] == ']' ? '\0' : line[n - 1];
    if (!is_name(line + 1))
        return err_set(err, FP_INVALID_ARGUMENT, "\"%.70s\" is no name: up to %d letters, digits, - _ .",
                       line, SECTION_NAME_BYTES - 1);
    return sections_add(s, base, line + 1, err) ? 0 : -1;
}

int sections_read(struct sections *s, const struct mailer_settings *base, const char *path,
                  struct fp_err *err)
{
    char line[LINE_BYTES];
    int rc = 0, number = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(err, FP_INVALID_ARGUMENT, "%s %s: %s", s->of->file_setting, path, strerror(errno));
    while (rc == 0 && fgets(line, sizeof line, f)) {
        number++;
        rc = read_line(s, base, line, err);
    }
    (void)fclose(f);
    if (rc < 0)
        return err_prefix(err, "%s %s line %d", s->of->file_setting, path, number);
    return s->n > 0 ? 0 : err_set(err, FP_INVALID_ARGUMENT, "%s %s names none", s->of->file_setting, path);
}

const char *sections_more(const struct sections *s, int i, const char *key)
{
    for (size_t k = 0; k < s->of->n_more; k++)
        if (strcmp(s->of->more[k].name, key) == 0) {
            const char *text = s->more[(size_t)i * s->of->n_more + k];
            return text ? text : "";
        }
    return "";
}
